#include "io/rpc.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "io/child.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    BACKOFF_FIRST_MS = 500,
    BACKOFF_MOST_MS = 60000,
    START_MS = 25,             /* about what an interpreter takes of a core until it reads its first line */
    PATIENCE_MS = 2000,        /* a request waits so long for the next start; else it is told why there is none */
    STRAY_MAX = 256 << 10,     /* bytes since the last useful line that belong to no request: a flood */
    ERRORS_MAX = 64 << 20,     /* on standard error between two answers: a flood */
    ERROR_LINE_MAX = 2048,
    ERROR_LINES_A_SECOND = 100,
};

typedef struct Item Item;
struct Item {
    cJSON *whole;
    size_t bytes;
    Item *next;
};

struct RpcRequest {
    Rpc *rpc;
    int64_t id;
    char *method;
    bool ring, missing;
    /* guarded by the rpc's lock */
    char *line;       /* until it is written: what nobody waits for any more is never sent */
    bool cancelling, cancelled; /* the child is to be told; it was */
    Wake wake;
    Item *first, **last;
    size_t bytes, dropped;
    bool ended;       /* `answer` or `error` is there */
    cJSON *answer;    /* the whole message */
    Error error;
    bool abandoned;   /* closed before its end: its owner has gone, it only waits for the child's -32800 */
    int64_t ends_at_ms; /* of an abandoned one: the child is started anew then */
};

typedef enum RpcState { RPC_DOWN, RPC_GREETING, RPC_READY } RpcState;

struct Rpc {
    char *where, *directory, *hello;
    List command, environment;
    Buffer preamble;
    int64_t hello_ms;
    bool (*welcome)(void *user, const cJSON *result, Error *error);
    void *user;

    pthread_mutex_t lock; /* guards all below, but what is the turner's */
    bool turning;         /* a thread turns the loop: it alone touches io, child, line, errors and their counters */
    Wake wake;            /* makes it turn: something is to be sent, to be failed or to be timed */
    RpcState state;
    RpcRequest **requests;
    size_t count, capacity;
    int64_t next_id, next_start_ms;
    bool has_slot;        /* next_start_ms is one that was given to it */
    int failures;
    uint64_t starts;
    Error error;          /* the last misdeed */
    bool failing;         /* `error` was set from outside of the loop: end the child */

    /* the turner's */
    Io *io;
    Child *child;
    IoTimer *hello_timer, *cancel_timer;
    int64_t hello_id;
    Buffer line;          /* the beginning of a line */
    size_t stray, error_bytes;
    Buffer error_line;
    int64_t error_second_ms;
    size_t error_lines, error_dropped;
};

/* When many children are to be started at once they would all start slowly, the last as late as the first: so they get the cores one
 * after another, in the order in which they are asked. The one thing that all of them share. */
static _Atomic int64_t next_slot_us;

static int64_t take_slot_ms(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t now = clock_mono_us(), each = START_MS * 1000 / (cores > 0 ? cores : 1), next = atomic_load(&next_slot_us), slot;
    do
        slot = next > now ? next : now;
    while (!atomic_compare_exchange_weak(&next_slot_us, &next, slot + each));
    return slot / 1000;
}

/* -------------------------------------------------------------------------------------------------- requests, lock held */

static void item_free(Item *item)
{
    cJSON_Delete(item->whole);
    free(item);
}

static void request_free(RpcRequest *request)
{
    for (Item *item; (item = request->first);) {
        request->first = item->next;
        item_free(item);
    }
    cJSON_Delete(request->answer);
    wake_done(&request->wake);
    free(request->method);
    free(request->line);
    free(request);
}

static void remove_request(Rpc *rpc, RpcRequest *request)
{
    for (size_t i = 0; i < rpc->count; i++)
        if (rpc->requests[i] == request) {
            memmove(&rpc->requests[i], &rpc->requests[i + 1], (--rpc->count - i) * sizeof *rpc->requests);
            return;
        }
}

