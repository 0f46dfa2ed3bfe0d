/* Deleting: what is above everything is deleted in the foreground, bound to its uid and to what was seen of it; what it owns goes with it; what
 * nobody owns is deleted by itself. Then it is looked at until nothing of it is left. */
#include "backends/kubernetes/deed.h"

#include "backends/kubernetes/tools.h"
#include "base/mem.h"
#include "io/child.h"

#include <stdlib.h>
#include <string.h>

/* How long the operator may take with what it alone can let go (seen: two seconds). */
enum { STUCK_MS = 15000, LOOK_MS = 500, HELM_MS = 120000 };

static bool is_held(const KubeObject *object)
{
    return object && object->deleting_ms != TIME_UNKNOWN && object->held;
}

/* Its deletion was asked for, and nobody does what has to be done before it can go. */
static bool is_stuck(const KubeObject *object, int64_t ahead_ms)
{
    return is_held(object) && clock_wall_ms() - clock_here_ms(object->deleting_ms, ahead_ms) > STUCK_MS;
}

/* ------------------------------------------------------------------------------------------------------------------- plan */

static Need need_of(const KubeThing *thing)
{
    const char *plural = thing->kind->plural;
    return strcmp(plural, "daskjobs") == 0 ? NEED_DELETE_JOB : strcmp(plural, "daskautoscalers") == 0 ? NEED_DELETE_SCALER
           : strcmp(plural, "daskclusters") == 0 ? NEED_DELETE_CLUSTER : strcmp(plural, "deployments") == 0 ? NEED_DELETE_DEPLOYMENT : NEED_DELETE_PODS;
}

/* The one at the top of the tree, or what nobody of the tree owns. insist: on all that was seen of it, too. */
static PlanStep *add_deletion(const KubeSight *sight, const Context *context, const KubeThing *thing, bool insist, Plan *plan)
{
    char *path = thing_path(thing, sight->row->namespace);
    PlanStep *step = plan_step(plan, STEP_ENDS, thing->kind->word, thing->name, thing->uid);
    uint64_t spec = insist ? deed_spec_of(sight, context, path) : 0;
    plan_call(step, "DELETE %s, in the foreground, if it is still this one%s", path, spec ? " and unchanged" : "");
    Deed *deed = deed_new(step, DEED_DELETE, path, thing->uid, need_of(thing));
    deed->spec = spec;
    return step;
}

static void add_follower(const KubeThings *things, const KubeThing *thing, Plan *plan)
{
    const KubeThing *owner = things_find(things, thing->owner_uid);
    const KubeObject *object = thing->object;
    PlanStep *step = plan_step(plan, STEP_ENDS, thing->kind->word, thing->name, thing->uid);
    plan_call(step, "goes with %s %s, which owns it", owner ? owner->kind->word : object && object->owner_kind ? object->owner_kind : "an object",
              owner ? owner->name : object && object->owner_name ? object->owner_name : "that may not be listed");
}

/* By one of the tree; or by one that may not be listed, where its labels place it in the tree. */
static bool owned(const KubeThing *thing)
{
    return thing->parent >= 0 && thing->owner_uid;
}

static void add_release(const KubeSight *sight, const KubeThing *thing, Plan *plan)
{
    char *path = thing_path(thing, sight->row->namespace);
    PlanStep *step = plan_step(plan, STEP_CHANGES, thing->kind->word, thing->name, thing->uid);
    plan_call(step, "once nothing hangs below it: PATCH %s takes off the operator's finalizer, for which nobody answers", path);
    deed_new(step, DEED_RELEASE, path, thing->uid, NEED_PATCH_CLUSTER);
}

static void plan_tree(const KubeSight *sight, const Context *context, const KubeThings *things, Plan *plan)
{
    for (size_t i = 0; i < things->count; i++) {
        const KubeThing *thing = &things->items[i];
        if (owned(thing))
            add_follower(things, thing, plan);
        else
            add_deletion(sight, context, thing, thing->object && (thing->object->kind == KUBE_CLUSTER || thing->object->kind == KUBE_JOB), plan);
    }
}

