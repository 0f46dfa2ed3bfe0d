#include "core/view.h"

#include "base/map.h"
#include "base/mem.h"
#include "core/columns.h"
#include "core/order.h"
#include "core/sums.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a view knows of a row beside the row. Slots lie as the records do: by part and index, so that a record that has not
 * changed is found by its place, without looking up its id. */
typedef struct Slot {
    ViewRow row;
    int64_t due_ms;  /* monotonic: its verdict may change by then; INT64_MAX */
    bool changed;    /* in this update: to be sorted anew */
    bool in_filter;
} Slot;

typedef struct ViewPart {
    const SnapshotPart *shot; /* of view->snapshot */
    Slot *slots;
    size_t count, capacity;
} ViewPart;

typedef struct Place {
    uint32_t part, index;
} Place;

struct ViewOwn {
    ViewPart *parts;
    size_t part_count;
    Place *order;            /* every slot once, sorted */
    size_t order_count, order_capacity;
    Place *scratch;
    const ViewRow **all;     /* for view_all, in order */
    size_t room;             /* of rows, folded and all */
    uint32_t *index;         /* of shown rows by their ids' hashes: row + 1; made when first asked for */
    size_t index_size;
    bool indexed;
    int64_t due_ms;          /* the earliest of the slots */
    int64_t filtered_ms;     /* monotonic: when the filter was last tried on all */
    bool priced;             /* some row has a price */
    /* the settings that rows and order were made with */
    char *filter, *only_backend;
    const Column *sort;
    bool only_unused, reverse, fresh;
};

View *view_new(Store *store, Keep *keep, const Config *config)
{
    View *view = mem_new(sizeof(*view));
    view->own = mem_new(sizeof(*view->own));
    view->own->due_ms = INT64_MAX;
    view->own->fresh = true;
    view->store = store;
    view->keep = keep;
    view->config = config;
    return view;
}

void view_free(View *view)
{
    if (!view)
        return;
    struct ViewOwn *own = view->own;
    if (view->snapshot)
        store_drop(view->store, view->snapshot);
    for (size_t i = 0; i < own->part_count; i++)
        free(own->parts[i].slots);
    free(own->parts);
    free(own->order);
    free(own->scratch);
    free(own->all);
    free(own->index);
    free(own->filter);
    free(own->only_backend);
    free(own);
    free(view->rows);
    free(view->folded);
    free(view);
}

static Slot *slot_at(const struct ViewOwn *own, Place place)
{
    return &own->parts[place.part].slots[place.index];
}

/* --------------------------------------------------------------------------------------------------- what a row is worth */

static VerdictLimits limits_of(const View *view)
{
    return (VerdictLimits){view->config->verdict.idle_ms, view->config->verdict.unattended_ms};
}

static bool same_verdict(Verdict a, Verdict b)
{
    return a.state == b.state && a.since_ms == b.since_ms;
}