static RpcRequest *find_request(const Rpc *rpc, int64_t id)
{
    for (size_t i = 0; i < rpc->count; i++)
        if (rpc->requests[i]->id == id)
            return rpc->requests[i];
    return NULL;
}

/* Freed at once where nobody waits for it any more. */
static void end_request(Rpc *rpc, RpcRequest *request, cJSON *answer, const Error *error)
{
    if (request->abandoned) {
        remove_request(rpc, request);
        cJSON_Delete(answer);
        request_free(request);
        return;
    }
    request->ended = true;
    request->answer = answer;
    if (error)
        request->error = *error;
    wake_up(&request->wake);
}

static void end_all(Rpc *rpc, const Error *error)
{
    for (size_t i = rpc->count; i-- > 0;)
        if (!rpc->requests[i]->ended)
            end_request(rpc, rpc->requests[i], NULL, error);
}

static void add_note(RpcRequest *request, cJSON *whole, size_t bytes)
{
    Item *item = mem_new(sizeof *item);
    *item = (Item){.whole = whole, .bytes = bytes};
    bool was_empty = !request->first;
    *request->last = item;
    request->last = &item->next;
    request->bytes += bytes;
    while (request->ring && request->bytes > RPC_RING_MAX && request->first != item) {
        Item *old = request->first;
        request->first = old->next;
        request->bytes -= old->bytes;
        request->dropped++;
        item_free(old);
    }
    if (was_empty)
        wake_up(&request->wake);
}

/* -------------------------------------------------------------------------------------------------- the child, turner's */

static void forget_child(Rpc *rpc)
{
    io_timer_cancel(rpc->hello_timer);
    rpc->hello_timer = NULL;
    child_end(rpc->child);
    rpc->child = NULL;
    buffer_clear(&rpc->line);
    buffer_clear(&rpc->error_line);
    rpc->stray = rpc->error_bytes = 0;
}

/* The one end of a child that was not asked to end: every request is told, the next start waits. */
static void fail_locked(Rpc *rpc, const Error *error)
{
    int64_t pause = BACKOFF_FIRST_MS;
    for (int i = 0; i < rpc->failures && pause < BACKOFF_MOST_MS; i++)
        pause *= 2;
    rpc->failures++;
    rpc->next_start_ms = clock_mono_ms() + (pause < BACKOFF_MOST_MS ? pause : BACKOFF_MOST_MS);
    rpc->state = RPC_DOWN;
    rpc->has_slot = false;
    rpc->error = *error;
    rpc->failing = false;
    end_all(rpc, error);
}

static void fail(Rpc *rpc, const Error *error)
{
    char line[ERROR_LINE];
    log_line(rpc->where, "%s", error_line(error, line, sizeof line));
    forget_child(rpc);
    pthread_mutex_lock(&rpc->lock);
    fail_locked(rpc, error);
    pthread_mutex_unlock(&rpc->lock);
}

static void misdeed(Rpc *rpc, const char *what)
{
    Error error;
    error_set(&error, ERROR_BAD_REPLY, rpc->where, "dasktop backends --check says more", "%s", what);
    fail(rpc, &error);
}

static void put_request(Buffer *out, int64_t id, const char *method, const char *params)
{
    buffer_format(out, "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"method\":\"%s\",\"params\":%s}\n", (long long)id, method, params);
}

static void hello_is_due(void *user)
{
    Rpc *rpc = user;
    Error error;
    rpc->hello_timer = NULL;
    error_set(&error, ERROR_TIMEOUT, rpc->where, NULL, "it did not answer hello within %lld s", (long long)rpc->hello_ms / 1000);
    fail(rpc, &error);
}

static void take_output(void *user, const char *bytes, size_t n);
static void take_errors(void *user, const char *bytes, size_t n);

