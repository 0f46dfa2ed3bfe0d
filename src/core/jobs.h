/* Work for the dashboard that waits, on a small pool of threads: the engine's engine_job (core/engine.h says how it behaves). */
#ifndef DASKTOP_CORE_JOBS_H
#define DASKTOP_CORE_JOBS_H

#include "core/engine.h"

typedef struct Jobs Jobs;

Jobs *jobs_new(void);
void jobs_add(Jobs *jobs, const Job *job, const Cancel *cancel, int64_t timeout_ms);
void jobs_on_done(Jobs *jobs, const Wake *wake);
void jobs_collect(Jobs *jobs);
/* Takes no more, cancels what runs; false where a thread did not end in time (then nothing may be freed). done() of all that have
 * ended or never begun is called by the last jobs_collect inside. */
bool jobs_stop(Jobs *jobs, int64_t ms);
void jobs_free(Jobs *jobs);

#endif
