#include "backends/kubernetes/objects_inside.h"

#include "base/json_walk.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ANNOTATION_MOST = 512, OWNERS_MOST = 16 };

const KubeKindInfo kube_kinds[KUBE_KIND_COUNT] = {
    [KUBE_CLUSTER] = {"kubernetes.dask.org", "v1", "daskclusters", "DaskCluster"},
    [KUBE_GROUP] = {"kubernetes.dask.org", "v1", "daskworkergroups", "DaskWorkerGroup"},
    [KUBE_SCALER] = {"kubernetes.dask.org", "v1", "daskautoscalers", "DaskAutoscaler"},
    [KUBE_JOB] = {"kubernetes.dask.org", "v1", "daskjobs", "DaskJob"},
    [KUBE_GATEWAY_CLUSTER] = {"gateway.dask.org", "v1alpha1", "daskclusters", "DaskCluster"},
    [KUBE_POD] = {"", "v1", "pods", "pod"},
    [KUBE_SERVICE] = {"", "v1", "services", "service"},
    [KUBE_DEPLOYMENT] = {"apps", "v1", "deployments", "deployment"},
};

const char *kube_component_word(KubeComponent component)
{
    static const char *const words[COMPONENT_COUNT] = {"other", "scheduler", "worker", "job-runner"};
    return words[component];
}

/* ------------------------------------------------------------------------------------------------------------ quantities */

static double suffix_of(const char *text)
{
    static const struct {
        const char *suffix;
        double factor;
    } all[] = {{"", 1},          {"m", 1e-3},       {"k", 1e3},        {"M", 1e6},         {"G", 1e9},         {"T", 1e12},      {"P", 1e15},
               {"E", 1e18},      {"Ki", 1024.0},    {"Mi", 1048576.0}, {"Gi", 1073741824.0}, {"Ti", 1099511627776.0},
               {"Pi", 1125899906842624.0}, {"Ei", 1152921504606846976.0}, {"u", 1e-6}, {"n", 1e-9}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(text, all[i].suffix) == 0)
            return all[i].factor;
    return NAN;
}

/* Rounded up, as Kubernetes does. */
static int64_t quantity(const char *text, double unit)
{
    char *end;
    if (!text || strspn(text, "+-.0123456789") == 0 || strpbrk(text, "xX")) /* strtod would take more than Kubernetes does */
        return NUMBER_UNKNOWN;
    double number = strtod(text, &end), factor = suffix_of(end), value = ceil(number * factor * unit - 1e-9);
    return isnan(value) || value < 0 || value > 9e15 ? NUMBER_UNKNOWN : (int64_t)value;
}

int64_t kube_quantity_milli(const char *text)
{
    return quantity(text, 1000);
}

static int64_t member_quantity(const cJSON *object, const char *key, double unit)
{
    const cJSON *member = json_member(object, key);
    if (cJSON_IsNumber(member) && member->valuedouble >= 0 && member->valuedouble < 9e15 / unit)
        return (int64_t)ceil(member->valuedouble * unit - 1e-9);
    return quantity(cJSON_GetStringValue(member), unit);
}

static int64_t plus(int64_t sum, int64_t more)
{
    return more == NUMBER_UNKNOWN ? sum : sum == NUMBER_UNKNOWN ? more : sum + more;
}

/* "nvidia.com/gpu", "amd.com/gpu", "nvidia.com/mig-1g.5gb", "gpu.intel.com/i915". */
int64_t kube_gpus(const cJSON *resources)
{
    int64_t sum = 0;
    for (const cJSON *item = cJSON_IsObject(resources) ? resources->child : NULL; item; item = item->next) {
        const char *key = item->string;
        if (key && strchr(key, '/') && (strstr(key, "/gpu") || strncmp(key, "nvidia.com/mig-", 15) == 0 || strncmp(key, "gpu.intel.com/", 14) == 0))
            sum = plus(sum, member_quantity(resources, key, 1));
    }
    return sum;
}

