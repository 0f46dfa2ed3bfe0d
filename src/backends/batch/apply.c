/* Carries plans out: what is cancelled is read again just before and must be the same job. Seen of real queues: a retired worker's job ends by
 * itself in about 7 s; a script that is submitted again under another worker's name registers after 6 s. */
#include "backends/batch/plan.h"

#include "backends/common/retire.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { LEAVE_MS = 15000, LOOK_MS = 1500, TERMINATE_MS = 8000, NUMBERS = 1000000000, SCRIPT_MOST = 1 << 20 };

static BatchBackend *backend_of(const Handle *handle)
{
    return (BatchBackend *)handle->backend;
}

static bool list_now(Handle *handle, Io *io, const Context *context, const List *ids, JobList *out, Error *error)
{
    BatchBackend *own = backend_of(handle);
    JobQuery query = {.ids = ids};
    *out = (JobList){0};
    if (own->queue.type->list(&own->queue, io, context, &query, out, error))
        return true;
    job_list_done(out);
    return false;
}

typedef struct Which {
    bool pending;       /* only those that were pending */
    const List *except; /* ids that stay; NULL: none */
} Which;

/* Those of the plan that are in the queue and still the same. */
static bool find_planned(Handle *handle, Io *io, const Context *context, const Plan *plan, Which which, List *ids, Error *error)
{
    JobList jobs;
    List all = {0};
    for (size_t i = 0; i < plan->count; i++)
        if (plan_job(&plan->steps[i]))
            list_add(&all, plan_job(&plan->steps[i])->id);
    bool right = !all.count || list_now(handle, io, context, &all, &jobs, error);
    for (size_t i = 0; right && all.count && i < plan->count; i++) {
        const JobStep *step = plan_job(&plan->steps[i]);
        const Job *job = step ? job_list_find(&jobs, step->id) : NULL;
        bool stays = job && which.except && list_has(which.except, job->id);
        if (job && !stays && (!which.pending || step->waits) && job_is(job, step->id, step->owner, step->submitted_ms))
            list_add(ids, job->id);
    }
    if (right && all.count)
        job_list_done(&jobs);
    list_done(&all);
    return right;
}

static bool is_planned(const Plan *plan, const char *id)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan_job(&plan->steps[i]) && strcmp(plan_job(&plan->steps[i])->id, id) == 0)
            return true;
    return false;
}

static void name_newcomers(Handle *handle, const Context *context, const Plan *plan, Outcome *outcome)
{
    Look look;
    Cluster *cluster;
    if (!batch_find((BatchHandle *)handle, context, &look, &cluster, NULL))
        return;
    for (size_t i = 0; i < cluster->count; i++) {
        if (!is_planned(plan, cluster->members[i].job->id))
            list_format(&outcome->newcomers, "job %s", cluster->members[i].job->id);
    }
    look_done(&look);
}

/* Asks the queue until no more of them are there than were refused, or the time is over: then what is left is named. */
static bool wait_until_gone(Handle *handle, Io *io, const Context *context, const Plan *plan, Which which, size_t most, size_t refused,
                            const Progress *progress, List *left, Error *error)
{
    for (;;) {
        list_done(left);
        if (!find_planned(handle, io, context, plan, which, left, error))
            return false;
        progress_tell(progress, PHASE_VERIFYING, (int64_t)(most - (left->count < most ? left->count : most)), (int64_t)most, "waiting until the queue has none of the jobs");
        if (left->count <= refused)
            return true;
        if (!io_sleep(io, context, LOOK_MS, error))
            return false;
    }
}

static bool cancel_jobs(Handle *handle, Io *io, const Context *context, const Plan *plan, Which which, bool wait, const Progress *progress,
                        Outcome *outcome, Error *error)
{
    BatchBackend *own = backend_of(handle);
    List left = {0}, found = {0}, *ids = &found;
    if (!find_planned(handle, io, context, plan, which, ids, error) || !ids->count) {
        bool none = !ids->count && (!error || error->code == ERROR_OK);
        list_done(ids);
        return none;
    }
    size_t before = outcome->failures.count;
    progress_tell(progress, PHASE_RUNNING, 0, (int64_t)ids->count, "cancelling jobs");
    bool right = own->queue.type->cancel(&own->queue, io, context, ids, &outcome->failures, error);
    size_t refused = outcome->failures.count - before;
    if (right && refused >= ids->count)
        right = error_set(error, ERROR_DENIED, handle->record->is.id, NULL, "%s", outcome->failures.items[before]);
    if (right && wait)
        right = wait_until_gone(handle, io, context, plan, which, ids->count, refused, progress, &left, error);
    for (size_t i = 0; i < left.count; i++)
        list_format(&outcome->left_over, "job %s", left.items[i]);
    if (!right && left.count && error && error->code == ERROR_TIMEOUT)
        error_set(error, ERROR_TIMEOUT, handle->record->is.id, NULL, "%zu of its jobs are still in the queue", left.count);
    list_done(&left);
    list_done(ids);
    return right;
}

static bool has_scheduler_step(const Plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->steps[i].fate == STEP_ENDS && strcmp(plan->steps[i].kind, "scheduler") == 0)
            return true;
    return false;
}

static bool apply_delete(Handle *handle, Io *io, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    BatchHandle *own = (BatchHandle *)handle;
    Error why = {0};
    name_newcomers(handle, context, plan, outcome);
    /* pending ones first: else the next starts while the others end */
    if (!cancel_jobs(handle, io, context, plan, (Which){.pending = true}, false, progress, outcome, error))
        return false;
    if (has_scheduler_step(plan)) {
        Context part = context_within(context, TERMINATE_MS);
        /* another scheduler at its address is a conflict; one that has gone or hangs keeps nobody from cancelling its jobs */
        if (!retire_terminate(own->access, &part, progress, false, &why) && why.code == ERROR_CONFLICT) {
            if (error)
                *error = why;
            return false;
        }
    }
    return cancel_jobs(handle, io, context, plan, (Which){0}, plan->wait, progress, outcome, error);
}

