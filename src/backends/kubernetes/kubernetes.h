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

/* One cluster with all its objects, read anew. id as in the record, without backend and instance. The join is the caller's (join_free), the
 * row lies in it. ERROR_NOT_FOUND: nothing of it is there. uid NULL: any; ERROR_CONFLICT: another one has its name now. What may not be
 * listed is left out and said in `missing` ("pods: forbidden …"; NULL: not wanted). */
bool kube_look(const KubeBackend *own, const Api *api, const Context *context, const char *id, const char *uid, KubeJoin **join, KubeRow **row,
               List *missing, Error *error);

/* How its scheduler is, through the API server's proxy, whatever the budget says. False: it could not be asked. The row's facts are set. */
bool kube_probe(const KubeBackend *own, const Api *api, const Context *context, KubeRow *row, Error *error);
/* The record of a row as it is now; counted for the caller. */
Record *kube_record(const KubeBackend *own, KubeRow *row, Error *error);

/* handle.c, create.c */
bool kube_reconstruct(Backend *backend, Context *context, const Record *record, Handle **handle, Error *error);
bool kube_create(Backend *backend, Context *context, const Spec *spec, bool dry_run, Plan *plan, const Progress *progress, Outcome *outcome,
                 Error *error);
extern const char *const kube_creates[];

#endif
