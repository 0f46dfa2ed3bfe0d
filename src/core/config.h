/* Configuration by Dask's conventions: contract section 4. Read once at start, immutable afterwards; any thread may read it. */
#ifndef DASKTOP_CORE_CONFIG_H
#define DASKTOP_CORE_CONFIG_H

#include "base/list.h"
#include "base/tree.h"

#include <stdint.h>

typedef enum KeyKind { KEY_TEXT, KEY_BOOL, KEY_INTEGER, KEY_DURATION, KEY_TEXTS, KEY_SECRET, KEY_MAP, KEY_MAPS, KEY_ANY, KEY_WORD } KeyKind;

/* One key that may stand in a map: what is checked, what help says. Tables end with a NULL name. */
typedef struct ConfigKey ConfigKey;
struct ConfigKey {
    const char *name;
    KeyKind kind;
    bool required;
    const char *standard;    /* the default, as it would be written; NULL: none */
    const char *help;
    const char *words;       /* KEY_WORD: "full|light|off" */
    const char *(*check)(const char *text); /* of each text: NULL, or what it should be ("an address"); NULL: any */
    const ConfigKey *keys;   /* KEY_MAP, KEY_MAPS (a list of them): what may stand in it; NULL: anything */
};

typedef enum Probe { PROBE_FULL, PROBE_LIGHT, PROBE_OFF } Probe;

struct BackendType;

typedef struct BackendConfig {
    char *key;                       /* "prod" */
    const struct BackendType *type;
    bool enabled, automatic;         /* automatic: no file names it, it was found by itself */
    bool read_only;                  /* its own or the whole's */
    int64_t timeout_ms, refresh_ms;
    Probe probe;
    const char *computer;            /* what -H named; NULL: a config or the machine itself told of it. Lives as long as the program */
    const Tree *options;             /* its map, checked against type->keys; may be NULL */
    const Tree *dask;                /* the whole merged document: Dask's own keys ("distributed.comm.tls") */
} BackendConfig;

typedef struct Config {
    Tree *document;                  /* everything that was read, merged */
    List problems;                   /* one line each: FILE:LINE:COLUMN: what: what to do. The commands end with 2 on any; the
                                        dashboard shows the first and goes on with what is valid */
    List files;                      /* that were read */
    bool automatic, read_only;
    bool read_only_fixed;            /* by /etc/dask: flags cannot undo it */
    int64_t refresh_ms, timeout_ms;
    struct { int64_t idle_ms, unattended_ms; } verdict;
    struct { char *currency; const Tree *prices; } cost;
    const Tree *sweep, *ui, *journal; /* their maps, checked; may be NULL */
    bool elsewhere;                  /* -H: another computer is looked at, and nothing else */
    BackendConfig *backends;         /* configured ones, then automatic ones, in the registry's order */
    size_t backend_count;
} Config;

typedef struct ConfigSources {
    const char *file;                /* --config FILE; NULL */
    bool read_only;                  /* --read-only */
    const char *computer;            /* -H [USER@]HOST: its backend alone, whatever the files say of others; NULL */
    const char *const *environment;  /* "NAME=value", NULL-terminated; NULL: the process's */
    const char *root;                /* put before /etc/dask and the like, for tests; NULL */
} ConfigSources;

/* Never fails as a whole: what is wrong stands in problems. types: the registry, NULL-terminated. */
Config *config_load(const ConfigSources *sources, const struct BackendType *const *types);
void config_free(Config *config);

/* A backend's own keys, already checked: the value, or the default of its table. */
const char *config_text(const BackendConfig *config, const char *key);          /* NULL: not set */
bool config_truth(const BackendConfig *config, const char *key);
int64_t config_integer(const BackendConfig *config, const char *key);           /* NUMBER_UNKNOWN: not set */
size_t config_texts(const BackendConfig *config, const char *key, List *out);   /* a lone text counts as a list of one */
const Tree *config_tree(const BackendConfig *config, const char *key);          /* for secrets and maps; NULL */

#endif
