/* `backends --check KEY`: goes through the protocol with a child of its own and tells of each point. It changes nothing: neither
 * scale nor delete nor create is asked (create only with dry_run). */
#include "backends/common/plugin_inside.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { ANSWER_MS = 30000, CANCEL_MS = 2000, QUIET_MS = 300, CLUSTERS_LOOKED_AT = 1000 };

typedef struct Check {
    Plugin *plugin;
    Context *context;
    const Inspection *inspection;
    char *id, *uid;          /* of the first cluster */
    uint8_t can;
    bool watch;
    size_t clusters, wrong_fields;
    Map seen;
} Check;

static void tell(Check *check, bool right, const char *what, const char *format, ...) __attribute__((format(printf, 4, 5)));
static void tell(Check *check, bool right, const char *what, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *detail = format ? mem_vformat(format, args) : NULL;
    va_end(args);
    check->inspection->point(check->inspection->user, right, what, detail);
    free(detail);
}

/* --------------------------------------------------------------------------------------------------- a cluster's fields */

typedef enum Want { WANT_TEXT, WANT_COUNT, WANT_TIME, WANT_OBJECT, WANT_LIST, WANT_ADAPTIVE, WANT_STATUS, WANT_ANY } Want;

typedef struct Field {
    const char *name;
    Want want;
} Field;

static const Field fields_known[] = {
    {"id", WANT_TEXT},           {"uid", WANT_TEXT},          {"name", WANT_TEXT},       {"type", WANT_TEXT},        {"scheduler_id", WANT_TEXT},
    {"owner", WANT_TEXT},        {"origin", WANT_OBJECT},     {"status", WANT_STATUS},   {"address", WANT_TEXT},     {"dashboard", WANT_TEXT},
    {"workers", WANT_OBJECT},    {"adaptive", WANT_ADAPTIVE}, {"resources", WANT_COUNT}, {"threads", WANT_COUNT},    {"gpus", WANT_COUNT},
    {"memory", WANT_COUNT},      {"memory_used", WANT_COUNT}, {"tasks", WANT_OBJECT},    {"clients", WANT_COUNT},    {"versions", WANT_OBJECT},
    {"created", WANT_TIME},      {"last_active", WANT_TIME},  {"ends", WANT_OBJECT},     {"kept", WANT_OBJECT},      {"verdict", WANT_OBJECT},
    {"can", WANT_LIST},          {"cannot", WANT_OBJECT},     {"labels", WANT_OBJECT},   {"machines", WANT_LIST},    {"usage", WANT_OBJECT},
    {"cost", WANT_OBJECT},       {"same_as", WANT_ANY},       {"stale", WANT_ANY},       {"seen", WANT_TIME},        {"backend", WANT_TEXT},
    {"instance", WANT_TEXT},     {NULL, WANT_ANY},
};

static bool fits(const cJSON *value, Want want)
{
    if (cJSON_IsNull(value))
        return true;
    switch (want) {
    case WANT_TEXT:
        return cJSON_IsString(value);
    case WANT_COUNT:
        return cJSON_IsNumber(value) && value->valuedouble >= 0 && value->valuedouble <= 9007199254740992.0 &&
               value->valuedouble == (double)(int64_t)value->valuedouble;
    case WANT_TIME:
        return cJSON_IsString(value) && time_parse(value->valuestring) != TIME_UNKNOWN;
    case WANT_OBJECT:
        return cJSON_IsObject(value);
    case WANT_LIST:
        return cJSON_IsArray(value);
    case WANT_ADAPTIVE:
        return cJSON_IsObject(value) || cJSON_IsFalse(value);
    case WANT_STATUS:
        return cJSON_IsString(value) && (status_parse(value->valuestring) != STATUS_UNKNOWN || strcmp(value->valuestring, "unknown") == 0);
    default:
        return true;
    }
}

static const char *want_words(Want want)
{
    static const char *const words[] = {"a text", "a whole number, 0 or more", "a time as 2026-11-23T06:30:00Z", "an object", "a list",
                                        "false or {minimum, maximum}", "one of the contract's words", "anything"};
    return words[want];
}

