/* A view under random changes against a plain model of what must hold: every row once, in order, found by id and uid, sums that
 * add up, folded ones owned by the lowest rank. */
#include "core/make.h"

#include "core/columns.h"
#include "core/order.h"
#include "core/view.h"

#include <math.h>
#include <stdio.h>

enum { PARTS = 3, CLUSTERS = 300, STEPS = 600 };

static unsigned next(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 8;
}

static Record *random_record(int part, int i, unsigned *seed)
{
    char id[32], uid[32], scheduler[32], backend[16];
    snprintf(id, sizeof(id), "c%03d", i);
    snprintf(uid, sizeof(uid), "u%d-%d", part, i);
    snprintf(scheduler, sizeof(scheduler), "Scheduler-%d", i);
    snprintf(backend, sizeof(backend), "b%d", part);
    RecordFields fields = make_resting(id);
    fields.uid = next(seed) % 8 ? uid : NULL;
    fields.scheduler_id = next(seed) % 4 ? NULL : scheduler;
    fields.threads = next(seed) % 5 ? (int64_t)(next(seed) % 64) : NUMBER_UNKNOWN;
    fields.clients = next(seed) % 3 ? (int64_t)(next(seed) % 2) : NUMBER_UNKNOWN;
    fields.last_active_ms = NOON - (int64_t)(next(seed) % (HOUR));
    fields.busy = (int)(next(seed) % 2);
    fields.owner = next(seed) % 2 ? "ada" : "bob";
    fields.mine = fields.owner[0] == 'a';
    fields.gone = next(seed) % 10 ? NULL : "scheduler";
    return record_new(&fields, backend, NULL, NOON, NOON, NULL);
}

static void change(Part **parts, unsigned *seed)
{
    int p = (int)(next(seed) % PARTS), i = (int)(next(seed) % CLUSTERS);
    char id[32];
    switch (next(seed) % 8) {
    case 0:
        snprintf(id, sizeof(id), "b%d/c%03d", p, i);
        part_gone(parts[p], id);
        break;
    case 1: {
        PartInfo info = part_info(parts[p]);
        info.state = next(seed) % 2 ? PART_OK : PART_FAILED;
        part_report(parts[p], &info);
        break;
    }
    case 2:
        part_pass_begin(parts[p]);
        for (int k = 0; k < 50; k++)
            part_put(parts[p], random_record(p, (int)(next(seed) % CLUSTERS), seed));
        part_pass_end(parts[p], next(seed) % 8 == 0);
        break;
    default:
        for (int k = 0; k < 20; k++)
            part_put(parts[p], random_record(p, (int)(next(seed) % CLUSTERS), seed));
    }
}

static void settings(View *view, Filter **filter, unsigned *seed)
{
    static const char *const filters[] = {"", "owner:me", "c1", "!verdict:active", "threads>=32 clients=0", "idle>20m", "b1"};
    static const char *const sorts[] = {"name", "threads", "idle", "origin", "verdict", "memory"};
    switch (next(seed) % 6) {
    case 0:
        filter_free(*filter);
        *filter = filter_parse(filters[next(seed) % 7], NULL);
        assert_non_null(*filter);
        view->filter = *filter;
        break;
    case 1: view->sort = next(seed) % 2 ? NULL : column_find(sorts[next(seed) % 6]); break;
    case 2: view->reverse = next(seed) % 2; break;
    case 3: view->only_unused = next(seed) % 4 == 0; break;
    case 4: view->only_backend = next(seed) % 4 ? NULL : "b0"; break;
    default: break;
    }
}

static bool should_show(const View *view, const ViewRow *row, Clock now)
{
    if (row->same_as || (view->only_unused && !verdict_unused(row->verdict.state)))
        return false;
    if (view->only_backend && strcmp(row->record->backend, view->only_backend) != 0)
        return false;
    return !view->filter || filter_holds(view->filter, row, now);
}

static void check_order(const View *view, Clock now)
{
    for (size_t i = 1; i < view->count; i++) {
        const ViewRow *a = view->rows[i - 1], *b = view->rows[i];
        int order = view->sort ? column_compare(view->sort, a, b, now) : order_standard(a, b);
        order = view->reverse ? -order : order;
        assert_true(order < 0 || (order == 0 && strcmp(a->record->is.id, b->record->is.id) < 0));
    }
}

