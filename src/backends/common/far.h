/* The census of another computer: what census_take reads here from sockets and /proc, read there by one script in one call, by what a POSIX
 * system has (ss where it is there, else /proc/net/tcp). Only processes and sockets of the user that we are there. Of an environment nothing
 * is sent but whether it has Dask's mark, of a kernel's connection file only its notebook, of a scheduler file only the address. Linux there.
 * Any thread. */
#ifndef DASKTOP_BACKENDS_COMMON_FAR_H
#define DASKTOP_BACKENDS_COMMON_FAR_H

#include "backends/common/census.h"
#include "backends/common/host.h"

/* ERROR_UNSUPPORTED: it has no /proc. out->computer lives as long as the census, which is ended by census_done. */
bool far_census(Host *host, Io *io, const Context *context, Census *out, Error *error);

/* Pure, for tests and the fuzzer: the script's answer; asked_ms: our clock in the middle of the call. False: it is cut or none. */
bool far_parse(const char *bytes, size_t n, const char *nonce, int64_t asked_ms, Census *out);
/* The script; nonce: letters and digits that nobody else knows. */
void far_script(const char *nonce, Buffer *out);

#endif
