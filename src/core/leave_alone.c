/* Keeping a cluster: in this user's own file, and as a label of its system, where other people's dasktops read it. */
#include "core/engine.h"

enum { LABEL_MS = 30000 };

static bool set_label(Engine *engine, Context *context, const Record *record, const Change *change, Error *error)
{
    Handle *handle = NULL;
    Plan *plan = NULL;
    if (!engine_reconstruct(engine, context, record, &handle, error))
        return false;
    if (!handle->type->plan(handle, context, change, &plan, error)) {
        handle_close(handle);
        return false;
    }
    Operation *operation = operations_apply(engine_operations(engine), handle, plan, LABEL_MS);
    if (!operation_wait(operation, context))
        operation_cancel(operation);
    OperationState state = operation_state(operation);
    bool right = state.phase == PHASE_DONE || context_check(context, record->is.id, error);
    if (right && state.phase != PHASE_DONE) {
        *error = state.error;
        right = false;
    }
    operation_state_done(&state);
    operation_drop(operation);
    return right;
}

bool engine_leave_alone(Engine *engine, Context *context, const Record *record, int64_t until_ms, const char *reason, Error *error)
{
    Backend *backend = engine_backend(engine, record->backend, record->instance);
    bool labels = backend && backend->type->labels, is_labelled = record->is.kept_until_ms != TIME_UNKNOWN && record->is.kept_until_ms > clock_wall_ms();
    Change change = {.kind = CHANGE_KEEP, .until_ms = until_ms, .reason = reason, .wait = true};
    Error why = {0};
    if (!operations_writable(engine_config(engine), backend, error))
        return false;
    if (until_ms == 0 && is_labelled && !labels)
        return error_set(error, ERROR_UNSUPPORTED, record->is.id, "end that there", "its own system says that it is kept");
    if (!keep_set(engine_keep(engine), record, until_ms, reason, error))
        return false;
    if (!labels || (until_ms == 0 && !is_labelled) || set_label(engine, context, record, &change, &why))
        return true;
    if (until_ms && why.code == ERROR_UNSUPPORTED) /* nothing of it bears labels: kept all the same */
        return true;
    return error_set(error, ERROR_PARTIAL, record->is.id, NULL, until_ms ? "kept for you alone; its label dasktop/keep could not be set: %s" : "its label dasktop/keep could not be removed: %s",
                     why.what);
}
