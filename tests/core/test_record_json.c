#include "core/world.h"

#include "core/record_json.h"

#include <math.h>
#include <stdio.h>

static const char *const keys[] = {
    "id", "uid", "name", "type", "backend", "instance", "scheduler_id", "same_as", "owner", "origin", "status", "address",
    "dashboard", "workers", "adaptive", "resources", "threads", "gpus", "memory", "memory_used", "tasks", "clients", "versions",
    "created", "last_active", "ends", "seen", "stale", "kept", "usage", "cost", "verdict", "can", "cannot", "labels"};

static cJSON *list_of(World *world)
{
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    record_json_list(&out, world->view, make_clock(0));
    Error error = {0};
    cJSON *tree = json_parse(out.bytes, out.length, "list", &error);
    assert_non_null(tree);
    buffer_done(&out);
    return tree;
}

static void every_key_in_its_order(void **state)
{
    (void)state;
    World world = make_world(NULL, NULL);
    put(world.prod, make_fields("a\"\n"));
    update(&world, 0);
    cJSON *tree = list_of(&world);
    assert_string_equal(json_text(tree, "schema"), "dasktop/v1");
    assert_string_equal(json_text(tree, "taken"), "2026-11-23T12:00:00Z");
    const cJSON *cluster = cJSON_GetArrayItem(json_member(tree, "clusters"), 0), *item;
    size_t n = 0;
    cJSON_ArrayForEach(item, cluster) assert_string_equal(item->string, keys[n++]);
    assert_int_equal(n, sizeof(keys) / sizeof(keys[0]));
    static const char *const null[] = {"uid", "same_as", "owner", "origin", "address", "adaptive", "resources", "clients",
                                       "created", "kept", "instance", "memory_used"};
    for (size_t i = 0; i < sizeof(null) / sizeof(null[0]); i++)
        assert_true(cJSON_IsNull(json_member(cluster, null[i])));
    assert_true(cJSON_IsNull(json_member(json_member(cluster, "workers"), "ready")));
    assert_true(cJSON_IsNull(json_member(json_member(cluster, "cost"), "per_hour")));
    assert_string_equal(json_text(cluster, "status"), "unknown");
    assert_string_equal(json_text(cluster, "id"), "prod/a%22%0A");
    assert_string_equal(json_text(cluster, "seen"), "2026-11-23T11:59:40Z");
    const cJSON *part = cJSON_GetArrayItem(json_member(tree, "backends"), 0);
    assert_string_equal(json_text(part, "state"), "slow");
    assert_int_equal(json_integer(part, "clusters"), 1);
    assert_true(cJSON_IsNull(json_member(part, "error")));
    cJSON_Delete(tree);
    free_world(&world);
    const PartInfo empty = {.state = PART_OK}, failed = {.state = PART_FAILED}, before = {.state = PART_FAILED, .clusters = 2};
    assert_true(part_clusters(&empty) == 0 && part_clusters(&failed) == NUMBER_UNKNOWN && part_clusters(&before) == 2);
}

static void folded_rows_are_printed_too(void **state)
{
    (void)state;
    World world = make_world("{cpu-hour: 0.08}", NULL);
    RecordFields fields = make_resting("a");
    fields.scheduler_id = "Scheduler-1";
    fields.last_active_ms = NOON - HOUR;
    put(world.prod, fields);
    put(world.slurm, fields);
    update(&world, 0);
    cJSON *tree = list_of(&world);
    const cJSON *clusters = json_member(tree, "clusters");
    assert_int_equal(cJSON_GetArraySize(clusters), 2);
    assert_string_equal(json_text(cJSON_GetArrayItem(clusters, 1), "same_as"), "prod/a");
    const cJSON *first = cJSON_GetArrayItem(clusters, 0), *verdict = json_member(first, "verdict");
    assert_string_equal(json_text(verdict, "state"), "unattended");
    assert_string_equal(json_text(verdict, "since"), "2026-11-23T11:00:00Z");
    assert_int_equal(cJSON_GetArraySize(json_member(verdict, "evidence")), 2);
    assert_true(json_number(json_member(first, "cost"), "per_hour") == 0.96);
    assert_string_equal(json_text(json_member(first, "cost"), "currency"), "USD");
    assert_true(json_number(json_member(first, "usage"), "cpu_hours") == 60);
    cJSON_Delete(tree);
    world.view->only_backend = "slurm"; /* neither is shown */
    update(&world, 1);
    tree = list_of(&world);
    assert_int_equal(cJSON_GetArraySize(json_member(tree, "clusters")), 0);
    cJSON_Delete(tree);
    free_world(&world);
}

