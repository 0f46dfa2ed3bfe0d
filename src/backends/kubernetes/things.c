#include "backends/kubernetes/things.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Beside what discovery looks at. */
static const KubeKindInfo replica_set = {"apps", "v1", "replicasets", "ReplicaSet"};
static const KubeKindInfo disruption_budget = {"policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"};

char *object_path(const KubeObject *object, const char *sub)
{
    const KubeKindInfo *kind = &kube_kinds[object->kind];
    return kube_path(kind->group, kind->version, object->namespace, kind->plural, object->name, sub);
}

char *thing_path(const KubeThing *thing, const char *namespace)
{
    return kube_path(thing->kind->group, thing->kind->version, namespace, thing->kind->plural, thing->name, NULL);
}

void things_done(KubeThings *things)
{
    for (size_t i = 0; i < things->count; i++) {
        KubeThing *thing = &things->items[i];
        free(thing->name);
        free(thing->uid);
        free(thing->owner_uid);
        free(thing->status);
    }
    free(things->items);
    *things = (KubeThings){0};
}

const KubeThing *things_find(const KubeThings *things, const char *uid)
{
    for (size_t i = 0; uid && i < things->count; i++)
        if (strcmp(things->items[i].uid, uid) == 0)
            return &things->items[i];
    return NULL;
}

static KubeThing *add(KubeThings *things, const KubeKindInfo *kind, const char *name, const char *uid, const char *owner_uid)
{
    things->items = mem_grow(things->items, things->count, &things->capacity, sizeof *things->items);
    KubeThing *thing = &things->items[things->count++];
    *thing = (KubeThing){.kind = kind, .name = mem_text(name), .uid = mem_text(uid), .owner_uid = mem_text(owner_uid), .parent = -1};
    return thing;
}

/* ---------------------------------------------------------------------------------------------------------------- status */

static char *pod_status(const KubeObject *pod)
{
    int64_t restarts = 0;
    Buffer out;
    for (size_t i = 0; i < pod->container_count; i++)
        restarts += pod->containers[i].restarts > 0 ? pod->containers[i].restarts : 0;
    buffer_init(&out, 1000);
    buffer_text(&out, pod->ready ? "ready" : pod->why ? pod->why : pod->phase ? pod->phase : "unknown");
    if (pod->node)
        buffer_format(&out, ", on %s", pod->node);
    if (restarts)
        buffer_format(&out, ", %lld restarts", (long long)restarts);
    return buffer_take(&out);
}

static char *service_status(const KubeObject *service)
{
    Buffer out;
    buffer_init(&out, 1000);
    for (size_t i = 0; i < service->port_count; i++)
        buffer_format(&out, "%s%s %lld", i ? ", " : "", service->ports[i].name ? service->ports[i].name : "port", (long long)service->ports[i].port);
    return buffer_take(&out);
}

static char *wanted(int64_t replicas)
{
    return replicas == NUMBER_UNKNOWN ? NULL : mem_format("%lld wanted", (long long)replicas);
}

static char *status_of(const KubeObject *object)
{
    if (object->deleting_ms != TIME_UNKNOWN) {
        char since[TIME_TEXT];
        return mem_format("ending since %s", time_short(object->deleting_ms, clock_wall_ms(), since));
    }
    switch (object->kind) {
    case KUBE_POD:
        return pod_status(object);
    case KUBE_SERVICE:
        return service_status(object);
    case KUBE_GROUP:
    case KUBE_DEPLOYMENT:
        return wanted(object->replicas);
    case KUBE_SCALER:
        return object->minimum == NUMBER_UNKNOWN || object->maximum == NUMBER_UNKNOWN
                   ? NULL : mem_format("%lld to %lld workers", (long long)object->minimum, (long long)object->maximum);
    default:
        return object->phase ? mem_format("phase %s", object->phase) : NULL;
    }
}

/* ----------------------------------------------------------------------------------------------------------------- reading */

typedef struct Extra {
    KubeThings *things;
    const KubeKindInfo *kind;
} Extra;

static bool take_extra(void *user, const char *bytes, size_t n, Error *error)
{
    const Extra *extra = user;
    cJSON *json = json_parse(bytes, n, NULL, error);
    const cJSON *about = json_member(json, "metadata"), *owner = json_member(about, "ownerReferences");
    const char *name = json_text(about, "name"), *uid = json_text(about, "uid");
    if (name && uid && !things_find(extra->things, uid))
        add(extra->things, extra->kind, name, uid, json_text(cJSON_IsArray(owner) ? cJSON_GetArrayItem(owner, 0) : NULL, "uid"));
    cJSON_Delete(json);
    return true;
}

