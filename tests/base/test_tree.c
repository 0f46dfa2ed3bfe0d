#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "base/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Tree *parse(const char *text)
{
    Error error = {0};
    Tree *tree = tree_parse("f.yaml", text, strlen(text), &error);
    if (!tree)
        print_message("%s: %s\n", error.where, error.what);
    assert_non_null(tree);
    return tree;
}

static void refuses(const char *text, const char *where)
{
    Error error = {0};
    assert_null(tree_parse("f.yaml", text, strlen(text), &error));
    assert_int_equal(error.code, ERROR_USAGE);
    assert_string_equal(error.where, where);
}

static void scalars_are_typed_as_the_core_schema_says(void **state)
{
    (void)state;
    Tree *tree = parse("a: 1\nb: 1.5\nc: true\nd: yes\ne: \"1\"\nf: ~\ng: 0x1f\nh: 1e3\ni: 5s\nj: -.inf\n");
    const TreeKind kinds[] = {TREE_NUMBER, TREE_NUMBER, TREE_BOOL, TREE_TEXT, TREE_TEXT, TREE_NULL, TREE_NUMBER, TREE_NUMBER, TREE_TEXT, TREE_NUMBER};
    assert_int_equal(tree->count, 10);
    for (size_t i = 0; i < tree->count; i++)
        assert_int_equal(tree->items[i]->kind, kinds[i]);
    assert_true(tree_get(tree, "g")->number == 31);
    tree_free(tree);
}

static void places_are_remembered(void **state)
{
    (void)state;
    char where[256];
    Tree *tree = parse("dasktop:\n  backends:\n    prod: {type: x}\n");
    assert_string_equal(tree_where(tree_path(tree, "dasktop.backends.prod.type"), where), "f.yaml:3:18");
    assert_string_equal(tree_where_key(tree_path(tree, "dasktop.backends.prod.type"), where), "f.yaml:3:12");
    tree_free(tree);
    char path[600];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = 0;
    Error error = {0};
    assert_null(tree_parse(path, "a: [", 4, &error));
    assert_true(strlen(error.where) < sizeof error.where);
    assert_memory_equal(error.where, "…x", 4);
    assert_non_null(strstr(error.where, "x:"));
}

static void dashes_and_underscores_are_the_same(void **state)
{
    (void)state;
    Tree *tree = parse("read_only: true\n");
    assert_non_null(tree_get(tree, "read-only"));
    tree_free(tree);
}

static void merging_is_key_by_key(void **state)
{
    (void)state;
    Tree *base = parse("a: {x: 1, y: [1, 2]}\nb: 1\n"), *over = parse("a: {y: [3], z: 4}\nb: {c: 1}\n");
    tree_merge(base, over);
    cJSON *json = tree_json(base);
    char *text = cJSON_PrintUnformatted(json);
    assert_string_equal(text, "{\"a\":{\"x\":1,\"y\":[3],\"z\":4},\"b\":{\"c\":1}}");
    char where[256];
    assert_string_equal(tree_where(tree_path(base, "a.z"), where), "f.yaml:1:16");
    cJSON_free(text);
    cJSON_Delete(json);
    tree_free(base);
}

static void what_is_wrong_is_refused_with_its_place(void **state)
{
    (void)state;
    refuses("a: 1\na: 2\n", "f.yaml:2:1");
    refuses("a: [1\nb: 2\n", "f.yaml:2:2");
    refuses("--- 1\n--- 2\n", "f.yaml:2:1");
    refuses("a: !!python/object x\n", "f.yaml:1:4");
    refuses("<<: {a: 1}\n", "f.yaml:1:1");
    refuses("a: *nothing\n", "f.yaml:1:4");
    refuses("[1]: 2\n", "f.yaml:1:1");
}

static void aliases_and_depth_are_bounded(void **state)
{
    (void)state;
    char bomb[2000] = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n", line[160];
    for (int i = 1; i < 9; i++) {
        snprintf(line, sizeof line, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1,
                 i - 1, i - 1);
        strncat(bomb, line, sizeof bomb - strlen(bomb) - 1);
    }
    Error error = {0};
    assert_null(tree_parse("f", bomb, strlen(bomb), &error));
    char deep[1001];
    memset(deep, '[', 1000);
    deep[1000] = 0;
    assert_null(tree_parse("f", deep, 1000, &error));
    assert_non_null(strstr(error.what, "deep"));
}

/* As many keys, anchors and aliases as the bounds allow are a matter of a moment: the test's own time limit tells. */
static void large_files_are_read_in_linear_time(void **state)
{
    (void)state;
    Buffer text;
    buffer_init(&text, BUFFER_ANY);
    for (int i = 0; i < 190000; i++)
        buffer_format(&text, "key_%d: 1\n", i);
    Tree *tree = parse(text.bytes);
    assert_int_equal(tree->count, 190000);
    tree_free(tree);
    buffer_clear(&text);
    for (int i = 0; i < 99000; i++)
        buffer_format(&text, "- &k%d 1\n", i);
    for (int i = 0; i < 99000; i++)
        buffer_text(&text, "- *k0\n");
    tree = parse(text.bytes);
    assert_int_equal(tree->count, 198000);
    tree_free(tree);
    buffer_done(&text);
}

