/* Kubernetes' objects as they come, whole and broken. */
#include "backends/make.h"

#include "backends/kubernetes/objects.h"

static KubeObject *parse(KubeKind kind, const char *text)
{
    Error error = {0};
    KubeObject *object = kube_object_parse(kind, text, strlen(text), &error);
    if (!object)
        fail_msg("%s", error.what);
    return object;
}

/* Of the items of a recorded list. */
static KubeObject *from_capture(KubeKind kind, const char *name, const char *namespace, const char *object_name)
{
    Buffer bytes = capture(name);
    cJSON *list = json_parse(bytes.bytes, bytes.length, name, NULL);
    const cJSON *item;
    KubeObject *found = NULL;
    cJSON_ArrayForEach(item, json_member(list, "items"))
    {
        const cJSON *metadata = json_member(item, "metadata");
        if (found || strcmp(json_text(metadata, "name"), object_name) != 0 || strcmp(json_text(metadata, "namespace"), namespace) != 0)
            continue;
        char *text = cJSON_PrintUnformatted(item);
        found = parse(kind, text);
        cJSON_free(text);
    }
    cJSON_Delete(list);
    buffer_done(&bytes);
    assert_non_null(found);
    return found;
}

static void a_recorded_cluster(void **state)
{
    (void)state;
    KubeObject *cluster = from_capture(KUBE_CLUSTER, "kubernetes/daskclusters-list-all-namespaces.json", "default", "alpha");
    assert_string_equal(cluster->namespace, "default");
    assert_int_equal(cluster->replicas, 2);
    assert_int_equal(cluster->idle_timeout_s, 0);
    assert_string_equal(cluster->manager, "kubectl-client-side-apply"); /* not the operator, which wrote as well */
    assert_true(cluster->held && cluster->held_by_operator);
    assert_int_equal(cluster->annotation_count, 0); /* copies of the spec are no annotations of a person */
    assert_int_equal(cluster->deleting_ms, TIME_UNKNOWN);
    assert_false(cluster->tls);
    kube_object_free(cluster);

    Buffer bytes = capture("kubernetes/daskcluster-stuck-terminating.json");
    cluster = parse(KUBE_CLUSTER, bytes.bytes);
    assert_true(cluster->deleting_ms > cluster->created_ms);
    assert_true(cluster->held);
    kube_object_free(cluster);
    buffer_done(&bytes);
}

static void what_belongs_to_it(void **state)
{
    (void)state;
    KubeObject *group = from_capture(KUBE_GROUP, "kubernetes/daskworkergroups-list.json", "default", "alpha-default");
    assert_string_equal(group->cluster, "alpha");
    assert_int_equal(group->replicas, 2);
    assert_string_equal(group->owner_kind, "DaskCluster");
    kube_object_free(group);
    group = from_capture(KUBE_GROUP, "kubernetes/daskworkergroups-list.json", "team-a", "beta-gpu");
    assert_string_equal(group->cluster, "beta"); /* it has no labels at all */
    kube_object_free(group);
    KubeObject *service = from_capture(KUBE_SERVICE, "kubernetes/services-schedulers-all.json", "default", "alpha-scheduler");
    assert_int_equal(service->component, COMPONENT_SCHEDULER);
    assert_int_equal(kube_service_port(service, "http-dashboard", "8787", 8787)->port, 8787);
    assert_int_equal(kube_service_port(service, "tcp-comm", "8786", 8786)->port, 8786);
    assert_null(kube_service_port(service, "ssh", "22", 22));
    kube_object_free(service);
}

static void pods(void **state)
{
    (void)state;
    KubeObject *pod = parse(KUBE_POD,
        "{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"u\",\"labels\":{\"dask.org/component\":\"worker\",\"dask.org/workergroup-name\":\"g\"}},"
        "\"spec\":{\"nodeName\":\"node-1\",\"initContainers\":[{\"name\":\"init\"}],"
        "\"containers\":[{\"name\":\"worker\",\"env\":[{\"name\":\"DASK_WORKER_NAME\",\"value\":\"w-1\"}],\"resources\":{\"requests\":{\"cpu\":\"1500m\",\"memory\":\"1.5Gi\"},"
        "\"limits\":{\"nvidia.com/gpu\":\"2\"}}},{\"name\":\"side\",\"resources\":{\"limits\":{\"cpu\":0.5,\"memory\":1000}}}]},"
        "\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.1\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}],"
        "\"initContainerStatuses\":[{\"name\":\"init\",\"restartCount\":0,\"state\":{\"terminated\":{\"reason\":\"Completed\"}}}],"
        "\"containerStatuses\":[{\"name\":\"side\",\"restartCount\":0,\"state\":{\"running\":{}}},"
        "{\"name\":\"worker\",\"restartCount\":7,\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}}}]}}");
    assert_int_equal(pod->component, COMPONENT_WORKER);
    assert_string_equal(pod->group_name, "g");
    assert_string_equal(pod->worker_name, "w-1");
    assert_string_equal(pod->why, "CrashLoopBackOff");
    assert_false(pod->ready);
    assert_int_equal(pod->asks.cpu_milli, 2000);
    assert_int_equal(pod->asks.memory, (INT64_C(3) << 29) + 1000);
    assert_int_equal(pod->asks.gpus, 2);
    assert_int_equal(pod->asks.threads, 2); /* 1 of 1500m, and 1 of 500m */
    assert_int_equal(pod->container_count, 3);
    assert_true(pod->containers[0].init);
    assert_int_equal(pod->containers[1].restarts, 7);
    kube_object_free(pod);

    pod = parse(KUBE_POD, "{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"u\"},\"status\":{\"phase\":\"Pending\",\"conditions\":[{\"type\":\"PodScheduled\","
                          "\"status\":\"False\",\"reason\":\"Unschedulable\",\"message\":\"0/3 nodes are available\"}]}}");
    assert_string_equal(pod->why, "Unschedulable: 0/3 nodes are available");
    assert_int_equal(pod->asks.memory, NUMBER_UNKNOWN);
    kube_object_free(pod);
    pod = parse(KUBE_POD, "{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"u\"},\"status\":{\"phase\":\"Failed\",\"reason\":\"Evicted\"}}");
    assert_true(pod->ended);
    assert_string_equal(pod->why, "Evicted");
    kube_object_free(pod);
}

