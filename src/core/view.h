/* A pure view over a snapshot: joins what is the same scheduler, applies filter and sort, keeps sums.
 *
 * Owned by one thread (the UI's, or a command's). It holds a snapshot and borrows its records; view_update takes a newer one. */
#ifndef DASKTOP_CORE_VIEW_H
#define DASKTOP_CORE_VIEW_H

#include "core/cost.h"
#include "core/filter.h"
#include "core/keep.h"
#include "core/store.h"
#include "core/verdict.h"

typedef struct ViewRow {
    const Record *record;
    const SnapshotPart *part;
    const struct ViewRow *same_as; /* the row that owns this scheduler; NULL. Such rows are not in `rows`, but in `folded` */
    bool stale;
    Verdict verdict;
    Kept kept;
    double per_hour;               /* NAN */
    const struct View *view;       /* limits, config */
} ViewRow;

typedef struct ViewSums {
    size_t clusters, verdicts[VERDICT_COUNT]; /* all that is not folded, filter or not */
    size_t unused, stale, filtered_out;
    int64_t threads, memory, threads_unused, memory_unused, gpus; /* of what is known */
    double per_hour, per_hour_unused;         /* NAN: no price known at all */
} ViewSums;

struct Column;

typedef struct View {
    Store *store;
    Keep *keep;
    const Config *config;
    const Snapshot *snapshot;
    const ViewRow **rows;      /* shown, in order; until the next update, as is what they point to */
    size_t count;
    const ViewRow **folded;
    size_t folded_count;
    ViewSums sums;
    const Filter *filter;      /* borrowed */
    bool only_unused;
    const char *only_backend;  /* borrowed; NULL */
    const struct Column *sort; /* NULL: verdict, cost, id */
    bool reverse;
    uint64_t keep_generation;
    Clock now;                 /* of the last update: what ages and costs in a row refer to */
    struct ViewOwn *own;       /* all rows before the filter, scratch */
} View;

View *view_new(Store *store, Keep *keep, const Config *config);
void view_free(View *view);
/* Takes the newest snapshot and the current settings; cheap where nothing changed. True where rows, order or a verdict changed. */
bool view_update(View *view, Clock now);
/* The shown row of an id, NULL; index may be NULL. A uid that is not NULL must fit too. */
const ViewRow *view_find(const View *view, const char *id, const char *uid, size_t *index);
/* All rows before filter, folded ones too: for finding a cluster by name. */
size_t view_all(const View *view, const ViewRow *const **rows);

#endif
