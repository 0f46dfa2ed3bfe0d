#include "backends/common/tail.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RING_LINES = 10000, ROUND_LINES = 2000, ROUND_MS = 500, LIST_EVERY = 4, CALL_MS = 5000, READ_BYTES = 64 << 10 };

/* ------------------------------------------------------------------------------------------------- through Dask's rings */

typedef struct Component {
    char *name, *address;
    char *worker;    /* the address of whose log it is, where it is asked of the scheduler; NULL */
    Dask *dask;      /* NULL: not connected */
    double last;     /* stamp of its newest line, seconds of its clock */
    bool is_nanny, is_gone, noted, started;
} Component;

typedef struct Tail {
    const Access *access;
    const Context *context;
    const LogRequest *request;
    const LogSink *sink;
    bool (*covered)(void *user, const char *address); /* NULL: nobody is */
    void *user;
    bool any_covered;
    Io *io;
    Component *list;  /* the first is the scheduler where it is wanted */
    size_t count, capacity;
    DaskVersion version;
} Tail;

bool tail_wants(const LogRequest *request, const char *kind, const char *name)
{
    return request->components.count == 0 || list_has(&request->components, name) || list_has(&request->components, kind);
}

static void note(Tail *tail, Component *component, const char *text)
{
    if (!component->noted && tail->sink->note)
        tail->sink->note(tail->sink->user, component->name, text);
    component->noted = true;
}

static void add(Tail *tail, const char *kind, const char *name, const char *address, const char *worker)
{
    char *shown = strcmp(kind, "nanny") == 0 ? mem_format("%s nanny", name) : mem_text(name);
    bool known = !tail_wants(tail->request, kind, shown);
    for (size_t i = 0; i < tail->count && !known; i++)
        known = strcmp(tail->list[i].address, address) == 0;
    if (!known && tail->covered && tail->covered(tail->user, address))
        known = tail->any_covered = true;
    if (known) {
        free(shown);
        return;
    }
    tail->list = mem_grow(tail->list, tail->count, &tail->capacity, sizeof *tail->list);
    tail->list[tail->count++] = (Component){.name = shown, .address = mem_text(address), .is_nanny = strcmp(kind, "nanny") == 0,
                                             .worker = tail->access->workers_through_scheduler ? mem_text(worker) : NULL};
}

/* Workers as the scheduler names them now; those that are known keep their place. */
static bool list_workers(Tail *tail, Dask *scheduler, Error *error)
{
    DaskIdentity identity;
    Context part = context_within(tail->context, CALL_MS);
    if (!dask_identity(scheduler, &part, true, &identity, error))
        return false;
    for (size_t i = 0; i < identity.count; i++) {
        const DaskWorker *worker = &identity.list[i];
        if (worker->address)
            add(tail, "worker", worker->name ? worker->name : worker->address, worker->address, worker->address);
        if (worker->nanny)
            add(tail, "nanny", worker->name ? worker->name : worker->nanny, worker->nanny, worker->address);
    }
    dask_identity_done(&identity);
    return true;
}

static bool connect_to(Tail *tail, Component *component)
{
    DaskAddress address;
    Error error;
    if (!dask_address_parse(component->address, &address) || address.websocket || address.inproc) {
        note(tail, component, "its log cannot be read: no way to its address");
        component->is_gone = true;
        return false;
    }
    StreamTarget target = {.host = address.host, .port = address.port, .tls = address.tls ? tail->access->tls : NULL,
                           .way = tail->access->way, .connect_ms = CALL_MS};
    Context part = context_within(tail->context, CALL_MS);
    component->dask = dask_open(tail->io, &part, &target, tail->access->where, &error);
    if (!component->dask) {
        if (error.code != ERROR_CANCELLED)
            note(tail, component, error.what);
        component->is_gone = error.code != ERROR_TIMEOUT || component->started;
        return false;
    }
    dask_assume(component->dask, tail->version);
    return true;
}

static void give(Tail *tail, const Component *component, const DaskLogLine *lines, size_t count)
{
    const LogRequest *request = tail->request;
    for (size_t i = 0; i < count; i++) {
        const DaskLogLine *line = &lines[i];
        bool old = request->since_ms != TIME_UNKNOWN && line->time_ms != TIME_UNKNOWN && line->time_ms < request->since_ms;
        if (line->text && !old)
            tail->sink->line(tail->sink->user, component->name, line->time_ms, line->level, line->text, strlen(line->text));
    }
}

/* A worker that cannot be reached is asked through its scheduler. */
static bool ask(Component *component, Dask *dask, const Context *context, int64_t most, double since, DaskLogLine **lines, size_t *count, Error *error)
{
    return component->worker ? dask_worker_logs(dask, context, component->worker, component->is_nanny, most, since, lines, count, &component->last, error)
                             : dask_logs(dask, context, most, since, lines, count, &component->last, error);
}

