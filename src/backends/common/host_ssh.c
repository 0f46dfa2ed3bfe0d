/* A Host through the system's ssh: its command line, its one connection, what its failures mean. */
#include "backends/common/host_inside.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A unix socket's path has 104 bytes on some systems, and ssh adds 17 to the master's while it makes it. */
enum { DIRECTORY_MOST = 60, KEEP_S = 60, KEEP_LOGIN_S = 600, CONNECT_MOST_S = 15 };

/* ------------------------------------------------------------------------------------------------------------ directory */

static bool is_private(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0;
}

/* Nobody else may enter it: whoever reaches a socket in it reaches what is behind the connection. */
static char *make_directory(Error *error)
{
    char *home = file_runtime_home(), *path = home ? file_join(home, "ssh") : NULL;
    free(home);
    if (path && strlen(path) <= DIRECTORY_MOST && file_make_directory(path, NULL) && is_private(path))
        return path;
    free(path);
    path = mem_format("/tmp/dasktop-%lu", (unsigned long)geteuid()); /* a home may have too long a path for sockets */
    if ((mkdir(path, 0700) == 0 || errno == EEXIST) && is_private(path))
        return path;
    error_set(error, ERROR_DENIED, path, "set XDG_RUNTIME_DIR", "there is no private directory for the connection's socket");
    free(path);
    return NULL;
}

/* --------------------------------------------------------------------------------------------------------------- options */

bool host_is_name(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c <= ' ' || *c == 0x7f || strchr("'\"`$\\;&<>|()!*?{}", *c))
            return false;
    return *text && *text != '-';
}

