/* What a gateway's REST API says: its clusters, the options of new ones, the templates of Dask's config. */
#include "backends/make.h"

#include "backends/gateway/options.h"
#include "backends/gateway/rest.h"
#include "base/mem.h"

static char where[] = "uni", address[] = "https://g.example.org/p", public[] = "https://web.example.org", proxy[] = "2001:db8::1";
static const Gateway gateway = {.where = where, .address = address, .public_address = public, .proxy_host = proxy, .proxy_port = 99};

/* In pieces of this size. */
static bool read_list(const char *bytes, size_t n, size_t piece, GatewayClusters *list, Error *error)
{
    GatewayReading reading;
    gateway_reading_begin(&reading, &gateway, true, list);
    for (size_t at = 0; at < n; at += piece) {
        size_t size = n - at < piece ? n - at : piece;
        char *exact = malloc(size); /* nothing behind it may be read */
        memcpy(exact, bytes + at, size);
        assert_true(gateway_reading_take(&reading, exact, size, error));
        free(exact);
    }
    return gateway_reading_end(&reading, error);
}

static GatewayClusters decode(const char *name, size_t piece)
{
    Error error = {0};
    GatewayClusters list;
    Buffer bytes = capture(name);
    if (!read_list(bytes.bytes, bytes.length, piece, &list, &error))
        fail_msg("%s", error.what);
    for (size_t i = 0; i < list.count; i++) {
        assert_true((list.items[i].tls != NULL) == (list.items[i].status == GATEWAY_RUNNING));
        assert_int_equal(list.items[i].options.count, 0);
    }
    buffer_done(&bytes);
    return list;
}

static GatewayCluster decode_one(const char *name)
{
    Error error = {0};
    GatewayCluster cluster;
    Buffer bytes = capture(name);
    assert_true(gateway_decode_one(&gateway, bytes.bytes, bytes.length, &cluster, &error));
    buffer_done(&bytes);
    return cluster;
}

static void recorded_clusters(void **state)
{
    (void)state;
    GatewayClusters list = decode("gateway/clusters.json", 1000000);
    assert_true(list.count > 0);
    const GatewayCluster *cluster = &list.items[0];
    assert_int_equal(cluster->status, GATEWAY_RUNNING);
    char *whole = mem_format("gateway://[2001:db8::1]:99/%s", cluster->name), *dashboard = mem_format("https://web.example.org/clusters/%s/status", cluster->name);
    assert_string_equal(cluster->address, whole);
    assert_string_equal(cluster->dashboard, dashboard);
    assert_non_null(cluster->tls);
    assert_false(cluster->tls->verify_host);
    assert_true(cluster->started_ms > 1700000000000);
    free(whole);
    free(dashboard);
    gateway_clusters_done(&list);
    GatewayCluster one = decode_one("gateway/cluster.json");
    assert_non_null(one.tls);
    assert_true(list_has(&one.options, "worker_cores: 1") && list_has(&one.options, "profile: \"small\""));
    for (size_t i = 0; i < one.options.count; i++)
        assert_null(strstr(one.options.items[i], "environment"));
    gateway_cluster_done(&one);
    for (size_t piece = 1; piece < 20000; piece = piece * 3 + 1) { /* a cluster is what it is, however it comes */
        list = decode("gateway/clusters-all.json", piece);
        assert_true(list.count > 1);
        for (size_t i = 0; i < list.count; i++)
            assert_true(list.items[i].status <= GATEWAY_FAILED);
        gateway_clusters_done(&list);
    }
}

