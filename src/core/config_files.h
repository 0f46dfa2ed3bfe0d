/* Dask's places and merge rules (dask.config.collect): files, the environment, --config FILE. Internal to core's config. */
#ifndef DASKTOP_CORE_CONFIG_FILES_H
#define DASKTOP_CORE_CONFIG_FILES_H

#include "core/config.h"

/* Everything merged into one map, never NULL. root_only: a copy of what the system's own directory (/etc/dask) says, for what
 * later files cannot undo; the caller's. Files that cannot be parsed are lines in problems. */
Tree *config_collect(const ConfigSources *sources, Tree **root_only, List *files, List *problems);

#endif
