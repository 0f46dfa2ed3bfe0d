/* A plugin's cluster, reconstructed. What the plugin has no method for is done through the scheduler where its address is known. */
#include "backends/common/plugin_inside.h"
#include "backends/common/security.h"
#include "backends/common/tail.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { CAUGHT_UP_MS = 100 };

/* The target, as every request about one cluster names it. */
void plugin_target(JsonWriter *json, Buffer *out, const PluginHandle *handle)
{
    plugin_params(json, out, handle->own);
    json_put_text(json, "id", handle->id);
    json_put_text(json, "uid", handle->handle.record->is.uid);
}

/* A request with no notes that matter; params are closed and freed. */
bool plugin_ask(const PluginHandle *handle, const Context *context, const char *method, JsonWriter *json, cJSON **result, bool *missing,
                Error *error)
{
    json_close(json, '}');
    bool right = rpc_call(handle->own->plugin->rpc, context, method, json->out->bytes, result, missing, error);
    buffer_done(json->out);
    return right;
}

/* ------------------------------------------------------------------------------------------------------------------ show */

/* Its record now. ERROR_CONFLICT where another incarnation has its id. */
Record *plugin_fresh(const PluginHandle *handle, const cJSON *cluster, Error *error)
{
    const Record *record = handle->handle.record;
    RecordFields fields;
    Pair *pairs = NULL;
    PluginHello hello;
    Context now = context_new(NULL, 0);
    uint8_t can = plugin_hello(handle->own->plugin, &now, &hello, NULL) ? hello.can : record->is.can;
    plugin_hello_done(&hello);
    Record *fresh = NULL;
    if (plugin_fields(handle->own, cluster, can, &fields, &pairs, error)) {
        if (strcmp(fields.id, handle->id) != 0)
            error_set(error, ERROR_BAD_REPLY, record->is.id, NULL, "asked about this cluster it told of another: %s", fields.id);
        else if (record->is.uid && fields.uid && strcmp(record->is.uid, fields.uid) != 0)
            error_set(error, ERROR_CONFLICT, record->is.id, "look at it again", "changed since it was seen: another cluster has its id");
        else
            fresh = record_new(&fields, record->backend, record->instance, clock_wall_ms(), fields.clients != NUMBER_UNKNOWN ? clock_wall_ms() : TIME_UNKNOWN, error);
    }
    free(pairs);
    return fresh;
}

bool plugin_ask_show(const PluginHandle *handle, const Context *context, cJSON **result, bool *missing, Error *error)
{
    Buffer params;
    JsonWriter json;
    plugin_target(&json, &params, handle);
    return plugin_ask(handle, context, "show", &json, result, missing, error);
}

static void add_workers(const cJSON *workers, Description *out)
{
    const cJSON *item;
    if (!cJSON_IsArray(workers))
        return;
    cJSON_ArrayForEach(item, workers) {
        const char *name = json_text(item, "name"), *address = json_text(item, "address");
        if (out->worker_count >= PLUGIN_ITEMS_MAX || (!name && !address))
            continue;
        DescribedWorker *worker = description_worker(out, name ? name : address, address);
        description_text(&worker->host, json_text(item, "host"));
        description_text(&worker->status, json_text(item, "status"));
        description_text(&worker->group, json_text(item, "group"));
        description_text(&worker->resource, json_text(item, "resource"));
        worker->threads = json_integer(item, "threads");
        worker->memory_limit = json_integer(item, "memory_limit");
        worker->memory = json_integer(item, "memory");
        worker->spilled = json_integer(item, "spilled");
        worker->processing = json_integer(item, "processing");
        worker->stored = json_integer(item, "stored");
        worker->pid = json_integer(item, "pid");
        worker->cpu = json_number(item, "cpu");
    }
}

static void add_resources(const cJSON *resources, Description *out)
{
    const cJSON *item;
    if (!cJSON_IsArray(resources))
        return;
    cJSON_ArrayForEach(item, resources) {
        const char *name = json_text(item, "name"), *kind = json_text(item, "kind");
        if (out->resource_count < PLUGIN_ITEMS_MAX && name)
            description_resource(out, kind ? kind : "resource", name, json_text(item, "uid"), json_text(item, "status"), -1);
    }
}

