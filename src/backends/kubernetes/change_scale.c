/* Scaling: the wanted number stands in a worker group; the operator makes and closes the workers. It acts only when that number changes and closes
 * only workers that its scheduler knows: what is left over after a while gets a nudge, the number that is there and then the one that is wanted. */
#include "backends/kubernetes/deed.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 500, NUDGE_MS = 20000, LIMIT_MS = 10000, NUDGES = 2, PROBE_MS = 3000, BACK_MS = 3000, WORKERS_MOST = 100000 };

/* ------------------------------------------------------------------------------------------------------------------- plan */

static char *names_of(const KubeList *groups)
{
    Buffer out;
    buffer_init(&out, 400);
    for (size_t i = 0; i < groups->count; i++)
        buffer_format(&out, "%s%s (%lld)", i ? ", " : "", groups->items[i]->name, (long long)groups->items[i]->replicas);
    return buffer_take(&out);
}

/* "gpu" is "CLUSTER-gpu" too, as people call it. */
static const KubeObject *pick_group(const KubeSight *sight, const char *wanted, Error *error)
{
    const KubeList *groups = &sight->row->of[KUBE_GROUP];
    char *names = names_of(groups), *whole = wanted ? mem_format("%s-%s", sight->row->name, wanted) : NULL;
    const KubeObject *found = !wanted && groups->count == 1 ? groups->items[0] : NULL;
    for (size_t i = 0; wanted && i < groups->count && !found; i++)
        if (strcmp(groups->items[i]->name, wanted) == 0 || strcmp(groups->items[i]->name, whole) == 0)
            found = groups->items[i];
    if (!found && groups->count == 0)
        error_set(error, ERROR_UNSUPPORTED, sight->own->where, "is the operator running?", "it has no worker group");
    else if (!found && wanted)
        error_set(error, ERROR_USAGE, sight->own->where, NULL, "it has no worker group %s: it has %s", wanted, names);
    else if (!found)
        error_set(error, ERROR_USAGE, sight->own->where, "say which: --group NAME, in the dashboard `3 NAME`", "it has several worker groups: %s", names);
    free(names);
    free(whole);
    return found;
}

static int64_t pods_of(const KubeRow *row, const char *group, bool ready)
{
    const KubeList *pods = &row->of[KUBE_POD];
    int64_t count = 0;
    for (size_t i = 0; i < pods->count; i++) {
        const KubeObject *pod = pods->items[i];
        bool counts = pod->component == COMPONENT_WORKER && pod->deleting_ms == TIME_UNKNOWN && !pod->ended && (pod->ready || !ready);
        count += counts && (!group || (pod->group_name && strcmp(pod->group_name, group) == 0));
    }
    return count;
}

static void add_scaler_end(const KubeObject *scaler, Plan *plan)
{
    char *path = object_path(scaler, NULL);
    PlanStep *step = plan_step(plan, STEP_ENDS, kube_kinds[KUBE_SCALER].word, scaler->name, scaler->uid);
    plan_call(step, "DELETE %s: it no longer scales by itself", path);
    deed_new(step, DEED_DELETE, path, scaler->uid, NEED_DELETE_SCALER);
}

static bool end_scalers(const KubeSight *sight, const Context *context, Plan *plan, Error *error)
{
    const KubeList *scalers = &sight->row->of[KUBE_SCALER];
    if (scalers->count && !sight_may(sight, context, NEED_DELETE_SCALER, error))
        return false;
    for (size_t i = 0; i < scalers->count; i++)
        add_scaler_end(scalers->items[i], plan);
    return true;
}

