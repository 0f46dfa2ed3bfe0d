/* Backend `scheduler`: addresses and scheduler files that the config names. One instance; a row per address. */
#include "backends/common/access.h"
#include "backends/common/facts.h"
#include "backends/common/retire.h"
#include "backends/common/security.h"
#include "backends/common/tail.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

typedef struct SchedulerBackend {
    Backend backend;
    Io *io;         /* of the discovery's thread, like all below */
    Prober *prober;
    Tls *tls;       /* counted and never changed: any thread */
} SchedulerBackend;

/* One that is named: by its address, or by a file that a scheduler wrote. */
typedef struct Named {
    char *address, *name, *file;
    char *file_id;  /* the scheduler that wrote the file; NULL: an address, or an old file */
    DaskAddress place;
} Named;

typedef struct NamedList {
    Named *items;
    size_t count, capacity;
} NamedList;

static void named_done(NamedList *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].address);
        free(list->items[i].name);
        free(list->items[i].file);
        free(list->items[i].file_id);
    }
    free(list->items);
    *list = (NamedList){0};
}

/* The first that names an address has it. */
static bool add_named(NamedList *list, const char *address, const char *name, const char *file, const char *file_id)
{
    DaskAddress place;
    if (!dask_address_parse(address, &place))
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].address, address) == 0)
            return true;
    list->items = mem_grow(list->items, list->count, &list->capacity, sizeof *list->items);
    list->items[list->count++] = (Named){mem_text(address), mem_text(name), mem_text(file), mem_text(file_id), place};
    return true;
}

static char *with_scheme(const char *address)
{
    return strstr(address, "://") ? mem_text(address) : mem_format("tcp://%s", address);
}

static char *stem_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    return mem_text_n(name, dot && dot != name ? (size_t)(dot - name) : strlen(name));
}

/* It is written in one go at the scheduler's start: for a moment it may be empty. */
static void add_file(NamedList *list, const char *path, Sink *sink)
{
    Buffer bytes;
    Error error = {0};
    buffer_init(&bytes, 8 << 20);
    bool read = file_read(path, &bytes, &error);
    cJSON *json = read ? json_parse(bytes.bytes, bytes.length, path, &error) : NULL;
    const char *address = json_text(json, "address");
    char *name = stem_of(path);
    if (!read) {
        char *reason = mem_format("%s: %s", path, error.what);
        sink_partial(sink, reason);
        free(reason);
    } else if (!address || !add_named(list, address, name, path, json_text(json, "id"))) {
        log_line("scheduler", "%s is %s", path, bytes.length ? "no scheduler file" : "still empty"); /* a glob fits others too */
    }
    free(name);
    cJSON_Delete(json);
    buffer_done(&bytes);
}

