/* Plans, progress and outcomes: who owns what, and that nothing raw gets through. */
#include "core/make.h"

#include "core/change.h"

static int freed_steps, freed_plans;

static void free_own(Plan *plan, PlanStep *step)
{
    free(step ? step->own : plan->own);
    *(step ? &freed_steps : &freed_plans) += 1;
}

static void a_plan_owns_everything(void **state)
{
    (void)state;
    RecordFields fields = make_resting("a");
    fields.uid = "u1";
    Record *record = make_record(&fields, "prod");
    Plan *plan = plan_new(CHANGE_SCALE, record);
    record_drop(record); /* nothing of it is looked up again */
    assert_string_equal(plan->id, "prod/a");
    assert_string_equal(plan->uid, "u1");
    assert_string_equal(plan->owner, "ada");
    assert_true(plan->wait);
    assert_int_equal(plan->now, NUMBER_UNKNOWN);
    plan->free_own = free_own;
    plan->own = mem_new(8);
    for (int i = 0; i < 40; i++)
        plan_step(plan, i % 2 ? STEP_ENDS : STEP_STAYS, "job", "j", "7")->own = i % 4 == 1 ? mem_new(8) : NULL;
    assert_int_equal(plan_count(plan, STEP_ENDS), 20);
    assert_int_equal(plan_count(plan, STEP_STARTS), 0);
    plan_call(&plan->steps[0], "first %d", 1);
    plan_call(&plan->steps[0], "scancel %s\n\x1b[2J", "7");
    assert_string_equal(plan->steps[0].call, "scancel 7<0A><1B>[2J");
    plan_note(plan, "one");
    plan_note(plan, "%s", "\xe2\x80\xaetwo");
    assert_string_equal(plan->note, "<U+202E>two");
    plan_free(plan);
    plan_free(NULL);
    assert_int_equal(freed_steps, 10);
    assert_int_equal(freed_plans, 1);
}

static void as_json(void **state)
{
    (void)state;
    Buffer out;
    JsonWriter json;
    Plan *plan = plan_new(CHANGE_CREATE, NULL);
    plan_call(plan_step(plan, STEP_STARTS, "worker", "w \"1\"\x1b", NULL), "dask worker");
    plan->then = 3;
    plan->clamped = mem_text("at most 3");
    buffer_init(&out, BUFFER_ANY);
    json_begin(&json, &out);
    plan_json(&json, NULL, plan);
    cJSON *tree = json_parse(out.bytes, out.length, "test", NULL);
    assert_non_null(tree);
    const cJSON *step = cJSON_GetArrayItem(json_member(tree, "steps"), 0);
    assert_true(cJSON_IsNull(json_member(tree, "id")));
    assert_true(cJSON_IsNull(json_member(tree, "now")));
    assert_int_equal(json_integer(tree, "then"), 3);
    assert_string_equal(json_text(tree, "change"), "create");
    assert_string_equal(json_text(tree, "clamped"), "at most 3");
    assert_string_equal(json_text(step, "fate"), "starts");
    assert_string_equal(json_text(step, "name"), "w \"1\"<1B>");
    assert_true(cJSON_IsNull(json_member(step, "identity")));
    cJSON_Delete(tree);
    buffer_done(&out);
    plan_free(plan);
}

static void hear(void *user, Phase phase, const char *message, int64_t done, int64_t total)
{
    buffer_format(user, "%s %s %d/%d;", phase_word(phase), message, (int)done, (int)total);
}

static void progress_is_clean(void **state)
{
    (void)state;
    Buffer heard;
    buffer_init(&heard, BUFFER_ANY);
    Progress progress = {hear, &heard};
    progress_tell(NULL, PHASE_RUNNING, 1, 2, "nobody listens");
    progress_tell(&progress, PHASE_VERIFYING, 1, 2, "%s\a", "x");
    assert_string_equal(heard.bytes, "verifying x<07> 1/2;");
    buffer_done(&heard);
}

static void words_and_outcomes(void **state)
{
    (void)state;
    for (int kind = CHANGE_DELETE; kind <= CHANGE_KEEP; kind++)
        assert_non_null(change_word((ChangeKind)kind));
    for (int phase = PHASE_QUEUED; phase <= PHASE_UNKNOWN; phase++)
        assert_non_null(phase_word((Phase)phase));
    assert_string_equal(step_fate_word(STEP_CHANGES), "changes");
    Outcome outcome;
    outcome_init(&outcome);
    assert_int_equal(outcome.workers, NUMBER_UNKNOWN);
    list_add(&outcome.left_over, "x");
    outcome.id = mem_text("y");
    outcome_done(&outcome);
    assert_int_equal(outcome.left_over.count, 0);
    assert_null(outcome.id);
    outcome_done(&outcome);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_plan_owns_everything), cmocka_unit_test(as_json),
                                       cmocka_unit_test(progress_is_clean), cmocka_unit_test(words_and_outcomes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
