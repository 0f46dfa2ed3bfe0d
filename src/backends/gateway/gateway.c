/* Dask Gateway: the clusters that a user has of it. One GET lists them; how they are is asked of their schedulers, through the gateway's
 * proxies: TLS with the cluster's own certificate and name, HTTP below /clusters/NAME. */
#include "backends/gateway/gateway.h"

#include "backends/common/facts.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------------------------- rows */

static Status status_of(GatewayStatus status)
{
    static const Status all[] = {[GATEWAY_PENDING] = STATUS_PENDING, [GATEWAY_RUNNING] = STATUS_RUNNING, [GATEWAY_STOPPING] = STATUS_CLOSING,
                                 [GATEWAY_STOPPED] = STATUS_STOPPED, [GATEWAY_FAILED] = STATUS_FAILED, [GATEWAY_OTHER] = STATUS_UNKNOWN};
    return all[status];
}

const char *gateway_not_running(const GatewayCluster *cluster)
{
    static const char *const words[] = {[GATEWAY_PENDING] = "it is still starting", [GATEWAY_RUNNING] = "the gateway gives no certificate for it",
                                        [GATEWAY_STOPPING] = "the gateway is stopping it", [GATEWAY_STOPPED] = "it has ended", [GATEWAY_FAILED] = "it has ended",
                                        [GATEWAY_OTHER] = "the gateway has a word for its state that is not known here"};
    return words[cluster->status];
}

static void say_what_can(const GatewayCluster *cluster, const ProbeFacts *facts, RecordFields *fields)
{
    static const Capability of_scheduler[] = {CAN_LOGS, CAN_CONNECT};
    static const Capability of_both[] = {CAN_SCALE, CAN_ADAPT};
    bool alive = facts && facts->result == PROBE_ANSWERED, runs = cluster->status == GATEWAY_RUNNING;
    const char *why = runs ? "its scheduler does not answer" : gateway_not_running(cluster);
    fields->can = 1u << CAN_SNIPPET;
    if (cluster->status == GATEWAY_PENDING || runs)
        fields->can |= 1u << CAN_DELETE;
    else
        fields->cannot[CAN_DELETE] = why;
    for (size_t i = 0; i < 2; i++) {
        Capability logs = of_scheduler[i], scale = of_both[i];
        if (alive)
            fields->can |= 1u << logs | 1u << scale;
        else if (!runs || facts) {
            fields->cannot[logs] = why;
            fields->cannot[scale] = runs ? "its scheduler does not answer: asked to scale it, the gateway would stop it" : why;
        }
    }
}

/* "daskgateway-NAME:8786: why" without the name, which stands in the row. */
static const char *without_label(const char *why)
{
    const char *end = why && strncmp(why, "daskgateway-", 12) == 0 ? strstr(why, ": ") : NULL;
    return end ? end + 2 : why;
}

void gateway_row(const GatewayBackend *own, const GatewayCluster *cluster, const ProbeFacts *facts, Buffer *dashboard, RecordFields *fields)
{
    record_fields_init(fields);
    fields->status = status_of(cluster->status);
    if (facts) {
        facts_to_fields(facts, NULL, true, dashboard, fields);
        fields->status_why = without_label(fields->status_why);
        if (facts->result == PROBE_TLS)
            fields->status = STATUS_UNREACHABLE;
    }
    fields->id = fields->uid = fields->name = cluster->name;
    fields->type = "GatewayCluster";
    fields->owner = own->gateway->user;
    fields->mine = 1;
    fields->address = cluster->address;
    fields->dashboard = cluster->dashboard;
    if (cluster->started_ms != TIME_UNKNOWN)
        fields->created_ms = clock_here_ms(cluster->started_ms, own->ahead_ms);
    say_what_can(cluster, facts, fields);
}

typedef struct Round {
    GatewayBackend *own;
    Sink *sink;
    int64_t begin_ms; /* monotonic */
    Buffer dashboard;
} Round;

static void put_row(Round *round, const GatewayCluster *cluster, const ProbeFacts *facts)
{
    RecordFields fields;
    gateway_row(round->own, cluster, facts, &round->dashboard, &fields);
    sink_put(round->sink, &fields, facts ? facts->counts_ms : TIME_UNKNOWN);
}

static void put_answer(void *user, const ProbeTarget *target, const ProbeFacts *facts)
{
    put_row(user, target->user, facts);
}

/* What is remembered of schedulers is read when the first are asked: the list does not wait for it. */
static Prober *need_prober(GatewayBackend *own)
{
    char *path = own->prober ? NULL : facts_memory_path();
    if (!own->prober)
        own->prober = prober_new(own->io, path, own->backend.config->key);
    free(path);
    return own->prober;
}

/* ------------------------------------------------------------------------------------------------------------- discovery */

typedef struct Asking {
    ProbeTarget *targets;
    List names;          /* TLS names, then what is connected to */
    char *connect_to;
    size_t count;
} Asking;

/* Of the backend's timeout, what the list has left. */
static int64_t time_left(const Round *round)
{
    int64_t timeout = round->own->backend.config->timeout_ms, left = timeout - timeout / 20 - (clock_mono_ms() - round->begin_ms);
    return left > timeout / 4 ? left : timeout / 4;
}

