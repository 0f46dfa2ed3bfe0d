/* A line that is typed into: filter, command, numbers, names. */
#ifndef DASKTOP_UI_EDIT_H
#define DASKTOP_UI_EDIT_H

#include "ui/canvas.h"
#include "ui/key.h"

enum { EDIT_MAX = 1000 };

typedef struct Edit {
    char text[EDIT_MAX + 8];
    size_t length, at; /* bytes; the cursor stands before text[at] */
} Edit;

typedef enum EditDid { EDIT_NOTHING, EDIT_MOVED, EDIT_CHANGED } EditDid;

void edit_set(Edit *edit, const char *text);
EditDid edit_key(Edit *edit, Key key);
/* Draws the end of the text that fits and puts the canvas's cursor into it. */
void edit_draw(const Edit *edit, Canvas *canvas, int row, int col, int width, Role role);

#endif
