#include "backends/local/command.h"

#include <string.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *command_option(const List *argv, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 1; i < argv->count; i++) {
        const char *item = argv->items[i];
        if (strcmp(item, name) == 0)
            return i + 1 < argv->count ? argv->items[i + 1] : NULL;
        if (strncmp(item, name, n) == 0 && item[n] == '=')
            return item + n + 1;
    }
    return NULL;
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

/* Where the words that say what it is stand: argv[0], or a script or module after the interpreter. */
static CommandRole find_role(const List *argv, bool *by_spec)
{
    if (argv->count && strncmp(argv->items[0], "dask scheduler", 14) == 0)
        return COMMAND_SCHEDULER; /* with setproctitle the title is one argument */
    if (argv->count && strncmp(argv->items[0], "dask worker", 11) == 0)
        return COMMAND_WORKER;
    for (size_t i = 0; i < argv->count && i < 8; i++) {
        const char *word = base_name(argv->items[i]);
        bool module = i > 0 && strcmp(argv->items[i - 1], "-m") == 0;
        if (strcmp(word, "dask") == 0 && i + 1 < argv->count && (i < 2 || module))
            return role_word(argv->items[i + 1]);
        if ((i < 2 || module) && strchr(word, '-') && role_word(word) != COMMAND_OTHER)
            return role_word(word);
        if (module && strcmp(word, "distributed.cli.dask_spec") == 0) {
            const char *spec = command_option(argv, "--spec");
            *by_spec = true;
            return spec && strstr(spec, "Scheduler") && !strstr(spec, "Worker") && !strstr(spec, "Nanny") ? COMMAND_SCHEDULER : COMMAND_WORKER;
        }
        if (module)
            return role_word(word);
        if (strcmp(argv->items[i], "--multiprocessing-fork") == 0 || strstr(argv->items[i], "multiprocessing.spawn") ||
            strstr(argv->items[i], "multiprocessing.forkserver"))
            return COMMAND_SPAWNED;
    }
    return COMMAND_OTHER;
}

/* tcp://…, tls://…, or HOST:PORT that no option takes. */
static const char *find_address(const List *argv)
{
    for (size_t i = 1; i < argv->count; i++) {
        const char *item = argv->items[i];
        if (strncmp(item, "tcp://", 6) == 0 || strncmp(item, "tls://", 6) == 0 || strncmp(item, "ws://", 5) == 0 || strncmp(item, "wss://", 6) == 0)
            return item;
        const char *colon = strrchr(item, ':');
        bool value = argv->items[i - 1][0] == '-' && argv->items[i - 1][1] == '-' && !strchr(argv->items[i - 1], '=');
        if (item[0] != '-' && item[0] != '{' && !value && colon && colon != item && colon[1] && colon[1 + strspn(colon + 1, "0123456789")] == 0)
            return item;
    }
    return NULL;
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
    *is_module = false;
    for (size_t i = 1; i < argv->count; i++) {
        const char *item = argv->items[i];
        if (strcmp(item, "-m") == 0) {
            *is_module = true;
            return i + 1 < argv->count ? argv->items[i + 1] : NULL;
        }
        if (strcmp(item, "-c") == 0)
            return NULL;
        if (strcmp(item, "-W") == 0 || strcmp(item, "-X") == 0)
            i++;
        else if (item[0] != '-')
            return item;
    }
    return NULL;
}