static void keys_that_differ_in_a_dash_are_the_same(void **state)
{
    (void)state;
    refuses("a-b: 1\na_b: 2\n", "f.yaml:2:1");
    tree_free(parse("a-b: {a_b: {a-b: 1}}\nA-b: 1\n"));
}

/* Each alias is shallow, all of them together are not. */
static void aliases_do_not_get_around_the_depth(void **state)
{
    (void)state;
    Buffer text;
    buffer_init(&text, BUFFER_ANY);
    buffer_text(&text, "a0: &a0 1\n");
    for (int i = 1; i < 4; i++) {
        buffer_format(&text, "a%d: &a%d ", i, i);
        for (int k = 0; k < 40; k++)
            buffer_char(&text, '[');
        buffer_format(&text, "*a%d", i - 1);
        for (int k = 0; k < 40; k++)
            buffer_char(&text, ']');
        buffer_char(&text, '\n');
    }
    Error error = {0};
    assert_null(tree_parse("f.yaml", text.bytes, text.length, &error));
    assert_int_equal(error.code, ERROR_USAGE);
    assert_string_equal(error.where, "f.yaml:3:49");
    buffer_done(&text);
}

static void an_alias_belongs_to_its_new_place(void **state)
{
    (void)state;
    char where[256];
    Tree *tree = parse("a: &x {k: 1}\nb: [*x, 2]\nc: *x\na2: &x 3\nd: *x\n");
    const Tree *item = tree_get(tree, "b")->items[0];
    assert_null(item->key);
    assert_int_equal(item->key_line, 0);
    assert_string_equal(tree_text(tree_path(tree, "c.k")), "1");
    assert_string_equal(tree_where_key(tree_get(tree, "c"), where), "f.yaml:3:1");
    assert_string_equal(tree_text(tree_get(tree, "d")), "3"); /* the later anchor of the same name */
    tree_free(tree);
    refuses("a: &x [*x]\n", "f.yaml:1:8");
}

static void what_is_no_map_is_replaced_by_one(void **state)
{
    (void)state;
    Tree *base = parse("[1, {x: 2}]\n");
    tree_merge(base, parse("a: 1\n"));
    assert_string_equal(tree_text(tree_get(base, "a")), "1");
    assert_int_equal(base->count, 1);
    tree_merge(base, parse(""));
    assert_int_equal(base->count, 1);
    tree_free(base);
    base = parse("a: [1, 2]\nb: {c: 1}\n");
    tree_merge(base, parse("a: {x: 1}\nb: ~\n"));
    assert_string_equal(tree_text(tree_path(base, "a.x")), "1");
    assert_int_equal(tree_get(base, "b")->kind, TREE_NULL);
    tree_free(base);
}

static void hard_scalars(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        TreeKind kind;
    } cases[] = {{"0o17", TREE_NUMBER}, {"0o18", TREE_TEXT},  {"0x", TREE_TEXT},       {"0xfg", TREE_TEXT},  {".5", TREE_NUMBER},
                 {".", TREE_TEXT},      {"+", TREE_TEXT},     {"1e", TREE_TEXT},       {"1_000", TREE_TEXT}, {"2026-11-23", TREE_TEXT},
                 {".NaN", TREE_NUMBER}, {"+.inf", TREE_NUMBER}, {"nan", TREE_TEXT},    {"TRUE", TREE_BOOL},  {"tRUE", TREE_TEXT},
                 {"Null", TREE_NULL},   {"1.2.3", TREE_TEXT}, {"12:30", TREE_TEXT},    {"-0", TREE_NUMBER},  {"0123", TREE_NUMBER},
                 {"on", TREE_TEXT},     {"off", TREE_TEXT},   {"infinity", TREE_TEXT}, {"0x1p3", TREE_TEXT}, {"!!str 12", TREE_TEXT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        snprintf(text, sizeof text, "a: %s\n", cases[i].text);
        Tree *tree = parse(text);
        if (tree->items[0]->kind != cases[i].kind)
            print_message("%s\n", cases[i].text);
        assert_int_equal(tree->items[0]->kind, cases[i].kind);
        tree_free(tree);
    }
    refuses("a: \"x\\0y\"\n", "f.yaml:1:4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_typed_as_the_core_schema_says), cmocka_unit_test(places_are_remembered),
        cmocka_unit_test(dashes_and_underscores_are_the_same), cmocka_unit_test(merging_is_key_by_key),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_place), cmocka_unit_test(aliases_and_depth_are_bounded),
        cmocka_unit_test(large_files_are_read_in_linear_time), cmocka_unit_test(keys_that_differ_in_a_dash_are_the_same),
        cmocka_unit_test(aliases_do_not_get_around_the_depth), cmocka_unit_test(an_alias_belongs_to_its_new_place),
        cmocka_unit_test(what_is_no_map_is_replaced_by_one), cmocka_unit_test(hard_scalars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
