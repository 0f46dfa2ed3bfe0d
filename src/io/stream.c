#include "io/stream.h"

#include "base/buffer.h"
#include "base/mem.h"
#include "io/inside.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECTS_MAX = 16, CONNECT_SLOW_MS = 100, ROUNDS_MAX = 64, READ_SIZE = 16384, CONNECT_DEFAULT_MS = 10000 };

typedef enum StreamState { STREAM_WAITS, STREAM_CONNECTS, STREAM_OPEN, STREAM_ENDED } StreamState;

struct Stream {
    Io *io;
    IoPart part;
    IoTransfer transfer;
    struct curl_slist *connect_to;
    StreamState state;
    Stream *next;      /* in the line for admission */
    char *url, *label; /* label: HOST:PORT for people */
    Tls *tls;
    char *way; /* the unix socket that leads there; NULL */
    int64_t connect_ms;
    StreamEvents events;
    IoTimer *timer; /* the connect's deadline; after it, a pump that was cut short */
    IoTimer *slow;  /* while its connect holds one of the places */
    IoWatch *watch;
    Buffer out;
    int busy;    /* calls of ours that still look at it */
    bool closed; /* freed when busy is 0 */
    bool heard;  /* a byte has come */
    char detail[CURL_ERROR_SIZE];
};

static void admit(Io *io);
static void pump(Stream *stream, bool just_connected);

static void stream_free(void *owner) {
    Stream *stream = owner;
    curl_slist_free_all(stream->connect_to);
    buffer_done(&stream->out);
    tls_drop(stream->tls);
    free(stream->url);
    free(stream->label);
    free(stream->way);
    free(stream);
}

static void leave_line(Stream *stream) {
    IoStreams *streams = io_streams(stream->io);
    Stream *before = NULL;
    for (Stream *at = streams->first; at; before = at, at = at->next) {
        if (at != stream)
            continue;
        if (before)
            before->next = at->next;
        else
            streams->first = at->next;
        if (streams->last == at)
            streams->last = before;
        return;
    }
}

static void give_place(Stream *stream) {
    if (!stream->slow)
        return;
    io_timer_cancel(stream->slow);
    stream->slow = NULL;
    io_streams(stream->io)->connecting--;
}

/* Who hangs must not keep the others waiting. */
static void is_slow(void *user) {
    Stream *stream = user;
    Io *io = stream->io;
    stream->slow = NULL;
    io_streams(io)->connecting--;
    admit(io);
}

/* Leaves what its state holds: the line, one of the connects, the watch and the timer. */
static void let_go(Stream *stream) {
    if (stream->state == STREAM_WAITS)
        leave_line(stream);
    give_place(stream);
    io_timer_cancel(stream->timer);
    stream->timer = NULL;
    io_unwatch(stream->watch);
    stream->watch = NULL;
    stream->state = STREAM_ENDED;
}

/* The last look at it: after this it may be gone. */
static void leave(Stream *stream) {
    if (--stream->busy == 0 && stream->closed)
        io_transfer_end(stream->io, &stream->transfer, stream_free);
}

static void end(Stream *stream, const Error *error) {
    if (stream->state == STREAM_ENDED)
        return;
    Io *io = stream->io;
    stream->busy++;
    let_go(stream);
    io_transfer_remove(io, &stream->transfer); /* closes the socket */
    if (stream->events.ended && !stream->closed)
        stream->events.ended(stream->events.user, error);
    leave(stream);
    admit(io);
}

static void timed_out(void *user) {
    Stream *stream = user;
    stream->timer = NULL;
    Error error = {0};
    io_curl_error(&error, CURLE_OPERATION_TIMEDOUT, NULL, stream->label, "");
    end(stream, &error);
}

static void pump_on(void *user) {
    Stream *stream = user;
    stream->timer = NULL;
    pump(stream, false);
}