/* The way out where the operator is gone: in the foreground the garbage collector ends what costs; then the empty objects are let go. */
static void plan_rescue(const KubeSight *sight, const KubeThings *things, Plan *plan)
{
    for (size_t i = 0; i < things->count; i++)
        if (is_held(things->items[i].object))
            add_release(sight, &things->items[i], plan);
    plan_note(plan, "its deletion was asked for before, and the operator, which has to take its finalizer off, does not answer: is it running? This does it in its place");
}

/* Objects without owners: the workers first, so that their scheduler still sees them leave. */
static void plan_bare(const KubeSight *sight, const Context *context, const KubeThings *things, Plan *plan)
{
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < things->count; i++) {
            const KubeThing *thing = &things->items[i];
            bool worker = thing->object && thing->object->kind == KUBE_POD && thing->object->component == COMPONENT_WORKER;
            if (worker == (round == 0))
                add_deletion(sight, context, thing, false, plan);
        }
}

/* Runs helm to its end; false, with what it said, where that was a bad one. */
static bool helm(const KubeSight *sight, const Context *context, const char *const *words, ChildResult *result, Error *error)
{
    List command = {0}, environment = {0};
    Context part = context_within(context, HELM_MS);
    list_add(&command, "helm");
    for (size_t i = 0; words[i]; i++)
        list_add(&command, words[i]);
    list_add(&command, "--namespace");
    list_add(&command, sight->row->namespace);
    tool_context(sight->own, "--kube-context", &command, &environment);
    ChildSpec spec = {.command = &command, .environment = &environment};
    bool right = child_run(sight->api.io, &part, &spec, result, error);
    list_done(&command);
    list_done(&environment);
    if (!right || result->status == 0)
        return right;
    error_set(error, ERROR_BAD_REPLY, sight->own->where, NULL, "helm %s ended with status %d: %.200s", words[0], result->status, tool_last_line(&result->errors));
    child_result_done(result);
    return false;
}

/* Labels say to which release its pods belong, not what else that is: a whole platform may have Dask's chart in it. */
static bool is_dasks_release(const KubeSight *sight, const Context *context, Error *error)
{
    const char *name = sight->row->name, *chart = NULL;
    char *only = mem_format("^%s$", name); /* else it lists no more than 256 */
    const char *words[] = {"list", "--filter", only, "--output", "json", NULL};
    ChildResult result;
    const cJSON *item;
    bool ran = helm(sight, context, words, &result, error);
    free(only);
    if (!ran)
        return false;
    cJSON *json = json_parse(result.output.bytes, result.output.length, NULL, NULL);
    cJSON_ArrayForEach(item, json)
    {
        const char *its = json_text(item, "name");
        if (its && strcmp(its, name) == 0)
            chart = json_text(item, "chart");
    }
    bool right = chart && strncmp(chart, "dask-", 5) == 0;
    if (!chart)
        error_set(error, ERROR_UNSUPPORTED, sight->own->where, "delete its objects as they were made", "Helm has no release %s in %s", name, sight->row->namespace);
    else if (!right)
        error_set(error, ERROR_UNSUPPORTED, sight->own->where, "uninstall it by helm itself, if all of it is to go", "the release %s is not Dask's chart alone, but %s", name, chart);
    cJSON_Delete(json);
    child_result_done(&result);
    return right;
}

