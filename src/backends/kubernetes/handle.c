/* A handle on a cluster in Kubernetes. Nothing was lost with the process that made it: the objects say everything, and are read anew for each call. */
#include "backends/kubernetes/handle.h"

#include "backends/kubernetes/past.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { IDENTITY_MOST = 32 << 20, ASK_MS = 5000, ENV_MOST = 12 };

/* ------------------------------------------------------------------------------------------------------------------ sight */

bool sight_take(Handle *handle, const Context *context, KubeSight *out, Error *error)
{
    *out = (KubeSight){.own = kube_of(handle->backend)};
    if (!kube_api(out->own, &out->api, error))
        return false;
    if (kube_look(out->own, &out->api, context, kube_handle(handle)->id, handle->record->is.uid, &out->join, &out->row, &out->seen, error))
        return true;
    sight_done(out);
    return false;
}

void sight_done(KubeSight *sight)
{
    join_free(sight->join);
    list_done(&sight->seen.missing);
    kube_api_done(&sight->api);
    *sight = (KubeSight){0};
}

bool sight_may(const KubeSight *sight, const Context *context, Need need, Error *error)
{
    char why[160];
    Error unknown = {0};
    if (!rights_ready(sight->own->rights, &sight->api, context, sight->row->namespace, &unknown) && !context_check(context, sight->own->where, error))
        return false; /* a server that does not tell is asked by doing it */
    if (rights_may(sight->own->rights, sight->row->namespace, need) != 0)
        return true;
    return error_set(error, ERROR_DENIED, sight->own->where, "ask whoever runs the cluster for this right", "%s", rights_why(sight->row->namespace, need, why));
}

/* ----------------------------------------------------------------------------------------------------------------- workers */

static const KubeObject *pod_of(const KubeRow *row, const char *worker)
{
    const KubeList *pods = &row->of[KUBE_POD];
    for (size_t i = 0; worker && i < pods->count; i++)
        if (pods->items[i]->worker_name && strcmp(pods->items[i]->worker_name, worker) == 0)
            return pods->items[i];
    return NULL;
}

static int64_t sum_of(const cJSON *counts, const char *key)
{
    int64_t number = json_integer(counts, key);
    return cJSON_IsObject(counts) && number == NUMBER_UNKNOWN ? 0 : number; /* a state that no task is in is left out */
}

static void add_worker(const KubeRow *row, const cJSON *json, Description *out)
{
    const cJSON *metrics = json_member(json, "metrics"), *spilled = json_member(metrics, "spilled_bytes");
    const char *name = json_text(json, "name");
    DescribedWorker *worker = description_worker(out, name ? name : json_text(json, "id"), json->string);
    const KubeObject *pod = pod_of(row, worker->name);
    description_text(&worker->host, pod && pod->node ? pod->node : json_text(json, "host"));
    description_text(&worker->status, json_text(json, "status"));
    description_text(&worker->nanny, json_text(json, "nanny"));
    description_text(&worker->group, pod ? pod->group_name : NULL);
    description_text(&worker->resource, pod ? pod->uid : NULL);
    worker->threads = json_integer(json, "nthreads");
    worker->memory_limit = json_integer(json, "memory_limit");
    worker->memory = json_integer(metrics, "memory");
    worker->spilled = json_integer(spilled, "disk");
    worker->processing = sum_of(json_member(metrics, "task_counts"), "executing");
    worker->stored = sum_of(json_member(metrics, "task_counts"), "memory");
    worker->cpu = json_number(metrics, "cpu");
}

/* As its scheduler tells them through the API server. */
static bool describe_workers(const KubeSight *sight, const Context *context, Description *out, Error *error)
{
    char *base = row_proxy_path(sight->row);
    if (!base)
        return error_set(error, ERROR_UNSUPPORTED, sight->own->where, NULL, "its scheduler has no service for HTTP");
    char *path = mem_format("%s/json/identity.json", base);
    HttpReply reply;
    Context part = context_within(context, ASK_MS);
    ApiRequest request = {.path = path, .what = "its scheduler", .compressed = true, .most_bytes = IDENTITY_MOST};
    bool right = api_run(&sight->api, &part, &request, &reply, error);
    free(path);
    free(base);
    if (!right)
        return false;
    cJSON *json = json_parse(reply.body.bytes, reply.body.length, sight->own->where, error);
    const cJSON *worker;
    http_reply_done(&reply);
    cJSON_ArrayForEach(worker, json_member(json, "workers"))
    {
        if (worker->string)
            add_worker(sight->row, worker, out);
    }
    cJSON_Delete(json);
    return json != NULL;
}

/* ---------------------------------------------------------------------------------------------------- spec of one more worker */