static void add_container(const cJSON *container, KubeResources *sum)
{
    const cJSON *resources = json_member(container, "resources"), *requests = json_member(resources, "requests"), *limits = json_member(resources, "limits");
    int64_t cpu = member_quantity(requests, "cpu", 1000), memory = member_quantity(requests, "memory", 1), most = member_quantity(limits, "cpu", 1000);
    int64_t gpus = cJSON_IsObject(limits) ? kube_gpus(limits) : kube_gpus(requests);
    sum->cpu_milli = plus(sum->cpu_milli, cpu != NUMBER_UNKNOWN ? cpu : most);
    sum->memory = plus(sum->memory, memory != NUMBER_UNKNOWN ? memory : member_quantity(limits, "memory", 1));
    sum->gpus += gpus;
    int64_t threads = most != NUMBER_UNKNOWN ? most : cpu;
    if (threads != NUMBER_UNKNOWN)
        sum->threads = plus(sum->threads, threads < 1000 ? 1 : threads / 1000);
}

static KubeResources resources_of(const cJSON *pod_spec)
{
    KubeResources sum = {NUMBER_UNKNOWN, NUMBER_UNKNOWN, 0, NUMBER_UNKNOWN};
    const cJSON *container;
    cJSON_ArrayForEach(container, json_member(pod_spec, "containers")) add_container(container, &sum);
    return sum;
}

/* -------------------------------------------------------------------------------------------------------------- metadata */

static bool is_bulky(const char *key, const char *value)
{
    return strlen(value) > ANNOTATION_MOST || strncmp(key, "kopf.zalando.org/", 17) == 0 || strncmp(key, "kubectl.kubernetes.io/", 22) == 0;
}

static const char *made(Draft *draft, char *text)
{
    list_take(&draft->made, text);
    return text;
}

static unsigned read_pairs(const cJSON *map, bool small, Pair pairs[PAIRS_MOST])
{
    unsigned count = 0;
    for (const cJSON *item = cJSON_IsObject(map) ? map->child : NULL; item && count < PAIRS_MOST; item = item->next) {
        const char *value = cJSON_GetStringValue(item);
        if (value && item->string && !(small && is_bulky(item->string, value)))
            pairs[count++] = (Pair){item->string, value};
    }
    return count;
}

static const char *pair_value(const Pair *pairs, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(pairs[i].key, key) == 0)
            return pairs[i].value;
    return NULL;
}

const char *kube_label(const KubeObject *object, const char *key)
{
    return pair_value(object->labels, object->label_count, key);
}

const char *kube_annotation(const KubeObject *object, const char *key)
{
    return pair_value(object->annotations, object->annotation_count, key);
}

static const char *text_of(const cJSON *object, const char *key)
{
    const char *text = json_text(object, key);
    return text && *text ? text : NULL;
}

static int64_t time_of(const cJSON *object, const char *key)
{
    const char *text = json_text(object, key);
    return text ? time_parse(text) : TIME_UNKNOWN;
}

static void read_owner(const cJSON *owners, KubeObject *object)
{
    const cJSON *owner, *best = NULL;
    int seen = 0;
    cJSON_ArrayForEach(owner, owners)
    {
        if (seen++ == OWNERS_MOST)
            break;
        if (!best || json_truth(owner, "controller") == 1)
            best = owner;
    }
    object->owner_kind = text_of(best, "kind");
    object->owner_name = text_of(best, "name");
    object->owner_uid = text_of(best, "uid");
}

static bool read_metadata(const cJSON *metadata, Draft *draft)
{
    KubeObject *object = &draft->is;
    const cJSON *finalizer;
    object->name = text_of(metadata, "name");
    object->namespace = text_of(metadata, "namespace");
    object->uid = text_of(metadata, "uid");
    object->created_ms = time_of(metadata, "creationTimestamp");
    object->deleting_ms = time_of(metadata, "deletionTimestamp");
    object->labels = draft->labels;
    object->label_count = read_pairs(json_member(metadata, "labels"), false, draft->labels);
    object->annotations = draft->annotations;
    object->annotation_count = read_pairs(json_member(metadata, "annotations"), true, draft->annotations);
    read_owner(json_member(metadata, "ownerReferences"), object);
    cJSON_ArrayForEach(finalizer, json_member(metadata, "finalizers"))
    {
        object->held = object->held || cJSON_IsString(finalizer);
        object->held_by_operator = object->held_by_operator || (cJSON_IsString(finalizer) && strcmp(finalizer->valuestring, "kopf.zalando.org/KopfFinalizerMarker") == 0);
    }
    return object->name && object->uid && object->namespace;
}

/* ------------------------------------------------------------------------------------------------------------------ pods */

