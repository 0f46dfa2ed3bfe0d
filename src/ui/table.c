/* The table of clusters: the page at the bottom of the stack. */
#include "ui/app.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { LEFT = 2 }; /* the cursor's bar and the mark */

/* Those of the config, else the usual ones. */
static void table_standard_columns(App *app)
{
    Table *table = &app->table;
    table->column_count = 0;
    table->chosen = false;
    table->for_cols = 0;
    const Tree *ui = engine_config(app->engine)->ui, *chosen = ui ? tree_get(ui, "columns") : NULL;
    for (size_t i = 0; chosen && i < chosen->count && table->column_count < TABLE_COLUMNS; i++) {
        const Column *column = tree_text(chosen->items[i]) ? column_find(tree_text(chosen->items[i])) : NULL;
        if (column)
            table->columns[table->column_count++] = column;
    }
    if (table->column_count == 0)
        for (const Column *column = columns; column->name && table->column_count < TABLE_COLUMNS; column++)
            if (column->standard)
                table->columns[table->column_count++] = column;
}

void table_init(App *app)
{
    map_init(&app->table.marks);
    table_standard_columns(app);
}

void table_done(App *app)
{
    map_done(&app->table.marks, free);
    free(app->table.cursor_id);
    free(app->table.cursor_uid);
    free(app->table.only_backend);
}

/* ------------------------------------------------------------------------------------------------------------- cursor */

static void table_put_cursor(App *app, size_t index)
{
    Table *table = &app->table;
    free(table->cursor_id);
    free(table->cursor_uid);
    table->cursor_id = table->cursor_uid = NULL;
    table->index = app->view->count == 0 ? 0 : index >= app->view->count ? app->view->count - 1 : index;
    if (app->view->count) {
        const RecordFields *is = &app->view->rows[table->index]->record->is;
        table->cursor_id = mem_text(is->id);
        table->cursor_uid = mem_text(is->uid);
    }
}

/* A uid may be learnt late: what had none is the same cluster; what had another one is not. */
static const ViewRow *table_find(App *app, size_t *index)
{
    Table *table = &app->table;
    if (!table->cursor_id)
        return NULL;
    const ViewRow *row = view_find(app->view, table->cursor_id, table->cursor_uid, index);
    if (row && !table->cursor_uid && row->record->is.uid)
        table->cursor_uid = mem_text(row->record->is.uid);
    return row;
}

static void table_marks_follow(App *app)
{
    Table *table = &app->table;
    if (table->marks.used == 0)
        return;
    Map now;
    map_init(&now);
    const ViewRow *const *rows;
    size_t count = view_all(app->view, &rows);
    for (size_t i = 0; i < count; i++) {
        const RecordFields *is = &rows[i]->record->is;
        const char *uid = map_get(&table->marks, is->id);
        if (uid && (!*uid || (is->uid && strcmp(uid, is->uid) == 0)))
            free(map_put(&now, is->id, mem_text(is->uid ? is->uid : "")));
    }
    map_done(&table->marks, free);
    table->marks = now;
}

void table_follow(App *app)
{
    Table *table = &app->table;
    table_marks_follow(app);
    size_t index;
    if (table_find(app, &index))
        table->index = index;
    else
        table_put_cursor(app, table->index);
}

const ViewRow *table_row(App *app)
{
    return app->table.index < app->view->count ? app->view->rows[app->table.index] : NULL;
}

const ViewRow *app_row(App *app, const Record *record)
{
    return record ? view_find(app->view, record->is.id, record->is.uid, NULL) : NULL;
}

static void table_move(App *app, int64_t by)
{
    int64_t to = (int64_t)app->table.index + by;
    table_put_cursor(app, to < 0 ? 0 : (size_t)to);
}

/* -------------------------------------------------------------------------------------------------------------- marks */

static bool table_marked(App *app, const Record *record)
{
    const char *uid = app->table.marks.used ? map_get(&app->table.marks, record->is.id) : NULL;
    return uid && (!*uid || (record->is.uid && strcmp(uid, record->is.uid) == 0));
}

static void table_mark(App *app, const Record *record, bool on)
{
    if (on)
        free(map_put(&app->table.marks, record->is.id, mem_text(record->is.uid ? record->is.uid : "")));
    else
        free(map_remove(&app->table.marks, record->is.id));
}

