/* Jobs of a queue, in lists that own their texts, and the values that clients of batch systems write. Pure. */
#ifndef DASKTOP_BACKENDS_BATCH_JOB_H
#define DASKTOP_BACKENDS_BATCH_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
    bool element;           /* of an array */
    const char *array;      /* the array whose script it has, as all its elements; NULL: a script of its own, or each is asked for its own */
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
    /* "OWNER ID SUBMITTED": the job for all time, for what is remembered; and the same of its array, or `key`. Made by job_list_keys. */
    const char *key, *script_key;
} Job;

typedef struct JobList {
    Job *items;
    size_t count, capacity;
    size_t keyed;           /* the first of them have their keys */
    void *texts;            /* blocks of text; internal */
} JobList;
Job *job_list_add(JobList *list);                                      /* all unknown; valid until the next */
const char *job_list_text(JobList *list, const char *bytes, size_t n); /* a copy that lives as long as the list */
const char *job_list_format(JobList *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
void job_list_keys(JobList *list);                                     /* of those that were added since */
void job_list_done(JobList *list);
const Job *job_list_find(const JobList *list, const char *id);
/* The same job: ids are used again. A requeued one keeps its id, but has another submit time: for a change it is another one. */
bool job_is(const Job *job, const char *id, const char *owner, int64_t submitted_ms);

/* Values as clients write them. Unknown where they are none ("N/A", "(null)", "UNLIMITED", ""). */
int64_t queue_time(const char *text);       /* 2026-11-23T18:35:19, UTC -> Unix ms */
int64_t queue_duration_s(const char *text); /* [D-]HH:MM:SS, MM:SS, seconds */
int64_t queue_size(const char *text, char unit); /* "287M", "62.50G"; unit: of a number without one ('M') */
int64_t queue_number(const char *text);
bool queue_says(const char *text);          /* it is a value, and not one of the words for none */

#endif