static void child_ended(void *user, int status, const Error *failure)
{
    Rpc *rpc = user;
    Error error = *failure;
    if (error.code == ERROR_OK && WIFSIGNALED(status))
        error_set(&error, ERROR_UNREACHABLE, rpc->where, NULL, "it was ended by signal %d", WTERMSIG(status));
    else if (error.code == ERROR_OK)
        error_set(&error, ERROR_UNREACHABLE, rpc->where, "its last words are in dasktop's log", "it ended with status %d", WEXITSTATUS(status));
    fail(rpc, &error);
}

static void start_child(Rpc *rpc)
{
    Error error = {0};
    ChildSpec spec = {.command = &rpc->command, .environment = &rpc->environment, .directory = rpc->directory, .keep_input = true,
                      .input = rpc->preamble.bytes, .input_length = rpc->preamble.length,
                      .output = take_output, .errors = take_errors, .ended = child_ended, .user = rpc};
    rpc->child = child_start(rpc->io, &spec, &error);
    if (!rpc->child) {
        error_at(&error, rpc->where);
        fail(rpc, &error);
        return;
    }
    Buffer hello;
    pthread_mutex_lock(&rpc->lock);
    rpc->state = RPC_GREETING;
    rpc->starts++;
    rpc->hello_id = rpc->next_id++;
    pthread_mutex_unlock(&rpc->lock);
    buffer_init(&hello, BUFFER_ANY);
    put_request(&hello, rpc->hello_id, "hello", rpc->hello);
    child_write(rpc->child, hello.bytes, hello.length);
    buffer_wipe(&hello);
    rpc->hello_timer = io_after(rpc->io, rpc->hello_ms, hello_is_due, rpc);
}

/* Lock held. False where the child does not read what we write. */
static bool write_request(Rpc *rpc, RpcRequest *request)
{
    bool written = true;
    if (request->line) {
        written = child_write(rpc->child, request->line, strlen(request->line));
        free(request->line);
        request->line = NULL;
    }
    if (request->cancelling && !request->cancelled) {
        char line[128];
        int n = snprintf(line, sizeof line, "{\"jsonrpc\":\"2.0\",\"method\":\"cancel\",\"params\":{\"request\":%lld}}\n", (long long)request->id);
        request->cancelled = true;
        written = written && child_write(rpc->child, line, (size_t)n);
    }
    return written;
}

static void write_requests(Rpc *rpc)
{
    bool written = true;
    pthread_mutex_lock(&rpc->lock);
    for (size_t i = 0; rpc->state == RPC_READY && i < rpc->count; i++)
        written = write_request(rpc, rpc->requests[i]) && written;
    pthread_mutex_unlock(&rpc->lock);
    if (!written)
        misdeed(rpc, "it does not read its standard input");
}

/* ------------------------------------------------------------------------------------------------------ what it says, turner's */

static void answer_error(const Rpc *rpc, const RpcRequest *request, const cJSON *said, Error *error, bool *missing)
{
    int64_t code = json_integer(said, "code"), retry = json_integer(json_member(said, "data"), "retry_after");
    const char *message = json_text(said, "message");
    *missing = code == -32601;
    ErrorCode known = *missing ? ERROR_UNSUPPORTED : error_from_rpc(code > INT32_MIN && code < INT32_MAX ? (int)code : 0);
    if (known == ERROR_OK || known == ERROR_USAGE)
        known = ERROR_BAD_REPLY; /* our own parameters are no mistake of the user's */
    if (json_truth(json_member(said, "data"), "absent") == 1)
        known = ERROR_ABSENT; /* there is nothing to ask, which is no failure */
    if (*missing)
        error_set(error, known, rpc->where, NULL, "it has no method %s", request->method);
    else
        error_set(error, known, rpc->where, NULL, "%s", message && *message ? message : "it says no and not why");
    if (retry > 0 && retry < 86400)
        error->retry_after_s = (int)retry;
}