static bool has_worker_step(const Plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->steps[i].fate == STEP_ENDS && strcmp(plan->steps[i].kind, "worker") == 0)
            return true;
    return false;
}

/* A worker that was lost and came again under its name was not retired, and may hold data by now: its job stays. */
static bool find_unretired(Handle *handle, const Context *context, const Plan *plan, List *stay, Outcome *outcome, Error *error)
{
    const Access *access = ((BatchHandle *)handle)->access;
    Look look;
    Cluster *cluster;
    Error why = {0};
    DaskIdentity identity;
    Io *its;
    if (!batch_find((BatchHandle *)handle, context, &look, &cluster, &why)) {
        if (why.code != ERROR_NOT_FOUND && error)
            *error = why;
        return why.code == ERROR_NOT_FOUND;
    }
    Dask *dask = access_open(access, context, &its, error);
    bool right = dask && dask_identity(dask, context, true, &identity, error);
    for (size_t i = 0; right && i < cluster->count; i++) {
        const char *id = cluster->members[i].job->id;
        for (size_t w = 0; w < identity.count && is_planned(plan, id) && !list_has(stay, id); w++)
            if (cluster_has_worker(&cluster->members[i], identity.list[w].name)) {
                list_add(stay, id);
                list_format(&outcome->failures, "job %s stays: its worker %s has registered again", id, identity.list[w].name);
            }
    }
    if (right)
        dask_identity_done(&identity);
    if (dask)
        access_close(dask, its);
    look_done(&look);
    return right;
}

static bool cancel_retired(Handle *handle, Io *io, const Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    List stay = {0};
    bool right = find_unretired(handle, context, plan, &stay, outcome, error) &&
                 cancel_jobs(handle, io, context, plan, (Which){.except = &stay}, true, progress, outcome, error);
    list_done(&stay);
    return right;
}

/* A job ends by itself once its workers have; what is left after a while is cancelled. Jobs that never had a worker are cancelled at once. */
static bool apply_less(Handle *handle, Io *io, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    const Access *access = ((BatchHandle *)handle)->access;
    List left = {0};
    Error why = {0};
    if (!cancel_jobs(handle, io, context, plan, (Which){.pending = true}, plan->wait && !has_worker_step(plan), progress, outcome, error))
        return false;
    if (!has_worker_step(plan))
        return true;
    if (!retire_apply(access, context, plan, progress, outcome, error))
        return false;
    if (outcome->failures.count || !plan->wait) /* whose data could not be moved away stays, and so does its job */
        return true;
    Context part = context_within(context, LEAVE_MS);
    size_t jobs = 0;
    for (size_t i = 0; i < plan->count; i++)
        jobs += plan_job(&plan->steps[i]) != NULL;
    bool ended = wait_until_gone(handle, io, &part, plan, (Which){0}, jobs, 0, progress, &left, &why);
    list_done(&left);
    return ended || (context_check(context, NULL, error) && cancel_retired(handle, io, context, plan, progress, outcome, error));
}

static bool submit_one(Handle *handle, Io *io, const Context *context, const More *more, int64_t number, Error *error)
{
    BatchBackend *own = backend_of(handle);
    /* its cluster's name and a number, as dask-jobqueue has it, but one that it will not come to */
    char *name = mem_format("%s-%lld", more->prefix, (long long)(clock_wall_ms() % NUMBERS + number)), *id = NULL;
    Buffer script;
    buffer_init(&script, SCRIPT_MOST);
    bool right = script_rename(more->script.bytes, more->script.length, name, &script);
    QueueSubmission what = {script.bytes, more->directory, more->is_element};
    right = right && own->queue.type->submit(&own->queue, io, context, &what, &id, error);
    if (right)
        log_line(own->backend.config->key, "submitted job %s as worker %s", id, name);
    buffer_wipe(&script);
    free(name);
    free(id);
    return right;
}

/* Its scheduler must be there, and the very one, before anything is queued for it. */
static bool apply_more(Handle *handle, Io *io, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    const Access *access = ((BatchHandle *)handle)->access;
    const More *more = plan->own;
    Io *its;
    Dask *dask = access_open(access, context, &its, error);
    bool right = dask != NULL;
    if (dask)
        access_close(dask, its);
    for (int64_t i = 0; right && i < more->jobs; i++) {
        progress_tell(progress, PHASE_RUNNING, i, more->jobs, "submitting jobs");
        right = submit_one(handle, io, context, more, i, error);
    }
    if (plan->clamped)
        outcome->clamped = mem_text(plan->clamped);
    return right && (!plan->wait || retire_wait_for(access, context, plan->then, false, progress, outcome, error));
}

bool batch_apply(Handle *handle, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    Io *io = io_new(error);
    if (!io)
        return false;
    bool right;
    if (plan->kind == CHANGE_DELETE)
        right = apply_delete(handle, io, context, plan, progress, outcome, error);
    else if (plan_count(plan, STEP_STARTS))
        right = apply_more(handle, io, context, plan, progress, outcome, error);
    else
        right = apply_less(handle, io, context, plan, progress, outcome, error);
    if (right && plan->clamped && !outcome->clamped)
        outcome->clamped = mem_text(plan->clamped);
    io_free(io);
    return right;
}
