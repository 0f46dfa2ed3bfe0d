#include "backends/make.h"

#include "backends/common/process.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------------------------------------ stat */

#define REST " 1 6591 6590 34817 -1 4194304 10340 76 1 0 807 103 0 0 20 0 5 0 "

static void stat_lines(void **state)
{
    (void)state;
    Process process;
    assert_true(process_parse_stat("6601 (python) S" REST "73874 1 2 3\n", &process));
    assert_int_equal(process.pid, 6601);
    assert_int_equal(process.ppid, 1);
    assert_int_equal(process.pgrp, 6591);
    assert_int_equal(process.session, 6590);
    assert_int_equal(process.tty, 34817);
    assert_int_equal(process.state, 'S');
    assert_true(process.start == 73874);
    assert_string_equal(process.comm, "python");
    assert_false(process.argv_read);
}

/* The name is the program's own to choose: it may look like the end of itself. */
static void hostile_names(void **state)
{
    (void)state;
    static const char *const names[] = {"tmux: server", ") R 1 1 1 (", "a) b", "((((", "", ")))))))))))))))", "\n7 (x) S", "\xff\xfe\x1b[2J"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[512];
        Process process;
        snprintf(text, sizeof text, "42 (%s) T" REST "18446744073709551615 0", names[i]);
        assert_true(process_parse_stat(text, &process));
        assert_string_equal(process.comm, names[i]);
        assert_int_equal(process.state, 'T');
        assert_int_equal(process.ppid, 1);
        assert_true(process.start == UINT64_MAX);
    }
}

static void a_long_name_is_cut(void **state)
{
    (void)state;
    char text[1024], name[301];
    Process process;
    memset(name, 'x', sizeof name);
    name[300] = 0;
    snprintf(text, sizeof text, "42 (%s) S" REST "7", name);
    assert_true(process_parse_stat(text, &process));
    assert_int_equal(strlen(process.comm), sizeof process.comm - 1);
    assert_true(process.start == 7);
}

static void damaged_stat(void **state)
{
    (void)state;
    static const char whole[] = "42 (python) S" REST "73874";
    static const char *const broken[] = {"", "42", "42 (", "42 )(", "x (y) S" REST "1", "42 python S" REST "1", "42 (p) S 1 2 3", "(p)"};
    Process process;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_false(process_parse_stat(broken[i], &process));
    for (size_t n = 0; n < sizeof whole - 6; n++) { /* cut anywhere before its start time: never half a process */
        char *text = strndup(whole, n);
        assert_false(process_parse_stat(text, &process));
        free(text);
    }
}

/* ------------------------------------------------------------------------------------------------------------ real ones */

/* A child that runs `work` and then waits to be killed; *listens gets what it wrote before. */
static pid_t start_child(void (*work)(int out), int *value)
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        work(pipes[1]);
        for (;;)
            pause();
    }
    assert_int_equal(read(pipes[0], value, sizeof *value), sizeof *value);
    close(pipes[0]);
    close(pipes[1]);
    return pid;
}

