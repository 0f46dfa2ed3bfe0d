/* Dask's places and merge rules, what is checked, and what the system's own files forbid. */
#include "core/place.h"

#include "core/backend.h"

static bool open_none(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
    (void)config, (void)context, (void)opened, (void)error;
    return true;
}

static const char *is_address(const char *text)
{
    return strstr(text, "://") ? NULL : "an address";
}

static const char *not_both(const Tree *options)
{
    return tree_get(options, "addresses") && tree_get(options, "owner") ? "has addresses or an owner, not both" : NULL;
}

static const ConfigKey tls_keys[] = {{.name = "ca-file", .kind = KEY_TEXT}, {0}};
static const ConfigKey exec_keys[] = {{.name = "command", .kind = KEY_TEXTS, .required = true}, {0}};
static const ConfigKey slurm_keys[] = {
    {.name = "addresses", .kind = KEY_TEXTS, .check = is_address},
    {.name = "owner", .kind = KEY_TEXT, .standard = "me"},
    {.name = "port", .kind = KEY_INTEGER, .standard = "22"},
    {.name = "all-users", .kind = KEY_BOOL, .standard = "true"},
    {.name = "token", .kind = KEY_SECRET},
    {.name = "tls", .kind = KEY_MAP, .keys = tls_keys},
    {.name = "config", .kind = KEY_MAP},
    {.name = "servers", .kind = KEY_MAPS, .keys = exec_keys},
    {0},
};
static const BackendType local = {.name = "local", .automatic = true, .open = open_none},
                         slurm = {.name = "slurm", .automatic = true, .refresh_ms = 30000, .timeout_ms = 9000, .keys = slurm_keys, .check = not_both, .open = open_none},
                         exec = {.name = "exec", .keys = exec_keys, .open = open_none};
static const BackendType *const types[] = {&local, &slurm, &exec, NULL};

static char *home_variable;

/* Loads from a clean place with these files ("name\0text" pairs), a --config FILE and variables. */
static Config *load(const char *file, const char *const *variables, bool read_only)
{
    const char *environment[16] = {home_variable};
    for (size_t i = 0; variables && variables[i]; i++)
        environment[i + 1] = variables[i];
    ConfigSources sources = {.file = file, .environment = environment, .root = place, .read_only = read_only};
    return config_load(&sources, types);
}

static void put_file(const char *name, const char *text)
{
    free(place_write(name, text));
}

static int fresh(void **state)
{
    if (place_begin(state) != 0)
        return -1;
    home_variable = mem_format("HOME=%s", place);
    return 0;
}

static int clear(void **state)
{
    free(home_variable);
    return place_end(state);
}

/* The only problem, in this place, with these words. */
static void expect_problem(const Config *config, const char *at, const char *words)
{
    assert_int_equal(config->problems.count, 1);
    char *wanted = mem_format("%s/%s", place, at);
    if (!strstr(config->problems.items[0], wanted) || !strstr(config->problems.items[0], words) || strchr(config->problems.items[0], '\n'))
        fail_msg("%s does not say %s%s", config->problems.items[0], wanted, words);
    free(wanted);
}

/* One file in the home that has exactly one problem; the config is the caller's. */
static Config *load_wrong(const char *text, const char *line_column, const char *words)
{
    put_file(".config/dask/x.yaml", text);
    Config *config = load(NULL, NULL, false);
    char *at = mem_format(".config/dask/x.yaml:%s", line_column);
    expect_problem(config, at, words);
    free(at);
    return config;
}

static const BackendConfig *backend(const Config *config, const char *key)
{
    const BackendConfig *found = NULL;
    for (size_t i = 0; i < config->backend_count; i++)
        if (strcmp(config->backends[i].key, key) == 0) {
            assert_null(found);
            found = &config->backends[i];
        }
    return found;
}

static void nothing_at_all(void **state)
{
    (void)state;
    Config *config = load(NULL, NULL, false);
    assert_int_equal(config->problems.count, 0);
    assert_int_equal(config->files.count, 0);
    assert_int_equal(config->backend_count, 2); /* the automatic ones, in the registry's order */
    assert_string_equal(config->backends[0].key, "local");
    assert_true(config->backends[1].automatic && config->backends[1].enabled);
    assert_int_equal(config->refresh_ms, 5000);
    assert_int_equal(config->backends[0].timeout_ms, 5000);
    assert_int_equal(config->backends[1].refresh_ms, 30000);
    assert_int_equal(config->backends[1].timeout_ms, 9000);
    assert_int_equal(config->verdict.unattended_ms, 15 * MINUTE);
    assert_string_equal(config->cost.currency, "USD");
    assert_false(config->read_only);
    config_free(config);
}

