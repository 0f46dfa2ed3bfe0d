/* Ways through a Host's one ssh connection: sockets and ports of ours whose other end is as seen from there. They are made by asking the
 * connection's master, which is on this host, and live as long as it does; two dasktops share them. */
#include "backends/common/host_inside.h"

#include "base/mem.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAKE_MS = 4000, CONNECT_MS = 15000, WAYS_MOST = 2000, ANY_TRIES = 8 };

/* ---------------------------------------------------------------------------------------------------------------- master */

static int connect_to_master(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* It greets whoever connects, and says nothing more to who says nothing: what is readable after that is the end. A connection that stays
 * also keeps it from ending for want of use. */
static bool is_alive(int fd)
{
    char bytes[256];
    for (;;) {
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        if (n < 0 && errno == EAGAIN)
            return true;
    }
}

/* A descriptor that becomes readable when the connection is lost. */
static int watch_master(const Host *host)
{
    int fd = connect_to_master(host->control);
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    if (fd >= 0 && poll(&wanted, 1, 1000) == 1 && is_alive(fd))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* The lock is held. What an earlier connection had is gone with it. */
static bool have_master(Host *host)
{
    if (host->master_fd >= 0 && is_alive(host->master_fd))
        return true;
    if (host->master_fd >= 0)
        close(host->master_fd);
    map_done(&host->ways, NULL);
    map_init(&host->ways);
    host->master_fd = watch_master(host);
    return host->master_fd >= 0;
}

static bool is_younger(const struct stat *one, const struct stat *other)
{
    return one->st_mtim.tv_sec != other->st_mtim.tv_sec ? one->st_mtim.tv_sec > other->st_mtim.tv_sec : one->st_mtim.tv_nsec > other->st_mtim.tv_nsec;
}

bool host_is_connected_since(Host *host, const char *path)
{
    struct stat file, master;
    pthread_mutex_lock(&host->lock);
    bool there = lstat(path, &file) == 0 && lstat(host->control, &master) == 0 && is_younger(&file, &master) && have_master(host);
    pthread_mutex_unlock(&host->lock);
    return there;
}

/* Where there is no connection (any more), one is made by a command that does nothing. */
static bool need_master(Host *host, Io *io, const Context *context, Error *error)
{
    ChildResult result;
    pthread_mutex_lock(&host->lock);
    bool there = have_master(host);
    pthread_mutex_unlock(&host->lock);
    if (there)
        return true;
    if (!host_script(host, io, context, ":", 0, &result, error))
        return false;
    child_result_done(&result);
    pthread_mutex_lock(&host->lock);
    there = have_master(host);
    pthread_mutex_unlock(&host->lock);
    return there || error_set(error, ERROR_UNREACHABLE, host->where, NULL, "%s: ssh keeps no connection open", host->name);
}

void host_ways_done(Host *host)
{
    map_done(&host->ways, NULL);
    if (host->master_fd >= 0)
        close(host->master_fd);
}

/* ------------------------------------------------------------------------------------------------------------------ ways */

static bool is_host(const char *text)
{
    return *text && !strpbrk(text, " \t\r\n/\\'\"%[]*") && *text != '-';
}

static void put_path(const Host *host, const char *to, int port, char path[WAY_PATH])
{
    uint64_t hash = hash_bytes(to, strlen(to), hash_text(host->control) + (uint64_t)port);
    snprintf(path, WAY_PATH, "%s/w%016llx", host->directory, (unsigned long long)hash);
}

/* Another dasktop has asked this very master for it: its socket is younger than the master's. What an earlier master left is older. */
static bool is_made(const Host *host, const char *path)
{
    struct stat way, master;
    if (lstat(path, &way) != 0 || !S_ISSOCK(way.st_mode) || way.st_uid != geteuid() || lstat(host->control, &master) != 0)
        return false;
    return is_younger(&way, &master);
}

/* The lock is held. */
static bool has_way(Host *host, const char *to, int port, const char *name)
{
    char path[WAY_PATH];
    put_path(host, to, port, path);
    if (!map_has(&host->ways, name) && is_made(host, path))
        map_put(&host->ways, name, host);
    return map_has(&host->ways, name);
}

/* No config is read: the host's alias may have forwardings of its own. "exists" is another master's, or the connection is gone. */
static void put_ask(const Host *host, const char *what, List *command)
{
    const char *const words[] = {"ssh", "-F", "none", "-S", host->control, "-O", what, NULL};
    for (size_t i = 0; words[i]; i++)
        list_add(command, words[i]);
}

static bool ask_master(const Host *host, Io *io, const Context *context, List *command, Error *error)
{
    ChildResult result;
    Context part = context_within(context, MAKE_MS);
    list_add(command, "--");
    list_add(command, host->name);
    ChildSpec spec = {.command = command, .most_bytes = 64 << 10};
    if (!child_run(io, &part, &spec, &result, error)) {
        error_at(error, host->where);
        return false;
    }
    int status = result.status;
    result.errors.bytes[strcspn(result.errors.bytes, "\r\n")] = 0;
    if (status != 0)
        error_set(error, ERROR_UNREACHABLE, host->where, NULL, "%s: ssh made no way: %s", host->name, result.errors.bytes);
    child_result_done(&result);
    return status == 0;
}

static void put_way(const Host *host, const char *to, int port, List *command)
{
    char path[WAY_PATH];
    put_path(host, to, port, path);
    list_add(command, "-L");
    list_format(command, strchr(to, ':') ? "%s:[%s]:%d" : "%s:%s:%d", path, to, port);
}

static bool make_ways(Host *host, Io *io, const Context *context, const HostPort *ports, size_t count, Error *error)
{
    List command = {0}, names = {0};
    bool right = true;
    put_ask(host, "forward", &command);
    for (size_t i = 0; i < count; i++) {
        char *name = mem_format("%s:%d", ports[i].host, ports[i].port);
        if (is_host(ports[i].host) && !has_way(host, ports[i].host, ports[i].port, name) && !list_has(&names, name) && host->ways.used + names.count < WAYS_MOST) {
            put_way(host, ports[i].host, ports[i].port, &command);
            list_add(&names, name);
        }
        free(name);
    }
    if (names.count)
        right = ask_master(host, io, context, &command, error);
    for (size_t i = 0; i < names.count && right; i++)
        map_put(&host->ways, names.items[i], host);
    list_done(&command);
    list_done(&names);
    return right;
}

bool host_open_ways(Host *host, Io *io, const Context *context, const HostPort *ports, size_t count, Error *error)
{
    if (host->here || !count)
        return true;
    if (!need_master(host, io, context, error))
        return false;
    pthread_mutex_lock(&host->lock);
    bool right = make_ways(host, io, context, ports, count, error);
    pthread_mutex_unlock(&host->lock);
    return right;
}

bool host_find_way(void *user, const Context *context, const char *to, int port, char path[WAY_PATH], Error *error)
{
    Host *host = user;
    HostPort one = {to, port};
    char *name = mem_format("%s:%d", to, port);
    bool known = false;
    pthread_mutex_lock(&host->lock);
    known = have_master(host) && has_way(host, to, port, name);
    pthread_mutex_unlock(&host->lock);
    free(name);
    put_path(host, to, port, path);
    if (known)
        return true;
    if (!is_host(to))
        return error_set(error, ERROR_UNREACHABLE, host->where, NULL, "no way leads to %s", to);
    Io *io = io_new(error); /* of its own: the stream's may be in the middle of a turn */
    Context part = context_within(context, MAKE_MS);
    bool right = io && host_open_ways(host, io, &part, &one, 1, error);
    if (io)
        io_free(io);
    return right;
}

/* ----------------------------------------------------------------------------------------------------------------- ports */

/* One that is free now. Somebody else may take it before ssh does: then ssh says so, and another is tried. */
static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 0;
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && getsockname(fd, (struct sockaddr *)&address, &n) == 0)
        port = ntohs(address.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}

static void put_port(const char *to, int to_port, int port, List *command)
{
    list_add(command, "-L");
    list_format(command, strchr(to, ':') ? "127.0.0.1:%d:[%s]:%d" : "127.0.0.1:%d:%s:%d", port, to, to_port);
}

bool host_forward(Host *host, const Context *context, const char *to, int to_port, int *port, int *lost_fd, Error *error)
{
    int wanted = *port;
    Error why = {0};
    *lost_fd = -1;
    if (host->here || !is_host(to))
        return error_set(error, ERROR_UNREACHABLE, host->where, NULL, "no way leads to %s", to);
    Io *io = io_new(error);
    if (!io)
        return false;
    bool right = need_master(host, io, context, &why), made = false;
    for (int i = 0; right && !made && i < (wanted ? 1 : ANY_TRIES) && context_check(context, host->where, &why); i++) {
        List command = {0};
        *port = wanted ? wanted : free_port();
        put_ask(host, "forward", &command);
        put_port(to, to_port, *port, &command);
        made = ask_master(host, io, context, &command, &why);
        list_done(&command);
    }
    io_free(io);
    *lost_fd = made ? watch_master(host) : -1;
    if (made && *lost_fd < 0)
        made = error_set(&why, ERROR_UNREACHABLE, host->where, NULL, "%s: the connection was lost", host->name);
    if (!made && wanted && right && why.code == ERROR_UNREACHABLE)
        error_set(&why, ERROR_UNREACHABLE, host->where, "choose another with --port", "port %d of this host cannot be used", wanted);
    if (!made && error)
        *error = why;
    return made;
}

void host_unforward(Host *host, const char *to, int to_port, int port, int lost_fd)
{
    List command = {0};
    Context context = context_new(NULL, MAKE_MS / 4);
    Io *io = io_new(NULL);
    put_ask(host, "cancel", &command);
    put_port(to, to_port, port, &command);
    if (io && lost_fd >= 0 && is_alive(lost_fd))
        ask_master(host, io, &context, &command, NULL);
    list_done(&command);
    if (io)
        io_free(io);
    if (lost_fd >= 0)
        close(lost_fd);
}
