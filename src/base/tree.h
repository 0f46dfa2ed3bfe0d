/* A document of maps, lists and scalars that remembers where each part stood: config and spec files.
 *
 * Read by libyaml's parser events (JSON is read by the same); anchors and aliases are followed with a bound on the total
 * size, tags other than the core schema are refused. A tree is owned by its root and never shared; one thread. */
#ifndef DASKTOP_BASE_TREE_H
#define DASKTOP_BASE_TREE_H

#include "base/error.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum TreeKind { TREE_NULL, TREE_BOOL, TREE_NUMBER, TREE_TEXT, TREE_LIST, TREE_MAP } TreeKind;

typedef struct Tree Tree;
struct Tree {
    TreeKind kind;
    char *key;  /* in a map; else NULL */
    char *text; /* scalars, as written */
    double number;
    bool truth;
    Tree **items;
    size_t count, capacity;
    char *file; /* only in the root */
    const char *where_file; /* borrowed from the root it was read with, or a lasting text ("environment") */
    int line, column; /* from 1; 0: not from a file */
    int key_line, key_column; /* of its key, in a map */
    void *kept; /* roots that were merged in and whose file names are still borrowed; internal */
};

enum { TREE_MAX_BYTES = 4 << 20, TREE_MAX_NODES = 200000, TREE_MAX_DEPTH = 64 };

/* name is for messages. The error says file:line:column. An empty document is TREE_NULL. */
Tree *tree_parse(const char *name, const char *bytes, size_t n, Error *error);
Tree *tree_read(const char *path, Error *error);
void tree_free(Tree *tree);

Tree *tree_new(TreeKind kind, const char *text);                 /* a scalar from text by the core schema where kind is TREE_NULL */
Tree *tree_get(const Tree *map, const char *key);                /* '-' and '_' are the same; NULL: not there */
Tree *tree_path(const Tree *map, const char *dotted);            /* "distributed.comm.tls" */
void tree_set(Tree *map, const char *key, Tree *value);          /* takes value; replaces what is there */
Tree *tree_copy(const Tree *tree);
/* Dask's merge: maps key by key, everything else replaces. Takes `over`. */
void tree_merge(Tree *base, Tree *over);
const char *tree_text(const Tree *tree);                         /* scalar's text; NULL where it is no scalar */
cJSON *tree_json(const Tree *tree);                              /* owned by the caller */
/* "FILE:LINE:COLUMN" of the value, or of its key, into out[256]; a long path loses its beginning, never its end. */
const char *tree_where(const Tree *tree, char out[256]);
const char *tree_where_key(const Tree *tree, char out[256]);

#endif
