/* Which notebooks use a cluster: those whose kernel's process is connected to its scheduler. Seen from this host's sockets and processes, so
 * only of a server that runs here; a connection is a fact, everything else would be a guess. */
#ifndef DASKTOP_BACKENDS_JUPYTER_USES_H
#define DASKTOP_BACKENDS_JUPYTER_USES_H

#include "backends/common/notebooks.h"

typedef struct JupyterUse {
    char *what;   /* the notebook's path as the server has it now; "Console 1"; "kernel 0985d6d4" where it has no session */
    char *kernel; /* its id */
    pid_t pid;
} JupyterUse;

typedef struct JupyterUses {
    JupyterUse *items;
    size_t count, capacity;
    bool known;   /* false: it could not be seen */
} JupyterUses;
void jupyter_uses_done(JupyterUses *uses);

/* Of several schedulers at once; uses[i] for addresses[i] (NULL: not known). The server is asked for its sessions only where a kernel is connected. */
void jupyter_uses(const NotebookServer *server, const char *where, Io *io, const Context *context, const char *const *addresses, size_t count, JupyterUses *uses);

#endif
