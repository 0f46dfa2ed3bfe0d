#include "backends/make.h"

#include "backends/common/origin.h"
#include "base/mem.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------------- what real hosts looked like */

enum { NOT_REAL = 50000000 }; /* above any pid: what /proc of this host says must not mix in */

static void add_line(Processes *list, const char *line)
{
    Process process = {0};
    int pid, ppid, session, group, tty;
    char comm[64] = "";
    const char *at = strstr(line, " ppid "), *dash = strstr(line, " | ");
    size_t blank = strspn(line, " ");
    assert_true(sscanf(line, "%d", &pid) == 1 && at && dash);
    const char *name = strchr(line + blank, ' ') + 1;
    snprintf(comm, sizeof comm, "%.*s", (int)(at - name), name);
    assert_int_equal(sscanf(at, " ppid %d sid %d pgrp %d tpgid %*d tty_nr %d", &ppid, &session, &group, &tty), 4);
    process.pid = pid == 1 ? 1 : pid + NOT_REAL;
    process.ppid = ppid <= 1 ? ppid : ppid + NOT_REAL;
    process.tty = tty;
    process.state = 'S';
    memcpy(process.comm, comm, sizeof comm);
    char text[4096];
    snprintf(text, sizeof text, "%.*s", (int)strcspn(dash + 3, "\n"), dash + 3);
    process.argv = split(text, ' ');
    process.argv_read = true;
    list->items = mem_grow(list->items, list->count, &list->capacity, sizeof process);
    list->items[list->count++] = process;
}

static int by_pid(const void *a, const void *b)
{
    return ((const Process *)a)->pid - ((const Process *)b)->pid;
}

/* One of the trees of the capture; *owner holds the port. */
static Processes tree(const char *name, pid_t *owner)
{
    Processes list = {0};
    char title[64];
    Buffer text = capture("jupyter/origin-proc.txt");
    snprintf(title, sizeof title, "== %s says", name);
    const char *line = strstr(text.bytes, title);
    assert_non_null(line);
    while ((line = strchr(line, '\n')) && line[1] && line[1] != '=') {
        line++;
        if (strstr(line, " ppid ") && strcspn(line, "\n") > (size_t)(strstr(line, " ppid ") - line))
            add_line(&list, line);
    }
    buffer_done(&text);
    assert_true(list.count > 0);
    *owner = list.items[0].pid;
    qsort(list.items, list.count, sizeof *list.items, by_pid);
    return list;
}

static void check(const char *name, const char *kind, const char *title, const char *path, const char *how)
{
    pid_t owner;
    Processes list = tree(name, &owner);
    Origin origin;
    origin_find(&list, processes_find(&list, owner), &origin);
    struct {
        const char *what, *is, *wanted;
    } texts[] = {{"kind", origin.kind, kind}, {"title", origin.title, title}, {"path", origin.path, path}, {"how", origin.how, how}};
    for (size_t i = 0; i < 4; i++)
        if ((texts[i].is != NULL) != (texts[i].wanted != NULL) || (texts[i].is && strcmp(texts[i].is, texts[i].wanted) != 0))
            fail_msg("%s: %s is %s instead of %s", name, texts[i].what, texts[i].is ? texts[i].is : "none", texts[i].wanted ? texts[i].wanted : "none");
    origin_done(&origin);
    processes_done(&list);
}

static void real_trees(void **state)
{
    (void)state;
    check("script", "script", "lc.py", "lc.py", "terminal pts/2");
    check("ipython", "ipython", NULL, NULL, "terminal pts/3");
    check("tmux", "script", "lc.py", "lc.py", "tmux");
    check("screen", "script", "lc.py", "lc.py", "screen");
    check("nohup", "script", "lc.py", "lc.py", "detached");
    check("nohup2", "script", "lc.py", "lc.py", "detached");
    check("jupyter", "notebook", NULL, NULL, NULL); /* its connection file is not here; somebody else's server holds it */
    check("papermill", "notebook", "notebook in.ipynb", "in.ipynb", "detached");
    check("nbclient", "notebook", "notebook in2.ipynb", "in2.ipynb", NULL);
}

/* ------------------------------------------------------------------------------------------------------- real processes */

/* This program again, under another name and command line, in `directory`: it waits until it is killed. */
static pid_t start(const char *directory, const char *line)
{
    List argv = split(line, '|');
    char program[4096], text[4096];
    int ready[2];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = 0;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (setsid() < 0 || chdir(directory) != 0 || setenv("DASKTOP_TEST_WAIT", "1", 1) != 0)
            _exit(1);
        execv(program, argv.items);
        _exit(127);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], text, 1), 0); /* closed by exec */
    close(ready[0]);
    list_done(&argv);
    return pid;
}