static void add_files(NamedList *list, const char *pattern, Sink *sink)
{
    glob_t found;
    char *whole = file_expand_home(pattern);
    if (glob(whole, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            add_file(list, found.gl_pathv[i], sink);
    globfree(&found);
    free(whole);
}

static void read_named(const BackendConfig *config, Sink *sink, NamedList *list)
{
    List texts = {0};
    config_texts(config, "addresses", &texts);
    for (size_t i = 0; i < texts.count; i++) {
        char *address = with_scheme(texts.items[i]), *name = strstr(address, "://") + 3;
        add_named(list, address, name, NULL, NULL);
        free(address);
    }
    list_done(&texts);
    config_texts(config, "files", &texts);
    for (size_t i = 0; i < texts.count; i++)
        add_files(list, texts.items[i], sink);
    list_done(&texts);
}

/* ------------------------------------------------------------------------------------------------------------- discovery */

static void say_what_can(const Named *named, RecordFields *fields)
{
    bool alive = fields->status == STATUS_RUNNING;
    const char *reason = named->place.websocket ? "its ws:// address is not spoken with" : "its scheduler does not answer";
    fields->cannot[CAN_ADAPT] = "a scheduler does not adapt: its cluster manager does";
    if (alive) {
        fields->can = 1u << CAN_SCALE | 1u << CAN_LOGS | 1u << CAN_CONNECT | 1u << CAN_DELETE | 1u << CAN_SNIPPET;
        return;
    }
    fields->can = 1u << CAN_SNIPPET;
    fields->cannot[CAN_SCALE] = fields->cannot[CAN_LOGS] = fields->cannot[CAN_CONNECT] = fields->cannot[CAN_DELETE] = reason;
}

static void fill_fields(const Named *named, const ProbeFacts *facts, Buffer *dashboard, RecordFields *fields)
{
    record_fields_init(fields);
    fields->id = named->address;
    fields->name = named->name;
    fields->type = "Scheduler";
    fields->address = named->address;
    if (facts)
        facts_to_fields(facts, named->place.host, true, dashboard, fields);
    fields->address = named->address; /* its own may be one that only its host can use */
    bool other = facts && facts->result == PROBE_ANSWERED && named->file_id && facts->id && strcmp(named->file_id, facts->id) != 0;
    if (other || (named->file && fields->status == STATUS_UNREACHABLE)) {
        record_fields_init(fields);
        fields->id = fields->address = named->address;
        fields->name = named->name;
        fields->type = "Scheduler";
        fields->status = STATUS_UNREACHABLE;
        fields->status_why = other ? "a stale scheduler file: another scheduler has its address" : "refused: a stale scheduler file, or not up yet";
    }
    if (facts && facts->result == PROBE_ANSWERED && facts->role != DASK_SCHEDULER) {
        fields->status = STATUS_UNKNOWN;
        fields->status_why = "this is a worker's address, not a scheduler's";
    }
    if (named->place.websocket)
        fields->status_why = "its ws:// address is not spoken with";
    fields->uid = fields->scheduler_id;
    say_what_can(named, fields);
}

typedef struct Round {
    Sink *sink;
    Buffer dashboard;
} Round;

static void put_row(void *user, const ProbeTarget *target, const ProbeFacts *facts)
{
    Round *round = user;
    RecordFields fields;
    fill_fields(target->user, facts, &round->dashboard, &fields);
    sink_put(round->sink, &fields, facts->counts_ms);
}

static bool discover(Backend *backend, Context *context, Sink *sink, Error *error)
{
    SchedulerBackend *own = (SchedulerBackend *)backend;
    NamedList list = {0};
    Round round = {.sink = sink};
    if (!own->io) {
        char *path = facts_memory_path();
        own->io = io_new(error);
        own->prober = own->io ? prober_new(own->io, path, backend->config->key) : NULL;
        free(path);
    }
    if (!own->io)
        return false;
    read_named(backend->config, sink, &list);
    buffer_init(&round.dashboard, 1024);
    ProbeTarget *targets = mem_new(list.count * sizeof *targets);
    size_t count = 0;
    /* a silent one is told before the backend as a whole counts as slow */
    int64_t whole = backend->config->timeout_ms - backend->config->timeout_ms / 20;
    for (size_t i = 0; i < list.count; i++) {
        Named *named = &list.items[i];
        if (named->place.websocket || named->place.inproc) {
            RecordFields fields;
            fill_fields(named, NULL, &round.dashboard, &fields);
            sink_put(sink, &fields, TIME_UNKNOWN);
            continue;
        }
        targets[count++] = (ProbeTarget){
            .key = named->address,
            .stream = {.host = named->place.host, .port = named->place.port, .tls = named->place.tls ? own->tls : NULL, .connect_ms = whole},
            .role = DASK_SCHEDULER, .first_ms = whole, .whole_ms = whole, .depth = facts_depth(backend->config), .user = named,
        };
        if (named->place.tls && !own->tls) {
            ProbeFacts facts = {.result = PROBE_TLS, .counts_ms = TIME_UNKNOWN};
            error_set(&facts.error, ERROR_DENIED, NULL, NULL, "TLS: no certificates are configured for it");
            put_row(&round, &targets[--count], &facts);
        }
    }
    bool right = prober_run(own->prober, context, targets, count, put_row, put_row, &round, error);
    free(targets);
    buffer_done(&round.dashboard);
    named_done(&list);
    return right;
}

/* --------------------------------------------------------------------------------------------------------------- handle */

typedef struct SchedulerHandle {
    Handle handle;
    Access access;
} SchedulerHandle;

static const Access *access_of(Handle *handle)
{
    return &((SchedulerHandle *)handle)->access;
}

typedef struct Fresh {
    Handle *handle;
    Named named;
    Record *record;
} Fresh;

static void take_fresh(void *user, const ProbeFacts *facts)
{
    Fresh *fresh = user;
    RecordFields fields;
    Buffer dashboard;
    buffer_init(&dashboard, 1024);
    fill_fields(&fresh->named, facts, &dashboard, &fields);
    fresh->record = record_new(&fields, fresh->handle->record->backend, NULL, clock_wall_ms(), facts->counts_ms, NULL);
    buffer_done(&dashboard);
}

static bool show(Handle *handle, Context *context, Description *out, Error *error)
{
    const Access *access = access_of(handle);
    Fresh fresh = {.handle = handle, .named = {.address = access->address, .name = (char *)handle->record->is.name}};
    dask_address_parse(access->address, &fresh.named.place);
    if (!access_probe(access, context, take_fresh, &fresh, error))
        return false;
    out->record = fresh.record;
    if (!access_describe(access, context, out, error)) {
        if (error->code == ERROR_CONFLICT)
            return false;
        description_text(&out->workers_note, error->what);
        description_lost(out, "its scheduler does not answer: %s", error->what);
    } else {
        description_found(out, "its scheduler %s answers at %s", access->scheduler_id ? access->scheduler_id : "", access->address);
        description_found(out, "%zu workers", out->worker_count);
        list_format(&out->worker_spec, "dask worker %s", access->address);
    }
    description_lost(out, "how its machines were made: only the scheduler's address is known here");
    description_text(&out->route, access->tls ? "direct, TLS" : "direct");
    description_resource(out, "scheduler", access->address, handle->record->is.uid ? handle->record->is.uid : "not known", status_word(handle->record->is.status), -1);
    return true;
}

static bool plan(Handle *handle, Context *context, const Change *change, Plan **out, Error *error)
{
    const Access *access = access_of(handle);
    if (change->kind == CHANGE_ADAPT || change->kind == CHANGE_CREATE)
        return error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "a scheduler does not adapt: its cluster manager does");
    if (!handle->record->is.uid)
        return error_set(error, ERROR_UNREACHABLE, handle->record->is.id, NULL, "its scheduler does not answer: without its identity nothing is changed");
    *out = plan_new(change->kind, handle->record);
    (*out)->wait = change->wait;
    /* a deletion retires nobody: it only has to know how many there are */
    Change nobody = {.kind = CHANGE_SCALE, .workers = INT64_MAX};
    bool right = retire_plan(access, context, change->kind == CHANGE_DELETE ? &nobody : change, *out, error);
    if (right && change->kind == CHANGE_SCALE && change->workers > (*out)->now)
        right = error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, "start `dask worker` with its address somewhere",
                          "it has %lld workers, and more cannot be asked of a scheduler", (long long)(*out)->now);
    if (right && change->kind == CHANGE_DELETE) {
        PlanStep *step = plan_step(*out, STEP_ENDS, "scheduler", access->address, access->scheduler_id);
        plan_call(step, "terminate: it ends itself and its %lld workers", (long long)(*out)->now);
        (*out)->then = 0;
        plan_note(*out, "machines, pods or jobs that its workers ran in are not known here and may stay");
    }
    if (right)
        return true;
    plan_free(*out);
    *out = NULL;
    return false;
}

