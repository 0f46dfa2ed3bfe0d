/* Checking a map of the config against a table of keys: one line for each thing that is wrong. Internal to core's config. */
#ifndef DASKTOP_CORE_CONFIG_CHECK_H
#define DASKTOP_CORE_CONFIG_CHECK_H

#include "core/config.h"

/* Adds "FILE:LINE:COLUMN: what: what to do" for unknown keys, wrong types and bad values; wrong items are removed from the map, so
 * that what is left is valid. `common` may be NULL. what names the map in messages: "dasktop", "backend prod". */
void config_check(Tree *map, const ConfigKey *keys, const ConfigKey *common, const char *what, List *problems);
void config_problem(List *problems, const Tree *tree, const char *hint, const char *format, ...) __attribute__((format(printf, 4, 5)));
const ConfigKey *config_key(const ConfigKey *keys, const char *name);
/* The nearest of the names, NULL where none is near: "did you mean". */
const char *config_nearest(const ConfigKey *keys, const ConfigKey *common, const char *name);

#endif
