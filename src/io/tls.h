/* TLS material, as bytes: read once, wiped at the end, shared by counting. Any thread. */
#ifndef DASKTOP_IO_TLS_H
#define DASKTOP_IO_TLS_H

#include "base/error.h"
#include "base/secret.h"

typedef struct Tls {
    Secret *ca, *cert, *key;             /* PEM; NULL: not given. An encrypted key is refused when it is read */
    char *ca_file, *cert_file, *key_file; /* paths where they came from files, for `connect` and snippets; NULL */
    bool verify_host;                    /* Dask's own certificates name no host: false for schedulers. True when it is new */
    bool insecure;                       /* config says so for this backend; the screen says it all the time */
} Tls;

Tls *tls_read(const char *ca_file, const char *cert_file, const char *key_file, Error *error); /* NULL paths are left out */
Tls *tls_from_bytes(const char *ca, const char *cert, const char *key, Error *error);
Tls *tls_keep(Tls *tls);
void tls_drop(Tls *tls);

#endif
