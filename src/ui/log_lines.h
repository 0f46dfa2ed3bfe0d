/* The lines of one source, by a sparse index: for each block of bytes only how many lines begin there, so ten million lines take 40 kB.
 * Which those are is found again by reading the block. All lines, or those of one component that fit a pattern.
 *
 * Blocks are counted from the end backwards, in slices, so the end can be read at once whatever the size. One thread. */
#ifndef DASKTOP_UI_LOG_LINES_H
#define DASKTOP_UI_LOG_LINES_H

#include "ui/log_pattern.h"
#include "ui/log_source.h"

#include "base/buffer.h"

enum { LOG_PATTERNS = 2 };

/* Which lines; patterns are borrowed. */
typedef struct LogNarrow {
    int component; /* -1: all */
    LogPattern *patterns[LOG_PATTERNS]; /* NULL: none; all of them must fit */
} LogNarrow;

/* The lines that begin in one block. */
typedef struct LogBlock {
    uint64_t index, begin; /* begin: its first byte */
    bool loaded;
    uint32_t *starts;      /* offsets in the block, ascending */
    size_t count, capacity;
} LogBlock;

/* Room to read blocks into, that all of a thread share. */
typedef struct LogScratch {
    Buffer bytes, plain;
} LogScratch;
void log_scratch_init(LogScratch *scratch);
void log_scratch_done(LogScratch *scratch);

typedef struct LogLines {
    LogSource *source;  /* counted */
    LogScratch *scratch; /* borrowed */
    LogNarrow narrow;
    bool is_narrow;
    uint64_t floor;     /* nothing before is looked at */
    uint64_t first, end; /* bytes that are known of */
    uint64_t base;      /* block of counts[0] */
    uint32_t *counts;
    size_t capacity;
    uint64_t low, high; /* blocks [low, high) are counted */
    uint64_t sum;       /* lines in them */
    LogBlock cache[2];
    int newest;         /* of the cache */
} LogLines;

/* narrow NULL: all */
void log_lines_init(LogLines *lines, LogSource *source, const LogNarrow *narrow, uint64_t floor, LogScratch *scratch);
void log_lines_done(LogLines *lines);
void log_lines_forget(LogLines *lines); /* its source was replaced */
/* Takes in what came and counts on, until the monotonic time in µs; true: there is more to do. */
bool log_lines_turn(LogLines *lines, int64_t until_us);
void log_lines_take(LogLines *lines); /* the first half of it */
bool log_lines_complete(const LogLines *lines);
/* Bytes that came and are not counted yet. */
uint64_t log_lines_behind(const LogLines *lines);

/* The first line that begins at or behind `at`; the last one before it. Narrow ones only within what is counted. */
bool log_lines_next(LogLines *lines, uint64_t at, uint64_t *start);
bool log_lines_before(LogLines *lines, uint64_t at, uint64_t *start);
/* How many lines begin before `at`: right when it is complete. */
uint64_t log_lines_number(LogLines *lines, uint64_t at);
/* The line that is number n, from 0; false where there is none. */
bool log_lines_at(LogLines *lines, uint64_t n, uint64_t *start);

/* The lines of a block that fit `narrow`, whatever is counted: what a search goes through. */
bool log_block_load(LogLines *lines, const LogNarrow *narrow, uint64_t index, LogBlock *block);
void log_block_done(LogBlock *block);

/* A line's bytes without its end; the header of a spool's line stays. At most LOG_LINE_MAX * 2. False: it is gone. */
bool log_line_read(LogSource *source, uint64_t start, uint64_t end, size_t most, Buffer *out);
/* Text without its colours: text itself where it has none, else made in `out`. */
const char *log_plain(const char *text, size_t n, Buffer *out, size_t *length);

#endif
