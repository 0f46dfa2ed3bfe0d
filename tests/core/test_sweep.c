#include "core/world.h"

#include "base/file.h"
#include "core/sweep.h"

#include <stdio.h>
#include <unistd.h>

/* One cluster at a time, and the rules that it meets. */
static struct {
    World world;
    SweepRules rules;
    Told *told;
    char why[512];
    Sweep last;
} at;

static char directory[64];

static int begin(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/dasktop-test-sweep-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    at.world = make_world(NULL, directory);
    answer(at.world.prod, PART_OK);
    answer(at.world.slurm, PART_OK);
    sweep_rules_read(&at.rules, at.world.config);
    at.rules.orphaned = true;
    at.rules.unattended_ms = 2 * HOUR;
    at.rules.idle_ms = 3 * HOUR;
    return 0;
}

static int end(void **state)
{
    (void)state;
    sweep_rules_done(&at.rules);
    told_free(at.told);
    at.told = NULL;
    free_world(&at.world);
    static const char *const names[] = {"keep.json", "keep.lock", "told.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = file_join(directory, names[i]);
        unlink(path);
        free(path);
    }
    return rmdir(directory);
}

/* Unattended for four hours, five hours old, one's own, empty: everything says that it may go. */
static RecordFields make_unattended(const char *id)
{
    RecordFields fields = make_resting(id);
    fields.uid = "u1";
    fields.last_active_ms = NOON - 4 * HOUR;
    return fields;
}

static RecordFields make_orphan(const char *id)
{
    RecordFields fields = make_unattended(id);
    fields.gone = "scheduler tcp://127.0.0.1:8786";
    fields.gone_why = "refused by this host";
    fields.busy = -1;
    fields.clients = fields.tasks.stored = fields.tasks.processing = NUMBER_UNKNOWN;
    return fields;
}

static int64_t minutes; /* later than noon */

static SweepFate fate_of(const char *id)
{
    update(&at.world, minutes * MINUTE);
    Sweep sweep = sweep_decide(at.world.view, &at.rules, at.told, make_clock(minutes * MINUTE));
    SweepFate fate = SWEEP_FATES;
    for (size_t i = 0; i < sweep.count; i++)
        if (strcmp(sweep.items[i].row->record->is.id, id) == 0) {
            fate = sweep.items[i].fate;
            snprintf(at.why, sizeof at.why, "%s", sweep.items[i].why);
        }
    sweep_done(&sweep);
    return fate;
}

static void check(RecordFields fields, SweepFate fate, const char *why)
{
    put(at.world.prod, fields);
    char *id = record_id("prod", NULL, fields.id);
    assert_int_equal(fate_of(id), fate);
    if (!strstr(at.why, why))
        fail_msg("why: %s", at.why);
    free(id);
}

/* ----------------------------------------------------------------------------------------------------------------- rules */

static void each_rule_by_itself(void **state)
{
    (void)state;
    RecordFields orphan = make_orphan("o"), left = make_unattended("l"), idle = make_unattended("i");
    idle.clients = 1;
    check(orphan, SWEEP_GOES, "refused by this host");
    check(left, SWEEP_GOES, "unattended for 4 h");
    check(idle, SWEEP_GOES, "idle for 4 h");
    at.rules.unattended_ms = at.rules.idle_ms = NUMBER_UNKNOWN;
    check(orphan, SWEEP_GOES, "");
    check(left, SWEEP_APART, "no rule");
    check(idle, SWEEP_APART, "no rule");
    sweep_rules_none(&at.rules);
    assert_false(sweep_rules_any(&at.rules));
    check(orphan, SWEEP_APART, "no rule");
    at.rules.unattended_ms = 0;
    assert_true(sweep_rules_any(&at.rules));
    check(left, SWEEP_GOES, "");
    check(idle, SWEEP_APART, "");
    at.rules.unattended_ms = 4 * HOUR;
    check(left, SWEEP_APART, "the rule says 4 h"); /* for longer than that */
    minutes = 1;
    check(left, SWEEP_GOES, "");
    minutes = 0;
}

