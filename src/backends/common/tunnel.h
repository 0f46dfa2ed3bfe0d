/* A route through another computer: ports of this one's loopback that lead to a scheduler and its dashboard as they are seen from there, held
 * open until the route is closed or the connection is lost. Any thread that may wait. */
#ifndef DASKTOP_BACKENDS_COMMON_TUNNEL_H
#define DASKTOP_BACKENDS_COMMON_TUNNEL_H

#include "backends/common/access.h"
#include "backends/common/host.h"

/* Without a port in `wish` it is the number that it has there where that is free here, else any. */
bool tunnel_route(Host *host, const Access *access, const Record *record, const Context *context, const RouteWish *wish, Route *out, Error *error);
/* The connect line that must run stands in it. config: of the backend that leads there. */
bool tunnel_snippet(const Host *host, const Access *access, const Record *record, const BackendConfig *config, Buffer *out, Error *error);

#endif
