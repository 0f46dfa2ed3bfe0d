/* TLS material that is known only in memory, as files for the Python that a route serves: where nobody else may read them, and no longer
 * than the route is open. What a dasktop left that was killed is removed by the next one that comes here. */
#ifndef DASKTOP_BACKENDS_COMMON_MATERIAL_H
#define DASKTOP_BACKENDS_COMMON_MATERIAL_H

#include "core/backend.h"
#include "io/tls.h"

/* Writes authority, certificate and key (each where there is one) and puts their paths, and their end as `close`, into the route. */
bool material_route(const Tls *tls, const char *where, Route *route, Error *error);

#endif
