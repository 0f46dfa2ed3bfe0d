/* The one sanitiser: what comes out is clean, valid, bounded, and stays as it is when it goes in again. */
#include "base/text.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t max = size ? data[0] * 5u : 0;
    Buffer out, again;
    buffer_init(&out, BUFFER_ANY);
    buffer_init(&again, BUFFER_ANY);
    text_clean(&out, (const char *)data, size, max);
    assert(out.length <= max && text_is_clean(out.bytes, out.length));
    assert(!memchr(out.bytes, 27, out.length) && !memchr(out.bytes, 0, out.length));
    text_clean(&again, out.bytes, out.length, max);
    assert(again.length == out.length && memcmp(again.bytes, out.bytes, out.length) == 0);
    int cells = size > 1 ? data[1] % 100 : 10, used;
    buffer_clear(&again);
    text_pad(&again, out.bytes, cells, size > 2 && data[2] & 1, false);
    assert(text_width(again.bytes) == cells);
    assert(text_fit(out.bytes, cells, &used) <= out.length && used <= cells);
    char *escaped = text_escaped(out.bytes);
    assert(text_is_ascii(escaped));
    free(escaped);
    buffer_clear(&again);
    text_percent(&again, out.bytes, true);
    text_contains(out.bytes, "a");
    text_glob("*a?b*", out.bytes);
    buffer_done(&out);
    buffer_done(&again);
    return 0;
}
