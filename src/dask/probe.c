#include "dask/probe.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "dask/probe_memory.h"
#include "io/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHEAP_MOST_BYTES = 1 << 20,   /* of an identity without workers, versions, an idle check; ncores takes 25 bytes a worker */
    DETAIL_MOST_BYTES = 32 << 20, /* of a full identity: 740 bytes a worker */
    DETAIL_MOST_WORKERS = 2000,
    COUNTS_MOST_BYTES = 64 << 10,
    DEAR_LEAST_MS = 15000,
    STRANGER_MS = 300000,         /* how long a port that is not Dask's is left alone */
    STILL_SILENT_MS = 150,        /* how long one that was silent in the last round is waited for again */
    QUEUE_MOST = 8,
    BEHIND_ONE_MOST = 64,         /* requests at a time that somebody passes on to schedulers, */
    HANGS_MS = 250,               /* beside those that have not been answered for so long: who hangs holds nobody up */
};

typedef enum Call { CALL_NONE, CALL_IDENTITY, CALL_LIGHT_IDENTITY, CALL_VERSIONS, CALL_NCORES, CALL_IDLE, CALL_EVENTS, CALL_DETAIL, CALL_PUBLISHED } Call;

/* A target through the rounds: its connection and what is under way on it. */
typedef struct Peer {
    Prober *prober;
    char *key;
    const ProbeTarget *target; /* of this round; NULL: not named in it */
    Stream *stream;
    CommReader reader;
    bool reader_open;
    bool said_hello, heard_hello; /* our handshake went out; its came in */
    bool verified;             /* its identity was read on this connection */
    bool started_over;         /* on this connection what was remembered turned out to be another's */
    bool kept;                 /* it was open when this round began */
    bool doubtful;             /* it may be another version by now: asked before anything that only some know */
    bool any_byte;
    Call queue[QUEUE_MOST];    /* asked and not answered, in order */
    int64_t asked_us[QUEUE_MOST];
    size_t queued;
    Http *http;
    int64_t http_asked_us;
    bool running;              /* in this round: not told yet */
    bool cheap_told;           /* `more` was called */
    bool identified;           /* in this round its identity came */
    bool dear_begun;           /* in this round */
    bool was_silent;           /* in the last round, its connection is still open */
    int64_t begin_us, first_ms, whole_ms; /* deadlines of this round, monotonic */
    ProbeResult result;
    Error error;
} Peer;

struct Prober {
    Io *io;
    char *where;
    ProbeMemory memory;
    Map peers;            /* key -> Peer */
    size_t running, hanging; /* hanging: of the running */
    int64_t begin_ms;     /* of the round, monotonic */
    ProbeTell more, tell;
    void *user;
    const Context *context; /* of the round that runs */
};

static void ask_next(Peer *peer);
static void finish(Peer *peer, ProbeResult result, const Error *error);
static void open_peer(Peer *peer);

static Known *known_of(Peer *peer)
{
    return probe_memory_get(&peer->prober->memory, peer->key);
}

/* ----------------------------------------------------------------------------------------------------------------- budget */

/* May a dear call be made now? Never sooner than 15 s, or 1,000 times what it took. A clock that went back does not lock it out. */
static bool is_due(const Peer *peer, const Dear *dear)
{
    int64_t now = clock_wall_ms(), pause = dear->took_us > DEAR_LEAST_MS ? dear->took_us : DEAR_LEAST_MS; /* 1,000 t in ms = t in us */
    if (peer->target->depth != DEPTH_FULL)
        return false;
    return peer->target->fresh || dear->at_ms == TIME_UNKNOWN || dear->at_ms > now || now - dear->at_ms >= pause;
}

static void charge(Peer *peer, Dear *dear, int64_t asked_us)
{
    *dear = (Dear){clock_wall_ms(), clock_mono_us() - asked_us};
    peer->prober->memory.changed = true;
}

/* ------------------------------------------------------------------------------------------------------------- connection */