static void add_target(GatewayBackend *own, const GatewayCluster *cluster, int64_t whole, Asking *asking)
{
    list_take(&asking->names, gateway_sni(cluster->name));
    asking->targets[asking->count++] = (ProbeTarget){
        .key = cluster->address,
        .stream = {.host = asking->names.items[asking->names.count - 1], .port = own->gateway->proxy_port, .tls = cluster->tls,
                   .connect_to = asking->connect_to, .connect_ms = whole},
        .role = DASK_SCHEDULER, .http_base = cluster->http_base, .http = &own->http,
        .first_ms = whole, .whole_ms = whole, .depth = facts_depth(own->backend.config),
        .proven = true, .user = (void *)cluster,
    };
}

/* Rows of which nothing was shown yet, and of what has no scheduler to be asked. */
static void put_list(Round *round, const GatewayClusters *list, bool asked)
{
    for (size_t i = 0; i < list->count; i++)
        if (!asked || list->items[i].status != GATEWAY_RUNNING || !sink_last(round->sink, list->items[i].name))
            put_row(round, &list->items[i], NULL);
}

/* All at once, when the list is shown. */
static bool ask_schedulers(Round *round, const Context *context, GatewayClusters *list, bool asked, Error *error)
{
    GatewayBackend *own = round->own;
    int64_t whole = time_left(round);
    bool right = true;
    Asking asking = {.targets = mem_new((list->count + 1) * sizeof *asking.targets), .connect_to = gateway_connect_to(own->gateway)};
    for (size_t i = 0; asked && i < list->count; i++) {
        GatewayCluster *cluster = &list->items[i];
        if (cluster->tls)
            add_target(own, cluster, whole, &asking);
        else if (cluster->status == GATEWAY_RUNNING)
            put_row(round, cluster, NULL);
    }
    if (asking.count || own->prober) /* connections to those that have ended are closed */
        right = prober_run(need_prober(own), context, asking.targets, asking.count, put_answer, put_answer, round, error);
    free(asking.targets);
    free(asking.connect_to);
    list_done(&asking.names);
    return right;
}

static bool discover(Backend *backend, Context *context, Sink *sink, Error *error)
{
    GatewayBackend *own = (GatewayBackend *)backend;
    GatewayClusters list;
    Round round = {.own = own, .sink = sink, .begin_ms = clock_mono_ms()};
    if (!own->io)
        own->io = io_new(error);
    bool asked = facts_depth(backend->config) != DEPTH_OFF;
    if (!own->io || !gateway_list(own->gateway, own->io, context, asked, &list, error))
        return false;
    own->ahead_ms = clock_ahead_ms(list.date_ms, own->ahead_ms);
    buffer_init(&round.dashboard, 4096);
    put_list(&round, &list, asked);
    bool right = ask_schedulers(&round, context, &list, asked, error);
    buffer_done(&round.dashboard);
    gateway_clusters_done(&list);
    return right;
}

/* -------------------------------------------------------------------------------------------------------------------- type */

static bool open_backend(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
    Io *io = io_new(error);
    Gateway *gateway = io ? gateway_read(config, io, context, error) : NULL;
    if (io)
        io_free(io);
    if (!gateway)
        return false;
    GatewayBackend *own = mem_new(sizeof *own);
    own->backend = (Backend){.type = config->type, .config = config};
    own->gateway = gateway;
    own->http = (ProbeHttp){.start = gateway_look, .user = gateway};
    opened_add(opened, &own->backend);
    return true;
}

static void close_backend(Backend *backend)
{
    GatewayBackend *own = (GatewayBackend *)backend;
    prober_free(own->prober);
    if (own->io)
        io_free(own->io);
    gateway_free(own->gateway);
    backend_done(backend);
    free(own);
}

static const ConfigKey keys[] = {
    {.name = "address", .kind = KEY_TEXT, .help = "http(s)://HOST[:PORT][/PREFIX] (default: Dask's gateway.address)"},
    {.name = "proxy-address", .kind = KEY_TEXT, .help = "gateway://HOST:PORT of its schedulers (default: as Dask's client picks it)"},
    {.name = "public-address", .kind = KEY_TEXT, .help = "of links to dashboards (default: address)"},
    {.name = "auth", .kind = KEY_MAP, .keys = gateway_auth_keys, .help = "how it signs in (default: Dask's gateway.auth)"},
    {0},
};

const BackendType gateway_backend = {
    .name = "gateway",
    .summary = "your clusters of a Dask Gateway",
    .signs_in = "as dask-gateway does: basic, JupyterHub's token, Kerberos",
    .rank = 10,
    .automatic = true,
    .can = 1u << CAN_SCALE | 1u << CAN_ADAPT | 1u << CAN_LOGS | 1u << CAN_CONNECT | 1u << CAN_DELETE | 1u << CAN_SNIPPET,
    .keys = keys,
    .creates = gateway_creates,
    .open = open_backend,
    .close = close_backend,
    .discover = discover,
    .create = gateway_create,
    .reconstruct = gateway_reconstruct,
};
