/* Taking workers off a scheduler: which ones, as steps of a plan, and doing it. A step's `own` is the worker's address; its
 * identity is the worker's own id, read again just before. */
#ifndef DASKTOP_BACKENDS_COMMON_RETIRE_H
#define DASKTOP_BACKENDS_COMMON_RETIRE_H

#include "backends/common/access.h"

/* For CHANGE_RETIRE the named workers, for CHANGE_SCALE those that the scheduler itself would close to get down to change->workers.
 * Sets plan->now and then. Scaling up adds no step: plan->then > plan->now is the backend's. */
bool retire_plan(const Access *access, const Context *context, const Change *change, Plan *plan, Error *error);
/* Retires the worker steps; verifies, where the plan waits, that the scheduler no longer has them. */
bool retire_apply(const Access *access, const Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error);
/* Waits until that many workers are registered, after some were started; or (exactly) no more than that, after some were ended. */
bool retire_wait_for(const Access *access, const Context *context, int64_t wanted, bool exactly, const Progress *progress, Outcome *outcome, Error *error);
void retire_free_own(Plan *plan, PlanStep *step);

/* Ends scheduler and workers over the comm, and waits until its port refuses. */
bool retire_terminate(const Access *access, const Context *context, const Progress *progress, bool wait, Error *error);

#endif