static void later_places_win(void **state)
{
    (void)state;
    put_file("etc/dask/a.yaml", "dasktop: {refresh: 1s, timeout: 1s, verdict: {idle: 1m, unattended: 1m}, ui: {columns: [a, b]}}\ndistributed: {x: 1}\n");
    put_file("usr/etc/dask/a.yaml", "dasktop: {timeout: 2s}\n");
    put_file("venv/etc/dask/a.yaml", "dasktop: {verdict: {idle: 2m}}\n");
    put_file(".config/dask/a.yaml", "dasktop: {timeout: 4s}\n");
    put_file(".config/dask/b.yml", "dasktop: {timeout: 5s, refresh: 5s}\n");
    put_file(".config/dask/c.json", "{\"dasktop\": {\"timeout\": \"6s\"}}\n");
    put_file(".config/dask/d.txt", "dasktop: {timeout: 99s}\n");
    put_file("own/z.yaml", "dasktop: {refresh: 7s, ui: {columns: [c]}}\n");
    char *venv = mem_format("VIRTUAL_ENV=%s/venv", place), *own = mem_format("DASK_CONFIG=%s/own", place);
    Config *config = load(NULL, (const char *const[]){venv, own, NULL}, false);
    assert_int_equal(config->problems.count, 0);
    assert_int_equal(config->files.count, 7);
    assert_int_equal(config->timeout_ms, 6000);
    assert_int_equal(config->refresh_ms, 7000);
    assert_int_equal(config->verdict.idle_ms, 2 * MINUTE); /* maps merge key by key */
    assert_int_equal(config->verdict.unattended_ms, MINUTE);
    assert_int_equal(tree_get(config->ui, "columns")->count, 1); /* lists replace */
    assert_non_null(tree_path(config->backends[0].dask, "distributed.x"));
    config_free(config);
    /* the environment over all files, --config over the environment, and a single file as DASK_CONFIG */
    free(own);
    own = mem_format("DASK_CONFIG=%s/own/z.yaml", place);
    char *file = place_write("given.yaml", "dasktop: {verdict: {idle: 9m}}\n");
    config = load(file, (const char *const[]){own, "DASK_DASKTOP__REFRESH=8s", "DASK_DASKTOP__VERDICT__IDLE=8m", "DASK_DASKTOP__READ_ONLY=True", NULL}, false);
    assert_int_equal(config->problems.count, 0);
    assert_int_equal(config->refresh_ms, 8000);
    assert_int_equal(config->verdict.idle_ms, 9 * MINUTE);
    assert_true(config->read_only);
    assert_false(config->read_only_fixed);
    config_free(config);
    free(venv);
    free(own);
    free(file);
}

static void dash_and_underscore_are_one(void **state)
{
    (void)state;
    put_file(".config/dask/a.yaml", "dasktop: {read-only: true, backends: {slurm: {all-users: true, read-only: true}}}\n");
    put_file(".config/dask/b.yaml", "dasktop: {read_only: false, backends: {slurm: {all_users: false}}}\n");
    Config *config = load(NULL, NULL, false);
    assert_int_equal(config->problems.count, 0);
    assert_false(config->read_only);
    assert_false(config_truth(backend(config, "slurm"), "all-users"));
    assert_true(backend(config, "slurm")->read_only);
    config_free(config);
}

