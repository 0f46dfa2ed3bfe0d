/* The canvas: widths, clipping, what stands for glyphs in ASCII; keys by their names; the line editor. */
#include "base/mem.h"
#include "base/text.h"
#include "ui/canvas.h"
#include "ui/edit.h"
#include "ui/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect_line(const Canvas *canvas, int row, const char *expected)
{
    char *line = canvas_line(canvas, row);
    assert_string_equal(line, expected);
    free(line);
}

static void cuts_with_an_ellipsis(void **state)
{
    Canvas *canvas = canvas_new(2, 10);
    (void)state;
    assert_int_equal(canvas_text(canvas, 0, 0, 6, ROLE_TEXT, "abcdefgh"), 6);
    expect_line(canvas, 0, "abcde…");
    assert_int_equal(canvas_text(canvas, 1, 2, 20, ROLE_TEXT, "exactly8"), 8);
    expect_line(canvas, 1, "  exactly8");
    canvas_free(canvas);
}

static void wide_characters_are_never_halved(void **state)
{
    Canvas *canvas = canvas_new(4, 10);
    (void)state;
    assert_int_equal(canvas_text(canvas, 0, 0, 4, ROLE_TEXT, "分析中国"), 3); /* two cells, an ellipsis, one is left */
    expect_line(canvas, 0, "分…");
    canvas_text(canvas, 1, 9, 5, ROLE_TEXT, "分"); /* its right half would be outside */
    expect_line(canvas, 1, "");
    canvas_text(canvas, 2, 0, 10, ROLE_TEXT, "分析");
    canvas_text(canvas, 2, 1, 1, ROLE_TEXT, "x"); /* over a right half */
    expect_line(canvas, 2, " x析");
    canvas_text(canvas, 3, 0, 10, ROLE_TEXT, "分析");
    canvas_text(canvas, 3, 2, 1, ROLE_TEXT, "y"); /* over a left half */
    expect_line(canvas, 3, "分y");
    canvas_free(canvas);
}

static void marks_stay_with_their_letter(void **state)
{
    Canvas *canvas = canvas_new(1, 10);
    (void)state;
    assert_int_equal(canvas_text(canvas, 0, 0, 10, ROLE_TEXT, "e\xcc\x81\xcc\x82\xcc\x83x"), 2);
    assert_int_equal(canvas_at(canvas, 0, 0)->marks[1], 0x302);
    assert_int_equal(canvas_at(canvas, 0, 1)->code, 'x'); /* the third mark had no room and went */
    canvas_free(canvas);
}

static void hostile_text_is_only_glyphs(void **state)
{
    Canvas *canvas = canvas_new(1, 40);
    (void)state;
    canvas_text(canvas, 0, 0, 40, ROLE_TEXT, "a\x1b[2J\x07\r\n\xe2\x80\xae\xc2\x9b\xff");
    for (int col = 0; col < 40; col++) {
        uint32_t code = canvas_at(canvas, 0, col)->code;
        assert_true(code >= ' ' && code != 127 && code != 0x202E && !(code >= 0x80 && code < 0xA0));
    }
    canvas_free(canvas);
}

static void nothing_leaves_the_clip(void **state)
{
    Canvas *canvas = canvas_new(5, 10);
    (void)state;
    canvas_clip(canvas, (Area){1, 2, 2, 5});
    for (int row = -3; row < 9; row++)
        canvas_text(canvas, row, -4, 30, ROLE_TEXT, "xxxxxxxxxxxxxxxxxxxxxxxxxxx");
    canvas_box(canvas, (Area){-2, -2, 20, 40}, ROLE_BORDER, "title");
    canvas_fill(canvas, (Area){-5, -5, 50, 50}, ROLE_TEXT, '#');
    expect_line(canvas, 0, "");
    expect_line(canvas, 1, "  #####");
    expect_line(canvas, 2, "  #####");
    expect_line(canvas, 3, "");
    canvas_free(canvas);
}

static void ascii_means_ascii(void **state)
{
    Canvas *canvas = canvas_new(4, 12);
    (void)state;
    canvas->ascii = true;
    canvas_box(canvas, (Area){0, 0, 3, 12}, ROLE_BORDER, NULL);
    canvas_text(canvas, 3, 0, 12, ROLE_TEXT, "● é 分 … –");
    for (int i = 0; i < canvas->rows * canvas->cols; i++)
        assert_in_range(canvas->cells[i].code, ' ', 126);
    expect_line(canvas, 0, "+----------+");
    expect_line(canvas, 3, "* ? ?  ~ -");
    canvas_free(canvas);
}

