/* Ending processes: each bound to its pid and start time, compared after a pidfd was opened; TERM, then KILL, of a whole group only where
 * every member of it is in the plan. Any thread that may wait. */
#ifndef DASKTOP_BACKENDS_LOCAL_END_H
#define DASKTOP_BACKENDS_LOCAL_END_H

#include "backends/common/process.h"
#include "core/change.h"
#include "io/io.h"

typedef struct EndProcess {
    pid_t pid, pgrp;
    uint64_t start;
    const char *name; /* for messages; not its own */
} EndProcess;

/* First waits `patience_ms` for them to end by themselves (the scheduler was asked to). What still lives in the end is named in
 * outcome->left_over; what may not be signalled in failures. False: out of time or cancelled, or something is left. */
bool end_processes(EndProcess *list, size_t count, int64_t patience_ms, const Context *context, const Progress *progress, Outcome *outcome,
                   Error *error);

#endif
