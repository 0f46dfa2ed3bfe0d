#include "backends/kubernetes/cluster.h"

#include "backends/kubernetes/api.h"
#include "backends/kubernetes/row.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { EARLIER_MS = 2000, /* creation stamps have whole seconds */ YOUNG_MS = 60000 };

struct KubeJoin {
    Map objects; /* uid -> KubeObject, which the row holds; keys are their own */
    Map rows;    /* key -> KubeRow */
    KubeRow *dirty;
};

/* ----------------------------------------------------------------------------------------------------------------- place */

static char *key_in(const char *namespace, const char *kind, const char *name)
{
    return mem_format("%s/%s%s", namespace, kind, name);
}

/* Which row an object belongs to; the caller's, NULL: it is none of Dask's. */
static char *key_of(const KubeObject *object)
{
    const char *cluster = kube_label(object, "dask.org/cluster-name"), *gateway = kube_label(object, "gateway.dask.org/cluster");
    const char *release = kube_label(object, "release"), *app = kube_label(object, "app");
    release = release ? release : kube_label(object, "app.kubernetes.io/instance");
    switch (object->kind) {
    case KUBE_CLUSTER:
        return key_in(object->namespace, "", object->name);
    case KUBE_JOB: /* it owns a cluster: row_job asks the owner references whether it is this one */
        return key_in(object->namespace, "", object->cluster ? object->cluster : object->name);
    case KUBE_GATEWAY_CLUSTER:
        return key_in(object->namespace, "gateway/", object->name);
    case KUBE_GROUP:
    case KUBE_SCALER:
        cluster = object->cluster ? object->cluster : cluster;
        return cluster ? key_in(object->namespace, "", cluster) : NULL;
    default:
        if (cluster)
            return key_in(object->namespace, "", cluster);
        if (gateway)
            return key_in(object->namespace, "gateway/", gateway);
        return app && release && strcmp(app, "dask") == 0 ? key_in(object->namespace, "helm/", release) : NULL;
    }
}

/* ------------------------------------------------------------------------------------------------------------------ rows */

void join_touch(KubeJoin *join, KubeRow *row)
{
    if (row->dirty)
        return;
    row->dirty = true;
    row->next_dirty = join->dirty;
    join->dirty = row;
}

KubeRow *join_next_dirty(KubeJoin *join)
{
    KubeRow *row = join->dirty;
    if (!row)
        return NULL;
    join->dirty = row->next_dirty;
    row->next_dirty = NULL;
    row->dirty = false;
    return row;
}

static KubeRow *row_at(KubeJoin *join, const char *namespace, const char *key)
{
    KubeRow *row = map_get(&join->rows, key);
    if (row)
        return row;
    size_t key_n = strlen(key) + 1, namespace_n = strlen(namespace) + 1;
    row = mem_new(sizeof *row + key_n + namespace_n);
    char *texts = (char *)(row + 1);
    row->key = memcpy(texts, key, key_n);
    row->namespace = memcpy(texts + key_n, namespace, namespace_n);
    row->name = strrchr(row->key, '/') + 1;
    row->lost_ms = row->over_ms = row->client_left_ms = TIME_UNKNOWN;
    row->again_ms = INT64_MAX;
    map_put(&join->rows, row->key, row);
    return row;
}

static void row_free(void *pointer)
{
    KubeRow *row = pointer;
    for (size_t kind = 0; kind < KUBE_KIND_COUNT; kind++) {
        for (size_t i = 0; i < row->of[kind].count; i++)
            kube_object_free(row->of[kind].items[i]);
        free(row->of[kind].items);
    }
    row_set_facts(row, NULL);
    free(row->facts_uid);
    free(row->shown_uid);
    free(row);
}

bool row_is_empty(const KubeRow *row)
{
    for (size_t kind = 0; kind < KUBE_KIND_COUNT; kind++)
        if (row->of[kind].count)
            return false;
    return true;
}

