/* Changes through a plugin: plan, apply, create. */
#include "backends/common/plugin_inside.h"
#include "backends/common/retire.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { VERIFY_MS = 500 };

/* What a plan of ours keeps: the plugin's token. */
typedef struct Token {
    char *json; /* NULL: it gave none */
    int64_t minimum, maximum;
    bool adapt_off;
} Token;

/* ------------------------------------------------------------------------------------------------------------------ plan */

static void free_token(Plan *plan, PlanStep *step)
{
    if (step) {
        free(step->own);
        step->own = NULL;
        return;
    }
    Token *token = plan->own;
    free(token->json);
    free(token);
    plan->own = NULL;
}

static void put_adapt(JsonWriter *json, const Change *change)
{
    if (change->adapt_off) {
        json_put_null(json, "adapt");
        return;
    }
    json_object(json, "adapt");
    json_put_integer(json, "minimum", change->minimum);
    json_put_integer(json, "maximum", change->maximum);
    json_close(json, '}');
}

static bool ask_plan(const PluginHandle *handle, Context *context, const Change *change, cJSON **result, bool *missing, Error *error)
{
    Buffer params;
    JsonWriter json;
    plugin_target(&json, &params, handle);
    json_object(&json, "change");
    if (change->kind == CHANGE_DELETE)
        json_put_truth(&json, "delete", 1);
    else if (change->kind == CHANGE_SCALE)
        json_put_integer(&json, "scale", change->workers);
    else
        put_adapt(&json, change);
    json_close(&json, '}');
    return plugin_ask(handle, context, "plan", &json, result, missing, error);
}

/* The uid travels in `own`, unsanitised, because it goes back to the plugin as it came. */
static void add_steps(Plan *plan, const cJSON *resources, StepFate fate)
{
    const cJSON *item;
    if (!cJSON_IsArray(resources))
        return;
    cJSON_ArrayForEach(item, resources) {
        const char *name = json_text(item, "name"), *kind = json_text(item, "kind"), *uid = json_text(item, "uid"), *does = json_text(item, "fate");
        if (plan->count >= PLUGIN_ITEMS_MAX || (!name && !uid))
            continue;
        StepFate one = does && strcmp(does, "stays") == 0 ? STEP_STAYS : does && strcmp(does, "starts") == 0 ? STEP_STARTS : fate;
        PlanStep *step = plan_step(plan, one, kind ? kind : "resource", name ? name : uid, uid);
        step->own = mem_text(uid);
        if (fate == STEP_ENDS && one == fate)
            plan_call(step, "deleted by its plugin");
    }
}

/* Without `plan`: what show lists; without anything to list, the cluster as a whole, by its uid. */
static bool plan_without(PluginHandle *handle, Context *context, const Change *change, Plan *plan, Error *error)
{
    const RecordFields *is = &handle->handle.record->is;
    cJSON *result = NULL;
    bool missing = false;
    if (!plugin_ask_show(handle, context, &result, &missing, error) && !missing)
        return false;
    if (change->kind == CHANGE_DELETE)
        add_steps(plan, json_member(result, "resources"), STEP_ENDS);
    cJSON_Delete(result);
    if (plan->count)
        return true;
    if (!is->uid && change->kind == CHANGE_DELETE)
        return error_set(error, ERROR_UNSUPPORTED, is->id, NULL, "its plugin names neither its uid nor its resources: without an identity nothing is deleted");
    PlanStep *step = plan_step(plan, change->kind == CHANGE_DELETE ? STEP_ENDS : STEP_CHANGES, "cluster", is->name, is->uid);
    plan_call(step, "%s by its plugin", change->kind == CHANGE_DELETE ? "deleted" : "changed");
    return true;
}

static bool plan_delete_or_scale(PluginHandle *handle, Context *context, const Change *change, Plan *plan, Token *token, Error *error)
{
    const RecordFields *is = &handle->handle.record->is;
    cJSON *result = NULL;
    bool missing = false, right = ask_plan(handle, context, change, &result, &missing, error);
    if (!right && missing)
        return plan_without(handle, context, change, plan, error);
    if (!right)
        return false;
    add_steps(plan, json_member(result, "resources"), change->kind == CHANGE_DELETE ? STEP_ENDS : STEP_CHANGES);
    const cJSON *kept = json_member(result, "plan");
    const char *note = json_text(result, "note"), *clamped = json_text(result, "clamped");
    if (kept && !cJSON_IsNull(kept))
        token->json = cJSON_PrintUnformatted(kept);
    if (note && *note)
        plan_note(plan, "%s", note);
    if (clamped && *clamped)
        plan->clamped = mem_text(clamped);
    cJSON_Delete(result);
    if (plan->count == 0 && change->kind == CHANGE_DELETE && !is->uid)
        return error_set(error, ERROR_UNSUPPORTED, is->id, NULL, "its plugin's plan names no resource and it has no uid: without an identity nothing is deleted");
    if (plan->count == 0)
        plan_call(plan_step(plan, change->kind == CHANGE_DELETE ? STEP_ENDS : STEP_CHANGES, "cluster", is->name, is->uid), "by its plugin");
    return true;
}

