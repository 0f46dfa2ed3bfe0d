/* Writes what a log view shows to a file. */
#ifndef DASKTOP_UI_LOG_SAVE_H
#define DASKTOP_UI_LOG_SAVE_H

#include "base/context.h"
#include "ui/log_view.h"

typedef struct LogSaveWhat {
    const char *path;
    const char *filter;   /* a pattern; NULL: all lines */
    int component;        /* -1: all */
    bool overwrite;       /* what stands at path goes when all is written; else ERROR_CONFLICT where something does */
} LogSaveWhat;

/* Sanitised lines, 0600, never through a symbolic link. Waits as long as it takes. */
bool log_save(LogView *view, const LogSaveWhat *what, const Context *context, uint64_t *lines, Error *error);

#endif
