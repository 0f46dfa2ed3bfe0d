/* A computer as a whole: this one, or another whose facts were read at once (backends/common/far.h). */
#ifndef DASKTOP_BACKENDS_COMMON_COMPUTER_H
#define DASKTOP_BACKENDS_COMMON_COMPUTER_H

#include "base/list.h"

#include <stdint.h>
#include <sys/types.h>

typedef struct Computer {
    bool here;
    uid_t me;            /* who we are there */
    char user[64];       /* by name */
    char name[256];      /* its own host name */
    char boot[64];       /* of this start of it */
    char network[64];    /* the network namespace that we look from */
    List addresses;      /* of its interfaces; not of this host, which is asked */
    int64_t boot_ms;     /* when it was started, Unix ms of our clock; TIME_UNKNOWN */
    int64_t ahead_ms;    /* what its clock has more than ours */
    int64_t ticks;       /* a second, of start times */
    uint32_t backlog;    /* that a comm port of Dask has there */
} Computer;

/* This one; read once, valid for ever. Any thread. */
const Computer *computer_here(void);
void computer_done(Computer *computer);

/* When a process with this start time was started, Unix ms of our clock. */
int64_t computer_started_ms(const Computer *computer, uint64_t start);
/* Is this host one of its own: loopback, any, or the address of an interface? Names: only localhost and its own. */
bool computer_has(const Computer *computer, const char *host);
const char *computer_user(const Computer *computer, uid_t uid, char out[64]);
/* distributed.comm.socket-backlog, capped by the kernel. */
uint32_t computer_backlog(unsigned long somaxconn);

#endif