/* Workers sent as notes, then the answer. */
static bool run_show(PluginHandle *handle, Context *context, Description *out, cJSON **result, bool *missing, Error *error)
{
    Buffer params;
    JsonWriter json;
    RpcMessage message;
    RpcEvent event;
    plugin_target(&json, &params, handle);
    json_close(&json, '}');
    RpcRequest *request = rpc_send(handle->own->plugin->rpc, "show", params.bytes, true);
    buffer_done(&params);
    while ((event = rpc_next(request, context, &message, error)) == RPC_NOTE) {
        cJSON *list = cJSON_CreateArray();
        const cJSON *worker = json_member(message.params, "worker");
        if (cJSON_IsObject(worker))
            cJSON_AddItemReferenceToArray(list, (cJSON *)(uintptr_t)worker);
        add_workers(list, out);
        cJSON_Delete(list);
        rpc_message_done(&message);
    }
    *missing = rpc_is_missing(request);
    *result = event == RPC_RESULT ? cJSON_DetachItemFromObjectCaseSensitive(message.whole, "result") : NULL;
    rpc_message_done(&message);
    rpc_close(request);
    return event == RPC_RESULT;
}

static bool take_shown(PluginHandle *handle, const cJSON *result, Description *out, Error *error)
{
    const cJSON *cluster = json_member(result, "cluster");
    if (cJSON_IsObject(cluster)) {
        out->record = plugin_fresh(handle, cluster, error);
        if (!out->record)
            return false;
    } else {
        out->record = record_keep(handle->handle.record);
    }
    add_workers(json_member(result, "workers"), out);
    add_resources(json_member(result, "resources"), out);
    return true;
}

/* What the scheduler itself knows, where the plugin told of no workers. */
static void ask_scheduler(PluginHandle *handle, Context *context, Description *out)
{
    Error error;
    size_t told = out->worker_count;
    if (told || !handle->access.host)
        return;
    if (access_describe(&handle->access, context, out, &error))
        description_found(out, "its scheduler answers at %s, with %zu workers", handle->access.address, out->worker_count);
    else
        description_text(&out->workers_note, error.what);
}

/* Its plugin has no way to do this, or failed, and the scheduler itself can be asked instead. */
static bool scheduler_helps(const PluginHandle *handle, bool missing, const Error *error)
{
    bool failed = error->code == ERROR_UNSUPPORTED || error->code == ERROR_UNREACHABLE || error->code == ERROR_BAD_REPLY || error->code == ERROR_INTERNAL;
    return handle->access.host && (missing || failed);
}

static bool show(Handle *base, Context *context, Description *out, Error *error)
{
    PluginHandle *handle = plugin_handle(base);
    cJSON *result = NULL;
    Error why = {0};
    bool missing = false, right = run_show(handle, context, out, &result, &missing, &why);
    if (!right && error)
        *error = why;
    if (!right && (missing || scheduler_helps(handle, missing, &why))) {
        out->record = record_keep(base->record);
        if (missing)
            description_lost(out, "what it consists of: its plugin cannot show it");
        else
            description_lost(out, "what it consists of: %s", why.what);
        right = true;
    } else if (right) {
        right = take_shown(handle, result, out, error);
    }
    cJSON_Delete(result);
    if (!right)
        return false;
    ask_scheduler(handle, context, out);
    if (out->resource_count)
        description_found(out, "%zu %s, as its plugin says", out->resource_count, out->resource_count == 1 ? "resource" : "resources");
    if (!out->route)
        description_text(&out->route, handle->access.host ? "direct" : "through its plugin");
    return true;
}

/* ------------------------------------------------------------------------------------------------------------------ logs */

static void take_log(const RpcMessage *message, const LogSink *sink)
{
    const char *component = json_text(message->params, "component"), *time = json_text(message->params, "time");
    const char *line = json_text(message->params, "line");
    if (line && strcmp(message->method, "log") == 0)
        sink->line(sink->user, component ? component : "", time ? time_parse(time) : TIME_UNKNOWN, json_text(message->params, "level"), line, strlen(line));
}

