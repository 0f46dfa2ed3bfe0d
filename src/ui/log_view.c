/* The log view's outside: what the page and the log's source call. */
#include "ui/log_look.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/thread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { SPOOL_BYTES = 256 << 20, COMPONENTS_MAX = 100000 };

static LogWindow *window_new(void)
{
    LogWindow *window = mem_new(sizeof *window);
    log_rows_init(&window->rows);
    return window;
}

static void window_free(LogWindow *window)
{
    if (window)
        log_rows_done(&window->rows);
    free(window);
}

LogView *log_view_new(const Wake *ui, atomic_int *alive, int64_t since_ms, Error *error)
{
    LogView *view = mem_new(sizeof *view);
    pthread_t thread;
    if (!wake_init(&view->wake)) {
        free(view);
        error_set(error, ERROR_INTERNAL, "log", NULL, "no descriptors left");
        return NULL;
    }
    atomic_init(&view->holders, 2);
    view->ui = ui;
    view->alive = alive;
    view->since_ms = since_ms;
    pthread_mutex_init(&view->lock, NULL);
    thread_condition_init(&view->answered);
    log_merge_init(&view->merge);
    view->narrow.component = -1;
    view->follow = true;
    view->making = window_new();
    view->spare = window_new();
    view->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    buffer_init(&view->line, BUFFER_ANY);
    buffer_init(&view->plain, BUFFER_ANY);
    if (alive)
        atomic_fetch_add(alive, 1);
    if (thread_start(&thread, log_look_main, view)) {
        pthread_detach(thread);
        return view;
    }
    if (alive)
        atomic_fetch_sub(alive, 1);
    atomic_store(&view->holders, 1);
    log_view_drop(view);
    error_set(error, ERROR_INTERNAL, "log", NULL, "no thread could be started");
    return NULL;
}

LogView *log_view_keep(LogView *view)
{
    atomic_fetch_add(&view->holders, 1);
    return view;
}

void log_view_drop(LogView *view)
{
    if (!view || atomic_fetch_sub(&view->holders, 1) != 1)
        return;
    log_merge_done(&view->merge);
    log_search_done(view);
    log_pattern_free(view->narrow.patterns[0]);
    for (int i = 0; i < view->queued; i++)
        log_pattern_free(view->queue[i].pattern);
    for (size_t i = 0; i < view->source_count; i++)
        log_source_drop(view->sources[i]);
    for (size_t i = 0; i < view->name_count; i++)
        free(view->names[i]);
    free(view->names);
    free(view->items);
    window_free(view->making);
    window_free(view->spare);
    window_free(view->ready);
    window_free(view->shown);
    buffer_done(&view->line);
    buffer_done(&view->plain);
    if (view->notify >= 0)
        close(view->notify);
    wake_done(&view->wake);
    pthread_cond_destroy(&view->answered);
    pthread_mutex_destroy(&view->lock);
    free(view);
}

void log_view_close(LogView *view)
{
    atomic_store(&view->closing, true);
    wake_up(&view->wake);
    log_view_drop(view);
}

/* -------------------------------------------------------------------------------------------------------- what comes in */

static void view_stir(LogView *view)
{
    if (!atomic_exchange(&view->stirred, true))
        wake_up(&view->wake);
}

void log_view_hurry(LogView *view)
{
    if (!atomic_exchange(&view->urgent, true))
        wake_up(&view->wake);
}

/* Under lock. */
static int view_component(LogView *view, const char *name)
{
    int *recall = &view->recall[(uintptr_t)name / sizeof(void *) % LOG_RECALL];
    if ((size_t)*recall < view->name_count && strcmp(view->names[*recall], name) == 0)
        return *recall;
    for (size_t i = 0; i < view->name_count; i++)
        if (strcmp(view->names[i], name) == 0)
            return *recall = (int)i;
    if (view->name_count == COMPONENTS_MAX)
        return COMPONENTS_MAX - 1;
    view->names = mem_grow(view->names, view->name_count, &view->name_capacity, sizeof *view->names);
    view->names[view->name_count] = mem_text(name);
    return *recall = (int)view->name_count++;
}

static bool view_source(LogView *view, LogSource *source)
{
    if (!source || view->source_count == LOG_TRACKS) {
        log_source_drop(source);
        return false;
    }
    view->sources[view->source_count++] = source;
    return true;
}

void log_view_line(LogView *view, const LogLine *line)
{
    pthread_mutex_lock(&view->lock);
    if (!view->spool) {
        LogSource *spool = log_source_spool(SPOOL_BYTES, NULL);
        view->spool = view_source(view, spool) ? spool : NULL;
    }
    LogSource *spool = view->spool;
    if (!spool)
        view->lost++;
    int component = view_component(view, line->component ? line->component : "");
    pthread_mutex_unlock(&view->lock);
    if (spool)
        log_source_add(spool, component, line);
    view_stir(view);
}

bool log_view_file(LogView *view, const char *component, const char *path, int fd)
{
    char *name = text_clean_new(component, strlen(component), TEXT_NAME_MAX);
    pthread_mutex_lock(&view->lock);
    bool room = view->source_count + 1 < LOG_TRACKS; /* one stays for the spool */
    bool taken = room && view_source(view, log_source_file(fd, path, view_component(view, name), NULL));
    pthread_mutex_unlock(&view->lock);
    free(name);
    log_view_hurry(view);
    return taken;
}

void log_view_lost(LogView *view, int64_t lines)
{
    pthread_mutex_lock(&view->lock);
    if (lines < 0)
        view->lost_more = true;
    else
        view->lost += (uint64_t)lines;
    pthread_mutex_unlock(&view->lock);
    view_stir(view);
}

