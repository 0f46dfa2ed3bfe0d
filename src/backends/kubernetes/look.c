/* One cluster with all its objects, read anew, for a handle: the same feeds as a discovery's, all at once, without a watch. */
#include "backends/common/facts.h"
#include "backends/kubernetes/ask.h"
#include "backends/kubernetes/kubernetes.h"
#include "base/file.h"
#include "base/json_walk.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PARTS_MOST = 8 };

typedef struct Look Look;

/* A collection that may hold something of the cluster. */
typedef struct Part {
    Look *look;
    KubeKind kind;
    Feed *feed;
} Part;

struct Look {
    KubeJoin *join;
    const char *key, *name; /* name: its spec.cluster */
    Part parts[PARTS_MOST];
    size_t count;
};

/* Of a whole namespace's worker groups only this cluster's are of interest: no tree is built of the others. */
static bool is_other(const Look *look, KubeKind kind, const char *bytes, size_t n)
{
    size_t spec_n = 0, cluster_n = 0;
    if (kind != KUBE_GROUP && kind != KUBE_SCALER)
        return false;
    const char *spec = json_raw(bytes, n, "spec", &spec_n), *cluster = spec ? json_raw(spec, spec_n, "cluster", &cluster_n) : NULL;
    size_t name_n = strlen(look->name);
    return cluster && (cluster_n != name_n + 2 || memcmp(cluster + 1, look->name, name_n) != 0);
}

static void take(void *user, Feed *feed, const char *bytes, size_t n)
{
    const Part *part = user;
    if (is_other(part->look, part->kind, bytes, n))
        return;
    KubeObject *object = kube_object_parse(part->kind, bytes, n, NULL);
    if (!object)
        return;
    object->feed = (unsigned)(part - part->look->parts);
    object->round = feed_round(feed);
    join_put(part->look->join, object);
}

static void not_watched(void *user, Feed *feed, const char *bytes, size_t n)
{
    (void)user;
    (void)feed;
    (void)bytes;
    (void)n;
}

static void is_listed(void *user, Feed *feed)
{
    const Part *part = user;
    join_sweep(part->look->join, (unsigned)(part - part->look->parts), feed_round(feed));
}

static void nothing(void *user, Feed *feed)
{
    (void)user;
    (void)feed;
}

static void add_part(Look *look, const Api *api, KubeKind kind, const char *namespace, const char *key, const char *value)
{
    const KubeKindInfo *info = &kube_kinds[kind];
    Part *part = &look->parts[look->count++];
    char *path = kube_path(info->group, info->version, namespace, info->plural, NULL, NULL);
    if (key)
        kube_query(&path, key, value);
    *part = (Part){look, kind, NULL};
    FeedSpec spec = {.kind = kind, .path = path, .namespace = namespace};
    FeedEvents events = {take, not_watched, is_listed, nothing, part};
    part->feed = feed_new(api, &spec, &events);
    free(path);
}

/* "NAMESPACE/NAME", "NAMESPACE/helm/RELEASE", "NAMESPACE/gateway/NAME" */
static bool add_parts(Look *look, const Api *api, const char *id)
{
    static const KubeKind bare[] = {KUBE_POD, KUBE_SERVICE, KUBE_DEPLOYMENT};
    const char *slash = strchr(id, '/'), *name = strrchr(id, '/');
    if (!slash || slash == id || !name[1])
        return false;
    bool helm = strncmp(slash, "/helm/", 6) == 0, gateway = strncmp(slash, "/gateway/", 9) == 0;
    if (!helm && !gateway && name != slash)
        return false;
    char *namespace = mem_text_n(id, (size_t)(slash - id));
    look->key = id;
    look->name = name + 1;
    /* a release is called so by either of two labels */
    char *labels = helm ? mem_text("app=dask") : mem_format("%s=%s", gateway ? "gateway.dask.org/cluster" : "dask.org/cluster-name", look->name);
    char *field = mem_format("metadata.name=%s", look->name);
    if (!helm)
        add_part(look, api, gateway ? KUBE_GATEWAY_CLUSTER : KUBE_CLUSTER, namespace, "fieldSelector", field);
    for (size_t i = 0; i < 3; i++)
        add_part(look, api, bare[i], namespace, "labelSelector", labels);
    if (!helm && !gateway) {
        add_part(look, api, KUBE_GROUP, namespace, NULL, NULL);
        add_part(look, api, KUBE_SCALER, namespace, NULL, NULL);
        add_part(look, api, KUBE_JOB, namespace, NULL, NULL);
    }
    free(namespace);
    free(labels);
    free(field);
    return true;
}

static bool is_over(const Look *look)
{
    for (size_t i = 0; i < look->count; i++)
        if (feed_state(look->parts[i].feed) == FEED_LISTING)
            return false;
    return true;
}

static bool run(Look *look, const Api *api, const Context *context, Error *error)
{
    while (true) {
        for (size_t i = 0; i < look->count; i++)
            if (feed_state(look->parts[i].feed) == FEED_LISTING && !feed_step(look->parts[i].feed, context, error))
                return false;
        if (is_over(look))
            return true;
        if (!io_turn(api->io, context, error)) {
            error_at(error, api->where);
            return false;
        }
    }
}

