/* A picture of the screen in cells: what every view draws on. It knows nothing of a terminal; ui/screen.c puts one on curses,
 * tests read it as it is. Positions are from 0; drawing outside of the clip does nothing. One thread. */
#ifndef DASKTOP_UI_CANVAS_H
#define DASKTOP_UI_CANVAS_H

#include "base/buffer.h"

#include <stdint.h>

/* What a cell means; ui/theme.c says how that looks. */
typedef enum Role {
    ROLE_TEXT,
    ROLE_DIM,
    ROLE_STRONG,
    ROLE_BADGE,
    ROLE_HEADING,
    ROLE_RULE,
    ROLE_KEY,
    ROLE_ORPHANED,
    ROLE_STUCK,
    ROLE_UNATTENDED,
    ROLE_IDLE,
    ROLE_UNKNOWN,
    ROLE_STARTING,
    ROLE_ACTIVE,
    ROLE_GOOD,
    ROLE_WARN,
    ROLE_BAD,
    ROLE_CURSOR,
    ROLE_MARK,
    ROLE_BORDER,
    ROLE_BUTTON,
    ROLE_INPUT,
    ROLE_MATCH,
    ROLE_MATCH_NOW,
    ROLE_FOLLOWING,
    ROLE_BAR_CPU,
    ROLE_BAR_MEMORY,
    ROLE_BAR_TASKS,
    ROLE_BAR_WORKERS,
    ROLE_COMPONENT, /* and five more */
    ROLE_COMPONENT_LAST = ROLE_COMPONENT + 5,
    ROLE_COUNT
} Role;

/* Bold, underlined and reverse are what a log line brought; they add to what the role says. */
enum { CELL_SELECTED = 1, CELL_BOLD = 2, CELL_UNDERLINE = 4, CELL_REVERSE = 8 };
enum { CELL_MARKS = 2 };

typedef struct Cell {
    uint32_t code;              /* 0: the right half of a wide character */
    uint32_t marks[CELL_MARKS]; /* combining marks, 0 where there are none */
    uint8_t role, flags;
    uint8_t front, back;        /* a palette's number + 1 that a log line brought; 0: the role's */
} Cell;

typedef struct Area {
    int row, col, rows, cols;
} Area;

typedef struct Canvas {
    int rows, cols;
    Cell *cells;
    Area clip;
    bool ascii;  /* nothing but ASCII comes out: glyphs are replaced, others become '?' */
    bool simple; /* a font with few glyphs (the Linux console): check marks are words */
    int cursor_row, cursor_col; /* where the terminal's cursor belongs; -1: hidden */
} Canvas;

Canvas *canvas_new(int rows, int cols);
void canvas_free(Canvas *canvas);
void canvas_resize(Canvas *canvas, int rows, int cols); /* cleared */
void canvas_clear(Canvas *canvas);                      /* clip and cursor too */
Area canvas_area(const Canvas *canvas);
void canvas_clip(Canvas *canvas, Area area);

/* Text in at most `width` cells, cut with an ellipsis; returns the cells used. Wide characters are never halved. */
int canvas_text(Canvas *canvas, int row, int col, int width, Role role, const char *text);
int canvas_text_n(Canvas *canvas, int row, int col, int width, Role role, const char *text, size_t n);
void canvas_right(Canvas *canvas, int row, int col, int width, Role role, const char *text);
void canvas_code(Canvas *canvas, int row, int col, Role role, uint32_t code);
void canvas_fill(Canvas *canvas, Area area, Role role, uint32_t code);
void canvas_select(Canvas *canvas, int row, int col, int width); /* the highlight of a line */
void canvas_role(Canvas *canvas, int row, int col, int width, Role role); /* recolours what is there */
/* Colours and flags (CELL_BOLD…) over what is there. */
void canvas_ink(Canvas *canvas, int row, int col, int width, uint8_t front, uint8_t back, uint8_t flags);
void canvas_rule(Canvas *canvas, int row, int col, int width);
void canvas_box(Canvas *canvas, Area area, Role role, const char *title); /* cleared inside */
/* A bar of `width` cells of which `part` (0..1) is full. */
void canvas_bar(Canvas *canvas, int row, int col, int width, double part, Role role);
const Cell *canvas_at(const Canvas *canvas, int row, int col); /* NULL outside */

/* A line that is written piece by piece: each put goes on where the last one ended, until `end`. */
typedef struct Pen {
    Canvas *canvas;
    int row, col, end;
} Pen;
Pen canvas_pen(Canvas *canvas, int row, int col, int end);
void pen_put(Pen *pen, Role role, const char *format, ...) __attribute__((format(printf, 3, 4)));
void pen_text(Pen *pen, Role role, const char *text);
int pen_left(const Pen *pen);

/* The picture as text, a line a row, blanks at the ends cut: for tests. Owned by the caller. */
char *canvas_dump(const Canvas *canvas);
char *canvas_line(const Canvas *canvas, int row);

#endif
