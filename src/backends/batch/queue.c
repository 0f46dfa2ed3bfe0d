#include "backends/batch/queue.h"

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Which system the clients talk to. */
static const char *const places[] = {"SLURM_CONF", "SLURM_CLUSTERS", "SGE_ROOT", "SGE_CELL", "PBS_DEFAULT", "LSF_ENVDIR", "CONDOR_CONFIG"};

enum { SHARED_ROUNDS = 50, SHARED_MS = 200, CANCEL_MOST = 1000, AT_ONCE = 4, FAR_AT_ONCE = 40, SCRIPT_MOST = 1 << 20, OUTPUT_MOST = 256 << 20 };

/* --------------------------------------------------------------------------------------------------------------- clients */

List queue_command(const Queue *queue, const char *program, ...)
{
    List command = {0};
    va_list words;
    if (queue->bin)
        list_take(&command, file_join(queue->bin, program));
    else
        list_add(&command, program);
    va_start(words, program);
    for (const char *word; (word = va_arg(words, const char *));)
        list_add(&command, word);
    va_end(words);
    return command;
}

/* What a user has set to make the clients' output nicer would make it another one. */
static const char *const settings[] = {
    "LC_ALL=C", "TZ=UTC", "SQUEUE_FORMAT=", "SQUEUE_FORMAT2=", "SQUEUE_SORT=", "SLURM_TIME_FORMAT=standard", "SQUEUE_NAMES=",
    "SQUEUE_STATES=", "SQUEUE_USERS=", "SQUEUE_PARTITION=", "SQUEUE_ACCOUNT=", "SQUEUE_QOS=", "SQUEUE_LICENSES=", "SGE_LONG_QNAMES=",
};

/* A setting of nothing takes the variable away: to some clients an empty one is a wrong one. */
static void make_environment(const Queue *queue, List *out)
{
    (void)queue;
    extern char **environ;
    for (char **one = environ; *one; one++) {
        bool set = strncmp(*one, "SBATCH_", 7) == 0 || strncmp(*one, "SCANCEL_", 8) == 0; /* they win over what a script says */
        for (size_t i = 0; i < sizeof settings / sizeof *settings && !set; i++)
            set = strncmp(*one, settings[i], strcspn(settings[i], "=") + 1) == 0;
        if (!set)
            list_add(out, *one);
    }
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (settings[i][strlen(settings[i]) - 1] != '=')
            list_add(out, settings[i]);
}

static void far_command(const List *command, List *out)
{
    list_add(out, "env");
    for (int round = 0; round < 2; round++) /* options come first: what stands behind a setting is the program */
        for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
            size_t n = strcspn(settings[i], "=");
            bool given = settings[i][n + 1] != 0;
            if (round == 1 && given) {
                list_add(out, settings[i]);
            } else if (round == 0 && !given) {
                list_add(out, "-u");
                list_take(out, mem_text_n(settings[i], n));
            }
        }
    for (size_t i = 0; i < command->count; i++)
        list_add(out, command->items[i]);
}

static bool run(Queue *queue, Io *io, const Context *context, const List *command, const char *input, const QueueReader *reader, ChildResult *result,
                Error *error)
{
    List words = {0};
    bool right;
    if (host_is_here(queue->host)) {
        make_environment(queue, &words);
        ChildSpec spec = {.command = command, .environment = &words, .input = input, .input_length = input ? strlen(input) : 0, .most_bytes = OUTPUT_MOST,
                          .grew = reader ? reader->grew : NULL, .user = reader ? reader->user : NULL};
        right = child_run(io, context, &spec, result, error);
    } else {
        far_command(command, &words);
        HostCommand there = {.command = &words, .input = input, .most_bytes = OUTPUT_MOST};
        right = host_run(queue->host, io, context, &there, result, error);
        if (right && result->status == 127) {
            right = error_set(error, ERROR_NOT_FOUND, NULL, NULL, "%s: no such program on %s", command->items[0], host_name(queue->host));
            child_result_done(result);
        }
    }
    list_done(&words);
    if (!right && error && error->code == ERROR_NOT_FOUND)
        return error_set(error, ERROR_ABSENT, queue->config->key, "set `bin` where it is not in PATH", "there is no %s", command->items[0]);
    if (!right && error && error->code == ERROR_TIMEOUT)
        return error_set(error, ERROR_TIMEOUT, queue->config->key, NULL, "%s does not answer: is its controller up?", command->items[0]);
    if (!right && error)
        error_at(error, queue->config->key);
    return right;
}

bool queue_run(Queue *queue, Io *io, const Context *context, const List *command, const char *input, ChildResult *result, Error *error)
{
    return run(queue, io, context, command, input, NULL, result, error);
}

/* -------------------------------------------------------------------------------------------------------- one answer for all */