static RpcRequest *send_logs(const PluginHandle *handle, const LogRequest *wanted)
{
    Buffer params;
    JsonWriter json;
    plugin_target(&json, &params, handle);
    if (wanted->components.count) {
        json_array(&json, "components");
        for (size_t i = 0; i < wanted->components.count; i++)
            json_put_text(&json, NULL, wanted->components.items[i]);
        json_close(&json, ']');
    } else {
        json_put_null(&json, "components");
    }
    json_put_integer(&json, "tail", wanted->tail < 0 ? NUMBER_UNKNOWN : wanted->tail);
    json_put_time(&json, "since", wanted->since_ms);
    json_put_truth(&json, "follow", wanted->follow);
    json_close(&json, '}');
    RpcRequest *request = rpc_send(handle->own->plugin->rpc, "logs", params.bytes, true);
    buffer_done(&params);
    return request;
}

static bool logs(Handle *base, Context *context, const LogRequest *wanted, const LogSink *sink, Error *error)
{
    PluginHandle *handle = plugin_handle(base);
    RpcRequest *request = send_logs(handle, wanted);
    RpcMessage message;
    Error why = {0};
    size_t lines = 0;
    bool right = true, over = false;
    int64_t told_ms = clock_mono_ms();
    while (!over) {
        Context part = context_within(context, CAUGHT_UP_MS);
        RpcEvent event = rpc_next(request, &part, &message, &why);
        size_t dropped = rpc_dropped(request);
        if (dropped)
            sink->dropped(sink->user, "", (int64_t)dropped);
        if (event == RPC_NOTE) {
            take_log(&message, sink);
            lines++;
        }
        bool waited = event == RPC_WAITED && context_check(context, NULL, &why);
        if (waited || clock_mono_ms() - told_ms > 2 * CAUGHT_UP_MS) {
            sink->caught_up(sink->user); /* silence: what there was has come; nor is it held back where it never falls silent */
            told_ms = clock_mono_ms();
        }
        if (event != RPC_NOTE && !waited) {
            over = true;
            right = event == RPC_RESULT;
        }
        rpc_message_done(&message);
    }
    bool missing = rpc_is_missing(request);
    rpc_close(request);
    if (!right && lines == 0 && scheduler_helps(handle, missing, &why))
        return tail_run(&handle->access, context, wanted, sink, error);
    sink->caught_up(sink->user);
    if (!right && error)
        *error = why;
    if (missing)
        return error_set(error, ERROR_UNSUPPORTED, base->record->is.id, NULL, "its plugin has no logs, and its scheduler's address is not known");
    return right;
}

/* ----------------------------------------------------------------------------------------------------------------- route */

static void close_route(void *own)
{
    rpc_close(own);
}

static bool take_route(const RpcMessage *message, RpcRequest *request, const Record *record, Route *route, Error *error)
{
    const cJSON *tls = json_member(message->params, "tls");
    const char *address = json_text(message->params, "address"), *dashboard = json_text(message->params, "dashboard");
    DaskAddress place;
    /* it goes into the environment of a program and on the screen: nothing but an address is passed on */
    if (!address || (!dask_address_parse(address, &place) && strncmp(address, "gateway://", 10) != 0) || !text_is_clean(address, strlen(address)))
        return error_set(error, ERROR_BAD_REPLY, record->is.id, NULL, "its plugin gave a route without an address");
    *route = (Route){.address = mem_text(address), .dashboard = mem_text(dashboard && text_is_clean(dashboard, strlen(dashboard)) ? dashboard : record->is.dashboard),
                     .ca_file = mem_text(json_text(tls, "ca")), .cert = mem_text(json_text(tls, "cert")), .key = mem_text(json_text(tls, "key")),
                     .words = mem_text("held open by its plugin"), .lost_fd = rpc_fd(request), .own = request, .close = close_route};
    return true;
}

