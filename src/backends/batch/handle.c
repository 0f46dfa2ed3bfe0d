/* A handle on a batch system's cluster: what it is, its logs, the way to it. Changes are change.c. */
#include "backends/batch/row.h"
#include "backends/batch/scripts.h"

#include "backends/common/facts.h"
#include "backends/common/tail.h"
#include "backends/common/tunnel.h"
#include "base/mem.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_MS = 3000, ALIVE_MS = 15000, SPEC_LINES = 40 };

static BatchHandle *own_of(Handle *handle)
{
    return (BatchHandle *)handle;
}

static BatchBackend *backend_of(const Handle *handle)
{
    return (BatchBackend *)handle->backend;
}

/* All of its jobs are new to us: it is still the same where its scheduler is. */
static bool is_same_scheduler(const BatchHandle *handle, const Context *context)
{
    Io *io;
    Error error;
    Dask *dask = handle->access && handle->access->scheduler_id ? access_open(handle->access, context, &io, &error) : NULL;
    if (!dask)
        return false;
    access_close(dask, io);
    return true;
}

bool batch_find(BatchHandle *handle, const Context *context, Look *look, Cluster **cluster, Error *error)
{
    const Record *record = handle->handle.record;
    Io *io = io_new(error);
    bool right = io && batch_look(backend_of(&handle->handle), io, context, 0, READ_MS, look, error);
    if (io)
        io_free(io);
    if (!right)
        return false;
    *cluster = clusters_find(&look->clusters, handle->cluster);
    if (!*cluster) {
        look_done(look);
        return error_set(error, ERROR_NOT_FOUND, record->is.id, NULL, "none of its jobs is in the queue any more");
    }
    if (!(*cluster)->uid && record->is.uid && is_same_scheduler(handle, context))
        (*cluster)->uid = mem_text(record->is.uid);
    bool same = !record->is.uid || ((*cluster)->uid && strcmp((*cluster)->uid, record->is.uid) == 0);
    if (!same) {
        look_done(look);
        return error_set(error, ERROR_CONFLICT, record->is.id, "look at it again", "changed since it was seen: other jobs have its place in the queue");
    }
    return true;
}

/* ------------------------------------------------------------------------------------------------------------------- show */

typedef struct Fresh {
    Handle *handle;
    Cluster *cluster;
    Record *record;
    bool doubtful;  /* it could not be reached from another computer: perhaps it is refused there */
    bool itself;    /* that computer itself refused */
} Fresh;

static void take_facts(void *user, const ProbeFacts *facts)
{
    Fresh *fresh = user;
    BatchBackend *own = backend_of(fresh->handle);
    ClusterRoom room;
    RecordFields fields;
    int64_t now = clock_wall_ms();
    if (facts && facts->result == PROBE_NO_ROUTE && !host_is_here(own->queue.host) && !fresh->doubtful) {
        fresh->doubtful = true;
        return;
    }
    cluster_room_init(&room);
    cluster_learn(fresh->cluster, facts, &own->known, now);
    cluster_row(fresh->cluster, &own->queue, facts, facts && (fresh->itself || batch_is_here(own, fresh->cluster)), now, &room, &fields);
    fresh->record = record_new(&fields, own->backend.config->key, own->backend.instance, now, facts ? facts->counts_ms : TIME_UNKNOWN, NULL);
    cluster_room_done(&room);
}

static char *job_identity(const Job *job)
{
    char at[TIME_TEXT];
    return mem_format("job %s of %s, submitted %s", job->id, job->owner, time_text(job->submitted_ms, false, at));
}

/* "running on n1 for 5 min, 25 min left, 2 CPUs, 4 GiB". */
static char *job_status(const Job *job, int64_t now_ms)
{
    Buffer text;
    char duration[TIME_TEXT], size[24];
    bool waits = job->state <= JOB_HELD;
    buffer_init(&text, 1024);
    buffer_text(&text, job_state_word(job->state));
    if (job->node && !waits)
        buffer_format(&text, " on %s", job->node);
    if (job->reason && waits)
        buffer_format(&text, ": %s", job->reason);
    if (job->started_ms != TIME_UNKNOWN && !waits && job->started_ms < now_ms)
        buffer_format(&text, " for %s", duration_words(now_ms - job->started_ms, duration));
    if (job->ends_ms != TIME_UNKNOWN && !waits && job->ends_ms > now_ms)
        buffer_format(&text, ", %s left", duration_words(job->ends_ms - now_ms, duration));
    if (job->cpus > 0)
        buffer_format(&text, ", %lld CPU%s", (long long)job->cpus, job->cpus == 1 ? "" : "s");
    if (job->memory > 0)
        buffer_format(&text, ", %s", text_bytes(job->memory, size));
    if (job->gpus > 0)
        buffer_format(&text, ", %lld GPU%s", (long long)job->gpus, job->gpus == 1 ? "" : "s");
    return buffer_take(&text);
}

