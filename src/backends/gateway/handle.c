/* A handle on a gateway's cluster. */
#include "backends/gateway/gateway.h"

#include "backends/common/material.h"
#include "backends/common/retire.h"
#include "backends/common/tail.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { GONE_MS = 700 };

typedef struct GatewayHandle {
    Handle handle;
    char *name;
    int64_t started_ms;
    Access *access;  /* NULL: it does not run, or not yet */
} GatewayHandle;

static GatewayHandle *own_of(Handle *handle)
{
    return (GatewayHandle *)handle;
}

static GatewayBackend *backend_of(const Handle *handle)
{
    return (GatewayBackend *)handle->backend;
}

Access *gateway_access(const GatewayBackend *own, const GatewayCluster *cluster, const char *where)
{
    if (!cluster->tls)
        return NULL;
    Access *access = mem_new(sizeof *access);
    access_init(access, where);
    access->host = gateway_sni(cluster->name);
    access->port = own->gateway->proxy_port;
    access->connect_to = gateway_connect_to(own->gateway);
    access->tls = tls_keep(cluster->tls);
    access->http_base = mem_text(cluster->http_base);
    access->address = mem_text(cluster->address);
    access->workers_through_scheduler = true;
    access->http = &own->http;
    return access;
}

/* What the gateway says of it now. Names are never used twice; another start time would be another gateway's record all the same. */
static bool read_now(Handle *handle, Io *io, const Context *context, GatewayCluster *out, Error *error)
{
    GatewayHandle *own = own_of(handle);
    if (!gateway_get(backend_of(handle)->gateway, io, context, own->name, out, error))
        return false;
    bool same = own->started_ms == TIME_UNKNOWN || out->started_ms == own->started_ms;
    bool gone = out->status == GATEWAY_STOPPED || out->status == GATEWAY_FAILED;
    if (same && !gone)
        return true;
    gateway_cluster_done(out);
    return gone ? error_set(error, ERROR_NOT_FOUND, handle->record->is.id, NULL, "it has ended")
                : error_set(error, ERROR_CONFLICT, handle->record->is.id, "look at it again", "changed since it was seen: it was started anew");
}

/* ------------------------------------------------------------------------------------------------------------------- show */

typedef struct Fresh {
    Handle *handle;
    const GatewayCluster *cluster;
    Record *record;
} Fresh;

static void take_facts(void *user, const ProbeFacts *facts)
{
    Fresh *fresh = user;
    const GatewayBackend *own = backend_of(fresh->handle);
    RecordFields fields;
    Buffer dashboard;
    buffer_init(&dashboard, 4096);
    gateway_row(own, fresh->cluster, facts, &dashboard, &fields);
    fresh->record = record_new(&fields, own->backend.config->key, NULL, clock_wall_ms(), facts ? facts->counts_ms : TIME_UNKNOWN, NULL);
    buffer_done(&dashboard);
}

static bool describe_scheduler(GatewayHandle *own, Context *context, Fresh *fresh, Description *out, Error *error)
{
    Error why = {0};
    if (!own->access) {
        take_facts(fresh, NULL);
        description_text(&out->workers_note, gateway_not_running(fresh->cluster));
        return true;
    }
    if (!access_probe(own->access, context, take_facts, fresh, error))
        return false;
    if (fresh->record && fresh->record->is.status == STATUS_RUNNING && !access_describe(own->access, context, out, &why))
        description_text(&out->workers_note, why.what);
    else if (!fresh->record || fresh->record->is.status != STATUS_RUNNING)
        description_text(&out->workers_note, "its scheduler does not answer through the gateway's proxy");
    return true;
}

char *gateway_scale_body(int64_t workers)
{
    return mem_format("{\"count\": %lld}", (long long)workers);
}

static char *identity_of(const GatewayHandle *own)
{
    char at[TIME_TEXT];
    return mem_format("%s, started %s", own->name, own->started_ms == TIME_UNKNOWN ? "?" : time_text(own->started_ms, false, at));
}

