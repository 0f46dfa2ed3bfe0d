#include "core/describe.h"

#include "base/mem.h"
#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

Description *description_new(void)
{
    Description *description = mem_new(sizeof *description);
    description->client_left_ms = TIME_UNKNOWN;
    return description;
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
}

void description_free(Description *description)
{
    if (!description)
        return;
    for (size_t i = 0; i < description->worker_count; i++) {
        DescribedWorker *w = &description->workers[i];
        char *texts[] = {w->name, w->address, w->host, w->nanny, w->status, w->group, w->resource};
        free_texts(texts, sizeof texts / sizeof *texts);
    }
    for (size_t i = 0; i < description->resource_count; i++) {
        DescribedResource *r = &description->resources[i];
        char *texts[] = {r->kind, r->name, r->uid, r->status};
        free_texts(texts, sizeof texts / sizeof *texts);
    }
    for (size_t i = 0; i < description->prefix_count; i++)
        free(description->prefixes[i].name);
    free(description->workers);
    free(description->resources);
    free(description->prefixes);
    list_done(&description->found);
    list_done(&description->lost);
    list_done(&description->worker_spec);
    free(description->route);
    free(description->workers_note);
    record_drop(description->record);
    free(description);
}

void description_text(char **field, const char *text)
{
    char *cleaned = text ? text_clean_new(text, strlen(text), TEXT_LINE_MAX) : NULL;
    free(*field);
    *field = cleaned;
}

DescribedWorker *description_worker(Description *description, const char *name, const char *address)
{
    description->workers = mem_grow(description->workers, description->worker_count, &description->worker_capacity, sizeof *description->workers);
    DescribedWorker *worker = &description->workers[description->worker_count++];
    *worker = (DescribedWorker){
        .threads = NUMBER_UNKNOWN, .memory_limit = NUMBER_UNKNOWN, .memory = NUMBER_UNKNOWN, .spilled = NUMBER_UNKNOWN,
        .processing = NUMBER_UNKNOWN, .stored = NUMBER_UNKNOWN, .pid = NUMBER_UNKNOWN, .cpu = NAN, .last_seen_ms = TIME_UNKNOWN,
    };
    description_text(&worker->name, name);
    description_text(&worker->address, address);
    return worker;
}

DescribedResource *description_resource(Description *description, const char *kind, const char *name, const char *uid,
                                        const char *status, int parent)
{
    description->resources =
        mem_grow(description->resources, description->resource_count, &description->resource_capacity, sizeof *description->resources);
    DescribedResource *resource = &description->resources[description->resource_count++];
    *resource = (DescribedResource){.parent = parent};
    description_text(&resource->kind, kind);
    description_text(&resource->name, name);
    description_text(&resource->uid, uid);
    description_text(&resource->status, status);
    return resource;
}

DescribedPrefix *description_prefix(Description *description, const char *name)
{
    description->prefixes =
        mem_grow(description->prefixes, description->prefix_count, &description->prefix_capacity, sizeof *description->prefixes);
    DescribedPrefix *prefix = &description->prefixes[description->prefix_count++];
    *prefix = (DescribedPrefix){.waiting = NUMBER_UNKNOWN, .processing = NUMBER_UNKNOWN, .stored = NUMBER_UNKNOWN,
                                .erred = NUMBER_UNKNOWN, .released = NUMBER_UNKNOWN};
    description_text(&prefix->name, name);
    return prefix;
}

static void __attribute__((format(printf, 2, 0))) add_sentence(List *list, const char *format, va_list args)
{
    char *raw = mem_vformat(format, args);
    list_take(list, text_clean_new(raw, strlen(raw), TEXT_LINE_MAX));
    free(raw);
}

void description_found(Description *description, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_sentence(&description->found, format, args);
    va_end(args);
}

void description_lost(Description *description, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_sentence(&description->lost, format, args);
    va_end(args);
}
