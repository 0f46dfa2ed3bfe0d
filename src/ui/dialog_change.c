/* Dialogs that show a plan and ask: delete, scale, retire. */
#include "ui/dialog_inside.h"

#include "base/mem.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLAN_MS = 30000, APPLY_MS = 600000 };

/* ------------------------------------------------------------------------------------------------------- what it says */

static const char *dialog_some(int64_t count, const char *one, const char *many, const char *none, char out[64])
{
    if (count == NUMBER_UNKNOWN)
        snprintf(out, 64, "%s not known", many);
    else if (count == 0)
        snprintf(out, 64, "%s", none);
    else
        snprintf(out, 64, "%lld %s", (long long)count, count == 1 ? one : many);
    return out;
}

static const char *so_many(int64_t count, const char *what, char out[64])
{
    if (count == NUMBER_UNKNOWN)
        snprintf(out, 64, "how many are %s is not known", what);
    else
        snprintf(out, 64, "%lld %s", (long long)count, what);
    return out;
}

/* Names that are not plain ASCII also in escaped form: look-alikes and reversed text must fool nobody. */
static void dialog_name(Dialog *dialog, const char *name)
{
    if (text_is_ascii(name))
        return;
    char *escaped = text_escaped(name);
    dialog_line(dialog, ROLE_WARN, "its name is written %s", escaped);
    free(escaped);
}

static void dialog_about(Dialog *dialog, const Target *target)
{
    const RecordFields *is = &target->row.record->is;
    char clients[64], tasks[64], results[64];
    Buffer origin;
    buffer_init(&origin, 2048);
    chrome_origin(is, &origin);
    dialog_line(dialog, ROLE_TEXT, "%s · owner %s%s%s", target->row.record->backend, is->owner ? is->owner : "not known",
                origin.length ? " · made by " : "", origin.bytes);
    buffer_done(&origin);
    dialog_name(dialog, is->name);
    dialog_line(dialog, is->clients > 0 || is->tasks.processing > 0 || is->tasks.stored > 0 ? ROLE_WARN : ROLE_TEXT, "%s · %s · %s",
                dialog_some(is->clients, "client", "clients", "no client", clients),
                dialog_some(is->tasks.processing, "task running", "tasks running", "no task running", tasks),
                dialog_some(is->tasks.stored, "result held in memory", "results held in memory", "holds no results", results));
    if (target->row.stale)
        dialog_line(dialog, ROLE_WARN, "its backend has not confirmed it lately: it will be asked again first");
}

void dialog_step(Dialog *dialog, const PlanStep *step)
{
    char *escaped = step->name && !text_is_ascii(step->name) ? text_escaped(step->name) : NULL;
    const char *kind = step->kind ? step->kind : "", *name = escaped ? escaped : step->name ? step->name : "";
    if (*kind && strncmp(name, kind, strlen(kind)) == 0)
        kind = ""; /* "worker 43" says it already */
    const char *identity = step->identity ? step->identity : "", *more = strstr(identity, " (");
    int shown = more && !dialog->calls ? (int)(more - identity) : (int)strlen(identity); /* the exact proof comes with the calls */
    dialog_line(dialog, step->fate == STEP_STAYS ? ROLE_DIM : ROLE_TEXT, "%-7s %s%s%s%s%.*s%s", step_fate_word(step->fate), kind,
                *kind ? " " : "", name, shown ? "  (" : "", shown, identity, shown ? ")" : "");
    if (dialog->calls && step->call)
        dialog_line(dialog, ROLE_DIM, "        %s", step->call);
    free(escaped);
}

static void dialog_then(Dialog *dialog, const Target *target)
{
    const Plan *plan = target->plan;
    if (plan->now == NUMBER_UNKNOWN && plan->then == NUMBER_UNKNOWN)
        return;
    char now[32] = "?", then[32] = "?";
    if (plan->now != NUMBER_UNKNOWN)
        snprintf(now, sizeof now, "%lld", (long long)plan->now);
    if (plan->then != NUMBER_UNKNOWN)
        snprintf(then, sizeof then, "%lld", (long long)plan->then);
    dialog_line(dialog, ROLE_STRONG, "workers: now %s, then %s", now, then);
    if (!isnan(target->row.per_hour) && plan->now > 0 && plan->then >= 0)
        dialog_line(dialog, ROLE_TEXT, "cost: now %.2f an hour, then about %.2f", target->row.per_hour,
                    target->row.per_hour * (double)plan->then / (double)plan->now);
}

