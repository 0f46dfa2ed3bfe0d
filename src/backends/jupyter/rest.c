#include "backends/jupyter/rest.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { ASK_MS = 20000, ID_MOST = 200 };

void jupyter_cluster_done(JupyterCluster *cluster)
{
    free(cluster->id);
    free(cluster->name);
    free(cluster->address);
    free(cluster->dashboard);
    *cluster = (JupyterCluster){0};
}

void jupyter_clusters_done(JupyterClusters *list)
{
    for (size_t i = 0; i < list->count; i++)
        jupyter_cluster_done(&list->items[i]);
    free(list->items);
    *list = (JupyterClusters){0};
}

/* ----------------------------------------------------------------------------------------------------------------- decoding */

/* It becomes one segment of paths, percent-encoded there. */
static bool is_id(const char *text)
{
    size_t n = text ? strlen(text) : 0;
    return n > 0 && n <= ID_MOST && strcmp(text, ".") != 0 && strcmp(text, "..") != 0 && !strchr(text, '/') && text_is_clean(text, n);
}

static int64_t amount(const cJSON *json, const char *key)
{
    double number = json_number(json, key); /* 1.0 where threads were divided */
    return number >= 0 && number < 1e9 && number == (double)(int64_t)number ? (int64_t)number : NUMBER_UNKNOWN;
}

static void decode_one(const cJSON *json, const char *where, JupyterClusters *out)
{
    const char *id = json_text(json, "id"), *name = json_text(json, "name"), *address = json_text(json, "scheduler_address");
    const char *dashboard = json_text(json, "dashboard_link");
    const cJSON *adapt = json_member(json, "adapt");
    if (cJSON_IsObject(json_member(json, "discovered")))
        return; /* integrations/jupyter shows what dasktop found elsewhere: it is no cluster of this server */
    if (!is_id(id)) {
        log_line(where, "a cluster was left out: its id is none that can be asked for");
        return;
    }
    out->items = mem_grow(out->items, out->count, &out->capacity, sizeof *out->items);
    out->items[out->count++] = (JupyterCluster){
        .id = mem_text(id),
        .name = mem_text(name && *name ? name : id),
        .address = address && *address ? mem_text(address) : NULL,
        .dashboard = dashboard && *dashboard ? mem_text(dashboard) : NULL,
        .workers = amount(json, "workers"),
        .threads = amount(json, "cores"),
        .adaptive = cJSON_IsObject(adapt),
        .minimum = amount(adapt, "minimum"),
        .maximum = amount(adapt, "maximum"),
    };
}

bool jupyter_decode(const char *bytes, size_t n, const char *where, bool one, JupyterClusters *out, Error *error)
{
    cJSON *json = json_parse(bytes, n, where, error), *item;
    *out = (JupyterClusters){0};
    if (!json)
        return false;
    bool right = one ? cJSON_IsObject(json) : cJSON_IsArray(json);
    if (right && one)
        decode_one(json, where, out);
    else if (right)
        cJSON_ArrayForEach(item, json)
        {
            decode_one(item, where, out);
        }
    cJSON_Delete(json);
    if (right && (!one || out->count == 1))
        return true;
    jupyter_clusters_done(out);
    return error_set(error, ERROR_BAD_REPLY, where, NULL, "its answer is not the clusters that were asked for");
}

/* ------------------------------------------------------------------------------------------------------------------- asking */

static char *path_of(const char *what, const char *id)
{
    Buffer path;
    buffer_init(&path, BUFFER_ANY);
    buffer_format(&path, "dask/%s/", what);
    text_percent(&path, id, false);
    return buffer_take(&path);
}

char *jupyter_pages(const char *id)
{
    return path_of("dashboard", id);
}

/* 404 is also what an address answers that is no Jupyter server's: one that was found by itself surely is one. */
static bool is_jupyter(const NotebookServer *server, const char *where, Io *io, const Context *context, Error *error)
{
    HttpReply reply;
    int status;
    Error why = {0};
    if (server->here)
        return true;
    if (!notebook_ask(server, where, io, context, NULL, "api", NULL, ASK_MS, &reply, &status, &why)) {
        if (status == 404 || status == 200)
            return error_set(error, ERROR_BAD_REPLY, where, "is its address right, with its base URL?", "no Jupyter server answers there");
        if (error)
            *error = why;
        return false;
    }
    http_reply_done(&reply);
    return true;
}

