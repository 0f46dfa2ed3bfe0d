#include "core/operation.h"

#include "base/log.h"
#include "base/mem.h"
#include "core/thread.h"

#include <stdlib.h>
#include <string.h>

enum { THREADS_MOST = 8 };

struct Operation {
    Operations *owner;
    atomic_uint references;
    Handle *handle;      /* NULL for create, and after the end */
    Backend *backend;
    Spec *spec;
    Plan *plan;
    int64_t timeout_ms;
    Cancel cancel;
    OperationState state; /* guarded by the owner's lock */
    bool ended;           /* likewise */
    Operation *next;      /* in the list of waiting ones */
};

struct Operations {
    const Config *config;
    Store *store;
    Journal *journal;
    pthread_mutex_t lock; /* guards all below and every operation's state */
    pthread_cond_t work, changed;
    Operation *waiting, **last_waiting;
    Operation **all;
    size_t count, capacity, running;
    char *busy[THREADS_MOST]; /* ids of clusters that are being changed */
    pthread_t threads[THREADS_MOST];
    size_t thread_count, idle, alive;
    uint64_t number;
    const Wake *wake;
    bool stopping;
};

typedef struct Seat {
    Operations *operations;
    size_t number;
} Seat;

bool operations_writable(const Config *config, const Backend *backend, Error *error)
{
    const char *key = backend ? backend->config->key : NULL;
    if (config->read_only)
        return error_set(error, ERROR_READ_ONLY, NULL, "set read-only: false", "this dasktop is read-only");
    if (backend && backend->config->read_only)
        return error_set(error, ERROR_READ_ONLY, key, "set its read-only: false", "this backend is read-only");
    return true;
}

/* ---------------------------------------------------------------------------------------------------------------- telling */

static void copy_outcome(Outcome *to, const Outcome *from)
{
    outcome_init(to);
    list_copy(&to->left_over, &from->left_over);
    list_copy(&to->newcomers, &from->newcomers);
    list_copy(&to->failures, &from->failures);
    to->clamped = mem_text(from->clamped);
    to->id = mem_text(from->id);
    to->workers = from->workers;
}

static void notify(Operations *operations)
{
    pthread_cond_broadcast(&operations->changed);
    if (operations->wake)
        wake_up(operations->wake);
}

static void tell(void *user, Phase phase, const char *message, int64_t done, int64_t total)
{
    Operation *operation = user;
    pthread_mutex_lock(&operation->owner->lock);
    operation->state.phase = phase;
    free(operation->state.message);
    operation->state.message = mem_text(message);
    operation->state.done = done;
    operation->state.total = total;
    notify(operation->owner);
    pthread_mutex_unlock(&operation->owner->lock);
}

/* With the lock held. */
static void set_end(Operation *operation, Phase phase, const Error *error, const Outcome *outcome)
{
    operation->state.phase = phase;
    operation->state.ended_ms = clock_wall_ms();
    if (error)
        operation->state.error = *error;
    if (outcome) {
        outcome_done(&operation->state.outcome);
        copy_outcome(&operation->state.outcome, outcome);
    }
    operation->ended = true;
    notify(operation->owner);
}

static void end(Operation *operation, Phase phase, const Error *error, const Outcome *outcome)
{
    pthread_mutex_lock(&operation->owner->lock);
    set_end(operation, phase, error, outcome);
    pthread_mutex_unlock(&operation->owner->lock);
}

static void say_unbegun(const Operation *operation, Error *error)
{
    error_set(error, ERROR_CANCELLED, operation->plan->id, NULL, "cancelled before it began: nothing was changed");
}

/* ------------------------------------------------------------------------------------------------------------- executing */

/* Another incarnation stands under the id by now: what was planned is not what is there. */
static bool is_unchanged(const Operation *operation, Error *error)
{
    const Plan *plan = operation->plan;
    const Snapshot *snapshot = store_snapshot(operation->owner->store);
    bool same = true;
    for (size_t p = 0; plan->id && p < snapshot->part_count; p++)
        for (size_t i = 0; i < snapshot->parts[p]->count; i++) {
            const Record *record = snapshot_record(snapshot->parts[p], i);
            if (strcmp(record->is.id, plan->id) == 0 && record->is.uid && plan->uid && strcmp(record->is.uid, plan->uid) != 0)
                same = false;
        }
    store_drop(operation->owner->store, snapshot);
    return same || error_set(error, ERROR_CONFLICT, plan->id, "look at it again", "changed since it was seen: another cluster has its place");
}

