#include "ui/log_rows.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* BEFORE: bytes in front of what is shown that a match may begin in. */
enum { BEFORE = 512, FINDS_MAX = 2000, LEVEL_COLS = 60, TIME_CELLS = 8, LEVEL_CELLS = 7, COMPONENT_MOST = 20, PALETTE = 255 };

void log_rows_init(LogRows *rows)
{
    *rows = (LogRows){0};
    buffer_init(&rows->text, BUFFER_ANY);
}

void log_rows_done(LogRows *rows)
{
    free(rows->rows);
    free(rows->inks);
    buffer_done(&rows->text);
    *rows = (LogRows){0};
}

void log_rows_clear(LogRows *rows)
{
    rows->count = rows->ink_count = 0;
    buffer_clear(&rows->text);
}

LogColumns log_columns(const LogShape *shape, int component_cells)
{
    LogColumns columns = {.component = 1, .time = -1, .text = 1};
    int most = shape->cols / 5 < COMPONENT_MOST ? shape->cols / 5 : COMPONENT_MOST;
    columns.component_cells = component_cells < most ? component_cells : most;
    if (columns.component_cells > 0)
        columns.text += columns.component_cells + 1;
    if (shape->times) {
        columns.time = columns.text;
        columns.text += TIME_CELLS + 1;
    }
    columns.level = columns.text;
    columns.level_cells = shape->cols >= LEVEL_COLS ? LEVEL_CELLS : 1;
    columns.text += columns.level_cells + 1;
    columns.text_cells = shape->cols - columns.text > 1 ? shape->cols - columns.text : 1;
    return columns;
}

bool log_text_read(LogSource *source, uint64_t start, uint64_t end, size_t most, Buffer *line, Buffer *plain, LogText *text)
{
    if (!log_line_read(source, start, end, most, line))
        return false;
    bool spool = log_source_is_spool(source);
    if (spool && line->length < LOG_HEADER)
        return false;
    text->raw = line->bytes + (spool ? LOG_HEADER : 0);
    text->raw_length = line->length - (spool ? LOG_HEADER : 0);
    if (text->raw_length && text->raw[text->raw_length - 1] == '\r')
        text->raw_length--;
    text->plain = log_plain(text->raw, text->raw_length, plain, &text->length);
    LogHead found = {.component = log_source_component(source)};
    text->message = logs_prefix(text->plain, text->length, &found.time_ms, found.level);
    found.sort_ms = found.time_ms;
    if (spool) {
        log_source_head(source, line->bytes, &text->head);
        text->message = text->head.note ? 0 : text->message;
    } else {
        text->head = found;
    }
    return true;
}

/* --------------------------------------------------------------------------------------------------------- characters */

/* One character as it is drawn: added to out (NULL: only measured). Returns its bytes in the text. */
static size_t rows_step(const char *at, size_t n, Buffer *out, Buffer *scratch, int *cells)
{
    uint32_t code;
    if (*at >= ' ' && *at < 127) {
        if (out)
            buffer_char(out, *at);
        *cells = 1;
        return 1;
    }
    size_t length = text_next(at, n, &code);
    buffer_clear(scratch);
    text_clean(scratch, at, length, 64);
    *cells = text_width(scratch->bytes);
    if (out)
        buffer_add(out, scratch->bytes, scratch->length);
    return length;
}

/* What is drawn of a line: Dask's own prefix is not said twice where its parts have columns. */
static size_t rows_hidden(const LogText *text, const LogShape *shape)
{
    return shape->times ? text->message : 0;
}

int log_rows_need(const LogText *text, const LogShape *shape, const LogColumns *columns)
{
    int rows = 1, col = 0, cells;
    if (!shape->wrap)
        return 1;
    Buffer scratch;
    buffer_init(&scratch, BUFFER_ANY);
    for (size_t at = rows_hidden(text, shape); at < text->length; col += cells) {
        at += rows_step(text->plain + at, text->length - at, NULL, &scratch, &cells);
        if (col > 0 && col + cells > columns->text_cells) {
            rows++;
            col = 0;
        }
    }
    buffer_done(&scratch);
    return rows;
}

/* ------------------------------------------------------------------------------------------------------------- colours */

typedef struct Colour {
    uint8_t front, back, flags;
} Colour;

typedef struct Marks { /* from which byte of the plain text on which colour holds */
    struct {
        size_t at;
        Colour colour;
    } *items;
    size_t count, capacity;
} Marks;