static void check_found(const View *view)
{
    for (size_t i = 0; i < view->count; i++) {
        const RecordFields *is = &view->rows[i]->record->is;
        size_t index = 0;
        assert_ptr_equal(view_find(view, is->id, NULL, &index), view->rows[i]);
        assert_int_equal(index, i);
        assert_ptr_equal(view_find(view, is->id, is->uid, NULL), view->rows[i]);
        assert_null(view_find(view, is->id, "another", NULL));
    }
    assert_null(view_find(view, "b0/c999", NULL, NULL));
}

static const ViewRow *row_of(const View *view, const Record *record)
{
    const ViewRow *const *all;
    size_t count = view_all(view, &all);
    for (size_t i = 0; i < count; i++)
        if (all[i]->record == record)
            return all[i];
    return NULL;
}

static void check_folded(const View *view)
{
    const ViewRow *const *all;
    size_t count = view_all(view, &all), folded = 0;
    for (size_t i = 0; i < count; i++) {
        const ViewRow *owner = all[i]->same_as;
        if (!owner)
            continue;
        folded++;
        assert_null(owner->same_as);
        assert_string_equal(owner->record->is.scheduler_id, all[i]->record->is.scheduler_id);
        assert_true(owner->part->info.rank <= all[i]->part->info.rank);
        assert_ptr_equal(row_of(view, owner->record), owner);
    }
    assert_int_equal(folded, view->folded_count);
}

static void check_sums(const View *view, Clock now)
{
    const ViewRow *const *all;
    size_t count = view_all(view, &all), shown = 0, in_snapshot = 0, unused = 0, stale = 0, verdicts = 0;
    int64_t threads = 0;
    for (size_t p = 0; p < view->snapshot->part_count; p++)
        in_snapshot += view->snapshot->parts[p]->count;
    assert_int_equal(count, in_snapshot);
    for (size_t i = 0; i < count; i++) {
        shown += should_show(view, all[i], now);
        if (all[i]->same_as)
            continue;
        unused += verdict_unused(all[i]->verdict.state);
        stale += all[i]->stale;
        threads += all[i]->record->is.threads > 0 ? all[i]->record->is.threads : 0;
    }
    for (int i = 0; i < VERDICT_COUNT; i++)
        verdicts += view->sums.verdicts[i];
    assert_int_equal(shown, view->count);
    assert_int_equal(view->sums.clusters, count - view->folded_count);
    assert_int_equal(verdicts, view->sums.clusters);
    assert_int_equal(view->sums.filtered_out, view->sums.clusters - view->count);
    assert_int_equal(view->sums.unused, unused);
    assert_int_equal(view->sums.stale, stale);
    assert_int_equal(view->sums.threads, threads);
    assert_true(isnan(view->sums.per_hour) || view->sums.per_hour >= view->sums.per_hour_unused);
}

static void check_rows_of_snapshot(const View *view, Clock now)
{
    for (size_t i = 0; i < view->count; i++) {
        const ViewRow *row = view->rows[i];
        bool found = false;
        for (size_t k = 0; k < row->part->count && !found; k++)
            if (snapshot_record(row->part, k) == row->record) {
                found = true;
                assert_int_equal(row->stale, snapshot_stale(row->part, k));
            }
        assert_true(found);
        if (!row->stale) {
            VerdictLimits limits = {view->config->verdict.idle_ms, view->config->verdict.unattended_ms};
            assert_int_equal(row->verdict.state, verdict_of(row->record, now, limits).state);
        }
    }
}

static void run(unsigned seed)
{
    Store *store = store_new();
    Keep *keep = keep_open(NULL);
    Config *config = make_config("{cpu-hour: 0.5}");
    View *view = view_new(store, keep, config);
    Filter *filter = NULL;
    Part *parts[PARTS];
    static const char *const keys[PARTS] = {"b0", "b1", "b2"};
    for (int i = 0; i < PARTS; i++)
        parts[i] = store_part(store, keys[i], NULL, "x", 90 - i * 10);
    int64_t now_ms = 0;
    for (int step = 0; step < STEPS; step++) {
        change(parts, &seed);
        settings(view, &filter, &seed);
        now_ms += next(&seed) % 4 ? 0 : (int64_t)(next(&seed) % (5 * MINUTE));
        store_flush(store);
        Clock now = make_clock(now_ms);
        view_update(view, now);
        assert_false(view_update(view, now));
        check_order(view, now);
        check_found(view);
        check_folded(view);
        check_sums(view, now);
        if (step % 10 == 0)
            check_rows_of_snapshot(view, now);
    }
    view_free(view);
    filter_free(filter);
    keep_free(keep);
    free_config(config);
    store_free(store);
}

static void random_changes(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 3; seed++)
        run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_changes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
