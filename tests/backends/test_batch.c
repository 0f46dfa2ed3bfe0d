/* What job scripts, logs and clients of batch systems say; pure, but for one answer that serves all. */
#include "backends/make.h"

#include "backends/batch/script.h"
#include "backends/batch/slurm.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const BackendType slurm_backend;

static Script read_text(const char *text)
{
    Script script;
    script_read(text, strlen(text), &script);
    return script;
}

#define LINE "/opt/env/bin/python -m distributed.cli.dask_worker tcp://10.0.0.5:8786 --name tides-3 --nthreads 2 --memory-limit 4GiB --nanny --death-timeout 60"

static void test_worker_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text, *address, *worker;
        int64_t processes;
    } cases[] = {
        {"#!/bin/bash\n#SBATCH -J dask-worker\n" LINE "\n", "tcp://10.0.0.5:8786", "tides-3", 1},
        {"#SBATCH --wrap\nsrun --mpi=none " LINE " --nworkers 4\n", "tcp://10.0.0.5:8786", "tides-3", 4},
        {"module load x; exec dask worker tls://[fe80::1]:99 --name 'a b-1' --tls-cert /c --nprocs 2", "tls://[fe80::1]:99", "a b-1", 2},
        {"dask-worker 10.1.1.1:8786 --name x\n", "10.1.1.1:8786", "x", 1},
        {"env A=1 python3 -m dask_cuda.cli worker tcp://n1:1 --nthreads 1 --name gpu-0", "tcp://n1:1", "gpu-0", 1},
        {"dask worker \\\n   tcp://n1:7 \\\n   --name \"q-0\"", "tcp://n1:7", "q-0", 1},
        {"dask worker --name htcondor--$CLUSTER--  tcp://n1:7", "tcp://n1:7", "htcondor--$CLUSTER--", 1},
        {"$PYTHON -m distributed.cli.dask_worker tcp://n1:7 --name v-0 --nthreads 1", "tcp://n1:7", "v-0", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Script script = read_text(cases[i].text);
        assert_int_equal(script.role, ROLE_WORKER);
        assert_string_equal(script.address, cases[i].address);
        assert_string_equal(script.worker, cases[i].worker);
        assert_int_equal(script.processes, cases[i].processes);
        script_done(&script);
    }
}

static void test_other_scripts(void **state)
{
    (void)state;
    static const char *const none[] = {"", "#!/bin/bash\necho hello\n", "# dask worker tcp://n1:1\n", "curl http://dask.org/worker", "grep dask worker.log",
                                       "python train.py --scheduler tcp", "'unclosed tcp://n1:1", "\\", "dask"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        Script script = read_text(none[i]);
        assert_int_equal(script.role, ROLE_OTHER);
        assert_null(script.address);
        script_done(&script);
    }
    Script script = read_text("dask scheduler --scheduler-file s.json &\ndask worker --scheduler-file s.json\n");
    assert_int_equal(script.role, ROLE_SCHEDULER);
    assert_string_equal(script.scheduler_file, "s.json");
    script_done(&script);
    static const char *const schedulers[] = {"mpirun -np 4 dask-mpi --scheduler-file s.json", "$P -m distributed.cli.dask_scheduler --scheduler-file s.json &",
                                             "srun /opt/env/bin/dask-mpi --no-nanny --scheduler-file=s.json"};
    for (size_t i = 0; i < sizeof schedulers / sizeof *schedulers; i++) {
        script = read_text(schedulers[i]);
        assert_int_equal(script.role, ROLE_SCHEDULER);
        assert_string_equal(script.scheduler_file, "s.json");
        script_done(&script);
    }
    script = read_text("dask worker --scheduler-file s.json\n");
    assert_int_equal(script.role, ROLE_WORKER);
    assert_null(script.address);
    script_done(&script);
}

static void test_rename(void **state)
{
    (void)state;
    Buffer out;
    const char text[] = "#!/bin/bash\n# --name x\nexport N=\"a --name b\"\n" LINE " --local-directory '/a b'\necho done";
    buffer_init(&out, 4096);
    assert_true(script_rename(text, strlen(text), "tides-99", &out));
    assert_non_null(strstr(out.bytes, "--name tides-99 --nthreads"));
    assert_non_null(strstr(out.bytes, "export N=\"a --name b\"\n"));
    assert_true(strlen(out.bytes) == strlen(text) + 1);
    buffer_clear(&out);
    assert_false(script_rename("echo", 4, "x", &out));
    buffer_clear(&out);
    assert_false(script_rename("dask worker tcp://n1:1", 22, "x", &out));
    buffer_done(&out);
}

