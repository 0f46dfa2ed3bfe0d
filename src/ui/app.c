/* The loop: keys, what comes in, and when to draw. */
#include "ui/app.h"

#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FRAME_MS = 100, SOON_MS = 16, REST_MS = 12, LATEST_MS = 300, SAVE_MS = 60000, FORGET_MS = 30000, LEAST_ROWS = 8, LEAST_COLS = 40 };

/* -------------------------------------------------------------------------------------------------------------- pages */

Page *app_page(App *app)
{
    return &app->pages[app->depth - 1];
}

unsigned app_where(App *app)
{
    return app_page(app)->type->where;
}

Page *app_push(App *app, const PageType *type, void *own, const Record *record)
{
    if (app->depth == PAGES_MAX) { /* the oldest but the table makes room */
        Page *old = &app->pages[1];
        if (old->type->close)
            old->type->close(app, old);
        record_drop(old->record);
        memmove(old, old + 1, (PAGES_MAX - 2) * sizeof *old);
        app->depth--;
    }
    Page *page = &app->pages[app->depth++];
    *page = (Page){.type = type, .own = own, .record = record ? record_keep(record) : NULL, .changed = true};
    app->dirty = true;
    return page;
}

void app_pop(App *app)
{
    if (app->depth <= 1)
        return;
    Page *page = app_page(app);
    if (page->type->close)
        page->type->close(app, page);
    record_drop(page->record);
    app->depth--;
    app_page(app)->changed = true;
    app->dirty = true;
}

const Record *app_subject(App *app)
{
    Page *page = app_page(app);
    if (page->record)
        return page->record;
    return page->type->subject ? page->type->subject(app, page) : NULL;
}

/* ------------------------------------------------------------------------------------------------------------ message */

void app_say(App *app, Role role, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = mem_vformat(format, args);
    va_end(args);
    snprintf(app->message, sizeof app->message, "%s", text);
    app->message_role = role;
    app->dirty = true;
    free(text);
}

void app_error(App *app, const Error *error)
{
    char line[ERROR_LINE];
    app_say(app, ROLE_BAD, "%s", error_line(error, line, sizeof line));
}

void app_copy(App *app, const char *text)
{
    if (app->screen && !screen_copy(app->screen, text))
        app_say(app, ROLE_WARN, "too long for the clipboard");
}

/* ------------------------------------------------------------------------------------------------------------- filter */

bool app_set_filter(App *app, const char *expression, Error *error)
{
    Filter *filter = filter_parse(expression, error);
    if (!filter)
        return false;
    app->view->filter = filter;
    filter_free(app->filter);
    app->filter = filter;
    char *text = mem_text(expression);
    free(app->filter_text);
    app->filter_text = text;
    app_update(app, app->now);
    return true;
}

/* On a shared system the first look is at one's own clusters. Decided once, before the user has done anything. */
static void app_own_first(App *app)
{
    size_t mine = 0, others = 0;
    const ViewRow *const *rows;
    if (app->key_seen || app->filter_by_itself || (app->filter_text && *app->filter_text))
        return;
    size_t count = view_all(app->view, &rows);
    for (size_t i = 0; i < count; i++) {
        mine += rows[i]->record->is.mine == 1;
        others += rows[i]->record->is.mine == 0;
    }
    if (mine && others) {
        app->filter_by_itself = true;
        app_set_filter(app, "owner:me", NULL);
    }
}

/* --------------------------------------------------------------------------------------------------------------- keys */

static bool app_writable(App *app, const Record *record, Error *why)
{
    if (app->read_only)
        return error_set(why, ERROR_READ_ONLY, NULL, NULL, "read-only: nothing can be changed from here");
    Backend *backend = record ? engine_backend(app->engine, record->backend, record->instance) : NULL;
    return !backend || operations_writable(engine_config(app->engine), backend, why);
}

bool app_can(App *app, const KeyInfo *info, Error *why)
{
    const Record *record = app_subject(app);
    if ((info->needs & NEED_CLUSTER) && !record)
        return error_set(why, ERROR_NOT_FOUND, NULL, NULL, "%s: no cluster is selected", info->name);
    if ((info->needs & NEED_WRITABLE) && !app_writable(app, record, why))
        return false;
    if ((info->needs & NEED_FOREGROUND) && !app->options->foreground)
        return error_set(why, ERROR_UNSUPPORTED, NULL, NULL, "%s: not possible from here", info->name);
    if (info->capability >= 0 && record && record->is.cannot[info->capability])
        return error_set(why, ERROR_UNSUPPORTED, record->is.name, NULL, "%s: %s", info->name, record->is.cannot[info->capability]);
    return true;
}

