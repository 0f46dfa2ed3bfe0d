/* Where a local cluster comes from: which notebook, script or terminal, and is somebody still attached? Read upwards from its process.
 * Of a kernel's connection file only the notebook's path is kept, never the key. One thread. */
#ifndef DASKTOP_BACKENDS_COMMON_ORIGIN_H
#define DASKTOP_BACKENDS_COMMON_ORIGIN_H

#include "backends/common/process.h"

typedef struct Origin {
    const char *kind;  /* "notebook", "ipython", "script", "console", "command", "ssh" */
    char *path, *how, *title;
} Origin;

/* title: what a row is called for it ("notebook climate.ipynb", "eda.py"); NULL where it has no better name than its port. */
void origin_find(const Processes *list, Process *process, Origin *out);
void origin_done(Origin *origin);

#endif
