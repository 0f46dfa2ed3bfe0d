/* A description owns what it was told, cleaned; what nobody told is unknown, never 0. */
#include "core/make.h"

#include "core/describe.h"

#include <math.h>
#include <stdio.h>

static void unknown_until_told(void **state)
{
    (void)state;
    Description *description = description_new();
    assert_int_equal(description->client_left_ms, TIME_UNKNOWN);
    DescribedWorker *worker = description_worker(description, "w\x1b[2J", NULL);
    assert_string_equal(worker->name, "w<1B>[2J");
    assert_null(worker->address);
    const int64_t numbers[] = {worker->threads, worker->memory_limit, worker->memory, worker->spilled, worker->processing, worker->stored, worker->pid};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        assert_int_equal(numbers[i], NUMBER_UNKNOWN);
    assert_true(isnan(worker->cpu));
    assert_int_equal(worker->last_seen_ms, TIME_UNKNOWN);
    DescribedPrefix *prefix = description_prefix(description, "inc");
    assert_int_equal(prefix->erred, NUMBER_UNKNOWN);
    description_text(&worker->host, "n1");
    description_text(&worker->host, "n2");
    assert_string_equal(worker->host, "n2");
    description_text(&worker->host, NULL);
    assert_null(worker->host);
    description_free(description);
    description_free(NULL);
}

static void grows_and_owns(void **state)
{
    (void)state;
    RecordFields fields = make_resting("a");
    Description *description = description_new();
    description->record = make_record(&fields, "prod");
    for (int i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof(name), "w%d", i);
        description_text(&description_worker(description, name, "tcp://x:1")->resource, name);
        description_resource(description, "pod", name, name, "running\n", i - 1);
        description_prefix(description, name);
    }
    assert_int_equal(description->worker_count, 300);
    assert_string_equal(description->workers[299].resource, "w299");
    assert_int_equal(description->resources[0].parent, -1);
    assert_string_equal(description->resources[299].status, "running<0A>");
    description_found(description, "%d workers", 300);
    description_lost(description, "%s", "its \x07 process");
    assert_string_equal(description->found.items[0], "300 workers");
    assert_string_equal(description->lost.items[0], "its <07> process");
    list_add(&description->worker_spec, "dask worker");
    description_text(&description->route, "direct");
    description_text(&description->workers_note, "not asked");
    description_free(description);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(unknown_until_told), cmocka_unit_test(grows_and_owns)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