static void end_closed(Stream *stream, CURLcode code) {
    Error error = {0};
    /* A scheduler that misses our certificate lets the handshake end well (TLS 1.3) and says so on the first read. */
    if (code != CURLE_OK && stream->tls && !stream->heard)
        error_set(&error, ERROR_DENIED, NULL, NULL, "%s: %s", stream->label,
                  stream->tls->cert ? "it ended the TLS connection before saying anything; it may not accept our certificate"
                                    : "it ended the TLS connection before saying anything; it may want a client certificate");
    end(stream, &error);
}

static void set_events(Stream *stream) {
    if (stream->state == STREAM_OPEN)
        io_watch_events(stream->watch, (short)(POLLIN | (stream->out.length ? POLLOUT : 0)));
}

static bool flush(Stream *stream) {
    size_t sent_all = 0;
    CURLcode code = CURLE_OK;
    while (sent_all < stream->out.length) {
        size_t sent = 0;
        code = curl_easy_send(stream->transfer.easy, stream->out.bytes + sent_all, stream->out.length - sent_all, &sent);
        if (code != CURLE_OK)
            break;
        if (sent == 0)
            break;
        sent_all += sent;
    }
    buffer_cut_front(&stream->out, sent_all);
    /* What the other side said before it closed is still to be read: the end comes from reading. */
    if (code != CURLE_OK && code != CURLE_AGAIN)
        buffer_clear(&stream->out);
    set_events(stream);
    return stream->state == STREAM_OPEN;
}

/* Reads until AGAIN: after a short read, what lies in OpenSSL's buffer makes no descriptor readable. */
static void pump(Stream *stream, bool just_connected) {
    char bytes[READ_SIZE];
    stream->busy++;
    for (int round = 0; stream->state == STREAM_OPEN && !stream->closed; round++) {
        if (round == ROUNDS_MAX) {
            if (!stream->timer)
                stream->timer = io_after(stream->io, 0, pump_on, stream);
            break;
        }
        size_t n = 0;
        CURLcode code = curl_easy_recv(stream->transfer.easy, bytes, sizeof bytes, &n);
        /* The first read comes before anybody is told: until it the pool takes the connection for an idle one. */
        if (just_connected && stream->events.connected)
            stream->events.connected(stream->events.user);
        just_connected = false;
        if (stream->closed || stream->state != STREAM_OPEN)
            break;
        if (code == CURLE_AGAIN)
            break;
        if (code != CURLE_OK || n == 0) {
            end_closed(stream, code);
            break;
        }
        stream->heard = true;
        if (stream->events.bytes)
            stream->events.bytes(stream->events.user, bytes, n);
    }
    leave(stream);
}

static void ready(void *user, int fd, short events) {
    Stream *stream = user;
    (void)fd;
    stream->busy++;
    if (events & (POLLOUT | POLLERR | POLLHUP))
        flush(stream);
    if (stream->state == STREAM_OPEN && (events & ~POLLOUT))
        pump(stream, false);
    leave(stream);
}

static void connect_done(void *owner, CURLcode code) {
    Stream *stream = owner;
    curl_socket_t fd = CURL_SOCKET_BAD;
    if (stream->state != STREAM_CONNECTS)
        return;
    if (code == CURLE_OK && curl_easy_getinfo(stream->transfer.easy, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK &&
        fd == CURL_SOCKET_BAD)
        code = CURLE_COULDNT_CONNECT;
    if (code != CURLE_OK) {
        Error error = {0};
        io_curl_error(&error, code, NULL, stream->label, stream->detail);
        end(stream, &error);
        return;
    }
    Io *io = stream->io;
    give_place(stream);
    io_timer_cancel(stream->timer);
    stream->timer = NULL;
    stream->state = STREAM_OPEN;
    stream->watch = io_watch(io, fd, POLLIN, ready, stream);
    set_events(stream);
    pump(stream, true);
    admit(io);
}

static bool set_up(Stream *stream, Error *error) {
    CURL *easy = stream->transfer.easy = io_easy(stream->tls, error);
    if (!easy)
        return false;
    curl_easy_setopt(easy, CURLOPT_URL, stream->url);
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* else the environment's proxy gets it all */
    curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L); /* FORBID_REUSE stays off: it closes the connection once it stands */
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)stream->connect_ms);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 1024L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, stream->detail);
    if (stream->way)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, stream->way);
    else if (stream->connect_to)
        curl_easy_setopt(easy, CURLOPT_CONNECT_TO, stream->connect_to);
    stream->transfer.done = connect_done;
    stream->transfer.owner = stream;
    return true;
}