static Record *read_back(const cJSON *cluster)
{
    RecordFields fields;
    Pair *pairs;
    Error error = {0};
    assert_true(record_json_read(cluster, &fields, &pairs, &error));
    char *backend, *instance, *rest;
    assert_true(record_id_split(fields.id, &backend, &instance, &rest));
    fields.id = rest;
    Record *record = record_new(&fields, backend, instance, NOON, NOON, NULL);
    free(backend);
    free(instance);
    free(rest);
    free(pairs);
    return record;
}

/* Whatever a row says, reading it gives again; but for what the JSON has no place for. */
static void there_and_back(void **state)
{
    (void)state;
    RecordFields fields = make_resting("dask/a b");
    Pair labels[] = {{"team", "climate"}, {"x", ""}};
    fields.labels = labels;
    fields.label_count = 2;
    fields.origin.kind = "notebook";
    fields.origin.pid = 4242;
    fields.origin.alive = 0;
    fields.adaptive = 1;
    fields.adaptive_minimum = 2;
    fields.can = 1 << CAN_LOGS | 1 << CAN_DELETE;
    fields.cannot[CAN_SCALE] = "no \"script\"";
    fields.ends_at_ms = NOON + HOUR;
    fields.ends_why = "wall time";
    fields.memory_used = (INT64_C(1) << 53) - 1;
    fields.dask = "2026.8.0";
    fields.mine = -1;
    fields.workers_paused = NUMBER_UNKNOWN;
    World world = make_world(NULL, NULL);
    put(world.prod, fields);
    update(&world, 0);
    cJSON *tree = list_of(&world);
    Record *record = read_back(cJSON_GetArrayItem(json_member(tree, "clusters"), 0));
    assert_true(record_equal(record, world.view->rows[0]->record));
    record_drop(record);
    cJSON_Delete(tree);
    free_world(&world);
}

static void hostile_objects(void **state)
{
    (void)state;
    static const char text[] =
        "{\"id\": \"x\", \"name\": \"n\", \"uid\": 7, \"workers\": [1], \"tasks\": {\"processing\": \"3\", \"waiting\": 1e300},"
        " \"memory\": 9007199254740994, \"clients\": 1.5, \"created\": \"yesterday\", \"adaptive\": \"yes\", \"can\": [1, \"logs\","
        " \"fly\"], \"cannot\": [\"scale\"], \"labels\": {\"a\": 1, \"b\": \"c\"}, \"machines\": [{\"type\": \"m5\", \"quantity\": \"2\"},"
        " 7], \"status\": \"dancing\", \"origin\": \"here\", \"ends\": null}";
    cJSON *tree = json_parse(text, strlen(text), "x", NULL);
    assert_non_null(tree);
    RecordFields fields;
    Pair *pairs;
    assert_true(record_json_read(tree, &fields, &pairs, NULL));
    assert_null(fields.uid);
    assert_true(fields.workers_ready == NUMBER_UNKNOWN && fields.tasks.processing == NUMBER_UNKNOWN);
    assert_true(fields.tasks.waiting == NUMBER_UNKNOWN && fields.memory == NUMBER_UNKNOWN && fields.clients == NUMBER_UNKNOWN);
    assert_true(fields.created_ms == TIME_UNKNOWN);
    assert_int_equal(fields.adaptive, -1);
    assert_int_equal(fields.busy, -1);
    assert_int_equal(fields.can, 1 << CAN_LOGS);
    assert_int_equal(fields.label_count, 1);
    assert_int_equal(fields.status, STATUS_UNKNOWN);
    free(pairs);
    cJSON_Delete(tree);
    static const char *const bad[] = {"{}", "[]", "7", "{\"id\": \"x\"}", "{\"name\": \"x\", \"id\": \"\"}", "{\"id\": 1, \"name\": \"x\"}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        tree = json_parse(bad[i], strlen(bad[i]), "x", NULL);
        Error error = {0};
        assert_false(record_json_read(tree, &fields, &pairs, &error));
        assert_int_equal(error.code, ERROR_BAD_REPLY);
        assert_null(pairs);
        cJSON_Delete(tree);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_in_its_order),
        cmocka_unit_test(folded_rows_are_printed_too),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(hostile_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
