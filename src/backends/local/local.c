#include "backends/local/local.h"

#include "backends/common/facts.h"
#include "backends/common/far.h"
#include "backends/common/security.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    STRANGER_MS = 15,       /* how long a port that does not look like Dask's may hold up a pass */
    FAR_STRANGER_MS = 500,  /* the same on another computer */
    FAR_MS = 30000,         /* for one census there */
    LOST_YOUNG_MS = 10000,  /* a worker may be started a moment before its scheduler */
};

/* As that process would open it. */
static char *its_path(const Process *process, const char *path)
{
    char *directory = path && *path != '/' ? process_directory(process) : NULL;
    char *whole = directory ? file_join(directory, path) : mem_text(path);
    free(directory);
    return whole;
}

Tls *local_tls(const LocalBackend *own, const Place *place)
{
    if (own->tls)
        return tls_keep(own->tls);
    if (own->host || !place->command.ca_file || !place->process || process_uid(place->process) != geteuid())
        return NULL; /* another user's are not ours to use, even where root could */
    Error error;
    char *ca = its_path(place->process, place->command.ca_file), *cert = its_path(place->process, place->command.cert);
    char *key = its_path(place->process, place->command.key);
    Tls *tls = tls_read(ca, cert, key, &error);
    free(ca);
    free(cert);
    free(key);
    if (tls)
        tls->verify_host = false;
    else
        log_line("local", "%s", error.what);
    return tls;
}

/* ------------------------------------------------------------------------------------------------------------------ rows */

static void set(Buffer *buffer, const char **field, const char *text)
{
    buffer_clear(buffer);
    if (text)
        buffer_text(buffer, text);
    *field = text ? buffer->bytes : NULL;
}

static const char *stem(const char *path, Buffer *out)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    buffer_clear(out);
    buffer_add(out, name, dot && dot != name ? (size_t)(dot - name) : strlen(name));
    return out->bytes;
}

static void name_row(const Place *place, const Made *made, LocalRow *row)
{
    buffer_clear(&row->name);
    if (made)
        buffer_text(&row->name, made->name);
    else if (place->is_lost || place->is_remote)
        buffer_format(&row->name, "lost@%s:%d", place->host, place->port);
    else if (row->origin.title)
        buffer_text(&row->name, row->origin.title);
    else if (place->command.scheduler_file)
        stem(place->command.scheduler_file, &row->name);
    else
        buffer_format(&row->name, "scheduler:%d", place->port);
    row->fields.name = row->name.bytes;
}

static void fill_origin(const Place *place, const Made *made, LocalRow *row)
{
    RecordFields *fields = &row->fields;
    fields->origin.kind = made ? "dasktop" : row->origin.kind;
    fields->origin.path = row->origin.path;
    fields->origin.how = row->origin.how;
    if (place->process) {
        fields->origin.pid = place->process->pid;
        fields->origin.alive = 1;
    }
}

/* A scheduler's own id where it told it; else, where it never will, this very process. */
static void fill_uid(const Computer *computer, const Place *place, const ProbeFacts *facts, LocalRow *row)
{
    const char *boot = computer->boot;
    bool mute = facts && (facts->result == PROBE_TLS || facts->result == PROBE_OLD);
    buffer_clear(&row->uid);
    if (facts && facts->id)
        buffer_text(&row->uid, facts->id);
    else if (place->is_lost || place->is_remote)
        buffer_format(&row->uid, "lost-%016llx",
                      (unsigned long long)hash_bytes(place->address, strlen(place->address), hash_text(boot) + computer->me));
    else if (mute && place->process)
        buffer_format(&row->uid, "%s-%ld-%llu", boot, (long)place->process->pid, (unsigned long long)place->process->start);
    row->fields.uid = row->uid.length ? row->uid.bytes : NULL;
}

static void forbid(RecordFields *fields, unsigned capabilities, const char *why)
{
    for (int c = 0; c < CAN_COUNT; c++)
        if (capabilities & 1u << c) {
            fields->can &= (uint8_t)~(1u << c);
            fields->cannot[c] = why;
        }
}