/* A worker group by itself, a Deployment by its subresource `scale`. */
static void add_scale(const KubeObject *object, const char *sub, Need need, int64_t workers, Plan *plan)
{
    bool group = object->kind == KUBE_GROUP;
    char *path = object_path(object, sub);
    PlanStep *step = plan_step(plan, STEP_CHANGES, kube_kinds[object->kind].word, object->name, object->uid);
    plan_call(step, group ? "PATCH %s {\"spec\": {\"worker\": {\"replicas\": %lld}}}" : "PATCH %s {\"spec\": {\"replicas\": %lld}}", path, (long long)workers);
    Deed *deed = deed_new(step, DEED_SCALE, path, object->uid, need);
    deed->patch = PATCH_JSON;
    deed->body = deed_guarded(object->uid, group ? "/spec/worker/replicas" : "/spec/replicas", workers);
    deed->wanted = workers;
    plan->now = object->replicas;
    plan->then = workers;
}

static bool plan_group(const KubeSight *sight, const Context *context, const Change *change, Plan *plan, Error *error)
{
    const KubeObject *group = pick_group(sight, change->group, error);
    if (!group || !sight_may(sight, context, NEED_PATCH_GROUP, error) || !end_scalers(sight, context, plan, error))
        return false;
    bool adapts = plan->count > 0;
    int64_t pods = pods_of(sight->row, group->name, false);
    add_scale(group, NULL, NEED_PATCH_GROUP, change->workers, plan);
    if (group->replicas == change->workers && pods > change->workers)
        plan_note(plan, "%lld pods are there for %lld that are wanted: the operator is given a nudge", (long long)pods, (long long)change->workers);
    else if (adapts)
        plan_note(plan, "it adapts by itself now: that ends, else it would soon undo this");
    else if (change->workers < group->replicas && sight->row->of[KUBE_GROUP].count > 1)
        plan_note(plan, "the operator picks which workers leave over the whole cluster: some may be of another group");
    return true;
}

static char *scaler_body(const KubeRow *row, const Change *change)
{
    Buffer out;
    JsonWriter json;
    buffer_init(&out, BUFFER_ANY);
    json_begin(&json, &out);
    json_object(&json, NULL);
    json_put_text(&json, "apiVersion", "kubernetes.dask.org/v1");
    json_put_text(&json, "kind", "DaskAutoscaler");
    json_object(&json, "metadata");
    json_put_text(&json, "name", row->name);
    json_close(&json, '}');
    json_object(&json, "spec");
    json_put_text(&json, "cluster", row->name);
    json_put_integer(&json, "minimum", change->minimum);
    json_put_integer(&json, "maximum", change->maximum);
    json_close(&json, '}');
    json_close(&json, '}');
    return buffer_take(&out);
}

static void plan_scaler(const KubeSight *sight, const Change *change, Plan *plan)
{
    const KubeRow *row = sight->row;
    const KubeObject *scaler = row_scaler(row);
    PlanStep *step = plan_step(plan, scaler ? STEP_CHANGES : STEP_STARTS, kube_kinds[KUBE_SCALER].word, scaler ? scaler->name : row->name, scaler ? scaler->uid : NULL);
    char *path = scaler ? object_path(scaler, NULL)
                        : kube_path(kube_kinds[KUBE_SCALER].group, kube_kinds[KUBE_SCALER].version, row->namespace, kube_kinds[KUBE_SCALER].plural, NULL, NULL);
    plan_call(step, "%s %s {\"spec\": {\"minimum\": %lld, \"maximum\": %lld}}", scaler ? "PATCH" : "POST", path, (long long)change->minimum, (long long)change->maximum);
    Deed *deed = deed_new(step, scaler ? DEED_PATCH : DEED_POST, path, scaler ? scaler->uid : NULL, scaler ? NEED_PATCH_SCALER : NEED_CREATE_SCALER);
    deed->patch = PATCH_JSON;
    deed->body = scaler ? mem_format("[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"%s\"},{\"op\":\"add\",\"path\":\"/spec/minimum\",\"value\":%lld},"
                                     "{\"op\":\"add\",\"path\":\"/spec/maximum\",\"value\":%lld}]", scaler->uid, (long long)change->minimum, (long long)change->maximum)
                        : scaler_body(row, change);
}

