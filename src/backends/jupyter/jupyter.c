/* Jupyter servers with Dask's JupyterLab extension: the clusters of its sidebar. One GET lists them; how they are is asked of their schedulers, or
 * where these cannot be reached, of their pages through the server. */
#include "backends/jupyter/jupyter.h"

#include "backends/common/census.h"
#include "backends/common/facts.h"
#include "backends/common/security.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/child.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------------------------------- servers */

static char *directory_of(const BackendConfig *config)
{
    const char *own = config_text(config, "runtime-dir");
    return own ? file_expand_home(own) : notebook_runtime_directory();
}

static void running(const BackendConfig *config, NotebookServers *out)
{
    char *directory = directory_of(config);
    *out = (NotebookServers){0};
    if (directory)
        notebook_servers_running(directory, out);
    free(directory);
}

static Secret *copy_secret(const Secret *secret)
{
    return secret ? secret_new(secret_reveal(secret), secret_length(secret)) : NULL;
}

NotebookServer *jupyter_server(const JupyterBackend *own, Error *error)
{
    NotebookServers list;
    NotebookServer *found = NULL;
    running(own->backend.config, &list);
    for (size_t i = 0; i < list.count && !found; i++)
        if (strcmp(list.items[i]->name, own->backend.instance) == 0) {
            found = list.items[i];
            list.items[i] = list.items[--list.count];
        }
    notebook_servers_done(&list);
    if (!found && own->url)
        return notebook_server_at(own->url, copy_secret(own->token), error);
    if (found && own->token) {
        secret_free(found->token);
        found->token = copy_secret(own->token);
    }
    if (!found)
        error_set(error, ERROR_ABSENT, own->where, NULL, "the Jupyter server has ended");
    return found;
}

static JupyterBackend *new_instance(const BackendConfig *config, const char *name, const char *url, Secret *token)
{
    JupyterBackend *own = mem_new(sizeof *own);
    Error why;
    own->backend = (Backend){.type = config->type, .config = config, .instance = mem_text(name)};
    own->where = mem_format("%s/%s", config->key, name);
    own->url = mem_text(url);
    own->token = token;
    if (!security_read(config, &own->tls, &why))
        log_line(own->where, "%s", why.what); /* only schedulers with TLS miss it, and say so */
    return own;
}

/* One of the config's; false: what it says cannot be used. */
static bool add_configured(const BackendConfig *config, const Tree *item, Io *io, const Context *context, List *names, Opened *opened, Error *error)
{
    const Tree *secret = tree_get(item, "token");
    Secret *token = secret ? child_secret(io, context, secret, config->key, error) : NULL;
    if (secret && !token)
        return false;
    NotebookServer *server = notebook_server_at(tree_text(tree_get(item, "url")), copy_secret(token), error);
    if (server && !list_has(names, server->name)) {
        list_add(names, server->name);
        if (!token && server->token)
            token = copy_secret(server->token);
        opened_add(opened, &new_instance(config, server->name, server->url, token)->backend);
        token = NULL;
    }
    secret_free(token);
    notebook_server_free(server);
    return server != NULL;
}

/* False: of at least one of them what the config says cannot be used; `why` is of the first. */
static bool add_all_configured(const BackendConfig *config, const Context *context, List *names, Opened *opened, Error *why)
{
    const Tree *list = config_tree(config, "servers");
    Io *io = list && list->count ? io_new(why) : NULL;
    bool right = !list || !list->count || io;
    for (size_t i = 0; io && i < list->count; i++) {
        Error failure = {0};
        if (add_configured(config, list->items[i], io, context, names, opened, &failure))
            continue;
        char where[256];
        if (!*failure.where)
            error_at(&failure, tree_where(list->items[i], where));
        if (right)
            *why = failure;
        right = false;
    }
    if (io)
        io_free(io);
    return right;
}

static void add_running(const BackendConfig *config, List *names, Opened *opened)
{
    NotebookServers list;
    running(config, &list);
    for (size_t i = 0; i < list.count; i++)
        if (!list_has(names, list.items[i]->name)) {
            list_add(names, list.items[i]->name);
            opened_add(opened, &new_instance(config, list.items[i]->name, NULL, NULL)->backend);
        }
    notebook_servers_done(&list);
}

