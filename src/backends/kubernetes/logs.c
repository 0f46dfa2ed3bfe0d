/* Logs of every container of every pod of a cluster, as its node keeps them: each line comes with the time at which it was written, so that they
 * can be merged. First what is there, of a container that was started again also what came before; then, following, what is added: a stream for
 * each container, joined again from its last line where it breaks, and new pods as they come. */
#include "backends/kubernetes/handle.h"

#include "backends/common/tail.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STAMP_MOST = 48, LINE_MOST = 1 << 20, AT_ONCE = 24, PODS_MS = 4000, AGAIN_MS = 1000, AGAIN_MOST_MS = 15000, TURN_MS = 500 };

typedef enum SourceState { SOURCE_PREVIOUS, SOURCE_PAST, SOURCE_FOLLOW, SOURCE_OVER } SourceState;

/* One container. */
typedef struct Source {
    struct Logs *logs;
    char *component, *path; /* path: of the pod's log, with its container */
    char *uid;              /* of the pod */
    SourceState state;
    Http *http;
    Buffer line;            /* what came of a line that is not complete */
    char last[STAMP_MOST];  /* stamp of its last line */
    int at_last;            /* lines with that stamp that were given */
    int skip;               /* of those that a new stream repeats */
    int64_t next_ms, pause_ms;
    bool gone;              /* its pod is */
    bool noted;
    char why[200];
} Source;

typedef struct Logs {
    Handle *handle;
    KubeSight *sight;
    const LogRequest *request;
    const LogSink *sink;
    Source **sources;
    size_t count, capacity, out;
    bool caught_up;
    Error refused; /* of the last one that was not permitted */
} Logs;

/* ------------------------------------------------------------------------------------------------------------------- lines */

/* "2026-11-29T05:00:17.783695000Z text": all stamps of a node have the same width, so that they compare as texts. */
static void give_line(Source *source, const char *line, size_t n)
{
    const char *blank = memchr(line, ' ', n);
    size_t stamp = blank ? (size_t)(blank - line) : 0;
    const LogSink *sink = source->logs->sink;
    char text[STAMP_MOST];
    if (n && line[n - 1] == '\r')
        n--;
    if (!blank || stamp >= STAMP_MOST || stamp < 20 || stamp > n) {
        sink->line(sink->user, source->component, TIME_UNKNOWN, NULL, line, n); /* what a node writes without a stamp: an error of its own */
        return;
    }
    memcpy(text, line, stamp);
    text[stamp] = 0;
    int order = strcmp(text, source->last);
    if (order < 0 || (order == 0 && source->skip > 0)) {
        source->skip -= order == 0;
        return; /* a stream that was joined again repeats its last second */
    }
    source->at_last = order == 0 ? source->at_last + 1 : 1;
    memcpy(source->last, text, stamp + 1);
    sink->line(sink->user, source->component, time_parse(text), NULL, line + stamp + 1, n - stamp - 1);
}

static bool take_bytes(void *user, const char *bytes, size_t n, Error *error)
{
    Source *source = user;
    (void)error;
    while (n) {
        const char *end = memchr(bytes, '\n', n);
        size_t part = end ? (size_t)(end - bytes) : n;
        if (!buffer_add(&source->line, bytes, part) && source->logs->sink->dropped)
            source->logs->sink->dropped(source->logs->sink->user, source->component, -1);
        if (end) {
            give_line(source, source->line.bytes, source->line.length);
            buffer_clear(&source->line);
            source->line.full = false;
        }
        bytes += part + (end != NULL);
        n -= part + (end != NULL);
    }
    source->pause_ms = AGAIN_MS;
    return true;
}

static void note(Source *source, const char *why)
{
    const LogSink *sink = source->logs->sink;
    if (sink->note && strncmp(source->why, why, 190) != 0)
        sink->note(sink->user, source->component, why);
    snprintf(source->why, sizeof source->why, "%.190s", why);
}

/* ---------------------------------------------------------------------------------------------------------------- streams */

static void next_state(Source *source, bool again)
{
    bool follow = source->logs->request->follow;
    if (source->line.length) { /* a container that was killed in the middle of a line */
        give_line(source, source->line.bytes, source->line.length);
        buffer_clear(&source->line);
    }
    if (source->state == SOURCE_PREVIOUS)
        source->state = SOURCE_PAST;
    else if (source->state == SOURCE_PAST)
        source->state = follow ? SOURCE_FOLLOW : SOURCE_OVER;
    else if (source->gone)
        source->state = SOURCE_OVER;
    source->next_ms = 0;
    if (source->state == SOURCE_FOLLOW && again) {
        source->next_ms = clock_mono_ms() + source->pause_ms;
        source->pause_ms = source->pause_ms * 2 < AGAIN_MOST_MS ? source->pause_ms * 2 : AGAIN_MOST_MS;
    }
}

