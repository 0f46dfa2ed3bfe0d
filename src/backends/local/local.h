/* The backend `local`: every Dask cluster on this host, or on another one through a Host. What its files share. */
#ifndef DASKTOP_BACKENDS_LOCAL_LOCAL_H
#define DASKTOP_BACKENDS_LOCAL_LOCAL_H

#include "backends/common/access.h"
#include "backends/common/census.h"
#include "backends/common/host.h"
#include "backends/common/origin.h"
#include "backends/local/made.h"

typedef struct LocalBackend {
    Backend backend;
    Host *host;      /* where it looks; NULL: here */
    Io *io;          /* of the discovery's thread, like the prober */
    Prober *prober;
    Tls *tls;        /* of Dask's own config; counted and never changed: any thread */
} LocalBackend;

/* A new census, with the clusters that dasktop made where it is one of this computer. io: NULL, one of its own. */
bool local_look(const LocalBackend *own, Io *io, const Context *context, Census *census, Error *error);
/* Which of them a place is; NULL. */
const Made *local_made(const Census *census, const Place *place);

/* The TLS material for a place: Dask's config, else what its own command line names, where we may read it. The caller's; NULL: none. */
Tls *local_tls(const LocalBackend *own, const Place *place);

/* A row's fields for a place; facts NULL where it was not asked (lost). Strings are borrowed from row, which the caller keeps and ends. */
typedef struct LocalRow {
    RecordFields fields;
    Origin origin;
    Buffer id, name, address, dashboard, uid, gone, owner;
    size_t members;
} LocalRow;
void local_row(const LocalBackend *own, Census *census, const Place *place, const ProbeFacts *facts, LocalRow *row);
void local_row_done(LocalRow *row);

/* The place of a record in a new census: by its scheduler's address, or the dead one's. NULL: it is gone. */
const Place *local_find(Census *census, const Record *record);

/* A row's record, as it is put into its part. */
Record *local_record(const LocalBackend *own, const RecordFields *fields, int64_t counts_ms);

bool local_reconstruct(Backend *backend, Context *context, const Record *record, Handle **handle, Error *error);
bool local_create(Backend *backend, Context *context, const Spec *spec, bool dry_run, Plan *plan, const Progress *progress, Outcome *outcome,
                  Error *error);
extern const char *const local_creates[];

/* Starts `count` workers of a scheduler like the ones that it has; their pids go into made where it is one of ours. */
typedef struct WorkerKind {
    char *python;        /* the interpreter */
    int64_t threads, memory_limit; /* NUMBER_UNKNOWN: Dask's own default */
    char *directory;     /* where they run; NULL */
    const char *protocol_tls[6]; /* --tls-… VALUE pairs; NULL */
} WorkerKind;
bool local_start_worker(const WorkerKind *kind, const char *address, const char *name, const char *log, Made *made, Error *error);
void local_worker_command(const WorkerKind *kind, const char *address, const char *name, List *command);
/* The interpreter that a process runs; NULL where it cannot be told. */
char *local_python(Process *process);

#endif