static uint8_t colour_of_rgb(int red, int green, int blue)
{
    int r = red * 5 / 255, g = green * 5 / 255, b = blue * 5 / 255;
    return (uint8_t)(1 + 16 + 36 * r + 6 * g + b);
}

/* "38;5;N" and "38;2;R;G;B", also with colons; moves `i` behind them. */
static uint8_t colour_extended(const int *numbers, size_t count, size_t *i)
{
    if (*i + 2 < count && numbers[*i + 1] == 5) {
        int number = numbers[*i += 2];
        return number < 0 || number > 255 ? 0 : (uint8_t)(number < PALETTE - 1 ? number + 1 : PALETTE);
    }
    if (*i + 4 < count && numbers[*i + 1] == 2) {
        size_t at = *i + 2;
        *i += 4;
        for (size_t k = at; k < at + 3; k++)
            if (numbers[k] < 0 || numbers[k] > 255)
                return 0;
        return colour_of_rgb(numbers[at], numbers[at + 1], numbers[at + 2]);
    }
    *i = count;
    return 0;
}

static void colour_apply(Colour *colour, const int *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int number = numbers[i];
        if (number == 0)
            *colour = (Colour){0};
        else if (number == 1)
            colour->flags |= CELL_BOLD;
        else if (number == 4)
            colour->flags |= CELL_UNDERLINE;
        else if (number == 7)
            colour->flags |= CELL_REVERSE;
        else if (number == 22)
            colour->flags &= (uint8_t)~CELL_BOLD;
        else if (number == 24)
            colour->flags &= (uint8_t)~CELL_UNDERLINE;
        else if (number == 27)
            colour->flags &= (uint8_t)~CELL_REVERSE;
        else if ((number >= 30 && number <= 37) || number == 39)
            colour->front = number == 39 ? 0 : (uint8_t)(number - 30 + 1);
        else if ((number >= 40 && number <= 47) || number == 49)
            colour->back = number == 49 ? 0 : (uint8_t)(number - 40 + 1);
        else if (number >= 90 && number <= 97)
            colour->front = (uint8_t)(number - 90 + 8 + 1);
        else if (number >= 100 && number <= 107)
            colour->back = (uint8_t)(number - 100 + 8 + 1);
        else if (number == 38)
            colour->front = colour_extended(numbers, count, &i);
        else if (number == 48)
            colour->back = colour_extended(numbers, count, &i);
    }
}

/* sequence: ESC [ numbers m */
static void colour_take(Colour *colour, const char *sequence, size_t n)
{
    int numbers[16] = {0};
    size_t count = 0;
    for (size_t i = 2; i + 1 < n && count < 16; i++) {
        if (sequence[i] == ';' || sequence[i] == ':')
            count++;
        else if (numbers[count] < 10000)
            numbers[count] = numbers[count] * 10 + (sequence[i] - '0');
    }
    colour_apply(colour, numbers, count < 16 ? count + 1 : 16);
}

static void marks_find(const LogText *text, Marks *marks)
{
    Colour colour = {0};
    size_t removed = 0;
    *marks = (Marks){0};
    if (text->raw == text->plain)
        return;
    for (const char *at = text->raw, *end = at + text->raw_length; at < end && (at = memchr(at, 27, (size_t)(end - at)));) {
        size_t n = logs_colour(at, (size_t)(end - at));
        if (!n) {
            at++;
            continue;
        }
        colour_take(&colour, at, n);
        marks->items = mem_grow(marks->items, marks->count, &marks->capacity, sizeof *marks->items);
        marks->items[marks->count].at = (size_t)(at - text->raw) - removed;
        marks->items[marks->count++].colour = colour;
        removed += n;
        at += n;
    }
}

/* --------------------------------------------------------------------------------------------------------------- a line */

typedef struct Drawing {
    const LogText *text;
    LogRows *rows;
    LogPattern *pattern;
    Marks marks;
    size_t mark;        /* the next one */
    Colour colour;
    size_t begin, end;  /* the match that is not passed yet */
    int finds;
    Buffer scratch;
} Drawing;

static void drawing_find(Drawing *drawing, size_t from)
{
    const LogText *text = drawing->text;
    drawing->begin = drawing->end = SIZE_MAX;
    while (drawing->pattern && drawing->finds++ < FINDS_MAX && from <= text->length &&
           log_pattern_find(drawing->pattern, text->plain, text->length, from, &drawing->begin, &drawing->end)) {
        if (drawing->end > drawing->begin)
            return;
        from = drawing->end + 1; /* an empty one shows nothing */
    }
    drawing->begin = drawing->end = SIZE_MAX;
}