static bool show(Handle *handle, Context *context, Description *out, Error *error)
{
    GatewayHandle *own = own_of(handle);
    const Gateway *gateway = backend_of(handle)->gateway;
    GatewayCluster cluster;
    Io *io = io_new(error);
    bool right = io && read_now(handle, io, context, &cluster, error);
    if (io)
        io_free(io);
    if (!right)
        return false;
    Fresh fresh = {.handle = handle, .cluster = &cluster};
    right = describe_scheduler(own, context, &fresh, out, error);
    out->record = fresh.record;
    if (right) {
        char *identity = identity_of(own);
        description_resource(out, "cluster", own->name, identity, status_word(out->record ? out->record->is.status : STATUS_UNKNOWN), -1);
        description_found(out, "the gateway %s knows it, with its certificate and key", gateway->address);
        description_found(out, "the gateway starts its workers: what it is asked for, it keeps up");
        list_copy(&out->worker_spec, &cluster.options);
        description_text(&out->route, own->access ? "through the gateway's proxy, TLS" : "none: it does not run");
        free(identity);
    }
    gateway_cluster_done(&cluster);
    return right;
}

/* ------------------------------------------------------------------------------------------------------------------- plan */

static bool need_access(Handle *handle, Error *error)
{
    return own_of(handle)->access || error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "it does not run: it has no scheduler to talk to");
}

/* The gateway stops a cluster whose scheduler does not take what it forwards (seen: within 0.3 to 42 s). So it is asked first, before the
 * plan is shown and again just before the request. */
static bool need_answer(Handle *handle, const Context *context, int64_t *workers, Error *error)
{
    Io *io;
    Error why = {0};
    DaskIdentity identity;
    const Access *access = own_of(handle)->access;
    Context part = context_within(context, backend_of(handle)->backend.config->timeout_ms);
    if (!need_access(handle, error))
        return false;
    Dask *dask = access_open(access, &part, &io, &why);
    bool right = dask && dask_identity(dask, &part, false, &identity, &why);
    if (right) {
        *workers = identity.workers;
        dask_identity_done(&identity);
    }
    if (dask)
        access_close(dask, io);
    if (right)
        return true;
    if (error)
        *error = why;
    bool other = why.code == ERROR_CONFLICT || why.code == ERROR_CANCELLED;
    return !other && error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, "wait until it answers, or delete it",
                               "its scheduler does not answer: asked to scale it, the gateway would stop it");
}

/* The request's body; the caller's. */
static char *adapt_body(const Change *change)
{
    return change->adapt_off ? mem_text("{\"active\": false}")
                             : mem_format("{\"minimum\": %lld, \"maximum\": %lld, \"active\": true}", (long long)change->minimum, (long long)change->maximum);
}

static void add_call(Plan *plan, const GatewayHandle *own, const char *verb, const char *body)
{
    char *identity = identity_of(own);
    plan_call(plan_step(plan, STEP_CHANGES, "cluster", own->name, identity), "POST …/clusters/%s/%s %s", own->name, verb, body);
    free(identity);
}

static bool plan_scale(Handle *handle, const Context *context, const Change *change, Plan *plan, Error *error)
{
    if (change->group)
        return error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "it has no worker groups");
    if (!need_answer(handle, context, &plan->now, error))
        return false;
    if (change->kind == CHANGE_ADAPT) {
        plan->own = adapt_body(change);
        add_call(plan, own_of(handle), "adapt", plan->own);
        return true;
    }
    plan->then = change->workers;
    plan->own = gateway_scale_body(change->workers);
    add_call(plan, own_of(handle), "scale", plan->own);
    plan_note(plan, "the gateway picks which workers leave; a scale also ends adapting");
    return true;
}

/* The gateway would start others in their place: it is told to want fewer. How many there are then is read when they have left. */
static bool plan_retire(Handle *handle, const Context *context, const Change *change, Plan *plan, Error *error)
{
    if (!need_access(handle, error) || !retire_plan(own_of(handle)->access, context, change, plan, error))
        return false;
    char *body = gateway_scale_body(plan->then);
    add_call(plan, own_of(handle), "scale", body);
    free(body);
    plan_note(plan, "then the gateway is asked for as many as are left, else it would start others; that also ends adapting");
    return true;
}

static bool plan_delete(Handle *handle, Plan *plan)
{
    GatewayHandle *own = own_of(handle);
    char *identity = identity_of(own);
    PlanStep *step = plan_step(plan, STEP_ENDS, "cluster", own->name, identity);
    plan_call(step, "DELETE …/clusters/%s: the gateway stops its scheduler and workers", own->name);
    plan->now = handle->record->is.workers_ready;
    plan->then = plan->now == NUMBER_UNKNOWN ? NUMBER_UNKNOWN : 0;
    free(identity);
    return true;
}