static bool apply(Handle *handle, Context *context, const Plan *made, const Progress *progress, Outcome *outcome, Error *error)
{
    const Access *access = access_of(handle);
    if (made->kind == CHANGE_DELETE)
        return retire_terminate(access, context, progress, made->wait, error);
    return retire_apply(access, context, made, progress, outcome, error);
}

static bool logs(Handle *handle, Context *context, const LogRequest *request, const LogSink *sink, Error *error)
{
    return tail_run(access_of(handle), context, request, sink, error);
}

static bool route(Handle *handle, Context *context, const RouteWish *wish, Route *out, Error *error)
{
    (void)context;
    (void)wish;
    return access_route(access_of(handle), handle->record, out, error);
}

static bool snippet(Handle *handle, Context *context, Buffer *out, Error *error)
{
    (void)context;
    return access_snippet(access_of(handle), out, error);
}

static void close_handle(Handle *handle)
{
    access_done(&((SchedulerHandle *)handle)->access);
    handle_done(handle);
    free(handle);
}

static const HandleType handle_type = {
    .show = show, .plan = plan, .apply = apply, .logs = logs, .route = route, .snippet = snippet, .close = close_handle,
};

static bool reconstruct(Backend *backend, Context *context, const Record *record, Handle **out, Error *error)
{
    SchedulerBackend *own = (SchedulerBackend *)backend;
    DaskAddress place;
    (void)context;
    if (!record->is.address || !dask_address_parse(record->is.address, &place) || place.inproc || place.websocket)
        return error_set(error, ERROR_UNSUPPORTED, record->is.id, NULL, "its address cannot be connected to");
    SchedulerHandle *handle = mem_new(sizeof *handle);
    handle_init(&handle->handle, &handle_type, backend, record);
    access_init(&handle->access, record->is.id);
    handle->access.host = mem_text(place.host);
    handle->access.port = place.port;
    handle->access.tls = place.tls && own->tls ? tls_keep(own->tls) : NULL;
    handle->access.address = mem_text(record->is.address);
    handle->access.scheduler_id = mem_text(record->is.scheduler_id);
    *out = &handle->handle;
    return true;
}

