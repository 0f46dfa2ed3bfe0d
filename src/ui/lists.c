/* Two lists: the backends, and the operations with the journal below them. */
#include "ui/app.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct ListPage {
    size_t index, top, count;
    int height;
    char *cursor; /* what the cursor is on: backend and instance, or an operation's number */
    Task *task;   /* journal being read */
    JournalEntry *entries;
    size_t entry_count, bad;
    char *problem;
    bool read;
    int64_t read_ms;
} ListPage;

static void list_scroll(ListPage *list)
{
    size_t height = (size_t)(list->height > 0 ? list->height : 1);
    if (list->count == 0)
        list->index = 0;
    else if (list->index >= list->count)
        list->index = list->count - 1;
    if (list->index < list->top)
        list->top = list->index;
    if (list->index >= list->top + height)
        list->top = list->index - height + 1;
}

static bool list_move(ListPage *list, Action action)
{
    size_t page = list->height > 1 ? (size_t)list->height - 1 : 1, to = list->index, half = (page + 1) / 2;
    switch (action) {
    case ACTION_UP: to = to ? to - 1 : 0; break;
    case ACTION_DOWN: to++; break;
    case ACTION_TOP: to = 0; break;
    case ACTION_BOTTOM: to = list->count; break;
    case ACTION_PAGE_UP: to = to > page ? to - page : 0; break;
    case ACTION_PAGE_DOWN: to += page; break;
    case ACTION_HALF_UP: to = to > half ? to - half : 0; break;
    case ACTION_HALF_DOWN: to += half; break;
    default: return false;
    }
    list->index = to >= list->count ? (list->count ? list->count - 1 : 0) : to;
    return true;
}

static void list_cursor(const ListPage *list, Canvas *canvas, size_t i, int y)
{
    if (i != list->index)
        return;
    canvas_code(canvas, y, 0, ROLE_CURSOR, 0x258C);
    canvas_select(canvas, y, 1, canvas->cols - 1);
}

/* ------------------------------------------------------------------------------------------------------------ backends */

static const BackendType *backends_type(App *app, const char *name)
{
    for (const BackendType *const *type = engine_types(app->engine); *type; type++)
        if (strcmp((*type)->name, name) == 0)
            return *type;
    return NULL;
}

static Role backends_role(PartState state)
{
    switch (state) {
    case PART_OK: return ROLE_GOOD;
    case PART_WAITING:
    case PART_ABSENT:
    case PART_OFF: return ROLE_DIM;
    case PART_FAILED:
    case PART_DENIED: return ROLE_BAD;
    default: return ROLE_WARN;
    }
}

static const PartInfo *backends_at(App *app, size_t i)
{
    const Snapshot *snapshot = app->view->snapshot;
    return snapshot && i < snapshot->part_count ? &snapshot->parts[i]->info : NULL;
}

static char *backends_name(const PartInfo *info)
{
    return info->instance ? mem_format("%s:%s", info->backend, info->instance) : mem_text(info->backend);
}

/* Where each column begins: names take what they need, so that the reasons have the rest. */
typedef struct BackendColumns {
    int type, state, clusters, took, age, why;
} BackendColumns;

static int backends_widest(int width, const char *text)
{
    int one = text_width(text) + 2;
    return one > width ? one : width;
}

static BackendColumns backends_columns(App *app, int cols)
{
    const Snapshot *snapshot = app->view->snapshot;
    int name = 9, type = 6;
    for (size_t i = 0; snapshot && i < snapshot->part_count; i++) {
        char *text = backends_name(&snapshot->parts[i]->info);
        name = backends_widest(name, text);
        type = backends_widest(type, snapshot->parts[i]->info.type);
        free(text);
    }
    int most = cols >= 120 ? 44 : 21;
    BackendColumns at = {.type = 2 + (name > most ? most : name)};
    at.state = at.type + (type > 12 ? 12 : type);
    at.clusters = at.state + 14;
    at.took = at.clusters + 10;
    at.age = at.took + 10;
    at.why = at.age + 7;
    return at;
}

