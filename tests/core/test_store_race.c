/* Writers and readers at once; meant to be run under -fsanitize=thread too. Each cluster's numbers obey a rule in every
 * record that was ever put, so that a reader can tell a torn or freed one. */
#include "core/make.h"

#include "base/clock.h"
#include "core/store.h"

#include <pthread.h>
#include <stdio.h>

enum { WRITERS = 3, READERS = 3, CLUSTERS = 400, CHANGES = 6000 };

typedef struct Race {
    Store *store;
    atomic_int writers;
    atomic_bool broken;
} Race;

typedef struct Writer {
    Race *race;
    Part *part;
    unsigned seed;
} Writer;

static unsigned next(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 8;
}

static Record *ruled(int i, int64_t n)
{
    char id[32];
    snprintf(id, sizeof(id), "c%d", i);
    RecordFields fields = make_fields(id);
    fields.threads = n;
    fields.memory = n * 7;
    return record_new(&fields, "local", NULL, NOON + n, NOON + n, NULL);
}

static void *write_changes(void *user)
{
    Writer *writer = user;
    for (int i = 0; i < CHANGES; i++) {
        int which = (int)(next(&writer->seed) % CLUSTERS);
        char id[32];
        switch (next(&writer->seed) % 16) {
        case 0:
            snprintf(id, sizeof(id), "local/c%d", which);
            part_gone(writer->part, id);
            break;
        case 1: {
            PartInfo info = part_info(writer->part);
            info.state = next(&writer->seed) % 2 ? PART_OK : PART_FAILED;
            part_report(writer->part, &info);
            break;
        }
        case 2:
            part_pass_begin(writer->part);
            for (int k = 0; k < 20; k++)
                part_put(writer->part, ruled((int)(next(&writer->seed) % CLUSTERS), next(&writer->seed) % 4));
            part_pass_end(writer->part, next(&writer->seed) % 64 == 0);
            break;
        default: part_put(writer->part, ruled(which, next(&writer->seed) % 1000));
        }
    }
    atomic_fetch_sub(&writer->race->writers, 1);
    return NULL;
}

static bool holds(const Snapshot *snapshot)
{
    for (size_t p = 0; p < snapshot->part_count; p++) {
        const SnapshotPart *part = snapshot->parts[p];
        bool seen[CLUSTERS] = {false};
        if (part->count != part->info.clusters)
            return false;
        for (size_t i = 0; i < part->count; i++) {
            const Record *record = snapshot_record(part, i);
            int number = (int)strtol(record->is.id + strlen("local/c"), NULL, 10);
            (void)snapshot_stale(part, i);
            if (record->is.memory != record->is.threads * 7 || number < 0 || number >= CLUSTERS || seen[number])
                return false;
            seen[number] = true;
        }
    }
    return true;
}

static void *read_all(void *user)
{
    Race *race = user;
    uint64_t last = 0;
    while (atomic_load(&race->writers) > 0) {
        const Snapshot *snapshot = store_snapshot(race->store);
        if (!holds(snapshot) || snapshot->generation < last)
            atomic_store(&race->broken, true);
        last = snapshot->generation;
        store_drop(race->store, snapshot);
    }
    return NULL;
}

static void writers_and_readers(void **state)
{
    (void)state;
    Race race = {.store = store_new(), .writers = WRITERS};
    store_live(race.store);
    Writer writers[WRITERS];
    static const char *const instances[WRITERS] = {NULL, "one", "two"};
    pthread_t threads[WRITERS + READERS];
    for (int i = 0; i < WRITERS; i++)
        writers[i] = (Writer){&race, store_part(race.store, "local", instances[i], "local", 70 + i), (unsigned)i + 1};
    const Snapshot *held = store_snapshot(race.store); /* one that is kept over all of it */
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_changes, &writers[i]), 0);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[WRITERS + i], NULL, read_all, &race), 0);
    for (int i = 0; i < WRITERS + READERS; i++)
        pthread_join(threads[i], NULL);
    assert_false(atomic_load(&race.broken));
    assert_true(holds(held));
    store_drop(race.store, held);
    store_flush(race.store);
    const Snapshot *end = store_snapshot(race.store);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(end->parts[i]->count, part_info(writers[i].part).clusters);
    assert_true(holds(end));
    store_drop(race.store, end);
    store_free(race.store);
}

/* Parts that register while others are read; the same ones by two threads, which must get the same. */
static void *add_parts(void *user)
{
    Race *race = user;
    for (int i = 0; i < 50; i++) {
        char instance[16];
        snprintf(instance, sizeof(instance), "i%d", i);
        store_part(race->store, "local", instance, "local", i);
    }
    atomic_fetch_sub(&race->writers, 1);
    return NULL;
}

static void parts_come_late(void **state)
{
    (void)state;
    Race race = {.store = store_new(), .writers = 2};
    store_live(race.store);
    pthread_t threads[3];
    pthread_create(&threads[0], NULL, add_parts, &race);
    pthread_create(&threads[1], NULL, add_parts, &race);
    pthread_create(&threads[2], NULL, read_all, &race);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_false(atomic_load(&race.broken));
    store_flush(race.store);
    const Snapshot *end = store_snapshot(race.store);
    assert_int_equal(end->part_count, 50);
    store_drop(race.store, end);
    store_free(race.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writers_and_readers),
        cmocka_unit_test(parts_come_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