static void table_mark_none(App *app)
{
    map_done(&app->table.marks, free);
    map_init(&app->table.marks);
}

size_t table_targets(App *app, const ViewRow ***rows)
{
    *rows = NULL;
    size_t count = 0, capacity = 0;
    const ViewRow *const *all;
    size_t n = app->table.marks.used ? view_all(app->view, &all) : 0;
    for (size_t i = 0; i < n; i++)
        if (!all[i]->same_as && table_marked(app, all[i]->record)) {
            *rows = mem_grow(*rows, count, &capacity, sizeof **rows);
            (*rows)[count++] = all[i];
        }
    if (app->table.marks.used == 0 && table_row(app)) {
        *rows = mem_grow(*rows, 0, &capacity, sizeof **rows);
        (*rows)[count++] = table_row(app);
    }
    return count;
}

/* ------------------------------------------------------------------------------------------------------------ columns */

static bool table_is(const Column *column, const char *name)
{
    return strcmp(column->name, name) == 0;
}

static int table_width(const Column *column, int wanted)
{
    int title = text_width(column->title);
    if (wanted < title)
        wanted = title;
    if (wanted < column->least)
        wanted = column->least;
    return column->most && wanted > column->most ? column->most : wanted;
}

static void table_measure(App *app, int cols)
{
    Table *table = &app->table;
    if (table->for_cols != cols)
        memset(table->widths, 0, sizeof table->widths);
    table->for_cols = cols;
    Buffer out;
    buffer_init(&out, TEXT_LINE_MAX);
    for (size_t c = 0; c < table->column_count; c++) {
        const Column *column = table->columns[c];
        int width = table->widths[c] ? table->widths[c] : table_width(column, 0);
        table->blank[c] = true;
        for (size_t i = table->top; i < app->view->count && i < table->top + (size_t)table->height; i++) {
            buffer_clear(&out);
            column->format(&out, app->view->rows[i], app->now, app->canvas->ascii);
            table->blank[c] &= out.length == 0;
            int cells = table_width(column, text_width(out.bytes));
            width = cells > width ? cells : width;
        }
        table->widths[c] = width;
    }
    buffer_done(&out);
}

/* What costs money is why people look: where prices are known, that column stays longer than its rank says. */
static int table_rank(const Table *table, size_t c)
{
    if (table->blank[c])
        return 100 + table->columns[c]->importance;
    return table_is(table->columns[c], "cost") ? 4 : table->columns[c]->importance;
}

static bool table_less_important(const Table *table, size_t a, size_t b)
{
    return table_rank(table, a) > table_rank(table, b);
}

/* Which columns are drawn and how wide: the least important go until the rest fits, then the widest is cut. */
static void table_layout(App *app, int cols, int *widths, int *gap)
{
    Table *table = &app->table;
    table_measure(app, cols);
    *gap = cols < 100 ? 1 : 2;
    memcpy(widths, table->widths, sizeof table->widths);
    for (;;) {
        int total = LEFT, drop = -1, name = -1;
        for (size_t c = 0; c < table->column_count; c++) {
            total += widths[c] ? widths[c] + *gap : 0;
            if (!widths[c])
                continue;
            if (table_is(table->columns[c], "name"))
                name = (int)c;
            else if (drop < 0 || table_less_important(table, c, (size_t)drop))
                drop = (int)c;
        }
        if (total <= cols + *gap)
            return;
        int least = name >= 0 ? table->columns[name]->least : 0, over = total - cols - *gap;
        int floor = cols >= 70 ? 16 : 10; /* a name that cannot be told from another is none */
        least = least < floor ? floor : least;
        if (drop >= 0 && table->blank[drop])
            widths[drop] = 0;
        else if (name >= 0 && widths[name] > 24) /* then long names give */
            widths[name] -= over < widths[name] - 24 ? over : widths[name] - 24;
        else if (name >= 0 && widths[name] > least && over <= widths[name] - least)
            widths[name] -= over;
        else if (drop >= 0)
            widths[drop] = 0;
        else
            return;
    }
}

