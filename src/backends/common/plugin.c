#include "backends/common/plugin_inside.h"

#include "backends/common/facts.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/record_json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_AGAIN_MS = 50 };

extern char **environ;

/* ----------------------------------------------------------------------------------------------------------------- hello */

static uint8_t read_can(const cJSON *words)
{
    uint8_t can = 0;
    const cJSON *word;
    if (!cJSON_IsArray(words))
        return 0;
    for (int i = 0; i < CAN_COUNT; i++)
        cJSON_ArrayForEach(word, words)
            if (cJSON_IsString(word) && strcmp(word->valuestring, capability_word((Capability)i)) == 0)
                can |= (uint8_t)(1u << i);
    return can;
}

static bool welcome(void *user, const cJSON *result, Error *error)
{
    Plugin *plugin = user;
    int64_t protocol = json_integer(result, "protocol");
    if (protocol == NUMBER_UNKNOWN)
        return error_set(error, ERROR_BAD_REPLY, NULL, "the contract's section on plugins says how", "its answer to hello names no protocol");
    if (protocol != 1)
        return error_set(error, ERROR_BAD_REPLY, NULL, "dasktop speaks protocol 1", "it speaks protocol %lld", (long long)protocol);
    pthread_mutex_lock(&plugin->lock);
    plugin_hello_done(&plugin->hello);
    plugin->hello = (PluginHello){
        .name = mem_text(json_text(result, "name")), .version = mem_text(json_text(result, "version")),
        .can = read_can(json_member(result, "can")), .watch = json_truth(result, "watch") == 1, .probe = json_truth(result, "probe") == 1,
    };
    pthread_mutex_unlock(&plugin->lock);
    return true;
}

bool plugin_hello(Plugin *plugin, Context *context, PluginHello *hello, Error *error)
{
    *hello = (PluginHello){0};
    if (!rpc_ready(plugin->rpc, context, error))
        return false;
    pthread_mutex_lock(&plugin->lock);
    *hello = plugin->hello;
    hello->name = mem_text(hello->name);
    hello->version = mem_text(hello->version);
    pthread_mutex_unlock(&plugin->lock);
    return true;
}

void plugin_hello_done(PluginHello *hello)
{
    free(hello->name);
    free(hello->version);
    *hello = (PluginHello){0};
}

static char *hello_params(const PluginSpec *spec)
{
    Buffer out;
    JsonWriter json;
    buffer_init(&out, BUFFER_ANY);
    json_begin(&json, &out);
    json_object(&json, NULL);
    json_put_integer(&json, "protocol", 1);
    json_put_text(&json, "dasktop", DASKTOP_VERSION);
    cJSON *config = spec->config ? tree_json(spec->config) : cJSON_CreateObject();
    if (spec->entry_points) {
        cJSON *names = cJSON_AddArrayToObject(config, "entry_points");
        for (size_t i = 0; i < spec->entry_points->count; i++)
            cJSON_AddItemToArray(names, cJSON_CreateString(spec->entry_points->items[i]));
    }
    json_put_tree(&json, "config", config);
    cJSON_Delete(config);
    json_close(&json, '}');
    return buffer_take(&out);
}

/* ------------------------------------------------------------------------------------------------------------------ life */

static void inherit(const PluginSpec *spec, List *environment)
{
    static const char *const always[] = {"PATH", "HOME", "LANG", "LC_ALL", "USER", "TMPDIR", "SSL_CERT_FILE"};
    if (!spec->variables) {
        for (char **one = environ; *one; one++)
            list_add(environment, *one);
        return;
    }
    for (size_t i = 0; i < sizeof always / sizeof *always + spec->variables->count; i++) {
        size_t fixed = sizeof always / sizeof *always;
        const char *name = i < fixed ? always[i] : spec->variables->items[i - fixed], *value = getenv(name);
        if (value)
            list_format(environment, "%s=%s", name, value);
    }
    if (environment->count == 0)
        list_add(environment, "LC_ALL=C"); /* an empty list would be no list */
}

Plugin *plugin_new(const PluginSpec *spec, Error *error)
{
    Plugin *plugin = mem_new(sizeof *plugin);
    List environment = {0};
    char *hello = hello_params(spec);
    atomic_init(&plugin->references, 1);
    plugin->where = mem_text(spec->where);
    pthread_mutex_init(&plugin->lock, NULL);
    inherit(spec, &environment);
    RpcSpec rpc = {.where = spec->where, .command = spec->command, .environment = &environment, .directory = spec->directory,
                   .preamble = spec->preamble, .preamble_length = spec->preamble_length, .hello = hello, .hello_ms = PLUGIN_HELLO_MS,
                   .welcome = welcome, .user = plugin};
    plugin->rpc = rpc_new(&rpc, error);
    list_done(&environment);
    free(hello);
    if (plugin->rpc)
        return plugin;
    plugin_drop(plugin);
    return NULL;
}

