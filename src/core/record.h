/* What a backend said of one cluster: contract section 2, without what core adds (verdict, cost, kept, same_as, stale).
 *
 * A backend fills RecordFields with borrowed raw strings and hands them to sink_put (core/sink.h), which calls record_new:
 * strings are sanitised and limited there, the id is checked, everything lies in one allocation. A Record is immutable and
 * counted atomically; any thread may read one that it holds. The only things that move are its two stamps.
 *
 * Unknown is unknown: NULL, NUMBER_UNKNOWN (base/json.h), TIME_UNKNOWN, -1 for yes/no, NAN. Never 0, never "".
 * Stamps are Unix milliseconds of this machine's clock. A backend that gets stamps of another clock converts them by the
 * difference that it measured, or leaves them unknown. */
#ifndef DASKTOP_CORE_RECORD_H
#define DASKTOP_CORE_RECORD_H

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum Status {
    STATUS_UNKNOWN,
    STATUS_PENDING,
    STATUS_RUNNING,
    STATUS_CLOSING,
    STATUS_STOPPED,
    STATUS_FAILED,
    STATUS_UNREACHABLE,  /* refused, no route */
    STATUS_UNRESPONSIVE, /* accepts, says nothing: often just busy */
    STATUS_COUNT
} Status;
const char *status_word(Status status);
Status status_parse(const char *word); /* STATUS_UNKNOWN where it is none */

/* What can be done with a cluster: the contract's `can` and `cannot`. */
typedef enum Capability { CAN_SCALE, CAN_ADAPT, CAN_LOGS, CAN_CONNECT, CAN_DELETE, CAN_SNIPPET, CAN_COUNT } Capability;
const char *capability_word(Capability capability);

/* A pair of texts: a label, a line of a worker's specification. */
typedef struct Pair {
    const char *key, *value;
} Pair;

/* Machines that cost: `quantity` of what the price list calls `type` ("m5.xlarge"). */
typedef struct Machine {
    const char *type;
    double quantity;
} Machine;

typedef struct RecordFields {
    const char *id;       /* what the system calls it: the part after KEY[:INSTANCE]/, not percent-encoded; required */
    const char *uid;      /* one incarnation; NULL: not known yet; may be learnt later, never changes */
    const char *name;     /* required */
    const char *type;     /* "LocalCluster", "KubeCluster", "Scheduler", "Worker" … Dask's word where there is one */
    const char *scheduler_id;
    const char *owner;    /* user name */
    int mine;             /* it belongs to who runs dasktop: 1, 0, -1 */
    struct {
        const char *kind; /* "notebook", "script", "console", "ipython", "command", "ssh", "dasktop", "job" … */
        const char *path; /* the notebook, script or working directory */
        const char *host;
        int64_t pid;
        int alive;        /* its process: 1, 0, -1 */
        const char *how;  /* "tmux, attached", "detached", "terminal pts/3": for people */
    } origin;

    Status status;
    const char *status_why; /* one short phrase, e.g. "connection refused", "TLS: no client certificate" */
    const char *address, *dashboard;
    int64_t workers_ready, workers_wanted, workers_paused;
    int adaptive;           /* 1 with the two limits, 0: not adaptive, -1 */
    int64_t adaptive_minimum, adaptive_maximum;
    int64_t resources;      /* what exists and may cost: pods, jobs, machines, processes */
    int64_t threads, gpus, memory, memory_used; /* memory in bytes */
    struct {
        int64_t processing, waiting, queued, stored, erred, unrunnable;
    } tasks;
    int64_t clients;        /* without Dask's built-in one and without dasktop's own */
    int busy;               /* the scheduler has work right now: 1, 0, -1 */
    const char *python, *dask, *distributed; /* versions */

    int64_t created_ms;
    int64_t last_active_ms; /* when work last ended; unknown while busy is 1 */
    int64_t ends_at_ms;
    const char *ends_why;

    const char *gone;       /* set only where the contract's "provably gone" holds: "scheduler tcp://127.0.0.1:8786" */
    const char *gone_why;   /* the proof: "refused by this host", "404 from the API" */
    int64_t gone_since_ms;  /* may be unknown */

    uint8_t can;            /* bits 1 << Capability */
    const char *cannot[CAN_COUNT]; /* reason; NULL where it can, or where it is not known before show */

    const Machine *machines;
    size_t machine_count;
    const Pair *labels;
    size_t label_count;
    int64_t kept_until_ms;  /* from the system's own label dasktop/keep; TIME_UNKNOWN: none */
    const char *kept_reason;
} RecordFields;

/* All unknown. */
void record_fields_init(RecordFields *fields);

typedef struct Record {
    RecordFields is;           /* is.id is the whole contract id here: KEY[:INSTANCE]/…, percent-encoded */
    const char *backend, *instance; /* instance NULL where the type cannot have several */
    /* the moving stamps; Unix ms */
    _Atomic int64_t seen_ms;   /* when its backend last confirmed it */
    _Atomic int64_t counts_ms; /* when clients and tasks were counted; TIME_UNKNOWN */
    uint64_t hash;             /* of everything but stamps and counters of references */
    size_t size;
    atomic_uint references;
} Record;

/* A new record with one reference, or NULL with error (id or name missing, id longer than 1,024 bytes when encoded). */
Record *record_new(const RecordFields *fields, const char *backend, const char *instance, int64_t seen_ms, int64_t counts_ms,
                   Error *error);
Record *record_keep(const Record *record);
void record_drop(const Record *record); /* NULL is allowed */
bool record_equal(const Record *a, const Record *b); /* stamps apart */

/* The contract id for what a system calls a cluster; owned by the caller. instance may be NULL. */
char *record_id(const char *backend, const char *instance, const char *id);
/* The way back: key, instance (NULL) and the system's own id, decoded; owned by the caller. False where id is none. */
bool record_id_split(const char *id, char **backend, char **instance, char **rest);
bool record_key_valid(const char *key, size_t n); /* of a backend: [a-z0-9][a-z0-9-]{0,31} */

#endif