bool plugin_plan(Handle *base, Context *context, const Change *change, Plan **out, Error *error)
{
    PluginHandle *handle = plugin_handle(base);
    const RecordFields *is = &base->record->is;
    *out = plan_new(change->kind, base->record);
    (*out)->wait = change->wait;
    (*out)->now = is->workers_wanted != NUMBER_UNKNOWN ? is->workers_wanted : is->workers_ready;
    bool right;
    if (change->kind == CHANGE_RETIRE) {
        /* the workers leave through the scheduler; what they ran in is the plugin's, and not ours to end one by one */
        right = retire_plan(&handle->access, context, change, *out, error);
    } else {
        Token *token = mem_new(sizeof *token);
        *token = (Token){.minimum = change->minimum, .maximum = change->maximum, .adapt_off = change->adapt_off};
        (*out)->own = token;
        (*out)->free_own = free_token;
        (*out)->then = change->kind == CHANGE_SCALE ? change->workers : change->kind == CHANGE_DELETE ? 0 : NUMBER_UNKNOWN;
        right = plan_delete_or_scale(handle, context, change, *out, token, error);
    }
    if (right)
        return true;
    plan_free(*out);
    *out = NULL;
    return false;
}

/* ----------------------------------------------------------------------------------------------------------------- apply */

static void tell_progress(const RpcMessage *message, const Progress *progress)
{
    const char *words = json_text(message->params, "message");
    int64_t done = json_integer(message->params, "done"), total = json_integer(message->params, "total");
    if (strcmp(message->method, "progress") == 0)
        progress_tell(progress, PHASE_RUNNING, done < 0 ? NUMBER_UNKNOWN : done, total < 0 ? NUMBER_UNKNOWN : total, "%s", words ? words : "");
}

static bool run_with_progress(PluginBackend *own, Context *context, const char *method, JsonWriter *json, const Progress *progress, cJSON **result,
                              Error *error)
{
    RpcMessage message;
    RpcEvent event;
    json_close(json, '}');
    RpcRequest *request = rpc_send(own->plugin->rpc, method, json->out->bytes, true);
    buffer_done(json->out);
    while ((event = rpc_next(request, context, &message, error)) == RPC_NOTE) {
        tell_progress(&message, progress);
        rpc_message_done(&message);
    }
    *result = event == RPC_RESULT ? cJSON_DetachItemFromObjectCaseSensitive(message.whole, "result") : NULL;
    if (event == RPC_ERROR && rpc_is_missing(request) && error)
        error_set(error, ERROR_UNSUPPORTED, own->plugin->where, NULL, "its plugin cannot %s", method);
    rpc_message_done(&message);
    rpc_close(request);
    return event == RPC_RESULT;
}

static bool plan_has(const Plan *made, const char *uid)
{
    for (size_t i = 0; i < made->count; i++)
        if (made->steps[i].own && strcmp(made->steps[i].own, uid) == 0)
            return true;
    return false;
}

/* The identity just before: the plugin's show, or where it has none its discovery. Newcomers are named. */
typedef struct Recheck {
    const PluginHandle *handle;
    bool found, changed;
    int64_t workers;
} Recheck;

static void recheck_cluster(void *user, const RecordFields *fields)
{
    Recheck *recheck = user;
    const char *uid = recheck->handle->handle.record->is.uid;
    if (strcmp(fields->id, recheck->handle->id) != 0)
        return;
    recheck->found = true;
    recheck->changed = uid && fields->uid && strcmp(uid, fields->uid) != 0;
    recheck->workers = fields->workers_ready;
}

/* found false: it is gone, for certain. */
static bool look_again(const PluginHandle *handle, Context *context, Recheck *recheck, cJSON **shown, Error *error)
{
    Error why;
    bool missing = false;
    *recheck = (Recheck){.handle = handle, .workers = NUMBER_UNKNOWN};
    *shown = NULL;
    if (plugin_ask_show(handle, context, shown, &missing, &why)) {
        const cJSON *cluster = json_member(*shown, "cluster");
        Record *record = cJSON_IsObject(cluster) ? plugin_fresh(handle, cluster, &why) : NULL;
        recheck->found = true;
        recheck->changed = cJSON_IsObject(cluster) && !record && why.code == ERROR_CONFLICT;
        recheck->workers = record ? record->is.workers_ready : NUMBER_UNKNOWN;
        record_drop(record);
        return true;
    }
    if (why.code == ERROR_NOT_FOUND)
        return true;
    if (!missing) {
        if (error)
            *error = why;
        return false;
    }
    PluginSink sink = {recheck_cluster, recheck};
    if (plugin_look(handle->own, context, &sink, &why) || (why.code == ERROR_PARTIAL && recheck->found))
        return true;
    if (error)
        *error = why;
    return false;
}

