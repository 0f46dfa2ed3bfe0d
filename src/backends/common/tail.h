/* Logs of a scheduler, its workers and nannies through Dask's own rings (10,000 lines each), from the scheduler's and the
 * workers' own ports, so that a hung worker delays nobody else's. */
#ifndef DASKTOP_BACKENDS_COMMON_TAIL_H
#define DASKTOP_BACKENDS_COMMON_TAIL_H

#include "backends/common/access.h"
#include "backends/common/host.h"

/* Components: "scheduler", "NAME" for a worker, "NAME nanny" for its nanny. With request->follow until the context ends, or true when
 * the scheduler has ended. */
bool tail_run(const Access *access, const Context *context, const LogRequest *request, const LogSink *sink, Error *error);
/* The same for those whose address is not covered: the others' logs come in another way. */
bool tail_run_others(const Access *access, const Context *context, const LogRequest *request, const LogSink *sink,
                     bool (*covered)(void *user, const char *address), void *user, Error *error);

/* A file whose lines are a component's log: the last `tail` lines (request), then, when following, what is added, for as long as
 * alive(user) says so. For processes whose scheduler is gone. A reader that takes files gets the file (LogSink). */
typedef struct TailFile {
    char *component, *path;
} TailFile;
bool tail_files(const TailFile *files, size_t count, const Context *context, const LogRequest *request, const LogSink *sink,
                bool (*alive)(void *user), void *user, Error *error);

/* The same of another computer's files; they are never given as files. */
bool tail_host_files(Host *host, const TailFile *files, size_t count, const Context *context, const LogRequest *request, const LogSink *sink,
                     bool (*alive)(void *user), void *user, Error *error);
/* Gives the whole lines of what was read, and in the end (last) what has no line end; what is given is taken from rest. */
void tail_give_lines(Buffer *rest, const char *component, const LogSink *sink, bool last);

/* Is this component asked for? kind: "scheduler", "worker", "nanny". */
bool tail_wants(const LogRequest *request, const char *kind, const char *name);

#endif