/* By what was asked: another owner, another format or other clusters are another answer. */
static char *shared_path(const Queue *queue, const List *command)
{
    uint64_t hash = hash_text(queue->config->type->name);
    char *home = file_runtime_home(), *directory = home ? file_join(home, "queues") : NULL, *path = NULL;
    for (size_t i = 0; i < command->count; i++)
        hash = hash_bytes(command->items[i], strlen(command->items[i]) + 1, hash);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        hash = hash_text(getenv(places[i]) ? getenv(places[i]) : "") ^ (hash * 31);
    if (directory && file_make_directory(directory, NULL))
        path = mem_format("%s/%s-%016llx", directory, queue->config->type->name, (unsigned long long)hash);
    free(home);
    free(directory);
    return path;
}

/* What the client printed, then "\nSTAMP\n". */
static bool read_shared(const char *path, int64_t may_be_ms, ChildResult *result)
{
    Buffer text;
    buffer_init(&text, OUTPUT_MOST);
    bool right = file_read_at(AT_FDCWD, path, &text) && text.length && text.bytes[text.length - 1] == '\n';
    const char *newline = right ? memrchr(text.bytes, '\n', text.length - 1) : NULL;
    char *end = NULL;
    int64_t stamp = newline ? strtoll(newline + 1, &end, 10) : 0, age = clock_wall_ms() - stamp;
    if (newline && *end == '\n' && age >= 0 && age <= may_be_ms) {
        *result = (ChildResult){0};
        text.length = (size_t)(newline - text.bytes);
        text.bytes[text.length] = 0;
        result->output = text;
        buffer_init(&result->errors, 16);
        return true;
    }
    buffer_done(&text);
    return false;
}

/* The stamp stands at the end so that nothing has to be moved for it. */
static void write_shared(const char *path, ChildResult *result)
{
    Buffer *text = &result->output;
    size_t n = text->length;
    if (!buffer_format(text, "\n%lld\n", (long long)clock_wall_ms()))
        return;
    file_replace_cache(path, text->bytes, text->length);
    text->length = n;
    text->bytes[n] = 0;
}

/* Whoever holds the lock is asking; its answer is waited for, a while. */
static bool wait_for_shared(Io *io, const Context *context, const char *path, int64_t may_be_ms, int *lock, ChildResult *result)
{
    char *name = mem_format("%s.lock", path);
    bool found = false;
    for (int i = 0; i < SHARED_ROUNDS && !found; i++) {
        *lock = file_lock(name, clock_mono_ms(), NULL);
        found = read_shared(path, may_be_ms, result);
        if (found || *lock >= 0 || !io_sleep(io, context, SHARED_MS, NULL))
            break;
    }
    free(name);
    if (found && *lock >= 0)
        close(*lock);
    return found;
}

bool queue_run_list(Queue *queue, Io *io, const Context *context, const JobQuery *query, const List *command, const QueueReader *reader, ChildResult *result,
                    Error *error)
{
    char *path = query->ids || !host_is_here(queue->host) ? NULL : shared_path(queue, command);
    int lock = -1;
    if (path && query->may_be_ms > 0 && wait_for_shared(io, context, path, query->may_be_ms, &lock, result)) {
        free(path);
        return true;
    }
    bool right = run(queue, io, context, command, NULL, reader, result, error);
    if (right && path && result->status == 0)
        write_shared(path, result);
    if (lock >= 0)
        close(lock);
    free(path);
    return right;
}

/* The last line that says something: before it clients warn of what they tried. */
static size_t last_line(const Buffer *text, const char **line)
{
    size_t end = text->length;
    while (end && strchr("\r\n \t", text->bytes[end - 1]))
        end--;
    size_t begin = end;
    while (begin && text->bytes[begin - 1] != '\n')
        begin--;
    *line = text->bytes + begin;
    return end - begin;
}

static ErrorCode code_of(const char *line)
{
    static const struct {
        const char *words;
        ErrorCode code;
    } known[] = {
        {"ermission denied", ERROR_DENIED}, {"privileges", ERROR_DENIED}, {"Unauthorized", ERROR_DENIED}, {"nvalid user", ERROR_DENIED},
        {"Unable to contact", ERROR_UNREACHABLE}, {"onnect", ERROR_UNREACHABLE}, {"timed out", ERROR_TIMEOUT}, {"unable to send message", ERROR_UNREACHABLE},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strstr(line, known[i].words))
            return known[i].code;
    return ERROR_BAD_REPLY;
}

bool queue_failed(const Queue *queue, const ChildResult *result, const char *program, Error *error)
{
    const char *line;
    size_t n = last_line(&result->errors, &line);
    if (!n)
        n = last_line(&result->output, &line);
    char *whole = text_clean_new(line, n, 200), *said = whole;
    size_t named = strlen(program);
    if (strncmp(said, program, named) == 0 && strncmp(said + named, ": ", 2) == 0) /* many say themselves who they are */
        said += named + 2;
    error_set(error, code_of(said), queue->config->key, NULL, "%s: %s%s", program, *said ? said : "it failed without a word, status ",
              *said ? "" : result->status == 1 ? "1" : "other than 1");
    free(whole);
    return false;
}

static void give_lines(const char *text, void (*take)(const char *line, List *failures), List *failures)
{
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "\r\n");
        char *line = mem_text_n(at, n);
        take(line, failures);
        free(line);
        at += n + strspn(at + n, "\r\n");
    }
}