static Role table_role(const Column *column, const ViewRow *row)
{
    if (table_is(column, "verdict"))
        return row->kept.kept ? ROLE_DIM : chrome_verdict_role(row->verdict.state);
    if (row->stale)
        return ROLE_DIM;
    if (table_is(column, "name"))
        return ROLE_STRONG;
    if (!table_is(column, "status"))
        return ROLE_TEXT;
    switch (row->record->is.status) {
    case STATUS_FAILED: return ROLE_BAD;
    case STATUS_PENDING: return ROLE_STARTING;
    case STATUS_UNRESPONSIVE: return ROLE_WARN;
    case STATUS_RUNNING: return ROLE_TEXT;
    default: return ROLE_DIM;
    }
}

static void table_stale(App *app, const ViewRow *row, Pen *pen)
{
    int64_t seen = atomic_load(&row->record->seen_ms);
    char words[TIME_TEXT];
    if (row->kept.kept)
        pen_text(pen, ROLE_GOOD, " kept");
    if (row->stale && seen != TIME_UNKNOWN)
        pen_put(pen, ROLE_WARN, " %s old", duration_short(app->now.wall_ms - seen, words));
}

static void table_cell(App *app, Canvas *canvas, int y, int x, int width, const Column *column, const ViewRow *row, Buffer *out)
{
    buffer_clear(out);
    column->format(out, row, app->now, canvas->ascii);
    Role role = table_role(column, row);
    if (canvas->ascii && table_is(column, "verdict")) { /* in ASCII the column is the word alone, as scripts read it */
        Pen pen = canvas_pen(canvas, y, x + text_width(out->bytes), canvas->cols);
        table_stale(app, row, &pen);
    }
    if (out->length == 0 && column->none)
        canvas_right(canvas, y, x, column->right ? width : text_width(column->none), ROLE_DIM, column->none);
    else if (column->right)
        canvas_right(canvas, y, x, width, role, out->bytes);
    else
        canvas_text(canvas, y, x, width, role, out->bytes);
}

static void table_draw_row(App *app, Canvas *canvas, int y, size_t index, const int *widths, int gap, Buffer *out)
{
    Table *table = &app->table;
    const ViewRow *row = app->view->rows[index];
    int x = LEFT;
    for (size_t c = 0; c < table->column_count; c++) {
        if (!widths[c])
            continue;
        table_cell(app, canvas, y, x, widths[c], table->columns[c], row, out);
        x += widths[c] + gap;
    }
    if (index == table->index) {
        canvas_code(canvas, y, 0, ROLE_CURSOR, 0x258C);
        canvas_select(canvas, y, 1, canvas->cols - 1);
    }
    if (table_marked(app, row->record))
        canvas_code(canvas, y, 1, ROLE_MARK, '*');
}

static void table_titles(App *app, Canvas *canvas, int y, const int *widths, int gap)
{
    Table *table = &app->table;
    int x = LEFT;
    for (size_t c = 0; c < table->column_count; c++) {
        const Column *column = table->columns[c];
        if (!widths[c])
            continue;
        bool sorted = app->view->sort == column;
        Role role = sorted ? ROLE_KEY : ROLE_HEADING;
        int extra = table_is(column, "verdict") ? 2 : 0;
        if (column->right)
            canvas_right(canvas, y, x, widths[c], role, column->title);
        else
            canvas_text(canvas, y, x + extra, widths[c] - extra, role, column->title);
        if (sorted)
            canvas_code(canvas, y, column->right ? x + widths[c] : x + extra + text_width(column->title), role,
                        app->view->reverse ? '^' : 'v');
        x += widths[c] + gap;
    }
}

static void table_scroll(Table *table, size_t count)
{
    size_t height = (size_t)(table->height > 0 ? table->height : 1);
    if (table->index < table->top)
        table->top = table->index;
    if (table->index >= table->top + height)
        table->top = table->index - height + 1;
    if (table->top + height > count)
        table->top = count > height ? count - height : 0;
}

static void table_draw(App *app, Page *page, Canvas *canvas, Area area)
{
    Table *table = &app->table;
    int widths[TABLE_COLUMNS], gap;
    (void)page;
    table->height = area.rows - 1;
    if (app->view->count == 0) {
        empty_draw(app, canvas, area);
        return;
    }
    table_scroll(table, app->view->count);
    table_layout(app, canvas->cols, widths, &gap);
    table_titles(app, canvas, area.row, widths, gap);
    Buffer out;
    buffer_init(&out, TEXT_LINE_MAX);
    for (int i = 0; i < table->height && table->top + (size_t)i < app->view->count; i++)
        table_draw_row(app, canvas, area.row + 1 + i, table->top + (size_t)i, widths, gap, &out);
    buffer_done(&out);
}

