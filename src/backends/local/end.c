#include "backends/local/end.h"

#include "base/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TERM_MS = 5000, KILL_MS = 3000, LOOK_MS = 40 };

static size_t count_alive(const EndProcess *list, size_t count)
{
    size_t alive = 0;
    for (size_t i = 0; i < count; i++)
        alive += process_is(list[i].pid, list[i].start);
    return alive;
}

/* Through a pidfd, so that the one that gets the signal is the one whose start time was compared. */
static bool signal_one(const EndProcess *process, int number, Outcome *outcome)
{
    int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    bool has_pidfd = fd >= 0 || errno != ENOSYS;
    bool sent = true;
    if (process_is(process->pid, process->start)) {
        int failed = fd >= 0 ? (int)syscall(SYS_pidfd_send_signal, fd, number, NULL, 0) : has_pidfd ? 0 : kill(process->pid, number);
        if (failed && errno == EPERM) {
            list_format(&outcome->failures, "%s: not permitted to end it", process->name);
            sent = false;
        }
    }
    if (fd >= 0)
        close(fd);
    return sent;
}

static bool is_planned(const EndProcess *list, size_t count, const Process *process)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].pid == process->pid && list[i].start == process->start)
            return true;
    return false;
}

/* Every living member of the group is in the plan, and there is at least one. */
static bool owns_group(const EndProcess *list, size_t count, pid_t pgrp)
{
    Processes all;
    bool any = false, others = false;
    if (pgrp <= 1 || pgrp == getpgrp() || !processes_read(&all, NULL))
        return false;
    for (size_t i = 0; i < all.count; i++) {
        if (all.items[i].pgrp != pgrp)
            continue;
        any = true;
        others = others || !is_planned(list, count, &all.items[i]);
    }
    processes_done(&all);
    return any && !others;
}

static void signal_all(const EndProcess *list, size_t count, int number, Outcome *outcome)
{
    for (size_t i = 0; i < count; i++) {
        if (!process_is(list[i].pid, list[i].start))
            continue;
        /* children that were born meanwhile go with their group */
        if (number == SIGKILL && owns_group(list, count, list[i].pgrp) && process_is(list[i].pid, list[i].start))
            kill(-list[i].pgrp, SIGKILL);
        else
            signal_one(&list[i], number, outcome);
    }
}

/* True when none is alive any more; false when the time is over (error untouched) or the context is (error set). */
static bool wait_all(const EndProcess *list, size_t count, int64_t ms, Io *io, const Context *context, const Progress *progress, Phase phase,
                     Error *error)
{
    Context part = context_within(context, ms);
    for (size_t alive; (alive = count_alive(list, count)) > 0;) {
        progress_tell(progress, phase, (int64_t)(count - alive), (int64_t)count, "waiting until its processes have ended");
        if (!io_sleep(io, &part, LOOK_MS, NULL)) {
            context_check(context, "local", error);
            return false;
        }
    }
    return true;
}

bool end_processes(EndProcess *list, size_t count, int64_t patience_ms, const Context *context, const Progress *progress, Outcome *outcome,
                   Error *error)
{
    Error why = {0};
    Io *io = io_new(error);
    if (!io)
        return false;
    bool gone = wait_all(list, count, patience_ms, io, context, progress, PHASE_RUNNING, &why);
    if (!gone && why.code == ERROR_OK) {
        signal_all(list, count, SIGTERM, outcome);
        gone = wait_all(list, count, TERM_MS, io, context, progress, PHASE_RUNNING, &why);
    }
    if (!gone && why.code == ERROR_OK) {
        signal_all(list, count, SIGKILL, outcome);
        gone = wait_all(list, count, KILL_MS, io, context, progress, PHASE_VERIFYING, &why);
    }
    io_free(io);
    for (size_t i = 0; i < count; i++)
        if (process_is(list[i].pid, list[i].start))
            list_format(&outcome->left_over, "%s (pid %ld)", list[i].name, (long)list[i].pid);
    if (gone)
        return true;
    if (why.code != ERROR_OK && error)
        *error = why;
    else
        error_set(error, ERROR_PARTIAL, "local", NULL, "%zu of its processes are still there", count_alive(list, count));
    return false;
}
