/* Ways to a scheduler: direct, where its name and port are reached from here (in the same Kubernetes cluster, or through a network that joins it);
 * else a port-forward by the user's kubectl, held as a child. Its dashboard alone also stands behind the API server's service proxy. */
#include "backends/kubernetes/handle.h"

#include "backends/common/security.h"
#include "backends/kubernetes/tools.h"
#include "base/file.h"
#include "base/mem.h"
#include "io/child.h"
#include "io/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIRECT_MS = 1500, FORWARD_MS = 20000, LOOK_MS = 50, COMM_PORT = 8786, DASHBOARD_PORT = 8787, SAID_MOST = 65536 };

/* ----------------------------------------------------------------------------------------------------------------- direct */

typedef struct Knock {
    bool over, connected;
} Knock;

static void on_connected(void *user)
{
    Knock *knock = user;
    knock->over = knock->connected = true;
}

static void on_ended(void *user, const Error *error)
{
    Knock *knock = user;
    (void)error;
    knock->over = true;
}

static void on_bytes(void *user, const char *bytes, size_t n)
{
    (void)user;
    (void)bytes;
    (void)n;
}

/* Only a connection proves that there is a way; the scheduler's own handshake is read by whoever uses it. */
static bool is_reached(Io *io, const Context *context, const char *host, int port, const Tls *tls)
{
    Knock knock = {0};
    Context part = context_within(context, DIRECT_MS);
    StreamTarget target = {.host = host, .port = port, .tls = tls, .connect_ms = DIRECT_MS};
    StreamEvents events = {.connected = on_connected, .bytes = on_bytes, .ended = on_ended, .user = &knock};
    Stream *stream = stream_open(io, &part, &target, &events, NULL);
    if (stream)
        io_until(io, &part, &knock.over, NULL);
    stream_close(stream);
    return knock.connected;
}

typedef struct Service {
    const KubeObject *object;
    int comm, dashboard; /* ports; dashboard 0: none */
    bool tls;
} Service;

static bool read_service(const KubeSight *sight, Service *out, Error *error)
{
    const KubeRow *row = sight->row;
    const KubeObject *object = row_service(row), *cluster = row_cluster(row);
    if (row_kind(row) == ROW_GATEWAY)
        return error_set(error, ERROR_UNSUPPORTED, sight->own->where, "connect through the gateway (backend gateway)",
                         "its scheduler takes only clients with the gateway's certificate");
    if (!object)
        return sight->seen.services ? error_set(error, ERROR_UNSUPPORTED, sight->own->where, NULL, "its scheduler has no service")
                                    : error_set(error, ERROR_DENIED, sight->own->where, "ask whoever runs the cluster for this right", "its scheduler's service may not be listed");
    if (!row_is_well_named(row))
        return error_set(error, ERROR_UNSUPPORTED, sight->own->where, NULL, "its name is none that Kubernetes allows: no address is made of it");
    const KubePort *comm = kube_service_port(object, "tcp-comm", "8786", COMM_PORT), *dashboard = kube_service_port(object, "http-dashboard", "8787", DASHBOARD_PORT);
    *out = (Service){.object = object, .comm = comm ? (int)comm->port : COMM_PORT, .dashboard = dashboard ? (int)dashboard->port : 0};
    out->tls = (cluster && cluster->tls) || (row->facts && row->facts->address && strncmp(row->facts->address, "tls:", 4) == 0);
    return true;
}

/* What a client of a scheduler with TLS needs is Dask's own configuration, as it is for Dask. */
static bool read_tls(const KubeSight *sight, const Service *service, Tls **tls, Error *error)
{
    *tls = NULL;
    if (!service->tls)
        return true;
    if (!security_read(sight->own->backend.config, tls, error))
        return false;
    return *tls || error_set(error, ERROR_SIGN_IN, sight->own->where, "set distributed.comm.tls in Dask's configuration (ca-file, client.cert, client.key)",
                             "its scheduler speaks TLS, and no certificate of yours is configured");
}

static void put_tls(Route *route, const Tls *tls)
{
    if (!tls)
        return;
    route->ca_file = mem_text(tls->ca_file);
    route->cert = mem_text(tls->cert_file);
    route->key = mem_text(tls->key_file);
}