static void dialog_one(Dialog *dialog, const Target *target)
{
    dialog_about(dialog, target);
    dialog_line(dialog, ROLE_TEXT, "%s", "");
    if (!target->plan) {
        char line[ERROR_LINE];
        dialog_line(dialog, ROLE_BAD, "%s", error_line(&target->error, line, sizeof line));
        return;
    }
    dialog_then(dialog, target);
    for (size_t i = 0; i < target->plan->count; i++)
        dialog_step(dialog, &target->plan->steps[i]);
    if (target->plan->count == 0)
        dialog_line(dialog, ROLE_DIM, "nothing has to be touched");
    if (target->plan->clamped)
        dialog_line(dialog, ROLE_WARN, "%s", target->plan->clamped);
    if (target->plan->note) {
        dialog_line(dialog, ROLE_TEXT, "%s", "");
        dialog_line(dialog, ROLE_TEXT, "%s", target->plan->note);
    }
}

static void dialog_many(Dialog *dialog)
{
    for (size_t i = 0; i < dialog->target_count; i++) {
        const Target *target = &dialog->targets[i];
        const RecordFields *is = &target->row.record->is;
        char line[ERROR_LINE];
        if (!target->plan) {
            dialog_line(dialog, ROLE_BAD, "%s stays: %s", is->name, error_line(&target->error, line, sizeof line));
            continue;
        }
        char results[64];
        dialog_line(dialog, ROLE_STRONG, "%s", is->name);
        dialog_name(dialog, is->name);
        dialog_line(dialog, ROLE_TEXT, "  %s · owner %s · %s · %s · %zu things end", target->row.record->backend,
                    is->owner ? is->owner : "not known", verdict_word(target->row.verdict.state),
                    dialog_some(is->tasks.stored, "result", "results", "no results", results), plan_count(target->plan, STEP_ENDS));
        for (size_t k = 0; dialog->calls && k < target->plan->count; k++)
            dialog_step(dialog, &target->plan->steps[k]);
    }
}

size_t dialog_planned(const Dialog *dialog)
{
    size_t n = dialog->making.plan != NULL;
    for (size_t i = 0; i < dialog->target_count; i++)
        n += dialog->targets[i].plan != NULL;
    return n;
}

void dialog_fill(Dialog *dialog)
{
    dialog_clear(dialog);
    if (dialog->change.kind == CHANGE_CREATE) {
        dialog_create_fill(dialog);
        return;
    }
    if (!dialog->ready) {
        for (size_t i = 0; i < dialog->target_count && i < 12; i++)
            dialog_line(dialog, ROLE_STRONG, "%s", dialog->targets[i].row.record->is.name);
        dialog_line(dialog, ROLE_DIM, dialog->target_count > 1 ? "asking what would have to be done: %zu of %zu to go…"
                                                                : "asking what would have to be done…", dialog->waiting, dialog->target_count);
        return;
    }
    if (dialog->target_count == 1)
        dialog_one(dialog, &dialog->targets[0]);
    else
        dialog_many(dialog);
    dialog_line(dialog, ROLE_TEXT, "%s", "");
    if (dialog_planned(dialog))
        dialog_line(dialog, ROLE_DIM, "identities are checked again just before; what appeared meanwhile is not touched");
}

/* The rule is that of what is really going to be done, the strictest of all. */
static void dialog_confirmation(Dialog *dialog)
{
    const ViewRow **rows = mem_new((dialog->target_count + 1) * sizeof *rows);
    size_t count = 0;
    for (size_t i = 0; i < dialog->target_count; i++)
        if (dialog->targets[i].plan)
            rows[count++] = &dialog->targets[i].row;
    confirm_done(&dialog->confirm);
    dialog->confirm = (Confirm){0};
    if (count && dialog->change.kind == CHANGE_DELETE)
        dialog->confirm = confirm_delete(rows, count);
    free(rows);
}

/* ------------------------------------------------------------------------------------------------------------- asking */

typedef struct PlanTask {
    Task task;
    Record *record;
    Change change;
    List names;
    size_t index;
    Handle *handle;
    Plan *plan;
} PlanTask;

static bool dialog_plan_run(Task *task, Context *context, Error *error)
{
    PlanTask *asked = (PlanTask *)task;
    if (!engine_reconstruct(task->app->engine, context, asked->record, &asked->handle, error))
        return false;
    if (!asked->handle->type->plan || !asked->handle->type->apply)
        return error_set(error, ERROR_UNSUPPORTED, asked->record->is.name, NULL, "this kind of cluster cannot be changed from here");
    if (asked->change.kind == CHANGE_SCALE)
        asked->change.group = asked->names.count ? asked->names.items[0] : NULL;
    else
        asked->change.names = asked->names.count ? &asked->names : NULL;
    return asked->handle->type->plan(asked->handle, context, &asked->change, &asked->plan, error);
}

