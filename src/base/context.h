/* How long a call may take and who may end it before: the first argument of everything that waits.
 *
 * A Cancel is a flag with a descriptor, owned by whoever may cancel (a discovery, an operation, an open view, the
 * program). A Context is a small value that borrows it and adds a deadline; copies are free. All functions may be called
 * by any thread. The only waiting function of the program (io/io.h) always has the Context's descriptor in its set. */
#ifndef DASKTOP_BASE_CONTEXT_H
#define DASKTOP_BASE_CONTEXT_H

#include "base/error.h"
#include "base/wake.h"

#include <stdatomic.h>
#include <stdint.h>

typedef struct Cancel {
    atomic_bool asked;
    Wake wake;
} Cancel;

bool cancel_init(Cancel *cancel);
void cancel_done(Cancel *cancel);
void cancel_ask(Cancel *cancel); /* for good; its descriptor stays readable */
bool cancel_asked(const Cancel *cancel);

#define NO_DEADLINE INT64_MAX

typedef struct Context {
    const Cancel *cancel; /* borrowed; NULL: cannot be cancelled */
    int64_t deadline_ms;  /* monotonic; NO_DEADLINE */
} Context;

Context context_new(const Cancel *cancel, int64_t timeout_ms); /* timeout_ms < 0: no deadline */
Context context_within(const Context *parent, int64_t timeout_ms); /* the earlier of both */
int64_t context_left_ms(const Context *context);                   /* >= 0; INT64_MAX without deadline */
int context_fd(const Context *context);                            /* -1 where it cannot be cancelled */

/* True while it may go on; else timeout or cancelled in error. */
bool context_check(const Context *context, const char *where, Error *error);

#endif