static void never_what_is_in_use(void **state)
{
    (void)state;
    at.rules.unattended_ms = at.rules.idle_ms = 0;
    RecordFields fields = make_unattended("x");
    fields.busy = 1;
    fields.last_active_ms = TIME_UNKNOWN;
    check(fields, SWEEP_APART, "it is active");
    fields = make_unattended("x");
    fields.last_active_ms = NOON - MINUTE; /* within the verdict's own limit, whatever the rule says */
    check(fields, SWEEP_APART, "it is active");
    fields = make_unattended("x");
    fields.tasks.waiting = 5;
    fields.workers_ready = 0;
    check(fields, SWEEP_APART, "it is stuck");
    fields = make_unattended("x");
    fields.status = STATUS_PENDING;
    fields.workers_ready = 0;
    fields.last_active_ms = TIME_UNKNOWN;
    check(fields, SWEEP_APART, "it is starting");
    fields = make_unattended("x");
    fields.clients = NUMBER_UNKNOWN;
    check(fields, SWEEP_APART, "not known");
    fields = make_orphan("x");
    fields.clients = 1; /* somebody holds it: no orphan */
    check(fields, SWEEP_STAYS, "what it holds is not known");
}

static void never_stale(void **state)
{
    (void)state;
    RecordFields fields = make_unattended("x");
    Record *record = make_record(&fields, "prod");
    part_put_stale(at.world.prod, record);
    assert_int_equal(fate_of("prod/x"), SWEEP_STAYS);
    assert_non_null(strstr(at.why, "not confirmed"));
}

static void never_kept(void **state)
{
    (void)state;
    RecordFields fields = make_unattended("x");
    fields.kept_until_ms = NOON + HOUR;
    fields.kept_reason = "demo";
    check(fields, SWEEP_STAYS, "demo");
    minutes = 61;
    assert_int_equal(fate_of("prod/x"), SWEEP_GOES);
    minutes = 0;
    fields = make_unattended("y");
    fields.uid = "u2";
    Record *record = make_record(&fields, "prod");
    assert_true(keep_set(at.world.keep, record, clock_wall_ms() + INT64_C(1000) * 24 * HOUR, "mine", NULL));
    record_drop(record);
    check(fields, SWEEP_STAYS, "mine");
}

static void protect(const char *yaml)
{
    Error error = {0};
    tree_free(at.world.config->document);
    at.world.config->document = tree_parse("protect", yaml, strlen(yaml), &error);
    assert_non_null(at.world.config->document);
    at.rules.protect = at.world.config->document;
}

static void never_protected(void **state)
{
    (void)state;
    Pair labels[] = {{"keep", "true"}, {"team", "climate"}};
    RecordFields fields = make_unattended("x");
    fields.name = "prefect-77";
    fields.labels = labels;
    fields.label_count = 2;
    check(fields, SWEEP_GOES, "");
    protect("names: [other, \"prefect-*\"]");
    check(fields, SWEEP_STAYS, "by its name");
    protect("names: prefect-77");
    check(fields, SWEEP_STAYS, "by its name");
    protect("owners: [root, ada]");
    check(fields, SWEEP_STAYS, "it is ada's");
    protect("owners: [root, ad]");
    check(fields, SWEEP_GOES, "");
    protect("labels: {keep: true}"); /* as a text it says the same */
    check(fields, SWEEP_STAYS, "keep=true");
    protect("labels: {keep: \"false\", team: clim*}");
    check(fields, SWEEP_STAYS, "team=climate");
    protect("labels: {team: ~}");
    check(fields, SWEEP_STAYS, "team=climate");
    protect("labels: {keep: \"false\", tea: climate}");
    check(fields, SWEEP_GOES, "");
}

/* Two backends see one scheduler; who keeps either keeps both, and neither is counted twice. */
static void the_same_scheduler_is_one(void **state)
{
    (void)state;
    RecordFields owner = make_unattended("a"), other = make_unattended("b");
    owner.scheduler_id = other.scheduler_id = "Scheduler-1";
    other.uid = "u2";
    other.name = "precious";
    put(at.world.slurm, other);
    check(owner, SWEEP_GOES, "");
    assert_int_equal(fate_of("slurm/b"), SWEEP_FATES);
    protect("names: [precious]");
    assert_int_equal(fate_of("prod/a"), SWEEP_STAYS);
    assert_non_null(strstr(at.why, "as slurm/b"));
}

