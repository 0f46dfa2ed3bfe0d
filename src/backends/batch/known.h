/* What was learnt of jobs and clusters and does not change: what a script says (read once in a job's life), by which uid a cluster goes, when
 * its scheduler first refused. Kept in the state directory, a JSON line each, and shared by all dasktops of a user: it is read again before
 * it is written, under a lock, and renamed over. No script's text is kept: only what of it is Dask's.
 *
 * Any thread, between known_lock and known_unlock: what is got is valid until then. Nothing waits in between. */
#ifndef DASKTOP_BACKENDS_BATCH_KNOWN_H
#define DASKTOP_BACKENDS_BATCH_KNOWN_H

#include "backends/batch/queue.h"
#include "backends/batch/script.h"
#include "base/map.h"

#include <pthread.h>

typedef struct KnownJob {
    Script script;
    bool refused;        /* its script is told to nobody, or not to us */
    int64_t again_ms;    /* nothing was told so far: when it is worth another try, monotonic; INT64_MAX: it is known. Not kept */
    int64_t used_ms;     /* when it was last in the queue */
} KnownJob;

typedef struct KnownCluster {
    char *uid;           /* once given, for ever */
    char *scheduler_id;  /* the last that answered */
    int64_t first_ms;    /* first submit time */
    int64_t refused_ms;  /* when its scheduler refused for the first time in a row; TIME_UNKNOWN */
    int64_t used_ms;
    List jobs;           /* keys of jobs that were its own: by one of them it is the same cluster later */
} KnownCluster;

typedef struct Known {
    pthread_mutex_t lock;
    char *path;          /* NULL: there is no place */
    Map jobs, clusters;
    bool changed;
    const char *last_key;/* what was asked for last since the lock was taken: elements of an array follow each other, and share their key */
    KnownJob *last;
} Known;

/* Ends with the lock held: who needs what is remembered waits until known_load, by the same thread, has read it and let go. */
void known_open(Known *known, const char *key, const char *instance);
void known_load(Known *known);
void known_done(Known *known);
void known_lock(Known *known);
void known_unlock(Known *known);
void known_save(Known *known); /* where something changed; takes the lock by itself. Failure is no error: it is learnt again */

/* By Job.script_key or Job.key. */
KnownJob *known_job(Known *known, const Job *job);         /* NULL: nobody tried to read it yet */
KnownJob *known_put_job(Known *known, const char *key, Script *script, bool refused, int64_t again_ms); /* takes what is in script */
KnownCluster *known_cluster(Known *known, const char *id);  /* made where it is not there */

#endif
