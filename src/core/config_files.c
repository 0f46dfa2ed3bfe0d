#include "core/config_files.h"

#include "base/file.h"
#include "base/mem.h"
#include "core/config_check.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

extern char **environ;

static const char *variable(const ConfigSources *sources, const char *name)
{
    size_t n = strlen(name);
    const char *const *list = sources->environment ? sources->environment : (const char *const *)environ;
    for (; list && *list; list++)
        if (strncmp(*list, name, n) == 0 && (*list)[n] == '=')
            return *list + n + 1;
    return NULL;
}

/* ----------------------------------------------------------------------------------------------------------------- files */

static bool is_config_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && dot != name && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
}

/* needed: it was named, so that its absence is a problem; else what may not be read is not there, as Dask does. */
static void read_file(const char *path, bool needed, Tree *into, List *files, List *problems)
{
    Error error = {0};
    char line[ERROR_LINE];
    Tree *tree = tree_read(path, &error);
    if (!tree) {
        if (needed || (error.code != ERROR_NOT_FOUND && error.code != ERROR_DENIED))
            list_add(problems, error_line(&error, line, sizeof line));
        return;
    }
    list_add(files, path);
    if (tree->kind == TREE_MAP) {
        tree_merge(into, tree);
        return;
    }
    if (tree->kind != TREE_NULL)
        config_problem(problems, tree, "write `dasktop:` and its keys below it", "a config file is a map");
    tree_free(tree);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void read_directory(const char *path, Tree *into, List *files, List *problems)
{
    List names = {0};
    DIR *directory = opendir(path);
    for (const struct dirent *entry; directory && (entry = readdir(directory));)
        if (is_config_name(entry->d_name))
            list_take(&names, file_join(path, entry->d_name));
    if (directory)
        closedir(directory);
    if (names.count)
        qsort(names.items, names.count, sizeof *names.items, by_name);
    for (size_t i = 0; i < names.count; i++)
        read_file(names.items[i], false, into, files, problems);
    list_done(&names);
}

static void read_place(const char *path, Tree *into, List *files, List *problems)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return;
    if (S_ISDIR(st.st_mode))
        read_directory(path, into, files, problems);
    else
        read_file(path, false, into, files, problems);
}

/* ------------------------------------------------------------------------------------------------------------ environment */

/* "{JUPYTERHUB_USER}", a template of dask-gateway's, is a map without a value to YAML and no literal to Python. */
static bool is_template(const Tree *tree)
{
    for (size_t i = 0; tree->kind == TREE_MAP && i < tree->count; i++)
        if (tree->items[i]->kind == TREE_NULL && tree->items[i]->text && !*tree->items[i]->text)
            return true;
    return false;
}

/* DASK_DASKTOP__REFRESH -> dasktop.refresh. Dask takes the value as a Python literal, else as text: lists, maps and quoted texts are
 * those of YAML's flow style here; anything else is one word, also where YAML would see more ("a: b", "- x", "x # y"). */
static Tree *environment_value(const char *name, const char *text)
{
    Tree *tree = *text && strchr("[{\"'", *text) ? tree_parse(name, text, strlen(text), NULL) : NULL;
    if (tree && !is_template(tree))
        return tree;
    tree_free(tree);
    bool nothing = strcasecmp(text, "none") == 0;
    bool only_text = !*text || strcmp(text, "~") == 0 || strchr("[{\"'", *text); /* not YAML's words for nothing; cut short */
    tree = tree_new(only_text ? TREE_TEXT : TREE_NULL, nothing ? "null" : text);
    tree->file = mem_text(name);
    tree->where_file = tree->file;
    return tree;
}

static void read_variable(const char *entry, Tree *into)
{
    const char *equals = strchr(entry, '=');
    if (!equals || strncmp(entry, "DASK_", 5) != 0)
        return;
    char *path = mem_text_n(entry + 5, (size_t)(equals - entry - 5)), *name = mem_text_n(entry, (size_t)(equals - entry));
    for (char *c = path; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    /* only what has a place below a key is config; DASK_CONFIG and the like have none */
    char *cut = strstr(path, "__");
    if (cut) {
        Tree *value = environment_value(name, equals + 1);
        value->line = 0;
        List parts = {0};
        for (char *part = path; part; part = cut ? cut + 2 : NULL) {
            cut = strstr(part, "__");
            list_take(&parts, cut ? mem_text_n(part, (size_t)(cut - part)) : mem_text(part));
        }
        for (size_t i = parts.count; i-- > 0;) {
            Tree *map = tree_new(TREE_MAP, NULL);
            map->file = value->file; /* the name that the nodes borrow goes up to the root */
            value->file = NULL;
            tree_set(map, parts.items[i], value);
            value = map;
        }
        list_done(&parts);
        tree_merge(into, value);
    }
    free(path);
    free(name);
}

static void read_environment(const ConfigSources *sources, Tree *into)
{
    const char *const *list = sources->environment ? sources->environment : (const char *const *)environ;
    for (; list && *list; list++)
        read_variable(*list, into);
}

/* ------------------------------------------------------------------------------------------------------------- all of it */

Tree *config_collect(const ConfigSources *sources, Tree **root_only, List *files, List *problems)
{
    Tree *all = tree_new(TREE_MAP, NULL);
    const char *root = variable(sources, "DASK_ROOT_CONFIG"), *before = sources->root ? sources->root : "";
    char *etc = mem_format("%s/etc/dask", before);
    read_place(root ? root : etc, all, files, problems);
    *root_only = tree_copy(all);
    if (root && strcmp(root, etc) != 0) { /* a variable moves Dask's place, but not what the system forbids */
        List unused = {0};
        read_place(etc, *root_only, &unused, &unused);
        list_done(&unused);
    }
    free(etc);
    const char *prefixes[] = {variable(sources, "VIRTUAL_ENV"), variable(sources, "CONDA_PREFIX"), "/usr/local", "/usr"};
    /* from the least to the most particular: what is read later wins */
    for (size_t i = sizeof prefixes / sizeof *prefixes; i-- > 0;) {
        if (!prefixes[i] || !*prefixes[i])
            continue;
        char *path = mem_format("%s%s/etc/dask", i >= 2 ? before : "", prefixes[i]);
        read_place(path, all, files, problems);
        free(path);
    }
    const char *home = variable(sources, "HOME");
    if (home && *home) {
        char *path = mem_format("%s/.config/dask", home);
        read_place(path, all, files, problems);
        free(path);
    }
    const char *own = variable(sources, "DASK_CONFIG");
    if (own && *own) {
        char *path = file_expand_home(own);
        read_place(path, all, files, problems);
        free(path);
    }
    read_environment(sources, all);
    if (sources->file)
        read_file(sources->file, true, all, files, problems);
    return all;
}
