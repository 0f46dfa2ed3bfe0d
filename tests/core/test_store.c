#include "core/make.h"

#include "base/wake.h"
#include "core/store.h"

#include <poll.h>
#include <stdio.h>
#include <time.h>

static Store *live(void)
{
    Store *store = store_new();
    store_live(store);
    return store;
}

static Record *numbered(int i, int64_t clients)
{
    char id[32];
    snprintf(id, sizeof(id), "c%d", i);
    RecordFields fields = make_fields(id);
    fields.clients = clients;
    return make_record(&fields, "local");
}

static const SnapshotPart *first_part(const Snapshot *snapshot)
{
    assert_true(snapshot->part_count >= 1);
    return snapshot->parts[0];
}

/* Index of an id in the newest snapshot, -1. */
static long find(Store *store, const char *id, bool *stale, size_t *count)
{
    store_flush(store);
    const Snapshot *snapshot = store_snapshot(store);
    const SnapshotPart *part = first_part(snapshot);
    long found = -1;
    for (size_t i = 0; i < part->count; i++)
        if (strcmp(snapshot_record(part, i)->is.id, id) == 0)
            found = (long)i;
    if (stale && found >= 0)
        *stale = snapshot_stale(part, (size_t)found);
    if (count)
        *count = part->count;
    assert_int_equal(part->count, part->info.clusters);
    store_drop(store, snapshot);
    return found;
}

static bool is_there(Store *store, const char *id)
{
    return find(store, id, NULL, NULL) >= 0;
}

static bool is_stale(Store *store, const char *id)
{
    bool stale = false;
    assert_true(find(store, id, &stale, NULL) >= 0);
    return stale;
}

static uint64_t generation(Store *store)
{
    store_flush(store);
    const Snapshot *snapshot = store_snapshot(store);
    uint64_t now = snapshot->generation;
    store_drop(store, snapshot);
    return now;
}

static void report(Part *part, PartState state)
{
    PartInfo info = part_info(part);
    info.state = state;
    info.error = (Error){0};
    if (state == PART_FAILED)
        error_set(&info.error, ERROR_UNREACHABLE, "local", NULL, "refused");
    part_report(part, &info);
}

static void an_empty_store(void **state)
{
    (void)state;
    Store *store = live();
    const Snapshot *snapshot = store_snapshot(store);
    assert_int_equal(snapshot->part_count, 0);
    store_drop(store, snapshot);
    Part *part = store_part(store, "prod", "kind", "kubernetes", 30);
    assert_ptr_equal(store_part(store, "prod", "kind", "kubernetes", 30), part);
    snapshot = store_snapshot(store);
    assert_int_equal(snapshot->part_count, 1);
    assert_string_equal(snapshot->parts[0]->info.backend, "prod");
    assert_string_equal(snapshot->parts[0]->info.instance, "kind");
    assert_int_equal(snapshot->parts[0]->info.state, PART_WAITING);
    assert_string_equal(part_state_word(PART_WAITING), "slow");
    store_drop(store, snapshot);
    store_drop(store, NULL);
    store_free(store);
    store_free(NULL);
}

static void complete_removes_partial_does_not(void **state)
{
    (void)state;
    Store *store = live();
    Part *part = store_part(store, "local", NULL, "local", 70);
    part_pass_begin(part);
    for (int i = 0; i < 300; i++)
        part_put(part, numbered(i, 0));
    part_pass_end(part, true);
    size_t count;
    find(store, "local/c0", NULL, &count);
    assert_int_equal(count, 300);

    part_pass_begin(part);
    for (int i = 0; i < 150; i++)
        part_put(part, numbered(i, 0));
    part_pass_end(part, false);
    find(store, "local/c0", NULL, &count);
    assert_int_equal(count, 300);
    assert_false(is_stale(store, "local/c149"));
    assert_true(is_stale(store, "local/c150"));

    part_pass_begin(part);
    for (int i = 0; i < 300; i += 2)
        part_put(part, numbered(i, 0));
    part_pass_end(part, true);
    find(store, "local/c0", NULL, &count);
    assert_int_equal(count, 150);
    for (int i = 0; i < 300; i++) {
        char id[32];
        snprintf(id, sizeof(id), "local/c%d", i);
        assert_int_equal(is_there(store, id), i % 2 == 0);
    }
    assert_false(is_stale(store, "local/c298"));
    part_pass_begin(part);
    part_pass_end(part, true);
    find(store, "local/c0", NULL, &count);
    assert_int_equal(count, 0);
    store_free(store);
}