/* A stale row keeps the verdict of when it was last confirmed: time that passed unseen is no evidence. */
static Clock clock_of_row(const ViewRow *row, Clock now)
{
    int64_t seen = atomic_load_explicit(&row->record->seen_ms, memory_order_relaxed);
    if (row->stale && seen != TIME_UNKNOWN && seen < now.wall_ms)
        now.wall_ms = seen;
    return now;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool judge(View *view, Slot *slot, Clock now)
{
    ViewRow *row = &slot->row;
    Verdict before = row->verdict;
    row->verdict = verdict_of(row->record, clock_of_row(row, now), limits_of(view));
    int64_t left = row->stale ? INT64_MAX : verdict_changes_in_ms(row->record, now, limits_of(view));
    if (row->kept.kept && row->kept.until_ms != TIME_UNKNOWN)
        left = earlier(left, row->kept.until_ms > now.wall_ms ? row->kept.until_ms - now.wall_ms : 1);
    slot->due_ms = left > INT64_MAX - now.mono_ms ? INT64_MAX : now.mono_ms + left;
    return !same_verdict(before, row->verdict);
}

static bool ask_keep(View *view, Slot *slot, Clock now)
{
    Kept before = slot->row.kept;
    slot->row.kept = keep_get(view->keep, slot->row.record, now);
    return before.kept != slot->row.kept.kept || (before.kept && (before.until_ms != slot->row.kept.until_ms ||
                                                                  strcmp(before.reason, slot->row.kept.reason) != 0));
}

static void fill(View *view, Slot *slot, const Record *record, Clock now)
{
    slot->row.record = record;
    slot->row.view = view;
    slot->row.per_hour = cost_of(record, view->config, now).per_hour;
    ask_keep(view, slot, now);
    judge(view, slot, now);
    slot->changed = true;
}

/* ----------------------------------------------------------------------------------------------------------- what is new */

/* Brings the slots of a part to its new state. True where something changed that a row shows. */
static bool take_part(View *view, ViewPart *part, const SnapshotPart *shot, Clock now)
{
    bool changed = part->count != shot->count;
    if (shot->count > part->capacity) {
        size_t capacity = shot->count + shot->count / 2;
        part->slots = mem_resize(part->slots, capacity, sizeof(*part->slots));
        memset(part->slots + part->capacity, 0, (capacity - part->capacity) * sizeof(*part->slots));
        part->capacity = capacity;
    }
    for (size_t i = part->count; i < shot->count; i++)
        part->slots[i] = (Slot){0};
    for (size_t i = 0; i < shot->count; i++) {
        Slot *slot = &part->slots[i];
        const Record *record = snapshot_record(shot, i);
        bool stale = snapshot_stale(shot, i), was_stale = slot->row.stale;
        slot->row.stale = stale;
        slot->row.part = shot;
        if (record != slot->row.record) {
            fill(view, slot, record, now);
            changed = true;
        } else if (stale != was_stale) {
            judge(view, slot, now);
            slot->changed = changed = true;
        }
    }
    part->count = shot->count;
    part->shot = shot;
    return changed;
}

static bool take_snapshot(View *view, const Snapshot *snapshot, Clock now)
{
    struct ViewOwn *own = view->own;
    bool changed = snapshot->part_count != own->part_count;
    if (changed) {
        own->parts = mem_resize(own->parts, snapshot->part_count, sizeof(*own->parts));
        memset(own->parts + own->part_count, 0, (snapshot->part_count - own->part_count) * sizeof(*own->parts));
        own->part_count = snapshot->part_count;
    }
    for (size_t i = 0; i < snapshot->part_count; i++)
        if (own->parts[i].shot != snapshot->parts[i])
            changed |= take_part(view, &own->parts[i], snapshot->parts[i], now);
    return changed;
}

/* Verdicts and keeps that time has changed, or somebody else. */
static bool pass_time(View *view, Clock now, bool keep_moved)
{
    struct ViewOwn *own = view->own;
    bool changed = false;
    for (size_t p = 0; p < own->part_count; p++) {
        for (size_t i = 0; i < own->parts[p].count; i++) {
            Slot *slot = &own->parts[p].slots[i];
            bool due = slot->due_ms <= now.mono_ms;
            if (!due && !keep_moved)
                continue;
            bool kept = ask_keep(view, slot, now), judged = judge(view, slot, now);
            slot->changed |= kept || judged;
            changed |= kept || judged;
        }
    }
    return changed;
}

static void find_due(struct ViewOwn *own)
{
    own->due_ms = INT64_MAX;
    own->priced = false;
    for (size_t p = 0; p < own->part_count; p++)
        for (size_t i = 0; i < own->parts[p].count; i++) {
            own->due_ms = earlier(own->due_ms, own->parts[p].slots[i].due_ms);
            own->priced |= !isnan(own->parts[p].slots[i].row.per_hour);
        }
}

/* -------------------------------------------------------------------------------------------------- the same scheduler twice */

/* The lower rank owns; among equals the lower id, so that it does not depend on who answered first. */
static bool owns(const ViewRow *a, const ViewRow *b)
{
    if (a->part->info.rank != b->part->info.rank)
        return a->part->info.rank < b->part->info.rank;
    return strcmp(a->record->is.id, b->record->is.id) < 0;
}

/* By the scheduler's own id, never by address alone: addresses are used again, and behind tunnels they lie. */
static void join(struct ViewOwn *own)
{
    Map owners;
    map_init(&owners);
    for (size_t p = 0; p < own->part_count; p++) {
        for (size_t i = 0; i < own->parts[p].count; i++) {
            ViewRow *row = &own->parts[p].slots[i].row;
            row->same_as = NULL;
            const char *scheduler = row->record->is.scheduler_id;
            if (!scheduler)
                continue;
            const ViewRow *owner = map_get(&owners, scheduler);
            if (!owner || owns(row, owner))
                map_put(&owners, scheduler, row);
        }
    }
    for (size_t p = 0; p < own->part_count; p++) {
        for (size_t i = 0; i < own->parts[p].count; i++) {
            ViewRow *row = &own->parts[p].slots[i].row;
            const char *scheduler = row->record->is.scheduler_id;
            const ViewRow *owner = scheduler ? map_get(&owners, scheduler) : NULL;
            row->same_as = owner == row ? NULL : owner;
        }
    }
    map_done(&owners, NULL);
}

/* ----------------------------------------------------------------------------------------------------------------- order */

static int compare_places(const void *a, const void *b, const void *user)
{
    const View *view = user;
    const Place *left = a, *right = b;
    const Column *sort = view->own->sort;
    const ViewRow *x = &slot_at(view->own, *left)->row, *y = &slot_at(view->own, *right)->row;
    int order = sort ? column_compare(sort, x, y, view->now) : order_standard(x, y);
    if (view->own->reverse)
        order = -order;
    return order ? order : strcmp(x->record->is.id, y->record->is.id);
}

/* The old order without what changed or went, then the rest: two runs, of which the first is sorted still. */
static size_t gather_places(struct ViewOwn *own, Place *out, size_t *unchanged)
{
    size_t n = 0;
    for (size_t i = 0; i < own->order_count; i++) {
        Place place = own->order[i];
        if (place.part < own->part_count && place.index < own->parts[place.part].count && !slot_at(own, place)->changed)
            out[n++] = place;
    }
    *unchanged = n;
    for (size_t p = 0; p < own->part_count; p++)
        for (size_t i = 0; i < own->parts[p].count; i++)
            if (own->parts[p].slots[i].changed)
                out[n++] = (Place){(uint32_t)p, (uint32_t)i};
    return n;
}

static void sort_all(View *view)
{
    struct ViewOwn *own = view->own;
    size_t total = 0, unchanged;
    for (size_t p = 0; p < own->part_count; p++)
        total += own->parts[p].count;
    size_t most = total > own->order_count ? total : own->order_count;
    if (most > own->order_capacity) {
        own->order_capacity = most + most / 2;
        own->order = mem_resize(own->order, own->order_capacity, sizeof(Place));
        own->scratch = mem_resize(own->scratch, own->order_capacity, sizeof(Place));
    }
    Place *sorted = mem_new(own->order_capacity * sizeof(Place));
    own->order_count = gather_places(own, sorted, &unchanged);
    order_sort_tail(sorted, own->scratch, own->order_count, unchanged, sizeof(Place), compare_places, view);
    free(own->order);
    own->order = sorted;
    for (size_t p = 0; p < own->part_count; p++)
        for (size_t i = 0; i < own->parts[p].count; i++)
            own->parts[p].slots[i].changed = false;
}

/* ---------------------------------------------------------------------------------------------------------- rows and sums */

static bool is_shown(const View *view, const Slot *slot)
{
    const ViewRow *row = &slot->row;
    if (view->only_unused && (!verdict_unused(row->verdict.state) || row->kept.kept))
        return false;
    if (view->only_backend && strcmp(view->only_backend, row->record->backend) != 0)
        return false;
    return slot->in_filter;
}

static void make_room(View *view)
{
    struct ViewOwn *own = view->own;
    if (own->order_count <= own->room && view->rows)
        return;
    own->room = own->order_count + own->order_count / 2;
    view->rows = mem_resize(view->rows, own->room, sizeof(*view->rows));
    view->folded = mem_resize(view->folded, own->room, sizeof(*view->folded));
    own->all = mem_resize(own->all, own->room, sizeof(*own->all));
}

static void build_rows(View *view)
{
    struct ViewOwn *own = view->own;
    make_room(view);
    view->sums = (ViewSums){.per_hour = NAN, .per_hour_unused = own->priced ? 0 : NAN};
    view->count = view->folded_count = 0;
    for (size_t i = 0; i < own->order_count; i++) {
        const Slot *slot = slot_at(own, own->order[i]);
        own->all[i] = &slot->row;
        if (slot->row.same_as) {
            view->folded[view->folded_count++] = &slot->row;
            continue;
        }
        sums_add(&view->sums, &slot->row);
        if (is_shown(view, slot))
            view->rows[view->count++] = &slot->row;
        else
            view->sums.filtered_out++;
    }
    own->indexed = false;
}

/* Tries the filter on rows that changed, or on all. True where what is shown changed. */
static bool apply_filter(View *view, Clock now, bool all)
{
    struct ViewOwn *own = view->own;
    bool changed = false;
    for (size_t p = 0; p < own->part_count; p++)
        for (size_t i = 0; i < own->parts[p].count; i++) {
            Slot *slot = &own->parts[p].slots[i];
            if (!all && !slot->changed)
                continue;
            bool holds = !view->filter || filter_holds(view->filter, &slot->row, now);
            changed |= holds != slot->in_filter;
            slot->in_filter = holds;
        }
    if (all)
        own->filtered_ms = now.mono_ms;
    return changed;
}

/* ---------------------------------------------------------------------------------------------------------------- update */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool take_settings(View *view, bool *filter_moved, bool *order_moved)
{
    struct ViewOwn *own = view->own;
    const char *filter = view->filter ? filter_text(view->filter) : NULL;
    *filter_moved = own->fresh || !same_text(filter, own->filter);
    *order_moved = own->fresh || view->sort != own->sort || view->reverse != own->reverse;
    bool moved = *filter_moved || *order_moved || view->only_unused != own->only_unused ||
                 !same_text(view->only_backend, own->only_backend);
    if (moved) {
        char *kept_filter = mem_text(filter), *kept_backend = mem_text(view->only_backend);
        free(own->filter);
        free(own->only_backend);
        own->filter = kept_filter;
        own->only_backend = kept_backend;
        own->sort = view->sort;
        own->reverse = view->reverse;
        own->only_unused = view->only_unused;
        own->fresh = false;
    }
    return moved;
}

/* A filter on ages is tried again once a second: nothing that it says is finer. */
static bool filter_is_due(const View *view, Clock now)
{
    return view->filter && filter_ages(view->filter) && now.mono_ms - view->own->filtered_ms >= 1000;
}

bool view_update(View *view, Clock now)
{
    struct ViewOwn *own = view->own;
    bool filter_moved, order_moved;
    bool moved = take_settings(view, &filter_moved, &order_moved);
    uint64_t keep_now = keep_generation(view->keep);
    bool keep_moved = keep_now != view->keep_generation;
    const Snapshot *old = view->snapshot, *snapshot = store_snapshot(view->store);
    view->keep_generation = keep_now;
    view->now = now;

    bool newer = snapshot != old, changed = false;
    if (newer)
        changed |= take_snapshot(view, snapshot, now);
    if (keep_moved || own->due_ms <= now.mono_ms)
        changed |= pass_time(view, now, keep_moved);
    if (newer || keep_moved || own->due_ms <= now.mono_ms)
        find_due(own);
    bool filtered = filter_moved || changed || filter_is_due(view, now);
    if (filtered)
        filtered = apply_filter(view, now, filter_moved || filter_is_due(view, now));
    if (changed || order_moved) {
        join(own);
        sort_all(view);
    }
    if (newer || moved || changed || filtered)
        build_rows(view);
    view->snapshot = snapshot;
    if (old)
        store_drop(view->store, old); /* after the rows: the comparison above needs its records' addresses */
    return moved || changed || filtered;
}

/* --------------------------------------------------------------------------------------------------------------- looking */

static void build_index(const View *view)
{
    struct ViewOwn *own = view->own;
    size_t size = 16;
    while (size < view->count * 2)
        size *= 2;
    if (size > own->index_size || !own->index) {
        own->index = mem_resize(own->index, size, sizeof(*own->index));
        own->index_size = size;
    }
    memset(own->index, 0, own->index_size * sizeof(*own->index));
    for (size_t i = 0; i < view->count; i++) {
        size_t at = hash_text(view->rows[i]->record->is.id) & (own->index_size - 1);
        while (own->index[at])
            at = (at + 1) & (own->index_size - 1);
        own->index[at] = (uint32_t)i + 1;
    }
    own->indexed = true;
}

const ViewRow *view_find(const View *view, const char *id, const char *uid, size_t *index)
{
    struct ViewOwn *own = view->own;
    if (!id || view->count == 0)
        return NULL;
    if (!own->indexed)
        build_index(view);
    for (size_t at = hash_text(id) & (own->index_size - 1); own->index[at]; at = (at + 1) & (own->index_size - 1)) {
        size_t i = own->index[at] - 1;
        const RecordFields *is = &view->rows[i]->record->is;
        if (strcmp(is->id, id) != 0)
            continue;
        if (uid && (!is->uid || strcmp(uid, is->uid) != 0))
            return NULL;
        if (index)
            *index = i;
        return view->rows[i];
    }
    return NULL;
}

size_t view_all(const View *view, const ViewRow *const **rows)
{
    *rows = view->own->all;
    return view->own->order_count;
}
