/* Log files of a local cluster's processes: what their standard output and error go to. One thread. */
#ifndef DASKTOP_BACKENDS_LOCAL_FILES_H
#define DASKTOP_BACKENDS_LOCAL_FILES_H

#include "backends/common/tail.h"
#include "backends/local/census.h"
#include "backends/local/end.h"

typedef struct LogFile {
    TailFile file;
    pid_t root;     /* of the component's processes the topmost: a nanny and its worker write into one file */
    bool is_shared; /* by several components, whose lines cannot be told apart */
    bool is_given;  /* the reader has taken it */
} LogFile;

typedef struct LogFiles {
    LogFile *items;
    size_t count, capacity;
    EndProcess *processes; /* NULL: not looked for yet */
    size_t process_count;
    int *ports;            /* at which those listen whose files were taken */
    size_t port_count, port_capacity;
} LogFiles;

/* Those that can be regular files and are asked for. */
void files_find(Census *census, const Place *place, const LogRequest *request, LogFiles *files);
/* Gives the reader those that belong to one component only (LogSink.file). */
void files_offer(Census *census, const Place *place, const LogSink *sink, LogFiles *files);
void files_done(LogFiles *files);

/* For tail_run_others and tail_files; user: the LogFiles. */
bool files_cover(void *user, const char *address);
bool files_alive(void *user);

#endif
