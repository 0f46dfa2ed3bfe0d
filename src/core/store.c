#include "core/store.h"

#include "base/clock.h"
#include "base/mem.h"
#include "core/part.h"
#include "core/thread.h"

#include <stdlib.h>
#include <string.h>

/* A Snapshot with its counter. Its parts are Shots, a reference each. */
typedef struct Held {
    Snapshot public;
    atomic_uint references;
    struct Held *next; /* store->lock: in the garbage */
    const SnapshotPart *parts[];
} Held;

struct Store {
    pthread_mutex_t lock; /* guards all; taken after a part's */
    pthread_cond_t woken;
    pthread_t thread;
    atomic_bool live;
    bool has_thread, ending;
    Part **parts;
    size_t part_count, part_capacity;
    Held *current;        /* a reference of the store's */
    Held *garbage;        /* nobody holds them any more */
    Part *waiting;        /* to be published when due; in no order: there are few */
    const Wake *wake;
};

static const char *const state_words[PART_STATE_COUNT] = {"slow",   "ok",            "partial", "slow", "failed",
                                                          "denied", "needs sign-in", "absent",  "off"};

const char *part_state_word(PartState state)
{
    return state >= 0 && state < PART_STATE_COUNT ? state_words[state] : "failed";
}

int64_t part_clusters(const PartInfo *info)
{
    return info->clusters || info->state == PART_OK ? (int64_t)info->clusters : NUMBER_UNKNOWN;
}

bool part_state_is_answer(PartState state)
{
    return state == PART_OK || state == PART_PARTIAL;
}

/* ------------------------------------------------------------------------------------------------------------- snapshots */

static Held *held_new(size_t part_count, uint64_t generation)
{
    Held *held = mem_new(sizeof(*held) + part_count * sizeof(held->parts[0]));
    atomic_init(&held->references, 1);
    held->public = (Snapshot){.generation = generation, .part_count = part_count, .parts = held->parts};
    return held;
}

static Shot *shot_of(const SnapshotPart *part)
{
    return (Shot *)(uintptr_t)part;
}

static void held_free(Held *held)
{
    while (held) {
        Held *next = held->next;
        for (size_t i = 0; i < held->public.part_count; i++)
            shot_drop(shot_of(held->parts[i]));
        free(held);
        held = next;
    }
}

/* For the store's thread. Under the lock. */
static void throw_away(Store *store, Held *held)
{
    held->next = store->garbage;
    store->garbage = held;
    pthread_cond_signal(&store->woken);
}

/* What the caller must free itself, after the lock, because there is no thread for it. Under the lock. */
static Held *without_thread(Store *store)
{
    Held *garbage = store->has_thread ? NULL : store->garbage;
    if (!store->has_thread)
        store->garbage = NULL;
    return garbage;
}

static void release(Store *store, Held *held) /* under the lock */
{
    if (atomic_fetch_sub_explicit(&held->references, 1, memory_order_acq_rel) == 1)
        throw_away(store, held);
}

const Snapshot *store_snapshot(Store *store)
{
    pthread_mutex_lock(&store->lock);
    Held *held = store->current;
    atomic_fetch_add_explicit(&held->references, 1, memory_order_relaxed);
    pthread_mutex_unlock(&store->lock);
    return &held->public;
}

