/* Questions: their frame, their keys. What a dialog is about is frozen when it opens: copies of the rows, then handles and plans made by
 * jobs; nothing is looked up again when it is answered. Keys that were there before its frame was drawn, and pastes, do not answer it. */
#include "ui/dialog_inside.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BOX_COLS = 88 };

void dialog_line(Dialog *dialog, Role role, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    dialog->lines = mem_grow(dialog->lines, dialog->count, &dialog->capacity, sizeof *dialog->lines);
    dialog->lines[dialog->count++] = (DialogLine){role, mem_vformat(format, args)};
    va_end(args);
}

void dialog_clear(Dialog *dialog)
{
    for (size_t i = 0; i < dialog->count; i++)
        free(dialog->lines[i].text);
    dialog->count = 0;
}

Dialog *dialog_open(App *app, DialogKind kind, const char *verb, char *title)
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
    dialog_create_done(&dialog->making);
    dialog_clear(dialog);
    confirm_done(&dialog->confirm);
    list_done(&dialog->names);
    list_done(&dialog->choices);
    free(dialog->targets);
    free(dialog->lines);
    free(dialog->title);
    free(dialog);
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