/* The plan's own is the body that will be sent, a step's its worker. */
static void free_own(Plan *plan, PlanStep *step)
{
    free(step ? step->own : plan->own);
}

static bool plan(Handle *handle, Context *context, const Change *change, Plan **out, Error *error)
{
    GatewayCluster cluster;
    Io *io = io_new(error);
    bool right = io && read_now(handle, io, context, &cluster, error);
    if (io)
        io_free(io);
    if (!right)
        return false;
    gateway_cluster_done(&cluster);
    *out = plan_new(change->kind, handle->record);
    (*out)->wait = change->wait;
    right = change->kind == CHANGE_DELETE   ? plan_delete(handle, *out)
            : change->kind == CHANGE_RETIRE ? plan_retire(handle, context, change, *out, error)
                                            : plan_scale(handle, context, change, *out, error);
    (*out)->free_own = free_own;
    if (!right) {
        plan_free(*out);
        *out = NULL;
    }
    return right;
}

/* ------------------------------------------------------------------------------------------------------------------ apply */

/* "… would exceed resource limit of 4 workers. Scaling to 4 instead."; NUMBER_UNKNOWN where it says that in other words. */
static int64_t clamped_to(const char *sentence, int64_t wanted)
{
    const char *at = sentence ? strstr(sentence, "caling to ") : NULL;
    if (at)
        at += strlen("caling to ");
    return !sentence ? wanted : at && *at >= '0' && *at <= '9' ? strtoll(at, NULL, 10) : NUMBER_UNKNOWN;
}

bool gateway_scale(const Gateway *gateway, Io *io, const Context *context, const char *name, const char *verb, const char *body, Outcome *outcome, Error *error)
{
    char *path = mem_format("clusters/%s/%s", name, verb);
    bool right = gateway_ask(gateway, io, context, "POST", path, body, NULL, &outcome->clamped, error);
    free(path);
    return right;
}

bool gateway_wait(const Access *access, const Context *context, int64_t wanted, const Progress *progress, Outcome *outcome, Error *error)
{
    int64_t number = clamped_to(outcome->clamped, wanted);
    return number == NUMBER_UNKNOWN || retire_wait_for(access, context, number, true, progress, outcome, error);
}

static bool apply_scale(Handle *handle, Io *io, Context *context, const Plan *made, const Progress *progress, Outcome *outcome, Error *error)
{
    GatewayHandle *own = own_of(handle);
    bool adapt = made->kind == CHANGE_ADAPT;
    int64_t now;
    progress_tell(progress, PHASE_RUNNING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "asking the gateway");
    return need_answer(handle, context, &now, error) &&
           gateway_scale(backend_of(handle)->gateway, io, context, own->name, adapt ? "adapt" : "scale", made->own, outcome, error) &&
           (adapt || !made->wait || gateway_wait(own->access, context, made->then, progress, outcome, error));
}

static bool apply_retire(Handle *handle, Io *io, Context *context, const Plan *made, const Progress *progress, Outcome *outcome, Error *error)
{
    GatewayHandle *own = own_of(handle);
    int64_t left, leave = (int64_t)plan_count(made, STEP_ENDS);
    if (!retire_apply(own->access, context, made, progress, outcome, error) || !need_answer(handle, context, &left, error))
        return false;
    if (!made->wait && !outcome->failures.count) /* they are still leaving */
        left = outcome->workers - leave;
    char *body = gateway_scale_body(left > 0 ? left : 0);
    bool right = gateway_scale(backend_of(handle)->gateway, io, context, own->name, "scale", body, outcome, error);
    free(body);
    return right;
}

/* It answers 204 also where it does nothing: it is asked until it says that the cluster has stopped, or does not know it. */
static bool wait_until_gone(Handle *handle, Io *io, Context *context, const Progress *progress, Outcome *outcome, Error *error)
{
    GatewayCluster cluster;
    for (;;) {
        Error why = {0};
        progress_tell(progress, PHASE_VERIFYING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "waiting until the gateway has stopped it");
        if (!gateway_get(backend_of(handle)->gateway, io, context, own_of(handle)->name, &cluster, &why)) {
            if (why.code != ERROR_NOT_FOUND && error)
                *error = why;
            return why.code == ERROR_NOT_FOUND;
        }
        bool gone = cluster.status == GATEWAY_STOPPED || cluster.status == GATEWAY_FAILED;
        gateway_cluster_done(&cluster);
        if (gone)
            return true;
        if (!io_sleep(io, context, GONE_MS, error)) {
            list_format(&outcome->left_over, "cluster %s: the gateway is still stopping it", own_of(handle)->name);
            return false;
        }
    }
}

