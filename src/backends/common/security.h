/* TLS material for schedulers: a backend's own `tls: {ca-file, cert, key}`, else Dask's `distributed.comm.tls`. */
#ifndef DASKTOP_BACKENDS_COMMON_SECURITY_H
#define DASKTOP_BACKENDS_COMMON_SECURITY_H

#include "core/config.h"
#include "io/tls.h"

extern const ConfigKey security_keys[]; /* of the map `tls` */

/* *tls NULL: nothing is configured. False: what is configured cannot be read. Dask's certificates name no host: none is checked. */
bool security_read(const BackendConfig *config, Tls **tls, Error *error);

#endif