static void end_child(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void say(int out, int value)
{
    if (write(out, &value, sizeof value) != sizeof value)
        _exit(1);
}

static void work_odd_name(int out)
{
    prctl(PR_SET_NAME, "a) S 1 (b");
    say(out, 0);
}

static void alive_and_gone(void **state)
{
    (void)state;
    int nothing;
    Process process, zombie;
    pid_t pid = start_child(work_odd_name, &nothing);
    assert_true(process_read(pid, &process));
    assert_string_equal(process.comm, "a) S 1 (b");
    assert_int_equal(process.ppid, getpid());
    assert_int_equal(process_uid(&(Process){.pid = pid}), geteuid());
    assert_true(process_is(pid, process.start));
    assert_false(process_is(pid, process.start + 1)); /* the pid was used again */
    assert_true(llabs(process_started_ms(&process) - clock_wall_ms()) < 60000);
    char *identity = process_identity(&process), part[32];
    snprintf(part, sizeof part, "pid %ld,", (long)pid);
    assert_non_null(strstr(identity, part));
    free(identity);
    kill(pid, SIGKILL);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_false(process_read(pid, &zombie)); /* nobody has waited for it: it is gone all the same */
    assert_false(process_is(pid, process.start));
    waitpid(pid, NULL, 0);
    assert_false(process_read(pid, &zombie));
    assert_int_equal(process_uid(&(Process){.pid = pid}), (uid_t)-1);
    assert_null(process_directory(&(Process){.pid = pid}));
    assert_false(process_maps(&(Process){.pid = pid}, "libc"));
}

static void the_list_of_all(void **state)
{
    (void)state;
    Processes list;
    Error error = {0};
    assert_true(processes_read(&list, &error));
    Process *self = processes_find(&list, getpid());
    assert_non_null(self);
    assert_int_equal(self->ppid, getppid());
    assert_null(processes_find(&list, 0));
    assert_null(processes_find(&list, -1));
    for (size_t i = 1; i < list.count; i++) {
        assert_true(list.items[i].pid > list.items[i - 1].pid);
        assert_ptr_equal(processes_find(&list, list.items[i].pid), &list.items[i]);
    }
    const List *argv = process_argv(self);
    assert_true(argv->count >= 1);
    assert_non_null(strstr(argv->items[0], "process"));
    assert_ptr_equal(process_argv(self), argv);
    processes_done(&list);
    assert_int_equal(list.count, 0);
}

static void its_own_facts(void **state)
{
    (void)state;
    char directory[4096];
    Process own = {.pid = getpid()};
    char *cwd = process_directory(&own), *exe = process_link(getpid(), "exe");
    assert_string_equal(cwd, getcwd(directory, sizeof directory));
    assert_non_null(strstr(exe, "process"));
    assert_null(process_link(getpid(), "no-such"));
    assert_true(process_maps(&own, "libcmocka"));
    assert_false(process_maps(&own, "/_cmsgpack"));
    free(cwd);
    free(exe);
}

/* Only whole names, and the environment as it was at its start. */
static void variables(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        List argv = split("sleep|60", '|'), environment = split("XTMUX=no|TMUX_PANE=no|TMUX=/tmp/a b,1,0|EMPTY=", '|');
        execve("/bin/sleep", argv.items, environment.items);
        _exit(127);
    }
    char *value = NULL;
    for (int i = 0; i < 500 && !value; i++) { /* until it is that program */
        value = process_variable(&(Process){.pid = pid}, "TMUX_PANE");
        usleep(10000);
    }
    assert_string_equal(value, "no");
    free(value);
    value = process_variable(&(Process){.pid = pid}, "TMUX");
    assert_string_equal(value, "/tmp/a b,1,0");
    free(value);
    value = process_variable(&(Process){.pid = pid}, "EMPTY");
    assert_string_equal(value, "");
    free(value);
    assert_null(process_variable(&(Process){.pid = pid}, "TMU"));
    assert_null(process_variable(&(Process){.pid = pid}, "PANE"));
    end_child(pid);
    assert_null(process_variable(&(Process){.pid = pid}, "TMUX"));
}

static void work_listen(int out)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    prctl(PR_SET_NAME, "python3.11");
    if (bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 2048) == 0)
        getsockname(fd, (struct sockaddr *)&address, &size);
    say(out, ntohs(address.sin_port));
}

static void whose_socket(void **state)
{
    (void)state;
    int port;
    pid_t pid = start_child(work_listen, &port);
    Listeners listeners;
    Processes list;
    Error error = {0};
    assert_true(sockets_listening(&listeners, &error));
    assert_true(processes_read(&list, &error));
    process_owners(&list, &listeners);
    const Listener *found = sockets_find(&listeners, "127.0.0.1", port);
    assert_non_null(found);
    assert_int_equal(found->pid, pid);
    sockets_done(&listeners);
    process_owners(&list, &listeners); /* none at all */
    processes_done(&list);
    end_child(pid);
}

static void names_of_interpreters(void **state)
{
    (void)state;
    static const char *const yes[] = {"python", "python3.13", "dask", "dask scheduler", "ipython", "pypy3", "pt_main_thread", "jupyter-lab"};
    static const char *const no[] = {"", "bash", "pyth", "nginx", "DASK", "uvicorn", "vim"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        Process process = {0};
        snprintf(process.comm, sizeof process.comm, "%s", yes[i]);
        assert_true(process_is_python(&process));
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        Process process = {0};
        snprintf(process.comm, sizeof process.comm, "%s", no[i]);
        assert_false(process_is_python(&process));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stat_lines),     cmocka_unit_test(hostile_names), cmocka_unit_test(a_long_name_is_cut),
        cmocka_unit_test(damaged_stat),   cmocka_unit_test(alive_and_gone), cmocka_unit_test(the_list_of_all),
        cmocka_unit_test(its_own_facts),  cmocka_unit_test(variables),     cmocka_unit_test(whose_socket), cmocka_unit_test(names_of_interpreters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
