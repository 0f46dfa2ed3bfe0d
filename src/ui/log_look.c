/* The log view's thread: takes commands, looks after its sources, makes windows. */
#include "ui/log_look.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/statfs.h>
#include <unistd.h>

/* SLICE: how long a key may have to wait for a search; FRAME: between windows that nobody asked for; LINE_BYTES: read of a line that is
 * not wrapped, beside what is scrolled out of it. */
enum {
    SLICE_US = 2000, FRAME_MS = 50, QUIET_MS = 25, POLL_MS = 100, ROTATE_MS = 250, RENAMED_MS = 1000,
    LINE_BYTES = 64 << 10, GOTO_STEPS = 100000
};

void log_look_say(LogView *view, bool failed, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(view->said, sizeof view->said, format, args);
    va_end(args);
    view->failed = failed;
    view->event++;
}

/* --------------------------------------------------------------------------------------------------------------- sources */

/* inotify tells of changes that are made through this kernel: not of those that another host makes to a shared file. */
static bool look_is_local(int fd)
{
    static const unsigned long local[] = {0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1, 0xf2f52010, 0x858458f6};
    struct statfs fs;
    for (size_t i = 0; fstatfs(fd, &fs) == 0 && i < sizeof local / sizeof *local; i++)
        if ((unsigned long)fs.f_type == local[i])
            return true;
    return false;
}

static void look_watch(LogView *view, int track)
{
    LogSource *source = view->merge.tracks[track]->source;
    char path[64];
    view->watches[track] = -1;
    if (log_source_is_spool(source) || view->notify < 0 || !look_is_local(log_source_fd(source)))
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", log_source_fd(source));
    view->watches[track] = inotify_add_watch(view->notify, path, IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF);
}

static void look_add(LogView *view, LogSource *source)
{
    LogPlace before = view->top;
    LogItem top;
    bool any = !view->follow && !view->hold_top && view->merge.count > 0 && log_merge_next(&view->merge, &before, &top);
    if (!log_merge_add(&view->merge, source, view->since_ms))
        return;
    int track = (int)view->merge.count - 1;
    view->top.at[track] = any ? log_merge_seek_track(&view->merge, track, log_merge_key(&view->merge, top)) : 0;
    look_watch(view, track);
    view->changed = true;
    if (view->search.step) /* also through what is new */
        log_search_begin(view, view->search.step);
}

static void look_new_sources(LogView *view)
{
    for (;;) {
        pthread_mutex_lock(&view->lock);
        size_t have = view->merge.count;
        LogSource *source = have < view->source_count ? log_source_keep(view->sources[have]) : NULL;
        pthread_mutex_unlock(&view->lock);
        if (!source)
            return;
        look_add(view, source);
        log_source_drop(source);
    }
}

/* Its file was cut short or written anew: the lines that were known are gone, which is said. */
static void look_replaced(LogView *view, int track)
{
    uint64_t had = view->merge.tracks[track]->all.sum;
    log_merge_forget(&view->merge, track);
    view->top.at[track] = view->merge.tracks[track]->all.first;
    view->skip = 0;
    if (view->search.step)
        log_search_begin(view, view->search.step);
    view->has_found = false;
    pthread_mutex_lock(&view->lock);
    view->lost += had;
    pthread_mutex_unlock(&view->lock);
    log_look_say(view, true, "%s was cut short or written anew", log_source_path(view->merge.tracks[track]->source));
}

static void look_rotated(LogView *view, int track)
{
    LogSource *old = view->merge.tracks[track]->source;
    int fd = log_source_rotated(old);
    if (fd < 0)
        return;
    view->rotating[track] = false;
    LogSource *source = log_source_file(fd, log_source_path(old), log_source_component(old), NULL);
    close(fd);
    pthread_mutex_lock(&view->lock);
    if (source && view->source_count < LOG_TRACKS)
        view->sources[view->source_count++] = source;
    else
        log_source_drop(source);
    pthread_mutex_unlock(&view->lock);
}

static void look_notices(LogView *view)
{
    _Alignas(struct inotify_event) char bytes[4096];
    ssize_t n;
    while (view->notify >= 0 && (n = read(view->notify, bytes, sizeof bytes)) > 0)
        for (char *at = bytes; at < bytes + n;) {
            const struct inotify_event *event = (const void *)at;
            for (size_t i = 0; i < view->merge.count; i++)
                if (view->watches[i] == event->wd && (event->mask & (IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB)))
                    view->rotating[i] = true;
            at += sizeof *event + event->len;
        }
}