static void backends_row(App *app, Canvas *canvas, int y, const PartInfo *info, const BackendColumns *at)
{
    char took[TIME_TEXT] = "", age[TIME_TEXT] = "";
    char *name = backends_name(info);
    Pen pen = canvas_pen(canvas, y, 2, canvas->cols - 1);
    canvas_text(canvas, y, 2, at->type - 3, ROLE_STRONG, name);
    canvas_text(canvas, y, at->type, at->state - at->type - 1, ROLE_TEXT, info->type);
    canvas_text(canvas, y, at->state, 13, backends_role(info->state), part_state_word(info->state));
    if (part_clusters(info) != NUMBER_UNKNOWN)
        canvas_right(canvas, y, at->clusters, 8, ROLE_TEXT, (snprintf(took, sizeof took, "%zu", info->clusters), took));
    if (info->took_ms != NUMBER_UNKNOWN)
        canvas_right(canvas, y, at->took, 8, ROLE_TEXT, (snprintf(took, sizeof took, "%lld ms", (long long)info->took_ms), took));
    if (info->answered_ms != TIME_UNKNOWN)
        canvas_right(canvas, y, at->age, 5, ROLE_TEXT, duration_short(app->now.wall_ms - info->answered_ms, age));
    /* what was never asked has no figures, and a reason that needs their room */
    pen.col = info->took_ms == NUMBER_UNKNOWN && info->answered_ms == TIME_UNKNOWN && !info->clusters ? at->clusters : at->why;
    if (info->caution)
        pen_put(&pen, ROLE_WARN, "%s%s", info->caution, info->error.code != ERROR_OK ? "; " : "");
    if (info->error.code != ERROR_OK)
        pen_text(&pen, ROLE_DIM, info->error.what);
    free(name);
}

static void backends_draw(App *app, Page *page, Canvas *canvas, Area area)
{
    ListPage *list = page->own;
    list->height = area.rows - 1;
    list->count = app->view->snapshot ? app->view->snapshot->part_count : 0;
    list_scroll(list);
    const BackendColumns at = backends_columns(app, area.cols);
    const struct {
        int col;
        const char *title;
    } titles[] = {{2, "BACKEND"}, {at.type, "TYPE"}, {at.state, "STATE"}, {at.clusters, "CLUSTERS"}, {at.took + 4, "TOOK"}, {at.age + 2, "AGE"}, {at.why, "WHY"}};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        canvas_text(canvas, area.row, titles[i].col, 12, ROLE_HEADING, titles[i].title);
    for (int i = 0; i < list->height && list->top + (size_t)i < list->count; i++) {
        backends_row(app, canvas, area.row + 1 + i, backends_at(app, list->top + (size_t)i), &at);
        list_cursor(list, canvas, list->top + (size_t)i, area.row + 1 + i);
    }
}

static void backends_title(App *app, Page *page, Pen *pen)
{
    (void)app;
    (void)page;
    pen_text(pen, ROLE_STRONG, "backends");
}

static void backends_status(App *app, Page *page, Pen *pen)
{
    ListPage *list = page->own;
    const PartInfo *info = backends_at(app, list->index);
    char line[ERROR_LINE];
    if (!info)
        return;
    const BackendType *type = backends_type(app, info->type);
    pen_put(pen, ROLE_STRONG, "%s  ", info->backend);
    if (info->error.code != ERROR_OK)
        pen_text(pen, ROLE_WARN, error_line(&info->error, line, sizeof line));
    else if (type)
        pen_put(pen, ROLE_DIM, "%s · signs in %s", type->summary, type->signs_in ? type->signs_in : "nowhere");
}

static void backends_log_line(void *user, int64_t wall_ms, const char *where, const char *text)
{
    char when[TIME_TEXT];
    text_page_line(user, ROLE_DIM, "  %s %s: %s", time_short(wall_ms, clock_wall_ms(), when), where, text);
}

static void backends_routes(App *app, TextPage *page)
{
    for (size_t i = 0; i < app->route_count; i++)
        text_page_line(page, ROLE_GOOD, "route to %s: %s (%s)", app->routes[i].name, app->routes[i].route.address,
                       app->routes[i].route.words ? app->routes[i].route.words : "");
}

