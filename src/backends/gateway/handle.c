/* A handle on a gateway's cluster. */
#include "backends/gateway/gateway.h"

#include "backends/common/facts.h"
#include "backends/common/retire.h"
#include "backends/common/tail.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOK_MS = 400, GONE_MS = 700, ASK_MS = 60000 };

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
    access->same_clock = true;
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
        description_text(&out->workers_note, "it does not run yet");
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
        description_found(out, "the gateway counts its own workers: what it is asked, it keeps");
        description_lost(out, "which options it was made with are not shown: they may hold secrets");
        description_text(&out->route, own->access ? "through the gateway's proxy, TLS" : "none: it does not run");
        free(identity);
    }
    gateway_cluster_done(&cluster);
    return right;
}

/* ------------------------------------------------------------------------------------------------------------------- plan */

static bool is_answering(const Access *access, const Context *context, int64_t *workers)
{
    Io *io;
    Error error;
    DaskIdentity identity;
    Dask *dask = access ? access_open(access, context, &io, &error) : NULL;
    bool right = dask && dask_identity(dask, context, false, &identity, &error);
    if (right) {
        *workers = identity.workers;
        dask_identity_done(&identity);
    }
    if (dask)
        access_close(dask, io);
    return right;
}

/* The gateway stops a cluster whose scheduler does not take what it forwards (seen: within 0.3 to 42 s). */
static bool plan_scale(Handle *handle, const Context *context, const Change *change, Plan *plan, Error *error)
{
    GatewayHandle *own = own_of(handle);
    char *identity;
    Context part = context_within(context, backend_of(handle)->backend.config->timeout_ms);
    if (change->group)
        return error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "it has no worker groups");
    if (!is_answering(own->access, &part, &plan->now))
        return error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, "wait until it answers, or delete it",
                         "its scheduler does not answer: asked to scale it, the gateway would stop it");
    identity = identity_of(own);
    PlanStep *step = plan_step(plan, STEP_CHANGES, "cluster", own->name, identity);
    if (change->kind == CHANGE_SCALE) {
        plan->then = change->workers;
        plan_call(step, "POST …/clusters/%s/scale {\"count\": %lld}", own->name, (long long)change->workers);
        plan_note(plan, "the gateway picks which workers leave; a scale also ends adapting");
    } else if (change->adapt_off) {
        plan_call(step, "POST …/clusters/%s/adapt {\"active\": false}", own->name);
    } else {
        plan_call(step, "POST …/clusters/%s/adapt {\"minimum\": %lld, \"maximum\": %lld, \"active\": true}", own->name, (long long)change->minimum,
                  (long long)change->maximum);
    }
    free(identity);
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

typedef struct GatewayWish {
    bool adapt, off;
    int64_t minimum, maximum;
} GatewayWish;

static void free_own(Plan *plan, PlanStep *step)
{
    free(step ? step->own : plan->own);
}

static bool plan(Handle *handle, Context *context, const Change *change, Plan **out, Error *error)
{
    GatewayHandle *own = own_of(handle);
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
    (*out)->free_own = free_own;
    if (change->kind == CHANGE_DELETE)
        right = plan_delete(handle, *out);
    else if (change->kind == CHANGE_RETIRE)
        right = own->access ? retire_plan(own->access, context, change, *out, error)
                            : error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "it does not run yet");
    else
        right = plan_scale(handle, context, change, *out, error);
    if (right && change->kind != CHANGE_RETIRE) {
        GatewayWish *wish = mem_new(sizeof *wish);
        *wish = (GatewayWish){change->kind == CHANGE_ADAPT, change->adapt_off, change->minimum, change->maximum};
        (*out)->own = wish;
        (*out)->free_own = free_own;
    }
    if (!right) {
        plan_free(*out);
        *out = NULL;
    }
    return right;
}

/* ------------------------------------------------------------------------------------------------------------------ apply */

bool gateway_wait_workers(const Access *access, const Context *context, int64_t wanted, const Progress *progress, Outcome *outcome, Error *error)
{
    Io *io = NULL;
    Dask *dask = access_open(access, context, &io, error);
    bool right = dask != NULL;
    while (right) {
        DaskIdentity identity;
        right = dask_identity(dask, context, false, &identity, error);
        if (!right)
            break;
        outcome->workers = identity.workers;
        dask_identity_done(&identity);
        progress_tell(progress, PHASE_VERIFYING, outcome->workers, wanted, "waiting until the scheduler has the wanted number of workers");
        if (outcome->workers == wanted)
            break;
        right = io_sleep(io, context, LOOK_MS, error);
    }
    if (!right && error && error->code == ERROR_TIMEOUT && outcome->workers != NUMBER_UNKNOWN)
        error_set(error, ERROR_TIMEOUT, access->where, "the gateway's own log says why", "%lld workers are there, %lld are wanted", (long long)outcome->workers,
                  (long long)wanted);
    access_close(dask, io);
    return right;
}

/* "… would exceed resource limit of 4 workers. Scaling to 4 instead." */
static int64_t clamped_to(const char *sentence, int64_t wanted)
{
    const char *at = sentence ? strstr(sentence, "caling to ") : NULL;
    return at ? strtoll(at + strlen("caling to "), NULL, 10) : wanted;
}