static void take_greeting(Rpc *rpc, const cJSON *whole)
{
    Error error = {0};
    const cJSON *said = json_member(whole, "error");
    if (json_integer(whole, "id") != rpc->hello_id) {
        misdeed(rpc, "it wrote before it had answered hello");
        return;
    }
    io_timer_cancel(rpc->hello_timer);
    rpc->hello_timer = NULL;
    if (said) {
        const char *message = json_text(said, "message");
        error_set(&error, error_from_rpc((int)json_integer(said, "code")), rpc->where, NULL, "%s", message ? message : "it refused hello");
        if (error.code == ERROR_OK)
            error.code = ERROR_BAD_REPLY;
        fail(rpc, &error);
    } else if (!rpc->welcome(rpc->user, json_member(whole, "result"), &error)) {
        error_at(&error, rpc->where);
        fail(rpc, &error);
    } else {
        pthread_mutex_lock(&rpc->lock);
        rpc->state = RPC_READY;
        for (size_t i = 0; i < rpc->count; i++)
            wake_up(&rpc->requests[i]->wake); /* rpc_ready waits so */
        pthread_mutex_unlock(&rpc->lock);
        write_requests(rpc);
    }
}

/* Lock held; takes whole. True where it belonged to somebody. */
static bool take_answer(Rpc *rpc, cJSON *whole)
{
    RpcRequest *request = find_request(rpc, json_integer(whole, "id"));
    const cJSON *said = json_member(whole, "error");
    if (!request || request->ended || (!said && !json_member(whole, "result"))) {
        cJSON_Delete(whole);
        return false;
    }
    rpc->failures = 0; /* it works */
    if (said) {
        Error error;
        answer_error(rpc, request, said, &error, &request->missing);
        cJSON_Delete(whole);
        end_request(rpc, request, NULL, &error);
    } else {
        end_request(rpc, request, whole, NULL);
    }
    return true;
}

static bool take_note(Rpc *rpc, cJSON *whole, size_t bytes, bool *flood)
{
    RpcRequest *request = find_request(rpc, json_integer(json_member(whole, "params"), "request"));
    if (!request || request->ended || request->abandoned) {
        /* what is still on its way after a cancel is no misdeed: the cancel's own limit ends it */
        bool late = request && request->abandoned;
        cJSON_Delete(whole);
        return late;
    }
    add_note(request, whole, bytes);
    *flood = !request->ring && request->bytes > RPC_QUEUE_MAX;
    return true;
}

static void take_line(Rpc *rpc, const char *bytes, size_t n)
{
    Error error;
    if (n == 0 || (n == 1 && bytes[0] == '\r'))
        return;
    if (!text_is_utf8(bytes, n)) {
        misdeed(rpc, "it wrote a line that is not UTF-8");
        return;
    }
    cJSON *whole = json_parse(bytes, n, rpc->where, &error);
    if (!cJSON_IsObject(whole)) {
        cJSON_Delete(whole);
        misdeed(rpc, "it wrote a line that is no JSON object");
        return;
    }
    if (rpc->state == RPC_GREETING) {
        take_greeting(rpc, whole);
        cJSON_Delete(whole);
        return;
    }
    bool note = json_text(whole, "method") != NULL, flood = false;
    pthread_mutex_lock(&rpc->lock);
    bool useful = note ? take_note(rpc, whole, n, &flood) : take_answer(rpc, whole);
    pthread_mutex_unlock(&rpc->lock);
    if (useful && !note)
        rpc->error_bytes = 0;
    rpc->stray = useful ? 0 : rpc->stray + n;
    if (flood || rpc->stray > STRAY_MAX)
        misdeed(rpc, "it floods: more is waiting than anybody asked for");
}

static void take_output(void *user, const char *bytes, size_t n)
{
    Rpc *rpc = user;
    while (n > 0 && rpc->child) {
        const char *end = memchr(bytes, '\n', n);
        size_t part = end ? (size_t)(end - bytes) : n;
        if (rpc->line.length + part > RPC_LINE_MAX) {
            misdeed(rpc, "it wrote a line of more than 8 MiB");
            return;
        }
        if (!end) {
            buffer_add(&rpc->line, bytes, n);
            return;
        }
        if (rpc->line.length) {
            buffer_add(&rpc->line, bytes, part);
            Buffer whole = rpc->line;
            buffer_init(&rpc->line, RPC_LINE_MAX);
            take_line(rpc, whole.bytes, whole.length);
            buffer_done(&whole);
        } else {
            take_line(rpc, bytes, part);
        }
        bytes = end + 1;
        n -= part + 1;
    }
}

