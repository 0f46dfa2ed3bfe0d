#include "core/make.h"

#include "base/text.h"

#include <math.h>

static void unknown_is_unknown(void **state)
{
    (void)state;
    RecordFields fields = make_fields("a");
    Record *record = make_record(&fields, "local");
    assert_null(record->is.uid);
    assert_null(record->is.owner);
    assert_null(record->is.cannot[CAN_SCALE]);
    assert_true(record->is.workers_ready == NUMBER_UNKNOWN);
    assert_true(record->is.tasks.unrunnable == NUMBER_UNKNOWN);
    assert_true(record->is.created_ms == TIME_UNKNOWN);
    assert_int_equal(record->is.mine, -1);
    assert_int_equal(record->is.origin.alive, -1);
    assert_int_equal(record->is.status, STATUS_UNKNOWN);
    assert_int_equal(record->is.label_count, 0);
    assert_null(record->instance);
    record_drop(record);
    record_drop(NULL);
}

static void needs_id_and_name(void **state)
{
    (void)state;
    Error error = {0};
    RecordFields fields = make_fields("a");
    fields.name = "";
    assert_null(record_new(&fields, "local", NULL, 0, 0, &error));
    assert_int_equal(error.code, ERROR_BAD_REPLY);
    fields.name = "a";
    fields.id = NULL;
    assert_null(record_new(&fields, "local", NULL, 0, 0, NULL));
}

static void ids_are_encoded_and_come_back(void **state)
{
    (void)state;
    RecordFields fields = make_fields("dask/an\xc3\xa4lysis 1%\x1b[2J");
    Record *record = record_new(&fields, "prod", "kind/dev:1", NOON, TIME_UNKNOWN, NULL);
    assert_non_null(record);
    assert_string_equal(record->is.id, "prod:kind%2Fdev:1/dask/an%C3%A4lysis%201%25%1B%5B2J");
    char *backend, *instance, *rest;
    assert_true(record_id_split(record->is.id, &backend, &instance, &rest));
    assert_string_equal(backend, "prod");
    assert_string_equal(instance, "kind/dev:1");
    assert_string_equal(rest, fields.id);
    free(backend);
    free(instance);
    free(rest);
    record_drop(record);
}

static void what_is_no_id(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a", "a/", "/a", "tcp://10.0.0.1:8786", "A/b", "-a/b", "a:/b", "a/%", "a/%0", "a/%00",
                                      "a/%zz", "a:%/b", "a b/c", "a12345678901234567890123456789012/b"};
    char *backend, *instance, *rest;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(record_id_split(bad[i], &backend, &instance, &rest));
        assert_true(!backend && !instance && !rest);
    }
    assert_true(record_id_split("a/%41", &backend, &instance, &rest));
    assert_string_equal(rest, "A");
    assert_null(instance);
    free(backend);
    free(rest);
}

static void long_ids_are_refused(void **state)
{
    (void)state;
    char id[2000];
    memset(id, 'x', sizeof(id));
    RecordFields fields = make_fields(id);
    fields.name = "a";
    id[1018] = 0; /* with "local/" exactly 1,024 */
    Record *record = record_new(&fields, "local", NULL, 0, 0, NULL);
    assert_non_null(record);
    assert_int_equal(strlen(record->is.id), 1024);
    record_drop(record);
    id[1018] = 'x';
    id[1019] = 0;
    Error error = {0};
    assert_null(record_new(&fields, "local", NULL, 0, 0, &error));
    assert_int_equal(error.code, ERROR_BAD_REPLY);
    memset(id, ' ', 500); /* fits as it is, not when it is encoded */
    id[1018] = 0;
    assert_null(record_new(&fields, "local", NULL, 0, 0, NULL));
}

static void texts_are_sanitised_and_cut(void **state)
{
    (void)state;
    char name[5000];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    RecordFields fields = make_fields("a");
    fields.name = name;
    fields.owner = "bob\x1b]0;evil\a";
    fields.cannot[CAN_LOGS] = "\xff\xfe";
    fields.uid = "";
    Pair labels[100] = {{"k\n", "v\xe2\x80\xae"}, {NULL, "no key"}, {"empty", NULL}};
    for (size_t i = 3; i < 100; i++)
        labels[i] = (Pair){"x", "y"};
    fields.labels = labels;
    fields.label_count = 100;
    Record *record = make_record(&fields, "local");
    assert_true(strlen(record->is.name) <= TEXT_NAME_MAX);
    assert_true(text_is_clean(record->is.name, strlen(record->is.name)));
    assert_true(text_is_clean(record->is.owner, strlen(record->is.owner)));
    assert_null(strchr(record->is.owner, 0x1b));
    assert_true(text_is_clean(record->is.cannot[CAN_LOGS], strlen(record->is.cannot[CAN_LOGS])));
    assert_null(record->is.uid);
    assert_int_equal(record->is.label_count, 64);
    assert_true(text_is_clean(record->is.labels[0].value, strlen(record->is.labels[0].value)));
    assert_string_equal(record->is.labels[1].key, "empty");
    assert_string_equal(record->is.labels[1].value, "");
    record_drop(record);
}