/* What became of the sources since the last time. */
static void look_at_sources(LogView *view)
{
    atomic_store(&view->stirred, false);
    look_notices(view);
    bool slow = clock_mono_ms() - view->renamed_ms >= RENAMED_MS; /* names are looked up less often than sizes */
    if (slow)
        view->renamed_ms = clock_mono_ms();
    for (int i = 0; i < (int)view->merge.count; i++) {
        LogTrack *track = view->merge.tracks[i];
        LogChange change = log_source_look(track->source);
        if (change == LOG_REPLACED)
            look_replaced(view, i);
        bool remote = slow && view->watches[i] < 0 && !log_source_is_spool(track->source);
        if (change == LOG_SAME && (view->rotating[i] || remote))
            look_rotated(view, i);
        view->changed |= change != LOG_SAME || log_source_end(track->source) != track->all.end;
    }
    look_new_sources(view);
}

/* How long it may sleep when nothing is to be done. */
static int look_patience(const LogView *view)
{
    int patience = -1;
    for (size_t i = 0; i < view->merge.count; i++) {
        bool spool = log_source_is_spool(view->merge.tracks[i]->source);
        int own = view->watches[i] < 0 && !spool ? POLL_MS : view->rotating[i] ? ROTATE_MS : -1;
        if (own >= 0 && (patience < 0 || own < patience))
            patience = own;
    }
    return patience;
}

/* ---------------------------------------------------------------------------------------------------------------- moving */

bool log_look_text(LogView *view, LogItem item, LogText *text)
{
    const LogTrack *track = view->merge.tracks[item.track];
    size_t most = view->shape.wrap ? 2 * (size_t)LOG_LINE_MAX : LINE_BYTES + 8 * (size_t)view->shape.left;
    return log_text_read(track->source, item.start, track->all.end, most, &view->line, &view->plain, text);
}

static LogColumns look_columns(LogView *view)
{
    int cells = 0;
    pthread_mutex_lock(&view->lock);
    for (size_t i = 0; view->name_count > 1 && view->narrow.component < 0 && i < view->name_count && i < 200; i++) {
        int width = text_width(view->names[i]);
        cells = width > cells ? width : cells;
    }
    pthread_mutex_unlock(&view->lock);
    return log_columns(&view->shape, cells);
}

static int look_need(LogView *view, LogItem item)
{
    LogText text;
    LogColumns columns = view->making->columns;
    if (!view->shape.wrap || !log_look_text(view, item, &text))
        return 1;
    return log_rows_need(&text, &view->shape, &columns);
}

/* So many rows up from a place; the rows of the line there that lie above go into skip. */
static void look_up(LogView *view, long rows)
{
    LogItem item;
    while (rows > 0) {
        if (view->skip > 0) {
            long by = view->skip < rows ? view->skip : rows;
            view->skip -= (int)by;
            rows -= by;
        } else if (log_merge_before(&view->merge, &view->top, &item)) {
            view->skip = look_need(view, item) - 1;
            rows--;
        } else {
            return;
        }
    }
}

static void look_down(LogView *view, long rows)
{
    LogItem item;
    while (rows > 0) {
        LogPlace behind = view->top;
        if (!log_merge_next(&view->merge, &behind, &item))
            return;
        long left = look_need(view, item) - view->skip;
        if (rows < left) {
            view->skip += (int)rows;
            return;
        }
        rows -= left;
        view->top = behind;
        view->skip = 0;
    }
}

static void look_to_end(LogView *view)
{
    log_merge_end(&view->merge, &view->top);
    view->skip = 0;
    look_up(view, view->shape.rows);
}

bool log_look_shows(const LogView *view, LogItem item)
{
    for (size_t i = 0; i < view->item_count; i++)
        if (view->items[i].track == item.track && view->items[i].start == item.start)
            return true;
    return false;
}

/* A match that is scrolled out to the side comes into view. */
static void look_aside(LogView *view, LogItem item)
{
    LogText text;
    size_t begin, end;
    int most = view->shape.left;
    view->shape.left = LOG_LINE_MAX / 8; /* the whole line is to be read */
    bool there = !view->shape.wrap && view->search.pattern && log_look_text(view, item, &text) &&
                 log_pattern_find(view->search.pattern, text.plain, text.length, 0, &begin, &end);
    view->shape.left = most;
    if (!there)
        return;
    size_t hidden = view->shape.times ? text.message : 0;
    int width = view->making->columns.text_cells, cells = 0;
    for (size_t at = hidden, n; at < begin && at < text.length; at += n) {
        uint32_t code;
        n = text_next(text.plain + at, text.length - at, &code);
        int own = text_code_width(code);
        cells += own < 0 ? 4 : own; /* a mark of the sanitiser's */
    }
    if (cells < view->shape.left || cells + (int)(end - begin) >= view->shape.left + width)
        view->shape.left = cells + (int)(end - begin) < width ? 0 : cells - width / 3;
}

