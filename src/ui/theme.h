/* How each role looks, by theme and by what the terminal can do. Pure tables. */
#ifndef DASKTOP_UI_THEME_H
#define DASKTOP_UI_THEME_H

#include "ui/canvas.h"

enum { STYLE_BOLD = 1, STYLE_DIM = 2, STYLE_REVERSE = 4, STYLE_UNDERLINE = 8 };

/* Colours are numbers of the terminal's palette; -1: its own default. */
typedef struct Style {
    int16_t front, back, front8, back8; /* with 256 colours; with 8 or 16 */
    uint8_t attributes;                 /* with colours */
    uint8_t mono;                       /* without */
} Style;

typedef struct Theme {
    const char *name;
    Style styles[ROLE_COUNT];
    int16_t selected; /* background of the selected line with 256 colours; -1: reverse */
    bool colours;
} Theme;

extern const Theme themes[]; /* ends with a NULL name */
const Theme *theme_find(const char *name); /* NULL: none of that name */
/* By what the environment says of the background: COLORFGBG; dark where it says nothing. */
const Theme *theme_automatic(const char *colorfgbg);

#endif
