/* Questions. What a dialog is about is frozen when it opens: copies of the rows, then handles and plans made by jobs; nothing is
 * looked up again when it is answered. Keys that were there before its frame was drawn, and pastes, do not answer it. */
#include "ui/app.h"

#include "base/mem.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLAN_MS = 30000, APPLY_MS = 600000, BOX_COLS = 88 };

typedef enum DialogKind { DIALOG_PLAN, DIALOG_INPUT, DIALOG_CHOOSE, DIALOG_LINES } DialogKind;

typedef struct DialogLine {
    Role role;
    char *text;
} DialogLine;

typedef struct Target {
    ViewRow row; /* frozen; row.record is counted, no pointer into a snapshot */
    Task *task;
    Handle *handle;
    Plan *plan;
    Error error;
    bool answered;
} Target;

struct Dialog {
    DialogKind kind;
    char *title;
    const char *verb;
    DialogLine *lines;
    size_t count, capacity;
    int top, room, drawn_rows; /* scrolling: first line shown, lines shown, lines there are */
    Target *targets;
    size_t target_count, waiting;
    Change change;
    List names;
    Confirm confirm;
    bool ready, armed, calls;
    char problem[320];
    const char *label;
    Edit edit;
    void (*accept)(App *app, Dialog *dialog, const char *text);
    List choices;
    size_t cursor;
};

