/* What host*.c share and nobody else includes. */
#ifndef DASKTOP_BACKENDS_COMMON_HOST_INSIDE_H
#define DASKTOP_BACKENDS_COMMON_HOST_INSIDE_H

#include "backends/common/host.h"
#include "base/map.h"

#include <pthread.h>
#include <stdatomic.h>

struct Host {
    atomic_uint references;
    bool here;
    char *name;
    /* of one through ssh; constant */
    char *where, *destination; /* "ada@login1" */
    List options;              /* -p, -i, the user's own */
    char *directory;           /* 0700, ours: of all sockets */
    char *control;             /* the master's socket */
    Way way;
    char *user, *node;         /* guarded by lock until they are set; NULL */
    Map programs;              /* guarded by lock: those that were looked for -> host (there) or NULL */
    pthread_mutex_t lock;      /* guards those and what follows; held while a way is made, which asks nobody but the master on this host */
    Map ways;                  /* "HOST:PORT" of ways that this master has -> (void *)1 */
    int master_fd;             /* connected to the master; readable when it is gone; -1 */
};

/* Our environment, with these "NAME=value" in the place of what has the same name. */
void host_environment(const List *variables, List *out);
/* Runs ssh with these arguments behind the options. input NULL: none. */
bool host_ssh_run(Host *host, Io *io, const Context *context, const char *const *arguments, const char *input, size_t most_bytes,
                  ChildResult *result, Error *error);
void host_ways_done(Host *host);
/* The file was made while this very connection stood, which stands still. */
bool host_is_connected_since(Host *host, const char *path);
bool host_find_way(void *user, const Context *context, const char *to, int port, char path[WAY_PATH], Error *error);

#endif
