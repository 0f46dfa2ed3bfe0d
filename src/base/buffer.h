/* A growing run of bytes with a maximum (curl's dynbuf is the model). Past the maximum nothing is added and `full` is set,
 * so that a caller may check once at the end. One owner, one thread. bytes[length] is always 0. */
#ifndef DASKTOP_BASE_BUFFER_H
#define DASKTOP_BASE_BUFFER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct Buffer {
    char *bytes; /* never NULL after buffer_init; "" while empty */
    size_t length, capacity, maximum;
    bool full; /* something did not fit */
} Buffer;

#define BUFFER_ANY ((size_t)-1 / 4) /* for our own text, whose size we decide */

void buffer_init(Buffer *buffer, size_t maximum);
void buffer_done(Buffer *buffer);
void buffer_wipe(Buffer *buffer);  /* overwritten before it is freed: it held a secret */
void buffer_clear(Buffer *buffer); /* empty, capacity kept */
char *buffer_take(Buffer *buffer); /* the text, now the caller's; buffer is empty as after init */
bool buffer_add(Buffer *buffer, const void *bytes, size_t n);
bool buffer_text(Buffer *buffer, const char *text);
bool buffer_char(Buffer *buffer, char c);
bool buffer_format(Buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buffer_vformat(Buffer *buffer, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
char *buffer_room(Buffer *buffer, size_t n); /* n writable bytes at the end, NULL when full; then add to length */
void buffer_cut_front(Buffer *buffer, size_t n);

#endif