static void log_error_line(Rpc *rpc)
{
    int64_t now = clock_mono_ms();
    if (now - rpc->error_second_ms >= 1000) {
        if (rpc->error_dropped)
            log_line(rpc->where, "(%zu lines of its standard error were dropped)", rpc->error_dropped);
        rpc->error_second_ms = now;
        rpc->error_lines = rpc->error_dropped = 0;
    }
    if (rpc->error_line.length && rpc->error_lines++ < ERROR_LINES_A_SECOND)
        log_line(rpc->where, "%s", rpc->error_line.bytes);
    else if (rpc->error_line.length)
        rpc->error_dropped++;
    buffer_clear(&rpc->error_line);
}

static void take_errors(void *user, const char *bytes, size_t n)
{
    Rpc *rpc = user;
    rpc->error_bytes += n;
    for (size_t i = 0; i < n; i++) {
        const char *end = memchr(bytes + i, '\n', n - i);
        size_t part = end ? (size_t)(end - bytes) - i : n - i, room = ERROR_LINE_MAX - rpc->error_line.length;
        buffer_add(&rpc->error_line, bytes + i, part < room ? part : room);
        if (end)
            log_error_line(rpc);
        i += part;
    }
    if (rpc->error_bytes > ERRORS_MAX)
        misdeed(rpc, "it floods its standard error");
}

/* ------------------------------------------------------------------------------------------------------------------ the loop */

static void cancel_is_due(void *user)
{
    Rpc *rpc = user;
    bool overdue = false;
    char method[64] = "";
    rpc->cancel_timer = NULL;
    pthread_mutex_lock(&rpc->lock);
    for (size_t i = 0; i < rpc->count; i++)
        if (rpc->requests[i]->abandoned && rpc->requests[i]->ends_at_ms <= clock_mono_ms()) {
            size_t n = strlen(rpc->requests[i]->method);
            memcpy(method, rpc->requests[i]->method, n < sizeof method ? n : sizeof method - 1);
            overdue = true;
        }
    pthread_mutex_unlock(&rpc->lock);
    if (overdue) {
        Error error;
        error_set(&error, ERROR_TIMEOUT, rpc->where, NULL, "it was started anew: it did not end %s, which was cancelled 10 s ago", method);
        fail(rpc, &error);
    }
}

/* Before each turn: what other threads wished for. */
static void prepare(Rpc *rpc)
{
    int64_t now = clock_mono_ms(), due = INT64_MAX;
    pthread_mutex_lock(&rpc->lock);
    wake_drain(&rpc->wake);
    bool failing = rpc->failing, wanted = false;
    Error error = rpc->error;
    for (size_t i = 0; i < rpc->count; i++) {
        const RpcRequest *request = rpc->requests[i];
        wanted = wanted || (!request->ended && !request->abandoned);
        if (request->abandoned && request->ends_at_ms < due)
            due = request->ends_at_ms;
    }
    if (rpc->state == RPC_DOWN && wanted && !failing && !rpc->has_slot && now >= rpc->next_start_ms) {
        rpc->next_start_ms = take_slot_ms();
        rpc->has_slot = true;
    }
    bool start = rpc->state == RPC_DOWN && wanted && !failing && now >= rpc->next_start_ms;
    bool hopeless = rpc->state == RPC_DOWN && wanted && !rpc->has_slot && rpc->next_start_ms - now > PATIENCE_MS;
    if (hopeless) {
        error.retry_after_s = (int)((rpc->next_start_ms - now + 999) / 1000);
        end_all(rpc, &error);
    }
    pthread_mutex_unlock(&rpc->lock);
    if (failing)
        fail(rpc, &error);
    else if (start)
        start_child(rpc);
    else
        write_requests(rpc);
    if (due != INT64_MAX && !rpc->cancel_timer)
        rpc->cancel_timer = io_after(rpc->io, due > now ? due - now : 0, cancel_is_due, rpc);
}

