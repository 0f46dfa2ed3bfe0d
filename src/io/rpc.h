/* JSON-RPC 2.0 with a child process: one message a line over its standard input and output (contract, section 3).
 *
 * One long-lived child, started when it is first needed, shared by any number of threads; requests overlap. There is no thread
 * of its own: whoever waits for an answer turns the poll loop for all, and hands it on when it leaves; between requests the
 * instance's thread does so in rpc_rest. So its output is always read. The child's standard error goes to the log.
 *
 * Nothing that the child does is trusted. A misdeed (see rpc_fail) ends the child and every open request with one error; the next
 * request starts it anew, after a pause that doubles. All functions may be called by any thread; a request belongs to one. */
#ifndef DASKTOP_IO_RPC_H
#define DASKTOP_IO_RPC_H

#include "base/json.h"
#include "base/list.h"
#include "io/io.h"

typedef struct Rpc Rpc;
typedef struct RpcRequest RpcRequest;

enum { RPC_LINE_MAX = 8 << 20, RPC_QUEUE_MAX = 64 << 20, RPC_RING_MAX = 8 << 20, RPC_CANCEL_MS = 10000 };

typedef struct RpcSpec {
    const char *where;            /* for errors and the log; all of these are copied */
    const List *command;          /* command[0] is looked up in PATH */
    const List *environment;      /* "NAME=value", all of it */
    const char *directory;        /* NULL: ours */
    const void *preamble;         /* written before the first message; NULL */
    size_t preamble_length;
    const char *hello;            /* params of `hello`, the first request of each child */
    int64_t hello_ms;             /* for its answer */
    /* Judges that answer, on the thread that turns the loop: false refuses the child. */
    bool (*welcome)(void *user, const cJSON *result, Error *error);
    void *user;
} RpcSpec;

Rpc *rpc_new(const RpcSpec *spec, Error *error);
void rpc_free(Rpc *rpc); /* closes its input, ends its group; nobody else uses it any more */

/* Until `hello` was answered well; starts the child where there is none. */
bool rpc_ready(Rpc *rpc, Context *context, Error *error);

/* Queues a request; params is a JSON object. ring: of its notes the oldest are dropped (rpc_dropped) once 8 MiB wait; else more than
 * 64 MiB waiting is a misdeed. */
RpcRequest *rpc_send(Rpc *rpc, const char *method, const char *params, bool ring);

typedef enum RpcEvent { RPC_NOTE, RPC_RESULT, RPC_ERROR, RPC_WAITED } RpcEvent;

typedef struct RpcMessage {
    cJSON *whole;        /* owned by the caller: rpc_message_done */
    const char *method;  /* of a note; borrowed from whole, as the rest */
    const cJSON *params; /* of a note, never NULL: an object */
    const cJSON *result;
    size_t bytes;        /* as it came */
} RpcMessage;

/* The next of what came for it, in order: notes, then the result or an error. RPC_WAITED: the context ended before (error says how). */
RpcEvent rpc_next(RpcRequest *request, const Context *context, RpcMessage *message, Error *error);
void rpc_message_done(RpcMessage *message);
size_t rpc_dropped(RpcRequest *request); /* notes since the last call */
bool rpc_is_missing(const RpcRequest *request); /* it ended because the child has no such method (-32601) */
/* Readable once something came or it has ended; for rpc_next's owner, until rpc_close. */
int rpc_fd(const RpcRequest *request);
void rpc_cancel(RpcRequest *request); /* tells the child; its end still comes through rpc_next */
uint64_t rpc_starts(Rpc *rpc);        /* how often the child was started */
/* Frees it; what was not answered is cancelled, and a child that has not ended it 10 s later is started anew. */
void rpc_close(RpcRequest *request);

/* Sends, drops its notes, waits. *result (owned by the caller) may be NULL in the child's answer's place. */
bool rpc_call(Rpc *rpc, const Context *context, const char *method, const char *params, cJSON **result, bool *missing, Error *error);

/* A misdeed that the caller found: ends the child, all requests with it. */
void rpc_fail(Rpc *rpc, const Error *error);
/* Turns the loop until the context ends or the descriptor (-1: none) is readable. */
void rpc_rest(Rpc *rpc, const Context *context, int fd);

#endif
