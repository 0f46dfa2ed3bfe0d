/* New clusters: from dask-ctl's specification of a KubeCluster, as that class itself makes its object, or from a DaskCluster in YAML as kubectl takes
 * it. The server checks the object, without storing it, before anything is made. */
#include "backends/kubernetes/kubernetes.h"
#include "backends/kubernetes/rights.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { LOOK_MS = 700, NAME_MOST = 53, OPERATOR_MS = 30000, DASHBOARD_OF_WORKERS = 8788 };

const char *const kube_creates[] = {"dask_kubernetes.operator:KubeCluster", "dask_kubernetes:KubeCluster", "dask_kubernetes.operator.kubecluster:KubeCluster",
                                    "kubernetes.dask.org/v1:DaskCluster", NULL};

static const char default_image[] = "ghcr.io/dask/dask:latest";

/* What a dry run made, and the making does. */
typedef struct Wish {
    char *namespace, *name, *body;
    int64_t workers; /* NUMBER_UNKNOWN */
} Wish;

static void wish_free(Plan *plan, PlanStep *step)
{
    Wish *wish = step ? NULL : plan->own;
    if (!wish)
        return;
    free(wish->namespace);
    free(wish->name);
    free(wish->body);
    free(wish);
}

/* --------------------------------------------------------------------------------------------------------- of a KubeCluster */

static const char *const arguments[] = {"name", "namespace", "image", "n_workers", "resources", "env", "worker_command", "scheduler_service_type", "idle_timeout",
                                        "jupyter", "custom_cluster_spec"};
/* What is about the Python object alone. */
static const char *const of_the_object[] = {"port_forward_cluster_ip", "create_mode", "shutdown_on_close", "resource_timeout", "scheduler_forward_port", "loop",
                                            "asynchronous", "quiet"};

static bool is_one_of(const char *key, const char *const *names, size_t count)
{
    Tree map = {.kind = TREE_MAP}, item = {.key = (char *)key}, *items[] = {&item};
    map.items = items;
    map.count = 1;
    for (size_t i = 0; i < count; i++)
        if (tree_get(&map, names[i]))
            return true;
    return false;
}

static bool check_arguments(const Spec *spec, Error *error)
{
    char where[256];
    for (size_t i = 0; spec->kwargs && i < spec->kwargs->count; i++) {
        const Tree *item = spec->kwargs->items[i];
        if (!is_one_of(item->key, arguments, sizeof arguments / sizeof *arguments) && !is_one_of(item->key, of_the_object, sizeof of_the_object / sizeof *of_the_object))
            return error_set(error, ERROR_USAGE, tree_where_key(item, where), NULL, "KubeCluster has no argument %s", item->key);
    }
    return true;
}

/* The argument, else what Dask's configuration says of it under `kubernetes`. */
static const Tree *argument(const KubeBackend *own, const Spec *spec, const char *name, const char *setting)
{
    const Tree *tree = tree_get(spec->kwargs, name);
    if (!tree || tree->kind == TREE_NULL)
        tree = tree_path(own->backend.config->dask, setting);
    return tree && tree->kind != TREE_NULL ? tree : NULL;
}

static cJSON *environment_of(const Tree *tree)
{
    if (!tree || tree->kind == TREE_LIST)
        return tree ? tree_json(tree) : cJSON_CreateArray();
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; tree->kind == TREE_MAP && i < tree->count; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", tree->items[i]->key);
        cJSON_AddStringToObject(item, "value", tree_text(tree->items[i]) ? tree_text(tree->items[i]) : "");
        cJSON_AddItemToArray(list, item);
    }
    return list;
}

static void add_words(cJSON *list, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, " ");
        char *word = mem_text_n(text, n);
        if (n)
            cJSON_AddItemToArray(list, cJSON_CreateString(word));
        free(word);
        text += n + (text[n] == ' ');
    }
}

static void add_port(cJSON *ports, const char *name, const char *key, int number, bool service)
{
    cJSON *port = cJSON_CreateObject();
    cJSON_AddStringToObject(port, "name", name);
    cJSON_AddStringToObject(port, "protocol", "TCP");
    cJSON_AddNumberToObject(port, key, number);
    if (service)
        cJSON_AddStringToObject(port, "targetPort", name);
    cJSON_AddItemToArray(ports, port);
}

static cJSON *container_of(const KubeBackend *own, const Spec *spec, const char *name)
{
    cJSON *container = cJSON_CreateObject();
    const Tree *image = argument(own, spec, "image", "kubernetes.image"), *resources = argument(own, spec, "resources", "kubernetes.resources");
    cJSON_AddStringToObject(container, "name", name);
    cJSON_AddStringToObject(container, "image", tree_text(image) ? tree_text(image) : default_image);
    cJSON_AddItemToObject(container, "env", environment_of(argument(own, spec, "env", "kubernetes.env")));
    if (resources)
        cJSON_AddItemToObject(container, "resources", tree_json(resources));
    return container;
}