static void add_option(List *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_option(List *list, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    list_add(list, "-o");
    list_take(list, mem_vformat(format, args));
    va_end(args);
}

/* "Key=value" alone is meant for -o; what follows a letter that waits for a value is that value. */
static void add_users(List *out, const List *options)
{
    bool value = false;
    for (size_t i = 0; options && i < options->count; i++) {
        const char *item = options->items[i];
        if (!value && item[0] != '-')
            list_add(out, "-o");
        list_add(out, item);
        value = !value && item[0] == '-' && item[1] && !item[2] && strchr("bBcDeEFIiJLlmOopQRSWw", item[1]);
    }
}

Host *host_ssh(const HostSsh *ssh, Error *error)
{
    if (!host_is_name(ssh->host) || (ssh->user && !host_is_name(ssh->user))) {
        error_set(error, ERROR_USAGE, ssh->where, "give a name, an address or an alias of ~/.ssh/config", "%s%s%s is no host for ssh",
                  ssh->user ? ssh->user : "", ssh->user ? "@" : "", ssh->host);
        return NULL;
    }
    char *directory = make_directory(error);
    if (!directory)
        return NULL;
    Host *host = mem_new(sizeof *host);
    host->references = 1;
    host->where = mem_text(ssh->where);
    host->name = mem_text(ssh->host);
    host->destination = ssh->user ? mem_format("%s@%s", ssh->user, ssh->host) : mem_text(ssh->host);
    host->directory = directory;
    host->master_fd = -1;
    host->way = (Way){host_find_way, host};
    pthread_mutex_init(&host->lock, NULL);
    map_init(&host->ways);
    map_init(&host->programs);
    if (ssh->port)
        add_option(&host->options, "Port=%d", ssh->port);
    if (ssh->identity) {
        char *path = file_expand_home(ssh->identity);
        list_add(&host->options, "-i");
        list_take(&host->options, path);
        add_option(&host->options, "IdentitiesOnly=yes");
    }
    add_users(&host->options, ssh->options);
    uint64_t hash = hash_text(host->destination);
    for (size_t i = 0; i < host->options.count; i++)
        hash = hash_bytes(host->options.items[i], strlen(host->options.items[i]) + 1, hash);
    host->control = mem_format("%s/c%016llx", directory, (unsigned long long)hash);
    return host;
}

/* ssh's first of several values holds: ours come before the user's. */
static void put_command(const Host *host, bool login, int64_t connect_s, List *out)
{
    list_add(out, "ssh");
    add_option(out, "ControlMaster=auto");
    add_option(out, "ControlPath=%s", host->control);
    add_option(out, "ControlPersist=%d", login ? KEEP_LOGIN_S : KEEP_S);
    add_option(out, "StreamLocalBindUnlink=yes"); /* a socket that a dead connection left */
    add_option(out, "ServerAliveInterval=10");
    add_option(out, "ServerAliveCountMax=3");
    add_option(out, "ClearAllForwardings=yes");
    add_option(out, "ForwardAgent=no");
    add_option(out, "ForwardX11=no");
    add_option(out, "PermitLocalCommand=no");
    add_option(out, "RemoteCommand=none");
    add_option(out, "RequestTTY=no");
    if (!login) {
        add_option(out, "BatchMode=yes");
        add_option(out, "ConnectTimeout=%lld", (long long)connect_s);
    }
    for (size_t i = 0; i < host->options.count; i++)
        list_add(out, host->options.items[i]);
}

void host_login(const Host *host, List *command)
{
    put_command(host, true, 0, command);
    list_add(command, "--");
    list_add(command, host->destination);
    list_add(command, "exit");
}

bool host_ssh_run(Host *host, Io *io, const Context *context, const char *const *arguments, const char *input, size_t most_bytes,
                  ChildResult *result, Error *error)
{
    List command = {0}, variables = {0}, environment = {0};
    int64_t left_s = context_left_ms(context) / 1000;
    list_add(&variables, "SSH_ASKPASS_REQUIRE=never"); /* the ssh to a jump host, which this one starts, is not told BatchMode */
    host_environment(&variables, &environment);
    put_command(host, false, left_s < 1 ? 1 : left_s < CONNECT_MOST_S ? left_s : CONNECT_MOST_S, &command);
    list_add(&command, "--");
    list_add(&command, host->destination);
    for (; *arguments; arguments++)
        list_add(&command, *arguments);
    ChildSpec spec = {.command = &command, .environment = &environment, .input = input, .input_length = input ? strlen(input) : 0, .most_bytes = most_bytes};
    Error why = {0};
    bool right = child_run(io, context, &spec, result, &why);
    list_done(&command);
    list_done(&variables);
    list_done(&environment);
    if (!right && why.code == ERROR_NOT_FOUND)
        error_set(&why, ERROR_ABSENT, NULL, "install OpenSSH's client", "there is no ssh in PATH");
    if (!right && why.code == ERROR_TIMEOUT)
        error_set(&why, ERROR_TIMEOUT, NULL, NULL, "%s did not answer in time", host->name);
    if (!right && error) {
        *error = why;
        error_at(error, host->where);
    }
    return right;
}

/* --------------------------------------------------------------------------------------------------------------- failures */

/* The last line that tells something; ssh ends its lines with CR LF. */
static void telling_line(const char *said, char out[220])
{
    *out = 0;
    for (const char *line = said; *line;) {
        size_t n = strcspn(line, "\r\n");
        bool noise = n == 0 || strncmp(line, "Warning: Permanently added", 26) == 0 || *line == '@' || strncmp(line, "debug", 5) == 0;
        if (!noise)
            snprintf(out, 220, "%.*s", (int)(n < 219 ? n : 219), line);
        line += n + strspn(line + n, "\r\n");
    }
}

void host_ssh_error(const char *said, int status, const char *where, const char *name, Error *error)
{
    char line[220], hint[160], look[160];
    telling_line(said, line);
    snprintf(hint, sizeof hint, "sign in: `:login %s` in the dashboard, or `ssh %s` in a terminal", where, name);
    snprintf(look, sizeof look, "`:login %s` in the dashboard, or `ssh %s` in a terminal, shows why", where, name);
    if (strstr(said, "REMOTE HOST IDENTIFICATION HAS CHANGED"))
        error_set(error, ERROR_DENIED, where, "find out why; then `ssh-keygen -R` forgets the old one",
                  "%s: its host key has changed: it may be another machine", name);
    else if (strstr(said, "Host key verification failed"))
        error_set(error, ERROR_SIGN_IN, where, hint, "%s: its host key is not known here", name);
    else if (strstr(said, "Permission denied") || strstr(said, "Too many authentication failures") || strstr(said, "Authentication failed"))
        error_set(error, ERROR_SIGN_IN, where, hint, "%s: ssh would have to ask: %s", name, line);
    else if (strstr(said, "UNKNOWN port 65535")) /* ssh keeps to itself what the program on the way said, where a connection is to stay */
        error_set(error, ERROR_UNREACHABLE, where, look, "%s: the way through its jump host or ProxyCommand ended", name);
    else if (strstr(said, "timed out") || strstr(said, "Timeout"))
        error_set(error, ERROR_TIMEOUT, where, NULL, "%s", *line ? line : "ssh timed out");
    else if (strstr(said, "Bad configuration option") || strstr(said, "usage: ssh") || strstr(said, "unknown option"))
        error_set(error, ERROR_USAGE, where, "see `options` of this backend and ~/.ssh/config", "ssh: %s", line);
    else
        error_set(error, ERROR_UNREACHABLE, where, NULL, "%s%s", *line ? line : "ssh failed without a word",
                  *line ? "" : status > 128 ? " (it was ended)" : "");
}
