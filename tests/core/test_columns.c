#include "core/world.h"

#include "core/columns.h"

#include "base/text.h"

#include <math.h>

/* What a column prints of a row in a view; lives until the next call with the same buffer. */
static const char *cell(World *world, const char *column, bool ascii, Buffer *out)
{
    buffer_clear(out);
    column_find(column)->format(out, world->view->rows[0], make_clock(0), ascii);
    return out->bytes;
}

static void check(RecordFields fields, const char *column, const char *wanted, const char *ascii)
{
    World world = make_world("{cpu-hour: 0.08}", NULL);
    put(world.prod, fields);
    update(&world, 0);
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    assert_string_equal(cell(&world, column, false, &out), wanted);
    assert_string_equal(cell(&world, column, true, &out), ascii ? ascii : wanted);
    buffer_done(&out);
    free_world(&world);
}

static void unknown_prints_nothing(void **state)
{
    (void)state;
    World world = make_world(NULL, NULL);
    put(world.prod, make_fields("a"));
    update(&world, 0);
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    static const char *const empty[] = {"owner", "status", "workers", "memory", "tasks", "clients", "age", "idle", "ends", "cost",
                                        "uid", "type", "address", "threads", "gpus", "origin", "labels", "keep", "created"};
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        assert_string_equal(cell(&world, empty[i], false, &out), "");
        const Column *column = column_find(empty[i]);
        if (column->number)
            assert_true(isnan(column->number(world.view->rows[0], make_clock(0))));
    }
    for (const Column *column = columns; column->name; column++)
        assert_true(text_is_ascii(cell(&world, column->name, true, &out)));
    buffer_done(&out);
    free_world(&world);
}

static void figures(void **state)
{
    (void)state;
    RecordFields fields = make_resting("a");
    fields.workers_wanted = 5;
    check(fields, "workers", "3/5", NULL);
    fields.workers_ready = NUMBER_UNKNOWN;
    check(fields, "workers", "–/5", "-/5");
    fields.workers_ready = 3;
    fields.workers_wanted = NUMBER_UNKNOWN;
    check(fields, "workers", "3", NULL);
    fields.memory_used = (int64_t)(12.1 * (1 << 30));
    check(fields, "memory", "12.1/24 GiB", NULL);
    fields.memory = INT64_C(640) << 30;
    fields.memory_used = INT64_C(302) << 30;
    check(fields, "memory", "302/640 GiB", NULL);
    fields.memory_used = NUMBER_UNKNOWN;
    check(fields, "memory", "–/640 GiB", "-/640 GiB");
    fields.memory = NUMBER_UNKNOWN;
    fields.memory_used = 5 << 20;
    check(fields, "memory", "5 MiB", NULL);
    fields.tasks.waiting = 100;
    fields.tasks.queued = NUMBER_UNKNOWN;
    fields.tasks.processing = 28;
    fields.tasks.stored = 9999;
    check(fields, "tasks", "128", NULL);
    check(fields, "cost", "0.96", NULL);
    check(fields, "age", "5h", NULL);
    check(fields, "idle", "", NULL); /* tasks run */
    fields.tasks.processing = 0;
    check(fields, "idle", "30s", NULL);
    fields.ends_at_ms = NOON + 38 * MINUTE;
    check(fields, "ends", "38m", NULL);
    check(fields, "clients", "0", NULL);
}

static void verdict_with_age_and_keep(void **state)
{
    (void)state;
    RecordFields fields = make_resting("a");
    check(fields, "verdict", "▶ active", "active");
    fields.kept_until_ms = NOON + HOUR;
    check(fields, "verdict", "▶ active, kept", "active");
    World world = make_world(NULL, NULL);
    part_put_stale(world.prod, make_record(&fields, "prod"));
    update(&world, 100 * SECOND);
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    column_find("verdict")->format(&out, world.view->rows[0], make_clock(100 * SECOND), false);
    assert_string_equal(out.bytes, "▶ active, kept, 2m old");
    buffer_done(&out);
    free_world(&world);
}

static void lists_of_columns(void **state)
{
    (void)state;
    const Column *out[4];
    size_t count;
    Error error = {0};
    assert_true(columns_parse("name, VERDICT,age", out, 4, &count, &error));
    assert_int_equal(count, 3);
    assert_string_equal(out[1]->name, "verdict");
    assert_false(columns_parse("name,nome", out, 4, &count, &error));
    assert_int_equal(count, 0);
    assert_int_equal(error.code, ERROR_USAGE);
    assert_non_null(strstr(error.what, "nome"));
    assert_non_null(strstr(error.what, "evidence"));
    assert_non_null(strstr(error.what, "labels"));
    assert_false(columns_parse("", out, 4, &count, &error));
    assert_false(columns_parse("name,", out, 4, &count, &error));
    assert_false(columns_parse("name,name,name,name,name", out, 4, &count, &error));
    assert_null(column_find(NULL));
}

static void the_standard_ones_are_the_contracts(void **state)
{
    (void)state;
    static const char *const titles[] = {"NAME", "BACKEND", "OWNER", "STATUS", "WORKERS", "MEMORY", "TASKS",
                                         "CLIENTS", "AGE", "IDLE", "ENDS", "$/H", "VERDICT"};
    size_t n = 0;
    for (const Column *column = columns; column->name; column++) {
        if (column->standard)
            assert_string_equal(column->title, titles[n++]);
        for (const Column *other = columns; other != column; other++)
            assert_int_not_equal(other->importance, column->importance);
        assert_true(!column->most || column->most >= column->least);
    }
    assert_int_equal(n, 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_prints_nothing),    cmocka_unit_test(figures),
        cmocka_unit_test(verdict_with_age_and_keep), cmocka_unit_test(lists_of_columns),
        cmocka_unit_test(the_standard_ones_are_the_contracts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
