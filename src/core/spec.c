#include "core/spec.h"

#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool refuse(const Tree *tree, Error *error, const char *what, const char *hint)
{
    char where[256];
    return error_set(error, ERROR_USAGE, tree_where(tree, where), hint, "%s", what);
}

/* A key of the document with the kind that dask-ctl gives it. */
static bool take(const Tree *document, const char *key, TreeKind kind, const char *what, const Tree **value, Error *error)
{
    *value = tree_get(document, key);
    if (*value && (*value)->kind == TREE_NULL)
        *value = NULL;
    return !*value || (*value)->kind == kind || refuse(*value, error, what, NULL);
}

static bool check_version(const Tree *document, Error *error)
{
    const Tree *version = tree_get(document, "version");
    if (!version)
        return refuse(document, error, "version is missing", "write `version: 1`");
    return (version->kind == TREE_NUMBER && version->number == 1) || refuse(version, error, "this version is not known", "write `version: 1`");
}

static bool check_keys(const Tree *document, Error *error)
{
    static const char *const known[] = {"version", "module", "class", "args", "kwargs"};
    for (size_t i = 0; i < document->count; i++) {
        bool right = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            right = right || strcmp(document->items[i]->key, known[k]) == 0;
        if (!right) {
            char where[256];
            return error_set(error, ERROR_USAGE, tree_where_key(document->items[i], where), "it is one of version, module, class, args, kwargs",
                             "unknown key %s", document->items[i]->key);
        }
    }
    return true;
}

/* kwargs.name and kwargs.n_workers are what --name and --workers are in the common words. */
static bool take_common(Spec *spec, Error *error)
{
    const Tree *name = tree_get(spec->kwargs, "name"), *workers = tree_get(spec->kwargs, "n_workers");
    if (!spec->name && name && name->kind == TREE_TEXT)
        spec->name = mem_text(name->text);
    if (workers && workers->kind != TREE_NULL) {
        if (workers->kind != TREE_NUMBER || workers->number < 0 || workers->number != floor(workers->number) || workers->number > 1e6)
            return refuse(workers, error, "n_workers is no number of workers", NULL);
        if (spec->workers == NUMBER_UNKNOWN)
            spec->workers = (int64_t)workers->number;
    }
    return true;
}

/* An object of Kubernetes as kubectl takes it is its own specification: "GROUP/VERSION:Kind". */
static bool take_object(Spec *spec, Error *error)
{
    const Tree *version = tree_get(spec->document, "apiVersion"), *kind = tree_get(spec->document, "kind");
    const Tree *name = tree_path(spec->document, "metadata.name");
    if (!kind || kind->kind != TREE_TEXT || version->kind != TREE_TEXT)
        return refuse(spec->document, error, "an object has a kind and an apiVersion, which are texts", NULL);
    spec->module = version->text;
    spec->class_name = kind->text;
    if (!spec->name && name && name->kind == TREE_TEXT)
        spec->name = mem_text(name->text);
    return true;
}

static bool check(Spec *spec, Error *error)
{
    const Tree *document = spec->document, *module, *class_name;
    if (document->kind != TREE_MAP)
        return refuse(document, error, "a cluster specification is a map with version, module and class", NULL);
    if (!tree_get(document, "version") && tree_get(document, "apiVersion"))
        return take_object(spec, error);
    if (!check_version(document, error) || !check_keys(document, error) ||
        !take(document, "module", TREE_TEXT, "module is no text", &module, error) ||
        !take(document, "class", TREE_TEXT, "class is no text", &class_name, error) ||
        !take(document, "args", TREE_LIST, "args is no list", &spec->args, error) ||
        !take(document, "kwargs", TREE_MAP, "kwargs is no map", &spec->kwargs, error))
        return false;
    if (!module || !class_name)
        return refuse(document, error, module ? "class is missing" : "module is missing", "for example: module: dask.distributed, class: LocalCluster");
    spec->module = module->text;
    spec->class_name = class_name->text;
    return take_common(spec, error);
}

bool spec_read(const char *path, const char *name, int64_t workers, Spec *spec, Error *error)
{
    *spec = (Spec){.name = mem_text(name), .workers = workers};
    spec->document = path ? tree_read(path, error) : tree_new(TREE_MAP, NULL);
    if (!spec->document && error && error->code != ERROR_USAGE)
        error->code = ERROR_USAGE; /* a file that is not there is a wrong argument */
    if (spec->document && (!path || check(spec, error)))
        return true;
    spec_done(spec);
    return false;
}

void spec_done(Spec *spec)
{
    tree_free(spec->document);
    free(spec->name);
    *spec = (Spec){.workers = NUMBER_UNKNOWN};
}

bool spec_is(const Spec *spec, const char *const *classes)
{
    const char *dot = spec->module ? strrchr(spec->module, '.') : NULL, *last = dot ? dot + 1 : spec->module;
    for (; classes && spec->module && *classes; classes++) {
        const char *colon = strchr(*classes, ':');
        if (!colon)
            continue; /* "*": any, see spec_is_any */
        size_t n = (size_t)(colon - *classes);
        if (strcmp(colon + 1, spec->class_name) != 0)
            continue;
        /* dask.distributed and distributed, dask_kubernetes.operator and dask_kubernetes: the same class by several roads */
        const char *end = *classes + n, *begin = end;
        while (begin > *classes && begin[-1] != '.')
            begin--;
        bool whole = strlen(spec->module) == n && strncmp(spec->module, *classes, n) == 0;
        if (whole || (strlen(last) == (size_t)(end - begin) && strncmp(last, begin, (size_t)(end - begin)) == 0))
            return true;
    }
    return false;
}

bool spec_is_any(const char *const *classes)
{
    for (; classes && *classes; classes++)
        if (strcmp(*classes, "*") == 0)
            return true;
    return false;
}
