/* How rows are printed: tables with aligned columns, CSV, names. */
#ifndef DASKTOP_CLI_OUTPUT_H
#define DASKTOP_CLI_OUTPUT_H

#include "cli/cli.h"
#include "core/columns.h"

#include <stdio.h>

/* Rows of cells as a table: column titles, widths by what is in them, the last one not padded. cells[row * count + column] is lent. */
void output_table(FILE *out, const char *const *titles, const bool *right, size_t count, char *const *cells, size_t rows);
/* The view's rows by these columns. */
void output_rows(FILE *out, const View *view, const Column *const *columns, size_t count, Clock now);
void output_csv(FILE *out, const View *view, const Column *const *columns, size_t count, Clock now);
/* A JSON document and a line end. */
void output_document(const Buffer *document);

#endif