void app_act(App *app, const KeyInfo *info, Key key, const char *argument)
{
    Error why;
    bool marked = info->action == ACTION_DELETE && app->table.marks.used && app_page(app)->type == &page_table;
    if (!marked && !app_can(app, info, &why)) {
        char line[ERROR_LINE];
        app_say(app, ROLE_WARN, "%s", error_line(&why, line, sizeof line));
        return;
    }
    Page *page = app_page(app);
    if (!page->type->act || !page->type->act(app, page, info, key, argument))
        command_do(app, info, key, argument);
}

static void app_interrupt(App *app)
{
    if (app->dialog)
        dialog_close(app);
    else if (app->prompt.info)
        prompt_end(app, false);
    else if (app->depth > 1)
        app_pop(app);
    else
        app_say(app, ROLE_DIM, "q leaves; nothing to cancel here");
}

static void app_signal_key(App *app, Key key)
{
    int rows, cols;
    if (key == KEY_END_SIGNAL) {
        app->quit = true;
        app->status = 128 + screen_signal(app->screen);
    } else if (key == KEY_STOP) {
        screen_stop(app->screen);
    }
    if (app->screen && app->theme_by_itself && screen_light(app->screen) >= 0) {
        app->theme = theme_find(screen_light(app->screen) ? "light" : "dark");
        app->theme_by_itself = false;
        screen_theme(app->screen, app->theme);
    }
    if (app->screen) {
        screen_size(app->screen, &rows, &cols);
        if (rows != app->canvas->rows || cols != app->canvas->cols)
            canvas_resize(app->canvas, rows, cols);
    }
}

/* The wheel moves three lines; a click goes to a line, and on it again opens it. Dialogs are answered by keys only. */
static void app_mouse(App *app, Key key)
{
    Page *page = app_page(app);
    const KeyInfo *info = key == KEY_CLICK ? NULL : keys_info(key == KEY_WHEEL_UP ? ACTION_UP : ACTION_DOWN, app_where(app));
    for (int i = 0; info && i < 3; i++)
        app_act(app, info, KEY_NOTHING, NULL);
    int row = 0, col = 0;
    if (app->screen)
        screen_click(app->screen, &row, &col);
    if (key == KEY_CLICK && page->type->click && row >= page->top && page->type->click(app, page, row - page->top)) {
        info = keys_info(ACTION_OPEN, app_where(app));
        if (info)
            app_act(app, info, KEY_RETURN, NULL);
    }
}

void app_key(App *app, Key key, bool pasted)
{
    app->dirty = true;
    if (key == KEY_RESIZE_ || key == KEY_END_SIGNAL || key == KEY_STOP) {
        app_signal_key(app, key);
        return;
    }
    app->key_seen = true;
    app->key_ms = clock_mono_ms();
    app->message[0] = 0;
    if (key == KEY_INTERRUPT) {
        app_interrupt(app);
        return;
    }
    if (app->dialog) {
        dialog_key(app, key, pasted, app->screen && screen_pending(app->screen));
        return;
    }
    if (app->prompt.info) {
        prompt_key(app, key, pasted);
        return;
    }
    if (pasted)
        return;
    if (key == KEY_CLICK || key == KEY_WHEEL_UP || key == KEY_WHEEL_DOWN) {
        app_mouse(app, key);
        return;
    }
    const KeyInfo *info = keys_find(&app->keys, key, app_where(app));
    if (info)
        app_act(app, info, key, NULL);
    else if (key != KEY_UNKNOWN)
        app_say(app, ROLE_DIM, "? shows the keys");
}

/* --------------------------------------------------------------------------------------------------------------- data */

static void app_verdicts_due(App *app)
{
    VerdictLimits limits = {engine_config(app->engine)->verdict.idle_ms, engine_config(app->engine)->verdict.unattended_ms};
    const ViewRow *const *rows;
    size_t count = view_all(app->view, &rows);
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        int64_t in = verdict_changes_in_ms(rows[i]->record, app->now, limits);
        due = in < due ? in : due;
    }
    app->verdict_due_ms = due == INT64_MAX ? INT64_MAX : app->now.mono_ms + (due > 0 ? due : 1000);
}

