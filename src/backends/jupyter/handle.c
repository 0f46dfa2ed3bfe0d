/* A handle on a cluster of a Jupyter server. The server that it was made with, by process and token, is read again for each call. */
#include "backends/jupyter/jupyter.h"

#include "backends/common/facts.h"
#include "backends/common/retire.h"
#include "backends/common/tail.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 400, TAKEN_MS = 3000 };

typedef struct JupyterHandle {
    Handle handle;
    char *id;               /* the server's own */
} JupyterHandle;

/* What one call works with. */
typedef struct Now {
    JupyterBackend *own;
    NotebookServer *server;
    Io *io;
    JupyterCluster cluster;
    JupyterReach reach;
    ProbeHttp http;
    Access access;          /* host NULL: only its pages are reached */
} Now;

static JupyterHandle *own_of(Handle *handle)
{
    return (JupyterHandle *)handle;
}

static void now_done(Now *now)
{
    if (now->io)
        io_free(now->io);
    access_done(&now->access);
    jupyter_reach_done(&now->reach);
    jupyter_cluster_done(&now->cluster);
    notebook_server_free(now->server);
}

static void fill_access(Handle *handle, Now *now)
{
    const RecordFields *is = &handle->record->is;
    Access *access = &now->access;
    access_init(access, is->id);
    if (now->reach.comm || now->reach.perhaps) {
        access->host = mem_text(now->reach.place.host);
        access->port = now->reach.place.port;
        access->tls = now->reach.place.tls && now->own->tls ? tls_keep(now->own->tls) : NULL;
    }
    access->http_base = mem_text(now->reach.http_base);
    access->http = now->reach.proxied ? &now->http : NULL;
    access->address = mem_text(now->cluster.address);
    access->scheduler_id = mem_text(is->scheduler_id);
    access->workers_through_scheduler = now->reach.perhaps;
}

/* The cluster as the server has it now; one at another address has another scheduler. */
static bool now_read(Handle *handle, const Context *context, Now *now, Error *error)
{
    const RecordFields *is = &handle->record->is;
    *now = (Now){.own = (JupyterBackend *)handle->backend, .io = io_new(error)};
    now->server = now->io ? jupyter_server(now->own, error) : NULL;
    bool right = now->server && jupyter_get(now->server, now->own->where, now->io, context, own_of(handle)->id, &now->cluster, error);
    if (right && is->address && (!now->cluster.address || strcmp(now->cluster.address, is->address) != 0))
        right = error_set(error, ERROR_CONFLICT, is->id, "look at it again", "changed since it was seen: another scheduler is behind it now");
    if (right) {
        jupyter_reach(now->own, now->server, &now->cluster, &now->reach);
        now->http = notebook_http(now->server);
        fill_access(handle, now);
        return true;
    }
    if (!now->server && error && error->code == ERROR_ABSENT)
        error->code = ERROR_NOT_FOUND; /* it took its clusters along */
    now_done(now);
    return false;
}

/* ------------------------------------------------------------------------------------------------------------------- show */

typedef struct Fresh {
    Handle *handle;
    Now *now;
    const Record *last; /* what may still be said where its scheduler does not answer; NULL: nothing */
    JupyterUses uses;
    Record *record;
} Fresh;

static void take_facts(void *user, const ProbeFacts *facts)
{
    Fresh *fresh = user;
    JupyterRow row;
    const Backend *backend = fresh->handle->backend;
    jupyter_row(fresh->now->server, &fresh->now->cluster, &fresh->now->reach, &fresh->uses, facts, fresh->last, &row);
    fresh->record = record_new(&row.fields, backend->config->key, backend->instance, clock_wall_ms(), facts ? facts->counts_ms : TIME_UNKNOWN, NULL);
    jupyter_row_done(&row);
}

