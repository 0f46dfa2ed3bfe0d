/* The row of one cluster: from its jobs, and from what its scheduler said. Pure. */
#ifndef DASKTOP_BACKENDS_BATCH_ROW_H
#define DASKTOP_BACKENDS_BATCH_ROW_H

#include "backends/batch/cluster.h"

/* The fields of its row; texts are borrowed from cluster, facts and the buffers in `room`, which live as long as the fields. facts NULL: not asked. */
typedef struct ClusterRoom {
    Buffer dashboard, why, gone, gone_why, ends;
} ClusterRoom;
void cluster_room_init(ClusterRoom *room);
void cluster_room_done(ClusterRoom *room);
/* is_here: the scheduler's address is one of this computer's, so that a refusal is proof. */
void cluster_row(const Cluster *cluster, const Queue *queue, const ProbeFacts *facts, bool is_here, int64_t now_ms, ClusterRoom *room,
                 RecordFields *fields);

#endif
