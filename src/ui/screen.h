/* The terminal: a canvas goes out, keys come in. The only file that knows curses. One thread, but for what its own watchdog and
 * signal handlers do; at most one Screen at a time (signals have one owner). */
#ifndef DASKTOP_UI_SCREEN_H
#define DASKTOP_UI_SCREEN_H

#include "base/error.h"
#include "base/wake.h"
#include "ui/canvas.h"
#include "ui/key.h"
#include "ui/theme.h"

typedef struct Screen Screen;

typedef struct ScreenOptions {
    bool ascii, no_colours;
    bool mouse; /* clicks and the wheel are ours; without it they stay the terminal's, for selecting text */
    bool ask_background; /* ask the terminal how bright its background is: screen_light, told by KEY_RESIZE_ */
    const Theme *theme;
    const Wake *wake; /* woken by signals */
} ScreenOptions;

bool screen_possible(void);
Screen *screen_open(const ScreenOptions *options, Error *error);
void screen_close(Screen *screen); /* the terminal is as it was; NULL is allowed */

int screen_fd(const Screen *screen); /* to poll for keys */
void screen_size(const Screen *screen, int *rows, int *cols);
bool screen_ascii(const Screen *screen);
bool screen_simple(const Screen *screen);
void screen_theme(Screen *screen, const Theme *theme);
int screen_light(const Screen *screen); /* 1: a light background, 0: a dark one, -1: the terminal has not said */

void screen_draw(Screen *screen, const Canvas *canvas);
void screen_repaint(Screen *screen); /* the next draw sends everything */

/* The next key that has arrived, KEY_NOTHING where there is none. Signals come as keys too: KEY_RESIZE_, KEY_INTERRUPT,
 * KEY_END (screen_signal says which), KEY_STOP. */
Key screen_key(Screen *screen, bool *pasted);
void screen_click(const Screen *screen, int *row, int *col); /* of the last KEY_CLICK */
bool screen_pending(Screen *screen);  /* more input is there already */
void screen_discard(Screen *screen);  /* forgets every key that has arrived so far */
int screen_signal(const Screen *screen); /* TERM or HUP that asked for the end; 0 */

/* The terminal goes back to the shell or a child, and is taken again. */
void screen_pause(Screen *screen);
void screen_resume(Screen *screen);
void screen_stop(Screen *screen); /* Ctrl-Z: until `fg` */

/* OSC 52: gives text to the terminal's clipboard; false where it is too long. */
bool screen_copy(Screen *screen, const char *text);

#endif