static void describe_jobs(const Cluster *cluster, Description *out)
{
    for (size_t i = 0; i < cluster->count; i++) {
        const Member *member = &cluster->members[i];
        char *identity = job_identity(member->job), *status = job_status(member->job, clock_wall_ms());
        char *name = member->script.worker ? mem_format("%s (%s)", member->job->id, member->script.worker) : mem_text(member->job->id);
        description_resource(out, member->job == cluster->scheduler ? "scheduler job" : "job", name, identity, status, -1);
        for (size_t w = 0; w < out->worker_count; w++)
            if (cluster_has_worker(member, out->workers[w].name))
                description_text(&out->workers[w].resource, identity);
        free(identity);
        free(status);
        free(name);
    }
}

static const Member *living_member(const Cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++)
        if (cluster->members[i].script.role == ROLE_WORKER && cluster->members[i].job->state != JOB_LEAVING)
            return &cluster->members[i];
    return NULL;
}

/* Only directives and the worker's line: what else stands in a script may be a secret. */
static void describe_spec(Handle *handle, const Context *context, const Cluster *cluster, Description *out)
{
    BatchBackend *own = backend_of(handle);
    const Member *member = living_member(cluster);
    Io *io = member && own->queue.type->script ? io_new(NULL) : NULL;
    Buffer text;
    buffer_init(&text, 1 << 20);
    if (member && member->job->text)
        buffer_text(&text, member->job->text);
    else if (io)
        own->queue.type->script(&own->queue, io, context, member->job, &text, NULL);
    for (const char *at = text.bytes, *end = at + text.length; at < end && out->worker_spec.count < SPEC_LINES;) {
        size_t n = strcspn(at, "\n");
        if (*at == '#' && at[1] != '!' && n > 2)
            list_take(&out->worker_spec, mem_text_n(at, n));
        at += n + (at[n] == '\n');
    }
    char *line = script_line(text.bytes, text.length);
    if (line)
        list_take(&out->worker_spec, line);
    buffer_done(&text);
    if (io)
        io_free(io);
}

static void describe_findings(Handle *handle, const Cluster *cluster, Description *out)
{
    BatchBackend *own = backend_of(handle);
    const Record *record = out->record ? out->record : handle->record;
    size_t waiting = cluster_jobs(cluster, JOB_PENDING) + cluster_jobs(cluster, JOB_HELD);
    description_found(out, "%zu jobs of %s, %zu of them pending", cluster->count, cluster->owner, waiting);
    if (cluster->scheduler_file)
        description_found(out, "its scheduler's address from the file %s", cluster->scheduler_file);
    else if (cluster->address)
        description_found(out, "its scheduler's address %s from its job scripts", cluster->address);
    else
        description_lost(out, "its scheduler's address: this queue tells its job scripts to nobody else");
    if (cluster->address && cluster->unasked)
        description_lost(out, "the way to its scheduler: %s", cluster->unasked);
    if (record->is.status == STATUS_RUNNING && !cluster->scheduler)
        description_lost(out, "the cluster manager object: it lives in a Python process, which does not learn what is changed from here");
    else if (record->is.gone)
        description_lost(out, "the scheduler, and with it every result and every client");
    if (record->is.gone && waiting)
        description_found(out, "%zu pending jobs: each would run for about half a minute and fail", waiting);
    description_text(&out->route, record->is.status == STATUS_RUNNING ? (host_is_here(own->queue.host) ? "direct" : "through ssh") : record->is.gone ? "none: its scheduler is gone" : "none: its scheduler does not answer");
}

static void ask_there(BatchHandle *own, const Context *context, Fresh *fresh)
{
    HostPort port = {own->access->host, own->access->port};
    HostSays says = HOST_SAYS_NOTHING;
    Io *io = io_new(NULL);
    if (io) {
        host_ask_refused(backend_of(&own->handle)->queue.host, io, context, &port, 1, &says, NULL);
        io_free(io);
    }
    ProbeFacts facts = batch_refusal(says);
    fresh->itself = says == HOST_ITSELF_REFUSES;
    take_facts(fresh, &facts);
}

static bool describe_scheduler(BatchHandle *own, Context *context, Fresh *fresh, Description *out, Error *error)
{
    Error why = {0};
    if (!own->access) {
        take_facts(fresh, NULL);
        description_text(&out->workers_note, fresh->cluster->unasked ? fresh->cluster->unasked : "its scheduler cannot be asked from here");
        return true;
    }
    if (!access_probe(own->access, context, take_facts, fresh, error))
        return false;
    if (fresh->doubtful)
        ask_there(own, context, fresh);
    if (fresh->record && fresh->record->is.status != STATUS_RUNNING && fresh->record->is.status != STATUS_PENDING) {
        description_text(&out->workers_note, "its scheduler does not answer");
        return true;
    }
    if (access_describe(own->access, context, out, &why))
        return true;
    description_text(&out->workers_note, why.what);
    if (why.code != ERROR_CONFLICT && why.code != ERROR_CANCELLED)
        return true;
    if (error)
        *error = why;
    return false;
}

