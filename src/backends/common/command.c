#include "backends/common/command.h"

#include <string.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *command_option(const List *argv, const char *name)
{
    size_t n = strlen(name);
    const char *value = NULL;
    for (size_t i = 1; i < argv->count; i++) {
        const char *item = argv->items[i];
        if (strcmp(item, name) == 0)
            value = i + 1 < argv->count ? argv->items[++i] : NULL;
        else if (strncmp(item, name, n) == 0 && item[n] == '=')
            value = item + n + 1;
    }
    return value; /* the last one holds, as for Dask */
}

static bool has_flag(const List *argv, const char *name)
{
    for (size_t i = 1; i < argv->count; i++)
        if (strcmp(argv->items[i], name) == 0)
            return true;
    return false;
}

static CommandRole role_word(const char *word)
{
    if (strcmp(word, "scheduler") == 0 || strcmp(word, "dask-scheduler") == 0 || strcmp(word, "distributed.cli.dask_scheduler") == 0)
        return COMMAND_SCHEDULER;
    if (strcmp(word, "worker") == 0 || strcmp(word, "dask-worker") == 0 || strcmp(word, "distributed.cli.dask_worker") == 0 ||
        strcmp(word, "dask-cuda-worker") == 0)
        return COMMAND_WORKER;
    return COMMAND_OTHER;
}

/* Is argument i the value of the option before it? Few of Dask's options are flags. */
static bool is_value(const List *argv, size_t i)
{
    static const char *const flags[] = {"--nanny", "--dashboard", "--reconnect", "--show", "--version", "--help"};
    const char *before = argv->items[i - 1];
    if (strncmp(before, "--", 2) != 0 || strchr(before, '=') || strncmp(before, "--no-", 5) == 0)
        return false;
    for (size_t k = 0; k < sizeof flags / sizeof *flags; k++)
        if (strcmp(before, flags[k]) == 0)
            return false;
    return true;
}

/* tcp://…, tls://…, or HOST:PORT, that no option takes: a worker's --contact-address is its own. */
static const char *find_address(const List *argv)
{
    for (size_t i = 1; i < argv->count; i++) {
        const char *item = argv->items[i], *colon = strrchr(item, ':');
        if (item[0] == '-' || item[0] == '{' || is_value(argv, i))
            continue;
        if (strstr(item, "://") || (colon && colon != item && colon[1] && colon[1 + strspn(colon + 1, "0123456789")] == 0))
            return item;
    }
    return NULL;
}

/* With setproctitle the title is one argument. */
static CommandRole role_title(const char *title)
{
    static const char *const schedulers[] = {"dask scheduler [", "dask-scheduler ["}, *const workers[] = {"dask worker [", "dask-worker ["};
    for (size_t i = 0; i < 2; i++) {
        if (strncmp(title, schedulers[i], strlen(schedulers[i])) == 0)
            return COMMAND_SCHEDULER;
        if (strncmp(title, workers[i], strlen(workers[i])) == 0)
            return COMMAND_WORKER;
    }
    return COMMAND_OTHER;
}

static bool is_interpreter(const char *path)
{
    const char *name = base_name(path);
    return strncmp(name, "python", 6) == 0 || strncmp(name, "pypy", 4) == 0 || strncmp(name, "Python", 6) == 0;
}

/* Which argument of the interpreter is what it runs: a file, the name behind -m, or the text behind -c. 0: none, or standard input. */
static size_t find_program(const List *argv, char *kind)
{
    *kind = 'f';
    for (size_t i = 1; i < argv->count; i++) {
        const char *item = argv->items[i];
        if (item[0] != '-')
            return i;
        if (item[1] == 0)
            return 0;
        if (item[1] == '-') {
            i += strcmp(item, "--check-hash-based-pycs") == 0;
            continue;
        }
        /* letters may share one dash; what takes a value has it in the same argument or in the next */
        size_t letter = strcspn(item, "mcWX");
        if (!item[letter])
            continue;
        bool next = item[letter + 1] == 0;
        if (item[letter] == 'm' || item[letter] == 'c') {
            *kind = item[letter];
            return next && i + 1 < argv->count ? i + 1 : 0;
        }
        i += next;
    }
    return 0;
}

static CommandRole role_spec(const List *argv)
{
    const char *spec = command_option(argv, "--spec");
    if (find_address(argv))
        return COMMAND_WORKER; /* only a worker is told where its scheduler is */
    return spec && strstr(spec, "Scheduler") ? COMMAND_SCHEDULER : COMMAND_WORKER;
}

static bool is_spawned(const List *argv)
{
    for (size_t i = 0; i < argv->count && i < 16; i++)
        if (strcmp(argv->items[i], "--multiprocessing-fork") == 0 || strstr(argv->items[i], "from multiprocessing.spawn ") ||
            strstr(argv->items[i], "from multiprocessing.forkserver "))
            return true;
    return false;
}

/* Wrappers (sudo, srun, uv run, a shell) have the same words in their arguments, but are not it. */
static CommandRole find_role(const List *argv, bool *by_spec)
{
    char kind = 'f';
    size_t at = 0;
    if (argv->count == 0)
        return COMMAND_OTHER;
    CommandRole role = role_title(argv->items[0]);
    if (role != COMMAND_OTHER || is_spawned(argv))
        return role != COMMAND_OTHER ? role : COMMAND_SPAWNED;
    if (is_interpreter(argv->items[0]) && ((at = find_program(argv, &kind)) == 0 || kind == 'c'))
        return COMMAND_OTHER;
    const char *word = kind == 'm' ? argv->items[at] : base_name(argv->items[at]);
    if (strcmp(word, "dask") == 0)
        return at + 1 < argv->count ? role_word(argv->items[at + 1]) : COMMAND_OTHER;
    if (kind == 'm' && strcmp(word, "distributed.cli.dask_spec") == 0) {
        *by_spec = true;
        return role_spec(argv);
    }
    return strchr(word, '-') || kind == 'm' ? role_word(word) : COMMAND_OTHER;
}

Command command_parse(const List *argv)
{
    Command command = {0};
    command.role = find_role(argv, &command.by_spec);
    if (command.role != COMMAND_SCHEDULER && command.role != COMMAND_WORKER)
        return command;
    const char *protocol = command_option(argv, "--protocol");
    command.scheduler_file = command_option(argv, "--scheduler-file");
    command.name = command_option(argv, "--name");
    command.ca_file = command_option(argv, "--tls-ca-file");
    command.cert = command_option(argv, "--tls-cert");
    command.key = command_option(argv, "--tls-key");
    command.no_nanny = has_flag(argv, "--no-nanny");
    if (command.role == COMMAND_WORKER)
        command.address = find_address(argv);
    command.tls = (protocol && strcmp(protocol, "tls") == 0) || (command.address && strncmp(command.address, "tls://", 6) == 0);
    return command;
}

const char *command_script(const List *argv, bool *is_module)
{
    char kind;
    size_t at = find_program(argv, &kind);
    *is_module = kind == 'm';
    return at && kind != 'c' ? argv->items[at] : NULL;
}
