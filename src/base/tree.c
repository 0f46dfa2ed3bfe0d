#include "base/tree.h"

#include "base/buffer.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* ---------------------------------------------------------------------------------------------------------------- nodes */

/* Roots that were merged into another: their file names are still borrowed. */
typedef struct Kept {
    char *file;
    struct Kept *next;
} Kept;

static void free_below(Tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        tree_free(tree->items[i]);
    free(tree->items);
    tree->items = NULL;
    tree->count = tree->capacity = 0;
}

void tree_free(Tree *tree)
{
    if (!tree)
        return;
    free_below(tree);
    for (Kept *kept = tree->kept, *next; kept; kept = next) {
        next = kept->next;
        free(kept->file);
        free(kept);
    }
    free(tree->key);
    free(tree->text);
    free(tree->file);
    free(tree);
}

static void add_item(Tree *tree, Tree *item)
{
    tree->items = mem_grow(tree->items, tree->count, &tree->capacity, sizeof *tree->items);
    tree->items[tree->count++] = item;
}

static bool one_of(const char *text, const char *words)
{
    size_t n = strlen(text);
    for (const char *word = words; *word; word += strcspn(word, "|"), word += *word == '|')
        if (strcspn(word, "|") == n && strncmp(word, text, n) == 0)
            return true;
    return false;
}

/* The numbers of YAML's core schema. */
static bool parse_number(const char *text, double *number)
{
    const char *digits = text + (*text == '+' || *text == '-');
    char *end;
    if (one_of(digits, ".inf|.Inf|.INF")) {
        *number = *text == '-' ? -INFINITY : INFINITY;
        return true;
    }
    if (one_of(text, ".nan|.NaN|.NAN")) {
        *number = NAN;
        return true;
    }
    if (strncmp(text, "0o", 2) == 0 || strncmp(text, "0x", 2) == 0) {
        if (!isxdigit((unsigned char)text[2]))
            return false;
        *number = (double)strtoull(text + 2, &end, text[1] == 'o' ? 8 : 16);
        return *end == 0;
    }
    if (!isdigit((unsigned char)*digits) && !(*digits == '.' && isdigit((unsigned char)digits[1])))
        return false;
    if (digits[strspn(digits, "0123456789.eE+-")])
        return false;
    *number = strtod(text, &end);
    return *end == 0;
}

static void type_scalar(Tree *tree)
{
    if (one_of(tree->text, "|null|Null|NULL|~") || !*tree->text)
        tree->kind = TREE_NULL;
    else if (one_of(tree->text, "true|True|TRUE|false|False|FALSE")) {
        tree->kind = TREE_BOOL;
        tree->truth = tolower((unsigned char)*tree->text) == 't';
    } else if (parse_number(tree->text, &tree->number))
        tree->kind = TREE_NUMBER;
    else
        tree->kind = TREE_TEXT;
}

Tree *tree_new(TreeKind kind, const char *text)
{
    Tree *tree = mem_new(sizeof *tree);
    tree->kind = kind;
    tree->text = mem_text(text);
    if (kind == TREE_NULL && text)
        type_scalar(tree);
    return tree;
}

/* -------------------------------------------------------------------------------------------------------------- parsing */

typedef struct Loader {
    yaml_parser_t parser;
    const char *name;  /* of the file; owned by the root later */
    size_t nodes;
    Map anchors; /* to the node, which the tree owns */
    Error *error;
} Loader;

static Tree *load_node(Loader *loader, yaml_event_t *event, int depth);

static const char *put_where(const char *file, int line, int column, char out[256])
{
    char place[32] = "";
    if (line)
        snprintf(place, sizeof place, ":%d:%d", line, column);
    size_t n = strlen(file), room = 255 - strlen(place) - 3;
    if (n > room) {
        file += n - room;
        while ((*file & 0xc0) == 0x80)
            file++;
    }
    snprintf(out, 256, "%s%s%s", n > room ? "…" : "", file, place);
    return out;
}

static bool refuse(Loader *loader, yaml_mark_t mark, const char *what, const char *hint)
{
    char where[256];
    return error_set(loader->error, ERROR_USAGE, put_where(loader->name, (int)mark.line + 1, (int)mark.column + 1, where), hint, "%s", what);
}

static bool next_event(Loader *loader, yaml_event_t *event)
{
    if (yaml_parser_parse(&loader->parser, event))
        return true;
    yaml_mark_t mark = loader->parser.problem_mark;
    char what[160];
    snprintf(what, sizeof what, "not YAML: %s", loader->parser.problem ? loader->parser.problem : "it cannot be read");
    return refuse(loader, mark, what, NULL);
}

