#include "backends/make.h"

#include "backends/common/command.h"

typedef struct Case {
    const char *argv; /* '|' between arguments */
    CommandRole role;
    const char *address;
} Case;

static void check(const Case *one)
{
    List argv = split(one->argv, '|');
    Command command = command_parse(&argv);
    if (command.role != one->role)
        fail_msg("%s: role %d instead of %d", one->argv, (int)command.role, (int)one->role);
    if ((command.address != NULL) != (one->address != NULL) || (one->address && strcmp(one->address, command.address) != 0))
        fail_msg("%s: address %s instead of %s", one->argv, command.address ? command.address : "none", one->address ? one->address : "none");
    list_done(&argv);
}

static void check_all(const Case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check(&cases[i]);
}

#define CHECK_ALL(cases) check_all(cases, sizeof(cases) / sizeof(cases)[0])

static void the_ways_to_start_a_scheduler(void **state)
{
    (void)state;
    static const Case cases[] = {
        {"/venv/bin/python3|/venv/bin/dask|scheduler|--host|127.0.0.1", COMMAND_SCHEDULER, NULL},
        {"/venv/bin/python3.13t|-B|/venv/bin/dask|scheduler", COMMAND_SCHEDULER, NULL},
        {"python|-X|importtime|-W|ignore|bin/dask|scheduler", COMMAND_SCHEDULER, NULL},
        {"python|/venv/bin/dask-scheduler|--port|0", COMMAND_SCHEDULER, NULL},
        {"python|-m|distributed.cli.dask_scheduler", COMMAND_SCHEDULER, NULL},
        {"python|-um|distributed.cli.dask_scheduler", COMMAND_SCHEDULER, NULL},
        {"python|-B|-E|-m|dask|scheduler", COMMAND_SCHEDULER, NULL},
        {"dask scheduler [tcp://127.0.0.1:8786]", COMMAND_SCHEDULER, NULL},
        {"dask-scheduler [tcp://127.0.0.1:8786]", COMMAND_SCHEDULER, NULL},
    };
    CHECK_ALL(cases);
}

static void the_ways_to_start_a_worker(void **state)
{
    (void)state;
    static const Case cases[] = {
        {"python|/venv/bin/dask|worker|tcp://10.0.0.1:8786|--nthreads|1", COMMAND_WORKER, "tcp://10.0.0.1:8786"},
        {"python|/venv/bin/dask-worker|10.0.0.1:8786", COMMAND_WORKER, "10.0.0.1:8786"},
        {"python|/venv/bin/dask-cuda-worker|tls://n1:8786", COMMAND_WORKER, "tls://n1:8786"},
        {"python|-m|distributed.cli.dask_worker|[::1]:8786", COMMAND_WORKER, "[::1]:8786"},
        {"python|bin/dask|worker|--scheduler-file|s.json", COMMAND_WORKER, NULL},
        {"python|bin/dask|worker|ucxx://n1:8786", COMMAND_WORKER, "ucxx://n1:8786"},
        {"dask worker [tcp://127.0.0.1:3333]", COMMAND_WORKER, NULL},
    };
    CHECK_ALL(cases);
}

/* A worker that is thought to want another scheduler than it does would be taken for lost, and lost ones are offered for deletion. */
static void options_are_not_its_scheduler(void **state)
{
    (void)state;
    static const Case cases[] = {
        {"python|bin/dask|worker|--listen-address|tcp://0.0.0.0:9000|--contact-address|tcp://10.0.0.3:9000|tcp://n1:8786", COMMAND_WORKER,
         "tcp://n1:8786"},
        {"python|bin/dask|worker|--contact-address=tcp://10.0.0.3:9000|n1:8786", COMMAND_WORKER, "n1:8786"},
        {"python|bin/dask|worker|--dashboard-address|127.0.0.1:0", COMMAND_WORKER, NULL},
        {"python|bin/dask|worker|--no-nanny|n1:8786", COMMAND_WORKER, "n1:8786"},
        {"python|bin/dask|worker|--no-dashboard|tcp://n1:8786", COMMAND_WORKER, "tcp://n1:8786"},
        {"python|bin/dask|worker|--nanny|tcp://n1:8786", COMMAND_WORKER, "tcp://n1:8786"},
        {"python|bin/dask|worker|--preload|a:b:c|--name|w:1", COMMAND_WORKER, NULL},
        {"python|bin/dask|worker|--name|tcp://n9:1|n1:8786", COMMAND_WORKER, "n1:8786"},
    };
    CHECK_ALL(cases);
}

