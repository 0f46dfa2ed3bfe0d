/* Log lines on their way from a backend to a reader: sanitised, merged by time, bounded.
 *
 * The backend's thread fills it as a LogSink; lines that were there at the start are sorted by time over all components (a line
 * without a time stays behind the one before it of its component) and come out when the backend has caught up; what follows is
 * held for 20 ms at most, so that components interleave rightly. Output goes to `emit`, on the backend's thread. */
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
    const char *raw;       /* as it came, its colours too: for who sanitises it when it is shown; notes are clean */
    size_t raw_length;
    int64_t sort_ms;       /* its place in time: time_ms, else that of the line before it; TIME_UNKNOWN */
} LogLine;

typedef struct Logs Logs;
Logs *logs_new(size_t most_bytes_held, void (*emit)(void *user, const LogLine *line), void *user);
const LogSink *logs_sink(Logs *logs);
/* Only raw is wanted: text and message are NULL from now on, which saves most of the work. */
void logs_only_raw(Logs *logs);
void logs_flush(Logs *logs); /* gives out what is held; before logs_free */
void logs_free(Logs *logs);
/* "…- distributed.core - INFO - text" of Dask: finds level and time; tolerant. Borrowed pieces; any may be NULL or unknown. */
void logs_parse(const char *text, size_t n, int64_t *time_ms, char level[12]);
/* The same; returns the length of all that stands in front of the message, 0 where there is no such prefix. */
size_t logs_prefix(const char *text, size_t n, int64_t *time_ms, char level[12]);
/* Bytes of a colour sequence (ESC [ … m) at the beginning of text; 0: there is none. */
size_t logs_colour(const char *text, size_t n);

#endif
