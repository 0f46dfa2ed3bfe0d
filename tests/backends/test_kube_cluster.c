/* Objects joined to clusters, and what the rows say of them. */
#include "backends/make.h"

#include "backends/kubernetes/row.h"

enum { NOW_S = 1795420000 }; /* 2026-11-23T07:46:40Z */
#define OLD "2026-11-23T01:00:00Z"
#define NEW "2026-11-23T07:46:20Z"

typedef struct World {
    KubeJoin *join;
    KubeView view;
    List owners;
    RowText text;
    RecordFields fields;
} World;

static int begin(void **state)
{
    World *world = calloc(1, sizeof *world);
    world->join = join_new();
    world->view = (KubeView){.owner_labels = &world->owners, .user = "ada", .clusters_known = true, .pods_known = true, .now_ms = NOW_S * INT64_C(1000)};
    *state = world;
    return 0;
}

static int end(void **state)
{
    World *world = *state;
    join_free(world->join);
    list_done(&world->owners);
    row_text_done(&world->text);
    free(world);
    return 0;
}

__attribute__((format(printf, 3, 4))) static KubeObject *put(World *world, KubeKind kind, const char *format, ...)
{
    char text[4096];
    Error error = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    KubeObject *object = kube_object_parse(kind, text, strlen(text), &error);
    if (!object)
        fail_msg("%s: %s", error.what, text);
    join_put(world->join, object);
    return object;
}

static void put_cluster(World *world, const char *name, const char *uid, const char *created, const char *more)
{
    put(world, KUBE_CLUSTER, "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"ns\",\"uid\":\"%s\",\"creationTimestamp\":\"%s\"%s},\"spec\":{\"worker\":{\"replicas\":9}},\"status\":{\"phase\":\"Pending\"}}",
        name, uid, created, more);
}

static void put_pod(World *world, const char *cluster, const char *uid, const char *component, const char *created, const char *more, const char *status)
{
    put(world, KUBE_POD, "{\"metadata\":{\"name\":\"pod-%s\",\"namespace\":\"ns\",\"uid\":\"%s\",\"creationTimestamp\":\"%s\",\"labels\":{\"dask.org/cluster-name\":\"%s\",\"dask.org/component\":\"%s\"}%s},"
        "\"spec\":{\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"2\",\"memory\":\"1Gi\"}}}]},\"status\":%s}", uid, uid, created, cluster, component, more, status);
}

static void put_group(World *world, const char *cluster, const char *name, int replicas)
{
    put(world, KUBE_GROUP, "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"ns\",\"uid\":\"group-%s\",\"creationTimestamp\":\"" OLD "\"},\"spec\":{\"cluster\":\"%s\",\"worker\":{\"replicas\":%d}}}", name, name,
        cluster, replicas);
}

#define READY "{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}"
#define ENDED "{\"phase\":\"Failed\",\"reason\":\"Evicted\"}"

static void put_service(World *world, const char *cluster, const char *more)
{
    put(world, KUBE_SERVICE, "{\"metadata\":{\"name\":\"any-name\",\"namespace\":\"ns\",\"uid\":\"service-%s\",\"creationTimestamp\":\"" OLD "\",\"labels\":{\"dask.org/cluster-name\":\"%s\",\"dask.org/component\":\"scheduler\"%s}},"
        "\"spec\":{\"ports\":[{\"name\":\"tcp-comm\",\"port\":9786},{\"name\":\"http-dashboard\",\"port\":9787}]}}", cluster, cluster, more);
}

/* One that is well: two workers ready of two wanted. */
static void put_whole(World *world, const char *name)
{
    char uid[64];
    put_cluster(world, name, name, OLD, "");
    put_group(world, name, "any", 2);
    put_service(world, name, "");
    snprintf(uid, sizeof uid, "s-%s", name);
    put_pod(world, name, uid, "scheduler", OLD, "", READY);
    for (int i = 0; i < 2; i++) {
        snprintf(uid, sizeof uid, "w%d-%s", i, name);
        put_pod(world, name, uid, "worker", OLD, "", READY);
    }
}

