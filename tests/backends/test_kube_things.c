/* What belongs to a cluster, as a tree: whatever owns what. */
#include "backends/make.h"

#include "backends/kubernetes/things.h"

/* A release of Helm: of it nothing else is asked for. owner "": none. */
static void put(KubeJoin *join, KubeKind kind, const char *name, const char *owner)
{
    char text[1000];
    snprintf(text, sizeof text, "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"ns\",\"uid\":\"%s\",\"labels\":{\"app\":\"dask\",\"release\":\"r\"},"
             "\"ownerReferences\":[{\"kind\":\"Any\",\"name\":\"any\",\"uid\":\"%s\"}]},\"spec\":{}}", name, name, owner);
    KubeObject *object = kube_object_parse(kind, text, strlen(text), NULL);
    assert_non_null(object);
    join_put(join, object);
}

static KubeThings read(KubeJoin *join)
{
    KubeThings things;
    Error error = {0};
    assert_true(things_read(NULL, NULL, join_find(join, "ns/helm/r"), &things, NULL, &error));
    return things;
}

static void expect(const KubeThings *things, size_t place, const char *name, int parent)
{
    assert_string_equal(things->items[place].name, name);
    assert_int_equal(things->items[place].parent, parent);
}

static void those_below_stand_behind_what_owns_them(void **state)
{
    (void)state;
    KubeJoin *join = join_new();
    put(join, KUBE_SERVICE, "service", "");
    put(join, KUBE_DEPLOYMENT, "one", "");
    put(join, KUBE_DEPLOYMENT, "two", "of another one");
    put(join, KUBE_POD, "a", "two");
    put(join, KUBE_POD, "b", "one");
    put(join, KUBE_POD, "c", "two");
    put(join, KUBE_POD, "d", "c");
    put(join, KUBE_POD, "itself", "itself");
    put(join, KUBE_POD, "ring", "rang");
    put(join, KUBE_POD, "rang", "ring");
    KubeThings things = read(join);
    assert_int_equal(things.count, 10);
    expect(&things, 0, "service", -1);
    expect(&things, 1, "one", -1);
    expect(&things, 2, "b", 1);
    expect(&things, 3, "two", -1);
    expect(&things, 4, "a", 3);
    expect(&things, 5, "c", 3);
    expect(&things, 6, "d", 5);
    expect(&things, 7, "itself", -1);
    expect(&things, 8, "ring", -1);
    expect(&things, 9, "rang", -1);
    things_done(&things);
    join_free(join);
}

/* Each owns the next: no stack is deep enough for a walk that calls itself. */
static void a_chain_of_many(void **state)
{
    enum { MANY = 50000 };
    (void)state;
    KubeJoin *join = join_new();
    for (int i = 0; i < MANY; i++) {
        char name[32], owner[32];
        snprintf(name, sizeof name, "%d", i);
        snprintf(owner, sizeof owner, "%d", i - 1);
        put(join, KUBE_POD, name, owner);
    }
    KubeThings things = read(join);
    assert_int_equal(things.count, MANY);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(things.items[i].parent, i - 1);
    things_done(&things);
    join_free(join);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_below_stand_behind_what_owns_them),
        cmocka_unit_test(a_chain_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