static void environment_has_values(void **state)
{
    (void)state;
    Config *config = load(NULL, (const char *const[]){"DASK_DASKTOP__BACKENDS__SLURM__ADDRESSES=['tcp://a:1', \"tcp://b:2\"]", "DASK_DASKTOP__AUTO=False",
                                                      "DASK_DASKTOP__BACKENDS__SLURM__PORT=23", "DASK_DASKTOP__JOURNAL__PATH=~/x: y", "DASKTOP_X=1", NULL}, false);
    List addresses = {0};
    assert_int_equal(config->problems.count, 0);
    assert_int_equal(config->backend_count, 1);
    assert_int_equal(config_texts(backend(config, "slurm"), "addresses", &addresses), 2);
    assert_int_equal(config_integer(backend(config, "slurm"), "port"), 23);
    assert_string_equal(tree_text(tree_get(config->journal, "path")), "~/x: y"); /* one text, whatever YAML would see in it */
    list_done(&addresses);
    config_free(config);
    config = load(NULL, (const char *const[]){"DASK_DASKTOP__REFRESH=soon", NULL}, false);
    assert_int_equal(config->problems.count, 1);
    assert_non_null(strstr(config->problems.items[0], "DASK_DASKTOP__REFRESH"));
    assert_int_equal(config->refresh_ms, 5000);
    config_free(config);
}

static void each_mistake_is_one_line(void **state)
{
    (void)state;
    Config *config = load_wrong("dasktop:\n  refesh: 3s\n  timeout: 7s\n", "2:", "did you mean refresh?");
    assert_int_equal(config->timeout_ms, 7000); /* the rest stays */
    config_free(config);
    config_free(load_wrong("dasktop:\n  refresh: soon\n", "2:", "is not a duration"));
    config_free(load_wrong("dasktop:\n  refresh: 99999999999d\n", "2:", "is not a duration"));
    config_free(load_wrong("dasktop:\n  refresh: -3s\n", "2:", "is not a duration"));
    config_free(load_wrong("dasktop:\n  read-only: maybe\n", "2:", "true or false"));
    config_free(load_wrong("dasktop:\n  sweep: {max: 2.5}\n", "2:", "a whole number"));
    config_free(load_wrong("dasktop:\n  sweep: {protect: {owner: [root]}}\n", "2:", "did you mean owners?"));
    config_free(load_wrong("dasktop:\n  sweep: {protect: {labels: {keep: [1]}}}\n", "2:", "label keep is no text"));
    config_free(load_wrong("dasktop:\n  sweep: {orphaned: 3d}\n", "2:", "true or false"));
    config_free(load_wrong("dasktop:\n  sweep: {unattended: true}\n", "2:", "a duration"));
    config_free(load_wrong("dasktop:\n  on: {swept: []}\n", "2:", "the hook swept has no program"));
    config_free(load_wrong("dasktop:\n  on: {orphans: [mail]}\n", "2:", "did you mean orphaned?"));
    config_free(load_wrong("dasktop:\n  ui: {theme: pink}\n", "2:", "dark"));
    config_free(load_wrong("dasktop:\n  cost: {prices: {m5: cheap}}\n", "2:", "m5"));
    config_free(load_wrong("dasktop:\n  \"on\": {swept: 5}\n", "2:", "a list of texts"));
    config_free(load_wrong("dasktop: [1]\n", "1:", "not a map"));
    config_free(load_wrong("dasktop:\n  backends: [slurm]\n", "2:", "a map"));
    config_free(load_wrong("dasktop:\n  backends:\n    Prod: {type: slurm}\n", "3:", "no name for a backend"));
    config_free(load_wrong("dasktop:\n  backends:\n    kubernetes: {}\n", "3:", "not built in"));
    config_free(load_wrong("dasktop:\n  backends:\n    x: {type: slrm}\n", "3:", "no backend of type slrm"));
    config_free(load_wrong("dasktop:\n  backends:\n    slurm: {probe: some}\n", "3:", "full|light|off"));
    config_free(load_wrong("dasktop:\n  backends:\n    slurm: {adresses: []}\n", "3:", "did you mean addresses?"));
    config_free(load_wrong("dasktop:\n  backends:\n    slurm: {servers: {command: x}}\n", "3:", "servers is not a list of maps"));
    config_free(load_wrong("dasktop:\n  backends:\n    slurm:\n      servers:\n      - {command: x}\n      - {command: x, comand: y}\n", "6:", "did you mean command?"));
    config_free(load_wrong("dasktop:\n  backends:\n    slurm:\n      servers:\n      - {command: x}\n      - {}\n", "6:", "servers needs command"));
    config_free(load_wrong("dasktop:\n  backends:\n    slurm: {addresses: [tcp://a:1, nowhere]}\n", "3:", "nowhere is not an address"));
    config_free(load_wrong("dasktop:\n  backends:\n    slurm: {tls: {ca: x}}\n", "3:", "ca"));
    config_free(load_wrong("dasktop:\n  backends:\n    slurm: {addresses: [tcp://a:1], owner: bob}\n", "3:", "not both"));
    config = load_wrong("dasktop:\n  backends:\n    mine: {type: exec}\n    slurm: {}\n", "3:", "needs command");
    assert_null(backend(config, "mine"));
    assert_non_null(backend(config, "slurm"));
    config_free(config);
    config_free(load_wrong("dasktop: {\n", "", ""));
    put_file(".config/dask/x.yaml", "other: [1, 2\n");
    put_file(".config/dask/y.yaml", "distributed: {anything: [goes, {here: ~}]}\ndasktop:\n");
    config = load(NULL, NULL, false);
    assert_int_equal(config->problems.count, 1);
    config_free(config);
}

