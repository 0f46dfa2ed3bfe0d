#include "backends/kubernetes/nodes.h"

#include "base/json_walk.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void nodes_init(KubeNodes *nodes)
{
    map_init(&nodes->by_name);
}

static void node_free(void *pointer)
{
    KubeNode *node = pointer;
    if (!node)
        return;
    free(node->type);
    free(node);
}

void nodes_done(KubeNodes *nodes)
{
    map_done(&nodes->by_name, node_free);
}

/* The tree of one member of a member; a node has a long list of images beside them. */
static cJSON *part_of(const char *bytes, size_t n, const char *member, const char *inner)
{
    size_t outer_n = 0, inner_n = 0;
    const char *outer = json_raw(bytes, n, member, &outer_n), *part = outer ? json_raw(outer, outer_n, inner, &inner_n) : NULL;
    return part ? json_parse(part, inner_n, NULL, NULL) : NULL;
}

void nodes_take(KubeNodes *nodes, const char *bytes, size_t n)
{
    cJSON *name = part_of(bytes, n, "metadata", "name"), *labels = part_of(bytes, n, "metadata", "labels"), *has = part_of(bytes, n, "status", "allocatable");
    if (cJSON_IsString(name) && *name->valuestring) {
        const char *type = json_text(labels, "node.kubernetes.io/instance-type");
        KubeNode *node = mem_new(sizeof *node);
        *node = (KubeNode){mem_text(type && *type ? type : json_text(labels, "beta.kubernetes.io/instance-type")), kube_quantity_milli(json_text(has, "cpu")),
                           kube_quantity_milli(json_text(has, "memory")), kube_gpus(has)};
        if (node->memory != NUMBER_UNKNOWN)
            node->memory /= 1000;
        node_free(map_put(&nodes->by_name, name->valuestring, node));
    }
    cJSON_Delete(name);
    cJSON_Delete(labels);
    cJSON_Delete(has);
}

bool nodes_know(const KubeNodes *nodes, const char *name)
{
    return map_has(&nodes->by_name, name);
}

static double part(int64_t asked, int64_t of)
{
    return asked > 0 && of > 0 ? (double)asked / (double)of : 0;
}

const char *nodes_share(const KubeNodes *nodes, const KubeObject *pod, double *share)
{
    const KubeNode *node = pod->node ? map_get(&nodes->by_name, pod->node) : NULL;
    if (!node || !node->type)
        return NULL;
    double cpu = part(pod->asks.cpu_milli, node->cpu_milli), memory = part(pod->asks.memory, node->memory), gpus = part(pod->asks.gpus, node->gpus);
    *share = cpu > memory ? cpu : memory;
    *share = gpus > *share ? gpus : *share;
    return node->type;
}