static void quantities(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t milli;
    } cases[] = {{"1", 1000}, {"500m", 500}, {"0.1", 100}, {"2Gi", INT64_C(2147483648000)}, {"1e3", 1000000}, {"12E2", 1200000}, {"100u", 1}, {"1n", 1}, {"0", 0}, {"3k", 3000000}, {"1Ki", 1024000},
                 {"", NUMBER_UNKNOWN}, {"x", NUMBER_UNKNOWN}, {"-1", NUMBER_UNKNOWN}, {"1 Gi", NUMBER_UNKNOWN}, {"1Zi", NUMBER_UNKNOWN}, {"nan", NUMBER_UNKNOWN}, {"inf", NUMBER_UNKNOWN},
                 {"99Ei", NUMBER_UNKNOWN}, {"0x10", NUMBER_UNKNOWN}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (kube_quantity_milli(cases[i].text) != cases[i].milli)
            fail_msg("%s: %lld", cases[i].text, (long long)kube_quantity_milli(cases[i].text));
}

static void what_is_broken(void **state)
{
    (void)state;
    static const char *const none[] = {"", "{", "[]", "null", "{\"metadata\":{}}", "{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"}}", "{\"metadata\":{\"name\":\"a\",\"uid\":\"b\"}}",
                                       "{\"metadata\":{\"name\":\"\",\"namespace\":\"b\",\"uid\":\"c\"}}", "{\"metadata\":{\"managedFields\":[{\"manager\":\"x\"", "{\"metadata\":{\"managedFields\":["};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        for (int kind = 0; kind < KUBE_KIND_COUNT; kind++)
            assert_null(kube_object_parse((KubeKind)kind, none[i], strlen(none[i]), NULL));
    /* fields of a wrong type are unknown, and nothing else */
    KubeObject *cluster = parse(KUBE_CLUSTER, "{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\",\"uid\":\"c\",\"labels\":[1],\"annotations\":{\"x\":1,\"y\":\"z\"},\"ownerReferences\":{},"
                                              "\"finalizers\":[1,\"f\"],\"creationTimestamp\":7,\"managedFields\":[]},\"spec\":{\"worker\":{\"replicas\":\"2\",\"spec\":[]},\"idleTimeout\":-1},"
                                              "\"status\":[]}");
    assert_int_equal(cluster->replicas, NUMBER_UNKNOWN);
    assert_int_equal(cluster->idle_timeout_s, NUMBER_UNKNOWN);
    assert_int_equal(cluster->created_ms, TIME_UNKNOWN);
    assert_int_equal(cluster->label_count, 0);
    assert_string_equal(kube_annotation(cluster, "y"), "z");
    assert_true(cluster->held && !cluster->held_by_operator);
    assert_null(cluster->phase);
    kube_object_free(cluster);
}

static void who_made_it(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *manager;
    } cases[] = {{"[{\"manager\":\"kr8s\",\"operation\":\"Update\"},{\"manager\":\"kopf\"}]", "kr8s"}, {"[{\"manager\":\"kopf\"},{\"manager\":\"kr8s\"},{\"manager\":\"kubectl\"}]", "kubectl"},
                 {"[{\"manager\":\"kopf\"}]", NULL}, {"[]", NULL}, {"7", NULL}, {"[{\"manager\":7}]", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text, "{\"metadata\":{\"managedFields\":%s,\"name\":\"a\",\"namespace\":\"b\",\"uid\":\"c\"},\"spec\":{\"cluster\":\"k\"}}", cases[i].fields);
        KubeObject *group = parse(KUBE_GROUP, text);
        assert_string_equal(group->cluster, "k");
        if (cases[i].manager)
            assert_string_equal(group->manager, cases[i].manager);
        else
            assert_null(group->manager);
        kube_object_free(group);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recorded_cluster), cmocka_unit_test(what_belongs_to_it), cmocka_unit_test(pods), cmocka_unit_test(quantities),
        cmocka_unit_test(what_is_broken),     cmocka_unit_test(who_made_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
