/* One instance's discovery: its feeds, the clusters that they are joined to, how their schedulers are. Of the discovery's thread. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_DISCOVER_H
#define DASKTOP_BACKENDS_KUBERNETES_DISCOVER_H

#include "backends/kubernetes/kubernetes.h"
#include "core/sink.h"

/* Lists everything; with `watch` goes on until the context ends or nothing answers any more. */
bool kube_discover(KubeBackend *own, Context *context, Sink *sink, bool watch, Error *error);
void discovering_free(Discovering *discovering); /* NULL is allowed */

#endif
