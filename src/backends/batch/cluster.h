/* Jobs that belong together: the workers of one scheduler, with its own job where it has one. Pure: from a list of jobs and what is known of
 * them. dask-jobqueue leaves no other trace of a cluster in a queue than its scheduler's address in each job's script. */
#ifndef DASKTOP_BACKENDS_BATCH_CLUSTER_H
#define DASKTOP_BACKENDS_BATCH_CLUSTER_H

#include "backends/batch/known.h"
#include "dask/probe.h"

typedef struct Member {
    const Job *job;
    Script script;          /* a copy */
} Member;

/* One cluster. id: "OWNER@HOST:PORT"; where no address is known "OWNER@SESSION" or "OWNER@NAME:DIRECTORY" of jobs that say they are Dask's. */
typedef struct Cluster {
    char *id, *name, *uid;
    const char *owner;      /* borrowed, like the jobs, from the list */
    bool mine;
    char *address;          /* NULL: not known */
    DaskAddress place;      /* where address is not NULL */
    char *scheduler_file;   /* where the address came from; NULL */
    char *file_id;          /* the scheduler that wrote it; NULL */
    Member *members;        /* pending ones last, by submit time */
    size_t count, capacity;
    char *unasked;          /* why its scheduler cannot be asked from here, for people; NULL: it can. Whoever asks sets it */
    const Job *scheduler;   /* its own job; NULL: it lives in the user's process */
    const char *ca_file, *cert, *key; /* of a member */
    int64_t first_ms;       /* first submit time, also of jobs that are gone; TIME_UNKNOWN */
    char *scheduler_id;     /* that was seen of it last; NULL */
    int64_t refused_ms;     /* since when its scheduler refuses; TIME_UNKNOWN */
} Cluster;

typedef struct Clusters {
    Cluster *items;
    size_t count, capacity;
} Clusters;

/* What a scheduler file says. */
typedef struct ClusterFile {
    char *address, *id;
    DaskAddress place;
} ClusterFile;
/* Scheduler files that jobs name, or may have written; they are read before clusters are made, because reading may wait. */
void clusters_files(const JobList *jobs, const Queue *queue, Known *known, List *paths);
void cluster_file_put(Map *files, const char *path, const char *bytes, size_t n); /* nothing where it is no scheduler file */
void cluster_files_done(Map *files);

/* Both with the lock of known. files: path -> ClusterFile; NULL: none. Jobs that nobody has read yet are left out. */
void clusters_make(const JobList *jobs, const Queue *queue, Known *known, const Map *files, Clusters *out);
void clusters_done(Clusters *clusters);
Cluster *clusters_find(const Clusters *clusters, const char *id);

/* Is this job Dask's by its name alone? */
bool cluster_is_name(const Queue *queue, const char *name);
/* The worker of that name runs in this member: "tides-3" or, of several in one job, "tides-3-1". */
bool cluster_has_worker(const Member *member, const char *worker);
size_t cluster_jobs(const Cluster *cluster, JobState state);
int64_t cluster_wanted(const Cluster *cluster); /* workers that its jobs start; without those that are leaving */

/* Its uid is settled once the scheduler was asked: its own id where it answered, else a hash of address, owner and first submit time. facts NULL:
 * it cannot be asked at all. Remembers refusals. */
void cluster_learn(Cluster *cluster, const ProbeFacts *facts, Known *known, int64_t now_ms);

#endif
