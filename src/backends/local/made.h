/* Clusters that dasktop made here: one JSON file each in the state directory, local/MACHINE-ID/NAME.json, with the logs beside it in
 * NAME/. Written before and while the cluster comes up; removed when it was deleted. Any thread. */
#ifndef DASKTOP_BACKENDS_LOCAL_MADE_H
#define DASKTOP_BACKENDS_LOCAL_MADE_H

#include "backends/common/process.h"

typedef struct MadeProcess {
    char *role;  /* "scheduler", "worker" */
    pid_t pid;
    uint64_t start;
    char *log;
} MadeProcess;

typedef struct Made {
    char *name, *address, *id, *boot_id, *python;
    MadeProcess *processes;
    size_t count, capacity;
} Made;

typedef struct MadeList {
    Made *items;
    size_t count, capacity;
} MadeList;

char *made_directory(void);                      /* NULL: there is no place */
char *made_path(const char *name, const char *end); /* "NAME.json", "NAME": end ".json" or "" */
void made_read(MadeList *out);                   /* those of this boot; damage is skipped */
void made_done(MadeList *list);
void made_free(Made *made);
bool made_write(const Made *made, Error *error);
void made_remove(const char *name);              /* the file; logs stay */
void made_process(Made *made, const char *role, pid_t pid, const char *log);
/* The one that has this process; NULL. */
const Made *made_find(const MadeList *list, pid_t pid, uint64_t start, const MadeProcess **process);
/* One of its processes is alive. */
bool made_is_alive(const Made *made);

#endif
