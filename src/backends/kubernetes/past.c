#include "backends/kubernetes/past.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { LINES = 1000, LOG_MOST = 1 << 20, AGAIN_MS = 300000 };

static bool holds(const char *line, size_t n, const char *words)
{
    return memmem(line, n, words, strlen(words)) != NULL;
}

static int64_t stamp_of(const char *line, size_t n)
{
    char text[40];
    const char *blank = memchr(line, ' ', n < sizeof text ? n : sizeof text);
    if (!blank || blank == line)
        return TIME_UNKNOWN;
    memcpy(text, line, (size_t)(blank - line));
    text[blank - line] = 0;
    return time_parse(text);
}

Past past_of_log(const char *bytes, size_t n)
{
    Past past = {TIME_UNKNOWN, false};
    for (const char *line = bytes, *end = bytes + n; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((stop ? stop : end) - line);
        bool client = holds(line, length, "distributed.scheduler - INFO - ") &&
                      (holds(line, length, " - Receive client connection: ") || holds(line, length, " - Remove client ") || holds(line, length, " - Close client connection: "));
        if (client && !holds(line, length, ": dasktop-") && !holds(line, length, " dasktop-")) {
            int64_t at = stamp_of(line, length);
            past.left_ms = at != TIME_UNKNOWN ? at : past.left_ms;
        } else if (holds(line, length, "distributed.scheduler - INFO -   Scheduler at:"))
            past.from_start = true;
        line += length + 1;
    }
    return past;
}

bool past_is_due(const KubeRow *row, int64_t now_mono_ms)
{
    const ProbeFacts *facts = row->facts;
    bool quiet = facts && facts->result == PROBE_ANSWERED && facts->counts.clients == 0 && facts->busy == 0 && facts->idle_longer;
    return quiet && row_can_be_probed(row) && (!row->past_ms || now_mono_ms - row->past_ms >= AGAIN_MS);
}

typedef struct Reading {
    KubeRow *row;
    Http *http;
    size_t *left;
} Reading;

static void is_read(void *user, HttpReply *reply, const Error *error)
{
    Reading *reading = user;
    KubeRow *row = reading->row;
    reading->http = NULL;
    (*reading->left)--;
    if (error->code != ERROR_OK)
        return;
    if (reply->status == 200) {
        Past past = past_of_log(reply->body.bytes, reply->body.length);
        row->client_left_ms = past.left_ms;
        row->never_client = past.left_ms == TIME_UNKNOWN && past.from_start;
    }
    http_reply_done(reply);
}

static Http *start(const Api *api, int64_t timeout_ms, Reading *reading)
{
    const KubeObject *pod = row_scheduler_pod(reading->row);
    char *path = kube_path("", "v1", reading->row->namespace, "pods", pod->name, "log"), *lines = mem_format("%d", LINES);
    for (size_t i = 0; i < pod->container_count; i++) /* beside others the operator calls it so; alone it needs no name */
        if (pod->container_count > 1 && strstr(pod->containers[i].name, "scheduler")) {
            kube_query(&path, "container", pod->containers[i].name);
            break;
        }
    kube_query(&path, "tailLines", lines);
    kube_query(&path, "timestamps", "true");
    ApiRequest request = {.path = path, .accept = "*/*", .timeout_ms = timeout_ms, .most_bytes = LOG_MOST};
    Http *http = api_start(api, &request, is_read, reading, NULL, NULL);
    free(path);
    free(lines);
    return http;
}

bool past_read(const Api *api, const Context *context, int64_t timeout_ms, KubeRow *const *rows, size_t count, Error *error)
{
    Reading *readings = mem_new((count + 1) * sizeof *readings);
    size_t left = count;
    bool right = sign_in_ready(api->sign_in, api->io, context, error);
    for (size_t i = 0; i < count; i++) {
        rows[i]->past_ms = clock_mono_ms();
        readings[i] = (Reading){.row = rows[i], .left = &left};
        readings[i].http = right ? start(api, timeout_ms, &readings[i]) : NULL;
        left -= readings[i].http == NULL;
    }
    while (right && left)
        right = io_turn(api->io, context, error);
    for (size_t i = 0; i < count; i++)
        http_cancel(readings[i].http);
    free(readings);
    return right;
}
