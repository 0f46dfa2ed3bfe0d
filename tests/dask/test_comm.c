#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "dask/dask.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void load(const char *name, Buffer *out)
{
    char path[512];
    snprintf(path, sizeof path, TESTS_DIR "/captures/dask/%s", name);
    buffer_init(out, 64 << 20);
    assert_true(file_read(path, out, NULL));
}

/* Feeds a recorded conversation in pieces; take() gets each message. */
static int feed(const Buffer *bytes, size_t piece, void (*take)(const Message *message, int number, void *user), void *user)
{
    CommReader reader;
    int count = 0;
    comm_reader_init(&reader, COMM_MOST_BYTES);
    for (size_t at = 0; at < bytes->length;) {
        size_t used, n = bytes->length - at < piece ? bytes->length - at : piece;
        Error error = {0};
        CommStep step = comm_feed(&reader, bytes->bytes + at, n, &used, &error);
        assert_int_not_equal(step, COMM_BAD);
        at += used;
        if (step != COMM_MESSAGE)
            continue;
        size_t length;
        Message message;
        const char *frame = comm_frame(&reader, &length);
        assert_true(message_decode(frame, length, &message, "test", &error));
        take(&message, count++, user);
        message_done(&message);
    }
    comm_reader_done(&reader);
    return count;
}

static void check_identity(const Message *message, int number, void *user)
{
    DaskIdentity *identity = user;
    if (number == 0)
        assert_true(comm_is_handshake(message));
    else
        assert_true(dask_identity_decode(&message->root, identity));
}

static void recorded_identities_are_read(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 3000; piece = piece * 7 + 1) {
        Buffer bytes;
        DaskIdentity identity = {0};
        load("v2026.8-identity.s2c.bin", &bytes);
        assert_int_equal(feed(&bytes, piece, check_identity, &identity), 2);
        assert_int_equal(identity.role, DASK_SCHEDULER);
        assert_int_equal(identity.count, 3);
        assert_int_equal(identity.workers, 3);
        assert_true(identity.dashboard_port > 0 && identity.started_ms > 1700000000000);
        assert_true(identity.list[0].memory > 0 && identity.list[0].threads == 1);
        dask_identity_done(&identity);
        buffer_done(&bytes);
    }
}

static DaskIdentity identity_of(const char *name)
{
    Buffer bytes;
    DaskIdentity identity = {0};
    load(name, &bytes);
    assert_int_equal(feed(&bytes, 4096, check_identity, &identity), 2);
    buffer_done(&bytes);
    return identity;
}

static void roles_and_integer_names(void **state)
{
    (void)state;
    DaskIdentity worker = identity_of("v2026.8-identity-of-worker.s2c.bin"), nanny = identity_of("v2026.8-identity-of-nanny.s2c.bin");
    DaskIdentity cluster = identity_of("v2026.8-identity-localcluster.s2c.bin"), light = identity_of("v2026.8-identity-n0.s2c.bin");
    assert_int_equal(worker.role, DASK_WORKER);
    assert_non_null(worker.scheduler);
    assert_int_equal(nanny.role, DASK_NANNY);
    assert_string_equal(cluster.list[0].name, "0");
    assert_int_equal(light.count, 0);
    assert_int_equal(light.workers, 3);
    DaskIdentity *all[] = {&worker, &nanny, &cluster, &light};
    for (size_t i = 0; i < 4; i++)
        dask_identity_done(all[i]);
}

static void count_messages(const Message *message, int number, void *user)
{
    (void)message;
    (void)number;
    ++*(int *)user;
}

static void pickles_are_skipped_not_read(void **state)
{
    (void)state;
    Buffer bytes;
    int count = 0;
    load("v2026.8-error-kwarg.s2c.bin", &bytes);
    assert_int_equal(feed(&bytes, 100, count_messages, &count), 2);
    buffer_done(&bytes);
}

static void is_bad(const void *bytes, size_t n, bool old)
{
    CommReader reader;
    Error error = {0};
    size_t at = 0, used;
    CommStep step = COMM_MORE;
    comm_reader_init(&reader, 1 << 20);
    while (at < n && step == COMM_MORE) {
        step = comm_feed(&reader, (const char *)bytes + at, 1, &used, &error);
        at += used;
    }
    assert_int_equal(step, COMM_BAD);
    assert_true(*error.what && reader.old_framing == old);
    assert_true(reader.bytes.capacity <= 256);
    comm_reader_done(&reader);
}

static void absurd_sizes_end_it_before_memory_is_taken(void **state)
{
    (void)state;
    const uint64_t far[] = {1ull << 63, 1, (1ull << 63) - 16}, large[] = {100ull << 20, 1, (100ull << 20) - 16}, many[] = {64, 1ull << 40, 8};
    const uint64_t none[] = {64, 0, 8}, overflow[] = {64, 2, UINT64_MAX - 8, 16}, zero[] = {0, 0, 0};
    is_bad(far, sizeof far, false);
    is_bad(large, sizeof large, false);
    is_bad(many, sizeof many, false);
    is_bad(none, sizeof none, false);
    is_bad(overflow, sizeof overflow, false);
    is_bad(zero, sizeof zero, false);
    is_bad("SSH-2.0-OpenSSH_9.2p1\r\n", 23, false);
    is_bad("HTTP/1.1 400 Bad Request", 24, false);
}

