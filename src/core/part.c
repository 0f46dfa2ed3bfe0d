#include "core/part.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------------------------------------------------- chunks */

static void chunk_drop(Chunk *chunk)
{
    if (atomic_fetch_sub_explicit(&chunk->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < chunk->count; i++)
        record_drop(chunk->records[i]);
    free(chunk);
}

static Chunk *chunk_copy(const Chunk *from)
{
    Chunk *chunk = mem_new(sizeof(*chunk));
    atomic_init(&chunk->references, 1);
    chunk->count = from ? from->count : 0;
    for (size_t i = 0; i < chunk->count; i++) {
        chunk->records[i] = record_keep(from->records[i]);
        atomic_init(&chunk->passes[i], atomic_load_explicit(&from->passes[i], memory_order_relaxed));
    }
    return chunk;
}

/* The chunk of a position, the writer's own from now on. Nobody but the writer can take another reference to a chunk that
 * only it holds, so a count of one stays one. */
static Chunk *chunk_own(Part *part, size_t index)
{
    Chunk **slot = &part->chunks[index / CHUNK_RECORDS];
    if (atomic_load_explicit(&(*slot)->references, memory_order_acquire) == 1)
        return *slot;
    Chunk *copy = chunk_copy(*slot);
    chunk_drop(*slot);
    return *slot = copy;
}

static Record *record_at(const Part *part, size_t index)
{
    return part->chunks[index / CHUNK_RECORDS]->records[index % CHUNK_RECORDS];
}

static _Atomic uint64_t *pass_at(const Part *part, size_t index)
{
    return &part->chunks[index / CHUNK_RECORDS]->passes[index % CHUNK_RECORDS];
}

static uint64_t confirmed_in(const Part *part, size_t index)
{
    return atomic_load_explicit(pass_at(part, index), memory_order_relaxed);
}

static void append(Part *part, Record *record, uint64_t pass)
{
    if (part->count == part->chunk_count * CHUNK_RECORDS) {
        part->chunks = mem_grow(part->chunks, part->chunk_count, &part->chunk_capacity, sizeof(*part->chunks));
        part->chunks[part->chunk_count++] = chunk_copy(NULL);
    }
    Chunk *chunk = chunk_own(part, part->count);
    chunk->records[chunk->count] = record;
    atomic_store_explicit(&chunk->passes[chunk->count], pass, memory_order_relaxed);
    chunk->count++;
    part->count++;
    map_put(&part->positions, record->is.id, (void *)(uintptr_t)part->count);
}

static void replace(Part *part, size_t index, Record *record, uint64_t pass)
{
    Chunk *chunk = chunk_own(part, index);
    Record **slot = &chunk->records[index % CHUNK_RECORDS];
    record_drop(*slot);
    *slot = record;
    atomic_store_explicit(&chunk->passes[index % CHUNK_RECORDS], pass, memory_order_relaxed);
}

/* The last record takes the place of the one that goes: the order within a part means nothing, and two chunks are all
 * that a removal copies. */
static void remove_at(Part *part, size_t index)
{
    size_t last = part->count - 1;
    map_remove(&part->positions, record_at(part, index)->is.id);
    if (index != last) {
        Record *moved = record_keep(record_at(part, last));
        replace(part, index, moved, confirmed_in(part, last));
        map_put(&part->positions, moved->is.id, (void *)(uintptr_t)(index + 1));
    }
    Chunk *chunk = chunk_own(part, last);
    record_drop(chunk->records[--chunk->count]);
    chunk->records[chunk->count] = NULL;
    part->count--;
    if (chunk->count == 0)
        chunk_drop(part->chunks[--part->chunk_count]);
}

/* ----------------------------------------------------------------------------------------------------------- publishing */

void shot_drop(Shot *shot)
{
    if (atomic_fetch_sub_explicit(&shot->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < shot->chunk_count; i++)
        chunk_drop(shot->chunks[i]);
    free(shot);
}

static Shot *shot_take(Part *part)
{
    Shot *shot = mem_new(sizeof(*shot) + part->chunk_count * sizeof(Chunk *));
    atomic_init(&shot->references, 1);
    part->info.clusters = part->count;
    shot->public = (SnapshotPart){.info = part->info, .count = part->count, .generation = ++part->generation};
    shot->public.chunks = (const Chunk *const *)shot->chunks;
    shot->needed = part->needed;
    shot->chunk_count = part->chunk_count;
    for (size_t i = 0; i < part->chunk_count; i++) {
        atomic_fetch_add_explicit(&part->chunks[i]->references, 1, memory_order_relaxed);
        shot->chunks[i] = part->chunks[i];
    }
    return shot;
}

Shot *part_first_shot(Part *part)
{
    return shot_take(part);
}

void part_publish(Part *part)
{
    if (!part->dirty)
        return;
    part->dirty = false;
    part->published_us = clock_mono_us();
    store_show(part, shot_take(part));
}

/* The first change after a quiet time is shown at once; what follows within a frame waits for the store's thread. */
static void changed(Part *part)
{
    part->dirty = true;
    if (part->queued || !store_is_live(part->store))
        return;
    int64_t due_us = part->published_us + PUBLISH_US;
    if (clock_mono_us() < due_us && store_publish_later(part, due_us))
        part->queued = true;
    else
        part_publish(part);
}

/* --------------------------------------------------------------------------------------------------------------- writing */

void part_init(Part *part, Store *store, size_t index, const PartInfo *info)
{
    pthread_mutex_init(&part->lock, NULL);
    map_init(&part->positions);
    part->store = store;
    part->index = index;
    part->info = *info;
    part->epoch = part->needed = 1;
    part->published_us = INT64_MIN / 2;
}

void part_done(Part *part)
{
    for (size_t i = 0; i < part->chunk_count; i++)
        chunk_drop(part->chunks[i]);
    free(part->chunks);
    map_done(&part->positions, NULL);
    pthread_mutex_destroy(&part->lock);
}

void part_pass_begin(Part *part)
{
    pthread_mutex_lock(&part->lock);
    part->pass = ++part->epoch;
    pthread_mutex_unlock(&part->lock);
}

/* Backwards: what takes the place of a removed one has been looked at already. */
static bool sweep(Part *part)
{
    bool removed = false;
    for (size_t i = part->count; i-- > 0;) {
        if (confirmed_in(part, i) >= part->pass)
            continue;
        remove_at(part, i);
        removed = true;
    }
    return removed;
}

/* Does raising what is needed make a row stale that was not, or the other way round? */
static bool staleness_moves(const Part *part, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < part->count; i++)
        if ((confirmed_in(part, i) < from) != (confirmed_in(part, i) < to))
            return true;
    return false;
}

static bool need(Part *part, uint64_t epoch)
{
    bool moves = staleness_moves(part, part->needed, epoch);
    part->needed = epoch;
    return moves;
}

void part_pass_end(Part *part, bool complete)
{
    pthread_mutex_lock(&part->lock);
    if (part->pass) {
        bool change = complete && sweep(part);
        /* a failure that was reported while the pass ran asks for more than the pass gave */
        if (complete || part->pass > part->needed)
            change |= need(part, part->pass);
        if (complete || part->needed == part->pass)
            part->failing = false;
        part->pass = 0;
        part->complete |= complete;
        if (change)
            changed(part);
    }
    pthread_mutex_unlock(&part->lock);
}

static void move_stamp(_Atomic int64_t *stamp, int64_t value)
{
    if (value != TIME_UNKNOWN && value > atomic_load_explicit(stamp, memory_order_relaxed))
        atomic_store_explicit(stamp, value, memory_order_relaxed);
}

/* An equal record: only stamps move, unless it was stale, which a reader must hear of. Takes the new record. */
static bool confirm(Part *part, size_t index, Record *record)
{
    Record *there = record_at(part, index);
    bool was_stale = confirmed_in(part, index) < part->needed;
    move_stamp(&there->seen_ms, atomic_load_explicit(&record->seen_ms, memory_order_relaxed));
    move_stamp(&there->counts_ms, atomic_load_explicit(&record->counts_ms, memory_order_relaxed));
    record_drop(record);
    atomic_store_explicit(pass_at(part, index), part->epoch, memory_order_relaxed);
    return was_stale && part->epoch >= part->needed;
}

/* A row may come twice in a pass, the second time with more (counts that took longer); another cluster under its id may not. */
static bool same_incarnation(const Record *there, const Record *record)
{
    return there->is.uid ? record->is.uid && strcmp(there->is.uid, record->is.uid) == 0 : true;
}

static bool put(Part *part, Record *record)
{
    size_t position = (size_t)(uintptr_t)map_get(&part->positions, record->is.id);
    if (position == 0) {
        append(part, record, part->epoch);
        return true;
    }
    size_t index = position - 1;
    if (part->pass && confirmed_in(part, index) >= part->pass && !same_incarnation(record_at(part, index), record)) {
        record_drop(record);
        return false;
    }
    if (record_equal(record_at(part, index), record))
        return confirm(part, index, record);
    replace(part, index, record, part->epoch);
    return true;
}

void part_put(Part *part, Record *record)
{
    pthread_mutex_lock(&part->lock);
    if (put(part, record))
        changed(part);
    pthread_mutex_unlock(&part->lock);
}

const Record *part_record(Part *part, const char *id)
{
    pthread_mutex_lock(&part->lock);
    size_t position = (size_t)(uintptr_t)map_get(&part->positions, id);
    const Record *record = position ? record_at(part, position - 1) : NULL;
    pthread_mutex_unlock(&part->lock);
    return record;
}

void part_put_stale(Part *part, Record *record)
{
    pthread_mutex_lock(&part->lock);
    if (part->complete || map_has(&part->positions, record->is.id)) {
        record_drop(record);
    } else {
        append(part, record, 0);
        changed(part);
    }
    pthread_mutex_unlock(&part->lock);
}

void part_gone(Part *part, const char *id)
{
    pthread_mutex_lock(&part->lock);
    size_t position = (size_t)(uintptr_t)map_get(&part->positions, id);
    if (position) {
        remove_at(part, position - 1);
        changed(part);
    }
    pthread_mutex_unlock(&part->lock);
}

/* ----------------------------------------------------------------------------------------------------------------- health */

static bool is_failure(PartState state)
{
    return state == PART_FAILED || state == PART_DENIED || state == PART_SIGN_IN;
}

static bool same_error(const Error *a, const Error *b)
{
    return a->code == b->code && a->retry_after_s == b->retry_after_s && strcmp(a->where, b->where) == 0 &&
           strcmp(a->what, b->what) == 0 && strcmp(a->hint, b->hint) == 0;
}

static bool same_report(const PartInfo *a, const PartInfo *b)
{
    return a->state == b->state && a->took_ms == b->took_ms && a->answered_ms == b->answered_ms && a->next_ms == b->next_ms &&
           a->has_answered == b->has_answered && a->refreshing == b->refreshing && a->caution == b->caution && same_error(&a->error, &b->error);
}

/* A backend that has failed makes stale what it said before, until it says it again; one that is well again without a new
 * pass (a watch that went on) makes it good. While a new try is under way the old failure makes nothing stale again. */
static bool judge_health(Part *part, const PartInfo *info)
{
    bool failure = is_failure(info->state);
    if (failure && !part->failing) {
        part->failing = true;
        part->needed_before = part->needed;
        return need(part, ++part->epoch);
    }
    if (!failure && part->failing && (info->state == PART_OK || info->state == PART_PARTIAL)) {
        part->failing = false;
        return need(part, part->needed_before);
    }
    return false;
}

void part_report(Part *part, const PartInfo *info)
{
    pthread_mutex_lock(&part->lock);
    bool change = judge_health(part, info), answer = part_state_is_answer(info->state) && !part_state_is_answer(part->info.state);
    if (change || !same_report(&part->info, info)) {
        PartInfo mine = part->info;
        part->info = *info;
        part->info.backend = mine.backend;
        part->info.instance = mine.instance;
        part->info.type = mine.type;
        part->info.rank = mine.rank;
        changed(part);
    }
    if (answer) /* the whole table that somebody waits for */
        part_publish(part);
    pthread_mutex_unlock(&part->lock);
}

PartInfo part_info(Part *part)
{
    pthread_mutex_lock(&part->lock);
    PartInfo info = part->info;
    info.clusters = part->count;
    pthread_mutex_unlock(&part->lock);
    return info;
}
