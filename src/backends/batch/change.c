/* Changes of a batch system's cluster. What is cancelled is named job by job, with owner and submit time, which are read again just before;
 * workers leave through their scheduler first, and only what was retired is cancelled. Seen of real queues: a retired worker's job ends by
 * itself in about 7 s; a script that is submitted again under another worker's name registers after 6 s. */
#include "backends/batch/batch.h"

#include "backends/common/retire.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { LEAVE_MS = 15000, LOOK_MS = 1500, TERMINATE_MS = 8000, NUMBERS = 1000000000 };

typedef struct JobStep {
    int64_t submitted_ms;
    bool waits;        /* it was pending: no worker has to be asked first */
    size_t owner;      /* where it begins in texts */
    char texts[];      /* id 0 owner 0 */
} JobStep;

/* The script of one more worker; of the plan. */
typedef struct More {
    Buffer script;
    char *directory, *prefix;
    int64_t jobs;
} More;

static BatchBackend *backend_of(const Handle *handle)
{
    return (BatchBackend *)handle->backend;
}

static void free_own(Plan *plan, PlanStep *step)
{
    if (step) {
        free(step->own);
        return;
    }
    More *more = plan->own;
    if (more) {
        buffer_wipe(&more->script);
        free(more->directory);
        free(more->prefix);
        free(more);
    }
}

/* ------------------------------------------------------------------------------------------------------------------- plan */

static bool is_waiting(const Job *job)
{
    return job->state <= JOB_HELD;
}

static void add_job(Plan *plan, const Queue *queue, const Member *member, const char *how)
{
    const Job *job = member->job;
    char at[TIME_TEXT];
    char *identity = mem_format("job %s of %s, submitted %s", job->id, job->owner, time_text(job->submitted_ms, false, at));
    char *name = member->script.worker ? mem_format("%s (%s, %s)", job->id, member->script.worker, job_state_word(job->state))
                                       : mem_format("%s (%s)", job->id, job_state_word(job->state));
    /* without a submit time it could be another job of that number by then */
    PlanStep *step = plan_step(plan, STEP_ENDS, "job", name, job->submitted_ms == TIME_UNKNOWN ? NULL : identity);
    plan_call(step, "%s %s%s", queue->type->cancel_words, job->id, how);
    size_t n = strlen(job->id) + 1, m = strlen(job->owner) + 1;
    JobStep *own = mem_new(sizeof *own + n + m);
    own->submitted_ms = job->submitted_ms;
    own->waits = is_waiting(job);
    own->owner = n;
    memcpy(own->texts, job->id, n);
    memcpy(own->texts + n, job->owner, m);
    step->own = own;
    free(identity);
    free(name);
}

/* Pending ones first: else the next starts while the others end. */
static bool plan_delete(Handle *handle, const Context *context, const Cluster *cluster, Plan *plan, Error *error)
{
    const Queue *queue = &backend_of(handle)->queue;
    const Access *access = ((BatchHandle *)handle)->access;
    Error why = {0};
    Io *io;
    if (handle->record->is.cannot[CAN_DELETE])
        return error_set(error, ERROR_DENIED, handle->record->is.id, NULL, "%s", handle->record->is.cannot[CAN_DELETE]);
    for (size_t i = cluster->count; i-- > 0;)
        if (is_waiting(cluster->members[i].job))
            add_job(plan, queue, &cluster->members[i], "");
    Dask *dask = access && !cluster->scheduler && access->scheduler_id ? access_open(access, context, &io, &why) : NULL;
    if (dask) {
        PlanStep *step = plan_step(plan, STEP_ENDS, "scheduler", access->address, access->scheduler_id);
        plan_call(step, "terminate over its comm");
        access_close(dask, io);
        plan_note(plan, "the Python process that made it stays; its variables will point to a closed cluster");
    }
    for (size_t i = 0; i < cluster->count; i++)
        if (!is_waiting(cluster->members[i].job))
            add_job(plan, queue, &cluster->members[i], "");
    plan->now = handle->record->is.workers_ready;
    plan->then = plan->now == NUMBER_UNKNOWN ? NUMBER_UNKNOWN : 0;
    return true;
}

