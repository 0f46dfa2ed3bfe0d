/* The log view. A thread of its own reads the logs into a spool; this page looks into it. Search and filter go in slices of a few
 * milliseconds, so that keys stay quick whatever the size. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "ui/app.h"
#include "ui/spool.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <pcre2.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPOOL_BYTES = 64 << 20, HELD_BYTES = 64 << 20, TAIL_LINES = 10000, SLICE_US = 4000, WAKE_MS = 50, MATCHES_MAX = 64,
       LEVEL_COLS = 60 };

/* ------------------------------------------------------------------------------------------------------------- thread */

/* What the page and the thread share. The last one of both frees it. */
typedef struct Stream {
    atomic_int holders;
    App *app; /* for the engine, and its count of streams */
    Wake wake;
    Cancel cancel;
    Record *record;
    LogRequest request;
    Spool *spool;
    atomic_bool ended, caught_up;
    int64_t woken_ms; /* the thread's */
    pthread_mutex_t lock;
    Error error; /* under lock; valid when ended */
} Stream;

static void stream_drop(Stream *stream)
{
    if (atomic_fetch_sub(&stream->holders, 1) != 1)
        return;
    spool_free(stream->spool);
    record_drop(stream->record);
    list_done(&stream->request.components);
    cancel_done(&stream->cancel);
    pthread_mutex_destroy(&stream->lock);
    free(stream);
}

static void stream_line(void *user, const LogLine *line)
{
    Stream *stream = user;
    spool_add(stream->spool, line);
    int64_t now = clock_mono_ms();
    if (now - stream->woken_ms >= WAKE_MS) {
        stream->woken_ms = now;
        wake_up(&stream->app->wake);
    }
}

static void stream_caught_up(void *user)
{
    Stream *stream = user;
    atomic_store(&stream->caught_up, true);
    wake_up(&stream->app->wake);
}

typedef struct StreamSink {
    const LogSink *inner;
    Stream *stream;
} StreamSink;

static void sink_line(void *user, const char *component, int64_t time_ms, const char *level, const char *text, size_t n)
{
    StreamSink *sink = user;
    sink->inner->line(sink->inner->user, component, time_ms, level, text, n);
}

static void sink_caught_up(void *user)
{
    StreamSink *sink = user;
    if (sink->inner->caught_up)
        sink->inner->caught_up(sink->inner->user);
    stream_caught_up(sink->stream);
}

static void sink_dropped(void *user, const char *component, int64_t lines)
{
    StreamSink *sink = user;
    if (sink->inner->dropped)
        sink->inner->dropped(sink->inner->user, component, lines);
}

static void sink_note(void *user, const char *component, const char *text)
{
    StreamSink *sink = user;
    if (sink->inner->note)
        sink->inner->note(sink->inner->user, component, text);
}

static bool stream_read(Stream *stream, Error *error)
{
    Context context = context_new(&stream->cancel, -1), within = context_within(&context, 30000);
    Handle *handle = NULL;
    if (!engine_reconstruct(stream->app->engine, &within, stream->record, &handle, error))
        return false;
    bool ok;
    if (handle->type->logs) {
        Logs *logs = logs_new(HELD_BYTES, stream_line, stream);
        StreamSink inner = {logs_sink(logs), stream};
        LogSink sink = {sink_line, sink_caught_up, sink_dropped, sink_note, NULL, &inner};
        ok = handle->type->logs(handle, &context, &stream->request, &sink, error);
        logs_flush(logs);
        logs_free(logs);
    } else {
        ok = error_set(error, ERROR_UNSUPPORTED, stream->record->is.name, NULL, "this kind of cluster gives no logs");
    }
    handle_close(handle);
    return ok;
}

static void *stream_main(void *user)
{
    Stream *stream = user;
    App *app = stream->app;
    Error error = {0};
    stream_read(stream, &error);
    pthread_mutex_lock(&stream->lock);
    stream->error = error;
    pthread_mutex_unlock(&stream->lock);
    atomic_store(&stream->ended, true);
    stream_drop(stream);
    wake_up(&app->wake);
    atomic_fetch_sub(&app->streams, 1); /* the last touch: the app waits for it */
    return NULL;
}

