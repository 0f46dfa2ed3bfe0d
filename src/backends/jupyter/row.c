/* A cluster of a Jupyter server as a row of the table; how its scheduler is reached. */
#include "backends/jupyter/jupyter.h"

#include "backends/common/facts.h"
#include "base/file.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAMED_MOST = 3 };

/* ------------------------------------------------------------------------------------------------------------------ reach */

void jupyter_reach_done(JupyterReach *reach)
{
    free(reach->http_base);
    *reach = (JupyterReach){0};
}

/* "http://127.0.0.1:8787/status" without its page. */
static char *pages_of(const char *dashboard)
{
    size_t n = dashboard ? strlen(dashboard) : 0;
    if (n < 8 || strncmp(dashboard, "http", 4) != 0)
        return NULL;
    if (n > 7 && strcmp(dashboard + n - 7, "/status") == 0)
        n -= 7;
    while (n && dashboard[n - 1] == '/')
        n--;
    return mem_text_n(dashboard, n);
}

static const char *why_no_comm(const JupyterBackend *own, const JupyterCluster *cluster, bool parsed, const DaskAddress *place)
{
    if (!cluster->address)
        return "the server does not say where its scheduler is";
    if (!parsed)
        return "its address is not spoken with: clients reach it as its own kind of cluster says";
    if (place->inproc)
        return "its scheduler lives inside the Jupyter server and has no port";
    if (place->websocket)
        return "its ws:// address is not spoken with";
    return place->tls && !own->tls ? "TLS: no certificates are configured for it" : NULL;
}

void jupyter_reach(const JupyterBackend *own, const NotebookServer *server, const JupyterCluster *cluster, JupyterReach *out)
{
    *out = (JupyterReach){0};
    bool parsed = cluster->address && dask_address_parse(cluster->address, &out->place);
    out->why = why_no_comm(own, cluster, parsed, &out->place);
    if (server->here) {
        out->comm = !out->why;
        out->http_base = out->comm ? NULL : pages_of(cluster->dashboard);
        return;
    }
    out->proxied = true;
    out->http_base = jupyter_pages(cluster->id);
    if (!out->why && sockets_is_loopback(out->place.host))
        out->why = "its scheduler listens only on the host of the Jupyter server";
    out->perhaps = !out->why;
}

/* -------------------------------------------------------------------------------------------------------------------- row */

/* The extension calls a cluster by its class and a number, unless the server's config names it. */
static const char *type_of(const char *name, Buffer *out)
{
    const char *blank = strrchr(name, ' ');
    size_t n = blank ? (size_t)(blank - name) : 0;
    bool is_class = n > 7 && strncmp(blank - 7, "Cluster", 7) == 0 && blank[1] && strspn(blank + 1, "0123456789") == strlen(blank + 1);
    for (size_t i = 0; i < n && is_class; i++)
        is_class = isalnum((unsigned char)name[i]) || name[i] == '_';
    buffer_clear(out);
    buffer_add(out, name, is_class ? n : 0);
    return is_class ? out->bytes : "Cluster";
}

static void say_uses(const JupyterUses *uses, JupyterRow *row)
{
    for (size_t i = 0; i < uses->count; i++)
        buffer_format(&row->notebooks, "%s%s", i ? ", " : "", uses->items[i].what);
    if (uses->known && !uses->count)
        buffer_text(&row->how, "no kernel of it is connected");
    for (size_t i = 0; i < uses->count && i < NAMED_MOST; i++)
        buffer_format(&row->how, "%s%s", i ? ", " : "used by ", uses->items[i].what);
    if (uses->count > NAMED_MOST)
        buffer_format(&row->how, " and %zu more", uses->count - NAMED_MOST);
    row->fields.origin.how = row->how.length ? row->how.bytes : NULL;
    if (uses->count) {
        row->labels[0] = (Pair){"notebooks", row->notebooks.bytes};
        row->fields.labels = row->labels;
        row->fields.label_count = 1;
    }
}

static void fill_origin(const NotebookServer *server, const JupyterUses *uses, JupyterRow *row)
{
    RecordFields *fields = &row->fields;
    fields->origin.kind = "jupyterlab";
    fields->origin.path = server->root ? server->root : server->url;
    if (!server->here)
        return;
    fields->origin.host = file_host_name(row->host);
    fields->origin.pid = server->pid;
    fields->origin.alive = 1;
    say_uses(uses, row);
}

static bool is_dead(const NotebookServer *server, const JupyterReach *reach, const ProbeFacts *facts)
{
    return server->here && facts && facts->result == PROBE_REFUSED && reach->comm && sockets_is_local(reach->place.host);
}

