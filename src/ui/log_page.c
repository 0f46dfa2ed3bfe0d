/* The log view's page: draws the newest window and turns keys into commands (ui/log_view.h), which never wait. */
#include "ui/app.h"
#include "ui/log_save.h"
#include "ui/log_stream.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ANSWER_MS: how long a picture waits for the answer to a key, so that one key is one picture. */
enum { ANSWER_MS = 8, SAVE_MS = 3600000, SIDE = 16 };

typedef struct LogPage {
    LogStream *stream;
    LogView *view;          /* the stream's */
    const LogWindow *window; /* the view's: what was drawn last; NULL: nothing yet */
    char *only;             /* the component that it was opened for; NULL: all */
    int component;          /* only this one is shown; -1: all */
    char *search, *filter;  /* patterns; NULL */
    char *overwrite;        /* the file that may be written over when that is confirmed; NULL */
    LogShape shape;         /* that was asked for last */
    uint64_t event;         /* of the window whose words were said */
} LogPage;

static const PageType page_log;

/* ------------------------------------------------------------------------------------------------------------- drawing */

static Role log_level_role(const char *level)
{
    if (strncmp(level, "ERROR", 5) == 0 || strncmp(level, "CRIT", 4) == 0 || strncmp(level, "FATAL", 5) == 0)
        return ROLE_BAD;
    return strncmp(level, "WARN", 4) == 0 ? ROLE_WARN : ROLE_DIM;
}

static void log_clock(int64_t time_ms, char out[16])
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm when;
    out[0] = 0;
    if (time_ms != TIME_UNKNOWN && localtime_r(&seconds, &when))
        strftime(out, 16, "%H:%M:%S", &when);
}

static void log_draw_prefix(LogPage *log, Canvas *canvas, int y, const LogRow *row, const LogColumns *layout)
{
    char name[LOG_NAME], when[16];
    if (layout->component_cells)
        canvas_text(canvas, y, layout->component, layout->component_cells, (Role)(ROLE_COMPONENT + row->component % 6),
                    log_view_component(log->view, row->component, name));
    log_clock(row->time_ms, when);
    if (layout->time >= 0)
        canvas_text(canvas, y, layout->time, 8, ROLE_DIM, when);
    canvas_text_n(canvas, y, layout->level, layout->level_cells, log_level_role(row->level), row->level,
                  strnlen(row->level, (size_t)layout->level_cells));
}

static void log_draw_row(LogPage *log, Canvas *canvas, int y, const LogWindow *window, const LogRow *row)
{
    const LogColumns *layout = &window->columns;
    const char *text = window->rows.text.bytes + row->text;
    Role role = row->note ? ROLE_WARN : ROLE_TEXT;
    if (row->part == 0)
        log_draw_prefix(log, canvas, y, row, layout);
    if (row->found)
        canvas_code(canvas, y, 0, ROLE_CURSOR, 0x258C);
    canvas_text_n(canvas, y, layout->text, layout->text_cells, role, text, row->length);
    for (size_t i = row->ink; i < row->ink + row->inks; i++) {
        const LogInk *ink = &window->rows.inks[i];
        int width = layout->text_cells - ink->col < ink->cells ? layout->text_cells - ink->col : ink->cells;
        if (ink->match)
            canvas_role(canvas, y, layout->text + ink->col, width, row->found ? ROLE_MATCH_NOW : ROLE_MATCH);
        else
            canvas_ink(canvas, y, layout->text + ink->col, width, ink->front, ink->back, ink->flags);
    }
    if (row->cut_left)
        canvas_code(canvas, y, layout->text, ROLE_DIM, 0x2026);
    if (row->cut_right)
        canvas_code(canvas, y, layout->text + layout->text_cells - 1, ROLE_DIM, 0x2026);
}

static void log_draw_empty(LogPage *log, Canvas *canvas, Area area, const LogWindow *window)
{
    char line[ERROR_LINE];
    Error error;
    if (window && window->narrow) {
        char *words = window->numbered ? mem_format("no line %s%s", log->filter ? "matches " : "of it", log->filter ? log->filter : "")
                                       : mem_format("looking through the log, %d %%", window->percent);
        canvas_text(canvas, area.row, 1, area.cols - 2, ROLE_DIM, words);
        free(words);
    } else if (!log_stream_ended(log->stream, &error)) {
        canvas_text(canvas, area.row, 1, area.cols - 2, ROLE_DIM,
                    log_stream_caught_up(log->stream) ? "no line so far; new ones come up here" : "asking for the logs…");
    } else {
        canvas_text(canvas, area.row, 1, area.cols - 2, ROLE_WARN,
                    error.code == ERROR_OK ? "there is no line" : error_line(&error, line, sizeof line));
    }
}

