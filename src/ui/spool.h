/* Log lines on their way to the screen: a ring with a bound on its bytes. The oldest lines make room, and are counted.
 * Filled by the log's thread, read by the UI's; one lock inside. Lines have numbers that only grow: line n is there while
 * spool_first <= n < spool_end. */
#ifndef DASKTOP_UI_SPOOL_H
#define DASKTOP_UI_SPOOL_H

#include "core/logs.h"

#include <stdatomic.h>

typedef struct Spool Spool;

enum { SPOOL_LEVEL = 12 };

typedef struct SpoolLine {
    uint64_t number;
    int64_t time_ms;
    int component;          /* index for spool_component */
    char level[SPOOL_LEVEL];
    bool note;
    const char *text;       /* in the buffer that was given */
    const char *message;    /* its part behind time, logger and level */
} SpoolLine;

Spool *spool_new(size_t most_bytes);
void spool_free(Spool *spool);
void spool_add(Spool *spool, const LogLine *line);
void spool_range(Spool *spool, uint64_t *first, uint64_t *end); /* dropped = first */
/* Copies a line out; false where it is gone. text holds the line's bytes. */
bool spool_get(Spool *spool, uint64_t number, SpoolLine *line, Buffer *text);
size_t spool_components(Spool *spool);
/* The name, copied; "" where there is none. */
void spool_component(Spool *spool, int component, char out[64]);

#endif