static Stream *stream_start(App *app, const Record *record, const char *component, int64_t since_ms)
{
    Stream *stream = mem_new(sizeof *stream);
    atomic_init(&stream->holders, 2);
    stream->app = app;
    stream->record = record_keep(record);
    stream->spool = spool_new(SPOOL_BYTES);
    cancel_init(&stream->cancel);
    pthread_mutex_init(&stream->lock, NULL);
    stream->request = (LogRequest){.tail = since_ms == TIME_UNKNOWN ? TAIL_LINES : -1, .since_ms = since_ms, .follow = true};
    if (component)
        list_add(&stream->request.components, component);
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_fetch_add(&app->streams, 1);
    if (pthread_create(&thread, NULL, stream_main, stream) == 0) {
        pthread_detach(thread);
    } else {
        error_set(&stream->error, ERROR_INTERNAL, NULL, NULL, "no thread could be started");
        atomic_store(&stream->ended, true);
        atomic_fetch_sub(&app->streams, 1);
        stream_drop(stream);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return stream;
}

static void stream_leave(Stream *stream)
{
    cancel_ask(&stream->cancel);
    stream_drop(stream);
}

/* --------------------------------------------------------------------------------------------------------------- page */

typedef struct Pattern {
    pcre2_code *code;
    pcre2_match_data *data;
    char *text;
} Pattern;

typedef struct LogPage {
    Stream *stream;
    int component; /* only this one; -1: all */
    char *component_name;
    Pattern search, filter;
    bool follow, wrap, times;
    uint64_t *index; /* numbers of the lines that are shown, where a filter or a component narrows them */
    size_t index_count, index_capacity, index_first;
    uint64_t indexed; /* up to here the index was made */
    uint64_t top;     /* position (of the index, or a line number) at the top of the screen */
    uint64_t end_seen;
    int height, left, component_width;
    int search_step;  /* a search under way: +1, -1; 0: none */
    uint64_t search_at, search_left, found;
    bool has_found;
    Buffer line;
} LogPage;

static void pattern_done(Pattern *pattern)
{
    pcre2_match_data_free(pattern->data);
    pcre2_code_free(pattern->code);
    free(pattern->text);
    *pattern = (Pattern){0};
}

/* Lower-case patterns fit both cases, as in less -i. */
static bool pattern_set(App *app, Pattern *pattern, const char *text)
{
    int number;
    PCRE2_SIZE offset;
    bool upper = false;
    for (const char *at = text; *at; at++)
        upper |= *at >= 'A' && *at <= 'Z' && (at == text || at[-1] != '\\');
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | (upper ? 0 : PCRE2_CASELESS),
                                     &number, &offset, NULL);
    if (!code) {
        char why[128];
        pcre2_get_error_message(number, (PCRE2_UCHAR *)why, sizeof why);
        app_say(app, ROLE_WARN, "/%s: %s", text, why);
        return false;
    }
    pattern_done(pattern);
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    pattern->code = code;
    pattern->data = pcre2_match_data_create_from_pattern(code, NULL);
    pattern->text = mem_text(text);
    return true;
}

static bool pattern_find(const Pattern *pattern, const char *text, size_t n, size_t from, size_t *begin, size_t *end)
{
    int found = pcre2_match(pattern->code, (PCRE2_SPTR)text, n, from, 0, pattern->data, NULL);
    if (found <= 0)
        return false;
    const PCRE2_SIZE *where = pcre2_get_ovector_pointer(pattern->data);
    *begin = where[0];
    *end = where[1];
    return true;
}

static bool log_narrowed(const LogPage *log)
{
    return log->component >= 0 || log->filter.code;
}

static bool log_shows(LogPage *log, const SpoolLine *line)
{
    size_t begin, end;
    if (log->component >= 0 && line->component != log->component)
        return false;
    return !log->filter.code || pattern_find(&log->filter, log->line.bytes, log->line.length, 0, &begin, &end);
}

