#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/json_walk.h"
#include "base/map.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool collect(void *user, const char *bytes, size_t n, Error *error)
{
    (void)error;
    buffer_add(user, bytes, n);
    return buffer_char(user, '|');
}

/* The items of a document that arrives byte by byte, and what stands beside them. */
static void items_are(const char *member, const char *text, const char *wanted, const char *beside)
{
    for (size_t piece = 1; piece < 9; piece += 3) {
        Buffer got;
        Error error = {0};
        cJSON *rest = NULL;
        buffer_init(&got, BUFFER_ANY);
        JsonItems *items = json_items_new(member, 100, collect, &got);
        for (size_t at = 0; at < strlen(text); at += piece)
            assert_true(json_items_feed(items, text + at, strlen(text) - at < piece ? strlen(text) - at : piece, &error));
        assert_true(json_items_end(items, &rest, &error));
        assert_string_equal(got.bytes, wanted);
        char *printed = cJSON_PrintUnformatted(rest);
        assert_string_equal(printed, beside);
        cJSON_free(printed);
        cJSON_Delete(rest);
        json_items_free(items);
        buffer_done(&got);
    }
}

static void a_stream_is_cut_into_items(void **state)
{
    (void)state;
    items_are("items", "{\"kind\": \"L\", \"items\": [ {\"a\": \"}]\\\"\"}, [1,2] , 3], \"metadata\": {\"continue\": \"x\"}}", "{\"a\": \"}]\\\"\"}|[1,2]|3|",
              "{\"kind\":\"L\",\"items\":[],\"metadata\":{\"continue\":\"x\"}}");
    items_are("items", "{\"m\": {\"items\": [1]}, \"items\": []}", "", "{\"m\":{\"items\":[1]},\"items\":[]}");
    items_are(NULL, " [\"a\", {}] ", "\"a\"|{}|", "[]");
    items_are("items", "{\"x\": \"items\", \"y\": [1], \"items\": [2]}", "2|", "{\"x\":\"items\",\"y\":[1],\"items\":[]}");
}

static void a_stream_is_bounded(void **state)
{
    (void)state;
    Buffer got;
    Error error = {0};
    char large[300];
    buffer_init(&got, BUFFER_ANY);
    memset(large, '1', sizeof large);
    JsonItems *items = json_items_new(NULL, 100, collect, &got);
    assert_true(json_items_feed(items, "[", 1, &error));
    assert_false(json_items_feed(items, large, sizeof large, &error));
    json_items_free(items);
    items = json_items_new(NULL, 100, collect, &got);
    assert_true(json_items_feed(items, "[1", 2, &error));
    assert_false(json_items_end(items, NULL, &error));
    json_items_free(items);
    buffer_done(&got);
}

static void documents_are_checked_before_they_are_parsed(void **state)
{
    (void)state;
    char deep[20000];
    memset(deep, '[', sizeof deep);
    assert_null(json_parse(deep, sizeof deep, "x", NULL));
    assert_null(json_parse("{} x", 4, "x", NULL));
    assert_null(json_parse("", 0, "x", NULL));
    static const char text[] = "{\"a\": 9007199254740994, \"b\": 1.5, \"c\": \"7\", \"d\": true, \"e\": 12} ";
    cJSON *json = json_parse(text, sizeof text - 1, "x", NULL);
    assert_true(json_integer(json, "a") == NUMBER_UNKNOWN);
    assert_non_null(json);
    assert_true(json_integer(json, "b") == NUMBER_UNKNOWN && json_integer(json, "c") == NUMBER_UNKNOWN && json_integer(json, "none") == NUMBER_UNKNOWN);
    assert_int_equal(json_integer(json, "e"), 12);
    assert_int_equal(json_truth(json, "d"), 1);
    assert_int_equal(json_truth(json, "e"), -1);
    assert_true(isnan(json_number(json, "c")));
    cJSON_Delete(json);
}