typedef struct Found {
    Processes list;
    Origin origin;
    pid_t pid;
} Found;

static void find(const char *directory, const char *line, Found *out)
{
    Error error = {0};
    out->pid = start(directory, line);
    assert_true(processes_read(&out->list, &error));
    Process *process = processes_find(&out->list, out->pid);
    assert_non_null(process);
    origin_find(&out->list, process, &out->origin);
}

static void forget(Found *found)
{
    kill(found->pid, SIGKILL);
    waitpid(found->pid, NULL, 0);
    origin_done(&found->origin);
    processes_done(&found->list);
}

static void write_file(const char *path, const char *text)
{
    Error error = {0};
    assert_true(file_replace(path, text, strlen(text), &error));
}

static char folder[] = "/tmp/origin XXXXXX";

static char *in_folder(const char *name)
{
    return mem_format("%s/%s", folder, name);
}

static void a_notebook(void **state)
{
    (void)state;
    Found found;
    char *file = in_folder("kernel-1.json"), *line = mem_format("python3|-m|ipykernel_launcher|-f|%s", file);
    Buffer bytes = capture("jupyter/origin-connection-file.json");
    write_file(file, bytes.bytes);
    find(folder, line, &found);
    assert_string_equal(found.origin.kind, "notebook");
    assert_string_equal(found.origin.path, "/home/ann/proj/analysis.ipynb");
    assert_string_equal(found.origin.title, "notebook analysis.ipynb");
    forget(&found);
    buffer_done(&bytes);
    free(line);
    free(file);
}

/* A server's console is named like a notebook beside its files. */
static void a_console(void **state)
{
    (void)state;
    Found found;
    char *file = in_folder("kernel-2.json"), *line = mem_format("python3|-m|ipykernel_launcher|-f|%s", file);
    write_file(file, "{\"key\": \"secret\", \"jupyter_session\": \"/home/ann/proj/Console 1\"}");
    find(folder, line, &found);
    assert_string_equal(found.origin.kind, "console");
    assert_string_equal(found.origin.title, "Console 1");
    forget(&found);
    free(line);
    free(file);
}

/* VS Code writes --f="PATH WITH BLANK", and names no notebook. */
static void vs_code(void **state)
{
    (void)state;
    Found found;
    char *file = in_folder("kernel-v2-3.json"), *line = mem_format("python3|-m|ipykernel_launcher|--f=\"%s\"", file);
    write_file(file, "{\"key\": \"secret\"}");
    find(folder, line, &found);
    assert_string_equal(found.origin.kind, "notebook");
    assert_string_equal(found.origin.path, folder);
    assert_non_null(strstr(found.origin.title, "VS Code notebook in origin "));
    forget(&found);
    free(line);
    free(file);
}

/* Whatever stands in the file, the row has some origin and the key is nowhere. */
static void damaged_connection_files(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{", "null", "[]", "{\"jupyter_session\": 5}", "{\"jupyter_session\": null, \"key\": \"k\"}", "{\"jupyter_session\": \"\"}"};
    char *file = in_folder("kernel-4.json"), *line = mem_format("python3|-m|ipykernel_launcher|-f|%s", file);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        Found found;
        write_file(file, texts[i]);
        find(folder, line, &found);
        assert_string_equal(found.origin.path, folder);
        assert_non_null(strstr(found.origin.title, "notebook in origin "));
        forget(&found);
    }
    unlink(file);
    assert_int_equal(mkfifo(file, 0600), 0); /* nobody writes: it must not be waited for */
    Found found;
    find(folder, line, &found);
    assert_string_equal(found.origin.path, folder);
    forget(&found);
    free(line);
    free(file);
}

static void a_script(void **state)
{
    (void)state;
    Found found;
    char *path = in_folder("eda.py");
    find(folder, "python3|eda.py|--n|5", &found);
    assert_string_equal(found.origin.kind, "script");
    assert_string_equal(found.origin.path, path);
    assert_string_equal(found.origin.title, "eda.py");
    forget(&found);
    free(path);
}

