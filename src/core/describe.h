/* What reconstructing a cluster found: the answer of Handle.show. Built by a backend with the functions below (strings are
 * sanitised there), owned by the caller, not shared between threads. Unknown numbers as in core/record.h. */
#ifndef DASKTOP_CORE_DESCRIBE_H
#define DASKTOP_CORE_DESCRIBE_H

#include "base/list.h"
#include "core/record.h"

typedef struct DescribedWorker {
    char *name, *address, *host, *nanny, *status, *group;
    char *resource;       /* identity of the process, pod or job that it runs in; NULL */
    int64_t threads, memory_limit, memory, spilled, processing, stored, pid;
    double cpu;           /* per cent of one core; NAN */
    int64_t last_seen_ms;
} DescribedWorker;

typedef struct DescribedResource {
    char *kind, *name, *uid, *status;
    int parent;           /* index of what it hangs below in the tree; -1: of the cluster itself */
} DescribedResource;

typedef struct DescribedPrefix {
    char *name;
    int64_t waiting, processing, stored, erred, released;
} DescribedPrefix;

typedef struct Description {
    Record *record;                /* as show found it now; counted */
    DescribedWorker *workers;
    size_t worker_count, worker_capacity;
    DescribedResource *resources;
    size_t resource_count, resource_capacity;
    DescribedPrefix *prefixes;
    size_t prefix_count, prefix_capacity;
    List found, lost;              /* sentences: what was reconstructed, what is lost with the process that made it, and why */
    List worker_spec;              /* the spec of one more worker, "key: value" lines or a command line; empty: not known */
    char *route;                   /* in words: "direct", "through ssh login1", "none: …" */
    char *workers_note;            /* why workers are not listed, where they are not */
    int64_t client_left_ms;        /* when the last client went; TIME_UNKNOWN */
} Description;

Description *description_new(void);
void description_free(Description *description);
DescribedWorker *description_worker(Description *description, const char *name, const char *address);
void description_text(char **field, const char *text); /* sets one of the char * fields above: sanitised copy */
DescribedResource *description_resource(Description *description, const char *kind, const char *name, const char *uid,
                                        const char *status, int parent);
DescribedPrefix *description_prefix(Description *description, const char *name);
void description_found(Description *description, const char *format, ...) __attribute__((format(printf, 2, 3)));
void description_lost(Description *description, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
