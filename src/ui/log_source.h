/* Where log lines lie: a file that others write (read in place, never copied, never mapped), or our own spool for what comes through a
 * connection: a ring in an unlinked file (0600) whose oldest lines make room for new ones, and are counted.
 *
 * Both are runs of bytes with offsets that only grow; bytes [first, end) are there. One thread adds to a spool or looks at a file's
 * growth; any thread reads. Counted: every holder drops it. */
#ifndef DASKTOP_UI_LOG_SOURCE_H
#define DASKTOP_UI_LOG_SOURCE_H

#include "base/error.h"
#include "core/logs.h"

typedef struct LogSource LogSource;

enum { LOG_BLOCK = 128 << 10, LOG_LINE_MAX = 4 << 20, LOG_LEVEL = 12, LOG_HEADER = 18 };

/* fd is duplicated. */
LogSource *log_source_file(int fd, const char *path, int component, Error *error);
/* A ring of about most_bytes, in the cache directory (else the state's, else /tmp, else a small one in memory). */
LogSource *log_source_spool(size_t most_bytes, Error *error);
LogSource *log_source_keep(LogSource *source);
void log_source_drop(LogSource *source);

/* Adds a line to a spool. */
void log_source_add(LogSource *source, int component, const LogLine *line);

typedef enum LogChange { LOG_SAME, LOG_GREW, LOG_REPLACED } LogChange;
/* A file: what has become of it. Replaced: it was cut short or written anew, and everything known of it is void. */
LogChange log_source_look(LogSource *source);
/* Another file has its name now (rotation); its descriptor, the caller's; -1: no. This one is read on to its end. */
int log_source_rotated(LogSource *source);

bool log_source_is_spool(const LogSource *source);
int log_source_fd(const LogSource *source);
const char *log_source_path(const LogSource *source); /* NULL: a spool */
int log_source_component(const LogSource *source);    /* of a file */
int64_t log_source_changed_ms(LogSource *source); /* of a file: when it was last written */
uint64_t log_source_first(LogSource *source);
uint64_t log_source_end(LogSource *source);
uint64_t log_source_dropped(LogSource *source);       /* lines that made room, or went when a file was cut short: at least so many */
/* Bytes read, fewer only at the end, where they are gone, or on an error. */
size_t log_source_read(LogSource *source, uint64_t at, char *out, size_t n);

/* What stands in front of a line of a spool. */
typedef struct LogHead {
    int64_t sort_ms, time_ms; /* TIME_UNKNOWN */
    int component;
    char level[LOG_LEVEL];
    bool note;
} LogHead;
/* line: LOG_HEADER bytes at least. */
void log_source_head(LogSource *source, const char *line, LogHead *head);

#endif