static bool app_is_from_last(App *app)
{
    const Snapshot *snapshot = app->view->snapshot;
    for (size_t i = 0; snapshot && i < snapshot->part_count; i++)
        if (snapshot->parts[i]->count && !snapshot->parts[i]->info.has_answered)
            return true;
    return false;
}

void app_update(App *app, Clock now)
{
    app->now = now;
    if (view_update(app->view, now)) {
        app_verdicts_due(app);
        app_own_first(app);
    } else if (now.mono_ms >= app->verdict_due_ms) {
        app_verdicts_due(app);
    }
    app->from_last = app->from_last && app_is_from_last(app);
    table_follow(app);
    operations_watch(app);
    app_page(app)->changed = true;
    app->data = false;
    app->data_ms = FRAME_MS;
    app->dirty = true;
    app->frame_ms = now.mono_ms;
}

/* --------------------------------------------------------------------------------------------------------------- draw */

static void app_too_small(Canvas *canvas)
{
    const char *text = "dasktop needs 40x8";
    int width = text_width(text), col = (canvas->cols - width) / 2;
    canvas_text(canvas, canvas->rows / 2, col > 0 ? col : 0, canvas->cols, ROLE_STRONG, text);
}

void app_draw(App *app, Clock now)
{
    Canvas *canvas = app->canvas;
    app->now = now;
    canvas_clear(canvas);
    if (canvas->rows < LEAST_ROWS || canvas->cols < LEAST_COLS) {
        app_too_small(canvas);
        return;
    }
    int top = canvas->rows >= 16 ? 2 : 1, bottom = canvas->rows - chrome_bottom_rows(canvas);
    Page *page = app_page(app);
    Area area = {top, 0, bottom - top, canvas->cols};
    canvas_clip(canvas, area);
    page->top = top;
    page->type->draw(app, page, canvas, area);
    page->changed = false;
    canvas_clip(canvas, canvas_area(canvas));
    chrome_header(app, canvas);
    chrome_bottom(app, canvas, bottom);
    if (app->dialog)
        dialog_draw(app, canvas);
}

static void app_frame(App *app)
{
    app->dirty = false;
    app_draw(app, clock_now());
    screen_draw(app->screen, app->canvas);
    dialog_drawn(app);
}

int64_t app_due_ms(App *app)
{
    Page *page = app_page(app);
    int64_t due = page->type->due ? page->type->due(app, page) : INT64_MAX;
    if (app->verdict_due_ms != INT64_MAX && app->verdict_due_ms - app->now.mono_ms < due)
        due = app->verdict_due_ms - app->now.mono_ms;
    const Snapshot *snapshot = app->view->snapshot;
    for (size_t i = 0; snapshot && i < snapshot->part_count; i++) {
        const PartInfo *info = &snapshot->parts[i]->info;
        if (info->state == PART_OK || info->state == PART_ABSENT || info->state == PART_OFF || info->answered_ms == TIME_UNKNOWN)
            continue;
        int64_t age = chrome_age_due(app->now.wall_ms - info->answered_ms);
        due = age < due ? age : due;
    }
    if (app->from_last && app->begun_ms + FORGET_MS - app->now.mono_ms < due)
        due = app->begun_ms + FORGET_MS - app->now.mono_ms;
    return due < 0 ? 0 : due;
}

/* ------------------------------------------------------------------------------------------------------ the last table */

typedef struct LastTask {
    Task task;
    Last *last;
} LastTask;

/* Instances of the last run that this one does not have: nobody will ever confirm their rows, so they go once the other
 * instances of that backend have answered, or after a while. */
static void app_last_forget(App *app)
{
    const Snapshot *snapshot = app->view->snapshot;
    if (!app->from_last || app->now.mono_ms - app->begun_ms < FORGET_MS)
        return;
    app->from_last = false;
    for (size_t i = 0; snapshot && i < snapshot->part_count; i++) {
        const PartInfo *info = &snapshot->parts[i]->info;
        if (info->has_answered || info->state != PART_WAITING || engine_backend(app->engine, info->backend, info->instance))
            continue;
        Part *part = store_part(engine_store(app->engine), info->backend, info->instance, info->type, info->rank);
        PartInfo gone = *info;
        gone.state = PART_ABSENT;
        part_pass_begin(part);
        part_pass_end(part, true);
        part_report(part, &gone);
    }
}

