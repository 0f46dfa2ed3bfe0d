#include "backends/common/access.h"

#include "backends/common/facts.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS = 5000, PROBE_MS = 5000, PART_MS = 5000 };

void access_init(Access *access, const char *where)
{
    *access = (Access){.where = mem_text(where)};
}

void access_done(Access *access)
{
    char *texts[] = {access->where, access->host, access->connect_to, access->http_host, access->scheduler_id, access->address, access->http_base};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    tls_drop(access->tls);
    *access = (Access){0};
}

StreamTarget access_target(const Access *access)
{
    return (StreamTarget){.host = access->host, .port = access->port, .tls = access->tls, .connect_to = access->connect_to, .way = access->way,
                          .connect_ms = CONNECT_MS};
}

static bool check_id(const Access *access, Dask *dask, const Context *context, Error *error)
{
    DaskIdentity identity;
    if (!dask_identity(dask, context, false, &identity, error))
        return false;
    bool same = !access->scheduler_id || (identity.id && strcmp(identity.id, access->scheduler_id) == 0);
    bool scheduler = identity.role == DASK_SCHEDULER;
    dask_identity_done(&identity);
    if (!scheduler)
        return error_set(error, ERROR_CONFLICT, access->where, NULL, "this is no scheduler any more");
    return same || error_set(error, ERROR_CONFLICT, access->where, "look at it again", "changed since it was seen: another scheduler has its address");
}

Dask *access_open(const Access *access, const Context *context, Io **io, Error *error)
{
    *io = NULL;
    if (!access->host) {
        error_set(error, ERROR_UNSUPPORTED, access->where, NULL, "its scheduler cannot be talked to from here");
        return NULL;
    }
    StreamTarget target = access_target(access);
    *io = io_new(error);
    Dask *dask = *io ? dask_open(*io, context, &target, access->where, error) : NULL;
    if (dask && check_id(access, dask, context, error))
        return dask;
    access_close(dask, *io);
    *io = NULL;
    return NULL;
}

void access_close(Dask *dask, Io *io)
{
    dask_close(dask);
    if (io)
        io_free(io);
}

/* ----------------------------------------------------------------------------------------------------------------- probe */

typedef struct Telling {
    void (*tell)(void *user, const ProbeFacts *facts);
    void *user;
} Telling;

static void tell_facts(void *user, const ProbeTarget *target, const ProbeFacts *facts)
{
    const Telling *telling = user;
    (void)target;
    telling->tell(telling->user, facts);
}

bool access_probe(const Access *access, const Context *context, void (*tell)(void *user, const ProbeFacts *facts), void *user, Error *error)
{
    Io *io = io_new(error);
    if (!io)
        return false;
    Telling telling = {tell, user};
    ProbeTarget target = {.key = access->address ? access->address : access->where, .stream = access_target(access), .role = DASK_SCHEDULER,
                          .http_only = !access->host, .http_host = access->http_host, .http_port = access->http_port, .http_base = access->http_base,
                          .http = access->http, .first_ms = PROBE_MS,
                          .whole_ms = PROBE_MS, .depth = DEPTH_FULL, .fresh = true};
    Prober *prober = prober_new(io, NULL, access->where);
    bool right = prober_run(prober, context, &target, 1, NULL, tell_facts, &telling, error);
    prober_free(prober);
    io_free(io);
    return right;
}

/* -------------------------------------------------------------------------------------------------------------- describe */

static void add_workers(const DaskIdentity *identity, Description *out)
{
    for (size_t i = 0; i < identity->count; i++) {
        const DaskWorker *worker = &identity->list[i];
        DescribedWorker *described = description_worker(out, worker->name, worker->address);
        description_text(&described->host, worker->host);
        description_text(&described->nanny, worker->nanny);
        description_text(&described->status, worker->status);
        described->threads = worker->threads;
        described->memory_limit = worker->memory_limit;
        described->memory = worker->memory;
        described->spilled = worker->spilled;
        described->processing = worker->processing;
        described->stored = worker->stored;
        described->cpu = worker->cpu;
        described->last_seen_ms = worker->last_seen_ms;
    }
}

static void add_prefixes(Dask *dask, const Context *context, Description *out)
{
    DaskPrefix *list;
    size_t count;
    Context part = context_within(context, PART_MS);
    if (!dask_prefixes(dask, &part, &list, &count, NULL))
        return;
    for (size_t i = 0; i < count; i++) {
        DescribedPrefix *prefix = description_prefix(out, list[i].name);
        prefix->waiting = list[i].waiting;
        prefix->processing = list[i].processing;
        prefix->stored = list[i].stored;
        prefix->erred = list[i].erred;
        prefix->released = list[i].released;
    }
    dask_prefixes_free(list, count);
}

