#include "base/secret.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct Secret {
    size_t length;
    char bytes[];
};

void secret_wipe(void *bytes, size_t n)
{
    memset(bytes, 0, n);
    __asm__ volatile("" : : "r"(bytes) : "memory"); /* else the compiler may leave it out before free */
}

Secret *secret_new(const char *bytes, size_t n)
{
    Secret *secret = mem_new(sizeof *secret + n + 1);
    secret->length = n;
    memcpy(secret->bytes, bytes, n);
    return secret;
}

void secret_free(Secret *secret)
{
    if (secret)
        secret_wipe(secret, sizeof *secret + secret->length);
    free(secret);
}

const char *secret_reveal(const Secret *secret)
{
    return secret->bytes;
}

size_t secret_length(const Secret *secret)
{
    return secret->length;
}
