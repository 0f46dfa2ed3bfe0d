/* A wish to change something, the plan that would do it, and what came of it.
 *
 * `plan` has no side effects; `apply` executes that very plan after re-reading the identities in it and touches nothing that is
 * not in it. A Plan belongs to whoever asked for it; it is frozen: nothing in it is looked up again but identities. */
#ifndef DASKTOP_CORE_CHANGE_H
#define DASKTOP_CORE_CHANGE_H

#include "base/list.h"
#include "core/record.h"

typedef enum ChangeKind { CHANGE_DELETE, CHANGE_SCALE, CHANGE_ADAPT, CHANGE_RETIRE, CHANGE_CREATE, CHANGE_KEEP } ChangeKind;
const char *change_word(ChangeKind kind); /* "delete" */

typedef struct Change {
    ChangeKind kind;
    int64_t workers;              /* scale: wanted number; create: NUMBER_UNKNOWN = as the spec says */
    const char *group;            /* scale: worker group; NULL */
    bool adapt_off;
    int64_t minimum, maximum;     /* adapt */
    const List *names;            /* retire: names or addresses of workers */
    int64_t until_ms;             /* keep: Unix ms; 0: no longer */
    const char *reason;           /* keep; NULL: none */
    bool wait;                    /* until it holds; false: return once the system has taken it (--no-wait) */
} Change;

typedef enum StepFate { STEP_ENDS, STEP_STARTS, STEP_CHANGES, STEP_STAYS } StepFate;
const char *step_fate_word(StepFate fate);

/* One thing that the plan touches, or names as staying. */
typedef struct PlanStep {
    StepFate fate;
    char *kind;     /* "scheduler", "worker", "nanny", "process", "pod", "job", "file" */
    char *name;     /* "dask worker w1" */
    char *identity; /* "pid 4242, started 2026-11-23T06:30:00Z", a UID; NULL only for STEP_STAYS and STEP_STARTS */
    char *call;     /* what will be done, exactly: "terminate at tcp://…, then SIGTERM, then SIGKILL to group 4242" */
    void *own;      /* the backend's, freed by plan->free_own */
} PlanStep;

typedef struct Plan Plan;
struct Plan {
    ChangeKind kind;
    char *id, *uid, *name;        /* of the cluster; uid NULL only for create */
    char *owner;
    PlanStep *steps;
    size_t count, capacity;
    int64_t now, then;            /* workers, NUMBER_UNKNOWN where it does not apply */
    char *note;                   /* a sentence for the dialog: what the user should know first; NULL */
    char *clamped;                /* the system imposes a limit: what is done instead; NULL. Exit 3 */
    bool wait;
    void *own;                    /* the backend's token, freed by free_own(plan, NULL) */
    void (*free_own)(Plan *plan, PlanStep *step);
};

Plan *plan_new(ChangeKind kind, const Record *record); /* record NULL for create */
PlanStep *plan_step(Plan *plan, StepFate fate, const char *kind, const char *name, const char *identity); /* strings sanitised */
void plan_call(PlanStep *step, const char *format, ...) __attribute__((format(printf, 2, 3)));
void plan_note(Plan *plan, const char *format, ...) __attribute__((format(printf, 2, 3)));
void plan_free(Plan *plan);
size_t plan_count(const Plan *plan, StepFate fate);
/* {"id", "uid", "change", "steps": […], "note", "clamped"}: --dry-run -o json, the journal. */
void plan_json(JsonWriter *json, const char *key, const Plan *plan);

/* How far an operation is: given to apply, which tells it. Strings are sanitised. Called by the operation's thread. */
typedef enum Phase { PHASE_QUEUED, PHASE_RUNNING, PHASE_VERIFYING, PHASE_DONE, PHASE_FAILED, PHASE_CANCELLED, PHASE_UNKNOWN } Phase;
const char *phase_word(Phase phase);
typedef struct Progress {
    void (*tell)(void *user, Phase phase, const char *message, int64_t done, int64_t total);
    void *user;
} Progress;
void progress_tell(const Progress *progress, Phase phase, int64_t done, int64_t total, const char *message, ...)
    __attribute__((format(printf, 5, 6))); /* progress may be NULL */

/* What came of it, beside the error: filled also on failure. */
typedef struct Outcome {
    List left_over;   /* what still exists and should not: named one by one */
    List newcomers;   /* appeared since the plan: named, not touched */
    List failures;    /* "job 4711: not permitted" */
    char *clamped;    /* a limit that the system imposed */
    char *id;         /* create: of the new cluster */
    int64_t workers;  /* scale: how many there are in the end; NUMBER_UNKNOWN */
} Outcome;
void outcome_init(Outcome *outcome);
void outcome_done(Outcome *outcome);
/* Backends write into it what systems call things, raw: whoever asked them for it calls this before anybody reads it. */
void outcome_clean(Outcome *outcome);

#endif
