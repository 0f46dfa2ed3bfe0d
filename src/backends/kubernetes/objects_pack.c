#include "backends/kubernetes/objects_inside.h"

#include "base/mem.h"

#include <stddef.h>
#include <string.h>

/* Where texts stand in all objects, and in those of some kinds. */
static const size_t texts[] = {
    offsetof(KubeObject, name),      offsetof(KubeObject, namespace), offsetof(KubeObject, uid),     offsetof(KubeObject, owner_kind), offsetof(KubeObject, owner_name),
    offsetof(KubeObject, owner_uid), offsetof(KubeObject, manager),   offsetof(KubeObject, cluster), offsetof(KubeObject, phase),      offsetof(KubeObject, worker_name),
    offsetof(KubeObject, group_name),
};
static const size_t pod_texts[] = {offsetof(KubeObject, why), offsetof(KubeObject, node)};
static const size_t gateway_texts[] = {offsetof(KubeObject, user), offsetof(KubeObject, service)};

/* What stands in nearly all of them is there once. */
static const char *known(const char *text)
{
    static const char *const words[] = {"dask.org/cluster-name", "dask.org/component", "dask.org/workergroup-name", "scheduler", "worker", "running", "Running", "Pending",
                                        "DaskCluster", "DaskWorkerGroup", "ReplicaSet", "tcp-comm", "http-dashboard", "kopf", "kr8s", "not started"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i]) == 0)
            return words[i];
    return NULL;
}

/* Two passes over the same texts: the first, without a place, adds up how much there is. */
typedef struct Packing {
    char *at;
    size_t size;
} Packing;

static const char *pack_text(Packing *packing, const char *text)
{
    const char *word = text ? known(text) : NULL;
    if (!text || word)
        return word;
    size_t n = strlen(text) + 1;
    packing->size += n;
    if (!packing->at)
        return text;
    char *copy = memcpy(packing->at, text, n);
    packing->at += n;
    return copy;
}

static void *pack_array(Packing *packing, const void *items, size_t count, size_t size)
{
    packing->size += count * size;
    if (!packing->at || !count)
        return NULL;
    void *copy = memcpy(packing->at, items, count * size);
    packing->at += count * size;
    return copy;
}

static void pack_pairs(Packing *packing, const Pair *from, Pair *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        Pair pair = {pack_text(packing, from[i].key), pack_text(packing, from[i].value)};
        if (to)
            to[i] = pair;
    }
}

static void pack_texts(Packing *packing, const KubeObject *from, KubeObject *to, const size_t *places, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *text = pack_text(packing, *(const char *const *)((const char *)from + places[i]));
        if (to)
            *(const char **)((char *)to + places[i]) = text;
    }
}

/* Arrays first, as they want to be aligned. to: NULL in the first pass. */
static void pack_all(Packing *packing, const Draft *draft, KubeObject *to)
{
    const KubeObject *from = &draft->is;
    Pair *labels = pack_array(packing, draft->labels, from->label_count, sizeof(Pair));
    Pair *annotations = pack_array(packing, draft->annotations, from->annotation_count, sizeof(Pair));
    KubeContainer *containers = pack_array(packing, draft->containers, from->container_count, sizeof(KubeContainer));
    KubePort *ports = pack_array(packing, draft->ports, from->port_count, sizeof(KubePort));
    pack_pairs(packing, draft->labels, labels, from->label_count);
    pack_pairs(packing, draft->annotations, annotations, from->annotation_count);
    for (size_t i = 0; i < from->container_count; i++) {
        const char *name = pack_text(packing, draft->containers[i].name), *state = pack_text(packing, draft->containers[i].state);
        if (containers)
            containers[i].name = name, containers[i].state = state;
    }
    for (size_t i = 0; i < from->port_count; i++) {
        const char *name = pack_text(packing, draft->ports[i].name), *target = pack_text(packing, draft->ports[i].target);
        if (ports)
            ports[i].name = name, ports[i].target = target;
    }
    pack_texts(packing, from, to, texts, sizeof texts / sizeof *texts);
    if (from->kind == KUBE_POD)
        pack_texts(packing, from, to, pod_texts, sizeof pod_texts / sizeof *pod_texts);
    if (from->kind == KUBE_GATEWAY_CLUSTER)
        pack_texts(packing, from, to, gateway_texts, sizeof gateway_texts / sizeof *gateway_texts);
    if (!to)
        return;
    to->labels = labels;
    to->annotations = annotations;
    if (from->kind == KUBE_POD)
        to->containers = containers;
    if (from->kind == KUBE_SERVICE)
        to->ports = ports;
}

KubeObject *draft_pack(const Draft *draft)
{
    Packing packing = {0};
    pack_all(&packing, draft, NULL);
    KubeObject *object = mem_new(sizeof *object + packing.size);
    *object = draft->is;
    packing.at = (char *)(object + 1);
    pack_all(&packing, draft, object);
    return object;
}