static bool plan_adapt(const KubeSight *sight, const Context *context, const Change *change, Plan *plan, Error *error)
{
    if (change->adapt_off) {
        if (!sight->row->of[KUBE_SCALER].count)
            plan_note(plan, "it does not adapt: there is nothing to do");
        return end_scalers(sight, context, plan, error);
    }
    if (!sight_may(sight, context, row_scaler(sight->row) ? NEED_PATCH_SCALER : NEED_CREATE_SCALER, error))
        return false;
    char *usual = mem_format("%s-default", sight->row->name);
    bool other = change->group && strcmp(change->group, "default") != 0 && strcmp(change->group, usual) != 0;
    free(usual);
    if (other)
        return error_set(error, ERROR_UNSUPPORTED, sight->own->where, NULL, "the operator adapts only the worker group %s-default", sight->row->name);
    plan_scaler(sight, change, plan);
    if (sight->row->of[KUBE_GROUP].count > 1)
        plan_note(plan, "the operator adapts only the worker group %s-default", sight->row->name);
    return true;
}

static const KubeObject *worker_deployment(const KubeRow *row)
{
    const KubeList *list = &row->of[KUBE_DEPLOYMENT];
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i]->component == COMPONENT_WORKER)
            return list->items[i];
    return NULL;
}

static bool plan_release(const KubeSight *sight, const Context *context, const Change *change, Plan *plan, Error *error)
{
    const KubeObject *workers = worker_deployment(sight->row);
    if (change->kind == CHANGE_ADAPT || change->group)
        return error_set(error, ERROR_UNSUPPORTED, sight->own->where, NULL, "a release of the Dask chart has one Deployment of workers, and does not adapt");
    if (!workers)
        return error_set(error, ERROR_UNSUPPORTED, sight->own->where, "are Deployments permitted to be listed?", "its Deployment of workers is not seen");
    if (!sight_may(sight, context, NEED_SCALE_DEPLOYMENT, error))
        return false;
    add_scale(workers, "scale", NEED_SCALE_DEPLOYMENT, change->workers, plan);
    plan_note(plan, "Kubernetes picks which workers leave, and does not ask what they hold; the next helm upgrade sets the number of the chart again");
    return true;
}

bool scale_plan(Handle *handle, const KubeSight *sight, const Context *context, const Change *change, Plan *plan, Error *error)
{
    const char *where = sight->own->where;
    const KubeObject *cluster = row_cluster(sight->row);
    (void)handle;
    if (change->kind == CHANGE_SCALE && (change->workers < 0 || change->workers > WORKERS_MOST))
        return error_set(error, ERROR_USAGE, where, NULL, "%lld is no number of workers", (long long)change->workers);
    if (cluster && cluster->deleting_ms != TIME_UNKNOWN)
        return error_set(error, ERROR_UNSUPPORTED, where, NULL, "it is being deleted");
    switch (row_kind(sight->row)) {
    case ROW_OPERATOR:
        return change->kind == CHANGE_ADAPT ? plan_adapt(sight, context, change, plan, error) : plan_group(sight, context, change, plan, error);
    case ROW_HELM:
        return plan_release(sight, context, change, plan, error);
    case ROW_GATEWAY:
        return error_set(error, ERROR_UNSUPPORTED, where, "scale it through the gateway (backend gateway)", "the gateway counts its workers itself");
    case ROW_CLASSIC:
        return error_set(error, ERROR_UNSUPPORTED, where, "delete it, and make one with today's KubeCluster",
                         "only the Python process that made it knew what its workers are made from");
    default:
        return error_set(error, ERROR_UNSUPPORTED, where, "delete what is left of it", "its DaskCluster is gone: nobody would make or close workers");
    }
}

/* ------------------------------------------------------------------------------------------------------------------ apply */

static bool look_again(Handle *handle, KubeSight *sight, const Context *context, Error *error)
{
    join_free(sight->join);
    sight->join = NULL;
    return kube_look(sight->own, &sight->api, context, kube_handle(handle)->id, handle->record->is.uid, &sight->join, &sight->row, NULL, error);
}