enum { ALL = (1u << CAN_COUNT) - 1 };

static void say_what_can(const Computer *computer, const Place *place, LocalRow *row)
{
    RecordFields *fields = &row->fields;
    unsigned talk = 1u << CAN_SCALE | 1u << CAN_CONNECT | 1u << CAN_SNIPPET | 1u << CAN_LOGS | 1u << CAN_DELETE;
    fields->can = ALL;
    forbid(fields, 1u << CAN_ADAPT, "adapting is done by the cluster manager, in its own process");
    if (place->inproc) {
        forbid(fields, talk, "it lives inside one Python process and has no port: end that process");
    } else if (place->is_lost) {
        forbid(fields, 1u << CAN_SCALE | 1u << CAN_CONNECT | 1u << CAN_SNIPPET, "its scheduler is gone");
    } else if (place->is_remote) {
        forbid(fields, ALL & ~(1u << CAN_LOGS), "its scheduler is on another host");
    } else if (!fields->mine && computer->me != 0) {
        forbid(fields, 1u << CAN_DELETE | 1u << CAN_SCALE, "it belongs to somebody else");
    } else if (fields->status != STATUS_RUNNING) {
        forbid(fields, 1u << CAN_SCALE | 1u << CAN_CONNECT, "its scheduler does not answer");
        if (!place->process)
            forbid(fields, 1u << CAN_DELETE | 1u << CAN_LOGS, "its process cannot be seen from here");
    }
}

static int64_t youngest_ms(const Member *members, size_t count)
{
    int64_t newest = TIME_UNKNOWN;
    for (size_t i = 0; i < count; i++) {
        int64_t started = process_started_ms(members[i].process);
        newest = started > newest ? started : newest;
    }
    return newest;
}

static int64_t oldest_ms(const Member *members, size_t count)
{
    int64_t oldest = TIME_UNKNOWN;
    for (size_t i = 0; i < count; i++) {
        int64_t started = process_started_ms(members[i].process);
        oldest = oldest == TIME_UNKNOWN || started < oldest ? started : oldest;
    }
    return oldest;
}

/* The scheduler is gone: nobody on this very host holds its port. */
static void fill_lost(const Place *place, const Member *members, size_t count, bool far, LocalRow *row)
{
    RecordFields *fields = &row->fields;
    bool young = youngest_ms(members, count) > clock_wall_ms() - LOST_YOUNG_MS;
    fields->type = "Worker";
    fields->address = place->address;
    fields->created_ms = oldest_ms(members, count);
    if (place->is_remote) {
        fields->status = STATUS_UNREACHABLE;
        fields->status_why = "its workers are here; their scheduler, on another host, cannot be reached";
        return;
    }
    fields->status = young ? STATUS_PENDING : STATUS_FAILED;
    fields->status_why = young ? "waits for its scheduler" : "its scheduler is gone";
    if (young)
        return;
    buffer_format(&row->gone, "scheduler %s", place->address);
    fields->gone = row->gone.bytes;
    fields->gone_why = far ? "nobody holds its port on that host" : "refused by this host: nobody holds its port";
}

/* Where one process holds several clusters, only its scheduler knows which workers are whose. */
static int64_t count_resources(Census *census, const Place *place, const ProbeFacts *facts, size_t members)
{
    if (!place->process && !members)
        return NUMBER_UNKNOWN;
    if (!census_is_inside(place))
        return (int64_t)members;
    if (place->inproc || census_clusters(census, place) == 1)
        return (int64_t)members + 1;
    return facts && facts->result == PROBE_ANSWERED && facts->workers != NUMBER_UNKNOWN ? facts->workers + 1 : NUMBER_UNKNOWN;
}

/* Its schedulers' stamps are of that computer's clock, whose difference from ours is known from the look at it (none where it is this one): not
 * the one that a dashboard's Date told is taken away, but that. */