static bool direct(const KubeSight *sight, const Context *context, const Service *service, const Tls *tls, Route *route)
{
    char *host = row_host(sight->row);
    bool right = is_reached(sight->api.io, context, host, service->comm, tls);
    if (right) {
        *route = (Route){.lost_fd = -1, .words = mem_text("direct"), .address = mem_format("%s://%s:%d", service->tls ? "tls" : "tcp", host, service->comm),
                         .dashboard = service->dashboard ? mem_format("http://%s:%d/status", host, service->dashboard) : NULL};
        put_tls(route, tls);
    }
    free(host);
    return right;
}

/* ----------------------------------------------------------------------------------------------------------- port-forward */

/* Lives as long as its route: an Io that nobody turns, and the child on it. */
typedef struct Forward {
    Io *io;
    Child *child;
    char *said; /* the file that it writes to */
    bool ended;
    int comm, dashboard;
} Forward;

static void close_forward(void *own)
{
    Forward *forward = own;
    child_end(forward->child);
    if (forward->io)
        io_free(forward->io);
    if (forward->said)
        unlink(forward->said);
    free(forward->said);
    free(forward);
}

static void forward_ended(void *user, int status, const Error *error)
{
    (void)status;
    (void)error;
    ((Forward *)user)->ended = true;
}

/* "Forwarding from 127.0.0.1:39401 -> 8786", a line for each port in the order in which they were asked for. Only whole lines count. */
static int read_ports(const char *text, int ports[2])
{
    static const char words[] = "Forwarding from 127.0.0.1:";
    int count = 0;
    for (const char *at = text; count < 2 && (at = strstr(at, words)) && strchr(at, '\n'); at += sizeof words - 1)
        ports[count++] = (int)strtol(at + sizeof words - 1, NULL, 10);
    return count;
}

/* Until it says where it listens, or ends. */
static bool wait_for_ports(Forward *forward, const KubeSight *sight, const Context *context, int wanted, Error *error)
{
    for (;;) {
        int ports[2] = {0};
        Buffer said;
        buffer_init(&said, SAID_MOST);
        bool read = file_read(forward->said, &said, NULL) && read_ports(said.bytes, ports) == wanted;
        if (!read && forward->ended)
            error_set(error, ERROR_UNREACHABLE, sight->own->where, NULL, "kubectl port-forward: %.250s", said.length ? tool_last_line(&said) : "it ended and said nothing");
        buffer_done(&said);
        forward->comm = ports[0];
        forward->dashboard = ports[1];
        if (read)
            return true;
        if (forward->ended || !io_sleep(forward->io, context, LOOK_MS, error))
            return false;
    }
}

static char *said_path(void)
{
    char *home = file_runtime_home(), *path = NULL;
    if (home && file_make_directory(home, NULL))
        path = mem_format("%s/kubectl-%ld-%lld.log", home, (long)getpid(), (long long)clock_mono_us());
    free(home);
    return path;
}

/* "HERE:THERE"; here 0: any. */
static void put_pair(List *command, int here, int there)
{
    if (here)
        list_format(command, "%d:%d", here, there);
    else
        list_format(command, ":%d", there);
}

static bool start_forward(Forward *forward, const KubeSight *sight, const Service *service, const RouteWish *wish, Error *error)
{
    List command = {0}, environment = {0};
    list_add(&command, "kubectl");
    tool_context(sight->own, "--context", &command, &environment);
    list_add(&command, "--namespace");
    list_add(&command, sight->row->namespace);
    list_add(&command, "port-forward");
    list_add(&command, "--address=127.0.0.1");
    list_format(&command, "service/%s", service->object->name);
    put_pair(&command, wish->dashboard ? 0 : wish->port, service->comm);
    if (service->dashboard)
        put_pair(&command, wish->dashboard ? wish->port : 0, service->dashboard);
    ChildSpec spec = {.command = &command, .environment = &environment, .output_path = forward->said, .ended = forward_ended, .user = forward};
    forward->child = child_start(forward->io, &spec, error);
    list_done(&command);
    list_done(&environment);
    if (!forward->child && error && error->code == ERROR_NOT_FOUND)
        error_set(error, ERROR_UNSUPPORTED, sight->own->where,
                  wish->port ? "install kubectl, or leave the port out" : "install kubectl, or run dasktop in the same Kubernetes cluster",
                  "%s is a port-forward by kubectl, which is not here", wish->port ? "a port of your choice" : "the way to its scheduler");
    return forward->child != NULL;
}

