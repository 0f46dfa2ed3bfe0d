/* What the tests of the backends share. Include it before cmocka's own header. */
#ifndef DASKTOP_TESTS_BACKENDS_MAKE_H
#define DASKTOP_TESTS_BACKENDS_MAKE_H

#include "base/buffer.h"
#include "base/file.h"
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* "a|b|c" as a list. */
static inline List split(const char *text, char separator)
{
    List list = {0};
    char one[4096];
    while (*text) {
        const char *end = strchr(text, separator);
        size_t n = end ? (size_t)(end - text) : strlen(text);
        snprintf(one, sizeof one, "%.*s", (int)n, text);
        list_add(&list, one);
        text += n + (end != NULL);
    }
    return list;
}

static inline Buffer capture(const char *name)
{
    char path[1024];
    Buffer bytes;
    Error error = {0};
    buffer_init(&bytes, 1 << 20);
    snprintf(path, sizeof path, TESTS_DIR "/captures/%s", name);
    if (!file_read(path, &bytes, &error))
        fail_msg("%s: %s", path, error.what);
    return bytes;
}

#endif
