/* A key: a code point, a control character, or one of these. Names are those of the config and the help: "F5", "Ctrl-r",
 * "Space", "PgDn". */
#ifndef DASKTOP_UI_KEY_H
#define DASKTOP_UI_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t Key;

enum {
    KEY_NOTHING = 0,
    KEY_CTRL_A = 1, /* … up to 26; KEY_CTRL_A - 1 + letter */
    KEY_TABULATOR = 9,
    KEY_RETURN = 13,
    KEY_ESCAPE = 27,
    KEY_SPACE = ' ',
    KEY_SPECIAL = 0x200000,
    KEY_ARROW_UP,
    KEY_ARROW_DOWN,
    KEY_ARROW_LEFT,
    KEY_ARROW_RIGHT,
    KEY_PAGE_UP,
    KEY_PAGE_DOWN,
    KEY_GO_HOME,
    KEY_GO_END,
    KEY_INSERT,
    KEY_REMOVE,
    KEY_BACK_TAB,
    KEY_BACKSPACE_,
    KEY_FUNCTION, /* F0; F1 is one more */
    KEY_FUNCTION_LAST = KEY_FUNCTION + 24,
    KEY_WHEEL_UP,
    KEY_WHEEL_DOWN,
    KEY_CLICK,     /* screen_click says where */
    KEY_RESIZE_,
    KEY_INTERRUPT, /* Ctrl-C */
    KEY_END_SIGNAL,
    KEY_STOP,      /* Ctrl-Z */
    KEY_UNKNOWN
};

Key key_parse(const char *name);                 /* KEY_NOTHING where it is none */
const char *key_word(Key key, char out[24]);
bool key_is_text(Key key);                       /* something that can be typed into a field */

#endif