void join_forget(KubeJoin *join, KubeRow *row)
{
    if (row->dirty)
        for (KubeRow **at = &join->dirty; *at; at = &(*at)->next_dirty)
            if (*at == row) {
                *at = row->next_dirty;
                break;
            }
    for (size_t kind = 0; kind < KUBE_KIND_COUNT; kind++)
        for (size_t i = 0; i < row->of[kind].count; i++)
            map_remove(&join->objects, row->of[kind].items[i]->uid);
    map_remove(&join->rows, row->key);
    row_free(row);
}

KubeRow *join_find(const KubeJoin *join, const char *key)
{
    return map_get(&join->rows, key);
}

KubeRow *join_next(const KubeJoin *join, size_t *i)
{
    const MapEntry *entry = map_next(&join->rows, i);
    return entry ? entry->value : NULL;
}

size_t join_rows(const KubeJoin *join)
{
    return join->rows.used;
}

/* --------------------------------------------------------------------------------------------------------------- objects */

KubeJoin *join_new(void)
{
    KubeJoin *join = mem_new(sizeof *join);
    map_init(&join->objects);
    map_init(&join->rows);
    join->objects.borrows = join->rows.borrows = true;
    return join;
}

void join_free(KubeJoin *join)
{
    if (!join)
        return;
    map_done(&join->objects, NULL);
    map_done(&join->rows, row_free);
    free(join);
}

static void take_out(KubeJoin *join, KubeObject *object)
{
    KubeRow *row = object->row;
    KubeList *list = &row->of[object->kind];
    list->items[object->place] = list->items[--list->count];
    list->items[object->place]->place = object->place;
    map_remove(&join->objects, object->uid);
    join_touch(join, row);
    kube_object_free(object);
}

static void put_in(KubeJoin *join, KubeRow *row, KubeObject *object)
{
    KubeList *list = &row->of[object->kind];
    object->row = row;
    object->place = list->count;
    if (list->count == list->capacity) { /* of most there is one */
        list->capacity = list->capacity ? 2 * list->capacity : 1;
        list->items = mem_resize(list->items, list->capacity, sizeof(KubeObject *));
    }
    list->items[list->count++] = object;
    map_put(&join->objects, object->uid, object);
    join_touch(join, row);
}

static void replace(KubeJoin *join, KubeObject *old, KubeObject *object)
{
    object->row = old->row;
    object->place = old->place;
    object->row->of[object->kind].items[object->place] = object;
    map_put(&join->objects, object->uid, object);
    join_touch(join, object->row);
    kube_object_free(old);
}

void join_put(KubeJoin *join, KubeObject *object)
{
    KubeObject *old = map_get(&join->objects, object->uid);
    char *key = key_of(object);
    if (key && old && old->kind == object->kind && strcmp(old->row->key, key) == 0) {
        replace(join, old, object);
        free(key);
        return;
    }
    if (old)
        take_out(join, old);
    if (!key) {
        kube_object_free(object);
        return;
    }
    KubeRow *row = row_at(join, object->namespace, key);
    bool alone = object->kind == KUBE_CLUSTER || object->kind == KUBE_GATEWAY_CLUSTER;
    while (alone && row->of[object->kind].count) /* it has the name of another, of whose end the news are still on their way */
        take_out(join, row->of[object->kind].items[0]);
    if (alone)
        row->lost_ms = TIME_UNKNOWN;
    put_in(join, row, object);
    free(key);
}

void join_gone(KubeJoin *join, const char *uid)
{
    KubeObject *object = map_get(&join->objects, uid);
    if (!object)
        return;
    if (object->kind == KUBE_CLUSTER || object->kind == KUBE_GATEWAY_CLUSTER)
        object->row->lost_ms = clock_wall_ms();
    take_out(join, object);
}

