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
    char *name;
    int64_t port;
    char *target; /* name or number of the container's */
} KubePort;

typedef struct KubeContainer {
    char *name;
    char *state;     /* "running", or the reason why not: "CrashLoopBackOff", "Completed", "ContainerCreating" */
    int64_t restarts;
    bool init;
} KubeContainer;

typedef struct KubeRow KubeRow; /* cluster.h */

typedef struct KubeObject {
    KubeKind kind;
    char *name, *namespace, *uid, *version; /* version: resourceVersion, opaque */
    int64_t created_ms, deleting_ms;        /* deleting_ms: when its deletion was asked for; TIME_UNKNOWN: it was not */
    char *owner_kind, *owner_name, *owner_uid; /* the controller, else the first owner; NULL */
    Pair *labels, *annotations;             /* annotations: small ones only, without those of kubectl and kopf */
    size_t label_count, annotation_count;
    List finalizers;
    char *manager;                          /* who made it, by managedFields: "kubectl-client-side-apply", "kr8s"; NULL */

    /* cluster, group, scaler, job, gateway cluster */
    char *cluster;              /* spec.cluster of group and scaler; status.clusterName of a job; of other kinds by its label; NULL */
    char *phase;                /* status.phase, status.jobStatus; a pod's: "Pending", "Running", "Succeeded", "Failed" */
    int64_t replicas;           /* wanted: group, cluster (stale: not to be believed), deployment */
    int64_t minimum, maximum;   /* scaler */
    int64_t idle_timeout_s;     /* cluster: 0 never */
    int64_t started_ms, ended_ms; /* job */
    KubeResources worker;       /* of one more worker: cluster, group */
    char *user;                 /* gateway cluster: spec.username */
    int active;                 /* gateway cluster: spec.active, 1, 0, -1 */
    char *service;              /* gateway cluster: status.service */
    char *scheduler_pod;        /* gateway cluster: status.schedulerPod; job: its runner pod */
    bool tls;                   /* cluster, gateway cluster: its scheduler speaks TLS as far as the spec says */

    /* pod */
    KubeComponent component;    /* of pod, service, deployment */
    bool ready;
    char *why;                  /* why it is not ready, one word: "ImagePullBackOff", "Unschedulable: 0/3 nodes …" */
    char *node, *ip, *machine;  /* machine: instance type that its nodeSelector names */
    char *worker_name;          /* env DASK_WORKER_NAME: what the scheduler calls it; NULL */
    char *group_name;           /* its worker group, by label */
    KubeResources asks;
    KubeContainer *containers;  /* init containers first */
    size_t container_count;
    bool ended;                 /* Succeeded or Failed: it costs nothing */

    /* service */
    KubePort *ports;
    size_t port_count;

    /* of cluster.c */
    KubeRow *row;
    size_t place;
    unsigned feed, round;
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
