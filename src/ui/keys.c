#include "ui/keys.h"

#include "base/mem.h"
#include "ui/ui.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READS NEED_CLUSTER
#define CHANGES (NEED_CLUSTER | NEED_WRITABLE)
#define ANY (-1)

/* Lower-case looks; what changes a system is upper-case (or Delete), and opens a dialog. */
const KeyInfo key_table[] = {
    {ACTION_OPEN, "Enter", "open", NULL, "open", "open: reconstruct the cluster and show what it is doing", IN_TABLE | IN_TREE, READS, ANY, 1},
    {ACTION_OPEN, "Enter", "open", NULL, NULL, "the log of this worker", IN_DETAILS, READS, ANY, 99},
    {ACTION_OPEN, "Enter", "open", NULL, "describe", "show this in full", IN_LIST | IN_OPERATIONS, 0, ANY, 1},
    {ACTION_LOGS, "l", "logs", NULL, "logs", "logs of all components, merged, from their end on", IN_CLUSTER, READS, CAN_LOGS, 2},
    {ACTION_DASHBOARD, "w", "dashboard", NULL, "dashboard", "the Dask dashboard in the browser (over ssh: how to get there)", IN_CLUSTER, READS, CAN_CONNECT, 3},
    {ACTION_CONNECT, "c", "connect", NULL, "connect", "open a route to the scheduler and hold it; shows address and snippet", IN_CLUSTER, READS, CAN_CONNECT, 4},
    {ACTION_SCALE, "S", "scale", "N | MIN:MAX | off", "scale", "scale: a number of workers, or min:max to adapt", IN_CLUSTER, CHANGES, CAN_SCALE, 5},
    {ACTION_DELETE, "D Delete", "delete", NULL, "delete", "delete the cursor's cluster or the marked ones: shows the plan, asks", IN_TABLE | IN_TREE, CHANGES, CAN_DELETE, 6},
    {ACTION_RETIRE, "D Delete", "retire", NULL, "retire", "retire this worker: move its data away, close it", IN_DETAILS, CHANGES, ANY, 6},
    {ACTION_DELETE, "", "delete", NULL, NULL, "delete this cluster: shows the plan, asks", IN_DETAILS | IN_LOGS | IN_TEXT, CHANGES, CAN_DELETE, 99},
    {ACTION_KEEP, "K", "keep", "DUR [REASON] | no", "keep", "keep: leave this one alone, with an end and a reason", IN_CLUSTER, CHANGES, ANY, 7},
    {ACTION_CREATE, "N", "create", "FILE | BACKEND", "new", "new cluster: from a spec file found here, or by a backend; shows what would be made, asks", IN_TABLE | IN_TREE, NEED_WRITABLE, ANY, 12},
    {ACTION_SWEEP, "X", "sweep", "orphaned | unattended DUR | idle DUR", NULL, "sweep: what the rules would delete (without rules: the orphaned), asks", IN_TABLE, NEED_WRITABLE, ANY, 99},
    {ACTION_MARK, "Space", "mark", NULL, "mark", "mark or unmark; actions then apply to the marked", IN_TABLE, READS, ANY, 8},
    {ACTION_MARK_ALL, "*", "mark-all", NULL, NULL, "mark all that are shown", IN_TABLE, 0, ANY, 99},
    {ACTION_MARK_NONE, "u", "mark-none", NULL, NULL, "remove all marks", IN_TABLE, 0, ANY, 99},
    {ACTION_FILTER, "/", "filter", "EXPR", "filter", "filter, live: words, !not, field:value, age>1d; Esc clears", IN_TABLE, 0, ANY, 9},
    {ACTION_UNUSED, "x", "unused", NULL, "only unused", "only what is orphaned, unattended or idle", IN_TABLE, 0, ANY, 10},
    {ACTION_ALL, "", "all", NULL, NULL, "everybody's clusters, no filter", IN_ALL, 0, ANY, 99},
    {ACTION_RECONSTRUCT, "r", "reconstruct", NULL, "reconstruct", "reconstruct: what was found, the route, what is lost", IN_CLUSTER, READS, ANY, 20},
    {ACTION_SHELL, "C", "shell", "python | sh", "shell", "Python with `client` ready, or a shell, with the route open; then back here", IN_CLUSTER, READS | NEED_FOREGROUND, CAN_CONNECT, 21},
    {ACTION_DISCONNECT, "", "disconnect", "[CLUSTER]", NULL, "close the routes that `connect` holds", IN_ALL, 0, ANY, 99},
    {ACTION_DESCRIBE, "d", "describe", NULL, "describe", "all that is known, in words", IN_CLUSTER, READS, ANY, 22},
    {ACTION_RAW, "y", "raw", NULL, "raw", "the raw record as JSON", IN_CLUSTER, READS, ANY, 23},
    {ACTION_SNIPPET, "", "snippet", NULL, NULL, "Python that gets a live Client", IN_CLUSTER, READS, CAN_SNIPPET, 99},
    {ACTION_SORT_NEXT, "o", "sort-next", NULL, NULL, "sort by the next column", IN_TABLE, 0, ANY, 99},
    {ACTION_SORT_REVERSE, "O", "sort-reverse", NULL, NULL, "sort the other way round", IN_TABLE, 0, ANY, 99},
    {ACTION_SORT_CHOOSE, "< >", "sort", "COLUMN", NULL, "choose the column to sort by", IN_TABLE, 0, ANY, 99},
    {ACTION_COLUMNS, "", "columns", "A,B,… | default", NULL, "which columns, and in which order; `default`: the usual ones", IN_TABLE, 0, ANY, 99},
    {ACTION_BACKEND, "1 2 3 4 5 6 7 8 9 0", "backend", "KEY", NULL, "only one backend; 0: all of them", IN_TABLE, 0, ANY, 99},
    {ACTION_BACKENDS, "b", "backends", NULL, "backends", "backends: health, errors, durations, what they can", IN_TABLE | IN_DETAILS | IN_LIST | IN_OPERATIONS | IN_TREE, 0, ANY, 24},
    {ACTION_OPERATIONS, "e", "operations", NULL, "operations", "changes under way, and the journal", IN_TABLE | IN_DETAILS | IN_LIST | IN_TREE, 0, ANY, 25},
    {ACTION_TREE, "t", "tree", NULL, "tree", "tree: backend, cluster, scheduler, workers", IN_TABLE | IN_DETAILS, 0, ANY, 26},
    {ACTION_LOGIN, "", "login", "KEY", NULL, "sign in to a backend that asks for it", IN_ALL, NEED_FOREGROUND, ANY, 99},

    {ACTION_COMPONENT, "Tab", "component", NULL, "resources", "workers, resources, tasks in turn", IN_DETAILS, 0, ANY, 8},
    {ACTION_CANCEL_OPERATION, "D", "cancel", NULL, "cancel", "cancel this operation; what the system has begun is not undone", IN_OPERATIONS, 0, ANY, 2},

    {ACTION_FOLLOW, "f", "follow", NULL, "follow", "follow new lines", IN_LOGS, 0, ANY, 1},
    {ACTION_SEARCH, "/", "search", "REGEX", "search", "search a regular expression", IN_LOGS | IN_TEXT, 0, ANY, 2},
    {ACTION_SEARCH_NEXT, "n", "search-next", NULL, "next", "next match", IN_LOGS | IN_TEXT, 0, ANY, 3},
    {ACTION_SEARCH_BACK, "N", "search-back", NULL, "previous", "previous match", IN_LOGS | IN_TEXT, 0, ANY, 4},
    {ACTION_MATCHING, "&", "matching", "REGEX", "only matches", "only lines that match; an empty one shows all again", IN_LOGS, 0, ANY, 5},
    {ACTION_COMPONENT, "Tab", "component", "NAME", "component", "one component after another, then all again", IN_LOGS, 0, ANY, 6},
    {ACTION_WRAP, "w", "wrap", NULL, "wrap", "wrap long lines", IN_LOGS | IN_TEXT, 0, ANY, 7},
    {ACTION_TIMES, "t", "times", NULL, "time", "show times", IN_LOGS, 0, ANY, 8},
    {ACTION_SINCE, "s", "since", "DUR", "since", "only lines of the last 15m, 2h, 3d", IN_LOGS, 0, ANY, 9},
    {ACTION_SAVE, "W", "save", "FILE", "save", "write what is here to a file", IN_LOGS | IN_TEXT, 0, ANY, 10},
    {ACTION_GOTO, "", "goto", "LINE | N% | TIME", NULL, "to a line, a part of it, or a time (14:05)", IN_LOGS, 0, ANY, 99},

    {ACTION_UP, "k Up", "up", NULL, NULL, "up", IN_ALL, 0, ANY, 99},
    {ACTION_DOWN, "j Down", "down", NULL, NULL, "down", IN_ALL, 0, ANY, 99},
    {ACTION_TOP, "g Home", "top", NULL, NULL, "to the first", IN_ALL, 0, ANY, 99},
    {ACTION_BOTTOM, "G End", "bottom", NULL, NULL, "to the last", IN_ALL, 0, ANY, 99},
    {ACTION_PAGE_UP, "PgUp Ctrl-b", "page-up", NULL, NULL, "a page up", IN_ALL, 0, ANY, 99},
    {ACTION_PAGE_DOWN, "PgDn Ctrl-f", "page-down", NULL, NULL, "a page down", IN_ALL, 0, ANY, 99},
    {ACTION_PAGE_DOWN, "Space", "page-down", NULL, NULL, "a page down", IN_LOGS | IN_TEXT, 0, ANY, 99},
    {ACTION_HALF_UP, "Ctrl-u", "half-up", NULL, NULL, "half a page up", IN_ALL, 0, ANY, 99},
    {ACTION_HALF_DOWN, "Ctrl-d", "half-down", NULL, NULL, "half a page down", IN_ALL, 0, ANY, 99},
    {ACTION_LEFT, "Left", "left", NULL, NULL, "to the left; in the tree: fold", IN_ALL, 0, ANY, 99},
    {ACTION_RIGHT, "Right", "right", NULL, NULL, "to the right; in the tree: unfold", IN_ALL, 0, ANY, 99},
    {ACTION_REFRESH, "F5 Ctrl-r", "refresh", NULL, NULL, "discover now", IN_ALL, 0, ANY, 99},
    {ACTION_REPAINT, "Ctrl-l", "repaint", NULL, NULL, "draw the whole screen again", IN_ALL, 0, ANY, 99},
    {ACTION_THEME, "", "theme", "NAME", NULL, "dark, light, contrast, mono, or auto: by the terminal's background", IN_ALL, 0, ANY, 99},
    {ACTION_COMMAND, ":", "command", NULL, NULL, "type a command by its name; Tab completes", IN_ALL, 0, ANY, 99},
    {ACTION_HELP, "? F1", "help", NULL, "help", "this help", IN_ALL, 0, ANY, 40},
    {ACTION_BACK, "q Esc", "back", NULL, "back", "back", IN_ALL & ~(unsigned)IN_TABLE, 0, ANY, 41},
    {ACTION_QUIT, "q", "quit", NULL, "quit", "leave", IN_TABLE, 0, ANY, 41},
    {ACTION_BACK, "Esc", "back", NULL, NULL, "clear the filter, then the marks", IN_TABLE, 0, ANY, 99},
    {ACTION_QUIT, "", "quit", NULL, NULL, "leave", IN_ALL, 0, ANY, 99},
    {ACTION_NONE, NULL, NULL, NULL, NULL, NULL, 0, 0, ANY, 0},
};