static void numbers_out_of_range_are_unknown(void **state)
{
    (void)state;
    RecordFields fields = make_fields("a");
    fields.workers_ready = -3;
    fields.memory = INT64_MAX;
    fields.threads = INT64_C(1) << 53;
    fields.created_ms = INT64_MAX;
    fields.ends_at_ms = -1;
    fields.status = (Status)77;
    fields.mine = 17;
    fields.can = 0xff;
    fields.cannot[CAN_SCALE] = "but it can";
    Machine machines[] = {{"m5", 2}, {"m5", NAN}, {"m5", -1}, {NULL, 1}};
    fields.machines = machines;
    fields.machine_count = 4;
    Record *record = make_record(&fields, "local");
    assert_true(record->is.workers_ready == NUMBER_UNKNOWN && record->is.memory == NUMBER_UNKNOWN);
    assert_true(record->is.threads == INT64_C(1) << 53);
    assert_true(record->is.created_ms == TIME_UNKNOWN && record->is.ends_at_ms == TIME_UNKNOWN);
    assert_int_equal(record->is.status, STATUS_UNKNOWN);
    assert_int_equal(record->is.mine, 1);
    assert_int_equal(record->is.can, (1 << CAN_COUNT) - 1);
    assert_null(record->is.cannot[CAN_SCALE]);
    assert_int_equal(record->is.machine_count, 1);
    record_drop(record);
}

/* Everything but the stamps makes a difference, each by itself. */
static void equality(void **state)
{
    (void)state;
    Pair label = {"team", "climate"};
    Machine machine = {"m5", 2};
    RecordFields fields = make_resting("a");
    fields.labels = &label;
    fields.label_count = 1;
    fields.machines = &machine;
    fields.machine_count = 1;
    Record *first = make_record(&fields, "local");
    Record *same = record_new(&fields, "local", NULL, NOON, NOON, NULL);
    assert_true(record_equal(first, same));
    assert_true(first->hash == same->hash);
    record_drop(same);
#define DIFFERS(change)                                        \
    do {                                                       \
        RecordFields fields_before = fields;                   \
        change;                                                \
        Record *other = make_record(&fields, "local");         \
        assert_false(record_equal(first, other));              \
        assert_true(first->hash != other->hash);               \
        record_drop(other);                                    \
        fields = fields_before;                                \
    } while (0)
    DIFFERS(fields.name = "b");
    DIFFERS(fields.uid = "u");
    DIFFERS(fields.gone_why = "refused");
    DIFFERS(fields.cannot[CAN_SNIPPET] = "no");
    DIFFERS(fields.tasks.unrunnable = 1);
    DIFFERS(fields.clients = NUMBER_UNKNOWN);
    DIFFERS(fields.kept_until_ms = NOON);
    DIFFERS(fields.busy = -1);
    DIFFERS(fields.status = STATUS_FAILED);
    DIFFERS(fields.can = 1);
    DIFFERS(machine.quantity = 3);
    machine.quantity = 2;
    DIFFERS(label.value = "other");
    label.value = "climate";
    DIFFERS(fields.label_count = 0);
    /* texts that only moved from one member to the next */
    RecordFields left = make_fields("a"), right = make_fields("a");
    left.dask = "1";
    right.distributed = "1";
    Record *one = make_record(&left, "local"), *two = make_record(&right, "local");
    assert_false(record_equal(one, two));
    assert_true(one->hash != two->hash);
    record_drop(one);
    record_drop(two);
    record_drop(first);
}

static void is_one_allocation_of_its_own(void **state)
{
    (void)state;
    char id[] = "abc", value[] = "v";
    Pair label = {"k", value};
    RecordFields fields = make_fields(id);
    fields.labels = &label;
    fields.label_count = 1;
    Record *record = make_record(&fields, "local");
    memset(id, 'z', 3);
    value[0] = 'z';
    assert_string_equal(record->is.name, "abc");
    assert_string_equal(record->is.labels[0].value, "v");
    const char *begin = (const char *)record, *end = begin + record->size;
    assert_true(record->is.name > begin && record->is.name < end);
    assert_true(record->backend > begin && record->backend < end);
    assert_true((const char *)record->is.labels > begin && record->is.labels[0].value < end);
    Record *kept = record_keep(record);
    record_drop(record);
    assert_string_equal(kept->is.name, "abc");
    record_drop(kept);
}

static void words(void **state)
{
    (void)state;
    for (int i = 0; i < STATUS_COUNT; i++)
        assert_int_equal(status_parse(status_word((Status)i)), i);
    assert_int_equal(status_parse("Running"), STATUS_UNKNOWN);
    assert_int_equal(status_parse(NULL), STATUS_UNKNOWN);
    assert_string_equal(capability_word(CAN_ADAPT), "adapt");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_is_unknown),
        cmocka_unit_test(needs_id_and_name),
        cmocka_unit_test(ids_are_encoded_and_come_back),
        cmocka_unit_test(what_is_no_id),
        cmocka_unit_test(long_ids_are_refused),
        cmocka_unit_test(texts_are_sanitised_and_cut),
        cmocka_unit_test(numbers_out_of_range_are_unknown),
        cmocka_unit_test(equality),
        cmocka_unit_test(is_one_allocation_of_its_own),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
