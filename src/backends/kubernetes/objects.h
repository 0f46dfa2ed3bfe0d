/* The few fields of Kubernetes' objects that dasktop looks at. Pure: JSON of one object in, a small struct out, the tree freed at once.
 *
 * What a field lacks or has of a wrong type is unknown (NULL, NUMBER_UNKNOWN, TIME_UNKNOWN, -1). Text is raw: core's constructors
 * sanitise it. One owner each. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_OBJECTS_H
#define DASKTOP_BACKENDS_KUBERNETES_OBJECTS_H

#include "base/clock.h"
#include "base/json.h"
#include "base/list.h"
#include "core/record.h"

typedef enum KubeKind {
    KUBE_CLUSTER,         /* DaskCluster of the operator */
    KUBE_GROUP,           /* DaskWorkerGroup */
    KUBE_SCALER,          /* DaskAutoscaler */
    KUBE_JOB,             /* DaskJob */
    KUBE_GATEWAY_CLUSTER, /* Dask Gateway's own DaskCluster */
    KUBE_POD,
    KUBE_SERVICE,
    KUBE_DEPLOYMENT,
    KUBE_KIND_COUNT
} KubeKind;

/* What stands in paths, and what people call it. */
typedef struct KubeKindInfo {
    const char *group, *version, *plural;
    const char *word;  /* "DaskWorkerGroup", "pod" */
} KubeKindInfo;
extern const KubeKindInfo kube_kinds[KUBE_KIND_COUNT];

typedef enum KubeComponent { COMPONENT_OTHER, COMPONENT_SCHEDULER, COMPONENT_WORKER, COMPONENT_JOB_RUNNER, COMPONENT_COUNT } KubeComponent;
const char *kube_component_word(KubeComponent component); /* "scheduler" */

/* What one pod of a spec asks for: requests, and limits where it has no requests. */
typedef struct KubeResources {
    int64_t cpu_milli, memory, gpus; /* NUMBER_UNKNOWN: not said; gpus 0 where it is not said */
    int64_t threads;                 /* CPUs that one worker of it may use, as Dask counts them: limits, else requests; NUMBER_UNKNOWN */
} KubeResources;

typedef struct KubePort {
    const char *name;
    int64_t port;
    const char *target; /* name or number of the container's */
} KubePort;

typedef struct KubeContainer {
    const char *name;
    const char *state; /* "running", or the reason why not: "CrashLoopBackOff", "Completed", "ContainerCreating" */
    int64_t restarts;
    bool init;
} KubeContainer;

typedef struct KubeRow KubeRow; /* cluster.h */

/* One allocation: what it points to lies behind it. There may be very many. */
typedef struct KubeObject {
    KubeKind kind;
    KubeComponent component;    /* of pod, service, deployment */
    const char *name, *namespace, *uid;
    int64_t created_ms, deleting_ms;        /* deleting_ms: when its deletion was asked for; TIME_UNKNOWN: it was not */
    const char *owner_kind, *owner_name, *owner_uid; /* the controller, else the first owner; NULL */
    const char *manager;                    /* who made it, by managedFields: "kubectl-client-side-apply", "kr8s"; NULL */
    const Pair *labels, *annotations;       /* annotations: small ones only, without those of kubectl and kopf */
    unsigned label_count, annotation_count;
    unsigned container_count, port_count;
    bool held;                  /* it has finalizers */
    bool held_by_operator;      /* and one of them is the operator's */

    bool tls;                   /* cluster, gateway cluster: its scheduler speaks TLS as far as the spec says */
    bool ready, ended;          /* pod; ended: Succeeded or Failed, it costs nothing */

    const char *cluster;        /* spec.cluster of group and scaler; status.clusterName of a job; of other kinds by its label; NULL */
    const char *phase;          /* status.phase, status.jobStatus; a pod's: "Pending", "Running", "Succeeded", "Failed" */
    int64_t replicas;           /* wanted: group, cluster (stale: not to be believed), deployment */
    const char *worker_name;    /* pod: env DASK_WORKER_NAME, what the scheduler calls it; NULL */
    const char *group_name;     /* pod: its worker group, by label; NULL */
    union {                     /* by its kind: nothing else may be looked at */
        struct {                                 /* pod */
            const char *why;                     /* why it is not ready, one word: "ImagePullBackOff", "Unschedulable: 0/3 nodes …" */
            const char *node;
            KubeResources asks;
            const KubeContainer *containers;     /* init containers first; container_count is 0 of other kinds */
        };
        struct {                                 /* cluster, scaler, gateway cluster */
            int64_t minimum, maximum;            /* scaler */
            int64_t idle_timeout_s;              /* cluster: 0 never */
            const char *user, *service;          /* gateway cluster: spec.username, status.service */
            int active;                          /* gateway cluster: spec.active, 1, 0, -1 */
        };
        const KubePort *ports;                   /* service; port_count is 0 of other kinds */
    };

    /* of cluster.c */
    KubeRow *row;
    unsigned place, feed, round;
} KubeObject;

/* NULL: it is none (no name or uid), error says why. n bytes of JSON; managedFields are cut out before a tree is built. */
KubeObject *kube_object_parse(KubeKind kind, const char *bytes, size_t n, Error *error);
KubeObject *kube_object_from(KubeKind kind, const cJSON *json); /* NULL as above */
void kube_object_free(KubeObject *object); /* NULL is allowed */

const char *kube_label(const KubeObject *object, const char *key);      /* NULL */
const char *kube_annotation(const KubeObject *object, const char *key); /* NULL */

/* "1", "500m", "2Gi", "1e3": in thousandths; NUMBER_UNKNOWN where it is none. */
int64_t kube_quantity_milli(const char *text);
int64_t kube_gpus(const cJSON *resources); /* of a map of resources, whoever made them; 0 */

/* Port of a service: by name, else by target, else by number. NULL: there is none. */
const KubePort *kube_service_port(const KubeObject *service, const char *name, const char *target, int64_t number);

#endif
