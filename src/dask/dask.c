#include "dask/dask.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_RING = 10000 }; /* lines that a node keeps */

struct Dask {
    Io *io;
    Stream *stream;
    CommReader reader;
    Buffer incoming;      /* bytes that came after the message that is being looked at */
    Message reply;        /* of the last call */
    char *where;
    bool arrived, ended;  /* bytes or the end: something happened */
    bool is_broken;
    Error why;            /* of the end; code OK: closed by the other side */
    DaskVersion version;
    bool version_asked;
};

/* ------------------------------------------------------------------------------------------------------------ the stream */

static void on_connected(void *user)
{
    (void)user;
}

static void on_bytes(void *user, const char *bytes, size_t n)
{
    Dask *dask = user;
    if (!buffer_add(&dask->incoming, bytes, n)) {
        error_set(&dask->why, ERROR_BAD_REPLY, dask->where, NULL, "it sends more than is read");
        dask->ended = true;
    }
    dask->arrived = true;
}

static void on_ended(void *user, const Error *error)
{
    Dask *dask = user;
    dask->why = *error;
    dask->ended = dask->arrived = true;
}

static bool say_end(Dask *dask, Error *error)
{
    dask->is_broken = true;
    if (dask->why.code == ERROR_OK)
        return error_set(error, ERROR_UNREACHABLE, dask->where, NULL, "the connection was closed by the other side");
    if (error)
        *error = dask->why;
    if (error && !*error->where)
        error_at(error, dask->where);
    return false;
}

/* Waits for the next message; its frame is valid until the next one. */
static bool next_message(Dask *dask, const Context *context, Error *error)
{
    for (;;) {
        size_t used;
        Error what;
        CommStep step = comm_feed(&dask->reader, dask->incoming.bytes, dask->incoming.length, &used, &what);
        buffer_cut_front(&dask->incoming, used);
        if (step == COMM_BAD) {
            dask->is_broken = true;
            return error_set(error, ERROR_BAD_REPLY, dask->where, NULL, "%s", what.what);
        }
        if (step == COMM_MESSAGE)
            break;
        if (dask->ended)
            return say_end(dask, error);
        dask->arrived = false;
        if (!io_until(dask->io, context, &dask->arrived, error)) {
            dask->is_broken = true; /* a late answer would be taken for the next one's */
            error_at(error, dask->where);
            return false;
        }
    }
    size_t n;
    const char *frame = comm_frame(&dask->reader, &n);
    message_done(&dask->reply);
    if (message_decode(frame, n, &dask->reply, dask->where, error))
        return true;
    dask->is_broken = true;
    return false;
}

Dask *dask_open(Io *io, const Context *context, const StreamTarget *target, const char *where, Error *error)
{
    Dask *dask = mem_new(sizeof *dask);
    dask->io = io;
    dask->where = mem_text(where);
    comm_reader_init(&dask->reader, COMM_MOST_BYTES);
    buffer_init(&dask->incoming, COMM_MOST_BYTES);
    StreamEvents events = {on_connected, on_bytes, on_ended, dask};
    dask->stream = stream_open(io, context, target, &events, error);
    bool right = dask->stream && next_message(dask, context, error);
    if (right && !comm_is_handshake(&dask->reply))
        right = error_set(error, ERROR_BAD_REPLY, where, NULL, "this is not Dask");
    if (right) {
        Buffer hello;
        buffer_init(&hello, 4096);
        comm_handshake(&hello);
        right = stream_send(dask->stream, hello.bytes, hello.length) || say_end(dask, error);
        buffer_done(&hello);
    }
    if (right)
        return dask;
    dask_close(dask);
    return NULL;
}

void dask_close(Dask *dask)
{
    if (!dask)
        return;
    stream_close(dask->stream);
    comm_reader_done(&dask->reader);
    buffer_done(&dask->incoming);
    message_done(&dask->reply);
    free(dask->where);
    free(dask);
}

/* ----------------------------------------------------------------------------------------------------------------- calls */

static bool send_request(Dask *dask, Request *request, Error *error)
{
    if (dask->is_broken)
        return error_set(error, ERROR_UNREACHABLE, dask->where, NULL, "the connection is broken");
    Buffer wrapped;
    buffer_init(&wrapped, COMM_MOST_BYTES);
    comm_wrap(&wrapped, request->buffer.data, request->buffer.size);
    bool sent = stream_send(dask->stream, wrapped.bytes, wrapped.length);
    buffer_done(&wrapped);
    return sent || say_end(dask, error);
}

