#include "base/buffer.h"

#include "base/mem.h"
#include "base/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Up to here a growing buffer wipes what it leaves behind, as a secret may stand in it; no secret is larger. */
enum { WIPE_MOST = 64 << 10 };

static char nothing[1]; /* what an empty buffer shows: never written to but with 0 */

void buffer_init(Buffer *buffer, size_t maximum)
{
    *buffer = (Buffer){.bytes = nothing, .maximum = maximum};
}

void buffer_done(Buffer *buffer)
{
    if (buffer->capacity)
        free(buffer->bytes);
    buffer_init(buffer, buffer->maximum);
}

void buffer_wipe(Buffer *buffer)
{
    if (buffer->capacity)
        secret_wipe(buffer->bytes, buffer->capacity);
    buffer_done(buffer);
}

void buffer_clear(Buffer *buffer)
{
    buffer->length = 0;
    buffer->full = false;
    if (buffer->capacity)
        buffer->bytes[0] = 0;
}

char *buffer_take(Buffer *buffer)
{
    char *text = buffer->capacity ? buffer->bytes : mem_new(1);
    buffer_init(buffer, buffer->maximum);
    return text;
}

static void grow(Buffer *buffer, size_t capacity)
{
    if (buffer->capacity && buffer->capacity <= WIPE_MOST) {
        char *larger = mem_resize(NULL, capacity, 1);
        memcpy(larger, buffer->bytes, buffer->length);
        secret_wipe(buffer->bytes, buffer->capacity);
        free(buffer->bytes);
        buffer->bytes = larger;
    } else {
        buffer->bytes = mem_resize(buffer->capacity ? buffer->bytes : NULL, capacity, 1);
    }
    buffer->capacity = capacity;
}

char *buffer_room(Buffer *buffer, size_t n)
{
    if (n > buffer->maximum || buffer->length > buffer->maximum - n) {
        buffer->full = true;
        return NULL;
    }
    size_t needed = buffer->length + n + 1;
    if (needed > buffer->capacity) {
        size_t capacity = buffer->capacity ? buffer->capacity : 64;
        while (capacity < needed)
            capacity *= 2;
        grow(buffer, capacity);
        buffer->bytes[buffer->length] = 0;
    }
    return buffer->bytes + buffer->length;
}

bool buffer_add(Buffer *buffer, const void *bytes, size_t n)
{
    if (n == 0)
        return true;
    size_t length = buffer->length;
    bool fits = n < buffer->capacity - length && n <= buffer->maximum - length; /* nearly always, and rows are made of little else */
    char *room = fits ? buffer->bytes + length : buffer_room(buffer, n);
    if (!room)
        return false;
    memcpy(room, bytes, n);
    buffer->length += n;
    buffer->bytes[buffer->length] = 0;
    return true;
}

bool buffer_text(Buffer *buffer, const char *text)
{
    return buffer_add(buffer, text, strlen(text));
}

bool buffer_char(Buffer *buffer, char c)
{
    if (buffer->length + 1 >= buffer->capacity || buffer->length >= buffer->maximum)
        return buffer_add(buffer, &c, 1);
    buffer->bytes[buffer->length++] = c;
    buffer->bytes[buffer->length] = 0;
    return true;
}

bool buffer_vformat(Buffer *buffer, const char *format, va_list args)
{
    size_t free_bytes = buffer->capacity ? buffer->capacity - buffer->length : 0; /* most fits there: what is made twice is seldom */
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(free_bytes ? buffer->bytes + buffer->length : NULL, free_bytes, format, again);
    va_end(again);
    char *room = n < 0 ? NULL : buffer_room(buffer, (size_t)n);
    if (!room) {
        if (free_bytes)
            buffer->bytes[buffer->length] = 0;
        return false;
    }
    if ((size_t)n >= free_bytes)
        vsnprintf(room, (size_t)n + 1, format, args);
    buffer->length += (size_t)n;
    return true;
}

bool buffer_format(Buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool fits = buffer_vformat(buffer, format, args);
    va_end(args);
    return fits;
}

void buffer_cut_front(Buffer *buffer, size_t n)
{
    if (n == 0)
        return;
    n = n < buffer->length ? n : buffer->length;
    if (!buffer->capacity)
        return;
    memmove(buffer->bytes, buffer->bytes + n, buffer->length - n + 1);
    buffer->length -= n;
}