static void backends_describe(App *app, const PartInfo *info)
{
    char when[TIME_TEXT], line[ERROR_LINE];
    char *name = backends_name(info);
    TextPage *page = text_page_open(app, name, NULL);
    const BackendType *type = backends_type(app, info->type);
    text_page_line(page, ROLE_STRONG, "%s, of the type %s: %s", name, info->type, part_state_word(info->state));
    if (type)
        text_page_line(page, ROLE_TEXT, "%s", type->summary);
    if (type && type->signs_in)
        text_page_line(page, ROLE_TEXT, "signs in %s", type->signs_in);
    if (info->error.code != ERROR_OK)
        text_page_line(page, ROLE_WARN, "%s", error_line(&info->error, line, sizeof line));
    if (info->caution)
        text_page_line(page, ROLE_WARN, "%s", info->caution);
    if (part_clusters(info) != NUMBER_UNKNOWN)
        text_page_line(page, ROLE_TEXT, "%zu clusters", info->clusters);
    if (info->took_ms != NUMBER_UNKNOWN)
        text_page_line(page, ROLE_TEXT, "the last discovery took %lld ms", (long long)info->took_ms);
    if (info->answered_ms != TIME_UNKNOWN)
        text_page_line(page, ROLE_TEXT, "last complete answer: %s", time_short(info->answered_ms, app->now.wall_ms, when));
    if (info->next_ms != TIME_UNKNOWN)
        text_page_line(page, ROLE_TEXT, "next try: %s", time_short(info->next_ms, app->now.wall_ms, when));
    for (int i = 0; type && i < CAN_COUNT; i++)
        text_page_line(page, type->can & (1u << i) ? ROLE_GOOD : ROLE_DIM, "  %-10s %s", capability_word((Capability)i),
                       type->can & (1u << i) ? "possible" : "not possible");
    backends_routes(app, page);
    text_page_line(page, ROLE_TEXT, "%s", "");
    text_page_line(page, ROLE_HEADING, "dasktop's own log");
    log_each(200, backends_log_line, page);
    free(name);
}

static bool backends_act(App *app, Page *page, const KeyInfo *info, Key key, const char *argument)
{
    ListPage *list = page->own;
    (void)key;
    (void)argument;
    if (list_move(list, info->action))
        return true;
    if (info->action == ACTION_BACKENDS) {
        app_pop(app);
        return true;
    }
    if (info->action != ACTION_OPEN)
        return false;
    const PartInfo *part = backends_at(app, list->index);
    if (part)
        backends_describe(app, part);
    return true;
}

static int64_t backends_due(App *app, Page *page)
{
    int64_t due = INT64_MAX;
    (void)page;
    const PartInfo *info;
    for (size_t i = 0; (info = backends_at(app, i)); i++)
        if (info->answered_ms != TIME_UNKNOWN) {
            int64_t age = chrome_age_due(app->now.wall_ms - info->answered_ms);
            due = age < due ? age : due;
        }
    return due;
}

static void list_close(App *app, Page *page)
{
    ListPage *list = page->own;
    (void)app;
    task_leave(list->task);
    journal_entries_free(list->entries, list->entry_count);
    free(list->problem);
    free(list->cursor);
    free(list);
}

static const PageType page_backends = {
    .name = "backends", .where = IN_LIST, .draw = backends_draw, .act = backends_act, .title = backends_title,
    .status = backends_status, .due = backends_due, .close = list_close,
};

void backends_open(App *app)
{
    app_push(app, &page_backends, mem_new(sizeof(ListPage)), NULL);
}

/* ---------------------------------------------------------------------------------------------- operations and journal */

typedef struct JournalTask {
    Task task;
    JournalEntry *entries;
    size_t count, bad;
} JournalTask;

static bool operations_read_run(Task *task, Context *context, Error *error)
{
    JournalTask *reading = (JournalTask *)task;
    (void)context;
    return journal_read(engine_journal(task->app->engine), TIME_UNKNOWN, &reading->entries, &reading->count, &reading->bad, error);
}

static void operations_read_done(Task *task)
{
    JournalTask *reading = (JournalTask *)task;
    ListPage *list = task->owner;
    char line[ERROR_LINE];
    if (!list) {
        journal_entries_free(reading->entries, reading->count);
        return;
    }
    list->task = NULL;
    list->read = true;
    free(list->problem);
    list->problem = task->ok ? NULL : mem_text(error_line(&task->error, line, sizeof line));
    if (task->ok) {
        journal_entries_free(list->entries, list->entry_count);
        list->entries = reading->entries;
        list->entry_count = reading->count;
        list->bad = reading->bad;
    }
    task->app->dirty = true;
}