static void writing_escapes_and_knows_null(void **state)
{
    (void)state;
    Buffer out;
    JsonWriter json;
    buffer_init(&out, BUFFER_ANY);
    json_begin(&json, &out);
    json_object(&json, NULL);
    json_put_text(&json, "a\"", "x\n\033\xff");
    json_put_integer(&json, "i", NUMBER_UNKNOWN);
    json_put_integer(&json, "big", ((int64_t)1 << 53) + 1);
    json_put_number(&json, "n", 0.1);
    json_put_number(&json, "nan", NAN);
    json_put_time(&json, "t", 0);
    json_put_time(&json, "u", TIME_UNKNOWN);
    json_array(&json, "l");
    json_put_truth(&json, NULL, 1);
    json_put_truth(&json, NULL, -1);
    json_close(&json, ']');
    json_close(&json, '}');
    assert_string_equal(out.bytes, "{\"a\\\"\": \"x\\n\\u001b\xef\xbf\xbd\", \"i\": null, \"big\": null, \"n\": 0.1, \"nan\": null, "
                                   "\"t\": \"1970-01-01T00:00:00Z\", \"u\": null, \"l\": [true, null]}");
    buffer_done(&out);
}

static void times_and_durations(void **state)
{
    (void)state;
    char text[TIME_TEXT];
    int64_t ms;
    assert_int_equal(time_parse("2026-11-23T06:30:00Z"), 1795415400000);
    assert_int_equal(time_parse("2026-11-23T07:30:00.250+01:00"), 1795415400250);
    assert_true(time_parse("2026-13-01T00:00:00Z") == TIME_UNKNOWN && time_parse("yesterday") == TIME_UNKNOWN && time_parse(NULL) == TIME_UNKNOWN);
    assert_string_equal(time_text(1795415400250, true, text), "2026-11-23T06:30:00.250Z");
    assert_true(duration_parse("90s", &ms) && ms == 90000);
    assert_true(duration_parse("1.5h", &ms) && ms == 5400000);
    assert_true(duration_parse("0", &ms) && ms == 0);
    assert_false(duration_parse("5", &ms) || duration_parse("-1s", &ms) || duration_parse("5 s", &ms) || duration_parse("99999999999999999999d", &ms));
    assert_string_equal(duration_words(16200000, text), "4 h 30 min");
    assert_string_equal(duration_short(90000, text), "1m");
}

static void a_map_keeps_what_it_was_given(void **state)
{
    (void)state;
    Map map;
    char key[16];
    map_init(&map);
    for (intptr_t i = 1; i <= 5000; i++) {
        snprintf(key, sizeof key, "k%ld", (long)i);
        assert_null(map_put(&map, key, (void *)i));
    }
    for (intptr_t i = 1; i <= 5000; i += 2) {
        snprintf(key, sizeof key, "k%ld", (long)i);
        assert_ptr_equal(map_remove(&map, key), (void *)i);
    }
    for (intptr_t i = 1; i <= 5000; i++) {
        snprintf(key, sizeof key, "k%ld", (long)i);
        assert_ptr_equal(map_get(&map, key), i % 2 ? NULL : (void *)i);
    }
    assert_int_equal(map.used, 2500);
    map_done(&map, NULL);
}

/* A document of a stream that must be refused by feeding or by its end. */
static void is_refused(const char *member, const char *text)
{
    Buffer got;
    cJSON *rest = NULL;
    buffer_init(&got, BUFFER_ANY);
    JsonItems *items = json_items_new(member, 100, collect, &got);
    bool right = json_items_feed(items, text, strlen(text), NULL) && json_items_end(items, &rest, NULL);
    if (right)
        print_message("%s\n", text);
    assert_false(right);
    assert_null(rest);
    json_items_free(items);
    buffer_done(&got);
}