static void close_stream(Peer *peer)
{
    stream_close(peer->stream);
    peer->stream = NULL;
    if (peer->reader_open)
        comm_reader_done(&peer->reader);
    peer->reader_open = peer->said_hello = peer->heard_hello = peer->any_byte = peer->verified = peer->started_over = peer->was_silent = false;
    peer->queued = 0;
}

static void peer_free(void *pointer)
{
    Peer *peer = pointer;
    close_stream(peer);
    http_cancel(peer->http);
    free(peer->key);
    free(peer);
}

static void ask(Peer *peer, Call call)
{
    static const char *const names[] = {[CALL_IDENTITY] = "identity", [CALL_LIGHT_IDENTITY] = "identity", [CALL_VERSIONS] = "versions",
                                        [CALL_NCORES] = "ncores",     [CALL_IDLE] = "check_idle",         [CALL_EVENTS] = "events",
                                        [CALL_DETAIL] = "identity",   [CALL_PUBLISHED] = "publish_list"};
    Request request;
    Buffer wrapped;
    if (peer->queued == QUEUE_MOST || !peer->stream)
        return;
    request_begin(&request, names[call], call == CALL_LIGHT_IDENTITY || call == CALL_EVENTS);
    if (call == CALL_LIGHT_IDENTITY)
        request_integer(&request, "n_workers", 0);
    if (call == CALL_EVENTS)
        request_text(&request, "topic", "scheduler");
    buffer_init(&wrapped, 4096);
    comm_wrap(&wrapped, request.buffer.data, request.buffer.size);
    if (stream_send(peer->stream, wrapped.bytes, wrapped.length)) {
        peer->asked_us[peer->queued] = clock_mono_us();
        peer->queue[peer->queued++] = call;
    }
    buffer_done(&wrapped);
    request_done(&request);
}

/* -------------------------------------------------------------------------------------------------------------- telling */

static void fill_facts(Peer *peer, ProbeFacts *facts)
{
    const Known *known = known_of(peer);
    bool scheduler = known->role == DASK_SCHEDULER;
    *facts = (ProbeFacts){
        .result = peer->result, .error = peer->error, .role = known->role, .id = known->id, .address = known->address,
        .scheduler = known->scheduler, .http_port = known->http_port, .python = known->python, .dask = known->dask,
        .distributed = known->distributed, .started_ms = clock_here_ms(known->started_ms, known->ahead_ms),
        .workers = scheduler ? known->workers : NUMBER_UNKNOWN, .threads = scheduler ? known->threads : NUMBER_UNKNOWN,
        .memory = scheduler ? known->memory : NUMBER_UNKNOWN, .memory_used = known->memory_used, .spilled = known->spilled,
        .paused = known->paused, .busy = known->busy, .idle_since_ms = clock_here_ms(known->idle_since_ms, known->ahead_ms), .idle_longer = known->idle_longer,
        .counts = known->counts, .counts_ms = known->count_call.at_ms, .ahead_ms = known->ahead_ms, .detail_ms = known->detail_call.at_ms,
        .took_us = clock_mono_us() - peer->begin_us,
    };
}

static void finish(Peer *peer, ProbeResult result, const Error *error)
{
    ProbeFacts facts;
    if (!peer->running)
        return;
    http_cancel(peer->http);
    peer->http = NULL;
    peer->running = false;
    peer->prober->running--;
    peer->result = result;
    peer->error = error ? *error : (Error){0};
    Known *known = known_of(peer);
    known_judge_idleness(known);
    known->used_ms = clock_wall_ms();
    if (result == PROBE_STRANGER || result == PROBE_OLD) {
        known->stranger_ms = known->used_ms;
        known->old = result == PROBE_OLD;
        peer->prober->memory.changed = true;
    }
    fill_facts(peer, &facts);
    peer->prober->tell(peer->prober->user, peer->target, &facts);
}

static void tell_more(Peer *peer)
{
    ProbeFacts facts;
    if (peer->cheap_told || !peer->prober->more)
        return;
    peer->cheap_told = true;
    peer->result = PROBE_ANSWERED;
    fill_facts(peer, &facts);
    peer->prober->more(peer->prober->user, peer->target, &facts);
}