static Tree *new_node(Loader *loader, const yaml_event_t *event, TreeKind kind, const char *text)
{
    if (++loader->nodes > TREE_MAX_NODES) {
        refuse(loader, event->start_mark, "the file is too large", NULL);
        return NULL;
    }
    Tree *tree = mem_new(sizeof *tree);
    tree->kind = kind;
    tree->text = mem_text(text);
    tree->where_file = loader->name;
    tree->line = (int)event->start_mark.line + 1;
    tree->column = (int)event->start_mark.column + 1;
    return tree;
}

static void remember(Loader *loader, const yaml_char_t *anchor, Tree *tree)
{
    if (anchor && tree)
        map_put(&loader->anchors, (const char *)anchor, tree);
}

static size_t count_nodes(const Tree *tree)
{
    size_t sum = 1;
    for (size_t i = 0; i < tree->count; i++)
        sum += count_nodes(tree->items[i]);
    return sum;
}

static int levels(const Tree *tree)
{
    int most = 0;
    for (size_t i = 0; i < tree->count; i++) {
        int below = levels(tree->items[i]);
        most = below > most ? below : most;
    }
    return most + (tree->kind == TREE_LIST || tree->kind == TREE_MAP);
}

static Tree *load_alias(Loader *loader, const yaml_event_t *event, int depth)
{
    const Tree *tree = map_get(&loader->anchors, (const char *)event->data.alias.anchor);
    const char *what = NULL;
    if (!tree)
        what = "an alias to something that is not there";
    else if ((loader->nodes += count_nodes(tree)) > TREE_MAX_NODES)
        what = "the file is too large once its aliases are followed";
    else if (depth + levels(tree) > TREE_MAX_DEPTH)
        what = "nested too deep once its aliases are followed";
    if (what) {
        refuse(loader, event->start_mark, what, NULL);
        return NULL;
    }
    Tree *copy = tree_copy(tree);
    free(copy->key); /* of the place that it was copied from */
    copy->key = NULL;
    copy->key_line = copy->key_column = 0;
    return copy;
}

static bool is_known_tag(const yaml_char_t *tag)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    if (!tag || strcmp((const char *)tag, "!") == 0)
        return true;
    const char *text = (const char *)tag;
    return strncmp(text, prefix, sizeof prefix - 1) == 0 && one_of(text + sizeof prefix - 1, "str|int|float|bool|null|map|seq");
}

static Tree *load_scalar(Loader *loader, const yaml_event_t *event)
{
    if (memchr(event->data.scalar.value, 0, event->data.scalar.length)) {
        refuse(loader, event->start_mark, "a text with a NUL byte", NULL);
        return NULL;
    }
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    bool as_text = event->data.scalar.tag && strstr((const char *)event->data.scalar.tag, ":str");
    Tree *tree = new_node(loader, event, TREE_TEXT, (const char *)event->data.scalar.value);
    if (tree && plain && !as_text)
        type_scalar(tree);
    remember(loader, event->data.scalar.anchor, tree);
    return tree;
}

static Tree *load_list(Loader *loader, const yaml_event_t *start, int depth)
{
    Tree *tree = new_node(loader, start, TREE_LIST, NULL);
    while (tree) {
        yaml_event_t event;
        if (!next_event(loader, &event))
            break;
        bool ended = event.type == YAML_SEQUENCE_END_EVENT;
        Tree *item = ended ? NULL : load_node(loader, &event, depth);
        yaml_event_delete(&event);
        if (ended) {
            remember(loader, start->data.sequence_start.anchor, tree);
            return tree;
        }
        if (!item)
            break;
        add_item(tree, item);
    }
    tree_free(tree);
    return NULL;
}

/* Notes a key, in the spelling in which keys are compared; false: it was there. tree_get would look at every key of the
 * map for each new one, which a file of a megabyte makes a matter of a quarter of a minute. */
static bool note_key(Map *seen, const char *key)
{
    char *same = mem_text(key);
    for (char *c = same; *c; c++)
        *c = *c == '_' ? '-' : *c;
    bool is_new = !map_has(seen, same);
    if (is_new)
        map_put(seen, same, NULL);
    free(same);
    return is_new;
}