/* Nothing ends or changes that cannot be told from what has its name next. */
static bool is_bound(const Plan *plan, Error *error)
{
    for (size_t i = 0; i < plan->count; i++) {
        const PlanStep *step = &plan->steps[i];
        if ((step->fate == STEP_ENDS || step->fate == STEP_CHANGES) && !step->identity)
            return error_set(error, ERROR_UNSUPPORTED, plan->id, NULL, "%s %s has no identity: it is not touched", step->kind ? step->kind : "",
                             step->name ? step->name : "");
    }
    return true;
}

static bool is_permitted(const Operation *operation, Error *error)
{
    const Plan *plan = operation->plan;
    if (!operations_writable(operation->owner->config, operation->backend, error))
        return false;
    if (operation->handle ? !operation->handle->type->apply : !operation->backend->type->create)
        return error_set(error, ERROR_UNSUPPORTED, plan->id ? plan->id : operation->backend->config->key, NULL, "%s is not possible for this cluster", change_word(plan->kind));
    return is_bound(plan, error) && is_unchanged(operation, error);
}

static bool execute(Operation *operation, Outcome *outcome, Error *error)
{
    Progress progress = {tell, operation};
    Context context = context_new(&operation->cancel, operation->timeout_ms);
    tell(operation, PHASE_RUNNING, "", NUMBER_UNKNOWN, NUMBER_UNKNOWN);
    bool right = operation->handle ? operation->handle->type->apply(operation->handle, &context, operation->plan, &progress, outcome, error)
                                   : operation->backend->type->create(operation->backend, &context, operation->spec, false, operation->plan, &progress, outcome, error);
    outcome_clean(outcome);
    return right;
}

static bool is_stopping(Operations *operations)
{
    pthread_mutex_lock(&operations->lock);
    bool stopping = operations->stopping;
    pthread_mutex_unlock(&operations->lock);
    return stopping;
}

/* Journalled before and after: a change that cannot be written down does not happen. Where the program's end broke it off, how it
 * ended is not known: then its begin stands alone. */
static void perform(Operation *operation)
{
    Error error = {0}, unwritten;
    Outcome outcome;
    char number[40];
    if (cancel_asked(&operation->cancel)) {
        say_unbegun(operation, &error);
        end(operation, PHASE_CANCELLED, &error, NULL);
        return;
    }
    if (!is_permitted(operation, &error) || !journal_begin(operation->owner->journal, operation->plan, number, &error)) {
        end(operation, PHASE_FAILED, &error, NULL);
        return;
    }
    outcome_init(&outcome);
    bool done = execute(operation, &outcome, &error);
    Phase phase = done ? PHASE_DONE : error.code == ERROR_CANCELLED ? PHASE_CANCELLED : PHASE_FAILED;
    if (phase == PHASE_CANCELLED && is_stopping(operation->owner))
        phase = PHASE_UNKNOWN;
    else if (!journal_end(operation->owner->journal, number, operation->plan, phase, &outcome, done ? NULL : &error, &unwritten))
        log_line("journal", "the end of operation %s could not be written: %s", number, unwritten.what);
    end(operation, phase, done ? NULL : &error, &outcome);
    outcome_done(&outcome);
}

/* ------------------------------------------------------------------------------------------------------------------ pool */

static bool is_busy(const Operations *operations, const char *id)
{
    for (size_t i = 0; id && i < THREADS_MOST; i++)
        if (operations->busy[i] && strcmp(operations->busy[i], id) == 0)
            return true;
    return false;
}

static Operation *take(Operations *operations)
{
    for (Operation **slot = &operations->waiting; *slot; slot = &(*slot)->next) {
        Operation *operation = *slot;
        if (is_busy(operations, operation->plan->id))
            continue;
        *slot = operation->next;
        if (!operation->next)
            operations->last_waiting = slot;
        return operation;
    }
    return NULL;
}

/* What it held in the system: connections are not kept until the list of operations goes. */
static void let_go(Operation *operation)
{
    handle_close(operation->handle);
    operation->handle = NULL;
}

