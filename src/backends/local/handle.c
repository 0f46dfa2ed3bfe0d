/* A handle on a local cluster: what it is, what can be done, and doing it. */
#include "backends/common/facts.h"
#include "backends/common/retire.h"
#include "backends/common/tail.h"
#include "backends/common/tunnel.h"
#include "backends/local/end.h"
#include "backends/local/far.h"
#include "backends/local/files.h"
#include "backends/local/local.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 4000, TERMINATE_MS = 10000 };

typedef struct LocalHandle {
    Handle handle;
    Access access;     /* host NULL: its scheduler cannot be talked to (lost, inproc) */
    LogFiles files;    /* as they were when it was reconstructed */
    char boot[64];     /* of the computer that they are on */
} LocalHandle;

static LocalHandle *own_of(Handle *handle)
{
    return (LocalHandle *)handle;
}

static const LocalBackend *backend_of(const Handle *handle)
{
    return (const LocalBackend *)handle->backend;
}

static const char *boot_of(const Handle *handle)
{
    return ((const LocalHandle *)(const void *)handle)->boot;
}

static bool take_census(const Handle *handle, const Context *context, Census *census, const Place **place, Error *error)
{
    if (!local_look(backend_of(handle), NULL, context, census, error))
        return false;
    *place = local_find(census, handle->record);
    if (*place)
        return true;
    census_done(census);
    return error_set(error, ERROR_NOT_FOUND, handle->record->is.id, NULL, "it is gone");
}

static bool read_identity(const Access *access, const Context *context, DaskIdentity *identity, Error *error)
{
    Io *io;
    Dask *dask = access_open(access, context, &io, error);
    if (!dask)
        return false;
    bool right = dask_identity(dask, context, true, identity, error);
    access_close(dask, io);
    return right;
}

/* Its workers' addresses; NULL where they cannot be asked. Free with list_done and free. */
static List *worker_addresses(const Handle *handle, const Context *context)
{
    const Access *access = &((const LocalHandle *)(const void *)handle)->access;
    DaskIdentity identity;
    Error why;
    if (!access->host || !read_identity(access, context, &identity, &why))
        return NULL;
    List *addresses = mem_new(sizeof *addresses);
    for (size_t i = 0; i < identity.count; i++)
        list_add(addresses, identity.list[i].address);
    dask_identity_done(&identity);
    return addresses;
}

static void addresses_free(List *addresses)
{
    if (addresses)
        list_done(addresses);
    free(addresses);
}

/* ------------------------------------------------------------------------------------------------------------------ show */

typedef struct Fresh {
    const Handle *handle;
    Census *census;
    const Place *place;
    Record *record;
} Fresh;

static void take_facts(void *user, const ProbeFacts *facts)
{
    Fresh *fresh = user;
    LocalRow row;
    local_row(backend_of(fresh->handle), fresh->census, fresh->place, facts, &row);
    fresh->record = local_record(backend_of(fresh->handle), &row.fields, facts ? facts->counts_ms : TIME_UNKNOWN);
    local_row_done(&row);
}

/* What a user would call that process: its script or module. */
static const char *program_of(Process *process)
{
    bool is_module;
    const char *script = command_script(process_argv(process), &is_module);
    return script ? script : process->comm;
}

static void describe_processes(Census *census, const Place *place, Description *out)
{
    Member *members;
    List addresses = {0};
    for (size_t i = 0; i < out->worker_count; i++)
        list_add(&addresses, out->workers[i].address);
    size_t count = census_members(census, place, out->workers_note ? NULL : &addresses, &members);
    int top = -1;
    list_done(&addresses);
    if (census_is_inside(place)) {
        char *identity = process_identity(place->process);
        description_resource(out, "process", program_of(place->process), identity, "holds the scheduler", -1);
        top = (int)out->resource_count - 1;
        free(identity);
    }
    for (size_t i = 0; i < count; i++) {
        char *identity = process_identity(members[i].process);
        const char *status = members[i].process->state == 'T' ? "stopped" : "running";
        int parent = top;
        for (size_t k = 0; k < i; k++)
            if (members[k].process->pid == members[i].process->ppid)
                parent = (int)k + top + 1;
        description_resource(out, members[i].kind, members[i].name ? members[i].name : members[i].process->comm, identity, status, parent);
        free(identity);
    }
    free(members);
}