static void check_field(Check *check, const char *id, const cJSON *value)
{
    const Field *field = fields_known;
    while (field->name && strcmp(field->name, value->string) != 0)
        field++;
    if (field->name && fits(value, field->want))
        return;
    if (check->wrong_fields++ >= 20) /* the same mistake in each of 10,000 clusters is one */
        return;
    if (field->name)
        tell(check, false, "cluster", "%s: %s should be %s, or null", id, value->string, want_words(field->want));
    else
        tell(check, false, "cluster", "%s: %s is no field of a cluster: put it under labels", id, value->string);
}

static void check_cluster(Check *check, const cJSON *cluster)
{
    const char *id = json_text(cluster, "id"), *name = json_text(cluster, "name");
    const cJSON *field;
    check->clusters++;
    if (!id || !*id || !name || !*name) {
        if (check->wrong_fields++ < 20)
            tell(check, false, "cluster", "number %zu has no %s", check->clusters, id && *id ? "name" : "id");
        return;
    }
    if (map_has(&check->seen, id) && check->wrong_fields++ < 20)
        tell(check, false, "cluster", "%s: this id came twice in one discovery", id);
    if (check->seen.used < PLUGIN_CLUSTERS_MAX)
        map_put(&check->seen, id, check);
    if (!check->id) {
        check->id = mem_text(id);
        check->uid = mem_text(json_text(cluster, "uid"));
    }
    if (check->clusters <= CLUSTERS_LOOKED_AT)
        cJSON_ArrayForEach(field, cluster)
            check_field(check, id, field);
}

/* ----------------------------------------------------------------------------------------------------------- the requests */

static bool over(Check *check, const char *what, RpcEvent event, const Error *error)
{
    if (event == RPC_WAITED)
        tell(check, false, what, "no answer within %d s", ANSWER_MS / 1000);
    else if (event == RPC_ERROR)
        tell(check, false, what, "%s", error->what);
    return event != RPC_RESULT;
}

/* Params about the first cluster, and one more member where it is given. */
static char *target(const Check *check, const char *id, const char *more)
{
    Buffer out;
    JsonWriter json;
    buffer_init(&out, BUFFER_ANY);
    json_begin(&json, &out);
    json_object(&json, NULL);
    json_put_text(&json, "id", id);
    json_put_text(&json, "uid", check->uid);
    json_close(&json, '}');
    if (more) {
        out.length--; /* the bracket */
        buffer_format(&out, ",%s}", more);
    }
    return buffer_take(&out);
}

static bool check_hello(Check *check)
{
    PluginHello hello;
    Error error;
    Context part = context_within(check->context, PLUGIN_HELLO_MS + 2000);
    if (!plugin_hello(check->plugin, &part, &hello, &error)) {
        tell(check, false, "hello", "%s", error.what);
        return false;
    }
    tell(check, hello.name && hello.version, "hello", "%s %s, protocol 1%s", hello.name ? hello.name : "(no name)",
         hello.version ? hello.version : "(no version)", hello.watch ? ", can be watched" : "");
    check->can = hello.can;
    check->watch = hello.watch;
    Buffer words;
    buffer_init(&words, BUFFER_ANY);
    for (int i = 0; i < CAN_COUNT; i++)
        if (hello.can & 1u << i)
            buffer_format(&words, "%s%s", words.length ? " " : "", capability_word((Capability)i));
    tell(check, true, "can", "%s", words.length ? words.bytes : "nothing but being looked at");
    buffer_done(&words);
    plugin_hello_done(&hello);
    return true;
}