/* Positions on screen: line numbers, or places in the index of what the filter lets through. */
static void log_bounds(LogPage *log, uint64_t *first, uint64_t *end)
{
    spool_range(log->stream->spool, first, end);
    if (!log_narrowed(log))
        return;
    while (log->index_first < log->index_count && log->index[log->index_first] < *first)
        log->index_first++;
    *first = log->index_first;
    *end = log->index_count;
}

static bool log_line_at(LogPage *log, uint64_t position, SpoolLine *line)
{
    uint64_t number = position;
    if (log_narrowed(log)) {
        if (position >= log->index_count)
            return false;
        number = log->index[position];
    }
    return spool_get(log->stream->spool, number, line, &log->line);
}

static void log_index_again(LogPage *log)
{
    uint64_t end;
    log->index_count = log->index_first = 0;
    spool_range(log->stream->spool, &log->indexed, &end);
    log->follow = true;
    log->top = 0;
    log->search_step = 0;
    log->has_found = false;
}

static bool log_index_turn(LogPage *log, int64_t until_us)
{
    uint64_t first, end;
    SpoolLine line;
    if (!log_narrowed(log))
        return false;
    spool_range(log->stream->spool, &first, &end);
    if (log->indexed < first)
        log->indexed = first;
    for (int n = 0; log->indexed < end; n++, log->indexed++) {
        if (n % 64 == 63 && clock_mono_us() > until_us)
            return true;
        if (!spool_get(log->stream->spool, log->indexed, &line, &log->line) || !log_shows(log, &line))
            continue;
        log->index = mem_grow(log->index, log->index_count, &log->index_capacity, sizeof *log->index);
        log->index[log->index_count++] = log->indexed;
    }
    return false;
}

static void log_goto(LogPage *log, uint64_t position)
{
    uint64_t first, end;
    log_bounds(log, &first, &end);
    uint64_t height = (uint64_t)(log->height > 0 ? log->height : 1), last = end > first + height ? end - height : first;
    log->top = position < first ? first : position > last ? last : position;
    log->follow = log->top >= last;
}

static bool log_search_turn(App *app, LogPage *log, int64_t until_us)
{
    uint64_t first, end;
    SpoolLine line;
    log_bounds(log, &first, &end);
    for (int n = 0; log->search_step && log->search_left > 0; n++, log->search_left--) {
        if (n % 64 == 63 && clock_mono_us() > until_us)
            return true;
        size_t begin, stop;
        if (log->search_at >= end)
            log->search_at = log->search_step > 0 ? first : end - 1;
        if (log->search_at < first)
            log->search_at = log->search_step > 0 ? first : end - 1;
        if (log_line_at(log, log->search_at, &line) && pattern_find(&log->search, log->line.bytes, log->line.length, 0, &begin, &stop)) {
            log->found = line.number;
            log->has_found = true;
            log->search_step = 0;
            uint64_t height = (uint64_t)log->height;
            if (log->search_at < log->top || log->search_at >= log->top + height)
                log_goto(log, log->search_at > height / 3 ? log->search_at - height / 3 : 0);
            log->follow = false;
            app->message[0] = 0;
            return false;
        }
        log->search_at = log->search_step > 0 ? log->search_at + 1 : log->search_at == first ? end - 1 : log->search_at - 1;
    }
    if (log->search_step) {
        log->search_step = 0;
        app_say(app, ROLE_WARN, "not found: %s", log->search.text);
    }
    return false;
}

static void log_search(App *app, LogPage *log, int step)
{
    uint64_t first, end;
    if (!log->search.code) {
        app_say(app, ROLE_WARN, "nothing is searched for yet: /");
        return;
    }
    log_bounds(log, &first, &end);
    uint64_t from = step > 0 ? log->top : log->top + (uint64_t)log->height - 1;
    if (log->has_found && !log_narrowed(log))
        from = step > 0 ? log->found + 1 : log->found ? log->found - 1 : end;
    else if (log->has_found)
        for (uint64_t i = first; i < end; i++) /* few enough: the index is what fits on a screen or two, or is searched once a key */
            if (log->index[i] >= log->found) {
                from = step > 0 ? i + 1 : i ? i - 1 : end;
                break;
            }
    log->search_step = step;
    log->search_at = from;
    log->search_left = end - first;
    app_say(app, ROLE_DIM, "searching %s …", log->search.text);
}