Plugin *plugin_keep(Plugin *plugin)
{
    atomic_fetch_add(&plugin->references, 1);
    return plugin;
}

void plugin_drop(Plugin *plugin)
{
    if (!plugin || atomic_fetch_sub(&plugin->references, 1) != 1)
        return;
    rpc_free(plugin->rpc);
    plugin_hello_done(&plugin->hello);
    pthread_mutex_destroy(&plugin->lock);
    free(plugin->where);
    free(plugin);
}

Backend *plugin_backend_new(const BackendConfig *config, Plugin *plugin, const char *instance, const char *entry_point)
{
    PluginBackend *own = mem_new(sizeof *own);
    own->backend = (Backend){.type = config->type, .config = config, .instance = mem_text(instance)};
    own->plugin = plugin_keep(plugin);
    own->entry_point = mem_text(entry_point);
    file_user_name(geteuid(), own->user); /* once: it reads the list of users */
    pthread_mutex_init(&own->discovering, NULL);
    return &own->backend;
}

void plugin_close(Backend *backend)
{
    PluginBackend *own = (PluginBackend *)backend;
    prober_free(own->prober);
    if (own->io)
        io_free(own->io);
    plugin_drop(own->plugin);
    pthread_mutex_destroy(&own->discovering);
    free(own->entry_point);
    backend_done(&own->backend);
    free(own);
}

bool plugin_rest(Backend *backend, const Context *context, int wake_fd)
{
    rpc_rest(((PluginBackend *)backend)->plugin->rpc, context, wake_fd);
    return false;
}

/* ---------------------------------------------------------------------------------------------------------------- fields */

void plugin_params(JsonWriter *json, Buffer *out, const PluginBackend *own)
{
    buffer_init(out, BUFFER_ANY);
    json_begin(json, out);
    json_object(json, NULL);
    if (own->entry_point)
        json_put_text(json, "entry_point", own->entry_point);
}

/* Counts below zero are no counts. */
static void drop_negative(RecordFields *fields)
{
    int64_t *counts[] = {&fields->workers_ready, &fields->workers_wanted, &fields->workers_paused, &fields->resources, &fields->threads,
                         &fields->gpus, &fields->memory, &fields->memory_used, &fields->clients, &fields->tasks.processing,
                         &fields->tasks.waiting, &fields->tasks.queued, &fields->tasks.stored, &fields->tasks.erred,
                         &fields->tasks.unrunnable, &fields->adaptive_minimum, &fields->adaptive_maximum};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (*counts[i] < 0)
            *counts[i] = NUMBER_UNKNOWN;
}

bool plugin_fields(const PluginBackend *own, const cJSON *cluster, uint8_t can, RecordFields *fields, Pair **pairs, Error *error)
{
    if (!record_json_read(cluster, fields, pairs, error))
        return false;
    drop_negative(fields);
    if (fields->owner)
        fields->mine = strcmp(fields->owner, own->user) == 0;
    if (!json_member(cluster, "can"))
        fields->can = can;
    for (int i = 0; i < CAN_COUNT; i++)
        if (fields->cannot[i])
            fields->can &= (uint8_t)~(1u << i);
    /* an address can be connected to without any help */
    DaskAddress place;
    if (!fields->cannot[CAN_CONNECT] && !json_member(cluster, "can") && fields->address && dask_address_parse(fields->address, &place) && !place.inproc)
        fields->can |= 1u << CAN_CONNECT | 1u << CAN_SNIPPET | 1u << CAN_LOGS;
    /* the proof that its scheduler is gone is the system's to give, and the plugin is the system here */
    const cJSON *verdict = json_member(cluster, "verdict"), *evidence = json_member(verdict, "evidence");
    const char *state = json_text(verdict, "state");
    if (state && strcmp(state, "orphaned") == 0) {
        fields->gone = fields->address ? fields->address : "its scheduler";
        fields->gone_why = cJSON_IsArray(evidence) && cJSON_IsString(evidence->child) ? evidence->child->valuestring : own->plugin->where;
        fields->gone_since_ms = json_text(verdict, "since") ? time_parse(json_text(verdict, "since")) : TIME_UNKNOWN;
    }
    return true;
}

/* -------------------------------------------------------------------------------------------------------------- discover */

