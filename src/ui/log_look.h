/* What the log view's files share: its state. Everything under `lock` is any thread's, the rest the looking thread's. */
#ifndef DASKTOP_UI_LOG_LOOK_H
#define DASKTOP_UI_LOG_LOOK_H

#include "ui/log_view.h"

#include <pthread.h>

enum { LOG_QUEUE = 128, LOG_RECALL = 256 };

typedef enum LogOrder {
    LOG_SHAPE, LOG_MOVE, LOG_PAGE, LOG_SIDEWAYS, LOG_TOP, LOG_BOTTOM, LOG_FOLLOW, LOG_GOTO, LOG_GOTO_TIME, LOG_GOTO_PART, LOG_NARROW,
    LOG_SEARCH, LOG_SEARCH_ON
} LogOrder;

typedef struct LogCommand {
    LogOrder order;
    int64_t number;
    LogShape shape;
    LogPattern *pattern;
} LogCommand;

/* A search under way: block after block through one source after another, then through what lies behind the other end. */
typedef struct LogSearch {
    LogPattern *pattern;  /* owned; NULL: none */
    int step;             /* 0: none is under way */
    int phase;            /* 1: it went on from the other end */
    LogPlace from;
    int track;            /* that is looked through; its blocks [low, high) are left */
    bool ready;           /* low, high, floor, limit are set */
    uint64_t low, high, floor, limit;
    bool has_best;
    LogItem best;
    int64_t best_key;
    uint64_t seen;        /* bytes */
    LogBlock block;
} LogSearch;

struct LogView {
    atomic_int holders;
    const Wake *ui;
    atomic_int *alive;
    int64_t since_ms;
    Wake wake;
    atomic_bool closing, stirred, urgent, idle; /* urgent: a window is due at once */

    pthread_mutex_t lock;
    pthread_cond_t answered;
    LogCommand queue[LOG_QUEUE]; /* the eight below: under lock */
    int queued;
    uint64_t sent;
    LogWindow *ready;
    LogSource *sources[LOG_TRACKS];
    size_t source_count;
    char **names;
    size_t name_count, name_capacity;
    int recall[LOG_RECALL]; /* index of a name by its address, which is mostly that of the line before */
    uint64_t lost;
    bool lost_more;
    LogSource *spool;     /* the one of sources that lines go into; NULL until the first */

    LogWindow *shown;     /* the page's */

    /* the looking thread's */
    LogMerge merge;
    LogShape shape;
    LogPlace top;
    int skip;             /* rows of the top line that are scrolled out, where lines are wrapped */
    bool follow, hold_top, down; /* down: the last step went down, so the end is followed again */
    LogNarrow narrow;     /* narrow.patterns[0]: the filter, owned */
    LogSearch search;
    bool has_found;
    LogItem found;
    LogWindow *making, *spare;
    LogPlace bottom;      /* behind the last line of the window */
    LogItem *items;       /* of the window */
    size_t item_count, item_capacity;
    uint64_t done;        /* commands */
    uint64_t event;
    char said[LOG_SAID];
    bool failed;
    int notify;           /* inotify; -1 */
    int watches[LOG_TRACKS];  /* of each track; -1: it must be looked at now and then */
    bool rotating[LOG_TRACKS];
    int64_t filled_ms, asked_ms, renamed_ms; /* asked: the last window that a key or a new source asked for */
    bool changed;         /* something that the window does not show yet */
    Buffer line, plain;
};

/* log_look.c */
void *log_look_main(void *view);
bool log_look_text(LogView *view, LogItem item, LogText *text); /* in view->line and plain */
bool log_look_shows(const LogView *view, LogItem item);         /* the last window has it */
void log_look_say(LogView *view, bool failed, const char *format, ...) __attribute__((format(printf, 3, 4)));
void log_look_at(LogView *view, LogItem item);                  /* the screen goes there, with something around it */

/* log_search.c */
void log_search_begin(LogView *view, int step);
bool log_search_turn(LogView *view, int64_t until_us); /* true: there is more to do */
int log_search_percent(const LogView *view);
void log_search_done(LogView *view);

#endif
