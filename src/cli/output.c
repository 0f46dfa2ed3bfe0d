#include "cli/output.h"

#include "base/mem.h"
#include "base/text.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>

void output_table(FILE *out, const char *const *titles, const bool *right, size_t count, char *const *cells, size_t rows)
{
    int *width = mem_new(count * sizeof *width);
    for (size_t c = 0; c < count; c++) {
        width[c] = text_width(titles[c]);
        for (size_t r = 0; r < rows; r++) {
            int cell = text_width(cells[r * count + c]);
            width[c] = cell > width[c] ? cell : width[c];
        }
    }
    Buffer line;
    buffer_init(&line, BUFFER_ANY);
    for (size_t r = 0; r <= rows; r++) {
        buffer_clear(&line);
        for (size_t c = 0; c < count; c++) {
            const char *text = r == 0 ? titles[c] : cells[(r - 1) * count + c];
            if (c + 1 == count && !right[c])
                buffer_text(&line, text);
            else
                text_pad(&line, text, width[c], right[c], false);
            if (c + 1 < count)
                buffer_text(&line, "  ");
        }
        fprintf(out, "%s\n", line.bytes);
    }
    buffer_done(&line);
    free(width);
}

/* In a locale that cannot show them, dashes and fractions stay ASCII. */
static bool is_ascii(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
}

static char *cell_of(const Column *column, const ViewRow *row, Clock now, const char *none)
{
    Buffer cell;
    buffer_init(&cell, BUFFER_ANY);
    column->format(&cell, row, now, true);
    if (!cell.length)
        buffer_text(&cell, none);
    return buffer_take(&cell);
}

static char **cells_of(const View *view, const Column *const *shown, size_t count, Clock now, bool for_people)
{
    char **cells = mem_new(view->count * count * sizeof *cells);
    for (size_t r = 0; r < view->count; r++)
        for (size_t c = 0; c < count; c++) {
            const char *none = !for_people ? "" : is_ascii() ? "-" : shown[c]->none;
            cells[r * count + c] = cell_of(shown[c], view->rows[r], now, none);
        }
    return cells;
}

static void cells_free(char **cells, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(cells[i]);
    free(cells);
}

void output_rows(FILE *out, const View *view, const Column *const *shown, size_t count, Clock now)
{
    char **cells = cells_of(view, shown, count, now, true);
    const char **titles = mem_new(count * sizeof *titles);
    bool *right = mem_new(count * sizeof *right);
    for (size_t c = 0; c < count; c++) {
        titles[c] = shown[c]->title;
        right[c] = shown[c]->right;
    }
    output_table(out, titles, right, count, cells, view->count);
    free(titles);
    free(right);
    cells_free(cells, view->count * count);
}

/* RFC 4180: quoted where it has a quote, a comma or a line end, or begins as a spreadsheet's formula would. */
static void put_csv(FILE *out, const char *text)
{
    bool quoted = strpbrk(text, "\",\r\n") != NULL;
    if (*text && strchr("=+@", *text))
        fputc('\'', out);
    if (quoted)
        fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    if (quoted)
        fputc('"', out);
}

void output_csv(FILE *out, const View *view, const Column *const *shown, size_t count, Clock now)
{
    char **cells = cells_of(view, shown, count, now, false);
    for (size_t c = 0; c < count; c++)
        fprintf(out, "%s%s", c ? "," : "", shown[c]->name);
    fputs("\r\n", out);
    for (size_t r = 0; r < view->count; r++) {
        for (size_t c = 0; c < count; c++) {
            if (c)
                fputc(',', out);
            put_csv(out, cells[r * count + c]);
        }
        fputs("\r\n", out);
    }
    cells_free(cells, view->count * count);
}

void output_document(const Buffer *document)
{
    fwrite(document->bytes, 1, document->length, stdout);
    if (!document->length || document->bytes[document->length - 1] != '\n')
        fputc('\n', stdout);
}
