/* A byte stream to HOST:PORT, plain or TLS, by curl's CONNECT_ONLY: the recipe and its pitfalls stand in the notes on talking to
 * schedulers (README, "How it talks to schedulers"). At most 16 connects of one Io begin together; the next ones
 * follow as those stand, or have taken 100 ms. The deadline of one starts when it begins. Callbacks run in io_turn. */
#ifndef DASKTOP_IO_STREAM_H
#define DASKTOP_IO_STREAM_H

#include "io/io.h"
#include "io/tls.h"

/* For ports that cannot be connected to directly: the path of a unix socket that leads to host:port. False: there is no way. It may take
 * some milliseconds to make one, or as long as the context lets it. Called by the thread that opens the stream. */
enum { WAY_PATH = 104 };
typedef struct Way {
    bool (*find)(void *user, const Context *context, const char *host, int port, char path[WAY_PATH], Error *error);
    void *user;
} Way;

typedef struct StreamTarget {
    const char *host;       /* name or address; IPv6 without brackets */
    int port;
    const Tls *tls;         /* NULL: plain */
    const char *connect_to; /* "HOST:PORT" that is really connected to, while host is the TLS name (Gateway); NULL */
    const Way *way;         /* NULL: directly */
    int64_t connect_ms;     /* resolver, TCP and TLS together */
} StreamTarget;

typedef struct StreamEvents {
    void (*connected)(void *user);
    void (*bytes)(void *user, const char *bytes, size_t n);
    /* refused: ERROR_UNREACHABLE; no answer: ERROR_TIMEOUT; TLS refused: ERROR_DENIED (wording says what); closed by the other side:
     * code OK before anything was wrong. Called once; the stream is closed, stream_close is still due. */
    void (*ended)(void *user, const Error *error);
    void *user;
} StreamEvents;

typedef struct Stream Stream;
/* The context is that of finding a way; nothing else is waited for. */
Stream *stream_open(Io *io, const Context *context, const StreamTarget *target, const StreamEvents *events, Error *error);
bool stream_send(Stream *stream, const void *bytes, size_t n); /* copied; false when it is closed */
void stream_close(Stream *stream);                             /* NULL is allowed */

#endif
