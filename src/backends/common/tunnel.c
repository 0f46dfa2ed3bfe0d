#include "backends/common/tunnel.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* One port here that leads to one there. */
typedef struct Forward {
    char *to;
    int to_port, port, lost_fd; /* port 0: there is none */
} Forward;

typedef struct Tunnel {
    Host *host;
    Forward scheduler, dashboard;
} Tunnel;

static void forward_done(Host *host, Forward *forward)
{
    if (forward->port)
        host_unforward(host, forward->to, forward->to_port, forward->port, forward->lost_fd);
    free(forward->to);
}

static void close_tunnel(void *own)
{
    Tunnel *tunnel = own;
    forward_done(tunnel->host, &tunnel->dashboard);
    forward_done(tunnel->host, &tunnel->scheduler);
    host_drop(tunnel->host);
    free(tunnel);
}

/* The number that it has there is easiest to remember; another one where somebody has it here. */
static bool forward_open(Host *host, const Context *context, const char *to, int to_port, int preferred, Forward *out, Error *error)
{
    Error why;
    *out = (Forward){.to = mem_text(to), .to_port = to_port, .port = preferred ? preferred : to_port, .lost_fd = -1};
    if (host_forward(host, context, to, to_port, &out->port, &out->lost_fd, preferred ? error : &why))
        return true;
    out->port = 0;
    if (!preferred && host_forward(host, context, to, to_port, &out->port, &out->lost_fd, error))
        return true;
    out->port = 0;
    return false;
}

/* "http://HOST:8787/status" -> 8787 and "/status". */
static int dashboard_port(const Access *access, const char *dashboard, const char **path)
{
    const char *host = dashboard ? strstr(dashboard, "://") : NULL, *slash = host ? strchr(host + 3, '/') : NULL, *colon = host ? strrchr(host + 3, ':') : NULL;
    *path = slash ? slash : "/status";
    if (access->http_port)
        return access->http_port;
    return colon ? (int)strtol(colon + 1, NULL, 10) : 0;
}

/* Whose port was asked for comes first: the other one must not take it. A dashboard that nobody asked for may be missing. */
static bool open_ports(Tunnel *tunnel, const Access *access, int http, const Context *context, const RouteWish *wish, Error *error)
{
    const char *http_host = access->http_host ? access->http_host : access->host;
    bool first = http && wish->dashboard && wish->port;
    if (first && !forward_open(tunnel->host, context, http_host, http, wish->port, &tunnel->dashboard, error))
        return false;
    if (!forward_open(tunnel->host, context, access->host, access->port, wish->dashboard ? 0 : wish->port, &tunnel->scheduler, error))
        return false;
    if (http && !first)
        forward_open(tunnel->host, context, http_host, http, 0, &tunnel->dashboard, NULL);
    return true;
}

bool tunnel_route(Host *host, const Access *access, const Record *record, const Context *context, const RouteWish *wish, Route *out, Error *error)
{
    const char *path;
    int http = dashboard_port(access, record->is.dashboard, &path);
    if (!access_route(access, record, out, error)) /* TLS material and what cannot be reached at all */
        return false;
    Tunnel *tunnel = mem_new(sizeof *tunnel);
    tunnel->host = host_keep(host);
    if (!open_ports(tunnel, access, http, context, wish, error)) {
        close_tunnel(tunnel);
        route_done(out);
        return false;
    }
    free(out->address);
    free(out->dashboard);
    free(out->words);
    free(out->ssh_line);
    out->address = mem_format("%s://127.0.0.1:%d", access->tls ? "tls" : "tcp", tunnel->scheduler.port);
    out->dashboard = tunnel->dashboard.port ? mem_format("http://127.0.0.1:%d%s", tunnel->dashboard.port, path) : NULL;
    out->words = mem_format("through ssh %s", host_name(host));
    out->ssh_line = NULL; /* from a third computer these ports are this one's */
    out->lost_fd = tunnel->scheduler.lost_fd;
    out->own = tunnel;
    out->close = close_tunnel;
    return true;
}

bool tunnel_snippet(const Host *host, const Access *access, const Record *record, const BackendConfig *config, Buffer *out, Error *error)
{
    Access near = *access;
    if (!access->host)
        return access_snippet(access, out, error);
    buffer_format(out, "# Its scheduler is reached through %s. In another terminal, for as long as it is needed:\n#\n#     dasktop ", host_name(host));
    if (config->computer) {
        buffer_text(out, "-H ");
        text_shell_quote(out, config->computer);
        buffer_char(out, ' ');
    }
    buffer_text(out, "connect ");
    text_shell_quote(out, record->is.id);
    buffer_format(out, " --port %d\n\n", access->port);
    near.address = mem_format("%s://127.0.0.1:%d", access->tls ? "tls" : "tcp", access->port);
    bool right = access_snippet(&near, out, error);
    free(near.address);
    return right;
}