void store_drop(Store *store, const Snapshot *snapshot)
{
    if (!snapshot)
        return;
    Held *held = (Held *)(uintptr_t)snapshot;
    if (atomic_fetch_sub_explicit(&held->references, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_lock(&store->lock);
    throw_away(store, held);
    Held *garbage = without_thread(store);
    pthread_mutex_unlock(&store->lock);
    held_free(garbage);
}

/* The array of parts with one of them replaced or added. */
static Held *with_shot(const Held *old, size_t index, Shot *shot)
{
    size_t count = old->public.part_count > index ? old->public.part_count : index + 1;
    Held *held = held_new(count, old->public.generation + 1);
    for (size_t i = 0; i < old->public.part_count; i++) {
        if (i == index)
            continue;
        atomic_fetch_add_explicit(&shot_of(old->parts[i])->references, 1, memory_order_relaxed);
        held->parts[i] = old->parts[i];
    }
    held->parts[index] = &shot->public;
    return held;
}

void store_show(Part *part, Shot *shot)
{
    Store *store = part->store;
    pthread_mutex_lock(&store->lock);
    Held *old = store->current;
    store->current = with_shot(old, part->index, shot);
    release(store, old);
    Held *garbage = without_thread(store);
    const Wake *wake = store->wake;
    pthread_mutex_unlock(&store->lock);
    if (wake)
        wake_up(wake);
    held_free(garbage);
}

const Record *snapshot_record(const SnapshotPart *part, size_t index)
{
    return shot_of(part)->chunks[index / CHUNK_RECORDS]->records[index % CHUNK_RECORDS];
}

bool snapshot_stale(const SnapshotPart *part, size_t index)
{
    const Shot *shot = shot_of(part);
    const Chunk *chunk = shot->chunks[index / CHUNK_RECORDS];
    return atomic_load_explicit(&chunk->passes[index % CHUNK_RECORDS], memory_order_relaxed) < shot->needed;
}

/* ------------------------------------------------------------------------------------------------------------ the thread */

bool store_publish_later(Part *part, int64_t due_us)
{
    Store *store = part->store;
    pthread_mutex_lock(&store->lock);
    bool can = store->has_thread && !store->ending;
    if (can) {
        part->due_us = due_us;
        part->next = store->waiting;
        store->waiting = part;
        pthread_cond_signal(&store->woken);
    }
    pthread_mutex_unlock(&store->lock);
    return can;
}

/* Takes one part that is due from the list; else NULL and when the next one is. Under the lock. */
static Part *take_due(Store *store, int64_t now_us, int64_t *next_us)
{
    *next_us = INT64_MAX;
    for (Part **link = &store->waiting; *link; link = &(*link)->next) {
        Part *part = *link;
        if (part->due_us <= now_us || store->ending) {
            *link = part->next;
            return part;
        }
        if (part->due_us < *next_us)
            *next_us = part->due_us;
    }
    return NULL;
}

static void publish_now(Part *part)
{
    pthread_mutex_lock(&part->lock);
    part->queued = false;
    part_publish(part);
    pthread_mutex_unlock(&part->lock);
}

/* Without the lock: frees, publishes. True where there was something. Called and returning with the lock held. */
static bool work(Store *store, int64_t *next_us)
{
    Held *garbage = store->garbage;
    store->garbage = NULL;
    Part *due = take_due(store, clock_mono_us(), next_us);
    if (!garbage && !due)
        return false;
    pthread_mutex_unlock(&store->lock);
    if (due)
        publish_now(due);
    held_free(garbage);
    pthread_mutex_lock(&store->lock);
    return true;
}

static void sleep_until(Store *store, int64_t until_us)
{
    if (until_us == INT64_MAX) {
        pthread_cond_wait(&store->woken, &store->lock);
        return;
    }
    struct timespec until = thread_deadline_at((until_us + 999) / 1000);
    pthread_cond_timedwait(&store->woken, &store->lock, &until);
}

static void *run(void *user)
{
    Store *store = user;
    int64_t next_us;
    pthread_mutex_lock(&store->lock);
    for (;;) {
        if (work(store, &next_us))
            continue;
        if (store->ending)
            break;
        sleep_until(store, next_us);
    }
    pthread_mutex_unlock(&store->lock);
    return NULL;
}

/* ----------------------------------------------------------------------------------------------------------------- store */

Store *store_new(void)
{
    Store *store = mem_new(sizeof(*store));
    thread_condition_init(&store->woken);
    pthread_mutex_init(&store->lock, NULL);
    store->current = held_new(0, 1);
    return store;
}

void store_live(Store *store)
{
    pthread_mutex_lock(&store->lock);
    store->has_thread = thread_start(&store->thread, run, store); /* else every change is published at once, by its writer */
    pthread_mutex_unlock(&store->lock);
    atomic_store(&store->live, true);
}

bool store_is_live(const Store *store)
{
    return atomic_load_explicit(&store->live, memory_order_relaxed);
}

void store_free(Store *store)
{
    if (!store)
        return;
    pthread_mutex_lock(&store->lock);
    store->ending = true;
    pthread_cond_signal(&store->woken);
    pthread_mutex_unlock(&store->lock);
    if (store->has_thread)
        pthread_join(store->thread, NULL);
    held_free(store->garbage);
    held_free(store->current);
    for (size_t i = 0; i < store->part_count; i++) {
        Part *part = store->parts[i];
        PartInfo info = part->info;
        part_done(part);
        free((char *)(uintptr_t)info.backend);
        free((char *)(uintptr_t)info.instance);
        free((char *)(uintptr_t)info.type);
        free(part);
    }
    free(store->parts);
    pthread_cond_destroy(&store->woken);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

/* Under the lock. The shots are immutable, unlike what a part's own lock guards. */
static Part *part_of(const Store *store, const char *backend, const char *instance)
{
    for (size_t i = 0; i < store->part_count; i++) {
        const PartInfo *info = &store->current->parts[i]->info;
        if (strcmp(info->backend, backend) == 0 && strcmp(info->instance ? info->instance : "", instance ? instance : "") == 0)
            return store->parts[i];
    }
    return NULL;
}

Part *store_part(Store *store, const char *backend, const char *instance, const char *type, int rank)
{
    pthread_mutex_lock(&store->lock);
    Part *known = part_of(store, backend, instance);
    if (known) {
        pthread_mutex_unlock(&store->lock);
        pthread_mutex_lock(&known->lock);
        known->info.rank = rank; /* the last table knows only that of its key's type */
        pthread_mutex_unlock(&known->lock);
        return known;
    }
    PartInfo info = {.backend = mem_text(backend), .instance = mem_text(instance), .type = mem_text(type), .rank = rank,
                     .state = PART_WAITING, .took_ms = NUMBER_UNKNOWN, .answered_ms = TIME_UNKNOWN, .next_ms = TIME_UNKNOWN};
    Part *part = mem_new(sizeof(*part));
    size_t index = store->part_count;
    store->parts = mem_grow(store->parts, store->part_count, &store->part_capacity, sizeof(*store->parts));
    store->parts[store->part_count++] = part;
    part_init(part, store, index, &info);
    /* shown by the same hand: two parts that register at once must not leave a gap in the array */
    Held *old = store->current;
    store->current = with_shot(old, index, part_first_shot(part));
    release(store, old);
    const Wake *wake = store->wake;
    pthread_mutex_unlock(&store->lock);
    if (wake)
        wake_up(wake);
    return part;
}

void store_flush(Store *store)
{
    pthread_mutex_lock(&store->lock);
    size_t count = store->part_count;
    Part **parts = mem_new(count * sizeof(*parts));
    if (count)
        memcpy(parts, store->parts, count * sizeof(*parts));
    pthread_mutex_unlock(&store->lock);
    for (size_t i = 0; i < count; i++) {
        pthread_mutex_lock(&parts[i]->lock);
        part_publish(parts[i]);
        pthread_mutex_unlock(&parts[i]->lock);
    }
    free(parts);
}

void store_on_publish(Store *store, const Wake *wake)
{
    pthread_mutex_lock(&store->lock);
    store->wake = wake;
    pthread_mutex_unlock(&store->lock);
}
