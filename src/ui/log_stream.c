#include "ui/log_stream.h"

#include "base/mem.h"
#include "core/thread.h"

#include <stdlib.h>

enum { HELD_BYTES = 64 << 20, TAIL_LINES = 10000, RECONSTRUCT_MS = 30000 };

/* What the page and the thread share. The last one of both frees it. */
struct LogStream {
    atomic_int holders;
    App *app; /* for the engine, and its count of streams */
    Cancel cancel;
    Record *record;
    LogRequest request;
    LogView *view;
    Logs *logs;      /* the thread's */
    atomic_bool ended, caught_up;
    pthread_mutex_t lock;
    Error error;     /* under lock; valid when ended */
};

static void stream_drop(LogStream *stream)
{
    if (atomic_fetch_sub(&stream->holders, 1) != 1)
        return;
    record_drop(stream->record);
    list_done(&stream->request.components);
    cancel_done(&stream->cancel);
    pthread_mutex_destroy(&stream->lock);
    free(stream);
}

static void stream_emit(void *user, const LogLine *line)
{
    log_view_line(((LogStream *)user)->view, line);
}

static void stream_line(void *user, const char *component, int64_t time_ms, const char *level, const char *text, size_t n)
{
    const LogSink *inner = logs_sink(((LogStream *)user)->logs);
    inner->line(inner->user, component, time_ms, level, text, n);
}

static void stream_caught_up(void *user)
{
    LogStream *stream = user;
    const LogSink *inner = logs_sink(stream->logs);
    inner->caught_up(inner->user);
    if (!atomic_exchange(&stream->caught_up, true)) /* later, only lines are a reason to draw */
        log_view_hurry(stream->view);
}

static void stream_dropped(void *user, const char *component, int64_t lines)
{
    LogStream *stream = user;
    const LogSink *inner = logs_sink(stream->logs);
    inner->dropped(inner->user, component, lines);
    log_view_lost(stream->view, lines);
}

static void stream_note(void *user, const char *component, const char *text)
{
    const LogSink *inner = logs_sink(((LogStream *)user)->logs);
    inner->note(inner->user, component, text);
}

static bool stream_file(void *user, const char *component, const char *path, int fd)
{
    return log_view_file(((LogStream *)user)->view, component, path, fd);
}

static bool stream_read(LogStream *stream, Error *error)
{
    Context context = context_new(&stream->cancel, -1), within = context_within(&context, RECONSTRUCT_MS);
    Handle *handle = NULL;
    if (!engine_reconstruct(stream->app->engine, &within, stream->record, &handle, error))
        return false;
    bool ok;
    if (handle->type->logs) {
        LogSink sink = {stream_line, stream_caught_up, stream_dropped, stream_note, stream_file, stream};
        stream->logs = logs_new(HELD_BYTES, stream_emit, stream);
        logs_only_raw(stream->logs);
        ok = handle->type->logs(handle, &context, &stream->request, &sink, error);
        logs_flush(stream->logs);
        logs_free(stream->logs);
    } else {
        ok = error_set(error, ERROR_UNSUPPORTED, stream->record->is.name, NULL, "this kind of cluster gives no logs");
    }
    handle_close(handle);
    return ok;
}

static void *stream_main(void *user)
{
    LogStream *stream = user;
    App *app = stream->app;
    LogView *view = stream->view;
    Error error = {0};
    stream_read(stream, &error);
    pthread_mutex_lock(&stream->lock);
    stream->error = error;
    pthread_mutex_unlock(&stream->lock);
    atomic_store(&stream->ended, true);
    log_view_hurry(view);
    log_view_drop(view);
    stream_drop(stream);
    wake_up(&app->wake);
    atomic_fetch_sub(&app->streams, 1); /* the last touch: the app waits for it */
    return NULL;
}

LogStream *log_stream_start(App *app, const Record *record, const char *component, int64_t since_ms, Error *error)
{
    LogStream *stream = mem_new(sizeof *stream);
    pthread_t thread;
    stream->view = log_view_new(&app->wake, &app->streams, since_ms, error);
    if (!stream->view) {
        free(stream);
        return NULL;
    }
    atomic_init(&stream->holders, 2);
    stream->app = app;
    stream->record = record_keep(record);
    cancel_init(&stream->cancel);
    pthread_mutex_init(&stream->lock, NULL);
    stream->request = (LogRequest){.tail = since_ms == TIME_UNKNOWN ? TAIL_LINES : -1, .since_ms = since_ms, .follow = true};
    if (component)
        list_add(&stream->request.components, component);
    atomic_fetch_add(&app->streams, 1);
    log_view_keep(stream->view);
    if (thread_start(&thread, stream_main, stream)) {
        pthread_detach(thread);
        return stream;
    }
    error_set(&stream->error, ERROR_INTERNAL, NULL, NULL, "no thread could be started");
    atomic_store(&stream->ended, true);
    atomic_fetch_sub(&app->streams, 1);
    log_view_drop(stream->view);
    stream_drop(stream);
    return stream;
}

void log_stream_leave(LogStream *stream)
{
    if (!stream)
        return;
    cancel_ask(&stream->cancel);
    log_view_close(stream->view);
    stream_drop(stream);
}

LogView *log_stream_view(LogStream *stream)
{
    return stream->view;
}

bool log_stream_caught_up(const LogStream *stream)
{
    return atomic_load(&stream->caught_up);
}

bool log_stream_ended(LogStream *stream, Error *error)
{
    if (!atomic_load(&stream->ended))
        return false;
    pthread_mutex_lock(&stream->lock);
    *error = stream->error;
    pthread_mutex_unlock(&stream->lock);
    return true;
}
