/* How schedulers are, through the API server's proxy: HTTP only, with the API's credentials, within the load budget. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_ASK_H
#define DASKTOP_BACKENDS_KUBERNETES_ASK_H

#include "backends/kubernetes/api.h"
#include "backends/kubernetes/row.h"
#include "core/config.h"

/* Asks the rows, a few tens at a time; their facts are set, and told() is called for each as it answers. The prober is the
 * caller's. fresh: whatever the budget says. */
bool ask_schedulers(Prober *prober, const Api *api, const Context *context, const BackendConfig *config, KubeRow *const *rows, size_t count, bool fresh,
                    void (*told)(void *user, KubeRow *row), void *user, Error *error);

#endif