/* A kind that may not be listed, or is not there, only leaves a gap. */
static bool read_extra(const Api *api, const Context *context, const KubeRow *row, const KubeKindInfo *kind, const char *selector, KubeThings *out,
                       List *missing, Error *error)
{
    Extra extra = {out, kind};
    Error why = {0};
    char *path = kube_path(kind->group, kind->version, row->namespace, kind->plural, NULL, NULL);
    kube_query(&path, "labelSelector", selector);
    bool right = api_list(api, context, path, take_extra, NULL, &extra, NULL, &why);
    free(path);
    if (right || why.code == ERROR_ABSENT)
        return true;
    if (why.code == ERROR_DENIED) {
        if (missing)
            list_format(missing, "%s: %s", kind->plural, why.what);
        return true;
    }
    if (error)
        *error = why;
    return false;
}

/* -------------------------------------------------------------------------------------------------------------------- tree */

/* The label says where it belongs where its owners could not be read. */
static const char *parent_uid(const KubeThings *things, const KubeThing *thing)
{
    if (things_find(things, thing->owner_uid))
        return thing->owner_uid;
    const char *cluster = NULL;
    for (size_t i = 0; i < things->count; i++) {
        const KubeThing *other = &things->items[i];
        if (!other->object || other == thing)
            continue;
        if (thing->object && thing->object->group_name && other->object->kind == KUBE_GROUP && strcmp(other->name, thing->object->group_name) == 0)
            return other->uid;
        if (other->object->kind == KUBE_CLUSTER || other->object->kind == KUBE_GATEWAY_CLUSTER)
            cluster = other->uid;
    }
    return thing->object && thing->object->kind == KUBE_JOB ? NULL : cluster;
}

static void put_below(KubeThings *from, const char *parent, int index, bool *placed, KubeThings *to)
{
    for (size_t i = 0; i < from->count; i++) {
        const char *uid = placed[i] ? NULL : parent_uid(from, &from->items[i]);
        if (placed[i] || (parent ? !uid || strcmp(uid, parent) != 0 : uid != NULL))
            continue;
        placed[i] = true;
        to->items = mem_grow(to->items, to->count, &to->capacity, sizeof *to->items);
        to->items[to->count] = from->items[i];
        to->items[to->count++].parent = index;
        put_below(from, from->items[i].uid, (int)to->count - 1, placed, to);
    }
}

/* In the order of a walk; owners that point in a circle stand at the end. */
static void order(KubeThings *things)
{
    KubeThings sorted = {0};
    bool *placed = mem_new(things->count * sizeof *placed + 1);
    put_below(things, NULL, -1, placed, &sorted);
    for (size_t i = 0; i < things->count; i++)
        if (!placed[i]) {
            sorted.items = mem_grow(sorted.items, sorted.count, &sorted.capacity, sizeof *sorted.items);
            sorted.items[sorted.count++] = things->items[i];
        }
    free(placed);
    free(things->items);
    *things = sorted;
}

bool things_read(const Api *api, const Context *context, const KubeRow *row, KubeThings *out, List *missing, Error *error)
{
    static const KubeKind order_of[] = {KUBE_JOB, KUBE_CLUSTER, KUBE_GATEWAY_CLUSTER, KUBE_SERVICE, KUBE_SCALER, KUBE_DEPLOYMENT, KUBE_GROUP, KUBE_POD};
    bool right = true;
    *out = (KubeThings){0};
    for (size_t k = 0; k < sizeof order_of / sizeof *order_of; k++) {
        const KubeList *list = &row->of[order_of[k]];
        for (size_t i = 0; i < list->count; i++) {
            const KubeObject *object = list->items[i];
            KubeThing *thing = add(out, &kube_kinds[object->kind], object->name, object->uid, object->owner_uid);
            thing->object = object;
            thing->status = status_of(object);
        }
    }
    KubeRowKind kind = row_kind(row);
    char *selector = mem_format("dask.org/cluster-name=%s", row->name);
    if (kind == ROW_OPERATOR || kind == ROW_LEFT)
        right = read_extra(api, context, row, &replica_set, selector, out, missing, error);
    else if (kind == ROW_CLASSIC)
        right = read_extra(api, context, row, &disruption_budget, selector, out, missing, error);
    free(selector);
    if (right)
        order(out);
    else
        things_done(out);
    return right;
}
