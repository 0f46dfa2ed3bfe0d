/* Several sources as one log, in time order. A place in it is an offset in each source: one can go on from there and back, whatever the
 * size, without having read the rest. Within a source the order is that of its lines. One thread. */
#ifndef DASKTOP_UI_LOG_MERGE_H
#define DASKTOP_UI_LOG_MERGE_H

#include "ui/log_lines.h"

enum { LOG_TRACKS = 256 };

/* The next line from an offset on, or the last one before it, and when it was written. */
typedef struct LogNear {
    bool known, there;
    uint64_t at, start;
    int64_t key_ms;
} LogNear;

typedef struct LogTrack {
    LogSource *source;
    LogLines all, some;   /* some: those that are shown, where is_narrow */
    int64_t untimed_ms;   /* when lines without any time near them are taken to be from */
    LogNear next, before;
} LogTrack;

typedef struct LogMerge {
    LogTrack *tracks[LOG_TRACKS];
    size_t count;
    bool is_narrow;
    bool counted;         /* the last turn counted something */
    LogNarrow narrow;
    Buffer line, plain;
    LogScratch scratch;
} LogMerge;

/* The next line of each source begins at or behind these. */
typedef struct LogPlace {
    uint64_t at[LOG_TRACKS];
} LogPlace;

typedef struct LogItem {
    int track;
    uint64_t start;
} LogItem;

void log_merge_init(LogMerge *merge);
void log_merge_done(LogMerge *merge);
/* source is kept. since_ms: lines before it are left out; TIME_UNKNOWN. False: there are too many already. */
bool log_merge_add(LogMerge *merge, LogSource *source, int64_t since_ms);
/* Other lines are shown from now on; patterns are borrowed. NULL: all. */
void log_merge_narrow(LogMerge *merge, const LogNarrow *narrow);
void log_merge_forget(LogMerge *merge, int track);    /* the file was replaced */
bool log_merge_turn(LogMerge *merge, int64_t until_us); /* as log_lines_turn */

LogLines *log_merge_lines(LogMerge *merge, int track); /* those that are shown */
void log_merge_begin(LogMerge *merge, LogPlace *place);
void log_merge_end(LogMerge *merge, LogPlace *place);
bool log_merge_next(LogMerge *merge, LogPlace *place, LogItem *item);   /* and goes behind it */
bool log_merge_before(LogMerge *merge, LogPlace *place, LogItem *item); /* and goes in front of it */
int64_t log_merge_key(LogMerge *merge, LogItem item);                   /* when it was written, near enough to sort by */
void log_merge_place(LogMerge *merge, LogItem item, LogPlace *place);   /* in front of that line */
void log_merge_seek(LogMerge *merge, int64_t key_ms, LogPlace *place);  /* in front of the first line that is not older */
uint64_t log_merge_seek_track(LogMerge *merge, int track, int64_t key_ms);

/* Lines in front of a place, and all; right when complete. */
uint64_t log_merge_number(LogMerge *merge, const LogPlace *place);
uint64_t log_merge_count(const LogMerge *merge);
bool log_merge_complete(const LogMerge *merge);
uint64_t log_merge_behind(const LogMerge *merge);
void log_merge_sizes(const LogMerge *merge, uint64_t *counted, uint64_t *bytes);

#endif
