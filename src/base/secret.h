/* A secret text: never formatted, never logged, wiped when freed. Any thread may read it; one owner frees it. */
#ifndef DASKTOP_BASE_SECRET_H
#define DASKTOP_BASE_SECRET_H

#include <stddef.h>

typedef struct Secret Secret;

Secret *secret_new(const char *bytes, size_t n); /* copied; the caller wipes its own */
void secret_free(Secret *secret);
const char *secret_reveal(const Secret *secret); /* only where it is handed to the system that asked for it */
size_t secret_length(const Secret *secret);
void secret_wipe(void *bytes, size_t n); /* not optimised away */

#endif
