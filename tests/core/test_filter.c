#include "core/world.h"

static World world;

static int start(void **state)
{
    (void)state;
    world = make_world(NULL, NULL);
    RecordFields fields = make_resting("dask/Train 042");
    Pair label = {"team", "climate"};
    fields.labels = &label;
    fields.label_count = 1;
    fields.address = "tcp://10.0.0.1:8786";
    fields.memory_used = INT64_C(3) << 30;
    put(world.prod, fields);
    update(&world, 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    free_world(&world);
    return 0;
}

static bool holds(const char *expression)
{
    Error error = {0};
    Filter *filter = filter_parse(expression, &error);
    if (!filter)
        print_message("%s: %s\n", expression, error.what);
    assert_non_null(filter);
    assert_string_equal(filter_text(filter), expression);
    bool yes = filter_holds(filter, world.view->rows[0], make_clock(0));
    filter_free(filter);
    return yes;
}

static void what_holds(void **state)
{
    (void)state;
    static const char *const yes[] = {
        "", "  ", "train", "TRAIN 042", "\"Train 042\"", "!slurm", "backend:prod", "backend=prod", "backend:pr*", "owner:me",
        "owner:ad", "status:running", "status:RUN*", "verdict:active", "age>1h", "age<1d", "age>=5h", "age<=5h", "clients=0",
        "clients:0", "workers>=3", "!workers>3", "memory<4GiB", "memory>3GB", "memory:3GiB", "memory>500M", "labels:team=climate",
        "climate", "tcp://10.0.0.1", "\"tcp://10.0.0.1:8786\"", "!name:nothing", "idle<1m age>1h train", "name:\"Train 042\"",
        "name:dask/*042", "3/3", "!ends<1d", "!gpus>0",
    };
    static const char *const no[] = {
        "slurm", "!train", "backend:pro", "backend:slurm", "owner:bob", "status:pending", "age>1d", "clients>0", "workers>=4",
        "memory>3GiB", "ends<1d", "ends>0", "verdict:orphaned", "train slurm", "!train !slurm", "name:train?", "\"train  042\"",
    };
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        if (!holds(yes[i]))
            fail_msg("should hold: %s", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        if (holds(no[i]))
            fail_msg("should not hold: %s", no[i]);
}

static void what_is_wrong(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"nome:x", "no field 'nome'"}, {"nome>3", "there are: name backend"}, {"age>old", "a duration"}, {"age>-1h", "a duration"},
        {"memory>much", "a size"},     {"clients>many", "a number"},          {"name>3", "no order"},    {"status:runing", "pending"},
        {"verdict:dead", "orphaned"},  {"\"open", "not closed"},              {"!", "after '!'"},        {"name:", "nothing stands"},
        {"\"\"", "empty word"},        {"clients>1e999", "a number"},         {"memory>1XB", "a size"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        Error error = {0};
        Filter *filter = filter_parse(bad[i][0], &error);
        if (filter || error.code != ERROR_USAGE || !strstr(error.what, bad[i][1]))
            fail_msg("%s gives: %s", bad[i][0], filter ? "a filter" : error.what);
    }
    char many[5000];
    memset(many, 'x', sizeof(many) - 1);
    many[sizeof(many) - 1] = 0;
    assert_null(filter_parse(many, NULL));
    for (size_t i = 1; i < 200; i += 2)
        many[i] = ' ';
    many[200] = 0;
    assert_null(filter_parse(many, NULL)); /* too many words */
    filter_free(NULL);
}

static void what_ages(void **state)
{
    (void)state;
    Filter *filter = filter_parse("idle>1h x", NULL);
    assert_true(filter_ages(filter));
    filter_free(filter);
    filter = filter_parse("memory>1 x", NULL);
    assert_false(filter_ages(filter));
    filter_free(filter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_holds),
        cmocka_unit_test(what_is_wrong),
        cmocka_unit_test(what_ages),
    };
    return cmocka_run_group_tests(tests, start, end);
}
