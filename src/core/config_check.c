#include "core/config_check.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void config_problem(List *problems, const Tree *tree, const char *hint, const char *format, ...)
{
    char where[256], line[ERROR_LINE];
    Error error;
    va_list args;
    va_start(args, format);
    char *what = mem_vformat(format, args);
    va_end(args);
    error_set(&error, ERROR_USAGE, tree_where(tree, where), hint, "%s", what);
    list_add(problems, error_line(&error, line, sizeof line));
    free(what);
}

/* '-' and '_' are the same in Dask's keys. */
static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_')))
            return false;
    return *a == *b;
}

const ConfigKey *config_key(const ConfigKey *keys, const char *name)
{
    for (; keys && keys->name; keys++)
        if (same_name(keys->name, name))
            return keys;
    return NULL;
}

/* Edits between two short words; more than 2 is as good as infinite. */
static int distance(const char *a, const char *b)
{
    int row[40];
    size_t n = strlen(a), m = strlen(b);
    if (n >= 40 || m >= 40)
        return 99;
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int least = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            least = row[j] + 1 < least ? row[j] + 1 : least;
            row[j] = row[j - 1] + 1 < least ? row[j - 1] + 1 : least;
        }
    }
    return row[m];
}

const char *config_nearest(const ConfigKey *keys, const ConfigKey *common, const char *name)
{
    const ConfigKey *tables[] = {keys, common};
    const char *best = NULL;
    int least = 3;
    for (int t = 0; t < 2; t++)
        for (const ConfigKey *key = tables[t]; key && key->name; key++) {
            int edits = distance(key->name, name);
            if (edits < least) {
                least = edits;
                best = key->name;
            }
        }
    return best;
}

static bool is_word(const char *words, const char *text)
{
    size_t n = strlen(text);
    for (const char *word = words; *word; word += strcspn(word, "|"), word += *word == '|')
        if (strcspn(word, "|") == n && strncmp(word, text, n) == 0)
            return true;
    return false;
}

/* {env: N}, {file: P}, {command: […]} or plain text. */
static bool is_secret(const Tree *value)
{
    if (value->kind != TREE_MAP)
        return value->kind != TREE_LIST && value->kind != TREE_NULL;
    if (value->count != 1)
        return false;
    const Tree *item = value->items[0];
    bool text = strcmp(item->key, "env") == 0 || strcmp(item->key, "file") == 0;
    return text ? item->kind == TREE_TEXT : strcmp(item->key, "command") == 0 && item->kind == TREE_LIST && item->count > 0;
}

static bool is_texts(const Tree *value)
{
    if (value->kind == TREE_TEXT)
        return true;
    for (size_t i = 0; value->kind == TREE_LIST && i < value->count; i++)
        if (!tree_text(value->items[i]) || value->items[i]->kind == TREE_NULL)
            return false;
    return value->kind == TREE_LIST;
}

static bool is_maps(const Tree *value)
{
    for (size_t i = 0; value->kind == TREE_LIST && i < value->count; i++)
        if (value->items[i]->kind != TREE_MAP)
            return false;
    return value->kind == TREE_LIST;
}

/* Longer than any wait that makes sense, and short enough to be added and multiplied. */
#define DURATION_MOST_MS (INT64_C(100) * 366 * 86400000)

/* NULL: right; else what it should be. */
static const char *should_be(const ConfigKey *key, const Tree *value)
{
    int64_t ms;
    switch (key->kind) {
    case KEY_TEXT:
        return tree_text(value) && value->kind != TREE_NULL ? NULL : "a text";
    case KEY_BOOL:
        return value->kind == TREE_BOOL ? NULL : "true or false";
    case KEY_INTEGER:
        return value->kind == TREE_NUMBER && value->number == floor(value->number) && value->number >= 0 && value->number < 1e15 ? NULL : "a whole number";
    case KEY_DURATION:
        return tree_text(value) && duration_parse(value->text, &ms) && ms <= DURATION_MOST_MS ? NULL : "a duration (90s, 15m, 2h, 3d)";
    case KEY_TEXTS:
        return is_texts(value) ? NULL : "a list of texts";
    case KEY_SECRET:
        return is_secret(value) ? NULL : "a text, {env: NAME}, {file: PATH} or {command: [...]}";
    case KEY_MAP:
        return value->kind == TREE_MAP ? NULL : "a map";
    case KEY_MAPS:
        return is_maps(value) ? NULL : "a list of maps";
    case KEY_WORD:
        return tree_text(value) && is_word(key->words, value->text) ? NULL : key->words;
    default:
        return NULL;
    }
}

static void remove_item(Tree *map, size_t index)
{
    tree_free(map->items[index]);
    for (size_t i = index + 1; i < map->count; i++)
        map->items[i - 1] = map->items[i];
    map->count--;
}

/* A key's own check of its text, or of each of its texts. */
static bool check_texts(const Tree *item, const ConfigKey *key, List *problems)
{
    size_t count = item->kind == TREE_LIST ? item->count : 1;
    for (size_t i = 0; key->check && i < count; i++) {
        const Tree *text = item->kind == TREE_LIST ? item->items[i] : item;
        const char *right = tree_text(text) ? key->check(text->text) : NULL;
        if (right) {
            config_problem(problems, text, NULL, "%s: %s is not %s", key->name, text->text, right);
            return false;
        }
    }
    return true;
}

/* True where it may stay. */
static bool check_item(Tree *item, const ConfigKey *keys, const ConfigKey *common, const char *what, List *problems)
{
    const ConfigKey *key = config_key(keys, item->key);
    key = key ? key : config_key(common, item->key);
    if (!key) {
        const char *nearest = config_nearest(keys, common, item->key);
        char *hint = nearest ? mem_format("did you mean %s?", nearest) : NULL;
        Tree at_key = *item;
        if (item->key_line) {
            at_key.line = item->key_line;
            at_key.column = item->key_column;
        }
        config_problem(problems, &at_key, hint, "%s has no key %s", what, item->key);
        free(hint);
        return false;
    }
    if (item->kind == TREE_NULL && !key->required)
        return false; /* set to nothing: the default */
    const char *right = should_be(key, item);
    if (right) {
        /* a secret's value is never repeated */
        const char *value = key->kind == KEY_SECRET ? NULL : tree_text(item);
        config_problem(problems, item, NULL, "%s%s%s is not %s", key->name, value ? ": " : "", value ? value : "", right);
        return false;
    }
    if (key->kind == KEY_MAP && key->keys)
        config_check(item, key->keys, NULL, key->name, problems);
    for (size_t i = 0; key->kind == KEY_MAPS && key->keys && i < item->count; i++)
        config_check(item->items[i], key->keys, NULL, key->name, problems);
    return check_texts(item, key, problems);
}

void config_check(Tree *map, const ConfigKey *keys, const ConfigKey *common, const char *what, List *problems)
{
    for (const ConfigKey *key = keys; key && key->name; key++) /* first: a wrong value is told as such, and is not missing */
        if (key->required && !tree_get(map, key->name))
            config_problem(problems, map, NULL, "%s needs %s", what, key->name);
    for (size_t i = 0; i < map->count;) {
        if (check_item(map->items[i], keys, common, what, problems))
            i++;
        else
            remove_item(map, i);
    }
}