void log_look_at(LogView *view, LogItem item)
{
    look_aside(view, item);
    if (log_look_shows(view, item))
        return;
    log_merge_place(&view->merge, item, &view->top);
    view->skip = 0;
    look_up(view, view->shape.rows / 3);
}

/* Of several sources: by halves over time, then line by line. */
static void look_goto_merged(LogView *view, uint64_t line)
{
    LogMerge *merge = &view->merge;
    LogItem first, last;
    LogPlace place;
    log_merge_end(merge, &view->top);
    place = view->top;
    if (!log_merge_before(merge, &place, &last))
        return;
    log_merge_begin(merge, &place);
    if (!log_merge_next(merge, &place, &first))
        return;
    int64_t low = log_merge_key(merge, first), high = log_merge_key(merge, last);
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        log_merge_seek(merge, middle, &place);
        if (log_merge_number(merge, &place) <= line)
            low = middle;
        else
            high = middle - 1;
    }
    log_merge_seek(merge, low, &view->top);
    uint64_t at = log_merge_number(merge, &view->top);
    for (int i = 0; i < GOTO_STEPS && at < line && log_merge_next(merge, &view->top, &last); i++)
        at++;
}

static void look_goto(LogView *view, uint64_t line)
{
    uint64_t start, dropped = 0;
    LogMerge *merge = &view->merge;
    view->follow = view->hold_top = false;
    view->skip = 0;
    if (!log_merge_complete(merge)) {
        log_look_say(view, true, "the lines are still being counted");
        return;
    }
    for (size_t i = 0; i < merge->count && !merge->is_narrow; i++)
        dropped += log_source_dropped(merge->tracks[i]->source);
    line = line > dropped + 1 ? line - dropped - 1 : 0; /* people count from 1, and with those that are gone */
    if (merge->count == 1 && log_lines_at(log_merge_lines(merge, 0), line, &start))
        view->top.at[0] = start;
    else if (merge->count > 1)
        look_goto_merged(view, line);
    else
        log_merge_end(merge, &view->top);
}

static void look_goto_part(LogView *view, int64_t percent)
{
    view->follow = view->hold_top = false;
    for (size_t i = 0; i < view->merge.count; i++) {
        const LogLines *all = &view->merge.tracks[i]->all;
        view->top.at[i] = all->first + (all->end - all->first) / 100 * (uint64_t)percent;
    }
    LogItem item;
    LogPlace place = view->top;
    if (log_merge_next(&view->merge, &place, &item)) /* one place in time for all */
        log_merge_place(&view->merge, item, &view->top);
    view->skip = 0;
}

/* -------------------------------------------------------------------------------------------------------------- commands */

static void look_narrow(LogView *view, LogCommand *command)
{
    LogPattern *old = view->narrow.patterns[0];
    LogItem top;
    LogPlace place = view->top;
    bool any = !view->follow && log_merge_next(&view->merge, &place, &top);
    view->narrow = (LogNarrow){.component = (int)command->number, .patterns = {command->pattern}};
    bool narrow = view->narrow.component >= 0 || command->pattern;
    log_merge_narrow(&view->merge, narrow ? &view->narrow : NULL);
    log_pattern_free(old);
    if (any)
        log_merge_place(&view->merge, top, &view->top);
    view->skip = 0;
    if (view->search.step)
        log_search_begin(view, view->search.step);
}

static void look_search(LogView *view, LogCommand *command)
{
    log_pattern_free(view->search.pattern);
    view->search.pattern = command->pattern;
    view->search.step = 0;
    view->has_found = false;
    if (command->pattern)
        log_search_begin(view, command->number ? (int)command->number : view->follow ? -1 : 1);
}

static void look_step(LogView *view, int64_t rows)
{
    view->hold_top = false;
    view->down = rows > 0;
    if (rows < 0) {
        view->follow = false;
        look_up(view, (long)-rows);
    } else if (!view->follow) {
        look_down(view, (long)rows);
    }
}