/* Wrappers wait for the real one: they are not it, and must not be ended as if they were. */
static void what_is_no_dask(void **state)
{
    (void)state;
    static const Case cases[] = {
        {"", COMMAND_OTHER, NULL},
        {"vim|dask|scheduler", COMMAND_OTHER, NULL},
        {"sudo|dask|worker|tcp://n1:8786", COMMAND_OTHER, NULL},
        {"srun|dask|worker|tcp://n1:8786", COMMAND_OTHER, NULL},
        {"srun|dask-worker|tcp://n1:8786", COMMAND_OTHER, NULL},
        {"bash|-c|dask worker tcp://n1:8786", COMMAND_OTHER, NULL},
        {"uv|run|dask|scheduler", COMMAND_OTHER, NULL},
        {"python|train.py|dask|scheduler", COMMAND_OTHER, NULL},
        {"python|-m|pytest|dask-worker", COMMAND_OTHER, NULL},
        {"python|-c|import os|dask|scheduler", COMMAND_OTHER, NULL},
        {"python|bin/dask|config|list", COMMAND_OTHER, NULL},
        {"python|bin/dask", COMMAND_OTHER, NULL},
        {"python|-m", COMMAND_OTHER, NULL},
        {"python|-B|-c|from multiprocessing.resource_tracker import main;main(11)", COMMAND_OTHER, NULL},
        {"dask|scheduler-of-my-own", COMMAND_OTHER, NULL},
    };
    CHECK_ALL(cases);
}

static void children_of_nannies(void **state)
{
    (void)state;
    static const Case cases[] = {
        {"python3|-B|-c|from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=12, pipe_handle=18)|--multiprocessing-fork",
         COMMAND_SPAWNED, NULL},
        {"python|-c|from multiprocessing.forkserver import main; main(9, 10, ['__main__'], **{})", COMMAND_SPAWNED, NULL},
        {"frozen-program|--multiprocessing-fork|tracker_fd=3|pipe_handle=9", COMMAND_SPAWNED, NULL},
    };
    CHECK_ALL(cases);
}

static void what_ssh_cluster_starts(void **state)
{
    (void)state;
    static const Case cases[] = {
        {"python3|-m|distributed.cli.dask_spec|--spec|{\"cls\": \"dask.distributed.Scheduler\", \"opts\": {}}", COMMAND_SCHEDULER, NULL},
        {"python3|-m|distributed.cli.dask_spec|tcp://n1:38219|--spec|{\"0\": {\"cls\": \"dask.distributed.Nanny\", \"opts\": {}}}",
         COMMAND_WORKER, "tcp://n1:38219"},
        /* the scheduler's own options may hold any word */
        {"python3|-m|distributed.cli.dask_spec|--spec|{\"cls\": \"distributed.Scheduler\", \"opts\": {\"dashboard_prefix\": \"/Workers\"}}",
         COMMAND_SCHEDULER, NULL},
        {"python3|-m|distributed.cli.dask_spec|tcp://n1:1|--spec|{\"0\": {\"cls\": \"mine.Own\", \"opts\": {\"x\": \"Scheduler\"}}}", COMMAND_WORKER,
         "tcp://n1:1"},
    };
    CHECK_ALL(cases);
    List argv = split(cases[0].argv, '|');
    assert_true(command_parse(&argv).by_spec);
    list_done(&argv);
}

