/* Row probes: what a table needs to know of many schedulers, asked of all at once, within the load budget.
 *
 * A Prober belongs to one thread and its Io; connections stay open between rounds. Cheap calls (handshake, `identity` without workers:
 * at most 1 ms of a scheduler's loop at any size) are made in each round. A dearer call (counts, idle check, full identity) that took t
 * is not repeated within max(15 s, 1000 t), for all dasktops of this user on this host together: what was learnt is kept in a small file
 * by target key, with its stamp. At most one abandoned connection per 30 s to a scheduler that is busy. */
#ifndef DASKTOP_DASK_PROBE_H
#define DASKTOP_DASK_PROBE_H

#include "dask/dask.h"
#include "io/http.h"

typedef enum ProbeResult {
    PROBE_NOTHING,      /* not asked yet, or left alone (busy, abandoned less than 30 s ago: then silent is repeated instead) */
    PROBE_ANSWERED,     /* role tells what it is */
    PROBE_OLD,          /* Dask before 2021.3: named, not spoken with */
    PROBE_REFUSED,      /* nobody listens there */
    PROBE_NO_ROUTE,     /* unreachable, unknown host; through a Way also refused, which cannot be told from a way that is lost */
    PROBE_SILENT,       /* accepts, says nothing */
    PROBE_PARTIAL,      /* began like Dask, did not finish in time */
    PROBE_STRANGER,     /* not Dask */
    PROBE_TLS           /* TLS failed: error says why */
} ProbeResult;

typedef enum ProbeDepth { DEPTH_OFF, DEPTH_LIGHT, DEPTH_FULL } ProbeDepth; /* nothing; only cheap calls; all within the budget */

/* How requests to dashboards are sent where an address is not enough: credentials, TLS. They go through somebody whose refusals are no
 * answers of a scheduler. */
typedef struct ProbeHttp {
    /* Starts a GET of path (http_base and what is asked for); request has the rest, but no url. */
    Http *(*start)(void *user, Io *io, HttpRequest *request, const char *path, HttpDone done, void *done_user, Error *error);
    /* What a reply other than 200 means: of targets that are http_only. */
    void (*refused)(void *user, const HttpReply *reply, Error *error);
    void *user;
} ProbeHttp;

typedef struct ProbeTarget {
    const char *key;         /* what it is, for as long as it lives: "pid 42 start 99 port 8786", an address; for the memory */
    StreamTarget stream;
    DaskRole role;           /* what it is known to be (a command line, the config): DASK_UNKNOWN is asked in the one way that all
                                understand */
    bool http_only;          /* no comm port (inproc): only its dashboard is asked */
    const char *http_host;   /* dashboard's host; NULL: stream.host */
    int http_port;           /* 0: as identity says */
    const char *http_base;   /* "https://gateway/clusters/x": its dashboard is reached below this; NULL: at host and port */
    const ProbeHttp *http;   /* sends what is asked for below http_base, which may be a path that only this knows; NULL: plain requests */
    int64_t first_ms;        /* to its first byte: short for strangers, the backend's timeout for what is known to be Dask */
    int64_t whole_ms;        /* for everything */
    ProbeDepth depth;
    bool proven;             /* the key names one incarnation (pid and start time), so that what is remembered needs no check */
    bool fresh;              /* ask the dear calls now, whatever the budget says: only just before a change */
    void *user;
} ProbeTarget;

/* Lent for the call in which they are told. Stamps are of our clock; started_ms and idle_since_ms were its host's, and are ours by the
 * difference that its dashboard's Date told, where it has one. */
typedef struct ProbeFacts {
    ProbeResult result;
    Error error;
    DaskRole role;
    char *id, *address, *scheduler;
    int http_port;                       /* 0: none */
    char *python, *dask, *distributed;
    int64_t started_ms, workers, threads, memory;
    int64_t memory_used, spilled, paused; /* from a full identity, when there was one */
    int busy;                            /* 1, 0, -1 */
    int64_t idle_since_ms;               /* TIME_UNKNOWN */
    bool idle_longer;                    /* only the first look that found it quiet is known: it may be so for longer */
    DaskCounts counts;                   /* NUMBER_UNKNOWN each */
    int64_t counts_ms, detail_ms;        /* when counted; when the full identity was read; TIME_UNKNOWN */
    int64_t ahead_ms;                    /* that difference; 0: none, or not known */
    int64_t took_us;
} ProbeFacts;

typedef struct Prober Prober;
/* memory_path: the shared file; NULL: none. */
Prober *prober_new(Io *io, const char *memory_path, const char *where);
void prober_free(Prober *prober);

/* Asks all at once; tell() once for each as it ends (facts are lent). `more` is called instead whenever it already knows a row's worth
 * (identity came, counts are still out): may be NULL. Returns when all have ended, or the context has (those that had not are told as
 * silent). Connections of targets that are not named any more are closed. */
typedef void (*ProbeTell)(void *user, const ProbeTarget *target, const ProbeFacts *facts);
bool prober_run(Prober *prober, const Context *context, const ProbeTarget *targets, size_t count, ProbeTell more, ProbeTell tell, void *user,
                Error *error);

#endif
