/* A Python environment, looked at from outside: which interpreter, and what its installed packages announce. Reads directories and
 * small files, starts nothing; a few milliseconds for hundreds of packages. Any thread. */
#ifndef DASKTOP_BACKENDS_PYTHON_ENVIRONMENT_H
#define DASKTOP_BACKENDS_PYTHON_ENVIRONMENT_H

#include "base/error.h"
#include "base/list.h"

#include <stdbool.h>

typedef struct Environment {
    char *python;        /* path of its interpreter */
    List entry_points;   /* names in the group dask_cluster_discovery, without dasktop's own, each once */
    bool has_distributed;
} Environment;

/* given: the config's path (of the interpreter or of the environment); NULL: $VIRTUAL_ENV, $CONDA_PREFIX, else python3 of PATH.
 * ERROR_ABSENT where there is none. */
bool environment_read(const char *given, Environment *environment, Error *error);
void environment_done(Environment *environment);

/* The names of one group in an entry_points.txt; for tests. */
void environment_names(const char *text, size_t n, const char *group, List *names);

#endif
