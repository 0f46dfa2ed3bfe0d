#include "core/make.h"

#include "core/verdict.h"

#include <stdio.h>

static const VerdictLimits limits = {.idle_ms = 30 * MINUTE, .unattended_ms = 15 * MINUTE};

static Verdict of(const RecordFields *fields)
{
    Record *record = make_record(fields, "local");
    Verdict verdict = verdict_of(record, make_clock(0), limits);
    record_drop(record);
    return verdict;
}

#define assert_state(fields, wanted) assert_string_equal(verdict_word(of(&(fields)).state), verdict_word(wanted))

static bool says(const RecordFields *fields, bool stale, const char *part)
{
    Record *record = make_record(fields, "local");
    List evidence = {0};
    verdict_evidence(record, stale, verdict_of(record, make_clock(0), limits), make_clock(0), limits, &evidence);
    bool found = false;
    for (size_t i = 0; i < evidence.count; i++) {
        found |= strstr(evidence.items[i], part) != NULL;
        assert_null(strstr(evidence.items[i], "-92233"));
    }
    if (!found)
        for (size_t i = 0; i < evidence.count; i++)
            print_message("evidence: %s\n", evidence.items[i]);
    list_done(&evidence);
    record_drop(record);
    return found;
}

static void orphaned_needs_proof(void **state)
{
    (void)state;
    RecordFields fields = make_resting("a");
    fields.clients = NUMBER_UNKNOWN;
    fields.busy = -1;
    fields.last_active_ms = TIME_UNKNOWN;
    fields.status = STATUS_UNREACHABLE;
    fields.origin.alive = 0;
    assert_state(fields, VERDICT_UNKNOWN); /* silence proves nothing, nor does a dead client */
    fields.gone = "scheduler tcp://127.0.0.1:8786";
    fields.gone_why = "refused by this host";
    fields.gone_since_ms = NOON - HOUR;
    assert_state(fields, VERDICT_ORPHANED);
    assert_true(of(&fields).since_ms == NOON - HOUR);
    assert_true(says(&fields, false, "scheduler tcp://127.0.0.1:8786 is gone"));
    assert_true(says(&fields, false, "refused by this host"));
    assert_true(says(&fields, false, "3 resources remain"));
    fields.clients = 1;
    assert_state(fields, VERDICT_UNKNOWN);
    fields.clients = 0;
    fields.resources = 0;
    fields.workers_ready = 0;
    assert_state(fields, VERDICT_UNKNOWN); /* nothing remains */
    fields.resources = NUMBER_UNKNOWN;
    fields.status = STATUS_PENDING;
    assert_state(fields, VERDICT_ORPHANED); /* before starting */
}

static void starting(void **state)
{
    (void)state;
    RecordFields fields = make_fields("a");
    fields.status = STATUS_PENDING;
    assert_state(fields, VERDICT_STARTING);
    fields.created_ms = NOON - 40 * SECOND;
    fields.workers_ready = 0;
    fields.workers_wanted = 16;
    assert_state(fields, VERDICT_STARTING);
    assert_true(of(&fields).since_ms == NOON - 40 * SECOND);
    assert_true(says(&fields, false, "pending for 40 s"));
    assert_true(says(&fields, false, "16 wanted"));
    fields.last_active_ms = NOON - HOUR; /* it had workers once */
    fields.clients = 0;
    assert_state(fields, VERDICT_UNATTENDED);
}

static void stuck(void **state)
{
    (void)state;
    RecordFields fields = make_resting("a");
    fields.busy = 1;
    fields.clients = 1;
    fields.last_active_ms = TIME_UNKNOWN;
    fields.tasks.queued = 212;
    assert_state(fields, VERDICT_ACTIVE);
    fields.workers_ready = 0;
    fields.workers_wanted = 8;
    assert_state(fields, VERDICT_STUCK);
    assert_true(says(&fields, false, "212 tasks wait (scheduler, 20 s ago)"));
    assert_true(says(&fields, false, "no worker is there, 8 wanted"));
    fields.workers_ready = 3;
    fields.workers_paused = 2;
    assert_state(fields, VERDICT_ACTIVE);
    fields.workers_paused = 3;
    assert_state(fields, VERDICT_STUCK);
    assert_true(says(&fields, false, "all 3 workers are paused"));
    fields.workers_ready = fields.workers_paused = 1;
    assert_true(says(&fields, false, "its only worker is paused"));
    fields.workers_paused = 0;
    fields.tasks.unrunnable = 7;
    assert_state(fields, VERDICT_STUCK);
    assert_true(says(&fields, false, "no worker can run 7 of them"));
    fields.tasks.processing = 1;
    assert_state(fields, VERDICT_ACTIVE);
    fields.tasks.processing = NUMBER_UNKNOWN; /* some may run */
    assert_state(fields, VERDICT_ACTIVE);
    fields.workers_ready = NUMBER_UNKNOWN; /* unknown is not none */
    fields.tasks.unrunnable = 0;
    assert_state(fields, VERDICT_ACTIVE);
}

