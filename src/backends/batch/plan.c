/* Plans for a batch system's cluster: what is cancelled is named job by job, with owner and submit time; workers leave through their scheduler
 * first, and only what was retired is cancelled; one more worker is the very script of a living one. */
#include "backends/batch/plan.h"

#include "backends/common/retire.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { SCRIPT_MOST = 1 << 20 };

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

static JobStep *make_step(const Job *job)
{
    size_t n = strlen(job->id) + 1, m = strlen(job->owner) + 1;
    JobStep *step = mem_new(sizeof *step + n + m);
    step->submitted_ms = job->submitted_ms;
    step->waits = is_waiting(job);
    step->owner = step->id + n;
    memcpy(step->id, job->id, n);
    memcpy(step->id + n, job->owner, m);
    return step;
}

const JobStep *plan_job(const PlanStep *step)
{
    return step->fate == STEP_ENDS && strcmp(step->kind, "job") == 0 ? step->own : NULL;
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
    step->own = make_step(job);
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

/* Its text, with a mark where the new worker's name belongs. */
static bool take_script(Scaling *scaling, const Context *context, const Member *pattern, Buffer *text, More *more, Error *error)
{
    BatchBackend *own = backend_of(scaling->handle);
    const QueueType *type = own->queue.type;
    const char *id = scaling->handle->record->is.id;
    Io *io = io_new(error);
    if (!io)
        return false;
    bool right = true;
    if (pattern->job->text)
        buffer_text(text, pattern->job->text);
    else if (!type->script)
        right = error_set(error, ERROR_UNSUPPORTED, id, NULL, "this queue tells no job's script");
    else
        right = type->script(&own->queue, io, context, pattern->job, text, error);
    io_free(io);
    if (right && !script_rename(text->bytes, text->length, PLAN_WORKER, &more->script))
        right = error_set(error, ERROR_UNSUPPORTED, id, NULL, "the script of job %s names no worker: it cannot be used for another one", pattern->job->id);
    return right;
}

static void add_starts(Scaling *scaling, const Member *pattern, const Buffer *text, const More *more)
{
    const QueueType *type = backend_of(scaling->handle)->queue.type;
    char *line = script_line(text->bytes, text->length);
    for (int64_t i = 0; i < more->jobs; i++) {
        PlanStep *step = plan_step(scaling->plan, STEP_STARTS, "job", "one more job", NULL);
        plan_call(step, "%s: the script of job %s under another worker's name: %s", type->submit_words, pattern->job->id, line);
    }
    free(line);
}

/* The very script of a living worker, under a name of its own. */
static bool plan_more(Scaling *scaling, const Context *context, int64_t workers, Error *error)
{
    const Member *pattern = pattern_of(scaling->cluster);
    const char *id = scaling->handle->record->is.id;
    Buffer text;
    if (!backend_of(scaling->handle)->queue.type->submit)
        return error_set(error, ERROR_UNSUPPORTED, id, NULL, "this queue is not submitted to from here");
    if (!pattern)
        return error_set(error, ERROR_UNSUPPORTED, id, NULL, "none of its jobs is a worker whose script could be submitted again");
    if (!scaling->cluster->mine)
        return error_set(error, ERROR_DENIED, id, NULL, "its jobs are %s's: what you submit would be yours", scaling->cluster->owner);
    More *more = mem_new(sizeof *more);
    buffer_init(&more->script, SCRIPT_MOST);
    scaling->plan->own = more;
    buffer_init(&text, SCRIPT_MOST);
    bool right = take_script(scaling, context, pattern, &text, more, error);
    if (right) {
        int64_t each = pattern->script.processes;
        more->is_element = pattern->job->element;
        more->directory = mem_text(pattern->job->directory);
        more->prefix = pattern->script.worker ? script_cluster(pattern->script.worker) : mem_text("worker");
        more->jobs = (workers + each - 1) / each;
        add_starts(scaling, pattern, &text, more);
        if (more->jobs * each != workers)
            scaling->plan->clamped = mem_format("a job has %lld workers: %lld more instead of %lld", (long long)each, (long long)(more->jobs * each),
                                                (long long)workers);
        scaling->plan->then += more->jobs * each - workers;
        plan_note(scaling->plan, "the Python process that made the cluster does not know of these jobs; they end with its scheduler or at their wall time");
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
