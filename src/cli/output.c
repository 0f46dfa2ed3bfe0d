#include "cli/output.h"

#include "base/mem.h"
#include "base/text.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>

void output_table(FILE *out, const char *const *titles, const bool *right, size_t count, char *const *cells, size_t rows)
{
    int *widths = mem_new((rows + 1) * count * sizeof *widths), *most = mem_new(count * sizeof *most);
    for (size_t r = 0; r <= rows; r++)
        for (size_t c = 0; c < count; c++) {
            int cell = widths[r * count + c] = text_width(r == 0 ? titles[c] : cells[(r - 1) * count + c]);
            most[c] = cell > most[c] ? cell : most[c];
        }
    Buffer table;
    buffer_init(&table, BUFFER_ANY);
    for (size_t r = 0; r <= rows; r++) {
        int gap = 0; /* to what comes next in this line, if anything does */
        for (size_t c = 0; c < count; c++) {
            int blank = most[c] - widths[r * count + c];
            text_blanks(&table, gap + (right[c] ? blank : 0));
            buffer_text(&table, r == 0 ? titles[c] : cells[(r - 1) * count + c]);
            gap = 2 + (right[c] ? 0 : blank);
        }
        buffer_char(&table, '\n');
    }
    fwrite(table.bytes, 1, table.length, out);
    buffer_done(&table);
    free(widths);
    free(most);
}

/* In a locale that cannot show them, dashes and fractions stay ASCII. */
static bool is_ascii(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
}

typedef struct Cells {
    char **cells; /* row by row */
    Buffer texts; /* where they lie */
} Cells;

static Cells cells_of(const View *view, const Column *const *shown, size_t count, Clock now, bool for_people)
{
    Cells all = {.cells = mem_new(view->count * count * sizeof *all.cells)};
    size_t *begins = mem_new(view->count * count * sizeof *begins);
    bool ascii = is_ascii();
    buffer_init(&all.texts, BUFFER_ANY);
    for (size_t r = 0; r < view->count; r++)
        for (size_t c = 0; c < count; c++) {
            size_t begin = begins[r * count + c] = all.texts.length;
            shown[c]->format(&all.texts, view->rows[r], now, true);
            if (all.texts.length == begin && for_people)
                buffer_text(&all.texts, ascii ? "-" : shown[c]->none);
            buffer_char(&all.texts, 0);
        }
    for (size_t i = 0; i < view->count * count; i++)
        all.cells[i] = all.texts.bytes + begins[i];
    free(begins);
    return all;
}

static void cells_done(Cells *all)
{
    free(all->cells);
    buffer_done(&all->texts);
}

void output_rows(FILE *out, const View *view, const Column *const *shown, size_t count, Clock now)
{
    Cells all = cells_of(view, shown, count, now, true);
    const char **titles = mem_new(count * sizeof *titles);
    bool *right = mem_new(count * sizeof *right);
    for (size_t c = 0; c < count; c++) {
        titles[c] = shown[c]->title;
        right[c] = shown[c]->right;
    }
    output_table(out, titles, right, count, all.cells, view->count);
    free(titles);
    free(right);
    cells_done(&all);
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
    Cells all = cells_of(view, shown, count, now, false);
    for (size_t c = 0; c < count; c++)
        fprintf(out, "%s%s", c ? "," : "", shown[c]->name);
    fputs("\r\n", out);
    for (size_t r = 0; r < view->count; r++) {
        for (size_t c = 0; c < count; c++) {
            if (c)
                fputc(',', out);
            put_csv(out, all.cells[r * count + c]);
        }
        fputs("\r\n", out);
    }
    cells_done(&all);
}

void output_document(const Buffer *document)
{
    fwrite(document->bytes, 1, document->length, stdout);
    if (!document->length || document->bytes[document->length - 1] != '\n')
        fputc('\n', stdout);
}
