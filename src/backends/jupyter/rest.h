/* What Dask's JupyterLab extension answers (dask-labextension 7.0 as seen): GET, PUT, PATCH, DELETE dask/clusters. Any thread, each call with an Io
 * of its caller's. */
#ifndef DASKTOP_BACKENDS_JUPYTER_REST_H
#define DASKTOP_BACKENDS_JUPYTER_REST_H

#include "backends/common/notebooks.h"

typedef struct JupyterCluster {
    char *id;          /* as the server says it; one segment of a path */
    char *name;        /* "LocalCluster 1" */
    char *address;     /* of its scheduler, as the server's host sees it; NULL */
    char *dashboard;   /* likewise; NULL */
    int64_t workers, threads;
    int adaptive;      /* 1 with the two limits, 0, -1 */
    int64_t minimum, maximum;
} JupyterCluster;
void jupyter_cluster_done(JupyterCluster *cluster);

typedef struct JupyterClusters {
    JupyterCluster *items;
    size_t count, capacity;
} JupyterClusters;
void jupyter_clusters_done(JupyterClusters *list);
/* An answer that lists them, or is one of them. Pure. What has no id that can be asked for is left out. */
bool jupyter_decode(const char *bytes, size_t n, const char *where, bool one, JupyterClusters *out, Error *error);

/* A server without the extension has none; *extension says which it is. */
bool jupyter_list(const NotebookServer *server, const char *where, Io *io, const Context *context, JupyterClusters *out, bool *extension, Error *error);
bool jupyter_get(const NotebookServer *server, const char *where, Io *io, const Context *context, const char *id, JupyterCluster *out, Error *error);

/* It answers with the counts of before: they are waited for by jupyter_get. */
bool jupyter_scale(const NotebookServer *server, const char *where, Io *io, const Context *context, const char *id, int64_t workers, Error *error);
bool jupyter_adapt(const NotebookServer *server, const char *where, Io *io, const Context *context, const char *id, int64_t minimum, int64_t maximum,
                   Error *error);
/* Answers when it is closed, which may take a minute. ERROR_NOT_FOUND too. */
bool jupyter_close(const NotebookServer *server, const char *where, Io *io, const Context *context, const char *id, Error *error);
/* Answers when it is up. */
bool jupyter_make(const NotebookServer *server, const char *where, Io *io, const Context *context, JupyterCluster *out, Error *error);

/* Its scheduler's own pages are reached through the server: below this, which lies below the server's url; the caller's. */
char *jupyter_pages(const char *id);

#endif
