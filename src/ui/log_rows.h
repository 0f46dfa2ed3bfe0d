/* One log line as rows of the screen: sanitised, cut or wrapped, with the colours that it brought and the matches of a pattern. */
#ifndef DASKTOP_UI_LOG_ROWS_H
#define DASKTOP_UI_LOG_ROWS_H

#include "ui/canvas.h"
#include "ui/log_merge.h"

/* What the page wants to see. */
typedef struct LogShape {
    int rows, cols; /* of the page */
    int left;       /* cells that are scrolled out, where lines are not wrapped */
    bool wrap, times;
} LogShape;

/* Cells of a row that look different. */
typedef struct LogInk {
    int col, cells;
    uint8_t front, back, flags; /* as in Cell */
    bool match;
} LogInk;

typedef struct LogRow {
    LogItem item;
    int part;             /* 0: its first row */
    bool found, note, cut_left, cut_right;
    int component;
    int64_t time_ms;      /* TIME_UNKNOWN */
    char level[LOG_LEVEL];
    size_t text, length;  /* in LogRows.text: clean */
    size_t ink, inks;     /* in LogRows.inks */
} LogRow;

typedef struct LogRows {
    LogRow *rows;
    size_t count, capacity;
    Buffer text;
    LogInk *inks;
    size_t ink_count, ink_capacity;
} LogRows;

void log_rows_init(LogRows *rows);
void log_rows_done(LogRows *rows);
void log_rows_clear(LogRows *rows);

/* Columns in front of the text: where each begins, and the text itself. */
typedef struct LogColumns {
    int component, component_cells; /* 0 cells: not there */
    int time;                       /* -1: not there */
    int level, level_cells;         /* a word, or where there is little room its first letter */
    int text, text_cells;
} LogColumns;
LogColumns log_columns(const LogShape *shape, int component_cells);

/* A line as it was read: what it says of itself, and its text without colours. */
typedef struct LogText {
    LogHead head;
    const char *raw, *plain; /* raw: with colours */
    size_t raw_length, length;
    size_t message;          /* in plain: behind Dask's prefix */
} LogText;
/* line, plain: buffers that the text lies in afterwards. False: it is gone. */
bool log_text_read(LogSource *source, uint64_t start, uint64_t end, size_t most, Buffer *line, Buffer *plain, LogText *text);

/* Rows that a line takes. */
int log_rows_need(const LogText *text, const LogShape *shape, const LogColumns *columns);
/* Adds its rows from row `skip` on, at most `most`. pattern: what is highlighted; NULL. */
void log_rows_add(LogRows *rows, const LogText *text, LogItem item, const LogShape *shape, const LogColumns *columns, int skip, int most,
                  LogPattern *pattern, bool found);

#endif
