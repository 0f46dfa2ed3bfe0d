#include "ui/key.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    Key key;
    const char *name;
} names[] = {
    {KEY_ARROW_UP, "Up"},       {KEY_ARROW_DOWN, "Down"}, {KEY_ARROW_LEFT, "Left"},     {KEY_ARROW_RIGHT, "Right"},
    {KEY_PAGE_UP, "PgUp"},      {KEY_PAGE_DOWN, "PgDn"},  {KEY_GO_HOME, "Home"},        {KEY_GO_END, "End"},
    {KEY_INSERT, "Insert"},     {KEY_REMOVE, "Delete"},   {KEY_BACK_TAB, "Shift-Tab"},  {KEY_BACKSPACE_, "Backspace"},
    {KEY_TABULATOR, "Tab"},     {KEY_RETURN, "Enter"},    {KEY_ESCAPE, "Esc"},          {KEY_SPACE, "Space"},
    {KEY_INTERRUPT, "Ctrl-c"},
};

static Key key_of_number(const char *digits)
{
    char *end;
    long number = strtol(digits, &end, 10);
    return *end || number < 1 || number > 24 ? KEY_NOTHING : (Key)(KEY_FUNCTION + number);
}

Key key_parse(const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i].name) == 0)
            return names[i].key;
    if (strncasecmp(name, "Ctrl-", 5) == 0 && name[5] && !name[6]) {
        int letter = name[5] | 0x20;
        return letter >= 'a' && letter <= 'z' ? (Key)(letter - 'a' + 1) : KEY_NOTHING;
    }
    if ((name[0] == 'F' || name[0] == 'f') && name[1] >= '0' && name[1] <= '9')
        return key_of_number(name + 1);
    uint32_t code;
    size_t used = text_next(name, strlen(name), &code);
    return used && !name[used] && code > ' ' ? code : KEY_NOTHING;
}

const char *key_word(Key key, char out[24])
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].key == key)
            return names[i].name;
    if (key > KEY_FUNCTION && key <= KEY_FUNCTION_LAST)
        snprintf(out, 24, "F%u", (unsigned)(key - KEY_FUNCTION));
    else if (key >= 1 && key <= 26)
        snprintf(out, 24, "Ctrl-%c", (int)('a' + key - 1));
    else if (key > ' ' && key < KEY_SPECIAL)
        out[text_encode(key, out)] = 0;
    else
        snprintf(out, 24, "?");
    return out;
}

bool key_is_text(Key key)
{
    return key >= ' ' && key != 127 && key < KEY_SPECIAL && text_code_width(key) >= 0;
}