static bool start(Stream *stream, Error *error) {
    if (!set_up(stream, error) || !io_transfer_add(stream->io, &stream->transfer, error))
        return false;
    stream->state = STREAM_CONNECTS;
    io_streams(stream->io)->connecting++;
    stream->slow = io_after(stream->io, CONNECT_SLOW_MS, is_slow, stream);
    stream->timer = io_after(stream->io, stream->connect_ms, timed_out, stream);
    return true;
}

static void admit(Io *io) {
    IoStreams *streams = io_streams(io);
    while (streams->first && streams->connecting < CONNECTS_MAX) {
        Stream *stream = streams->first;
        Error error = {0};
        leave_line(stream);
        if (!start(stream, &error)) {
            end(stream, &error); /* admits the next ones itself */
            return;
        }
    }
}

static void stream_drop(void *owner) {
    Stream *stream = owner;
    stream->closed = true;
    io_part_remove(&stream->part);
    let_go(stream);
    stream->transfer.owner = stream;
    io_transfer_end(stream->io, &stream->transfer, stream_free);
}

static bool target_is_good(const StreamTarget *target, Error *error) {
    if (!target->host || !*target->host || strpbrk(target->host, "/@?#[] \t\r\n\\%\"<>^`{}|") || target->port < 1 ||
        target->port > 65535)
        return error_set(error, ERROR_USAGE, NULL, NULL, "%s:%d is no address", target->host ? target->host : "", target->port);
    return true;
}

Stream *stream_open(Io *io, const Context *context, const StreamTarget *target, const StreamEvents *events, Error *error) {
    char way[WAY_PATH];
    if (!target_is_good(target, error))
        return NULL;
    if (target->way && !target->way->find(target->way->user, context, target->host, target->port, way, error))
        return NULL;
    Stream *stream = mem_new(sizeof *stream);
    bool six = strchr(target->host, ':') != NULL;
    stream->io = io;
    stream->label = mem_format(six ? "[%s]:%d" : "%s:%d", target->host, target->port);
    stream->url = mem_format("%s://%s", target->tls ? "https" : "http", stream->label);
    stream->tls = target->tls ? tls_keep((Tls *)(uintptr_t)target->tls) : NULL;
    stream->way = target->way ? mem_text(way) : NULL;
    stream->connect_ms = target->connect_ms > 0 ? target->connect_ms : CONNECT_DEFAULT_MS;
    stream->events = *events;
    buffer_init(&stream->out, 64u << 20);
    if (target->connect_to) {
        char *entry = mem_format("::%s", target->connect_to);
        stream->connect_to = curl_slist_append(NULL, entry);
        free(entry);
    }
    stream->transfer.owner = stream;
    IoStreams *streams = io_streams(io);
    if (streams->connecting < CONNECTS_MAX) {
        if (!start(stream, error)) {
            io_transfer_end(io, &stream->transfer, stream_free);
            return NULL;
        }
    } else {
        *(streams->first ? &streams->last->next : &streams->first) = stream;
        streams->last = stream;
    }
    io_part_add(io, &stream->part, stream_drop, stream);
    return stream;
}

bool stream_send(Stream *stream, const void *bytes, size_t n) {
    if (stream->state == STREAM_ENDED || stream->closed || !buffer_add(&stream->out, bytes, n))
        return false;
    set_events(stream);
    return true;
}

void stream_close(Stream *stream) {
    if (!stream || stream->closed)
        return;
    Io *io = stream->io;
    stream->closed = true;
    io_part_remove(&stream->part);
    stream->busy++;
    let_go(stream);
    leave(stream);
    admit(io);
}