static void app_last_put(void *user, Record *record)
{
    Engine *engine = user;
    const Config *config = engine_config(engine);
    for (size_t i = 0; i < config->backend_count; i++) {
        const BackendConfig *backend = &config->backends[i];
        if (backend->enabled && strcmp(backend->key, record->backend) == 0) {
            part_put_stale(store_part(engine_store(engine), record->backend, record->instance, backend->type->name,
                                      backend->type->rank), record);
            return;
        }
    }
    record_drop(record);
}

static bool app_last_run(Task *task, Context *context, Error *error)
{
    LastTask *reading = (LastTask *)task;
    (void)context;
    (void)error;
    last_read(reading->last, 0, app_last_put, task->app->engine);
    return true;
}

static void app_last_done(Task *task)
{
    last_close(((LastTask *)task)->last);
}

/* Two screens of the last table are there for the first frame; the rest comes later. */
static void app_last_first(App *app)
{
    const char *directory = engine_state_directory(app->engine);
    app->last = directory && !app->options->only_instance && !engine_config(app->engine)->elsewhere ? last_open(directory) : NULL;
    if (!app->last)
        return;
    app->last_ms = last_written_ms(app->last);
    app->from_last = last_read(app->last, (size_t)app->canvas->rows, app_last_put, app->engine) > 0;
    store_flush(engine_store(app->engine));
}

static void app_last_rest(App *app)
{
    if (!app->last)
        return;
    LastTask *task = task_new(app, sizeof *task, NULL, app_last_run, app_last_done);
    task->last = app->last;
    app->last = NULL;
    task_start(&task->task, NULL, 10000);
}

static bool app_save_run(Task *task, Context *context, Error *error)
{
    Engine *engine = task->app->engine;
    (void)context;
    View *view = view_new(engine_store(engine), engine_keep(engine), engine_config(engine));
    view_update(view, clock_now());
    bool ok = engine_config(engine)->elsewhere || last_write(engine_state_directory(engine), view, error);
    view_free(view);
    return ok;
}

static void app_save_done(Task *task)
{
    (void)task;
}

static void app_save_sometimes(App *app)
{
    uint64_t generation = app->view->snapshot ? app->view->snapshot->generation : 0;
    if (app->now.mono_ms - app->saved_ms < SAVE_MS || generation == app->saved_generation || !engine_state_directory(app->engine) ||
        app->from_last)
        return;
    app->saved_ms = app->now.mono_ms;
    app->saved_generation = generation;
    Task *task = task_new(app, sizeof *task, NULL, app_save_run, app_save_done);
    task_start(task, NULL, 10000);
}

/* --------------------------------------------------------------------------------------------------------------- loop */

App *app_new(Engine *engine, const UiOptions *options, int rows, int cols)
{
    App *app = mem_new(sizeof *app);
    const Config *config = engine_config(engine);
    List problems = {0};
    app->engine = engine;
    app->options = options;
    app->canvas = canvas_new(rows, cols);
    app->view = view_new(engine_store(engine), engine_keep(engine), config);
    app->now = clock_now();
    app->saved_ms = app->begun_ms = app->now.mono_ms;
    app->last_ms = TIME_UNKNOWN;
    app->verdict_due_ms = INT64_MAX;
    app->read_only = config->read_only;
    keys_init(&app->keys, config->ui ? tree_get(config->ui, "keys") : NULL, &problems);
    app->pages[app->depth++] = (Page){.type = &page_table, .changed = true};
    table_init(app);
    app_set_filter(app, "", NULL);
    habits_read(app);
    if (options->filter)
        app_set_filter(app, options->filter, NULL);
    const char *problem = options->problem ? options->problem : config->problems.count ? config->problems.items[0]
                        : problems.count ? problems.items[0] : NULL;
    if (problem)
        app_say(app, ROLE_WARN, "%s", problem);
    list_done(&problems);
    return app;
}

