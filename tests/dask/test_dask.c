#include "dask/fake.h"

/* One conversation with a fake of this version. */
typedef struct Talk {
    Fake *fake;
    Io *io;
    Context context;
    Dask *dask;
} Talk;

static Talk talk_to(const char *distributed)
{
    Talk talk = {.fake = fake_start(distributed), .io = io_new(NULL), .context = context_new(NULL, 20000)};
    StreamTarget target = {.host = "127.0.0.1", .port = talk.fake->comm->port, .connect_ms = 5000};
    Error error = {0};
    talk.dask = dask_open(talk.io, &talk.context, &target, "here", &error);
    assert_non_null(talk.dask);
    return talk;
}

static void talk_end(Talk *talk)
{
    assert_int_equal(atomic_load(&talk->fake->faults), 0);
    dask_close(talk->dask);
    io_free(talk->io);
    fake_stop(talk->fake);
}

/* worker: NULL for the scheduler's own. */
static void check_lines_of(Talk *talk, const char *worker, int64_t n, double since, int first, int last, bool stamped)
{
    DaskLogLine *lines;
    size_t count;
    double newest;
    Error error = {0};
    bool right = worker ? dask_worker_logs(talk->dask, &talk->context, worker, false, n, since, &lines, &count, &newest, &error)
                        : dask_logs(talk->dask, &talk->context, n, since, &lines, &count, &newest, &error);
    assert_true(right);
    assert_int_equal(count, last - first + 1);
    for (size_t i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "line %d", first + (int)i);
        assert_string_equal(lines[i].text, text);
        assert_string_equal(lines[i].level, "INFO");
        assert_true(lines[i].time_ms == (stamped ? (1795000000 + first + (int)i) * 1000ll : TIME_UNKNOWN));
    }
    assert_true(newest == (stamped && count ? 1795000000.0 + last : since));
    dask_log_lines_free(lines, count);
}

/* A worker's, by way of its scheduler, are as well known: who follows them gets each line once. */
static void check_lines(Talk *talk, int64_t n, double since, int first, int last, bool stamped)
{
    check_lines_of(talk, NULL, n, since, first, last, stamped);
    check_lines_of(talk, "tcp://127.0.0.1:30001", n, since, first, last, stamped);
}

/* get_logs means other lines by n, and other ones by start, in other versions. */
static void the_newest_lines_come_oldest_first_from_each_version(void **state)
{
    (void)state;
    const char *const all[] = {"2021.12.0", "2022.2.1", "2022.12.1", "2023.1.0", "2023.1.1", "2024.5.2", "2026.8.0"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        Talk talk = talk_to(all[i]);
        bool stamped = dask_version_least(talk.fake->version, 2022, 1, 1);
        check_lines(&talk, 5, 0, FAKE_LINES - 5, FAKE_LINES - 1, stamped);
        check_lines(&talk, 10000, 0, 0, FAKE_LINES - 1, stamped);
        if (stamped) {
            check_lines(&talk, 200, 1795000000.0 + FAKE_LINES - 4, FAKE_LINES - 3, FAKE_LINES - 1, true);
            check_lines(&talk, 200, 1795000000.0 + FAKE_LINES - 1, FAKE_LINES, FAKE_LINES - 1, true);
            check_lines(&talk, 2, 1795000000.0 + FAKE_LINES - 9, FAKE_LINES - 2, FAKE_LINES - 1, true);
        }
        talk_end(&talk);
    }
}

static void identities_are_asked_as_the_version_knows(void **state)
{
    (void)state;
    const char *const all[] = {"2021.12.0", "2024.5.2", "2025.3.0", "2025.4.0", "2026.8.0"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        Talk talk = talk_to(all[i]);
        for (int whole = 0; whole < 2; whole++) {
            DaskIdentity identity;
            assert_true(dask_identity(talk.dask, &talk.context, whole, &identity, NULL));
            assert_int_equal(identity.workers, 3);
            assert_int_equal(identity.threads, 6);
            assert_string_equal(identity.id, "Scheduler-one");
            assert_true(!whole || (identity.count == 3 && strcmp(identity.list[1].name, "1") == 0));
            dask_identity_done(&identity);
        }
        assert_int_equal(atomic_load(&talk.fake->versions), 1);
        talk_end(&talk);
    }
}

static void workers_are_retired_by_address(void **state)
{
    (void)state;
    Talk talk = talk_to("2026.8.0");
    List workers = {0}, retired = {0};
    list_add(&workers, "tcp://127.0.0.1:30001");
    list_add(&workers, "tcp://127.0.0.1:30002");
    assert_true(dask_retire(talk.dask, &talk.context, &workers, &retired, NULL));
    assert_int_equal(retired.count, 2);
    assert_string_equal(retired.items[1], "tcp://127.0.0.1:30002");
    int64_t left;
    assert_true(dask_client_left(talk.dask, &talk.context, &left, NULL));
    assert_true(left == 1795000101000ll);
    list_done(&workers);
    list_done(&retired);
    talk_end(&talk);
}

