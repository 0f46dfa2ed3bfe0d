#include "ui/canvas.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What stands for our own glyphs where there is only ASCII. */
static const struct {
    uint32_t glyph;
    char ascii;
} replacements[] = {
    {0x2500, '-'}, {0x2501, '='}, {0x2502, '|'}, {0x250C, '+'}, {0x2510, '+'}, {0x2514, '+'}, {0x2518, '+'}, {0x251C, '+'},
    {0x2524, '+'}, {0x256D, '+'}, {0x256E, '+'}, {0x256F, '+'}, {0x2570, '+'}, {0x2026, '~'}, {0x25CF, '*'}, {0x25CB, 'o'},
    {0x00B7, '.'}, {0x2013, '-'}, {0x2014, '-'}, {0x258C, '>'}, {0x2588, '#'}, {0x2581, '.'}, {0x2582, '.'}, {0x2583, ':'},
    {0x2584, ':'}, {0x2585, '='}, {0x2586, '='}, {0x2587, '#'}, {0x00D7, 'x'}, {0x2192, '>'}, {0x2264, '<'}, {0x2713, '+'},
    {0x2717, 'x'}, {0x2018, '\''}, {0x2019, '\''}, {0x201C, '"'}, {0x201D, '"'}, {0x00A0, ' '},
};

Canvas *canvas_new(int rows, int cols)
{
    Canvas *canvas = mem_new(sizeof *canvas);
    canvas_resize(canvas, rows, cols);
    return canvas;
}

void canvas_free(Canvas *canvas)
{
    if (canvas) {
        free(canvas->cells);
        free(canvas);
    }
}

void canvas_resize(Canvas *canvas, int rows, int cols)
{
    canvas->rows = rows < 1 ? 1 : rows > 2000 ? 2000 : rows;
    canvas->cols = cols < 1 ? 1 : cols > 4000 ? 4000 : cols;
    canvas->cells = mem_resize(canvas->cells, (size_t)canvas->rows * (size_t)canvas->cols, sizeof *canvas->cells);
    canvas_clear(canvas);
}

void canvas_clear(Canvas *canvas)
{
    canvas->clip = canvas_area(canvas);
    canvas->cursor_row = canvas->cursor_col = -1;
    memset(canvas->cells, 0, (size_t)canvas->rows * (size_t)canvas->cols * sizeof *canvas->cells);
    for (int i = 0; i < canvas->rows * canvas->cols; i++)
        canvas->cells[i].code = ' ';
}

Area canvas_area(const Canvas *canvas)
{
    return (Area){0, 0, canvas->rows, canvas->cols};
}

void canvas_clip(Canvas *canvas, Area area)
{
    int bottom = area.row + area.rows, right = area.col + area.cols;
    Area clip = {area.row < 0 ? 0 : area.row, area.col < 0 ? 0 : area.col, 0, 0};
    clip.rows = (bottom > canvas->rows ? canvas->rows : bottom) - clip.row;
    clip.cols = (right > canvas->cols ? canvas->cols : right) - clip.col;
    if (clip.rows < 0)
        clip.rows = 0;
    if (clip.cols < 0)
        clip.cols = 0;
    canvas->clip = clip;
}

static bool canvas_inside(const Canvas *canvas, int row, int col)
{
    const Area *clip = &canvas->clip;
    return row >= clip->row && row < clip->row + clip->rows && col >= clip->col && col < clip->col + clip->cols;
}

const Cell *canvas_at(const Canvas *canvas, int row, int col)
{
    return row < 0 || col < 0 || row >= canvas->rows || col >= canvas->cols ? NULL : &canvas->cells[row * canvas->cols + col];
}

/* Whoever overwrites half of a wide character leaves a blank where the other half was. */
static void canvas_unhalve(Canvas *canvas, int row, int col)
{
    Cell *cell = &canvas->cells[row * canvas->cols + col];
    if (cell->code == 0 && col > 0)
        cell[-1].code = ' ';
    if (col + 1 < canvas->cols && cell[1].code == 0 && cell->code != 0)
        cell[1].code = ' ';
}