static bool check_discover(Check *check)
{
    RpcMessage message;
    RpcEvent event;
    Error error;
    Context part = context_within(check->context, ANSWER_MS);
    int64_t begin = clock_mono_ms();
    RpcRequest *request = rpc_send(check->plugin->rpc, "discover", "{\"deadline_ms\":5000}", false);
    while ((event = rpc_next(request, &part, &message, &error)) == RPC_NOTE) {
        const cJSON *cluster = json_member(message.params, "cluster");
        if (strcmp(message.method, "cluster") != 0)
            tell(check, false, "discover", "%s is no notification of a discovery", message.method);
        else if (!cJSON_IsObject(cluster))
            tell(check, false, "discover", "a cluster notification without a cluster");
        else
            check_cluster(check, cluster);
        rpc_message_done(&message);
    }
    if (event == RPC_RESULT) {
        bool object = cJSON_IsObject(message.result), partial = json_truth(message.result, "complete") == 0;
        const char *reason = json_text(message.result, "reason");
        tell(check, object, "discover", object ? "%zu clusters in %lld ms%s%s" : "its result is no object (%zu clusters, %lld ms%s%s)", check->clusters,
             (long long)(clock_mono_ms() - begin), partial ? ", not complete: " : "", partial ? reason ? reason : "and no reason" : "");
        if (partial && !reason)
            tell(check, false, "discover", "complete is false without a reason");
    }
    if (check->wrong_fields > 20)
        tell(check, false, "cluster", "and %zu more of the like", check->wrong_fields - 20);
    bool right = !over(check, "discover", event, &error);
    rpc_message_done(&message);
    rpc_close(request);
    return right;
}

/* One request that has to be answered; *result is the caller's. False also where the method is missing. */
static bool asked(Check *check, const char *method, const char *params, cJSON **result, bool *missing, Error *error)
{
    Context part = context_within(check->context, ANSWER_MS);
    return rpc_call(check->plugin->rpc, &part, method, params, result, missing, error);
}

static void check_answer(Check *check, const char *method, char *params, bool needed, bool (*judge)(Check *check, const cJSON *result))
{
    cJSON *result = NULL;
    bool missing = false;
    Error error = {0};
    if (asked(check, method, params, &result, &missing, &error)) {
        if (!judge || judge(check, result))
            tell(check, true, method, NULL);
    } else if (missing) {
        tell(check, !needed, method, needed ? "it is missing, and `can` says that it is possible" : "not there: allowed");
    } else if (error.code == ERROR_UNSUPPORTED || error.code == ERROR_DENIED) {
        tell(check, true, method, "refused: %s", error.what);
    } else {
        tell(check, false, method, "%s", error.what);
    }
    cJSON_Delete(result);
    free(params);
}

static bool judge_show(Check *check, const cJSON *result)
{
    const cJSON *resources = json_member(result, "resources"), *item;
    const char *id = json_text(json_member(result, "cluster"), "id");
    bool right = true;
    if (!id || strcmp(id, check->id) != 0)
        tell(check, right = false, "show", "its cluster is not %s", check->id);
    if (resources && !cJSON_IsArray(resources))
        tell(check, right = false, "show", "resources is no list");
    else if (resources)
        cJSON_ArrayForEach(item, resources)
            if (!json_text(item, "kind") || !json_text(item, "name"))
                tell(check, right = false, "show", "a resource without kind or name");
    return right;
}

static bool judge_plan(Check *check, const cJSON *result)
{
    const cJSON *resources = json_member(result, "resources"), *item;
    bool right = true;
    if (!cJSON_IsArray(resources)) {
        tell(check, false, "plan", "resources is no list");
        return false;
    }
    cJSON_ArrayForEach(item, resources)
        if (!json_text(item, "uid"))
            tell(check, right = false, "plan", "a resource without uid: without an identity nothing is deleted");
    return right;
}

static bool judge_snippet(Check *check, const cJSON *result)
{
    bool right = json_text(result, "python") != NULL;
    if (!right)
        tell(check, false, "snippet", "its result has no python");
    return right;
}

static void check_code(Check *check, const char *what, const char *method, char *params, ErrorCode wanted, bool absent, const char *words)
{
    cJSON *result = NULL;
    bool missing = false;
    Error error = {0};
    bool answered = asked(check, method, params, &result, &missing, &error);
    bool right = !answered && (absent ? missing : missing || error.code == wanted);
    if (right)
        tell(check, true, what, NULL);
    else
        tell(check, false, what, "it should be answered with %s, not with %s", words, answered ? "a result" : error.what);
    cJSON_Delete(result);
    free(params);
}