static const LogWindow *log_window(App *app, LogPage *log, int wait_ms)
{
    const LogWindow *window = log->window = log_view_window(log->view, wait_ms);
    if (window && window->event != log->event) {
        log->event = window->event;
        app_say(app, window->failed ? ROLE_WARN : ROLE_DIM, "%s", window->said);
    }
    return window;
}

static void log_draw(App *app, Page *page, Canvas *canvas, Area area)
{
    LogPage *log = page->own;
    if (area.rows != log->shape.rows || area.cols != log->shape.cols) {
        log->shape.rows = area.rows;
        log->shape.cols = area.cols;
        log_view_shape(log->view, &log->shape);
    }
    const LogWindow *window = log_window(app, log, ANSWER_MS);
    if (!window || window->rows.count == 0) {
        log_draw_empty(log, canvas, area, window);
        return;
    }
    for (size_t i = 0; i < window->rows.count && i < (size_t)area.rows; i++)
        log_draw_row(log, canvas, area.row + (int)i, window, &window->rows.rows[i]);
}

/* ---------------------------------------------------------------------------------------------------- title and status */

static size_t log_named(LogPage *log)
{
    char name[LOG_NAME];
    size_t count = log_view_components(log->view), named = 0;
    for (size_t i = 0; i < count; i++)
        named += *log_view_component(log->view, (int)i, name) != 0;
    return named;
}

static void log_title(App *app, Page *page, Pen *pen)
{
    LogPage *log = page->own;
    char name[LOG_NAME];
    (void)app;
    pen_put(pen, ROLE_STRONG, "%s  ", page->record->is.name);
    size_t count = log_named(log);
    if (log->component >= 0)
        pen_put(pen, ROLE_DIM, "log of %s", log_view_component(log->view, log->component, name));
    else
        pen_put(pen, ROLE_DIM, "logs of %zu component%s", count, count == 1 ? "" : "s");
    if (log->filter)
        pen_put(pen, ROLE_KEY, "  &%s", log->filter);
}

/* 10,000,000 */
static const char *log_count(uint64_t number, char out[32])
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number), at = 0;
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = 0;
    return out;
}

static void log_status_lines(const LogWindow *window, Pen *pen)
{
    char from[32], to[32], all[32];
    if (window->numbered && window->count)
        pen_put(pen, ROLE_DIM, "  lines %s – %s of %s", log_count(window->top + 1, from), log_count(window->bottom, to),
                log_count(window->count, all));
    else if (window->numbered)
        pen_text(pen, ROLE_DIM, "  no lines");
    else if (window->narrow)
        pen_put(pen, ROLE_DIM, "  %s lines so far, looked through %d %%", log_count(window->count, all), window->percent);
    else
        pen_put(pen, ROLE_DIM, "  counting lines, %d %%", window->percent);
}

/* What was not shown is said first, so that no width cuts it off. */
static bool log_status_losses(const LogWindow *window, Pen *pen)
{
    char count[32], bytes[24];
    if (window->behind > LOG_BLOCK)
        pen_put(pen, ROLE_WARN, "  %s behind", text_bytes((int64_t)window->behind, bytes));
    if (window->lost)
        pen_put(pen, ROLE_WARN, "  %s%s lines lost", window->lost_more ? "over " : "", log_count(window->lost, count));
    else if (window->lost_more)
        pen_text(pen, ROLE_WARN, "  lines lost");
    if (window->dropped)
        pen_put(pen, ROLE_WARN, "  %s older lines dropped", log_count(window->dropped, count));
    if (window->given_up)
        pen_text(pen, ROLE_WARN, "  the pattern is too dear for some lines");
    return window->lost || window->lost_more || window->dropped;
}

