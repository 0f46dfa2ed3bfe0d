/* Batch systems as they have something in common: a queue of jobs that is asked by its own client, job scripts, logs in files that the
 * queue names, submission and cancellation. One QueueType a system; everything about Dask stands above it (batch/cluster.h).
 *
 * Clients run with an argument vector, a fixed locale and TZ=UTC, so that every time in their output is UTC, and through a Host
 * (backends/common/host.h): on this computer or on another one. What is written of them was seen of Slurm 22.05, Grid Engine 8.1.9 and
 * OAR 2.5.9; OpenPBS, LSF and HTCondor by their manuals. */
#ifndef DASKTOP_BACKENDS_BATCH_QUEUE_H
#define DASKTOP_BACKENDS_BATCH_QUEUE_H

#include "backends/batch/job.h"
#include "backends/common/host.h"
#include "core/backend.h"

typedef struct QueueType QueueType;

/* One system as one instance sees it. Constant after it was made, but for what stands below the lock: any thread. */
typedef struct Queue {
    const QueueType *type;
    const BackendConfig *config;
    Host *host;
    char *bin;              /* directory of the clients; NULL: PATH */
    char *me;               /* who we are there */
    char *owner;            /* whose jobs; NULL: everybody's */
    List names;             /* job names that are Dask's whoever owns them */
    void *own;              /* the type's, made by its begin */
} Queue;

/* What is asked for: jobs of an owner (NULL: everybody's), or some by id. */
typedef struct JobQuery {
    const char *owner;
    const List *ids;        /* NULL: all. What is gone by now is left out, without an error */
    int64_t may_be_ms;      /* how old another dasktop's answer may be; 0: the system is asked */
} JobQuery;

typedef struct QueueSubmission {
    const char *script;
    const char *directory;  /* NULL: the client's own */
    bool element;           /* the script is an array's: one element of it */
} QueueSubmission;

struct QueueType {
    const char *cluster;    /* dask-jobqueue's class: "SLURMCluster" */
    const char *program;    /* the client without which it is not there */
    bool (*without_program)(const Queue *queue); /* the config names another way; NULL: there is none */
    /* Is it this system that the program belongs to? NULL: nobody else has one of that name. May fill queue->own. */
    bool (*begin)(Queue *queue, Io *io, const Context *context, Error *error);
    void (*end)(Queue *queue);
    bool (*list)(Queue *queue, Io *io, const Context *context, const JobQuery *query, JobList *out, Error *error);
    /* The text of a job's script. ERROR_DENIED, ERROR_NOT_FOUND (gone), ERROR_UNSUPPORTED (this queue tells it to nobody). NULL: the same. */
    bool (*script)(Queue *queue, Io *io, const Context *context, const Job *job, Buffer *out, Error *error);
    /* The argument vector that prints a job's script, for reading many at once; false: by `script` alone. NULL: the same. */
    bool (*script_command)(const Queue *queue, const Job *job, List *command);
    /* Submits a script with the options that stand in it. *id is the caller's. NULL: not possible. */
    bool (*submit)(Queue *queue, Io *io, const Context *context, const QueueSubmission *what, char **id, Error *error);
    /* The client and its options, for the plan. */
    const char *submit_words;
    /* Asks that the jobs end, in as few calls as the client allows; adds "job 4711: not permitted" for what was refused. False only where
     * nothing is known of any. */
    bool (*cancel)(Queue *queue, Io *io, const Context *context, const List *ids, List *failures, Error *error);
    const char *cancel_words;
};

/* Runs a client: argv[0] is looked up in queue->bin. A status other than 0 is the caller's. */
bool queue_run(Queue *queue, Io *io, const Context *context, const List *command, const char *input, ChildResult *result, Error *error);
/* Runs `program` with ids, at most 1,000 at a time, and gives every line that it printed: refused() tells whether it says that a job was not
 * cancelled, and adds it to failures then. An error where it fails without a word. */
bool queue_cancel(Queue *queue, Io *io, const Context *context, const char *program, const List *ids, void (*refused)(const char *line, List *failures),
                  List *failures, Error *error);
/* The same for the list of all jobs: one answer serves all dasktops of this user on this host for as long as each finds it new enough. Its
 * reader is given what has come so far while the client prints the rest; what it was not given is in the result. NULL: there is none. */
typedef struct QueueReader {
    void (*grew)(void *user, const char *bytes, size_t n);
    void *user;
} QueueReader;
bool queue_run_list(Queue *queue, Io *io, const Context *context, const JobQuery *query, const List *command, const QueueReader *reader, ChildResult *result,
                    Error *error);
/* Where a client failed: its last line on standard error as an error (or out, where it has none). Always false. */
bool queue_failed(const Queue *queue, const ChildResult *result, const char *program, Error *error);
/* Runs many, a few at a time, and gives what each printed (NULL, 0: it failed). */
typedef void (*QueueGive)(void *user, size_t index, const char *bytes, size_t n);
bool queue_run_many(Queue *queue, Io *io, const Context *context, const List *commands, size_t count, QueueGive give, void *user, Error *error);
List queue_command(const Queue *queue, const char *program, ...) __attribute__((sentinel)); /* ends with NULL */

#endif
