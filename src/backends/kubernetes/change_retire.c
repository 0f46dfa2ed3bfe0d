/* Retiring workers by name: their scheduler moves the data away and closes them, then their Deployments go, and their group wants so many fewer. In
 * this order the operator finds as many as it wants and picks none by itself. */
#include "backends/kubernetes/deed.h"

#include "backends/common/retire.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 400 };

/* Steps of the scheduler's half own an address, the others a Deed. */
static bool is_workers(const PlanStep *step)
{
    return strcmp(step->kind, "worker") == 0;
}

static void free_own(Plan *plan, PlanStep *step)
{
    if (step && is_workers(step))
        retire_free_own(plan, step);
    else
        deed_free_own(plan, step);
}

static const KubeObject *find_named(const KubeList *list, const char *name)
{
    for (size_t i = 0; name && i < list->count; i++)
        if (strcmp(list->items[i]->name, name) == 0)
            return list->items[i];
    return NULL;
}

static const KubeObject *pod_of(const KubeRow *row, const char *worker)
{
    const KubeList *pods = &row->of[KUBE_POD];
    for (size_t i = 0; i < pods->count; i++)
        if (pods->items[i]->worker_name && strcmp(pods->items[i]->worker_name, worker) == 0)
            return pods->items[i];
    return NULL;
}

/* The Deployment of that name as it is now, where Deployments may not be listed; the caller's, NULL. */
static KubeObject *read_deployment(const KubeSight *sight, const Context *context, const char *path, Error *error)
{
    cJSON *json = NULL;
    KubeObject *object = api_get(&sight->api, context, path, &json, error) ? kube_object_from(KUBE_DEPLOYMENT, json) : NULL;
    cJSON_Delete(json);
    return object;
}

/* A worker is called whatever whoever starts it says: only its label tells whose the Deployment of that name is. */
static bool is_worker_of(const KubeRow *row, const KubeObject *deployment)
{
    const char *cluster = kube_label(deployment, "dask.org/cluster-name");
    return deployment->component == COMPONENT_WORKER && cluster && strcmp(cluster, row->name) == 0;
}

/* The operator calls a worker as the Deployment that runs it. */
static bool add_deployment(const KubeSight *sight, const Context *context, const char *worker, Plan *plan, Error *error)
{
    const KubeKindInfo *kind = &kube_kinds[KUBE_DEPLOYMENT];
    const KubeObject *seen = find_named(&sight->row->of[KUBE_DEPLOYMENT], worker);
    char *path = kube_path(kind->group, kind->version, sight->row->namespace, kind->plural, worker, NULL);
    KubeObject *read = seen ? NULL : read_deployment(sight, context, path, error);
    seen = seen ? seen : read;
    char *uid = mem_text(seen && is_worker_of(sight->row, seen) ? seen->uid : NULL);
    if (seen && !uid)
        error_set(error, ERROR_UNSUPPORTED, sight->own->where, "retire it from the program that started it",
                  "worker %s is not the operator's: the Deployment %s is something else", worker, worker);
    kube_object_free(read);
    if (!uid) {
        free(path);
        return false;
    }
    PlanStep *step = plan_step(plan, STEP_ENDS, kind->word, worker, uid);
    plan_call(step, "DELETE %s with its pod, in the foreground, if it is still this one", path);
    deed_new(step, DEED_DELETE, path, uid, NEED_DELETE_DEPLOYMENT);
    free(uid);
    return true;
}

static int64_t leaving(const KubeRow *row, const Plan *plan, const char *group)
{
    int64_t count = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const KubeObject *pod = is_workers(&plan->steps[i]) ? pod_of(row, plan->steps[i].name) : NULL;
        count += pod && pod->group_name && strcmp(pod->group_name, group) == 0;
    }
    return count;
}

static void add_group(const KubeObject *group, int64_t wanted, Plan *plan)
{
    char *path = object_path(group, NULL);
    PlanStep *step = plan_step(plan, STEP_CHANGES, kube_kinds[KUBE_GROUP].word, group->name, group->uid);
    plan_call(step, "PATCH %s {\"spec\": {\"worker\": {\"replicas\": %lld}}}, once they are gone", path, (long long)wanted);
    Deed *deed = deed_new(step, DEED_PATCH, path, group->uid, NEED_PATCH_GROUP);
    deed->patch = PATCH_JSON;
    deed->body = deed_guarded(group->uid, "/spec/worker/replicas", wanted);
    deed->wanted = group->replicas;
}