static void equal_publishes_nothing(void **state)
{
    (void)state;
    Store *store = live();
    Part *part = store_part(store, "local", NULL, "local", 70);
    part_pass_begin(part);
    part_put(part, numbered(1, 0));
    part_pass_end(part, true);
    uint64_t before = generation(store);
    const Snapshot *held = store_snapshot(store);
    RecordFields fields = make_fields("c1");
    fields.clients = 0;
    for (int i = 0; i < 3; i++) {
        part_pass_begin(part);
        part_put(part, record_new(&fields, "local", NULL, NOON + i, NOON + i, NULL));
        part_pass_end(part, true);
    }
    assert_int_equal(generation(store), before);
    const Record *record = snapshot_record(first_part(held), 0);
    assert_true(atomic_load(&((Record *)(uintptr_t)record)->seen_ms) == NOON + 2);
    assert_true(atomic_load(&((Record *)(uintptr_t)record)->counts_ms) == NOON + 2);
    assert_false(snapshot_stale(first_part(held), 0));
    /* a count that was not taken this time leaves the stamp of the last one */
    part_put(part, record_new(&fields, "local", NULL, NOON + 9, TIME_UNKNOWN, NULL));
    assert_true(atomic_load(&((Record *)(uintptr_t)record)->counts_ms) == NOON + 2);
    store_drop(store, held);
    report(part, PART_OK);
    before = generation(store);
    report(part, PART_OK);
    assert_int_equal(generation(store), before);
    store_free(store);
}

static void snapshots_do_not_change(void **state)
{
    (void)state;
    Store *store = live();
    Part *part = store_part(store, "local", NULL, "local", 70);
    for (int i = 0; i < 200; i++)
        part_put(part, numbered(i, 0));
    store_flush(store);
    const Snapshot *old = store_snapshot(store);
    for (int i = 0; i < 200; i++)
        part_put(part, numbered(i, 5));
    for (int i = 0; i < 100; i++) {
        char id[32];
        snprintf(id, sizeof(id), "local/c%d", i);
        part_gone(part, id);
    }
    part_gone(part, "local/never");
    store_flush(store);
    assert_int_equal(first_part(old)->count, 200);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(snapshot_record(first_part(old), i)->is.clients, 0);
    const Snapshot *newer = store_snapshot(store);
    assert_int_equal(first_part(newer)->count, 100);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(snapshot_record(first_part(newer), i)->is.clients, 5);
    assert_true(newer->generation > old->generation);
    assert_true(first_part(newer)->generation > first_part(old)->generation);
    store_drop(store, old);
    store_drop(store, newer);
    store_free(store);
}

static Record *with_uid(const char *uid, int64_t clients)
{
    RecordFields fields = make_fields("c1");
    fields.uid = uid;
    fields.clients = clients;
    return make_record(&fields, "local");
}

static int64_t clients_of_first(Store *store)
{
    store_flush(store);
    const Snapshot *snapshot = store_snapshot(store);
    assert_int_equal(first_part(snapshot)->count, 1);
    int64_t clients = snapshot_record(first_part(snapshot), 0)->is.clients;
    store_drop(store, snapshot);
    return clients;
}

static void twice_in_a_pass(void **state)
{
    (void)state;
    Store *store = live();
    Part *part = store_part(store, "local", NULL, "local", 70);
    part_put(part, with_uid("u0", 1));
    part_pass_begin(part);
    part_put(part, with_uid("u1", 2)); /* another than before the pass: that is news */
    part_put(part, with_uid("u2", 3)); /* another in the same pass: the first wins */
    assert_int_equal(clients_of_first(store), 2);
    part_put(part, with_uid("u1", 4)); /* the same, with more */
    assert_int_equal(clients_of_first(store), 4);
    part_pass_end(part, true);
    part_put(part, with_uid("u3", 5)); /* a watched change is one */
    assert_int_equal(clients_of_first(store), 5);
    store_free(store);
}

static void a_uid_learnt_late_is_the_same_row(void **state)
{
    (void)state;
    Store *store = live();
    Part *part = store_part(store, "local", NULL, "local", 70);
    RecordFields fields = make_fields("a");
    part_put(part, make_record(&fields, "local"));
    fields.uid = "u1";
    part_put(part, make_record(&fields, "local"));
    store_flush(store);
    const Snapshot *snapshot = store_snapshot(store);
    assert_int_equal(first_part(snapshot)->count, 1);
    assert_string_equal(snapshot_record(first_part(snapshot), 0)->is.uid, "u1");
    store_drop(store, snapshot);
    store_free(store);
}

static void rows_of_an_earlier_run(void **state)
{
    (void)state;
    Store *store = live();
    Part *part = store_part(store, "local", NULL, "local", 70);
    part_put_stale(part, numbered(1, 0));
    part_put_stale(part, numbered(2, 0));
    assert_true(is_stale(store, "local/c1"));
    part_pass_begin(part);
    uint64_t before = generation(store);
    part_put(part, numbered(1, 0)); /* equal, and yet a reader must hear that it is fresh */
    assert_true(generation(store) > before);
    assert_false(is_stale(store, "local/c1"));
    assert_true(is_stale(store, "local/c2"));
    part_put_stale(part, numbered(1, 7)); /* too late: there is better */
    assert_false(is_stale(store, "local/c1"));
    part_pass_end(part, false);
    assert_true(is_there(store, "local/c2"));
    part_pass_begin(part);
    part_put(part, numbered(1, 0));
    part_pass_end(part, true);
    assert_false(is_there(store, "local/c2"));
    part_put_stale(part, numbered(2, 0)); /* read from the file after all was told */
    assert_false(is_there(store, "local/c2"));
    store_free(store);
}