static bool plan_helm(const KubeSight *sight, const Context *context, const KubeThings *things, Plan *plan, Error *error)
{
    const KubeRow *row = sight->row;
    char *program = tool_find("helm");
    if (!program)
        return error_set(error, ERROR_UNSUPPORTED, sight->own->where, "install helm, or have whoever installed it uninstall it",
                         "a release of Helm is uninstalled by the program helm, which is not here");
    free(program);
    if (!row_is_well_named(row))
        return error_set(error, ERROR_UNSUPPORTED, sight->own->where, NULL, "its name is none that Helm allows");
    if (!is_dasks_release(sight, context, error))
        return false;
    for (size_t i = 0; i < things->count; i++) {
        const KubeThing *thing = &things->items[i];
        PlanStep *step = plan_step(plan, STEP_ENDS, thing->kind->word, thing->name, thing->uid);
        if (plan->count == 1) {
            plan_call(step, "helm uninstall %s --namespace %s --cascade foreground", row->name, row->namespace);
            deed_new(step, DEED_HELM, thing_path(thing, row->namespace), thing->uid, NEED_DELETE_DEPLOYMENT);
        } else {
            plan_call(step, "goes with the release");
        }
    }
    plan_note(plan, "Helm uninstalls the whole release %s: what else it holds (Jupyter, secrets, volumes) goes too", row->name);
    return true;
}

/* As the gateway's own server stops one: its controller does the rest. */
static void plan_gateway(const KubeSight *sight, const KubeThings *things, Plan *plan)
{
    for (size_t i = 0; i < things->count; i++) {
        const KubeThing *thing = &things->items[i];
        PlanStep *step = plan_step(plan, thing->object && thing->object->kind == KUBE_GATEWAY_CLUSTER ? STEP_CHANGES : STEP_ENDS, thing->kind->word, thing->name,
                                   thing->uid);
        if (!thing->object || thing->object->kind != KUBE_GATEWAY_CLUSTER) {
            plan_call(step, "the gateway's controller ends it");
            continue;
        }
        char *path = thing_path(thing, sight->row->namespace);
        plan_call(step, "PATCH %s {\"spec\": {\"active\": false}}, as the gateway itself stops one", path);
        Deed *deed = deed_new(step, DEED_PATCH, path, thing->uid, NEED_STOP_GATEWAY);
        deed->patch = PATCH_JSON;
        deed->body = mem_format("[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"%s\"},{\"op\":\"add\",\"path\":\"/spec/active\",\"value\":false}]", thing->uid);
    }
}

/* Asked of a cluster of which no job is seen. */
static bool has_hidden_job(const KubeObject *cluster)
{
    return cluster->owner_name && cluster->owner_kind && strcmp(cluster->owner_kind, "DaskJob") == 0;
}

/* What the plan would write, tried on the server without storing anything: rights and admission speak before anybody is asked. */
static bool rehearse(const KubeSight *sight, const Context *context, const Plan *plan, Error *error)
{
    for (size_t i = 0; i < plan->count; i++) {
        const Deed *deed = plan->steps[i].own;
        if (deed && deed->kind == DEED_DELETE)
            return deed_do(deed, sight, context, true, error);
    }
    return true;
}

bool delete_plan(Handle *handle, const KubeSight *sight, const Context *context, Plan *plan, Error *error)
{
    KubeThings things;
    KubeRow *row = sight->row;
    KubeRowKind kind = row_kind(row);
    static const Need needs[] = {[ROW_OPERATOR] = NEED_DELETE_CLUSTER, [ROW_LEFT] = NEED_DELETE_PODS, [ROW_CLASSIC] = NEED_DELETE_PODS,
                                 [ROW_HELM] = NEED_DELETE_DEPLOYMENT, [ROW_GATEWAY] = NEED_STOP_GATEWAY};
    (void)handle;
    if (kind == ROW_GATEWAY && !row_cluster(row)) /* nobody stops what is left of one */
        kind = ROW_LEFT;
    if (kind == ROW_LEFT && !sight->seen.clusters) /* it would stay, and what is deleted below it is not all */
        return error_set(error, ERROR_DENIED, sight->own->where, "ask whoever runs the cluster for this right", "%s", row_unseen);
    if (!sight_may(sight, context, kind == ROW_OPERATOR && row_job(row) ? NEED_DELETE_JOB : needs[kind], error) ||
        !things_read(&sight->api, context, row, &things, NULL, error))
        return false;
    bool right = true;
    plan->now = sight->seen.pods ? row_worker_pods(row) : NUMBER_UNKNOWN;
    plan->then = plan->now == NUMBER_UNKNOWN ? NUMBER_UNKNOWN : 0;
    if (kind == ROW_HELM)
        right = plan_helm(sight, context, &things, plan, error);
    else if (kind == ROW_GATEWAY)
        plan_gateway(sight, &things, plan);
    else if (kind == ROW_CLASSIC)
        plan_bare(sight, context, &things, plan);
    else
        plan_tree(sight, context, &things, plan);
    if (right && is_stuck(row_cluster(row), sight->seen.ahead_ms) && kind == ROW_OPERATOR)
        plan_rescue(sight, &things, plan);
    else if (right && kind == ROW_OPERATOR && row_job(row))
        plan_note(plan, "it belongs to the DaskJob %s, which is deleted with it", row_job(row)->name);
    else if (right && kind == ROW_OPERATOR && has_hidden_job(row_cluster(row)))
        plan_note(plan, "it belongs to the DaskJob %s, which is not seen and stays: may daskjobs be listed?", row_cluster(row)->owner_name);
    things_done(&things);
    return right && rehearse(sight, context, plan, error);
}