/* By its port where that surely is its own; else by its pages. */
static bool probe(Now *now, const Context *context, Fresh *fresh, Error *error)
{
    Access access = now->access;
    if (!now->reach.comm)
        access.host = NULL;
    if (access.host || access.http_base)
        return access_probe(&access, context, take_facts, fresh, error);
    take_facts(fresh, NULL);
    return true;
}

static void decide(Description *out, const Now *now, const Error *failure)
{
    if (!now->reach.perhaps || !out->record)
        return; /* its row has said all */
    RecordFields fields = out->record->is;
    static const Capability all[] = {CAN_LOGS, CAN_CONNECT, CAN_SNIPPET};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (failure)
            fields.cannot[all[i]] = failure->what;
        else
            fields.can |= 1u << all[i];
    fields.id = now->cluster.id;
    Record *decided = record_new(&fields, out->record->backend, out->record->instance, clock_wall_ms(), atomic_load(&out->record->counts_ms), NULL);
    record_drop(out->record);
    out->record = decided;
}

static bool describe_scheduler(Now *now, const Context *context, Description *out, Error *error)
{
    Error why = {0};
    if (!now->access.host) {
        description_text(&out->workers_note, now->reach.why);
        return true;
    }
    bool right = access_describe(&now->access, context, out, &why);
    if (!right && why.code == ERROR_CONFLICT) {
        if (error)
            *error = why;
        return false;
    }
    if (!right)
        description_text(&out->workers_note, why.what);
    decide(out, now, right ? NULL : &why);
    return true;
}

static void say_found(const Now *now, const JupyterUses *uses, Description *out)
{
    const NotebookServer *server = now->server;
    description_found(out, "the Jupyter server %s holds it%s", server->name, server->here ? ", in or below its own process" : "");
    for (size_t i = 0; i < uses->count; i++)
        description_found(out, "used by %s: kernel %s, pid %ld, is connected to its scheduler", uses->items[i].what, uses->items[i].kernel, (long)uses->items[i].pid);
    if (uses->known && !uses->count)
        description_found(out, "no kernel of that server is connected to its scheduler");
    if (!uses->known)
        description_lost(out, "which notebooks use it cannot be seen: %s", server->here ? "its scheduler's address is none of this host's sockets" : "the server runs on another host");
    description_lost(out, "it ends with the Jupyter server: nothing else holds it");
    if (now->cluster.adaptive == 1)
        description_found(out, "it adapts between %lld and %lld workers", (long long)now->cluster.minimum, (long long)now->cluster.maximum);
    description_text(&out->route, now->reach.comm ? now->access.tls ? "direct, TLS" : "direct" : now->reach.perhaps ? "direct, where that network is reached" : "its dashboard only");
}

static char *identity_of(const Handle *handle, const Now *now)
{
    return mem_format("%s, %s at %s", now->cluster.id, handle->record->is.uid ? handle->record->is.uid : "?", now->cluster.address ? now->cluster.address : "?");
}

static void add_resources(const Handle *handle, const Now *now, Description *out)
{
    char *identity = identity_of(handle, now);
    int server = -1;
    if (now->server->here) {
        Process process = {.pid = now->server->pid, .start = now->server->start};
        char *text = process_identity(&process);
        server = description_resource(out, "process", "Jupyter server", text, "running", -1) ? (int)out->resource_count - 1 : -1;
        free(text);
    }
    description_resource(out, "cluster", now->cluster.name, identity, status_word(out->record ? out->record->is.status : STATUS_UNKNOWN), server);
    free(identity);
}

static bool show(Handle *handle, Context *context, Description *out, Error *error)
{
    Now now;
    if (!now_read(handle, context, &now, error))
        return false;
    Fresh fresh = {.handle = handle, .now = &now, .last = handle->record};
    const char *address = now.cluster.address;
    jupyter_uses(now.server, now.own->where, now.io, context, &address, 1, &fresh.uses);
    bool right = probe(&now, context, &fresh, error);
    out->record = fresh.record;
    right = right && describe_scheduler(&now, context, out, error);
    if (right) {
        say_found(&now, &fresh.uses, out);
        add_resources(handle, &now, out);
    }
    jupyter_uses_done(&fresh.uses);
    now_done(&now);
    return right;
}