static void test_cluster_names(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"tides-3", "tides"}, {"a-b-12", "a-b"}, {"x", "x"}, {"-3", "-3"}, {"w3", "w3"}, {"htcondor--", "htcondor"}, {"w-", "w"}, {"-", "-"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *name = script_cluster(cases[i][0]);
        assert_string_equal(name, cases[i][1]);
        free(name);
    }
}

static void test_names_in_a_job(void **state)
{
    (void)state;
    static const struct {
        const char *worker, *job, *name;
        bool element;
    } cases[] = {
        {"w-$SLURM_ARRAY_TASK_ID", "14_2", "w-2", true},   {"w-${SGE_TASK_ID}-x", "6.13", "w-13-x", true}, {"w-$SLURM_JOB_ID", "17", "w-17", false},
        {"w-$SLURM_JOB_ID", "14_2", "w-", true},           {"w-$HOSTNAME", "17", "w-", false},             {"w-${JOB_ID", "17", "w-", false},
        {"w-$PBS_ARRAY_INDEX", "12[3].server", "w-3", true}, {"w-%J", "17", "w-", false},                  {"w$", "17", "w", false},
        {"w-$SLURM_ARRAY_TASK_ID", "17", "w-", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *name = script_expand(cases[i].worker, cases[i].job, cases[i].element);
        assert_string_equal(name, cases[i].name);
        free(name);
    }
}

static void test_logs(void **state)
{
    (void)state;
    Script script;
    const char text[] = "x - INFO -          Worker name:    tides-0\nx - INFO -         Registered to:      tcp://10.0.0.5:8786\n";
    script_read_log(text, strlen(text), &script);
    assert_int_equal(script.role, ROLE_WORKER);
    assert_string_equal(script.address, "tcp://10.0.0.5:8786");
    assert_string_equal(script.worker, "tides-0");
    script_done(&script);
    const char at[] = "x - INFO -   Scheduler at:     tcp://10.0.0.5:8786\nx - INFO - Registered to: tcp://10.0.0.6:1\n";
    script_read_log(at, strlen(at), &script);
    assert_int_equal(script.role, ROLE_SCHEDULER);
    assert_string_equal(script.address, "tcp://10.0.0.5:8786");
    script_done(&script);
    script_read_log("Registered to: nonsense", 23, &script);
    assert_int_equal(script.role, ROLE_OTHER);
    script_done(&script);
}

static void test_values(void **state)
{
    (void)state;
    assert_int_equal(queue_duration_s("05:42"), 342);
    assert_int_equal(queue_duration_s("1-02:03:04"), 93784);
    assert_int_equal(queue_duration_s("17:30:00"), 63000);
    assert_int_equal(queue_duration_s("1800"), 1800);
    assert_int_equal(queue_duration_s("2-3"), 183600);
    static const char *const none[] = {"", "UNLIMITED", "INVALID", "1:2:3:4", "-1", "a", "1:", "99999999999999999999", NULL};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_true(queue_duration_s(none[i]) == NUMBER_UNKNOWN);
    assert_int_equal(queue_size("287M", 'M'), 287 << 20);
    assert_int_equal(queue_size("62.50G", 'M'), 67108864000);
    assert_int_equal(queue_size("4gb", 'b'), 4ll << 30);
    assert_int_equal(queue_size("100", 'M'), 100 << 20);
    assert_true(queue_size("N/A", 'M') == NUMBER_UNKNOWN && queue_size("1e400", 'M') == NUMBER_UNKNOWN && queue_size("5X", 'M') == NUMBER_UNKNOWN);
    assert_int_equal(queue_time("2026-11-23T18:35:19"), 1795458919000);
    assert_true(queue_time("N/A") == TIME_UNKNOWN && queue_time(NULL) == TIME_UNKNOWN && queue_time("2026-11-23T18:35:19x") == TIME_UNKNOWN);
    assert_int_equal(slurm_gpus("cpu=1,mem=287M,gres/gpu=2", NULL), 2);
    assert_int_equal(slurm_gpus("cpu=1", "gres:gpu:tesla:3"), 3);
    assert_int_equal(slurm_gpus(NULL, "gpu"), 1);
    assert_true(slurm_gpus("cpu=1", NULL) == NUMBER_UNKNOWN);
}

static void test_slurm_logs(void **state)
{
    (void)state;
    JobList list = {0};
    Job job = {.owner = "ada", .name = "w", .node = "n1", .directory = "/home/ada"};
    static const char *const cases[][4] = {
        {"/d/%x-%J.err", "17", "17", "/d/w-17.err"}, {"slurm-%A_%a.out", "17", "14_2", "/home/ada/slurm-14_2.out"}, {"%u/%N.%%", "1", "1", "/home/ada/ada/n1.%"},
        {"/x%", "1", "1", "/x%"}, {"/x%zy", "1", "1", "/x%zy"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(slurm_log(&list, &job, cases[i][0], cases[i][1], cases[i][2]), cases[i][3]);
    assert_null(slurm_log(&list, &job, "/dev/null", "1", "1"));
    assert_null(slurm_log(&list, &job, "(null)", "1", "1"));
    job_list_done(&list);
}

/* Whoever submits a job names it: what parts the fields is no more than a part of the last one there. */
static void test_names_of_strangers(void **state)
{
    static const char values[] = "7\x1f" "7\x1f" "mallory\x1fRUNNING\x1fNone\x1f" "a\x1fp\x1f" "2026-11-23T06:00:00\x1f" "2026-11-23T06:01:00\x1f" "2026-11-23T23:31:00\x1f"
                                 "2\x1f" "cpu=2\x1fN/A\x1fn1\x1f" "1\x1flogin1\x1f/e\x1f/o\x1f/d\x1f";
    char text[2048];
    JobList list = {0};
    Error error = {0};
    (void)state;
    snprintf(text, sizeof text, "%sx\x1e" "8\x1f" "8\x1fvictim\x1e\n%splain\x1e\n", values, values);
    assert_true(slurm_parse(text, strlen(text), NULL, &list, &error));
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[0].owner, "mallory");
    assert_string_equal(list.items[0].name, "x\x1e" "8\x1f" "8\x1fvictim");
    assert_string_equal(list.items[1].name, "plain");
    job_list_done(&list);
    assert_false(slurm_parse(text, strlen(text) - 3, NULL, &list, &error)); /* cut */
    job_list_done(&list);
}

#define US "\x1f"
#define RECORD(ID, ARRAY, PID, NAME)                                                                                                           \
    ID US ARRAY US "ada" US "RUNNING" US "None" US US "regular" US "2026-11-23T18:35:19" US "2026-11-23T18:35:20" US "2026-11-23T19:35:19" US "2" \
       US "cpu=2,mem=287M" US "N/A" US "n1" US PID US "login1" US "/d/%j.err" US "/d/%j.out" US "/d" US NAME "\x1e\n"

/* A squeue that prints its answer in parts, cut wherever it came. */
static bool list_in_parts(const char *answer, size_t part, JobList *list, Error *error)
{
    char directory[] = "/tmp/dasktop-batch-XXXXXX", key[] = "slurm";
    assert_non_null(mkdtemp(directory));
    char *program = mem_format("%s/squeue", directory);
    FILE *file = fopen(program, "w");
    assert_non_null(file);
    fputs("#!/bin/sh\n", file);
    for (size_t i = 0; i < strlen(answer); i += part)
        fprintf(file, "printf %%s '%.*s'; sleep 0.002\n", (int)part, answer + i);
    fclose(file);
    chmod(program, 0700);
    BackendConfig config = {.key = key, .type = &slurm_backend};
    Queue queue = {.type = slurm_backend.own, .config = &config, .host = host_here(), .bin = directory};
    Context context = context_new(NULL, 60000);
    List ids = {0};
    list_add(&ids, "7");
    JobQuery query = {.ids = &ids};
    Io *io = io_new(NULL);
    *list = (JobList){0};
    bool right = queue.type->list(&queue, io, &context, &query, list, error);
    job_list_keys(list);
    io_free(io);
    list_done(&ids);
    host_drop(queue.host);
    unlink(program);
    rmdir(directory);
    free(program);
    return right;
}

static void test_slurm_answers_come_in_parts(void **state)
{
    (void)state;
    static const char whole[] = RECORD("7", "7", "42", "w\x1e" "8" US "8" US "victim") RECORD("9", "8_1", "42", "v") RECORD("10", "8_2", "43", "v");
    size_t in_a_name = (size_t)(strchr(whole, '\x1e') + 1 - whole), parts[] = {7, 60, in_a_name, sizeof whole};
    Error error = {0};
    JobList list;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        assert_true(list_in_parts(whole, parts[i], &list, &error));
        assert_int_equal(list.count, 3);
        assert_string_equal(list.items[0].id, "7");
        assert_string_equal(list.items[0].name, "w\x1e" "8" US "8" US "victim");
        assert_string_equal(list.items[0].errors, "/d/7.err");
        assert_string_equal(list.items[1].array, "8");
        assert_string_equal(list.items[1].session, "login1:42");
        assert_string_equal(list.items[2].session, "login1:43");
        assert_string_equal(list.items[2].key, "ada 8_2 1795458919000");
        assert_ptr_equal(list.items[1].script_key, list.items[2].script_key);
        job_list_done(&list);
    }
    char *cut = mem_text_n(whole, sizeof whole - 10);
    assert_false(list_in_parts(cut, 60, &list, &error));
    assert_non_null(strstr(error.what, "cut short"));
    assert_string_equal(error.where, "slurm");
    free(cut);
    job_list_done(&list);
}

static void test_refusals(void **state)
{
    (void)state;
    List failures = {0};
    slurm_refusals("scancel: error: Kill job error on job id 4: Access/permission denied\n"
                   "scancel: error: Kill job error on job id 99: Invalid job id specified\n"
                   "scancel: error: Kill job error on job id 1: Job/step already completing or completed\n", &failures);
    assert_int_equal(failures.count, 1);
    assert_string_equal(failures.items[0], "job 4: Access/permission denied");
    list_done(&failures);
}

/* The same question each time, whose answer is what the environment says now. */
static char *ask(Queue *queue, const char *says, int64_t may_be_ms)
{
    Error error;
    ChildResult result;
    Context context = context_new(NULL, 10000);
    Io *io = io_new(&error);
    JobQuery query = {.may_be_ms = may_be_ms};
    List command = queue_command(queue, "sh", "-c", "printf %s \"$DASKTOP_TEST_SAYS\"", NULL);
    setenv("DASKTOP_TEST_SAYS", says, 1);
    assert_true(queue_run_list(queue, io, &context, &query, &command, NULL, &result, &error));
    char *text = mem_text(result.output.bytes);
    child_result_done(&result);
    list_done(&command);
    io_free(io);
    return text;
}

static void expect(Queue *queue, const char *says, int64_t may_be_ms, const char *answer)
{
    char *text = ask(queue, says, may_be_ms);
    assert_string_equal(text, answer);
    free(text);
}

static void test_one_answer_serves_all(void **state)
{
    char directory[] = "/tmp/dasktop-batch-XXXXXX";
    static const QueueType queue_type = {.program = "sh"};
    BackendType type = {.name = "slurm"};
    char key[] = "slurm";
    BackendConfig config = {.key = key, .type = &type};
    Queue queue = {.type = &queue_type, .config = &config, .host = host_here()};
    (void)state;
    assert_non_null(mkdtemp(directory));
    setenv("XDG_RUNTIME_DIR", directory, 1);
    expect(&queue, "first", 0, "first");
    expect(&queue, "second", 60000, "first"); /* new enough for a look at its interval */
    expect(&queue, "third", 0, "third");      /* a look that was asked for asks */
    expect(&queue, "fourth", 60000, "third");
    setenv("SLURM_CONF", "/another", 1);
    expect(&queue, "fifth", 60000, "fifth");  /* another controller's answer is not taken */
    unsetenv("SLURM_CONF");
    host_drop(queue.host);
    char *command = mem_format("rm -rf %s", directory);
    assert_int_equal(system(command), 0);
    free(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worker_lines), cmocka_unit_test(test_other_scripts), cmocka_unit_test(test_rename),  cmocka_unit_test(test_cluster_names),
        cmocka_unit_test(test_names_in_a_job), cmocka_unit_test(test_logs), cmocka_unit_test(test_values),        cmocka_unit_test(test_slurm_logs), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_names_of_strangers),
        cmocka_unit_test(test_slurm_answers_come_in_parts),
        cmocka_unit_test(test_one_answer_serves_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
