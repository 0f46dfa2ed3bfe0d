/* Listening and connected TCP sockets of this network namespace: NETLINK_SOCK_DIAG, which takes under a millisecond and tells the backlog; else
 * /proc/net/tcp, which tells none. Linux only. */
#ifndef DASKTOP_BACKENDS_COMMON_SOCKETS_H
#define DASKTOP_BACKENDS_COMMON_SOCKETS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Listener {
    char host[48];     /* "127.0.0.1", "0.0.0.0", "::" */
    int port;
    uint64_t inode;
    uid_t uid;
    uint32_t backlog;  /* 0: not known */
    pid_t pid;         /* filled by process_owners; 0: nobody that we may see */
    int fd;            /* its number there: what was opened first has the lowest; inodes are given out in no order */
} Listener;

typedef struct Listeners {
    Listener *items;
    size_t count, capacity;
} Listeners;

bool sockets_listening(Listeners *out, Error *error);
/* The near ends of connections to that address (numeric) and port, as seen from here: who is connected to it, by process_owners. */
bool sockets_connected(const char *host, int port, Listeners *out, Error *error);
void sockets_done(Listeners *list);

/* Is this host one of ours: loopback, any, or the address of an interface? Names: only localhost and our own. */
bool sockets_is_local(const char *host);
bool sockets_is_loopback(const char *host);
/* By which we connect to a listener: loopback for one that listens on all. */
const char *sockets_reach(const Listener *listener);
/* Somebody listens there, on that address or on all; of a name: on any. */
const Listener *sockets_find(const Listeners *list, const char *host, int port);

/* Pure, for tests: the messages of one netlink read; far_host: only those that are connected to it, NULL: all. False: the last message
 * came, or an error. */
bool sockets_parse(const void *bytes, size_t n, const char *far_host, Listeners *out, int *error_number);
/* Pure, for tests: /proc/net/tcp or tcp6; far_host NULL: listeners. */
void sockets_parse_text(const char *text, bool six, const char *far_host, int far_port, Listeners *out);

#endif
