#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* bytes: a literal, with all of its bytes but the last. */
#define cleans_to(bytes, max, wanted) check_clean(bytes, sizeof(bytes) - 1, max, wanted)

static void check_clean(const char *bytes, size_t n, size_t max, const char *wanted)
{
    char *clean = text_clean_new(bytes, n, max);
    assert_string_equal(clean, wanted);
    assert_true(text_is_clean(clean, strlen(clean)));
    free(clean);
}

static void hostile_text_becomes_visible(void **state)
{
    (void)state;
    cleans_to("a\033]0;title\007b", 100, "a<1B>]0;title<07>b");
    cleans_to("\xe2\x80\xaegpj.exe", 100, "<U+202E>gpj.exe");
    cleans_to("a\xe2\x80\x8b" "b\xef\xbb\xbf", 100, "a<U+200B>b<U+FEFF>");
    cleans_to("\xc2\x9b" "2J", 100, "<9B>2J");
    cleans_to("tab\tcr\rlf\n", 100, "tab cr<0D>lf<0A>");
    cleans_to("\xff\xc0\xaf\xed\xa0\x80", 100, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    cleans_to("\xee\x80\x80\xf3\xa0\x81\x81", 100, "<U+E000><U+E0041>");
    cleans_to("a\0b", 100, "a<00>b");
}

static void clean_text_stays(void **state)
{
    (void)state;
    cleans_to("Zürich 中文 e\xcc\x81 ●", 100, "Zürich 中文 e\xcc\x81 ●");
    assert_false(text_is_clean("a\033", 2));
    assert_true(text_is_clean("", 0));
}

static void cuts_at_a_character(void **state)
{
    (void)state;
    cleans_to("hello world", 11, "hello world");
    cleans_to("hello world", 8, "hello…");
    cleans_to("ééééé", 9, "ééé…");
    /* plain bytes that begin behind the place of the ellipsis: the cut is before them, not inside of what stands there */
    cleans_to("aaé1234567", 5, "aa…");
    cleans_to("\xe4\xb8\xad" "bcdefgh", 4, "…");
    static const char mixed[] = "a\xe2\x80\xaeé中b\033c";
    for (size_t max = 0; max < 20; max++) {
        char *clean = text_clean_new(mixed, strlen(mixed), max);
        assert_true(strlen(clean) <= max);
        assert_true(text_is_clean(clean, strlen(clean)));
        free(clean);
    }
}

static void widths_are_cells(void **state)
{
    (void)state;
    assert_int_equal(text_width("abc"), 3);
    assert_int_equal(text_width("中文"), 4);
    assert_int_equal(text_width("e\xcc\x81"), 1);
    assert_int_equal(text_width("twelve cells中 and twelve"), 25);
    assert_int_equal(text_width("not printed\x01"), 11);
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    text_pad(&out, "中文字", 5, false, false);
    assert_string_equal(out.bytes, "中文…");
    buffer_clear(&out);
    text_pad(&out, "中文字", 4, false, true);
    assert_string_equal(out.bytes, "中~ ");
    buffer_clear(&out);
    text_pad(&out, "ab", 5, true, false);
    assert_string_equal(out.bytes, "   ab");
    buffer_done(&out);
}

static void finds_and_globs(void **state)
{
    (void)state;
    assert_true(text_contains("Train-ÄÖ", "äö"));
    assert_false(text_contains("train", "trains"));
    assert_true(text_glob("prefect-*", "prefect-42"));
    assert_true(text_glob("*a*b?", "xxaxxbb"));
    assert_false(text_glob("a?", "a"));
    assert_true(text_glob("*", ""));
}

/* Eight bytes are looked at together: a bad one is found wherever it stands. */
static void every_byte_is_looked_at(void **state)
{
    (void)state;
    for (unsigned bad = 1; bad < 256; bad++)
        for (size_t at = 0; at < 20; at++) {
            char text[] = "plain text of twenty";
            text[at] = (char)bad;
            bool plain = bad >= 0x20 && bad < 0x7f;
            assert_int_equal(text_is_clean(text, 20), plain);
            char *clean = text_clean_new(text, 20, 60);
            assert_memory_equal(clean, text, at);
            assert_string_equal(clean + strlen(clean) - (19 - at), text + at + 1);
            assert_int_equal(strcmp(clean, text) == 0, plain);
            free(clean);
        }
}

static void quotes_for_ids_and_shells(void **state)
{
    (void)state;
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    text_percent(&out, "a b/ü", true);
    assert_string_equal(out.bytes, "a%20b/%C3%BC");
    buffer_clear(&out);
    text_percent(&out, "a/b", false);
    assert_string_equal(out.bytes, "a%2Fb");
    buffer_clear(&out);
    text_percent(&out, "%/:x\x7f", true);
    assert_string_equal(out.bytes, "%25/:x%7F");
    buffer_clear(&out);
    text_shell_quote(&out, "it's $HOME");
    assert_string_equal(out.bytes, "'it'\\''s $HOME'");
    buffer_done(&out);
    char *escaped = text_escaped("pаypal"); /* a Cyrillic а */
    assert_string_equal(escaped, "p\\u{430}ypal");
    free(escaped);
}

/* Every code point there is: what passes is drawn in at least no cell and no more than two, the rest is visible. */
static void every_code_point_is_clean_afterwards(void **state)
{
    (void)state;
    Buffer out;
    char bytes[4];
    buffer_init(&out, BUFFER_ANY);
    for (uint32_t code = 0; code < 0x110000; code++) {
        if (code >= 0xd800 && code < 0xe000)
            continue;
        size_t n = text_encode(code, bytes);
        uint32_t back;
        if (text_next(bytes, n, &back) != n || back != code)
            fail_msg("U+%04X", (unsigned)code);
        buffer_clear(&out);
        text_clean(&out, bytes, n, 100);
        bool stays = out.length == n && memcmp(out.bytes, bytes, n) == 0;
        if (stays ? text_code_width(code) < 0 : !text_is_ascii(out.bytes))
            fail_msg("U+%04X", (unsigned)code);
        if (stays != text_is_clean(bytes, n))
            fail_msg("U+%04X", (unsigned)code);
    }
    buffer_done(&out);
    assert_int_equal(text_code_width(0x4e2d), 2);
    assert_int_equal(text_code_width(0x2026), 1);
    assert_int_equal(text_code_width(0x301), 0);
    assert_int_equal(text_code_width(0x1b), -1);
}

static void bad_utf8_costs_one_mark_a_byte(void **state)
{
    (void)state;
    cleans_to("\xf5\x80\x80\x80", 100, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* beyond U+10FFFF */
    cleans_to("\xf0\x80\x80\x9b", 100, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* overlong ESC */
    cleans_to("a\xe4\xb8", 100, "a\xef\xbf\xbd\xef\xbf\xbd");                                 /* cut short */
    cleans_to("\xe4" "a", 100, "\xef\xbf\xbd" "a");                                              /* what follows is kept */
    assert_null(text_clean_new(NULL, 0, 10));
}

static void a_full_buffer_stays_text(void **state)
{
    (void)state;
    Buffer out;
    for (size_t maximum = 0; maximum < 12; maximum++) {
        buffer_init(&out, maximum);
        text_clean(&out, "ab\033cd\xe2\x80\xae", 8, 100);
        assert_true(out.full && out.length <= maximum && out.bytes[out.length] == 0);
        buffer_done(&out);
    }
    buffer_init(&out, BUFFER_ANY); /* what stands in front is not counted and not touched */
    buffer_text(&out, "name: ");
    text_clean(&out, "hello world", 11, 6);
    assert_string_equal(out.bytes, "name: hel…");
    buffer_done(&out);
}

static void cuts_leave_wide_and_combined_characters_whole(void **state)
{
    (void)state;
    int used = -1;
    assert_int_equal(text_fit("e\xcc\x81x", 1, &used), 3);
    assert_int_equal(used, 1);
    assert_int_equal(text_fit("a中", 2, &used), 1);
    assert_int_equal(used, 1);
    assert_int_equal(text_fit("abc", 0, &used), 0);
    assert_int_equal(text_fit("abc", -1, NULL), 0);
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    static const char *const texts[] = {"", "a", "中", "a中b", "中中中", "e\xcc\x81" "e\xcc\x81" "e\xcc\x81", "abcdef"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int cells = -1; cells < 9; cells++) {
            buffer_clear(&out);
            text_pad(&out, texts[i], cells, cells & 1, cells & 2);
            assert_int_equal(text_width(out.bytes), cells < 0 ? 0 : cells);
        }
    buffer_done(&out);
}

static void search_is_not_fooled_by_length(void **state)
{
    (void)state;
    assert_true(text_contains("", ""));
    assert_false(text_contains("", "a"));
    assert_true(text_contains("xxab", "AB"));
    assert_true(text_contains("aab", "ab"));
    assert_true(text_contains("K\xc3\x84SE", "\xc3\xa4se"));
    assert_false(text_contains("\xc3\x84", "\xc3")); /* half a character is none */
    assert_true(text_glob("**", "x") && text_glob("?", "中") && !text_glob("??", "中") && !text_glob("", "x") && text_glob("", ""));
    char text[300], pattern[] = "*a*a*a*a*a*a*a*a*a*a*b";
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_false(text_glob(pattern, text)); /* not in exponential time */
}

static void sizes_are_for_people(void **state)
{
    (void)state;
    char out[24];
    assert_string_equal(text_bytes(0, out), "0 B");
    assert_string_equal(text_bytes(999, out), "999 B");
    assert_string_equal(text_bytes(912384000, out), "912 MB");
    assert_string_equal(text_bytes(((int64_t)6 << 30) / 5, out), "1.2 GiB");
    assert_string_equal(text_bytes((int64_t)16 << 30, out), "16 GiB");
    assert_true(strlen(text_bytes(INT64_MAX, out)) < 24 && strlen(text_bytes(INT64_MIN, out)) < 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_text_becomes_visible), cmocka_unit_test(clean_text_stays), cmocka_unit_test(cuts_at_a_character),
        cmocka_unit_test(widths_are_cells), cmocka_unit_test(finds_and_globs), cmocka_unit_test(every_byte_is_looked_at), cmocka_unit_test(quotes_for_ids_and_shells),
        cmocka_unit_test(every_code_point_is_clean_afterwards), cmocka_unit_test(bad_utf8_costs_one_mark_a_byte),
        cmocka_unit_test(a_full_buffer_stays_text), cmocka_unit_test(cuts_leave_wide_and_combined_characters_whole),
        cmocka_unit_test(search_is_not_fooled_by_length), cmocka_unit_test(sizes_are_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