static void secrets_are_never_repeated(void **state)
{
    (void)state;
    Config *config = load_wrong("dasktop:\n  backends:\n    slurm: {token: [hunter2]}\n", "3:", "token");
    assert_null(strstr(config->problems.items[0], "hunter2"));
    config_free(config);
    config = load_wrong("dasktop:\n  backends:\n    slurm: {token: {evn: hunter2}}\n", "3:", "{env: NAME}");
    assert_null(strstr(config->problems.items[0], "hunter2"));
    config_free(config);
    put_file(".config/dask/x.yaml", "dasktop: {backends: {slurm: {token: {command: [pass, x]}}, b: {type: slurm, token: plain}, c: {type: slurm, token: {env: X}}}}\n");
    config = load(NULL, NULL, false);
    assert_int_equal(config->problems.count, 0);
    assert_non_null(config_tree(backend(config, "b"), "token"));
    config_free(config);
}

static void a_named_file_must_be_one(void **state)
{
    (void)state;
    char *path = file_join(place, "no-such.yaml");
    Config *config = load(path, NULL, false);
    assert_int_equal(config->problems.count, 1);
    assert_non_null(strstr(config->problems.items[0], "no-such.yaml"));
    config_free(config);
    free(path);
    path = place_write("given.yaml", "just words\n");
    config = load(path, NULL, false);
    assert_int_equal(config->problems.count, 1);
    config_free(config);
    free(path);
}

static void backends_by_name(void **state)
{
    (void)state;
    put_file(".config/dask/x.yaml", "dasktop:\n  timeout: 2s\n  backends:\n    local:\n    hpc: {type: slurm, timeout: 20s, refresh: 1m, probe: light, enabled: false, owner: bob}\n");
    Config *config = load(NULL, NULL, true);
    assert_int_equal(config->problems.count, 0);
    assert_int_equal(config->backend_count, 2); /* slurm is named by its type, so it is not found by itself */
    const BackendConfig *hpc = backend(config, "hpc");
    assert_ptr_equal(hpc->type, &slurm);
    assert_false(hpc->enabled || hpc->automatic);
    assert_true(hpc->read_only); /* --read-only */
    assert_int_equal(hpc->timeout_ms, 20000);
    assert_int_equal(hpc->refresh_ms, MINUTE);
    assert_int_equal(hpc->probe, PROBE_LIGHT);
    assert_string_equal(config_text(hpc, "owner"), "bob");
    assert_int_equal(config_integer(hpc, "port"), 22);
    assert_true(config_truth(hpc, "all-users"));
    assert_null(config_text(hpc, "token"));
    assert_false(backend(config, "local")->automatic);
    config_free(config);
    /* a name that is a type's, taken by another type: its rows would have the same ids */
    put_file(".config/dask/x.yaml", "dasktop: {backends: {local: {type: slurm}}}\n");
    config = load(NULL, NULL, false);
    assert_int_equal(config->backend_count, 1);
    assert_ptr_equal(backend(config, "local")->type, &slurm);
    config_free(config);
}