static void old_dask_is_recognised(void **state)
{
    (void)state;
    const char *const names[] = {"v2.30-handshake.s2c.bin", "v2020.12-handshake.s2c.bin"};
    for (size_t i = 0; i < 2; i++) {
        Buffer bytes;
        load(names[i], &bytes);
        is_bad(bytes.bytes, bytes.length, true);
        buffer_done(&bytes);
    }
}

static void bad_messages_are_refused(void **state)
{
    (void)state;
    Message message;
    char deep[10001];
    memset(deep, (char)0x91, 10000);
    deep[10000] = 0;
    assert_false(message_decode(deep, sizeof deep, &message, "t", NULL));
    assert_true(message_decode(deep + 10000 - 30, 31, &message, "t", NULL));
    message_done(&message);
    assert_false(message_decode("", 0, &message, "t", NULL));
    assert_false(message_decode("\xdd\xff\xff\xff\xff", 5, &message, "t", NULL)); /* four billion items announced */
    assert_false(message_decode("\xdb\x7f\xff\xff\xff" "a", 6, &message, "t", NULL));
    assert_false(message_decode("\xc1", 1, &message, "t", NULL));
    assert_false(message_decode("\x01\x02", 2, &message, "t", NULL));
}

static void any_key_and_empty_texts_are_fine(void **state)
{
    (void)state;
    Message message;
    Buffer out;
    /* {("a", 1): "", 7: nil, "type": "Scheduler"} */
    static const char bytes[] = "\x83\x92\xa1" "a\x01\xa0\x07\xc0\xa4type\xa9Scheduler";
    assert_true(message_decode(bytes, sizeof bytes - 1, &message, "t", NULL));
    buffer_init(&out, BUFFER_ANY);
    value_print(&out, &message.root.via.map.ptr[0].key);
    assert_string_equal(out.bytes, "('a', 1)");
    char *empty = value_text_new(&message.root.via.map.ptr[0].val);
    assert_string_equal(empty, "");
    free(empty);
    DaskIdentity identity;
    assert_true(dask_identity_decode(&message.root, &identity));
    assert_true(identity.workers == NUMBER_UNKNOWN && !identity.id && identity.dashboard_port == 0);
    dask_identity_done(&identity);
    buffer_done(&out);
    message_done(&message);
}

static void counts_are_without_the_built_in_client(void **state)
{
    (void)state;
    Buffer bytes;
    DaskCounts counts;
    load("v2026.8-counts-cli.json", &bytes);
    assert_true(dask_counts_decode(bytes.bytes, bytes.length, &counts, NULL));
    assert_int_equal(counts.clients, 1);
    assert_int_equal(counts.processing, 4);
    assert_int_equal(counts.queued, 0);
    buffer_done(&bytes);
    load("v2026.8-counts-forgotten.json", &bytes);
    assert_true(dask_counts_decode(bytes.bytes, bytes.length, &counts, NULL));
    assert_int_equal(counts.clients, 0);
    buffer_done(&bytes);
    assert_false(dask_counts_decode("{\"clients\": 1}", strlen("{\"clients\": 1}"), &counts, NULL));
    assert_true(counts.clients == NUMBER_UNKNOWN);
    static const char odd[] = "{\"workers\": 1, \"clients\": \"x\", \"tasks\": -1}";
    assert_true(dask_counts_decode(odd, sizeof odd - 1, &counts, NULL));
    assert_true(counts.clients == NUMBER_UNKNOWN && counts.tasks == NUMBER_UNKNOWN && counts.queued == NUMBER_UNKNOWN);
}

static void addresses_and_versions(void **state)
{
    (void)state;
    DaskAddress address;
    assert_true(dask_address_parse("tcp://[::1]:8786", &address) && strcmp(address.host, "::1") == 0 && address.port == 8786);
    assert_true(dask_address_parse("tls://h.example:1", &address) && address.tls);
    assert_true(dask_address_parse("10.0.0.5:8786", &address) && !address.tls);
    assert_true(dask_address_parse("inproc://10.0.0.1/42/1", &address) && address.inproc);
    const char *const wrong[] = {"", "host", "tcp://", "tcp://h", "tcp://h:0", "tcp://h:65536", "tcp://h:1x", "http://h:1", "tcp://u@h:1", "::1:80", "a b:1", "tcp://h:1/x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(dask_address_parse(wrong[i], &address));
    assert_true(dask_version_least(dask_version_parse("2025.4.0"), 2025, 4, 0));
    assert_false(dask_version_least(dask_version_parse("2022.02.1"), 2022, 2, 2));
    assert_true(dask_version_least(dask_version_parse("2026.8.0+5.gabc"), 2025, 12, 9));
    assert_false(dask_version_least(dask_version_parse(NULL), 2021, 3, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_identities_are_read), cmocka_unit_test(roles_and_integer_names), cmocka_unit_test(pickles_are_skipped_not_read),
        cmocka_unit_test(absurd_sizes_end_it_before_memory_is_taken), cmocka_unit_test(old_dask_is_recognised),
        cmocka_unit_test(bad_messages_are_refused), cmocka_unit_test(any_key_and_empty_texts_are_fine),
        cmocka_unit_test(counts_are_without_the_built_in_client), cmocka_unit_test(addresses_and_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
