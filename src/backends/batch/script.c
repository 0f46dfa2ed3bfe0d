#include "backends/batch/script.h"

#include "backends/common/command.h"
#include "base/json.h"
#include "base/mem.h"
#include "dask/dask.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MOST = 64 << 10, WORDS_MOST = 2000 };

void script_done(Script *script)
{
    char *texts[] = {script->address, script->scheduler_file, script->worker, script->ca_file, script->cert, script->key};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    *script = (Script){0};
}

/* ----------------------------------------------------------------------------------------------------------------- words */

/* One word by a shell's rules of quoting; nothing is expanded. Returns where it ended; *quoted where its value began and ended. */
static const char *take_word(const char *at, const char *end, Buffer *word)
{
    char quote = 0;
    for (; at < end; at++) {
        if (quote ? *at == quote : *at == '\'' || *at == '"') {
            quote = quote ? 0 : *at;
        } else if (*at == '\\' && quote != '\'' && at + 1 < end) {
            buffer_char(word, *++at);
        } else if (!quote && (isspace((unsigned char)*at) || strchr(";&|()", *at))) {
            break;
        } else {
            buffer_char(word, *at);
        }
    }
    return at;
}

typedef struct Words {
    List list;
    const char *begins[WORDS_MOST]; /* where each stands in the line */
    const char *ends[WORDS_MOST];
} Words;

static void split(const char *line, size_t n, Words *out)
{
    const char *at = line, *end = line + (n < LINE_MOST ? n : LINE_MOST);
    Buffer word;
    buffer_init(&word, LINE_MOST);
    out->list = (List){0};
    while (at < end && out->list.count < WORDS_MOST) {
        if (isspace((unsigned char)*at) || strchr(";&|()", *at)) {
            at++;
            continue;
        }
        buffer_clear(&word);
        out->begins[out->list.count] = at;
        at = take_word(at, end, &word);
        out->ends[out->list.count] = at;
        list_add(&out->list, word.bytes);
    }
    buffer_done(&word);
}

/* srun, mpirun, exec, env A=b: what they start stands behind them. The first word from which on it is a command of Dask's. */
static CommandRole find_dask(const Words *words, size_t *first, Command *command)
{
    for (size_t i = 0; i < words->list.count; i++) {
        List rest = {.items = words->list.items + i, .count = words->list.count - i};
        *command = command_parse(&rest);
        if (command->role == COMMAND_SCHEDULER || command->role == COMMAND_WORKER) {
            *first = i;
            return command->role;
        }
    }
    return COMMAND_OTHER;
}

/* Also workers of other packages that are started the same way: `-m dask_cuda.cli worker tcp://…`, dask-cuda-worker. Their line has an
 * address of a scheduler, and options that only workers have. */
static bool looks_like_worker(const Words *words)
{
    bool address = false, option = false;
    for (size_t i = 0; i < words->list.count; i++) {
        DaskAddress place;
        const char *word = words->list.items[i];
        address = address || (strstr(word, "://") && dask_address_parse(word, &place));
        option = option || strcmp(word, "--nthreads") == 0 || strcmp(word, "--death-timeout") == 0 || strcmp(word, "--memory-limit") == 0;
    }
    return address && option;
}

/* ------------------------------------------------------------------------------------------------------------------ lines */

static char *copy(const char *text)
{
    return text && *text ? mem_text(text) : NULL;
}

static const char *any_address(const Words *words)
{
    DaskAddress place;
    for (size_t i = 0; i < words->list.count; i++)
        if (strstr(words->list.items[i], "://") && dask_address_parse(words->list.items[i], &place) && !place.inproc)
            return words->list.items[i];
    return NULL;
}

/* Batch systems put a job's number behind a worker's name: what a shell or they expand is no part of it. */
static char *plain_name(const char *name)
{
    return name ? mem_text_n(name, strcspn(name, "$%")) : NULL;
}

static int64_t count_of(const List *argv, const char *option, const char *old)
{
    const char *text = command_option(argv, option);
    if (!text)
        text = command_option(argv, old);
    char *end;
    long long number = text ? strtoll(text, &end, 10) : 0;
    return text && *end == 0 && number > 0 && number < 100000 ? number : NUMBER_UNKNOWN;
}

static void take_worker(const Words *words, const Command *command, Script *out)
{
    const List *argv = &words->list;
    const char *address = command->address ? command->address : any_address(words);
    out->role = ROLE_WORKER;
    out->address = copy(address);
    out->scheduler_file = copy(command_option(argv, "--scheduler-file"));
    out->worker = plain_name(command_option(argv, "--name"));
    out->processes = count_of(argv, "--nworkers", "--nprocs");
    if (out->processes == NUMBER_UNKNOWN)
        out->processes = 1;
    out->threads = count_of(argv, "--nthreads", "--nthreads");
    out->ca_file = copy(command_option(argv, "--tls-ca-file"));
    out->cert = copy(command_option(argv, "--tls-cert"));
    out->key = copy(command_option(argv, "--tls-key"));
}

/* Runners start scheduler and workers in one allocation: SLURMRunner in a Python program, or by hand. */
static void take_scheduler(const Words *words, Script *out)
{
    const List *argv = &words->list;
    script_done(out);
    out->role = ROLE_SCHEDULER;
    out->scheduler_file = copy(command_option(argv, "--scheduler-file"));
    out->processes = 1;
    out->threads = NUMBER_UNKNOWN;
}