/* What the scheduler says of its own failure; NULL where it does not. */
static Value *failure_of(const Message *reply)
{
    const char *status;
    size_t n;
    if (!value_text(value_get(&reply->root, "status"), &status, &n))
        return NULL;
    if (n == 14 && memcmp(status, "uncaught-error", n) == 0)
        return value_get(&reply->root, "exception_text") ? value_get(&reply->root, "exception_text") : &reply->root;
    if (n == 5 && memcmp(status, "error", n) == 0)
        return value_get(&reply->root, "message") ? value_get(&reply->root, "message") : &reply->root;
    return NULL;
}

bool dask_call(Dask *dask, const Context *context, Request *request, Message *reply, Error *error)
{
    bool right = send_request(dask, request, error) && next_message(dask, context, error);
    request_done(request);
    if (!right)
        return false;
    *reply = dask->reply; /* lent: the next call ends it */
    Value *failure = failure_of(reply);
    if (!failure)
        return true;
    char *text = value_text_new(failure);
    error_set(error, ERROR_BAD_REPLY, dask->where, NULL, "the scheduler says: %s", text ? text : "error");
    free(text);
    return false;
}

/* The version, asked once; a nanny does not know the operation. */
static DaskVersion version_of(Dask *dask, const Context *context)
{
    DaskVersions versions = {0};
    if (!dask->version_asked && dask_versions(dask, context, &versions, NULL))
        dask_versions_done(&versions);
    return dask->version;
}

void dask_assume(Dask *dask, DaskVersion version)
{
    dask->version = version;
    dask->version_asked = true;
}

bool dask_versions(Dask *dask, const Context *context, DaskVersions *versions, Error *error)
{
    Request request;
    Message reply;
    *versions = (DaskVersions){0};
    request_begin(&request, "versions", 0);
    if (!dask_call(dask, context, &request, &reply, error))
        return false;
    Value *packages = value_get(&reply.root, "packages");
    versions->python = dask_python_version(value_get(packages, "python"));
    versions->dask = value_text_new(value_get(packages, "dask"));
    versions->distributed = value_text_new(value_get(packages, "distributed"));
    versions->version = dask_version_parse(versions->distributed);
    dask->version = versions->version;
    dask->version_asked = true;
    return true;
}

void dask_versions_done(DaskVersions *versions)
{
    free(versions->python);
    free(versions->dask);
    free(versions->distributed);
    *versions = (DaskVersions){0};
}

bool dask_identity(Dask *dask, const Context *context, bool with_workers, DaskIdentity *identity, Error *error)
{
    Request request;
    Message reply;
    bool light = !with_workers && dask_version_least(version_of(dask, context), 2025, 4, 0);
    *identity = (DaskIdentity){0};
    request_begin(&request, "identity", light);
    if (light)
        request_integer(&request, "n_workers", 0);
    if (!dask_call(dask, context, &request, &reply, error))
        return false;
    return dask_identity_decode(&reply.root, identity) || error_set(error, ERROR_BAD_REPLY, dask->where, NULL, "an identity without a type");
}

bool dask_prefixes(Dask *dask, const Context *context, DaskPrefix **list, size_t *count, Error *error)
{
    Request request;
    Message reply;
    *list = NULL;
    *count = 0;
    if (!dask_version_least(version_of(dask, context), 2022, 2, 0))
        return error_set(error, ERROR_UNSUPPORTED, dask->where, NULL, "this version does not tell its tasks by prefix");
    request_begin(&request, "get_task_prefix_states", 0);
    if (!dask_call(dask, context, &request, &reply, error))
        return false;
    if (reply.root.type != MSGPACK_OBJECT_MAP)
        return true;
    *list = mem_new(reply.root.via.map.size * sizeof **list);
    for (uint32_t i = 0; i < reply.root.via.map.size; i++) {
        Value *states = &reply.root.via.map.ptr[i].val;
        Buffer name;
        buffer_init(&name, 4096);
        value_print(&name, &reply.root.via.map.ptr[i].key);
        (*list)[(*count)++] = (DaskPrefix){.name = buffer_take(&name),
                                           .waiting = value_integer(value_get(states, "waiting")),
                                           .processing = value_integer(value_get(states, "processing")),
                                           .stored = value_integer(value_get(states, "memory")),
                                           .erred = value_integer(value_get(states, "erred")),
                                           .released = value_integer(value_get(states, "released"))};
    }
    return true;
}

