#include "base/json.h"
#include "base/mem.h"
#include "dask/fake.h"

#include <math.h>

static Message decoded(msgpack_sbuffer *packed)
{
    Message message;
    assert_true(message_decode(packed->data, packed->size, &message, "t", NULL));
    return message;
}

/* An identity whose workers say the largest numbers that there are. */
static void sums_do_not_overflow(void **state)
{
    (void)state;
    const int64_t extremes[] = {INT64_MAX, INT64_MAX - 1, INT64_MIN + 2, -1};
    for (size_t k = 0; k < sizeof extremes / sizeof *extremes; k++) {
        msgpack_sbuffer packed;
        Packer p;
        msgpack_sbuffer_init(&packed);
        msgpack_packer_init(&p, &packed, msgpack_sbuffer_write);
        msgpack_pack_map(&p, 2);
        put_pair(&p, "type", "Scheduler");
        put_text(&p, "workers");
        msgpack_pack_map(&p, 3);
        for (int i = 0; i < 3; i++) {
            msgpack_pack_int(&p, i); /* not even an address */
            msgpack_pack_map(&p, 3);
            put_number(&p, "nthreads", extremes[k]);
            put_number(&p, "memory_limit", extremes[k]);
            put_text(&p, "metrics");
            msgpack_pack_map(&p, 4);
            put_number(&p, "memory", extremes[k]);
            put_number(&p, "executing", extremes[k]);
            put_number(&p, "ready", extremes[k]);
            put_text(&p, "task_counts");
            msgpack_pack_map(&p, 2);
            put_number(&p, "executing", extremes[k]);
            put_number(&p, "ready", extremes[k]);
        }
        Message message = decoded(&packed);
        DaskIdentity identity;
        assert_true(dask_identity_decode(&message.root, &identity));
        assert_int_equal(identity.count, 3);
        assert_true(identity.threads >= 0 && identity.memory >= 0);
        assert_true(identity.list[0].processing >= 0 || identity.list[0].processing == NUMBER_UNKNOWN);
        dask_identity_done(&identity);
        message_done(&message);
        msgpack_sbuffer_destroy(&packed);
    }
}

/* Each byte of a real identity changed: it is refused, or read as something within limits. */
static void no_changed_byte_hurts(void **state)
{
    (void)state;
    Buffer bytes = capture("v2026.8-identity-localcluster.s2c.bin");
    static const unsigned char others[] = {0x00, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xc0, 0xc1, 0xc3, 0xc6, 0xc9, 0xca, 0xcb, 0xcf, 0xd3, 0xd8, 0xdb, 0xdd, 0xdf, 0xff};
    size_t at = 66 + 24, n = bytes.length - at, read = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof others; k++) {
            char *changed = mem_new(n); /* of its very size, so that a byte too far is seen */
            Message message;
            DaskIdentity identity;
            memcpy(changed, bytes.bytes + at, n);
            changed[i] = (char)others[k];
            if (message_decode(changed, n, &message, "t", NULL)) {
                if (dask_identity_decode(&message.root, &identity)) {
                    assert_true(identity.count <= 64 && (identity.workers >= 0 || identity.workers == NUMBER_UNKNOWN));
                    dask_identity_done(&identity);
                    read++;
                }
                message_done(&message);
            }
            free(changed);
        }
    assert_true(read > 100);
    buffer_done(&bytes);
}

/* 32 MB of nil would become a gigabyte of objects. */
static void a_message_is_not_blown_up_in_memory(void **state)
{
    (void)state;
    size_t count = 8u << 20, n = count + 5;
    unsigned char *bytes = mem_new(n);
    Message message;
    bytes[0] = 0xdd;
    for (int i = 0; i < 4; i++)
        bytes[1 + i] = (unsigned char)(count >> (24 - 8 * i));
    memset(bytes + 5, 0xc0, count);
    assert_false(message_decode((char *)bytes, n, &message, "t", NULL));
    free(bytes);
}

static void a_message_of_empty_frames_ends(void **state)
{
    (void)state;
    const uint64_t empty[] = {24, 2, 0, 0};
    CommReader reader;
    size_t used, n;
    Error error = {0};
    Message message;
    comm_reader_init(&reader, 1 << 20);
    assert_int_equal(comm_feed(&reader, (const char *)empty, sizeof empty, &used, &error), COMM_MESSAGE);
    assert_int_equal(used, sizeof empty);
    const char *frame = comm_frame(&reader, &n);
    assert_int_equal(n, 0);
    assert_false(message_decode(frame, n, &message, "t", &error));
    comm_reader_done(&reader);
}