static void its_options(void **state)
{
    (void)state;
    List argv = split("python|bin/dask|scheduler|--protocol=tls|--tls-ca-file|ca.pem|--tls-cert=s.pem|--tls-key|s.key|--scheduler-file|f.json|--name", '|');
    Command command = command_parse(&argv);
    assert_true(command.tls);
    assert_string_equal(command.ca_file, "ca.pem");
    assert_string_equal(command.cert, "s.pem");
    assert_string_equal(command.key, "s.key");
    assert_string_equal(command.scheduler_file, "f.json");
    assert_null(command.name); /* the value is missing */
    assert_null(command_option(&argv, "--tls-ca"));
    list_done(&argv);

    argv = split("python|bin/dask|worker|tls://n1:1|--no-nanny|--name=w0", '|');
    command = command_parse(&argv);
    assert_true(command.tls && command.no_nanny);
    assert_string_equal(command.name, "w0");
    list_done(&argv);

    argv = split("python|-m|distributed.cli.dask_worker|--tls-cert|a|--tls-cert|b", '|');
    assert_string_equal(command_option(&argv, "--tls-cert"), "b"); /* click takes the last */
    list_done(&argv);
}

static void which_script(void **state)
{
    (void)state;
    static const struct {
        const char *argv, *script;
        bool is_module;
    } cases[] = {
        {"python|eda.py|--n|5", "eda.py", false},
        {"python|-B|-X|dev|-W|ignore|/a b/eda.py", "/a b/eda.py", false},
        {"python|-Wignore|-Xdev|eda.py", "eda.py", false},
        {"python|--check-hash-based-pycs|always|eda.py", "eda.py", false},
        {"python|-m|papermill|in.ipynb", "papermill", true},
        {"python|-Bum|papermill", "papermill", true},
        {"python|-m", NULL, true},
        {"python|-c|print(1)|eda.py", NULL, false},
        {"python|-Ic|print(1)|eda.py", NULL, false},
        {"python|-|eda.py", NULL, false}, /* from standard input, with an argument */
        {"python", NULL, false},
        {"python|-i", NULL, false},
        {"", NULL, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool is_module = !cases[i].is_module;
        List argv = split(cases[i].argv, '|');
        const char *script = command_script(&argv, &is_module);
        if ((script != NULL) != (cases[i].script != NULL) || (script && strcmp(script, cases[i].script) != 0) || is_module != cases[i].is_module)
            fail_msg("%s: %s", cases[i].argv, script ? script : "none");
        list_done(&argv);
    }
}

/* Every process that a real host with seven clusters showed. */
static void the_real_ones(void **state)
{
    (void)state;
    Buffer text = capture("dask/v2026.8-processes.txt");
    int schedulers = 0, workers = 0, spawned = 0, others = 0;
    for (const char *line = strstr(text.bytes, "  argv="); line; line = strstr(line + 1, "  argv=")) {
        char one[4096];
        snprintf(one, sizeof one, "%.*s", (int)strcspn(line + 7, "\n"), line + 7);
        List argv = split(one, '|');
        Command command = command_parse(&argv);
        schedulers += command.role == COMMAND_SCHEDULER;
        workers += command.role == COMMAND_WORKER;
        spawned += command.role == COMMAND_SPAWNED;
        others += command.role == COMMAND_OTHER;
        assert_int_equal(command.role == COMMAND_SCHEDULER, strstr(one, "|scheduler|") != NULL);
        assert_int_equal(command.role == COMMAND_WORKER, strstr(one, "|worker|") != NULL);
        assert_int_equal(command.role == COMMAND_SPAWNED, strstr(one, "spawn_main") != NULL);
        assert_int_equal(command.role == COMMAND_WORKER && !command.scheduler_file, command.address != NULL);
        list_done(&argv);
    }
    assert_true(schedulers > 2 && workers > 4 && spawned > 4 && others > 2);
    buffer_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ways_to_start_a_scheduler), cmocka_unit_test(the_ways_to_start_a_worker),
        cmocka_unit_test(options_are_not_its_scheduler), cmocka_unit_test(what_is_no_dask),
        cmocka_unit_test(children_of_nannies),           cmocka_unit_test(what_ssh_cluster_starts),
        cmocka_unit_test(its_options),                   cmocka_unit_test(which_script),
        cmocka_unit_test(the_real_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