/* A request that lasts is cancelled: it has to end with -32800 within 2 s. */
static void check_cancel(Check *check, const char *method, char *params)
{
    RpcMessage message;
    RpcEvent event;
    Error error = {0};
    Context part = context_within(check->context, QUIET_MS);
    RpcRequest *request = rpc_send(check->plugin->rpc, method, params, true);
    while ((event = rpc_next(request, &part, &message, &error)) == RPC_NOTE)
        rpc_message_done(&message);
    bool ended = event != RPC_WAITED;
    if (ended && rpc_is_missing(request)) {
        tell(check, true, method, "not there: allowed");
    } else if (ended) {
        tell(check, event == RPC_RESULT || error.code == ERROR_UNSUPPORTED, method, event == RPC_RESULT ? "it ended by itself" : "%s", error.what);
    } else {
        Context patience = context_within(check->context, CANCEL_MS);
        rpc_cancel(request);
        while ((event = rpc_next(request, &patience, &message, &error)) == RPC_NOTE)
            rpc_message_done(&message);
        if (event == RPC_WAITED)
            tell(check, false, "cancel", "%s did not end within 2 s of its cancel", method);
        else
            tell(check, event == RPC_ERROR && error.code == ERROR_CANCELLED, "cancel",
                 event == RPC_RESULT ? "%s ended with a result; a cancelled request ends with error -32800" : "%s: %s", method,
                 error.code == ERROR_CANCELLED ? "ends with -32800" : error.what);
    }
    rpc_message_done(&message);
    rpc_close(request);
    free(params);
}

static bool still_there(Check *check)
{
    Error error;
    Context part = context_within(check->context, PLUGIN_HELLO_MS);
    uint64_t starts = rpc_starts(check->plugin->rpc);
    if (rpc_ready(check->plugin->rpc, &part, &error) && rpc_starts(check->plugin->rpc) == starts && starts == 1)
        return true;
    tell(check, false, "conversation", "it ended before all was asked: %s", starts > 1 ? "it had to be started anew" : error.what);
    return false;
}

static void walk(Check *check)
{
    if (!check_hello(check) || !check_discover(check))
        return;
    check_code(check, "unknown method", "no-such-method", mem_text("{}"), ERROR_UNSUPPORTED, true, "-32601");
    if (check->id) {
        check_answer(check, "show", target(check, check->id, NULL), false, judge_show);
        if (check->can & (1u << CAN_DELETE | 1u << CAN_SCALE))
            check_answer(check, "plan", target(check, check->id, check->can & 1u << CAN_DELETE ? "\"change\":{\"delete\":true}" : "\"change\":{\"scale\":1}"), false, judge_plan);
        if (check->can & 1u << CAN_SNIPPET)
            check_answer(check, "snippet", target(check, check->id, NULL), true, judge_snippet);
        check_code(check, "unknown cluster", "show", target(check, "no-such-cluster", NULL), ERROR_NOT_FOUND, false, "-32002");
        if (check->can & 1u << CAN_LOGS)
            check_cancel(check, "logs", target(check, check->id, "\"components\":null,\"tail\":10,\"since\":null,\"follow\":true"));
    } else {
        tell(check, true, "show", "not tried: there is no cluster");
    }
    if (check->watch)
        check_cancel(check, "watch", mem_text("{}"));
    still_there(check);
}

bool plugin_inspect(const PluginSpec *spec, Context *context, const Inspection *inspection, Error *error)
{
    Check check = {.context = context, .inspection = inspection};
    check.plugin = plugin_new(spec, error);
    if (!check.plugin)
        return false;
    map_init(&check.seen);
    walk(&check);
    map_done(&check.seen, NULL);
    plugin_drop(check.plugin);
    free(check.id);
    free(check.uid);
    return context_check(context, spec->where, error);
}