/* ----------------------------------------------------------------------------------------------------------------- type */

static bool open_backend(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
    (void)context;
    SchedulerBackend *own = mem_new(sizeof *own);
    own->backend = (Backend){.type = config->type, .config = config};
    if (!security_read(config, &own->tls, error)) {
        free(own);
        return false;
    }
    opened_add(opened, &own->backend);
    io_warm(); /* while the instance's own thread looks around */
    return true;
}

static void close_backend(Backend *backend)
{
    SchedulerBackend *own = (SchedulerBackend *)backend;
    prober_free(own->prober);
    if (own->io)
        io_free(own->io);
    tls_drop(own->tls);
    backend_done(&own->backend);
    free(own);
}

static const char *check_address(const char *text)
{
    DaskAddress address;
    return dask_address_parse(text, &address) && !address.inproc ? NULL : "an address (tcp://HOST:PORT, tls://HOST:PORT)";
}

static const char *check(const Tree *options)
{
    return tree_get(options, "addresses") || tree_get(options, "files") ? NULL : "needs addresses or files";
}

static const ConfigKey keys[] = {
    {.name = "addresses", .kind = KEY_TEXTS, .check = check_address, .help = "of schedulers: tcp://HOST:PORT, tls://HOST:PORT"},
    {.name = "files", .kind = KEY_TEXTS, .help = "scheduler files, with * and ?"},
    {.name = "tls", .kind = KEY_MAP, .keys = security_keys, .help = "certificates (default: Dask's own distributed.comm.tls)"},
    {0},
};

const BackendType scheduler_backend = {
    .name = "scheduler",
    .summary = "schedulers at addresses and in scheduler files that the config names",
    .signs_in = "TLS certificates of the config, or Dask's own",
    .rank = 90,
    .can = 1u << CAN_SCALE | 1u << CAN_LOGS | 1u << CAN_CONNECT | 1u << CAN_DELETE | 1u << CAN_SNIPPET,
    .keys = keys,
    .check = check,
    .open = open_backend,
    .close = close_backend,
    .discover = discover,
    .reconstruct = reconstruct,
};
