/* The user's own programs for Kubernetes, run as children: kubectl for ports, helm for its releases. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_TOOLS_H
#define DASKTOP_BACKENDS_KUBERNETES_TOOLS_H

#include "backends/kubernetes/kubernetes.h"

/* Its file in PATH; the caller's. NULL: it is not there. */
char *tool_find(const char *name);
/* Adds the option that names the context, and the environment in which the same kubeconfig is read. */
void tool_context(const KubeBackend *own, const char *option, List *command, List *environment);
/* The last line of what it said, in place. */
const char *tool_last_line(Buffer *output);

#endif
