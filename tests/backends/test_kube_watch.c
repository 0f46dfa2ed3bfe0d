/* The stream of a watch, cut anywhere; what a scheduler's log tells of its clients. */
#include "backends/make.h"

#include "backends/kubernetes/past.h"
#include "backends/kubernetes/watch.h"

typedef struct Seen {
    int items, gone, bookmarks, errors;
    char last[128];
} Seen;

static bool take(void *user, WatchLine line, const char *object, size_t n, Error *error)
{
    Seen *seen = user;
    (void)error;
    char *version = kube_version_of(object, n);
    seen->items += line == WATCH_ITEM;
    seen->gone += line == WATCH_GONE;
    seen->bookmarks += line == WATCH_BOOKMARK;
    seen->errors += line == WATCH_ERROR;
    snprintf(seen->last, sizeof seen->last, "%s", version ? version : "");
    free(version);
    return line != WATCH_ERROR;
}

static void a_recorded_watch(void **state)
{
    (void)state;
    Buffer bytes = capture("kubernetes/watch-initial-events.ndjson");
    Seen whole = {0};
    WatchReader reader;
    watch_reader_init(&reader, take, &whole);
    assert_true(watch_feed(&reader, bytes.bytes, bytes.length, NULL));
    assert_false(watch_is_cut(&reader));
    watch_reader_done(&reader);
    assert_true(whole.items >= 2);
    assert_int_equal(whole.bookmarks, 2);
    for (size_t piece = 1; piece < 4000; piece = piece * 3 + 1) { /* the same in pieces of any size */
        Seen cut = {0};
        watch_reader_init(&reader, take, &cut);
        for (size_t at = 0; at < bytes.length; at += piece)
            assert_true(watch_feed(&reader, bytes.bytes + at, bytes.length - at < piece ? bytes.length - at : piece, NULL));
        assert_memory_equal(&cut, &whole, sizeof cut);
        watch_reader_done(&reader);
    }
    buffer_done(&bytes);
}

static void lines(void **state)
{
    (void)state;
    static const char text[] = "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"5\"}}}\n"
                               "\n"
                               "{\"object\":{\"metadata\":{\"annotations\":{\"a\":\"\\\"resourceVersion\\\":\\\"9\\\"\"},\"resourceVersion\":\"6\"}},\"type\":\"DELETED\"}\r\n"
                               "{\"type\":\"LATER\",\"object\":{}}\n"
                               "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\"}}}\n"
                               "{\"type\":\"MODIFIED\",\"object\":{\"meta";
    Seen seen = {0};
    WatchReader reader;
    watch_reader_init(&reader, take, &seen);
    assert_true(watch_feed(&reader, text, strlen(text), NULL));
    assert_int_equal(seen.items, 1);
    assert_int_equal(seen.gone, 1);
    assert_int_equal(seen.bookmarks, 1);
    assert_string_equal(seen.last, "7"); /* where it goes on, as the last event was not whole */
    assert_true(watch_is_cut(&reader));
    watch_reader_done(&reader);

    Buffer bytes = capture("kubernetes/watch-error-410-expired.ndjson");
    watch_reader_init(&reader, take, &seen);
    assert_false(watch_feed(&reader, bytes.bytes, bytes.length, NULL));
    assert_int_equal(seen.errors, 1);
    watch_reader_done(&reader);
    buffer_done(&bytes);
}

static void garbage(void **state)
{
    (void)state;
    static const char *const bad[] = {"<html>\n", "{\"type\":\"ADDED\"}\n", "{\"type\":\"ADDED\",\"object\":[]}\n", "[]\n", "{\"object\":{}}\n", "\"\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Seen seen = {0};
        Error error = {0};
        WatchReader reader;
        watch_reader_init(&reader, take, &seen);
        assert_false(watch_feed(&reader, bad[i], strlen(bad[i]), &error));
        assert_int_equal(error.code, ERROR_BAD_REPLY);
        assert_int_equal(seen.items, 0);
        watch_reader_done(&reader);
    }
    /* a line without an end is not kept for ever */
    WatchReader reader;
    Seen seen = {0};
    char *block = malloc(1 << 20);
    memset(block, ' ', 1 << 20);
    watch_reader_init(&reader, take, &seen);
    int fed = 0;
    while (fed < 64 && watch_feed(&reader, block, 1 << 20, NULL))
        fed++;
    assert_true(fed >= 4 && fed <= 16);
    free(block);
    watch_reader_done(&reader);
}

#define STAMP(S) "2026-11-29T05:14:0" S ".772902000Z 2026-11-29 05:14:0" S ",772 - "

static void clients_of_a_log(void **state)
{
    (void)state;
    static const char start[] = STAMP("1") "distributed.scheduler - INFO -   Scheduler at:    tcp://10.0.0.2:8786\n";
    static const char went[] = STAMP("2") "distributed.scheduler - INFO - Receive client connection: Client-1\n" STAMP("5") "distributed.scheduler - INFO - Remove client Client-1\n"
        STAMP("6") "distributed.core - INFO - Remove client of another kind\n" STAMP("7") "distributed.scheduler - INFO - Remove client dasktop-1\n" STAMP("8") "user code: distributed.scheduler";
    Past past = past_of_log(start, strlen(start));
    assert_true(past.from_start);
    assert_int_equal(past.left_ms, TIME_UNKNOWN);
    past = past_of_log(went, strlen(went));
    assert_false(past.from_start);
    assert_int_equal(past.left_ms, time_parse("2026-11-29T05:14:05.772Z"));
    past = past_of_log("", 0);
    assert_int_equal(past.left_ms, TIME_UNKNOWN);
    past = past_of_log("\n\n\nx", 4);
    assert_false(past.from_start);
    Buffer bytes = capture("kubernetes/log-tail3-timestamps.txt");
    past = past_of_log(bytes.bytes, bytes.length);
    assert_false(past.from_start);
    buffer_done(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_recorded_watch), cmocka_unit_test(lines), cmocka_unit_test(garbage), cmocka_unit_test(clients_of_a_log)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
