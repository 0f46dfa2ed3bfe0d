/* What jupyter.c and handle.c share. */
#ifndef DASKTOP_BACKENDS_JUPYTER_JUPYTER_H
#define DASKTOP_BACKENDS_JUPYTER_JUPYTER_H

#include "backends/common/access.h"
#include "backends/jupyter/rest.h"
#include "backends/jupyter/uses.h"
#include "core/backend.h"

/* One server; backend.instance is its name. */
typedef struct JupyterBackend {
    Backend backend;
    char *where;      /* for errors: "jupyter/localhost:8888"; constant, like the next three */
    char *url;        /* as the config names it; NULL: found by itself */
    Secret *token;    /* by the config; NULL */
    Tls *tls;         /* Dask's own, for schedulers at tls://; NULL */
    /* of the discovery's thread */
    Io *io;
    Prober *prober;
    bool was_there;
} JupyterBackend;

/* The server as it is now: with a new token after each of its starts. The caller's. ERROR_ABSENT: it has ended. Any thread. */
NotebookServer *jupyter_server(const JupyterBackend *own, Error *error);

/* How a cluster's scheduler is reached from here. */
typedef struct JupyterReach {
    bool comm;           /* by its own port: place */
    bool perhaps;        /* the same, but it is another host's network: only an attempt tells */
    bool proxied;        /* its pages through the server */
    DaskAddress place;
    char *http_base;     /* of its pages where there is no comm, below the server's url where they are proxied; NULL */
    const char *why;     /* there is no comm; NULL */
} JupyterReach;
void jupyter_reach(const JupyterBackend *own, const NotebookServer *server, const JupyterCluster *cluster, JupyterReach *out);
void jupyter_reach_done(JupyterReach *reach);

/* The texts behind the fields of a row. */
typedef struct JupyterRow {
    RecordFields fields;
    Buffer dashboard, type, uid, gone, how, notebooks;
    Pair labels[1];
    char user[64], host[256];
} JupyterRow;
/* facts NULL: its scheduler was not asked (yet). last: what was said of it before; NULL. */
void jupyter_row(const NotebookServer *server, const JupyterCluster *cluster, const JupyterReach *reach, const JupyterUses *uses, const ProbeFacts *facts,
                 const Record *last, JupyterRow *row);
void jupyter_row_done(JupyterRow *row);

bool jupyter_reconstruct(Backend *backend, Context *context, const Record *record, Handle **handle, Error *error);
bool jupyter_create(Backend *backend, Context *context, const Spec *spec, bool dry_run, Plan *plan, const Progress *progress, Outcome *outcome, Error *error);

#endif
