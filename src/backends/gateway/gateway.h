/* What gateway.c, handle.c and create.c share. */
#ifndef DASKTOP_BACKENDS_GATEWAY_GATEWAY_H
#define DASKTOP_BACKENDS_GATEWAY_GATEWAY_H

#include "backends/common/access.h"
#include "backends/gateway/rest.h"
#include "core/backend.h"

typedef struct GatewayBackend {
    Backend backend;
    Gateway *gateway; /* constant: any thread */
    /* of the discovery's thread */
    Io *io;
    Prober *prober;
} GatewayBackend;

/* The row of a cluster; facts NULL: its scheduler was not asked (yet). The dashboard's buffer lives as long as the fields. */
void gateway_row(const GatewayBackend *own, const GatewayCluster *cluster, const ProbeFacts *facts, Buffer *dashboard, RecordFields *fields);

bool gateway_reconstruct(Backend *backend, Context *context, const Record *record, Handle **handle, Error *error);
bool gateway_create(Backend *backend, Context *context, const Spec *spec, bool dry_run, Plan *plan, const Progress *progress, Outcome *outcome, Error *error);
extern const char *const gateway_creates[];

/* Waits until its scheduler has that many workers; also where they become fewer. */
bool gateway_wait_workers(const Access *access, const Context *context, int64_t wanted, const Progress *progress, Outcome *outcome, Error *error);
/* A way to its scheduler through the proxy; NULL unless it runs. Freed by access_done and free. */
Access *gateway_access(const GatewayBackend *own, const GatewayCluster *cluster, const char *where);

#endif