static bool apply_delete(Handle *handle, Io *io, Context *context, const Plan *made, const Progress *progress, Outcome *outcome, Error *error)
{
    char *path = mem_format("clusters/%s", own_of(handle)->name);
    bool right = gateway_ask(backend_of(handle)->gateway, io, context, "DELETE", path, NULL, NULL, NULL, error);
    free(path);
    return right && (!made->wait || wait_until_gone(handle, io, context, progress, outcome, error));
}

static bool apply(Handle *handle, Context *context, const Plan *made, const Progress *progress, Outcome *outcome, Error *error)
{
    GatewayCluster cluster;
    Io *io = io_new(error);
    bool right = io && read_now(handle, io, context, &cluster, error);
    if (right) {
        gateway_cluster_done(&cluster);
        if (made->kind == CHANGE_DELETE)
            right = apply_delete(handle, io, context, made, progress, outcome, error);
        else if (made->kind == CHANGE_RETIRE)
            right = apply_retire(handle, io, context, made, progress, outcome, error);
        else
            right = apply_scale(handle, io, context, made, progress, outcome, error);
    }
    if (io)
        io_free(io);
    return right;
}

/* ------------------------------------------------------------------------------------------------------------------ others */

static bool logs(Handle *handle, Context *context, const LogRequest *request, const LogSink *sink, Error *error)
{
    return need_access(handle, error) && tail_run(own_of(handle)->access, context, request, sink, error);
}

/* The address is the one that dask-gateway gives its own clients: a tunnel to a plain port would open the cluster to everybody on this host. */
static bool route(Handle *handle, Context *context, const RouteWish *wish, Route *out, Error *error)
{
    GatewayHandle *own = own_of(handle);
    (void)context;
    (void)wish;
    if (!need_access(handle, error))
        return false;
    *out = (Route){.address = mem_text(own->access->address), .dashboard = mem_text(handle->record->is.dashboard), .is_public = true,
                   .preload = mem_text("dask_gateway"), .words = mem_text("through the gateway's proxy, TLS"), .lost_fd = -1};
    if (material_route(own->access->tls, handle->record->is.id, out, error))
        return true;
    route_done(out);
    return false;
}

static bool snippet(Handle *handle, Context *context, Buffer *out, Error *error)
{
    const Gateway *gateway = backend_of(handle)->gateway;
    (void)context;
    (void)error;
    buffer_text(out, "from dask_gateway import Gateway\n\n");
    char *proxy = gateway_connect_to(gateway);
    buffer_format(out, "gateway = Gateway(\"%s\", proxy_address=\"gateway://%s\")  # signs in as your Dask config says\n", gateway->address, proxy);
    free(proxy);
    buffer_format(out, "cluster = gateway.connect(\"%s\", shutdown_on_close=False)\nclient = cluster.get_client()\n", own_of(handle)->name);
    return true;
}

static void close_handle(Handle *handle)
{
    GatewayHandle *own = own_of(handle);
    if (own->access)
        access_done(own->access);
    free(own->access);
    free(own->name);
    handle_done(handle);
    free(handle);
}

static const HandleType handle_type = {
    .show = show, .plan = plan, .apply = apply, .logs = logs, .route = route, .snippet = snippet, .close = close_handle,
};

bool gateway_reconstruct(Backend *backend, Context *context, const Record *record, Handle **out, Error *error)
{
    GatewayHandle *own = mem_new(sizeof *own);
    GatewayCluster cluster;
    handle_init(&own->handle, &handle_type, backend, record);
    own->name = mem_text(record->is.name);
    own->started_ms = TIME_UNKNOWN;
    Io *io = io_new(error);
    bool right = io && read_now(&own->handle, io, context, &cluster, error);
    if (io)
        io_free(io);
    if (!right) {
        close_handle(&own->handle);
        return false;
    }
    own->started_ms = cluster.started_ms;
    own->access = gateway_access((GatewayBackend *)backend, &cluster, record->is.id);
    if (own->access)
        own->access->scheduler_id = mem_text(record->is.scheduler_id);
    gateway_cluster_done(&cluster);
    *out = &own->handle;
    return true;
}