/* A key: a scalar that is not there yet. Its text is the caller's. */
static char *load_key(Loader *loader, Map *seen, const yaml_event_t *event)
{
    const char *key = event->type == YAML_SCALAR_EVENT ? (const char *)event->data.scalar.value : NULL;
    if (!key || strlen(key) != event->data.scalar.length)
        refuse(loader, event->start_mark, "a key that is no text", NULL);
    else if (strcmp(key, "<<") == 0 && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        refuse(loader, event->start_mark, "merge keys (<<) are not read", "write the keys out");
    else if (!note_key(seen, key))
        refuse(loader, event->start_mark, "a key that stands here twice", "remove one");
    else
        return mem_text(key);
    return NULL;
}

/* Adds the pairs up to the map's end; false where one is refused. */
static bool load_pairs(Loader *loader, Tree *tree, Map *seen, int depth)
{
    for (;;) {
        yaml_event_t event;
        if (!next_event(loader, &event))
            return false;
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return true;
        }
        char *key = load_key(loader, seen, &event);
        yaml_mark_t mark = event.start_mark;
        yaml_event_delete(&event);
        if (!key)
            return false;
        Tree *value = NULL;
        if (next_event(loader, &event)) {
            value = load_node(loader, &event, depth);
            yaml_event_delete(&event);
        }
        if (!value) {
            free(key);
            return false;
        }
        value->key_line = (int)mark.line + 1;
        value->key_column = (int)mark.column + 1;
        free(value->key);
        value->key = key;
        add_item(tree, value);
    }
}

static Tree *load_map(Loader *loader, const yaml_event_t *start, int depth)
{
    Tree *tree = new_node(loader, start, TREE_MAP, NULL);
    Map seen;
    map_init(&seen);
    if (tree && !load_pairs(loader, tree, &seen, depth)) {
        tree_free(tree);
        tree = NULL;
    }
    map_done(&seen, NULL);
    remember(loader, start->data.mapping_start.anchor, tree);
    return tree;
}

static Tree *load_node(Loader *loader, yaml_event_t *event, int depth)
{
    const yaml_char_t *tag = event->type == YAML_SCALAR_EVENT           ? event->data.scalar.tag
                             : event->type == YAML_SEQUENCE_START_EVENT ? event->data.sequence_start.tag
                             : event->type == YAML_MAPPING_START_EVENT  ? event->data.mapping_start.tag
                                                                        : NULL;
    if (depth > TREE_MAX_DEPTH) {
        refuse(loader, event->start_mark, "nested too deep", NULL);
        return NULL;
    }
    if (!is_known_tag(tag)) {
        refuse(loader, event->start_mark, "a tag that is not read", "write a plain value");
        return NULL;
    }
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return load_scalar(loader, event);
    case YAML_ALIAS_EVENT:
        return load_alias(loader, event, depth);
    case YAML_SEQUENCE_START_EVENT:
        return load_list(loader, event, depth + 1);
    case YAML_MAPPING_START_EVENT:
        return load_map(loader, event, depth + 1);
    default:
        refuse(loader, event->start_mark, "something that is no value", NULL);
        return NULL;
    }
}

static Tree *load_stream(Loader *loader)
{
    Tree *tree = NULL;
    bool ended = false, right = true;
    while (right && !ended) {
        yaml_event_t event;
        if (!next_event(loader, &event)) {
            right = false;
            break;
        }
        switch (event.type) {
        case YAML_STREAM_END_EVENT:
            ended = true;
            break;
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            break;
        case YAML_DOCUMENT_START_EVENT:
            right = !tree || refuse(loader, event.start_mark, "a second document", "give one only");
            break;
        default:
            tree = load_node(loader, &event, 0);
            right = tree != NULL;
        }
        yaml_event_delete(&event);
    }
    if (right && !tree)
        tree = mem_new(sizeof *tree);
    if (right)
        return tree;
    tree_free(tree);
    return NULL;
}

Tree *tree_parse(const char *name, const char *bytes, size_t n, Error *error)
{
    char *file = mem_text(name);
    Loader loader = {.name = file, .error = error};
    map_init(&loader.anchors);
    if (n > TREE_MAX_BYTES) {
        error_set(error, ERROR_USAGE, name, NULL, "it is larger than %d bytes", TREE_MAX_BYTES);
        free(file);
        return NULL;
    }
    if (!yaml_parser_initialize(&loader.parser)) {
        error_set(error, ERROR_INTERNAL, name, NULL, "no memory to read it");
        free(file);
        return NULL;
    }
    yaml_parser_set_input_string(&loader.parser, (const unsigned char *)bytes, n);
    Tree *tree = load_stream(&loader);
    yaml_parser_delete(&loader.parser);
    map_done(&loader.anchors, NULL);
    if (tree) {
        tree->file = file;
        tree->where_file = file;
    } else {
        free(file);
    }
    return tree;
}

Tree *tree_read(const char *path, Error *error)
{
    Buffer bytes;
    buffer_init(&bytes, TREE_MAX_BYTES);
    Tree *tree = file_read(path, &bytes, error) ? tree_parse(path, bytes.bytes, bytes.length, error) : NULL;
    buffer_done(&bytes);
    return tree;
}