static void never_young(void **state)
{
    (void)state;
    at.rules.unattended_ms = 0;
    at.world.config->verdict.unattended_ms = SECOND;
    RecordFields fields = make_unattended("x");
    fields.created_ms = NOON - 9 * MINUTE;
    fields.last_active_ms = NOON - 2 * MINUTE;
    check(fields, SWEEP_STAYS, "younger than 10 minutes");
    minutes = 1;
    assert_int_equal(fate_of("prod/x"), SWEEP_GOES);
    minutes = 0;
    fields = make_orphan("x");
    fields.created_ms = TIME_UNKNOWN;
    check(fields, SWEEP_STAYS, "its age is not known");
    fields.gone_since_ms = NOON - 11 * MINUTE; /* what is gone so long was there then */
    check(fields, SWEEP_GOES, "");
    fields.created_ms = NOON + HOUR; /* clocks that disagree */
    check(fields, SWEEP_STAYS, "younger");
}

static void never_what_holds_results(void **state)
{
    (void)state;
    RecordFields fields = make_unattended("x");
    fields.tasks.stored = 41;
    check(fields, SWEEP_STAYS, "holds 41 results");
    fields.tasks.stored = NUMBER_UNKNOWN;
    check(fields, SWEEP_STAYS, "what it holds is not known");
    at.rules.with_data = true;
    check(fields, SWEEP_GOES, "");
    fields.tasks.stored = 41;
    check(fields, SWEEP_GOES, "");
    at.rules.with_data = false;
    fields = make_orphan("x");
    fields.tasks.stored = 1;
    check(fields, SWEEP_STAYS, "holds 1 result (");
}

static void never_other_peoples(void **state)
{
    (void)state;
    RecordFields fields = make_unattended("x");
    fields.mine = 0;
    fields.owner = "bob";
    check(fields, SWEEP_STAYS, "belongs to bob");
    fields.mine = -1;
    check(fields, SWEEP_STAYS, "belongs to bob");
    fields.owner = NULL;
    check(fields, SWEEP_STAYS, "not known");
    list_add(&at.rules.owners, "bob");
    check(fields, SWEEP_APART, "another owner's");
    fields.owner = "bob";
    check(fields, SWEEP_GOES, "");
    check(make_unattended("mine"), SWEEP_APART, "another owner's"); /* it narrows */
    list_add(&at.rules.owners, "me");
    check(make_unattended("mine"), SWEEP_GOES, "");
}

static void never_without_identity_or_means(void **state)
{
    (void)state;
    RecordFields fields = make_unattended("x");
    fields.uid = NULL;
    check(fields, SWEEP_STAYS, "no identity");
    fields = make_unattended("x");
    fields.cannot[CAN_DELETE] = "it is inside a process";
    check(fields, SWEEP_STAYS, "inside a process");
    fields = make_unattended("x");
    at.world.config->backends[0].read_only = true;
    check(fields, SWEEP_STAYS, "read-only");
}

/* What narrows takes away, and never adds: over all that is here, with each of them. */
static void they_only_narrow(void **state)
{
    (void)state;
    RecordFields fields = make_unattended("x");
    Error error = {0};
    Filter *none = filter_parse("name:y*", &error), *all = filter_parse("name:x", &error);
    check(fields, SWEEP_GOES, "");
    at.rules.older_ms = 5 * HOUR;
    check(fields, SWEEP_APART, "not older");
    at.rules.older_ms = 4 * HOUR;
    check(fields, SWEEP_GOES, "");
    list_add(&at.rules.backends, "slurm");
    check(fields, SWEEP_APART, "another backend's");
    list_add(&at.rules.backends, "prod");
    check(fields, SWEEP_GOES, "");
    at.rules.filter = none;
    check(fields, SWEEP_APART, "filter");
    at.rules.filter = all;
    check(fields, SWEEP_GOES, "");
    sweep_rules_none(&at.rules); /* none of them is a rule */
    check(fields, SWEEP_APART, "");
    at.rules.filter = NULL;
    filter_free(none);
    filter_free(all);
}

