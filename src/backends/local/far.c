#include "backends/local/far.h"

#include "base/mem.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { TERM_MS = 5000, KILL_MS = 3000, LOOK_MS = 400 };

/* ---------------------------------------------------------------------------------------------------------------- ending */

/* `one PID START`: is it that very one, and no zombie? Then it gets the signal. The start time is the twentieth word behind the name, which
 * may hold anything. */
static const char one_script[] =
    "one() {\n"
    "  read -r s </proc/$1/stat || return 0\n"
    "  p=$1 want=$2; s=${s##*) }; set -- $s; [ \"$1\" != Z ] && [ \"$1\" != X ] || return 0\n"
    "  shift 9; shift 9; [ \"$2\" = \"$want\" ] || return 0\n"
    "  [ -z \"$signal\" ] || kill -$signal $p || printf 'denied %s\\n' $p\n"
    "  printf 'alive %s\\n' $p\n"
    "}\n";

static bool run_on_all(Host *host, const char *boot, Io *io, const Context *context, const EndProcess *list, size_t count, const char *signal_name,
                       ChildResult *result, Error *error)
{
    Buffer script;
    buffer_init(&script, BUFFER_ANY);
    buffer_text(&script, "{\nread -r boot </proc/sys/kernel/random/boot_id\n[ \"$boot\" = ");
    host_quote(&script, boot);
    buffer_format(&script, " ] || { printf 'other\\n'; exit 0; }\nsignal=%s\n%s", signal_name, one_script);
    for (size_t i = 0; i < count; i++)
        buffer_format(&script, "one %ld %llu\n", (long)list[i].pid, (unsigned long long)list[i].start);
    buffer_text(&script, "} 2>/dev/null\ntrue");
    bool right = host_script(host, io, context, script.bytes, 0, result, error);
    buffer_done(&script);
    if (!right || strncmp(result->output.bytes, "other", 5) != 0)
        return right;
    child_result_done(result);
    return error_set(error, ERROR_CONFLICT, host_name(host), "look at it again", "changed since it was seen: this name leads to another computer by now, or it was started anew");
}

static bool says(const char *text, const char *word, pid_t pid)
{
    char line[64];
    snprintf(line, sizeof line, "%s %ld\n", word, (long)pid);
    return strstr(text, line) != NULL;
}

int64_t far_alive(Host *host, const char *boot, Io *io, const Context *context, const EndProcess *list, size_t count, Error *error)
{
    ChildResult result;
    int64_t alive = 0;
    if (!run_on_all(host, boot, io, context, list, count, "", &result, error))
        return -1;
    buffer_char(&result.output, '\n'); /* the frame takes the last one */
    for (size_t i = 0; i < count; i++)
        alive += says(result.output.bytes, "alive", list[i].pid);
    child_result_done(&result);
    return alive;
}

static bool signal_all(Host *host, const char *boot, Io *io, const Context *context, const EndProcess *list, size_t count, const char *name, Outcome *outcome, Error *error)
{
    ChildResult result;
    if (!run_on_all(host, boot, io, context, list, count, name, &result, error))
        return false;
    buffer_char(&result.output, '\n');
    for (size_t i = 0; i < count; i++)
        if (says(result.output.bytes, "denied", list[i].pid))
            list_format(&outcome->failures, "%s: not permitted to end it", list[i].name);
    child_result_done(&result);
    return true;
}

/* How many are left when all have ended or the time is over; -1 with error. */
static int64_t wait_all(Host *host, const char *boot, Io *io, const Context *context, const EndProcess *list, size_t count, int64_t ms,
                        const Progress *progress, Phase phase, Error *error)
{
    int64_t end = clock_mono_ms() + ms, alive;
    while ((alive = far_alive(host, boot, io, context, list, count, error)) > 0) {
        progress_tell(progress, phase, (int64_t)count - alive, (int64_t)count, "waiting until its processes have ended");
        if (clock_mono_ms() >= end)
            break;
        if (!io_sleep(io, context, LOOK_MS, error))
            return -1;
    }
    return alive;
}

bool far_end_processes(Host *host, const char *boot, EndProcess *list, size_t count, int64_t patience_ms, const Context *context, const Progress *progress,
                       Outcome *outcome, Error *error)
{
    Io *io = io_new(error);
    if (!io)
        return false;
    int64_t left = wait_all(host, boot, io, context, list, count, patience_ms, progress, PHASE_RUNNING, error);
    if (left > 0)
        left = signal_all(host, boot, io, context, list, count, "TERM", outcome, error)
                   ? wait_all(host, boot, io, context, list, count, TERM_MS, progress, PHASE_RUNNING, error) : -1;
    if (left > 0)
        left = signal_all(host, boot, io, context, list, count, "KILL", outcome, error)
                   ? wait_all(host, boot, io, context, list, count, KILL_MS, progress, PHASE_VERIFYING, error) : -1;
    for (size_t i = 0; i < count && left > 0; i++)
        if (far_alive(host, boot, io, context, &list[i], 1, NULL) != 0)
            list_format(&outcome->left_over, "%s (pid %ld on %s)", list[i].name, (long)list[i].pid, host_name(host));
    io_free(io);
    return left <= 0 ? left == 0 : error_set(error, ERROR_PARTIAL, host_name(host), NULL, "%lld of its processes are still there", (long long)left);
}

/* -------------------------------------------------------------------------------------------------------------- starting */

bool far_detach(Host *host, const Context *context, const List *command, const char *directory, const char *name, Error *error)
{
    ChildResult result;
    Buffer script;
    Io *io = io_new(error);
    if (!io)
        return false;
    buffer_init(&script, BUFFER_ANY);
    buffer_text(&script, "umask 077\nd=${XDG_STATE_HOME:-$HOME/.local/state}/dasktop/workers\nmkdir -p \"$d\" || exit 1\nlog=$d/");
    host_quote(&script, name);
    buffer_text(&script, ".log\ncommand -v setsid >/dev/null 2>&1 && s=setsid || s=\ncd ");
    host_quote(&script, directory ? directory : "/");
    buffer_text(&script, " || cd /\nnohup $s");
    for (size_t i = 0; i < command->count; i++) {
        buffer_char(&script, ' ');
        host_quote(&script, command->items[i]);
    }
    buffer_text(&script, " </dev/null >>\"$log\" 2>&1 &\n");
    bool right = host_script(host, io, context, script.bytes, 0, &result, error);
    buffer_done(&script);
    io_free(io);
    if (!right)
        return false;
    if (result.status != 0)
        right = error_set(error, ERROR_INTERNAL, host_name(host), NULL, "a program could not be started there: %.*s", (int)strcspn(result.errors.bytes, "\r\n"),
                          result.errors.bytes);
    child_result_done(&result);
    return right;
}
