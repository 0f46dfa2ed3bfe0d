/* Which machines pods run on, and what share of them they ask for: only for what they cost. Pure; one owner, one thread. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_NODES_H
#define DASKTOP_BACKENDS_KUBERNETES_NODES_H

#include "backends/kubernetes/objects.h"
#include "base/map.h"

typedef struct KubeNode {
    char *type; /* instance type; NULL */
    int64_t cpu_milli, memory, gpus;
} KubeNode;

typedef struct KubeNodes {
    Map by_name; /* KubeNode */
} KubeNodes;

void nodes_init(KubeNodes *nodes);
void nodes_done(KubeNodes *nodes);
void nodes_take(KubeNodes *nodes, const char *bytes, size_t n); /* the JSON of one; what is none is left out */
bool nodes_know(const KubeNodes *nodes, const char *name);
/* The type of the machine that a pod runs on and the share of it that the pod asks for, by the scarcest (0: it asks for nothing); NULL: not
 * known. */
const char *nodes_share(const KubeNodes *nodes, const KubeObject *pod, double *share);

#endif