void dask_prefixes_free(DaskPrefix *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].name);
    free(list);
}

/* ------------------------------------------------------------------------------------------------------------------ logs */

/* In which order lines are answered, and which ones n means. */
typedef enum LogOrder {
    LOG_NEWEST_FIRST,  /* since 2023.1.1: the newest n */
    LOG_OLDEST_FIRST,  /* since 2022.1.1: the oldest n, and none at all where the oldest is older than start */
    LOG_OLDEST_IN_FRONT, /* before: the oldest one, then the newest n - 1, newest first */
} LogOrder;

static LogOrder log_order(DaskVersion version)
{
    if (!version.year || dask_version_least(version, 2023, 1, 1))
        return LOG_NEWEST_FIRST;
    return dask_version_least(version, 2022, 1, 1) ? LOG_OLDEST_FIRST : LOG_OLDEST_IN_FRONT;
}

/* How many lines have to be asked for, so that the newest n are among them. */
static int64_t log_number(LogOrder order, int64_t n)
{
    return order == LOG_NEWEST_FIRST ? n : order == LOG_OLDEST_FIRST ? LOG_RING : n + 1;
}

static bool decode_line(Value *entry, double since, DaskLogLine *line, double *created)
{
    if (entry->type != MSGPACK_OBJECT_ARRAY || entry->via.array.size < 2)
        return false;
    Value *part = entry->via.array.ptr;
    bool stamped = entry->via.array.size >= 3;
    *created = stamped ? value_number(part) : NAN;
    if (fabs(*created) > 1e12)
        *created = NAN;
    if (since > 0 && *created <= since)
        return false;
    *line = (DaskLogLine){.time_ms = isnan(*created) ? TIME_UNKNOWN : (int64_t)(*created * 1000), .level = value_text_new(&part[stamped]),
                          .text = value_text_new(&part[stamped + 1])};
    return true;
}

static void drop_oldest(DaskLogLine *lines, size_t *count, size_t n)
{
    size_t more = *count > n ? *count - n : 0;
    for (size_t i = 0; i < more; i++) {
        free(lines[i].level);
        free(lines[i].text);
    }
    *count -= more;
    memmove(lines, lines + more, *count * sizeof *lines);
}

/* [[level, text]] or [[created, level, text]]: the newest n, oldest first. */
static void decode_lines(Value *array, LogOrder order, int64_t n, double since, DaskLogLine **lines, size_t *count, double *last)
{
    uint32_t size = array && array->type == MSGPACK_OBJECT_ARRAY ? array->via.array.size : 0;
    *lines = mem_new(size * sizeof **lines);
    for (uint32_t i = 0; i < size; i++) {
        uint32_t at = order == LOG_NEWEST_FIRST ? size - 1 - i : order == LOG_OLDEST_FIRST || i == 0 ? i : size - i;
        double created;
        if (!decode_line(&array->via.array.ptr[at], since, &(*lines)[*count], &created))
            continue;
        ++*count;
        if (last && created > *last)
            *last = created;
    }
    drop_oldest(*lines, count, n > 0 ? (size_t)n : 0);
}

/* What get_logs is asked: of a scheduler, and by it of a worker. */
typedef struct LogAsk {
    LogOrder order;
    int64_t n;
    double since;
    bool stamps, starts;
} LogAsk;

static LogAsk log_ask(Dask *dask, const Context *context, int64_t n, double since)
{
    bool stamps = dask_version_least(version_of(dask, context), 2022, 1, 1);
    LogOrder order = log_order(dask->version);
    return (LogAsk){.order = order, .n = n, .since = since, .stamps = stamps, .starts = stamps && since > 0 && order == LOG_NEWEST_FIRST};
}

static size_t log_arguments(const LogAsk *ask)
{
    return (size_t)1 + ask->stamps + ask->starts;
}

static void put_log_arguments(Request *request, const LogAsk *ask)
{
    request_integer(request, "n", log_number(ask->order, ask->n));
    if (ask->stamps)
        request_truth(request, "timestamps", true);
    if (ask->starts)
        request_number(request, "start", ask->since + 0.000001);
}