static void take_facts(const Computer *computer, const Place *place, const ProbeFacts *facts, LocalRow *row)
{
    ProbeFacts ours = *facts;
    ours.started_ms = clock_here_ms(facts->started_ms, computer->ahead_ms - facts->ahead_ms);
    ours.idle_since_ms = clock_here_ms(facts->idle_since_ms, computer->ahead_ms - facts->ahead_ms);
    facts_to_fields(&ours, place->host, true, &row->dashboard, &row->fields);
}

void local_row(const LocalBackend *own, Census *census, const Place *place, const ProbeFacts *facts, LocalRow *row)
{
    RecordFields *fields = &row->fields;
    Buffer *buffers[] = {&row->id, &row->name, &row->address, &row->dashboard, &row->uid, &row->gone, &row->owner};
    Member *members;
    (void)own;
    *row = (LocalRow){0};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        buffer_init(buffers[i], BUFFER_ANY);
    record_fields_init(fields);
    row->members = census_members(census, place, NULL, &members);
    const Made *made = local_made(census, place);
    if (place->process || row->members)
        origin_find(&census->processes, place->process ? place->process : members[0].process, &row->origin);
    fields->type = place->command.by_spec ? "SSHCluster" : made || census_is_inside(place) ? "LocalCluster" : "Scheduler";
    uid_t uid = place->listener ? place->listener->uid : row->members ? process_uid(members[0].process) : census->computer->me;
    set(&row->owner, &fields->owner, census_user(census, uid));
    fields->mine = uid == census->computer->me;
    fill_origin(place, made, row);
    buffer_format(&row->address, strchr(place->host, ':') ? "%s://[%s]:%d" : "%s://%s:%d", place->command.tls ? "tls" : "tcp", place->host, place->port);
    fields->address = row->address.bytes;
    if (facts)
        take_facts(census->computer, place, facts, row);
    if (place->is_lost || (place->is_remote && (!facts || facts->result != PROBE_ANSWERED)))
        fill_lost(place, members, row->members, !census->computer->here, row);
    fields->resources = count_resources(census, place, facts, row->members);
    if (fields->created_ms == TIME_UNKNOWN && place->process)
        fields->created_ms = process_started_ms(place->process);
    fields->gpus = NUMBER_UNKNOWN;
    name_row(place, made, row);
    buffer_clear(&row->id);
    if (made && !place->is_lost)
        buffer_text(&row->id, made->name);
    else
        buffer_format(&row->id, "%s%s:%d", place->is_lost || place->is_remote ? "lost@" : "", place->host, place->port);
    fields->id = row->id.bytes;
    fill_uid(census->computer, place, facts, row);
    say_what_can(census->computer, place, row);
    free(members);
}

void local_row_done(LocalRow *row)
{
    Buffer *buffers[] = {&row->id, &row->name, &row->address, &row->dashboard, &row->uid, &row->gone, &row->owner};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        buffer_done(buffers[i]);
    origin_done(&row->origin);
}

/* How well a place fits an address: 2 exactly, 1 by another name of this host, 0 not. */
static int fits(const Computer *computer, const Place *place, const char *text, bool lost)
{
    DaskAddress address;
    if (!text || !dask_address_parse(text, &address) || address.inproc || address.port != place->port)
        return 0;
    if (strcmp(address.host, place->host) == 0)
        return 2;
    return !lost && computer_has(computer, address.host) ? 1 : 0;
}

const Place *local_find(Census *census, const Record *record)
{
    bool lost = record->is.gone || (record->is.type && strcmp(record->is.type, "Worker") == 0);
    const Place *best = NULL;
    int most = 0;
    for (size_t i = 0; i < census->count; i++) {
        const Place *place = &census->places[i];
        if (!place->may_be_scheduler || (place->is_lost || place->is_remote) != lost)
            continue;
        if (place->inproc) {
            if (record->is.origin.pid == (place->process ? place->process->pid : -1) && record->is.address &&
                strncmp(record->is.address, "inproc://", 9) == 0)
                return place;
            continue;
        }
        int fit = fits(census->computer, place, record->is.address, lost);
        if (fit > most) {
            most = fit;
            best = place;
        }
    }
    return best;
}

