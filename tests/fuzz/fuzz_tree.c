/* The reader of config and specification files: what it accepts is bounded, and copying and merging keep it as it is. */
#include "base/tree.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Counts the nodes, and looks at each. */
static size_t check(const Tree *tree, bool in_map, int depth)
{
    size_t sum = 1;
    char where[256];
    assert(depth <= TREE_MAX_DEPTH);
    assert(!tree->key == !in_map);
    assert(strlen(tree_where(tree, where)) < sizeof where && strlen(tree_where_key(tree, where)) < sizeof where);
    bool holds = tree->kind == TREE_LIST || tree->kind == TREE_MAP;
    assert(holds ? !tree_text(tree) : tree->count == 0);
    for (size_t i = 0; i < tree->count; i++)
        sum += check(tree->items[i], tree->kind == TREE_MAP, depth + 1);
    if (tree->kind == TREE_MAP && tree->count < 100)
        for (size_t i = 0; i < tree->count; i++)
            assert(tree_get(tree, tree->items[i]->key) == tree->items[i]);
    return sum;
}

static char *printed(const Tree *tree)
{
    cJSON *json = tree_json(tree);
    char *text = cJSON_PrintUnformatted(json);
    assert(json && text);
    cJSON_Delete(json);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Error error = {0};
    Tree *tree = tree_parse("f.yaml", (const char *)data, size, &error);
    if (!tree) {
        assert(error.code == ERROR_USAGE && *error.what && strncmp(error.where, "f.yaml", 6) == 0);
        return 0;
    }
    assert(error.code == ERROR_OK);
    assert(check(tree, false, 0) <= TREE_MAX_NODES);
    char *before = printed(tree);
    Tree *copy = tree_copy(tree);
    char *copied = printed(copy);
    assert(strcmp(before, copied) == 0);
    bool is_map = tree->kind == TREE_MAP;
    tree_merge(copy, tree); /* with itself: nothing changes; its nodes go on naming the file of the one that is gone */
    check(copy, false, 0);
    char *merged = printed(copy);
    assert(!is_map || strcmp(before, merged) == 0);
    tree_free(copy);
    cJSON_free(before);
    cJSON_free(copied);
    cJSON_free(merged);
    return 0;
}