/* Servers come and go: it stays and looks for new ones. One that is started again at its old port is the same instance. */
static bool open_backend(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
    List names = {0};
    Error none, why = {0};
    char *directory = directory_of(config);
    Io *io = NULL;
    bool right = add_all_configured(config, context, &names, opened, &why);
    if (!right) {
        add_running(config, &names, opened); /* these need nothing of the config */
        if (error)
            *error = why;
    }
    error_set(&none, ERROR_ABSENT, config->key, NULL, "no Jupyter server of yours runs here (%s)", directory ? directory : "there is no home");
    while (right) {
        add_running(config, &names, opened);
        if (!opened_told(opened, &none) || (!io && !(io = io_new(error))) || !io_sleep(io, context, config->refresh_ms, NULL))
            break;
    }
    if (io)
        io_free(io);
    free(directory);
    list_done(&names);
    return right;
}

static void close_backend(Backend *backend)
{
    JupyterBackend *own = (JupyterBackend *)backend;
    prober_free(own->prober);
    if (own->io)
        io_free(own->io);
    tls_drop(own->tls);
    secret_free(own->token);
    free(own->url);
    free(own->where);
    backend_done(backend);
    free(own);
}

/* -------------------------------------------------------------------------------------------------------------- discovery */

/* A cluster on its way to a row. */
typedef struct Found {
    const JupyterCluster *cluster;
    JupyterReach reach;
    JupyterUses uses;
    char *key;
} Found;

typedef struct Round {
    JupyterBackend *own;
    const NotebookServer *server;
    Sink *sink;
    Found *found;
    size_t count;
    ProbeHttp http;     /* through the server */
} Round;

static void put(Round *round, const Found *found, const ProbeFacts *facts)
{
    JupyterRow row;
    jupyter_row(round->server, found->cluster, &found->reach, &found->uses, facts, sink_last(round->sink, found->cluster->id), &row);
    sink_put(round->sink, &row.fields, facts ? facts->counts_ms : TIME_UNKNOWN);
    jupyter_row_done(&row);
}

static void put_answer(void *user, const ProbeTarget *target, const ProbeFacts *facts)
{
    put(user, target->user, facts);
}

/* Who else finds it here shares what is learnt of it. */
static char *key_of(const Round *round, const Found *found)
{
    const NotebookServer *server = round->server;
    if (found->reach.comm && sockets_is_local(found->reach.place.host))
        return census_key(computer_here(), server->pid, server->start, found->reach.place.port);
    /* the name has the extension's own count in it: an id and a port may come again */
    return mem_format("%s %s %s %s", server->url, found->cluster->id, found->cluster->name, found->cluster->address ? found->cluster->address : "");
}

/* Requests through the server count as activity there, which would keep one alive that ends when it is idle: only a look that somebody asked
 * for makes them; one at its time shows what was learnt, and how old it is. */
static ProbeDepth depth_of(const Round *round, const Found *found)
{
    ProbeDepth depth = facts_depth(round->own->backend.config);
    return found->reach.proxied && depth == DEPTH_FULL && sink_may_be_ms(round->sink) > 0 ? DEPTH_LIGHT : depth;
}

static ProbeTarget target_of(const Round *round, const Found *found)
{
    int64_t timeout = round->own->backend.config->timeout_ms, whole = timeout - timeout / 20;
    const JupyterReach *reach = &found->reach;
    return (ProbeTarget){
        .key = found->key,
        .stream = {.host = reach->comm ? reach->place.host : NULL, .port = reach->place.port, .tls = reach->place.tls ? round->own->tls : NULL, .connect_ms = whole},
        .role = DASK_SCHEDULER, .http_only = !reach->comm, .http_base = reach->http_base, .http = reach->proxied ? &round->http : NULL,
        .first_ms = whole, .whole_ms = whole, .depth = depth_of(round, found), .proven = true, .user = (void *)found,
    };
}

static void find_uses(Round *round, const Context *context)
{
    const char **addresses = mem_new(round->count * sizeof *addresses);
    JupyterUses *uses = mem_new(round->count * sizeof *uses);
    for (size_t i = 0; i < round->count; i++)
        addresses[i] = round->found[i].cluster->address;
    jupyter_uses(round->server, round->own->where, round->own->io, context, addresses, round->count, uses);
    for (size_t i = 0; i < round->count; i++)
        round->found[i].uses = uses[i];
    free(addresses);
    free(uses);
}