static void dialog_line(Dialog *dialog, Role role, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void dialog_line(Dialog *dialog, Role role, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    dialog->lines = mem_grow(dialog->lines, dialog->count, &dialog->capacity, sizeof *dialog->lines);
    dialog->lines[dialog->count++] = (DialogLine){role, mem_vformat(format, args)};
    va_end(args);
}

static void dialog_clear(Dialog *dialog)
{
    for (size_t i = 0; i < dialog->count; i++)
        free(dialog->lines[i].text);
    dialog->count = 0;
}

static Dialog *dialog_open(App *app, DialogKind kind, const char *verb, char *title)
{
    dialog_close(app);
    Dialog *dialog = mem_new(sizeof *dialog);
    dialog->kind = kind;
    dialog->verb = verb;
    dialog->title = title;
    dialog->ready = kind != DIALOG_PLAN;
    app->dialog = dialog;
    app->dirty = true;
    return dialog;
}

void dialog_close(App *app)
{
    Dialog *dialog = app->dialog;
    if (!dialog)
        return;
    app->dialog = NULL;
    app->dirty = true;
    for (size_t i = 0; i < dialog->target_count; i++) {
        Target *target = &dialog->targets[i];
        task_leave(target->task);
        plan_free(target->plan);
        task_close_handle(app, target->handle);
        record_drop(target->row.record);
    }
    dialog_clear(dialog);
    confirm_done(&dialog->confirm);
    list_done(&dialog->names);
    list_done(&dialog->choices);
    free(dialog->targets);
    free(dialog->lines);
    free(dialog->title);
    free(dialog);
}

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

static void dialog_step(Dialog *dialog, const PlanStep *step)
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

static size_t dialog_planned(const Dialog *dialog)
{
    size_t n = 0;
    for (size_t i = 0; i < dialog->target_count; i++)
        n += dialog->targets[i].plan != NULL;
    return n;
}

static void dialog_fill(Dialog *dialog)
{
    dialog_clear(dialog);
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

static void dialog_freeze(Dialog *dialog, const ViewRow *const *rows, size_t count)
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

static void dialog_ask(App *app, Dialog *dialog)
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

static const ViewRow *dialog_row_of(App *app, const Record *record)
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

static bool dialog_parse_scale(const char *text, Change *change)
{
    const char *end;
    *change = (Change){.kind = CHANGE_SCALE, .workers = NUMBER_UNKNOWN, .wait = true};
    if (strcmp(text, "off") == 0) {
        change->kind = CHANGE_ADAPT;
        change->adapt_off = true;
        return true;
    }
    if (!dialog_number(text, &change->workers, &end))
        return false;
    if (*end == 0)
        return true;
    change->kind = CHANGE_ADAPT;
    change->minimum = change->workers;
    change->workers = NUMBER_UNKNOWN;
    return *end == ':' && dialog_number(end + 1, &change->maximum, &end) && *end == 0 && change->maximum >= change->minimum;
}

static void dialog_scale_accept(App *app, Dialog *input, const char *text)
{
    Change change;
    if (!dialog_parse_scale(text, &change)) {
        snprintf(input->problem, sizeof input->problem, "a number, min:max, or off");
        return;
    }
    ViewRow row = input->targets[0].row;
    row.record = record_keep(row.record); /* the input dialog goes, the next one keeps what it froze */
    const ViewRow *rows = &row;
    Dialog *dialog = dialog_open(app, DIALOG_PLAN, change.kind == CHANGE_SCALE ? "scale" : "adapt",
                                 mem_format("Scale %s to %s", row.record->is.name, text));
    dialog->change = change;
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
    dialog_line(dialog, ROLE_TEXT, "now %s ready, %s wanted%s",
                dialog_some(record->is.workers_ready, "worker", "workers", "no worker", ready),
                dialog_some(record->is.workers_wanted, "is", "are", "none", wanted),
                record->is.adaptive == 1 ? "; it adapts by itself" : "");
    dialog_line(dialog, ROLE_DIM, "a number, or min:max to adapt, or off to stop adapting; nothing is changed before you have seen the plan");
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

/* --------------------------------------------------------------------------------------------------------------- keep */

typedef struct KeepTask {
    Task task;
    Record **records;
    size_t count;
    int64_t until_ms;
    char *reason;
} KeepTask;

static bool dialog_keep_run(Task *task, Context *context, Error *error)
{
    KeepTask *keep = (KeepTask *)task;
    Engine *engine = task->app->engine;
    (void)context;
    for (size_t i = 0; i < keep->count; i++) {
        Backend *backend = engine_backend(engine, keep->records[i]->backend, keep->records[i]->instance);
        if (!operations_writable(engine_config(engine), backend, error) ||
            !keep_set(engine_keep(engine), keep->records[i], keep->until_ms, keep->reason, error))
            return false;
    }
    return true;
}

static void dialog_keep_done(Task *task)
{
    KeepTask *keep = (KeepTask *)task;
    if (task->owner && task->ok)
        app_say(task->app, ROLE_GOOD, keep->until_ms ? "kept: no warning, not counted as unused, never swept" : "no longer kept");
    else if (task->owner)
        app_error(task->app, &task->error);
    for (size_t i = 0; i < keep->count; i++)
        record_drop(keep->records[i]);
    free(keep->records);
    free(keep->reason);
}

static void dialog_keep_accept(App *app, Dialog *dialog, const char *text)
{
    char word[32];
    size_t n = strcspn(text, " ");
    int64_t ms = 0;
    snprintf(word, sizeof word, "%.*s", (int)n, text);
    bool no = strcmp(word, "no") == 0;
    if (!no && (!duration_parse(word, &ms) || ms <= 0)) {
        snprintf(dialog->problem, sizeof dialog->problem, "how long: 12h, 7d, 30d; then why; or no");
        return;
    }
    KeepTask *task = task_new(app, sizeof *task, app, dialog_keep_run, dialog_keep_done);
    task->count = dialog->target_count;
    task->records = mem_new(task->count * sizeof *task->records);
    for (size_t i = 0; i < task->count; i++)
        task->records[i] = record_keep(dialog->targets[i].row.record);
    task->until_ms = no ? 0 : clock_wall_ms() + ms;
    task->reason = mem_text(text + n + strspn(text + n, " "));
    dialog_close(app);
    task_start(&task->task, NULL, 10000);
}

void dialog_keep(App *app, const char *argument)
{
    const ViewRow **rows = NULL, *one = NULL;
    size_t count = 1;
    if (app_page(app)->type == &page_table) {
        count = table_targets(app, &rows);
    } else {
        one = dialog_row_of(app, app_subject(app));
        count = one ? 1 : 0;
    }
    if (count) {
        const ViewRow *first = rows ? rows[0] : one;
        Dialog *dialog = dialog_open(app, DIALOG_INPUT, "keep", count == 1 ? mem_format("Keep %s", first->record->is.name)
                                                                            : mem_format("Keep %zu clusters", count));
        dialog_freeze(dialog, rows ? rows : &one, count);
        dialog->label = "for, why: ";
        dialog->accept = dialog_keep_accept;
        dialog_line(dialog, ROLE_TEXT, "leave it alone: no warning, not counted as unused, never swept");
        dialog_line(dialog, ROLE_DIM, "how long (7d), then the reason; \"no\" ends it");
        if (first->kept.kept)
            dialog_line(dialog, ROLE_GOOD, "it is kept now%s%s", *first->kept.reason ? ": " : "", first->kept.reason);
        edit_set(&dialog->edit, argument ? argument : "7d ");
    }
    free(rows);
}

/* ------------------------------------------------------------------------------------------------------ sort, messages */

static void dialog_sort_accept(App *app, Dialog *dialog, const char *text)
{
    (void)dialog;
    app->view->sort = column_find(text);
    dialog_close(app);
    app_update(app, app->now);
}

void dialog_sort(App *app)
{
    Dialog *dialog = dialog_open(app, DIALOG_CHOOSE, "sort", mem_text("Sort by"));
    dialog->accept = dialog_sort_accept;
    list_add(&dialog->choices, "verdict, then cost");
    for (const Column *column = columns; column->name; column++) {
        if (column == app->view->sort)
            dialog->cursor = dialog->choices.count;
        list_add(&dialog->choices, column->name);
    }
}

void dialog_lines(App *app, const char *title, const List *lines)
{
    Dialog *dialog = dialog_open(app, DIALOG_LINES, "", mem_text(title));
    for (size_t i = 0; i < lines->count; i++)
        dialog_line(dialog, ROLE_TEXT, "%s", lines->items[i]);
}

/* -------------------------------------------------------------------------------------------------------------- doing */

static void dialog_apply(App *app, Dialog *dialog)
{
    size_t begun = 0;
    for (size_t i = 0; i < dialog->target_count; i++) {
        Target *target = &dialog->targets[i];
        if (!target->plan)
            continue;
        Operation *operation = operations_apply(engine_operations(app->engine), target->handle, target->plan, APPLY_MS);
        target->handle = NULL;
        target->plan = NULL;
        app->operations = mem_grow(app->operations, app->operation_count, &app->operation_capacity, sizeof(Operation *));
        app->operations[app->operation_count++] = operation;
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

/* ---------------------------------------------------------------------------------------------------------------- keys */

bool dialog_arming(const App *app)
{
    return app->dialog && app->dialog->ready && !app->dialog->armed;
}

void dialog_drawn(App *app)
{
    if (!dialog_arming(app))
        return;
    if (app->screen)
        screen_discard(app->screen);
    app->dialog->armed = true;
}

static bool dialog_scroll_key(Dialog *dialog, Key key)
{
    int last = dialog->drawn_rows - dialog->room, by = 0;
    switch (key) {
    case KEY_ARROW_UP: by = -1; break;
    case KEY_ARROW_DOWN: by = 1; break;
    case KEY_PAGE_UP: by = -dialog->room; break;
    case KEY_PAGE_DOWN: by = dialog->room; break;
    default: return false;
    }
    dialog->top += by;
    if (dialog->top > last)
        dialog->top = last;
    if (dialog->top < 0)
        dialog->top = 0;
    return true;
}

static void dialog_typed_key(App *app, Dialog *dialog, Key key, bool pasted)
{
    if (pasted)
        return;
    if (key != KEY_RETURN) {
        dialog->problem[0] = 0;
        edit_key(&dialog->edit, key);
        return;
    }
    if (dialog->edit.length == 0)
        dialog_close(app);
    else if (strcmp(dialog->edit.text, dialog->confirm.typed) == 0)
        dialog_apply(app, dialog);
    else
        snprintf(dialog->problem, sizeof dialog->problem, "that is not what has to be typed");
}

static void dialog_plan_key(App *app, Dialog *dialog, Key key, bool pasted, bool more)
{
    bool planned = dialog_planned(dialog) > 0;
    if (key == KEY_TABULATOR) {
        dialog->calls = !dialog->calls;
        dialog_fill(dialog);
    } else if (planned && dialog->confirm.kind == CONFIRM_TYPED) {
        dialog_typed_key(app, dialog, key, pasted);
    } else if (key == 'y' && planned && !pasted && !more) {
        dialog_apply(app, dialog);
    } else if (key == 'x' && planned) {
        dialog->calls = !dialog->calls;
        dialog_fill(dialog);
    } else if (key == KEY_RETURN || key == 'n' || key == 'q') {
        dialog_close(app);
    }
}

static void dialog_choose_key(App *app, Dialog *dialog, Key key)
{
    if ((key == KEY_ARROW_UP || key == 'k') && dialog->cursor > 0)
        dialog->cursor--;
    else if ((key == KEY_ARROW_DOWN || key == 'j') && dialog->cursor + 1 < dialog->choices.count)
        dialog->cursor++;
    else if (key == KEY_RETURN)
        dialog->accept(app, dialog, dialog->choices.items[dialog->cursor]);
    else if (key == 'q')
        dialog_close(app);
}

void dialog_key(App *app, Key key, bool pasted, bool more)
{
    Dialog *dialog = app->dialog;
    if (key == KEY_ESCAPE || key == KEY_INTERRUPT) {
        dialog_close(app);
        return;
    }
    if (!dialog->ready || !dialog->armed)
        return; /* the question is not on the screen yet */
    if (dialog->kind != DIALOG_CHOOSE && dialog_scroll_key(dialog, key))
        return;
    switch (dialog->kind) {
    case DIALOG_PLAN: dialog_plan_key(app, dialog, key, pasted, more); break;
    case DIALOG_CHOOSE: dialog_choose_key(app, dialog, key); break;
    case DIALOG_LINES:
        if (key == KEY_RETURN || key == 'q')
            dialog_close(app);
        break;
    case DIALOG_INPUT:
        if (key == KEY_RETURN && dialog->edit.length == 0)
            dialog_close(app);
        else if (key == KEY_RETURN && !pasted)
            dialog->accept(app, dialog, dialog->edit.text);
        else if (key != KEY_RETURN)
            edit_key(&dialog->edit, key);
        break;
    }
}

/* ---------------------------------------------------------------------------------------------------------------- draw */

/* Draws, or only counts where canvas is NULL, the wrapped rows of the lines. */
static int dialog_body(const Dialog *dialog, Canvas *canvas, Area area)
{
    int y = 0;
    for (size_t i = 0; i < dialog->count; i++) {
        const char *at = dialog->lines[i].text;
        int indent = 0;
        do {
            size_t n = text_fit(at, area.cols - indent, NULL);
            if (n == 0 && *at)
                break;
            if (at[n]) {
                size_t back = n;
                while (back > 0 && at[back - 1] != ' ')
                    back--;
                n = back > n / 2 ? back : n;
            }
            int row = y++ - dialog->top;
            if (canvas && row >= 0 && row < area.rows)
                canvas_text_n(canvas, area.row + row, area.col + indent, area.cols - indent, dialog->lines[i].role, at, n);
            at += n;
            indent = 8 < area.cols / 3 ? 8 : 2;
        } while (*at);
    }
    return y;
}

static void dialog_choices(const Dialog *dialog, Canvas *canvas, Area area)
{
    size_t top = dialog->cursor >= (size_t)area.rows ? dialog->cursor - (size_t)area.rows + 1 : 0;
    for (int i = 0; i < area.rows && top + (size_t)i < dialog->choices.count; i++) {
        canvas_text(canvas, area.row + i, area.col + 2, area.cols - 2, ROLE_TEXT, dialog->choices.items[top + (size_t)i]);
        if (top + (size_t)i == dialog->cursor) {
            canvas_code(canvas, area.row + i, area.col, ROLE_CURSOR, 0x258C);
            canvas_select(canvas, area.row + i, area.col, area.cols);
        }
    }
}

static void dialog_buttons(Dialog *dialog, Canvas *canvas, int row, int col, int end)
{
    Pen pen = canvas_pen(canvas, row, col, end);
    bool planned = dialog->kind == DIALOG_PLAN && dialog->ready && dialog_planned(dialog) > 0;
    pen_text(&pen, ROLE_BUTTON, planned || dialog->kind != DIALOG_LINES ? "[ Cancel ]" : "[ Close ]");
    pen_text(&pen, ROLE_TEXT, "   ");
    if (planned && dialog->confirm.kind == CONFIRM_YES) {
        pen_text(&pen, ROLE_KEY, "y ");
        pen_put(&pen, ROLE_TEXT, "%s   ", dialog->verb);
    } else if (dialog->kind == DIALOG_INPUT || dialog->kind == DIALOG_CHOOSE) {
        pen_text(&pen, ROLE_KEY, "Enter ");
        pen_put(&pen, ROLE_TEXT, "%s   ", dialog->verb);
    }
    if (planned) {
        pen_text(&pen, ROLE_KEY, dialog->confirm.kind == CONFIRM_YES ? "x " : "Tab ");
        pen_text(&pen, ROLE_TEXT, dialog->calls ? "hide the calls" : "show the calls");
    }
    if (dialog->drawn_rows > dialog->room && dialog->kind != DIALOG_CHOOSE)
        pen_put(&pen, ROLE_DIM, "   %d more lines: arrows", dialog->drawn_rows - dialog->room);
}

static void dialog_field(Dialog *dialog, Canvas *canvas, int row, int col, int end)
{
    Pen pen = canvas_pen(canvas, row, col, end);
    if (dialog->kind == DIALOG_PLAN)
        pen_put(&pen, ROLE_TEXT, "type ");
    if (dialog->kind == DIALOG_PLAN)
        pen_put(&pen, ROLE_STRONG, "%s", dialog->confirm.typed);
    if (dialog->kind == DIALOG_PLAN)
        pen_put(&pen, ROLE_TEXT, " to %s: ", dialog->verb);
    else
        pen_text(&pen, ROLE_TEXT, dialog->label);
    if (pen_left(&pen) < 8) {
        pen.row++;
        pen.col = col;
    }
    edit_draw(&dialog->edit, canvas, row, pen.col, pen_left(&pen), ROLE_INPUT);
}

void dialog_draw(App *app, Canvas *canvas)
{
    Dialog *dialog = app->dialog;
    int cols = canvas->cols - 4 < BOX_COLS ? canvas->cols - 4 : BOX_COLS;
    bool typed = dialog->kind == DIALOG_PLAN && dialog->ready && dialog_planned(dialog) && dialog->confirm.kind == CONFIRM_TYPED;
    bool field = typed || dialog->kind == DIALOG_INPUT, tight = canvas->rows < 16;
    int extra = 2 + 1 + (field ? 1 : 0) + (typed && dialog->confirm.why ? 1 : 0) + (*dialog->problem ? 1 : 0) + (tight ? 0 : 2);
    int lines = dialog->kind == DIALOG_CHOOSE ? (int)dialog->choices.count : dialog_body(dialog, NULL, (Area){0, 0, 0, cols - 6});
    int rows = lines + extra;
    if (rows > canvas->rows - (tight ? 0 : 2))
        rows = canvas->rows - (tight ? 0 : 2);
    Area box = {(canvas->rows - rows) / 2, (canvas->cols - cols) / 2, rows, cols};
    Area body = {box.row + (tight ? 1 : 2), box.col + 3, rows - extra, cols - 6};
    dialog->drawn_rows = lines;
    dialog->room = body.rows;
    canvas->cursor_row = -1;
    canvas_box(canvas, box, ROLE_BORDER, dialog->title);
    if (dialog->kind == DIALOG_CHOOSE)
        dialog_choices(dialog, canvas, body);
    else
        dialog_body(dialog, canvas, body);
    int row = body.row + body.rows, end = body.col + body.cols;
    if (typed && dialog->confirm.why)
        canvas_text(canvas, row++, body.col, body.cols, ROLE_WARN, dialog->confirm.why);
    if (field)
        dialog_field(dialog, canvas, row++, body.col, end);
    if (*dialog->problem)
        canvas_text(canvas, row++, body.col, body.cols, ROLE_BAD, dialog->problem);
    row += tight ? 0 : 1;
    dialog_buttons(dialog, canvas, row, body.col, end);
}