/* ------------------------------------------------------------------------------------------------------------- discovery */

static void free_made(void *list)
{
    made_done(list);
    free(list);
}

bool local_look(const LocalBackend *own, Io *io, const Context *context, Census *census, Error *error)
{
    if (own->host) {
        Context part = context_within(context, FAR_MS);
        Io *made = io ? NULL : io_new(error);
        bool right = (io || made) && far_census(own->host, io ? io : made, &part, census, error);
        if (made)
            io_free(made);
        return right;
    }
    if (!census_take(config_truth(own->backend.config, "all-users"), census, error))
        return false;
    census->own = mem_new(sizeof(MadeList));
    census->free_own = free_made;
    made_read(census->own);
    return true;
}

const Made *local_made(const Census *census, const Place *place)
{
    const MadeList *list = census->own;
    if (!census->computer->here)
        return NULL;
    if (place->process)
        return made_find(list, place->process->pid, place->process->start, NULL);
    for (size_t i = 0; i < list->count && place->is_lost; i++)
        if (list->items[i].address && place->address && strcmp(list->items[i].address, place->address) == 0 && made_is_alive(&list->items[i]))
            return &list->items[i];
    return NULL;
}

typedef struct Round {
    LocalBackend *own;
    Census *census;
    Sink *sink;
    bool cut_off;   /* a port that listens there could not be reached */
} Round;

static bool is_cluster(const Place *place, const ProbeFacts *facts)
{
    switch (facts->result) {
    case PROBE_ANSWERED:
        return facts->role == DASK_SCHEDULER && !place->is_remote;
    case PROBE_OLD:
        return true;
    case PROBE_SILENT:
    case PROBE_PARTIAL:
        return place->is_remote || facts->role == DASK_SCHEDULER || place->command.role == COMMAND_SCHEDULER ||
               (facts->role == DASK_UNKNOWN && place->is_first);
    case PROBE_TLS:
        return place->command.role == COMMAND_SCHEDULER || place->is_remote;
    case PROBE_REFUSED:
    case PROBE_NO_ROUTE:
        return place->is_remote;
    case PROBE_NOTHING:
        return place->command.role == COMMAND_SCHEDULER;
    default:
        return false;
    }
}

Record *local_record(const LocalBackend *own, const RecordFields *fields, int64_t counts_ms)
{
    return record_new(fields, own->backend.config->key, own->backend.instance, clock_wall_ms(), counts_ms, NULL);
}

static void put_place(Round *round, const Place *place, const ProbeFacts *facts)
{
    LocalRow row;
    local_row(round->own, round->census, place, facts, &row);
    sink_put(round->sink, &row.fields, facts ? facts->counts_ms : TIME_UNKNOWN);
    local_row_done(&row);
}

/* Somebody listens there, but ssh leads nobody to it (any more): what is known of it stays. */
static void put_cut_off(Round *round, const Place *place, const ProbeFacts *facts)
{
    LocalRow row;
    round->cut_off = true;
    if (place->command.role != COMMAND_SCHEDULER)
        return;
    local_row(round->own, round->census, place, facts, &row);
    if (!sink_last(round->sink, row.fields.id))
        sink_put(round->sink, &row.fields, TIME_UNKNOWN);
    local_row_done(&row);
}

/* Where nobody tells backlogs, a dashboard's port looks like a comm port that is silent: it is none where its process has one that spoke. */
static bool is_other_port(const Census *census, const Place *place)
{
    for (size_t i = 0; i < census->count && place->process && place->listener && !place->listener->backlog; i++)
        if (census->places[i].process == place->process && census->places[i].answered)
            return true;
    return false;
}