bool queue_cancel(Queue *queue, Io *io, const Context *context, const char *program, const List *ids, void (*refused)(const char *line, List *failures),
                  List *failures, Error *error)
{
    bool right = true;
    for (size_t first = 0; right && first < ids->count; first += CANCEL_MOST) {
        ChildResult result;
        List command = queue_command(queue, program, NULL);
        for (size_t i = first; i < ids->count && i < first + CANCEL_MOST; i++)
            list_add(&command, ids->items[i]);
        right = queue_run(queue, io, context, &command, NULL, &result, error);
        list_done(&command);
        if (!right)
            break;
        give_lines(result.output.bytes, refused, failures);
        give_lines(result.errors.bytes, refused, failures);
        if (result.status != 0 && !result.output.length && !result.errors.length)
            right = queue_failed(queue, &result, program, error);
        child_result_done(&result);
    }
    return right;
}

/* ------------------------------------------------------------------------------------------------------------ many at once */

typedef struct Many Many;
typedef struct Slot {
    Many *many;
    Child *child;
    size_t index;
    bool busy;
} Slot;

struct Many {
    Slot slots[AT_ONCE];
    QueueGive give;
    void *user;
    size_t running;
    bool moved;
};

static void slot_ended(void *user, int status, const Error *error)
{
    Slot *slot = user;
    Many *many = slot->many;
    const Buffer *kept = child_kept(slot->child, false);
    bool right = status == 0 && (!error || error->code == ERROR_OK) && kept->length;
    many->give(many->user, slot->index, right ? kept->bytes : NULL, right ? kept->length : 0);
    child_end(slot->child);
    slot->busy = false;
    many->running--;
    many->moved = true;
}

static bool start_slot(Many *many, Io *io, const List *command, size_t index, const List *environment, Error *error)
{
    for (size_t i = 0; i < AT_ONCE; i++) {
        Slot *slot = &many->slots[i];
        if (slot->busy)
            continue;
        *slot = (Slot){.many = many, .index = index, .busy = true};
        ChildSpec spec = {.command = command, .environment = environment, .most_bytes = SCRIPT_MOST, .ended = slot_ended, .user = slot};
        slot->child = child_start(io, &spec, error);
        if (!slot->child)
            return slot->busy = false;
        many->running++;
        return true;
    }
    return false;
}

static bool run_many_here(Queue *queue, Io *io, const Context *context, const List *commands, size_t count, QueueGive give, void *user, Error *error)
{
    Many many = {.give = give, .user = user};
    List environment = {0};
    bool right = true;
    make_environment(queue, &environment);
    for (size_t next = 0; right && (next < count || many.running);) {
        while (right && next < count && many.running < AT_ONCE) {
            right = start_slot(&many, io, &commands[next], next, &environment, error);
            next++;
        }
        for (many.moved = false; right && many.running && !many.moved;)
            right = io_turn(io, context, error);
    }
    for (size_t i = 0; i < AT_ONCE; i++)
        if (many.slots[i].busy)
            child_end(many.slots[i].child);
    list_done(&environment);
    return right;
}

static void give_parts(const Buffer *output, const char *mark, size_t first, size_t count, QueueGive give, void *user)
{
    size_t length = strlen(mark);
    const char *at = output->bytes, *end = at + output->length;
    for (size_t i = 0; i < count; i++) {
        const char *stop = memmem(at, (size_t)(end - at), mark, length);
        if (!stop) {
            give(user, first + i, NULL, 0);
            continue;
        }
        give(user, first + i, stop > at ? at : NULL, (size_t)(stop - at));
        at = stop + length;
    }
}

/* One call for many: what is far is dear by the call, not by the byte. */
static bool run_many_there(Queue *queue, Io *io, const Context *context, const List *commands, size_t count, QueueGive give, void *user, Error *error)
{
    bool right = true;
    for (size_t first = 0; right && first < count; first += FAR_AT_ONCE) {
        size_t part = count - first < FAR_AT_ONCE ? count - first : FAR_AT_ONCE;
        ChildResult result;
        Buffer script;
        buffer_init(&script, BUFFER_ANY);
        char *mark = mem_format("\n==dasktop %016llx==\n", (unsigned long long)hash_bytes(&first, sizeof first, (uint64_t)clock_mono_us()));
        for (size_t i = 0; i < part; i++) {
            for (size_t w = 0; w < commands[first + i].count; w++) {
                host_quote(&script, commands[first + i].items[w]);
                buffer_char(&script, ' ');
            }
            buffer_text(&script, "2>/dev/null\nprintf %s ");
            host_quote(&script, mark);
            buffer_char(&script, '\n');
        }
        right = host_script(queue->host, io, context, script.bytes, OUTPUT_MOST, &result, error);
        buffer_done(&script);
        if (right) {
            give_parts(&result.output, mark, first, part, give, user);
            child_result_done(&result);
        }
        free(mark);
    }
    return right;
}

bool queue_run_many(Queue *queue, Io *io, const Context *context, const List *commands, size_t count, QueueGive give, void *user, Error *error)
{
    if (host_is_here(queue->host))
        return run_many_here(queue, io, context, commands, count, give, user, error);
    return run_many_there(queue, io, context, commands, count, give, user, error);
}