static void from_standard_input(void **state)
{
    (void)state;
    Found found;
    find(folder, "python3|-", &found);
    assert_non_null(strstr(found.origin.title, "python in origin "));
    assert_string_equal(found.origin.path, folder);
    forget(&found);
    find(folder, "python3|-|fred", &found);
    assert_string_equal(found.origin.title, "fred");
    forget(&found);
}

static void a_scheduler(void **state)
{
    (void)state;
    Found found;
    find(folder, "python3|/venv/bin/dask|scheduler", &found);
    assert_string_equal(found.origin.kind, "command");
    assert_null(found.origin.title); /* its port or its file is a better name */
    assert_string_equal(found.origin.path, folder);
    forget(&found);
    find(folder, "python3|-m|distributed.cli.dask_spec|--spec|{\"cls\": \"distributed.Scheduler\"}", &found);
    assert_string_equal(found.origin.kind, "ssh");
    forget(&found);
}

/* A child that multiprocessing spawned is its parent's; a ring of parents (pids used again while we read) ends. */
static void spawned_and_rings(void **state)
{
    (void)state;
    Process items[] = {
        {.pid = NOT_REAL + 1, .ppid = NOT_REAL + 2, .comm = "python3", .argv = split("python3|-c|from multiprocessing.spawn import spawn_main|--multiprocessing-fork", '|'), .argv_read = true},
        {.pid = NOT_REAL + 2, .ppid = NOT_REAL + 3, .comm = "python3", .argv = split("python3|train.py", '|'), .argv_read = true},
        {.pid = NOT_REAL + 3, .ppid = NOT_REAL + 2, .comm = "python3", .argv = split("python3|other.py", '|'), .argv_read = true},
        {.pid = NOT_REAL + 4, .ppid = NOT_REAL + 4, .comm = "python3", .argv = split("python3|-c|from multiprocessing.spawn import spawn_main|--multiprocessing-fork", '|'), .argv_read = true},
        {.pid = NOT_REAL + 5, .ppid = NOT_REAL + 9, .comm = "python3", .argv_read = true},
    };
    Processes list = {.items = items, .count = sizeof items / sizeof *items};
    Origin origin;
    origin_find(&list, &items[0], &origin);
    assert_string_equal(origin.title, "train.py");
    origin_done(&origin);
    origin_find(&list, &items[3], &origin);
    origin_done(&origin);
    origin_find(&list, &items[4], &origin); /* another user's: nothing of it can be read */
    assert_null(origin.title);
    assert_string_equal(origin.how, "detached");
    origin_done(&origin);
    for (size_t i = 0; i < list.count; i++)
        list_done(&items[i].argv);
}

/* The server that holds a kernel may be the first process of a container, or run as a module: the kernel is not detached. */
static void kernels_are_held_by_their_server(void **state)
{
    (void)state;
    Process items[] = {
        {.pid = 1, .ppid = 0, .comm = "jupyter-lab", .argv = split("jupyter-lab", '|'), .argv_read = true},
        {.pid = NOT_REAL + 1, .ppid = 1, .comm = "python3", .argv = split("python3|-m|ipykernel_launcher|-f|/none", '|'), .argv_read = true},
        {.pid = NOT_REAL + 2, .ppid = NOT_REAL + 3, .comm = "python3", .argv = split("python3|-m|ipykernel_launcher|-f|/none", '|'), .argv_read = true},
        {.pid = NOT_REAL + 3, .ppid = 1, .comm = "python3", .argv = split("python3|-m|jupyterlab", '|'), .argv_read = true},
    };
    Processes list = {.items = items, .count = 4};
    for (size_t i = 1; i < 3; i++) {
        Origin origin;
        origin_find(&list, &items[i], &origin);
        assert_null(origin.how);
        origin_done(&origin);
    }
    for (size_t i = 0; i < list.count; i++)
        list_done(&items[i].argv);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"kernel-1.json", "kernel-2.json", "kernel-v2-3.json", "kernel-4.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = in_folder(names[i]);
        unlink(path);
        free(path);
    }
    return rmdir(folder);
}

int main(void)
{
    if (getenv("DASKTOP_TEST_WAIT")) {
        alarm(60);
        for (;;)
            pause();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_trees),   cmocka_unit_test(a_notebook),   cmocka_unit_test(a_console),
        cmocka_unit_test(vs_code),      cmocka_unit_test(damaged_connection_files), cmocka_unit_test(a_script),
        cmocka_unit_test(from_standard_input), cmocka_unit_test(a_scheduler), cmocka_unit_test(spawned_and_rings),
        cmocka_unit_test(kernels_are_held_by_their_server),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