/* ------------------------------------------------------------------------------------------------------------------ apply */

static bool run_helm(const KubeSight *sight, const Context *context, const Deed *deed, Error *error)
{
    ChildResult result;
    const char *words[] = {"uninstall", sight->row->name, "--cascade", "foreground", NULL};
    if (!deed_check(deed, sight, context, NULL, error) || !helm(sight, context, words, &result, error))
        return false;
    child_result_done(&result);
    return true;
}

static bool in_plan(const Plan *plan, const char *uid)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->steps[i].identity && strcmp(plan->steps[i].identity, uid) == 0)
            return true;
    return false;
}

/* What is there now of what the plan takes, and beside it. */
typedef struct Rest {
    size_t left, held, newcomers;
} Rest;

static Rest count_rest(const Plan *plan, const KubeThings *things, Outcome *outcome)
{
    Rest rest = {0};
    for (size_t i = 0; i < things->count; i++) {
        const KubeThing *thing = &things->items[i];
        bool ours = in_plan(plan, thing->uid);
        rest.left += ours;
        rest.held += ours && is_held(thing->object) && thing->object->kind != KUBE_POD;
        if (ours || !thing->owner_uid || !in_plan(plan, thing->owner_uid))
            continue; /* another cluster of this name is nobody's newcomer */
        rest.newcomers++;
        char *name = mem_format("%s %s", thing->kind->word, thing->name);
        if (outcome && !list_has(&outcome->newcomers, name))
            list_add(&outcome->newcomers, name);
        free(name);
    }
    return rest;
}

static void name_left(const Plan *plan, const KubeThings *things, Outcome *outcome)
{
    for (size_t i = 0; i < things->count; i++)
        if (in_plan(plan, things->items[i].uid))
            list_format(&outcome->left_over, "%s %s%s%s", things->items[i].kind->word, things->items[i].name, things->items[i].status ? ": " : "",
                        things->items[i].status ? things->items[i].status : "");
}

static bool release_all(const KubeSight *sight, const Context *context, const Plan *plan, const Progress *progress, bool *any, Error *error)
{
    *any = false;
    for (size_t i = 0; i < plan->count; i++) {
        const Deed *deed = plan->steps[i].own;
        if (!deed || deed->kind != DEED_RELEASE)
            continue;
        *any = true;
        progress_tell(progress, PHASE_RUNNING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "taking the operator's finalizer off %s", deed->name);
        if (!deed_do(deed, sight, context, false, error))
            return false;
    }
    return true;
}

/* A gateway keeps the object of what it has stopped for a day. */
static bool gateway_stopped(const KubeRow *row)
{
    const KubeObject *cluster = row_cluster(row);
    return row_kind(row) == ROW_GATEWAY && cluster && cluster->active == 0 && row->of[KUBE_POD].count == 0;
}