typedef struct Scaling {
    Handle *handle;
    const Cluster *cluster;
    const Change *change;
    Plan *plan;
    DaskIdentity identity;
    List leaving;        /* addresses that the scheduler would give up for the wanted number */
} Scaling;

static bool ask_scheduler(Scaling *scaling, const Context *context, Error *error)
{
    const Access *access = ((BatchHandle *)scaling->handle)->access;
    Io *io;
    if (!access)
        return error_set(error, ERROR_UNSUPPORTED, scaling->handle->record->is.id, NULL, "its scheduler's address is not known");
    Dask *dask = access_open(access, context, &io, error);
    if (!dask)
        return false;
    bool right = dask_identity(dask, context, true, &scaling->identity, error);
    if (right && scaling->change->kind == CHANGE_RETIRE)
        right = access_resolve_workers(&scaling->identity, scaling->change->names, access->where, &scaling->leaving, error);
    else if (right && scaling->change->workers < (int64_t)scaling->identity.count)
        right = dask_workers_to_close(dask, context, scaling->change->workers, &scaling->leaving, error);
    access_close(dask, io);
    return right;
}

static const DaskWorker *worker_at(const DaskIdentity *identity, const char *address)
{
    for (size_t i = 0; i < identity->count; i++)
        if (identity->list[i].address && strcmp(identity->list[i].address, address) == 0)
            return &identity->list[i];
    return NULL;
}

static const Member *member_of(const Cluster *cluster, const char *worker)
{
    for (size_t i = 0; i < cluster->count; i++)
        if (cluster_has_worker(&cluster->members[i], worker))
            return &cluster->members[i];
    return NULL;
}

static size_t registered_of(const Scaling *scaling, const Member *member, const List *only)
{
    size_t count = 0;
    for (size_t i = 0; i < scaling->identity.count; i++) {
        const DaskWorker *worker = &scaling->identity.list[i];
        count += cluster_has_worker(member, worker->name) && (!only || (worker->address && list_has(only, worker->address)));
    }
    return count;
}

static void add_worker(const Scaling *scaling, const DaskWorker *worker)
{
    char *identity = mem_format("%s at %s", worker->id ? worker->id : "?", worker->address);
    PlanStep *step = plan_step(scaling->plan, STEP_ENDS, "worker", worker->name ? worker->name : worker->address, identity);
    plan_call(step, "retire_workers %s: moves its data away, then closes it", worker->address);
    step->own = mem_text(worker->address);
    free(identity);
}

typedef struct Candidate {
    const Member *member;
    size_t here, leaving; /* of its workers: registered; those of them that the scheduler would give up */
} Candidate;

static int compare_candidates(const void *a, const void *b)
{
    const Candidate *one = a, *two = b;
    size_t x = one->leaving * two->here, y = two->leaving * one->here;
    return x != y ? (x > y ? -1 : 1) : 0;
}

static void retire_member(Scaling *scaling, const Member *member)
{
    for (size_t w = 0; w < scaling->identity.count; w++)
        if (cluster_has_worker(member, scaling->identity.list[w].name))
            add_worker(scaling, &scaling->identity.list[w]);
    add_job(scaling->plan, &backend_of(scaling->handle)->queue, member, ", if it has not ended by itself after 15 s");
}

/* A job of several workers ends as a whole or not at all: first those of which the scheduler would give up most. Returns how many workers go. */
static int64_t retire_members(Scaling *scaling, int64_t most)
{
    const Cluster *cluster = scaling->cluster;
    Candidate *list = mem_new((cluster->count + 1) * sizeof *list);
    size_t count = 0;
    int64_t gone = 0;
    bool whole = scaling->change->kind == CHANGE_RETIRE;
    for (size_t i = 0; i < cluster->count; i++) {
        Candidate one = {&cluster->members[i], registered_of(scaling, &cluster->members[i], NULL), registered_of(scaling, &cluster->members[i], &scaling->leaving)};
        if (one.leaving && (!whole || one.leaving == one.here))
            list[count++] = one;
    }
    qsort(list, count, sizeof *list, compare_candidates);
    for (size_t i = 0; i < count; i++) {
        if (gone + (int64_t)list[i].here > most)
            continue;
        retire_member(scaling, list[i].member);
        gone += (int64_t)list[i].here;
    }
    free(list);
    for (size_t i = 0; i < scaling->leaving.count; i++) {
        const DaskWorker *worker = worker_at(&scaling->identity, scaling->leaving.items[i]);
        if (worker && !member_of(scaling->cluster, worker->name) && gone < most) {
            add_worker(scaling, worker);
            gone++;
        }
    }
    return gone;
}

