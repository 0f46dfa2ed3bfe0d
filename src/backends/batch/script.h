/* What a job script says of Dask: which line starts a worker or a scheduler, for which cluster. Pure; nothing in it is ever run here.
 * dask-jobqueue has written the same line for every batch system since 2018; it is the only mark of identity that its jobs have. */
#ifndef DASKTOP_BACKENDS_BATCH_SCRIPT_H
#define DASKTOP_BACKENDS_BATCH_SCRIPT_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum JobRole { ROLE_UNREAD, ROLE_OTHER, ROLE_WORKER, ROLE_SCHEDULER } JobRole;

typedef struct Script {
    JobRole role;
    char *address;        /* of the scheduler: "tcp://10.0.0.5:8786"; NULL: it stands in a file, or nowhere */
    char *scheduler_file; /* --scheduler-file; of the runners scheduler-JOB.json is their default */
    char *worker;         /* --name, as it stands there; NULL */
    int64_t processes;    /* workers that one job starts; 1 where it is not said */
    int64_t threads;      /* of each; NUMBER_UNKNOWN */
    char *ca_file, *cert, *key; /* TLS material by path */
} Script;
void script_done(Script *script);

/* Of the whole text of a script, or of a command line. */
void script_read(const char *text, size_t n, Script *out);
/* The first lines of a log tell the same, less: "Scheduler at: tcp://…"; "Registered to: tcp://…", "Worker name: tides-3". */
void script_read_log(const char *text, size_t n, Script *out);
/* It, or a Python program, imports dask_mpi: its initialize() makes a scheduler of the job's first process. */
bool script_imports_mpi(const char *text, size_t n);
/* The Python file that is started under MPI, as it stands there; the caller's, NULL. */
char *script_program(const char *text, size_t n);
/* The line that starts the worker, for people; the caller's, NULL. */
char *script_line(const char *text, size_t n);
/* The script with another worker's name: the same job for one more worker. False where its line has no --name. */
bool script_rename(const char *text, size_t n, const char *name, Buffer *out);
/* The name that a worker has in this job: "w-$SLURM_ARRAY_TASK_ID" is "w-2" in "14_2". It ends before what is not known. The caller's. */
char *script_expand(const char *worker, const char *job, bool element);
/* What a worker's name says of its cluster: "tides" of "tides-3"; the caller's. */
char *script_cluster(const char *worker);

#endif
