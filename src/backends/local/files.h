/* Log files of a local cluster's processes: what their standard output and error go to. One thread. */
#ifndef DASKTOP_BACKENDS_LOCAL_FILES_H
#define DASKTOP_BACKENDS_LOCAL_FILES_H

#include "backends/common/tail.h"
#include "backends/common/census.h"
#include "backends/local/end.h"

typedef struct LogFile {
    TailFile file;
    const char *kind; /* of the component: "scheduler", "worker" */
    pid_t root;     /* of the component's processes the topmost: a nanny and its worker write into one file */
    bool is_shared; /* by several components, whose lines cannot be told apart */
    bool is_given;  /* the reader has taken it */
} LogFile;

/* At which a component's processes listen. */
typedef struct LogPort {
    pid_t root;
    int port;
} LogPort;

typedef struct LogFiles {
    LogFile *items;
    size_t count, capacity;
    EndProcess *processes; /* NULL: not looked for yet */
    size_t process_count;
    LogPort *ports;
    size_t port_count, port_capacity;
    bool is_inside;        /* the user's own process holds the scheduler: what it prints is in these files too */
} LogFiles;

/* Those that are regular files. */
void files_find(Census *census, const Place *place, LogFiles *files);
bool files_wanted(const LogFile *file, const LogRequest *request);
/* Gives the reader those that are asked for and belong to one component only (LogSink.file). */
void files_offer(const LogRequest *request, const LogSink *sink, LogFiles *files);
void files_done(LogFiles *files);

/* For tail_run_others and tail_files; user: the LogFiles. */
bool files_cover(void *user, const char *address);
bool files_alive(void *user);

#endif
