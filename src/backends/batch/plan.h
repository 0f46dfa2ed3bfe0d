/* What plan.c puts into a plan and apply.c takes out of it. */
#ifndef DASKTOP_BACKENDS_BATCH_PLAN_H
#define DASKTOP_BACKENDS_BATCH_PLAN_H

#include "backends/batch/batch.h"

/* Of a step that cancels a job. */
typedef struct JobStep {
    int64_t submitted_ms;
    bool waits;        /* it was pending: no worker has to be asked first */
    const char *owner; /* behind the id */
    char id[];         /* id 0 owner 0 */
} JobStep;
const JobStep *plan_job(const PlanStep *step); /* NULL: it cancels none */

/* Of a plan for more workers. PLAN_WORKER stands in the script where each job's worker gets its name. */
#define PLAN_WORKER "DASKTOP-WORKER"
typedef struct More {
    Buffer script;
    bool is_element;   /* of an array's script: one element of it is wanted */
    char *directory, *prefix;
    int64_t jobs;
} More;

#endif