static void read_component(KubeObject *object)
{
    static const struct {
        const char *word;
        KubeComponent component;
    } all[] = {{"scheduler", COMPONENT_SCHEDULER},      {"worker", COMPONENT_WORKER},           {"job-runner", COMPONENT_JOB_RUNNER},
               {"dask-scheduler", COMPONENT_SCHEDULER}, {"dask-worker", COMPONENT_WORKER}};
    const char *word = kube_label(object, "dask.org/component");
    word = word ? word : kube_label(object, "app.kubernetes.io/component");
    word = word ? word : kube_label(object, "component");
    for (size_t i = 0; word && i < sizeof all / sizeof *all; i++)
        if (strcmp(word, all[i].word) == 0)
            object->component = all[i].component;
}

static const char *state_of(const cJSON *status)
{
    const cJSON *state = json_member(status, "state"), *waiting = json_member(state, "waiting"), *ended = json_member(state, "terminated");
    if (json_member(state, "running"))
        return "running";
    const char *reason = waiting ? text_of(waiting, "reason") : ended ? text_of(ended, "reason") : NULL;
    return reason ? reason : waiting ? "waiting" : ended ? "terminated" : "not started";
}

static const cJSON *status_of(const cJSON *statuses, const char *name)
{
    const cJSON *status;
    cJSON_ArrayForEach(status, statuses)
    {
        const char *its = json_text(status, "name");
        if (its && name && strcmp(its, name) == 0)
            return status;
    }
    return NULL;
}

static void add_containers(const cJSON *specs, const cJSON *statuses, bool init, Draft *draft)
{
    const cJSON *spec;
    cJSON_ArrayForEach(spec, specs)
    {
        const char *name = json_text(spec, "name");
        if (!name || draft->is.container_count == CONTAINERS_MOST)
            continue;
        const cJSON *status = status_of(statuses, name);
        draft->containers[draft->is.container_count++] = (KubeContainer){name, state_of(status), json_integer(status, "restartCount"), init};
    }
}

static const cJSON *condition(const cJSON *status, const char *type)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_member(status, "conditions"))
    {
        const char *its = json_text(item, "type");
        if (its && strcmp(its, type) == 0)
            return item;
    }
    return NULL;
}

static bool holds(const cJSON *status, const char *type)
{
    const char *word = json_text(condition(status, type), "status");
    return word && strcmp(word, "True") == 0;
}

/* Why it is not ready, the nearest cause first. */
static void say_why(const cJSON *status, Draft *draft)
{
    KubeObject *pod = &draft->is;
    const cJSON *scheduled = condition(status, "PodScheduled");
    for (size_t i = 0; i < pod->container_count && !pod->why; i++) {
        const char *state = pod->containers[i].state;
        bool harmless = strcmp(state, "running") == 0 || strcmp(state, "not started") == 0 || strcmp(state, "Completed") == 0 || strcmp(state, "PodInitializing") == 0;
        if (!harmless)
            pod->why = state;
    }
    if (!pod->why && scheduled && !holds(status, "PodScheduled")) {
        const char *message = json_text(scheduled, "message"), *reason = json_text(scheduled, "reason");
        reason = reason ? reason : "not scheduled";
        pod->why = message ? made(draft, mem_format("%s: %s", reason, message)) : reason;
    }
    if (!pod->why)
        pod->why = text_of(status, "reason");
}

static const char *environment_of(const cJSON *pod_spec, const char *name)
{
    const cJSON *container, *variable;
    cJSON_ArrayForEach(container, json_member(pod_spec, "containers")) cJSON_ArrayForEach(variable, json_member(container, "env"))
    {
        const char *its = json_text(variable, "name");
        if (its && strcmp(its, name) == 0)
            return text_of(variable, "value");
    }
    return NULL;
}

static void read_pod(const cJSON *spec, const cJSON *status, Draft *draft)
{
    KubeObject *pod = &draft->is;
    pod->phase = text_of(status, "phase");
    pod->ended = pod->phase && (strcmp(pod->phase, "Succeeded") == 0 || strcmp(pod->phase, "Failed") == 0);
    pod->ready = holds(status, "Ready");
    pod->node = text_of(spec, "nodeName");
    pod->worker_name = environment_of(spec, "DASK_WORKER_NAME");
    pod->group_name = kube_label(pod, "dask.org/workergroup-name");
    pod->asks = resources_of(spec);
    pod->containers = draft->containers;
    add_containers(json_member(spec, "initContainers"), json_member(status, "initContainerStatuses"), true, draft);
    add_containers(json_member(spec, "containers"), json_member(status, "containerStatuses"), false, draft);
    if (!pod->ready)
        say_why(status, draft);
}