static void look_command(LogView *view, LogCommand *command)
{
    int page = view->shape.rows > 1 ? view->shape.rows - 1 : 1;
    view->down = false;
    switch (command->order) {
    case LOG_SHAPE:
        if (command->shape.wrap != view->shape.wrap || command->shape.cols != view->shape.cols)
            view->skip = 0;
        command->shape.left = view->shape.left;
        view->shape = command->shape;
        view->making->columns = look_columns(view);
        break;
    case LOG_MOVE: look_step(view, command->number); break;
    case LOG_PAGE: look_step(view, command->number / 2 * page + command->number % 2 * ((page + 1) / 2)); break;
    case LOG_SIDEWAYS: view->shape.left += view->shape.left + command->number < 0 ? -view->shape.left : (int)command->number; break;
    case LOG_TOP:
        view->follow = false;
        view->hold_top = true; /* also while the lines in front are still looked for */
        log_merge_begin(&view->merge, &view->top);
        view->skip = 0;
        break;
    case LOG_BOTTOM:
    case LOG_FOLLOW:
        view->follow = command->order == LOG_BOTTOM || !view->follow;
        view->hold_top = false;
        if (view->follow)
            look_to_end(view);
        break;
    case LOG_GOTO: look_goto(view, (uint64_t)command->number); break;
    case LOG_GOTO_TIME:
        view->follow = view->hold_top = false;
        log_merge_seek(&view->merge, command->number, &view->top);
        view->skip = 0;
        break;
    case LOG_GOTO_PART: look_goto_part(view, command->number); break;
    case LOG_NARROW: look_narrow(view, command); break;
    case LOG_SEARCH: look_search(view, command); break;
    case LOG_SEARCH_ON:
        if (command->number)
            log_search_begin(view, (int)command->number);
        else
            view->search.step = 0;
        break;
    }
    if (command->order != LOG_NARROW && command->order != LOG_SEARCH)
        log_pattern_free(command->pattern);
}

static bool look_commands(LogView *view)
{
    LogCommand queue[LOG_QUEUE];
    pthread_mutex_lock(&view->lock);
    int count = view->queued;
    memcpy(queue, view->queue, (size_t)count * sizeof *queue);
    view->queued = 0;
    uint64_t sent = view->sent;
    pthread_mutex_unlock(&view->lock);
    for (int i = 0; i < count; i++)
        look_command(view, &queue[i]);
    view->done = sent;
    return count > 0;
}

/* --------------------------------------------------------------------------------------------------------------- windows */

static void look_fill_rows(LogView *view)
{
    LogWindow *window = view->making;
    LogItem item;
    LogText text;
    int skip = view->skip;
    LogPattern *shown = view->search.pattern ? view->search.pattern : view->narrow.patterns[0];
    log_rows_clear(&window->rows);
    view->bottom = view->top;
    view->item_count = 0;
    while (window->rows.count < (size_t)view->shape.rows && log_merge_next(&view->merge, &view->bottom, &item)) {
        bool found = view->has_found && item.track == view->found.track && item.start == view->found.start;
        if (log_look_text(view, item, &text))
            log_rows_add(&window->rows, &text, item, &view->shape, &window->columns, skip, view->shape.rows - (int)window->rows.count,
                         shown, found);
        skip = 0;
        view->items = mem_grow(view->items, view->item_count, &view->item_capacity, sizeof *view->items);
        view->items[view->item_count++] = item;
    }
}

/* Nothing is left below: the screen is full all the same, and going down has come to where new lines are followed. */
static void look_fill(LogView *view)
{
    LogPlace behind;
    LogItem item;
    view->making->columns = look_columns(view);
    if (view->hold_top) {
        log_merge_begin(&view->merge, &view->top);
        view->skip = 0;
    } else if (view->follow) {
        look_to_end(view);
    }
    look_fill_rows(view);
    behind = view->bottom;
    bool full = view->making->rows.count >= (size_t)view->shape.rows;
    if (!view->follow && !view->hold_top && (!full || (view->down && !log_merge_next(&view->merge, &behind, &item)))) {
        look_to_end(view);
        look_fill_rows(view);
        view->follow = view->down;
    }
}

