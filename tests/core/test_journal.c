/* Whole lines whatever happens, and reading what damage has left. */
#include "core/place.h"

#include "core/journal.h"

#include <pthread.h>

static char *directory;

static int fresh(void **state)
{
    if (place_begin(state) != 0)
        return -1;
    directory = file_join(place, "state");
    return 0;
}

static int clear(void **state)
{
    free(directory);
    return place_end(state);
}

static Plan *make_plan(const char *name)
{
    RecordFields fields = make_resting(name);
    fields.uid = "u1";
    Record *record = make_record(&fields, "prod");
    Plan *plan = plan_new(CHANGE_DELETE, record);
    plan_call(plan_step(plan, STEP_ENDS, "pod", "scheduler\nof mine", "9f"), "DELETE %s", "pods/x");
    record_drop(record);
    return plan;
}

static void write_one(Journal *journal, const char *name, char operation[40], bool end)
{
    Plan *plan = make_plan(name);
    Outcome outcome;
    Error error = {0};
    outcome_init(&outcome);
    list_add(&outcome.left_over, "pod y");
    assert_true(journal_begin(journal, plan, operation, &error));
    error_set(&error, ERROR_TIMEOUT, "prod", NULL, "took too long");
    if (end)
        assert_true(journal_end(journal, operation, plan, PHASE_FAILED, &outcome, &error, NULL));
    outcome_done(&outcome);
    plan_free(plan);
}

static size_t read_all(Journal *journal, int64_t since_ms, JournalEntry **entries, size_t *bad)
{
    size_t count;
    assert_true(journal_read(journal, since_ms, entries, &count, bad, NULL));
    return count;
}