/* ------------------------------------------------------------------------------------------------------------ dear calls */

/* Whoever stands in between says that the scheduler was not reached, or not to be: false, and it has ended. One that has been spoken with is
 * there, whatever is said of its dashboard. */
static bool was_reached(Peer *peer, const HttpReply *reply, const Error *error)
{
    const ProbeHttp *http = peer->target->http;
    Error why = *error;
    if (!http || !peer->target->http_only || (error->code == ERROR_OK && reply->status == 200))
        return true;
    if (error->code == ERROR_OK)
        http->refused(http->user, reply, &why);
    ProbeResult result = why.code == ERROR_TIMEOUT ? PROBE_SILENT : why.code == ERROR_BUSY ? PROBE_REFUSED : PROBE_NO_ROUTE;
    finish(peer, result, &why);
    return false;
}

static void on_counts(void *user, HttpReply *reply, const Error *error)
{
    Peer *peer = user;
    Known *known = known_of(peer);
    DaskCounts counts;
    peer->http = NULL;
    charge(peer, &known->count_call, peer->http_asked_us);
    if (reply->status)
        known->ahead_ms = clock_ahead_ms(reply->date_ms, known->ahead_ms);
    bool right = error->code == ERROR_OK && reply->status == 200 && dask_counts_decode(reply->body.bytes, reply->body.length, &counts, NULL);
    if (!right)
        dask_counts_decode("", 0, &counts, NULL); /* all unknown */
    known_take_counts(known, &counts, right && peer->target->http_only, peer->target->http != NULL);
    bool reached = was_reached(peer, reply, error);
    if (error->code == ERROR_OK)
        http_reply_done(reply);
    if (!reached)
        return;
    if (right && counts.clients > 0 && peer->stream && peer->heard_hello)
        ask(peer, CALL_PUBLISHED);
    ask_next(peer);
}

static bool start_http(Peer *peer, const char *path, size_t most_bytes, HttpDone done)
{
    const ProbeTarget *target = peer->target;
    int port = target->http_port ? target->http_port : known_of(peer)->http_port;
    const char *host = target->http_host ? target->http_host : target->stream.host;
    bool named = target->stream.connect_to && !target->http_host; /* its host is a name of TLS, not one to be looked up */
    if (!target->http_base && (!port || !host || named))
        return false;
    const Way *way = target->stream.way;
    char socket[WAY_PATH];
    if (way && !target->http_base && !way->find(way->user, peer->prober->context, host, port, socket, NULL))
        return false;
    if (target->http) {
        int64_t left = peer->whole_ms - clock_mono_ms();
        HttpRequest request = {.where = peer->prober->where, .timeout_ms = left > 1 ? left : 1, .most_bytes = most_bytes};
        char *whole = mem_format("%s%s", target->http_base, path);
        peer->http_asked_us = clock_mono_us();
        peer->http = target->http->start(target->http->user, peer->prober->io, &request, whole, done, peer, NULL);
        free(whole);
        return peer->http != NULL;
    }
    char *url = target->http_base ? mem_format("%s%s", target->http_base, path)
                                  : mem_format(strchr(host, ':') ? "http://[%s]:%d%s" : "http://%s:%d%s", host, port, path);
    int64_t left = peer->whole_ms - clock_mono_ms();
    HttpRequest request = {.where = peer->prober->where, .url = url, .unix_socket = way && !target->http_base ? socket : NULL,
                           .timeout_ms = left > 1 ? left : 1, .most_bytes = most_bytes};
    peer->http_asked_us = clock_mono_us();
    peer->http = http_start(peer->prober->io, &request, done, peer, NULL);
    free(url);
    return peer->http != NULL;
}

/* Since when it is idle, in the way that its version knows; an operation that it does not know would be a warning in its log. */
static Call idle_call(const Known *known)
{
    return known_has_idle_check(known) ? CALL_IDLE : CALL_EVENTS;
}

