/* New clusters of a gateway: the options that it offers, checked before anything is asked of it. */
#include "backends/gateway/gateway.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 500 };

const char *const gateway_creates[] = {"dask_gateway:GatewayCluster", NULL};

/* What of GatewayCluster's arguments is no option: the rest goes to the gateway. */
static bool is_argument(const char *key)
{
    static const char *const names[] = {"address", "proxy_address", "public_address", "auth", "cluster_options", "shutdown_on_close", "asynchronous", "loop",
                                        "name", "n_workers"};
    char *plain = mem_text(key);
    bool found = false;
    for (char *c = plain; *c; c++)
        *c = *c == '-' ? '_' : *c;
    for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++)
        found = strcmp(plain, names[i]) == 0;
    free(plain);
    return found;
}

static const cJSON *offered(const cJSON *options, const char *field)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, json_member(options, "cluster_options"))
    {
        if (json_text(one, "field") && strcmp(json_text(one, "field"), field) == 0)
            return one;
    }
    return NULL;
}

static char *names_of(const cJSON *options)
{
    Buffer names;
    const cJSON *one;
    buffer_init(&names, 200);
    cJSON_ArrayForEach(one, json_member(options, "cluster_options"))
    {
        buffer_format(&names, "%s%s", names.length ? ", " : "", json_text(one, "field") ? json_text(one, "field") : "?");
    }
    return buffer_take(&names);
}

/* {"cluster_options": {…}}; NULL with error where the gateway offers no such option. */
static char *body_of(const GatewayBackend *own, const Spec *spec, const cJSON *options, Plan *plan, Error *error)
{
    cJSON *body = cJSON_CreateObject(), *chosen = cJSON_AddObjectToObject(body, "cluster_options");
    Buffer said;
    buffer_init(&said, 1000);
    for (size_t i = 0; spec->kwargs && i < spec->kwargs->count; i++) {
        const Tree *item = spec->kwargs->items[i];
        char where[256];
        if (is_argument(item->key))
            continue;
        if (!offered(options, item->key)) {
            char *names = names_of(options);
            error_set(error, ERROR_USAGE, tree_where_key(item, where), NULL, "the gateway %s has no option %s: it has %s", own->gateway->where, item->key, names);
            free(names);
            cJSON_Delete(body);
            buffer_done(&said);
            return NULL;
        }
        cJSON_AddItemToObject(chosen, item->key, tree_json(item));
        if (strcmp(item->key, "environment") != 0 && tree_text(item)) /* that is where people put secrets */
            buffer_format(&said, "%s%s: %s", said.length ? ", " : "", item->key, tree_text(item));
    }
    if (plan && said.length)
        plan_note(plan, "%s", said.bytes);
    buffer_done(&said);
    char *text = cJSON_PrintUnformatted(body);
    cJSON_Delete(body);
    return text;
}

static bool wait_until_running(const GatewayBackend *own, Io *io, const Context *context, const char *name, const Progress *progress, GatewayCluster *out,
                               Error *error)
{
    for (;;) {
        if (!gateway_get(own->gateway, io, context, name, out, error))
            return false;
        if (out->status == GATEWAY_RUNNING && out->tls)
            return true;
        bool failed = out->status != GATEWAY_PENDING && out->status != GATEWAY_RUNNING;
        gateway_cluster_done(out);
        if (failed)
            return error_set(error, ERROR_BAD_REPLY, own->gateway->where, "the gateway's own log says why", "the new cluster %s has failed to start", name);
        progress_tell(progress, PHASE_VERIFYING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "waiting until the gateway has started it");
        if (!io_sleep(io, context, LOOK_MS, error))
            return false;
    }
}

static bool scale_new(const GatewayBackend *own, Io *io, const Context *context, const GatewayCluster *cluster, int64_t workers, const Progress *progress,
                      Outcome *outcome, Error *error)
{
    char *path = mem_format("clusters/%s/scale", cluster->name), *body = mem_format("{\"count\": %lld}", (long long)workers);
    bool right = gateway_ask(own->gateway, io, context, "POST", path, body, NULL, &outcome->clamped, error);
    Access *access = right && !outcome->clamped ? gateway_access(own, cluster, own->gateway->where) : NULL;
    if (access) {
        right = gateway_wait_workers(access, context, workers, progress, outcome, error);
        access_done(access);
        free(access);
    }
    free(path);
    free(body);
    return right;
}

static bool make(const GatewayBackend *own, Io *io, const Context *context, const char *body, const Plan *plan, const Progress *progress, Outcome *outcome,
                 Error *error)
{
    cJSON *answer;
    GatewayCluster cluster;
    progress_tell(progress, PHASE_RUNNING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "asking the gateway");
    if (!gateway_ask(own->gateway, io, context, "POST", "clusters/", body, &answer, NULL, error))
        return false;
    char *name = mem_text(json_text(answer, "name"));
    cJSON_Delete(answer);
    if (!name)
        return error_set(error, ERROR_BAD_REPLY, own->gateway->where, NULL, "the gateway made a cluster and does not say its name");
    outcome->id = record_id(own->backend.config->key, NULL, name);
    bool right = true;
    if (plan->wait) {
        right = wait_until_running(own, io, context, name, progress, &cluster, error);
        if (right && plan->then > 0)
            right = scale_new(own, io, context, &cluster, plan->then, progress, outcome, error);
        if (right)
            gateway_cluster_done(&cluster);
    }
    free(name);
    return right;
}

bool gateway_create(Backend *backend, Context *context, const Spec *spec, bool dry_run, Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    GatewayBackend *own = (GatewayBackend *)backend;
    cJSON *options = NULL;
    Io *io = io_new(error);
    bool right = io && gateway_ask(own->gateway, io, context, "GET", "options", NULL, &options, NULL, error);
    char *body = right ? body_of(own, spec, options, dry_run ? plan : NULL, error) : NULL;
    right = body != NULL;
    if (right && dry_run) {
        PlanStep *step = plan_step(plan, STEP_STARTS, "cluster", "a cluster of the gateway, which gives it its name", NULL);
        plan_call(step, "POST %s/api/v1/clusters/", own->gateway->address);
        plan->then = spec->workers == NUMBER_UNKNOWN ? 0 : spec->workers;
    } else if (right) {
        right = make(own, io, context, body, plan, progress, outcome, error);
    }
    free(body);
    cJSON_Delete(options);
    if (io)
        io_free(io);
    return right;
}