static void describe_findings(const Place *place, const Record *record, bool far, Description *out)
{
    if (record->is.origin.path)
        description_found(out, "made by %s %s", record->is.origin.kind, record->is.origin.path);
    if (place->is_lost) {
        description_found(out, "workers that wait for %s, where nobody listens any more", place->address);
        description_lost(out, "the scheduler, and with it every result and every client");
        description_text(&out->route, "none: its scheduler is gone");
    } else if (place->inproc) {
        description_lost(out, "any way to it from outside: scheduler and workers live inside one Python process");
        description_text(&out->route, "none: it has no port");
    } else {
        description_found(out, "its scheduler listens at %s", record->is.address);
        if (place->process && place->command.role != COMMAND_SCHEDULER)
            description_lost(out, "the cluster manager object: it lives in process %ld and cannot be reached from outside", (long)place->process->pid);
        description_text(&out->route, far ? "through ssh" : place->command.tls ? "direct, TLS" : "direct");
    }
}

/* What one more worker would be: the same interpreter, as many threads, as much memory. */
static void worker_kind(Census *census, const Place *place, const DaskIdentity *identity, WorkerKind *kind)
{
    Member *members;
    size_t count = census_members(census, place, NULL, &members);
    *kind = (WorkerKind){.threads = NUMBER_UNKNOWN, .memory_limit = NUMBER_UNKNOWN};
    if (place->process)
        kind->python = local_python(place->process);
    for (size_t i = 0; i < count && !kind->python; i++)
        kind->python = local_python(members[i].process);
    if (identity && identity->count) {
        kind->threads = identity->list[0].threads;
        kind->memory_limit = identity->list[0].memory_limit;
    }
    if (place->process)
        kind->directory = process_directory(place->process);
    const char *pairs[] = {"--tls-ca-file", place->command.ca_file, "--tls-cert", place->command.cert, "--tls-key", place->command.key};
    for (size_t i = 0; i < 6 && place->command.tls && place->command.ca_file; i++)
        kind->protocol_tls[i] = pairs[i];
    free(members);
}

static void worker_kind_done(WorkerKind *kind)
{
    free(kind->python);
    free(kind->directory);
}

static char *worker_line(const WorkerKind *kind, const char *address)
{
    Buffer line;
    buffer_init(&line, BUFFER_ANY);
    buffer_format(&line, "%s -m distributed.cli.dask_worker %s", kind->python ? kind->python : "python3", address);
    if (kind->threads != NUMBER_UNKNOWN)
        buffer_format(&line, " --nthreads %lld", (long long)kind->threads);
    if (kind->memory_limit != NUMBER_UNKNOWN)
        buffer_format(&line, " --memory-limit %lld", (long long)kind->memory_limit);
    return buffer_take(&line);
}

static void describe_worker_spec(Census *census, const Place *place, const Access *access, Description *out)
{
    WorkerKind kind;
    if (place->is_lost || place->inproc)
        return;
    worker_kind(census, place, NULL, &kind);
    if (out->worker_count) {
        kind.threads = out->workers[0].threads;
        kind.memory_limit = out->workers[0].memory_limit;
    }
    list_take(&out->worker_spec, worker_line(&kind, access->address));
    worker_kind_done(&kind);
}

static bool show(Handle *handle, Context *context, Description *out, Error *error)
{
    LocalHandle *own = own_of(handle);
    Census census;
    Fresh fresh = {.handle = handle, .census = &census};
    if (!take_census(handle, context, &census, &fresh.place, error))
        return false;
    bool right = true;
    if (fresh.place->is_lost)
        take_facts(&fresh, NULL);
    else
        right = access_probe(&own->access, context, take_facts, &fresh, error);
    out->record = fresh.record;
    if (right && own->access.host && !fresh.place->is_lost) {
        Error why = {0};
        if (!access_describe(&own->access, context, out, &why)) {
            right = why.code != ERROR_CONFLICT && why.code != ERROR_CANCELLED;
            if (!right && error)
                *error = why;
            description_text(&out->workers_note, why.what);
        }
    }
    if (right) {
        describe_processes(&census, fresh.place, out);
        describe_findings(fresh.place, out->record ? out->record : handle->record, backend_of(handle)->host != NULL, out);
        describe_worker_spec(&census, fresh.place, &own->access, out);
    }
    census_done(&census);
    return right;
}

