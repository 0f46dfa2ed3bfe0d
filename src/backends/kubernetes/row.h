/* A joined cluster as the fields of a record: what is so, what is wrong, and why. Pure. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_ROW_H
#define DASKTOP_BACKENDS_KUBERNETES_ROW_H

#include "backends/kubernetes/cluster.h"
#include "backends/kubernetes/nodes.h"

typedef struct KubeView {
    const List *owner_labels; /* of the config: labels or annotations that name an owner, tried first */
    const KubeNodes *nodes;   /* NULL: not read */
    const char *user;         /* who runs dasktop, for `mine`; NULL */
    bool clusters_known;      /* the DaskClusters of its namespace are all known: only then one that is missing is gone */
    bool pods_known;          /* the same of its pods: else nothing is said of them */
    bool pods_stale;          /* what is known of them is not of now: nothing that is missing is gone */
    bool pods_forbidden;      /* they may not be listed */
    int64_t now_ms;           /* Unix */
    int64_t ahead_ms;         /* by how much the API server's clock, of which objects' stamps are, is ahead of ours */
} KubeView;

enum { ROW_MACHINES = 8 };

/* What the fields borrow beside the row. */
typedef struct RowText {
    List texts;
    Machine machines[ROW_MACHINES];
} RowText;
void row_text_done(RowText *text);

/* False: the row is nothing to show (no pods, no DaskCluster). Sets row->over_ms and again_ms. The fields live as long as row and text are not
 * changed. */
bool row_fields(KubeRow *row, const KubeView *view, RowText *text, RecordFields *fields);

/* Of a row without a DaskCluster where that may be there all the same. */
extern const char row_unseen[];

/* Facts are lent by the prober: the row keeps a copy. NULL: forgets what it has. */
void row_set_facts(KubeRow *row, const ProbeFacts *facts);

#endif