/* The day, where it is not today's. */
static void log_status_day(const LogWindow *window, Pen *pen, Clock now)
{
    time_t seconds = (time_t)(window->day_ms / 1000), today = (time_t)(now.wall_ms / 1000);
    struct tm when, is;
    char day[32];
    if (window->day_ms == TIME_UNKNOWN || !localtime_r(&seconds, &when) || !localtime_r(&today, &is))
        return;
    if (when.tm_yday == is.tm_yday && when.tm_year == is.tm_year)
        return;
    strftime(day, sizeof day, when.tm_year == is.tm_year ? "%b %d" : "%Y-%m-%d", &when);
    pen_put(pen, ROLE_DIM, " · %s", day);
}

static void log_status(App *app, Page *page, Pen *pen)
{
    LogPage *log = page->own;
    char line[ERROR_LINE];
    Error error;
    bool ended = log_stream_ended(log->stream, &error);
    const LogWindow *window = log->window;
    if (ended)
        pen_text(pen, ROLE_BADGE, " ended ");
    else if (!window || window->follow)
        pen_text(pen, ROLE_FOLLOWING, " following ");
    else
        pen_text(pen, ROLE_BADGE, " stopped, f follows ");
    if (!window)
        return;
    if (log_view_is_late(log->view))
        pen_text(pen, ROLE_WARN, "  still reading");
    bool lost = log_status_losses(window, pen);
    log_status_lines(window, pen);
    if (!lost)
        pen_text(pen, ROLE_DIM, " · nothing dropped");
    if (window->searching)
        pen_put(pen, ROLE_KEY, " · searching %s, %d %%", log->search ? log->search : "", window->searched);
    else if (log->search)
        pen_put(pen, ROLE_DIM, " · /%s", log->search);
    log_status_day(window, pen, app->now);
    if (ended && error.code != ERROR_OK)
        pen_put(pen, ROLE_WARN, " · %s", error_line(&error, line, sizeof line));
}

/* ------------------------------------------------------------------------------------------------------------- actions */

static LogPattern *log_pattern(App *app, const char *text)
{
    Error error = {0};
    LogPattern *pattern = log_pattern_new(text, &error);
    if (!pattern)
        app_say(app, ROLE_WARN, "/%s: %s", text, error.what);
    return pattern;
}

static void log_narrow(App *app, LogPage *log)
{
    LogPattern *pattern = log->filter ? log_pattern(app, log->filter) : NULL;
    log_view_narrow(log->view, log->component, pattern);
}

static void log_set_component(App *app, LogPage *log, const char *name)
{
    char have[LOG_NAME];
    int count = (int)log_view_components(log->view), next = log->component + 1;
    while (next < count && !*log_view_component(log->view, next, have)) /* notes about all of them */
        next++;
    for (int i = 0; name && i < count; i++)
        if (strcmp(log_view_component(log->view, i, have), name) == 0)
            next = i;
    log->component = next < count ? next : -1;
    log_narrow(app, log);
    app_say(app, ROLE_DIM, "%s", log->component >= 0 ? log_view_component(log->view, log->component, have) : "all components");
}

static void log_matching(App *app, LogPage *log, const char *text)
{
    LogPattern *pattern = *text ? log_pattern(app, text) : NULL;
    if (*text && !pattern)
        return;
    log_pattern_free(pattern);
    free(log->filter);
    log->filter = *text ? mem_text(text) : NULL;
    log_narrow(app, log);
}

static void log_search(App *app, LogPage *log, const char *text)
{
    LogPattern *pattern = log_pattern(app, text);
    if (!pattern)
        return;
    free(log->search);
    log->search = mem_text(text);
    log_view_search(log->view, pattern, 0);
}

static void log_search_on(App *app, LogPage *log, int step)
{
    if (!log->search)
        app_say(app, ROLE_WARN, "nothing is searched for yet: /");
    else
        log_view_search_on(log->view, step);
}

static bool log_search_clear(LogPage *log)
{
    if (!log->search)
        return false;
    free(log->search);
    log->search = NULL;
    log_view_search(log->view, NULL, 0);
    return true;
}

static void log_since(App *app, Page *page, const char *text)
{
    LogPage *log = page->own;
    int64_t ms;
    Error error;
    if (!duration_parse(text, &ms)) {
        app_say(app, ROLE_WARN, "%s is no duration: 15m, 2h, 3d", text);
        return;
    }
    LogStream *stream = log_stream_start(app, page->record, log->only, clock_wall_ms() - ms, &error);
    if (!stream) {
        app_error(app, &error);
        return;
    }
    log_stream_leave(log->stream);
    log->stream = stream;
    log->view = log_stream_view(stream);
    log->window = NULL;
    log->component = -1;
    log->event = 0;
    log->shape.rows = 0; /* the new view is told */
    log_narrow(app, log);
    free(log->search);
    log->search = NULL;
}