/* Lines joined where they end in a backslash. Returns where the next one begins. */
static const char *take_line(const char *at, const char *end, Buffer *line)
{
    buffer_clear(line);
    for (; at < end && *at != '\n'; at++) {
        if (*at == '\\' && at + 1 < end && at[1] == '\n') {
            buffer_char(line, ' ');
            at++;
        } else {
            buffer_char(line, *at);
        }
    }
    return at < end ? at + 1 : end;
}

static bool is_comment(const Buffer *line)
{
    return line->bytes[strspn(line->bytes, " \t")] == '#';
}

/* The role of one line; a worker's is taken where none was before. */
static void read_line(const Buffer *line, Words *words, Script *out)
{
    Command command;
    size_t first;
    split(line->bytes, line->length, words);
    CommandRole role = find_dask(words, &first, &command);
    if (role == COMMAND_OTHER && looks_like_worker(words))
        role = COMMAND_WORKER;
    if (role == COMMAND_SCHEDULER && out->role != ROLE_SCHEDULER)
        take_scheduler(words, out);
    else if (role == COMMAND_WORKER && out->role == ROLE_OTHER)
        take_worker(words, &command, out);
    list_done(&words->list);
}

void script_read(const char *text, size_t n, Script *out)
{
    Buffer line;
    Words *words = mem_new(sizeof *words);
    *out = (Script){.role = ROLE_OTHER, .processes = 1, .threads = NUMBER_UNKNOWN};
    buffer_init(&line, LINE_MOST);
    for (const char *at = text, *end = text + n; at < end;) {
        at = take_line(at, end, &line);
        if (!is_comment(&line) && (strstr(line.bytes, "dask") || strstr(line.bytes, "://")))
            read_line(&line, words, out);
    }
    buffer_done(&line);
    free(words);
}

char *script_line(const char *text, size_t n)
{
    Buffer line;
    char *found = NULL;
    buffer_init(&line, LINE_MOST);
    for (const char *at = text, *end = text + n; at < end && !found;) {
        Script script;
        at = take_line(at, end, &line);
        if (is_comment(&line))
            continue;
        script_read(line.bytes, line.length, &script);
        if (script.role == ROLE_WORKER)
            found = mem_text(line.bytes + strspn(line.bytes, " \t"));
        script_done(&script);
    }
    buffer_done(&line);
    return found;
}

/* ----------------------------------------------------------------------------------------------------------------- rename */

/* Where the value of --name stands in a line of its own text; false: it has none. */
static bool find_name(const char *line, size_t n, const char **begin, const char **end)
{
    Words *words = mem_new(sizeof *words);
    bool found = false;
    split(line, n, words);
    for (size_t i = 0; i < words->list.count && !found; i++) {
        const char *word = words->list.items[i];
        if (strcmp(word, "--name") == 0 && i + 1 < words->list.count) {
            *begin = words->begins[i + 1];
            *end = words->ends[i + 1];
            found = true;
        } else if (strncmp(word, "--name=", 7) == 0) {
            *begin = words->begins[i] + 7;
            *end = words->ends[i];
            found = true;
        }
    }
    list_done(&words->list);
    free(words);
    return found;
}

bool script_rename(const char *text, size_t n, const char *name, Buffer *out)
{
    bool done = false;
    for (const char *at = text, *end = text + n; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end, *from, *to;
        Script script;
        script_read(at, (size_t)(stop - at), &script);
        bool here = !done && script.role == ROLE_WORKER && find_name(at, (size_t)(stop - at), &from, &to);
        script_done(&script);
        if (here) {
            buffer_add(out, at, (size_t)(from - at));
            buffer_text(out, name);
            at = to;
            done = true;
        }
        stop = newline ? newline + 1 : end;
        buffer_add(out, at, (size_t)(stop - at));
        at = stop;
    }
    return done && !out->full;
}

/* -------------------------------------------------------------------------------------------------------------------- log */

static char *behind(const char *text, size_t n, const char *words)
{
    const char *found = memmem(text, n, words, strlen(words)), *end = text + n;
    if (!found)
        return NULL;
    const char *at = found + strlen(words);
    while (at < end && *at == ' ')
        at++;
    size_t length = 0;
    while (at + length < end && !isspace((unsigned char)at[length]))
        length++;
    return length ? mem_text_n(at, length) : NULL;
}

void script_read_log(const char *text, size_t n, Script *out)
{
    DaskAddress place;
    *out = (Script){.role = ROLE_OTHER, .processes = 1, .threads = NUMBER_UNKNOWN};
    char *address = behind(text, n, "Registered to:");
    if (!address)
        address = behind(text, n, "Waiting to connect to:");
    if (address && dask_address_parse(address, &place)) {
        out->role = ROLE_WORKER;
        out->address = address;
        out->worker = behind(text, n, "Worker name:");
        return;
    }
    free(address);
}

char *script_cluster(const char *worker)
{
    size_t n = strlen(worker), digits = n;
    while (digits && isdigit((unsigned char)worker[digits - 1]))
        digits--;
    bool numbered = digits < n && digits > 1 && worker[digits - 1] == '-';
    return mem_text_n(worker, numbered ? digits - 1 : n);
}