static void keys_have_names(void **state)
{
    static const char *const names[] = {"F9", "Ctrl-r", "Space", "PgDn", "Delete", "Enter", "x", "?", "é", "Shift-Tab"};
    char word[24];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_string_equal(key_word(key_parse(names[i]), word), names[i]);
    assert_int_equal(key_parse("F99"), KEY_NOTHING);
    assert_int_equal(key_parse("Ctrl-1"), KEY_NOTHING);
    assert_int_equal(key_parse("xx"), KEY_NOTHING);
}

static void every_default_key_is_one(void **state)
{
    (void)state;
    for (const KeyInfo *info = key_table; info->action; info++)
        for (const char *at = info->keys; *at;) {
            char word[32];
            size_t n = strcspn(at, " ");
            snprintf(word, sizeof word, "%.*s", (int)n, at);
            assert_int_not_equal(key_parse(word), KEY_NOTHING);
            at += n + (at[n] == ' ');
        }
}

/* Lower-case looks: nothing that needs a writable system hangs on a small letter. */
static void small_letters_change_nothing(void **state)
{
    (void)state;
    Keys keys;
    keys_init(&keys, NULL, NULL);
    for (size_t i = 0; i < keys.count; i++)
        if (keys.bindings[i].info->needs & NEED_WRITABLE)
            assert_true((keys.bindings[i].key >= 'A' && keys.bindings[i].key <= 'Z') || keys.bindings[i].key == KEY_REMOVE);
    keys_done(&keys);
}

static void no_key_means_two_things_in_one_place(void **state)
{
    (void)state;
    Keys keys;
    keys_init(&keys, NULL, NULL);
    for (size_t i = 0; i < keys.count; i++)
        for (size_t k = i + 1; k < keys.count; k++)
            if (keys.bindings[i].key == keys.bindings[k].key)
                assert_int_equal(keys.bindings[i].info->where & keys.bindings[k].info->where, 0);
    keys_done(&keys);
}

static void config_gives_other_keys(void **state)
{
    Error error;
    Keys keys;
    List problems = {0};
    const char *text = "{refresh: F9, filter: [f, nonsense], nothing: x}";
    Tree *tree = tree_parse("c.yaml", text, strlen(text), &error);
    (void)state;
    assert_non_null(tree);
    keys_init(&keys, tree, &problems);
    assert_int_equal(keys_find(&keys, key_parse("F9"), IN_TABLE)->action, ACTION_REFRESH);
    assert_null(keys_find(&keys, key_parse("F5"), IN_TABLE));
    assert_int_equal(keys_find(&keys, 'f', IN_TABLE)->action, ACTION_FILTER);
    assert_int_equal(problems.count, 2);
    keys_done(&keys);
    list_done(&problems);
    tree_free(tree);
}

static void editor_moves_by_characters(void **state)
{
    Edit edit;
    (void)state;
    edit_set(&edit, "");
    edit_key(&edit, 0x5206);
    edit_key(&edit, 'e');
    edit_key(&edit, 0x301);
    edit_key(&edit, 'x');
    edit_key(&edit, KEY_ARROW_LEFT);
    edit_key(&edit, KEY_BACKSPACE_); /* the letter goes with its mark */
    assert_string_equal(edit.text, "分x");
    edit_key(&edit, KEY_BACKSPACE_);
    edit_key(&edit, KEY_BACKSPACE_);
    assert_string_equal(edit.text, "x");
    assert_int_equal(edit_key(&edit, KEY_FUNCTION + 3), EDIT_NOTHING);
    for (int i = 0; i < 3000; i++)
        edit_key(&edit, 0x5206);
    assert_true(edit.length <= EDIT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_with_an_ellipsis),     cmocka_unit_test(wide_characters_are_never_halved),
        cmocka_unit_test(marks_stay_with_their_letter), cmocka_unit_test(hostile_text_is_only_glyphs),
        cmocka_unit_test(nothing_leaves_the_clip),   cmocka_unit_test(ascii_means_ascii),
        cmocka_unit_test(keys_have_names),           cmocka_unit_test(every_default_key_is_one),
        cmocka_unit_test(small_letters_change_nothing), cmocka_unit_test(no_key_means_two_things_in_one_place),
        cmocka_unit_test(config_gives_other_keys),   cmocka_unit_test(editor_moves_by_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