/* The last submitted first. Returns how many workers will not come. */
static int64_t cancel_pending(const Scaling *scaling, int64_t most)
{
    int64_t gone = 0;
    for (size_t i = scaling->cluster->count; i-- > 0;) {
        const Member *member = &scaling->cluster->members[i];
        if (!is_waiting(member->job) || gone + member->script.processes > most)
            continue;
        add_job(scaling->plan, &backend_of(scaling->handle)->queue, member, "");
        gone += member->script.processes;
    }
    return gone;
}

static const Member *pattern_of(const Cluster *cluster)
{
    const Member *found = NULL;
    for (size_t i = 0; i < cluster->count; i++)
        if (cluster->members[i].script.role == ROLE_WORKER && (!found || cluster->members[i].job->state == JOB_RUNNING))
            found = &cluster->members[i];
    return found;
}

/* The very script of a living worker, under a name of its own. */
static bool plan_more(Scaling *scaling, const Context *context, int64_t workers, Error *error)
{
    BatchBackend *own = backend_of(scaling->handle);
    const QueueType *type = own->queue.type;
    const Member *pattern = pattern_of(scaling->cluster);
    const char *id = scaling->handle->record->is.id;
    Buffer text;
    if (!type->submit || !pattern)
        return error_set(error, ERROR_UNSUPPORTED, id, NULL, pattern ? "this queue is not submitted to from here" : "none of its jobs is a worker whose script could be submitted again");
    if (!scaling->cluster->mine)
        return error_set(error, ERROR_DENIED, id, NULL, "its jobs are %s's: what you submit would be yours", scaling->cluster->owner);
    buffer_init(&text, 1 << 20);
    Io *io = io_new(error);
    bool right = io && (pattern->job->text ? buffer_text(&text, pattern->job->text)
                                           : type->script && type->script(&own->queue, io, context, pattern->job, &text, error));
    if (io)
        io_free(io);
    More *more = mem_new(sizeof *more);
    buffer_init(&more->script, 1 << 20);
    scaling->plan->own = more;
    if (right && !script_rename(text.bytes, text.length, "DASKTOP-WORKER", &more->script))
        right = error_set(error, ERROR_UNSUPPORTED, id, NULL, "the script of job %s names no worker: it cannot be used for another one", pattern->job->id);
    if (!right && error && error->code == ERROR_OK)
        error_set(error, ERROR_UNSUPPORTED, id, NULL, "this queue tells no job's script");
    if (right) {
        char *line = script_line(text.bytes, text.length), *prefix = pattern->script.worker ? script_cluster(pattern->script.worker) : mem_text("worker");
        more->directory = mem_text(pattern->job->directory);
        more->prefix = mem_text(prefix);
        more->jobs = (workers + pattern->script.processes - 1) / pattern->script.processes;
        for (int64_t i = 0; i < more->jobs; i++) {
            PlanStep *step = plan_step(scaling->plan, STEP_STARTS, "job", "one more job", NULL);
            plan_call(step, "%s: the script of job %s under another worker's name: %s", type->submit_words, pattern->job->id, line);
        }
        if (more->jobs * pattern->script.processes != workers)
            scaling->plan->clamped = mem_format("a job has %lld workers: %lld more instead of %lld", (long long)pattern->script.processes,
                                                (long long)(more->jobs * pattern->script.processes), (long long)workers);
        scaling->plan->then += more->jobs * pattern->script.processes - workers;
        plan_note(scaling->plan, "the Python process that made the cluster does not know of these jobs; they end with its scheduler or at their wall time");
        free(line);
        free(prefix);
    }
    buffer_wipe(&text);
    return right;
}

