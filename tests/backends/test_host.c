#include "backends/make.h"

#include "backends/common/far.h"
#include "backends/common/host.h"
#include "backends/local/far.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool run(const char *script, ChildResult *result, Error *error)
{
    Host *host = host_here();
    Io *io = io_new(NULL);
    Context context = context_new(NULL, 20000);
    bool right = host_script(host, io, &context, script, 0, result, error);
    io_free(io);
    host_drop(host);
    return right;
}

/* ------------------------------------------------------------------------------------------------------------------- host */

static void test_names(void **state)
{
    static const char *const good[] = {"login", "login.example.org", "10.0.0.1", "fe80::1%eth0", "ada_1", "a-b"};
    static const char *const bad[] = {"", "-oProxyCommand=x", "a b", "a\tb", "a\nb", "a;b", "$(id)", "`id`", "a'b", "a\"b", "a|b", "a&b", "a>b", "a*"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(host_is_name(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(host_is_name(bad[i]));
}

/* A shell gives back each word as it was, whatever bytes it has. */
static void test_quoting(void **state)
{
    static const char *const words[] = {"", "a b", "it's", "$(id) `id` \\ \" * ?", "-n", "a\nb", "\x01\x7f\xff", "!x"};
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        Buffer script;
        ChildResult result;
        buffer_init(&script, BUFFER_ANY);
        buffer_text(&script, "printf %s ");
        host_quote(&script, words[i]);
        assert_true(run(script.bytes, &result, NULL));
        assert_int_equal(result.status, 0);
        assert_string_equal(result.output.bytes, words[i]);
        child_result_done(&result);
        buffer_done(&script);
    }
}

static void test_frames(void **state)
{
    ChildResult result;
    (void)state;
    assert_true(run("printf 'a\\0b\\n'; echo why >&2; exit 7", &result, NULL));
    assert_int_equal(result.status, 7);
    assert_int_equal(result.output.length, 4);
    assert_memory_equal(result.output.bytes, "a\0b\n", 4);
    assert_string_equal(result.errors.bytes, "why\n");
    child_result_done(&result);
    assert_true(run("printf '\\nend of the world 0\\n'", &result, NULL)); /* no frame of ours */
    assert_string_equal(result.output.bytes, "\nend of the world 0\n");
    child_result_done(&result);
}

/* What ssh says when it fails, word for word. */
static void test_failures(void **state)
{
    static const struct {
        const char *said;
        ErrorCode code;
        const char *what;
    } all[] = {
        {"root@h: Permission denied (publickey,password).\r\n", ERROR_SIGN_IN, "Permission denied"},
        {"Host key verification failed.\r\n", ERROR_SIGN_IN, "host key is not known"},
        {"@@@@@@@\r\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n@@@@@@@\r\nHost key verification failed.\r\n", ERROR_DENIED, "has changed"},
        {"ssh: connect to host h port 22: Connection refused\r\n", ERROR_UNREACHABLE, "Connection refused"},
        {"ssh: connect to host h port 22: Connection timed out\r\n", ERROR_TIMEOUT, "timed out"},
        {"ssh: Could not resolve hostname h: Name or service not known\r\n", ERROR_UNREACHABLE, "Could not resolve"},
        {"command-line: line 0: Bad configuration option: nonsense\r\n", ERROR_USAGE, "nonsense"},
        {"Connection closed by UNKNOWN port 65535\r\n", ERROR_UNREACHABLE, "its jump host or ProxyCommand ended"},
        {"", ERROR_UNREACHABLE, "without a word"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        Error error = {0};
        host_ssh_error(all[i].said, 255, "login", "h", &error);
        assert_int_equal(error.code, all[i].code);
        assert_non_null(strstr(error.what, all[i].what));
        assert_null(strchr(error.what, '\n'));
    }
}

/* -------------------------------------------------------------------------------------------------------------------- far */

/* This computer, through the script that others are asked with, is what it is to our own eyes. */
static void test_census_of_this_computer(void **state)
{
    Host *host = host_here();
    Io *io = io_new(NULL);
    Context context = context_new(NULL, 30000);
    Census far;
    Error error = {0};
    (void)state;
    bool right = far_census(host, io, &context, &far, &error);
    assert_string_equal(error.what, "");
    assert_true(right);
    const Computer *here = computer_here();
    assert_string_equal(far.computer->boot, here->boot);
    assert_int_equal(far.computer->me, geteuid());
    assert_string_equal(far.computer->network, here->network);
    assert_int_equal(far.computer->backlog, here->backlog);
    assert_true(llabs(far.computer->boot_ms - here->boot_ms) < 1500);
    assert_false(far.computer->here);
    assert_true(computer_has(far.computer, "127.0.0.1"));
    assert_false(computer_has(far.computer, "203.0.113.7"));
    census_done(&far);
    io_free(io);
    host_drop(host);
}

static const char answer[] =
    "me 1000 ada\nboot b00t\nname login1.example.org\nclock 1000\nbtime 500\n4096\n           |-- 10.0.0.5\n              /32 host LOCAL\n--\n"
    "stat 30 (dask) S 1 30 30 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 700 0\n"
    "stat 40 (python (x) y) S 30 30 30 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 900 0\n"
    "stat 40 (twice) S 30 30 30 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 900 0\n"
    "stat 1 (systemd) S 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1 0\nmine 30 40 50\n"
    "ss LISTEN 0      2048   127.0.0.1:8786 0.0.0.0:* uid:1000 ino:111 sk:1 <->\n"
    "ss LISTEN 0      128    *:8787 *:* uid:1000 ino:222 sk:1 <->\n"
    "ss LISTEN 0      128    [::1]:22 [::]:* ino:333 sk:1 <->\nss nonsense\n"
    "lrwxrwxrwx 1 0 0 0 Nov 29 04:39 /proc/self/ns/net -> net:[1]\nlrwxrwxrwx 1 0 0 0 Nov 29 04:39 /proc/30/cwd -> /home/ada/my -> work\n"
    "lrwxrwxrwx 1 0 0 0 Nov 29 04:39 /proc/30/exe -> /usr/bin/python3.11\nlrwxrwxrwx 1 0 0 0 Nov 29 04:39 /proc/30/ns/net -> net:[1]\n"
    "output 30 1 /home/ada/s.log\noutput 30 2 /home/ada/gone.log (deleted)\nsocket 40 9 socket:[111]\nsocket 30 7 socket:[111]\nsocket 30 8 socket:[333]\n"
    "/proc/40/environ\n/proc/30/maps:/_cmsgpack\n/proc/30/maps:/_cmsgpack\n/proc/30/maps:/_psutil_linux\n"
    "file 40 \"address\": \"tcp://10.0.0.5:8786\"\nsession 40 \"jupyter_session\": \"/home/ada/\\u00e9t\\u00e9.ipynb\"\nargv\n"
    "D=abc\0/venv/bin/python\0/venv/bin/dask\0scheduler\0D=abc\0python\0-c\0a\nb\0D=abc\0D=abc\0";

static void test_answer(void **state)
{
    Census census;
    (void)state;
    assert_true(far_parse(answer, sizeof answer - 1, "abc", 1000500, &census));
    assert_int_equal(census.computer->me, 1000);
    assert_string_equal(census.computer->user, "ada");
    assert_int_equal(census.computer->ahead_ms, 0);
    assert_int_equal(census.computer->boot_ms, 500000);
    assert_true(computer_has(census.computer, "login1") && computer_has(census.computer, "10.0.0.5"));
    assert_int_equal(census.processes.count, 3);
    Process *scheduler = processes_find(&census.processes, 30), *child = processes_find(&census.processes, 40);
    assert_int_equal(process_uid(scheduler), 1000);
    assert_int_equal(process_uid(processes_find(&census.processes, 1)), (uid_t)-1);
    assert_int_equal(process_argv(scheduler)->count, 3);
    assert_string_equal(process_argv(child)->items[2], "a\nb");
    assert_string_equal(child->comm, "python (x) y");
    char *directory = process_directory(scheduler), *log = process_output(scheduler, 1);
    assert_string_equal(directory, "/home/ada/my -> work");
    assert_string_equal(log, "/home/ada/s.log");
    assert_null(process_output(scheduler, 2));
    assert_true(process_has_imports(scheduler) && !process_has_tornado(scheduler) && process_is_dask_child(child));
    assert_string_equal(child->seen->scheduler, "tcp://10.0.0.5:8786");
    assert_string_equal(child->seen->session, "/home/ada/\xc3\xa9t\xc3\xa9.ipynb");
    assert_int_equal(census.listeners.count, 3);
    assert_int_equal(census.listeners.items[0].pid, 30); /* the parent's, whoever was named first */
    assert_int_equal(census.listeners.items[0].backlog, 2048);
    assert_string_equal(census.listeners.items[1].host, "::");
    assert_int_equal(census.listeners.items[2].pid, 0); /* root's, whatever our processes say */
    census_sort(&census, false);
    assert_int_equal(census.count, 1);
    assert_true(census.places[0].looks_like_dask && census.places[0].command.role == COMMAND_SCHEDULER);
    free(directory);
    free(log);
    census_done(&census);
}

/* Cut anywhere, it is told as cut: nothing may be missed without a word. */
static void test_cut_answers(void **state)
{
    (void)state;
    for (size_t n = 0; n + 1 < sizeof answer - 1; n++) {
        Census census;
        char *cut = malloc(n + 1);
        memcpy(cut, answer, n);
        assert_false(far_parse(cut, n, "abc", 0, &census));
        free(cut);
    }
}

static void test_a_clock_that_is_ahead(void **state)
{
    Census census;
    (void)state;
    assert_true(far_parse(answer, sizeof answer - 1, "abc", 400500, &census));
    assert_int_equal(census.computer->ahead_ms, 600000);
    assert_int_equal(census.computer->boot_ms, 500000 - 600000);
    census_done(&census);
}

static void test_a_clock_that_is_none(void **state)
{
    static const char absurd[] = "me 1 x\nboot b\nclock 99999999999999999999\nbtime 99999999999999999999\nmine\nlrwxrwxrwx 1 0 0 0 Nov 29 04:39 /proc/self/ns/net -> net:[1]\n";
    Census census;
    (void)state;
    assert_true(far_parse(absurd, sizeof absurd - 1, "abc", 1000, &census));
    assert_int_equal(census.computer->ahead_ms, 0);
    assert_true(census.computer->boot_ms == TIME_UNKNOWN);
    census_done(&census);
}

/* Several login nodes share a name: processes that are not on this one are not gone. */
static void test_processes_of_another_computer(void **state)
{
    Host *host = host_here();
    Io *io = io_new(NULL);
    Context context = context_new(NULL, 30000);
    Process self;
    char boot[64];
    (void)state;
    assert_true(process_read(getpid(), &self));
    EndProcess list[] = {{.pid = getpid(), .start = self.start, .name = "test"}, {.pid = getppid(), .start = 1, .name = "other"}};
    Error error = {0};
    Outcome outcome = {0};
    assert_int_equal(far_alive(host, file_boot_id(boot), io, &context, list, 2, &error), 1);
    assert_int_equal(far_alive(host, "another", io, &context, list, 2, &error), -1);
    assert_int_equal(error.code, ERROR_CONFLICT);
    assert_false(far_end_processes(host, "another", list, 2, 0, &context, NULL, &outcome, &error));
    assert_int_equal(error.code, ERROR_CONFLICT);
    io_free(io);
    host_drop(host);
}

/* An ssh that says nothing is not waited for by whoever has given up. */
static void test_a_way_that_nobody_waits_for(void **state)
{
    char directory[] = "/tmp/dasktop-host-XXXXXX", way[WAY_PATH], *path = mem_text(getenv("PATH"));
    (void)state;
    assert_non_null(mkdtemp(directory));
    char *ssh = file_join(directory, "ssh"), *search = mem_format("%s:%s", directory, path);
    static const char script[] = "#!/bin/sh\nexec sleep 60\n";
    assert_true(file_replace(ssh, script, sizeof script - 1, NULL));
    assert_int_equal(chmod(ssh, 0700), 0);
    setenv("PATH", search, 1);
    setenv("XDG_RUNTIME_DIR", directory, 1);
    Error error = {0};
    Host *host = host_ssh(&(HostSsh){.where = "test", .host = "login1"}, &error);
    assert_non_null(host);
    Cancel cancel;
    assert_true(cancel_init(&cancel));
    Context context = context_new(&cancel, 60000);
    cancel_ask(&cancel);
    assert_false(host_way(host)->find(host_way(host)->user, &context, "10.0.0.5", 8786, way, &error));
    assert_int_equal(error.code, ERROR_CANCELLED);
    cancel_done(&cancel);
    host_drop(host);
    setenv("PATH", path, 1);
    unsetenv("XDG_RUNTIME_DIR");
    char *runtime = file_join(directory, "dasktop"), *sockets = file_join(runtime, "ssh");
    unlink(ssh);
    rmdir(sockets);
    rmdir(runtime);
    assert_int_equal(rmdir(directory), 0);
    char *texts[] = {ssh, search, path, runtime, sockets};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_way_that_nobody_waits_for),
        cmocka_unit_test(test_processes_of_another_computer),
        cmocka_unit_test(test_names),   cmocka_unit_test(test_quoting),        cmocka_unit_test(test_frames),      cmocka_unit_test(test_failures),
        cmocka_unit_test(test_answer),  cmocka_unit_test(test_cut_answers),    cmocka_unit_test(test_a_clock_that_is_ahead), cmocka_unit_test(test_a_clock_that_is_none),
        cmocka_unit_test(test_census_of_this_computer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
