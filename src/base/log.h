/* dasktop's own log: what backends said on standard error, retries, drops. Kept in a bounded ring in memory (the backends
 * view shows it) and appended to $DASKTOP_LOG where that is set. Every line is sanitised; secrets are never given to it.
 * Any thread; one lock inside. */
#ifndef DASKTOP_BASE_LOG_H
#define DASKTOP_BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

void log_line(const char *where, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Calls line() with the newest at most n lines, oldest first, under the lock: copy and return. */
void log_each(size_t n, void (*line)(void *user, int64_t wall_ms, const char *where, const char *text), void *user);

#endif
