/* What slurm.c and slurm_rest.c share. */
#ifndef DASKTOP_BACKENDS_BATCH_SLURM_H
#define DASKTOP_BACKENDS_BATCH_SLURM_H

#include "backends/batch/queue.h"

/* False: it has ended. */
bool slurm_state(const char *word, const char *reason, JobState *state);
int64_t slurm_memory(const char *tres); /* "cpu=1,mem=287M"; NULL: not known */
int64_t slurm_gpus(const char *tres, const char *per_node);
const char *slurm_log(JobList *list, const Job *job, const char *pattern, const char *id, const char *array);
bool slurm_parse(const char *bytes, size_t n, const char *cluster, JobList *list, Error *error);
void slurm_refusals(const char *said, List *failures);

bool slurm_rest_begin(Queue *queue, Io *io, const Context *context, Error *error);
void slurm_rest_end(Queue *queue);
bool slurm_rest_list(Queue *queue, Io *io, const Context *context, const JobQuery *query, JobList *out, Error *error);
bool slurm_rest_cancel(Queue *queue, Io *io, const Context *context, const List *ids, List *failures, Error *error);

#endif
