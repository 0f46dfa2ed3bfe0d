/* The poll loop: the only place of the program, beside the terminal's, where anything waits for a descriptor.
 *
 * An Io belongs to one thread. It holds a curl multi (HTTP transfers and CONNECT_ONLY streams), watched descriptors, children
 * and timers; everything is started without waiting and told by callbacks, which run inside io_turn on the same thread and may
 * start and cancel anything, themselves included. A backend's thread keeps one Io for its life, so that connections stay open;
 * a handle's call makes one for itself. */
#ifndef DASKTOP_IO_IO_H
#define DASKTOP_IO_IO_H

#include "base/context.h"

#include <stdbool.h>

typedef struct Io Io;
typedef struct IoWatch IoWatch;

/* Once in the process, before threads; curl is not touched before the first io_new. */
Io *io_new(Error *error);
/* Loads what the first connection will need, for a thread that has nothing else to do meanwhile. Any thread. */
void io_warm(void);
void io_free(Io *io); /* cancels what is left, without callbacks */

/* Waits until something happened or the context ended, runs what is due. False with timeout or cancelled when the context ended. */
bool io_turn(Io *io, const Context *context, Error *error);
/* Turns until *done. */
bool io_until(Io *io, const Context *context, const bool *done, Error *error);

typedef void (*IoReady)(void *user, int fd, short events); /* poll's bits */
IoWatch *io_watch(Io *io, int fd, short events, IoReady ready, void *user); /* the descriptor stays the caller's */
void io_watch_events(IoWatch *watch, short events);                         /* 0: sleeps */
void io_unwatch(IoWatch *watch);                                            /* NULL is allowed */

typedef struct IoTimer IoTimer;
IoTimer *io_after(Io *io, int64_t ms, void (*due)(void *user), void *user); /* once; freed by itself when it was due */
void io_timer_cancel(IoTimer *timer);                                       /* NULL is allowed; not after it was due */
bool io_sleep(Io *io, const Context *context, int64_t ms, Error *error);    /* false when the context ended before */

#endif