static void begin_dear(Peer *peer)
{
    Known *known = known_of(peer);
    peer->dear_begun = true;
    if (known->role != DASK_SCHEDULER)
        return;
    if (peer->stream && is_due(peer, &known->idle_call))
        ask(peer, idle_call(known));
    if (is_due(peer, &known->count_call) && !start_http(peer, "/json/counts.json", COUNTS_MOST_BYTES, on_counts))
        charge(peer, &known->count_call, clock_mono_us());
    bool small = known->workers != NUMBER_UNKNOWN && known->workers > 0 && known->workers <= DETAIL_MOST_WORKERS;
    if (peer->stream && small && is_due(peer, &known->detail_call))
        ask(peer, CALL_DETAIL);
    else if (known->workers == 0) {
        known->memory_used = known->spilled = known->paused = 0;
    }
}

/* -------------------------------------------------------------------------------------------------------- what to ask next */

/* On a scheduler whose version is known: the cheap calls of a round, all at once; they are answered in order. */
static void ask_cheap(Peer *peer)
{
    Known *known = known_of(peer);
    bool light = dask_version_least(known_version(known), 2025, 4, 0);
    bool remembered = known->id && (peer->target->proven || peer->verified);
    if (light)
        ask(peer, CALL_LIGHT_IDENTITY);
    else
        ask(peer, remembered && !is_due(peer, &known->detail_call) ? CALL_NCORES : CALL_IDENTITY);
    if (is_due(peer, &known->idle_call))
        ask(peer, idle_call(known));
}

static void ask_next(Peer *peer)
{
    Known *known = known_of(peer);
    if (!peer->running || peer->queued || peer->http)
        return;
    if (!peer->said_hello && !peer->target->http_only)
        return;
    if (!peer->identified && !peer->target->http_only) {
        bool is_scheduler = known->role == DASK_SCHEDULER || (known->role == DASK_UNKNOWN && peer->target->role == DASK_SCHEDULER);
        if (is_scheduler && known->distributed && !peer->doubtful)
            ask_cheap(peer);
        else
            ask(peer, is_scheduler ? CALL_VERSIONS : CALL_IDENTITY);
        return;
    }
    if (known->role == DASK_SCHEDULER && !known->distributed && !peer->target->http_only) {
        ask(peer, CALL_VERSIONS);
        return;
    }
    if (known->role == DASK_SCHEDULER)
        tell_more(peer);
    if (!peer->dear_begun)
        begin_dear(peer);
    if (!peer->queued && !peer->http)
        finish(peer, PROBE_ANSWERED, NULL);
}

/* --------------------------------------------------------------------------------------------------------------- answers */

/* Another one has its place: what was remembered is forgotten, and what was asked on its account is answered to nobody. */
static void start_over(Peer *peer)
{
    known_clear(known_of(peer));
    peer->prober->memory.changed = true;
    peer->dear_begun = false;
    peer->started_over = true;
    for (size_t i = 0; i < peer->queued; i++)
        peer->queue[i] = CALL_NONE;
}

static void take_identity(Peer *peer, DaskIdentity *identity, Call call, int64_t asked_us)
{
    Known *known = known_of(peer);
    if (known_is_another(known, identity->id, identity->role))
        start_over(peer);
    known_take_identity(known, identity);
    known->used_ms = clock_wall_ms();
    peer->prober->memory.changed = true;
    peer->identified = peer->verified = true;
    if (call != CALL_LIGHT_IDENTITY && identity->role == DASK_SCHEDULER) {
        known_take_detail(known, identity);
        charge(peer, &known->detail_call, asked_us);
    }
}

static bool answer_identity(Peer *peer, Value *reply, Call call, int64_t asked_us)
{
    DaskIdentity identity;
    if (!dask_identity_decode(reply, &identity)) {
        /* a version from before n_workers took its place: asked once more, as one that is not known */
        if (call != CALL_LIGHT_IDENTITY || peer->verified || peer->started_over)
            return false;
        start_over(peer);
        return true;
    }
    take_identity(peer, &identity, call, asked_us);
    dask_identity_done(&identity);
    return true;
}

