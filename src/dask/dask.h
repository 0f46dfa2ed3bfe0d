/* A connection to a Dask scheduler, worker or nanny, and the calls that dasktop makes on it.
 *
 * Straight-line calls that wait in io_turn, for handles (show, scale, logs, delete); the row probes of many schedulers at once are
 * dask/probe.h. One connection, one call at a time, one thread. Never an operation that the version does not know: dask_open asks
 * `versions` first where it is not given. The passive rule holds: nothing is sent before the other side has sent its handshake. */
#ifndef DASKTOP_DASK_DASK_H
#define DASKTOP_DASK_DASK_H

#include "base/list.h"
#include "dask/comm.h"
#include "io/stream.h"

typedef struct DaskVersion {
    int year, month, micro; /* 0.0.0: not known */
} DaskVersion;
DaskVersion dask_version_parse(const char *text);
bool dask_version_least(DaskVersion version, int year, int month, int micro);

/* "3.11.7" of "3.11.7.final.0"; owned by the caller, NULL. */
char *dask_python_version(Value *text);

typedef struct DaskAddress {
    char host[256];
    int port;
    bool tls, inproc, websocket;
} DaskAddress;
bool dask_address_parse(const char *text, DaskAddress *address); /* tcp:// tls:// ws:// inproc:// or HOST:PORT */

typedef struct Dask Dask;

/* Connects and shakes hands. Errors: unreachable (refused), timeout (accepts, silent: often busy), denied (certificates), bad-reply
 * (not Dask; an old Dask is named). */
Dask *dask_open(Io *io, const Context *context, const StreamTarget *target, const char *where, Error *error);
void dask_close(Dask *dask); /* says goodbye where it can without waiting */

/* A raw call: the reply is valid until the next call. "uncaught-error" and {"status": "error"} become bad-reply with its text; nil for
 * an unknown operation is a reply. */
bool dask_call(Dask *dask, const Context *context, Request *request, Message *reply, Error *error);

typedef struct DaskVersions {
    char *python, *dask, *distributed;
    DaskVersion version; /* of distributed */
} DaskVersions;
/* Where the version is known from elsewhere: a nanny has no `versions`, and asking it would be a warning in its log. */
void dask_assume(Dask *dask, DaskVersion version);
bool dask_versions(Dask *dask, const Context *context, DaskVersions *versions, Error *error);
void dask_versions_done(DaskVersions *versions);

typedef enum DaskRole { DASK_UNKNOWN, DASK_SCHEDULER, DASK_WORKER, DASK_NANNY } DaskRole;

typedef struct DaskWorker {
    char *address, *name, *host, *status, *nanny, *id;
    int64_t threads, memory_limit, memory, spilled, processing, stored, last_seen_ms;
    double cpu;
} DaskWorker;

typedef struct DaskIdentity {
    DaskRole role;
    char *id, *address, *scheduler; /* scheduler: of a worker */
    int dashboard_port;             /* 0: none */
    int64_t started_ms;
    int64_t workers, threads, memory;
    DaskWorker *list;               /* where all were asked for */
    size_t count;
} DaskIdentity;
/* with_workers false costs the scheduler nothing at any size (n_workers=0), but before 2025.4.0, which tells its id only with all. */
bool dask_identity(Dask *dask, const Context *context, bool with_workers, DaskIdentity *identity, Error *error);
void dask_identity_done(DaskIdentity *identity);
bool dask_identity_decode(Value *reply, DaskIdentity *identity); /* pure; for probes and tests */

typedef struct DaskPrefix {
    char *name;
    int64_t waiting, processing, stored, erred, released;
} DaskPrefix;
bool dask_prefixes(Dask *dask, const Context *context, DaskPrefix **list, size_t *count, Error *error);
void dask_prefixes_free(DaskPrefix *list, size_t count);

typedef struct DaskLogLine {
    int64_t time_ms; /* TIME_UNKNOWN */
    char *level, *text;
} DaskLogLine;
/* Oldest first. since: newer than this (seconds with fraction of the scheduler's clock, 0: all); *last gets the newest's. n is always sent. */
bool dask_logs(Dask *dask, const Context *context, int64_t n, double since, DaskLogLine **lines, size_t *count, double *last, Error *error);
/* The same of one worker (or its nanny), passed on by the scheduler; by the worker's clock. */
bool dask_worker_logs(Dask *dask, const Context *context, const char *worker, bool nanny, int64_t n, double since, DaskLogLine **lines, size_t *count,
                      double *last, Error *error);
void dask_log_lines_free(DaskLogLine *lines, size_t count);

/* When the last client left, from the ring of events; TIME_UNKNOWN. Dear on a long ring: only for an opened cluster. */
bool dask_client_left(Dask *dask, const Context *context, int64_t *left_ms, Error *error);
/* Which workers a scale-down to `target` would take (a dry run). Addresses. */
bool dask_workers_to_close(Dask *dask, const Context *context, int64_t target, List *workers, Error *error);
/* Moves the data away and closes them. Addresses in, addresses of those that were retired out. May take minutes. */
bool dask_retire(Dask *dask, const Context *context, const List *workers, List *retired, Error *error);
/* Ends the whole cluster; the end of the connection is the success. */
bool dask_terminate(Dask *dask, const Context *context, Error *error);

/* /json/counts.json of a dashboard. Pure decoding; `clients` is already without Dask's built-in one. */
typedef struct DaskCounts {
    int64_t clients, workers, processing, waiting, queued, stored, erred, unrunnable, tasks, threads;
} DaskCounts;
bool dask_counts_decode(const char *bytes, size_t n, DaskCounts *counts, Error *error);

#endif