/* ------------------------------------------------------------------------------------------------------------------ plan */

static bool refuse(const Handle *handle, Capability capability, Error *error)
{
    const char *why = handle->record->is.cannot[capability];
    return error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "%s", why ? why : "that is not possible for this cluster");
}

static PlanStep *add_process(Plan *plan, StepFate fate, const char *kind, const char *name, Process *process)
{
    char *identity = process_identity(process);
    PlanStep *step = plan_step(plan, fate, kind, name, identity);
    free(identity);
    if (fate == STEP_ENDS) {
        EndProcess *end = mem_new(sizeof *end);
        *end = (EndProcess){.pid = process->pid, .pgrp = process->pgrp, .start = process->start};
        step->own = end;
    }
    return step;
}

static const char *member_name(const Member *member, char buffer[96])
{
    if (member->name)
        snprintf(buffer, 96, "%s", member->name);
    else
        snprintf(buffer, 96, "%ld", (long)member->process->pid);
    return buffer;
}

static void plan_processes(const Place *place, Census *census, const Handle *handle, const Context *context, Plan *plan)
{
    Member *members;
    char name[96];
    bool inside = census_is_inside(place);
    List *addresses = inside ? worker_addresses(handle, context) : NULL;
    size_t count = census_members(census, place, addresses, &members);
    addresses_free(addresses);
    if (inside) {
        PlanStep *step = plan_step(plan, STEP_ENDS, "scheduler", handle->record->is.address, handle->record->is.scheduler_id);
        plan_call(step, "terminate over its comm");
        add_process(plan, STEP_STAYS, "process", program_of(place->process), place->process);
    }
    for (size_t i = 0; i < count; i++) {
        PlanStep *step = add_process(plan, STEP_ENDS, members[i].kind, member_name(&members[i], name), members[i].process);
        plan_call(step, "%sSIGTERM after 4 s, SIGKILL after 9 s", place->is_lost ? "" : "ends when the scheduler is told to; else ");
    }
    free(members);
}

static bool plan_delete(Handle *handle, Context *context, Census *census, const Place *place, Plan *plan, Error *error)
{
    if (!(handle->record->is.can & 1u << CAN_DELETE))
        return refuse(handle, CAN_DELETE, error);
    plan_processes(place, census, handle, context, plan);
    plan->now = handle->record->is.workers_ready;
    plan->then = plan->now == NUMBER_UNKNOWN ? NUMBER_UNKNOWN : 0;
    if (place->process && place->command.role != COMMAND_SCHEDULER)
        plan_note(plan, "the Python process that made it stays; its variables will point to a closed cluster");
    return plan_count(plan, STEP_ENDS) > 0 || error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "none of its processes may be ended from here");
}

static bool plan_more(Handle *handle, Context *context, Census *census, const Place *place, Plan *plan, Error *error)
{
    const Access *access = &own_of(handle)->access;
    const Host *host = backend_of(handle)->host;
    DaskIdentity identity;
    WorkerKind kind;
    char where[300];
    snprintf(where, sizeof where, "one more worker process on %s", host ? host_name(host) : "this host");
    if (!read_identity(access, context, &identity, error))
        return false;
    worker_kind(census, place, &identity, &kind);
    dask_identity_done(&identity);
    bool right = kind.python || error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, "start `dask worker` yourself",
                                          "the interpreter of its workers cannot be found");
    for (int64_t i = plan->now; right && i < plan->then; i++) {
        PlanStep *step = plan_step(plan, STEP_STARTS, "worker", where, NULL);
        char *line = worker_line(&kind, access->address);
        plan_call(step, "%s", line);
        free(line);
    }
    worker_kind_done(&kind);
    if (right && place->command.role != COMMAND_SCHEDULER && !local_made(census, place))
        plan_note(plan, "they are started beside the process that made the cluster, which does not know of them; they end with the scheduler");
    return right;
}

static bool plan_workers(Handle *handle, Context *context, Census *census, const Place *place, const Change *change, Plan *plan, Error *error)
{
    if (!(handle->record->is.can & 1u << CAN_SCALE))
        return refuse(handle, CAN_SCALE, error);
    if (!retire_plan(&own_of(handle)->access, context, change, plan, error))
        return false;
    return plan->then <= plan->now || plan_more(handle, context, census, place, plan, error);
}