static bool answer(Peer *peer, Value *reply)
{
    Known *known = known_of(peer);
    Call call = peer->queue[0];
    int64_t asked_us = peer->asked_us[0];
    if (!peer->queued)
        return false;
    peer->queued--;
    memmove(peer->queue, peer->queue + 1, peer->queued * sizeof *peer->queue);
    memmove(peer->asked_us, peer->asked_us + 1, peer->queued * sizeof *peer->asked_us);
    switch (call) {
    case CALL_NONE:
        return true;
    case CALL_VERSIONS:
        known_take_versions(known, reply);
        peer->doubtful = false;
        peer->prober->memory.changed = true;
        return true;
    case CALL_NCORES:
        return peer->identified = known_take_ncores(known, reply);
    case CALL_IDLE:
        charge(peer, &known->idle_call, asked_us);
        known_take_idle(known, reply);
        return true;
    case CALL_EVENTS:
        charge(peer, &known->idle_call, asked_us);
        known_take_events(known, reply);
        return true;
    case CALL_PUBLISHED:
        known_take_published(known, reply);
        return true;
    default:
        return answer_identity(peer, reply, call, asked_us);
    }
}

static void set_deadlines(Peer *peer, int64_t first_ms, int64_t whole_ms)
{
    int64_t now = clock_mono_ms();
    peer->first_ms = now + first_ms;
    peer->whole_ms = now + whole_ms;
}

/* A connection that is no use any more; what it was a part of ends. */
static void give_up(Peer *peer, ProbeResult result, ErrorCode code, const char *what)
{
    Error error;
    error_set(&error, code, peer->prober->where, NULL, "%s", what);
    close_stream(peer);
    finish(peer, result, &error);
}

static void say_hello(Peer *peer)
{
    Buffer hello;
    if (peer->said_hello)
        return;
    buffer_init(&hello, 4096);
    comm_handshake(&hello);
    stream_send(peer->stream, hello.bytes, hello.length);
    buffer_done(&hello);
    peer->said_hello = true;
}

/* One whole message came. False: the connection is closed by now. */
static bool on_message(Peer *peer)
{
    Message message;
    Error error;
    size_t n;
    const char *frame = comm_frame(&peer->reader, &n);
    if (!message_decode(frame, n, &message, peer->prober->where, &error)) {
        give_up(peer, peer->heard_hello ? PROBE_PARTIAL : PROBE_STRANGER, ERROR_BAD_REPLY, error.what);
        return false;
    }
    bool right, hello = peer->heard_hello;
    if (hello) {
        right = answer(peer, &message.root);
    } else {
        right = comm_is_handshake(&message);
        if (right) {
            peer->heard_hello = true;
            say_hello(peer);
            comm_reader_done(&peer->reader);
            comm_reader_init(&peer->reader, DETAIL_MOST_BYTES);
        }
    }
    message_done(&message);
    if (!right) {
        give_up(peer, hello ? PROBE_PARTIAL : PROBE_STRANGER, ERROR_BAD_REPLY,
                hello ? "its answer is not what a scheduler answers" : "this is not Dask");
        return false;
    }
    ask_next(peer);
    return peer->stream != NULL;
}

static void on_bytes(void *user, const char *bytes, size_t n)
{
    Peer *peer = user;
    peer->any_byte = true;
    peer->was_silent = false;
    while (n) {
        size_t used;
        Error error;
        CommStep step = comm_feed(&peer->reader, bytes, n, &used, &error);
        bytes += used;
        n -= used;
        if (step == COMM_BAD) {
            bool old = peer->reader.old_framing;
            give_up(peer, old ? PROBE_OLD : peer->heard_hello ? PROBE_PARTIAL : PROBE_STRANGER, old ? ERROR_UNSUPPORTED : ERROR_BAD_REPLY, error.what);
            return;
        }
        if (step == COMM_MORE)
            return;
        if (!on_message(peer))
            return;
    }
}

/* The server speaks first, and nobody gets a byte before. Only where this very process has spoken Dask on this very port (a proven
 * key, remembered), ours goes out at once with the questions: a busy host wakes each scheduler once instead of twice. */