/* How the character at this byte looks. */
static LogInk drawing_ink(Drawing *drawing, size_t at)
{
    for (; drawing->mark < drawing->marks.count && drawing->marks.items[drawing->mark].at <= at; drawing->mark++)
        drawing->colour = drawing->marks.items[drawing->mark].colour;
    while (drawing->end <= at && drawing->end != SIZE_MAX)
        drawing_find(drawing, drawing->end);
    Colour colour = drawing->colour;
    return (LogInk){.front = colour.front, .back = colour.back, .flags = colour.flags, .match = at >= drawing->begin && at < drawing->end};
}

static void drawing_put_ink(LogRows *rows, LogRow *row, LogInk ink, int col, int cells)
{
    LogInk *last = row->inks ? &rows->inks[rows->ink_count - 1] : NULL;
    if (!ink.front && !ink.back && !ink.flags && !ink.match)
        return;
    if (last && last->col + last->cells == col && last->front == ink.front && last->back == ink.back && last->flags == ink.flags &&
        last->match == ink.match) {
        last->cells += cells;
        return;
    }
    rows->inks = mem_grow(rows->inks, rows->ink_count, &rows->ink_capacity, sizeof *rows->inks);
    ink.col = col;
    ink.cells = cells;
    rows->inks[rows->ink_count++] = ink;
    row->inks++;
}

/* One row of at most `width` cells from byte `at` on; returns where the next one begins. */
static size_t drawing_row(Drawing *drawing, LogRow *row, size_t at, int width)
{
    LogRows *rows = drawing->rows;
    const LogText *text = drawing->text;
    int col = 0, cells;
    row->text = rows->text.length;
    row->ink = rows->ink_count;
    while (at < text->length) {
        size_t before = rows->text.length, n = rows_step(text->plain + at, text->length - at, &rows->text, &drawing->scratch, &cells);
        if (col > 0 && col + cells > width) {
            rows->text.length = before;
            rows->text.bytes[before] = 0;
            break;
        }
        drawing_put_ink(rows, row, drawing_ink(drawing, at), col, cells);
        col += cells;
        at += n;
    }
    row->length = rows->text.length - row->text;
    return at;
}

/* The byte from which on rows are wanted: behind `skip` of them, or behind `left` cells. */
static size_t drawing_begin(Drawing *drawing, size_t at, int skip, int left, int width)
{
    const LogText *text = drawing->text;
    int col = 0, row = 0, cells;
    while (at < text->length && (skip ? row < skip : col < left)) {
        size_t n = rows_step(text->plain + at, text->length - at, NULL, &drawing->scratch, &cells);
        if (skip && col > 0 && col + cells > width) {
            row++;
            col = 0;
            if (row == skip)
                break;
        }
        col += cells;
        at += n;
    }
    return at;
}

void log_rows_add(LogRows *rows, const LogText *text, LogItem item, const LogShape *shape, const LogColumns *columns, int skip, int most,
                  LogPattern *pattern, bool found)
{
    Drawing drawing = {.text = text, .rows = rows, .pattern = pattern};
    size_t hidden = rows_hidden(text, shape);
    int left = shape->wrap ? 0 : shape->left, width = columns->text_cells;
    buffer_init(&drawing.scratch, BUFFER_ANY);
    marks_find(text, &drawing.marks);
    size_t at = drawing_begin(&drawing, hidden, shape->wrap ? skip : 0, left, width), from = at > BEFORE ? at - BEFORE : 0;
    while (from > 0 && ((unsigned char)text->plain[from] & 0xc0) == 0x80)
        from--;
    drawing_find(&drawing, from);
    bool cut_left = left > 0 && at > hidden;
    for (int part = skip; most-- > 0; part++) {
        LogRow row = {.item = item, .part = part, .found = found, .note = text->head.note, .component = text->head.component,
                      .time_ms = text->head.time_ms, .cut_left = cut_left};
        memcpy(row.level, text->head.level, sizeof row.level);
        at = drawing_row(&drawing, &row, at, width);
        row.cut_right = !shape->wrap && at < text->length;
        rows->rows = mem_grow(rows->rows, rows->count, &rows->capacity, sizeof *rows->rows);
        rows->rows[rows->count++] = row;
        if (!shape->wrap || at >= text->length)
            break;
    }
    free(drawing.marks.items);
    buffer_done(&drawing.scratch);
}