static void canvas_set(Canvas *canvas, int row, int col, Role role, uint32_t code, int width)
{
    if (!canvas_inside(canvas, row, col))
        return;
    if (width == 2 && !canvas_inside(canvas, row, col + 1)) {
        code = ' ';
        width = 1;
    }
    for (int i = 0; i < width; i++) {
        canvas_unhalve(canvas, row, col + i);
        Cell *cell = &canvas->cells[row * canvas->cols + col + i];
        *cell = (Cell){.code = i ? 0 : code, .role = (uint8_t)role, .flags = cell->flags};
    }
}

static uint32_t canvas_plain(const Canvas *canvas, uint32_t code)
{
    if (!canvas->ascii || (code >= ' ' && code < 127))
        return code;
    for (size_t i = 0; i < sizeof replacements / sizeof *replacements; i++)
        if (replacements[i].glyph == code)
            return (unsigned char)replacements[i].ascii;
    return '?';
}

void canvas_code(Canvas *canvas, int row, int col, Role role, uint32_t code)
{
    canvas_set(canvas, row, col, role, canvas_plain(canvas, code), 1);
}

/* A mark belongs to the character that was set last in this call; what does not fit into the cell is left out. */
static void canvas_mark(Canvas *canvas, int row, int col, uint32_t code)
{
    if (canvas->ascii || !canvas_inside(canvas, row, col))
        return;
    Cell *cell = &canvas->cells[row * canvas->cols + col];
    for (int i = 0; i < CELL_MARKS && cell->code; i++)
        if (!cell->marks[i]) {
            cell->marks[i] = code;
            return;
        }
}

static int canvas_run(Canvas *canvas, int row, int col, int width, Role role, const char *text, size_t n)
{
    int used = 0, last = -1;
    for (size_t at = 0, step; at < n; at += step) {
        uint32_t code;
        step = text_next(text + at, n - at, &code);
        if (step == 0)
            break;
        int cells = text_code_width(code);
        if (cells == 0 && last >= 0) {
            canvas_mark(canvas, row, last, code);
            continue;
        }
        if (cells <= 0) { /* core has sanitised it; nothing else may reach the terminal either */
            code = '?';
            cells = 1;
        }
        if (used + cells > width)
            break;
        last = col + used;
        uint32_t plain = canvas_plain(canvas, code);
        if (plain != code && cells == 2)
            canvas_set(canvas, row, col + used + 1, role, ' ', 1);
        canvas_set(canvas, row, col + used, role, plain, plain != code ? 1 : cells);
        used += cells;
    }
    return used;
}

static int canvas_measure(const char *text, size_t n, int limit)
{
    int cells = 0;
    for (size_t at = 0, step; at < n && cells <= limit; at += step) {
        uint32_t code;
        step = text_next(text + at, n - at, &code);
        if (step == 0)
            break;
        int width = text_code_width(code);
        cells += width < 0 ? 1 : width;
    }
    return cells;
}

int canvas_text_n(Canvas *canvas, int row, int col, int width, Role role, const char *text, size_t n)
{
    if (!text || width <= 0)
        return 0;
    if (canvas_measure(text, n, width) <= width)
        return canvas_run(canvas, row, col, width, role, text, n);
    int used = canvas_run(canvas, row, col, width - 1, role, text, n);
    canvas_code(canvas, row, col + used, role, 0x2026);
    return used + 1;
}

int canvas_text(Canvas *canvas, int row, int col, int width, Role role, const char *text)
{
    return text ? canvas_text_n(canvas, row, col, width, role, text, strlen(text)) : 0;
}

void canvas_right(Canvas *canvas, int row, int col, int width, Role role, const char *text)
{
    int cells = text ? canvas_measure(text, strlen(text), width) : 0;
    int before = cells < width ? width - cells : 0;
    canvas_text(canvas, row, col + before, width - before, role, text);
}

void canvas_fill(Canvas *canvas, Area area, Role role, uint32_t code)
{
    for (int row = area.row; row < area.row + area.rows; row++)
        for (int col = area.col; col < area.col + area.cols; col++)
            canvas_code(canvas, row, col, role, code);
}

void canvas_select(Canvas *canvas, int row, int col, int width)
{
    for (int i = col; i < col + width; i++)
        if (canvas_inside(canvas, row, i))
            canvas->cells[row * canvas->cols + i].flags |= CELL_SELECTED;
}

void canvas_role(Canvas *canvas, int row, int col, int width, Role role)
{
    for (int i = col; i < col + width; i++)
        if (canvas_inside(canvas, row, i))
            canvas->cells[row * canvas->cols + i].role = (uint8_t)role;
}

