#include "backends/make.h"
#include "core/place.h"

#include "backends/kubernetes/kubeconfig.h"


/* "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" */
#define PEM "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="

static Kubeconfig *read_text(const char *text, Error *error)
{
    char *path = place_write("config", text);
    KubeSources sources = {.file = path};
    Kubeconfig *config = kubeconfig_read(&sources, error);
    free(path);
    return config;
}

static Kubeconfig *must_read(const char *text)
{
    Error error = {0};
    Kubeconfig *config = read_text(text, &error);
    if (!config)
        fail_msg("%s: %s", error.where, error.what);
    return config;
}

static const KubeContext *must_find(const Kubeconfig *config, const char *name)
{
    Error error = {0};
    const KubeContext *context = kubeconfig_find(config, name, &error);
    if (!context)
        fail_msg("%s: %s", error.where, error.what);
    return context;
}

/* A context "c" of these two entries. */
static char *with_entries(const char *cluster, const char *user)
{
    char *text;
    assert_true(asprintf(&text, "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: k, cluster: {%s}}]\n"
                                "users: [{name: u, user: {%s}}]\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n", cluster, user) > 0);
    return text;
}

/* ------------------------------------------------------------------------------------------------------------------------ */

static void an_ordinary_file(void **state)
{
    (void)state;
    Kubeconfig *config = must_read(
        "apiVersion: v1\nkind: Config\npreferences: {}\ncurrent-context: prod\n"
        "clusters:\n- name: big\n  cluster:\n    server: https://big.example:6443/k8s/clusters/c-1/\n    certificate-authority-data: " PEM "\n"
        "    tls-server-name: api.big.example\n    proxy-url: socks5://proxy.example:1080\n    disable-compression: true\n"
        "- name: bare\n  cluster: {server: 'https://bare.example', insecure-skip-tls-verify: true}\n"
        "users:\n- name: ada\n  user: {token: tok-123}\n- name: bob\n  user: {username: bob, password: 'pw: #1'}\n"
        "contexts:\n- {name: prod, context: {cluster: big, user: ada, namespace: dask}}\n- {name: test, context: {cluster: bare, user: bob}}\n"
        "- {name: nobody, context: {cluster: bare}}\n");
    assert_int_equal(config->count, 3);
    const KubeContext *prod = must_find(config, NULL), *test = must_find(config, "test"), *nobody = must_find(config, "nobody");
    assert_string_equal(prod->name, "prod");
    assert_string_equal(prod->namespace, "dask");
    assert_string_equal(prod->cluster->server, "https://big.example:6443/k8s/clusters/c-1");
    assert_string_equal(prod->cluster->tls_server_name, "api.big.example");
    assert_string_equal(secret_reveal(prod->cluster->proxy), "socks5h://proxy.example:1080");
    assert_string_equal(prod->cluster->ca, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_true(prod->cluster->uncompressed && !prod->cluster->insecure);
    assert_string_equal(secret_reveal(prod->user->token), "tok-123");
    assert_true(test->cluster->insecure && !test->namespace);
    assert_string_equal(test->user->username, "bob");
    assert_string_equal(secret_reveal(test->user->password), "pw: #1");
    assert_ptr_equal(test->cluster, nobody->cluster);
    assert_null(nobody->user);
    for (size_t i = 0; i < config->count; i++)
        assert_int_equal(config->contexts[i].problem.code, ERROR_OK);
    kubeconfig_drop(config);
}

static void json_is_read_too(void **state)
{
    (void)state;
    Kubeconfig *config = must_read("{\"kind\": \"Config\", \"apiVersion\": \"v1\", \"current-context\": \"c\",\n"
                                   " \"clusters\": [{\"name\": \"k\", \"cluster\": {\"server\": \"https:\\/\\/h:1\"}}],\n"
                                   " \"users\": [{\"name\": \"u\", \"user\": {\"token\": \"t\\u0041\"}}],\n"
                                   " \"contexts\": [{\"name\": \"c\", \"context\": {\"cluster\": \"k\", \"user\": \"u\"}}]}\n");
    assert_string_equal(must_find(config, NULL)->cluster->server, "https://h:1");
    assert_string_equal(secret_reveal(must_find(config, NULL)->user->token), "tA");
    kubeconfig_drop(config);
}

/* Whole entries of the first file that has them; current-context of the first that sets it; paths from each file's own folder. */
static void lists_are_merged(void **state)
{
    (void)state;
    char *one = place_write("a/one", "clusters: [{name: k, cluster: {server: 'https://one'}}]\nusers: [{name: u, user: {tokenFile: tok}}]\n"
                                    "contexts: [{name: x, context: {cluster: k, user: u, namespace: first}}]\n");
    char *two = place_write("b/two", "current-context: y\n"
                                    "clusters: [{name: k, cluster: {server: 'https://two', insecure-skip-tls-verify: true}}, {name: l, cluster: {server: 'https://l', certificate-authority: ca.pem}}]\n"
                                    "users: [{name: u, user: {token: other}}, {name: v, user: {client-certificate: ../c.pem, client-key: /k.pem,"
                                    " exec: {apiVersion: client.authentication.k8s.io/v1, command: ./bin/login, interactiveMode: Never}}}]\n"
                                    "contexts: [{name: x, context: {cluster: l, user: v}}, {name: y, context: {cluster: l, user: v}}]\n");
    char *three = place_write("three", "current-context: x\n"), list[512], path[256];
    snprintf(list, sizeof list, ":%s:%s/missing:%s::%s:", one, place, two, three);
    KubeSources sources = {.list = list, .home = "/nonexistent"};
    Error error = {0};
    Kubeconfig *config = kubeconfig_read(&sources, &error);
    assert_non_null(config);
    assert_int_equal(config->files.count, 3);
    assert_int_equal(config->count, 2);
    const KubeContext *x = must_find(config, "x"), *y = must_find(config, NULL);
    assert_string_equal(y->name, "y");
    assert_string_equal(x->cluster->server, "https://one");
    assert_string_equal(x->namespace, "first");
    assert_false(x->cluster->insecure);
    assert_null(x->user->token);
    snprintf(path, sizeof path, "%s/a/tok", place);
    assert_string_equal(x->user->token_file, path);
    snprintf(path, sizeof path, "%s/b/ca.pem", place);
    assert_string_equal(y->cluster->ca_file, path);
    snprintf(path, sizeof path, "%s/b/../c.pem", place);
    assert_string_equal(y->user->cert_file, path);
    assert_string_equal(y->user->key_file, "/k.pem");
    snprintf(path, sizeof path, "%s/b/./bin/login", place);
    assert_string_equal(y->user->exec->command.items[0], path);
    kubeconfig_drop(config);
    free(one);
    free(two);
    free(three);
}

static void the_home_s_own(void **state)
{
    (void)state;
    char *path = place_write(".kube/config", "current-context: c\nclusters: [{name: k, cluster: {server: 'https://home'}}]\ncontexts: [{name: c, context: {cluster: k}}]\n");
    KubeSources sources = {.home = place, .list = ""};
    Kubeconfig *config = kubeconfig_read(&sources, NULL);
    assert_non_null(config);
    assert_string_equal(must_find(config, NULL)->cluster->server, "https://home");
    kubeconfig_drop(config);
    unlink(path);
    free(path);
    Error error = {0};
    assert_null(kubeconfig_read(&sources, &error));
    assert_int_equal(error.code, ERROR_ABSENT);
    sources = (KubeSources){.file = "/nonexistent/config"};
    assert_null(kubeconfig_read(&sources, &error));
    assert_int_equal(error.code, ERROR_ABSENT);
    assert_string_equal(error.where, "/nonexistent/config");
}

static void inside_of_a_pod(void **state)
{
    (void)state;
    char *token = place_write("sa/token", "abc\n"), *ca = place_write("sa/ca.crt", "x"), *space = place_write("sa/namespace", "dask\n"), folder[128];
    snprintf(folder, sizeof folder, "%s/sa", place);
    KubeSources sources = {.home = "/nonexistent", .service_account = folder, .service_host = "fd00::1", .service_port = "443"};
    Kubeconfig *config = kubeconfig_read(&sources, NULL);
    assert_non_null(config);
    assert_true(config->in_cluster);
    const KubeContext *context = must_find(config, NULL);
    assert_int_equal(context->problem.code, ERROR_OK);
    assert_string_equal(context->name, "in-cluster");
    assert_string_equal(context->namespace, "dask");
    assert_string_equal(context->cluster->server, "https://[fd00::1]:443");
    assert_string_equal(context->cluster->ca_file, ca);
    assert_string_equal(context->user->token_file, token);
    kubeconfig_drop(config);
    /* A file that names contexts comes first. */
    char *file = place_write("own", "contexts: [{name: c, context: {cluster: k}}]\nclusters: [{name: k, cluster: {server: 'https://k'}}]\n");
    sources.list = file;
    config = kubeconfig_read(&sources, NULL);
    assert_false(config->in_cluster);
    kubeconfig_drop(config);
    sources = (KubeSources){.home = "/nonexistent", .service_account = folder, .service_host = "10.0.0.1"};
    assert_null(kubeconfig_read(&sources, NULL));
    free(token), free(ca), free(space), free(file);
}

static void who_one_acts_as(void **state)
{
    (void)state;
    char *text = with_entries("server: 'https://h'", "token: t, as: ada, as-uid: 17, as-groups: [dev, 'a b'], as-user-extra: {'scopes/é': [one, two]}");
    Kubeconfig *config = must_read(text);
    const List *headers = &must_find(config, NULL)->user->impersonate;
    static const char *const wanted[] = {"Impersonate-User: ada", "Impersonate-Uid: 17", "Impersonate-Group: dev", "Impersonate-Group: a b",
                                         "Impersonate-Extra-scopes%2F%C3%A9: one", "Impersonate-Extra-scopes%2F%C3%A9: two"};
    assert_int_equal(headers->count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(headers->items[i], wanted[i]);
    kubeconfig_drop(config);
    free(text);
}

static void programs(void **state)
{
    (void)state;
    char *text = with_entries("server: 'https://h', extensions: [{name: other, extension: 1}, {name: client.authentication.k8s.io/exec, extension: {audience: x, n: 3}}]",
                              "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: aws, args: [eks, get-token, 5],"
                              " env: [{name: AWS_PROFILE, value: dev}, {name: EMPTY}], provideClusterInfo: true, interactiveMode: Always, installHint: get it}");
    Kubeconfig *config = must_read(text);
    const KubeContext *context = must_find(config, NULL);
    const KubeExec *exec = context->user->exec;
    assert_string_equal(exec->version, "client.authentication.k8s.io/v1beta1");
    assert_int_equal(exec->command.count, 4);
    assert_string_equal(exec->command.items[0], "aws");
    assert_string_equal(exec->command.items[3], "5");
    assert_string_equal(exec->environment.items[0], "AWS_PROFILE=dev");
    assert_string_equal(exec->environment.items[1], "EMPTY=");
    assert_true(exec->wants_cluster && exec->wants_terminal);
    assert_string_equal(exec->install_hint, "get it");
    assert_string_equal(context->cluster->exec_config, "{\"audience\":\"x\",\"n\":3}");
    kubeconfig_drop(config);
    free(text);
}

static void servers_without_a_scheme(void **state)
{
    (void)state;
    static const struct {
        const char *cluster, *server;
    } cases[] = {{"server: 'localhost:8080'", "http://localhost:8080"}, {"server: 'h:6443', insecure-skip-tls-verify: true", "https://h:6443"},
                 {"server: 'h:6443', certificate-authority: x", "https://h:6443"}, {"server: 'http://h//'", "http://h"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = with_entries(cases[i].cluster, "token: t");
        Kubeconfig *config = must_read(text);
        assert_string_equal(must_find(config, NULL)->cluster->server, cases[i].server);
        kubeconfig_drop(config);
        free(text);
    }
}

/* A broken entry spoils its own context: with one line, which names the file, and never says a secret. */
static void broken_entries(void **state)
{
    (void)state;
    static const struct {
        const char *cluster, *user, *says;
    } cases[] = {
        {"certificate-authority-data: " PEM, "token: t", "it has no server"},
        {"server: 'ftp://h'", "token: t", "neither http nor https"},
        {"server: 'https://'", "token: t", "cannot be understood"},
        {"server: 'https://h ost'", "token: t", "cannot be understood"},
        {"server: 'https://me:SECRET@h'", "token: t", "holds a password"},
        {"server: [SECRET]", "token: t", "server must be a text"},
        {"server: 'https://h', certificate-authority-data: '***SECRET'", "token: t", "no base64 of a PEM"},
        {"server: 'https://h', certificate-authority-data: U0VDUkVU", "token: t", "no base64 of a PEM"},
        {"server: 'https://h', certificate-authority: x, insecure-skip-tls-verify: true", "token: t", "not to be verified"},
        {"server: 'https://h', insecure-skip-tls-verify: maybe", "token: t", "true or false"},
        {"server: 'https://h', proxy-url: 'ftp://u:SECRET@h'", "token: t", "proxy-url cannot be used"},
        {"server: 'https://h', tls-server-name: 'a:1'", "token: t", "no host name"},
        {"server: 'https://h'", "client-certificate-data: " PEM, "without its key"},
        {"server: 'https://h'", "client-certificate-data: SECRET, client-key-data: SECRET", "client-certificate-data is no base64"},
        {"server: 'https://h'", "token: SECRET, username: u, password: SECRET", "both a token and a user name"},
        {"server: 'https://h'", "token: {a: SECRET}", "token must be a text"},
        {"server: 'https://h'", "auth-provider: {name: gcp, config: {access-token: SECRET}}", "auth-provider gcp is not supported"},
        {"server: 'https://h'", "token: SECRET, as-groups: [dev]", "not as whom"},
        {"server: 'https://h'", "token: SECRET, as: \"a\\nX-Evil: SECRET\"", "no header may hold"},
        {"server: 'https://h'", "exec: {apiVersion: client.authentication.k8s.io/v1}", "has no command"},
        {"server: 'https://h'", "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}", "v1 or v1beta1"},
        {"server: 'https://h'", "exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Often}", "Never, IfAvailable or Always"},
        {"server: 'https://h'", "exec: {apiVersion: client.authentication.k8s.io/v1, command: x, args: SECRET}", "a list of texts"},
        {"server: 'https://h'", "exec: {apiVersion: client.authentication.k8s.io/v1, command: x, env: [{value: SECRET}]}", "env of its exec"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = with_entries(cases[i].cluster, cases[i].user), line[ERROR_LINE];
        Kubeconfig *config = must_read(text);
        const Error *problem = &must_find(config, NULL)->problem;
        assert_int_equal(problem->code, ERROR_USAGE);
        error_line(problem, line, sizeof line);
        if (!strstr(line, cases[i].says) || strstr(line, "SECRET") || strncmp(line, place, strlen(place)) != 0)
            fail_msg("case %zu: %s", i, line);
        kubeconfig_drop(config);
        free(text);
    }
}

static void contexts_that_hang_in_the_air(void **state)
{
    (void)state;
    Kubeconfig *config = must_read("clusters: [{name: k, cluster: {server: 'https://h'}}]\n"
                                   "contexts: [{name: a, context: {cluster: gone, user: u}}, {name: b, context: {cluster: k, user: gone}}, {name: c, context: {}}, {name: d, context: {cluster: k}}]\n");
    Error error = {0};
    assert_non_null(strstr(must_find(config, "a")->problem.what, "names cluster gone"));
    assert_non_null(strstr(must_find(config, "b")->problem.what, "names user gone"));
    assert_non_null(strstr(must_find(config, "c")->problem.what, "names no cluster"));
    assert_int_equal(must_find(config, "d")->problem.code, ERROR_OK);
    assert_null(kubeconfig_find(config, NULL, &error));
    assert_int_equal(error.code, ERROR_ABSENT);
    assert_null(kubeconfig_find(config, "e", &error));
    assert_int_equal(error.code, ERROR_USAGE);
    kubeconfig_drop(config);
}

/* What is no kubeconfig at all: one line with the file. */
static void broken_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"clusters: [", "not YAML"},
        {"- a\n- b\n", "no kubeconfig"},
        {"kind: Pod\napiVersion: v1\n", "no kubeconfig"},
        {"clusters: {k: {server: h}}\n", "clusters must be a list"},
        {"users: [{user: {token: SECRET}}]\n", "each of users must have a name"},
        {"users: [{name: u, user: SECRET}]\n", "user u must be a map"},
        {"contexts: [{name: c, context: {}}, {name: c, context: {}}]\n", "context c stands here twice"},
        {"contexts: [7]\n", "each of contexts must have a name"},
        {"", "it has no contexts"},
        {"clusters:\nusers: null\n", "it has no contexts"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Error error = {0};
        char line[ERROR_LINE];
        assert_null(read_text(cases[i].text, &error));
        error_line(&error, line, sizeof line);
        if (!strstr(line, cases[i].says) || strstr(line, "SECRET") || strncmp(line, place, strlen(place)) != 0)
            fail_msg("case %zu: %s", i, line);
    }
    /* One broken file of a list spoils it, as for kubectl. */
    char *right = place_write("right", "contexts: [{name: c, context: {}}]\n"), *wrong = place_write("wrong", "a: [\n"), list[256];
    snprintf(list, sizeof list, "%s:%s", right, wrong);
    Error error = {0};
    KubeSources sources = {.list = list};
    assert_null(kubeconfig_read(&sources, &error));
    assert_non_null(strstr(error.where, "wrong"));
    sources = (KubeSources){.list = place};
    assert_null(kubeconfig_read(&sources, &error));
    free(right), free(wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordinary_file), cmocka_unit_test(json_is_read_too), cmocka_unit_test(lists_are_merged), cmocka_unit_test(the_home_s_own),
        cmocka_unit_test(inside_of_a_pod), cmocka_unit_test(who_one_acts_as), cmocka_unit_test(programs), cmocka_unit_test(servers_without_a_scheme),
        cmocka_unit_test(broken_entries), cmocka_unit_test(contexts_that_hang_in_the_air), cmocka_unit_test(broken_files),
    };
    return cmocka_run_group_tests(tests, place_begin, place_end);
}
