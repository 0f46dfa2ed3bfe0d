/* Batch systems as they have something in common: a queue of jobs that is asked by its own client, job scripts, logs in files that the
 * queue names, submission and cancellation. One QueueType a system; everything about Dask stands above it (batch/cluster.h).
 *
 * Clients run with an argument vector, a fixed locale and TZ=UTC, so that every time in their output is UTC, and through a Host
 * (backends/common/host.h): on this computer or on another one. Sources: shared manuals of the clients and what was seen of Slurm 22.05 and
 * Grid Engine 8.1.9; OpenPBS, LSF, HTCondor and OAR by their manuals. */
#ifndef DASKTOP_BACKENDS_BATCH_QUEUE_H
#define DASKTOP_BACKENDS_BATCH_QUEUE_H

#include "backends/common/host.h"
#include "core/backend.h"

typedef enum JobState {
    JOB_PENDING,
    JOB_HELD,       /* pending, and nobody lets it start */
    JOB_RUNNING,
    JOB_SUSPENDED,  /* keeps its memory, does not run */
    JOB_LEAVING,    /* was told to end: completing, being deleted */
    JOB_STATE_COUNT
} JobState;
const char *job_state_word(JobState state);

/* One job, or one element of an array. Texts belong to its list; NULL and unknown numbers: not known. Raw, as the client wrote them. */
typedef struct Job {
    const char *id;         /* as its cancel takes it: "17", "14_2", "6.1", "12.server" */
    const char *name, *owner, *account, *queue;
    JobState state;
    const char *reason;     /* why it waits: "Priority", "JobHeldUser" */
    int64_t submitted_ms, started_ms, ends_ms; /* Unix ms; ends: by its wall time */
    int64_t cpus, memory, gpus;
    const char *node;       /* the first */
    const char *directory;  /* in which it was submitted */
    const char *output, *errors; /* paths of its logs, absolute; NULL: not known. errors NULL: in output */
    const char *session;    /* of the process that submitted it: "login1:4242" */
    const char *text;       /* its script or command line, where the list has it */
    const char *key;        /* "OWNER ID SUBMITTED": the job for all time, for what is remembered; made by job_list_keys */
} Job;

typedef struct JobList {
    Job *items;
    size_t count, capacity;
    void *texts;            /* blocks of text; internal */
} JobList;
Job *job_list_add(JobList *list);                                      /* all unknown; valid until the next */
const char *job_list_text(JobList *list, const char *bytes, size_t n); /* a copy that lives as long as the list */
const char *job_list_format(JobList *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
void job_list_keys(JobList *list);
void job_list_done(JobList *list);
const Job *job_list_find(const JobList *list, const char *id);
/* The same job: ids are used again, and a requeued job keeps its id and submit time. */
bool job_is(const Job *job, const char *id, const char *owner, int64_t submitted_ms);

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
    /* Submits a script with the options that stand in it, in the directory. *id is the caller's. NULL: not possible. */
    bool (*submit)(Queue *queue, Io *io, const Context *context, const char *script, const char *directory, char **id, Error *error);
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
/* The same for the list of all jobs: one answer serves all dasktops of this user on this host for as long as each finds it new enough. */
bool queue_run_list(Queue *queue, Io *io, const Context *context, const JobQuery *query, const List *command, ChildResult *result, Error *error);
/* Where a client failed: its last line on standard error as an error (or out, where it has none). Always false. */
bool queue_failed(const Queue *queue, const ChildResult *result, const char *program, Error *error);
/* Runs many, a few at a time, and gives what each printed (NULL, 0: it failed). */
typedef void (*QueueGive)(void *user, size_t index, const char *bytes, size_t n);
bool queue_run_many(Queue *queue, Io *io, const Context *context, const List *commands, size_t count, QueueGive give, void *user, Error *error);
List queue_command(const Queue *queue, const char *program, ...) __attribute__((sentinel)); /* ends with NULL */

/* Values as clients write them. Unknown where they are none ("N/A", "(null)", "UNLIMITED", ""). */
int64_t queue_time(const char *text);       /* 2026-11-23T18:35:19, UTC -> Unix ms */
int64_t queue_duration_s(const char *text); /* [D-]HH:MM:SS, MM:SS, seconds */
int64_t queue_size(const char *text, char unit); /* "287M", "62.50G"; unit: of a number without one ('M') */
int64_t queue_number(const char *text);
bool queue_says(const char *text);          /* it is a value, and not one of the words for none */

#endif