static void failure_makes_stale_until_confirmed(void **state)
{
    (void)state;
    Store *store = live();
    Part *part = store_part(store, "local", NULL, "local", 70);
    part_pass_begin(part);
    part_put(part, numbered(1, 0));
    part_put(part, numbered(2, 0));
    part_pass_end(part, true);
    report(part, PART_OK);
    report(part, PART_SLOW); /* keeps what it said */
    assert_false(is_stale(store, "local/c1"));
    report(part, PART_FAILED); /* a watch that lost its connection */
    assert_true(is_stale(store, "local/c1"));
    uint64_t before = generation(store);
    report(part, PART_FAILED);
    assert_int_equal(generation(store), before);
    report(part, PART_OK); /* the watch went on after all */
    assert_false(is_stale(store, "local/c1"));
    report(part, PART_FAILED);
    part_pass_begin(part);
    part_put(part, numbered(1, 0));
    assert_false(is_stale(store, "local/c1"));
    PartInfo info = part_info(part);
    info.refreshing = true;
    part_report(part, &info); /* the old failure, told again */
    assert_false(is_stale(store, "local/c1"));
    assert_true(is_stale(store, "local/c2"));
    part_pass_end(part, false);
    report(part, PART_FAILED);
    assert_true(is_stale(store, "local/c1"));
    assert_true(is_there(store, "local/c2"));
    part_pass_begin(part);
    part_put(part, numbered(1, 0));
    part_pass_end(part, true);
    report(part, PART_OK);
    assert_false(is_stale(store, "local/c1"));
    assert_false(is_there(store, "local/c2"));
    store_free(store);
}

static void a_report_keeps_the_names(void **state)
{
    (void)state;
    Store *store = live();
    Part *part = store_part(store, "prod", "kind", "kubernetes", 30);
    part_report(part, &(PartInfo){.backend = "other", .rank = 99, .state = PART_DENIED, .took_ms = 7});
    PartInfo info = part_info(part);
    assert_string_equal(info.backend, "prod");
    assert_int_equal(info.rank, 30);
    assert_int_equal(info.took_ms, 7);
    assert_int_equal(info.state, PART_DENIED);
    store_free(store);
}

/* What is held back for the rest of a frame is published by the store itself, and the reader is woken. */
static void the_rest_comes_by_itself(void **state)
{
    (void)state;
    Store *store = live();
    Wake wake;
    assert_true(wake_init(&wake));
    Part *part = store_part(store, "local", NULL, "local", 70);
    store_on_publish(store, &wake);
    for (int i = 0; i < 1000; i++)
        part_put(part, numbered(i, 0));
    size_t count = 0;
    while (count < 1000) {
        struct pollfd fd = {.fd = wake.read_fd, .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 10000), 1);
        wake_drain(&wake);
        const Snapshot *snapshot = store_snapshot(store);
        assert_true(first_part(snapshot)->count >= count);
        count = first_part(snapshot)->count;
        store_drop(store, snapshot);
    }
    /* and then it is quiet */
    struct pollfd fd = {.fd = wake.read_fd, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 60), 0);
    store_free(store);
    wake_done(&wake);
}

/* Who looks once is shown rows with an answer, or when he flushes. */
static void a_store_that_is_not_live(void **state)
{
    (void)state;
    Store *store = store_new();
    Part *part = store_part(store, "local", NULL, "local", 70);
    part_pass_begin(part);
    for (int i = 0; i < 3; i++)
        part_put(part, numbered(i, 0));
    const Snapshot *snapshot = store_snapshot(store);
    assert_int_equal(first_part(snapshot)->count, 0);
    store_drop(store, snapshot);
    part_pass_end(part, true);
    report(part, PART_OK);
    snapshot = store_snapshot(store);
    assert_int_equal(first_part(snapshot)->count, 3);
    store_drop(store, snapshot);
    part_put(part, numbered(3, 0));
    assert_true(is_there(store, "local/c3"));
    store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_store),
        cmocka_unit_test(complete_removes_partial_does_not),
        cmocka_unit_test(equal_publishes_nothing),
        cmocka_unit_test(snapshots_do_not_change),
        cmocka_unit_test(twice_in_a_pass),
        cmocka_unit_test(a_uid_learnt_late_is_the_same_row),
        cmocka_unit_test(rows_of_an_earlier_run),
        cmocka_unit_test(failure_makes_stale_until_confirmed),
        cmocka_unit_test(a_report_keeps_the_names),
        cmocka_unit_test(the_rest_comes_by_itself),
        cmocka_unit_test(a_store_that_is_not_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
