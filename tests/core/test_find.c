#include "core/world.h"

#include "core/find.h"

static World world;

static RecordFields named(const char *id, const char *name)
{
    RecordFields fields = make_resting(id);
    fields.name = name;
    return fields;
}

static int start(void **state)
{
    (void)state;
    world = make_world(NULL, NULL);
    RecordFields fields = named("dask/analysis", "analysis");
    fields.uid = "8c0f-uid-1";
    fields.scheduler_id = "Scheduler-1b2c";
    fields.address = "tcp://10.0.0.1:8786";
    put(world.prod, fields);
    fields.uid = "Scheduler-1b2c"; /* the same scheduler, seen by another */
    put(world.slurm, fields);
    put(world.slurm, named("1", "twin"));
    put(world.slurm, named("2", "twin"));
    put(world.slurm, named("3", "prod/dask/analysis")); /* a name that looks like an id */
    put(world.slurm, named("training-1", "training-1"));
    put(world.slurm, named("training-2", "training-2"));
    answer(world.prod, PART_OK);
    answer(world.slurm, PART_OK);
    update(&world, 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    free_world(&world);
    return 0;
}

static ErrorCode find(const char *text, bool for_change, const char *wanted)
{
    const ViewRow *row;
    Error error = {0};
    bool found = find_cluster(world.view, text, for_change, &row, NULL, &error);
    assert_int_equal(found, error.code == ERROR_OK);
    assert_int_equal(found, row != NULL);
    if (wanted && row)
        assert_string_equal(row->record->is.id, wanted);
    return error.code;
}

static void by_every_handle(void **state)
{
    (void)state;
    assert_int_equal(find("prod/dask/analysis", true, "prod/dask/analysis"), ERROR_OK); /* the id before the name */
    assert_int_equal(find("slurm/dask/analysis", false, "slurm/dask/analysis"), ERROR_OK);
    assert_int_equal(find("analysis", true, "prod/dask/analysis"), ERROR_OK); /* one scheduler is not ambiguous */
    assert_int_equal(find("8c0f-uid-1", true, "prod/dask/analysis"), ERROR_OK);
    assert_int_equal(find("Scheduler-1b2c", true, "prod/dask/analysis"), ERROR_OK);
    assert_int_equal(find("tcp://10.0.0.1:8786", true, "prod/dask/analysis"), ERROR_OK);
    assert_int_equal(find("Analysis", true, NULL), ERROR_NOT_FOUND); /* bytes */
    assert_int_equal(find("", false, NULL), ERROR_USAGE);
}

static void ambiguity_names_the_ids(void **state)
{
    (void)state;
    const ViewRow *row;
    List ids = {0};
    Error error = {0};
    assert_false(find_cluster(world.view, "twin", false, &row, &ids, &error));
    assert_int_equal(error.code, ERROR_AMBIGUOUS);
    assert_null(row);
    assert_int_equal(ids.count, 2);
    assert_true(list_has(&ids, "slurm/1") && list_has(&ids, "slurm/2"));
    list_done(&ids);
}

static void prefixes_are_for_looking(void **state)
{
    (void)state;
    assert_int_equal(find("analys", false, "prod/dask/analysis"), ERROR_OK);
    assert_int_equal(find("analy", false, NULL), ERROR_NOT_FOUND); /* five characters */
    assert_int_equal(find("traini", false, NULL), ERROR_AMBIGUOUS);
    assert_int_equal(find("analys", true, NULL), ERROR_NOT_FOUND);
    assert_int_equal(find("Scheduler-1b", true, NULL), ERROR_NOT_FOUND);
}

/* While somebody has not answered: nothing found is no proof, and a change by name is refused. */
static void incomplete_backends(void **state)
{
    (void)state;
    Part *late = store_part(world.store, "late", NULL, "x", 50);
    update(&world, 1);
    assert_int_equal(find("nothing", false, NULL), ERROR_PARTIAL);
    assert_int_equal(find("prod/nothing", false, NULL), ERROR_NOT_FOUND); /* an id asks only its backend */
    assert_int_equal(find("analysis", false, NULL), ERROR_OK);
    assert_int_equal(find("analysis", true, NULL), ERROR_DENIED);
    assert_int_equal(find("tcp://10.0.0.1:8786", true, NULL), ERROR_DENIED);
    assert_int_equal(find("prod/dask/analysis", true, NULL), ERROR_OK);
    assert_int_equal(find("8c0f-uid-1", true, NULL), ERROR_OK);
    answer(late, PART_PARTIAL);
    update(&world, 2);
    assert_int_equal(find("analysis", true, NULL), ERROR_DENIED);
    answer(late, PART_ABSENT);
    update(&world, 3);
    assert_int_equal(find("analysis", true, NULL), ERROR_OK);
    assert_int_equal(find("nothing", false, NULL), ERROR_NOT_FOUND);
}

static void backends_of_ids(void **state)
{
    (void)state;
    char *key, *instance;
    assert_true(find_backend_of_id(world.config, "prod:kind-dev/dask/a", &key, &instance));
    assert_string_equal(key, "prod");
    assert_string_equal(instance, "kind-dev");
    free(key);
    free(instance);
    assert_true(find_backend_of_id(world.config, "slurm/1", &key, &instance));
    assert_null(instance);
    free(key);
    static const char *const none[] = {"analysis", "other/a", "tcp://10.0.0.1:8786", "", "prod", "prod/"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_false(find_backend_of_id(world.config, none[i], &key, &instance));
        assert_true(!key && !instance);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_every_handle),     cmocka_unit_test(ambiguity_names_the_ids),
        cmocka_unit_test(prefixes_are_for_looking), cmocka_unit_test(incomplete_backends),
        cmocka_unit_test(backends_of_ids),
    };
    return cmocka_run_group_tests(tests, start, end);
}
