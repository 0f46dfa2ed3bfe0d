#include "core/world.h"

#include "core/columns.h"

#include <math.h>
#include <stdio.h>

static void the_standard_order(void **state)
{
    (void)state;
    World world = make_world("{cpu-hour: 1}", NULL);
    RecordFields orphan = make_resting("z"), cheap = make_resting("b"), dear = make_resting("c"), unpriced = make_resting("a");
    orphan.gone = "scheduler";
    cheap.threads = 1;
    unpriced.threads = NUMBER_UNKNOWN;
    put(world.prod, unpriced);
    put(world.prod, cheap);
    put(world.slurm, dear);
    put(world.slurm, orphan);
    assert_true(update(&world, 0));
    assert_int_equal(world.view->count, 4);
    static const char *const wanted[] = {"z", "c", "b", "a"};
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(world.view->rows[i]->record->is.name, wanted[i]);
    assert_true(world.view->sums.per_hour == 25 && world.view->sums.per_hour_unused == 12);
    assert_int_equal(world.view->sums.unused, 1);
    free_world(&world);
}

static void nothing_new_is_nothing(void **state)
{
    (void)state;
    World world = make_world(NULL, NULL);
    put(world.prod, make_resting("a"));
    assert_true(update(&world, 0));
    assert_false(update(&world, 1));
    answer(world.prod, PART_OK); /* health is no row */
    assert_false(update(&world, 2));
    assert_int_equal(world.view->rows[0]->part->info.state, PART_OK);
    put(world.prod, make_resting("a"));
    assert_false(update(&world, 3));
    assert_true(isnan(world.view->sums.per_hour) && isnan(world.view->sums.per_hour_unused));
    free_world(&world);
}

static void time_alone_changes_a_verdict(void **state)
{
    (void)state;
    World world = make_world(NULL, NULL);
    put(world.prod, make_resting("a")); /* rests since half a minute; the limit is a quarter of an hour */
    update(&world, 0);
    assert_int_equal(world.view->rows[0]->verdict.state, VERDICT_ACTIVE);
    assert_false(update(&world, 14 * MINUTE + 30 * SECOND));
    assert_true(update(&world, 14 * MINUTE + 30 * SECOND + 1));
    assert_int_equal(world.view->rows[0]->verdict.state, VERDICT_UNATTENDED);
    assert_int_equal(world.view->sums.unused, 1);
    free_world(&world);
}

/* What nobody has confirmed does not become unattended by itself. */
static void stale_keeps_its_verdict(void **state)
{
    (void)state;
    World world = make_world(NULL, NULL);
    put(world.prod, make_resting("a"));
    update(&world, 0);
    answer(world.prod, PART_FAILED);
    assert_true(update(&world, 1));
    assert_true(world.view->rows[0]->stale);
    assert_int_equal(world.view->sums.stale, 1);
    update(&world, 5 * HOUR);
    assert_int_equal(world.view->rows[0]->verdict.state, VERDICT_ACTIVE);
    free_world(&world);
}

static void the_same_scheduler_is_one_row(void **state)
{
    (void)state;
    World world = make_world(NULL, NULL);
    RecordFields fields = make_resting("a");
    fields.scheduler_id = "Scheduler-1";
    fields.address = "tcp://10.0.0.1:8786";
    put(world.slurm, fields);
    put(world.prod, fields);
    RecordFields other = make_resting("b"); /* the same address only */
    other.address = "tcp://10.0.0.1:8786";
    put(world.slurm, other);
    update(&world, 0);
    assert_int_equal(world.view->count, 2);
    assert_int_equal(world.view->folded_count, 1);
    assert_string_equal(world.view->folded[0]->record->is.id, "slurm/a");
    assert_string_equal(world.view->folded[0]->same_as->record->is.id, "prod/a");
    assert_int_equal(world.view->sums.threads, 24);
    const ViewRow *const *all;
    assert_int_equal(view_all(world.view, &all), 3);
    part_gone(world.prod, "prod/a"); /* the other takes over */
    assert_true(update(&world, 1));
    assert_non_null(shown(&world, "slurm/a"));
    assert_int_equal(world.view->folded_count, 0);
    free_world(&world);
}

static void settings(void **state)
{
    (void)state;
    World world = make_world(NULL, NULL);
    RecordFields idle = make_resting("idle"), mine = make_resting("mine"), bobs = make_resting("bobs");
    idle.last_active_ms = NOON - HOUR;
    bobs.mine = 0;
    bobs.owner = "bob";
    bobs.memory = 1;
    put(world.prod, idle);
    put(world.prod, mine);
    put(world.slurm, bobs);
    update(&world, 0);
    world.view->only_unused = true;
    assert_true(update(&world, 1));
    assert_int_equal(world.view->count, 1);
    assert_int_equal(world.view->sums.filtered_out, 2);
    assert_int_equal(world.view->sums.clusters, 3);
    world.view->only_unused = false;
    world.view->only_backend = "slurm";
    assert_true(update(&world, 2));
    assert_int_equal(world.view->count, 1);
    world.view->only_backend = NULL;
    Filter *filter = filter_parse("owner:me", NULL);
    world.view->filter = filter;
    assert_true(update(&world, 3));
    assert_int_equal(world.view->count, 2);
    filter_free(filter);
    filter = filter_parse("bobs", NULL); /* may well lie at the same address */
    world.view->filter = filter;
    assert_true(update(&world, 4));
    assert_int_equal(world.view->count, 1);
    world.view->filter = NULL;
    world.view->sort = column_find("memory");
    world.view->reverse = true;
    assert_true(update(&world, 5));
    assert_string_equal(world.view->rows[0]->record->is.name, "bobs");
    assert_false(update(&world, 6));
    filter_free(filter);
    free_world(&world);
}

static void a_filter_on_ages_moves_with_time(void **state)
{
    (void)state;
    World world = make_world(NULL, NULL);
    put(world.prod, make_resting("a"));
    Filter *filter = filter_parse("age>6h", NULL);
    world.view->filter = filter;
    update(&world, 0);
    assert_int_equal(world.view->count, 0);
    assert_true(update(&world, HOUR + SECOND));
    assert_int_equal(world.view->count, 1);
    free_world(&world);
    filter_free(filter);
}

static void found_by_id_and_uid(void **state)
{
    (void)state;
    World world = make_world(NULL, NULL);
    assert_null(shown(&world, "prod/a"));
    RecordFields fields = make_resting("a");
    put(world.prod, fields);
    update(&world, 0);
    assert_non_null(shown(&world, "prod/a"));
    assert_null(view_find(world.view, "prod/a", "u1", NULL)); /* not known: no proof */
    fields.uid = "u1";
    put(world.prod, fields);
    update(&world, 1);
    assert_non_null(view_find(world.view, "prod/a", "u1", NULL));
    assert_null(view_find(world.view, "prod/a", "u2", NULL));
    assert_null(view_find(world.view, NULL, NULL, NULL));
    free_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_standard_order),
        cmocka_unit_test(nothing_new_is_nothing),
        cmocka_unit_test(time_alone_changes_a_verdict),
        cmocka_unit_test(stale_keeps_its_verdict),
        cmocka_unit_test(the_same_scheduler_is_one_row),
        cmocka_unit_test(settings),
        cmocka_unit_test(a_filter_on_ages_moves_with_time),
        cmocka_unit_test(found_by_id_and_uid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
