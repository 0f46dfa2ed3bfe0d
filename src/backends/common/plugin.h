/* A backend that is another program, spoken with by the plugin protocol (contract, section 3): what `exec` and `python` share.
 *
 * A Plugin is one child; instances of a backend hold it counted (the Python helper serves each entry point as an instance). What
 * it says is a stranger's: fields of a wrong type are unknown, limits are the contract's, text is sanitised when a record is built. */
#ifndef DASKTOP_BACKENDS_COMMON_PLUGIN_H
#define DASKTOP_BACKENDS_COMMON_PLUGIN_H

#include "backends/common/access.h"
#include "io/rpc.h"

typedef struct Plugin Plugin;

typedef struct PluginSpec {
    const char *where;         /* the config key */
    const List *command;
    const List *variables;     /* names of what it inherits of the environment beside the contract's; NULL: all of it */
    const char *directory;     /* NULL */
    const void *preamble;      /* see RpcSpec */
    size_t preamble_length;
    const Tree *config;        /* for hello; NULL: {} */
    const List *entry_points;  /* names, put into hello's config; NULL */
} PluginSpec;

/* Starts nothing yet. One reference. */
Plugin *plugin_new(const PluginSpec *spec, Error *error);
Plugin *plugin_keep(Plugin *plugin);
void plugin_drop(Plugin *plugin); /* ends it with the last; NULL is allowed */

/* What it said of itself; before hello all unknown. A copy: free the texts. */
typedef struct PluginHello {
    char *name, *version;
    uint8_t can;     /* bits 1 << Capability */
    bool watch;
    bool probe;      /* it wishes that dasktop asks the schedulers whose addresses it names */
} PluginHello;
bool plugin_hello(Plugin *plugin, Context *context, PluginHello *hello, Error *error); /* waits for it */
void plugin_hello_done(PluginHello *hello);

/* An instance; made by the backend's open, embedded nowhere. entry_point: NULL, or put into each request. */
Backend *plugin_backend_new(const BackendConfig *config, Plugin *plugin, const char *instance, const char *entry_point);

/* The functions of a BackendType whose instances were made by plugin_backend_new. */
bool plugin_discover(Backend *backend, Context *context, Sink *sink, Error *error);
bool plugin_watch(Backend *backend, Context *context, Sink *sink, Error *error);
bool plugin_rest(Backend *backend, const Context *context, int wake_fd);
bool plugin_create(Backend *backend, Context *context, const Spec *spec, bool dry_run, Plan *plan, const Progress *progress, Outcome *outcome,
                   Error *error);
bool plugin_reconstruct(Backend *backend, Context *context, const Record *record, Handle **handle, Error *error);
void plugin_close(Backend *backend);

/* Goes through the protocol with a child of its own, changing nothing: hello, discover, show, plan, unknown things, cancel, the end. */
bool plugin_inspect(const PluginSpec *spec, Context *context, const Inspection *inspection, Error *error);

#endif
