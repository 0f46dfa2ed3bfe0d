/* Inside the store only (store.c, part.c): what lies behind Part, chunks and published parts.
 *
 * A published chunk is immutable but for `passes`, stamps that move in place like those of a record: confirming what has not
 * changed must copy nothing. A chunk that only the writer holds is changed in place. */
#ifndef DASKTOP_CORE_PART_H
#define DASKTOP_CORE_PART_H

#include "base/map.h"
#include "core/store.h"

#include <pthread.h>

typedef struct Chunk {
    atomic_uint references;
    size_t count;
    Record *records[CHUNK_RECORDS];          /* a reference each */
    _Atomic uint64_t passes[CHUNK_RECORDS];  /* the epoch in which it was last confirmed; 0: in an earlier run */
} Chunk;

/* What a reader sees of a part. `public` is first: a SnapshotPart is one of these. */
typedef struct Shot {
    SnapshotPart public;
    uint64_t needed; /* confirmed before this epoch: stale */
    size_t chunk_count;
    atomic_uint references;
    Chunk *chunks[];
} Shot;

struct Part {
    Store *store;
    size_t index;           /* among the store's parts */
    pthread_mutex_t lock;   /* guards what follows, to `next` */
    PartInfo info;          /* strings are the part's own */
    Map positions;          /* id -> index of its record + 1 */
    Chunk **chunks;
    size_t count, chunk_count, chunk_capacity;
    uint64_t epoch;         /* moves at the begin of a pass and when the backend fails */
    uint64_t needed;        /* see Shot */
    uint64_t needed_before; /* what it was before the failure that is reported now */
    uint64_t pass;          /* the epoch in which the running pass began; 0: none runs */
    bool complete;          /* a pass of this run was: what an earlier run knew is no news any more */
    bool failing;           /* `needed` was raised by a report of failure */
    bool dirty;             /* something that readers have not got yet */
    bool queued;            /* the store's thread will publish it */
    int64_t published_us;
    uint64_t generation;
    Part *next;             /* store->lock: waiting for the store's thread */
    int64_t due_us;         /* store->lock */
};

enum { PUBLISH_US = 16000 };

/* Part's side. */
void part_init(Part *part, Store *store, size_t index, const PartInfo *info);
void part_done(Part *part);
void part_publish(Part *part); /* under part->lock */
Shot *part_first_shot(Part *part); /* before others know it */

/* Store's side, called under part->lock. store_show takes the shot. */
void store_show(Part *part, Shot *shot);
bool store_is_live(const Store *store);
bool store_publish_later(Part *part, int64_t due_us); /* false: there is no thread that would */

void shot_drop(Shot *shot);

#endif