static void the_end_of_the_connection_is_the_success_of_terminate(void **state)
{
    (void)state;
    Talk talk = talk_to("2026.8.0");
    Error error = {0};
    assert_true(dask_terminate(talk.dask, &talk.context, &error));
    Request request;
    Message reply;
    request_begin(&request, "versions", 0);
    assert_false(dask_call(talk.dask, &talk.context, &request, &reply, &error));
    assert_int_equal(error.code, ERROR_UNREACHABLE);
    talk_end(&talk);
}

static void a_terminate_without_an_end_is_a_timeout(void **state)
{
    (void)state;
    Talk talk = talk_to("2026.8.0");
    Error error = {0};
    atomic_store(&talk.fake->silent, true);
    Context soon = context_new(NULL, 100);
    assert_false(dask_terminate(talk.dask, &soon, &error));
    assert_int_equal(error.code, ERROR_TIMEOUT);
    assert_string_equal(error.where, "here");
    talk_end(&talk);
}

/* An answer that comes too late must not be taken for the next one's. */
static void a_late_answer_is_nobodys(void **state)
{
    (void)state;
    Talk talk = talk_to("2026.8.0");
    DaskVersions versions;
    DaskIdentity identity;
    Error error = {0};
    atomic_store(&talk.fake->silent, true);
    Context soon = context_new(NULL, 100);
    assert_false(dask_versions(talk.dask, &soon, &versions, &error));
    assert_int_equal(error.code, ERROR_TIMEOUT);
    atomic_store(&talk.fake->silent, false);
    assert_false(dask_identity(talk.dask, &talk.context, true, &identity, &error));
    assert_int_equal(error.code, ERROR_UNREACHABLE);
    assert_true(!identity.id && identity.count == 0);
    talk_end(&talk);
}

static void what_the_scheduler_says_of_its_failure_is_told(void **state)
{
    (void)state;
    Talk talk = talk_to("2024.5.2");
    Request request;
    Message reply;
    Error error = {0};
    request_begin(&request, "identity", 1);
    request_integer(&request, "n_workers", 0);
    assert_false(dask_call(talk.dask, &talk.context, &request, &reply, &error));
    assert_int_equal(error.code, ERROR_BAD_REPLY);
    assert_non_null(strstr(error.what, "unexpected keyword argument"));
    request_begin(&request, "nope", 0);
    assert_true(dask_call(talk.dask, &talk.context, &request, &reply, &error));
    assert_true(value_is_nil(&reply.root));
    atomic_store(&talk.fake->faults, 0);
    talk_end(&talk);
}

/* The first bytes of a recorded conversation, then the end of it. */
typedef struct Cut {
    Buffer bytes;
    atomic_int next;
} Cut;

static void serve_cut(Server *server, int fd)
{
    Cut *cut = server->user;
    char bytes[4096];
    size_t n = (size_t)atomic_fetch_add(&cut->next, 1);
    server_write(fd, cut->bytes.bytes, n < 66 ? n : 66);
    if (n < 66 || server_read(server, fd, bytes, sizeof bytes) == 0)
        return;
    server_write(fd, cut->bytes.bytes + 66, n - 66);
    shutdown(fd, SHUT_WR);
    while (server_read(server, fd, bytes, sizeof bytes) > 0)
        ;
}

static void an_end_at_any_byte_is_an_error(void **state)
{
    (void)state;
    Cut cut = {.bytes = capture("v2026.8-identity-of-nanny.s2c.bin")};
    Server *server = server_start(serve_cut, &cut);
    Io *io = io_new(NULL);
    Context context = context_new(NULL, 60000);
    StreamTarget target = {.host = "127.0.0.1", .port = server->port, .connect_ms = 5000};
    for (size_t n = 0; n <= cut.bytes.length; n++) {
        Error error = {0};
        DaskIdentity identity = {0};
        Dask *dask = dask_open(io, &context, &target, "here", &error);
        assert_true((dask != NULL) == (n >= 66));
        if (dask)
            dask_assume(dask, (DaskVersion){2026, 8, 0});
        bool right = dask && dask_identity(dask, &context, true, &identity, &error);
        assert_true(right == (n == cut.bytes.length));
        assert_true(right ? identity.role == DASK_NANNY : error.code == ERROR_UNREACHABLE && *error.where);
        dask_identity_done(&identity);
        dask_close(dask);
    }
    io_free(io);
    server_stop(server);
    buffer_done(&cut.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_lines_come_oldest_first_from_each_version),
        cmocka_unit_test(identities_are_asked_as_the_version_knows),
        cmocka_unit_test(workers_are_retired_by_address),
        cmocka_unit_test(the_end_of_the_connection_is_the_success_of_terminate),
        cmocka_unit_test(a_terminate_without_an_end_is_a_timeout),
        cmocka_unit_test(a_late_answer_is_nobodys),
        cmocka_unit_test(what_the_scheduler_says_of_its_failure_is_told),
        cmocka_unit_test(an_end_at_any_byte_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