static bool plan_scale(Scaling *scaling, const Context *context, Error *error)
{
    const Cluster *cluster = scaling->cluster;
    int64_t wanted = scaling->change->workers, here = (int64_t)scaling->identity.count, coming = 0;
    for (size_t i = 0; i < cluster->count; i++) {
        const Member *member = &cluster->members[i];
        int64_t has = (int64_t)registered_of(scaling, member, NULL);
        if (member->job != cluster->scheduler && member->job->state != JOB_LEAVING && has < member->script.processes)
            coming += member->script.processes - has;
    }
    scaling->plan->now = here;
    scaling->plan->then = wanted;
    if (wanted > here + coming)
        return plan_more(scaling, context, wanted - here - coming, error);
    coming -= cancel_pending(scaling, here + coming - wanted);
    if (here > wanted) {
        int64_t gone = retire_members(scaling, here - wanted);
        scaling->plan->then = here - gone;
        if (here - gone > wanted)
            scaling->plan->clamped = mem_format("its jobs have several workers each: %lld stay", (long long)(here - gone));
    } else if (coming > wanted - here) {
        scaling->plan->clamped = mem_format("%lld workers are on their way in jobs that run already", (long long)coming);
    }
    return true;
}

static bool plan_workers(Scaling *scaling, const Context *context, Error *error)
{
    if (scaling->handle->record->is.cannot[CAN_SCALE])
        return error_set(error, ERROR_UNSUPPORTED, scaling->handle->record->is.id, NULL, "%s", scaling->handle->record->is.cannot[CAN_SCALE]);
    bool right = ask_scheduler(scaling, context, error);
    if (right && scaling->change->kind == CHANGE_SCALE)
        right = plan_scale(scaling, context, error);
    else if (right) {
        int64_t here = (int64_t)scaling->identity.count;
        size_t before = scaling->leaving.count;
        int64_t gone = retire_members(scaling, here);
        scaling->plan->now = here;
        scaling->plan->then = here - gone;
        if (gone != (int64_t)before)
            right = error_set(error, ERROR_UNSUPPORTED, scaling->handle->record->is.id, "name all workers of a job", "a job of several workers ends as a whole");
    }
    dask_identity_done(&scaling->identity);
    list_done(&scaling->leaving);
    return right;
}

bool batch_plan(Handle *handle, Context *context, const Change *change, Plan **out, Error *error)
{
    Look look;
    Cluster *cluster;
    if (change->kind == CHANGE_ADAPT)
        return error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "dask-jobqueue adapts from the Python process that made it");
    if (change->group)
        return error_set(error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "it has no worker groups");
    if (!batch_find((BatchHandle *)handle, context, &look, &cluster, error))
        return false;
    *out = plan_new(change->kind, handle->record);
    (*out)->wait = change->wait;
    (*out)->free_own = free_own;
    Scaling scaling = {.handle = handle, .cluster = cluster, .change = change, .plan = *out};
    bool right = change->kind == CHANGE_DELETE ? plan_delete(handle, context, cluster, *out, error) : plan_workers(&scaling, context, error);
    look_done(&look);
    if (!right) {
        plan_free(*out);
        *out = NULL;
    }
    return right;
}

/* ------------------------------------------------------------------------------------------------------------------ apply */