static void operations_read(App *app, ListPage *list)
{
    list->read_ms = app->now.mono_ms;
    JournalTask *task = task_new(app, sizeof *task, list, operations_read_run, operations_read_done);
    list->task = &task->task;
    task_start(&task->task, list, 10000);
}

static Role operations_role(Phase phase)
{
    switch (phase) {
    case PHASE_DONE: return ROLE_GOOD;
    case PHASE_FAILED:
    case PHASE_UNKNOWN: return ROLE_BAD;
    case PHASE_CANCELLED: return ROLE_WARN;
    default: return ROLE_STARTING;
    }
}

static void operations_running_row(App *app, Canvas *canvas, int y, const OperationState *state)
{
    char when[TIME_TEXT], line[ERROR_LINE];
    Pen pen = canvas_pen(canvas, y, 2, canvas->cols - 1);
    pen_put(&pen, ROLE_DIM, "%-13s ", time_short(state->begun_ms, app->now.wall_ms, when));
    pen_put(&pen, ROLE_TEXT, "%-7s ", change_word(state->kind));
    pen_put(&pen, operations_role(state->phase), "%-10s ", phase_word(state->phase));
    pen_put(&pen, ROLE_STRONG, "%s  ", state->name ? state->name : state->id ? state->id : "");
    if (state->total != NUMBER_UNKNOWN && state->total > 0)
        pen_put(&pen, ROLE_TEXT, "%lld of %lld  ", (long long)state->done, (long long)state->total);
    if (state->error.code != ERROR_OK)
        pen_text(&pen, ROLE_WARN, error_line(&state->error, line, sizeof line));
    else if (state->message)
        pen_text(&pen, ROLE_DIM, state->message);
    for (size_t i = 0; i < state->outcome.left_over.count; i++)
        pen_put(&pen, ROLE_WARN, "  left over: %s", state->outcome.left_over.items[i]);
}

static void operations_journal_row(App *app, Canvas *canvas, int y, const JournalEntry *entry)
{
    char when[TIME_TEXT];
    Pen pen = canvas_pen(canvas, y, 2, canvas->cols - 1);
    pen_put(&pen, ROLE_DIM, "%-13s ", time_short(entry->begin_ms, app->now.wall_ms, when));
    pen_put(&pen, ROLE_TEXT, "%-7s ", entry->change ? entry->change : "");
    pen_put(&pen, operations_role(entry->phase), "%-10s ", entry->end_ms == TIME_UNKNOWN ? "unknown" : phase_word(entry->phase));
    pen_put(&pen, ROLE_STRONG, "%s  ", entry->name ? entry->name : entry->id ? entry->id : "");
    pen_put(&pen, ROLE_DIM, "%s  ", entry->user ? entry->user : "");
    if (entry->error)
        pen_text(&pen, ROLE_WARN, entry->error);
}

/* What runs or ran in this dashboard first, with its progress; then the journal, newest first. */
static void operations_draw(App *app, Page *page, Canvas *canvas, Area area)
{
    ListPage *list = page->own;
    Operation **operations;
    size_t running = operations_list(engine_operations(app->engine), &operations);
    list->height = area.rows - 1;
    list->count = running + list->entry_count;
    list_scroll(list);
    Pen pen = canvas_pen(canvas, area.row, 2, canvas->cols - 1);
    pen_text(&pen, ROLE_HEADING, "WHEN          CHANGE  HOW        CLUSTER");
    for (int i = 0; i < list->height && list->top + (size_t)i < list->count; i++) {
        size_t at = list->top + (size_t)i;
        int y = area.row + 1 + i;
        if (at < running) {
            OperationState state = operation_state(operations[at]);
            operations_running_row(app, canvas, y, &state);
            operation_state_done(&state);
        } else {
            operations_journal_row(app, canvas, y, &list->entries[list->entry_count - 1 - (at - running)]);
        }
        list_cursor(list, canvas, at, y);
    }
    if (list->count == 0)
        canvas_text(canvas, area.row + 2, 2, canvas->cols - 3, ROLE_DIM, list->read ? "dasktop has changed nothing yet" : "reading…");
    for (size_t i = 0; i < running; i++)
        operation_drop(operations[i]);
    free(operations);
}