static void the_system_forbids(void **state)
{
    (void)state;
    put_file("etc/dask/a.yaml", "dasktop: {read-only: true, sweep: {max: 3, protect: {owners: root, names: [\"prefect-*\"], labels: {keep: \"true\"}}}}\n");
    /* each of these would undo it */
    static const char *const later[] = {
        "dasktop: {read-only: false, sweep: {protect: {owners: [bob], names: [], labels: {keep: \"false\", team: x}}}}\n",
        "dasktop: {read_only: false, sweep: {protect: {}}}\n",
        "dasktop: {read-only: false, sweep: ~}\n",
        "dasktop: {sweep: {protect: [1]}}\n",
        "dasktop: {sweep: {protect: {owners: [[1]], names: 5, labels: no}}}\n",
        "dasktop: ~\n",
        "dasktop: 5\n",
    };
    for (size_t i = 0; i < sizeof(later) / sizeof(*later); i++) {
        put_file(".config/dask/x.yaml", later[i]);
        for (int moved = 0; moved < 2; moved++) {
            Config *config = load(NULL, (const char *const[]){"DASK_DASKTOP__READ_ONLY=False", moved ? "DASK_ROOT_CONFIG=/nowhere" : NULL, NULL}, false);
            assert_true(config->read_only && config->read_only_fixed);
            assert_true(config->backends[0].read_only);
            const Tree *owners = tree_path(config->sweep, "protect.owners"), *names = tree_path(config->sweep, "protect.names");
            assert_non_null(owners);
            assert_string_equal(owners->kind == TREE_LIST ? owners->items[0]->text : owners->text, "root");
            assert_string_equal(names->items[0]->text, "prefect-*");
            assert_string_equal(tree_text(tree_path(config->sweep, "protect.labels.keep")), "true");
            if (i == 0) {
                assert_int_equal(owners->count, 2);
                assert_string_equal(tree_text(tree_path(config->sweep, "protect.labels.team")), "x");
            }
            char where[256];
            tree_where(names->items[0], where); /* still names its file */
            assert_non_null(strstr(where, "a.yaml"));
            config_free(config);
        }
    }
    put_file(".config/dask/x.yaml", "{}\n");
    put_file("etc/dask/a.yaml", "dasktop: {read-only: yes}\n"); /* a word in YAML 1.2: told, and taken as it was meant */
    Config *config = load(NULL, NULL, false);
    assert_true(config->read_only_fixed);
    assert_int_equal(config->problems.count, 1);
    config_free(config);
}

static Tree *options_at(const char *computer, Error *error)
{
    (void)computer, (void)error;
    return tree_new(TREE_MAP, NULL);
}

/* Names that differ in what a key cannot have are two computers, not one with the other's marks. */
static void two_computers_have_two_keys(void **state)
{
    (void)state;
    static const BackendType far = {.name = "ssh", .at = options_at, .open = open_none};
    static const BackendType *const far_types[] = {&far, NULL};
    static const char *const computers[] = {"login1", "login-1", "login.1", "Login-1", "login@1", "login_1", "ada@login.example.org", "ada-login.example.org",
                                            "ada-login-example-org", "-1", "h1", "a-name-of-more-than-32-characters.example.org",
                                            "a-name-of-more-than-32-characters-example-org"};
    enum { COUNT = sizeof computers / sizeof *computers };
    char keys[COUNT][40];
    for (size_t i = 0; i < COUNT; i++) {
        ConfigSources sources = {.computer = computers[i], .environment = (const char *const[]){home_variable, NULL}, .root = place};
        Config *config = config_load(&sources, far_types);
        snprintf(keys[i], sizeof keys[i], "%s", config->backends[0].key);
        assert_true(record_key_valid(keys[i], strlen(keys[i])));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(keys[i], keys[k]);
        config_free(config);
    }
    assert_string_equal(keys[0], "login1");
    assert_string_equal(keys[1], "login-1");
    assert_memory_equal(keys[6], "ada-login-example-org-", 22);
}

int main(void)
{
    void (*const all[])(void **) = {nothing_at_all, later_places_win, dash_and_underscore_are_one, environment_has_values, each_mistake_is_one_line,
                                    secrets_are_never_repeated, a_named_file_must_be_one, backends_by_name, the_system_forbids,
                                    two_computers_have_two_keys};
    static const char *const names[] = {"nothing_at_all", "later_places_win", "dash_and_underscore_are_one", "environment_has_values",
                                        "each_mistake_is_one_line", "secrets_are_never_repeated", "a_named_file_must_be_one", "backends_by_name",
                                        "the_system_forbids", "two_computers_have_two_keys"};
    enum { COUNT = sizeof all / sizeof *all };
    struct CMUnitTest tests[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        tests[i] = (struct CMUnitTest){names[i], all[i], fresh, clear, NULL};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