static void put_amounts(const cJSON *resources, const char *which, List *out)
{
    const cJSON *amount;
    Buffer line;
    buffer_init(&line, 1000);
    cJSON_ArrayForEach(amount, json_member(resources, which))
    {
        if (amount->string && cJSON_IsString(amount))
            buffer_format(&line, "%s%s %s", line.length ? ", " : "", amount->string, amount->valuestring);
    }
    if (line.length)
        list_format(out, "%s: %s", which, line.bytes);
    buffer_done(&line);
}

static void put_words(const cJSON *container, Buffer *line)
{
    static const char *const parts[] = {"command", "args"};
    for (size_t i = 0; i < 2; i++) {
        const cJSON *word;
        cJSON_ArrayForEach(word, json_member(container, parts[i]))
        {
            if (!cJSON_IsString(word))
                continue;
            if (line->length)
                buffer_char(line, ' ');
            text_shell_quote(line, word->valuestring);
        }
    }
}

/* Values of its environment may be secrets: names only. */
static void put_environment(const cJSON *container, List *out)
{
    const cJSON *item;
    Buffer line;
    int count = 0;
    buffer_init(&line, 2000);
    cJSON_ArrayForEach(item, json_member(container, "env"))
    {
        if (json_text(item, "name") && count++ < ENV_MOST)
            buffer_format(&line, "%s%s", line.length ? ", " : "", json_text(item, "name"));
    }
    if (line.length)
        list_format(out, "environment: %s%s (values are not shown)", line.bytes, count > ENV_MOST ? ", …" : "");
    buffer_done(&line);
}

static void put_container(const cJSON *container, List *out)
{
    Buffer line;
    buffer_init(&line, 4000);
    if (json_text(container, "image"))
        list_format(out, "image: %s", json_text(container, "image"));
    put_words(container, &line);
    if (line.length)
        list_format(out, "command: %s", line.bytes);
    buffer_done(&line);
    put_amounts(json_member(container, "resources"), "requests", out);
    put_amounts(json_member(container, "resources"), "limits", out);
    put_environment(container, out);
}

static void describe_spec(const KubeSight *sight, const Context *context, Description *out)
{
    const KubeList *groups = &sight->row->of[KUBE_GROUP];
    for (size_t i = 0; i < groups->count; i++) {
        cJSON *json = NULL;
        const cJSON *container;
        char *path = object_path(groups->items[i], NULL);
        if (api_get(&sight->api, context, path, &json, NULL)) {
            const cJSON *spec = json_member(json_member(json_member(json, "spec"), "worker"), "spec");
            if (groups->count > 1)
                list_format(&out->worker_spec, "worker group %s:", groups->items[i]->name);
            cJSON_ArrayForEach(container, json_member(spec, "containers"))
            {
                put_container(container, &out->worker_spec);
            }
        }
        cJSON_Delete(json);
        free(path);
    }
}

/* -------------------------------------------------------------------------------------------------------------------- show */

static void describe_things(const KubeThings *things, Description *out)
{
    for (size_t i = 0; i < things->count; i++) {
        const KubeThing *thing = &things->items[i];
        description_resource(out, thing->kind->word, thing->name, thing->uid, thing->status, thing->parent);
    }
}

static const char *maker_of(const KubeObject *cluster)
{
    if (!cluster || !cluster->manager)
        return NULL;
    return strcmp(cluster->manager, "kr8s") == 0 ? "Python's KubeCluster" : cluster->manager;
}

static void say_found(const KubeSight *sight, Description *out)
{
    const KubeRow *row = sight->row;
    const KubeObject *cluster = row_cluster(row), *job = row_job(row), *scaler = row_scaler(row);
    int64_t wanted = row_wanted(row), pods = row_worker_pods(row);
    switch (row_kind(row)) {
    case ROW_OPERATOR:
        description_found(out, "its DaskCluster%s%s: everything about it stands in its objects, nothing was lost with the process that made it",
                          maker_of(cluster) ? ", made by " : "", maker_of(cluster) ? maker_of(cluster) : "");
        break;
    case ROW_LEFT:
        description_found(out, sight->seen.clusters ? "objects of a DaskCluster that does not exist" : "objects of a DaskCluster that is not seen");
        break;
    case ROW_CLASSIC:
        description_found(out, "pods of a KubeCluster from before 2024.5, by their labels");
        description_lost(out, "what its workers are made from was known only to its Python process: it cannot be scaled from outside");
        break;
    case ROW_HELM:
        description_found(out, "a release of Helm's Dask chart, by the labels of its pods");
        break;
    case ROW_GATEWAY:
        description_found(out, "a cluster of Dask Gateway, by the gateway's own object");
        description_lost(out, "its TLS key is the gateway's: connect and scale through the gateway");
    }
    if (job)
        description_found(out, "it belongs to the DaskJob %s (%s): deleting it deletes the job", job->name, job->phase ? job->phase : "state unknown");
    if (scaler)
        description_found(out, "the DaskAutoscaler %s scales it by itself", scaler->name);
    if (sight->seen.pods && wanted != NUMBER_UNKNOWN && pods > wanted)
        description_found(out, "%lld worker pods are there, %lld are wanted: the operator closes only workers that its scheduler knows (scale it again for a nudge)",
                          (long long)pods, (long long)wanted);
    for (size_t i = 0; i < sight->seen.missing.count; i++)
        description_lost(out, "not seen: %s", sight->seen.missing.items[i]);
}