static bool log_turn(App *app, Page *page)
{
    LogPage *log = page->own;
    int64_t until = clock_mono_us() + SLICE_US;
    uint64_t first, end;
    bool more = log_index_turn(log, until);
    if (log->search_step) {
        more |= log_search_turn(app, log, until);
        page->changed = app->dirty = true;
    }
    spool_range(log->stream->spool, &first, &end);
    if (end != log->end_seen || more) {
        log->end_seen = end;
        page->changed = true;
    }
    return more;
}

/* ------------------------------------------------------------------------------------------------------------ drawing */

static Role log_level_role(const char *level)
{
    if (strncmp(level, "ERROR", 5) == 0 || strncmp(level, "CRIT", 4) == 0 || strncmp(level, "FATAL", 5) == 0)
        return ROLE_ORPHANED;
    return strncmp(level, "WARN", 4) == 0 ? ROLE_UNATTENDED : ROLE_DIM;
}

static void log_time(int64_t time_ms, char out[16])
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm when;
    out[0] = 0;
    if (time_ms != TIME_UNKNOWN && localtime_r(&seconds, &when))
        strftime(out, 16, "%H:%M:%S", &when);
}

static int log_prefix(LogPage *log, Canvas *canvas, int y, const SpoolLine *line, int width)
{
    char component[64], when[16];
    int col = 1;
    if (log->component_width && log->component < 0) {
        spool_component(log->stream->spool, line->component, component);
        canvas_text(canvas, y, col, log->component_width, (Role)(ROLE_COMPONENT + line->component % 6), component);
        col += log->component_width + 1;
    }
    if (log->times) {
        log_time(line->time_ms, when);
        canvas_text(canvas, y, col, 8, ROLE_DIM, when);
        col += 9;
    }
    if (width >= LEVEL_COLS) {
        canvas_text(canvas, y, col, 7, log_level_role(line->level), line->level);
        col += 8;
    }
    return col;
}

/* Cells before a byte of the text: where its highlight begins. */
static int log_cells(const char *text, size_t bytes)
{
    int cells = 0;
    for (size_t at = 0, n; at < bytes; at += n) {
        uint32_t code;
        n = text_next(text + at, bytes - at, &code);
        if (n == 0)
            break;
        int width = text_code_width(code);
        cells += width < 0 ? 1 : width;
    }
    return cells;
}

static void log_highlight(LogPage *log, Canvas *canvas, int y, int col, int width, const char *text, size_t n, const SpoolLine *line)
{
    size_t at = 0, begin, end;
    Role role = log->has_found && line->number == log->found ? ROLE_MATCH_NOW : ROLE_MATCH;
    const Pattern *pattern = log->search.code ? &log->search : log->filter.code ? &log->filter : NULL;
    for (int i = 0; pattern && i < MATCHES_MAX && at <= n && pattern_find(pattern, text, n, at, &begin, &end); i++) {
        int from = log_cells(text, begin), cells = log_cells(text + begin, end - begin);
        if (from < width)
            canvas_role(canvas, y, col + from, from + cells > width ? width - from : cells, role);
        at = end > begin ? end : end + 1;
    }
}

/* Time and level stand in columns of their own: Dask's prefix would say them again. */
static const char *log_text(const LogPage *log, const SpoolLine *line, int cols)
{
    return log->times && cols >= LEVEL_COLS ? line->message : line->text;
}

static int log_draw_line(LogPage *log, Canvas *canvas, Area area, int y, const SpoolLine *line)
{
    int col = log_prefix(log, canvas, y, line, area.cols), width = area.cols - col - 1, drawn = 0;
    const char *at = log_text(log, line, area.cols);
    size_t left = log->line.length - (size_t)(at - log->line.bytes);
    Role role = line->note ? ROLE_WARN : ROLE_TEXT;
    for (int skip = log->wrap ? 0 : log->left; skip > 0 && left; skip--) {
        uint32_t code;
        size_t n = text_next(at, left, &code);
        at += n;
        left -= n;
    }
    do {
        size_t n = log->wrap ? text_fit(at, width, NULL) : left;
        if (n == 0 && left)
            break;
        canvas_text_n(canvas, y + drawn, col, width, role, at, n);
        log_highlight(log, canvas, y + drawn, col, width, at, n, line);
        at += n;
        left -= n;
        drawn++;
    } while (left && y + drawn < area.row + area.rows);
    return drawn ? drawn : 1;
}