bool access_describe(const Access *access, const Context *context, Description *out, Error *error)
{
    Io *io;
    DaskIdentity identity;
    Dask *dask = access_open(access, context, &io, error);
    if (!dask)
        return false;
    bool right = dask_identity(dask, context, true, &identity, error);
    if (right) {
        Context part = context_within(context, PART_MS);
        add_workers(&identity, out);
        add_prefixes(dask, context, out);
        dask_client_left(dask, &part, &out->client_left_ms, NULL);
        dask_identity_done(&identity);
    }
    access_close(dask, io);
    return right;
}

bool access_resolve_workers(const DaskIdentity *identity, const List *names, const char *where, List *addresses, Error *error)
{
    for (size_t n = 0; n < names->count; n++) {
        const char *found = NULL;
        size_t fits = 0;
        for (size_t i = 0; i < identity->count; i++) {
            const DaskWorker *worker = &identity->list[i];
            bool same = (worker->name && strcmp(worker->name, names->items[n]) == 0) || (worker->address && strcmp(worker->address, names->items[n]) == 0);
            found = same ? worker->address : found;
            fits += same;
        }
        if (fits == 0)
            return error_set(error, ERROR_NOT_FOUND, where, "dasktop show lists them", "it has no worker %s", names->items[n]);
        if (fits > 1)
            return error_set(error, ERROR_AMBIGUOUS, where, "give its address", "it has %zu workers %s", fits, names->items[n]);
        if (found && !list_has(addresses, found))
            list_add(addresses, found);
    }
    return true;
}

/* --------------------------------------------------------------------------------------------------------- route, snippet */

static char *absolute(const char *path)
{
    char *real = path ? realpath(path, NULL) : NULL;
    return real ? real : mem_text(path);
}

static bool is_loopback(const char *host)
{
    return strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
}

bool access_route(const Access *access, const Record *record, Route *route, Error *error)
{
    *route = (Route){.lost_fd = -1};
    if (!access->host)
        return error_set(error, ERROR_UNSUPPORTED, access->where, NULL, "its scheduler has no port that others can connect to");
    route->address = mem_text(access->address);
    route->dashboard = mem_text(record->is.dashboard);
    route->words = mem_text("direct");
    if (access->tls) {
        route->ca_file = absolute(access->tls->ca_file);
        route->cert = absolute(access->tls->cert_file);
        route->key = absolute(access->tls->key_file);
    }
    const char *dashboard_host = access->http_host ? access->http_host : access->host;
    int port = access->http_port;
    const char *colon = record->is.dashboard ? strrchr(record->is.dashboard, ':') : NULL;
    if (!port && colon)
        port = (int)strtol(colon + 1, NULL, 10);
    if (port) {
        char host[256];
        bool here = is_loopback(dashboard_host);
        route->ssh_line = mem_format("ssh -L %d:%s:%d %s", port, here ? "127.0.0.1" : dashboard_host, port, file_host_name(host));
    }
    return true;
}

/* A Python literal of a text. */
static void put_literal(Buffer *out, const char *text)
{
    buffer_char(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buffer_char(out, '\\');
        buffer_char(out, *text);
    }
    buffer_char(out, '"');
}

static void put_argument(Buffer *out, const char *name, const char *path)
{
    if (!path)
        return;
    char *whole = absolute(path);
    buffer_format(out, "%s=", name);
    put_literal(out, whole);
    buffer_text(out, ", ");
    free(whole);
}

bool access_snippet(const Access *access, Buffer *out, Error *error)
{
    if (!access->host)
        return error_set(error, ERROR_UNSUPPORTED, access->where, NULL, "no other process can connect to it");
    if (!access->tls) {
        buffer_text(out, "from distributed import Client\n\nclient = Client(");
        put_literal(out, access->address);
        buffer_text(out, ")\n");
        return true;
    }
    buffer_text(out, "from distributed import Client, Security\n\nsecurity = Security(");
    put_argument(out, "tls_ca_file", access->tls->ca_file);
    put_argument(out, "tls_client_cert", access->tls->cert_file);
    put_argument(out, "tls_client_key", access->tls->key_file);
    buffer_text(out, "require_encryption=True)\nclient = Client(");
    put_literal(out, access->address);
    buffer_text(out, ", security=security)\n");
    return true;
}
