/* Base64, as RFC 4648 has it. Pure; any thread. */
#ifndef DASKTOP_BASE_BASE64_H
#define DASKTOP_BASE_BASE64_H

#include "base/buffer.h"

/* Adds what text says; blanks and line breaks are passed over. False where it is not base64 or does not fit: what was added until then
 * stays (the caller wipes it where it may be secret). */
bool base64_decode(const char *text, Buffer *out);
void base64_encode(const void *bytes, size_t n, Buffer *out);

#endif