static bool show(Handle *handle, Context *context, Description *out, Error *error)
{
    Look look;
    Fresh fresh = {.handle = handle};
    if (!batch_find(own_of(handle), context, &look, &fresh.cluster, error))
        return false;
    bool right = describe_scheduler(own_of(handle), context, &fresh, out, error);
    out->record = fresh.record;
    if (right) {
        describe_jobs(fresh.cluster, out);
        describe_findings(handle, fresh.cluster, out);
        describe_spec(handle, context, fresh.cluster, out);
    }
    look_done(&look);
    return right;
}

/* ------------------------------------------------------------------------------------------------------------------- logs */

typedef struct JobLog {
    TailFile file;
    const Member *member;
    bool given;        /* the reader follows it by itself */
} JobLog;

typedef struct JobLogs {
    Handle *handle;
    const Context *context;
    JobLog *items;
    size_t count;
    DaskIdentity identity; /* of its scheduler; empty where it does not answer */
    bool has_identity;
    int64_t asked_ms;      /* when the queue was asked whether there is any job left */
    bool alive;
} JobLogs;

static char *component_of(const Member *member)
{
    return member->script.worker && *member->script.worker ? mem_text(member->script.worker) : mem_format("job %s", member->job->id);
}

static bool is_wanted(const LogRequest *request, const Member *member, const char *component)
{
    return tail_wants(request, member->script.role == ROLE_SCHEDULER ? "scheduler" : "worker", component) || list_has(&request->components, member->job->id);
}

/* Where it will be is said of one that is not there yet. */
static void find_logs(const Cluster *cluster, const LogRequest *request, const LogSink *sink, JobLogs *out)
{
    out->items = mem_new(cluster->count * sizeof *out->items);
    for (size_t i = 0; i < cluster->count; i++) {
        const Member *member = &cluster->members[i];
        char *component = component_of(member), *path = scripts_log(member->job);
        bool pending = member->job->state <= JOB_HELD;
        if (is_wanted(request, member, component) && path && !pending) {
            out->items[out->count++] = (JobLog){.file = {component, path}, .member = member};
            continue;
        }
        if (is_wanted(request, member, component) && sink->note) {
            char *text = path ? mem_format("job %s is pending: its log will be %s", member->job->id, path)
                              : mem_format("the queue names no log of job %s", member->job->id);
            sink->note(sink->user, component, text);
            free(text);
        }
        free(component);
        free(path);
    }
}

static void logs_done(JobLogs *logs)
{
    for (size_t i = 0; i < logs->count; i++) {
        free(logs->items[i].file.component);
        free(logs->items[i].file.path);
    }
    free(logs->items);
    if (logs->has_identity)
        dask_identity_done(&logs->identity);
}