/* -------------------------------------------------------------------------------------------------------------- identity */

/* Before anything is changed: its scheduler is still the one that was seen. One that has ended since, with the server still listing its cluster under
 * this id and address, was that one: enough for its deletion. */
static bool check_identity(Handle *handle, Now *now, const Context *context, ChangeKind kind, Error *error)
{
    Fresh fresh = {.handle = handle, .now = now};
    const RecordFields *is = &handle->record->is;
    if (is->uid && !probe(now, context, &fresh, error))
        return false;
    const RecordFields *found = fresh.record ? &fresh.record->is : NULL;
    bool is_known = is->uid && found && found->uid, dead = found && found->gone;
    bool same = is_known && (dead ? kind == CHANGE_DELETE : strcmp(found->uid, is->uid) == 0);
    record_drop(fresh.record);
    if (same)
        return true;
    return is_known && !dead ? error_set(error, ERROR_CONFLICT, is->id, "look at it again", "changed since it was seen: another scheduler is behind it now")
                             : error_set(error, ERROR_UNREACHABLE, is->id, NULL, "its scheduler does not answer: without its identity nothing is changed");
}

/* ------------------------------------------------------------------------------------------------------------------- plan */

typedef struct JupyterWish {
    bool adapt;
    int64_t minimum, maximum; /* the same, where only their number is fixed */
    int64_t workers;
} JupyterWish;

static void free_own(Plan *plan, PlanStep *step)
{
    free(step ? step->own : plan->own);
}

/* Seen with dask-labextension 7.0 and distributed 2026.8: after the extension's own scale a cluster that adapted goes on adapting, and is no longer
 * said to. Limits that are equal hold it. */
static void plan_scale(const Now *now, const Change *change, PlanStep *step, Plan *plan)
{
    JupyterWish *wish = mem_new(sizeof *wish);
    bool adapts = now->cluster.adaptive == 1, off = change->kind == CHANGE_ADAPT && change->adapt_off;
    int64_t number = change->kind == CHANGE_SCALE ? change->workers : now->cluster.workers;
    *wish = (JupyterWish){.adapt = change->kind == CHANGE_ADAPT || adapts, .minimum = number, .maximum = number, .workers = number};
    if (change->kind == CHANGE_ADAPT && !off) {
        wish->minimum = change->minimum;
        wish->maximum = change->maximum;
    }
    if (wish->adapt)
        plan_call(step, "PATCH …/dask/clusters/%s {\"adapt\": {\"minimum\": %lld, \"maximum\": %lld}}", now->cluster.id, (long long)wish->minimum, (long long)wish->maximum);
    else
        plan_call(step, "PATCH …/dask/clusters/%s {\"workers\": %lld}", now->cluster.id, (long long)number);
    if (off || (change->kind == CHANGE_SCALE && adapts))
        plan_note(plan, "it adapts, and the extension cannot end that: both limits become %lld", (long long)number);
    plan->then = change->kind == CHANGE_SCALE || off ? number : NUMBER_UNKNOWN;
    plan->own = wish;
}

static bool plan_change(Handle *handle, Now *now, const Change *change, Plan *plan, Error *error)
{
    const char *id = handle->record->is.id;
    bool adapts = now->cluster.adaptive == 1;
    if (change->group)
        return error_set(error, ERROR_UNSUPPORTED, id, NULL, "it has no worker groups");
    if (change->kind == CHANGE_ADAPT && change->adapt_off && !adapts)
        return error_set(error, ERROR_UNSUPPORTED, id, NULL, "it does not adapt");
    char *identity = identity_of(handle, now);
    plan->now = now->cluster.workers;
    plan->free_own = free_own;
    if (change->kind == CHANGE_DELETE) {
        PlanStep *step = plan_step(plan, STEP_ENDS, "cluster", now->cluster.name, identity);
        plan_call(step, "DELETE …/dask/clusters/%s: the Jupyter server closes it and its workers", now->cluster.id);
        plan->then = plan->now == NUMBER_UNKNOWN ? NUMBER_UNKNOWN : 0;
    } else {
        plan_scale(now, change, plan_step(plan, STEP_CHANGES, "cluster", now->cluster.name, identity), plan);
    }
    free(identity);
    return true;
}