/* {"spec": {"containers": [container]}} */
static cJSON *pod_of(cJSON *container)
{
    cJSON *holder = cJSON_CreateObject(), *pod = cJSON_AddObjectToObject(holder, "spec"), *containers = cJSON_AddArrayToObject(pod, "containers");
    cJSON_AddItemToArray(containers, container);
    return holder;
}

static cJSON *worker_of(const KubeBackend *own, const Spec *spec, int64_t workers)
{
    static const char *const after[] = {"--name", "$(DASK_WORKER_NAME)", "--dashboard", "--dashboard-address", "8788"};
    cJSON *container = container_of(own, spec, "worker"), *words = cJSON_AddArrayToObject(container, "args");
    const Tree *command = argument(own, spec, "worker_command", "kubernetes.worker-command");
    if (command && command->kind == TREE_LIST)
        for (size_t i = 0; i < command->count; i++)
            cJSON_AddItemToArray(words, cJSON_CreateString(tree_text(command->items[i]) ? tree_text(command->items[i]) : ""));
    else
        add_words(words, tree_text(command) ? tree_text(command) : "dask-worker");
    for (size_t i = 0; i < sizeof after / sizeof *after; i++)
        cJSON_AddItemToArray(words, cJSON_CreateString(after[i]));
    add_port(cJSON_AddArrayToObject(container, "ports"), "http-dashboard", "containerPort", DASHBOARD_OF_WORKERS, false);
    cJSON *worker = pod_of(container);
    cJSON_AddNumberToObject(worker, "replicas", (double)workers);
    return worker;
}

static void add_probe(cJSON *container, const char *kind, int delay, int period)
{
    cJSON *probe = cJSON_AddObjectToObject(container, kind), *get = cJSON_AddObjectToObject(probe, "httpGet");
    cJSON_AddStringToObject(get, "port", "http-dashboard");
    cJSON_AddStringToObject(get, "path", "/health");
    cJSON_AddNumberToObject(probe, "initialDelaySeconds", delay);
    cJSON_AddNumberToObject(probe, "periodSeconds", period);
}

static cJSON *scheduler_of(const KubeBackend *own, const Spec *spec, const char *name)
{
    cJSON *container = container_of(own, spec, "scheduler"), *words = cJSON_AddArrayToObject(container, "args");
    const Tree *jupyter = argument(own, spec, "jupyter", "kubernetes.scheduler-jupyter"), *type = argument(own, spec, "scheduler_service_type", "kubernetes.scheduler-service-type");
    add_words(words, "dask-scheduler --host 0.0.0.0");
    if (jupyter && jupyter->kind == TREE_BOOL && jupyter->truth)
        add_words(words, "--jupyter");
    cJSON *ports = cJSON_AddArrayToObject(container, "ports");
    add_port(ports, "tcp-comm", "containerPort", 8786, false);
    add_port(ports, "http-dashboard", "containerPort", 8787, false);
    add_probe(container, "readinessProbe", 0, 1);
    add_probe(container, "livenessProbe", 15, 20);
    cJSON *scheduler = pod_of(container), *service = cJSON_AddObjectToObject(scheduler, "service"), *selector = cJSON_AddObjectToObject(service, "selector");
    cJSON_AddStringToObject(service, "type", tree_text(type) ? tree_text(type) : "ClusterIP");
    cJSON_AddStringToObject(selector, "dask.org/cluster-name", name);
    cJSON_AddStringToObject(selector, "dask.org/component", "scheduler");
    ports = cJSON_AddArrayToObject(service, "ports");
    add_port(ports, "tcp-comm", "port", 8786, true);
    add_port(ports, "http-dashboard", "port", 8787, true);
    return scheduler;
}

static cJSON *from_arguments(const KubeBackend *own, const Spec *spec, const char *name, int64_t workers)
{
    cJSON *cluster = cJSON_CreateObject(), *about, *whole;
    const Tree *idle = argument(own, spec, "idle_timeout", "kubernetes.idle-timeout");
    cJSON_AddStringToObject(cluster, "apiVersion", "kubernetes.dask.org/v1");
    cJSON_AddStringToObject(cluster, "kind", "DaskCluster");
    about = cJSON_AddObjectToObject(cluster, "metadata");
    cJSON_AddStringToObject(about, "name", name);
    whole = cJSON_AddObjectToObject(cluster, "spec");
    cJSON_AddNumberToObject(whole, "idleTimeout", idle && idle->kind == TREE_NUMBER ? idle->number : 0);
    cJSON_AddItemToObject(whole, "worker", worker_of(own, spec, workers));
    cJSON_AddItemToObject(whole, "scheduler", scheduler_of(own, spec, name));
    return cluster;
}