static void odd_clusters(void **state)
{
    (void)state;
    static const char text[] = "{\"a\": {\"name\": \"f00d\", \"status\": \"RUNNING\", \"dashboard_route\": null, \"tls_cert\": \"x\", \"tls_key\": \"y\", \"start_time\": null,"
                               "  \"options\": {\"api_token\": \"hush\", \"list\": [\"hush\"], \"none\": null, \"g\\u001b[31mpu\": false}},"
                               " \"b\": {\"name\": \"../x\", \"status\": \"RUNNING\"}, \"c\": 7, \"d\": {\"name\": \"beef\", \"status\": \"DREAMING\"}}";
    Error error = {0};
    GatewayClusters list;
    GatewayCluster one;
    assert_true(read_list(text, sizeof text - 1, 7, &list, &error));
    assert_int_equal(list.count, 2);
    assert_null(list.items[0].dashboard);
    assert_null(list.items[0].http_base);
    assert_null(list.items[0].tls); /* no PEM */
    assert_int_equal(list.items[0].started_ms, TIME_UNKNOWN);
    assert_int_equal(list.items[1].status, GATEWAY_OTHER);
    gateway_clusters_done(&list);
    const char *first = strstr(text, "{\"name\""), *end = strstr(text, ", \"b\"");
    assert_true(gateway_decode_one(&gateway, first, (size_t)(end - first), &one, &error));
    assert_int_equal(one.options.count, 1);
    assert_null(strchr(one.options.items[0], 27));
    assert_non_null(strstr(one.options.items[0], "pu: false"));
    gateway_cluster_done(&one);
    assert_false(gateway_decode_one(&gateway, "{}", 2, &one, &error));
    assert_false(read_list("[]", 2, 2, &list, &error));
    assert_non_null(strstr(error.what, "not the clusters"));
    /* another's answer is no gateway without clusters: rows that are there would be taken for gone */
    static const char *const others[] = {"{\"error\": \"you are not signed in\"}", "{\"status\": \"pass\"}", "{\"x\": {\"foo\": 1}}", "{\"x\": null}"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_false(read_list(others[i], strlen(others[i]), 3, &list, &error));
        assert_non_null(strstr(error.what, "not the clusters"));
    }
    assert_true(read_list(" {} \n", 5, 1, &list, &error));
    assert_int_equal(list.count, 0);
}

/* Half an answer is none: rows that are missing would be taken for clusters that are gone. */
static void answers_that_are_cut(void **state)
{
    (void)state;
    Buffer bytes = capture("gateway/clusters.json");
    while (bytes.length && bytes.bytes[bytes.length - 1] != '}')
        bytes.length--;
    for (size_t n = 0; n < bytes.length; n += n < 200 || n + 200 > bytes.length ? 1 : 97) {
        Error error = {0};
        GatewayClusters list;
        GatewayCluster one;
        assert_false(read_list(bytes.bytes, n, n / 3 + 1, &list, &error));
        assert_int_equal(error.code, ERROR_BAD_REPLY);
        assert_int_equal(list.count, 0);
        assert_null(list.items);
        assert_false(gateway_decode_one(&gateway, bytes.bytes, n, &one, &error));
    }
    buffer_done(&bytes);
    static const char more[] = "{\"a\": {\"name\": \"f00d\", \"status\": \"RUNNING\"}} {}", inner[] = "{\"a\": {\"name\": \"f00d\", }}";
    Error error = {0};
    GatewayClusters list;
    assert_false(read_list(more, sizeof more - 1, 5, &list, &error));
    assert_false(read_list(inner, sizeof inner - 1, 5, &list, &error));
    assert_non_null(strstr(error.what, "not JSON"));
    Buffer large; /* more than any cluster has */
    buffer_init(&large, BUFFER_ANY);
    buffer_text(&large, "{\"a\": {\"name\": \"f00d\", \"x\": \"");
    for (int i = 0; i < 2 << 20; i++)
        buffer_char(&large, 'x');
    buffer_text(&large, "\"}}");
    assert_false(read_list(large.bytes, large.length, 100000, &list, &error));
    assert_non_null(strstr(error.what, "more than a megabyte"));
    buffer_done(&large);
}

static cJSON *offered(void)
{
    Buffer bytes = capture("gateway/options.json");
    cJSON *answer = json_parse(bytes.bytes, bytes.length, NULL, NULL);
    assert_non_null(answer);
    buffer_done(&bytes);
    return answer;
}

