#include "core/find.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { PREFIX_LEAST = 6, CANDIDATES_MAX = 100 };

/* How a row fits what was typed; the better ones are tried first. */
typedef enum Fit { FIT_ID, FIT_NAME, FIT_OTHER, FIT_PREFIX, FIT_COUNT } Fit;

bool find_backend_of_id(const Config *config, const char *text, char **key, char **instance)
{
    char *rest = NULL;
    *key = *instance = NULL;
    if (!record_id_split(text, key, instance, &rest))
        return false;
    free(rest);
    for (size_t i = 0; i < config->backend_count; i++)
        if (strcmp(config->backends[i].key, *key) == 0)
            return true;
    free(*key);
    free(*instance);
    *key = *instance = NULL;
    return false;
}

static bool same(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

static bool begins(const char *text, const char *prefix, size_t n)
{
    return text && strncmp(text, prefix, n) == 0;
}

static bool fits(const ViewRow *row, Fit fit, const char *text, size_t n)
{
    const RecordFields *is = &row->record->is;
    switch (fit) {
    case FIT_ID: return same(is->id, text);
    case FIT_NAME: return same(is->name, text);
    case FIT_OTHER: return same(is->uid, text) || same(is->scheduler_id, text) || same(is->address, text);
    case FIT_PREFIX:
        return n >= PREFIX_LEAST && (begins(is->id, text, n) || begins(is->name, text, n) || begins(is->uid, text, n) ||
                                     begins(is->scheduler_id, text, n) || begins(is->address, text, n));
    default: return false;
    }
}

/* Rows that fit, each set of the same scheduler once, by its owner. An id is taken at its word: it names one of the set. */
static size_t collect(const View *view, Fit fit, const char *text, const ViewRow **first, List *ids)
{
    const ViewRow *const *rows;
    size_t count = view_all(view, &rows), found = 0, n = strlen(text);
    *first = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!fits(rows[i], fit, text, n))
            continue;
        const ViewRow *row = rows[i]->same_as && fit != FIT_ID ? rows[i]->same_as : rows[i];
        if (list_has(ids, row->record->is.id))
            continue;
        if (found++ == 0)
            *first = row;
        if (ids->count < CANDIDATES_MAX)
            list_add(ids, row->record->is.id);
    }
    return found;
}

/* The first backend that may hold it and has given no complete answer. */
static const PartInfo *incomplete(const View *view, const char *key, const char *instance)
{
    for (size_t i = 0; view->snapshot && i < view->snapshot->part_count; i++) {
        const PartInfo *info = &view->snapshot->parts[i]->info;
        if (info->has_answered || info->state == PART_ABSENT || info->state == PART_OFF)
            continue;
        if (key && (strcmp(key, info->backend) != 0 || (instance && info->instance && strcmp(instance, info->instance) != 0)))
            continue;
        return info;
    }
    return NULL;
}

static bool nothing(const View *view, const char *text, Error *error)
{
    char *key, *instance;
    find_backend_of_id(view->config, text, &key, &instance);
    const PartInfo *info = incomplete(view, key, instance);
    free(key);
    free(instance);
    if (info)
        return error_set(error, ERROR_PARTIAL, text, "try again, or see `dasktop backends`",
                         "not found, but backend %s has given no complete answer", info->backend);
    return error_set(error, ERROR_NOT_FOUND, text, "`dasktop list` shows what there is", "no such cluster");
}

static bool ambiguous(const char *text, size_t found, Error *error)
{
    return error_set(error, ERROR_AMBIGUOUS, text, "give one of the ids", "fits %zu clusters", found);
}

/* A name may be somebody else's as well, where nobody has looked yet. Ids and identities cannot. */
static bool allowed(const View *view, const char *text, const ViewRow *row, Fit fit, Error *error)
{
    if (fit != FIT_NAME && !(fit == FIT_OTHER && same(row->record->is.address, text)))
        return true;
    const PartInfo *info = incomplete(view, NULL, NULL);
    if (!info)
        return true;
    return error_set(error, ERROR_DENIED, text, "give the id or --backend",
                     "backend %s may hold one of this name too, and has given no complete answer", info->backend);
}

bool find_cluster(const View *view, const char *text, bool for_change, const ViewRow **row, List *candidates, Error *error)
{
    *row = NULL;
    if (!*text)
        return error_set(error, ERROR_USAGE, NULL, NULL, "an empty name");
    for (Fit fit = FIT_ID; fit < FIT_COUNT; fit++) {
        List ids = {0};
        const ViewRow *first;
        size_t found = collect(view, fit, text, &first, &ids);
        bool prefix = fit == FIT_PREFIX && for_change;
        if (candidates && found > (prefix ? 0 : 1))
            for (size_t i = 0; i < ids.count; i++)
                list_add(candidates, ids.items[i]);
        list_done(&ids);
        if (found == 0)
            continue;
        if (prefix)
            return error_set(error, ERROR_NOT_FOUND, text, "give the id or the whole name",
                             "the beginning of a name is not enough for a change");
        if (found > 1)
            return ambiguous(text, found, error);
        if (for_change && !allowed(view, text, first, fit, error))
            return false;
        *row = first;
        return true;
    }
    return nothing(view, text, error);
}