/* -------------------------------------------------------------------------------------------------------------- services */

static void read_service(const cJSON *spec, Draft *draft)
{
    const cJSON *port;
    draft->is.ports = draft->ports;
    cJSON_ArrayForEach(port, json_member(spec, "ports"))
    {
        const cJSON *target = json_member(port, "targetPort");
        int64_t number = json_integer(port, "port");
        if (number < 1 || number > 65535 || draft->is.port_count == PORTS_MOST)
            continue;
        const char *where = cJSON_IsNumber(target) ? made(draft, mem_format("%d", target->valueint)) : cJSON_GetStringValue(target);
        draft->ports[draft->is.port_count++] = (KubePort){text_of(port, "name"), number, where};
    }
}

const KubePort *kube_service_port(const KubeObject *service, const char *name, const char *target, int64_t number)
{
    for (size_t i = 0; i < service->port_count; i++)
        if (service->ports[i].name && strcmp(service->ports[i].name, name) == 0)
            return &service->ports[i];
    for (size_t i = 0; i < service->port_count; i++)
        if (service->ports[i].target && strcmp(service->ports[i].target, target) == 0)
            return &service->ports[i];
    for (size_t i = 0; i < service->port_count; i++)
        if (service->ports[i].port == number)
            return &service->ports[i];
    return NULL;
}

/* ---------------------------------------------------------------------------------------------------------- custom kinds */

static int64_t counted(const cJSON *object, const char *key)
{
    int64_t number = json_integer(object, key);
    return number < 0 ? NUMBER_UNKNOWN : number;
}

/* Its own arguments or environment say tls://. */
static bool says_tls(const cJSON *pod_spec)
{
    const cJSON *container, *word, *variable;
    cJSON_ArrayForEach(container, json_member(pod_spec, "containers"))
    {
        cJSON_ArrayForEach(word, json_member(container, "args")) if (cJSON_IsString(word) && strstr(word->valuestring, "tls")) return true;
        cJSON_ArrayForEach(word, json_member(container, "command")) if (cJSON_IsString(word) && strstr(word->valuestring, "tls")) return true;
        cJSON_ArrayForEach(variable, json_member(container, "env"))
        {
            const char *name = json_text(variable, "name");
            if (name && strncmp(name, "DASK_DISTRIBUTED__COMM__TLS", 27) == 0)
                return true;
        }
    }
    return false;
}

static void read_cluster(const cJSON *spec, const cJSON *status, KubeObject *cluster)
{
    cluster->phase = text_of(status, "phase");
    cluster->replicas = counted(json_member(spec, "worker"), "replicas");
    cluster->idle_timeout_s = counted(spec, "idleTimeout");
    cluster->tls = says_tls(json_member(json_member(spec, "scheduler"), "spec"));
}

static void read_group(const cJSON *spec, KubeObject *group)
{
    group->cluster = text_of(spec, "cluster");
    group->replicas = counted(json_member(spec, "worker"), "replicas");
}

static void read_scaler(const cJSON *spec, KubeObject *scaler)
{
    scaler->cluster = text_of(spec, "cluster");
    scaler->minimum = counted(spec, "minimum");
    scaler->maximum = counted(spec, "maximum");
}

static void read_job(const cJSON *status, KubeObject *job)
{
    job->phase = text_of(status, "jobStatus");
    job->cluster = text_of(status, "clusterName");
}

static void read_gateway_cluster(const cJSON *spec, const cJSON *status, KubeObject *cluster)
{
    cluster->phase = text_of(status, "phase");
    cluster->user = text_of(spec, "username");
    cluster->replicas = counted(spec, "replicas");
    cluster->active = json_truth(spec, "active");
    cluster->service = text_of(status, "service");
    cluster->tls = true;
}

/* ------------------------------------------------------------------------------------------------------------------ parse */

static void all_unknown(KubeKind kind, KubeObject *object)
{
    object->kind = kind;
    object->replicas = NUMBER_UNKNOWN;
    if (kind == KUBE_POD) {
        object->asks = (KubeResources){NUMBER_UNKNOWN, NUMBER_UNKNOWN, 0, NUMBER_UNKNOWN};
    } else if (kind != KUBE_SERVICE) {
        object->minimum = object->maximum = object->idle_timeout_s = NUMBER_UNKNOWN;
        object->active = -1;
    }
}

