/* Job scripts, read once in a job's life: what they say of Dask goes to what is known (batch/known.h). */
#ifndef DASKTOP_BACKENDS_BATCH_SCRIPTS_H
#define DASKTOP_BACKENDS_BATCH_SCRIPTS_H

#include "backends/batch/batch.h"

/* Reads scripts of jobs that nobody has read yet, those of Dask's names first, then our own newest ones: at most `most`, until the context ends or
 * wake_fd (-1: none) is readable. Returns how many are left. Any thread; nothing is written to the state directory. */
size_t scripts_read(BatchBackend *own, Io *io, const Context *context, const JobList *jobs, size_t most, int wake_fd);

/* A log that may not be there yet; the caller's; NULL: the queue names none. */
char *scripts_log(const Job *job);

#endif