typedef struct Look {
    PluginBackend *own;
    const PluginSink *sink;
    Map seen;
    size_t bytes, bad;
    uint8_t can;
    Error bad_one; /* the first */
} Look;

/* False where it is more than anybody may say. */
static bool take_cluster(Look *look, const RpcMessage *message, Error *error)
{
    const cJSON *cluster = json_member(message->params, "cluster");
    RecordFields fields;
    Pair *pairs = NULL;
    Error bad;
    look->bytes += message->bytes;
    if (look->bytes > PLUGIN_BYTES_MAX)
        return error_set(error, ERROR_BAD_REPLY, look->own->plugin->where, NULL, "more than 256 MiB in one discovery");
    if (!plugin_fields(look->own, cluster, look->can, &fields, &pairs, &bad)) {
        if (look->bad++ == 0)
            look->bad_one = bad;
    } else if (!map_has(&look->seen, fields.id)) {
        if (look->seen.used >= PLUGIN_CLUSTERS_MAX) {
            free(pairs);
            return error_set(error, ERROR_BAD_REPLY, look->own->plugin->where, NULL, "more than %d clusters in one discovery", PLUGIN_CLUSTERS_MAX);
        }
        map_put(&look->seen, fields.id, look);
        look->sink->cluster(look->sink->user, &fields);
    }
    free(pairs);
    return true;
}

static RpcEvent next_within(RpcRequest *request, const Context *context, int64_t ms, RpcMessage *message, Error *error)
{
    Context part = context_within(context, ms);
    return rpc_next(request, &part, message, error);
}

static bool look_result(const Look *look, const cJSON *result, Error *error)
{
    const char *reason = json_text(result, "reason");
    if (json_truth(result, "complete") == 0)
        return error_set(error, ERROR_PARTIAL, look->own->plugin->where, NULL, "%s", reason && *reason ? reason : "it says that something is missing");
    if (look->bad)
        return error_set(error, ERROR_PARTIAL, look->own->plugin->where, NULL, "%zu left out: %s", look->bad, look->bad_one.what);
    return true;
}

static bool run_look(Look *look, Context *context, RpcRequest *request, Error *error)
{
    Rpc *rpc = look->own->plugin->rpc;
    int64_t stall = 10 * look->own->backend.config->timeout_ms;
    stall = stall > PLUGIN_STALL_MS ? stall : PLUGIN_STALL_MS;
    RpcMessage message;
    bool right = true, over = false;
    while (right && !over) {
        RpcEvent event = next_within(request, context, stall, &message, error);
        if (event == RPC_NOTE && strcmp(message.method, "cluster") == 0) {
            right = take_cluster(look, &message, error);
            if (!right)
                rpc_fail(rpc, error);
        } else if (event == RPC_RESULT) {
            right = look_result(look, message.result, error);
            over = true;
        } else if (event != RPC_NOTE) {
            if (event == RPC_WAITED && context_check(context, NULL, NULL))
                error_set(error, ERROR_TIMEOUT, look->own->plugin->where, NULL, "it said nothing for %lld s: asked anew", (long long)stall / 1000);
            right = false;
        }
        rpc_message_done(&message);
    }
    return right;
}

/* Until nobody else's discovery runs, or the context ends: one that hangs must not hold a change beyond its time. */
static bool begin_look(PluginBackend *own, const Context *context, Error *error)
{
    while (pthread_mutex_trylock(&own->discovering) != 0) {
        Context part = context_within(context, LOOK_AGAIN_MS);
        rpc_rest(own->plugin->rpc, &part, -1);
        if (!context_check(context, own->plugin->where, error))
            return false;
    }
    return true;
}

bool plugin_look(PluginBackend *own, Context *context, const PluginSink *sink, Error *error)
{
    Look look = {.own = own, .sink = sink};
    PluginHello hello;
    Buffer params;
    JsonWriter json;
    if (!plugin_hello(own->plugin, context, &hello, error))
        return false;
    look.can = hello.can;
    plugin_hello_done(&hello);
    if (!begin_look(own, context, error))
        return false;
    map_init(&look.seen);
    plugin_params(&json, &params, own);
    json_put_integer(&json, "deadline_ms", own->backend.config->timeout_ms);
    json_close(&json, '}');
    RpcRequest *request = rpc_send(own->plugin->rpc, "discover", params.bytes, false);
    bool right = run_look(&look, context, request, error);
    rpc_close(request);
    pthread_mutex_unlock(&own->discovering);
    buffer_done(&params);
    map_done(&look.seen, NULL);
    return right;
}

/* ------------------------------------------------------------------------------------------ schedulers that it wishes to be asked */

