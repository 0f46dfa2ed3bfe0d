#include "core/world.h"

#include "core/confirm.h"

static Confirm ask(const RecordFields *fields, VerdictState state, bool stale)
{
    Record *record = make_record(fields, "local");
    ViewRow row = {.record = record, .stale = stale, .verdict = {state, TIME_UNKNOWN}};
    const ViewRow *rows = &row;
    Confirm confirm = confirm_delete(&rows, 1);
    record_drop(record);
    return confirm;
}

static void check(const RecordFields *fields, VerdictState state, bool stale, const char *typed, const char *why)
{
    Confirm confirm = ask(fields, state, stale);
    assert_int_equal(confirm.kind, typed ? CONFIRM_TYPED : CONFIRM_YES);
    if (typed)
        assert_string_equal(confirm.typed, typed);
    const char *said = confirm.why ? confirm.why : "";
    if (!strstr(said, why))
        fail_msg("why: %s", said);
    confirm_done(&confirm);
}

static void one(void **state)
{
    (void)state;
    RecordFields fields = make_resting("train");
    check(&fields, VERDICT_IDLE, false, NULL, "");
    check(&fields, VERDICT_UNATTENDED, false, NULL, "");
    check(&fields, VERDICT_ORPHANED, false, NULL, "");
    check(&fields, VERDICT_STARTING, false, NULL, "");
    check(&fields, VERDICT_ACTIVE, false, "train", "it is active");
    check(&fields, VERDICT_STUCK, false, "train", "it is stuck");
    check(&fields, VERDICT_UNKNOWN, false, "train", "is not known");
    check(&fields, VERDICT_IDLE, true, "train", "not been confirmed");
    fields.tasks.stored = 41;
    check(&fields, VERDICT_IDLE, false, "train", "it holds 41 results");
    check(&fields, VERDICT_ORPHANED, false, "train", "41 results");
    fields.tasks.stored = NUMBER_UNKNOWN; /* unknown is not none */
    check(&fields, VERDICT_UNATTENDED, false, "train", "what it holds is not known");
    check(&fields, VERDICT_ORPHANED, false, NULL, "");
    check(&fields, VERDICT_STARTING, false, NULL, "");
}

static void somebody_elses(void **state)
{
    (void)state;
    RecordFields fields = make_resting("train");
    fields.mine = 0;
    fields.owner = "bob";
    check(&fields, VERDICT_ORPHANED, false, "bob", "belongs to bob");
    check(&fields, VERDICT_ACTIVE, false, "bob", "is active");
    fields.owner = NULL;
    check(&fields, VERDICT_ORPHANED, false, "train", "somebody else");
    fields.mine = -1;
    check(&fields, VERDICT_ORPHANED, false, "train", "not known");
}

static void several(void **state)
{
    (void)state;
    RecordFields fields = make_resting("train");
    Record *record = make_record(&fields, "local");
    ViewRow rows[12];
    const ViewRow *list[12];
    for (int i = 0; i < 12; i++) {
        rows[i] = (ViewRow){.record = record, .verdict = {i ? VERDICT_ACTIVE : VERDICT_IDLE, 0}};
        list[i] = &rows[i];
    }
    Confirm confirm = confirm_delete(list, 12);
    assert_int_equal(confirm.kind, CONFIRM_TYPED);
    assert_string_equal(confirm.typed, "12");
    assert_non_null(strstr(confirm.why, "train: it is active"));
    assert_non_null(strstr(confirm.why, "and 6 more"));
    confirm_done(&confirm);
    record_drop(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one), cmocka_unit_test(somebody_elses), cmocka_unit_test(several)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