bool dask_logs(Dask *dask, const Context *context, int64_t n, double since, DaskLogLine **lines, size_t *count, double *last, Error *error)
{
    Request request;
    Message reply;
    *lines = NULL;
    *count = 0;
    if (last)
        *last = since;
    LogAsk ask = log_ask(dask, context, n, since);
    request_begin(&request, "get_logs", log_arguments(&ask));
    put_log_arguments(&request, &ask);
    if (!dask_call(dask, context, &request, &reply, error))
        return false;
    decode_lines(&reply.root, ask.order, n, since, lines, count, last);
    return true;
}

/* Its own `worker_logs` would leave the stamps out: nobody could tell which lines are new. */
bool dask_worker_logs(Dask *dask, const Context *context, const char *worker, bool nanny, int64_t n, double since, DaskLogLine **lines, size_t *count,
                      double *last, Error *error)
{
    Request request;
    Message reply;
    *lines = NULL;
    *count = 0;
    if (last)
        *last = since;
    LogAsk ask = log_ask(dask, context, n, since);
    request_begin(&request, "broadcast", 3);
    request_inner(&request, "msg", "get_logs", log_arguments(&ask));
    put_log_arguments(&request, &ask);
    request_texts(&request, "workers", &worker, 1);
    request_truth(&request, "nanny", nanny);
    if (!dask_call(dask, context, &request, &reply, error))
        return false;
    Value *array = reply.root.type == MSGPACK_OBJECT_MAP && reply.root.via.map.size == 1 ? &reply.root.via.map.ptr[0].val : NULL;
    decode_lines(array, ask.order, n, since, lines, count, last);
    return true;
}

void dask_log_lines_free(DaskLogLine *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(lines[i].level);
        free(lines[i].text);
    }
    free(lines);
}

/* ----------------------------------------------------------------------------------------------------------------- others */

bool dask_client_left(Dask *dask, const Context *context, int64_t *left_ms, Error *error)
{
    Request request;
    Message reply;
    *left_ms = TIME_UNKNOWN;
    request_begin(&request, "events", 1);
    request_text(&request, "topic", "all");
    if (!dask_call(dask, context, &request, &reply, error))
        return false;
    for (uint32_t i = 0; reply.root.type == MSGPACK_OBJECT_ARRAY && i < reply.root.via.array.size; i++) {
        Value *entry = &reply.root.via.array.ptr[i];
        const char *action;
        size_t n;
        if (entry->type != MSGPACK_OBJECT_ARRAY || entry->via.array.size < 2)
            continue;
        double time = value_number(&entry->via.array.ptr[0]);
        if (value_text(value_get(&entry->via.array.ptr[1], "action"), &action, &n) && n == 13 && memcmp(action, "remove-client", n) == 0 &&
            !isnan(time) && fabs(time) < 1e12)
            *left_ms = (int64_t)(time * 1000);
    }
    return true;
}

bool dask_workers_to_close(Dask *dask, const Context *context, int64_t target, List *workers, Error *error)
{
    Request request;
    Message reply;
    request_begin(&request, "workers_to_close", 1);
    request_integer(&request, "target", target);
    if (!dask_call(dask, context, &request, &reply, error))
        return false;
    for (uint32_t i = 0; reply.root.type == MSGPACK_OBJECT_ARRAY && i < reply.root.via.array.size; i++) {
        char *address = value_text_new(&reply.root.via.array.ptr[i]);
        if (address)
            list_take(workers, address);
    }
    return true;
}

bool dask_retire(Dask *dask, const Context *context, const List *workers, List *retired, Error *error)
{
    Request request;
    Message reply;
    request_begin(&request, "retire_workers", 3);
    request_texts(&request, "workers", (const char *const *)workers->items, workers->count);
    request_truth(&request, "close_workers", true);
    request_truth(&request, "remove", true);
    if (!dask_call(dask, context, &request, &reply, error))
        return false;
    for (uint32_t i = 0; reply.root.type == MSGPACK_OBJECT_MAP && i < reply.root.via.map.size; i++) {
        char *address = value_text_new(&reply.root.via.map.ptr[i].key);
        if (address)
            list_take(retired, address);
    }
    return true;
}

bool dask_terminate(Dask *dask, const Context *context, Error *error)
{
    Request request;
    Error what = {0};
    request_begin(&request, "terminate", 0);
    bool right = send_request(dask, &request, error);
    request_done(&request);
    while (right && !dask->ended) {
        dask->arrived = false;
        if (!io_until(dask->io, context, &dask->arrived, &what)) {
            if (error)
                *error = what;
            error_at(error, dask->where);
            right = false;
        }
    }
    dask->is_broken = true;
    return right;
}