static void offer_files(JobLogs *logs, const LogSink *sink)
{
    for (size_t i = 0; i < logs->count && sink->file; i++) {
        JobLog *log = &logs->items[i];
        struct stat st;
        int fd = open(log->file.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
            log->given = sink->file(sink->user, log->file.component, log->file.path, fd);
        if (fd >= 0)
            close(fd);
    }
}

static bool is_covered(void *user, const char *address)
{
    const JobLogs *logs = user;
    for (size_t i = 0; i < logs->identity.count; i++) {
        const DaskWorker *worker = &logs->identity.list[i];
        bool same = (worker->address && strcmp(worker->address, address) == 0) || (worker->nanny && strcmp(worker->nanny, address) == 0);
        for (size_t k = 0; k < logs->count && same; k++)
            if (logs->items[k].given && cluster_has_worker(logs->items[k].member, worker->name))
                return true;
    }
    return false;
}

/* Until none of its jobs is in the queue, which is not asked more often than it can bear. */
static bool is_alive(void *user)
{
    JobLogs *logs = user;
    Look look;
    Cluster *cluster;
    if (clock_mono_ms() - logs->asked_ms < ALIVE_MS)
        return logs->alive;
    Error error = {0};
    logs->alive = batch_find(own_of(logs->handle), logs->context, &look, &cluster, &error) || error.code != ERROR_NOT_FOUND;
    if (error.code == ERROR_OK)
        look_done(&look);
    logs->asked_ms = clock_mono_ms();
    return logs->alive;
}

static bool logs_from_files(JobLogs *logs, Context *context, const LogRequest *request, const LogSink *sink, Error *error)
{
    TailFile *files = mem_new(logs->count * sizeof *files);
    size_t count = 0, given = 0;
    for (size_t i = 0; i < logs->count; i++) {
        given += logs->items[i].given;
        if (!logs->items[i].given)
            files[count++] = logs->items[i].file;
    }
    bool right = count + given > 0 || error_set(error, ERROR_UNSUPPORTED, logs->handle->record->is.id, NULL, "none of its jobs has a log yet");
    Host *host = backend_of(logs->handle)->queue.host;
    if (right && !host_is_here(host))
        right = tail_host_files(host, files, count, context, request, sink, is_alive, logs, error);
    else
        right = right && tail_files(files, count, context, request, sink, is_alive, logs, error);
    free(files);
    return right;
}

static void read_identity(BatchHandle *own, const Context *context, JobLogs *logs)
{
    Io *io;
    Error error;
    Dask *dask = own->access ? access_open(own->access, context, &io, &error) : NULL;
    logs->has_identity = dask && dask_identity(dask, context, true, &logs->identity, &error);
    if (dask)
        access_close(dask, io);
}

static bool logs(Handle *handle, Context *context, const LogRequest *request, const LogSink *sink, Error *error)
{
    BatchHandle *own = own_of(handle);
    JobLogs logs = {.handle = handle, .context = context, .alive = true, .asked_ms = clock_mono_ms()};
    Look look;
    Cluster *cluster;
    if (!batch_find(own, context, &look, &cluster, error))
        return false;
    find_logs(cluster, request, sink, &logs);
    if (host_is_here(backend_of(handle)->queue.host))
        offer_files(&logs, sink);
    read_identity(own, context, &logs);
    bool right = logs.has_identity ? tail_run_others(own->access, context, request, sink, is_covered, &logs, error)
                                   : logs_from_files(&logs, context, request, sink, error);
    logs_done(&logs);
    look_done(&look);
    return right;
}

/* ------------------------------------------------------------------------------------------------------------------ others */

static bool need_access(const BatchHandle *own, Error *error)
{
    const char *why = own->handle.record->is.cannot[CAN_CONNECT];
    return own->access || error_set(error, ERROR_UNSUPPORTED, own->handle.record->is.id, NULL, "%s", why ? why : "its scheduler cannot be asked from here");
}

static bool route(Handle *handle, Context *context, const RouteWish *wish, Route *out, Error *error)
{
    Host *host = backend_of(handle)->queue.host;
    const Access *access = own_of(handle)->access;
    if (!need_access(own_of(handle), error))
        return false;
    return host_is_here(host) ? access_route(access, handle->record, out, error)
                              : tunnel_route(host, access, handle->record, context, wish, out, error);
}

static bool snippet(Handle *handle, Context *context, Buffer *out, Error *error)
{
    (void)context;
    Host *host = backend_of(handle)->queue.host;
    const Access *access = own_of(handle)->access;
    if (!need_access(own_of(handle), error))
        return false;
    return host_is_here(host) ? access_snippet(access, out, error)
                              : tunnel_snippet(host, access, handle->record, handle->backend->config, out, error);
}

static void close_handle(Handle *handle)
{
    BatchHandle *own = own_of(handle);
    if (own->access)
        access_done(own->access);
    free(own->access);
    free(own->cluster);
    handle_done(handle);
    free(handle);
}

static const HandleType handle_type = {
    .show = show, .plan = batch_plan, .apply = batch_apply, .logs = logs, .route = route, .snippet = snippet, .close = close_handle,
};

static Access *make_access(const BatchBackend *own, const Cluster *cluster, const Record *record)
{
    Tls *tls = batch_tls(own, cluster);
    if (cluster->unasked) {
        tls_drop(tls);
        return NULL;
    }
    Access *access = mem_new(sizeof *access);
    access_init(access, record->is.id);
    access->host = mem_text(cluster->place.host);
    access->port = cluster->place.port;
    access->way = host_way(own->queue.host);
    access->tls = tls;
    access->scheduler_id = mem_text(record->is.scheduler_id);
    access->address = mem_text(cluster->address);
    return access;
}

bool batch_reconstruct(Backend *backend, Context *context, const Record *record, Handle **out, Error *error)
{
    BatchBackend *own = (BatchBackend *)backend;
    BatchHandle *handle = mem_new(sizeof *handle);
    char *key, *instance;
    Look look;
    Cluster *cluster;
    handle_init(&handle->handle, &handle_type, backend, record);
    if (record_id_split(record->is.id, &key, &instance, &handle->cluster)) {
        free(key);
        free(instance);
    }
    bool right = handle->cluster && batch_find(handle, context, &look, &cluster, error);
    if (!right) {
        close_handle(&handle->handle);
        return false;
    }
    handle->access = make_access(own, cluster, record);
    look_done(&look);
    *out = &handle->handle;
    return true;
}