static void wake_ready(void *user, int fd, short events)
{
    (void)user; /* what it means is looked at in prepare */
    (void)fd;
    (void)events;
}

/* One turn, not longer than until a child that failed may be started again. */
static bool turn(Rpc *rpc, const Context *context, Error *error)
{
    prepare(rpc);
    pthread_mutex_lock(&rpc->lock);
    int64_t pause = rpc->state == RPC_DOWN && rpc->count ? rpc->next_start_ms - clock_mono_ms() : INT64_MAX;
    bool far = pause > PATIENCE_MS && !rpc->has_slot;
    pthread_mutex_unlock(&rpc->lock);
    if (far)
        return io_turn(rpc->io, context, error);
    Context part = context_within(context, pause > 0 ? pause : 0);
    return io_turn(rpc->io, &part, error) || context_check(context, rpc->where, error);
}

static bool begin_turning(Rpc *rpc)
{
    bool mine = !rpc->turning;
    rpc->turning = true;
    return mine;
}

/* Lock held. Another one that waits takes over. */
static void end_turning(Rpc *rpc)
{
    rpc->turning = false;
    for (size_t i = 0; i < rpc->count; i++)
        if (!rpc->requests[i]->abandoned)
            wake_up(&rpc->requests[i]->wake);
    wake_up(&rpc->wake); /* who rests */
}

/* Somebody else turns: until something came for us, or it is our turn. */
static bool follow(const Context *context, int fd, int also, Error *error)
{
    struct pollfd wanted[3] = {{.fd = fd, .events = POLLIN}, {.fd = context_fd(context), .events = POLLIN}, {.fd = also, .events = POLLIN}};
    int64_t left = context_left_ms(context);
    poll(wanted, 3, left > 3600000 ? 3600000 : (int)left);
    return context_check(context, NULL, error);
}

/* ---------------------------------------------------------------------------------------------------------------------- life */

Rpc *rpc_new(const RpcSpec *spec, Error *error)
{
    Rpc *rpc = mem_new(sizeof *rpc);
    rpc->where = mem_text(spec->where);
    rpc->directory = mem_text(spec->directory);
    rpc->hello = mem_text(spec->hello);
    list_copy(&rpc->command, spec->command);
    list_copy(&rpc->environment, spec->environment);
    buffer_init(&rpc->preamble, BUFFER_ANY);
    if (spec->preamble)
        buffer_add(&rpc->preamble, spec->preamble, spec->preamble_length);
    rpc->hello_ms = spec->hello_ms;
    rpc->welcome = spec->welcome;
    rpc->user = spec->user;
    pthread_mutex_init(&rpc->lock, NULL);
    buffer_init(&rpc->line, RPC_LINE_MAX);
    buffer_init(&rpc->error_line, ERROR_LINE_MAX);
    rpc->next_id = 1;
    bool right = wake_init(&rpc->wake) || error_set(error, ERROR_INTERNAL, spec->where, "raise the limit (ulimit -n)", "no descriptors are left");
    rpc->io = right ? io_new(error) : NULL;
    if (rpc->io) {
        io_watch(rpc->io, rpc->wake.read_fd, POLLIN, wake_ready, rpc);
        return rpc;
    }
    rpc_free(rpc);
    return NULL;
}

void rpc_free(Rpc *rpc)
{
    if (!rpc)
        return;
    io_free(rpc->io);
    while (rpc->count)
        request_free(rpc->requests[--rpc->count]);
    free(rpc->requests);
    wake_done(&rpc->wake);
    pthread_mutex_destroy(&rpc->lock);
    Buffer *buffers[] = {&rpc->line, &rpc->error_line, &rpc->preamble};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        buffer_done(buffers[i]);
    list_done(&rpc->command);
    list_done(&rpc->environment);
    free(rpc->where);
    free(rpc->directory);
    free(rpc->hello);
    free(rpc);
}