/* "1200", "50%", "14:05" or "14:05:30" of the day that is shown, or a full time. */
static void log_goto(App *app, LogPage *log, const char *text)
{
    const LogWindow *window = log->window;
    char *end;
    int hour, minute, second = 0, used = 0;
    int64_t full = time_parse(text);
    unsigned long long number = strtoull(text, &end, 10);
    if (full != TIME_UNKNOWN) {
        log_view_goto_time(log->view, full);
    } else if (sscanf(text, "%2d:%2d%n:%2d%n", &hour, &minute, &used, &second, &used) >= 2 && !text[used]) {
        time_t day = (time_t)((window && window->day_ms != TIME_UNKNOWN ? window->day_ms : app->now.wall_ms) / 1000);
        struct tm when;
        localtime_r(&day, &when);
        when.tm_hour = hour;
        when.tm_min = minute;
        when.tm_sec = second;
        when.tm_isdst = -1;
        log_view_goto_time(log->view, (int64_t)mktime(&when) * 1000);
    } else if (end > text && !*end) {
        log_view_goto(log->view, number);
    } else if (end > text && strcmp(end, "%") == 0 && number <= 100) {
        log_view_goto_part(log->view, (int)number);
    } else {
        app_say(app, ROLE_WARN, "%s is no line, part or time: 1200, 50%%, 14:05", text);
    }
}

typedef struct LogSave {
    Task task;
    char *path, *filter;
    LogView *view;
    int component;
    bool overwrite;
    uint64_t lines;
} LogSave;

static bool log_save_run(Task *task, Context *context, Error *error)
{
    LogSave *save = (LogSave *)task;
    LogSaveWhat what = {save->path, save->filter, save->component, save->overwrite};
    return log_save(save->view, &what, context, &save->lines, error);
}

/* It is there already: asked whether to write over it, where that log is still on the screen. */
static void log_save_ask(App *app, LogSave *save)
{
    Page *page = app_page(app);
    LogPage *log = page->type == &page_log ? page->own : NULL;
    if (!log || log->view != save->view || app->prompt.info || app->dialog) {
        app_error(app, &save->task.error);
        return;
    }
    free(log->overwrite);
    log->overwrite = mem_text(save->path);
    app_prompt(app, keys_info(ACTION_SAVE, IN_LOGS), "it exists; yes overwrites: ", "", NULL);
}

static void log_save_done(Task *task)
{
    LogSave *save = (LogSave *)task;
    char count[32];
    if (task->ok)
        app_say(task->app, ROLE_GOOD, "%s lines saved to %s", log_count(save->lines, count), save->path);
    else if (task->error.code == ERROR_CONFLICT && !save->overwrite && !task->app->quit)
        log_save_ask(task->app, save);
    else
        app_error(task->app, &task->error);
    log_view_drop(save->view);
    free(save->path);
    free(save->filter);
}

static void log_save_start(App *app, LogPage *log, const char *argument)
{
    char *path = log->overwrite;
    bool overwrite = path && (strcmp(argument, "yes") == 0 || strcmp(argument, "y") == 0);
    log->overwrite = NULL;
    if (path && !overwrite && (!*argument || strcmp(argument, "no") == 0 || strcmp(argument, "n") == 0)) {
        app_say(app, ROLE_DIM, "not saved: %s stays as it is", path);
        free(path);
        return;
    }
    if (!overwrite) { /* another name than the one that was asked about */
        free(path);
        path = file_expand_home(argument);
    }
    LogSave *task = task_new(app, sizeof *task, app, log_save_run, log_save_done);
    task->path = path;
    task->overwrite = overwrite;
    task->filter = mem_text(log->filter);
    task->component = log->component;
    task->view = log_view_keep(log->view);
    task_start(&task->task, NULL, SAVE_MS);
    app_say(app, ROLE_DIM, "saving to %s …", task->path);
}

