/* Between objects.c, which reads an object, and objects_pack.c, which puts it into one allocation. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_OBJECTS_INSIDE_H
#define DASKTOP_BACKENDS_KUBERNETES_OBJECTS_INSIDE_H

#include "backends/kubernetes/objects.h"

enum { PAIRS_MOST = 64, CONTAINERS_MOST = 64, PORTS_MOST = 64 };

/* An object as it is read: its texts are still the tree's, or those that were made for it. */
typedef struct Draft {
    KubeObject is;
    Pair labels[PAIRS_MOST], annotations[PAIRS_MOST];
    KubeContainer containers[CONTAINERS_MOST];
    KubePort ports[PORTS_MOST];
    List made;
} Draft;

/* The same with all its texts behind it; the caller's, for kube_object_free. */
KubeObject *draft_pack(const Draft *draft);

#endif