/* The bounds are those of the recording: worker_cores 1 to 2, worker_memory 0.5 to 2. */
static void options_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wish; /* NULL: it is right */
    } cases[] = {
        {"{}", NULL},
        {"worker_cores: 2\nworker_memory: 1\nimage: a/b:c\ngpu: true\nprofile: big\nenvironment: {A: b}", NULL},
        {"worker_memory: 0.5", NULL},
        {"worker_cores: 9", "s.yaml:1:15: the gateway's option worker_cores must be at most 2"},
        {"worker_cores: 0", "at least 1"},
        {"worker_cores: 1.5", "a whole number"},
        {"worker_cores: '1'", "a whole number"},
        {"worker_memory: much", "a number"},
        {"worker_memory: 2.01", "at most 2"},
        {"image: 7", "a text"},
        {"gpu: 1", "true or false"},
        {"profile: huge", "one of small, big"},
        {"environment: [A]", "a map"},
        {"worker-cores: 1", "s.yaml:1:1: the gateway uni has no option worker-cores: it has worker_cores, worker_memory, image, gpu, profile, environment"},
    };
    cJSON *answer = offered();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Error error = {0};
        char line[ERROR_LINE];
        Tree *tree = tree_parse("s.yaml", cases[i].text, strlen(cases[i].text), &error);
        assert_non_null(tree);
        assert_int_equal(options_check(answer, tree, "uni", &error), !cases[i].wish);
        if (cases[i].wish && !strstr(error_line(&error, line, sizeof line), cases[i].wish))
            fail_msg("%s: %s", cases[i].text, line);
        tree_free(tree);
    }
    cJSON_Delete(answer);
}

static void options_in_words(void **state)
{
    (void)state;
    static const char text[] = "profile: big\nenvironment: {PASSWORD: hush}";
    Buffer words;
    buffer_init(&words, 2000);
    cJSON *answer = offered();
    Tree *tree = tree_parse("s.yaml", text, sizeof text - 1, NULL);
    options_words(answer, tree, &words);
    assert_string_equal(words.bytes, "worker_cores: 1 (1 to 2), worker_memory: 1 (0.5 to 2), image: daskgateway/dask-gateway:latest, gpu: false, "
                                     "profile: big (of small, big), environment: given");
    tree_free(tree);
    cJSON_Delete(answer);
    static const char offer[] = "{\"cluster_options\": [{\"field\": \"api_token\", \"default\": \"\", \"spec\": {\"type\": \"string\"}}]}";
    static const char secret[] = "api_token: hush";
    buffer_clear(&words);
    answer = json_parse(offer, sizeof offer - 1, "offer", NULL);
    tree = tree_parse("s.yaml", secret, sizeof secret - 1, NULL);
    options_words(answer, tree, &words);
    assert_string_equal(words.bytes, "api_token: given");
    tree_free(tree);
    cJSON_Delete(answer);
    buffer_done(&words);
}

static void templates(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value;
    } cases[] = {{"", ""}, {"plain", "plain"}, {"{GW_A}", "one"}, {"http://{GW_A}:{GW_B}/", "http://one:two/"}, {"{{GW_A}}", "{GW_A}"}, {"}}", "}"}, {"{NOT_THERE}", NULL},
                 {"{GW_A", NULL}, {"{", NULL}, {"{}", NULL}};
    setenv("GW_A", "one", 1);
    setenv("GW_B", "two", 1);
    unsetenv("NOT_THERE");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Error error = {0};
        char *value = gateway_template(cases[i].text, "uni", &error);
        if (cases[i].value)
            assert_string_equal(value, cases[i].value);
        else
            assert_true(!value && error.code == ERROR_ABSENT);
        free(value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_clusters), cmocka_unit_test(odd_clusters), cmocka_unit_test(answers_that_are_cut), cmocka_unit_test(options_are_checked),
        cmocka_unit_test(options_in_words),  cmocka_unit_test(templates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