/* ------------------------------------------------------------------------------------------------------------------ naming */

static bool is_name(const char *name)
{
    size_t n = strlen(name);
    bool right = n > 0 && n <= NAME_MOST && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
    return right && name[0] != '-' && name[n - 1] != '-';
}

/* As KubeCluster does: dask-USER- and ten digits. */
static char *own_name(void)
{
    char user[64];
    unsigned char random[5] = {0};
    Buffer out;
    file_user_name(geteuid(), user);
    if (getrandom(random, sizeof random, 0) < 0)
        return NULL;
    buffer_init(&out, NAME_MOST + 1);
    buffer_text(&out, "dask-");
    for (const char *c = user; *c && out.length < 30; c++) {
        char low = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
        if ((low >= 'a' && low <= 'z') || (low >= '0' && low <= '9') || low == '-')
            buffer_char(&out, low);
    }
    buffer_char(&out, '-');
    for (size_t i = 0; i < sizeof random; i++)
        buffer_format(&out, "%02x", random[i]);
    return buffer_take(&out);
}

static const Tree *template_of(const Spec *spec)
{
    const Tree *custom = tree_get(spec->kwargs, "custom_cluster_spec");
    bool manifest = spec->class_name && strcmp(spec->class_name, "DaskCluster") == 0;
    return manifest ? spec->document : custom && custom->kind == TREE_MAP ? custom : NULL;
}

/* A DaskCluster that is given whole, with our name and number in the places of its own. */
static cJSON *from_template(const Tree *given, const char *name, int64_t workers)
{
    cJSON *cluster = tree_json(given), *about = (cJSON *)json_member(cluster, "metadata"), *spec = (cJSON *)json_member(cluster, "spec");
    cJSON *worker = (cJSON *)json_member(spec, "worker");
    if (about && name) {
        cJSON_DeleteItemFromObjectCaseSensitive(about, "name");
        cJSON_AddStringToObject(about, "name", name);
    }
    if (about)
        cJSON_DeleteItemFromObjectCaseSensitive(about, "namespace"); /* the path says it */
    if (worker && workers != NUMBER_UNKNOWN) {
        cJSON_DeleteItemFromObjectCaseSensitive(worker, "replicas");
        cJSON_AddNumberToObject(worker, "replicas", (double)workers);
    }
    return cluster;
}

static Wish *make_wish(const KubeBackend *own, const Spec *spec, Error *error)
{
    char where[256];
    const Tree *given = template_of(spec), *custom = tree_get(spec->kwargs, "custom_cluster_spec");
    if (custom && custom->kind == TREE_TEXT) {
        error_set(error, ERROR_USAGE, tree_where(custom, where), "create it from that file itself: dasktop create -f FILE", "custom_cluster_spec names another file");
        return NULL;
    }
    if (!given && !check_arguments(spec, error))
        return NULL;
    const Tree *about = tree_get(given, "metadata"), *configured = argument(own, spec, "name", "kubernetes.name");
    const Tree *space = given ? tree_get(about, "namespace") : argument(own, spec, "namespace", "kubernetes.namespace");
    const Tree *count = tree_path(own->backend.config->dask, "kubernetes.count.start");
    bool templated = tree_text(configured) && strchr(tree_text(configured), '{'); /* dask-{user}-{uuid}: as we make one ourselves */
    const char *named = spec->name ? spec->name : given ? tree_text(tree_get(about, "name")) : templated ? NULL : tree_text(configured);
    Wish *wish = mem_new(sizeof *wish);
    wish->name = named ? mem_text(named) : own_name();
    wish->namespace = mem_text(tree_text(space) ? tree_text(space) : own->namespace);
    const Tree *replicas = tree_path(given, "spec.worker.replicas");
    wish->workers = spec->workers != NUMBER_UNKNOWN ? spec->workers : given ? (replicas && replicas->kind == TREE_NUMBER ? (int64_t)replicas->number : NUMBER_UNKNOWN)
                    : count && count->kind == TREE_NUMBER ? (int64_t)count->number : 3;
    cJSON *body = given ? from_template(given, wish->name, spec->workers) : from_arguments(own, spec, wish->name ? wish->name : "", wish->workers);
    wish->body = cJSON_PrintUnformatted(body);
    cJSON_Delete(body);
    if (wish->name && is_name(wish->name))
        return wish;
    error_set(error, ERROR_USAGE, own->where, "small letters, digits and -, at most 53", "%s is no name for a DaskCluster", wish->name ? wish->name : "(none)");
    wish_free(&(Plan){.own = wish}, NULL);
    return NULL;
}

