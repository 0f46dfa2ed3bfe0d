/* What Jupyter servers and Dask's extension answer, and what a row makes of it: recorded answers, pure. */
#include "backends/make.h"

#include "backends/jupyter/jupyter.h"
#include "base/mem.h"

#include <unistd.h>

static NotebookServer *parse_server(const char *text)
{
    return notebook_server_parse(text, strlen(text));
}

static void a_runtime_file(void **state)
{
    (void)state;
    Buffer text = capture("jupyter/runtime-jpserver.json");
    NotebookServer *server = notebook_server_parse(text.bytes, text.length);
    assert_string_equal(server->name, "localhost:18888");
    assert_string_equal(server->url, "http://127.0.0.1:18888/");
    assert_string_equal(server->root, "/home/user/notebooks");
    assert_string_equal(secret_reveal(server->token), "jptoken123");
    assert_int_equal(server->pid, 1434);
    assert_false(server->here || server->has_password);
    notebook_server_free(server);
    for (size_t n = 0; n < text.length; n++)
        assert_null(notebook_server_parse(text.bytes, n)); /* while it is written */
    buffer_done(&text);
    server = parse_server("{\"base_url\": \"/user/ada\", \"pid\": 7, \"port\": 0, \"sock\": \"/run/j.sock\", \"token\": \"\", \"password\": true, \"url\": \"http+unix://x\"}");
    assert_string_equal(server->name, "/run/j.sock");
    assert_string_equal(server->url, "http://localhost/user/ada/");
    assert_string_equal(server->socket, "/run/j.sock");
    assert_null(server->token);
    assert_true(server->has_password);
    notebook_server_free(server);
    server = parse_server("{\"pid\": 7, \"port\": 8889, \"url\": \"https://n1:8889/base\", \"notebook_dir\": \"/old\", \"base_url\": \"x\\ny\"}");
    assert_string_equal(server->url, "https://n1:8889/base/");
    assert_string_equal(server->name, "localhost:8889/base");
    assert_string_equal(server->root, "/old");
    notebook_server_free(server);
    static const char *const none[] = {"", "null", "[]", "{}", "{\"pid\": 1}", "{\"pid\": 1, \"port\": 70000, \"url\": \"http://x/\"}",
                                       "{\"pid\": 0, \"port\": 1, \"url\": \"http://x/\"}", "{\"pid\": 1, \"port\": 1, \"url\": \"file:///etc\"}", "{\"pid\": 1, \"port\": 1, \"url\": \"http:\"}",
                                       "{\"pid\": 1, \"port\": 1, \"url\": \"http://x/\\r\\nHost: y\"}"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_null(parse_server(none[i]));
}

static void addresses_as_people_have_them(void **state)
{
    (void)state;
    static const struct {
        const char *given, *url, *name, *token;
    } cases[] = {
        {"http://localhost:8888/", "http://localhost:8888/", "localhost:8888", NULL},
        {"http://127.0.0.1:8888/lab?token=abc&x=1", "http://127.0.0.1:8888/", "localhost:8888", "abc"},
        {"http://localhost:8888/tree?a=b&token=q#frag", "http://localhost:8888/", "localhost:8888", "q"},
        {"http://127.0.0.1:8889/base/lab?token=abc", "http://127.0.0.1:8889/base/", "localhost:8889/base", "abc"},
        {"https://hub.example.org/user/ada", "https://hub.example.org/user/ada/", "hub.example.org/user/ada", NULL},
        {"https://hub.example.org:444/user/ada/lab/", "https://hub.example.org:444/user/ada/", "hub.example.org:444/user/ada", NULL},
        {"http://[2001:db8::1]:9/", "http://[2001:db8::1]:9/", "[2001:db8::1]:9", NULL},
        {"http://n1/lab", "http://n1/", "n1", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        NotebookServer *server = notebook_server_at(cases[i].given, NULL, NULL);
        assert_non_null(server);
        assert_string_equal(server->url, cases[i].url);
        assert_string_equal(server->name, cases[i].name);
        if (cases[i].token)
            assert_string_equal(secret_reveal(server->token), cases[i].token);
        else
            assert_null(server->token);
        notebook_server_free(server);
    }
    static const char *const none[] = {"", "localhost:8888", "ftp://x/", "http://", "http:///x", "http://x:0/", "http://x:99999/", "http://a b/", "http://u@x/", "http://[::1/", "http://x/\n"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_null(notebook_server_at(none[i], NULL, NULL));
    NotebookServer *server = notebook_server_at("http://x/?token=a", secret_new("mine", 4), NULL); /* the config's own word counts more */
    assert_string_equal(secret_reveal(server->token), "mine");
    notebook_server_free(server);
}

static void clusters_as_they_are_listed(void **state)
{
    (void)state;
    JupyterClusters list;
    Error error = {0};
    Buffer text = capture("jupyter/clusters-list-2.json");
    assert_true(jupyter_decode(text.bytes, text.length, "t", false, &list, &error));
    assert_int_equal(list.count, 1);
    const JupyterCluster *one = &list.items[0];
    assert_string_equal(one->id, "5103a765-516a-4a08-a16d-a5035f888dbe");
    assert_string_equal(one->name, "LocalCluster 1");
    assert_string_equal(one->address, "tcp://127.0.0.1:46607");
    assert_int_equal(one->workers, 2);
    assert_int_equal(one->adaptive, 0);
    jupyter_clusters_done(&list);
    assert_false(jupyter_decode(text.bytes, text.length, "t", true, &list, &error));
    for (size_t n = 0; n < text.length - 1; n++)
        assert_false(jupyter_decode(text.bytes, n, "t", false, &list, &error));
    buffer_done(&text);
    text = capture("jupyter/cluster-get-adapt.json");
    assert_true(jupyter_decode(text.bytes, text.length, "t", true, &list, &error));
    assert_int_equal(list.items[0].adaptive, 1);
    assert_int_equal(list.items[0].minimum, 0);
    assert_int_equal(list.items[0].maximum, 2);
    jupyter_clusters_done(&list);
    buffer_done(&text);
    text = capture("jupyter/companion-list.json");
    assert_true(jupyter_decode(text.bytes, text.length, "t", false, &list, &error));
    assert_int_equal(list.items[0].threads, 1); /* said as 1.0 */
    jupyter_clusters_done(&list);
    buffer_done(&text);
}

static void sessions_and_kernels(void **state)
{
    (void)state;
    NotebookSessions list;
    Error error = {0};
    Buffer text = capture("jupyter/origin-sessions-notebook-console.json");
    assert_true(notebook_sessions_decode(text.bytes, text.length, "t", &list, &error));
    assert_int_equal(list.count, 2);
    assert_string_equal(notebook_session_of(&list, "9c1a4ebc-5be9-4e40-9b4f-d07da57ed0fc")->path, "proj/analysis.ipynb");
    assert_string_equal(notebook_session_of(&list, "7bbc9690-e405-45ec-bf14-24c77bdf76bd")->kind, "console");
    assert_null(notebook_session_of(&list, "none"));
    notebook_sessions_done(&list);
    buffer_done(&text);
    static const char good[] = "[{\"path\": 1, \"kernel\": {\"id\": \"a\"}}, {\"path\": \"b\"}, {\"path\": \"c\", \"kernel\": {\"id\": \"d\"}}, 7]";
    assert_true(notebook_sessions_decode(good, strlen(good), "t", &list, &error));
    assert_int_equal(list.count, 1);
    notebook_sessions_done(&list);
    assert_false(notebook_sessions_decode("{}", 2, "t", &list, &error));
    static const struct {
        const char *argv, *id;
    } cases[] = {
        {"python3|-m|ipykernel_launcher|-f|/home/ann/runtime/kernel-9c1a-4e.json", "9c1a-4e"},
        {"python3|-m|ipykernel_launcher|-f|kernel-.json", NULL},
        {"python3|-m|ipykernel_launcher|-f|/tmp/tmp0.json|--HistoryManager.hist_file=:memory:", NULL},
        {"python3|x.py", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        List argv = split(cases[i].argv, '|');
        char *id = notebook_kernel_id(&argv);
        if (cases[i].id)
            assert_string_equal(id, cases[i].id);
        else
            assert_null(id);
        free(id);
        list_done(&argv);
    }
}

typedef struct Scene {
    JupyterBackend own;
    NotebookServer server;
    JupyterCluster cluster;
    JupyterUses uses;
    JupyterReach reach;
    JupyterRow row;
} Scene;

static void set_up(Scene *scene, const char *name, const char *address, bool here)
{
    *scene = (Scene){.server = {.name = (char *)"localhost:1", .url = (char *)"http://x:1/", .root = (char *)"/work", .here = here, .pid = 4, .start = 5},
                     .cluster = {.id = (char *)"i d", .name = (char *)(uintptr_t)name, .address = (char *)(uintptr_t)address,
                                 .dashboard = (char *)"http://127.0.0.1:8787/status", .workers = 2, .threads = 4}};
    jupyter_reach(&scene->own, &scene->server, &scene->cluster, &scene->reach);
}

static const RecordFields *row_of(Scene *scene, const ProbeFacts *facts)
{
    jupyter_row(&scene->server, &scene->cluster, &scene->reach, &scene->uses, facts, NULL, &scene->row);
    return &scene->row.fields;
}

static void scene_done(Scene *scene)
{
    jupyter_row_done(&scene->row);
    jupyter_reach_done(&scene->reach);
}

static bool can(const RecordFields *fields, Capability capability)
{
    return fields->can & 1u << capability;
}

static void how_schedulers_are_reached(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        bool here, comm, perhaps;
        const char *base;
    } cases[] = {
        {"tcp://127.0.0.1:1", true, true, false, NULL},
        {"tcp://192.0.2.1:1", true, true, false, NULL},
        {"tls://127.0.0.1:1", true, false, false, "http://127.0.0.1:8787"}, /* without certificates */
        {"inproc://127.0.0.1/5/1", true, false, false, "http://127.0.0.1:8787"},
        {"gateway://h:1/name", true, false, false, "http://127.0.0.1:8787"},
        {"tcp://127.0.0.1:1", false, false, false, "dask/dashboard/i%20d"}, /* its loopback is not ours */
        {"tcp://192.0.2.1:1", false, false, true, "dask/dashboard/i%20d"},
        {NULL, false, false, false, "dask/dashboard/i%20d"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Scene scene;
        set_up(&scene, "x", cases[i].address, cases[i].here);
        assert_int_equal(scene.reach.comm, cases[i].comm);
        assert_int_equal(scene.reach.perhaps, cases[i].perhaps);
        if (cases[i].base)
            assert_string_equal(scene.reach.http_base, cases[i].base);
        else
            assert_null(scene.reach.http_base);
        const RecordFields *fields = row_of(&scene, NULL);
        for (int c = 0; c < CAN_COUNT; c++)
            assert_false(can(fields, (Capability)c) && fields->cannot[c]);
        assert_true(can(fields, CAN_DELETE));
        if (!cases[i].comm && !cases[i].perhaps)
            assert_non_null(fields->cannot[CAN_CONNECT]);
        scene_done(&scene);
    }
}

static void rows_of_clusters(void **state)
{
    (void)state;
    static const struct {
        const char *name, *type;
    } types[] = {{"LocalCluster 1", "LocalCluster"}, {"KubeCluster 12", "KubeCluster"}, {"My LocalCluster 1", "Cluster"}, {"Cluster 1", "Cluster"}, {"big", "Cluster"}, {"LocalCluster x", "Cluster"}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        Scene scene;
        set_up(&scene, types[i].name, "tcp://127.0.0.1:1", true);
        assert_string_equal(row_of(&scene, NULL)->type, types[i].type);
        scene_done(&scene);
    }
    Scene scene;
    ProbeFacts facts = {.result = PROBE_ANSWERED, .role = DASK_SCHEDULER, .id = (char *)"Scheduler-1", .workers = 3, .threads = 3, .memory = 9, .busy = 0,
                        .started_ms = 1000, .idle_since_ms = 5000, .counts_ms = 1, .counts.clients = 0};
    set_up(&scene, "LocalCluster 1", "tcp://127.0.0.1:1", true);
    JupyterUse uses[] = {{(char *)"a.ipynb", NULL, 7}, {(char *)"b.ipynb", NULL, 8}, {(char *)"Console 1", NULL, 9}, {(char *)"kernel 0985d6d4", NULL, 10}};
    scene.uses = (JupyterUses){.items = uses, .count = 4, .known = true};
    const RecordFields *fields = row_of(&scene, &facts);
    assert_string_equal(fields->uid, "Scheduler-1");
    assert_int_equal(fields->workers_ready, 3);
    assert_string_equal(fields->origin.how, "used by a.ipynb, b.ipynb, Console 1 and 1 more");
    assert_string_equal(fields->labels[0].value, "a.ipynb, b.ipynb, Console 1, kernel 0985d6d4");
    assert_null(fields->gone);
    assert_int_equal(fields->last_active_ms, 5000);
    scene_done(&scene);
    set_up(&scene, "LocalCluster 1", "tcp://127.0.0.1:1", true);
    facts = (ProbeFacts){.result = PROBE_REFUSED, .busy = -1, .started_ms = TIME_UNKNOWN, .idle_since_ms = TIME_UNKNOWN, .counts_ms = TIME_UNKNOWN};
    fields = row_of(&scene, &facts);
    assert_non_null(fields->gone); /* refused by this very host */
    assert_non_null(strstr(fields->uid, "i d-tcp://127.0.0.1:1"));
    assert_false(can(fields, CAN_SCALE));
    scene_done(&scene);
    set_up(&scene, "LocalCluster 1", "tcp://192.0.2.1:1", true);
    fields = row_of(&scene, &facts);
    assert_null(fields->gone); /* by another host: no proof */
    assert_null(fields->uid);
    scene_done(&scene);
    facts.result = PROBE_SILENT;
    set_up(&scene, "LocalCluster 1", "tcp://127.0.0.1:1", true);
    fields = row_of(&scene, &facts);
    assert_null(fields->gone);
    assert_null(fields->uid);
    assert_int_equal(fields->status, STATUS_UNRESPONSIVE);
    scene_done(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_runtime_file),       cmocka_unit_test(addresses_as_people_have_them), cmocka_unit_test(clusters_as_they_are_listed),
        cmocka_unit_test(sessions_and_kernels), cmocka_unit_test(how_schedulers_are_reached),    cmocka_unit_test(rows_of_clusters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