static bool plan(Handle *handle, Context *context, const Change *change, Plan **out, Error *error)
{
    Census census;
    const Place *place;
    if (change->kind == CHANGE_ADAPT)
        return refuse(handle, CAN_ADAPT, error);
    if (change->group)
        return error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "it has no worker groups");
    if (!take_census(handle, context, &census, &place, error))
        return false;
    *out = plan_new(change->kind, handle->record);
    (*out)->wait = change->wait;
    (*out)->free_own = retire_free_own; /* a step's own is one allocation */
    bool right = change->kind == CHANGE_DELETE ? plan_delete(handle, context, &census, place, *out, error)
                                               : plan_workers(handle, context, &census, place, change, *out, error);
    census_done(&census);
    if (!right) {
        plan_free(*out);
        *out = NULL;
    }
    return right;
}

/* ----------------------------------------------------------------------------------------------------------------- apply */

static bool is_in_plan(const Plan *plan, const Process *process)
{
    for (size_t i = 0; i < plan->count; i++) {
        const EndProcess *end = plan->steps[i].own;
        if (plan->steps[i].fate == STEP_ENDS && end && end->pid == process->pid && end->start == process->start)
            return true;
    }
    return false;
}

/* What came since the plan was made is named, and not touched by us. */
static bool name_newcomers(Handle *handle, const Context *context, const Plan *plan, Outcome *outcome)
{
    Census census;
    const Place *place;
    Member *members;
    if (!take_census(handle, context, &census, &place, NULL))
        return false;
    List *addresses = census_is_inside(place) ? worker_addresses(handle, context) : NULL;
    size_t count = census_members(&census, place, addresses, &members);
    addresses_free(addresses);
    for (size_t i = 0; i < count; i++)
        if (!is_in_plan(plan, members[i].process))
            list_format(&outcome->newcomers, "%s (pid %ld)", members[i].kind, (long)members[i].process->pid);
    free(members);
    census_done(&census);
    return true;
}

static EndProcess *planned_processes(const Plan *plan, size_t *count)
{
    EndProcess *list = mem_new(plan->count * sizeof *list);
    *count = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const EndProcess *end = plan->steps[i].own;
        if (plan->steps[i].fate != STEP_ENDS || !end)
            continue;
        list[*count] = *end;
        list[(*count)++].name = plan->steps[i].kind;
    }
    return list;
}

static bool any_planned(const Handle *handle, const Context *context, const EndProcess *list, size_t count)
{
    if (backend_of(handle)->host) {
        Io *io = io_new(NULL);
        bool any = io && far_alive(backend_of(handle)->host, boot_of(handle), io, context, list, count, NULL) > 0;
        if (io)
            io_free(io);
        return any;
    }
    for (size_t i = 0; i < count; i++)
        if (process_is(list[i].pid, list[i].start))
            return true;
    return false;
}

static void forget_made(Handle *handle)
{
    MadeList list;
    made_read(&list);
    for (size_t i = 0; i < list.count; i++)
        if (strcmp(list.items[i].name, handle->record->is.name) == 0 && !made_is_alive(&list.items[i]))
            made_remove(list.items[i].name);
    made_done(&list);
}

static bool end_all(const Handle *handle, EndProcess *list, size_t count, int64_t patience_ms, const Context *context, const Progress *progress,
                    Outcome *outcome, Error *error)
{
    Host *host = backend_of(handle)->host;
    return host ? far_end_processes(host, boot_of(handle), list, count, patience_ms, context, progress, outcome, error)
                : end_processes(list, count, patience_ms, context, progress, outcome, error);
}