/* Its scheduler's id. One whose scheduler has ended keeps what it had, or is told by where and in which server it stands. */
static void fill_uid(const NotebookServer *server, const JupyterCluster *cluster, const JupyterReach *reach, const ProbeFacts *facts, const Record *last,
                     JupyterRow *row)
{
    char boot[64];
    bool same = last && last->is.address && cluster->address && strcmp(last->is.address, cluster->address) == 0;
    if (row->fields.scheduler_id)
        buffer_text(&row->uid, row->fields.scheduler_id);
    else if (same && last->is.uid)
        buffer_text(&row->uid, last->is.uid);
    else if (is_dead(server, reach, facts))
        buffer_format(&row->uid, "%s-%ld-%llu-%s-%s", file_boot_id(boot), (long)server->pid, (unsigned long long)server->start, cluster->id, cluster->address);
    row->fields.uid = row->uid.length ? row->uid.bytes : NULL;
}

static void say_what_can(const JupyterReach *reach, const ProbeFacts *facts, RecordFields *fields)
{
    static const Capability by_comm[] = {CAN_LOGS, CAN_CONNECT}, by_server[] = {CAN_SCALE, CAN_ADAPT};
    bool alive = facts && facts->result == PROBE_ANSWERED;
    fields->can = 1u << CAN_DELETE;
    if (reach->comm)
        fields->can |= 1u << CAN_SNIPPET;
    else if (!reach->perhaps)
        fields->cannot[CAN_SNIPPET] = reach->why;
    for (size_t i = 0; i < 2; i++) {
        Capability logs = by_comm[i], scale = by_server[i];
        if (alive)
            fields->can |= 1u << scale;
        else if (facts)
            fields->cannot[scale] = "its scheduler does not answer";
        if (!reach->comm && !reach->perhaps)
            fields->cannot[logs] = reach->why;
        else if (alive && reach->comm)
            fields->can |= 1u << logs;
        else if (facts && !alive)
            fields->cannot[logs] = "its scheduler does not answer";
    }
}

static void fill_dashboard(const NotebookServer *server, const JupyterCluster *cluster, const JupyterReach *reach, JupyterRow *row)
{
    if (reach->proxied) {
        buffer_clear(&row->dashboard);
        buffer_format(&row->dashboard, "%s%s/status", server->url, reach->http_base);
        row->fields.dashboard = row->dashboard.bytes;
    } else if (cluster->dashboard) {
        row->fields.dashboard = cluster->dashboard;
    }
}

static void fill_facts(const NotebookServer *server, const JupyterCluster *cluster, const JupyterReach *reach, const ProbeFacts *facts, JupyterRow *row)
{
    RecordFields *fields = &row->fields;
    if (facts)
        facts_to_fields(facts, reach->comm ? reach->place.host : NULL, server->here, &row->dashboard, fields);
    if (facts && facts->result != PROBE_ANSWERED && reach->http_base) {
        fields->status = STATUS_UNKNOWN;
        fields->status_why = reach->proxied ? "its scheduler's pages cannot be read through the Jupyter server" : "its scheduler's pages cannot be read";
    }
    if (is_dead(server, reach, facts)) {
        buffer_format(&row->gone, "scheduler %s", cluster->address);
        fields->gone = row->gone.bytes;
        fields->gone_why = "refused by this host, while the Jupyter server still lists its cluster";
    }
    if (fields->workers_ready == NUMBER_UNKNOWN && !fields->gone)
        fields->workers_ready = cluster->workers;
    if (fields->threads == NUMBER_UNKNOWN && !fields->gone)
        fields->threads = cluster->threads;
    fields->resources = cluster->workers;
    fields->adaptive = cluster->adaptive;
    fields->adaptive_minimum = cluster->minimum;
    fields->adaptive_maximum = cluster->maximum;
}

void jupyter_row(const NotebookServer *server, const JupyterCluster *cluster, const JupyterReach *reach, const JupyterUses *uses, const ProbeFacts *facts,
                 const Record *last, JupyterRow *row)
{
    Buffer *buffers[] = {&row->dashboard, &row->type, &row->uid, &row->gone, &row->how, &row->notebooks};
    RecordFields *fields = &row->fields;
    *row = (JupyterRow){0};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        buffer_init(buffers[i], BUFFER_ANY);
    record_fields_init(fields);
    fill_facts(server, cluster, reach, facts, row);
    fields->id = cluster->id;
    fields->name = cluster->name;
    fields->type = type_of(cluster->name, &row->type);
    fields->owner = server->here ? file_user_name(geteuid(), row->user) : NULL;
    fields->mine = 1; /* who holds a server's token is its user */
    fields->address = cluster->address;
    fill_dashboard(server, cluster, reach, row);
    fill_origin(server, uses, row);
    fill_uid(server, cluster, reach, facts, last, row);
    say_what_can(reach, facts, fields);
}

void jupyter_row_done(JupyterRow *row)
{
    Buffer *buffers[] = {&row->dashboard, &row->type, &row->uid, &row->gone, &row->how, &row->notebooks};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        buffer_done(buffers[i]);
}