typedef struct Asked {
    DaskAddress place;
    char *address;
} Asked;

typedef struct Pass {
    PluginBackend *own;
    Sink *sink;
    bool probe;
    uint8_t can;
    Asked *asked;
    size_t count, capacity;
    Record **records; /* what the plugin said, beside asked */
    size_t record_capacity;
} Pass;

static void put_cluster(void *user, const RecordFields *fields)
{
    Pass *pass = user;
    DaskAddress place;
    sink_put(pass->sink, fields, fields->clients != NUMBER_UNKNOWN ? clock_wall_ms() : TIME_UNKNOWN);
    bool whole = fields->clients != NUMBER_UNKNOWN && fields->scheduler_id && fields->tasks.processing != NUMBER_UNKNOWN;
    if (!pass->probe || whole || !fields->address || !dask_address_parse(fields->address, &place) || place.inproc || place.websocket || place.tls)
        return;
    Record *record = record_new(fields, pass->own->backend.config->key, pass->own->backend.instance, clock_wall_ms(), TIME_UNKNOWN, NULL);
    if (!record)
        return;
    pass->asked = mem_grow(pass->asked, pass->count, &pass->capacity, sizeof *pass->asked);
    pass->records = mem_grow(pass->records, pass->count, &pass->record_capacity, sizeof *pass->records);
    pass->asked[pass->count] = (Asked){.place = place, .address = mem_text(fields->address)};
    pass->records[pass->count++] = record;
}

/* The plugin's word stands; the scheduler adds what it did not say. */
static void put_probed(void *user, const ProbeTarget *target, const ProbeFacts *facts)
{
    Pass *pass = user;
    const Record *record = pass->records[(size_t)((const Asked *)target->user - pass->asked)];
    RecordFields fields = record->is, probed;
    Buffer dashboard;
    char *key, *instance, *id;
    if (facts->result != PROBE_ANSWERED || facts->role != DASK_SCHEDULER || !record_id_split(record->is.id, &key, &instance, &id))
        return;
    buffer_init(&dashboard, 1024);
    record_fields_init(&probed);
    const char *host = ((const Asked *)target->user)->place.host;
    bool here = strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0;
    facts_to_fields(facts, host, here, &dashboard, &probed);
    fields.id = id;
#define FILL(field, unknown) fields.field = fields.field == (unknown) ? probed.field : fields.field
    FILL(scheduler_id, NULL);
    FILL(dashboard, NULL);
    FILL(python, NULL);
    FILL(dask, NULL);
    FILL(distributed, NULL);
    FILL(workers_ready, NUMBER_UNKNOWN);
    FILL(threads, NUMBER_UNKNOWN);
    FILL(memory, NUMBER_UNKNOWN);
    FILL(memory_used, NUMBER_UNKNOWN);
    FILL(workers_paused, NUMBER_UNKNOWN);
    FILL(clients, NUMBER_UNKNOWN);
    FILL(busy, -1);
    FILL(tasks.processing, NUMBER_UNKNOWN);
    FILL(tasks.waiting, NUMBER_UNKNOWN);
    FILL(tasks.queued, NUMBER_UNKNOWN);
    FILL(tasks.stored, NUMBER_UNKNOWN);
    FILL(tasks.erred, NUMBER_UNKNOWN);
    FILL(tasks.unrunnable, NUMBER_UNKNOWN);
    FILL(created_ms, TIME_UNKNOWN);
    FILL(last_active_ms, TIME_UNKNOWN);
    FILL(uid, NULL);
#undef FILL
    if (fields.status == STATUS_UNKNOWN)
        fields.status = probed.status;
    if (!fields.uid)
        fields.uid = fields.scheduler_id;
    sink_put(pass->sink, &fields, facts->counts_ms);
    buffer_done(&dashboard);
    free(key);
    free(instance);
    free(id);
}

static bool ask_schedulers(Pass *pass, Context *context, Error *error)
{
    PluginBackend *own = pass->own;
    int64_t whole = own->backend.config->timeout_ms - own->backend.config->timeout_ms / 20;
    if (pass->count == 0)
        return true;
    if (!own->io) {
        char *path = facts_memory_path();
        own->io = io_new(error);
        own->prober = own->io ? prober_new(own->io, path, own->backend.config->key) : NULL;
        free(path);
    }
    if (!own->io)
        return false;
    ProbeTarget *targets = mem_new(pass->count * sizeof *targets);
    for (size_t i = 0; i < pass->count; i++)
        targets[i] = (ProbeTarget){.key = pass->asked[i].address, .stream = {.host = pass->asked[i].place.host, .port = pass->asked[i].place.port, .connect_ms = whole},
                                   .role = DASK_SCHEDULER, .first_ms = whole, .whole_ms = whole, .depth = facts_depth(own->backend.config),
                                   .user = &pass->asked[i]};
    bool right = prober_run(own->prober, context, targets, pass->count, put_probed, put_probed, pass, error);
    free(targets);
    return right;
}