static void dialog_plan_done(Task *task)
{
    PlanTask *asked = (PlanTask *)task;
    Dialog *dialog = task->owner;
    if (dialog) {
        Target *target = &dialog->targets[asked->index];
        target->task = NULL;
        target->answered = true;
        target->error = task->error;
        if (task->ok && asked->plan) {
            target->handle = asked->handle;
            target->plan = asked->plan;
            asked->handle = NULL;
            asked->plan = NULL;
        }
        if (--dialog->waiting == 0) {
            dialog->ready = true;
            dialog->armed = false;
            dialog_confirmation(dialog);
        }
        dialog_fill(dialog);
        task->app->dirty = true;
    }
    plan_free(asked->plan);
    task_close_handle(task->app, asked->handle);
    record_drop(asked->record);
    list_done(&asked->names);
}

void dialog_freeze(Dialog *dialog, const ViewRow *const *rows, size_t count)
{
    dialog->targets = mem_new(count * sizeof *dialog->targets);
    dialog->target_count = count;
    for (size_t i = 0; i < count; i++) {
        dialog->targets[i].row = *rows[i];
        dialog->targets[i].row.record = record_keep(rows[i]->record);
        dialog->targets[i].row.part = NULL;
        dialog->targets[i].row.same_as = NULL;
    }
}

void dialog_ask(App *app, Dialog *dialog)
{
    dialog->waiting = dialog->target_count;
    for (size_t i = 0; i < dialog->target_count; i++) {
        PlanTask *task = task_new(app, sizeof *task, dialog, dialog_plan_run, dialog_plan_done);
        task->record = record_keep(dialog->targets[i].row.record);
        task->change = dialog->change;
        list_copy(&task->names, &dialog->names);
        task->index = i;
        dialog->targets[i].task = &task->task;
        task_start(&task->task, NULL, PLAN_MS);
    }
    dialog_fill(dialog);
}

void dialog_delete_rows(App *app, const ViewRow *const *rows, size_t count)
{
    char *title = count == 1 ? mem_format("Delete %s", rows[0]->record->is.name) : mem_format("Delete %zu clusters", count);
    Dialog *dialog = dialog_open(app, DIALOG_PLAN, "delete", title);
    dialog->change = (Change){.kind = CHANGE_DELETE, .workers = NUMBER_UNKNOWN, .wait = true};
    dialog_freeze(dialog, rows, count);
    dialog_ask(app, dialog);
}

const ViewRow *dialog_row_of(App *app, const Record *record)
{
    const ViewRow *row = app_row(app, record);
    if (!row)
        app_say(app, ROLE_WARN, "%s is not in the table any more, or is hidden by the filter (:all)", record->is.name);
    return row;
}

void dialog_delete(App *app)
{
    const ViewRow **rows;
    if (app_page(app)->type != &page_table) {
        const ViewRow *row = dialog_row_of(app, app_subject(app));
        if (row)
            dialog_delete_rows(app, &row, 1);
        return;
    }
    size_t count = table_targets(app, &rows);
    if (count)
        dialog_delete_rows(app, rows, count);
    else
        app_say(app, ROLE_WARN, "no cluster is selected");
    free(rows);
}

/* -------------------------------------------------------------------------------------------------------------- scale */

static bool dialog_number(const char *text, int64_t *value, const char **end)
{
    char *stop;
    if (*text < '0' || *text > '9' || strspn(text, "0123456789") > 6)
        return false;
    *value = strtol(text, &stop, 10);
    *end = stop;
    return true;
}

/* group: into text, "3 gpu"; NULL. */
static bool dialog_parse_scale(const char *text, Change *change, const char **group)
{
    const char *end;
    *change = (Change){.kind = CHANGE_SCALE, .workers = NUMBER_UNKNOWN, .wait = true};
    *group = NULL;
    if (strcmp(text, "off") == 0) {
        change->kind = CHANGE_ADAPT;
        change->adapt_off = true;
        return true;
    }
    if (!dialog_number(text, &change->workers, &end))
        return false;
    if (*end == ' ')
        *group = end + strspn(end, " ");
    if (*end == 0 || *group)
        return true;
    change->kind = CHANGE_ADAPT;
    change->minimum = change->workers;
    change->workers = NUMBER_UNKNOWN;
    return *end == ':' && dialog_number(end + 1, &change->maximum, &end) && *end == 0 && change->maximum >= change->minimum;
}