static bool look_again(Handle *handle, KubeSight *sight, const Context *context, bool *gone, Error *error)
{
    Error why = {0};
    join_free(sight->join);
    sight->join = NULL;
    *gone = false;
    if (kube_look(sight->own, &sight->api, context, kube_handle(handle)->id, NULL, &sight->join, &sight->row, NULL, &why))
        return true;
    *gone = why.code == ERROR_NOT_FOUND;
    if (!*gone && error)
        *error = why;
    return *gone;
}

/* True: done, or the context ended with error. */
static bool wait_round(KubeSight *sight, const Context *context, const Plan *plan, const Progress *progress, int64_t *held_since, bool *done, Outcome *outcome,
                       Error *error)
{
    KubeThings things;
    bool released = false;
    if (!things_read(&sight->api, context, sight->row, &things, NULL, error))
        return false;
    Rest rest = count_rest(plan, &things, outcome);
    int64_t now = clock_mono_ms();
    bool only_held = rest.left > 0 && rest.left == rest.held && rest.newcomers == 0, right = true;
    *held_since = !only_held ? 0 : *held_since ? *held_since : now;
    *done = (rest.left == 0 && rest.newcomers == 0) || gateway_stopped(sight->row);
    progress_tell(progress, PHASE_VERIFYING, (int64_t)plan->count - (int64_t)rest.left, (int64_t)plan->count, "waiting until nothing of it is left");
    if (only_held)
        right = release_all(sight, context, plan, progress, &released, error);
    if (right && only_held && !released && now - *held_since > STUCK_MS) {
        name_left(plan, &things, outcome);
        right = error_set(error, ERROR_PARTIAL, sight->own->where, "start the operator, or delete it once more: that takes the finalizer off in its place",
                          "what cost something has gone; its empty objects wait for the operator, which does not answer");
    }
    things_done(&things);
    return right;
}

/* A job outlives its cluster by a moment. */
static bool tops_gone(const KubeSight *sight, const Context *context, const Plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        const Deed *deed = plan->steps[i].own;
        Error why = {0};
        if (deed && deed->kind == DEED_DELETE && (deed_check(deed, sight, context, NULL, &why) || (why.code != ERROR_NOT_FOUND && why.code != ERROR_CONFLICT)))
            return false;
    }
    return true;
}

static bool wait_gone(Handle *handle, KubeSight *sight, const Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    int64_t held_since = 0;
    bool done = false, gone = false, right = true;
    while (right && !done) {
        right = look_again(handle, sight, context, &gone, error);
        done = gone && tops_gone(sight, context, plan);
        if (right && !gone)
            right = wait_round(sight, context, plan, progress, &held_since, &done, outcome, error);
        right = right && (done || io_sleep(sight->api.io, context, LOOK_MS, error));
    }
    if (!right && sight->join && outcome->left_over.count == 0) {
        KubeThings things;
        Context little = context_new(NULL, 3000); /* the time is up, but what is still there has to be named */
        if (things_read(&sight->api, &little, sight->row, &things, NULL, NULL)) {
            name_left(plan, &things, outcome);
            things_done(&things);
        }
    }
    return right;
}

bool delete_apply(Handle *handle, KubeSight *sight, const Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    bool first = true;
    for (size_t i = 0; i < plan->count; i++) {
        const Deed *deed = plan->steps[i].own;
        Error why = {0};
        if (!deed || deed->kind == DEED_RELEASE)
            continue;
        progress_tell(progress, PHASE_RUNNING, (int64_t)i, (int64_t)plan->count, "deleting %s", deed->name);
        bool right = deed->kind == DEED_HELM ? run_helm(sight, context, deed, &why) : deed_do(deed, sight, context, false, &why);
        if (!right && (first || why.code == ERROR_TIMEOUT || why.code == ERROR_CANCELLED)) {
            if (error)
                *error = why;
            return false;
        }
        if (!right)
            list_format(&outcome->failures, "%s %s: %s", plan->steps[i].kind, deed->name, why.what);
        first = false;
    }
    return !plan->wait || wait_gone(handle, sight, context, plan, progress, outcome, error);
}
