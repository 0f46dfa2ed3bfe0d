/* What is the same for every batch system: an instance, a look at its queue, handles. A system is a QueueType (batch/queue.h), its file, and
 * a BackendType made with BATCH_TYPE. */
#ifndef DASKTOP_BACKENDS_BATCH_BATCH_H
#define DASKTOP_BACKENDS_BATCH_BATCH_H

#include "backends/batch/cluster.h"
#include "backends/common/access.h"
#include "io/tls.h"

typedef struct BatchBackend {
    Backend backend;
    Queue queue;
    Known known;
    Tls *tls;        /* counted and never changed: any thread. Of Dask's own config, for tls:// addresses without material in their scripts; NULL */
    /* of the discovery's thread */
    Io *io;
    Prober *prober;
    JobList unread;  /* jobs of the last look, some of whose scripts were left for the time between two looks; empty: none were */
} BatchBackend;

/* The queue as it is now, in clusters. */
typedef struct Look {
    JobList jobs;
    Clusters clusters;
    List paths;      /* of scheduler files that jobs name or may have written */
    Map files;       /* path -> ClusterFile, of those that are there */
    size_t unread;   /* jobs whose scripts are still to be read */
} Look;
void look_done(Look *look);

/* Asks the queue, reads scripts that were never read for at most read_ms (those of Dask's names first), and groups. */
bool batch_look(BatchBackend *own, Io *io, const Context *context, int64_t may_be_ms, int64_t read_ms, Look *out, Error *error);
/* Groups what was listed by what is known. */
void batch_group(BatchBackend *own, Io *io, const Context *context, Look *look);
/* TLS material for its scheduler: of its script, else of Dask's config; the caller's. NULL: plain, or none (say_tls tells which). */
Tls *batch_tls(const BatchBackend *own, const Cluster *cluster);
/* Its address is one of this computer's, so that a refusal is proof. */
bool batch_is_here(const BatchBackend *own, const Cluster *cluster);

typedef struct BatchHandle {
    Handle handle;
    Access *access;  /* NULL: its scheduler's address is not known */
    char *cluster;   /* its id in this queue */
} BatchHandle;

/* As Backend's and Handle's functions; batch.c, handle.c, change.c. */
bool batch_reconstruct(Backend *backend, Context *context, const Record *record, Handle **handle, Error *error);
bool batch_plan(Handle *handle, Context *context, const Change *change, Plan **plan, Error *error);
bool batch_apply(Handle *handle, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error);
/* Looks again for the handle's cluster. ERROR_NOT_FOUND: none of its jobs is left. ERROR_CONFLICT: another cluster has its id. */
bool batch_find(BatchHandle *handle, const Context *context, Look *look, Cluster **cluster, Error *error);
/* What a probe would have said of a port that another computer was asked about. */
ProbeFacts batch_refusal(HostSays says);
int64_t batch_probe_ms(const BackendConfig *config);
ProbeTarget batch_target(const BatchBackend *own, const Cluster *cluster, const Tls *tls);

bool batch_open(const BackendConfig *config, Context *context, Opened *opened, Error *error);
Backend *batch_open_far(BackendConfig *config, const char *instance, Host *host, Context *context, Error *error);
void batch_close(Backend *backend);
bool batch_discover(Backend *backend, Context *context, Sink *sink, Error *error);
bool batch_rest(Backend *backend, const Context *context, int wake_fd);
extern const ConfigKey batch_keys[];

#define BATCH_TYPE(WORD, SUMMARY, SIGNS_IN, KEYS, PROGRAM, QUEUE)                                                                              \
    {                                                                                                                                          \
        .name = WORD, .summary = SUMMARY, .signs_in = SIGNS_IN, .rank = 40, .automatic = true, .refresh_ms = 30000,                            \
        .can = 1u << CAN_SCALE | 1u << CAN_LOGS | 1u << CAN_CONNECT | 1u << CAN_DELETE | 1u << CAN_SNIPPET, .keys = KEYS, .open = batch_open,  \
        .open_far = batch_open_far, .far_program = PROGRAM, .close = batch_close, .discover = batch_discover, .rest = batch_rest,              \
        .reconstruct = batch_reconstruct, .own = QUEUE,                                                                                        \
    }

#endif