static bool plan(Handle *handle, Context *context, const Change *change, Plan **out, Error *error)
{
    Now now;
    if (!now_read(handle, context, &now, error))
        return false;
    *out = plan_new(change->kind, handle->record);
    (*out)->wait = change->wait;
    bool right = check_identity(handle, &now, context, change->kind, error);
    if (right && change->kind == CHANGE_RETIRE)
        right = retire_plan(&now.access, context, change, *out, error);
    else if (right)
        right = plan_change(handle, &now, change, *out, error);
    now_done(&now);
    if (right)
        return true;
    plan_free(*out);
    *out = NULL;
    return false;
}

/* ------------------------------------------------------------------------------------------------------------------ apply */

/* The server answers a change with the counts of before. */
static bool wait_workers(Handle *handle, Now *now, const Context *context, int64_t wanted, const Progress *progress, Outcome *outcome, Error *error)
{
    for (;;) {
        JupyterCluster cluster;
        if (!jupyter_get(now->server, now->own->where, now->io, context, own_of(handle)->id, &cluster, error))
            break;
        outcome->workers = cluster.workers;
        jupyter_cluster_done(&cluster);
        progress_tell(progress, PHASE_VERIFYING, outcome->workers, wanted, "waiting until the server has the wanted number of workers");
        if (outcome->workers == wanted)
            return true;
        if (!io_sleep(now->io, context, LOOK_MS, error))
            break;
    }
    if (error && error->code == ERROR_TIMEOUT && outcome->workers != NUMBER_UNKNOWN)
        error_set(error, ERROR_TIMEOUT, handle->record->is.id, "the Jupyter server's own log says why", "%lld workers are there, %lld are wanted",
                  (long long)outcome->workers, (long long)wanted);
    return false;
}

static bool has_limits(const JupyterCluster *cluster, const JupyterWish *wish)
{
    return cluster->adaptive == 1 && cluster->minimum == wish->minimum && cluster->maximum == wish->maximum;
}

/* Limits that it has already are not sent: the extension would forget that it adapts. */
static bool set_limits(Handle *handle, Now *now, const Context *context, const JupyterWish *wish, Error *error)
{
    JupyterCluster cluster;
    const char *id = own_of(handle)->id;
    if (has_limits(&now->cluster, wish))
        return true;
    if (!jupyter_adapt(now->server, now->own->where, now->io, context, id, wish->minimum, wish->maximum, error) ||
        !jupyter_get(now->server, now->own->where, now->io, context, id, &cluster, error))
        return false;
    bool holds = has_limits(&cluster, wish);
    jupyter_cluster_done(&cluster);
    return holds || error_set(error, ERROR_BAD_REPLY, handle->record->is.id, "the Jupyter server's own log says why", "the server took it, and its limits are others");
}

static bool apply_scale(Handle *handle, Now *now, const Context *context, const Plan *made, const Progress *progress, Outcome *outcome, Error *error)
{
    const JupyterWish *wish = made->own;
    const char *id = own_of(handle)->id;
    progress_tell(progress, PHASE_RUNNING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "asking the Jupyter server");
    bool right = wish->adapt ? set_limits(handle, now, context, wish, error)
                             : jupyter_scale(now->server, now->own->where, now->io, context, id, wish->workers, error);
    if (!right || !made->wait || made->then == NUMBER_UNKNOWN)
        return right;
    return wait_workers(handle, now, context, wish->workers, progress, outcome, error);
}