static void on_connected(void *user)
{
    Peer *peer = user;
    const Known *known = known_of(peer);
    if (!peer->running || !peer->target->proven || known->role != DASK_SCHEDULER || !known->distributed)
        return;
    say_hello(peer);
    ask_next(peer);
}

static void on_ended(void *user, const Error *error)
{
    Peer *peer = user;
    bool hello = peer->heard_hello, begun = peer->any_byte;
    bool again = peer->running && peer->kept && !peer->identified && (error->code == ERROR_OK || error->code == ERROR_UNREACHABLE);
    Error why = *error;
    close_stream(peer);
    if (again) { /* the end of a connection from an earlier round says nothing of who listens there now */
        peer->kept = false;
        peer->doubtful = !peer->target->proven;
        set_deadlines(peer, peer->target->first_ms, peer->target->whole_ms);
        open_peer(peer);
        return;
    }
    /* what is refused behind a way, or the way itself, looks like an end before any byte: it says nothing of who listens there */
    bool no_way = peer->running && peer->target->stream.way && !hello && !begun && (error->code == ERROR_OK || error->code == ERROR_UNREACHABLE);
    if (no_way)
        error_set(&why, ERROR_UNREACHABLE, peer->prober->where, NULL, "it cannot be connected to from there");
    else if (why.code == ERROR_OK)
        error_set(&why, ERROR_UNREACHABLE, peer->prober->where, NULL, "the connection was closed by the other side");
    ProbeResult result = why.code == ERROR_DENIED || why.code == ERROR_SIGN_IN ? PROBE_TLS
                         : why.code == ERROR_TIMEOUT                           ? PROBE_SILENT
                         : hello || begun                                      ? PROBE_PARTIAL
                         : no_way                                              ? PROBE_NO_ROUTE
                         : error->code == ERROR_OK                             ? PROBE_STRANGER
                         : strstr(why.what, "refused")                         ? PROBE_REFUSED
                                                                               : PROBE_NO_ROUTE;
    finish(peer, result, &why);
}

/* --------------------------------------------------------------------------------------------------------------- rounds */

static void on_http_identity(void *user, HttpReply *reply, const Error *error)
{
    Peer *peer = user;
    peer->http = NULL;
    cJSON *json = error->code == ERROR_OK && reply->status == 200 ? json_parse(reply->body.bytes, reply->body.length, NULL, NULL) : NULL;
    bool is_scheduler = known_take_http_identity(known_of(peer), json);
    if (is_scheduler)
        charge(peer, &known_of(peer)->detail_call, peer->http_asked_us);
    cJSON_Delete(json);
    bool reached = was_reached(peer, reply, error);
    if (error->code == ERROR_OK)
        http_reply_done(reply);
    if (!reached)
        return;
    if (is_scheduler)
        ask_next(peer);
    else
        finish(peer, error->code == ERROR_OK ? PROBE_STRANGER : error->code == ERROR_TIMEOUT ? PROBE_SILENT : PROBE_REFUSED, error);
}

static void open_peer(Peer *peer)
{
    const Known *known = known_of(peer);
    Error error = {0};
    if (peer->target->http_only) {
        /* its identity lists all workers: dear; once known, the counts say enough for as long as its workers are the same */
        bool said = known->memory != NUMBER_UNKNOWN || !is_due(peer, &known->detail_call);
        if (known->role == DASK_SCHEDULER && said && !peer->target->fresh)
            ask_next(peer);
        else if (!start_http(peer, "/json/identity.json", CHEAP_MOST_BYTES, on_http_identity))
            finish(peer, PROBE_NO_ROUTE, NULL);
        return;
    }
    if (peer->stream) {
        if (peer->heard_hello)
            ask_next(peer);
        return;
    }
    StreamEvents events = {on_connected, on_bytes, on_ended, peer};
    comm_reader_init(&peer->reader, CHEAP_MOST_BYTES);
    peer->reader_open = true;
    peer->stream = stream_open(peer->prober->io, peer->prober->context, &peer->target->stream, &events, &error);
    if (!peer->stream)
        finish(peer, PROBE_NO_ROUTE, &error);
}