static void on_facts(void *user, const ProbeTarget *target, const ProbeFacts *facts)
{
    Round *round = user;
    Place *place = target->user;
    place->answered = facts->result == PROBE_ANSWERED && facts->role == DASK_SCHEDULER;
    if (facts->result == PROBE_SILENT && is_other_port(round->census, place))
        return;
    if (round->own->host && facts->result == PROBE_NO_ROUTE && place->listener && place->looks_like_dask)
        put_cut_off(round, place, facts);
    else if (is_cluster(place, facts))
        put_place(round, place, facts);
    else if (facts->role == DASK_WORKER && facts->scheduler && place->process) {
        census_learn(round->census, place->process->pid, facts->scheduler);
    }
}

static ProbeTarget target_of(const LocalBackend *own, const Place *place, Tls *tls)
{
    int64_t timeout = own->backend.config->timeout_ms, patient = timeout - timeout / 20;
    bool scheduler = place->command.role == COMMAND_SCHEDULER || place->is_remote;
    int64_t stranger = own->host ? FAR_STRANGER_MS : STRANGER_MS, unclear = 2 * FAR_STRANGER_MS;
    bool sure = place->looks_like_dask && (!place->listener || place->listener->backlog);
    return (ProbeTarget){
        .key = place->key,
        .stream = {.host = place->host, .port = place->port, .tls = tls, .way = own->host ? host_way(own->host) : NULL, .connect_ms = patient},
        .role = scheduler ? DASK_SCHEDULER : DASK_UNKNOWN,
        .http_only = place->inproc,
        .http_host = place->inproc ? place->host : NULL,
        .http_port = place->inproc ? place->port : 0,
        .first_ms = sure ? patient : !place->looks_like_dask ? stranger : patient < unclear ? patient : unclear,
        .whole_ms = patient,
        .depth = facts_depth(own->backend.config),
        .proven = !place->is_remote,
        .user = (void *)place,
    };
}

/* A TLS port gets nothing without certificates; its dashboard is plain HTTP and may tell all the same. */
static void put_without_tls(Round *round, const Place *place)
{
    ProbeFacts facts = {.result = PROBE_TLS, .counts_ms = TIME_UNKNOWN, .busy = -1, .started_ms = TIME_UNKNOWN};
    error_set(&facts.error, ERROR_DENIED, NULL, NULL, "TLS: no certificates are configured for it");
    put_place(round, place, &facts);
}

static bool is_schedulers(const Census *census, const Listener *listener)
{
    for (size_t i = 0; i < census->count && listener->pid; i++)
        if (census->places[i].process && census->places[i].process->pid == listener->pid && census->places[i].looks_like_dask)
            return true;
    return false;
}

/* All new ones in one call. What fails is told by each that has no way. */
static void open_ways(const Round *round, const Context *context, const ProbeTarget *targets, size_t count)
{
    if (!round->own->host)
        return;
    const Listeners *listeners = &round->census->listeners;
    HostPort *ports = mem_new((count + listeners->count) * sizeof *ports);
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        ports[used++] = (HostPort){targets[i].stream.host, targets[i].stream.port};
    for (size_t i = 0; i < listeners->count; i++) /* a scheduler's dashboard will be asked, too */
        if (is_schedulers(round->census, &listeners->items[i]))
            ports[used++] = (HostPort){sockets_reach(&listeners->items[i]), listeners->items[i].port};
    host_open_ways(round->own->host, round->own->io, context, ports, used, NULL);
    free(ports);
}

static bool ask_places(Round *round, Context *context, Error *error)
{
    Census *census = round->census;
    ProbeTarget *targets = mem_new(census->count * sizeof *targets);
    Tls **material = mem_new(census->count * sizeof *material);
    size_t count = 0;
    for (size_t i = 0; i < census->count; i++) {
        const Place *place = &census->places[i];
        if (place->is_lost) {
            put_place(round, place, NULL);
            continue;
        }
        material[i] = place->command.tls ? local_tls(round->own, place) : NULL;
        if (place->command.tls && !material[i] && place->command.role == COMMAND_SCHEDULER)
            put_without_tls(round, place);
        else if (!place->command.tls || material[i])
            targets[count++] = target_of(round->own, place, material[i]);
    }
    open_ways(round, context, targets, count);
    bool right = prober_run(round->own->prober, context, targets, count, on_facts, on_facts, round, error);
    for (size_t i = 0; i < census->count; i++)
        tls_drop(material[i]);
    free(material);
    free(targets);
    return right;
}