static void more_than_max(void **state)
{
    (void)state;
    char names[12][8];
    for (int i = 0; i < 12; i++) {
        snprintf(names[i], sizeof names[i], "c%02d", i);
        RecordFields fields = make_unattended(names[i]);
        fields.uid = names[i];
        put(at.world.prod, fields);
    }
    update(&at.world, 0);
    for (int max = 11; max <= 12; max++) {
        at.rules.max = max;
        Sweep sweep = sweep_decide(at.world.view, &at.rules, NULL, make_clock(0));
        assert_int_equal(sweep.counts[SWEEP_GOES], 12);
        assert_int_equal(sweep.too_many, max == 11);
        sweep_done(&sweep);
    }
}

/* --------------------------------------------------------------------------------------------------------------- telling */

static const ViewRow *row_of(const char *id)
{
    update(&at.world, minutes * MINUTE);
    return shown(&at.world, id);
}

static void save_and_open(void)
{
    const ViewRow *const *rows;
    size_t count = view_all(at.world.view, &rows);
    Error error = {0};
    assert_true(told_save(at.told, rows, count, make_clock(minutes * MINUTE), &error));
    told_free(at.told);
    at.told = told_open(directory);
}

static void told_first_then_deleted(void **state)
{
    (void)state;
    at.rules.tell = true;
    at.rules.grace_ms = HOUR;
    at.told = told_open(directory);
    check(make_unattended("x"), SWEEP_TELLS, "");
    told_set(at.told, row_of("prod/x"), make_clock(0));
    save_and_open();
    minutes = 59;
    assert_int_equal(fate_of("prod/x"), SWEEP_WAITS);
    minutes = 60;
    assert_int_equal(fate_of("prod/x"), SWEEP_GOES);
    /* used in between: told of again */
    minutes = 120;
    RecordFields fields = make_unattended("x");
    fields.last_active_ms = NOON + MINUTE;
    at.rules.unattended_ms = HOUR;
    check(fields, SWEEP_TELLS, "");
    save_and_open();
    check(make_unattended("x"), SWEEP_TELLS, ""); /* and that was remembered */
    /* another incarnation, another verdict */
    told_set(at.told, row_of("prod/x"), make_clock(0));
    assert_int_equal(fate_of("prod/x"), SWEEP_GOES);
    fields = make_unattended("x");
    fields.clients = 1;
    at.rules.idle_ms = 0;
    check(fields, SWEEP_TELLS, "");
    fields = make_unattended("x");
    fields.uid = "u9";
    part_gone(at.world.prod, "prod/x");
    check(fields, SWEEP_TELLS, "");
    minutes = 0;
}

static void rewrite(const char *text)
{
    char *path = file_join(directory, "told.json");
    assert_true(file_replace(path, text, strlen(text), NULL));
    free(path);
    told_free(at.told);
    at.told = told_open(directory);
}