/* ------------------------------------------------------------------------------------------------------------------ making */

static char *path_of(const Wish *wish, bool dry_run)
{
    const KubeKindInfo *kind = &kube_kinds[KUBE_CLUSTER];
    char *path = kube_path(kind->group, kind->version, wish->namespace, kind->plural, NULL, NULL);
    kube_query(&path, "fieldManager", "dasktop");
    kube_query(&path, "fieldValidation", "Strict");
    if (dry_run)
        kube_query(&path, "dryRun", "All");
    return path;
}

static bool post(const KubeBackend *own, const Api *api, const Context *context, const Wish *wish, bool dry_run, Error *error)
{
    char *path = path_of(wish, dry_run), why[160];
    Error said = {0};
    bool right = api_post(api, context, path, wish->body, NULL, &said);
    free(path);
    if (right)
        return true;
    if (said.code == ERROR_DENIED && rights_ready(own->rights, api, context, wish->namespace, NULL) && rights_may(own->rights, wish->namespace, NEED_CREATE_CLUSTER) == 0)
        return error_set(error, ERROR_DENIED, own->where, NULL, "%s", rights_why(wish->namespace, NEED_CREATE_CLUSTER, why));
    if (said.code == ERROR_ABSENT)
        return error_set(error, ERROR_UNSUPPORTED, own->where, "install the Dask operator (its Helm chart dask-kubernetes-operator)", "this server has no DaskClusters");
    const char *what = *said.what == '/' ? strstr(said.what, ": ") : NULL; /* after the path */
    bool no_namespace = said.code == ERROR_NOT_FOUND; /* which is no cluster that is missing */
    return error_set(error, no_namespace ? ERROR_USAGE : said.code, said.where, said.hint, "%s", what ? what + 2 : said.what);
}

static bool wait_until_there(const KubeBackend *own, const Api *api, const Context *context, const Wish *wish, const Progress *progress, Outcome *outcome, Error *error)
{
    char *id = mem_format("%s/%s", wish->namespace, wish->name);
    int64_t began = clock_mono_ms();
    bool done = false, right = true;
    while (right && !done) {
        KubeJoin *join = NULL;
        KubeRow *row;
        KubeSeen seen = {0};
        right = kube_look(own, api, context, id, NULL, &join, &row, &seen, error);
        list_done(&seen.missing);
        if (right && !seen.pods)
            right = error_set(error, ERROR_PARTIAL, own->where, NULL, "it is made; whether it runs is not known, as its pods may not be listed");
        if (right) {
            const KubeObject *scheduler = row_scheduler_pod(row);
            int64_t ready = 0;
            for (size_t i = 0; i < row->of[KUBE_POD].count; i++)
                ready += row->of[KUBE_POD].items[i]->component == COMPONENT_WORKER && row->of[KUBE_POD].items[i]->ready;
            bool silent = !row->of[KUBE_GROUP].count && clock_mono_ms() - began > OPERATOR_MS;
            outcome->workers = ready;
            done = scheduler && scheduler->ready && (wish->workers == NUMBER_UNKNOWN || ready >= wish->workers);
            progress_tell(progress, PHASE_VERIFYING, ready, wish->workers, "%s%s", silent ? "the operator does not act: is it running?" : "waiting until its pods are ready: ",
                          silent ? "" : scheduler && scheduler->why ? scheduler->why : "starting");
        }
        join_free(join);
        right = right && (done || io_sleep(api->io, context, LOOK_MS, error));
    }
    free(id);
    return right;
}

bool kube_create(Backend *backend, Context *context, const Spec *spec, bool dry_run, Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    KubeBackend *own = kube_of(backend);
    Api api;
    Wish *wish = dry_run ? make_wish(own, spec, error) : plan->own;
    if (!wish)
        return false;
    if (dry_run) {
        plan->own = wish;
        plan->free_own = wish_free;
        plan->then = wish->workers;
    }
    if (!kube_api(own, &api, error))
        return false;
    bool right = post(own, &api, context, wish, dry_run, error);
    if (right && dry_run) {
        char *path = path_of(wish, false);
        PlanStep *step = plan_step(plan, STEP_STARTS, kube_kinds[KUBE_CLUSTER].word, wish->name, NULL);
        plan_call(step, "POST %s (the server has checked it and would take it)", path);
        free(path);
    } else if (right) {
        char *id = mem_format("%s/%s", wish->namespace, wish->name);
        outcome->id = record_id(backend->config->key, backend->instance, id);
        free(id);
        right = !plan->wait || wait_until_there(own, &api, context, wish, progress, outcome, error);
    }
    kube_api_done(&api);
    return right;
}
