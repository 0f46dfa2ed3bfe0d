/* Whether a scheduler that has no pod will come again: its Deployment makes another one, however long that takes, as long as it is there. Only
 * where the API says that it is not, the scheduler is provably gone. Of the discovery's thread. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_UNMANNED_H
#define DASKTOP_BACKENDS_KUBERNETES_UNMANNED_H

#include "backends/kubernetes/api.h"
#include "backends/kubernetes/cluster.h"

/* Asks of those rows of the operator that cost something and have no scheduler, of each at most once a minute and of a few at a time; waits.
 * Where Deployments may not be listed nothing is concluded. True: a row has changed, and is touched. No rows may go meanwhile. */
bool unmanned_read(const Api *api, const Context *context, KubeJoin *join);

#endif
