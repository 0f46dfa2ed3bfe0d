/* One write to the API server as a step of a plan: frozen when the plan is made, checked against the object just before it is done.
 * A PlanStep's `own` is a Deed; steps without one happen by themselves (the garbage collector) or stay. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_DEED_H
#define DASKTOP_BACKENDS_KUBERNETES_DEED_H

#include "backends/kubernetes/handle.h"

typedef enum DeedKind {
    DEED_DELETE,     /* the object, and in the foreground what it owns */
    DEED_RELEASE,    /* takes the finalizers off that nobody answers for, once nothing hangs below it any more */
    DEED_PATCH,      /* JSON patch or merge patch */
    DEED_SCALE,      /* a worker group's replicas, with the nudge where pods are left over */
    DEED_POST,       /* a new object */
    DEED_HELM        /* helm uninstall, as a child */
} DeedKind;

typedef struct Deed {
    DeedKind kind;
    char *path;       /* of the object; of the collection for DEED_POST */
    char *uid;        /* NULL for DEED_POST; of the release's first object for DEED_HELM */
    char *name, *body;/* body NULL for deletions */
    ApiPatch patch;
    uint64_t spec;    /* hash of the spec that the plan saw: a deletion insists on it; 0: whatever it is */
    int64_t wanted;   /* DEED_SCALE; of a group that workers are retired from: what it wanted when that was planned */
    Need need;        /* what is denied where the server says no */
} Deed;

/* Gives the step a deed, which is the step's from now on. */
Deed *deed_new(PlanStep *step, DeedKind kind, char *path, const char *uid, Need need); /* takes path */
void deed_free_own(Plan *plan, PlanStep *step);
/* A JSON patch that sets a number, and holds only for the object with this uid; the caller's. */
char *deed_guarded(const char *uid, const char *path, int64_t value);

/* Reads the object and compares: ERROR_NOT_FOUND, ERROR_CONFLICT. *version: its resourceVersion now; the caller's. NULLs are allowed. */
bool deed_check(const Deed *deed, const KubeSight *sight, const Context *context, char **version, Error *error);
/* Checks and does it; where the object has gone already a deletion is done. DEED_HELM and DEED_SCALE's waiting are elsewhere. */
bool deed_do(const Deed *deed, const KubeSight *sight, const Context *context, bool dry_run, Error *error);

/* The hash of an object's spec as the server has it now; 0 where it cannot be read. */
uint64_t deed_spec_of(const KubeSight *sight, const Context *context, const char *path);

/* change_keep.c, change_delete.c, change_scale.c, change_retire.c: each its kind. */
bool keep_plan(const KubeSight *sight, const Context *context, const Change *change, Plan *plan, Error *error);
bool keep_apply(const KubeSight *sight, const Context *context, const Plan *plan, Error *error);
bool delete_plan(Handle *handle, const KubeSight *sight, const Context *context, Plan *plan, Error *error);
bool delete_apply(Handle *handle, KubeSight *sight, const Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error);
bool scale_plan(Handle *handle, const KubeSight *sight, const Context *context, const Change *change, Plan *plan, Error *error);
bool scale_apply(Handle *handle, KubeSight *sight, const Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error);
bool retire_group_plan(Handle *handle, const KubeSight *sight, Context *context, const Change *change, Plan *plan, Error *error);
bool retire_group_apply(Handle *handle, KubeSight *sight, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error);

#endif