bool retire_group_plan(Handle *handle, const KubeSight *sight, Context *context, const Change *change, Plan *plan, Error *error)
{
    Access access;
    Route route;
    if (row_kind(sight->row) != ROW_OPERATOR)
        return error_set(error, ERROR_UNSUPPORTED, sight->own->where, NULL, "only workers of the operator's clusters can be given back one by one");
    if (!sight_may(sight, context, NEED_PATCH_GROUP, error) || !sight_may(sight, context, NEED_DELETE_DEPLOYMENT, error) ||
        !kube_access(handle, context, &access, &route, error))
        return false;
    bool right = retire_plan(&access, context, change, plan, error);
    plan->free_own = free_own;
    access_done(&access);
    route_done(&route);
    for (size_t i = 0, workers = plan->count; right && i < workers; i++)
        right = add_deployment(sight, context, plan->steps[i].name, plan, error);
    const KubeList *groups = &sight->row->of[KUBE_GROUP];
    for (size_t i = 0; right && i < groups->count; i++) {
        int64_t count = leaving(sight->row, plan, groups->items[i]->name);
        if (count > 0 && groups->items[i]->replicas >= count)
            add_group(groups->items[i], groups->items[i]->replicas - count, plan);
    }
    if (right && row_scaler(sight->row))
        plan_note(plan, "it adapts by itself: it may soon start others");
    return right;
}

/* So many fewer is a number only as long as nobody else has set another one. */
static bool groups_are_as_seen(const KubeSight *sight, const Plan *plan, Error *error)
{
    for (size_t i = 0; i < plan->count; i++) {
        const Deed *deed = is_workers(&plan->steps[i]) ? NULL : plan->steps[i].own;
        const KubeObject *group = deed && deed->kind == DEED_PATCH ? find_named(&sight->row->of[KUBE_GROUP], deed->name) : NULL;
        if (group && group->replicas != deed->wanted)
            return error_set(error, ERROR_CONFLICT, sight->own->where, "look at it again", "the worker group %s was scaled to %lld meanwhile", deed->name,
                             (long long)group->replicas);
    }
    return true;
}

/* Gone from the API: only then do they no longer count for the operator. */
static bool wait_gone(const KubeSight *sight, const Context *context, const Deed *deed, Error *error)
{
    for (;;) {
        Error why = {0};
        if (!deed_check(deed, sight, context, NULL, &why)) {
            bool gone = why.code == ERROR_NOT_FOUND || why.code == ERROR_CONFLICT;
            if (!gone && error)
                *error = why;
            return gone;
        }
        if (!io_sleep(sight->api.io, context, LOOK_MS, error))
            return false;
    }
}

bool retire_group_apply(Handle *handle, KubeSight *sight, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    Access access;
    Route route;
    if (!groups_are_as_seen(sight, plan, error) || !kube_access(handle, context, &access, &route, error))
        return false;
    bool right = retire_apply(&access, context, plan, progress, outcome, error);
    access_done(&access);
    route_done(&route);
    if (outcome->failures.count) /* what one of them holds is nowhere else: none of their pods is given back */
        return right;
    for (int round = 0; round < 3 && right; round++)
        for (size_t i = 0; i < plan->count && right; i++) {
            const Deed *deed = is_workers(&plan->steps[i]) ? NULL : plan->steps[i].own;
            if (!deed)
                continue;
            progress_tell(progress, PHASE_RUNNING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "giving their pods back");
            if (round == 0 && deed->kind == DEED_DELETE)
                right = deed_do(deed, sight, context, false, error);
            else if (round == 1 && deed->kind == DEED_DELETE)
                right = wait_gone(sight, context, deed, error);
            else if (round == 2 && deed->kind == DEED_PATCH)
                right = deed_do(deed, sight, context, false, error);
        }
    return right;
}
