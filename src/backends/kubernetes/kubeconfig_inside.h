/* What kubeconfig.c and kubeconfig_entry.c share and nobody else includes. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_KUBECONFIG_INSIDE_H
#define DASKTOP_BACKENDS_KUBERNETES_KUBECONFIG_INSIDE_H

#include "backends/kubernetes/kubeconfig.h"
#include "base/tree.h"

/* An entry from its map; directory: of the file, from which its paths are meant. What is wrong with it stands in its problem. */
KubeCluster *kube_cluster_read(const char *name, const Tree *map, const char *directory);
void kube_cluster_free(void *cluster);
KubeUser *kube_user_read(const char *name, const Tree *map, const char *directory);
void kube_user_free(void *user);

/* Scalars of a map. NULL: not there, null or empty, as kubectl takes them. Something else than a scalar is a problem. */
const char *kube_text(const Tree *map, const char *key, const char *what, Error *problem);

#endif
