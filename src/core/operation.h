/* Changes under way: the one door to apply and create.
 *
 * queued → running → verifying → done, failed, cancelled or unknown. Per cluster one at a time, over clusters in parallel, a pool
 * of at most 8 threads, made when first needed. Read-only is refused here and nowhere else; so is a handle whose cluster has
 * another uid in the store now. Journalled before and after. Operations are counted; any thread may read one that it holds. */
#ifndef DASKTOP_CORE_OPERATION_H
#define DASKTOP_CORE_OPERATION_H

#include "core/backend.h"
#include "core/journal.h"
#include "core/store.h"

typedef struct Operations Operations;
typedef struct Operation Operation;

/* A copy of how far it is. Strings are owned by it: operation_state_done. */
typedef struct OperationState {
    uint64_t number;       /* 1, 2, … in this run */
    ChangeKind kind;
    char *id, *name;
    Phase phase;
    char *message;
    int64_t done, total;   /* NUMBER_UNKNOWN */
    Error error;
    Outcome outcome;       /* filled when it has ended */
    int64_t begun_ms, ended_ms;
} OperationState;

Operations *operations_new(const Config *config, Store *store, Journal *journal);
void operations_on_change(Operations *operations, const Wake *wake);
/* Cancels all and waits at most ms; false where some did not end (then nothing may be freed). */
bool operations_stop(Operations *operations, int64_t ms);
void operations_free(Operations *operations);

/* Takes handle and plan (also on failure). timeout_ms: past it the phase is failed with ERROR_TIMEOUT and what is still there is
 * named; what the system has begun is not undone. */
Operation *operations_apply(Operations *operations, Handle *handle, Plan *plan, int64_t timeout_ms);
/* Takes spec and plan. */
Operation *operations_create(Operations *operations, Backend *backend, Spec *spec, Plan *plan, int64_t timeout_ms);

OperationState operation_state(const Operation *operation);
void operation_state_done(OperationState *state);
bool operation_ended(const Operation *operation);
void operation_cancel(Operation *operation);
/* Waits for its end; false where the context ended first. */
bool operation_wait(Operation *operation, Context *context);
void operation_drop(Operation *operation);
/* All of this run, newest first, counted for the caller (operation_drop each, free the array). */
size_t operations_list(Operations *operations, Operation ***list);
size_t operations_running(Operations *operations);

/* True where the change is permitted at all: config and backend not read-only. For keys and dialogs, so that nothing is offered. */
bool operations_writable(const Config *config, const Backend *backend, Error *error);

#endif