static bool read(KubeKind kind, const cJSON *json, Draft *draft)
{
    const cJSON *spec = json_member(json, "spec"), *status = json_member(json, "status");
    KubeObject *object = &draft->is;
    all_unknown(kind, object);
    if (!read_metadata(json_member(json, "metadata"), draft))
        return false;
    read_component(object);
    switch (kind) {
    case KUBE_CLUSTER: read_cluster(spec, status, object); break;
    case KUBE_GROUP: read_group(spec, object); break;
    case KUBE_SCALER: read_scaler(spec, object); break;
    case KUBE_JOB: read_job(status, object); break;
    case KUBE_GATEWAY_CLUSTER: read_gateway_cluster(spec, status, object); break;
    case KUBE_POD: read_pod(spec, status, draft); break;
    case KUBE_SERVICE: read_service(spec, draft); break;
    case KUBE_DEPLOYMENT: object->replicas = counted(spec, "replicas"); break;
    default: break;
    }
    return true;
}

static KubeObject *from_tree(KubeKind kind, const cJSON *json, const char *manager)
{
    Draft draft;
    draft.is = (KubeObject){.manager = manager};
    draft.made = (List){0};
    KubeObject *object = read(kind, json, &draft) ? draft_pack(&draft) : NULL;
    list_done(&draft.made);
    return object;
}

KubeObject *kube_object_from(KubeKind kind, const cJSON *json)
{
    return from_tree(kind, json, NULL);
}

/* ------------------------------------------------------------------------------------------------------------------ parse */

/* Who made it, of all who wrote a field of it: not who looks after it, where there is anybody else. The Python KubeCluster writes by kr8s, as
 * the operator does. */
static char *maker_of(const char *fields, size_t n)
{
    static const char *const keepers[] = {"kopf", "kr8s", "kube-controller-manager", "dask-gateway", NULL};
    static const char key[] = "\"manager\":\"";
    const char *end = fields + n, *found = fields;
    char *maker = NULL, *python = NULL;
    while (!maker && (found = memmem(found, (size_t)(end - found), key, sizeof key - 1))) {
        const char *name = found + sizeof key - 1, *stop = memchr(name, '"', (size_t)(end - name));
        if (!stop || stop - name > 127)
            break;
        char *manager = mem_text_n(name, (size_t)(stop - name));
        bool keeper = false;
        for (size_t i = 0; keepers[i]; i++)
            keeper = keeper || strcmp(manager, keepers[i]) == 0;
        if (!keeper)
            maker = manager;
        else if (!python && strcmp(manager, "kr8s") == 0)
            python = manager;
        else
            free(manager);
        found = stop;
    }
    if (maker)
        free(python);
    return maker ? maker : python;
}

/* Half of an object is the list of who wrote which field: cut out before a tree is built of it. NULL: it has none. */
static char *without_managed(const char *bytes, size_t n, size_t *left, char **manager)
{
    size_t metadata_n, fields_n;
    const char *metadata = json_raw(bytes, n, "metadata", &metadata_n);
    const char *fields = metadata ? json_raw(metadata, metadata_n, "managedFields", &fields_n) : NULL;
    *manager = NULL;
    if (!fields || *fields != '[')
        return NULL;
    *manager = maker_of(fields, fields_n);
    size_t head = (size_t)(fields - bytes), tail = n - head - fields_n;
    char *text = mem_new(head + tail + 3);
    memcpy(text, bytes, head);
    memcpy(text + head, "[]", 2);
    memcpy(text + head + 2, fields + fields_n, tail);
    *left = head + 2 + tail;
    return text;
}

KubeObject *kube_object_parse(KubeKind kind, const char *bytes, size_t n, Error *error)
{
    char *manager, *text = without_managed(bytes, n, &n, &manager);
    cJSON *json = json_parse(text ? text : bytes, n, NULL, error);
    KubeObject *object = json ? from_tree(kind, json, manager) : NULL;
    if (json && !object)
        error_set(error, ERROR_BAD_REPLY, NULL, NULL, "a %s without name or uid", kube_kinds[kind].word);
    cJSON_Delete(json);
    free(text);
    free(manager);
    return object;
}

void kube_object_free(KubeObject *object)
{
    free(object);
}