static bool show(Handle *handle, Context *context, Description *out, Error *error)
{
    KubeSight sight;
    KubeThings things;
    Error why = {0};
    if (!sight_take(handle, context, &sight, error))
        return false;
    Context part = context_within(context, ASK_MS);
    bool answered = row_can_be_probed(sight.row) && kube_probe(sight.own, &sight.api, &part, sight.row, &why);
    if (answered && past_is_due(sight.row, clock_mono_ms())) /* as the table does: both say the same */
        past_read(&sight.api, &part, ASK_MS, &sight.row, 1, NULL);
    rights_ready(sight.own->rights, &sight.api, &part, sight.row->namespace, NULL);
    bool right = things_read(&sight.api, context, sight.row, &things, &sight.seen.missing, error);
    out->record = right ? kube_record(sight.own, sight.row, &sight.seen, error) : NULL;
    if (right) {
        if (answered && !describe_workers(&sight, context, out, &why))
            description_text(&out->workers_note, why.what);
        else if (!answered)
            description_text(&out->workers_note, *why.what ? why.what : !sight.seen.pods ? "its pods may not be listed" : "its scheduler's pod is not ready");
        describe_things(&things, out);
        describe_spec(&sight, context, out);
        say_found(&sight, out);
        char *words = kube_route_words(&sight);
        description_text(&out->route, words);
        free(words);
        things_done(&things);
    }
    sight_done(&sight);
    return right && out->record != NULL;
}

/* ----------------------------------------------------------------------------------------------------------------- snippet */

bool kube_snippet(Handle *handle, Context *context, Buffer *out, Error *error)
{
    KubeSight sight;
    if (!sight_take(handle, context, &sight, error))
        return false;
    const KubeRow *row = sight.row;
    const KubeBackend *own = sight.own;
    const char *current = own->kubeconfig->current, *file = config_text(own->backend.config, "kubeconfig");
    if (!row_is_well_named(row)) {
        error_set(error, ERROR_UNSUPPORTED, own->where, NULL, "its name is none that Kubernetes allows: no code is made of it");
        sight_done(&sight);
        return false;
    }
    if (file && row_kind(row) == ROW_OPERATOR)
        buffer_format(out, "# KUBECONFIG=%s has to be set for it\n", file);
    if (row_kind(row) == ROW_OPERATOR) {
        buffer_text(out, "from dask_kubernetes.operator import KubeCluster\n\n");
        if (own->context->name && (!current || strcmp(current, own->context->name) != 0))
            buffer_format(out, "# it looks into the current context: kubectl config use-context %s\n", own->context->name);
        buffer_format(out, "cluster = KubeCluster.from_name(\"%s\", namespace=\"%s\")  # closing it does not delete the cluster\nclient = cluster.get_client()\n",
                      row->name, row->namespace);
    } else if (row_kind(row) == ROW_GATEWAY) {
        buffer_format(out, "from dask_gateway import Gateway\n\ncluster = Gateway().connect(\"%s\", shutdown_on_close=False)\nclient = cluster.get_client()\n", row->name);
    } else {
        buffer_format(out, "# in another terminal, for as long as it is needed: dasktop connect %s --port 8786\nfrom distributed import Client\n\n"
                           "client = Client(\"tcp://127.0.0.1:8786\")\n", handle->record->is.id);
    }
    sight_done(&sight);
    return true;
}

/* -------------------------------------------------------------------------------------------------------------------- type */

static void close_handle(Handle *handle)
{
    free(kube_handle(handle)->id);
    handle_done(handle);
    free(handle);
}

static const HandleType handle_type = {
    .show = show, .plan = kube_plan, .apply = kube_apply, .logs = kube_logs, .route = kube_route, .snippet = kube_snippet, .close = close_handle,
};

bool kube_reconstruct(Backend *backend, Context *context, const Record *record, Handle **out, Error *error)
{
    KubeSight sight;
    char *key, *instance, *rest;
    if (!record_id_split(record->is.id, &key, &instance, &rest))
        return error_set(error, ERROR_NOT_FOUND, record->is.id, NULL, "this is no cluster's id");
    free(key);
    free(instance);
    KubeHandle *own = mem_new(sizeof *own);
    handle_init(&own->handle, &handle_type, backend, record);
    own->id = rest;
    if (!sight_take(&own->handle, context, &sight, error)) {
        close_handle(&own->handle);
        return false;
    }
    sight_done(&sight);
    *out = &own->handle;
    return true;
}
