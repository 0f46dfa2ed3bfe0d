/* A way to one scheduler, and what every Dask scheduler can do, whoever made it: describe, logs, retire, end, route, snippet.
 * Backends keep an Access in their handles. Each call makes an Io of its own, waits through the Context, and checks the scheduler's
 * id where it is expected to be a certain one: another one is ERROR_CONFLICT. One thread at a time. */
#ifndef DASKTOP_BACKENDS_COMMON_ACCESS_H
#define DASKTOP_BACKENDS_COMMON_ACCESS_H

#include "core/backend.h"
#include "dask/probe.h"

typedef struct Access {
    char *where;        /* for errors */
    char *host;         /* by which we reach it; NULL: there is no comm port (inproc, dead) */
    int port;
    char *connect_to;   /* StreamTarget.connect_to; NULL */
    const Way *way;     /* to its ports and its workers'; NULL: directly */
    Tls *tls;           /* counted; NULL */
    char *http_host;    /* NULL: host */
    int http_port;      /* 0: as its identity says */
    char *http_base;    /* as in ProbeTarget; NULL */
    const ProbeHttp *http; /* likewise; borrowed */
    bool workers_through_scheduler; /* their own ports cannot be reached: their logs are asked of it */
    char *scheduler_id; /* that it must have; NULL: not known */
    char *address;      /* as a Client takes it */
} Access;

void access_init(Access *access, const char *where);
void access_done(Access *access);
StreamTarget access_target(const Access *access);

/* Connects and checks the id. *io is made, and freed by access_close. */
Dask *access_open(const Access *access, const Context *context, Io **io, Error *error);
void access_close(Dask *dask, Io *io);

/* A fresh probe, whatever the budget says: just before a change, or for an opened cluster. tell() gets the facts once. */
bool access_probe(const Access *access, const Context *context, void (*tell)(void *user, const ProbeFacts *facts), void *user, Error *error);

/* Adds workers, prefixes and when the last client left. What cannot be asked is noted, not an error. */
bool access_describe(const Access *access, const Context *context, Description *out, Error *error);

/* Route without a tunnel. */
bool access_route(const Access *access, const Record *record, Route *route, Error *error);
bool access_snippet(const Access *access, Buffer *out, Error *error);

/* Workers' addresses by name or address; an unknown one is ERROR_NOT_FOUND. */
bool access_resolve_workers(const DaskIdentity *identity, const List *names, const char *where, List *addresses, Error *error);

#endif