bool jupyter_list(const NotebookServer *server, const char *where, Io *io, const Context *context, JupyterClusters *out, bool *extension, Error *error)
{
    HttpReply reply;
    int status;
    Error why = {0};
    *out = (JupyterClusters){0};
    *extension = false;
    if (!notebook_ask(server, where, io, context, NULL, "dask/clusters", NULL, ASK_MS, &reply, &status, &why)) {
        if (status == 404)
            return is_jupyter(server, where, io, context, error);
        if (error)
            *error = why;
        return false;
    }
    *extension = true;
    bool right = jupyter_decode(reply.body.bytes, reply.body.length, where, false, out, error);
    http_reply_done(&reply);
    return right;
}

/* A request whose answer is one cluster. */
static bool ask_one(const NotebookServer *server, const char *where, Io *io, const Context *context, const char *method, const char *id, const char *body,
                    int64_t timeout_ms, JupyterCluster *out, Error *error)
{
    HttpReply reply;
    int status;
    JupyterClusters list;
    char *path = id ? path_of("clusters", id) : mem_text("dask/clusters");
    *out = (JupyterCluster){0};
    bool right = notebook_ask(server, where, io, context, method, path, body, timeout_ms, &reply, &status, error);
    free(path);
    if (!right)
        return status == 404 ? error_set(error, ERROR_NOT_FOUND, where, NULL, id ? "the Jupyter server has no such cluster any more" : "the Jupyter server has no Dask extension")
                             : false;
    right = jupyter_decode(reply.body.bytes, reply.body.length, where, true, &list, error);
    http_reply_done(&reply);
    if (!right)
        return false;
    *out = list.items[0];
    free(list.items);
    if (!id || strcmp(out->id, id) == 0)
        return true;
    jupyter_cluster_done(out);
    return error_set(error, ERROR_BAD_REPLY, where, NULL, "its answer is not the cluster that was asked for");
}

bool jupyter_get(const NotebookServer *server, const char *where, Io *io, const Context *context, const char *id, JupyterCluster *out, Error *error)
{
    return ask_one(server, where, io, context, NULL, id, NULL, ASK_MS, out, error);
}

static bool patch(const NotebookServer *server, const char *where, Io *io, const Context *context, const char *id, char *body, Error *error)
{
    JupyterCluster cluster;
    bool right = ask_one(server, where, io, context, "PATCH", id, body, 0, &cluster, error);
    free(body);
    if (right)
        jupyter_cluster_done(&cluster);
    return right;
}

bool jupyter_scale(const NotebookServer *server, const char *where, Io *io, const Context *context, const char *id, int64_t workers, Error *error)
{
    return patch(server, where, io, context, id, mem_format("{\"workers\": %lld}", (long long)workers), error);
}

bool jupyter_adapt(const NotebookServer *server, const char *where, Io *io, const Context *context, const char *id, int64_t minimum, int64_t maximum,
                   Error *error)
{
    return patch(server, where, io, context, id, mem_format("{\"adapt\": {\"minimum\": %lld, \"maximum\": %lld}}", (long long)minimum, (long long)maximum), error);
}

bool jupyter_close(const NotebookServer *server, const char *where, Io *io, const Context *context, const char *id, Error *error)
{
    HttpReply reply;
    int status;
    char *path = path_of("clusters", id);
    bool right = notebook_ask(server, where, io, context, "DELETE", path, NULL, 0, &reply, &status, error);
    free(path);
    if (right)
        http_reply_done(&reply);
    else if (status == 500 && error && strstr(error->what, "404")) /* as the extension words that it does not know it */
        error->code = ERROR_NOT_FOUND;
    return right;
}

bool jupyter_make(const NotebookServer *server, const char *where, Io *io, const Context *context, JupyterCluster *out, Error *error)
{
    return ask_one(server, where, io, context, "PUT", NULL, NULL, 0, out, error);
}