static void keys_bind(Keys *keys, Key key, const KeyInfo *info)
{
    keys->bindings = mem_grow(keys->bindings, keys->count, &keys->capacity, sizeof *keys->bindings);
    keys->bindings[keys->count++] = (Binding){key, info};
}

static void keys_bind_all(Keys *keys, const char *words, const KeyInfo *info, const char *where, List *problems)
{
    char word[32];
    for (const char *at = words; *at;) {
        size_t n = strcspn(at, " ");
        snprintf(word, sizeof word, "%.*s", (int)n, at);
        Key key = key_parse(word);
        if (key)
            keys_bind(keys, key, info);
        else if (problems && *word)
            list_format(problems, "%s: %s is not the name of a key: use names like F9, Ctrl-r, PgUp, x", where, word);
        at += n + (at[n] == ' ');
    }
}

static void keys_configured(Keys *keys, const Tree *item, List *problems)
{
    char where[256];
    tree_where(item, where);
    bool found = false;
    for (const KeyInfo *info = key_table; info->action; info++)
        if (strcmp(info->name, item->key) == 0 && *info->keys) {
            found = true;
            if (tree_text(item))
                keys_bind_all(keys, tree_text(item), info, where, problems);
            for (size_t i = 0; item->kind == TREE_LIST && i < item->count; i++)
                keys_bind_all(keys, tree_text(item->items[i]) ? tree_text(item->items[i]) : "?", info, where, problems);
        }
    if (!found)
        list_format(problems, "%s: ui.keys: there is no action %s: see ? for their names", where, item->key);
}