/* Why pods that are wanted do not come: the first one's reason. */
static const char *what_holds(const KubeRow *row)
{
    const KubeList *pods = &row->of[KUBE_POD];
    for (size_t i = 0; i < pods->count; i++)
        if (pods->items[i]->component == COMPONENT_WORKER && !pods->items[i]->ready && pods->items[i]->why)
            return pods->items[i]->why;
    return NULL;
}

typedef struct Limit {
    char why[400]; /* empty: none */
} Limit;

/* A Deployment says of the pods that it may not make why: a quota, an admission. */
static bool take_limit(void *user, const char *bytes, size_t n, Error *error)
{
    Limit *limit = user;
    cJSON *json = json_parse(bytes, n, NULL, error);
    const cJSON *condition;
    cJSON_ArrayForEach(condition, json_member(json_member(json, "status"), "conditions"))
    {
        const char *type = json_text(condition, "type"), *status = json_text(condition, "status"), *message = json_text(condition, "message");
        if (type && status && message && strcmp(type, "ReplicaFailure") == 0 && strcmp(status, "True") == 0)
            snprintf(limit->why, sizeof limit->why, "%s", message);
    }
    cJSON_Delete(json);
    return true;
}

/* Why there are not as many pods as wanted. */
static void read_limit(const KubeSight *sight, const Context *context, const char *group, Limit *limit)
{
    const KubeKindInfo *kind = &kube_kinds[KUBE_DEPLOYMENT];
    char *path = kube_path(kind->group, kind->version, sight->row->namespace, kind->plural, NULL, NULL);
    char *labels = group ? mem_format("dask.org/workergroup-name=%s", group) : mem_format("app=dask,release=%s", sight->row->name);
    Context part = context_within(context, PROBE_MS);
    *limit = (Limit){0};
    kube_query(&path, "labelSelector", labels);
    api_list(&sight->api, &part, path, take_limit, NULL, limit, NULL, NULL);
    free(path);
    free(labels);
}

/* -1: its scheduler could not be asked. */
static int64_t known_to_scheduler(const KubeSight *sight, const Context *context)
{
    Context part = context_within(context, PROBE_MS);
    if (!row_can_be_probed(sight->row) || !kube_probe(sight->own, &sight->api, &part, sight->row, NULL))
        return -1;
    const ProbeFacts *facts = sight->row->facts;
    return facts && facts->result == PROBE_ANSWERED && facts->workers != NUMBER_UNKNOWN ? facts->workers : -1;
}

static bool nudge(const Deed *deed, const KubeSight *sight, const Context *context, int64_t pods, const Progress *progress, Error *error)
{
    char *body = deed_guarded(deed->uid, "/spec/worker/replicas", pods);
    progress_tell(progress, PHASE_RUNNING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "%lld pods are left over: giving the operator a nudge", (long long)(pods - deed->wanted));
    bool right = api_patch(&sight->api, context, deed->path, PATCH_JSON, body, NULL, error);
    free(body);
    if (!right)
        return false;
    bool waited = io_sleep(sight->api.io, context, LOOK_MS, error);
    Context little = context_new(NULL, BACK_MS); /* whoever calls it off does not mean that number */
    return deed_do(deed, sight, waited ? context : &little, false, waited ? error : NULL) && waited;
}

static bool say_leak(const KubeSight *sight, const Deed *deed, const char *group, int64_t pods, Outcome *outcome, Error *error)
{
    const KubeList *list = &sight->row->of[KUBE_POD];
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i]->component == COMPONENT_WORKER && list->items[i]->deleting_ms == TIME_UNKNOWN && !list->items[i]->ended &&
            (!group || (list->items[i]->group_name && strcmp(list->items[i]->group_name, group) == 0)))
            list_format(&outcome->left_over, "pod %s", list->items[i]->name);
    return error_set(error, ERROR_PARTIAL, sight->own->where, group ? "its operator closes only workers that its scheduler knows: retire what is too many by name" : NULL,
                     "%lld worker pods are there, %lld are wanted", (long long)pods, (long long)deed->wanted);
}

