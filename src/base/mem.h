/* Memory that cannot be refused, and the place where running out of it ends.
 *
 * For the program's own small things. What is fed from outside goes through base/buffer.h, which has a maximum and
 * reports "too big" as an error. Any thread. */
#ifndef DASKTOP_BASE_MEM_H
#define DASKTOP_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

/* n zeroed bytes (n = 0 gives a pointer that can be freed). Never NULL: see mem_on_failure. Freed with free(). */
void *mem_new(size_t n) __attribute__((malloc, returns_nonnull));

/* Room for count items of size bytes, the old content kept, the new part not cleared. Never NULL; overflow is failure. */
void *mem_resize(void *old, size_t count, size_t size) __attribute__((returns_nonnull));

/* Makes room for one more item in a growing array: doubles *capacity when used == *capacity. */
void *mem_grow(void *items, size_t used, size_t *capacity, size_t size) __attribute__((returns_nonnull));

/* A copy of text, owned by the caller; NULL gives NULL. mem_text_n copies at most n bytes and ends them with 0. */
char *mem_text(const char *text);
char *mem_text_n(const char *text, size_t n);

/* Texts one after another, up to a NULL; the caller's. What rows are made of: formatting costs several times as much. */
char *mem_join(const char *first, ...) __attribute__((sentinel, malloc, returns_nonnull));

/* A formatted copy, owned by the caller. */
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));
char *mem_vformat(const char *format, va_list args) __attribute__((format(printf, 1, 0), malloc, returns_nonnull));

/* What runs when memory is refused, before the program says so on standard error and ends with status 1: the user
 * interface restores the terminal there. Set once, before threads start. */
void mem_on_failure(void (*restore)(void));

#endif