static void dialog_scale_accept(App *app, Dialog *input, const char *text)
{
    Change change;
    const char *group;
    if (!dialog_parse_scale(text, &change, &group)) {
        snprintf(input->problem, sizeof input->problem, "a number, a number and a worker group, min:max, or off");
        return;
    }
    char *own_group = group && *group ? mem_text(group) : NULL; /* the text goes with the input dialog */
    ViewRow row = input->targets[0].row;
    row.record = record_keep(row.record); /* the input dialog goes, the next one keeps what it froze */
    const ViewRow *rows = &row;
    Dialog *dialog = dialog_open(app, DIALOG_PLAN, change.kind == CHANGE_SCALE ? "scale" : "adapt",
                                 mem_format("Scale %s to %s", row.record->is.name, text));
    dialog->change = change;
    if (own_group)
        list_take(&dialog->names, own_group);
    dialog_freeze(dialog, &rows, 1);
    record_drop(row.record);
    dialog_ask(app, dialog);
}

void dialog_scale(App *app, const Record *record, const char *argument)
{
    const ViewRow *row = dialog_row_of(app, record);
    if (!row)
        return;
    Dialog *dialog = dialog_open(app, DIALOG_INPUT, "go on", mem_format("Scale %s", record->is.name));
    dialog_freeze(dialog, &row, 1);
    dialog->label = "workers: ";
    dialog->accept = dialog_scale_accept;
    char ready[64], wanted[64];
    dialog_line(dialog, ROLE_TEXT, "workers now: %s, %s%s", so_many(record->is.workers_ready, "ready", ready),
                so_many(record->is.workers_wanted, "wanted", wanted),
                record->is.adaptive == 1 ? "; it adapts by itself" : "");
    dialog_line(dialog, ROLE_DIM, "a number (and a worker group), or min:max to adapt, or off to stop adapting; nothing is changed before you have seen the plan");
    if (argument)
        dialog_scale_accept(app, dialog, argument);
}

void dialog_retire(App *app, const Record *record, const char *worker)
{
    const ViewRow *row = dialog_row_of(app, record);
    if (!row)
        return;
    Dialog *dialog = dialog_open(app, DIALOG_PLAN, "retire", mem_format("Retire %s of %s", worker, record->is.name));
    dialog->change = (Change){.kind = CHANGE_RETIRE, .workers = NUMBER_UNKNOWN, .wait = true};
    list_add(&dialog->names, worker);
    dialog_freeze(dialog, &row, 1);
    dialog_ask(app, dialog);
}

/* -------------------------------------------------------------------------------------------------------------- doing */

void dialog_begun(App *app, Operation *operation)
{
    app->operations = mem_grow(app->operations, app->operation_count, &app->operation_capacity, sizeof(Operation *));
    app->operations[app->operation_count++] = operation;
}

void dialog_apply(App *app, Dialog *dialog)
{
    size_t begun = 0;
    if (dialog->change.kind == CHANGE_CREATE) {
        dialog_create_apply(app, dialog);
        return;
    }
    for (size_t i = 0; i < dialog->target_count; i++) {
        Target *target = &dialog->targets[i];
        if (!target->plan)
            continue;
        Operation *operation = operations_apply(engine_operations(app->engine), target->handle, target->plan, APPLY_MS);
        target->handle = NULL;
        target->plan = NULL;
        dialog_begun(app, operation);
        begun++;
    }
    if (begun == 1)
        app_say(app, ROLE_STARTING, "%s %s is under way; e shows how far it is", dialog->verb, dialog->targets[0].row.record->is.name);
    else
        app_say(app, ROLE_STARTING, "%zu changes are under way; e shows how far they are", begun);
    if (dialog->change.kind == CHANGE_DELETE && app_page(app)->type == &page_table) {
        map_done(&app->table.marks, free);
        map_init(&app->table.marks);
    }
    dialog_close(app);
}

static void operations_tell(App *app, const OperationState *state)
{
    char line[ERROR_LINE];
    if (state->phase != PHASE_DONE) {
        app_say(app, ROLE_BAD, "%s %s %s: %s", change_word(state->kind), state->name ? state->name : "", phase_word(state->phase),
                error_line(&state->error, line, sizeof line));
    } else if (state->outcome.left_over.count) {
        app_say(app, ROLE_WARN, "%s %s: left over: %s%s; e shows all", change_word(state->kind), state->name ? state->name : "",
                state->outcome.left_over.items[0], state->outcome.left_over.count > 1 ? ", …" : "");
    } else {
        app_say(app, ROLE_GOOD, "%s %s: done%s%s", change_word(state->kind), state->name ? state->name : "",
                state->kind == CHANGE_DELETE ? ", it is gone" : "", state->outcome.clamped ? " (limited by the system)" : "");
    }
}

void operations_watch(App *app)
{
    for (size_t i = 0; i < app->operation_count;) {
        if (!operation_ended(app->operations[i])) {
            i++;
            continue;
        }
        OperationState state = operation_state(app->operations[i]);
        operations_tell(app, &state);
        operation_state_done(&state);
        operation_drop(app->operations[i]);
        app->operations[i] = app->operations[--app->operation_count];
        engine_refresh(app->engine, NULL);
    }
}