static void *serve(void *argument)
{
    Seat seat = *(Seat *)argument;
    Operations *operations = seat.operations;
    free(argument);
    pthread_mutex_lock(&operations->lock);
    for (;;) {
        Operation *operation = take(operations);
        if (!operation && operations->stopping)
            break;
        if (!operation) {
            operations->idle++;
            pthread_cond_wait(&operations->work, &operations->lock);
            operations->idle--;
            continue;
        }
        operations->busy[seat.number] = mem_text(operation->plan->id);
        bool cancelled = operation->ended; /* while it waited: only what it holds is left to give back */
        operations->running += !cancelled;
        pthread_mutex_unlock(&operations->lock);
        if (!cancelled)
            perform(operation);
        let_go(operation);
        operation_drop(operation);
        pthread_mutex_lock(&operations->lock);
        free(operations->busy[seat.number]);
        operations->busy[seat.number] = NULL;
        operations->running -= !cancelled;
        notify(operations);
        pthread_cond_broadcast(&operations->work); /* the next one of this cluster may begin */
    }
    operations->alive--;
    pthread_cond_broadcast(&operations->changed);
    pthread_mutex_unlock(&operations->lock);
    return NULL;
}

/* With the lock held. Idle ones that were woken for earlier operations still count as idle: compare with all that wait. */
static void need_thread(Operations *operations)
{
    size_t waiting = 0;
    for (const Operation *operation = operations->waiting; operation; operation = operation->next)
        waiting++;
    if (operations->idle >= waiting || operations->thread_count == THREADS_MOST)
        return;
    Seat *seat = mem_new(sizeof *seat);
    *seat = (Seat){operations, operations->thread_count};
    if (thread_start(&operations->threads[operations->thread_count], serve, seat)) {
        operations->thread_count++;
        operations->alive++;
    } else {
        free(seat);
    }
}

/* With the lock held. */
static void unqueue(Operations *operations, const Operation *operation)
{
    Operation **slot = &operations->waiting;
    while (*slot && *slot != operation)
        slot = &(*slot)->next;
    *slot = operation->next;
    if (!operation->next)
        operations->last_waiting = slot;
}

/* The pool's part of one that nobody will take. */
static void refuse_start(Operation *operation)
{
    Error error;
    error_set(&error, ERROR_INTERNAL, operation->plan->id, NULL, "it could not be begun: nothing was changed");
    end(operation, PHASE_FAILED, &error, NULL);
    let_go(operation);
    operation_drop(operation);
}

static Operation *submit(Operations *operations, Handle *handle, Backend *backend, Spec *spec, Plan *plan, int64_t timeout_ms)
{
    Operation *operation = mem_new(sizeof *operation);
    *operation = (Operation){.owner = operations, .handle = handle, .backend = backend, .spec = spec, .plan = plan, .timeout_ms = timeout_ms};
    atomic_init(&operation->references, 3); /* the caller's, the list's, the pool's */
    if (!cancel_init(&operation->cancel))
        operation->cancel.wake = (Wake){-1, -1};
    operation->state = (OperationState){.kind = plan->kind, .id = mem_text(plan->id), .name = mem_text(plan->name ? plan->name : "new cluster"),
                                        .phase = PHASE_QUEUED, .done = NUMBER_UNKNOWN, .total = NUMBER_UNKNOWN,
                                        .begun_ms = clock_wall_ms(), .ended_ms = TIME_UNKNOWN};
    outcome_init(&operation->state.outcome);
    pthread_mutex_lock(&operations->lock);
    operation->state.number = ++operations->number;
    operations->all = mem_grow(operations->all, operations->count, &operations->capacity, sizeof *operations->all);
    operations->all[operations->count++] = operation;
    *operations->last_waiting = operation;
    operations->last_waiting = &operation->next;
    if (!operations->stopping)
        need_thread(operations);
    bool nobody = operations->stopping || !operations->thread_count;
    if (nobody)
        unqueue(operations, operation);
    notify(operations);
    pthread_cond_broadcast(&operations->work);
    pthread_mutex_unlock(&operations->lock);
    if (nobody)
        refuse_start(operation);
    return operation;
}

Operation *operations_apply(Operations *operations, Handle *handle, Plan *plan, int64_t timeout_ms)
{
    return submit(operations, handle, handle->backend, NULL, plan, timeout_ms);
}

Operation *operations_create(Operations *operations, Backend *backend, Spec *spec, Plan *plan, int64_t timeout_ms)
{
    return submit(operations, NULL, backend, spec, plan, timeout_ms);
}

/* ------------------------------------------------------------------------------------------------------------------ life */

Operations *operations_new(const Config *config, Store *store, Journal *journal)
{
    Operations *operations = mem_new(sizeof *operations);
    operations->config = config;
    operations->store = store;
    operations->journal = journal;
    operations->last_waiting = &operations->waiting;
    pthread_mutex_init(&operations->lock, NULL);
    thread_condition_init(&operations->work);
    thread_condition_init(&operations->changed);
    return operations;
}

