/* The columns of the table: one row each, for the dashboard, `list`, `--sort`, `--columns`, filters. Pure. */
#ifndef DASKTOP_CORE_COLUMNS_H
#define DASKTOP_CORE_COLUMNS_H

#include "base/buffer.h"
#include "core/view.h"

typedef struct Column {
    const char *name;   /* "workers": --columns, --sort, filters */
    const char *title;  /* "WORKERS" */
    int least, most;    /* width in cells; most 0: as wide as the widest */
    int importance;     /* 1: goes last when the screen is narrow */
    bool right, standard, wide; /* right-aligned; shown by default; shown by `-o wide` */
    const char *none;   /* what an unknown value prints as: "–" ("-" in ASCII) */
    void (*format)(Buffer *out, const ViewRow *row, Clock now, bool ascii); /* adds nothing where it is unknown */
    int (*compare)(const ViewRow *a, const ViewRow *b, Clock now);          /* unknown last; NULL: by text */
    double (*number)(const ViewRow *row, Clock now); /* for < and > in filters: ms, bytes, counts; NULL; NAN unknown */
} Column;

extern const Column columns[]; /* ends with a NULL name */
const Column *column_find(const char *name);
int column_compare(const Column *column, const ViewRow *a, const ViewRow *b, Clock now); /* by text where it has no compare */
/* Parses "name,backend,…" into pointers; error names the unknown one and lists all. out has room for `room`. */
bool columns_parse(const char *list, const Column **out, size_t room, size_t *count, Error *error);

#endif
