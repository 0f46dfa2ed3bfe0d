/* What the files of this layer share and nobody else includes: the multi of an Io, the transfers in it, what io_free takes along. */
#ifndef DASKTOP_IO_INSIDE_H
#define DASKTOP_IO_INSIDE_H

#include "io/cookies.h"
#include "io/curl_late.h"
#include "io/io.h"
#include "io/tls.h"

#include <sys/types.h>

/* Something that lives in an Io and has to be ended with it: a stream, a request, a child. */
typedef struct IoPart IoPart;
struct IoPart {
    void (*drop)(void *owner); /* by io_free: ends it without callbacks and removes the part */
    void *owner;
    IoPart *next, **from;
};
void io_part_add(Io *io, IoPart *part, void (*drop)(void *owner), void *owner);
void io_part_remove(IoPart *part); /* nothing happens where it is in no Io */

/* One easy handle in the multi. done runs outside of curl, so that it may do everything. */
typedef struct IoTransfer IoTransfer;
struct IoTransfer {
    CURL *easy;
    void (*done)(void *owner, CURLcode code);
    void *owner;
    void (*ended)(void *owner); /* see io_transfer_end */
    bool inside;                /* of the multi */
    bool waiting;               /* to be added when curl_multi_perform is over */
    bool pushed;                /* see io_push; set before it is added */
    IoTransfer *next;
    IoTransfer *pushed_next, **pushed_from;
};
/* curl has to be called once more, and to read for transfers that are `pushed`, whatever it says itself. From its callbacks. */
void io_push(Io *io);
bool io_transfer_add(Io *io, IoTransfer *transfer, Error *error); /* easy, done and owner are set */
/* Takes it out of the multi (it stays usable, for a second try). Not from within curl's callbacks. */
void io_transfer_remove(Io *io, IoTransfer *transfer);
/* Ends it for good: the handle is freed, then ended(owner) runs: at once, or after curl where this is called from its callbacks. */
void io_transfer_end(Io *io, IoTransfer *transfer, void (*ended)(void *owner));

/* The streams' line for admission. */
typedef struct IoStreams {
    struct Stream *first, *last;
    int connecting;
} IoStreams;
IoStreams *io_streams(Io *io);

/* A process by fork and exec, for what posix_spawn cannot do (fork.c). In a session of its own, with the usual signals and no descriptor of ours. */
typedef struct Forking {
    const char *file, *directory; /* directory: NULL */
    char **command, **environment;
    int in_fd, out_fd;            /* out_fd: of both outputs */
    bool outlives;                /* init's child; else ours, and where the system can (Linux) it gets TERM as soon as the thread that called
                                     this has ended, however: for threads that last as long as the program */
} Forking;
pid_t fork_process(const Forking *forking, int *number); /* -1 with an errno */
/* Both ends close on exec and lie above 2, so that dup2 in the child cannot step on one of them. */
bool make_pipe(int fds[2]);

/* Before a request, and after its answer. */
void cookies_give(Cookies *cookies, CURL *easy);
void cookies_take(Cookies *cookies, CURL *easy);

/* A handle with the options that all have, and TLS material where tls is given. */
CURL *io_easy(const Tls *tls, Error *error);
/* Words for what curl met. `detail` is its error buffer: used for TLS only, it could quote a URL elsewhere. Returns false. */
bool io_curl_error(Error *error, CURLcode code, const char *where, const char *target, const char *detail);

#endif
