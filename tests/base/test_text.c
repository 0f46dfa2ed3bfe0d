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
    text_shell_quote(&out, "it's $HOME");
    assert_string_equal(out.bytes, "'it'\\''s $HOME'");
    buffer_done(&out);
    char *escaped = text_escaped("pаypal"); /* a Cyrillic а */
    assert_string_equal(escaped, "p\\u{430}ypal");
    free(escaped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_text_becomes_visible), cmocka_unit_test(clean_text_stays), cmocka_unit_test(cuts_at_a_character),
        cmocka_unit_test(widths_are_cells), cmocka_unit_test(finds_and_globs), cmocka_unit_test(quotes_for_ids_and_shells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