/* ------------------------------------------------------------------------------------------------------------ actions */

static void table_sort_next(App *app)
{
    Table *table = &app->table;
    size_t at = 0;
    while (app->view->sort && at < table->column_count && table->columns[at] != app->view->sort)
        at++;
    size_t next = app->view->sort ? at + 1 : 0;
    app->view->sort = next < table->column_count ? table->columns[next] : NULL;
    app_say(app, ROLE_DIM, "sorted by %s", app->view->sort ? app->view->sort->name : "verdict, then cost");
}

static void table_mark_toggle(App *app)
{
    const ViewRow *row = table_row(app);
    if (!row)
        return;
    table_mark(app, row->record, !table_marked(app, row->record));
    table_move(app, 1);
}

static bool table_backend_of_digit(App *app, int digit, const char **backend)
{
    const Snapshot *snapshot = app->view->snapshot;
    const char *last = "";
    *backend = NULL;
    if (digit == 0)
        return true;
    for (size_t i = 0; snapshot && i < snapshot->part_count; i++) {
        const PartInfo *info = &snapshot->parts[i]->info;
        if (info->state == PART_ABSENT || info->state == PART_OFF || strcmp(info->backend, last) == 0)
            continue;
        last = info->backend;
        if (--digit == 0) {
            *backend = info->backend;
            return true;
        }
    }
    return false;
}

static void table_only_backend(App *app, Key key, const char *argument)
{
    const char *backend = argument;
    if (key >= '0' && key <= '9' && !table_backend_of_digit(app, (int)(key - '0'), &backend)) {
        app_say(app, ROLE_WARN, "there is no backend %c", (int)key);
        return;
    }
    free(app->table.only_backend);
    app->table.only_backend = backend && *backend && strcmp(backend, "0") != 0 ? mem_text(backend) : NULL;
    app->view->only_backend = app->table.only_backend;
    app_say(app, ROLE_DIM, "showing %s", app->table.only_backend ? app->table.only_backend : "all backends");
}

static void table_ask_columns(App *app, const KeyInfo *info)
{
    Buffer names;
    buffer_init(&names, BUFFER_ANY);
    for (size_t i = 0; i < app->table.column_count; i++)
        buffer_format(&names, "%s%s", i ? "," : "", app->table.columns[i]->name);
    app_prompt(app, info, "columns ", names.bytes, NULL);
    buffer_done(&names);
}

static void table_columns(App *app, const KeyInfo *info, const char *argument)
{
    Table *table = &app->table;
    const Column *chosen[TABLE_COLUMNS];
    size_t count;
    Error error;
    if (!argument) {
        table_ask_columns(app, info);
        return;
    }
    if (strcmp(argument, "default") == 0) {
        table_standard_columns(app);
        return;
    }
    if (!columns_parse(argument, chosen, TABLE_COLUMNS, &count, &error)) {
        app_error(app, &error);
        return;
    }
    table->chosen = true;
    memcpy(table->columns, chosen, count * sizeof *chosen);
    table->column_count = count;
    table->for_cols = 0;
}

static void table_back(App *app)
{
    if (app->filter_text && *app->filter_text)
        app_set_filter(app, "", NULL);
    else if (app->view->only_unused)
        app->view->only_unused = false;
    else if (app->table.marks.used)
        table_mark_none(app);
    else if (app->table.only_backend)
        table_only_backend(app, '0', NULL);
    else
        app_say(app, ROLE_DIM, "q leaves");
}

static void table_sort(App *app, const char *argument)
{
    if (!argument || !*argument) {
        dialog_sort(app);
        return;
    }
    const Column *column = column_find(argument);
    if (column || strcmp(argument, "none") == 0)
        app->view->sort = column;
    else
        app_say(app, ROLE_WARN, "there is no column %s", argument);
}