static void stream_ended(void *user, HttpReply *reply, const Error *error)
{
    Source *source = user;
    Error why = *error;
    bool following = source->state == SOURCE_FOLLOW;
    source->http = NULL;
    source->logs->out--;
    if (why.code == ERROR_OK && (reply->status < 200 || reply->status > 299))
        api_refusal(source->logs->sight->own->where, source->component, reply, &why);
    http_reply_done(reply);
    if (why.code == ERROR_NOT_FOUND)
        source->gone = true;
    else if (why.code == ERROR_DENIED)
        source->logs->refused = why;
    if (why.code != ERROR_OK && source->state != SOURCE_PREVIOUS && !source->gone) {
        const char *said = strstr(why.what, ": "); /* the component's name stands beside it anyway */
        note(source, said ? said + 2 : why.what);
    }
    next_state(source, following || why.code != ERROR_OK);
    if (why.code == ERROR_DENIED)
        source->state = SOURCE_OVER;
}

static char *path_of(const Source *source)
{
    const LogRequest *request = source->logs->request;
    char *path = mem_text(source->path), text[TIME_TEXT];
    kube_query(&path, "timestamps", "true");
    if (source->state == SOURCE_PREVIOUS)
        kube_query(&path, "previous", "true");
    if (source->state == SOURCE_FOLLOW)
        kube_query(&path, "follow", "true");
    if (*source->last && source->state == SOURCE_FOLLOW)
        kube_query(&path, "sinceTime", source->last);
    else if (request->since_ms != TIME_UNKNOWN)
        kube_query(&path, "sinceTime", time_text(request->since_ms, false, text));
    if (source->state != SOURCE_FOLLOW && request->tail >= 0) {
        char *lines = mem_format("%lld", (long long)request->tail);
        kube_query(&path, "tailLines", lines);
        free(lines);
    }
    return path;
}

static void start(Source *source)
{
    char *path = path_of(source);
    ApiRequest request = {.path = path, .what = source->component, .chunk = take_bytes, .user = source};
    source->skip = source->state == SOURCE_FOLLOW ? source->at_last : 0;
    source->http = api_start(&source->logs->sight->api, &request, stream_ended, source, NULL, NULL);
    source->logs->out += source->http != NULL;
    source->next_ms = source->http ? 0 : clock_mono_ms() + AGAIN_MS;
    free(path);
}

/* ---------------------------------------------------------------------------------------------------------------- sources */

static void source_free(Source *source)
{
    http_cancel(source->http);
    buffer_done(&source->line);
    free(source->component);
    free(source->path);
    free(source->uid);
    free(source);
}

static char *name_of(const KubeRow *row, const KubeObject *pod)
{
    if (pod->component == COMPONENT_SCHEDULER)
        return mem_text(pod == row_scheduler_pod(row) ? "scheduler" : pod->name);
    return mem_text(pod->component == COMPONENT_JOB_RUNNER ? "job-runner" : pod->worker_name ? pod->worker_name : pod->name);
}

static Source *find_source(const Logs *logs, const char *uid, const char *container)
{
    for (size_t i = 0; i < logs->count; i++)
        if (strcmp(logs->sources[i]->uid, uid) == 0 && strcmp(strrchr(logs->sources[i]->path, '=') + 1, container) == 0)
            return logs->sources[i];
    return NULL;
}

/* The container that is the component; others stand beside it by name. */
static bool is_main(const KubeObject *pod, const KubeContainer *container)
{
    for (size_t i = 0; i < pod->container_count; i++)
        if (!pod->containers[i].init)
            return &pod->containers[i] == container;
    return false;
}

static void add_source(Logs *logs, const KubeObject *pod, const KubeContainer *container)
{
    char *name = name_of(logs->sight->row, pod), *component = is_main(pod, container) ? mem_text(name) : mem_format("%s/%s", name, container->name);
    bool wanted = tail_wants(logs->request, kube_component_word(pod->component), component) || list_has(&logs->request->components, name) ||
                  list_has(&logs->request->components, pod->name);
    free(name);
    if (!wanted || find_source(logs, pod->uid, container->name)) {
        free(component);
        return;
    }
    Source *source = mem_new(sizeof *source);
    *source = (Source){.logs = logs, .component = component, .uid = mem_text(pod->uid), .path = object_path(pod, "log"), .pause_ms = AGAIN_MS,
                       .state = container->restarts > 0 ? SOURCE_PREVIOUS : SOURCE_PAST};
    kube_query(&source->path, "container", container->name);
    buffer_init(&source->line, LINE_MOST);
    logs->sources = mem_grow(logs->sources, logs->count, &logs->capacity, sizeof *logs->sources);
    logs->sources[logs->count++] = source;
}

