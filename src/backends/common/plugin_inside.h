/* What plugin*.c share and nobody else includes. */
#ifndef DASKTOP_BACKENDS_COMMON_PLUGIN_INSIDE_H
#define DASKTOP_BACKENDS_COMMON_PLUGIN_INSIDE_H

#include "backends/common/plugin.h"
#include "base/map.h"

#include <pthread.h>

enum { PLUGIN_CLUSTERS_MAX = 100000, PLUGIN_BYTES_MAX = 256 << 20, PLUGIN_STALL_MS = 120000, PLUGIN_HELLO_MS = 10000, PLUGIN_ITEMS_MAX = 20000 };

struct Plugin {
    atomic_uint references;
    char *where;
    Rpc *rpc;
    pthread_mutex_t lock; /* guards hello */
    PluginHello hello;
};

typedef struct PluginBackend {
    Backend backend;
    Plugin *plugin;
    char *entry_point;
    char user[64];               /* who runs dasktop */
    pthread_mutex_t discovering; /* one discover at a time: held while it runs */
    /* of the instance's thread, made when first needed: schedulers that the plugin wishes to be asked */
    Io *io;
    Prober *prober;
} PluginBackend;

/* Params: an object with what every request of this instance has; close it with json_close. */
void plugin_params(JsonWriter *json, Buffer *out, const PluginBackend *own);

/* A cluster's fields as the plugin gave them, made safe: what it may not say is unknown. They borrow from cluster; *pairs is the
 * caller's to free. */
bool plugin_fields(const PluginBackend *own, const cJSON *cluster, uint8_t can, RecordFields *fields, Pair **pairs, Error *error);

/* One discovery, cluster by cluster. */
typedef struct PluginSink {
    void (*cluster)(void *user, const RecordFields *fields);
    void *user;
} PluginSink;
bool plugin_look(PluginBackend *own, Context *context, const PluginSink *sink, Error *error);

typedef struct PluginHandle {
    Handle handle;
    PluginBackend *own;
    char *id;      /* the plugin's own part */
    Access access; /* access.host NULL: its scheduler cannot be talked to */
} PluginHandle;

static inline PluginHandle *plugin_handle(Handle *handle)
{
    return (PluginHandle *)handle;
}

/* Params that name this cluster, as every request about one does. */
void plugin_target(JsonWriter *json, Buffer *out, const PluginHandle *handle);
/* A request whose notes do not matter; params are closed and freed. missing: the plugin has no such method. */
bool plugin_ask(const PluginHandle *handle, const Context *context, const char *method, JsonWriter *json, cJSON **result, bool *missing,
                Error *error);
bool plugin_ask_show(const PluginHandle *handle, const Context *context, cJSON **result, bool *missing, Error *error);
/* Its record now. ERROR_CONFLICT where another incarnation has its id. */
Record *plugin_fresh(const PluginHandle *handle, const cJSON *cluster, Error *error);

/* Of a HandleType. */
bool plugin_plan(Handle *handle, Context *context, const Change *change, Plan **plan, Error *error);
bool plugin_apply(Handle *handle, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error);

#endif