static const RecordFields *row(World *world, const char *key)
{
    KubeRow *found = join_find(world->join, key);
    assert_non_null(found);
    row_text_done(&world->text);
    return row_fields(found, &world->view, &world->text, &world->fields) ? &world->fields : NULL;
}

/* -------------------------------------------------------------------------------------------------------------- joining */

static void one_row_of_many_objects(void **state)
{
    World *world = *state;
    put_whole(world, "a");
    put_group(world, "a", "gpu", 3); /* made from YAML: no labels, and a name of its own */
    const RecordFields *is = row(world, "ns/a");
    assert_int_equal(join_rows(world->join), 1);
    assert_string_equal(is->id, "ns/a");
    assert_string_equal(is->uid, "a");
    assert_string_equal(is->type, "KubeCluster");
    assert_int_equal(is->status, STATUS_RUNNING); /* whatever status.phase says */
    assert_int_equal(is->workers_wanted, 5);      /* not the cluster's own 9 */
    assert_int_equal(is->workers_ready, NUMBER_UNKNOWN);
    assert_int_equal(is->resources, 3);
    assert_int_equal(is->threads, 4);
    assert_int_equal(is->memory, INT64_C(2) << 30);
    assert_int_equal(is->adaptive, 0);
    assert_string_equal(is->address, "tcp://any-name.ns:9786");
    assert_string_equal(is->dashboard, "http://any-name.ns:9787/status");
    char *host = row_host(join_find(world->join, is->id));
    assert_string_equal(host, "any-name.ns.svc"); /* any-name.dev could be anybody's */
    free(host);
    assert_null(is->gone);
    char *path = row_proxy_path(join_find(world->join, "ns/a"));
    assert_string_equal(path, "/api/v1/namespaces/ns/services/any-name:http-dashboard/proxy");
    free(path);
    assert_true(row_can_be_probed(join_find(world->join, "ns/a")));
}

static void in_any_order(void **state)
{
    World *world = *state;
    put_pod(world, "a", "w0", "worker", OLD, "", READY);
    put_group(world, "a", "g", 1);
    put_pod(world, "a", "s", "scheduler", OLD, "", READY);
    put_cluster(world, "a", "a", OLD, "");
    assert_int_equal(join_rows(world->join), 1);
    assert_int_equal(row(world, "ns/a")->resources, 2);
    for (KubeRow *one; (one = join_next_dirty(world->join));)
        assert_false(row_is_empty(one));
    join_gone(world->join, "a");
    join_gone(world->join, "w0");
    join_gone(world->join, "group-g");
    join_gone(world->join, "never-there");
    assert_false(row_is_empty(join_find(world->join, "ns/a")));
    join_gone(world->join, "s");
    KubeRow *empty = join_next_dirty(world->join);
    assert_true(row_is_empty(empty));
    assert_null(join_next_dirty(world->join));
    join_forget(world->join, empty);
    assert_int_equal(join_rows(world->join), 0);
}

static void two_of_one_name(void **state)
{
    World *world = *state;
    put_whole(world, "a");
    put(world, KUBE_CLUSTER, "{\"metadata\":{\"name\":\"a\",\"namespace\":\"other\",\"uid\":\"b\"}}");
    assert_int_equal(join_rows(world->join), 2);
    assert_string_equal(row(world, "other/a")->uid, "b");
    assert_string_equal(row(world, "ns/a")->uid, "a");
}