void join_sweep(KubeJoin *join, unsigned feed, unsigned round)
{
    List gone = {0};
    const MapEntry *entry;
    for (size_t i = 0; (entry = map_next(&join->objects, &i));) {
        const KubeObject *object = entry->value;
        if (object->feed == feed && object->round != round)
            list_add(&gone, object->uid);
    }
    for (size_t i = 0; i < gone.count; i++)
        join_gone(join, gone.items[i]);
    list_done(&gone);
}

bool join_has(const KubeJoin *join, unsigned feed)
{
    const MapEntry *entry;
    for (size_t i = 0; (entry = map_next(&join->objects, &i));)
        if (((const KubeObject *)entry->value)->feed == feed)
            return true;
    return false;
}

/* ----------------------------------------------------------------------------------------------------- what a row is made of */

const KubeObject *row_cluster(const KubeRow *row)
{
    KubeKind kind = row->of[KUBE_CLUSTER].count ? KUBE_CLUSTER : KUBE_GATEWAY_CLUSTER;
    return row->of[kind].count ? row->of[kind].items[0] : NULL;
}

bool kube_is_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    return *name && *name != '-' && name[strspn(name, letters)] == 0;
}

bool row_is_well_named(const KubeRow *row)
{
    const KubeObject *service = row_service(row);
    return kube_is_name(row->name) && kube_is_name(row->namespace) && (!service || kube_is_name(service->name));
}

static bool has_label(const KubeRow *row, const char *key, const char *value)
{
    static const KubeKind kinds[] = {KUBE_POD, KUBE_SERVICE, KUBE_DEPLOYMENT};
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < row->of[kinds[k]].count; i++) {
            const char *its = kube_label(row->of[kinds[k]].items[i], key);
            if (its && strcmp(its, value) == 0)
                return true;
        }
    return false;
}

/* A KubeCluster before 2024.5 made its pods itself; those of a DaskCluster that users have labelled so have owners. */
static bool is_bare(const KubeRow *row)
{
    for (size_t i = 0; i < row->of[KUBE_POD].count; i++)
        if (row->of[KUBE_POD].items[i]->owner_uid)
            return false;
    return true;
}

KubeRowKind row_kind(const KubeRow *row)
{
    const char *kind = strchr(row->key, '/') + 1;
    if (strncmp(kind, "helm/", 5) == 0)
        return ROW_HELM;
    if (strncmp(kind, "gateway/", 8) == 0)
        return ROW_GATEWAY;
    if (row->of[KUBE_CLUSTER].count)
        return ROW_OPERATOR;
    return has_label(row, "app", "dask") && is_bare(row) ? ROW_CLASSIC : ROW_LEFT;
}

const KubeObject *row_anchor(const KubeRow *row)
{
    const KubeObject *best = row_cluster(row);
    if (best)
        return best;
    for (size_t kind = 0; kind < KUBE_KIND_COUNT; kind++)
        for (size_t i = 0; i < row->of[kind].count; i++) {
            const KubeObject *object = row->of[kind].items[i];
            bool older = best && (object->created_ms < best->created_ms || (object->created_ms == best->created_ms && strcmp(object->uid, best->uid) < 0));
            if (!best || older)
                best = object;
        }
    return best;
}

static const char *owning_cluster(const KubeRow *row)
{
    static const KubeKind owned[] = {KUBE_GROUP, KUBE_SERVICE, KUBE_DEPLOYMENT, KUBE_SCALER, KUBE_POD};
    for (size_t k = 0; k < 5; k++)
        for (size_t i = 0; i < row->of[owned[k]].count; i++) {
            const KubeObject *object = row->of[owned[k]].items[i];
            if (object->owner_uid && object->owner_kind && strcmp(object->owner_kind, "DaskCluster") == 0)
                return object->owner_uid;
        }
    return NULL;
}

