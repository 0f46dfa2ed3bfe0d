/* Log lines on their way from a backend to a reader: sanitised, merged by time, bounded.
 *
 * The backend's thread fills it as a LogSink; lines that were there at the start are sorted by time over all components (a line
 * without a time stays behind the one before it of its component) and come out when the backend has caught up; what follows is
 * held for 200 ms at most, so that components interleave rightly. Output goes to `emit`, on the backend's thread. */
#ifndef DASKTOP_CORE_LOGS_H
#define DASKTOP_CORE_LOGS_H

#include "core/backend.h"

typedef struct LogLine {
    const char *component; /* sanitised; "" for notes about all */
    int64_t time_ms;       /* TIME_UNKNOWN */
    const char *level;     /* "INFO"…, NULL */
    const char *text;      /* sanitised; escape sequences of colour dropped */
    const char *message;   /* the part of text behind Dask's "time - logger - LEVEL - "; text itself where there is none */
    bool note;             /* said by dasktop, not by the component: dropped lines, no log */
} LogLine;

typedef struct Logs Logs;
Logs *logs_new(size_t most_bytes_held, void (*emit)(void *user, const LogLine *line), void *user);
const LogSink *logs_sink(Logs *logs);
void logs_flush(Logs *logs); /* gives out what is held; before logs_free */
void logs_free(Logs *logs);
/* "…- distributed.core - INFO - text" of Dask: finds level and time; tolerant. Borrowed pieces; any may be NULL or unknown. */
void logs_parse(const char *text, size_t n, int64_t *time_ms, char level[12]);

#endif
