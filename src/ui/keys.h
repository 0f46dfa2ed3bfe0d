/* One table of everything that can be asked for: it feeds keys, the `:` line, hints, help and the manual page. */
#ifndef DASKTOP_UI_KEYS_H
#define DASKTOP_UI_KEYS_H

#include "base/list.h"
#include "base/tree.h"
#include "core/record.h"
#include "ui/key.h"

typedef enum Action {
    ACTION_NONE,
    ACTION_UP, ACTION_DOWN, ACTION_TOP, ACTION_BOTTOM, ACTION_PAGE_UP, ACTION_PAGE_DOWN, ACTION_HALF_UP, ACTION_HALF_DOWN,
    ACTION_LEFT, ACTION_RIGHT,
    ACTION_OPEN, ACTION_LOGS, ACTION_RECONSTRUCT, ACTION_CONNECT, ACTION_SHELL, ACTION_DASHBOARD, ACTION_DISCONNECT,
    ACTION_SCALE, ACTION_DELETE, ACTION_RETIRE, ACTION_KEEP, ACTION_CREATE, ACTION_SWEEP,
    ACTION_FILTER, ACTION_SORT_NEXT, ACTION_SORT_REVERSE, ACTION_SORT_CHOOSE, ACTION_COLUMNS, ACTION_UNUSED, ACTION_ALL,
    ACTION_MARK, ACTION_MARK_ALL, ACTION_MARK_NONE, ACTION_BACKEND,
    ACTION_DESCRIBE, ACTION_RAW, ACTION_SNIPPET, ACTION_BACKENDS, ACTION_OPERATIONS, ACTION_TREE, ACTION_LOGIN,
    ACTION_FOLLOW, ACTION_WRAP, ACTION_TIMES, ACTION_SEARCH, ACTION_SEARCH_NEXT, ACTION_SEARCH_BACK, ACTION_MATCHING,
    ACTION_COMPONENT, ACTION_SINCE, ACTION_SAVE, ACTION_GOTO, ACTION_CANCEL_OPERATION,
    ACTION_COMMAND, ACTION_REFRESH, ACTION_REPAINT, ACTION_THEME, ACTION_HELP, ACTION_BACK, ACTION_QUIT,
    ACTION_COUNT
} Action;

/* Where a key holds. */
enum {
    IN_TABLE = 1, IN_DETAILS = 2, IN_LOGS = 4, IN_TEXT = 8, IN_LIST = 16, IN_TREE = 32, IN_OPERATIONS = 64,
    IN_CLUSTER = IN_TABLE | IN_DETAILS | IN_TREE, /* where one cluster is the subject */
    IN_ALL = 127
};

enum { NEED_CLUSTER = 1, NEED_WRITABLE = 2, NEED_SPAWN = 4, NEED_FOREGROUND = 8 };

typedef struct KeyInfo {
    Action action;
    const char *keys;     /* the default ones, by blanks; "" for a `:` command only */
    const char *name;     /* for `:` and the config's ui.keys */
    const char *argument; /* what `:name` takes, for help; NULL */
    const char *hint;     /* a word for the bottom line; NULL: not there */
    const char *help;
    unsigned where, needs;
    int capability;       /* that the cluster must have; -1 */
    int order;            /* of hints: small first; they are cut at the right */
} KeyInfo;

extern const KeyInfo key_table[]; /* ends with ACTION_NONE */

typedef struct Binding {
    Key key;
    const KeyInfo *info;
} Binding;

typedef struct Keys {
    Binding *bindings;
    size_t count, capacity;
} Keys;

/* The defaults, then what the config's ui.keys says (a name that it gives new keys loses the default ones). What is wrong is
 * added to problems. */
void keys_init(Keys *keys, const Tree *config, List *problems);
void keys_done(Keys *keys);
const KeyInfo *keys_find(const Keys *keys, Key key, unsigned where); /* NULL: nothing there */
const char *keys_first(const Keys *keys, const KeyInfo *info, char out[24]); /* its first key as text; "" */
void keys_all(const Keys *keys, const KeyInfo *info, Buffer *out);
/* By its name for `:`; a beginning that fits one only is enough. NULL: none or several. */
const KeyInfo *keys_command(const char *name, unsigned where);
const KeyInfo *keys_info(Action action, unsigned where);

#endif