static RpcRequest *new_request(Rpc *rpc, const char *method, bool ring)
{
    RpcRequest *request = mem_new(sizeof *request);
    *request = (RpcRequest){.rpc = rpc, .method = mem_text(method), .ring = ring};
    request->last = &request->first;
    if (!wake_init(&request->wake))
        request->wake = (Wake){-1, -1};
    pthread_mutex_lock(&rpc->lock);
    request->id = rpc->next_id++;
    rpc->requests = mem_grow(rpc->requests, rpc->count, &rpc->capacity, sizeof *rpc->requests);
    rpc->requests[rpc->count++] = request;
    if (request->wake.read_fd < 0) {
        Error error;
        error_set(&error, ERROR_INTERNAL, rpc->where, "raise the limit (ulimit -n)", "no descriptors are left");
        request->error = error;
        request->ended = true;
    }
    return request; /* with the lock */
}

RpcRequest *rpc_send(Rpc *rpc, const char *method, const char *params, bool ring)
{
    Buffer line;
    buffer_init(&line, BUFFER_ANY);
    RpcRequest *request = new_request(rpc, method, ring);
    put_request(&line, request->id, method, params);
    request->line = buffer_take(&line);
    wake_up(&rpc->wake);
    pthread_mutex_unlock(&rpc->lock);
    return request;
}

static void set_message(RpcMessage *message, cJSON *whole, size_t bytes)
{
    *message = (RpcMessage){.whole = whole, .bytes = bytes, .method = json_text(whole, "method"), .params = json_member(whole, "params"),
                            .result = json_member(whole, "result")};
}

/* Lock held. */
static bool take_what_came(RpcRequest *request, RpcMessage *message, RpcEvent *event, Error *error)
{
    Item *item = request->first;
    if (item) {
        request->first = item->next;
        if (!request->first)
            request->last = &request->first;
        request->bytes -= item->bytes;
        set_message(message, item->whole, item->bytes);
        free(item);
        *event = RPC_NOTE;
    } else if (request->ended && request->answer) {
        set_message(message, request->answer, 0);
        request->answer = NULL;
        *event = RPC_RESULT;
    } else if (request->ended) {
        if (error)
            *error = request->error;
        *event = RPC_ERROR;
    } else {
        wake_drain(&request->wake);
        return false;
    }
    return true;
}

RpcEvent rpc_next(RpcRequest *request, const Context *context, RpcMessage *message, Error *error)
{
    Rpc *rpc = request->rpc;
    RpcEvent event;
    *message = (RpcMessage){0};
    pthread_mutex_lock(&rpc->lock);
    while (!take_what_came(request, message, &event, error)) {
        bool mine = begin_turning(rpc);
        pthread_mutex_unlock(&rpc->lock);
        bool right = mine ? turn(rpc, context, error) : follow(context, request->wake.read_fd, -1, error);
        pthread_mutex_lock(&rpc->lock);
        if (mine)
            end_turning(rpc);
        if (!right && !take_what_came(request, message, &event, error)) {
            event = RPC_WAITED;
            break;
        }
        if (!right)
            break;
    }
    pthread_mutex_unlock(&rpc->lock);
    return event;
}

void rpc_message_done(RpcMessage *message)
{
    cJSON_Delete(message->whole);
    *message = (RpcMessage){0};
}

size_t rpc_dropped(RpcRequest *request)
{
    pthread_mutex_lock(&request->rpc->lock);
    size_t dropped = request->dropped;
    request->dropped = 0;
    pthread_mutex_unlock(&request->rpc->lock);
    return dropped;
}

bool rpc_is_missing(const RpcRequest *request)
{
    return request->missing;
}

