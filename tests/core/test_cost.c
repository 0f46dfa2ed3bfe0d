#include "core/make.h"

#include "core/cost.h"

#include <math.h>

static Cost of(const RecordFields *fields, const char *prices)
{
    Config *config = make_config(prices);
    Record *record = make_record(fields, "local");
    Cost cost = cost_of(record, config, make_clock(0));
    record_drop(record);
    free_config(config);
    return cost;
}

static void machines_by_their_prices(void **state)
{
    (void)state;
    RecordFields fields = make_resting("a");
    Machine machines[] = {{"m5.xlarge", 5}, {"p3", 1}};
    fields.machines = machines;
    fields.machine_count = 1;
    Cost cost = of(&fields, "{m5.xlarge: 0.192, cpu-hour: 9}");
    assert_true(fabs(cost.per_hour - 0.96) < 1e-9);
    assert_true(fabs(cost.so_far - 4.8) < 1e-9);
    assert_true(cost.cpu_hours == 60 && cost.gib_hours == 120 && cost.gpu_hours == 0);
    assert_string_equal(cost.basis, "5 × m5.xlarge at 0.192 (config)");
    fields.machine_count = 2;
    cost = of(&fields, "{m5.xlarge: 0.192}");
    assert_true(fabs(cost.per_hour - 0.96) < 1e-9);
    assert_string_equal(cost.basis, "5 × m5.xlarge at 0.192, no price for p3 (config)");
}

static void resources_where_no_machine_has_a_price(void **state)
{
    (void)state;
    RecordFields fields = make_resting("a");
    Cost cost = of(&fields, "{cpu-hour: 0.04, gib_hour: 0.005, gpu-hour: 1}");
    assert_true(fabs(cost.per_hour - (12 * 0.04 + 24 * 0.005)) < 1e-9);
    assert_string_equal(cost.basis, "12 CPU at 0.04, 24 GiB at 0.005 (config)");
    fields.threads = NUMBER_UNKNOWN;
    cost = of(&fields, "{cpu-hour: 0.04}");
    assert_true(isnan(cost.per_hour) && isnan(cost.so_far) && isnan(cost.cpu_hours));
    assert_string_equal(cost.basis, "");
}

static void no_price_is_no_cost(void **state)
{
    (void)state;
    RecordFields fields = make_resting("a");
    assert_true(isnan(of(&fields, NULL).per_hour));
    assert_true(isnan(of(&fields, "{cpu-hour: cheap, gib-hour: -1}").per_hour));
    fields.created_ms = TIME_UNKNOWN;
    Cost cost = of(&fields, "{cpu-hour: 0}");
    assert_true(cost.per_hour == 0 && isnan(cost.so_far));
    fields.created_ms = NOON + HOUR; /* another clock */
    assert_true(isnan(of(&fields, NULL).cpu_hours));
}

static void a_long_basis_is_cut(void **state)
{
    (void)state;
    char name[900];
    memset(name, 'm', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    RecordFields fields = make_resting("a");
    Machine machines[] = {{"m5", 1}, {name, 1}};
    fields.machines = machines;
    fields.machine_count = 2;
    Cost cost = of(&fields, "{m5: 1}");
    assert_true(strlen(cost.basis) < sizeof(cost.basis) && strlen(cost.basis) > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machines_by_their_prices),
        cmocka_unit_test(resources_where_no_machine_has_a_price),
        cmocka_unit_test(no_price_is_no_cost),
        cmocka_unit_test(a_long_basis_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
