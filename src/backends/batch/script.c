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

/* $PYTHON -m distributed.cli.dask_worker: what the variable is is no question. */
static Command parse_from(const Words *words, size_t i)
{
    char python[] = "python", *kept = words->list.items[i];
    List rest = {.items = words->list.items + i, .count = words->list.count - i};
    bool variable = *kept == '$' && rest.count > 2 && strcmp(rest.items[1], "-m") == 0;
    if (variable)
        rest.items[0] = python;
    Command command = command_parse(&rest);
    rest.items[0] = kept;
    return command;
}

/* srun, mpirun, exec, env A=b: what they start stands behind them. dask-mpi makes a scheduler and workers of one command. */
static CommandRole find_dask(const Words *words, Command *command)
{
    for (size_t i = 0; i < words->list.count; i++) {
        const char *slash = strrchr(words->list.items[i], '/');
        *command = parse_from(words, i);
        if (command->role == COMMAND_SCHEDULER || command->role == COMMAND_WORKER)
            return command->role;
        if (strcmp(slash ? slash + 1 : words->list.items[i], "dask-mpi") == 0)
            return COMMAND_SCHEDULER;
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
    out->worker = copy(command_option(argv, "--name"));
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
    split(line->bytes, line->length, words);
    CommandRole role = find_dask(words, &command);
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

bool script_imports_mpi(const char *text, size_t n)
{
    Buffer line;
    bool found = false;
    buffer_init(&line, LINE_MOST);
    for (const char *at = text, *end = text + n; at < end && !found;) {
        at = take_line(at, end, &line);
        found = !is_comment(&line) && strstr(line.bytes, "dask_mpi") && strstr(line.bytes, "import");
    }
    buffer_done(&line);
    return found;
}

static bool is_launcher(const char *word)
{
    static const char *const launchers[] = {"srun", "mpirun", "mpiexec", "mpiexec.hydra", "orterun", "jsrun", "aprun", "ibrun"};
    const char *slash = strrchr(word, '/');
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++)
        if (strcmp(slash ? slash + 1 : word, launchers[i]) == 0)
            return true;
    return false;
}

static bool is_python_file(const char *word)
{
    size_t n = strlen(word);
    return n > 3 && strcmp(word + n - 3, ".py") == 0;
}

static char *program_of(const List *words)
{
    bool launched = false;
    for (size_t i = 0; i < words->count; i++) {
        if (launched && is_python_file(words->items[i]))
            return mem_text(words->items[i]);
        launched = launched || is_launcher(words->items[i]);
    }
    return NULL;
}

char *script_program(const char *text, size_t n)
{
    Buffer line;
    Words *words = mem_new(sizeof *words);
    char *found = NULL;
    buffer_init(&line, LINE_MOST);
    for (const char *at = text, *end = text + n; at < end && !found;) {
        at = take_line(at, end, &line);
        if (is_comment(&line) || !strstr(line.bytes, ".py"))
            continue;
        split(line.bytes, line.length, words);
        found = program_of(&words->list);
        list_done(&words->list);
    }
    buffer_done(&line);
    free(words);
    return found;
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
    static const struct {
        const char *words;
        JobRole role;
    } marks[] = {{"Scheduler at:", ROLE_SCHEDULER}, {"Registered to:", ROLE_WORKER}, {"Waiting to connect to:", ROLE_WORKER}};
    *out = (Script){.role = ROLE_OTHER, .processes = 1, .threads = NUMBER_UNKNOWN};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        DaskAddress place;
        char *address = behind(text, n, marks[i].words);
        if (address && dask_address_parse(address, &place) && !place.inproc) {
            out->role = marks[i].role;
            out->address = address;
            out->worker = out->role == ROLE_WORKER ? behind(text, n, "Worker name:") : NULL;
            return;
        }
        free(address);
    }
}

/* ------------------------------------------------------------------------------------------------------------------ names */

/* What the job's number, or its index in an array, is called in a script; NULL: something else. */
static char *value_of(const char *name, size_t n, const char *job, bool element)
{
    static const char *const numbers[] = {"SLURM_JOB_ID", "SLURM_JOBID", "JOB_ID", "LSB_JOBID", "OAR_JOB_ID", "OAR_JOBID"};
    static const char *const indexes[] = {"SLURM_ARRAY_TASK_ID", "SGE_TASK_ID", "PBS_ARRAY_INDEX", "PBS_ARRAYID", "LSB_JOBINDEX"};
    size_t digits = strspn(job, "0123456789");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !element; i++)
        if (strlen(numbers[i]) == n && strncmp(numbers[i], name, n) == 0)
            return mem_text_n(job, digits);
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes && element && job[digits]; i++)
        if (strlen(indexes[i]) == n && strncmp(indexes[i], name, n) == 0)
            return mem_text_n(job + digits + 1, strspn(job + digits + 1, "0123456789"));
    return NULL;
}

char *script_expand(const char *worker, const char *job, bool element)
{
    Buffer out;
    buffer_init(&out, LINE_MOST);
    for (const char *at = worker; *at && *at != '%';) {
        if (*at != '$') {
            buffer_char(&out, *at++);
            continue;
        }
        bool braced = at[1] == '{';
        const char *name = at + 1 + braced;
        size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
        char *value = value_of(name, n, job, element);
        if (!value || (braced && name[n] != '}')) {
            free(value);
            break;
        }
        buffer_text(&out, value);
        free(value);
        at = name + n + braced;
    }
    return buffer_take(&out);
}

char *script_cluster(const char *worker)
{
    size_t n = strlen(worker), digits = n;
    while (digits && isdigit((unsigned char)worker[digits - 1]))
        digits--;
    bool numbered = digits < n && digits > 1 && worker[digits - 1] == '-';
    size_t end = numbered ? digits - 1 : n;
    while (end > 1 && worker[end - 1] == '-') /* what followed was not known */
        end--;
    return mem_text_n(worker, end);
}