static void log_measure(LogPage *log)
{
    char name[64];
    size_t count = spool_components(log->stream->spool);
    int width = 0;
    for (size_t i = 0; i < count && i < 100; i++) {
        spool_component(log->stream->spool, (int)i, name);
        int cells = text_width(name);
        width = cells > width ? cells : width;
    }
    log->component_width = count > 1 || width ? (width > 20 ? 20 : width) : 0;
}

/* Following with wrapped lines: the top is as far up as its rows still end at the bottom. */
static void log_follow_top(LogPage *log, Area area)
{
    uint64_t first, end;
    SpoolLine line;
    int rows = 0, width = area.cols - 2 - (log->component_width ? log->component_width + 1 : 0) - (log->times ? 9 : 0) - 8;
    log_bounds(log, &first, &end);
    uint64_t top = end;
    while (top > first && rows < area.rows) {
        int need = 1;
        if (log->wrap && log_line_at(log, top - 1, &line))
            need = 1 + (width > 0 ? (text_width(log_text(log, &line, area.cols)) - 1) / width : 0);
        if (rows + need > area.rows && rows)
            break;
        rows += need < 1 ? 1 : need;
        top--;
    }
    log->top = top;
}

static void log_empty(LogPage *log, Canvas *canvas, Area area)
{
    char line[ERROR_LINE];
    Stream *stream = log->stream;
    if (!atomic_load(&stream->ended)) {
        canvas_text(canvas, area.row, 1, area.cols - 2, ROLE_DIM,
                    atomic_load(&stream->caught_up) ? "no line so far; new ones come up here" : "asking for the logs…");
        return;
    }
    pthread_mutex_lock(&stream->lock);
    Error error = stream->error;
    pthread_mutex_unlock(&stream->lock);
    canvas_text(canvas, area.row, 1, area.cols - 2, ROLE_WARN, error.code == ERROR_OK ? "there is no line" : error_line(&error, line, sizeof line));
}

static void log_draw(App *app, Page *page, Canvas *canvas, Area area)
{
    LogPage *log = page->own;
    uint64_t first, end;
    (void)app;
    log->height = area.rows;
    log_index_turn(log, clock_mono_us() + SLICE_US);
    log_measure(log);
    log_bounds(log, &first, &end);
    if (log->follow)
        log_follow_top(log, area);
    if (log->top < first)
        log->top = first;
    if (first == end) {
        log_empty(log, canvas, area);
        return;
    }
    int y = area.row;
    SpoolLine line;
    for (uint64_t i = log->top; i < end && y < area.row + area.rows; i++)
        if (log_line_at(log, i, &line))
            y += log_draw_line(log, canvas, area, y, &line);
}

static void log_title(App *app, Page *page, Pen *pen)
{
    LogPage *log = page->own;
    (void)app;
    pen_put(pen, ROLE_STRONG, "%s  ", page->record->is.name);
    size_t count = spool_components(log->stream->spool);
    if (log->component_name)
        pen_put(pen, ROLE_DIM, "log of %s", log->component_name);
    else
        pen_put(pen, ROLE_DIM, "logs of %zu component%s", count, count == 1 ? "" : "s");
    if (log->filter.text)
        pen_put(pen, ROLE_KEY, "  &%s", log->filter.text);
}