static void one_in_another_s_place(void **state)
{
    World *world = *state;
    put_whole(world, "a");
    put_cluster(world, "a", "b", NEW, ""); /* the end of the first was not told yet */
    KubeRow *there = join_find(world->join, "ns/a");
    const RecordFields *is = row(world, "ns/a");
    assert_string_equal(is->uid, "b");
    assert_true(row_is_earlier(there, row_scheduler_pod(there)));
    assert_int_equal(is->status, STATUS_PENDING); /* the other's scheduler is not this one's */
    assert_int_equal(row_worker_pods(there), 0);
    assert_int_equal(is->resources, 3);           /* they cost nevertheless */
    assert_false(row_can_be_probed(there));
    join_gone(world->join, "a"); /* late news */
    assert_string_equal(row(world, "ns/a")->uid, "b");
}

static void a_list_sweeps(void **state)
{
    World *world = *state;
    for (int i = 0; i < 40; i++) {
        KubeObject *object = put(world, KUBE_CLUSTER, "{\"metadata\":{\"name\":\"c%d\",\"namespace\":\"ns\",\"uid\":\"u%d\"}}", i, i);
        object->feed = 3;
        object->round = i % 2 ? 1 : 2;
    }
    KubeObject *other = put(world, KUBE_POD, "{\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\",\"uid\":\"p\",\"labels\":{\"dask.org/cluster-name\":\"c0\"}}}");
    other->feed = 4;
    other->round = 1;
    join_sweep(world->join, 3, 2);
    size_t left = 0;
    KubeRow *one;
    for (size_t i = 0; (one = join_next(world->join, &i));)
        left += row_cluster(one) != NULL;
    assert_int_equal(left, 20);
    assert_int_equal(row_pods(join_find(world->join, "ns/c0")), 1);
}

/* ---------------------------------------------------------------------------------------------------------------- status */

