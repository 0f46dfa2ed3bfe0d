/* Objects joined to Dask clusters: by spec.cluster, owner references and the labels that their makers set on pods; never by their names.
 * Pure: objects in, rows out. One owner, one thread.
 *
 * A row is a cluster of the operator (its DaskCluster, or what is left where that is gone), of a KubeCluster before 2024.5 (bare pods),
 * a Helm release of the Dask chart, or a cluster of Dask Gateway. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_CLUSTER_H
#define DASKTOP_BACKENDS_KUBERNETES_CLUSTER_H

#include "backends/kubernetes/objects.h"
#include "dask/probe.h"

typedef enum KubeRowKind {
    ROW_OPERATOR, /* has its DaskCluster */
    ROW_LEFT,     /* objects of the operator whose DaskCluster was not seen */
    ROW_CLASSIC,  /* pods of a KubeCluster before 2024.5 */
    ROW_HELM,
    ROW_GATEWAY
} KubeRowKind;

typedef struct KubeList {
    KubeObject **items;
    unsigned count, capacity;
} KubeList;

struct KubeRow {
    const char *key;       /* the record's id: "NAMESPACE/NAME", "NAMESPACE/helm/RELEASE", "NAMESPACE/gateway/NAME" */
    const char *namespace, *name; /* these three lie behind the row */
    KubeList of[KUBE_KIND_COUNT]; /* clusters and gateway clusters: at most one */
    ProbeFacts *facts;     /* what its scheduler said last; NULL: it was not asked. Owned, a copy */
    char *facts_uid;       /* of the pod that said so */
    int64_t client_left_ms;/* Unix: by its log, when a client came or went last; TIME_UNKNOWN */
    bool never_client;     /* by its log from its start on */
    int64_t past_ms;       /* monotonic: when its log was read last; 0: never */
    char *shown_uid;       /* of the record that was put last; NULL: none is shown */
    int64_t probed_ms;     /* monotonic; 0: never */
    int64_t lost_ms;       /* Unix: when its DaskCluster went before our eyes; TIME_UNKNOWN */
    bool unmanned;         /* it has no scheduler, and the API no Deployment that would start one again */
    int64_t unmanned_ms;   /* monotonic: when that was asked last; 0: never */
    int64_t over_ms;       /* Unix: since when there are more worker pods than wanted; TIME_UNKNOWN */
    int64_t again_ms;      /* Unix: when the row says something else by the passing of time alone; INT64_MAX */
    bool dirty;
    KubeRow *next_dirty;
};

typedef struct KubeJoin KubeJoin;

KubeJoin *join_new(void);
void join_free(KubeJoin *join); /* NULL is allowed */
/* Takes the object, in the place of what has its uid. */
void join_put(KubeJoin *join, KubeObject *object);
void join_gone(KubeJoin *join, const char *uid);
/* After a list: what came by this feed in another round is gone. */
void join_sweep(KubeJoin *join, unsigned feed, unsigned round);
/* The next row of which something has changed since it was given last; NULL: none. Of a row that is empty join_forget is due. */
KubeRow *join_next_dirty(KubeJoin *join);
void join_touch(KubeJoin *join, KubeRow *row);
void join_forget(KubeJoin *join, KubeRow *row);
KubeRow *join_find(const KubeJoin *join, const char *key); /* NULL */
/* for (size_t i = 0; (row = join_next(join, &i));) in any order; no rows come or go on the way */
KubeRow *join_next(const KubeJoin *join, size_t *i);
size_t join_rows(const KubeJoin *join);
bool join_has(const KubeJoin *join, unsigned feed); /* anything that came by it */

/* As Kubernetes allows names: fit for the code and the commands that are made of them. A server may say anything. */
bool kube_is_name(const char *name);
bool row_is_well_named(const KubeRow *row); /* its namespace too, and its scheduler's service */
bool row_is_empty(const KubeRow *row);
KubeRowKind row_kind(const KubeRow *row);
const KubeObject *row_cluster(const KubeRow *row);       /* its DaskCluster, or the gateway's; NULL */
const KubeObject *row_anchor(const KubeRow *row);        /* the DaskCluster, else its oldest object; NULL where it is empty */
/* Of one incarnation: the DaskCluster's, also where only what it owns is left; else its service's, its scheduler's. NULL: not known. */
const char *row_uid(const KubeRow *row);
const KubeObject *row_scheduler_pod(const KubeRow *row); /* the best of them: ready before starting before ending; NULL */
const KubeObject *row_service(const KubeRow *row);       /* of its scheduler; NULL */
const KubeObject *row_job(const KubeRow *row);           /* that owns its DaskCluster; NULL */
const KubeObject *row_scaler(const KubeRow *row);        /* NULL */
bool row_is_manned(const KubeRow *row);                  /* a Deployment that was read would start its scheduler again */
bool row_is_earlier(const KubeRow *row, const KubeObject *object); /* of a cluster that had this name before */
int64_t row_wanted(const KubeRow *row);                  /* workers; NUMBER_UNKNOWN */
int64_t row_worker_pods(const KubeRow *row);             /* that exist and are neither ending nor ended */
int64_t row_pods(const KubeRow *row);                    /* all that exist and may cost */
bool row_is_young(const KubeObject *pod, int64_t now_ms); /* it may still be starting what it runs */
bool row_can_be_probed(const KubeRow *row);              /* its scheduler's pod is ready and there is a service */
/* Below the server: "/api/v1/namespaces/NS/services/NAME:PORT/proxy"; the caller's, NULL. */
char *row_proxy_path(const KubeRow *row);
/* "NAME.NS.svc" of its scheduler's service: as far as that is a name everywhere, and never one on the Internet, as NAME.NS is where a namespace
 * is called dev or app; the caller's, NULL. */
char *row_host(const KubeRow *row);
/* "tcp://NAME.NS:8786": how Dask in the same Kubernetes cluster reaches it; the caller's, NULL. */
char *row_address(const KubeRow *row);
/* "http://NAME.NS:8787/status": the same of its dashboard; a gateway's is the gateway's affair: NULL. */
char *row_dashboard(const KubeRow *row);

#endif
