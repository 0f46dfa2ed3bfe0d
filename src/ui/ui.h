/* The dashboard's front door. Call it on the thread that owns the terminal, with every signal open there. */
#ifndef DASKTOP_UI_UI_H
#define DASKTOP_UI_UI_H

#include "core/engine.h"

typedef enum UiColour { UI_COLOUR_AUTO, UI_COLOUR_ALWAYS, UI_COLOUR_NEVER } UiColour;

typedef struct UiOptions {
    bool ascii;                 /* --ascii; also by itself where the locale is not UTF-8 */
    UiColour colour;            /* auto: not with NO_COLOR */
    const char *theme;          /* dark, light, mono, contrast; NULL: the config's ui.theme, else by the terminal's background */
    const char *start;          /* the view to open: "backends", "operations", "help"; NULL: the table */
    const char *filter;         /* the first filter; NULL: none */
    const char *problem;        /* one line to show first: the config's first problem; NULL: that of engine_config() */
    const List *only_keys;      /* as in engine_start */
    const char *only_instance;
    /* What needs other processes, which the ui layer may not start by itself; NULL: not possible.
     * spawn: detached, without the terminal, not waited for (a browser). foreground: on the terminal, waited for, with these
     * "NAME=value" beside the environment; the dashboard has given the terminal back meanwhile. Both NULL-terminated. */
    bool (*spawn)(const char *const *argv, Error *error);
    bool (*foreground)(const char *const *argv, const char *const *environment, int *status, Error *error);
} UiOptions;

/* Standard input and output are terminals and TERM can address the cursor. Where not, print the list instead. */
bool ui_possible(void);

/* Draws the first frame from the last table, then starts discovery (engine_start, ENGINE_LIVE) and runs until the user leaves:
 * 0; or 128 + signal where TERM or HUP ended it; 1 where the terminal could not be opened (error line on standard error).
 * The terminal is as it was when this returns. The engine stays the caller's: engine_stop comes after it. */
int ui_run(Engine *engine, const UiOptions *options);

/* The key table as lines for a manual page: ".TP" and so on; owned by the caller. */
char *ui_keys_manual(void);

#endif