static void rest_without_clients(void **state)
{
    (void)state;
    RecordFields fields = make_resting("a");
    assert_state(fields, VERDICT_ACTIVE);
    assert_true(says(&fields, false, "a task ran 30 s ago, the limit is 15 min"));
    fields.last_active_ms = NOON - 15 * MINUTE;
    assert_state(fields, VERDICT_ACTIVE); /* longer than, not as long as */
    fields.last_active_ms--;
    assert_state(fields, VERDICT_UNATTENDED);
    assert_true(of(&fields).since_ms == fields.last_active_ms);
    fields.last_active_ms = NOON - 4 * HOUR - 30 * MINUTE;
    fields.tasks.stored = 41;
    fields.memory_used = 912384000;
    assert_true(says(&fields, false, "no client (scheduler, 20 s ago)"));
    assert_true(says(&fields, false, "no task ran for 4 h 30 min"));
    assert_true(says(&fields, false, "holds 41 results, "));
    assert_true(says(&fields, true, "its backend last confirmed it 20 s ago"));
    assert_false(verdict_unused(VERDICT_STUCK));
    assert_true(verdict_unused(VERDICT_UNATTENDED));
}

static void rest_with_clients(void **state)
{
    (void)state;
    RecordFields fields = make_resting("a");
    fields.clients = 1;
    fields.last_active_ms = NOON - 20 * MINUTE;
    assert_state(fields, VERDICT_ACTIVE);
    fields.last_active_ms = NOON - 31 * MINUTE;
    assert_state(fields, VERDICT_IDLE);
    assert_true(says(&fields, false, "1 client (scheduler, 20 s ago)"));
    fields.busy = 1;
    fields.last_active_ms = TIME_UNKNOWN;
    assert_state(fields, VERDICT_ACTIVE);
}

static void never_worked_counts_from_the_start(void **state)
{
    (void)state;
    RecordFields fields = make_resting("a");
    fields.last_active_ms = TIME_UNKNOWN;
    assert_state(fields, VERDICT_UNATTENDED);
    assert_true(of(&fields).since_ms == fields.created_ms);
    assert_true(says(&fields, false, "never ran a task"));
    fields.created_ms = NOON - MINUTE;
    assert_state(fields, VERDICT_ACTIVE);
    fields.created_ms = TIME_UNKNOWN;
    assert_state(fields, VERDICT_UNKNOWN);
    assert_true(says(&fields, false, "when it was made is not known"));
}

static void missing_facts_are_named(void **state)
{
    (void)state;
    RecordFields fields = make_resting("a");
    fields.clients = NUMBER_UNKNOWN;
    assert_state(fields, VERDICT_ACTIVE); /* within both limits */
    fields.last_active_ms = NOON - 5 * HOUR;
    assert_state(fields, VERDICT_UNKNOWN);
    assert_true(says(&fields, false, "its clients cannot be seen"));
    fields = make_resting("a");
    fields.busy = -1;
    fields.last_active_ms = TIME_UNKNOWN;
    assert_state(fields, VERDICT_UNKNOWN);
    assert_true(says(&fields, false, "when it last worked is not known"));
    fields = make_resting("a");
    fields.last_active_ms = NOON + HOUR;
    assert_state(fields, VERDICT_UNKNOWN);
    assert_true(says(&fields, false, "the clocks disagree"));
    fields.last_active_ms = NOON + SECOND; /* a little is no disagreement */
    assert_state(fields, VERDICT_ACTIVE);
    fields = make_fields("a");
    assert_state(fields, VERDICT_UNKNOWN);
    assert_true(says(&fields, false, "status: not known"));
}

/* The moment that is told is the moment at which it changes, and not one before. */
static void changes_when_told(void **state)
{
    (void)state;
    RecordFields fields = make_resting("a");
    for (int i = 0; i < 5; i++) {
        fields.clients = (const int64_t[]){0, 1, NUMBER_UNKNOWN, 0, 0}[i];
        fields.last_active_ms = i == 3 ? TIME_UNKNOWN : i == 4 ? NOON + HOUR : NOON - 30 * SECOND;
        fields.created_ms = NOON - MINUTE;
        Record *record = make_record(&fields, "local");
        int64_t left = verdict_changes_in_ms(record, make_clock(0), limits);
        assert_true(left > 0 && left < INT64_MAX);
        VerdictState before = verdict_of(record, make_clock(0), limits).state;
        assert_int_equal(verdict_of(record, make_clock(left - 1), limits).state, before);
        assert_int_not_equal(verdict_of(record, make_clock(left), limits).state, before);
        record_drop(record);
    }
    fields.busy = 1;
    Record *record = make_record(&fields, "local");
    assert_true(verdict_changes_in_ms(record, make_clock(0), limits) == INT64_MAX);
    record_drop(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orphaned_needs_proof),  cmocka_unit_test(starting),
        cmocka_unit_test(stuck),                 cmocka_unit_test(rest_without_clients),
        cmocka_unit_test(rest_with_clients),     cmocka_unit_test(never_worked_counts_from_the_start),
        cmocka_unit_test(missing_facts_are_named), cmocka_unit_test(changes_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