const char *row_uid(const KubeRow *row)
{
    const KubeObject *cluster = row_cluster(row), *service = row_service(row), *pod = row_scheduler_pod(row);
    if (cluster)
        return cluster->uid;
    const char *owner = owning_cluster(row);
    if (owner || service)
        return owner ? owner : service->uid;
    for (size_t i = 0; i < row->of[KUBE_DEPLOYMENT].count; i++)
        if (row->of[KUBE_DEPLOYMENT].items[i]->component == COMPONENT_SCHEDULER)
            return row->of[KUBE_DEPLOYMENT].items[i]->uid;
    if (pod)
        return pod->uid;
    /* a KubeCluster before 2024.5 has a part of a uuid in its name */
    return row_kind(row) == ROW_CLASSIC ? row->key : NULL;
}

bool row_is_earlier(const KubeRow *row, const KubeObject *object)
{
    const KubeObject *cluster = row_cluster(row);
    if (!cluster || cluster->created_ms == TIME_UNKNOWN || object->created_ms == TIME_UNKNOWN)
        return false;
    return object->created_ms < cluster->created_ms - EARLIER_MS;
}

static int pod_worth(const KubeRow *row, const KubeObject *pod)
{
    if (pod->ended || row_is_earlier(row, pod))
        return 1;
    if (pod->deleting_ms != TIME_UNKNOWN)
        return 2;
    return pod->ready ? 4 : 3;
}

const KubeObject *row_scheduler_pod(const KubeRow *row)
{
    const KubeObject *best = NULL;
    for (size_t i = 0; i < row->of[KUBE_POD].count; i++) {
        const KubeObject *pod = row->of[KUBE_POD].items[i];
        if (pod->component == COMPONENT_SCHEDULER && (!best || pod_worth(row, pod) > pod_worth(row, best)))
            best = pod;
    }
    return best;
}

const KubeObject *row_service(const KubeRow *row)
{
    const KubeObject *cluster = row_cluster(row), *best = NULL;
    for (size_t i = 0; i < row->of[KUBE_SERVICE].count; i++) {
        const KubeObject *service = row->of[KUBE_SERVICE].items[i];
        bool owned = cluster && service->owner_uid && strcmp(service->owner_uid, cluster->uid) == 0;
        bool named = cluster && cluster->service && strcmp(service->name, cluster->service) == 0;
        if (service->component != COMPONENT_SCHEDULER || service->deleting_ms != TIME_UNKNOWN)
            continue;
        if (owned || named)
            return service;
        best = best ? best : service;
    }
    return best;
}

const KubeObject *row_job(const KubeRow *row)
{
    const KubeObject *cluster = row_cluster(row);
    for (size_t i = 0; cluster && cluster->owner_uid && i < row->of[KUBE_JOB].count; i++)
        if (strcmp(row->of[KUBE_JOB].items[i]->uid, cluster->owner_uid) == 0)
            return row->of[KUBE_JOB].items[i];
    return NULL;
}

const KubeObject *row_scaler(const KubeRow *row)
{
    for (size_t i = 0; i < row->of[KUBE_SCALER].count; i++)
        if (!row_is_earlier(row, row->of[KUBE_SCALER].items[i]))
            return row->of[KUBE_SCALER].items[i];
    return NULL;
}

bool row_is_manned(const KubeRow *row)
{
    for (size_t i = 0; i < row->of[KUBE_DEPLOYMENT].count; i++) {
        const KubeObject *deployment = row->of[KUBE_DEPLOYMENT].items[i];
        if (deployment->component == COMPONENT_SCHEDULER && deployment->deleting_ms == TIME_UNKNOWN && deployment->replicas != 0)
            return true;
    }
    return false;
}