/* --------------------------------------------------------------------------------------------------------------- asking */

static bool same_key(const char *a, size_t n, const char *b)
{
    for (size_t i = 0; i < n; i++) {
        char x = a[i] == '_' ? '-' : a[i], y = b[i] == '_' ? '-' : b[i];
        if (x != y)
            return false;
    }
    return b[n] == 0;
}

static Tree *get(const Tree *map, const char *key, size_t n)
{
    for (size_t i = 0; map && map->kind == TREE_MAP && i < map->count; i++)
        if (same_key(key, n, map->items[i]->key))
            return map->items[i];
    return NULL;
}

Tree *tree_get(const Tree *map, const char *key)
{
    return get(map, key, strlen(key));
}

Tree *tree_path(const Tree *map, const char *dotted)
{
    const Tree *tree = map;
    while (tree && *dotted) {
        size_t n = strcspn(dotted, ".");
        tree = get(tree, dotted, n);
        dotted += n + (dotted[n] == '.');
    }
    return (Tree *)tree;
}

const char *tree_text(const Tree *tree)
{
    return tree && tree->kind != TREE_LIST && tree->kind != TREE_MAP ? tree->text : NULL;
}

const char *tree_where(const Tree *tree, char out[256])
{
    return put_where(tree->where_file ? tree->where_file : "config", tree->line, tree->column, out);
}

const char *tree_where_key(const Tree *tree, char out[256])
{
    return tree->key_line ? put_where(tree->where_file ? tree->where_file : "config", tree->key_line, tree->key_column, out) : tree_where(tree, out);
}

/* -------------------------------------------------------------------------------------------------------------- changing */

void tree_set(Tree *map, const char *key, Tree *value)
{
    char *name = mem_text(key);
    free(value->key);
    value->key = name;
    for (size_t i = 0; i < map->count; i++)
        if (same_key(name, strlen(name), map->items[i]->key)) {
            tree_free(map->items[i]);
            map->items[i] = value;
            return;
        }
    add_item(map, value);
}

Tree *tree_copy(const Tree *tree)
{
    Tree *copy = mem_new(sizeof *copy);
    *copy = *tree;
    copy->key = mem_text(tree->key);
    copy->text = mem_text(tree->text);
    copy->file = NULL;
    copy->kept = NULL;
    copy->items = NULL;
    copy->count = copy->capacity = 0;
    for (size_t i = 0; i < tree->count; i++)
        add_item(copy, tree_copy(tree->items[i]));
    return copy;
}

static void merge_map(Tree *base, Tree *over)
{
    for (size_t i = 0; i < over->count; i++) {
        Tree *item = over->items[i], *there = tree_get(base, item->key);
        if (there && there->kind == TREE_MAP && item->kind == TREE_MAP) {
            merge_map(there, item);
            tree_free(item);
        } else {
            char *key = mem_text(item->key);
            tree_set(base, key, item);
            free(key);
        }
    }
    over->count = 0;
}

void tree_merge(Tree *base, Tree *over)
{
    if (!over)
        return;
    /* its nodes go on naming its file */
    Kept *kept = mem_new(sizeof *kept);
    *kept = (Kept){over->file, over->kept};
    Kept **end = (Kept **)&base->kept;
    while (*end)
        end = &(*end)->next;
    *end = kept;
    over->file = NULL;
    over->kept = NULL;
    if (over->kind == TREE_MAP) {
        if (base->kind != TREE_MAP) {
            free_below(base);
            free(base->text);
            base->text = NULL;
            base->kind = TREE_MAP;
        }
        merge_map(base, over);
    }
    tree_free(over);
}

cJSON *tree_json(const Tree *tree)
{
    cJSON *json;
    switch (tree->kind) {
    case TREE_BOOL:
        return cJSON_CreateBool(tree->truth);
    case TREE_NUMBER:
        return isfinite(tree->number) ? cJSON_CreateNumber(tree->number) : cJSON_CreateString(tree->text);
    case TREE_TEXT:
        return cJSON_CreateString(tree->text);
    case TREE_LIST:
        json = cJSON_CreateArray();
        for (size_t i = 0; i < tree->count; i++)
            cJSON_AddItemToArray(json, tree_json(tree->items[i]));
        return json;
    case TREE_MAP:
        json = cJSON_CreateObject();
        for (size_t i = 0; i < tree->count; i++)
            cJSON_AddItemToObject(json, tree->items[i]->key, tree_json(tree->items[i]));
        return json;
    default:
        return cJSON_CreateNull();
    }
}