void canvas_ink(Canvas *canvas, int row, int col, int width, uint8_t front, uint8_t back, uint8_t flags)
{
    for (int i = col; i < col + width; i++)
        if (canvas_inside(canvas, row, i)) {
            Cell *cell = &canvas->cells[row * canvas->cols + i];
            cell->front = front;
            cell->back = back;
            cell->flags |= flags;
        }
}

void canvas_rule(Canvas *canvas, int row, int col, int width)
{
    canvas_fill(canvas, (Area){row, col, 1, width}, ROLE_RULE, 0x2500);
}

void canvas_box(Canvas *canvas, Area area, Role role, const char *title)
{
    int bottom = area.row + area.rows - 1, right = area.col + area.cols - 1;
    for (int row = area.row; row <= bottom; row++)
        for (int col = area.col; col <= right; col++) {
            canvas_code(canvas, row, col, ROLE_TEXT, ' ');
            if (canvas_inside(canvas, row, col))
                canvas->cells[row * canvas->cols + col].flags = 0;
        }
    canvas_fill(canvas, (Area){area.row, area.col, 1, area.cols}, role, 0x2500);
    canvas_fill(canvas, (Area){bottom, area.col, 1, area.cols}, role, 0x2500);
    canvas_fill(canvas, (Area){area.row, area.col, area.rows, 1}, role, 0x2502);
    canvas_fill(canvas, (Area){area.row, right, area.rows, 1}, role, 0x2502);
    canvas_code(canvas, area.row, area.col, role, 0x250C);
    canvas_code(canvas, area.row, right, role, 0x2510);
    canvas_code(canvas, bottom, area.col, role, 0x2514);
    canvas_code(canvas, bottom, right, role, 0x2518);
    if (title && area.cols > 8) {
        int used = canvas_text(canvas, area.row, area.col + 3, area.cols - 6, ROLE_STRONG, title);
        canvas_code(canvas, area.row, area.col + 2, ROLE_TEXT, ' ');
        canvas_code(canvas, area.row, area.col + 3 + used, ROLE_TEXT, ' ');
    }
}

void canvas_bar(Canvas *canvas, int row, int col, int width, double part, Role role)
{
    int full = part > 0 ? (int)(part * width + 0.5) : 0;
    if (full > width)
        full = width;
    if (part > 0 && full == 0)
        full = 1;
    for (int i = 0; i < width; i++)
        canvas_code(canvas, row, col + i, i < full ? role : ROLE_RULE, i < full ? 0x2501 : 0x2500);
}

Pen canvas_pen(Canvas *canvas, int row, int col, int end)
{
    return (Pen){canvas, row, col, end};
}

int pen_left(const Pen *pen)
{
    return pen->end - pen->col;
}

void pen_text(Pen *pen, Role role, const char *text)
{
    if (text && pen_left(pen) > 0)
        pen->col += canvas_text(pen->canvas, pen->row, pen->col, pen_left(pen), role, text);
}

void pen_put(Pen *pen, Role role, const char *format, ...)
{
    if (pen_left(pen) <= 0)
        return;
    va_list args;
    va_start(args, format);
    char *text = mem_vformat(format, args);
    va_end(args);
    pen_text(pen, role, text);
    free(text);
}

static void canvas_dump_line(Buffer *out, const Canvas *canvas, int row)
{
    size_t start = out->length;
    for (int col = 0; col < canvas->cols; col++) {
        const Cell *cell = canvas_at(canvas, row, col);
        char bytes[4];
        if (!cell->code)
            continue;
        buffer_add(out, bytes, text_encode(cell->code, bytes));
        for (int i = 0; i < CELL_MARKS && cell->marks[i]; i++)
            buffer_add(out, bytes, text_encode(cell->marks[i], bytes));
    }
    while (out->length > start && out->bytes[out->length - 1] == ' ')
        out->bytes[--out->length] = 0;
}

char *canvas_line(const Canvas *canvas, int row)
{
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    canvas_dump_line(&out, canvas, row);
    return buffer_take(&out);
}

char *canvas_dump(const Canvas *canvas)
{
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    for (int row = 0; row < canvas->rows; row++) {
        canvas_dump_line(&out, canvas, row);
        buffer_char(&out, '\n');
    }
    return buffer_take(&out);
}