static bool table_act(App *app, Page *page, const KeyInfo *info, Key key, const char *argument)
{
    int page_rows = app->table.height > 1 ? app->table.height - 1 : 1;
    (void)page;
    switch (info->action) {
    case ACTION_UP: table_move(app, -1); return true;
    case ACTION_DOWN: table_move(app, 1); return true;
    case ACTION_TOP: table_put_cursor(app, 0); return true;
    case ACTION_BOTTOM: table_put_cursor(app, app->view->count); return true;
    case ACTION_PAGE_UP: table_move(app, -page_rows); return true;
    case ACTION_PAGE_DOWN: table_move(app, page_rows); return true;
    case ACTION_HALF_UP: table_move(app, -(page_rows + 1) / 2); return true;
    case ACTION_HALF_DOWN: table_move(app, (page_rows + 1) / 2); return true;
    case ACTION_LEFT:
    case ACTION_RIGHT: return true;
    case ACTION_MARK: table_mark_toggle(app); return true;
    case ACTION_MARK_ALL:
        for (size_t i = 0; i < app->view->count; i++)
            table_mark(app, app->view->rows[i]->record, true);
        return true;
    case ACTION_MARK_NONE: table_mark_none(app); return true;
    case ACTION_UNUSED: app->view->only_unused = !app->view->only_unused; app_update(app, app->now); return true;
    case ACTION_SORT_NEXT: table_sort_next(app); app_update(app, app->now); return true;
    case ACTION_SORT_REVERSE: app->view->reverse = !app->view->reverse; app_update(app, app->now); return true;
    case ACTION_SORT_CHOOSE: table_sort(app, argument); app_update(app, app->now); return true;
    case ACTION_COLUMNS: table_columns(app, info, argument); return true;
    case ACTION_BACKEND: table_only_backend(app, key, argument); app_update(app, app->now); return true;
    case ACTION_BACK: table_back(app); app_update(app, app->now); return true;
    default: return false;
    }
}

static bool table_click(App *app, Page *page, int row)
{
    Table *table = &app->table;
    size_t to = table->top + (size_t)(row - 1), was = table->index;
    (void)page;
    if (row < 1 || row > table->height || to >= app->view->count)
        return false;
    table_put_cursor(app, to);
    return to == was;
}

static void table_status(App *app, Page *page, Pen *pen)
{
    const ViewRow *row = table_row(app);
    size_t marked = app->table.marks.used;
    (void)page;
    if (marked)
        pen_put(pen, ROLE_MARK, "%zu marked  ", marked);
    if (row)
        chrome_evidence(app, row, pen);
    else if (app->view->sums.filtered_out)
        pen_put(pen, ROLE_DIM, "%zu hidden by the filter", app->view->sums.filtered_out);
}

static int64_t table_due_stamp(int64_t stamp, int64_t now, int64_t due)
{
    if (stamp == TIME_UNKNOWN)
        return due;
    int64_t next = stamp <= now ? chrome_age_due(now - stamp) : (stamp - now) % (stamp - now < 60000 ? 1000 : 60000) + 1;
    return next < due ? next : due;
}

/* Ages are drawn again when they print differently, not before. */
static int64_t table_due(App *app, Page *page)
{
    int64_t due = INT64_MAX, now = app->now.wall_ms;
    (void)page;
    for (size_t i = 0; i < (size_t)app->table.height && app->table.top + i < app->view->count; i++) {
        const ViewRow *row = app->view->rows[app->table.top + i];
        due = table_due_stamp(row->record->is.created_ms, now, due);
        due = table_due_stamp(row->record->is.last_active_ms, now, due);
        due = table_due_stamp(row->record->is.ends_at_ms, now, due);
        if (row->stale)
            due = table_due_stamp(atomic_load(&row->record->seen_ms), now, due);
    }
    const ViewRow *row = table_row(app);
    if (row && atomic_load(&row->record->counts_ms) != TIME_UNKNOWN) /* "scheduler, 20 s ago": by fives is enough */
        due = due < 5000 ? due : 5000;
    /* All ages tick together, on the second: else twenty young clusters would ask for twenty frames a second. */
    return due == INT64_MAX ? due : due + (1000 - (now + due) % 1000) % 1000;
}

static const Record *table_subject(App *app, Page *page)
{
    const ViewRow *row = table_row(app);
    (void)page;
    return row ? row->record : NULL;
}

const PageType page_table = {
    .name = "table", .where = IN_TABLE, .draw = table_draw, .act = table_act, .status = table_status, .click = table_click, .subject = table_subject,
    .due = table_due,
};
