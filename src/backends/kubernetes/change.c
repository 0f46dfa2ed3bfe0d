/* Changes of a cluster: which half does what. */
#include "backends/kubernetes/deed.h"

static void free_own(Plan *plan, PlanStep *step)
{
    deed_free_own(plan, step);
}

bool kube_plan(Handle *handle, Context *context, const Change *change, Plan **out, Error *error)
{
    KubeSight sight;
    bool right;
    if (!sight_take(handle, context, &sight, error))
        return false;
    Plan *plan = plan_new(change->kind, handle->record);
    plan->wait = change->wait;
    plan->free_own = free_own;
    if (change->kind == CHANGE_DELETE)
        right = delete_plan(handle, &sight, context, plan, error);
    else if (change->kind == CHANGE_KEEP)
        right = keep_plan(&sight, context, change, plan, error);
    else if (change->kind == CHANGE_RETIRE)
        right = retire_group_plan(handle, &sight, context, change, plan, error);
    else
        right = scale_plan(handle, &sight, context, change, plan, error);
    sight_done(&sight);
    if (right)
        *out = plan;
    else
        plan_free(plan);
    return right;
}

bool kube_apply(Handle *handle, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    KubeSight sight;
    bool right;
    if (!sight_take(handle, context, &sight, error))
        return false;
    if (plan->kind == CHANGE_DELETE)
        right = delete_apply(handle, &sight, context, plan, progress, outcome, error);
    else if (plan->kind == CHANGE_KEEP)
        right = keep_apply(&sight, context, plan, error);
    else if (plan->kind == CHANGE_RETIRE)
        right = retire_group_apply(handle, &sight, context, plan, progress, outcome, error);
    else
        right = scale_apply(handle, &sight, context, plan, progress, outcome, error);
    sight_done(&sight);
    return right;
}
