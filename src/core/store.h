/* What all backends say now: a part per backend instance, and snapshots of the whole.
 *
 * Writers are the instances' threads, each for its own part, through core/sink.h. A part is a persistent vector of chunks of
 * pointers to records: a change copies one chunk and the table of chunks. Readers take a Snapshot: a counted array of parts
 * and a generation; taking one is a pointer swap under a small lock. Rows are published with an answer (part_report), where the
 * store is live as they come, too: at most once per 16 ms and part; a thread of the store publishes what came in between, and
 * frees what nobody holds any more, so that the UI never frees.
 * Lock order: part, then store. The store never merges what two parts say of one scheduler: that is the view's (core/view.h). */
#ifndef DASKTOP_CORE_STORE_H
#define DASKTOP_CORE_STORE_H

#include "base/wake.h"
#include "core/record.h"

typedef enum PartState {
    PART_WAITING, /* no answer yet, within its timeout; written as "slow" when a list ends before it */
    PART_OK,
    PART_PARTIAL,
    PART_SLOW,
    PART_FAILED,
    PART_DENIED,
    PART_SIGN_IN,
    PART_ABSENT,
    PART_OFF,
    PART_STATE_COUNT
} PartState;
const char *part_state_word(PartState state);
bool part_state_is_answer(PartState state); /* rows came, and they are all that it gives now */

/* What is known of a backend instance: a row of `backends`. Immutable inside a snapshot. */
typedef struct PartInfo {
    const char *backend;  /* config key */
    const char *instance; /* NULL */
    const char *type;
    int rank;             /* of two that found one scheduler the lower rank owns the row */
    PartState state;
    Error error;          /* code OK: none */
    const char *caution;  /* said all the time (core/backend.h), a lasting text; NULL */
    int64_t took_ms;      /* of the last discovery; NUMBER_UNKNOWN */
    int64_t answered_ms;  /* Unix ms of the last complete answer; TIME_UNKNOWN */
    int64_t next_ms;      /* Unix ms of the next try; TIME_UNKNOWN */
    bool has_answered;    /* a complete answer was given in this run */
    bool refreshing;
    size_t clusters;
} PartInfo;
int64_t part_clusters(const PartInfo *info); /* NUMBER_UNKNOWN: it has told of none, and not that there are none */

typedef struct Store Store;
typedef struct Part Part;

enum { CHUNK_RECORDS = 128 };

typedef struct SnapshotPart {
    PartInfo info;
    size_t count;                    /* records */
    /* records[i / CHUNK_RECORDS][i % CHUNK_RECORDS] by snapshot_record; passes[i]: see snapshot_stale */
    const struct Chunk *const *chunks;
    uint64_t generation;             /* of this part: moves when it changes */
} SnapshotPart;

typedef struct Snapshot {
    uint64_t generation;
    size_t part_count;
    const SnapshotPart *const *parts;
} Snapshot;

Store *store_new(void);
void store_live(Store *store); /* somebody looks all the time. Once, before writers start */
/* After all writers have ended and all snapshots are dropped. */
void store_free(Store *store);

/* Registers an instance, or gives the part that was registered under these two names before (the last table is put there before
 * its instance is known). Strings are copied. Any thread, but one at a time for an instance. */
Part *store_part(Store *store, const char *backend, const char *instance, const char *type, int rank);

/* The writer's side, one thread at a time for each part. A pass: begin, puts, end. complete true removes what the pass did not
 * see; false (partial, failed) removes nothing and leaves what was not confirmed stale. Puts outside of a pass (watching) are
 * changes. part_put takes the record's reference; an equal record only moves the stamps of the one that is there. Two of one id
 * in a pass: the later one replaces the first where it knows more of the same incarnation; of two different ones the first wins. */
void part_pass_begin(Part *part);
void part_pass_end(Part *part, bool complete);
void part_put(Part *part, Record *record);
void part_gone(Part *part, const char *id);
/* Replaces state, error, took, next…; strings and rank in info are ignored. Publishes where something a reader can see changed. */
void part_report(Part *part, const PartInfo *info);
PartInfo part_info(Part *part); /* a copy; its strings live as long as the store */
/* Rows of an earlier run (core/last.h), all stale, until the first pass says otherwise; nothing once one was complete. Never in `list`. */
void part_put_stale(Part *part, Record *record);
/* What stands there under an id, for the writer itself: borrowed until its next call. NULL: nothing. */
const Record *part_record(Part *part, const char *id);
void store_flush(Store *store); /* publishes what is waiting, now */

/* The reader's side. Any thread. */
const Snapshot *store_snapshot(Store *store);
void store_drop(Store *store, const Snapshot *snapshot);
/* Made readable at each publication; one reader. Set before writers start. */
void store_on_publish(Store *store, const Wake *wake);

const Record *snapshot_record(const SnapshotPart *part, size_t index); /* borrowed from the snapshot */
/* Its backend has not confirmed it in its last complete answer, or has failed since. */
bool snapshot_stale(const SnapshotPart *part, size_t index);

#endif
