#include "backends/kubernetes/ask.h"

#include "backends/common/facts.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

typedef struct Asking {
    const Api *api;
    void (*told)(void *user, KubeRow *row);
    void *user;
} Asking;

static Http *start(void *user, Io *io, HttpRequest *request, const char *path, HttpDone done, void *done_user, Error *error)
{
    const Api *api = user;
    SignInHeld held = {0};
    sign_in_apply(api->sign_in, path, request, &held);
    Http *http = http_start(io, request, done, done_user, error);
    sign_in_release(&held);
    return http;
}

/* The API server stands in between: 403 is its own, 503 says that the pod was not reached. */
static void refused(void *user, const HttpReply *reply, Error *error)
{
    const Api *api = user;
    if (reply->status == 404 && strncmp(reply->content_type, "text/html", 9) == 0)
        error_set(error, ERROR_UNSUPPORTED, api->where, NULL, "its scheduler does not tell its state over HTTP");
    else
        api_refusal(api->where, "its scheduler", reply, error);
}

static void take(void *user, const ProbeTarget *target, const ProbeFacts *facts)
{
    const Asking *asking = user;
    KubeRow *row = target->user;
    const KubeObject *pod = row_scheduler_pod(row);
    const char *uid = pod ? pod->uid : NULL;
    row_set_facts(row, facts);
    if (row->facts_uid && uid && strcmp(row->facts_uid, uid) != 0) { /* what the other's log told is no news of this one */
        row->client_left_ms = TIME_UNKNOWN;
        row->never_client = false;
        row->past_ms = 0;
    }
    free(row->facts_uid);
    row->facts_uid = mem_text(uid);
    if (asking->told)
        asking->told(asking->user, row);
}

/* A container that was started again is another scheduler. */
static char *target_key(const KubeRow *row)
{
    const KubeObject *pod = row_scheduler_pod(row);
    int64_t restarts = 0;
    for (size_t i = 0; i < pod->container_count; i++)
        restarts += pod->containers[i].restarts > 0 ? pod->containers[i].restarts : 0;
    return mem_format("pod %s start %lld", pod->uid, (long long)restarts);
}

bool ask_schedulers(Prober *prober, const Api *api, const Context *context, const BackendConfig *config, KubeRow *const *rows, size_t count, bool fresh,
                    void (*told)(void *user, KubeRow *row), void *user, Error *error)
{
    ProbeTarget *targets = mem_new((count + 1) * sizeof *targets);
    List texts = {0};
    Asking asking = {api, told, user};
    ProbeHttp http = {start, refused, (void *)(uintptr_t)api};
    int64_t whole = config->timeout_ms - config->timeout_ms / 20;
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        char *path = row_can_be_probed(rows[i]) ? row_proxy_path(rows[i]) : NULL;
        if (!path)
            continue;
        list_take(&texts, path);
        list_take(&texts, target_key(rows[i]));
        rows[i]->probed_ms = clock_mono_ms();
        targets[used++] = (ProbeTarget){
            .key = texts.items[texts.count - 1], .role = DASK_SCHEDULER, .http_only = true, .http_base = path, .http = &http, .first_ms = whole,
            .whole_ms = whole, .depth = facts_depth(config), .proven = true, .fresh = fresh, .user = rows[i],
        };
    }
    bool right = !used || (sign_in_ready(api->sign_in, api->io, context, error) && prober_run(prober, context, targets, used, NULL, take, &asking, error));
    free(targets);
    list_done(&texts);
    return right;
}