void keys_init(Keys *keys, const Tree *config, List *problems)
{
    *keys = (Keys){0};
    bool map = config && config->kind == TREE_MAP;
    for (size_t i = 0; map && i < config->count; i++)
        keys_configured(keys, config->items[i], problems); /* first: they win over defaults of others */
    for (const KeyInfo *info = key_table; info->action; info++)
        if (!map || !tree_get(config, info->name))
            keys_bind_all(keys, info->keys, info, "", NULL);
}

void keys_done(Keys *keys)
{
    free(keys->bindings);
    *keys = (Keys){0};
}

const KeyInfo *keys_find(const Keys *keys, Key key, unsigned where)
{
    for (size_t i = 0; i < keys->count; i++)
        if (keys->bindings[i].key == key && (keys->bindings[i].info->where & where))
            return keys->bindings[i].info;
    return NULL;
}

const char *keys_first(const Keys *keys, const KeyInfo *info, char out[24])
{
    for (size_t i = 0; i < keys->count; i++)
        if (keys->bindings[i].info == info)
            return key_word(keys->bindings[i].key, out);
    return "";
}

void keys_all(const Keys *keys, const KeyInfo *info, Buffer *out)
{
    char word[24];
    size_t n = 0;
    for (size_t i = 0; i < keys->count; i++)
        if (keys->bindings[i].info == info)
            buffer_format(out, "%s%s", n++ ? " " : "", key_word(keys->bindings[i].key, word));
}

const KeyInfo *keys_command(const char *name, unsigned where)
{
    const KeyInfo *found = NULL;
    for (const KeyInfo *info = key_table; info->action; info++) {
        if (!(info->where & where) || strncmp(info->name, name, strlen(name)) != 0)
            continue;
        if (strcmp(info->name, name) == 0)
            return info;
        if (found && strcmp(found->name, info->name) != 0)
            return NULL;
        found = info;
    }
    return found;
}

const KeyInfo *keys_info(Action action, unsigned where)
{
    for (const KeyInfo *info = key_table; info->action; info++)
        if (info->action == action && (info->where & where))
            return info;
    return NULL;
}

char *ui_keys_manual(void)
{
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    Keys keys;
    keys_init(&keys, NULL, NULL);
    for (const KeyInfo *info = key_table; info->action; info++) {
        buffer_text(&out, ".TP\n.B ");
        keys_all(&keys, info, &out);
        buffer_format(&out, "%s:%s%s%s\n%s\n", *info->keys ? "  " : "", info->name, info->argument ? " " : "",
                      info->argument ? info->argument : "", info->help);
    }
    keys_done(&keys);
    return buffer_take(&out);
}