static void counts_below_nothing_are_no_counts(void **state)
{
    (void)state;
    DaskCounts counts;
    Error error = {0};
    const char *const wrong[] = {"{\"workers\": -1}", "{\"workers\": 1.5}", "{\"workers\": 1e300}", "{\"workers\": \"3\"}", "[]", "null", "3", "", "{", "{\"workers\": 3}x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        error = (Error){0};
        assert_false(dask_counts_decode(wrong[i], strlen(wrong[i]), &counts, &error));
        assert_int_equal(error.code, ERROR_BAD_REPLY);
        assert_true(counts.workers == NUMBER_UNKNOWN);
    }
    static const char more[] = "{\"workers\": 1, \"clients\": 0, \"tasks\": 2, \"processing\": 5, \"waiting\": 0, \"memory\": 0, \"erred\": 0,"
                               " \"unrunnable\": 0, \"released\": 0}";
    assert_true(dask_counts_decode(more, sizeof more - 1, &counts, NULL));
    assert_true(counts.queued == NUMBER_UNKNOWN && counts.clients == NUMBER_UNKNOWN && counts.processing == 5);
}

static void wrong_types_are_unknown(void **state)
{
    (void)state;
    /* [nil, true, [1], {}, -1, 1.5, 1e300, inf, nan, 2^64-1, -2^63, "", binary "a\0b"] */
    static const char bytes[] = "\x9d\xc0\xc3\x91\x01\x80\xff\xcb\x3f\xf8\0\0\0\0\0\0\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c\xcb\x7f\xf0\0\0\0\0\0\0"
                                "\xcb\x7f\xf8\0\0\0\0\0\0\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xd3\x80\0\0\0\0\0\0\0\xa0\xc4\x03" "a\0b";
    Message message;
    assert_true(message_decode(bytes, sizeof bytes - 1, &message, "t", NULL));
    Value *all = message.root.via.array.ptr;
    const int64_t integers[] = {NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN, -1, NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN,
                                NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN};
    for (size_t i = 0; i < message.root.via.array.size; i++) {
        Buffer out;
        buffer_init(&out, BUFFER_ANY);
        assert_true(value_integer(&all[i]) == integers[i]);
        assert_null(value_get(&all[i], "type"));
        assert_int_equal(value_truth(&all[i]), i == 1 ? 1 : -1);
        value_print(&out, &all[i]);
        DaskIdentity identity;
        assert_false(dask_identity_decode(&all[i], &identity));
        buffer_done(&out);
    }
    assert_true(isnan(value_number(&all[0])) && value_number(&all[5]) == 1.5 && isnan(value_number(NULL)));
    char *text = value_text_new(&all[12]);
    assert_string_equal(text, "a b");
    free(text);
    assert_null(value_text_new(&all[2]));
    assert_null(value_get(NULL, "x"));
    message_done(&message);
}

static void a_key_that_is_long_is_cut(void **state)
{
    (void)state;
    msgpack_sbuffer packed;
    Packer p;
    Buffer out;
    char *text = mem_new(100001);
    memset(text, 'k', 100000);
    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&p, &packed, msgpack_sbuffer_write);
    msgpack_pack_array(&p, 1000);
    for (int i = 0; i < 1000; i++)
        put_text(&p, i ? "part" : text);
    Message message = decoded(&packed);
    buffer_init(&out, BUFFER_ANY);
    value_print(&out, &message.root);
    assert_true(out.length > 400 && out.length < 600);
    buffer_done(&out);
    message_done(&message);
    msgpack_sbuffer_destroy(&packed);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_do_not_overflow),
        cmocka_unit_test(no_changed_byte_hurts),
        cmocka_unit_test(a_message_is_not_blown_up_in_memory),
        cmocka_unit_test(a_message_of_empty_frames_ends),
        cmocka_unit_test(counts_below_nothing_are_no_counts),
        cmocka_unit_test(wrong_types_are_unknown),
        cmocka_unit_test(a_key_that_is_long_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