static bool discover(Backend *backend, Context *context, Sink *sink, Error *error)
{
    LocalBackend *own = (LocalBackend *)backend;
    Census census;
    if (!own->io) {
        char *path = facts_memory_path();
        own->io = io_new(error);
        own->prober = own->io ? prober_new(own->io, path, backend->config->key) : NULL;
        free(path);
    }
    if (!own->io || !local_look(own, own->io, context, &census, error))
        return false;
    Round round = {.own = own, .census = &census, .sink = sink};
    bool right = ask_places(&round, context, error);
    if (round.cut_off)
        sink_partial(sink, "ports there cannot be reached through ssh: is its server's AllowTcpForwarding off?");
    census_done(&census);
    return right;
}

/* ------------------------------------------------------------------------------------------------------------------ type */

static bool open_backend(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
#ifndef __linux__
    return error_set(error, ERROR_ABSENT, config->key, NULL, "processes are only looked at on Linux");
#endif
    (void)context;
    LocalBackend *own = mem_new(sizeof *own);
    own->backend = (Backend){.type = config->type, .config = config};
    Error why;
    if (!security_read(config, &own->tls, &why))
        log_line("local", "%s", why.what); /* only schedulers with TLS miss it, and say so */
    (void)error;
    opened_add(opened, &own->backend);
    io_warm(); /* while the instance's own thread looks around */
    return true;
}

static void close_backend(Backend *backend)
{
    LocalBackend *own = (LocalBackend *)backend;
    prober_free(own->prober);
    if (own->io)
        io_free(own->io);
    tls_drop(own->tls);
    host_drop(own->host);
    backend_done(&own->backend);
    free(own);
}

static const ConfigKey keys[] = {
    {.name = "all-users", .kind = KEY_BOOL, .standard = "false", .help = "other people's clusters too, as far as the kernel lets us see"},
    {.name = "python", .kind = KEY_TEXT, .help = "the interpreter that new clusters are made with (default: the active environment's)"},
    {0},
};

/* Of two that found one scheduler, this computer's own eyes come first. */
static const BackendType far_type = {
    .name = "local",
    .rank = 75,
    .can = 1u << CAN_SCALE | 1u << CAN_LOGS | 1u << CAN_CONNECT | 1u << CAN_DELETE | 1u << CAN_SNIPPET,
    .keys = keys,
    .close = close_backend,
    .discover = discover,
    .reconstruct = local_reconstruct,
};

static Backend *open_far(BackendConfig *config, const char *instance, Host *host, Context *context, Error *error)
{
    LocalBackend *own = mem_new(sizeof *own);
    Error why;
    (void)context;
    (void)error;
    own->backend = (Backend){.type = &far_type, .config = config, .own_config = config, .instance = mem_text(instance)};
    own->host = host_keep(host);
    if (!security_read(config, &own->tls, &why))
        log_line(config->key, "%s", why.what); /* only schedulers with TLS miss it, and say so */
    return &own->backend;
}

const BackendType local_backend = {
    .name = "local",
    .summary = "every scheduler on this host, found from sockets and processes; workers whose scheduler is dead",
    .signs_in = "as you: your own processes",
    .rank = 70,
    .automatic = true,
    .can = 1u << CAN_SCALE | 1u << CAN_LOGS | 1u << CAN_CONNECT | 1u << CAN_DELETE | 1u << CAN_SNIPPET,
    .keys = keys,
    .creates = local_creates,
    .open = open_backend,
    .open_far = open_far,
    .close = close_backend,
    .discover = discover,
    .create = local_create,
    .reconstruct = local_reconstruct,
};
