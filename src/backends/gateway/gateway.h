/* What gateway.c, handle.c and create.c share. */
#ifndef DASKTOP_BACKENDS_GATEWAY_GATEWAY_H
#define DASKTOP_BACKENDS_GATEWAY_GATEWAY_H

#include "backends/common/access.h"
#include "backends/gateway/rest.h"
#include "core/backend.h"

typedef struct GatewayBackend {
    Backend backend;
    Gateway *gateway; /* any thread */
    ProbeHttp http;   /* to dashboards below it; constant */
    _Atomic int64_t ahead_ms; /* of the gateway's clock */
    /* of the discovery's thread */
    Io *io;
    Prober *prober;
} GatewayBackend;

/* The row of a cluster; facts NULL: its scheduler was not asked (yet). The dashboard's buffer lives as long as the fields. */
void gateway_row(const GatewayBackend *own, const GatewayCluster *cluster, const ProbeFacts *facts, Buffer *dashboard, RecordFields *fields);

/* Why its scheduler cannot be asked; of one that runs, where it has no way to it. */
const char *gateway_not_running(const GatewayCluster *cluster);

bool gateway_reconstruct(Backend *backend, Context *context, const Record *record, Handle **handle, Error *error);
bool gateway_create(Backend *backend, Context *context, const Spec *spec, bool dry_run, Plan *plan, const Progress *progress, Outcome *outcome, Error *error);
extern const char *const gateway_creates[];

/* {"count": N}, the caller's; the request (verb: "scale", "adapt") which takes long where the scheduler does; waiting until its scheduler has
 * that many workers, or as many as the gateway's limit, which the request found, allows. */
char *gateway_scale_body(int64_t workers);
bool gateway_scale(const Gateway *gateway, Io *io, const Context *context, const char *name, const char *verb, const char *body, Outcome *outcome, Error *error);
bool gateway_wait(const Access *access, const Context *context, int64_t wanted, const Progress *progress, Outcome *outcome, Error *error);
/* A way to its scheduler through the proxy; NULL unless it runs. Freed by access_done and free. */
Access *gateway_access(const GatewayBackend *own, const GatewayCluster *cluster, const char *where);

#endif