/* Gone for the server, and its scheduler's port with it: some are closed by the server and live on for a moment. */
static bool is_gone(Handle *handle, Now *now, const Context *context, Error *error)
{
    JupyterCluster cluster;
    Error why = {0};
    if (jupyter_get(now->server, now->own->where, now->io, context, own_of(handle)->id, &cluster, &why)) {
        jupyter_cluster_done(&cluster);
        return error_set(error, ERROR_BAD_REPLY, handle->record->is.id, "the Jupyter server's own log says why", "the server still has it");
    }
    if (why.code == ERROR_NOT_FOUND)
        return true;
    if (error)
        *error = why;
    return false;
}

/* It answers when all is closed. Not to be waited for: it has taken what it has not refused within a moment, and goes on by itself. */
static bool apply_delete(Handle *handle, Now *now, const Context *context, const Plan *made, const Progress *progress, Outcome *outcome, Error *error)
{
    Error why = {0};
    Context part = made->wait ? *context : context_within(context, TAKEN_MS);
    progress_tell(progress, PHASE_RUNNING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "the Jupyter server closes it: this may take a minute");
    bool right = jupyter_close(now->server, now->own->where, now->io, &part, own_of(handle)->id, &why);
    if (!right && why.code == ERROR_TIMEOUT && !made->wait && context_check(context, NULL, NULL))
        return true;
    if (!right && why.code == ERROR_TIMEOUT)
        list_format(&outcome->left_over, "cluster %s: the Jupyter server is still closing it", made->name);
    if (!right && why.code != ERROR_NOT_FOUND) {
        if (error)
            *error = why;
        return false;
    }
    progress_tell(progress, PHASE_VERIFYING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "asking whether it is gone");
    return is_gone(handle, now, context, error);
}

static bool apply(Handle *handle, Context *context, const Plan *made, const Progress *progress, Outcome *outcome, Error *error)
{
    Now now;
    if (!now_read(handle, context, &now, error))
        return false;
    bool right = check_identity(handle, &now, context, made->kind, error);
    if (right && made->kind == CHANGE_DELETE)
        right = apply_delete(handle, &now, context, made, progress, outcome, error);
    else if (right && made->kind == CHANGE_RETIRE)
        right = retire_apply(&now.access, context, made, progress, outcome, error);
    else if (right)
        right = apply_scale(handle, &now, context, made, progress, outcome, error);
    now_done(&now);
    return right;
}

/* ------------------------------------------------------------------------------------------------------------------ others */

static bool need_comm(const Handle *handle, const Now *now, Error *error)
{
    return now->access.host || error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "%s", now->reach.why);
}

static bool logs(Handle *handle, Context *context, const LogRequest *request, const LogSink *sink, Error *error)
{
    Now now;
    if (!now_read(handle, context, &now, error))
        return false;
    bool right = need_comm(handle, &now, error) && tail_run(&now.access, context, request, sink, error);
    now_done(&now);
    return right;
}

/* Where there is no comm: its dashboard all the same, which the server shows to who is signed in there. */
static bool route(Handle *handle, Context *context, const RouteWish *wish, Route *out, Error *error)
{
    Now now;
    (void)wish;
    if (!now_read(handle, context, &now, error))
        return false;
    bool right = true;
    if (now.access.host)
        right = access_route(&now.access, handle->record, out, error);
    else if (handle->record->is.dashboard)
        *out = (Route){.dashboard = mem_text(handle->record->is.dashboard), .is_public = true, .words = mem_text(now.reach.why), .lost_fd = -1};
    else
        right = need_comm(handle, &now, error);
    now_done(&now);
    return right;
}

static bool snippet(Handle *handle, Context *context, Buffer *out, Error *error)
{
    Now now;
    if (!now_read(handle, context, &now, error))
        return false;
    bool right = need_comm(handle, &now, error) && access_snippet(&now.access, out, error);
    now_done(&now);
    return right;
}

static void close_handle(Handle *handle)
{
    free(own_of(handle)->id);
    handle_done(handle);
    free(handle);
}