static bool apply_delete(Handle *handle, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    const Access *access = &own_of(handle)->access;
    Error why = {0};
    size_t count;
    bool is_there = name_newcomers(handle, context, plan, outcome);
    EndProcess *list = planned_processes(plan, &count);
    if (!is_there && !access->host && any_planned(handle, context, list, count)) { /* they wait for it no more: they may have work again */
        free(list);
        return error_set(error, ERROR_CONFLICT, handle->record->is.id, "look at it again", "its scheduler is back, or its workers are for another one by now");
    }
    bool asked = false;
    if (access->host) {
        Context part = context_within(context, TERMINATE_MS);
        asked = retire_terminate(access, &part, progress, plan->wait, &why);
    }
    bool silent = why.code == ERROR_TIMEOUT || why.code == ERROR_UNREACHABLE || why.code == ERROR_DENIED || why.code == ERROR_BAD_REPLY;
    bool right = asked || !access->host || (count > 0 && silent && context_check(context, NULL, NULL));
    if (!right && error)
        *error = why;
    if (right && plan->wait)
        right = end_all(handle, list, count, asked ? PATIENCE_MS : 0, context, progress, outcome, error);
    else if (right && !asked)
        right = end_all(handle, list, count, 0, context, progress, outcome, error); /* nobody else will end them */
    free(list);
    if (right && !backend_of(handle)->host)
        forget_made(handle);
    return right;
}

static char *log_path(const char *name, int64_t number)
{
    Buffer safe;
    buffer_init(&safe, 512);
    for (const char *c = name; *c; c++)
        buffer_char(&safe, strchr("/\\ ", *c) ? '-' : *c);
    char *directory = made_path(safe.bytes, "");
    char *path = directory && file_make_directory(directory, NULL) ? mem_format("%s/worker-%lld-%lld.log", directory, (long long)clock_wall_ms(), (long long)number)
                                                                   : mem_text("/dev/null");
    free(directory);
    buffer_done(&safe);
    return path;
}

static bool start_worker(const Handle *handle, const Context *context, const WorkerKind *kind, const char *name, int64_t number, Made *made, Error *error)
{
    const char *address = ((const LocalHandle *)(const void *)handle)->access.address;
    Host *host = backend_of(handle)->host;
    bool right;
    if (host) {
        List command = {0};
        local_worker_command(kind, address, name, &command);
        right = far_detach(host, context, &command, kind->directory, name, error);
        list_done(&command);
    } else {
        char *log = log_path(made ? made->name : handle->record->is.name, number);
        right = local_start_worker(kind, address, name, log, made, error);
        free(log);
    }
    return right;
}

static bool apply_more(Handle *handle, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    const Access *access = &own_of(handle)->access;
    Census census;
    const Place *place;
    WorkerKind kind;
    DaskIdentity identity;
    if (!read_identity(access, context, &identity, error))
        return false;
    int64_t now = (int64_t)identity.count;
    bool right = take_census(handle, context, &census, &place, error);
    if (right) {
        const Made *made = local_made(&census, place);
        worker_kind(&census, place, &identity, &kind);
        progress_tell(progress, PHASE_RUNNING, 0, plan->then - now, "starting workers");
        for (int64_t i = now; right && i < plan->then; i++) {
            char *name = mem_format("dasktop-%llx-%lld", (unsigned long long)clock_wall_ms() & 0xffffff, (long long)i);
            right = start_worker(handle, context, &kind, name, i, (Made *)made, error);
            free(name);
        }
        if (right && made)
            made_write(made, NULL);
        worker_kind_done(&kind);
        census_done(&census);
    }
    dask_identity_done(&identity);
    return right && (!plan->wait || retire_wait_for(access, context, plan->then, false, progress, outcome, error));
}

static bool apply(Handle *handle, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    if (plan->kind == CHANGE_DELETE)
        return apply_delete(handle, context, plan, progress, outcome, error);
    if (plan_count(plan, STEP_STARTS))
        return apply_more(handle, context, plan, progress, outcome, error);
    return retire_apply(&own_of(handle)->access, context, plan, progress, outcome, error);
}

/* ------------------------------------------------------------------------------------------------------------------ logs */

static bool any_given(const LogFiles *files)
{
    for (size_t i = 0; i < files->count; i++)
        if (files->items[i].is_given)
            return true;
    return false;
}

typedef struct FarFiles {
    Host *host;
    const char *boot;
    const Context *context;
    const EndProcess *processes;
    size_t count;
} FarFiles;

/* What cannot be asked now is not over. */
static bool far_files_alive(void *user)
{
    const FarFiles *far = user;
    Io *io = io_new(NULL);
    bool alive = !io || far_alive(far->host, far->boot, io, far->context, far->processes, far->count, NULL) != 0;
    if (io)
        io_free(io);
    return alive;
}