static bool log_move(LogPage *log, Action action)
{
    switch (action) {
    case ACTION_UP: log_view_move(log->view, -1); return true;
    case ACTION_DOWN: log_view_move(log->view, 1); return true;
    case ACTION_TOP: log_view_top(log->view); return true;
    case ACTION_BOTTOM: log_view_bottom(log->view); return true;
    case ACTION_PAGE_UP: log_view_turn_page(log->view, -2); return true;
    case ACTION_PAGE_DOWN: log_view_turn_page(log->view, 2); return true;
    case ACTION_HALF_UP: log_view_turn_page(log->view, -1); return true;
    case ACTION_HALF_DOWN: log_view_turn_page(log->view, 1); return true;
    case ACTION_LEFT: log_view_sideways(log->view, -SIDE); return true;
    case ACTION_RIGHT: log_view_sideways(log->view, SIDE); return true;
    default: return false;
    }
}

/* With what was typed; without it the prompt is opened first. */
static void log_typed(App *app, Page *page, const KeyInfo *info, const char *argument)
{
    LogPage *log = page->own;
    const char *label = info->action == ACTION_SEARCH ? "/" : info->action == ACTION_MATCHING ? "&" : info->action == ACTION_SINCE ? "since: "
                      : info->action == ACTION_SAVE ? "save to: " : "line, %, time: ";
    if (!argument) {
        if (info->action == ACTION_SAVE) { /* an answer that never came */
            free(log->overwrite);
            log->overwrite = NULL;
        }
        bool pattern = info->action == ACTION_SEARCH || info->action == ACTION_MATCHING;
        app_prompt(app, info, label, "", pattern ? &app->history_searches : NULL);
    } else if (info->action == ACTION_MATCHING) {
        log_matching(app, log, argument);
    } else if (!*argument && !log->overwrite) {
        return;
    } else if (info->action == ACTION_SEARCH) {
        log_search(app, log, argument);
    } else if (info->action == ACTION_SINCE) {
        log_since(app, page, argument);
    } else if (info->action == ACTION_SAVE) {
        log_save_start(app, log, argument);
    } else {
        log_goto(app, log, argument);
    }
}

static void log_reshape(LogPage *log, bool wrap, bool times)
{
    log->shape.wrap = wrap;
    log->shape.times = times;
    if (log->shape.rows)
        log_view_shape(log->view, &log->shape);
}

static bool log_act(App *app, Page *page, const KeyInfo *info, Key key, const char *argument)
{
    LogPage *log = page->own;
    if (log_move(log, info->action))
        return true;
    switch (info->action) {
    case ACTION_FOLLOW: log_view_follow(log->view); return true;
    case ACTION_WRAP: log_reshape(log, !log->shape.wrap, log->shape.times); return true;
    case ACTION_TIMES: log_reshape(log, log->shape.wrap, !log->shape.times); return true;
    case ACTION_SEARCH_NEXT: log_search_on(app, log, 1); return true;
    case ACTION_SEARCH_BACK: log_search_on(app, log, -1); return true;
    case ACTION_COMPONENT: log_set_component(app, log, argument); return true;
    case ACTION_SEARCH:
    case ACTION_MATCHING:
    case ACTION_SINCE:
    case ACTION_SAVE:
    case ACTION_GOTO: log_typed(app, page, info, argument); return true;
    case ACTION_BACK: return key == KEY_ESCAPE && log_search_clear(log);
    default: return false;
    }
}

/* ---------------------------------------------------------------------------------------------------------------- page */

static bool log_turn(App *app, Page *page)
{
    LogPage *log = page->own;
    if (log_view_fresh(log->view))
        page->changed = app->dirty = true; /* it comes no more often than a picture is worth */
    return false;
}

static void log_close(App *app, Page *page)
{
    LogPage *log = page->own;
    (void)app;
    log_stream_leave(log->stream);
    free(log->only);
    free(log->search);
    free(log->filter);
    free(log->overwrite);
    free(log);
}

static const PageType page_log = {
    .name = "logs", .where = IN_LOGS, .draw = log_draw, .act = log_act, .title = log_title, .status = log_status,
    .turn = log_turn, .close = log_close,
};

void log_open(App *app, const Record *record, const char *component)
{
    Error error;
    LogStream *stream = log_stream_start(app, record, component, TIME_UNKNOWN, &error);
    if (!stream) {
        app_error(app, &error);
        return;
    }
    LogPage *log = mem_new(sizeof *log);
    log->stream = stream;
    log->view = log_stream_view(stream);
    log->only = mem_text(component);
    log->component = -1;
    log->shape.times = true;
    app_push(app, &page_log, log, record);
}
