/* New clusters of a gateway. */
#include "backends/gateway/gateway.h"
#include "backends/gateway/options.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 500 };

const char *const gateway_creates[] = {"dask_gateway:GatewayCluster", NULL};

/* ----------------------------------------------------------------------------------------------------------------- options */

/* What of GatewayCluster's arguments is no option. Those that say how it is held by Python have no meaning for a cluster that nobody holds. */
static bool is_argument(const Tree *kwargs, const Tree *item)
{
    static const char *const names[] = {"address", "proxy_address", "public_address", "auth", "cluster_options", "shutdown_on_close", "asynchronous",
                                        "loop", "n_workers", "name"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (tree_get(kwargs, names[i]) == item)
            return true;
    return false;
}

static bool is_other_gateway(const Gateway *gateway, const Tree *address)
{
    const char *text = tree_text(address);
    size_t n = text ? strlen(text) : 0;
    while (n && text[n - 1] == '/')
        n--;
    return address && address->kind != TREE_NULL && (strlen(gateway->address) != n || strncmp(gateway->address, text ? text : "", n) != 0);
}

/* Dask's `gateway.cluster.options`, over them the spec's cluster_options, over them its other arguments. */
static bool take_options(const GatewayBackend *own, const Spec *spec, Tree *chosen, Error *error)
{
    const Tree *given = tree_get(spec->kwargs, "cluster_options");
    for (size_t i = 0; own->gateway->options && i < own->gateway->options->count; i++) {
        const Tree *item = own->gateway->options->items[i];
        char *text = item->kind == TREE_TEXT ? gateway_template(item->text, own->gateway->where, error) : NULL;
        if (item->kind == TREE_TEXT && !text)
            return false;
        Tree *copy = tree_copy(item);
        if (text) {
            free(copy->text);
            copy->text = text;
        }
        tree_set(chosen, item->key, copy);
    }
    for (size_t i = 0; given && given->kind == TREE_MAP && i < given->count; i++)
        tree_set(chosen, given->items[i]->key, tree_copy(given->items[i]));
    for (size_t i = 0; spec->kwargs && i < spec->kwargs->count; i++) {
        const Tree *item = spec->kwargs->items[i];
        if (!is_argument(spec->kwargs, item))
            tree_set(chosen, item->key, tree_copy(item));
    }
    return true;
}

static bool check_spec(const GatewayBackend *own, const Spec *spec, const cJSON *answer, Error *error)
{
    char where[256];
    const Tree *address = tree_get(spec->kwargs, "address"), *given = tree_get(spec->kwargs, "cluster_options");
    if (is_other_gateway(own->gateway, address))
        return error_set(error, ERROR_USAGE, tree_where(address, where), "name the backend of that one by --backend", "the gateway of %s is %s", own->gateway->where,
                         own->gateway->address);
    if (given && given->kind != TREE_MAP && given->kind != TREE_NULL)
        return error_set(error, ERROR_USAGE, tree_where(given, where), NULL, "cluster_options must be a map");
    if (spec->name && !options_find(answer, "name"))
        return error_set(error, ERROR_USAGE, own->gateway->where, "leave the name out", "a gateway names its clusters itself");
    return true;
}

/* {"cluster_options": {…}}, the caller's; NULL with error where the gateway offers no such option or value. */
static char *body_of(const GatewayBackend *own, const Spec *spec, const cJSON *answer, Plan *plan, Error *error)
{
    Tree *chosen = tree_new(TREE_MAP, NULL);
    char *text = NULL;
    bool right = check_spec(own, spec, answer, error) && take_options(own, spec, chosen, error);
    if (right && spec->name)
        tree_set(chosen, "name", tree_new(TREE_TEXT, spec->name));
    if (right && options_check(answer, chosen, own->gateway->where, error)) {
        cJSON *body = cJSON_CreateObject();
        cJSON_AddItemToObject(body, "cluster_options", tree_json(chosen));
        text = cJSON_PrintUnformatted(body);
        cJSON_Delete(body);
        if (plan) {
            Buffer words;
            buffer_init(&words, 2000);
            options_words(answer, chosen, &words);
            plan_note(plan, "%s", words.length ? words.bytes : "this gateway has no options");
            buffer_done(&words);
        }
    }
    tree_free(chosen);
    return text;
}

/* ------------------------------------------------------------------------------------------------------------------- doing */

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
    char *body = gateway_scale_body(workers);
    Access *access = gateway_access(own, cluster, own->gateway->where);
    bool right = gateway_scale(own->gateway, io, context, cluster->name, "scale", body, outcome, error) &&
                 gateway_wait(access, context, workers, progress, outcome, error);
    access_done(access);
    free(access);
    free(body);
    return right;
}

/* What it has begun, the gateway ends. */
static bool say_unready(const Outcome *outcome, Error *error)
{
    ErrorCode code = error ? error->code : ERROR_OK;
    if (code == ERROR_TIMEOUT || code == ERROR_CANCELLED)
        error_set(error, code, outcome->id, "`dasktop show` says how far it is", "%s: the gateway goes on starting it",
                  code == ERROR_TIMEOUT ? "it was not ready in time" : "not waited for");
    return false;
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
        right = wait_until_running(own, io, context, name, progress, &cluster, error) &&
                (plan->then <= 0 || scale_new(own, io, context, &cluster, plan->then, progress, outcome, error));
        gateway_cluster_done(&cluster);
    }
    free(name);
    return right || say_unready(outcome, error);
}

bool gateway_create(Backend *backend, Context *context, const Spec *spec, bool dry_run, Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    GatewayBackend *own = (GatewayBackend *)backend;
    cJSON *answer = NULL;
    Io *io = io_new(error);
    bool right = io && gateway_ask(own->gateway, io, context, "GET", "options", NULL, &answer, NULL, error);
    char *body = right ? body_of(own, spec, answer, dry_run ? plan : NULL, error) : NULL;
    right = body != NULL;
    if (right && dry_run) {
        PlanStep *step = plan_step(plan, STEP_STARTS, "cluster", "a cluster of the gateway, which gives it its name", NULL);
        plan_call(step, "POST %s/api/v1/clusters/", own->gateway->address);
        plan->now = 0;
        plan->then = spec->workers == NUMBER_UNKNOWN ? 0 : spec->workers;
    } else if (right) {
        right = make(own, io, context, body, plan, progress, outcome, error);
    }
    free(body);
    cJSON_Delete(answer);
    if (io)
        io_free(io);
    return right;
}