static void operations_cancel(App *app, ListPage *list)
{
    Operation **operations;
    size_t running = operations_list(engine_operations(app->engine), &operations);
    if (list->index < running && !operation_ended(operations[list->index])) {
        operation_cancel(operations[list->index]);
        app_say(app, ROLE_WARN, "cancelled; what the system has begun is not undone");
    } else {
        app_say(app, ROLE_DIM, "it has ended already");
    }
    for (size_t i = 0; i < running; i++)
        operation_drop(operations[i]);
    free(operations);
}

static void operations_describe(App *app, ListPage *list)
{
    Operation **operations;
    size_t running = operations_list(engine_operations(app->engine), &operations);
    TextPage *page = text_page_open(app, "operation", NULL);
    char line[ERROR_LINE], when[TIME_TEXT];
    if (list->index < running) {
        OperationState state = operation_state(operations[list->index]);
        text_page_line(page, ROLE_STRONG, "%s %s: %s", change_word(state.kind), state.name ? state.name : "", phase_word(state.phase));
        text_page_line(page, ROLE_TEXT, "%s", state.id ? state.id : "");
        if (state.error.code != ERROR_OK)
            text_page_line(page, ROLE_BAD, "%s", error_line(&state.error, line, sizeof line));
        if (state.message)
            text_page_line(page, ROLE_TEXT, "%s", state.message);
        for (size_t i = 0; i < state.outcome.left_over.count; i++)
            text_page_line(page, ROLE_WARN, "left over: %s", state.outcome.left_over.items[i]);
        for (size_t i = 0; i < state.outcome.newcomers.count; i++)
            text_page_line(page, ROLE_WARN, "appeared meanwhile, not touched: %s", state.outcome.newcomers.items[i]);
        for (size_t i = 0; i < state.outcome.failures.count; i++)
            text_page_line(page, ROLE_BAD, "failed: %s", state.outcome.failures.items[i]);
        operation_state_done(&state);
    } else if (list->index - running < list->entry_count) {
        const JournalEntry *entry = &list->entries[list->entry_count - 1 - (list->index - running)];
        text_page_line(page, ROLE_STRONG, "%s %s", entry->change ? entry->change : "", entry->name ? entry->name : "");
        text_page_line(page, ROLE_TEXT, "%s", entry->id ? entry->id : "");
        text_page_line(page, ROLE_TEXT, "uid %s", entry->uid ? entry->uid : "–");
        text_page_line(page, ROLE_TEXT, "by %s on %s, %s", entry->user ? entry->user : "–", entry->host ? entry->host : "–",
                       time_short(entry->begin_ms, app->now.wall_ms, when));
        text_page_line(page, ROLE_TEXT, "%s", entry->end_ms == TIME_UNKNOWN ? "outcome unknown" : phase_word(entry->phase));
        if (entry->error)
            text_page_line(page, ROLE_BAD, "%s", entry->error);
        for (size_t i = 0; i < entry->left_over.count; i++)
            text_page_line(page, ROLE_WARN, "left over: %s", entry->left_over.items[i]);
    }
    for (size_t i = 0; i < running; i++)
        operation_drop(operations[i]);
    free(operations);
}

static bool operations_act(App *app, Page *page, const KeyInfo *info, Key key, const char *argument)
{
    ListPage *list = page->own;
    (void)key;
    (void)argument;
    if (list_move(list, info->action))
        return true;
    if (info->action == ACTION_CANCEL_OPERATION)
        operations_cancel(app, list);
    else if (info->action == ACTION_OPEN && list->count)
        operations_describe(app, list);
    else
        return false;
    return true;
}

static void operations_title(App *app, Page *page, Pen *pen)
{
    (void)app;
    (void)page;
    pen_text(pen, ROLE_STRONG, "operations and journal");
}

static void operations_status(App *app, Page *page, Pen *pen)
{
    ListPage *list = page->own;
    (void)app;
    if (list->problem)
        pen_text(pen, ROLE_WARN, list->problem);
    else
        pen_put(pen, ROLE_DIM, "%zu in the journal%s", list->entry_count, list->bad ? "; some lines of it cannot be read" : "");
}

static const PageType page_operations = {
    .name = "operations", .where = IN_OPERATIONS, .draw = operations_draw, .act = operations_act, .title = operations_title,
    .status = operations_status, .close = list_close,
};

void operations_open(App *app)
{
    ListPage *list = mem_new(sizeof *list);
    app_push(app, &page_operations, list, NULL);
    operations_read(app, list);
}