/* What there is of each kind is known where its list came, or where the server has no such kind. */
static void see(KubeSeen *seen, const Part *part)
{
    FeedState state = feed_state(part->feed);
    bool known = state == FEED_LIVE || state == FEED_ABSENT;
    if (part->kind == KUBE_CLUSTER || part->kind == KUBE_GATEWAY_CLUSTER)
        seen->clusters = known;
    if (part->kind == KUBE_POD) {
        seen->pods = known;
        seen->pods_forbidden = state == FEED_FORBIDDEN;
    }
    if (part->kind == KUBE_SERVICE)
        seen->services = known;
    if (part->kind == KUBE_DEPLOYMENT)
        seen->deployments = known;
    if (state == FEED_LIVE)
        seen->ahead_ms = feed_ahead_ms(part->feed);
    if (state == FEED_FORBIDDEN)
        list_add(&seen->missing, feed_error(part->feed)->what);
}

/* What could not be read: an error where nothing could. */
static bool judge(const Look *look, KubeSeen *seen, Error *error)
{
    size_t live = 0;
    const Error *worst = NULL;
    for (size_t i = 0; i < look->count; i++) {
        const Part *part = &look->parts[i];
        const Error *why = feed_error(part->feed);
        FeedState state = feed_state(part->feed);
        live += state == FEED_LIVE;
        if (state == FEED_WAITING || (state == FEED_FORBIDDEN && !worst))
            worst = why;
        if (state == FEED_WAITING && error) {
            *error = *why;
            return false;
        }
        if (seen)
            see(seen, part);
    }
    if (live || !worst)
        return true;
    if (error)
        *error = *worst;
    return false;
}

static bool find(const KubeBackend *own, Look *look, const char *uid, KubeRow **row, Error *error)
{
    RowText text = {0};
    RecordFields fields;
    KubeView view = {.owner_labels = &own->owner_labels, .clusters_known = true, .pods_known = true, .now_ms = clock_wall_ms()};
    *row = join_find(look->join, look->key);
    bool there = *row && row_fields(*row, &view, &text, &fields);
    bool same = there && (!uid || (fields.uid && strcmp(uid, fields.uid) == 0));
    row_text_done(&text);
    if (!there)
        return error_set(error, ERROR_NOT_FOUND, own->where, NULL, "%s is not there any more", look->key);
    return same || error_set(error, ERROR_CONFLICT, own->where, "look at it again", "another cluster has the name %s now", look->key);
}

bool kube_look(const KubeBackend *own, const Api *api, const Context *context, const char *id, const char *uid, KubeJoin **join, KubeRow **row,
               KubeSeen *seen, Error *error)
{
    Look look = {.join = join_new()};
    Error why = {0};
    bool right = add_parts(&look, api, id) || error_set(&why, ERROR_NOT_FOUND, own->where, NULL, "%s: no cluster can have this id", id);
    right = right && run(&look, api, context, &why) && judge(&look, seen, &why) && find(own, &look, uid, row, &why);
    for (size_t i = 0; i < look.count; i++)
        feed_free(look.parts[i].feed);
    if (error)
        *error = why;
    if (right) {
        *join = look.join;
        return true;
    }
    join_free(look.join);
    *join = NULL;
    *row = NULL;
    return false;
}

bool kube_probe(const KubeBackend *own, const Api *api, const Context *context, KubeRow *row, Error *error)
{
    char *path = facts_memory_path();
    Prober *prober = prober_new(api->io, path, own->backend.config->key);
    bool right = ask_schedulers(prober, api, context, own->backend.config, &row, 1, true, NULL, NULL, error);
    prober_free(prober);
    free(path);
    if (!right)
        return false;
    if (row->facts && row->facts->result == PROBE_ANSWERED)
        return true;
    return error_set(error, ERROR_UNREACHABLE, own->where, NULL, "its scheduler does not answer through the API server%s%s",
                     row->facts && *row->facts->error.what ? ": " : "", row->facts ? row->facts->error.what : "");
}

Record *kube_record(const KubeBackend *own, KubeRow *row, const KubeSeen *seen, Error *error)
{
    RowText text = {0};
    RecordFields fields;
    char user[64];
    KubeView view = {.owner_labels = &own->owner_labels, .user = file_user_name(getuid(), user), .clusters_known = seen->clusters, .pods_known = seen->pods,
                     .pods_forbidden = seen->pods_forbidden, .now_ms = clock_wall_ms(), .ahead_ms = seen->ahead_ms};
    Record *record = NULL;
    bool counted = row->facts && row->facts->result == PROBE_ANSWERED;
    row->unmanned = seen->deployments && !row_is_manned(row);
    if (row_fields(row, &view, &text, &fields)) {
        rights_limit(own->rights, row, &text.texts, &fields);
        record = record_new(&fields, own->backend.config->key, own->backend.instance, view.now_ms, counted ? row->facts->counts_ms : TIME_UNKNOWN, error);
    } else
        error_set(error, ERROR_NOT_FOUND, own->where, NULL, "%s is not there any more", row->key);
    row_text_done(&text);
    return record;
}