static const JobStep *job_step(const PlanStep *step)
{
    return step->fate == STEP_ENDS && strcmp(step->kind, "job") == 0 ? step->own : NULL;
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

/* Those of the plan that are in the queue and still the same; or of them only those that were pending. */
static bool find_planned(Handle *handle, Io *io, const Context *context, const Plan *plan, bool pending, List *ids, Error *error)
{
    JobList jobs;
    List all = {0};
    for (size_t i = 0; i < plan->count; i++)
        if (job_step(&plan->steps[i]))
            list_add(&all, job_step(&plan->steps[i])->texts);
    bool right = !all.count || list_now(handle, io, context, &all, &jobs, error);
    for (size_t i = 0; right && all.count && i < plan->count; i++) {
        const JobStep *step = job_step(&plan->steps[i]);
        const Job *job = step ? job_list_find(&jobs, step->texts) : NULL;
        if (job && (!pending || step->waits) && job_is(job, step->texts, step->texts + step->owner, step->submitted_ms))
            list_add(ids, job->id);
    }
    if (right && all.count)
        job_list_done(&jobs);
    list_done(&all);
    return right;
}

static void name_newcomers(Handle *handle, const Context *context, const Plan *plan, Outcome *outcome)
{
    Look look;
    Cluster *cluster;
    if (!batch_find((BatchHandle *)handle, context, &look, &cluster, NULL))
        return;
    for (size_t i = 0; i < cluster->count; i++) {
        bool planned = false;
        for (size_t k = 0; k < plan->count && !planned; k++)
            planned = job_step(&plan->steps[k]) && strcmp(job_step(&plan->steps[k])->texts, cluster->members[i].job->id) == 0;
        if (!planned)
            list_format(&outcome->newcomers, "job %s", cluster->members[i].job->id);
    }
    look_done(&look);
}

/* Asks the queue until none of them is there, or the time is over: then what is left is named. */
static bool wait_until_gone(Handle *handle, Io *io, const Context *context, const Plan *plan, bool pending, size_t most, const Progress *progress,
                            List *left, Error *error)
{
    for (;;) {
        list_done(left);
        if (!find_planned(handle, io, context, plan, pending, left, error))
            return false;
        progress_tell(progress, PHASE_VERIFYING, (int64_t)(most - (left->count < most ? left->count : most)), (int64_t)most, "waiting until the queue has none of the jobs");
        if (!left->count)
            return true;
        if (!io_sleep(io, context, LOOK_MS, error))
            return false;
    }
}

static bool cancel_jobs(Handle *handle, Io *io, const Context *context, const Plan *plan, bool pending, bool wait, const Progress *progress,
                        Outcome *outcome, Error *error)
{
    BatchBackend *own = backend_of(handle);
    List left = {0}, found = {0}, *ids = &found;
    if (!find_planned(handle, io, context, plan, pending, ids, error) || !ids->count) {
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
    if (right && wait && !refused)
        right = wait_until_gone(handle, io, context, plan, pending, ids->count, progress, &left, error);
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
    if (!cancel_jobs(handle, io, context, plan, true, false, progress, outcome, error))
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
    return cancel_jobs(handle, io, context, plan, false, plan->wait, progress, outcome, error);
}

static bool has_worker_step(const Plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->steps[i].fate == STEP_ENDS && strcmp(plan->steps[i].kind, "worker") == 0)
            return true;
    return false;
}

/* A job ends by itself once its workers have; what is left after a while is cancelled. Jobs that never had a worker are cancelled at once. */
static bool apply_less(Handle *handle, Io *io, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    const Access *access = ((BatchHandle *)handle)->access;
    List left = {0};
    Error why = {0};
    if (!cancel_jobs(handle, io, context, plan, true, plan->wait && !has_worker_step(plan), progress, outcome, error))
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
        jobs += job_step(&plan->steps[i]) != NULL;
    bool ended = wait_until_gone(handle, io, &part, plan, false, jobs, progress, &left, &why);
    list_done(&left);
    return ended || (context_check(context, NULL, error) && cancel_jobs(handle, io, context, plan, false, true, progress, outcome, error));
}

static bool submit_one(Handle *handle, Io *io, const Context *context, const More *more, int64_t number, Error *error)
{
    BatchBackend *own = backend_of(handle);
    /* its cluster's name and a number, as dask-jobqueue has it, but one that it will not come to */
    char *name = mem_format("%s-%lld", more->prefix, (long long)(clock_wall_ms() % NUMBERS + number)), *id = NULL;
    Buffer script;
    buffer_init(&script, 1 << 20);
    bool right = script_rename(more->script.bytes, more->script.length, name, &script);
    right = right && own->queue.type->submit(&own->queue, io, context, script.bytes, more->directory, &id, error);
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
