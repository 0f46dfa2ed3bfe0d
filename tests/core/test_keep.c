#include "core/world.h"

#include "base/file.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

static int start(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/dasktop-test-keep-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    static const char *const names[] = {"keep.json", "keep.lock"};
    for (size_t i = 0; i < 2; i++) {
        char *path = file_join(directory, names[i]);
        unlink(path);
        free(path);
    }
    return rmdir(directory);
}

static void write_file(const char *text)
{
    char *path = file_join(directory, "keep.json");
    assert_true(file_replace(path, text, strlen(text), NULL));
    free(path);
}

static Record *with_uid(const char *id, const char *uid)
{
    RecordFields fields = make_fields(id);
    fields.uid = uid;
    return make_record(&fields, "local");
}

static Clock now(void)
{
    return clock_now();
}

static void kept_by_uid_and_shared(void **state)
{
    (void)state;
    Keep *mine = keep_open(directory), *other = keep_open(directory);
    Record *first = with_uid("a", "u1"), *again = with_uid("a", "u2"), *moved = with_uid("b", "u1");
    int64_t until = clock_wall_ms() + HOUR;
    uint64_t before = keep_generation(other);
    Error error = {0};
    assert_true(keep_set(mine, first, until, "for the\x1b[31m paper", &error));
    assert_true(keep_generation(other) != before);
    Kept kept = keep_get(other, first, now());
    assert_true(kept.kept);
    assert_int_equal(kept.until_ms / 1000, until / 1000);
    assert_non_null(strstr(kept.reason, "paper"));
    assert_null(strchr(kept.reason, 0x1b));
    assert_false(keep_get(mine, again, now()).kept); /* another incarnation */
    assert_true(keep_get(mine, moved, now()).kept);
    Clock later = now();
    later.wall_ms += 2 * HOUR;
    assert_false(keep_get(mine, first, later).kept);
    assert_true(keep_set(other, again, until, NULL, &error)); /* does not lose the first */
    keep_generation(mine);
    assert_true(keep_get(mine, first, now()).kept && keep_get(mine, again, now()).kept);
    assert_true(keep_set(mine, first, 0, NULL, &error));
    assert_false(keep_get(mine, first, now()).kept);
    keep_generation(other);
    assert_false(keep_get(other, first, now()).kept);
    assert_true(keep_get(other, again, now()).kept);
    record_drop(first);
    record_drop(again);
    record_drop(moved);
    keep_free(mine);
    keep_free(other);
}

static void by_id_while_there_is_no_uid(void **state)
{
    (void)state;
    Keep *keep = keep_open(directory);
    Record *early = with_uid("late", NULL), *late = with_uid("late", "u9"), *else_ = with_uid("else", NULL);
    assert_true(keep_set(keep, early, clock_wall_ms() + HOUR, NULL, NULL));
    assert_true(keep_get(keep, early, now()).kept);
    assert_true(keep_get(keep, late, now()).kept); /* its uid was learnt */
    assert_false(keep_get(keep, else_, now()).kept);
    assert_true(keep_set(keep, late, 0, NULL, NULL));
    assert_false(keep_get(keep, early, now()).kept);
    record_drop(early);
    record_drop(late);
    record_drop(else_);
    keep_free(keep);
}

static void the_systems_own_label(void **state)
{
    (void)state;
    Keep *keep = keep_open(NULL);
    RecordFields fields = make_fields("a");
    char reason[400];
    memset(reason, 0, sizeof(reason));
    for (int i = 0; i < 199; i++)
        memcpy(reason + i * 2, "ä", 2);
    fields.kept_until_ms = clock_wall_ms() + HOUR;
    fields.kept_reason = reason;
    Record *record = make_record(&fields, "prod");
    Kept kept = keep_get(keep, record, now());
    assert_true(kept.kept);
    assert_int_equal(strlen(kept.reason), 126); /* cut at a character */
    record_drop(record);
    keep_free(keep);
}

static void damage_is_no_harm(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "{", "[]", "{\"keep\": 7}", "{\"keep\": [null, 1, [], {}, {\"uid\": 7, \"until\": \"2099-01-01T00:00:00Z\"}]}",
        "{\"keep\": [{\"uid\": \"u1\", \"until\": \"soon\"}, {\"uid\": \"\", \"until\": \"2099-01-01T00:00:00Z\"}]}",
    };
    Record *record = with_uid("a", "u1");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_file(bad[i]);
        Keep *keep = keep_open(directory);
        assert_false(keep_get(keep, record, now()).kept);
        assert_true(keep_set(keep, record, clock_wall_ms() + HOUR, "x", NULL));
        assert_true(keep_get(keep, record, now()).kept);
        keep_free(keep);
    }
    record_drop(record);
}

static void a_view_hears_of_it(void **state)
{
    (void)state;
    World world = make_world(NULL, directory);
    RecordFields fields = make_resting("v");
    fields.uid = "uv";
    fields.last_active_ms = NOON - HOUR;
    put(world.prod, fields);
    update(&world, 0);
    assert_int_equal(world.view->sums.unused, 1);
    Record *record = make_record(&fields, "prod");
    Keep *other = keep_open(directory);
    assert_true(keep_set(other, record, clock_wall_ms() + INT64_C(1000) * 365 * 24 * HOUR, "mine", NULL));
    assert_true(update(&world, 1));
    assert_true(world.view->rows[0]->kept.kept);
    assert_int_equal(world.view->sums.unused, 0);
    assert_int_equal(world.view->sums.verdicts[VERDICT_UNATTENDED], 1);
    keep_free(other);
    record_drop(record);
    free_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_by_uid_and_shared), cmocka_unit_test(by_id_while_there_is_no_uid),
        cmocka_unit_test(the_systems_own_label),  cmocka_unit_test(damage_is_no_harm),
        cmocka_unit_test(a_view_hears_of_it),
    };
    return cmocka_run_group_tests(tests, start, end);
}
