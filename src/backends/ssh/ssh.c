/* The backend `ssh`: what is on another computer, by the system's own ssh. It asks nothing by itself: it opens the backends that can look at
 * another computer (BackendType.open_far) through one connection, each as an instance of its own: KEY:local/…, KEY:slurm/…. */
#include "backends/common/host.h"
#include "backends/registry.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { OPEN_MS = 30000, CONFIG_MOST = 1 << 20, OFFERS_MOST = 8 };

static const BackendType *far_type_of(const char *name)
{
    for (const BackendType *const *type = backend_types; *type; type++)
        if ((*type)->open_far && strcmp((*type)->name, name) == 0)
            return *type;
    return NULL;
}

static Host *make_host(const BackendConfig *config, Error *error)
{
    List options = {0};
    int64_t port = config_integer(config, "port");
    config_texts(config, "options", &options);
    HostSsh ssh = {.where = config->key, .host = config_text(config, "host"), .user = config_text(config, "user"), .port = port > 0 ? (int)port : 0,
                   .identity = config_text(config, "identity"), .options = &options};
    Host *host = host_ssh(&ssh, error);
    list_done(&options);
    return host;
}

/* ------------------------------------------------------------------------------------------------------------------ open */

/* What is to be looked for: as `discover` says, else everything that can be. */
static bool is_wanted(const List *names, const BackendType *type)
{
    return type->open_far && (!names->count || list_has(names, type->name));
}

/* A config of the other type, whose own keys have their defaults; what is common to all backends is this one's. */
static BackendConfig *config_for(const BackendConfig *ours, const BackendType *type)
{
    BackendConfig *config = mem_new(sizeof *config);
    *config = *ours;
    config->key = mem_text(ours->key);
    config->type = type;
    config->options = NULL;
    if (type->refresh_ms && !config_tree(ours, "refresh"))
        config->refresh_ms = type->refresh_ms;
    return config;
}

static bool open_one(const BackendConfig *ours, const BackendType *type, Host *host, Context *context, Opened *opened, Error *error)
{
    BackendConfig *config = config_for(ours, type);
    Backend *backend = type->open_far(config, type->name, host, context, error);
    if (backend) {
        opened_add(opened, backend);
        return true;
    }
    free(config->key);
    free(config);
    return false;
}

/* One call tells which of their programs are there. */
static bool look(Host *host, const List *names, const Context *context, Error *error)
{
    List programs = {0};
    Io *io = io_new(error);
    for (const BackendType *const *type = backend_types; *type; type++)
        if (is_wanted(names, *type) && (*type)->far_program && !list_has(&programs, (*type)->far_program))
            list_add(&programs, (*type)->far_program);
    bool right = io && host_look(host, io, context, &programs, error);
    list_done(&programs);
    if (io)
        io_free(io);
    return right;
}

/* What was asked for by name and is not there is told; of the others, only what failed. */
static bool open_all(const BackendConfig *config, Host *host, const List *names, Context *context, Opened *opened, Error *error)
{
    Error first = {0};
    for (const BackendType *const *type = backend_types; *type; type++) {
        Error why = {0};
        bool there = !(*type)->far_program || host_has(host, (*type)->far_program);
        if (!is_wanted(names, *type))
            continue;
        if (!there && names->count)
            error_set(&why, ERROR_ABSENT, config->key, NULL, "there is no %s on %s", (*type)->far_program, host_name(host));
        else if (there)
            open_one(config, *type, host, context, opened, &why);
        if (why.code != ERROR_OK && (names->count || why.code != ERROR_ABSENT) && first.code == ERROR_OK)
            first = why;
    }
    if (first.code != ERROR_OK && error)
        *error = first;
    return first.code == ERROR_OK;
}

static bool open_backend(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
    List names = {0};
    Host *host = make_host(config, error);
    if (!host)
        return false;
    Context part = context_within(context, OPEN_MS);
    config_texts(config, "discover", &names);
    io_warm();
    bool right = look(host, &names, &part, error) && open_all(config, host, &names, &part, opened, error);
    list_done(&names);
    host_drop(host); /* the instances keep it */
    return right;
}

/* ---------------------------------------------------------------------------------------------------------------- config */

