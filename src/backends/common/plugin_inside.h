/* What plugin*.c share and nobody else includes. */
#ifndef DASKTOP_BACKENDS_COMMON_PLUGIN_INSIDE_H
#define DASKTOP_BACKENDS_COMMON_PLUGIN_INSIDE_H

#include "backends/common/plugin.h"
#include "base/map.h"

#include <pthread.h>

enum { PLUGIN_CLUSTERS_MAX = 100000, PLUGIN_BYTES_MAX = 256 << 20, PLUGIN_STALL_MS = 120000, PLUGIN_HELLO_MS = 10000 };

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

#endif
