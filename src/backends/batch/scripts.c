#include "backends/batch/scripts.h"

#include "base/map.h"
#include "base/mem.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SCRIPT_MOST = 1 << 20, LOG_HEAD = 16 << 10, PROGRAM_MOST = 256 << 10, AGAIN_MS = 2000, AT_ONCE = 100 };

/* ------------------------------------------------------------------------------------------------------------------- logs */

char *scripts_log(const Job *job)
{
    const char *path = job->errors ? job->errors : job->output; /* Dask's logs go to standard error */
    return path && *path == '/' ? mem_text(path) : NULL;
}

/* Logs grow without end: only how they begin. */
static void read_head(BatchBackend *own, Io *io, const Context *context, const char *path, Buffer *out)
{
    if (host_is_here(own->queue.host)) {
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        ssize_t n = fd >= 0 ? read(fd, buffer_room(out, LOG_HEAD), LOG_HEAD) : -1;
        out->length = n > 0 ? (size_t)n : 0;
        out->bytes[out->length] = 0;
        if (fd >= 0)
            close(fd);
        return;
    }
    Buffer script;
    ChildResult result;
    buffer_init(&script, BUFFER_ANY);
    buffer_text(&script, "f=");
    host_quote(&script, path);
    buffer_format(&script, "\n[ -f \"$f\" ] && head -c %d <\"$f\"", LOG_HEAD); /* of a pipe that nobody writes to it would wait */
    if (host_script(own->queue.host, io, context, script.bytes, 0, &result, NULL)) {
        buffer_add(out, result.output.bytes, result.output.length < LOG_HEAD ? result.output.length : LOG_HEAD);
        child_result_done(&result);
    }
    buffer_done(&script);
}

/* What a job's script does not tell, or nobody tells, it says itself in its log once it runs: for whom it works, or where its scheduler is. */
static bool read_log(BatchBackend *own, Io *io, const Context *context, const Job *job, Script *script)
{
    char *path = job->state > JOB_HELD ? scripts_log(job) : NULL;
    Script said;
    Buffer text;
    if (!path)
        return false;
    buffer_init(&text, LOG_HEAD);
    read_head(own, io, context, path, &text);
    script_read_log(text.bytes, text.length, &said);
    bool right = said.role != ROLE_OTHER && (script->role != ROLE_SCHEDULER || said.role == ROLE_SCHEDULER);
    if (right) {
        script_done(script);
        *script = said;
    } else {
        script_done(&said);
    }
    buffer_done(&text);
    free(path);
    return right;
}

/* --------------------------------------------------------------------------------------------------------------- learning */

static void learn(BatchBackend *own, const char *key, Script *script, bool refused, bool later)
{
    known_lock(&own->known);
    known_put_job(&own->known, key, script, refused, later ? clock_mono_ms() + AGAIN_MS : INT64_MAX);
    known_unlock(&own->known);
    script_done(script);
}

/* A program under MPI that calls dask_mpi.initialize(): in the script itself, or in the file that it names. Files of another computer are not
 * asked for: each would be a call. */
static bool is_mpi(BatchBackend *own, Io *io, const Context *context, const Job *job, const char *text, size_t n)
{
    if (script_imports_mpi(text, n))
        return true;
    char *name = host_is_here(own->queue.host) ? script_program(text, n) : NULL, *path = NULL;
    Buffer program;
    buffer_init(&program, PROGRAM_MOST);
    if (name && (*name == '/' || job->directory))
        path = *name == '/' ? mem_text(name) : mem_format("%s/%s", job->directory, name);
    bool is = path && host_read(own->queue.host, io, context, path, &program, NULL) && script_imports_mpi(program.bytes, program.length);
    buffer_done(&program);
    free(name);
    free(path);
    return is;
}

/* A scheduler without a scheduler file has no address in its script: its log has it. */
static void learn_script(BatchBackend *own, Io *io, const Context *context, const Job *job, const char *text, size_t n)
{
    Script script;
    script_read(text, n, &script);
    if (script.role == ROLE_OTHER && is_mpi(own, io, context, job, text, n))
        script.role = ROLE_SCHEDULER;
    bool nowhere = script.role == ROLE_SCHEDULER && !script.address && !script.scheduler_file;
    bool silent = script.role == ROLE_OTHER && cluster_is_name(&own->queue, job->name);
    if (!nowhere && !silent)
        learn(own, job->script_key, &script, false, false);
    else if (read_log(own, io, context, job, &script))
        learn(own, job->key, &script, false, false);
    else
        learn(own, job->key, &script, false, true);
}