/* All schedulers at once; a row of which nothing was shown yet comes before its scheduler has answered. */
static bool ask_schedulers(Round *round, const Context *context, Error *error)
{
    ProbeTarget *targets = mem_new(round->count * sizeof *targets);
    size_t count = 0;
    for (size_t i = 0; i < round->count; i++) {
        Found *found = &round->found[i];
        bool can_be_asked = found->reach.comm || found->reach.http_base;
        found->key = key_of(round, found);
        if (!can_be_asked || !sink_last(round->sink, found->cluster->id))
            put(round, found, NULL);
        if (can_be_asked)
            targets[count++] = target_of(round, found);
    }
    bool right = prober_run(round->own->prober, context, targets, count, put_answer, put_answer, round, error);
    free(targets);
    return right;
}

static bool look(JupyterBackend *own, const NotebookServer *server, const Context *context, Sink *sink, Error *error)
{
    JupyterClusters list;
    bool extension;
    if (!jupyter_list(server, own->where, own->io, context, &list, &extension, error))
        return false;
    Round round = {.own = own, .server = server, .sink = sink, .count = list.count, .found = mem_new(list.count * sizeof *round.found)};
    round.http = notebook_http(server);
    for (size_t i = 0; i < list.count; i++) {
        round.found[i].cluster = &list.items[i];
        jupyter_reach(own, server, &list.items[i], &round.found[i].reach);
    }
    find_uses(&round, context);
    bool right = ask_schedulers(&round, context, error);
    for (size_t i = 0; i < list.count; i++) {
        jupyter_reach_done(&round.found[i].reach);
        jupyter_uses_done(&round.found[i].uses);
        free(round.found[i].key);
    }
    free(round.found);
    jupyter_clusters_done(&list);
    return right;
}

/* A server that has ended takes its clusters along: told once as "there are none", then as not there. */
static bool discover(Backend *backend, Context *context, Sink *sink, Error *error)
{
    JupyterBackend *own = (JupyterBackend *)backend;
    if (!own->io) {
        char *path = facts_memory_path();
        own->io = io_new(error);
        own->prober = own->io ? prober_new(own->io, path, own->where) : NULL;
        free(path);
    }
    if (!own->io)
        return false;
    NotebookServer *server = jupyter_server(own, error);
    bool right = server ? look(own, server, context, sink, error) : own->was_there;
    own->was_there = server != NULL;
    notebook_server_free(server);
    return right;
}

/* -------------------------------------------------------------------------------------------------------------------- type */

static const ConfigKey server_keys[] = {
    {.name = "url", .kind = KEY_TEXT, .required = true, .help = "http(s)://HOST[:PORT][/BASE/]"},
    {.name = "token", .kind = KEY_SECRET, .help = "as Jupyter prints it at its start, or a token of JupyterHub"},
    {0},
};

/* Their addresses may hold a token: none is repeated. */
static const char *check(const Tree *options)
{
    const Tree *list = tree_get(options, "servers");
    for (size_t i = 0; list && i < list->count; i++) {
        const char *url = tree_text(tree_get(list->items[i], "url"));
        NotebookServer *server = url ? notebook_server_at(url, NULL, NULL) : NULL;
        if (url && !server)
            return "the url of a server is not http(s)://HOST[:PORT]/";
        notebook_server_free(server);
    }
    return NULL;
}

static const ConfigKey keys[] = {
    {.name = "runtime-dir", .kind = KEY_TEXT, .help = "where your servers leave their files (default: as Jupyter has it)"},
    {.name = "servers", .kind = KEY_MAPS, .keys = server_keys, .help = "more servers, or tokens of those that run here"},
    {0},
};

const BackendType jupyter_backend = {
    .name = "jupyter",
    .summary = "clusters of the Dask sidebar in your JupyterLab servers",
    .signs_in = "by the token of each server: its runtime file, or the config",
    .rank = 20,
    .many = true,
    .automatic = true,
    .can = 1u << CAN_SCALE | 1u << CAN_ADAPT | 1u << CAN_LOGS | 1u << CAN_CONNECT | 1u << CAN_DELETE | 1u << CAN_SNIPPET,
    .keys = keys,
    .check = check,
    .open = open_backend,
    .close = close_backend,
    .discover = discover,
    .create = jupyter_create,
    .reconstruct = jupyter_reconstruct,
};