static const char *check_host(const char *text)
{
    return host_is_name(text) ? NULL : "a name, an address or an alias of ~/.ssh/config";
}

static const char *check_type(const char *text)
{
    return far_type_of(text) ? NULL : "a backend that can look at another computer: local, slurm, sge, pbs, lsf, htcondor, oar";
}

static const char *check(const Tree *options)
{
    const Tree *port = tree_get(options, "port");
    return port && (port->number < 1 || port->number > 65535) ? "has a port that is none" : NULL;
}

static Tree *at(const char *computer, Error *error)
{
    const char *sign = strrchr(computer, '@');
    char *user = sign ? mem_text_n(computer, (size_t)(sign - computer)) : NULL;
    const char *host = sign ? sign + 1 : computer;
    Tree *options = NULL;
    if (host_is_name(host) && (!user || host_is_name(user))) {
        options = tree_new(TREE_MAP, NULL);
        tree_set(options, "host", tree_new(TREE_TEXT, host));
        if (user)
            tree_set(options, "user", tree_new(TREE_TEXT, user));
    } else {
        error_set(error, ERROR_USAGE, "-H", "give [USER@]HOST as ssh takes it", "%s is no host for ssh", *computer ? computer : "an empty text");
    }
    free(user);
    return options;
}

/* ----------------------------------------------------------------------------------------------------------------- people */

/* The names of `Host` lines; patterns are none. */
static void take_hosts(char *line, List *names)
{
    char *word = strsep(&line, " \t=");
    if (strcasecmp(word, "host") != 0)
        return;
    for (char *name; (name = strsep(&line, " \t=\""));)
        if (*name == '#')
            return;
        else if (*name && !strpbrk(name, "*?!") && host_is_name(name) && !list_has(names, name))
            list_add(names, name);
}

static void offer(List *sentences)
{
    Buffer text;
    List names = {0};
    char *path = file_expand_home("~/.ssh/config");
    buffer_init(&text, CONFIG_MOST);
    if (file_read(path, &text, NULL)) {
        char *rest = text.bytes;
        for (char *line; (line = strsep(&rest, "\r\n"));)
            take_hosts(line + strspn(line, " \t"), &names);
    }
    for (size_t i = 0; i < names.count && i < OFFERS_MOST; i++)
        list_format(sentences, "host %s of ~/.ssh/config: dasktop -H %s", names.items[i], names.items[i]);
    if (names.count > OFFERS_MOST)
        list_format(sentences, "and %zu more hosts of ~/.ssh/config", names.count - OFFERS_MOST);
    list_done(&names);
    buffer_done(&text);
    free(path);
}

static bool login(const BackendConfig *config, List *command, Error *error)
{
    Host *host = make_host(config, error);
    if (!host)
        return false;
    host_login(host, command);
    host_drop(host);
    return true;
}

static const ConfigKey keys[] = {
    {.name = "host", .kind = KEY_TEXT, .required = true, .check = check_host, .help = "a name, an address or an alias of ~/.ssh/config"},
    {.name = "user", .kind = KEY_TEXT, .check = check_host, .help = "who you are there (default: as ssh decides)"},
    {.name = "port", .kind = KEY_INTEGER, .help = "of its ssh server (default: as ssh decides)"},
    {.name = "identity", .kind = KEY_TEXT, .help = "a key file, and no other key"},
    {.name = "options", .kind = KEY_TEXTS, .help = "more for ssh's command line: [-J, bastion], or ProxyJump=bastion"},
    {.name = "discover", .kind = KEY_TEXTS, .check = check_type, .help = "what is looked for there: local, slurm, … (default: all that is there)"},
    {0},
};

const BackendType ssh_backend = {
    .name = "ssh",
    .summary = "clusters on another host and in its batch queues, through your ssh",
    .signs_in = "as you: your own ssh, with its keys, agent and config",
    .rank = 75,
    .many = true,
    .can = 1u << CAN_SCALE | 1u << CAN_LOGS | 1u << CAN_CONNECT | 1u << CAN_DELETE | 1u << CAN_SNIPPET,
    .keys = keys,
    .check = check,
    .open = open_backend,
    .at = at,
    .offer = offer,
    .login = login,
};