static bool check_identity(const PluginHandle *handle, Context *context, const Plan *made, Outcome *outcome, Error *error)
{
    const char *id = handle->handle.record->is.id;
    Recheck recheck;
    cJSON *shown, *item;
    if (!look_again(handle, context, &recheck, &shown, error))
        return false;
    const cJSON *resources = json_member(shown, "resources");
    if (made->kind == CHANGE_DELETE && cJSON_IsArray(resources) && outcome)
        cJSON_ArrayForEach(item, resources) {
            const char *uid = json_text(item, "uid"), *name = json_text(item, "name");
            if (uid && !plan_has(made, uid) && plan_count(made, STEP_ENDS) && made->steps[0].own)
                list_add(&outcome->newcomers, name ? name : uid);
        }
    cJSON_Delete(shown);
    if (!recheck.found)
        return error_set(error, ERROR_NOT_FOUND, id, NULL, "it is gone already");
    return !recheck.changed || error_set(error, ERROR_CONFLICT, id, "look at it again", "changed since it was seen: nothing was done");
}

static void put_token(JsonWriter *json, const Token *token)
{
    cJSON *tree = token->json ? cJSON_Parse(token->json) : NULL;
    if (tree)
        json_put_tree(json, "plan", tree);
    cJSON_Delete(tree);
}

static bool apply_delete(PluginHandle *handle, Context *context, const Plan *made, const Progress *progress, Outcome *outcome, Error *error)
{
    Buffer params;
    JsonWriter json;
    cJSON *result, *item;
    plugin_target(&json, &params, handle);
    put_token(&json, made->own);
    json_array(&json, "resources");
    for (size_t i = 0; i < made->count; i++)
        if (made->steps[i].fate == STEP_ENDS && made->steps[i].own)
            json_put_text(&json, NULL, made->steps[i].own);
    json_close(&json, ']');
    if (!run_with_progress(handle->own, context, "delete", &json, progress, &result, error))
        return false;
    const cJSON *left = json_member(result, "left_over");
    if (cJSON_IsArray(left))
        cJSON_ArrayForEach(item, left) {
            const char *name = cJSON_IsString(item) ? item->valuestring : json_text(item, "name");
            if (name && outcome->left_over.count < 100)
                list_add(&outcome->left_over, name);
        }
    cJSON_Delete(result);
    return true;
}

static bool pause_between(Context *context, Error *error)
{
    Io *io = io_new(error);
    bool right = io && io_sleep(io, context, VERIFY_MS, error);
    io_free(io);
    return right;
}

static bool verify_gone(PluginHandle *handle, Context *context, const Progress *progress, Error *error)
{
    for (;;) {
        Recheck recheck;
        cJSON *shown;
        if (!look_again(handle, context, &recheck, &shown, error))
            return false;
        cJSON_Delete(shown);
        if (!recheck.found || recheck.changed)
            return true;
        progress_tell(progress, PHASE_VERIFYING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "waiting until its system no longer knows it");
        if (!pause_between(context, error))
            return false;
    }
}

static bool apply_scale(PluginHandle *handle, Context *context, const Plan *made, const Progress *progress, Outcome *outcome, Error *error)
{
    const Token *token = made->own;
    Buffer params;
    JsonWriter json;
    cJSON *result;
    plugin_target(&json, &params, handle);
    put_token(&json, token);
    if (made->kind == CHANGE_SCALE) {
        json_put_integer(&json, "workers", made->then);
    } else {
        Change change = {.adapt_off = token->adapt_off, .minimum = token->minimum, .maximum = token->maximum};
        put_adapt(&json, &change);
    }
    if (!run_with_progress(handle->own, context, "scale", &json, progress, &result, error))
        return false;
    const cJSON *cluster = json_member(result, "cluster"), *workers = json_member(cluster, "workers");
    const char *clamped = json_text(result, "clamped");
    int64_t wanted = json_integer(workers, "wanted");
    outcome->workers = json_integer(workers, "ready");
    if (clamped)
        outcome->clamped = mem_text(clamped);
    else if (made->kind == CHANGE_SCALE && wanted >= 0 && wanted != made->then)
        outcome->clamped = mem_format("its plugin made it %lld workers, not %lld", (long long)wanted, (long long)made->then);
    cJSON_Delete(result);
    return true;
}

