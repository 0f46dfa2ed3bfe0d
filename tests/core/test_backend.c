/* What core holds for every handle and route. */
#include "core/make.h"

#include "core/backend.h"

static int closed, routes_closed;

static void close_handle(Handle *handle)
{
    closed++;
    handle_done(handle);
}

static void close_route(void *own)
{
    routes_closed++;
    free(own);
}

static void a_handle_outlives_what_it_came_from(void **state)
{
    (void)state;
    static const HandleType type = {.close = close_handle};
    RecordFields fields = make_resting("a");
    fields.uid = "u1";
    Record *record = make_record(&fields, "prod");
    Backend backend = {0};
    Handle handle;
    handle_init(&handle, &type, &backend, record);
    record_drop(record); /* the snapshot is gone */
    assert_string_equal(handle.record->is.uid, "u1");
    assert_ptr_equal(handle.backend, &backend);
    handle_close(&handle);
    handle_close(NULL);
    assert_int_equal(closed, 1);
    assert_null(handle.record);
}

static void a_route_is_closed_once(void **state)
{
    (void)state;
    Route route = {.address = mem_text("tcp://x:1"), .key = mem_text("/k"), .words = mem_text("direct"), .lost_fd = 7, .own = mem_new(4), .close = close_route};
    route_done(&route);
    assert_int_equal(routes_closed, 1);
    assert_int_equal(route.lost_fd, -1);
    assert_null(route.address);
    route_done(&route);
    assert_int_equal(routes_closed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_handle_outlives_what_it_came_from), cmocka_unit_test(a_route_is_closed_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
