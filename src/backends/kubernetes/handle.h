/* What the files of a handle share: one cluster, looked at anew for each call. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_HANDLE_H
#define DASKTOP_BACKENDS_KUBERNETES_HANDLE_H

#include "backends/common/access.h"
#include "backends/kubernetes/rights.h"
#include "backends/kubernetes/things.h"

typedef struct KubeHandle {
    Handle handle;
    char *id; /* of the record, without backend and instance: "NAMESPACE/NAME" */
} KubeHandle;

static inline KubeHandle *kube_handle(Handle *handle)
{
    return (KubeHandle *)handle;
}

/* A look: the objects as they are now, on an Io of its own. */
typedef struct KubeSight {
    const KubeBackend *own;
    Api api;
    KubeJoin *join;
    KubeRow *row;
    KubeSeen seen;
} KubeSight;

/* The cluster that the handle is bound to: ERROR_NOT_FOUND where it has gone, ERROR_CONFLICT where another one has its name now. */
bool sight_take(Handle *handle, const Context *context, KubeSight *out, Error *error);
void sight_done(KubeSight *sight);
/* ERROR_DENIED, with the verb and resource that is missing, where it is known that this may not be done. */
bool sight_may(const KubeSight *sight, const Context *context, Need need, Error *error);

/* change.c */
bool kube_plan(Handle *handle, Context *context, const Change *change, Plan **plan, Error *error);
bool kube_apply(Handle *handle, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error);
/* logs.c, route.c */
bool kube_logs(Handle *handle, Context *context, const LogRequest *request, const LogSink *sink, Error *error);
bool kube_route(Handle *handle, Context *context, const RouteWish *wish, Route *route, Error *error);
/* What is between here and its scheduler, in words: for `show`; the caller's. */
char *kube_route_words(const KubeSight *sight);
bool kube_snippet(Handle *handle, Context *context, Buffer *out, Error *error);

/* A route opened for our own use, as an Access that reaches the scheduler's comm port through it: access_done and route_done. */
bool kube_access(Handle *handle, Context *context, Access *access, Route *route, Error *error);

#endif
