#include "backends/common/retire.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS = 2000, ROUND_MS = 200, LOOK_MS = 300 };

void retire_free_own(Plan *plan, PlanStep *step)
{
    (void)plan;
    if (step)
        free(step->own);
}

static const DaskWorker *find_worker(const DaskIdentity *identity, const char *address)
{
    for (size_t i = 0; i < identity->count; i++)
        if (identity->list[i].address && strcmp(identity->list[i].address, address) == 0)
            return &identity->list[i];
    return NULL;
}

/* A worker's id is its name in old versions: with its address it still is one incarnation of it. */
static char *identity_of(const DaskWorker *worker)
{
    return mem_format("%s at %s", worker->id ? worker->id : "?", worker->address);
}

static void add_step(Plan *plan, const DaskWorker *worker)
{
    char *identity = identity_of(worker);
    PlanStep *step = plan_step(plan, STEP_ENDS, "worker", worker->name ? worker->name : worker->address, identity);
    plan_call(step, "retire_workers %s: moves its data away, then closes it", worker->address);
    step->own = mem_text(worker->address);
    free(identity);
}

bool retire_plan(const Access *access, const Context *context, const Change *change, Plan *plan, Error *error)
{
    Io *io;
    DaskIdentity identity;
    List addresses = {0};
    Dask *dask = access_open(access, context, &io, error);
    if (!dask)
        return false;
    bool right = dask_identity(dask, context, true, &identity, error);
    if (right) {
        plan->free_own = retire_free_own;
        plan->now = (int64_t)identity.count;
        if (change->kind == CHANGE_RETIRE)
            right = access_resolve_workers(&identity, change->names, access->where, &addresses, error);
        else if (change->workers < plan->now)
            right = dask_workers_to_close(dask, context, change->workers, &addresses, error);
        plan->then = change->kind == CHANGE_SCALE ? change->workers : plan->now - (int64_t)addresses.count;
        for (size_t i = 0; right && i < addresses.count; i++)
            if (find_worker(&identity, addresses.items[i]))
                add_step(plan, find_worker(&identity, addresses.items[i]));
        dask_identity_done(&identity);
    }
    list_done(&addresses);
    access_close(dask, io);
    return right;
}

/* Each worker of the plan must still be the one that the plan saw. */
static bool check_steps(const Access *access, const Plan *plan, const DaskIdentity *identity, List *addresses, Error *error)
{
    for (size_t i = 0; i < plan->count; i++) {
        const PlanStep *step = &plan->steps[i];
        if (step->fate != STEP_ENDS || strcmp(step->kind, "worker") != 0 || !step->own)
            continue;
        const DaskWorker *worker = find_worker(identity, step->own);
        if (!worker)
            continue; /* it has gone by itself: nothing to do for it */
        char *now = identity_of(worker);
        bool same = strcmp(now, step->identity) == 0;
        free(now);
        if (!same)
            return error_set(error, ERROR_CONFLICT, access->where, "look at it again", "another worker has the address %s by now", (char *)step->own);
        list_add(addresses, step->own);
    }
    return true;
}

static bool wait_until_gone(Dask *dask, Io *io, const Context *context, const List *addresses, const Progress *progress, Outcome *outcome,
                            Error *error)
{
    for (;;) {
        DaskIdentity identity;
        if (!dask_identity(dask, context, true, &identity, error))
            return false;
        int64_t left = 0;
        for (size_t i = 0; i < addresses->count; i++)
            left += find_worker(&identity, addresses->items[i]) != NULL;
        outcome->workers = (int64_t)identity.count;
        dask_identity_done(&identity);
        progress_tell(progress, PHASE_VERIFYING, (int64_t)addresses->count - left, (int64_t)addresses->count, "waiting until the workers are gone");
        if (left == 0)
            return true;
        if (!io_sleep(io, context, ROUND_MS, error))
            return false;
    }
}

static void name_what_stays(const List *addresses, const List *retired, Outcome *outcome)
{
    for (size_t i = 0; i < addresses->count; i++)
        if (!list_has(retired, addresses->items[i]))
            list_format(&outcome->failures, "worker %s was not retired: its data could not be moved away", addresses->items[i]);
}

bool retire_apply(const Access *access, const Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    Io *io;
    DaskIdentity identity;
    List addresses = {0}, retired = {0};
    Dask *dask = access_open(access, context, &io, error);
    if (!dask)
        return false;
    bool right = dask_identity(dask, context, true, &identity, error);
    if (right) {
        right = check_steps(access, plan, &identity, &addresses, error);
        outcome->workers = (int64_t)identity.count;
        dask_identity_done(&identity);
    }
    if (right && addresses.count) {
        progress_tell(progress, PHASE_RUNNING, 0, (int64_t)addresses.count, "moving data away and closing workers");
        right = dask_retire(dask, context, &addresses, &retired, error);
        if (right)
            name_what_stays(&addresses, &retired, outcome);
        if (right && plan->wait && !outcome->failures.count)
            right = wait_until_gone(dask, io, context, &retired, progress, outcome, error);
    }
    list_done(&addresses);
    list_done(&retired);
    access_close(dask, io);
    return right;
}

bool retire_wait_for(const Access *access, const Context *context, int64_t wanted, bool exactly, const Progress *progress, Outcome *outcome,
                     Error *error)
{
    Io *io;
    Dask *dask = access_open(access, context, &io, error);
    bool right = dask != NULL;
    while (right) {
        DaskIdentity identity;
        right = dask_identity(dask, context, false, &identity, error);
        if (!right)
            break;
        outcome->workers = identity.workers;
        dask_identity_done(&identity);
        progress_tell(progress, PHASE_VERIFYING, outcome->workers, wanted, exactly ? "waiting until the scheduler has the wanted number of workers" : "waiting until the workers are registered");
        if (exactly ? outcome->workers == wanted : outcome->workers >= wanted)
            break;
        right = io_sleep(io, context, LOOK_MS, error);
    }
    if (!right && error && error->code == ERROR_TIMEOUT && outcome->workers != NUMBER_UNKNOWN)
        error_set(error, ERROR_TIMEOUT, access->where, "its log says why", "%lld workers are there, %lld are wanted", (long long)outcome->workers,
                  (long long)wanted);
    access_close(dask, io);
    return right;
}

/* Refused, or a stranger's by now: it is gone. Silence is neither. */
static bool is_gone(const Access *access, Io *io, const Context *context)
{
    StreamTarget target = access_target(access);
    Error error = {0};
    Context part = context_within(context, CONNECT_MS);
    Dask *dask = dask_open(io, &part, &target, access->where, &error);
    if (!dask)
        return error.code == ERROR_UNREACHABLE || error.code == ERROR_BAD_REPLY;
    DaskIdentity identity;
    bool other = false;
    if (dask_identity(dask, &part, false, &identity, &error)) {
        other = access->scheduler_id && (!identity.id || strcmp(identity.id, access->scheduler_id) != 0);
        dask_identity_done(&identity);
    }
    dask_close(dask);
    return other;
}

bool retire_terminate(const Access *access, const Context *context, const Progress *progress, bool wait, Error *error)
{
    Io *io;
    Dask *dask = access_open(access, context, &io, error);
    if (!dask)
        return false;
    progress_tell(progress, PHASE_RUNNING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "asking the scheduler to end");
    bool right = dask_terminate(dask, context, error);
    dask_close(dask);
    if (right && wait) {
        progress_tell(progress, PHASE_VERIFYING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "waiting until its port refuses");
        while (!is_gone(access, io, context) && (right = io_sleep(io, context, ROUND_MS, error)))
            ;
    }
    io_free(io);
    return right;
}
