/* What the signed-in user may do, asked before anybody presses a key: one SelfSubjectRulesReview a namespace, and one
 * SelfSubjectAccessReview for each need where the server cannot list all rules. Answers are kept for a while; a refusal that came later
 * beats them.
 *
 * One Rights serves an instance. Any thread; its lock is inside and never held while waiting. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_RIGHTS_H
#define DASKTOP_BACKENDS_KUBERNETES_RIGHTS_H

#include "backends/kubernetes/api.h"
#include "backends/kubernetes/cluster.h"

/* What dasktop ever wants to do to objects, beside looking. */
typedef enum Need {
    NEED_DELETE_CLUSTER,
    NEED_DELETE_JOB,
    NEED_PATCH_CLUSTER, /* to take a dead operator's finalizer off, and for the label dasktop/keep */
    NEED_CREATE_CLUSTER,
    NEED_PATCH_GROUP,
    NEED_CREATE_SCALER,
    NEED_PATCH_SCALER,
    NEED_DELETE_SCALER,
    NEED_READ_LOGS,
    NEED_FORWARD,
    NEED_PROXY,
    NEED_DELETE_PODS,
    NEED_SCALE_DEPLOYMENT,
    NEED_DELETE_DEPLOYMENT,
    NEED_STOP_GATEWAY,
    NEED_COUNT
} Need;

/* What a SelfSubjectRulesReview says of each: 1, 0, -1. False: the server could not list all rules. Pure. */
bool rights_of_review(const cJSON *review, int8_t may[NEED_COUNT]);

typedef struct Rights Rights;
/* inside: this is a pod, where a scheduler is reached without a port-forward. */
Rights *rights_new(bool inside);
void rights_free(Rights *rights); /* NULL is allowed; rights_stop before, where something was asked without waiting */

/* Asks, unless it is known; waits for the answer. */
bool rights_ready(Rights *rights, const Api *api, const Context *context, const char *namespace, Error *error);
/* The same without waiting, on an instance's own loop; credentials have to be ready. told() once it is known, where that changes anything. */
void rights_ask(Rights *rights, const Api *api, const char *namespace, void (*told)(void *user, const char *namespace), void *user);
bool rights_asking(const Rights *rights); /* by the same thread: something is under way */
void rights_stop(Rights *rights); /* forgets questions that rights_ask has under way; by the thread of their loop */

/* 1, 0, -1 not known. */
int rights_may(Rights *rights, const char *namespace, Need need);
/* The system said no to it just now. */
void rights_refused(Rights *rights, const char *namespace, Need need);
/* "not permitted: patch daskworkergroups.kubernetes.dask.org in team-a" into why[160]. */
const char *rights_why(const char *namespace, Need need, char why[160]);

/* Takes from a row what may not be done, with the reason. `text` owns what the fields borrow. */
void rights_limit(Rights *rights, const KubeRow *row, List *text, RecordFields *fields);

#endif