void app_free(App *app)
{
    while (app->depth > 1)
        app_pop(app);
    dialog_close(app);
    table_done(app);
    keys_done(&app->keys);
    view_free(app->view);
    filter_free(app->filter);
    free(app->filter_text);
    free(app->prompt.before);
    list_done(&app->offers);
    list_done(&app->history_commands);
    list_done(&app->history_filters);
    list_done(&app->history_searches);
    for (size_t i = 0; i < app->operation_count; i++)
        operation_drop(app->operations[i]);
    free(app->operations);
    free(app->routes);
    last_close(app->last);
    canvas_free(app->canvas);
    free(app);
}

/* As asked for on the command line, as chosen in an earlier run, as the config says, as the terminal looks: in this order. */
static const Theme *app_theme(const App *app, const UiOptions *options, bool *by_itself)
{
    const Tree *ui = engine_config(app->engine)->ui;
    const char *configured = ui && tree_get(ui, "theme") ? tree_text(tree_get(ui, "theme")) : NULL;
    const Theme *theme = options->theme ? theme_find(options->theme) : app->theme_chosen ? app->theme_chosen : theme_find(configured);
    *by_itself = !theme && !getenv("COLORFGBG");
    return theme ? theme : theme_automatic(getenv("COLORFGBG"));
}

static bool app_open_screen(App *app, const UiOptions *options, Error *error)
{
    const char *no_colour = getenv("NO_COLOR");
    bool none = options->colour == UI_COLOUR_NEVER || (options->colour == UI_COLOUR_AUTO && no_colour && *no_colour);
    app->theme = app_theme(app, options, &app->theme_by_itself);
    const Tree *ui = engine_config(app->engine)->ui, *mouse = ui ? tree_get(ui, "mouse") : NULL;
    ScreenOptions screen = {.ascii = options->ascii, .no_colours = none, .mouse = mouse && mouse->kind == TREE_BOOL && mouse->truth,
                            .ask_background = app->theme_by_itself, .theme = app->theme, .wake = &app->wake};
    app->screen = screen_open(&screen, error);
    if (!app->screen)
        return false;
    int rows, cols;
    screen_size(app->screen, &rows, &cols);
    canvas_resize(app->canvas, rows, cols);
    app->canvas->ascii = screen_ascii(app->screen);
    app->canvas->simple = screen_simple(app->screen);
    return true;
}

static void app_start_page(App *app, const char *start)
{
    const KeyInfo *info = start ? keys_command(start, IN_TABLE) : NULL;
    if (info && !(info->needs & NEED_CLUSTER))
        app_act(app, info, KEY_NOTHING, NULL);
}

/* A backend's first rows and its whole answer are drawn at once, news of its health soon. What merely goes on waits its turn. */
static int64_t part_news_ms(const SnapshotPart *was, const SnapshotPart *is)
{
    bool some = was->count > 0, answered = part_state_is_answer(was->info.state);
    if ((is->count > 0 && !some) || (part_state_is_answer(is->info.state) && !answered))
        return 0;
    bool same = is->info.state == was->info.state && is->info.has_answered == was->info.has_answered && (is->count > 0) == some;
    return same ? FRAME_MS : SOON_MS;
}

static int64_t app_news_ms(const App *app)
{
    const Snapshot *old = app->view->snapshot, *now = store_snapshot(engine_store(app->engine));
    bool comparable = old && old->part_count == now->part_count;
    int64_t in_ms = comparable ? FRAME_MS : SOON_MS;
    for (size_t i = 0; comparable && i < now->part_count; i++) {
        int64_t its = part_news_ms(old->parts[i], now->parts[i]);
        in_ms = its < in_ms ? its : in_ms;
    }
    store_drop(engine_store(app->engine), now);
    return in_ms;
}

/* Data waits a moment behind a key, so that one who is typing never sees his key's frame held up by another; not for ever. */
static int64_t app_frame_due(const App *app)
{
    int64_t due = app->frame_ms + app->data_ms;
    int64_t rested = app->key_ms + REST_MS, latest = app->frame_ms + LATEST_MS;
    if (rested > latest)
        rested = latest;
    return rested > due ? rested : due;
}

/* How long poll may sleep: until a frame with data is allowed, or something changes by time alone. */
static int app_timeout(App *app)
{
    int64_t now = clock_mono_ms(), due = app_due_ms(app) - (now - app->now.mono_ms);
    if (app->more)
        return 0;
    if (app->data)
        due = app_frame_due(app) - now;
    return due <= 0 ? 0 : due > 3600000 ? 3600000 : (int)due;
}