/* Done when the pods of the group are as many as wanted, all ready, and the scheduler knows as many as there are pods. */
static bool wait_for(Handle *handle, KubeSight *sight, const Context *context, const Deed *deed, const char *group, const Progress *progress, Outcome *outcome,
                     Error *error)
{
    int64_t over_since = 0, last = -1, same_since = clock_mono_ms();
    int nudges = 0;
    if (!sight->seen.pods)
        return error_set(error, ERROR_PARTIAL, sight->own->where, NULL, "the number is set; whether it holds is not known, as its pods may not be listed");
    for (;;) {
        if (!look_again(handle, sight, context, error))
            return false;
        int64_t pods = pods_of(sight->row, group, false), ready = pods_of(sight->row, group, true), now = clock_mono_ms();
        int64_t known = pods == deed->wanted && ready == pods ? known_to_scheduler(sight, context) : -1;
        const char *why = pods >= deed->wanted && ready < deed->wanted ? what_holds(sight->row) : NULL;
        progress_tell(progress, PHASE_VERIFYING, ready, deed->wanted, "waiting until its pods are as many as wanted%s%s", why ? ": " : "", why ? why : "");
        outcome->workers = ready;
        if (pods == deed->wanted && ready == pods && (known < 0 || known == pods_of(sight->row, NULL, true)))
            return true;
        over_since = pods <= deed->wanted ? 0 : pods != last || !over_since ? now : over_since;
        same_since = pods >= deed->wanted || pods != last ? now : same_since;
        last = pods;
        if (now - same_since > LIMIT_MS) {
            Limit limit;
            read_limit(sight, context, group, &limit);
            if (*limit.why)
                return error_set(error, ERROR_PARTIAL, sight->own->where, "the others start as soon as that lets them", "%lld of %lld worker pods: %s", (long long)pods,
                                 (long long)deed->wanted, limit.why);
            same_since = now; /* asked again in a while */
        }
        if (over_since && now - over_since > NUDGE_MS) {
            if (nudges++ == NUDGES || !group)
                return say_leak(sight, deed, group, pods, outcome, error);
            if (!nudge(deed, sight, context, pods, progress, error))
                return false;
            over_since = clock_mono_ms();
        }
        if (!io_sleep(sight->api.io, context, LOOK_MS, error))
            return false;
    }
}

/* The operator takes its finalizer off; until then its own timer may still scale. */
static bool wait_for_scalers(Handle *handle, KubeSight *sight, const Context *context, const Progress *progress, Error *error)
{
    while (sight->row->of[KUBE_SCALER].count) {
        progress_tell(progress, PHASE_RUNNING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "waiting until its DaskAutoscaler is gone");
        if (!io_sleep(sight->api.io, context, LOOK_MS, error) || !look_again(handle, sight, context, error))
            return false;
    }
    return true;
}

bool scale_apply(Handle *handle, KubeSight *sight, const Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    const Deed *scale = NULL;
    bool right = true, ended = false;
    for (size_t i = 0; i < plan->count && right; i++) {
        const Deed *deed = plan->steps[i].own;
        if (ended && deed->kind == DEED_SCALE)
            right = look_again(handle, sight, context, error) && wait_for_scalers(handle, sight, context, progress, error);
        right = right && deed_do(deed, sight, context, false, error);
        ended = ended || deed->kind == DEED_DELETE;
        scale = deed->kind == DEED_SCALE ? deed : scale;
    }
    if (!right || !plan->wait || !scale)
        return right;
    bool group = row_kind(sight->row) == ROW_OPERATOR;
    if (group && plan->now == plan->then) {
        int64_t pods = pods_of(sight->row, scale->name, false);
        if (pods > scale->wanted && !nudge(scale, sight, context, pods, progress, error))
            return false;
    }
    return wait_for(handle, sight, context, scale, group ? scale->name : NULL, progress, outcome, error);
}
