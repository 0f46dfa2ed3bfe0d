/* What the signed-in user may do, by what a real API server said of two users. */
#include "backends/kubernetes/rights.h"
#include "base/file.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

static cJSON *read_capture(const char *name)
{
    Buffer text;
    char *path = mem_format("%s/captures/kubernetes/%s", TESTS_DIR, name);
    buffer_init(&text, 1 << 20);
    assert_true(file_read(path, &text, NULL));
    cJSON *json = json_parse(text.bytes, text.length, name, NULL);
    assert_non_null(json);
    buffer_done(&text);
    free(path);
    return json;
}

static void who_may_only_look(void **state)
{
    (void)state;
    int8_t may[NEED_COUNT];
    cJSON *json = read_capture("ssrr-viewer.json");
    assert_true(rights_of_review(json, may));
    for (int i = 0; i < NEED_COUNT; i++)
        assert_int_equal(may[i], i == NEED_READ_LOGS);
    cJSON_Delete(json);
}

static void who_may_change(void **state)
{
    (void)state;
    int8_t may[NEED_COUNT];
    cJSON *json = read_capture("ssrr-operator-team-a.json");
    assert_true(rights_of_review(json, may));
    assert_int_equal(may[NEED_DELETE_CLUSTER], 1);
    assert_int_equal(may[NEED_PATCH_GROUP], 1);
    assert_int_equal(may[NEED_CREATE_SCALER], 1);
    assert_int_equal(may[NEED_FORWARD], 1);
    assert_int_equal(may[NEED_DELETE_PODS], 0);
    assert_int_equal(may[NEED_DELETE_DEPLOYMENT], 0);
    cJSON_Delete(json);
}

static int8_t may_of(const char *rules, bool incomplete, Need need)
{
    int8_t may[NEED_COUNT];
    char *text = mem_format("{\"status\": {\"incomplete\": %s, \"resourceRules\": [%s]}}", incomplete ? "true" : "false", rules);
    cJSON *json = cJSON_Parse(text);
    free(text);
    assert_non_null(json);
    assert_int_equal(rights_of_review(json, may), !incomplete);
    cJSON_Delete(json);
    return may[need];
}

static void rules_that_are_general_or_are_not(void **state)
{
    (void)state;
    assert_int_equal(may_of("{\"verbs\": [\"*\"], \"apiGroups\": [\"*\"], \"resources\": [\"*\"]}", false, NEED_READ_LOGS), 1);
    assert_int_equal(may_of("{\"verbs\": [\"get\"], \"apiGroups\": [\"\"], \"resources\": [\"*/log\"]}", false, NEED_READ_LOGS), 1);
    assert_int_equal(may_of("{\"verbs\": [\"get\"], \"apiGroups\": [\"\"], \"resources\": [\"pods\"]}", false, NEED_READ_LOGS), 0);
    assert_int_equal(may_of("{\"verbs\": [\"delete\"], \"apiGroups\": [\"kubernetes.dask.org\"], \"resources\": [\"daskclusters\"], \"resourceNames\": [\"one\"]}", false,
                            NEED_DELETE_CLUSTER), 0);
    assert_int_equal(may_of("", true, NEED_DELETE_CLUSTER), -1);
    assert_int_equal(may_of("{\"verbs\": 3}, null, []", false, NEED_DELETE_CLUSTER), 0);
}

static void the_reason_names_verb_and_resource(void **state)
{
    (void)state;
    char why[160];
    assert_string_equal(rights_why("team-a", NEED_FORWARD, why), "not permitted: create pods/portforward in team-a");
    assert_string_equal(rights_why("team-a", NEED_PATCH_GROUP, why), "not permitted: patch daskworkergroups.kubernetes.dask.org in team-a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_only_look),
        cmocka_unit_test(who_may_change),
        cmocka_unit_test(rules_that_are_general_or_are_not),
        cmocka_unit_test(the_reason_names_verb_and_resource),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