static void a_broken_stream_is_no_answer(void **state)
{
    (void)state;
    static const char *const texts[] = {"", " ", "{\"items\": [1}", "{\"items\": [1]", "{\"items\": [1]} x", "{\"items\": [1]}{}", "]", "}", "{\"items\" [1]}",
                                        "{\"items\": [\"a]}", "<html></html>", "{\"a\": [1]]", "null x"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        is_refused("items", texts[i]);
    char deep[200];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    is_refused("items", deep);
    is_refused(NULL, deep);
}

static bool stop(void *user, const char *bytes, size_t n, Error *error)
{
    (void)bytes, (void)n;
    ++*(int *)user;
    return error_set(error, ERROR_PARTIAL, "x", NULL, "enough");
}

static void who_takes_the_items_can_stop_them(void **state)
{
    (void)state;
    int calls = 0;
    Error error = {0};
    JsonItems *items = json_items_new(NULL, 100, stop, &calls);
    assert_false(json_items_feed(items, "[1,2,3]", 7, &error));
    assert_int_equal(calls, 1);
    assert_int_equal(error.code, ERROR_PARTIAL);
    json_items_free(items);
}

static void numbers_read_back_the_same(void **state)
{
    (void)state;
    static const double numbers[] = {0, -0.0, 0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, 9007199254740993.0, 1e22, 123456789, 0.96, 5.25, -65.6};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        Buffer out;
        JsonWriter json;
        buffer_init(&out, BUFFER_ANY);
        json_begin(&json, &out);
        json_put_number(&json, NULL, numbers[i]);
        assert_true(strtod(out.bytes, NULL) == numbers[i]);
        buffer_done(&out);
    }
    Buffer out;
    JsonWriter json;
    buffer_init(&out, BUFFER_ANY);
    json_begin(&json, &out);
    json_array(&json, NULL);
    json_put_number(&json, NULL, 0.1);
    json_put_number(&json, NULL, 123456789);
    json_put_number(&json, NULL, -INFINITY);
    json_put_integer(&json, NULL, (int64_t)1 << 53);
    json_put_integer(&json, NULL, -((int64_t)1 << 53) - 1);
    json_put_text(&json, NULL, NULL);
    json_put_text_n(&json, NULL, "a\0b\xe4", 4);
    json_close(&json, ']');
    assert_string_equal(out.bytes, "[0.1, 123456789, null, 9007199254740992, null, null, \"a\\u0000b\xef\xbf\xbd\"]");
    buffer_done(&out);
}

static void levels_remember_their_commas(void **state)
{
    (void)state;
    Buffer out;
    JsonWriter json;
    buffer_init(&out, BUFFER_ANY);
    json_begin(&json, &out);
    for (int i = 0; i < 60; i++)
        json_array(&json, NULL);
    for (int i = 0; i < 59; i++) {
        json_close(&json, ']');
        json_put_null(&json, NULL);
    }
    json_close(&json, ']');
    cJSON *tree = json_parse(out.bytes, out.length, "x", NULL);
    assert_non_null(tree);
    assert_int_equal(cJSON_GetArraySize(tree), 2);
    cJSON_Delete(tree);
    buffer_done(&out);
}

static void depth_is_counted_outside_of_texts(void **state)
{
    (void)state;
    char text[400] = "[\"";
    memset(text + 2, '[', 300);
    memcpy(text + 302, "\\\"[\"]", 6);
    cJSON *tree = json_parse(text, strlen(text), "x", NULL);
    assert_non_null(tree);
    cJSON_Delete(tree);
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    assert_null(json_parse(text, 130, "x", NULL));
    tree = json_parse(text + 1, 128, "x", NULL);
    assert_non_null(tree);
    cJSON_Delete(tree);
    static const char open[] = {'[', '1'}; /* no 0 behind: nothing beyond n may be read */
    char *exact = malloc(sizeof open);
    memcpy(exact, open, sizeof open);
    assert_null(json_parse(exact, sizeof open, "x", NULL));
    free(exact);
}