int rpc_fd(const RpcRequest *request)
{
    return request->wake.read_fd;
}

void rpc_cancel(RpcRequest *request)
{
    pthread_mutex_lock(&request->rpc->lock);
    request->cancelling = true;
    wake_up(&request->rpc->wake);
    pthread_mutex_unlock(&request->rpc->lock);
}

uint64_t rpc_starts(Rpc *rpc)
{
    pthread_mutex_lock(&rpc->lock);
    uint64_t starts = rpc->starts;
    pthread_mutex_unlock(&rpc->lock);
    return starts;
}

void rpc_close(RpcRequest *request)
{
    if (!request)
        return;
    Rpc *rpc = request->rpc;
    pthread_mutex_lock(&rpc->lock);
    if (request->ended || request->line) {
        remove_request(rpc, request);
        request_free(request);
    } else {
        request->abandoned = request->cancelling = true;
        request->ends_at_ms = clock_mono_ms() + RPC_CANCEL_MS;
        for (Item *item; (item = request->first);) {
            request->first = item->next;
            item_free(item);
        }
        request->last = &request->first;
        wake_up(&rpc->wake);
    }
    pthread_mutex_unlock(&rpc->lock);
}

bool rpc_call(Rpc *rpc, const Context *context, const char *method, const char *params, cJSON **result, bool *missing, Error *error)
{
    RpcRequest *request = rpc_send(rpc, method, params, true);
    RpcMessage message;
    RpcEvent event;
    while ((event = rpc_next(request, context, &message, error)) == RPC_NOTE)
        rpc_message_done(&message);
    if (missing)
        *missing = rpc_is_missing(request);
    if (result)
        *result = event == RPC_RESULT ? cJSON_DetachItemFromObjectCaseSensitive(message.whole, "result") : NULL;
    rpc_message_done(&message);
    rpc_close(request);
    return event == RPC_RESULT;
}

bool rpc_ready(Rpc *rpc, Context *context, Error *error)
{
    RpcRequest *request = new_request(rpc, "hello", false); /* never sent: it waits for the state */
    bool right = true;
    while (right && rpc->state != RPC_READY && !request->ended) {
        wake_drain(&request->wake);
        bool mine = begin_turning(rpc);
        pthread_mutex_unlock(&rpc->lock);
        right = mine ? turn(rpc, context, error) : follow(context, request->wake.read_fd, -1, error);
        pthread_mutex_lock(&rpc->lock);
        if (mine)
            end_turning(rpc);
    }
    if (right && request->ended) {
        if (error)
            *error = request->error;
        right = false;
    }
    remove_request(rpc, request);
    pthread_mutex_unlock(&rpc->lock);
    request_free(request);
    return right;
}

void rpc_fail(Rpc *rpc, const Error *error)
{
    pthread_mutex_lock(&rpc->lock);
    if (rpc->state != RPC_DOWN) {
        rpc->error = *error;
        rpc->failing = true;
        wake_up(&rpc->wake);
    }
    pthread_mutex_unlock(&rpc->lock);
}

void rpc_rest(Rpc *rpc, const Context *context, int fd)
{
    bool right = true;
    IoWatch *watch = NULL;
    while (right) {
        struct pollfd asked = {.fd = fd, .events = POLLIN};
        if (fd >= 0 && poll(&asked, 1, 0) > 0)
            break;
        pthread_mutex_lock(&rpc->lock);
        bool mine = begin_turning(rpc);
        pthread_mutex_unlock(&rpc->lock);
        if (mine) {
            watch = fd >= 0 ? io_watch(rpc->io, fd, POLLIN, wake_ready, rpc) : NULL;
            right = turn(rpc, context, NULL);
            io_unwatch(watch);
            pthread_mutex_lock(&rpc->lock);
            end_turning(rpc);
            pthread_mutex_unlock(&rpc->lock);
        } else {
            right = follow(context, fd, rpc->wake.read_fd, NULL);
        }
    }
}