static bool forward_route(const KubeSight *sight, const Context *context, const Service *service, const Tls *tls, const RouteWish *wish, Route *route, Error *error)
{
    Forward *forward = mem_new(sizeof *forward);
    Context part = context_within(context, FORWARD_MS);
    forward->said = said_path();
    forward->io = io_new(error);
    bool right = forward->io && (forward->said || error_set(error, ERROR_INTERNAL, sight->own->where, "set XDG_RUNTIME_DIR", "there is no private directory")) &&
                 start_forward(forward, sight, service, wish, error) && wait_for_ports(forward, sight, &part, service->dashboard ? 2 : 1, error);
    if (!right) {
        close_forward(forward);
        return false;
    }
    *route = (Route){.lost_fd = child_ended_fd(forward->child), .own = forward, .close = close_forward,
                     .words = mem_format("through kubectl port-forward service/%s %d:%d", service->object->name, forward->comm, service->comm),
                     .address = mem_format("%s://127.0.0.1:%d", service->tls ? "tls" : "tcp", forward->comm),
                     .dashboard = forward->dashboard ? mem_format("http://127.0.0.1:%d/status", forward->dashboard) : NULL};
    put_tls(route, tls);
    char host[256];
    if (forward->dashboard)
        route->ssh_line = mem_format("ssh -L %d:127.0.0.1:%d %s", forward->dashboard, forward->dashboard, file_host_name(host));
    return true;
}

bool kube_route(Handle *handle, Context *context, const RouteWish *wish, Route *route, Error *error)
{
    KubeSight sight;
    Service service;
    Tls *tls = NULL;
    if (!sight_take(handle, context, &sight, error))
        return false;
    bool right = read_service(&sight, &service, error) && read_tls(&sight, &service, &tls, error);
    if (right && !wish->port && direct(&sight, context, &service, tls, route)) {
        tls_drop(tls);
        sight_done(&sight);
        return true;
    }
    right = right && sight_may(&sight, context, NEED_FORWARD, error) && forward_route(&sight, context, &service, tls, wish, route, error);
    tls_drop(tls);
    sight_done(&sight);
    return right;
}

char *kube_route_words(const KubeSight *sight)
{
    Error why = {0};
    Service service;
    char *kubectl = NULL, *words;
    char may[160];
    if (!read_service(sight, &service, &why))
        return mem_format("none: %s", why.what);
    char *proxy = row_proxy_path(sight->row);
    if (rights_may(sight->own->rights, sight->row->namespace, NEED_FORWARD) == 0)
        words = mem_format("direct from within its network; from outside none: %s", rights_why(sight->row->namespace, NEED_FORWARD, may));
    else if (!(kubectl = tool_find("kubectl")))
        words = mem_text("direct from within its network; from outside a port-forward by kubectl, which is not here");
    else
        words = mem_text("direct from within its network, else a port-forward by kubectl");
    if (proxy && rights_may(sight->own->rights, sight->row->namespace, NEED_PROXY) != 0) {
        char *both = mem_format("%s; its dashboard also through the API server: %s%s/status", words, sign_in_server(sight->own->sign_in), proxy);
        free(words);
        words = both;
    }
    free(proxy);
    free(kubectl);
    return words;
}

bool kube_access(Handle *handle, Context *context, Access *access, Route *route, Error *error)
{
    DaskAddress address;
    if (!kube_route(handle, context, &(RouteWish){0}, route, error))
        return false;
    access_init(access, handle->record->is.id);
    if (!dask_address_parse(route->address, &address)) {
        access_done(access);
        route_done(route);
        return error_set(error, ERROR_INTERNAL, handle->record->is.id, NULL, "the route has no address");
    }
    access->host = mem_text(address.host);
    access->port = address.port;
    access->address = mem_text(route->address);
    access->scheduler_id = mem_text(handle->record->is.scheduler_id);
    access->workers_through_scheduler = true;
    if (address.tls && !security_read(handle->backend->config, &access->tls, error)) {
        access_done(access);
        route_done(route);
        return false;
    }
    return true;
}