static void begin_and_end_belong_together(void **state)
{
    (void)state;
    Journal *journal = journal_open(NULL, directory);
    JournalEntry *entries;
    size_t bad;
    char first[40], second[40];
    assert_int_equal(read_all(journal, TIME_UNKNOWN, &entries, &bad), 0); /* none yet is no error */
    journal_entries_free(entries, 0);
    write_one(journal, "a", first, true);
    write_one(journal, "b", second, false);
    assert_string_not_equal(first, second);
    assert_int_equal(read_all(journal, TIME_UNKNOWN, &entries, &bad), 2);
    assert_int_equal(bad, 0);
    assert_string_equal(entries[0].operation, first);
    assert_string_equal(entries[0].change, "delete");
    assert_string_equal(entries[0].id, "prod/a");
    assert_string_equal(entries[0].uid, "u1");
    assert_int_equal(entries[0].phase, PHASE_FAILED);
    assert_non_null(strstr(entries[0].error, "took too long"));
    assert_true(list_has(&entries[0].left_over, "pod y"));
    assert_true(entries[0].end_ms != TIME_UNKNOWN);
    assert_int_equal(entries[1].phase, PHASE_UNKNOWN);
    assert_int_equal(entries[1].end_ms, TIME_UNKNOWN);
    assert_null(entries[1].error);
    journal_entries_free(entries, 2);
    assert_int_equal(read_all(journal, clock_wall_ms() + HOUR, &entries, &bad), 0);
    journal_entries_free(entries, 0);
    char *text = place_read("state/journal.jsonl");
    assert_true(strncmp(text, "{\"event\"", 8) == 0 && text[strlen(text) - 1] == '\n');
    assert_non_null(strstr(text, "\"identity\": \"9f\""));
    assert_non_null(strstr(text, "DELETE pods/x"));
    free(text);
    struct stat st;
    char *path = file_join(directory, "journal.jsonl");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(directory, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    free(path);
    journal_free(journal);
}

static void damage_is_skipped_and_counted(void **state)
{
    (void)state;
    free(place_write("state/journal.jsonl", "garbage\n{\"event\": 5}\n\n[1]\n{\"event\": \"end\", \"operation\": \"older\"}\n"
                                            "{\"event\": \"begin\", \"operation\": \"x\", \"change\": 7, \"id\": null}\n{\"event\": \"begin\", \"opera"));
    Journal *journal = journal_open(NULL, directory);
    JournalEntry *entries;
    size_t bad;
    char operation[40];
    write_one(journal, "a", operation, true); /* behind a line that was cut */
    assert_int_equal(read_all(journal, TIME_UNKNOWN, &entries, &bad), 2);
    assert_int_equal(bad, 4);
    assert_string_equal(entries[0].operation, "x");
    assert_null(entries[0].change);
    assert_string_equal(entries[1].operation, operation);
    assert_int_equal(entries[1].phase, PHASE_FAILED);
    journal_entries_free(entries, 2);
    journal_free(journal);
}

static void refuse(Journal *journal, ErrorCode code)
{
    Plan *plan = make_plan("a");
    Error error = {0};
    char operation[40];
    assert_false(journal_begin(journal, plan, operation, &error));
    assert_int_equal(error.code, code);
    assert_true(*error.hint != 0);
    plan_free(plan);
    journal_free(journal);
}

static void what_cannot_be_written_is_refused(void **state)
{
    (void)state;
    refuse(journal_open(NULL, NULL), ERROR_DENIED); /* no home */
    free(place_write("file", "x"));
    char *below = file_join(place, "file/below");
    refuse(journal_open(NULL, below), ERROR_DENIED);
    free(below);
    refuse(journal_open(NULL, "/proc/self"), ERROR_DENIED);
    assert_int_equal(mkdir(directory, 0700), 0);
    char *target = place_write("target", ""), *link = file_join(directory, "journal.jsonl");
    assert_int_equal(symlink(target, link), 0); /* somebody wants it elsewhere */
    refuse(journal_open(NULL, directory), ERROR_DENIED);
    free(target);
    free(link);
    Tree *map = tree_new(TREE_MAP, NULL);
    tree_set(map, "path", tree_new(TREE_TEXT, "/dev/full"));
    Config *config = make_config(NULL);
    config->journal = map;
    refuse(journal_open(config, directory), ERROR_DENIED);
    tree_free(map);
    free_config(config);
}

static void elsewhere_by_config(void **state)
{
    (void)state;
    Config *config = make_config("{path: ~/other/j.jsonl, syslog: false}");
    config->journal = config->document;
    Journal *journal = journal_open(config, directory);
    char operation[40];
    write_one(journal, "a", operation, false);
    char *text = place_read("other/j.jsonl");
    assert_non_null(strstr(text, operation));
    free(text);
    journal_free(journal);
    free_config(config);
}

enum { THREADS = 4, LINES = 25 };

static void *write_many(void *argument)
{
    char operation[40];
    for (int i = 0; i < LINES; i++)
        write_one(argument, "a", operation, true);
    return NULL;
}

static void many_writers_whole_lines(void **state)
{
    (void)state;
    Journal *journal = journal_open(NULL, directory), *other = journal_open(NULL, directory);
    pthread_t threads[THREADS];
    JournalEntry *entries;
    size_t bad;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, i % 2 ? journal : other), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    size_t count = read_all(journal, TIME_UNKNOWN, &entries, &bad);
    assert_int_equal(bad, 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(entries[i].phase, PHASE_FAILED); /* each end found its begin */
    journal_entries_free(entries, count);
    char *text = place_read("state/journal.jsonl");
    size_t lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lines, THREADS * LINES * 2);
    assert_int_equal(count, THREADS * LINES); /* two dasktops never give one id */
    free(text);
    journal_free(journal);
    journal_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(begin_and_end_belong_together, fresh, clear),
        cmocka_unit_test_setup_teardown(damage_is_skipped_and_counted, fresh, clear),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_is_refused, fresh, clear),
        cmocka_unit_test_setup_teardown(elsewhere_by_config, fresh, clear),
        cmocka_unit_test_setup_teardown(many_writers_whole_lines, fresh, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