/* What is new of one component. */
static void read_component(Tail *tail, Component *component, Dask *dask)
{
    DaskLogLine *lines;
    size_t count;
    Error error;
    int64_t most = component->started ? ROUND_LINES : tail->request->tail >= 0 && tail->request->tail < RING_LINES ? tail->request->tail : RING_LINES;
    double since = component->started ? component->last : 0;
    Context part = context_within(tail->context, CALL_MS);
    if (most == 0) { /* n = 0 means the whole ring: ask for one, to know where it stands */
        most = 1;
    }
    bool right = ask(component, dask, &part, most, since, &lines, &count, &error);
    if (right && component->started && count == ROUND_LINES) { /* there may be more between: all that the ring has */
        dask_log_lines_free(lines, count);
        right = ask(component, dask, &part, RING_LINES, since, &lines, &count, &error);
    }
    if (!right) {
        if (error.code == ERROR_TIMEOUT)
            note(tail, component, "it does not answer");
        if (component->dask) {
            dask_close(component->dask);
            component->dask = NULL;
        }
        component->is_gone = error.code == ERROR_UNREACHABLE && !component->worker;
        return;
    }
    component->noted = false;
    if (component->started || tail->request->tail != 0)
        give(tail, component, lines, count);
    if (component->started && count == RING_LINES && tail->sink->dropped)
        tail->sink->dropped(tail->sink->user, component->name, -1); /* it has turned over; nobody counts how often */
    component->started = true;
    dask_log_lines_free(lines, count);
}

static void read_round(Tail *tail, Dask *scheduler)
{
    for (size_t i = 0; i < tail->count && context_check(tail->context, NULL, NULL); i++) {
        Component *component = &tail->list[i];
        bool is_scheduler = strcmp(component->address, tail->access->address) == 0;
        if (component->is_gone || (!is_scheduler && !component->worker && !component->dask && !connect_to(tail, component)))
            continue;
        read_component(tail, component, is_scheduler || component->worker ? scheduler : component->dask);
    }
    if (tail->sink->caught_up)
        tail->sink->caught_up(tail->sink->user);
}

/* The cluster has ended when its scheduler has: refused, or closed and not there again. */
static bool is_over(const Tail *tail, Dask *scheduler, Error *error)
{
    DaskIdentity identity;
    Context part = context_within(tail->context, CALL_MS);
    if (dask_identity(scheduler, &part, false, &identity, error)) {
        dask_identity_done(&identity);
        return false;
    }
    return true;
}

static bool follow(Tail *tail, Dask *scheduler, Error *error)
{
    for (int round = 1; tail->request->follow; round++) {
        Error why = {0};
        bool idle = tail->count == 0; /* all are covered: it only waits for new workers and for the end */
        if (!io_sleep(tail->io, tail->context, idle ? LIST_EVERY * ROUND_MS : ROUND_MS, error))
            return false;
        if (idle || round % LIST_EVERY == 0 ? !list_workers(tail, scheduler, &why) : is_over(tail, scheduler, &why)) {
            if (context_check(tail->context, NULL, error) && why.code == ERROR_UNREACHABLE)
                return true;
            if (error)
                *error = why;
            return false;
        }
        read_round(tail, scheduler);
    }
    return true;
}

bool tail_run(const Access *access, const Context *context, const LogRequest *request, const LogSink *sink, Error *error)
{
    return tail_run_others(access, context, request, sink, NULL, NULL, error);
}

bool tail_run_others(const Access *access, const Context *context, const LogRequest *request, const LogSink *sink,
                     bool (*covered)(void *user, const char *address), void *user, Error *error)
{
    Tail tail = {.access = access, .context = context, .request = request, .sink = sink, .covered = covered, .user = user};
    DaskVersions versions;
    Dask *scheduler = access_open(access, context, &tail.io, error);
    if (!scheduler)
        return false;
    bool right = dask_versions(scheduler, context, &versions, error);
    if (right) {
        tail.version = versions.version;
        dask_versions_done(&versions);
        add(&tail, "scheduler", "scheduler", access->address, NULL);
        right = list_workers(&tail, scheduler, error);
    }
    if (right && tail.count == 0 && !tail.any_covered)
        right = error_set(error, ERROR_NOT_FOUND, access->where, "dasktop show lists its workers", "it has no component of that name");
    if (right) {
        read_round(&tail, scheduler);
        right = follow(&tail, scheduler, error);
    }
    for (size_t i = 0; i < tail.count; i++) {
        dask_close(tail.list[i].dask);
        free(tail.list[i].name);
        free(tail.list[i].address);
        free(tail.list[i].worker);
    }
    free(tail.list);
    access_close(scheduler, tail.io);
    return right;
}