bool plugin_discover(Backend *backend, Context *context, Sink *sink, Error *error)
{
    PluginBackend *own = (PluginBackend *)backend;
    Pass pass = {.own = own, .sink = sink};
    PluginSink to = {put_cluster, &pass};
    PluginHello hello;
    if (!plugin_hello(own->plugin, context, &hello, error))
        return false;
    pass.probe = hello.probe && facts_depth(backend->config) != DEPTH_OFF;
    plugin_hello_done(&hello);
    bool right = plugin_look(own, context, &to, error);
    Error asking;
    if ((right || error->code == ERROR_PARTIAL) && !ask_schedulers(&pass, context, &asking) && right) {
        *error = asking;
        right = false;
    }
    for (size_t i = 0; i < pass.count; i++) {
        free(pass.asked[i].address);
        record_drop(pass.records[i]);
    }
    free(pass.asked);
    free(pass.records);
    return right;
}

/* ----------------------------------------------------------------------------------------------------------------- watch */

typedef struct Watch {
    PluginBackend *own;
    Sink *sink;
    Map seen;     /* until synced */
    bool synced;
    size_t bytes; /* until synced */
    uint8_t can;
} Watch;

static bool watch_note(Watch *watch, const RpcMessage *message, Error *error)
{
    const char *where = watch->own->plugin->where;
    if (strcmp(message->method, "synced") == 0) {
        if (!watch->synced)
            sink_synced(watch->sink);
        watch->synced = true;
        map_done(&watch->seen, NULL);
        map_init(&watch->seen);
        return true;
    }
    if (strcmp(message->method, "gone") == 0) {
        const char *id = json_text(message->params, "id");
        if (id && *id)
            sink_gone(watch->sink, id);
        return true;
    }
    if (strcmp(message->method, "cluster") != 0)
        return true;
    RecordFields fields;
    Pair *pairs = NULL;
    Error bad;
    watch->bytes += watch->synced ? 0 : message->bytes;
    if (watch->bytes > PLUGIN_BYTES_MAX)
        return error_set(error, ERROR_BAD_REPLY, where, NULL, "more than 256 MiB before it was synced");
    if (watch->seen.used >= PLUGIN_CLUSTERS_MAX)
        return error_set(error, ERROR_BAD_REPLY, where, NULL, "more than %d clusters", PLUGIN_CLUSTERS_MAX);
    if (!plugin_fields(watch->own, json_member(message->params, "cluster"), watch->can, &fields, &pairs, &bad)) {
        sink_partial(watch->sink, bad.what);
    } else if (watch->synced || !map_has(&watch->seen, fields.id)) {
        if (!watch->synced)
            map_put(&watch->seen, fields.id, watch);
        sink_put(watch->sink, &fields, fields.clients != NUMBER_UNKNOWN ? clock_wall_ms() : TIME_UNKNOWN);
    }
    free(pairs);
    return true;
}

bool plugin_watch(Backend *backend, Context *context, Sink *sink, Error *error)
{
    PluginBackend *own = (PluginBackend *)backend;
    Watch watch = {.own = own, .sink = sink};
    PluginHello hello;
    Buffer params;
    JsonWriter json;
    RpcMessage message;
    if (!plugin_hello(own->plugin, context, &hello, error))
        return false;
    watch.can = hello.can;
    bool can_watch = hello.watch;
    plugin_hello_done(&hello);
    if (!can_watch)
        return error_set(error, ERROR_UNSUPPORTED, own->plugin->where, NULL, "it cannot be watched");
    map_init(&watch.seen);
    plugin_params(&json, &params, own);
    json_close(&json, '}');
    RpcRequest *request = rpc_send(own->plugin->rpc, "watch", params.bytes, false);
    buffer_done(&params);
    bool right = true, over = false;
    while (right && !over) {
        RpcEvent event = rpc_next(request, context, &message, error);
        if (event == RPC_NOTE) {
            right = watch_note(&watch, &message, error);
            if (!right)
                rpc_fail(own->plugin->rpc, error);
        } else {
            over = true;
            right = event == RPC_RESULT;
        }
        rpc_message_done(&message);
    }
    rpc_close(request);
    map_done(&watch.seen, NULL);
    return right;
}
