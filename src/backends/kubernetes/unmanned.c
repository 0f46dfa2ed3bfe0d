#include "backends/kubernetes/unmanned.h"

#include "base/mem.h"

#include <stdlib.h>

enum { ROWS_ONCE = 32, AGAIN_MS = 60000 };

static bool is_due(const KubeRow *row, int64_t now_ms)
{
    if (row_is_empty(row) || row_kind(row) != ROW_OPERATOR || !row_cluster(row)->phase || row_pods(row) == 0)
        return false;
    const KubeObject *scheduler = row_scheduler_pod(row);
    bool alive = scheduler && !scheduler->ended && scheduler->deleting_ms == TIME_UNKNOWN;
    return !alive && row_cluster(row)->deleting_ms == TIME_UNKNOWN && (!row->unmanned_ms || now_ms - row->unmanned_ms > AGAIN_MS);
}

static bool take(void *user, const char *bytes, size_t n, Error *error)
{
    bool *manned = user;
    KubeObject *deployment = kube_object_parse(KUBE_DEPLOYMENT, bytes, n, error);
    *manned = *manned || !deployment || (deployment->deleting_ms == TIME_UNKNOWN && deployment->replicas != 0);
    kube_object_free(deployment);
    return true;
}

static bool is_unmanned(const Api *api, const Context *context, const KubeRow *row)
{
    const KubeKindInfo *kind = &kube_kinds[KUBE_DEPLOYMENT];
    char *path = kube_path(kind->group, kind->version, row->namespace, kind->plural, NULL, NULL);
    char *labels = mem_format("dask.org/cluster-name=%s,dask.org/component=scheduler", row->name);
    bool manned = false;
    kube_query(&path, "labelSelector", labels);
    bool told = api_list(api, context, path, take, NULL, &manned, NULL, NULL);
    free(path);
    free(labels);
    return told && !manned;
}

bool unmanned_read(const Api *api, const Context *context, KubeJoin *join)
{
    KubeRow *row, *due[ROWS_ONCE];
    size_t count = 0;
    bool any = false;
    for (size_t i = 0; count < ROWS_ONCE && (row = join_next(join, &i));)
        if (is_due(row, clock_mono_ms()))
            due[count++] = row;
    for (size_t i = 0; i < count; i++) {
        bool was = due[i]->unmanned;
        due[i]->unmanned_ms = clock_mono_ms();
        due[i]->unmanned = is_unmanned(api, context, due[i]);
        if (due[i]->unmanned != was)
            join_touch(join, due[i]);
        any = any || due[i]->unmanned != was;
    }
    return any;
}
