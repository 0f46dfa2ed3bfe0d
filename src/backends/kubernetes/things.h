/* Everything that belongs to one cluster, as a tree: what `show` lists, what a deletion takes with it, and what must be gone after it.
 * Read anew for each call; one owner, one thread. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_THINGS_H
#define DASKTOP_BACKENDS_KUBERNETES_THINGS_H

#include "backends/kubernetes/kubernetes.h"

typedef struct KubeThing {
    const KubeKindInfo *kind;
    const KubeObject *object;      /* of the row; NULL: a kind that discovery does not look at */
    char *name, *uid, *owner_uid;
    char *status;                  /* for people; NULL */
    int parent;                    /* index, before it in the list; -1 */
} KubeThing;

typedef struct KubeThings {
    KubeThing *items; /* parents before their children */
    size_t count, capacity;
} KubeThings;

/* The row's objects, and of the namespace what else carries its label. What may not be listed is said in `missing`. False: the context ended or
 * the server does not answer. */
bool things_read(const Api *api, const Context *context, const KubeRow *row, KubeThings *out, List *missing, Error *error);
void things_done(KubeThings *things);
const KubeThing *things_find(const KubeThings *things, const char *uid); /* NULL */

/* "/apis/…/namespaces/NS/daskclusters/NAME"; the caller's. */
char *thing_path(const KubeThing *thing, const char *namespace);
char *object_path(const KubeObject *object, const char *sub); /* sub: "log", NULL */

#endif
