/* What the files of the backend kubernetes share: an instance, which is one context of a kubeconfig, and a look at one cluster. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_KUBERNETES_H
#define DASKTOP_BACKENDS_KUBERNETES_KUBERNETES_H

#include "backends/kubernetes/rights.h"
#include "backends/kubernetes/row.h"
#include "backends/kubernetes/watch.h"
#include "core/backend.h"

typedef struct Discovering Discovering; /* discover.c: what belongs to the discovery's thread */

typedef struct KubeBackend {
    Backend backend;
    /* constant: any thread */
    Kubeconfig *kubeconfig;   /* counted */
    const KubeContext *context;
    char *where;              /* "prod/kind-dev" */
    char *namespace;          /* the context's; "default" where it names none */
    List fallbacks;           /* namespaces that are seen where they may not be listed: this context's, and those of contexts that are the same but for it */
    List namespaces;          /* of the config; empty: all that one may list */
    bool wants_all;           /* the config says "*" */
    List owner_labels;
    SignIn *sign_in;          /* has its own lock */
    Rights *rights;           /* the same */
    /* of the discovery's thread */
    Discovering *discovering; /* NULL before the first look */
} KubeBackend;

static inline KubeBackend *kube_of(Backend *backend)
{
    return (KubeBackend *)backend;
}

/* False where the context cannot be used: the kubeconfig says why. */
bool kube_usable(const KubeBackend *own, Error *error);

/* For a call on any thread: an Io of its own. kube_api_done frees it. */
bool kube_api(const KubeBackend *own, Api *api, Error *error);
void kube_api_done(Api *api);

/* What a look could list: of what it could not, nothing may be concluded. */
typedef struct KubeSeen {
    bool clusters, pods;  /* all that there are */
    bool pods_forbidden, services, deployments;
    int64_t ahead_ms;     /* by how much the API server's clock is ahead of ours */
    List missing;         /* what may not be listed: "pods: forbidden …" */
} KubeSeen;

/* One cluster with all its objects, read anew. id as in the record, without backend and instance. The join is the caller's (join_free), the
 * row lies in it. ERROR_NOT_FOUND: nothing of it is there. uid NULL: any; ERROR_CONFLICT: another one has its name now. `seen` is the caller's
 * (its list), also after an error; NULL: not wanted. */
bool kube_look(const KubeBackend *own, const Api *api, const Context *context, const char *id, const char *uid, KubeJoin **join, KubeRow **row,
               KubeSeen *seen, Error *error);

/* How its scheduler is, through the API server's proxy, whatever the budget says. False: it could not be asked. The row's facts are set. */
bool kube_probe(const KubeBackend *own, const Api *api, const Context *context, KubeRow *row, Error *error);
/* The record of a row as it is now; counted for the caller. */
Record *kube_record(const KubeBackend *own, KubeRow *row, const KubeSeen *seen, Error *error);

/* handle.c, create.c */
bool kube_reconstruct(Backend *backend, Context *context, const Record *record, Handle **handle, Error *error);
bool kube_create(Backend *backend, Context *context, const Spec *spec, bool dry_run, Plan *plan, const Progress *progress, Outcome *outcome,
                 Error *error);
extern const char *const kube_creates[];

#endif
