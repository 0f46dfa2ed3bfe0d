#include "ui/edit.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

void edit_set(Edit *edit, const char *text)
{
    size_t n = text ? strlen(text) : 0;
    if (n > EDIT_MAX)
        n = 0;
    memcpy(edit->text, text ? text : "", n);
    edit->text[n] = 0;
    edit->length = edit->at = n;
}

static void edit_remove(Edit *edit, size_t from, size_t to)
{
    memmove(edit->text + from, edit->text + to, edit->length - to + 1);
    edit->length -= to - from;
    edit->at = from;
}

/* The start of the character (with its combining marks) before `at`. */
static size_t edit_before(const Edit *edit, size_t at)
{
    while (at > 0) {
        do
            at--;
        while (at > 0 && ((unsigned char)edit->text[at] & 0xC0) == 0x80);
        uint32_t code;
        text_next(edit->text + at, edit->length - at, &code);
        if (text_code_width(code) != 0)
            break;
    }
    return at;
}

static size_t edit_after(const Edit *edit, size_t at)
{
    uint32_t code;
    at += text_next(edit->text + at, edit->length - at, &code);
    while (at < edit->length) {
        size_t n = text_next(edit->text + at, edit->length - at, &code);
        if (n == 0 || text_code_width(code) != 0)
            break;
        at += n;
    }
    return at;
}

static size_t edit_word_before(const Edit *edit)
{
    size_t at = edit->at;
    while (at > 0 && edit->text[at - 1] == ' ')
        at--;
    while (at > 0 && edit->text[at - 1] != ' ')
        at--;
    return at;
}

static EditDid edit_insert(Edit *edit, Key key)
{
    char bytes[4];
    size_t n = text_encode(key, bytes);
    if (!key_is_text(key) || edit->length + n > EDIT_MAX)
        return EDIT_NOTHING;
    memmove(edit->text + edit->at + n, edit->text + edit->at, edit->length - edit->at + 1);
    memcpy(edit->text + edit->at, bytes, n);
    edit->at += n;
    edit->length += n;
    return EDIT_CHANGED;
}

static EditDid edit_cut(Edit *edit, size_t from, size_t to)
{
    if (from >= to)
        return EDIT_NOTHING;
    edit_remove(edit, from, to);
    return EDIT_CHANGED;
}

enum { CTRL_A = 1, CTRL_E = 5, CTRL_K = 11, CTRL_U = 21, CTRL_W = 23 };

EditDid edit_key(Edit *edit, Key key)
{
    switch (key) {
    case KEY_BACKSPACE_: return edit_cut(edit, edit_before(edit, edit->at), edit->at);
    case KEY_REMOVE: return edit->at < edit->length ? edit_cut(edit, edit->at, edit_after(edit, edit->at)) : EDIT_NOTHING;
    case CTRL_U: return edit_cut(edit, 0, edit->at);
    case CTRL_K: return edit_cut(edit, edit->at, edit->length);
    case CTRL_W: return edit_cut(edit, edit_word_before(edit), edit->at);
    case KEY_ARROW_LEFT: edit->at = edit_before(edit, edit->at); return EDIT_MOVED;
    case KEY_ARROW_RIGHT: edit->at = edit->at < edit->length ? edit_after(edit, edit->at) : edit->at; return EDIT_MOVED;
    case CTRL_A:
    case KEY_GO_HOME: edit->at = 0; return EDIT_MOVED;
    case CTRL_E:
    case KEY_GO_END: edit->at = edit->length; return EDIT_MOVED;
    default: return edit_insert(edit, key);
    }
}

void edit_draw(const Edit *edit, Canvas *canvas, int row, int col, int width, Role role)
{
    size_t from = 0;
    Edit head = *edit;
    head.text[edit->at] = 0;
    while (from < edit->at && text_width(head.text + from) >= width)
        from = edit_after(edit, from);
    canvas_fill(canvas, (Area){row, col, 1, width}, role, ' ');
    canvas_text(canvas, row, col, width, role, edit->text + from);
    canvas->cursor_row = row;
    canvas->cursor_col = col + text_width(head.text + from);
}
