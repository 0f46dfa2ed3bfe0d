/* What dialog*.c share and nobody else includes. */
#ifndef DASKTOP_UI_DIALOG_INSIDE_H
#define DASKTOP_UI_DIALOG_INSIDE_H

#include "ui/app.h"

typedef enum DialogKind { DIALOG_PLAN, DIALOG_INPUT, DIALOG_CHOOSE, DIALOG_LINES } DialogKind;

typedef struct DialogLine {
    Role role;
    char *text;
} DialogLine;

typedef struct Target {
    ViewRow row; /* frozen; row.record is counted, no pointer into a snapshot */
    Task *task;
    Handle *handle;
    Plan *plan;
    Error error;
    bool answered;
} Target;

/* A cluster that is to be made. */
typedef struct Making {
    Task *task;
    char *path, *key; /* the spec file, the backend: one of them */
    Spec *spec;
    Backend *backend;
    Plan *plan;
    Error error;
} Making;

struct Dialog {
    DialogKind kind;
    char *title;
    const char *verb;
    DialogLine *lines;
    size_t count, capacity;
    int top, room, drawn_rows; /* scrolling: first line shown, lines shown, lines there are */
    Target *targets;
    size_t target_count, waiting;
    Making making; /* change.kind is CHANGE_CREATE */
    Change change;
    List names;
    Confirm confirm;
    bool ready, armed, calls;
    char problem[320];
    const char *label;
    Edit edit;
    void (*accept)(App *app, Dialog *dialog, const char *text);
    List choices;
    size_t cursor;
};

/* dialog.c: its frame, its keys */
void dialog_line(Dialog *dialog, Role role, const char *format, ...) __attribute__((format(printf, 3, 4)));
void dialog_clear(Dialog *dialog);
Dialog *dialog_open(App *app, DialogKind kind, const char *verb, char *title); /* takes title; closes the one that is open */

/* dialog_change.c: plans */
size_t dialog_planned(const Dialog *dialog); /* targets that have a plan */
void dialog_fill(Dialog *dialog);
void dialog_freeze(Dialog *dialog, const ViewRow *const *rows, size_t count);
void dialog_ask(App *app, Dialog *dialog);
const ViewRow *dialog_row_of(App *app, const Record *record);
void dialog_step(Dialog *dialog, const PlanStep *step); /* a line of a plan */
void dialog_apply(App *app, Dialog *dialog);
void dialog_begun(App *app, Operation *operation); /* its end is told when it comes */

/* dialog_create.c */
void dialog_create_fill(Dialog *dialog);
void dialog_create_apply(App *app, Dialog *dialog);
void dialog_create_done(Making *making);

#endif