/* ------------------------------------------------------------------------------------------------------------ from files */

typedef struct Reading {
    const TailFile *file;
    int fd;
    off_t at;
    Buffer rest; /* a line that has no end yet */
} Reading;

/* Where the last `lines` lines begin. */
static off_t last_lines(int fd, int64_t lines)
{
    char bytes[READ_BYTES];
    struct stat st;
    if (fstat(fd, &st) != 0)
        return 0;
    off_t end = st.st_size;
    int64_t seen = 0;
    bool first = true;
    while (end > 0) {
        size_t want = end < READ_BYTES ? (size_t)end : READ_BYTES;
        ssize_t n = pread(fd, bytes, want, end - (off_t)want);
        if (n <= 0)
            return end;
        for (ssize_t i = n; i-- > 0;) {
            bool closing = first && i == n - 1; /* the end of the last line begins none */
            if (bytes[i] == '\n' && !closing && ++seen >= lines)
                return end - (off_t)want + i + 1;
            first = false;
        }
        end -= (off_t)want;
    }
    return 0;
}

void tail_give_lines(Buffer *rest, const char *component, const LogSink *sink, bool last)
{
    size_t start = 0;
    for (;;) {
        char *newline = memchr(rest->bytes + start, '\n', rest->length - start);
        if (!newline && !(last && rest->length > start) && !rest->full)
            break;
        size_t n = newline ? (size_t)(newline - rest->bytes) - start : rest->length - start;
        sink->line(sink->user, component, TIME_UNKNOWN, NULL, rest->bytes + start, n);
        start += n + (newline != NULL);
        if (!newline)
            break;
    }
    buffer_cut_front(rest, start);
    rest->full = false;
}

static void read_file(Reading *reading, const Context *context, const LogSink *sink, bool last)
{
    char bytes[READ_BYTES];
    struct stat st;
    if (reading->fd < 0)
        return;
    if (fstat(reading->fd, &st) == 0 && st.st_size < reading->at) {
        reading->at = 0;
        if (sink->note)
            sink->note(sink->user, reading->file->component, "its log was cut short: from its start again");
    }
    for (ssize_t n; context_check(context, NULL, NULL) && (n = pread(reading->fd, bytes, sizeof bytes, reading->at)) > 0;) {
        reading->at += n;
        buffer_add(&reading->rest, bytes, (size_t)n);
        tail_give_lines(&reading->rest, reading->file->component, sink, false);
    }
    if (last)
        tail_give_lines(&reading->rest, reading->file->component, sink, true);
}

static void open_file(Reading *reading, const TailFile *file, const LogRequest *request, const LogSink *sink)
{
    struct stat st;
    *reading = (Reading){.file = file, .fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    buffer_init(&reading->rest, 1 << 20);
    if (reading->fd >= 0 && (fstat(reading->fd, &st) != 0 || !S_ISREG(st.st_mode))) {
        close(reading->fd);
        reading->fd = -1;
    }
    if (reading->fd >= 0 && sink->file && sink->file(sink->user, file->component, file->path, reading->fd)) {
        close(reading->fd);
        reading->fd = -1;
        return;
    }
    if (reading->fd < 0 && sink->note) {
        char *text = mem_format("its log %s cannot be read", file->path);
        sink->note(sink->user, file->component, text);
        free(text);
    }
    if (reading->fd >= 0 && request->tail >= 0)
        reading->at = request->tail ? last_lines(reading->fd, request->tail) : fstat(reading->fd, &st) == 0 ? st.st_size : 0;
}

bool tail_files(const TailFile *files, size_t count, const Context *context, const LogRequest *request, const LogSink *sink,
                bool (*alive)(void *user), void *user, Error *error)
{
    Reading *list = mem_new(count * sizeof *list);
    Io *io = io_new(error);
    bool right = io != NULL;
    for (size_t i = 0; i < count; i++)
        open_file(&list[i], &files[i], request, sink);
    for (bool more = right; more && right;) {
        more = request->follow && (!alive || alive(user));
        for (size_t i = 0; i < count; i++)
            read_file(&list[i], context, sink, !more);
        if (sink->caught_up)
            sink->caught_up(sink->user);
        right = context_check(context, NULL, error) && (!more || io_sleep(io, context, ROUND_MS, error));
    }
    for (size_t i = 0; i < count; i++) {
        if (list[i].fd >= 0)
            close(list[i].fd);
        buffer_done(&list[i].rest);
    }
    free(list);
    if (io)
        io_free(io);
    return right;
}