static const HandleType handle_type = {
    .show = show, .plan = plan, .apply = apply, .logs = logs, .route = route, .snippet = snippet, .close = close_handle,
};

bool jupyter_reconstruct(Backend *backend, Context *context, const Record *record, Handle **out, Error *error)
{
    JupyterHandle *own = mem_new(sizeof *own);
    char *key, *instance;
    Now now;
    handle_init(&own->handle, &handle_type, backend, record);
    bool right = record_id_split(record->is.id, &key, &instance, &own->id);
    if (right) {
        free(key);
        free(instance);
        right = now_read(&own->handle, context, &now, error);
    } else {
        error_set(error, ERROR_USAGE, record->is.id, NULL, "this is no id");
    }
    if (!right) {
        close_handle(&own->handle);
        return false;
    }
    now_done(&now);
    *out = &own->handle;
    return true;
}

/* ------------------------------------------------------------------------------------------------------------------ create */

static bool wait_new(Now *now, const Context *context, const JupyterCluster *made, int64_t wanted, const Progress *progress, Outcome *outcome, Error *error)
{
    if (!jupyter_scale(now->server, now->own->where, now->io, context, made->id, wanted, error))
        return false;
    for (;;) {
        JupyterCluster cluster;
        if (!jupyter_get(now->server, now->own->where, now->io, context, made->id, &cluster, error))
            return false;
        outcome->workers = cluster.workers;
        jupyter_cluster_done(&cluster);
        progress_tell(progress, PHASE_VERIFYING, outcome->workers, wanted, "waiting for its workers");
        if (outcome->workers == wanted)
            return true;
        if (!io_sleep(now->io, context, LOOK_MS, error))
            return false;
    }
}

static bool make(Now *now, const Context *context, const Spec *spec, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    const BackendConfig *config = now->own->backend.config;
    progress_tell(progress, PHASE_RUNNING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "the Jupyter server makes it: this may take a minute");
    if (!jupyter_make(now->server, now->own->where, now->io, context, &now->cluster, error))
        return false;
    outcome->id = record_id(config->key, now->own->backend.instance, now->cluster.id);
    if (spec->workers == NUMBER_UNKNOWN || !plan->wait)
        return spec->workers == NUMBER_UNKNOWN || jupyter_scale(now->server, now->own->where, now->io, context, now->cluster.id, spec->workers, error);
    return wait_new(now, context, &now->cluster, spec->workers, progress, outcome, error);
}

static bool check_spec(const JupyterBackend *own, const Spec *spec, Error *error)
{
    if (spec->class_name || (spec->kwargs && spec->kwargs->count))
        return error_set(error, ERROR_UNSUPPORTED, own->where, "leave module, class and kwargs out", "what it makes is the server's choice: labextension.factory in its Dask config");
    if (spec->name)
        return error_set(error, ERROR_UNSUPPORTED, own->where, "leave --name out", "the extension names its clusters itself");
    return true;
}

bool jupyter_create(Backend *backend, Context *context, const Spec *spec, bool dry_run, Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    Now now = {.own = (JupyterBackend *)backend};
    JupyterClusters list;
    bool extension = false, right = check_spec(now.own, spec, error) && (now.io = io_new(error)) && (now.server = jupyter_server(now.own, error));
    if (right && dry_run) {
        right = jupyter_list(now.server, now.own->where, now.io, context, &list, &extension, error);
        if (right && !extension)
            right = error_set(error, ERROR_UNSUPPORTED, now.own->where, "install dask-labextension there", "the Jupyter server has no Dask extension");
        jupyter_clusters_done(&list);
        if (right) {
            PlanStep *step = plan_step(plan, STEP_STARTS, "cluster", "a cluster of the Jupyter server's Dask extension, which gives it its name", NULL);
            plan_call(step, "PUT %sdask/clusters", now.server->url);
            plan->then = spec->workers;
        }
    } else if (right) {
        right = make(&now, context, spec, plan, progress, outcome, error);
    }
    now_done(&now);
    return right;
}
