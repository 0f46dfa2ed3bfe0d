/* Dialogs without a plan: keep, sort, lines to read. */
#include "ui/dialog_inside.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    bool right = true;
    for (size_t i = 0; i < keep->count; i++)
        right = engine_leave_alone(task->app->engine, context, keep->records[i], keep->until_ms, keep->reason, error) && right;
    return right;
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
    task_start(&task->task, NULL, 60000);
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

static void dialog_shell_accept(App *app, Dialog *dialog, const char *text)
{
    bool python = dialog->cursor == 0;
    Record *record = record_keep(dialog->targets[0].row.record);
    (void)text;
    dialog_close(app);
    route_shell(app, record, python);
    record_drop(record);
}

void dialog_shell(App *app, const Record *record)
{
    const ViewRow *row = dialog_row_of(app, record);
    const char *shell = getenv("SHELL");
    if (!row)
        return;
    Dialog *dialog = dialog_open(app, DIALOG_CHOOSE, "run", mem_format("With a route to %s", record->is.name));
    dialog_freeze(dialog, &row, 1);
    dialog->accept = dialog_shell_accept;
    list_add(&dialog->choices, "Python (IPython where it is there), with `client` ready");
    list_format(&dialog->choices, "%s, with DASK_SCHEDULER_ADDRESS set", shell && *shell ? shell : "/bin/sh");
}

void dialog_lines(App *app, const char *title, const List *lines)
{
    Dialog *dialog = dialog_open(app, DIALOG_LINES, "", mem_text(title));
    for (size_t i = 0; i < lines->count; i++)
        dialog_line(dialog, ROLE_TEXT, "%s", lines->items[i]);
}

