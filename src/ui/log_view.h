/* A log that is looked at: a thread of its own reads, indexes, filters and searches; what belongs on the screen comes out as a window.
 *
 * The page sends commands, which never wait, and takes the newest window; the log's source adds lines and files. So neither a slow disk
 * nor a search holds up a key. Counted: page, source, saving and the thread itself hold it. */
#ifndef DASKTOP_UI_LOG_VIEW_H
#define DASKTOP_UI_LOG_VIEW_H

#include "base/wake.h"
#include "ui/log_rows.h"

#include <stdatomic.h>

typedef struct LogView LogView;

enum { LOG_NAME = 64, LOG_SAID = 200 };

/* What is on the screen. */
typedef struct LogWindow {
    uint64_t answered;    /* the number of the last command that it is an answer to */
    LogRows rows;
    LogColumns columns;
    bool follow, searching, numbered; /* numbered: all lines are counted */
    bool narrow, failed;  /* failed: what was said is bad news */
    int percent, searched; /* of all bytes: counted; searched through */
    int left;             /* cells that are scrolled out */
    uint64_t top, bottom, count; /* numbers of the first and behind the last line, and of all; from 0 */
    uint64_t dropped;     /* older lines that made room for newer ones */
    uint64_t lost;        /* that were never read: their source was faster */
    bool lost_more;       /* and others, whose number is not known */
    uint64_t behind;      /* bytes that came and are not looked at yet */
    uint64_t given_up;    /* lines that were too dear for a pattern */
    uint64_t event;       /* grows when `said` is something new */
    char said[LOG_SAID];  /* of a search: not found, … */
    int64_t day_ms;       /* of the first line with a time; TIME_UNKNOWN */
} LogWindow;

/* alive: goes down when its thread has ended, at last (NULL: nobody counts). ui is woken when there is a new window. */
LogView *log_view_new(const Wake *ui, atomic_int *alive, int64_t since_ms, Error *error);
LogView *log_view_keep(LogView *view);
void log_view_drop(LogView *view);
void log_view_close(LogView *view); /* its thread ends; the caller's hold goes too */

/* What comes in: any thread. */
void log_view_line(LogView *view, const LogLine *line);
bool log_view_file(LogView *view, const char *component, const char *path, int fd); /* fd stays the caller's; false: not taken */
void log_view_lost(LogView *view, int64_t lines); /* -1: not known how many */
void log_view_hurry(LogView *view);               /* what came so far is to be shown at once */

/* Commands: the page's thread. Each takes the view on from what the one before made of it. */
void log_view_shape(LogView *view, const LogShape *shape);
void log_view_move(LogView *view, long rows);
void log_view_turn_page(LogView *view, long halves); /* pages of what is shown, by halves; < 0: back */
void log_view_sideways(LogView *view, long cells);
void log_view_top(LogView *view);
void log_view_bottom(LogView *view);
void log_view_follow(LogView *view); /* or not any more */
void log_view_goto(LogView *view, uint64_t line);
void log_view_goto_time(LogView *view, int64_t time_ms);
void log_view_goto_part(LogView *view, int percent);
/* Only lines of a component (-1: all) that fit; the pattern is the view's from now on, NULL: all. */
void log_view_narrow(LogView *view, int component, LogPattern *pattern);
/* The pattern is the view's; NULL: none any more. step: +1, -1, 0 (from the end back, else on). */
void log_view_search(LogView *view, LogPattern *pattern, int step);
void log_view_search_on(LogView *view, int step); /* 0: stops a search that goes on */

/* The newest window, valid until the next call; NULL: there is none. Waits at most wait_ms for the answer to what was sent. */
const LogWindow *log_view_window(LogView *view, int wait_ms);
bool log_view_is_late(LogView *view); /* what was sent last is not answered yet: its thread waits for a disk */
bool log_view_fresh(LogView *view); /* there is one that was not taken yet */

size_t log_view_components(LogView *view);
const char *log_view_component(LogView *view, int component, char out[LOG_NAME]); /* "" where there is none */
/* For saving: its sources, kept; drop them and free the array. */
LogSource **log_view_sources(LogView *view, size_t *count);
int64_t log_view_since(const LogView *view);
/* Nothing is left to do until something comes: for tests. */
bool log_view_idle(LogView *view);

#endif
