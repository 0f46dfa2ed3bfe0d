/* The backend `local` on another computer: what is done here by system calls is done there by small scripts through its Host. The calls wait. */
#ifndef DASKTOP_BACKENDS_LOCAL_FAR_H
#define DASKTOP_BACKENDS_LOCAL_FAR_H

#include "backends/common/host.h"
#include "backends/local/end.h"
#include "backends/local/local.h"

/* As end_processes and process_is; the start time is compared there, just before each signal. boot: the computer's, where they were seen.
 * ERROR_CONFLICT where the host's name leads to another one by now (login nodes that share a name): there they are not, and not gone. */
bool far_end_processes(Host *host, const char *boot, EndProcess *list, size_t count, int64_t patience_ms, const Context *context, const Progress *progress,
                       Outcome *outcome, Error *error);
/* How many of them are alive; -1 with error. */
int64_t far_alive(Host *host, const char *boot, Io *io, const Context *context, const EndProcess *list, size_t count, Error *error);

/* Starts a program there that outlives the connection; what it prints goes to NAME.log in dasktop's state directory there. */
bool far_detach(Host *host, const Context *context, const List *command, const char *directory, const char *name, Error *error);

#endif