static void how_it_is(void **state)
{
    static const struct {
        const char *created, *more, *component, *pod_more, *status;
        Status is;
        const char *why; /* begins so; NULL: none */
    } cases[] = {
        {OLD, "", "scheduler", "", READY, STATUS_RUNNING, NULL},
        {OLD, ",\"deletionTimestamp\":\"2026-11-23T07:46:35Z\"", "scheduler", "", READY, STATUS_CLOSING, NULL},
        {OLD, ",\"finalizers\":[\"kopf.zalando.org/KopfFinalizerMarker\"],\"deletionTimestamp\":\"2026-11-23T07:44:40Z\"", "scheduler", "", READY, STATUS_CLOSING,
         "its deletion hangs for 2 min: the operator does not answer, its pods go on costing"},
        {OLD, "", "scheduler", "", "{\"phase\":\"Pending\",\"containerStatuses\":[{\"name\":\"c\",\"state\":{\"waiting\":{\"reason\":\"ContainerCreating\"}}}]}", STATUS_PENDING, "scheduler: ContainerCreating"},
        {OLD, "", "scheduler", "", "{\"phase\":\"Pending\",\"containerStatuses\":[{\"name\":\"c\",\"state\":{\"waiting\":{\"reason\":\"ImagePullBackOff\"}}}]}", STATUS_FAILED, "scheduler: ImagePullBackOff"},
        {OLD, "", "scheduler", "", ENDED, STATUS_FAILED, "its scheduler's pod has ended: Evicted"},
        {OLD, "", "worker", "", READY, STATUS_FAILED, "it has no scheduler"},
        {NEW, "", "worker", "", READY, STATUS_PENDING, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        void *own = NULL;
        begin(&own);
        World *world = own;
        put_cluster(world, "a", "a", cases[i].created, cases[i].more);
        put_group(world, "a", "g", 1);
        put_pod(world, "a", "p", cases[i].component, cases[i].created, cases[i].pod_more, cases[i].status);
        const RecordFields *is = row(world, "ns/a");
        if (is->status != cases[i].is || (cases[i].why ? !is->status_why || strncmp(is->status_why, cases[i].why, strlen(cases[i].why)) != 0 : is->status_why != NULL))
            fail_msg("case %zu: %s, %s", i, status_word(is->status), is->status_why ? is->status_why : "-");
        end(&own);
    }
}

static void nobody_takes_it_up(void **state)
{
    World *world = *state;
    put(world, KUBE_CLUSTER, "{\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\",\"uid\":\"a\",\"creationTimestamp\":\"2026-11-23T07:41:40Z\"},\"spec\":{\"worker\":{\"replicas\":3}}}");
    const RecordFields *is = row(world, "ns/a");
    assert_int_equal(is->status, STATUS_PENDING);
    assert_string_equal(is->status_why, "no operator has taken it up for 5 min");
    assert_int_equal(is->workers_wanted, 3); /* nobody has made worker groups of it yet: its own number holds */
    world->view.pods_known = false;
    world->view.pods_forbidden = true;
    is = row(world, "ns/a");
    assert_int_equal(is->status, STATUS_UNKNOWN);
    assert_string_equal(is->status_why, "its pods may not be listed");
    assert_int_equal(is->resources, NUMBER_UNKNOWN);
}

static void what_may_not_be_listed_is_not_absent(void **state)
{
    World *world = *state;
    put_whole(world, "a");
    put_pod(world, "left", "l", "worker", OLD, "", READY);
    assert_string_equal(row(world, "ns/left")->cannot[CAN_SCALE], "its DaskCluster does not exist");
    assert_true(world->fields.can & 1u << CAN_DELETE);
    world->view.clusters_known = false;
    assert_string_equal(row(world, "ns/left")->cannot[CAN_DELETE], row_unseen);
    assert_string_equal(world->fields.cannot[CAN_SCALE], row_unseen);
    for (int i = 0; i < 3; i++)
        join_gone(world->join, ((const char *[]){"s-a", "w0-a", "w1-a"})[i]);
    assert_string_equal(row(world, "ns/a")->cannot[CAN_LOGS], "it has no pods");
    world->view.pods_known = false;
    world->view.pods_forbidden = true;
    assert_string_equal(row(world, "ns/a")->cannot[CAN_LOGS], "its pods may not be listed");
    assert_string_equal(world->fields.cannot[CAN_CONNECT], "its pods may not be listed");
}

/* Labels of a DaskCluster are on everything below it. */
static void whose_labels_are_as_those_of_old(void **state)
{
    World *world = *state;
    put_pod(world, "a", "w", "worker", OLD, ",\"ownerReferences\":[{\"kind\":\"ReplicaSet\",\"name\":\"r\",\"uid\":\"r\",\"controller\":true}]", READY);
    put_service(world, "a", ",\"app\":\"dask\"");
    assert_int_equal(row_kind(join_find(world->join, "ns/a")), ROW_LEFT);
}

static void more_pods_than_wanted(void **state)
{
    World *world = *state;
    put_whole(world, "a");
    put_pod(world, "a", "w2", "worker", OLD, "", READY);
    put_pod(world, "a", "w3", "worker", OLD, ",\"deletionTimestamp\":\"" NEW "\"", READY); /* on its way */
    assert_null(row(world, "ns/a")->status_why); /* they may be closing */
    KubeRow *there = join_find(world->join, "ns/a");
    assert_true(there->again_ms > world->view.now_ms && there->again_ms <= world->view.now_ms + 20000);
    world->view.now_ms += 30000;
    assert_non_null(strstr(row(world, "ns/a")->status_why, "leak: 3 worker pods for 2 wanted"));
    join_gone(world->join, "w2");
    assert_null(row(world, "ns/a")->status_why);
}

/* ------------------------------------------------------------------------------------------------------------------ gone */

static void what_is_provably_gone(void **state)
{
    World *world = *state;
    put_pod(world, "a", "w0", "worker", OLD, "", READY);
    put_group(world, "a", "g", 1);
    const RecordFields *is = row(world, "ns/a");
    assert_string_equal(is->gone, "DaskCluster ns/a");
    assert_string_equal(is->gone_why, "404 from the API");
    world->view.clusters_known = false; /* the list was not complete, or not permitted */
    assert_null(row(world, "ns/a")->gone);
    world->view.clusters_known = true;
    put_pod(world, "a", "s", "scheduler", OLD, "", READY); /* lives on; who is connected is not known */
    assert_null(row(world, "ns/a")->gone);
    KubeRow *there = join_find(world->join, "ns/a");
    ProbeFacts facts = {.result = PROBE_ANSWERED, .workers = 1, .busy = 0, .idle_since_ms = TIME_UNKNOWN, .counts = {.clients = 1}};
    row_set_facts(there, &facts);
    there->facts_uid = strdup("s");
    assert_null(row(world, "ns/a")->gone);
    facts.counts.clients = 0;
    row_set_facts(there, &facts);
    assert_non_null(row(world, "ns/a")->gone);
    put_cluster(world, "a", "a", OLD, "");
    assert_null(row(world, "ns/a")->gone);
}

static void what_is_not(void **state)
{
    World *world = *state;
    put_pod(world, "young", "y", "worker", NEW, "", READY);                                       /* its cluster may be on its way */
    put_pod(world, "ending", "e", "worker", OLD, ",\"deletionTimestamp\":\"" NEW "\"", READY);
    put_cluster(world, "starting", "st", OLD, "");
    put_pod(world, "starting", "st-s", "scheduler", OLD, "", "{\"phase\":\"Pending\"}");          /* nobody has ended it */
    put_pod(world, "starting", "st-w", "worker", OLD, "", READY);
    put_pod(world, "done", "d", "job-runner", OLD, "", "{\"phase\":\"Succeeded\"}");              /* costs nothing: no row */
    assert_null(row(world, "ns/young")->gone);
    const RecordFields *is = row(world, "ns/ending");
    assert_null(is->gone);
    assert_int_equal(is->status, STATUS_CLOSING);
    assert_null(row(world, "ns/starting")->gone);
    assert_null(row(world, "ns/done"));
    put_cluster(world, "left", "l", OLD, "");
    put_pod(world, "left", "l-w", "worker", OLD, "", READY);
    assert_null(row(world, "ns/left")->gone); /* its Deployment may be about to make another one */
    join_find(world->join, "ns/left")->unmanned = true;
    is = row(world, "ns/left");
    assert_string_equal(is->gone, "the scheduler of ns/left");
    world->view.pods_stale = true;
    assert_null(row(world, "ns/left")->gone);
    world->view.pods_known = false;
    assert_null(row(world, "ns/left")->gone);
}

/* ------------------------------------------------------------------------------------------------------------ other kinds */

static void before_the_operator(void **state)
{
    World *world = *state;
    static const char pod[] = "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"ns\",\"uid\":\"%s\",\"creationTimestamp\":\"" OLD "\",\"labels\":{\"app\":\"dask\",\"user\":\"bob\","
                              "\"dask.org/cluster-name\":\"dask-bob-1\",\"dask.org/component\":\"%s\"}},\"status\":" READY "}";
    put(world, KUBE_POD, pod, "w", "w", "worker");
    const RecordFields *is = row(world, "ns/dask-bob-1");
    assert_string_equal(is->type, "KubeCluster");
    assert_string_equal(is->owner, "bob");
    assert_int_equal(is->mine, 0);
    assert_int_equal(is->workers_wanted, NUMBER_UNKNOWN);
    assert_null(is->gone); /* its scheduler may live in a process elsewhere */
    assert_false(is->can & 1u << CAN_SCALE);
    assert_string_equal(is->uid, "ns/dask-bob-1");
    put_service(world, "dask-bob-1", ",\"app\":\"dask\""); /* it had a pod */
    assert_non_null(row(world, "ns/dask-bob-1")->gone);
    put(world, KUBE_POD, pod, "s", "s", "scheduler");
    is = row(world, "ns/dask-bob-1");
    assert_null(is->gone);
    assert_int_equal(is->status, STATUS_RUNNING);
}

static void a_helm_release(void **state)
{
    World *world = *state;
    static const char labels[] = "\"labels\":{\"app\":\"dask\",\"release\":\"lab\",\"component\":\"%s\"}";
    char with[256];
    for (int i = 0; i < 2; i++) {
        snprintf(with, sizeof with, labels, i ? "worker" : "scheduler");
        put(world, KUBE_POD, "{\"metadata\":{\"name\":\"p%d\",\"namespace\":\"ns\",\"uid\":\"p%d\",\"creationTimestamp\":\"" OLD "\",%s},\"status\":" READY "}", i, i, with);
        put(world, KUBE_DEPLOYMENT, "{\"metadata\":{\"name\":\"d%d\",\"namespace\":\"ns\",\"uid\":\"d%d\",%s},\"spec\":{\"replicas\":%d}}", i, i, with, i ? 4 : 1);
    }
    snprintf(with, sizeof with, labels, "scheduler");
    put(world, KUBE_SERVICE, "{\"metadata\":{\"name\":\"lab-scheduler\",\"namespace\":\"ns\",\"uid\":\"s\",%s},\"spec\":{\"ports\":[{\"name\":\"lab-scheduler\",\"port\":8786,\"targetPort\":8786},"
        "{\"name\":\"lab-webui\",\"port\":80,\"targetPort\":8787}]}}", with);
    const RecordFields *is = row(world, "ns/helm/lab");
    assert_string_equal(is->type, "HelmCluster");
    assert_string_equal(is->name, "lab");
    assert_int_equal(is->workers_wanted, 4);
    assert_int_equal(is->status, STATUS_RUNNING);
    assert_string_equal(is->uid, "s");
    char *path = row_proxy_path(join_find(world->join, "ns/helm/lab"));
    assert_string_equal(path, "/api/v1/namespaces/ns/services/lab-scheduler:lab-webui/proxy");
    free(path);
    put(world, KUBE_POD, "{\"metadata\":{\"name\":\"x\",\"namespace\":\"ns\",\"uid\":\"x\",\"labels\":{\"app\":\"other\",\"release\":\"lab\"}}}");
    assert_int_equal(join_rows(world->join), 1);
}

static void of_a_gateway(void **state)
{
    World *world = *state;
    put(world, KUBE_GATEWAY_CLUSTER, "{\"metadata\":{\"name\":\"0af\",\"namespace\":\"ns\",\"uid\":\"g\",\"creationTimestamp\":\"" OLD "\"},\"spec\":{\"username\":\"ada\",\"replicas\":3},"
        "\"status\":{\"phase\":\"Running\",\"service\":\"dask-0af\"}}");
    put(world, KUBE_POD, "{\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\",\"uid\":\"p\",\"labels\":{\"gateway.dask.org/cluster\":\"0af\",\"app.kubernetes.io/component\":\"dask-scheduler\"}},\"status\":" READY "}");
    put(world, KUBE_SERVICE, "{\"metadata\":{\"name\":\"dask-0af\",\"namespace\":\"ns\",\"uid\":\"s\",\"labels\":{\"gateway.dask.org/cluster\":\"0af\",\"app.kubernetes.io/component\":\"dask-scheduler\"}},"
        "\"spec\":{\"ports\":[{\"name\":\"scheduler\",\"port\":8786},{\"name\":\"dashboard\",\"port\":8787},{\"name\":\"api\",\"port\":8788}]}}");
    const RecordFields *is = row(world, "ns/gateway/0af");
    assert_string_equal(is->type, "GatewayCluster");
    assert_string_equal(is->uid, "g");
    assert_string_equal(is->owner, "ada");
    assert_int_equal(is->mine, 1);
    assert_int_equal(is->workers_wanted, 3);
    assert_int_equal(is->status, STATUS_RUNNING);
    char *path = row_proxy_path(join_find(world->join, "ns/gateway/0af"));
    assert_string_equal(path, "/api/v1/namespaces/ns/services/dask-0af:dashboard/proxy");
    free(path);
    join_gone(world->join, "p");
    put(world, KUBE_GATEWAY_CLUSTER, "{\"metadata\":{\"name\":\"0af\",\"namespace\":\"ns\",\"uid\":\"g\"},\"spec\":{},\"status\":{\"phase\":\"Stopped\"}}");
    assert_null(row(world, "ns/gateway/0af")); /* a memory of the gateway's */
}

static void whose_it_is(void **state)
{
    World *world = *state;
    put_whole(world, "a");
    assert_null(row(world, "ns/a")->owner);
    assert_int_equal(world->fields.mine, -1);
    put_cluster(world, "a", "a", OLD, ",\"labels\":{\"user\":\"u\",\"team\":\"climate\",\"hub.jupyter.org/username\":\"bob-40x\"},\"annotations\":{\"hub.jupyter.org/username\":\"bob@x\"}");
    assert_string_equal(row(world, "ns/a")->owner, "bob@x");
    list_add(&world->owners, "none");
    list_add(&world->owners, "team");
    assert_string_equal(row(world, "ns/a")->owner, "climate");
    assert_int_equal(world->fields.label_count, 3);
}

static void a_job_that_owns_it(void **state)
{
    World *world = *state;
    put_whole(world, "a");
    put(world, KUBE_JOB, "{\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\",\"uid\":\"j\"},\"status\":{\"jobStatus\":\"Running\",\"clusterName\":\"a\"}}");
    assert_null(row_job(join_find(world->join, "ns/a"))); /* of the same name, and not its owner */
    put_cluster(world, "a", "a", OLD, ",\"ownerReferences\":[{\"kind\":\"DaskJob\",\"name\":\"a\",\"uid\":\"j\",\"controller\":true}]");
    const RecordFields *is = row(world, "ns/a");
    assert_string_equal(is->origin.kind, "job");
    assert_int_equal(is->origin.alive, 1);
}

static void when_it_ends_and_adapts(void **state)
{
    World *world = *state;
    put(world, KUBE_CLUSTER, "{\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\",\"uid\":\"a\",\"creationTimestamp\":\"" OLD "\",\"annotations\":{\"dasktop/keep\":\"2026-12-24\",\"dasktop/keep-reason\":\"demo\"}},"
        "\"spec\":{\"idleTimeout\":600,\"worker\":{\"replicas\":1}},\"status\":{\"phase\":\"Running\"}}");
    put_group(world, "a", "g", 2);
    put_service(world, "a", "");
    put_pod(world, "a", "s", "scheduler", OLD, "", READY);
    put(world, KUBE_SCALER, "{\"metadata\":{\"name\":\"z\",\"namespace\":\"ns\",\"uid\":\"z\",\"creationTimestamp\":\"" NEW "\"},\"spec\":{\"cluster\":\"a\",\"minimum\":1,\"maximum\":5}}");
    KubeRow *there = join_find(world->join, "ns/a");
    ProbeFacts facts = {.result = PROBE_ANSWERED, .id = (char *)(uintptr_t)"Scheduler-1", .workers = 2, .threads = 4, .busy = 0, .idle_since_ms = world->view.now_ms - 60000, .counts = {.clients = 0}};
    row_set_facts(there, &facts);
    there->facts_uid = strdup("s");
    const RecordFields *is = row(world, "ns/a");
    assert_string_equal(is->scheduler_id, "Scheduler-1");
    assert_int_equal(is->workers_ready, 2);
    assert_int_equal(is->adaptive, 1);
    assert_int_equal(is->adaptive_maximum, 5);
    assert_int_equal(is->last_active_ms, world->view.now_ms - 60000);
    assert_int_equal(is->ends_at_ms, world->view.now_ms + 540000);
    assert_string_equal(is->ends_why, "its idleTimeout of 10 min");
    assert_int_equal(is->kept_until_ms, time_parse("2026-12-24T23:59:59Z"));
    assert_string_equal(is->kept_reason, "demo");

    facts.idle_longer = true; /* only a first look: nothing is said of before */
    row_set_facts(there, &facts);
    is = row(world, "ns/a");
    assert_int_equal(is->last_active_ms, TIME_UNKNOWN);
    assert_int_equal(is->busy, -1);
    there->client_left_ms = world->view.now_ms - 7200000; /* but its log knows when the last client went */
    assert_int_equal(row(world, "ns/a")->last_active_ms, world->view.now_ms - 7200000);
    there->client_left_ms = TIME_UNKNOWN;
    there->never_client = true;
    is = row(world, "ns/a");
    assert_int_equal(is->last_active_ms, TIME_UNKNOWN);
    assert_int_equal(is->busy, 0); /* it counts from its start */
    free(there->facts_uid);
    there->facts_uid = strdup("another pod");
    is = row(world, "ns/a");
    assert_null(is->scheduler_id);
    assert_int_equal(is->workers_ready, NUMBER_UNKNOWN);
}

static void what_it_takes_of_machines(void **state)
{
    World *world = *state;
    KubeNodes nodes;
    static const char node[] = "{\"metadata\":{\"name\":\"n%d\",\"labels\":{\"node.kubernetes.io/instance-type\":\"m5.xlarge\"}},\"status\":{\"images\":[{\"names\":[\"x\"]}],\"allocatable\":{\"cpu\":\"4\",\"memory\":\"2Gi\"}}}";
    char text[512];
    nodes_init(&nodes);
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, node, i);
        nodes_take(&nodes, text, strlen(text));
    }
    nodes_take(&nodes, "{\"metadata\":{}}", 15);
    nodes_take(&nodes, "[", 1);
    put_cluster(world, "a", "a", OLD, "");
    static const char pod[] = "{\"metadata\":{\"name\":\"p%d\",\"namespace\":\"ns\",\"uid\":\"p%d\",\"labels\":{\"dask.org/cluster-name\":\"a\"}},\"spec\":{%s\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":%s}}]},\"status\":" READY "}";
    put(world, KUBE_POD, pod, 0, 0, "\"nodeName\":\"n0\",", "{\"cpu\":\"1\",\"memory\":\"1Gi\"}"); /* half of its memory */
    put(world, KUBE_POD, pod, 1, 1, "\"nodeName\":\"n1\",", "{\"cpu\":\"1\",\"memory\":\"100Mi\"}"); /* a quarter of its CPUs */
    put(world, KUBE_POD, pod, 2, 2, "\"nodeName\":\"n1\",", "{}"); /* asks for nothing */
    put(world, KUBE_POD, pod, 3, 3, "", "{\"cpu\":\"2\"}");          /* waits for a machine */
    assert_int_equal(row(world, "ns/a")->machine_count, 0); /* nodes were not read */
    world->view.nodes = &nodes;
    const RecordFields *is = row(world, "ns/a");
    assert_int_equal(is->machine_count, 1);
    assert_string_equal(is->machines[0].type, "m5.xlarge");
    assert_true(is->machines[0].quantity > 0.749 && is->machines[0].quantity < 0.751);
    put(world, KUBE_POD, pod, 4, 4, "\"nodeName\":\"new\",", "{\"cpu\":\"1\"}"); /* a sum without it would be too small */
    assert_int_equal(row(world, "ns/a")->machine_count, 0);
    nodes_done(&nodes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(one_row_of_many_objects), TEST(in_any_order), TEST(two_of_one_name), TEST(one_in_another_s_place), TEST(a_list_sweeps), TEST(how_it_is), TEST(nobody_takes_it_up), TEST(what_may_not_be_listed_is_not_absent), TEST(whose_labels_are_as_those_of_old), TEST(more_pods_than_wanted),
        TEST(what_is_provably_gone), TEST(what_is_not), TEST(before_the_operator), TEST(a_helm_release), TEST(of_a_gateway), TEST(whose_it_is), TEST(a_job_that_owns_it), TEST(when_it_ends_and_adapts), TEST(what_it_takes_of_machines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