static bool apply_scale(Handle *handle, Io *io, Context *context, const Plan *made, const Progress *progress, Outcome *outcome, Error *error)
{
    GatewayHandle *own = own_of(handle);
    const GatewayWish *wish = made->own;
    char *path = mem_format("clusters/%s/%s", own->name, wish->adapt ? "adapt" : "scale"), *body;
    if (!wish->adapt)
        body = mem_format("{\"count\": %lld}", (long long)made->then);
    else if (wish->off)
        body = mem_text("{\"active\": false}");
    else
        body = mem_format("{\"minimum\": %lld, \"maximum\": %lld, \"active\": true}", (long long)wish->minimum, (long long)wish->maximum);
    Context part = context_within(context, ASK_MS);
    progress_tell(progress, PHASE_RUNNING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "asking the gateway");
    bool right = gateway_ask(backend_of(handle)->gateway, io, &part, "POST", path, body, NULL, &outcome->clamped, error);
    free(path);
    free(body);
    if (!right || wish->adapt || !made->wait)
        return right;
    return gateway_wait_workers(own->access, context, clamped_to(outcome->clamped, made->then), progress, outcome, error);
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
            right = retire_apply(own_of(handle)->access, context, made, progress, outcome, error);
        else
            right = apply_scale(handle, io, context, made, progress, outcome, error);
    }
    if (io)
        io_free(io);
    return right;
}

/* ------------------------------------------------------------------------------------------------------------------ others */

static bool need_access(Handle *handle, Error *error)
{
    return own_of(handle)->access || error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "it does not run: it has no scheduler to talk to");
}

static bool logs(Handle *handle, Context *context, const LogRequest *request, const LogSink *sink, Error *error)
{
    return need_access(handle, error) && tail_run(own_of(handle)->access, context, request, sink, error);
}

/* Its certificate and key, for as long as the route is open, where nobody else may look. */
typedef struct Material {
    char *directory, *ca, *key;
} Material;

static void close_material(void *own)
{
    Material *material = own;
    unlink(material->ca);
    unlink(material->key);
    rmdir(material->directory);
    free(material->ca);
    free(material->key);
    free(material->directory);
    free(material);
}

static bool write_secret(const char *path, const Secret *secret)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool right = fd >= 0 && write(fd, secret_reveal(secret), secret_length(secret)) == (ssize_t)secret_length(secret);
    if (fd >= 0)
        close(fd);
    return right;
}

/* What a dasktop of this host left that was killed. Directories are called HOST-PID-…: homes may be shared. */
static void sweep_material(const char *parent, const char *host)
{
    DIR *all = opendir(parent);
    size_t n = strlen(host);
    for (struct dirent *entry; all && (entry = readdir(all));) {
        bool ours = strncmp(entry->d_name, host, n) == 0 && entry->d_name[n] == '-';
        long pid = ours ? strtol(entry->d_name + n + 1, NULL, 10) : 0;
        if (pid <= 0 || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
            continue;
        char *directory = file_join(parent, entry->d_name);
        Material *left = mem_new(sizeof *left);
        *left = (Material){directory, file_join(directory, "cert.pem"), file_join(directory, "key.pem")};
        close_material(left);
    }
    if (all)
        closedir(all);
}

static Material *write_material(const Tls *tls, const char *where, Error *error)
{
    char host[256], *home = file_runtime_home(), *parent = home ? file_join(home, "gateway") : NULL;
    Material *material = mem_new(sizeof *material);
    bool right = parent && file_make_directory(parent, NULL);
    file_host_name(host);
    if (right)
        sweep_material(parent, host);
    material->directory = mem_format("%s/%s-%ld-XXXXXX", parent ? parent : "/nowhere", host, (long)getpid());
    right = right && mkdtemp(material->directory);
    material->ca = mem_format("%s/cert.pem", material->directory);
    material->key = mem_format("%s/key.pem", material->directory);
    right = right && write_secret(material->ca, tls->cert) && write_secret(material->key, tls->key);
    free(home);
    free(parent);
    if (right)
        return material;
    error_errno(error, errno, where, "its certificate cannot be written for a client");
    close_material(material);
    return NULL;
}

/* The address is the one that dask-gateway gives its own clients: a tunnel to a plain port would open the cluster to everybody on this host. */
static bool route(Handle *handle, Context *context, int preferred_port, Route *out, Error *error)
{
    GatewayHandle *own = own_of(handle);
    (void)context;
    (void)preferred_port;
    if (!need_access(handle, error))
        return false;
    Material *material = write_material(own->access->tls, handle->record->is.id, error);
    if (!material)
        return false;
    *out = (Route){.address = mem_text(own->access->address), .dashboard = mem_text(handle->record->is.dashboard), .is_public = true, .ca_file = mem_text(material->ca),
                   .cert = mem_text(material->ca), .key = mem_text(material->key), .preload = mem_text("dask_gateway"),
                   .words = mem_text("through the gateway's proxy, TLS"), .lost_fd = -1, .own = material, .close = close_material};
    return true;
}

static bool snippet(Handle *handle, Context *context, Buffer *out, Error *error)
{
    const Gateway *gateway = backend_of(handle)->gateway;
    (void)context;
    (void)error;
    buffer_text(out, "from dask_gateway import Gateway\n\n");
    buffer_format(out, "gateway = Gateway(\"%s\", proxy_address=\"gateway://%s:%d\")  # signs in as your Dask config says\n", gateway->address,
                  gateway->proxy_host, gateway->proxy_port);
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