/* What can be read by nobody is remembered as such; what may be readable later is not. */
static void learn_nothing(BatchBackend *own, Io *io, const Context *context, const Job *job, ErrorCode why)
{
    Script script = {.role = ROLE_UNREAD, .processes = 1, .threads = NUMBER_UNKNOWN};
    bool passing = why == ERROR_TIMEOUT || why == ERROR_UNREACHABLE || why == ERROR_CANCELLED;
    if (read_log(own, io, context, job, &script)) {
        learn(own, job->key, &script, false, false);
        return;
    }
    bool later = job->state <= JOB_HELD || passing || (cluster_is_name(&own->queue, job->name) && why != ERROR_DENIED);
    learn(own, job->key, &script, true, later);
}

static void read_one(BatchBackend *own, Io *io, const Context *context, const Job *job)
{
    Error error = {0};
    Buffer text;
    buffer_init(&text, SCRIPT_MOST);
    if (job->text)
        learn_script(own, io, context, job, job->text, strlen(job->text));
    else if (own->queue.type->script && own->queue.type->script(&own->queue, io, context, job, &text, &error))
        learn_script(own, io, context, job, text.bytes, text.length);
    else
        learn_nothing(own, io, context, job, error.code);
    buffer_done(&text);
}

/* ---------------------------------------------------------------------------------------------------------------- reading */

/* The lock is held. */
static bool is_known(Known *all, const Job *job, int64_t now)
{
    const KnownJob *known = known_job(all, job);
    return known && now < known->again_ms;
}

static bool is_read(BatchBackend *own, const Job *job)
{
    known_lock(&own->known);
    bool read = is_known(&own->known, job, clock_mono_ms());
    known_unlock(&own->known);
    return read;
}

/* Whose scripts may be Dask's: our own jobs' by any name, others' by theirs (they are seldom told to us). First what is likely; of an array one
 * element stands for all. */
static size_t find_unread(BatchBackend *own, const JobList *jobs, size_t *which)
{
    size_t count = 0, others_count = 0, *others = mem_new((jobs->count + 1) * sizeof *others);
    const char *array = NULL;
    int64_t now = clock_mono_ms();
    known_lock(&own->known);
    for (size_t i = jobs->count; i-- > 0;) { /* the newest first */
        const Job *job = &jobs->items[i];
        bool same = job->array && job->script_key == array, named = !same && cluster_is_name(&own->queue, job->name);
        if (same || !job->owner || (!named && strcmp(job->owner, own->queue.me) != 0))
            continue;
        if (is_known(&own->known, job, now))
            continue;
        array = job->script_key;
        if (named)
            which[count++] = i;
        else
            others[others_count++] = i;
    }
    known_unlock(&own->known);
    memcpy(which + count, others, others_count * sizeof *others);
    free(others);
    return count + others_count;
}

typedef struct Reading {
    BatchBackend *own;
    Io *io;
    const Context *context;
    const JobList *jobs;
    const size_t *which; /* index into jobs of each command */
} Reading;

static void take_script(void *user, size_t index, const char *bytes, size_t n)
{
    const Reading *reading = user;
    if (bytes) /* else it is tried singly, which tells why */
        learn_script(reading->own, reading->io, reading->context, &reading->jobs->items[reading->which[index]], bytes, n);
}

/* By few calls where the queue has such; the rest one by one. */
static void read_part(BatchBackend *own, Io *io, const Context *context, const JobList *jobs, const size_t *which, size_t count)
{
    const QueueType *type = own->queue.type;
    List *commands = mem_new(count * sizeof *commands);
    size_t *indexes = mem_new(count * sizeof *indexes), used = 0;
    for (size_t i = 0; i < count && type->script_command; i++)
        if (!jobs->items[which[i]].text && type->script_command(&own->queue, &jobs->items[which[i]], &commands[used]))
            indexes[used++] = which[i];
    Reading reading = {own, io, context, jobs, indexes};
    if (used)
        queue_run_many(&own->queue, io, context, commands, used, take_script, &reading, NULL);
    for (size_t i = 0; i < count && context_check(context, NULL, NULL); i++)
        if (!is_read(own, &jobs->items[which[i]]))
            read_one(own, io, context, &jobs->items[which[i]]);
    for (size_t i = 0; i < used; i++)
        list_done(&commands[i]);
    free(commands);
    free(indexes);
}

static bool is_woken(int wake_fd)
{
    struct pollfd wake = {.fd = wake_fd, .events = POLLIN};
    return wake_fd >= 0 && poll(&wake, 1, 0) > 0;
}

size_t scripts_read(BatchBackend *own, Io *io, const Context *context, const JobList *jobs, size_t most, int wake_fd)
{
    size_t *which = mem_new((jobs->count + 1) * sizeof *which), count = find_unread(own, jobs, which), done = 0, last = count < most ? count : most;
    while (done < last && context_check(context, NULL, NULL) && !is_woken(wake_fd)) {
        size_t part = last - done < AT_ONCE ? last - done : AT_ONCE;
        read_part(own, io, context, jobs, which + done, part);
        done += part;
    }
    size_t left = done ? find_unread(own, jobs, which) : count; /* the time may have been over in the middle of a part */
    free(which);
    return left;
}
