#include "backends/kubernetes/things.h"

#include "base/map.h"
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
        const char *said = strstr(why.what, ": "); /* after the path */
        if (missing)
            list_format(missing, "%s: %s", kind->plural, said ? said + 2 : why.what);
        return true;
    }
    if (error)
        *error = why;
    return false;
}

/* -------------------------------------------------------------------------------------------------------------------- tree */

/* Who stands below whom, by places in the list. A cluster may have thousands of them: each step is linear, and no depth is on the stack. */
typedef struct Family {
    const KubeThings *from;
    Map uids, groups; /* -> place, plus one */
    int cluster;      /* -1 */
    int *children;    /* the first of each; of those without a parent in the last place; -1 */
    int *next;        /* their sisters */
} Family;

static void put_place(Map *map, const char *key, int place)
{
    if (!map_has(map, key))
        map_put(map, key, (void *)(uintptr_t)(place + 1));
}

static int place_of(const Map *map, const char *key)
{
    return key ? (int)(uintptr_t)map_get(map, key) - 1 : -1;
}

/* The label says where it belongs where its owners could not be read. */
static int parent_of(const Family *family, int place)
{
    const KubeThing *thing = &family->from->items[place];
    int owner = place_of(&family->uids, thing->owner_uid), group = place_of(&family->groups, thing->object ? thing->object->group_name : NULL);
    if (owner >= 0)
        return owner;
    if (group >= 0 && group != place)
        return group;
    return family->cluster == place || (thing->object && thing->object->kind == KUBE_JOB) ? -1 : family->cluster;
}

static void find_family(Family *family)
{
    int count = (int)family->from->count;
    for (int i = 0; i < count; i++) {
        const KubeThing *thing = &family->from->items[i];
        put_place(&family->uids, thing->uid, i);
        if (thing->object && thing->object->kind == KUBE_GROUP)
            put_place(&family->groups, thing->name, i);
        if (thing->object && (thing->object->kind == KUBE_CLUSTER || thing->object->kind == KUBE_GATEWAY_CLUSTER))
            family->cluster = i;
    }
    for (int i = 0; i <= count; i++)
        family->children[i] = -1;
    for (int i = 0; i < count; i++) { /* the last is met first, and so taken last from the stack of order() */
        int parent = parent_of(family, i), under = parent < 0 ? count : parent;
        family->next[i] = family->children[under];
        family->children[under] = i;
    }
}

/* In the order of a walk; owners that point in a circle stand at the end. */
static void order(KubeThings *things)
{
    int count = (int)things->count, depth = 0, used = 0;
    int *numbers = mem_new((4 * things->count + 2) * sizeof *numbers), *waiting = numbers + 2 * count + 1, *places = waiting + count;
    Family family = {.from = things, .cluster = -1, .children = numbers, .next = numbers + count + 1};
    KubeThing *sorted = mem_new((things->count + 1) * sizeof *sorted);
    map_init(&family.uids);
    map_init(&family.groups);
    find_family(&family);
    for (int i = 0; i < count; i++)
        places[i] = -1;
    for (int at = count; at >= 0; at = depth ? waiting[--depth] : -1) {
        if (at < count) {
            int parent = parent_of(&family, at);
            places[at] = used;
            sorted[used] = things->items[at];
            sorted[used++].parent = parent < 0 ? -1 : places[parent];
        }
        for (int child = family.children[at]; child >= 0; child = family.next[child])
            waiting[depth++] = child;
    }
    for (int i = 0; i < count; i++)
        if (places[i] < 0)
            sorted[used++] = things->items[i];
    map_done(&family.uids, NULL);
    map_done(&family.groups, NULL);
    free(numbers);
    free(things->items);
    things->items = sorted;
    things->capacity = things->count + 1;
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