static void look_numbers(LogView *view)
{
    LogWindow *window = view->making;
    uint64_t counted, bytes;
    window->dropped = 0;
    for (size_t i = 0; i < view->merge.count; i++)
        window->dropped += log_source_dropped(view->merge.tracks[i]->source);
    uint64_t before = view->merge.is_narrow ? 0 : window->dropped;
    window->numbered = log_merge_complete(&view->merge);
    window->narrow = view->merge.is_narrow;
    window->top = before + log_merge_number(&view->merge, &view->top);
    window->bottom = before + log_merge_number(&view->merge, &view->bottom);
    window->count = before + log_merge_count(&view->merge);
    window->behind = log_merge_behind(&view->merge);
    window->searching = view->search.step != 0;
    log_merge_sizes(&view->merge, &counted, &bytes);
    window->percent = bytes ? (int)(counted * 100 / bytes) : 100;
    window->searched = window->searching ? log_search_percent(view) : 100;
    window->given_up = 0;
    if (view->search.pattern)
        window->given_up += log_pattern_given_up(view->search.pattern);
    if (view->narrow.patterns[0])
        window->given_up += log_pattern_given_up(view->narrow.patterns[0]);
    window->day_ms = TIME_UNKNOWN;
    for (size_t i = 0; i < window->rows.count && window->day_ms == TIME_UNKNOWN; i++)
        window->day_ms = window->rows.rows[i].time_ms;
}

static void look_publish(LogView *view)
{
    LogWindow *window = view->making;
    window->answered = view->done;
    window->follow = view->follow;
    window->left = view->shape.left;
    window->event = view->event;
    window->failed = view->failed;
    memcpy(window->said, view->said, sizeof window->said);
    pthread_mutex_lock(&view->lock);
    window->lost = view->lost;
    window->lost_more = view->lost_more;
    LogWindow *next = view->ready;
    view->ready = window;
    if (!next) {
        next = view->spare;
        view->spare = NULL;
    }
    pthread_cond_broadcast(&view->answered);
    pthread_mutex_unlock(&view->lock);
    if (!next) {
        next = mem_new(sizeof *next);
        log_rows_init(&next->rows);
    }
    next->columns = window->columns;
    view->making = next;
    if (view->ui)
        wake_up(view->ui);
}

/* --------------------------------------------------------------------------------------------------------------- thread */

static void look_sleep(LogView *view, int64_t ms)
{
    struct pollfd fds[2] = {{.fd = view->wake.read_fd, .events = POLLIN}, {.fd = view->notify, .events = POLLIN}};
    atomic_store(&view->idle, ms < 0 || ms >= POLL_MS);
    if (poll(fds, view->notify >= 0 ? 2 : 1, ms > 3600000 ? 3600000 : (int)ms) < 0 && errno != EINTR)
        usleep(10000);
    atomic_store(&view->idle, false);
    if (fds[0].revents)
        wake_drain(&view->wake);
    view->changed |= fds[1].revents != 0; /* looked after when a window is due */
}

/* When new lines come all the time, a window is due every now and then; until then it sleeps, whatever else happens. */
/* Only keys may come before that. */
static void look_pause(LogView *view, int64_t ms)
{
    struct pollfd fd = {.fd = view->wake.read_fd, .events = POLLIN};
    if (ms > 0 && poll(&fd, 1, (int)ms) > 0)
        wake_drain(&view->wake);
}

static void look_rest(LogView *view)
{
    if (!view->changed || view->shape.rows == 0)
        look_sleep(view, look_patience(view));
    else
        look_pause(view, view->filled_ms + FRAME_MS - clock_mono_ms());
}

void *log_look_main(void *user)
{
    LogView *view = user;
    const Wake *ui = view->ui;
    atomic_int *alive = view->alive;
    while (!atomic_load(&view->closing)) {
        bool keyed = look_commands(view), urgent = atomic_exchange(&view->urgent, false);
        bool timely = keyed || urgent || clock_mono_ms() - view->filled_ms >= FRAME_MS;
        if (timely)
            look_at_sources(view);
        int64_t until = clock_mono_us() + (keyed || urgent ? 0 : SLICE_US);
        bool searched = view->search.step != 0, more = log_search_turn(view, until);
        bool counting = log_merge_turn(&view->merge, until);
        view->changed |= searched || view->merge.counted || atomic_load(&view->stirred);
        if ((keyed || urgent || (searched && !more) || (view->changed && timely)) && view->shape.rows > 0) {
            view->changed = false;
            look_fill(view);
            look_numbers(view);
            look_publish(view);
            view->filled_ms = clock_mono_ms();
            if (keyed || urgent)
                view->asked_ms = view->filled_ms;
        }
        if (!more && !counting)
            look_rest(view);
        else if (!more && !view->merge.is_narrow) /* line numbers can wait until the picture is out */
            look_pause(view, view->asked_ms + QUIET_MS - clock_mono_ms());
    }
    log_view_drop(view);
    if (ui)
        wake_up(ui);
    if (alive) /* the last touch: who waits for it may go */
        atomic_fetch_sub(alive, 1);
    return NULL;
}