static int64_t replicas_of(const KubeRow *row, KubeKind kind, bool workers_only)
{
    int64_t sum = NUMBER_UNKNOWN;
    for (size_t i = 0; i < row->of[kind].count; i++) {
        const KubeObject *object = row->of[kind].items[i];
        if (object->replicas == NUMBER_UNKNOWN || object->deleting_ms != TIME_UNKNOWN || row_is_earlier(row, object))
            continue;
        if (!workers_only || object->component == COMPONENT_WORKER)
            sum = (sum == NUMBER_UNKNOWN ? 0 : sum) + object->replicas;
    }
    return sum;
}

int64_t row_wanted(const KubeRow *row)
{
    const KubeObject *cluster = row_cluster(row);
    switch (row_kind(row)) {
    case ROW_HELM:
        return replicas_of(row, KUBE_DEPLOYMENT, true);
    case ROW_GATEWAY:
        return cluster ? cluster->replicas : NUMBER_UNKNOWN;
    case ROW_CLASSIC:
        return NUMBER_UNKNOWN;
    default:
        break;
    }
    int64_t sum = replicas_of(row, KUBE_GROUP, false);
    /* before the operator has made its first worker group, the cluster's own number is right */
    return sum == NUMBER_UNKNOWN && cluster && !cluster->phase ? cluster->replicas : sum;
}

int64_t row_worker_pods(const KubeRow *row)
{
    int64_t count = 0;
    for (size_t i = 0; i < row->of[KUBE_POD].count; i++) {
        const KubeObject *pod = row->of[KUBE_POD].items[i];
        count += pod->component == COMPONENT_WORKER && !pod->ended && pod->deleting_ms == TIME_UNKNOWN && !row_is_earlier(row, pod);
    }
    return count;
}

int64_t row_pods(const KubeRow *row)
{
    int64_t count = 0;
    for (size_t i = 0; i < row->of[KUBE_POD].count; i++)
        count += !row->of[KUBE_POD].items[i]->ended;
    return count;
}

bool row_is_young(const KubeObject *pod, int64_t now_ms)
{
    return pod->created_ms != TIME_UNKNOWN && now_ms - pod->created_ms < YOUNG_MS;
}

bool row_can_be_probed(const KubeRow *row)
{
    const KubeObject *pod = row_scheduler_pod(row);
    return pod && pod->ready && pod->deleting_ms == TIME_UNKNOWN && !row_is_earlier(row, pod) && row_service(row);
}

/* ----------------------------------------------------------------------------------------------------------------- ways */

static const KubePort *web_port(const KubeRow *row, const KubeObject *service)
{
    return kube_service_port(service, row_kind(row) == ROW_GATEWAY ? "dashboard" : "http-dashboard", "8787", 8787);
}

char *row_proxy_path(const KubeRow *row)
{
    const KubeObject *service = row_service(row);
    const KubePort *port = service ? web_port(row, service) : NULL;
    if (!port)
        return NULL;
    char *place = kube_path("", "v1", row->namespace, "services", service->name, NULL);
    char *path = port->name ? mem_format("%s:%s/proxy", place, port->name) : mem_format("%s:%d/proxy", place, (int)port->port);
    free(place);
    return path;
}

char *row_host(const KubeRow *row)
{
    const KubeObject *service = row_service(row);
    return service ? mem_format("%s.%s.svc", service->name, row->namespace) : NULL;
}

char *row_address(const KubeRow *row)
{
    const KubeObject *service = row_service(row), *cluster = row_cluster(row);
    const KubePort *port = service ? kube_service_port(service, "tcp-comm", "8786", 8786) : NULL;
    if (!port)
        return NULL;
    return mem_format("%s://%s.%s:%d", cluster && cluster->tls ? "tls" : "tcp", service->name, row->namespace, (int)port->port);
}

char *row_dashboard(const KubeRow *row)
{
    const KubeObject *service = row_kind(row) == ROW_GATEWAY ? NULL : row_service(row);
    const KubePort *port = service ? web_port(row, service) : NULL;
    return port ? mem_format("http://%s.%s:%d/status", service->name, row->namespace, (int)port->port) : NULL;
}