static void what_was_told_elsewhere_does_not_count(void **state)
{
    (void)state;
    char machine[64];
    at.rules.tell = true;
    put(at.world.prod, make_unattended("x"));
    static const char form[] = "{\"told\": [7, {\"uid\": \"u2\"}, {\"uid\": \"u1\", \"machine\": \"%s\", \"verdict\": \"%s\", \"at\": \"%s\"}]}";
    char *good = mem_format(form, file_machine_id(machine), "unattended", "2026-11-23T11:00:00Z");
    char *elsewhere = mem_format(form, "another", "unattended", "2026-11-23T11:00:00Z");
    char *otherwise = mem_format(form, machine, "orphaned", "2026-11-23T11:00:00Z");
    char *ahead = mem_format(form, machine, "unattended", "2026-11-23T13:00:00Z");
    rewrite(good);
    assert_int_equal(fate_of("prod/x"), SWEEP_GOES);
    rewrite(elsewhere);
    assert_int_equal(fate_of("prod/x"), SWEEP_TELLS);
    told_set(at.told, row_of("prod/x"), make_clock(0));
    save_and_open(); /* the other machine's stays beside it */
    char *path = file_join(directory, "told.json");
    Buffer bytes;
    buffer_init(&bytes, 1 << 20);
    assert_true(file_read(path, &bytes, NULL));
    assert_non_null(strstr(bytes.bytes, "another"));
    assert_non_null(strstr(bytes.bytes, machine));
    buffer_done(&bytes);
    free(path);
    assert_int_equal(fate_of("prod/x"), SWEEP_GOES);
    rewrite(otherwise);
    assert_int_equal(fate_of("prod/x"), SWEEP_TELLS);
    rewrite(ahead); /* a clock was set back */
    assert_int_equal(fate_of("prod/x"), SWEEP_TELLS);
    rewrite("[[[[");
    assert_int_equal(fate_of("prod/x"), SWEEP_TELLS);
    rewrite(good);
    told_forget(at.told, "u1");
    told_forget(at.told, "nobody");
    assert_int_equal(fate_of("prod/x"), SWEEP_TELLS);
    Told *nowhere = told_open(NULL);
    Error error = {0};
    assert_int_equal(told_when(nowhere, row_of("prod/x"), make_clock(0)), TIME_UNKNOWN);
    assert_false(told_save(nowhere, NULL, 0, make_clock(0), &error));
    assert_int_equal(error.code, ERROR_UNSUPPORTED);
    told_free(nowhere);
    free(good);
    free(elsewhere);
    free(otherwise);
    free(ahead);
}

static void what_is_not_seen_is_forgotten_some_time(void **state)
{
    (void)state;
    at.told = told_open(directory);
    at.rules.tell = true;
    at.rules.grace_ms = 0;
    put(at.world.prod, make_unattended("x"));
    told_set(at.told, row_of("prod/x"), make_clock(0));
    Error error = {0};
    for (int day = 1; day <= 31; day += 30) {
        assert_true(told_save(at.told, NULL, 0, make_clock(day * INT64_C(24) * HOUR), &error));
        told_free(at.told);
        at.told = told_open(directory);
        assert_int_equal(fate_of("prod/x"), day == 1 ? SWEEP_GOES : SWEEP_TELLS);
    }
}

/* ---------------------------------------------------------------------------------------------------------------- config */

static void from_the_config(void **state)
{
    (void)state;
    static const char yaml[] = "{orphaned: true, idle: 1d, grace: 2h, max: 3, protect: {names: [a]}}";
    Error error = {0};
    Config config = {0};
    SweepRules rules;
    Buffer words;
    buffer_init(&words, BUFFER_ANY);
    sweep_rules_read(&rules, &config);
    assert_false(sweep_rules_any(&rules) || rules.tell);
    assert_int_equal(rules.max, 10);
    Tree *tree = tree_parse("sweep", yaml, strlen(yaml), &error);
    config.sweep = tree;
    sweep_rules_read(&rules, &config);
    assert_true(rules.orphaned && rules.tell);
    assert_int_equal(rules.unattended_ms, NUMBER_UNKNOWN);
    assert_int_equal(rules.idle_ms, 24 * HOUR);
    assert_int_equal(rules.grace_ms, 2 * HOUR);
    assert_int_equal(rules.max, 3);
    assert_non_null(tree_get(rules.protect, "names"));
    sweep_rules_text(&rules, &words);
    assert_string_equal(words.bytes, "orphaned, or idle for 24 h");
    sweep_rules_done(&rules);
    buffer_done(&words);
    tree_free(tree);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        WITH(each_rule_by_itself),
        WITH(never_what_is_in_use),
        WITH(never_stale),
        WITH(never_kept),
        WITH(never_protected),
        WITH(the_same_scheduler_is_one),
        WITH(never_young),
        WITH(never_what_holds_results),
        WITH(never_other_peoples),
        WITH(never_without_identity_or_means),
        WITH(they_only_narrow),
        WITH(more_than_max),
        WITH(told_first_then_deleted),
        WITH(what_was_told_elsewhere_does_not_count),
        WITH(what_is_not_seen_is_forgotten_some_time),
        cmocka_unit_test(from_the_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