static void log_status(App *app, Page *page, Pen *pen)
{
    LogPage *log = page->own;
    uint64_t first, end, all_first, all_end;
    (void)app;
    log_bounds(log, &first, &end);
    spool_range(log->stream->spool, &all_first, &all_end);
    bool ended = atomic_load(&log->stream->ended);
    if (ended)
        pen_text(pen, ROLE_BADGE, " ended ");
    else if (log->follow)
        pen_text(pen, ROLE_FOLLOWING, " following ");
    else
        pen_text(pen, ROLE_BADGE, " stopped, f follows ");
    uint64_t last = log->top + (uint64_t)log->height < end ? log->top + (uint64_t)log->height : end;
    pen_put(pen, ROLE_DIM, "  lines %llu – %llu of %llu", (unsigned long long)(end ? log->top + 1 : 0), (unsigned long long)last,
            (unsigned long long)end);
    if (log->search.text)
        pen_put(pen, ROLE_DIM, " · /%s", log->search.text);
    if (all_first)
        pen_put(pen, ROLE_WARN, " · %llu older lines dropped", (unsigned long long)all_first);
    else
        pen_text(pen, ROLE_DIM, " · nothing dropped");
    if (ended) {
        char line[ERROR_LINE];
        pthread_mutex_lock(&log->stream->lock);
        Error error = log->stream->error;
        pthread_mutex_unlock(&log->stream->lock);
        if (error.code != ERROR_OK)
            pen_put(pen, ROLE_WARN, " · %s", error_line(&error, line, sizeof line));
    }
}

/* ------------------------------------------------------------------------------------------------------------ actions */

static void log_component(App *app, LogPage *log, const char *name)
{
    char have[64];
    int count = (int)spool_components(log->stream->spool), next = log->component + 1;
    for (int i = 0; name && i < count; i++) {
        spool_component(log->stream->spool, i, have);
        if (strcmp(have, name) == 0)
            next = i;
    }
    log->component = next < count ? next : -1;
    free(log->component_name);
    log->component_name = NULL;
    if (log->component >= 0) {
        spool_component(log->stream->spool, log->component, have);
        log->component_name = mem_text(have);
    }
    log_index_again(log);
    app_say(app, ROLE_DIM, "%s", log->component_name ? log->component_name : "all components");
}

static void log_since(App *app, Page *page, const char *text)
{
    LogPage *log = page->own;
    int64_t ms;
    if (!duration_parse(text, &ms)) {
        app_say(app, ROLE_WARN, "%s is no duration: 15m, 2h, 3d", text);
        return;
    }
    stream_leave(log->stream);
    log->stream = stream_start(app, page->record, NULL, clock_wall_ms() - ms);
    log->component = -1;
    log_index_again(log);
}

typedef struct LogSave {
    Task task;
    char *path;
    Stream *stream;
} LogSave;

static bool log_save_run(Task *task, Context *context, Error *error)
{
    LogSave *save = (LogSave *)task;
    uint64_t first, end;
    SpoolLine line;
    Buffer text, out;
    buffer_init(&text, TEXT_LINE_MAX * 4);
    buffer_init(&out, 256 << 20);
    spool_range(save->stream->spool, &first, &end);
    for (uint64_t i = first; i < end && context_check(context, "save", error); i++) {
        char component[64], when[TIME_TEXT];
        if (!spool_get(save->stream->spool, i, &line, &text))
            continue;
        spool_component(save->stream->spool, line.component, component);
        buffer_format(&out, "%s%s%s %s %s\n", component, *component ? " " : "", time_text(line.time_ms, true, when), line.level, line.text);
    }
    bool ok = file_replace(save->path, out.bytes, out.length, error);
    buffer_done(&text);
    buffer_done(&out);
    return ok;
}

static void log_save_done(Task *task)
{
    LogSave *save = (LogSave *)task;
    if (task->owner && task->ok)
        app_say(task->app, ROLE_GOOD, "saved to %s", save->path);
    else if (task->owner)
        app_error(task->app, &task->error);
    stream_drop(save->stream);
    free(save->path);
}

static void log_save(App *app, LogPage *log, const char *path)
{
    LogSave *task = task_new(app, sizeof *task, app, log_save_run, log_save_done);
    task->path = file_expand_home(path);
    task->stream = log->stream;
    atomic_fetch_add(&log->stream->holders, 1);
    task_start(&task->task, NULL, 60000);
}