static void app_wait(App *app)
{
    struct pollfd fds[34] = {{.fd = screen_fd(app->screen), .events = POLLIN}, {.fd = app->wake.read_fd, .events = POLLIN}};
    int routes[32];
    size_t count = route_poll_fds(app, routes, 32);
    for (size_t i = 0; i < count; i++)
        fds[2 + i] = (struct pollfd){.fd = routes[i], .events = POLLIN};
    if (poll(fds, 2 + count, app_timeout(app)) < 0 && errno != EINTR)
        usleep(10000);
    if (fds[1].revents) {
        wake_drain(&app->wake);
        engine_jobs_collect(app->engine);
        app->data = true;
        int64_t in_ms = app_news_ms(app);
        app->data_ms = in_ms < app->data_ms ? in_ms : app->data_ms;
    }
    if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)) { /* the terminal is gone, whoever told us or not */
        app->quit = true;
        app->status = 128 + SIGHUP;
    }
    for (size_t i = 0; i < count; i++)
        if (fds[2 + i].revents) {
            route_lost(app);
            break;
        }
}

static void app_turn(App *app)
{
    bool pasted;
    Key key;
    while (!app->quit && (key = screen_key(app->screen, &pasted)) != KEY_NOTHING) {
        app_key(app, key, pasted);
        if (app->dialog && dialog_arming(app))
            break; /* its frame goes out before any key can answer it */
    }
    int64_t now = clock_mono_ms();
    Page *page = app_page(app);
    if (page->type->turn) {
        app->more = page->type->turn(app, page);
        app->dirty |= page->changed && now - app->frame_ms >= FRAME_MS;
    } else {
        app->more = false;
    }
    if ((app->data && now >= app_frame_due(app)) || now - app->now.mono_ms >= app_due_ms(app)) {
        app_update(app, clock_now());
        app_last_forget(app);
        app_save_sometimes(app);
    }
    if (app->dirty && !app->quit)
        app_frame(app);
}

/* Everything that still runs is told to end; what does not within a second is left behind with what it uses. */
static bool app_finish(App *app)
{
    int64_t end = clock_mono_ms() + 900;
    while (app->depth > 1)
        app_pop(app);
    dialog_close(app);
    route_done_all(app);
    while ((app->task_count || atomic_load(&app->streams)) && clock_mono_ms() < end) {
        struct pollfd fd = {.fd = app->wake.read_fd, .events = POLLIN};
        poll(&fd, 1, 20);
        wake_drain(&app->wake);
        engine_jobs_collect(app->engine);
    }
    return app->task_count == 0 && atomic_load(&app->streams) == 0;
}

static void app_loop(App *app)
{
    app_frame(app);
    engine_start(app->engine, ENGINE_LIVE, app->options->only_keys, app->options->only_instance);
    app_last_rest(app);
    app_start_page(app, app->options->start);
    while (!app->quit) {
        app_wait(app);
        app_turn(app);
    }
}

bool ui_possible(void)
{
    return screen_possible();
}

int ui_run(Engine *engine, const UiOptions *options)
{
    Error error;
    setlocale(LC_CTYPE, "");
    error_set(&error, ERROR_INTERNAL, "terminal", NULL, "no descriptors left");
    App *app = app_new(engine, options, 24, 80);
    if (!wake_init(&app->wake) || !app_open_screen(app, options, &error)) {
        char line[ERROR_LINE];
        fprintf(stderr, "dasktop: %s\n", error_line(&error, line, sizeof line));
        app_free(app);
        return 1;
    }
    store_on_publish(engine_store(engine), &app->wake);
    operations_on_change(engine_operations(engine), &app->wake);
    engine_jobs_on_done(engine, &app->wake);
    app_last_first(app);
    app_update(app, clock_now());
    app_loop(app);
    bool ended = app_finish(app);
    screen_close(app->screen);
    app->screen = NULL;
    int status = app->status;
    if (engine_state_directory(engine) && !app->from_last && !engine_config(engine)->elsewhere)
        last_write(engine_state_directory(engine), app->view, NULL);
    habits_write(app);
    store_on_publish(engine_store(engine), NULL);
    operations_on_change(engine_operations(engine), NULL);
    engine_jobs_on_done(engine, NULL);
    if (ended) {
        wake_done(&app->wake);
        app_free(app);
    }
    return status;
}