/* Nothing new is to be learnt of these in this round. */
static bool is_settled(Peer *peer)
{
    Known *known = known_of(peer);
    int64_t now = clock_wall_ms();
    if (peer->target->depth == DEPTH_OFF) {
        finish(peer, PROBE_NOTHING, NULL);
        return true;
    }
    if (peer->target->proven && (known->role == DASK_WORKER || known->role == DASK_NANNY)) {
        finish(peer, PROBE_ANSWERED, NULL);
        return true;
    }
    if (peer->target->proven && known->stranger_ms != TIME_UNKNOWN && known->stranger_ms <= now && now - known->stranger_ms < STRANGER_MS) {
        int64_t found = known->stranger_ms;
        bool changed = peer->prober->memory.changed;
        Error error = {0};
        if (known->old)
            error_set(&error, ERROR_UNSUPPORTED, peer->prober->where, NULL, "Dask before 2021.3: not spoken with");
        finish(peer, known->old ? PROBE_OLD : PROBE_STRANGER, &error);
        known->stranger_ms = found;
        peer->prober->memory.changed = changed;
        return true;
    }
    return false;
}

static Peer *peer_of(Prober *prober, const ProbeTarget *target)
{
    Peer *peer = map_get(&prober->peers, target->key);
    if (!peer) {
        peer = mem_new(sizeof *peer);
        peer->prober = prober;
        peer->key = mem_text(target->key);
        map_put(&prober->peers, target->key, peer);
    }
    return peer;
}

static void begin(Prober *prober, const ProbeTarget *target)
{
    Peer *peer = peer_of(prober, target);
    if (peer->target)
        return; /* named twice */
    int64_t late = clock_mono_ms() - prober->begin_ms; /* behind others, of whose time it has what is left */
    int64_t whole = late < target->whole_ms / 2 ? target->whole_ms - late : target->whole_ms / 2, first = target->first_ms < whole ? target->first_ms : whole;
    if (peer->was_silent)
        first = whole = STILL_SILENT_MS < first ? STILL_SILENT_MS : first;
    peer->target = target;
    peer->running = true;
    prober->running++;
    peer->cheap_told = peer->identified = peer->dear_begun = false;
    peer->begin_us = clock_mono_us();
    peer->kept = peer->stream != NULL;
    set_deadlines(peer, first, whole);
    if (!is_settled(peer))
        open_peer(peer);
}

static int64_t deadline_of(const Peer *peer)
{
    bool waits_for_first = !peer->heard_hello && !peer->target->http_only;
    return waits_for_first && peer->first_ms < peer->whole_ms ? peer->first_ms : peer->whole_ms;
}

/* Past its time. One that has spoken Dask keeps its connection: it answers when its loop is free, and no abandoned connection is left
 * in its log. is_early: the round ends before. */
static void expire(Peer *peer, bool is_early)
{
    Error error;
    bool spoke = peer->heard_hello || known_of(peer)->role != DASK_UNKNOWN;
    bool cheap = peer->identified || (peer->target->http_only && !peer->target->http && known_of(peer)->role == DASK_SCHEDULER);
    if (cheap) { /* only dear calls are late: what they cost is charged, what they would say is unknown */
        Known *known = known_of(peer);
        if (peer->http) {
            charge(peer, &known->count_call, peer->http_asked_us);
            dask_counts_decode("", 0, &known->counts, NULL);
        }
        for (size_t i = 0; i < peer->queued; i++) {
            Call call = peer->queue[i];
            if (call == CALL_IDLE || call == CALL_EVENTS || call == CALL_DETAIL)
                charge(peer, call == CALL_DETAIL ? &known->detail_call : &known->idle_call, peer->asked_us[i]);
        }
        peer->was_silent = peer->queued > 0;
        finish(peer, PROBE_ANSWERED, NULL);
        return;
    }
    error_set(&error, ERROR_TIMEOUT, peer->prober->where, NULL, "it accepts and says nothing");
    bool partial = peer->any_byte && !peer->heard_hello;
    bool patient = peer->target->first_ms >= peer->target->whole_ms; /* it looks like Dask: probably just busy */
    if (is_early) /* the round was ended, not its time: its connection waits for the next one, nothing was learnt */
        patient = true;
    else if (spoke || patient || peer->target->role == DASK_SCHEDULER)
        peer->was_silent = true;
    else
        close_stream(peer);
    if (!spoke && !patient && peer->target->proven && peer->target->role == DASK_UNKNOWN) {
        known_of(peer)->stranger_ms = clock_wall_ms();
        peer->prober->memory.changed = true;
    }
    finish(peer, partial ? PROBE_PARTIAL : PROBE_SILENT, &error);
}