static bool route(Handle *base, Context *context, const RouteWish *wish, Route *out, Error *error)
{
    PluginHandle *handle = plugin_handle(base);
    Buffer params;
    JsonWriter json;
    RpcMessage message;
    RpcEvent event;
    Error why = {0};
    plugin_target(&json, &params, handle);
    if (wish->port && !wish->dashboard)
        json_put_integer(&json, "port", wish->port);
    json_close(&json, '}');
    RpcRequest *request = rpc_send(handle->own->plugin->rpc, "route", params.bytes, true);
    buffer_done(&params);
    *out = (Route){.lost_fd = -1};
    bool right = false;
    while ((event = rpc_next(request, context, &message, &why)) == RPC_NOTE && strcmp(message.method, "route") != 0)
        rpc_message_done(&message);
    bool missing = rpc_is_missing(request);
    if (event == RPC_NOTE)
        right = take_route(&message, request, base->record, out, &why);
    else if (event == RPC_RESULT)
        error_set(&why, ERROR_BAD_REPLY, base->record->is.id, NULL, "its plugin ended the route before it gave one");
    rpc_message_done(&message);
    if (right) {
        Context none = context_new(NULL, 0);
        if (rpc_next(request, &none, &message, NULL) == RPC_NOTE) /* also drains what woke us: from here on readable means lost */
            rpc_message_done(&message);
        return true;
    }
    rpc_close(request);
    if (missing || scheduler_helps(handle, missing, &why))
        return access_route(&handle->access, base->record, out, error);
    if (error)
        *error = why;
    return false;
}

/* --------------------------------------------------------------------------------------------------------------- snippet */

static bool snippet(Handle *base, Context *context, Buffer *out, Error *error)
{
    PluginHandle *handle = plugin_handle(base);
    Buffer params;
    JsonWriter json;
    cJSON *result = NULL;
    bool missing = false;
    plugin_target(&json, &params, handle);
    bool right = plugin_ask(handle, context, "snippet", &json, &result, &missing, error);
    const char *python = json_text(result, "python");
    if (right && !python)
        right = error_set(error, ERROR_BAD_REPLY, base->record->is.id, NULL, "its plugin gave no Python");
    if (right) {
        const char *line = python;
        for (size_t n; *line; line += n + (line[n] == '\n')) { /* the sanitiser takes lines */
            n = strcspn(line, "\n");
            text_clean(out, line, n, TEXT_LINE_MAX);
            buffer_char(out, '\n');
        }
    }
    cJSON_Delete(result);
    return right || (missing && access_snippet(&handle->access, out, error));
}

/* ------------------------------------------------------------------------------------------------------------------ life */

static void close_handle(Handle *base)
{
    PluginHandle *handle = plugin_handle(base);
    access_done(&handle->access);
    free(handle->id);
    handle_done(base);
    free(handle);
}

static const HandleType handle_type = {
    .show = show, .plan = plugin_plan, .apply = plugin_apply, .logs = logs, .route = route, .snippet = snippet, .close = close_handle,
};

bool plugin_reconstruct(Backend *backend, Context *context, const Record *record, Handle **out, Error *error)
{
    char *key, *instance, *id;
    DaskAddress place;
    (void)context;
    if (!record_id_split(record->is.id, &key, &instance, &id))
        return error_set(error, ERROR_INTERNAL, record->is.id, NULL, "this is no id");
    PluginHandle *handle = mem_new(sizeof *handle);
    handle_init(&handle->handle, &handle_type, backend, record);
    handle->own = (PluginBackend *)backend;
    handle->id = id;
    free(key);
    free(instance);
    access_init(&handle->access, record->is.id);
    handle->access.address = mem_text(record->is.address);
    handle->access.scheduler_id = mem_text(record->is.scheduler_id);
    if (record->is.address && dask_address_parse(record->is.address, &place) && !place.inproc && !place.websocket) {
        handle->access.host = mem_text(place.host);
        handle->access.port = place.port;
        /* certificates, as Dask's own configuration has them */
        if (place.tls && (!security_read(backend->config, &handle->access.tls, NULL) || !handle->access.tls)) {
            free(handle->access.host);
            handle->access.host = NULL;
        }
    }
    *out = &handle->handle;
    return true;
}