static void a_member_as_it_stands_there(void **state)
{
    (void)state;
    static const struct {
        const char *text, *key, *value; /* NULL: not found */
    } cases[] = {
        {"{\"a\":1}", "a", "1"}, {" { \"a\" : [1, {\"b\": 2}] , \"b\":\"x\"}", "b", "\"x\""}, {"{\"a\":{\"b\":1},\"b\":2}", "b", "2"}, {"{\"a\":\"\\\"b\\\":1\",\"b\":true}", "b", "true"},
        {"{\"a\":\"\\\\\",\"b\":null}", "b", "null"}, {"{\"a\":\"]}\",\"b\":{}}", "b", "{}"}, {"{\"aa\":1,\"a\":-2.5e3}", "a", "-2.5e3"}, {"{\"a\":1", "a", "1"},
        {"{}", "a", NULL}, {"", "a", NULL}, {"[1]", "a", NULL}, {"{\"a\"", "a", NULL}, {"{\"a\":", "a", NULL}, {"{\"a\":\"x", "a", NULL}, {"{\"a\":[1}", "a", "[1}"}, {"{\"b\":]},\"a\":1", "a", NULL},
        {"{\"b\" 1,\"a\":1}", "a", NULL}, {"{b:1,\"a\":1}", "a", NULL}, {"{\"b\":\"\\\"", "b", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = strlen(cases[i].text), length = 0;
        char *exact = malloc(n ? n : 1); /* no 0 behind */
        memcpy(exact, cases[i].text, n);
        const char *value = json_raw(exact, n, cases[i].key, &length);
        bool right = cases[i].value ? value && length == strlen(cases[i].value) && memcmp(value, cases[i].value, length) == 0 : !value;
        if (!right)
            fail_msg("%s: %.*s", cases[i].text, value ? (int)length : 4, value ? value : "NULL");
        free(exact);
    }
}

static void members_are_walked_as_they_stand_there(void **state)
{
    (void)state;
    static const struct {
        const char *text, *keys; /* keys: of what came before the end */
        bool whole;
    } cases[] = {
        {"{}", "", true}, {" { } \n", "", true}, {"{\"a\":1,\"b\" : [{\"c\": 2}] , \"d\":\"}\"}", "abd", true}, {"{\"a\":1} x", "a", false}, {"{\"a\":1}{", "a", false},
        {"{\"a\":1", "a", false}, {"{\"a\":1,", "a", false}, {"{\"a\":1,}", "a", false}, {"{\"a\":}", "", false}, {"{\"a\":,\"b\":1}", "", false}, {"{,\"a\":1}", "", false},
        {"{\"a\":1 \"b\":2}", "a", false}, {"{a:1}", "", false}, {"[1]", "", false}, {"", "", false}, {"7", "", false}, {"{\"a\":\"x", "", false}, {"{\"a\":{\"b\":1}", "a", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = strlen(cases[i].text), count = 0;
        char *exact = malloc(n ? n : 1), keys[8] = ""; /* no 0 behind */
        memcpy(exact, cases[i].text, n);
        JsonWalk walk = json_walk((JsonSpan){exact, n});
        while (json_walk_next(&walk))
            keys[count++] = *walk.key.bytes;
        if (strcmp(keys, cases[i].keys) != 0 || json_walk_whole(&walk) != cases[i].whole || json_walk_next(&walk))
            fail_msg("%s: %s, %d", cases[i].text, keys, json_walk_whole(&walk));
        free(exact);
    }
    char deep[200] = "{\"a\":";
    for (int depth = 64; depth < 66; depth++) {
        snprintf(deep + 5, sizeof deep - 5, "%.*s%.*s}", depth, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", depth,
                 "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
        JsonWalk walk = json_walk((JsonSpan){deep, strlen(deep)});
        assert_true(json_walk_next(&walk) == (depth == 64));
    }
    JsonWalk none = json_walk((JsonSpan){0});
    assert_false(json_walk_next(&none));
}

static JsonSpan span_of(const char *text)
{
    return (JsonSpan){text, strlen(text)};
}

static void values_as_a_parser_would_read_them(void **state)
{
    (void)state;
    static const char *const texts[] = {"\"\"", "\"a\\nb\\/\\\"\\\\\"", "\"\\u00e4\\ud83d\\ude00\"", "\"\\t\\b\\f\\r\"", "\"\\x\"", "\"\\u12\"", "7", "null", "\"", "[\"a\"]"};
    static const char *const numbers[] = {"0", "-1", "1795940018233", "9007199254740992", "9007199254740993", "-9007199254740993", "12345678901234567890", "1.5", "2.0", "1e3", "1e400", "0x10", "true",
                                          "\"1\"", "-", "1.2.3"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cJSON *json = json_parse(texts[i], strlen(texts[i]), NULL, NULL);
        const char *wish = cJSON_GetStringValue(json);
        char *text = json_span_text(span_of(texts[i]));
        if (!wish != !text || (wish && strcmp(wish, text) != 0))
            fail_msg("%s: %s, not %s", texts[i], text ? text : "NULL", wish ? wish : "NULL");
        free(text);
        cJSON_Delete(json);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char whole[64];
        snprintf(whole, sizeof whole, "{\"a\": %s}", numbers[i]);
        cJSON *json = json_parse(whole, strlen(whole), NULL, NULL);
        int64_t wish = json_integer(json, "a"), number = json_span_integer(span_of(numbers[i]));
        if (number != wish && strcmp(numbers[i], "9007199254740993") != 0 && strcmp(numbers[i], "-9007199254740993") != 0) /* a double has not got them */
            fail_msg("%s: %lld, not %lld", numbers[i], (long long)number, (long long)wish);
        cJSON_Delete(json);
    }
    assert_int_equal(json_span_integer(span_of("9007199254740993")), NUMBER_UNKNOWN);
    assert_int_equal(json_span_truth(span_of("true")), 1);
    assert_int_equal(json_span_truth(span_of("false")), 0);
    assert_int_equal(json_span_truth(span_of("\"true\"")), -1);
    assert_int_equal(json_span_truth((JsonSpan){0}), -1);
    assert_int_equal(json_span_integer((JsonSpan){0}), NUMBER_UNKNOWN);
    assert_null(json_span_text((JsonSpan){0}));
}

/* However it is cut into pieces: the same members, none before its last byte, and nothing behind the object. */
static void members_as_they_come(void **state)
{
    (void)state;
    static const char text[] = " \n{\"a\": 12345, \"b\\\"\": \"x\\\\\", \"c\":{\"d\": [1, \"}\"]} ,\"e\" : true}\n ";
    static const char wish[] = "a=12345;b\\\"=\"x\\\\\";c={\"d\": [1, \"}\"]};e=true;";
    for (size_t piece = 1; piece <= sizeof text; piece++) {
        JsonFeed feed;
        Buffer got;
        buffer_init(&got, BUFFER_ANY);
        json_feed_init(&feed, 100);
        for (size_t at = 0; at < sizeof text + piece - 1; at += piece) {
            size_t left = at < sizeof text - 1 ? sizeof text - 1 - at : 0;
            json_feed(&feed, left ? text + at : "", left < piece ? left : piece);
            while (json_feed_next(&feed)) {
                buffer_add(&got, feed.walk.key.bytes, feed.walk.key.n);
                buffer_char(&got, '=');
                buffer_add(&got, feed.walk.value.bytes, feed.walk.value.n);
                buffer_char(&got, ';');
            }
        }
        assert_string_equal(got.bytes, wish);
        assert_true(json_feed_whole(&feed));
        json_feed(&feed, " x", 2);
        assert_false(json_feed_next(&feed));
        assert_false(json_feed_whole(&feed));
        json_feed_done(&feed);
        json_feed_init(&feed, 10);
        json_feed(&feed, "{\"a\": ", 7);
        json_feed(&feed, "\"too much\"", 10);
        json_feed(&feed, "1}", 2);
        assert_false(json_feed_whole(&feed));
        json_feed_done(&feed);
        buffer_done(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_is_cut_into_items), cmocka_unit_test(a_stream_is_bounded),
        cmocka_unit_test(documents_are_checked_before_they_are_parsed), cmocka_unit_test(writing_escapes_and_knows_null),
        cmocka_unit_test(times_and_durations), cmocka_unit_test(a_map_keeps_what_it_was_given),
        cmocka_unit_test(a_broken_stream_is_no_answer), cmocka_unit_test(who_takes_the_items_can_stop_them),
        cmocka_unit_test(numbers_read_back_the_same), cmocka_unit_test(levels_remember_their_commas),
        cmocka_unit_test(depth_is_counted_outside_of_texts), cmocka_unit_test(a_member_as_it_stands_there),
        cmocka_unit_test(members_are_walked_as_they_stand_there), cmocka_unit_test(values_as_a_parser_would_read_them), cmocka_unit_test(members_as_they_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
