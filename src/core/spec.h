/* dask-ctl's cluster specification, version 1: {version: 1, module: …, class: …, args: […], kwargs: {…}}; or an object as kubectl takes it
 * ({apiVersion: …, kind: …}: they are module and class, the document is the rest).
 * Checked before anything is made; errors name file, line and column. Owned by the caller; one thread. */
#ifndef DASKTOP_CORE_SPEC_H
#define DASKTOP_CORE_SPEC_H

#include "base/tree.h"

#include <stdint.h>

typedef struct Spec {
    Tree *document;
    const char *module, *class_name; /* borrowed from the document */
    const Tree *args, *kwargs;       /* may be NULL */
    char *name;                      /* --name, else kwargs.name, else NULL */
    int64_t workers;                 /* --workers, else kwargs.n_workers, else NUMBER_UNKNOWN */
} Spec;

/* path NULL: a spec of the backend's own defaults (document is an empty map, module and class NULL). */
bool spec_read(const char *path, const char *name, int64_t workers, Spec *spec, Error *error);
void spec_done(Spec *spec);
/* "module:Class" is in the list (also by the class's last word: "distributed:LocalCluster" = "dask.distributed:LocalCluster"). */
bool spec_is(const Spec *spec, const char *const *classes);
/* The list takes every class ("*"): asked where no other backend takes the spec's own. */
bool spec_is_any(const char *const *classes);

#endif
