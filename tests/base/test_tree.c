#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_typed_as_the_core_schema_says), cmocka_unit_test(places_are_remembered),
        cmocka_unit_test(dashes_and_underscores_are_the_same), cmocka_unit_test(merging_is_key_by_key),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_place), cmocka_unit_test(aliases_and_depth_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