void operations_on_change(Operations *operations, const Wake *wake)
{
    pthread_mutex_lock(&operations->lock);
    operations->wake = wake;
    pthread_mutex_unlock(&operations->lock);
}

bool operations_stop(Operations *operations, int64_t ms)
{
    struct timespec until = thread_deadline(ms > 0 ? ms : 0);
    pthread_mutex_lock(&operations->lock);
    operations->stopping = true;
    for (size_t i = 0; i < operations->count; i++)
        cancel_ask(&operations->all[i]->cancel);
    pthread_cond_broadcast(&operations->work);
    while (operations->alive && pthread_cond_timedwait(&operations->changed, &operations->lock, &until) == 0)
        ;
    bool all = operations->alive == 0;
    pthread_mutex_unlock(&operations->lock);
    for (size_t i = 0; all && i < operations->thread_count; i++)
        pthread_join(operations->threads[i], NULL);
    if (all)
        operations->thread_count = 0;
    return all;
}

void operations_free(Operations *operations)
{
    for (size_t i = 0; i < operations->count; i++)
        operation_drop(operations->all[i]);
    free(operations->all);
    pthread_cond_destroy(&operations->work);
    pthread_cond_destroy(&operations->changed);
    pthread_mutex_destroy(&operations->lock);
    free(operations);
}

/* ------------------------------------------------------------------------------------------------------------ one of them */

OperationState operation_state(const Operation *operation)
{
    pthread_mutex_lock(&operation->owner->lock);
    OperationState state = operation->state;
    state.id = mem_text(state.id);
    state.name = mem_text(state.name);
    state.message = mem_text(state.message);
    copy_outcome(&state.outcome, &operation->state.outcome);
    pthread_mutex_unlock(&operation->owner->lock);
    return state;
}

void operation_state_done(OperationState *state)
{
    free(state->id);
    free(state->name);
    free(state->message);
    outcome_done(&state->outcome);
    *state = (OperationState){0};
}

bool operation_ended(const Operation *operation)
{
    pthread_mutex_lock(&operation->owner->lock);
    bool ended = operation->ended;
    pthread_mutex_unlock(&operation->owner->lock);
    return ended;
}

/* One that waits ends at once, and not when its turn comes. Its handle is left to the pool: closing may wait, the caller may not. */
void operation_cancel(Operation *operation)
{
    Operations *operations = operation->owner;
    Error error;
    cancel_ask(&operation->cancel);
    pthread_mutex_lock(&operations->lock);
    const Operation *waiting = operations->waiting;
    while (waiting && waiting != operation)
        waiting = waiting->next;
    if (waiting && !operation->ended) {
        say_unbegun(operation, &error);
        set_end(operation, PHASE_CANCELLED, &error, NULL);
    }
    pthread_mutex_unlock(&operations->lock);
}

/* As in engine_wait: the context's descriptor cannot be waited for together with a condition. */
bool operation_wait(Operation *operation, Context *context)
{
    Operations *operations = operation->owner;
    pthread_mutex_lock(&operations->lock);
    while (!operation->ended && context_check(context, NULL, NULL)) {
        int64_t left = context_left_ms(context);
        struct timespec until = thread_deadline(left < 50 ? left : 50);
        pthread_cond_timedwait(&operations->changed, &operations->lock, &until);
    }
    bool ended = operation->ended;
    pthread_mutex_unlock(&operations->lock);
    return ended;
}

void operation_drop(Operation *operation)
{
    if (!operation || atomic_fetch_sub(&operation->references, 1) != 1)
        return;
    handle_close(operation->handle);
    plan_free(operation->plan);
    if (operation->spec)
        spec_done(operation->spec);
    free(operation->spec);
    cancel_done(&operation->cancel);
    operation_state_done(&operation->state);
    free(operation);
}

size_t operations_list(Operations *operations, Operation ***list)
{
    pthread_mutex_lock(&operations->lock);
    size_t count = operations->count;
    *list = mem_new(count * sizeof **list);
    for (size_t i = 0; i < count; i++) {
        (*list)[i] = operations->all[count - 1 - i];
        atomic_fetch_add(&(*list)[i]->references, 1);
    }
    pthread_mutex_unlock(&operations->lock);
    return count;
}

size_t operations_running(Operations *operations)
{
    pthread_mutex_lock(&operations->lock);
    size_t running = operations->running;
    for (Operation *operation = operations->waiting; operation; operation = operation->next)
        running += !operation->ended;
    pthread_mutex_unlock(&operations->lock);
    return running;
}