static bool logs_from_files(Handle *handle, Context *context, const LogRequest *request, const LogSink *sink, Error *error)
{
    LogFiles *files = &own_of(handle)->files;
    Census census;
    const Place *place;
    if (!any_given(files)) { /* the processes may be others by now */
        if (!take_census(handle, context, &census, &place, error))
            return false;
        files_done(files);
        files_find(&census, place, files);
        census_done(&census);
    }
    TailFile *list = mem_new((files->count + 1) * sizeof *list);
    size_t count = 0;
    for (size_t i = 0; i < files->count; i++)
        if (!files->items[i].is_given && files_wanted(&files->items[i], request))
            list[count++] = files->items[i].file;
    const LocalBackend *own = backend_of(handle);
    bool right = count > 0 || any_given(files) || error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, NULL,
                                                            "its scheduler does not answer, and what its processes print goes to no file");
    FarFiles far = {own->host, boot_of(handle), context, files->processes, files->process_count};
    if (own->host)
        right = right && tail_host_files(own->host, list, count, context, request, sink, far_files_alive, &far, error);
    else
        right = right && tail_files(list, count, context, request, sink, files_alive, files, error);
    free(list);
    return right;
}

static bool logs(Handle *handle, Context *context, const LogRequest *request, const LogSink *sink, Error *error)
{
    LocalHandle *own = own_of(handle);
    const Access *access = &own->access;
    Error why = {0};
    if (access->host && sink->file && !backend_of(handle)->host)
        files_offer(request, sink, &own->files);
    if (access->host && tail_run_others(access, context, request, sink, files_cover, &own->files, &why))
        return true;
    bool dead = !access->host || why.code == ERROR_TIMEOUT || (why.code == ERROR_UNREACHABLE && context_check(context, NULL, NULL));
    if (dead)
        return logs_from_files(handle, context, request, sink, error);
    if (error)
        *error = why;
    return false;
}

/* ----------------------------------------------------------------------------------------------------------------- others */

static bool route(Handle *handle, Context *context, const RouteWish *wish, Route *out, Error *error)
{
    Host *host = backend_of(handle)->host;
    const Access *access = &own_of(handle)->access;
    return host ? tunnel_route(host, access, handle->record, context, wish, out, error) : access_route(access, handle->record, out, error);
}

static bool snippet(Handle *handle, Context *context, Buffer *out, Error *error)
{
    Host *host = backend_of(handle)->host;
    const Access *access = &own_of(handle)->access;
    (void)context;
    return host ? tunnel_snippet(host, access, handle->record, handle->backend->config, out, error) : access_snippet(access, out, error);
}

static void close_handle(Handle *handle)
{
    access_done(&own_of(handle)->access);
    files_done(&own_of(handle)->files);
    handle_done(handle);
    free(handle);
}

static const HandleType handle_type = {
    .show = show, .plan = plan, .apply = apply, .logs = logs, .route = route, .snippet = snippet, .close = close_handle,
};

bool local_reconstruct(Backend *backend, Context *context, const Record *record, Handle **out, Error *error)
{
    LocalHandle *handle = mem_new(sizeof *handle);
    Census census;
    const Place *place;
    Host *host = ((LocalBackend *)backend)->host;
    handle_init(&handle->handle, &handle_type, backend, record);
    access_init(&handle->access, record->is.id);
    if (!take_census(&handle->handle, context, &census, &place, error)) {
        close_handle(&handle->handle);
        return false;
    }
    if (!place->is_lost && !place->inproc && !place->is_remote) {
        handle->access.host = mem_text(place->host);
        handle->access.port = place->port;
        handle->access.tls = place->command.tls ? local_tls((LocalBackend *)backend, place) : NULL;
    }
    handle->access.http_host = place->inproc ? mem_text(place->host) : NULL;
    handle->access.http_port = place->inproc ? place->port : 0;
    handle->access.scheduler_id = mem_text(record->is.scheduler_id);
    handle->access.address = mem_text(record->is.address);
    handle->access.way = host ? host_way(host) : NULL;
    files_find(&census, place, &handle->files);
    snprintf(handle->boot, sizeof handle->boot, "%s", census.computer->boot);
    census_done(&census);
    *out = &handle->handle;
    return true;
}