/* Ends what is overdue, counts what hangs; the next deadline of either. */
static int64_t expire_all(Prober *prober, bool all)
{
    int64_t now = clock_mono_ms(), next = NO_DEADLINE;
    const MapEntry *entry;
    prober->hanging = 0;
    for (size_t i = 0; (entry = map_next(&prober->peers, &i));) {
        Peer *peer = entry->value;
        if (!peer->running)
            continue;
        int64_t deadline = deadline_of(peer), hangs = peer->begin_us / 1000 + HANGS_MS;
        if (all || deadline <= now) {
            expire(peer, deadline > now);
            continue;
        }
        prober->hanging += hangs <= now;
        if (hangs > now && hangs < deadline)
            deadline = hangs;
        if (deadline < next)
            next = deadline;
    }
    return next;
}

static void close_unnamed(Prober *prober)
{
    List gone = {0};
    const MapEntry *entry;
    for (size_t i = 0; (entry = map_next(&prober->peers, &i));) {
        Peer *peer = entry->value;
        if (!peer->target)
            list_add(&gone, entry->key);
        peer->target = NULL;
    }
    for (size_t i = 0; i < gone.count; i++)
        peer_free(map_remove(&prober->peers, gone.items[i]));
    list_done(&gone);
}

/* All at once, but for those behind one server that serves others too. */
static size_t begin_more(Prober *prober, const ProbeTarget *targets, size_t count, size_t next)
{
    while (next < count && (!targets[next].http || prober->running < prober->hanging + BEHIND_ONE_MOST))
        begin(prober, &targets[next++]);
    return next;
}

bool prober_run(Prober *prober, const Context *context, const ProbeTarget *targets, size_t count, ProbeTell more, ProbeTell tell, void *user,
                Error *error)
{
    prober->more = more;
    prober->tell = tell;
    prober->user = user;
    prober->context = context;
    prober->begin_ms = clock_mono_ms();
    prober->hanging = 0;
    size_t next = 0;
    bool right = true;
    while (right) {
        next = begin_more(prober, targets, count, next);
        if (!prober->running)
            break;
        Context turn = {context->cancel, expire_all(prober, false)};
        if (!prober->running)
            continue;
        if (context->deadline_ms < turn.deadline_ms)
            turn.deadline_ms = context->deadline_ms;
        Error ignored;
        if (!io_turn(prober->io, &turn, &ignored))
            right = context_check(context, prober->where, error);
    }
    while (next < count)
        begin(prober, &targets[next++]);
    if (prober->running)
        expire_all(prober, true);
    close_unnamed(prober);
    probe_memory_save(&prober->memory);
    prober->context = NULL;
    return right;
}

/* ---------------------------------------------------------------------------------------------------------------- life */

Prober *prober_new(Io *io, const char *memory_path, const char *where)
{
    Prober *prober = mem_new(sizeof *prober);
    prober->io = io;
    prober->where = mem_text(where);
    map_init(&prober->peers);
    probe_memory_open(&prober->memory, memory_path);
    return prober;
}

void prober_free(Prober *prober)
{
    if (!prober)
        return;
    map_done(&prober->peers, peer_free);
    probe_memory_done(&prober->memory);
    free(prober->where);
    free(prober);
}
