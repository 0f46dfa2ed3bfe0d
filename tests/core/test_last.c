#include "core/world.h"

#include "base/file.h"
#include "base/text.h"
#include "core/last.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64], *path;

static int start(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/dasktop-test-last-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    path = file_join(directory, "last.jsonl");
    return 0;
}

static int end(void **state)
{
    (void)state;
    unlink(path);
    free(path);
    return rmdir(directory);
}

typedef struct Taken {
    Record *records[64];
    size_t count;
} Taken;

static void take(void *user, Record *record)
{
    Taken *taken = user;
    assert_true(taken->count < 64);
    taken->records[taken->count++] = record;
}

static void drop(Taken *taken)
{
    for (size_t i = 0; i < taken->count; i++)
        record_drop(taken->records[i]);
    taken->count = 0;
}

static void nothing_there(void **state)
{
    (void)state;
    assert_null(last_open(NULL));
    assert_null(last_open(directory));
    Error error = {0};
    World world = make_world(NULL, NULL);
    update(&world, 0);
    assert_false(last_write(NULL, world.view, &error));
    assert_int_equal(error.code, ERROR_UNSUPPORTED);
    free_world(&world);
}

static void in_the_order_shown_and_in_portions(void **state)
{
    (void)state;
    World world = make_world("{cpu-hour: 1}", NULL);
    Machine machine = {"m5", 2.5};
    for (int i = 0; i < 40; i++) {
        char id[16];
        snprintf(id, sizeof(id), "c%02d", i);
        RecordFields fields = make_resting(id);
        fields.threads = i;
        fields.machines = &machine;
        fields.machine_count = 1;
        fields.gone = i % 7 ? NULL : "scheduler";
        fields.gone_since_ms = i % 7 ? TIME_UNKNOWN : NOON;
        fields.status_why = "a\tb";
        put(world.prod, fields);
    }
    Filter *filter = filter_parse("!c39", NULL);
    world.view->filter = filter;
    update(&world, 0);
    Error error = {0};
    assert_true(last_write(directory, world.view, &error));
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    Last *last = last_open(directory);
    assert_non_null(last);
    assert_true(last_written_ms(last) >= clock_wall_ms() - HOUR);
    Taken taken = {0};
    assert_int_equal(last_read(last, 15, take, &taken), 15);
    assert_int_equal(last_read(last, 0, take, &taken), 25);
    assert_int_equal(last_read(last, 0, take, &taken), 0);
    for (size_t i = 0; i < 39; i++) {
        const Record *record = world.view->rows[i]->record;
        assert_true(record_equal(taken.records[i], record));
        assert_true(atomic_load(&taken.records[i]->seen_ms) == NOON - 20 * SECOND);
    }
    assert_string_equal(taken.records[39]->is.name, "c39"); /* hidden by the filter: last */
    drop(&taken);
    last_close(last);
    last_close(NULL);
    free_world(&world);
    filter_free(filter);
}

static size_t read_text(const char *text, size_t n, Taken *taken)
{
    assert_true(file_replace(path, text, n, NULL));
    Last *last = last_open(directory);
    if (!last)
        return 0;
    size_t read = last_read(last, 0, take, taken);
    last_close(last);
    return read;
}

#define HEAD "{\"schema\": \"dasktop/last1\", \"written\": \"2026-11-23T06:30:00Z\"}\n"
#define GOOD "{\"cluster\": {\"id\": \"prod/a\", \"name\": \"a\"}, \"more\": {}}\n"

static void damage_is_skipped(void **state)
{
    (void)state;
    static const char text[] = HEAD GOOD "garbage\n\n[]\n7\n{\"cluster\": 7}\n{\"more\": {\"machines\": []}}\n"
        "{\"cluster\": {\"id\": \"no slash\", \"name\": \"x\"}}\n{\"cluster\": {\"id\": \"A/b\", \"name\": \"x\"}}\n"
        "{\"cluster\": {\"id\": \"prod/%00\", \"name\": \"x\"}, \"more\": {\"machines\": [{\"type\": \"m\", \"quantity\": 1}]}}\n"
        "{\"cluster\": {\"id\": \"prod/b\", \"name\": \"\\u001b[31mred\\u202e\"}, \"more\": 7}\n" GOOD
        "{\"cluster\": {\"id\": \"prod/cut\", \"name\": \"cut\"}}"; /* without its end */
    Taken taken = {0};
    assert_int_equal(read_text(text, sizeof(text) - 1, &taken), 3);
    assert_string_equal(taken.records[1]->is.id, "prod/b");
    assert_true(text_is_clean(taken.records[1]->is.name, strlen(taken.records[1]->is.name)));
    assert_null(strchr(taken.records[1]->is.name, 0x1b));
    drop(&taken);
    assert_int_equal(read_text("", 0, &taken), 0);
    assert_int_equal(read_text(GOOD, strlen(GOOD), &taken), 0); /* no head */
    assert_int_equal(read_text("\0\0\n\n", 4, &taken), 0);
    assert_int_equal(read_text(HEAD, strlen(HEAD) - 1, &taken), 0);
}

static void a_line_without_end(void **state)
{
    (void)state;
    size_t n = 3 << 20;
    char *text = mem_new(n);
    memset(text, 'x', n);
    memcpy(text, HEAD GOOD, strlen(HEAD GOOD));
    Taken taken = {0};
    assert_int_equal(read_text(text, n, &taken), 1);
    drop(&taken);
    free(text);
}

static void only_a_file_is_read(void **state)
{
    (void)state;
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_null(last_open(directory));
    unlink(path);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_null(last_open(directory));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_there),     cmocka_unit_test(in_the_order_shown_and_in_portions),
        cmocka_unit_test(damage_is_skipped), cmocka_unit_test(a_line_without_end),
        cmocka_unit_test(only_a_file_is_read),
    };
    return cmocka_run_group_tests(tests, start, end);
}