static void log_matching(App *app, LogPage *log, const char *text)
{
    if (!*text)
        pattern_done(&log->filter);
    else if (!pattern_set(app, &log->filter, text))
        return;
    log_index_again(log);
}

static bool log_move(LogPage *log, Action action)
{
    uint64_t first, end;
    log_bounds(log, &first, &end);
    uint64_t by = 1, height = (uint64_t)(log->height > 1 ? log->height - 1 : 1), half = (height + 1) / 2;
    switch (action) {
    case ACTION_UP: break;
    case ACTION_DOWN: log_goto(log, log->top + 1); return true;
    case ACTION_TOP: log->follow = false; log_goto(log, first); return true;
    case ACTION_BOTTOM: log->follow = true; return true;
    case ACTION_PAGE_UP: by = height; break;
    case ACTION_HALF_UP: by = half; break;
    case ACTION_PAGE_DOWN: log_goto(log, log->top + height); return true;
    case ACTION_HALF_DOWN: log_goto(log, log->top + half); return true;
    case ACTION_LEFT: log->left = log->left > 16 ? log->left - 16 : 0; return true;
    case ACTION_RIGHT: log->left += 16; return true;
    default: return false;
    }
    if (log->top > first)
        log->follow = false;
    log->top = log->top > first + by ? log->top - by : first;
    return true;
}

static bool log_ask(App *app, LogPage *log, const KeyInfo *info, const char *label, const char *argument)
{
    (void)log;
    if (argument)
        return false;
    app_prompt(app, info, label, "", info->action == ACTION_SEARCH ? &app->history_searches : NULL);
    return true;
}

static bool log_act(App *app, Page *page, const KeyInfo *info, Key key, const char *argument)
{
    LogPage *log = page->own;
    (void)key;
    if (log_move(log, info->action))
        return true;
    switch (info->action) {
    case ACTION_FOLLOW: log->follow = !log->follow; return true;
    case ACTION_WRAP: log->wrap = !log->wrap; return true;
    case ACTION_TIMES: log->times = !log->times; return true;
    case ACTION_SEARCH:
        if (!log_ask(app, log, info, "/", argument) && *argument && pattern_set(app, &log->search, argument)) {
            log->has_found = false;
            log_search(app, log, log->follow ? -1 : 1); /* from the end the interesting way is back */
        }
        return true;
    case ACTION_SEARCH_NEXT: log_search(app, log, 1); return true;
    case ACTION_SEARCH_BACK: log_search(app, log, -1); return true;
    case ACTION_MATCHING:
        if (!log_ask(app, log, info, "&", argument))
            log_matching(app, log, argument);
        return true;
    case ACTION_COMPONENT: log_component(app, log, argument); return true;
    case ACTION_SINCE:
        if (!log_ask(app, log, info, "since: ", argument) && *argument)
            log_since(app, page, argument);
        return true;
    case ACTION_SAVE:
        if (!log_ask(app, log, info, "save to: ", argument) && *argument)
            log_save(app, log, argument);
        return true;
    case ACTION_BACK:
        if (!log->search.code)
            return false;
        if (key != KEY_ESCAPE)
            return false;
        pattern_done(&log->search);
        log->has_found = false;
        return true;
    default: return false;
    }
}

static void log_close(App *app, Page *page)
{
    LogPage *log = page->own;
    (void)app;
    stream_leave(log->stream);
    pattern_done(&log->search);
    pattern_done(&log->filter);
    buffer_done(&log->line);
    free(log->component_name);
    free(log->index);
    free(log);
}

static const PageType page_log = {
    .name = "logs", .where = IN_LOGS, .draw = log_draw, .act = log_act, .title = log_title, .status = log_status,
    .turn = log_turn, .close = log_close,
};

void log_open(App *app, const Record *record, const char *component)
{
    LogPage *log = mem_new(sizeof *log);
    buffer_init(&log->line, 2 << 20);
    log->component = -1;
    log->follow = log->times = true;
    log->stream = stream_start(app, record, component, TIME_UNKNOWN);
    app_push(app, &page_log, log, record);
}
