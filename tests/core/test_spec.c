/* dask-ctl's specification: what is taken, and where a mistake is. */
#include "core/place.h"

#include "core/spec.h"

static Spec read_right(const char *text, const char *name, int64_t workers)
{
    Spec spec;
    Error error = {0};
    char *path = place_write("dask-cluster.yaml", text);
    if (!spec_read(path, name, workers, &spec, &error))
        fail_msg("%s", error.what);
    free(path);
    return spec;
}

/* Refused at this line, in these words; nothing is left in the spec. */
static void refuse(const char *text, const char *at, const char *words)
{
    Spec spec;
    Error error = {0};
    char *path = place_write("dask-cluster.yaml", text), *where = mem_format("dask-cluster.yaml:%s", at);
    assert_false(spec_read(path, NULL, NUMBER_UNKNOWN, &spec, &error));
    assert_int_equal(error.code, ERROR_USAGE);
    if (!strstr(error.where, where) || !strstr(error.what, words))
        fail_msg("%s: %s is not %s: %s", error.where, error.what, where, words);
    assert_null(spec.document);
    assert_null(spec.name);
    free(path);
    free(where);
}

static void an_object_as_kubectl_takes_it(void **state)
{
    (void)state;
    static const char *const takes[] = {"dask_kubernetes.operator:KubeCluster", "kubernetes.dask.org/v1:DaskCluster", NULL};
    const char *text = "apiVersion: kubernetes.dask.org/v1\nkind: DaskCluster\nmetadata: {name: mine, namespace: here}\nspec: {worker: {replicas: 2}}\n";
    Spec spec = read_right(text, NULL, NUMBER_UNKNOWN);
    assert_string_equal(spec.name, "mine");
    assert_true(spec_is(&spec, takes));
    assert_null(spec.kwargs);
    assert_int_equal(tree_path(spec.document, "spec.worker.replicas")->number, 2);
    spec_done(&spec);
    spec = read_right(text, "other", NUMBER_UNKNOWN);
    assert_string_equal(spec.name, "other");
    spec_done(&spec);
    refuse("apiVersion: v1\nmetadata: {}\n", "1", "a kind and an apiVersion");
    refuse("apiVersion: [v1]\nkind: Pod\n", "1", "a kind and an apiVersion");
}

static void what_dask_ctl_writes(void **state)
{
    (void)state;
    Spec spec = read_right("version: 1\nmodule: dask.distributed\nclass: LocalCluster\nargs: []\nkwargs: {name: mine, n_workers: 3}\n", NULL, NUMBER_UNKNOWN);
    assert_string_equal(spec.module, "dask.distributed");
    assert_string_equal(spec.class_name, "LocalCluster");
    assert_string_equal(spec.name, "mine");
    assert_int_equal(spec.workers, 3);
    assert_int_equal(spec.args->count, 0);
    spec_done(&spec);
    spec = read_right("version: 1\nmodule: a\nclass: B\nargs:\nkwargs: {name: mine, n_workers: 3}\n", "other", 0);
    assert_string_equal(spec.name, "other"); /* what is said on the command line wins */
    assert_int_equal(spec.workers, 0);
    assert_null(spec.args);
    spec_done(&spec);
    spec = read_right("{\"version\": 1, \"module\": \"a\", \"class\": \"B\"}", NULL, NUMBER_UNKNOWN);
    assert_null(spec.name);
    assert_int_equal(spec.workers, NUMBER_UNKNOWN);
    spec_done(&spec);
    Error error;
    assert_true(spec_read(NULL, NULL, 2, &spec, &error)); /* a backend's own defaults */
    assert_null(spec.module);
    assert_false(spec_is(&spec, (const char *const[]){"a:B", NULL}));
    spec_done(&spec);
    spec_done(&spec);
}

static void mistakes_have_a_place(void **state)
{
    (void)state;
    refuse("[1]\n", "1:1", "a map");
    refuse("module: a\nclass: B\n", "1:1", "version is missing");
    refuse("version: 2\nmodule: a\nclass: B\n", "1:", "version");
    refuse("version: \"1\"\nmodule: a\nclass: B\n", "1:", "version");
    refuse("version: 1\nclass: B\n", "1:1", "module is missing");
    refuse("version: 1\nmodule: a\n", "1:1", "class is missing");
    refuse("version: 1\nmodule: [a]\nclass: B\n", "2:", "module");
    refuse("version: 1\nmodule: a\nclass: B\nkwargs: [1]\n", "4:", "kwargs");
    refuse("version: 1\nmodule: a\nclass: B\nargs: {a: 1}\n", "4:", "args");
    refuse("version: 1\nmodule: a\nclass: B\nkwarg: {}\n", "4:", "unknown key kwarg");
    refuse("version: 1\nmodule: a\nclass: B\nkwargs:\n  n_workers: -1\n", "5:", "n_workers");
    refuse("version: 1\nmodule: a\nclass: B\nkwargs:\n  n_workers: 1.5\n", "5:", "n_workers");
    refuse("version: 1\nmodule: a\nclass: B\nkwargs:\n  n_workers: many\n", "5:", "n_workers");
    refuse("version: 1\nmodule: a\nclass: B\nkwargs:\n  n_workers: .inf\n", "5:", "n_workers");
    refuse("version: 1\nmodule: {\n", "", "");
    Spec spec;
    Error error = {0};
    assert_false(spec_read("/no/such/file.yaml", "x", 1, &spec, &error));
    assert_int_equal(error.code, ERROR_USAGE);
    assert_non_null(strstr(error.where, "/no/such/file.yaml"));
}

static void classes_by_several_roads(void **state)
{
    (void)state;
    const char *const local[] = {"x:Y", "dask.distributed:LocalCluster", NULL}, *const none[] = {NULL};
    Spec spec = read_right("{version: 1, module: distributed, class: LocalCluster}", NULL, 1);
    assert_true(spec_is(&spec, local));
    assert_false(spec_is(&spec, none));
    assert_false(spec_is(&spec, NULL));
    spec_done(&spec);
    spec = read_right("{version: 1, module: dask.distributed, class: LocalCluster}", NULL, 1);
    assert_true(spec_is(&spec, local));
    spec_done(&spec);
    spec = read_right("{version: 1, module: dask.distributed, class: LocalCluste}", NULL, 1);
    assert_false(spec_is(&spec, local));
    spec_done(&spec);
    spec = read_right("{version: 1, module: notdistributed, class: LocalCluster}", NULL, 1);
    assert_false(spec_is(&spec, local));
    spec_done(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_object_as_kubectl_takes_it), cmocka_unit_test(what_dask_ctl_writes), cmocka_unit_test(mistakes_have_a_place),
                                       cmocka_unit_test(classes_by_several_roads)};
    return cmocka_run_group_tests(tests, place_begin, place_end);
}