static void add_sources(Logs *logs)
{
    const KubeList *pods = &logs->sight->row->of[KUBE_POD];
    for (size_t i = 0; i < logs->count; i++) {
        bool there = false;
        for (size_t k = 0; k < pods->count && !there; k++)
            there = strcmp(pods->items[k]->uid, logs->sources[i]->uid) == 0;
        logs->sources[i]->gone = !there;
    }
    for (size_t i = 0; i < pods->count; i++)
        for (size_t c = 0; c < pods->items[i]->container_count; c++)
            add_source(logs, pods->items[i], &pods->items[i]->containers[c]);
}

/* -------------------------------------------------------------------------------------------------------------------- run */

static void start_due(Logs *logs)
{
    int64_t now = clock_mono_ms();
    size_t past = 0;
    for (size_t i = 0; i < logs->count; i++)
        past += logs->sources[i]->http && logs->sources[i]->state != SOURCE_FOLLOW;
    for (size_t i = 0; i < logs->count; i++) {
        Source *source = logs->sources[i];
        bool follows = source->state == SOURCE_FOLLOW;
        if (source->http || source->state == SOURCE_OVER || source->next_ms > now || (!follows && past >= AT_ONCE) || (follows && !logs->caught_up))
            continue;
        if (source->gone && follows) {
            source->state = SOURCE_OVER;
            continue;
        }
        past += !follows;
        start(source);
    }
}

static bool is_past_over(const Logs *logs)
{
    for (size_t i = 0; i < logs->count; i++)
        if (logs->sources[i]->state == SOURCE_PREVIOUS || logs->sources[i]->state == SOURCE_PAST)
            return false;
    return true;
}

/* False: the cluster has gone, or the context ended (error). */
static bool look_for_pods(Logs *logs, const Context *context, Error *error)
{
    Error why = {0};
    KubeSight *sight = logs->sight;
    KubeJoin *join = NULL;
    KubeRow *row;
    if (kube_look(sight->own, &sight->api, context, kube_handle(logs->handle)->id, logs->handle->record->is.uid, &join, &row, NULL, &why)) {
        join_free(sight->join);
        sight->join = join;
        sight->row = row;
        add_sources(logs);
        return true;
    }
    bool gone = why.code == ERROR_NOT_FOUND || why.code == ERROR_CONFLICT, ended = why.code == ERROR_CANCELLED || why.code == ERROR_TIMEOUT;
    if (ended && error)
        *error = why;
    return !gone && !ended; /* a server that is away for a moment comes back */
}

static bool is_over(const Logs *logs)
{
    for (size_t i = 0; i < logs->count; i++)
        if (logs->sources[i]->state != SOURCE_OVER)
            return false;
    return true;
}

static bool turn(Logs *logs, const Context *context, Error *error)
{
    Error why = {0};
    Context part = context_within(context, TURN_MS);
    if (!sign_in_ready(logs->sight->own->sign_in, logs->sight->api.io, context, error))
        return false;
    start_due(logs);
    if (io_turn(logs->sight->api.io, &part, &why) || why.code == ERROR_TIMEOUT)
        return context_check(context, logs->sight->own->where, error);
    if (error)
        *error = why;
    return false;
}

static bool run(Logs *logs, const Context *context, Error *error)
{
    int64_t look_ms = clock_mono_ms() + PODS_MS;
    Error why = {0};
    while (turn(logs, context, error)) {
        if (!logs->caught_up && is_past_over(logs)) {
            logs->caught_up = true;
            if (logs->sink->caught_up)
                logs->sink->caught_up(logs->sink->user);
        }
        if (!logs->request->follow && is_over(logs))
            return true;
        if (!logs->request->follow || clock_mono_ms() < look_ms)
            continue;
        if (!look_for_pods(logs, context, &why)) {
            if (error)
                *error = why;
            return why.code == ERROR_OK; /* the cluster has ended */
        }
        look_ms = clock_mono_ms() + PODS_MS;
    }
    return false;
}

bool kube_logs(Handle *handle, Context *context, const LogRequest *request, const LogSink *sink, Error *error)
{
    KubeSight sight;
    if (!sight_take(handle, context, &sight, error))
        return false;
    Logs logs = {.handle = handle, .sight = &sight, .request = request, .sink = sink};
    bool right = sight_may(&sight, context, NEED_READ_LOGS, error);
    if (right) {
        add_sources(&logs);
        if (logs.count == 0 && !request->follow)
            right = error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, NULL,
                              sight.row->of[KUBE_POD].count ? "it has no such component" : "it has no pods: their logs went with them");
    }
    right = right && run(&logs, context, error);
    for (size_t i = 0; i < logs.count; i++)
        source_free(logs.sources[i]);
    free(logs.sources);
    if (right && logs.refused.code != ERROR_OK && error)
        *error = logs.refused;
    right = right && logs.refused.code == ERROR_OK;
    sight_done(&sight);
    return right;
}