/* Until as many workers are there as were wished for; a plugin that does not count them is believed. */
static bool verify_scaled(PluginHandle *handle, Context *context, const Plan *made, const Progress *progress, Outcome *outcome, Error *error)
{
    while (made->kind == CHANGE_SCALE && !outcome->clamped && outcome->workers != made->then) {
        Recheck recheck;
        cJSON *shown;
        if (!look_again(handle, context, &recheck, &shown, error))
            return false;
        cJSON_Delete(shown);
        if (!recheck.found)
            return error_set(error, ERROR_NOT_FOUND, handle->handle.record->is.id, NULL, "it went while it was scaled");
        if (recheck.workers == NUMBER_UNKNOWN)
            return true;
        outcome->workers = recheck.workers;
        progress_tell(progress, PHASE_VERIFYING, recheck.workers, made->then, "waiting until its workers are registered");
        if (recheck.workers != made->then && !pause_between(context, error))
            return false;
    }
    return true;
}

bool plugin_apply(Handle *base, Context *context, const Plan *made, const Progress *progress, Outcome *outcome, Error *error)
{
    PluginHandle *handle = plugin_handle(base);
    if (made->kind == CHANGE_RETIRE)
        return retire_apply(&handle->access, context, made, progress, outcome, error);
    if (!check_identity(handle, context, made, outcome, error))
        return false;
    if (made->kind == CHANGE_DELETE)
        return apply_delete(handle, context, made, progress, outcome, error) && (!made->wait || verify_gone(handle, context, progress, error));
    return apply_scale(handle, context, made, progress, outcome, error) &&
           (!made->wait || verify_scaled(handle, context, made, progress, outcome, error));
}

/* ---------------------------------------------------------------------------------------------------------------- create */

static void create_params(JsonWriter *json, Buffer *out, PluginBackend *own, const Spec *spec, bool dry_run)
{
    plugin_params(json, out, own);
    cJSON *tree = tree_json(spec->document);
    json_put_tree(json, "spec", tree);
    cJSON_Delete(tree);
    json_put_text(json, "name", spec->name);
    json_put_integer(json, "workers", spec->workers);
    json_put_truth(json, "dry_run", dry_run);
}

static void plan_created(const PluginBackend *own, const Spec *spec, const cJSON *result, Plan *plan)
{
    const cJSON *cluster = json_member(result, "cluster");
    const char *name = json_text(cluster, "name"), *type = json_text(cluster, "type"), *note = json_text(result, "note");
    name = name ? name : spec->name ? spec->name : "a new cluster";
    add_steps(plan, json_member(result, "resources"), STEP_STARTS);
    if (plan->count == 0) {
        PlanStep *step = plan_step(plan, STEP_STARTS, "cluster", name, NULL);
        plan_call(step, "%s%s%s made by %s", type ? type : spec->module ? spec->module : "", type || !spec->module ? "" : ".",
                  type || !spec->class_name ? "" : spec->class_name, own->plugin->where);
    }
    plan->name = plan->name ? plan->name : text_clean_new(name, strlen(name), TEXT_NAME_MAX);
    plan->now = 0;
    plan->then = spec->workers;
    plan->free_own = free_token;
    if (note && *note)
        plan_note(plan, "%s", note);
}

bool plugin_create(Backend *backend, Context *context, const Spec *spec, bool dry_run, Plan *plan, const Progress *progress, Outcome *outcome,
                   Error *error)
{
    PluginBackend *own = (PluginBackend *)backend;
    Buffer params;
    JsonWriter json;
    cJSON *result = NULL;
    create_params(&json, &params, own, spec, dry_run);
    bool right = run_with_progress(own, context, "create", &json, progress, &result, error);
    if (!right && error && error->code == ERROR_BAD_REPLY && spec->document->where_file)
        error->code = ERROR_USAGE;
    if (right && dry_run) {
        plan_created(own, spec, result, plan);
    } else if (right) {
        const cJSON *cluster = json_member(result, "cluster");
        const char *id = json_text(cluster, "id"), *entry = json_text(result, "entry_point"), *address = json_text(cluster, "address");
        bool elsewhere = backend->instance && !entry; /* none of its instances will name it: the backend that finds its scheduler will */
        if (id && *id && elsewhere && address)
            outcome->id = text_clean_new(address, strlen(address), TEXT_NAME_MAX);
        else if (id && *id)
            outcome->id = record_id(backend->config->key, backend->instance ? entry ? entry : backend->instance : NULL, id);
        outcome->workers = json_integer(json_member(cluster, "workers"), "ready");
        right = id != NULL || error_set(error, ERROR_BAD_REPLY, own->plugin->where, NULL, "it does not say what it made");
    }
    cJSON_Delete(result);
    return right;
}