/* ------------------------------------------------------------------------------------------------------------- commands */

static void view_send(LogView *view, LogCommand command)
{
    pthread_mutex_lock(&view->lock);
    LogCommand *last = view->queued ? &view->queue[view->queued - 1] : NULL;
    bool sums = command.order == LOG_MOVE || command.order == LOG_PAGE || command.order == LOG_SIDEWAYS;
    if (last && last->order == command.order && sums) {
        last->number += command.number;
    } else if (view->queued == LOG_QUEUE) { /* its thread hangs in a read: what was asked for last is what is wanted */
        log_pattern_free(last->pattern);
        *last = command;
    } else {
        view->queue[view->queued++] = command;
    }
    view->sent++;
    pthread_mutex_unlock(&view->lock);
    wake_up(&view->wake);
}

void log_view_shape(LogView *view, const LogShape *shape)
{
    view_send(view, (LogCommand){.order = LOG_SHAPE, .shape = *shape});
}

void log_view_move(LogView *view, long rows)
{
    view_send(view, (LogCommand){.order = LOG_MOVE, .number = rows});
}

void log_view_turn_page(LogView *view, long halves)
{
    view_send(view, (LogCommand){.order = LOG_PAGE, .number = halves});
}

void log_view_sideways(LogView *view, long cells)
{
    view_send(view, (LogCommand){.order = LOG_SIDEWAYS, .number = cells});
}

void log_view_top(LogView *view)
{
    view_send(view, (LogCommand){.order = LOG_TOP});
}

void log_view_bottom(LogView *view)
{
    view_send(view, (LogCommand){.order = LOG_BOTTOM});
}

void log_view_follow(LogView *view)
{
    view_send(view, (LogCommand){.order = LOG_FOLLOW});
}

void log_view_goto(LogView *view, uint64_t line)
{
    view_send(view, (LogCommand){.order = LOG_GOTO, .number = line > INT64_MAX ? INT64_MAX : (int64_t)line});
}

void log_view_goto_time(LogView *view, int64_t time_ms)
{
    view_send(view, (LogCommand){.order = LOG_GOTO_TIME, .number = time_ms});
}

void log_view_goto_part(LogView *view, int percent)
{
    view_send(view, (LogCommand){.order = LOG_GOTO_PART, .number = percent});
}

void log_view_narrow(LogView *view, int component, LogPattern *pattern)
{
    view_send(view, (LogCommand){.order = LOG_NARROW, .number = component, .pattern = pattern});
}

void log_view_search(LogView *view, LogPattern *pattern, int step)
{
    view_send(view, (LogCommand){.order = LOG_SEARCH, .number = step, .pattern = pattern});
}

void log_view_search_on(LogView *view, int step)
{
    view_send(view, (LogCommand){.order = LOG_SEARCH_ON, .number = step});
}

/* -------------------------------------------------------------------------------------------------------- what comes out */

const LogWindow *log_view_window(LogView *view, int wait_ms)
{
    struct timespec until = thread_deadline(wait_ms);
    pthread_mutex_lock(&view->lock);
    uint64_t have = view->ready ? view->ready->answered : view->shown ? view->shown->answered : 0;
    while (wait_ms > 0 && have < view->sent && !atomic_load(&view->closing)) {
        if (pthread_cond_timedwait(&view->answered, &view->lock, &until) != 0)
            break;
        have = view->ready ? view->ready->answered : have;
    }
    if (view->ready) {
        if (view->shown && !view->spare) {
            view->spare = view->shown;
            view->shown = NULL;
        }
        window_free(view->shown);
        view->shown = view->ready;
        view->ready = NULL;
    }
    pthread_mutex_unlock(&view->lock);
    return view->shown;
}

bool log_view_is_late(LogView *view)
{
    pthread_mutex_lock(&view->lock);
    const LogWindow *newest = view->ready ? view->ready : view->shown;
    bool late = !newest || newest->answered < view->sent;
    pthread_mutex_unlock(&view->lock);
    return late;
}

bool log_view_fresh(LogView *view)
{
    pthread_mutex_lock(&view->lock);
    bool fresh = view->ready != NULL;
    pthread_mutex_unlock(&view->lock);
    return fresh;
}

size_t log_view_components(LogView *view)
{
    pthread_mutex_lock(&view->lock);
    size_t count = view->name_count;
    pthread_mutex_unlock(&view->lock);
    return count;
}

const char *log_view_component(LogView *view, int component, char out[LOG_NAME])
{
    pthread_mutex_lock(&view->lock);
    bool known = component >= 0 && (size_t)component < view->name_count;
    snprintf(out, LOG_NAME, "%s", known ? view->names[component] : "");
    pthread_mutex_unlock(&view->lock);
    return out;
}

LogSource **log_view_sources(LogView *view, size_t *count)
{
    pthread_mutex_lock(&view->lock);
    LogSource **list = mem_new((view->source_count + 1) * sizeof *list);
    for (*count = 0; *count < view->source_count; ++*count)
        list[*count] = log_source_keep(view->sources[*count]);
    pthread_mutex_unlock(&view->lock);
    return list;
}

int64_t log_view_since(const LogView *view)
{
    return view->since_ms;
}

bool log_view_idle(LogView *view)
{
    pthread_mutex_lock(&view->lock);
    bool idle = atomic_load(&view->idle) && !atomic_load(&view->stirred) && !atomic_load(&view->urgent) && view->queued == 0;
    pthread_mutex_unlock(&view->lock);
    return idle;
}
