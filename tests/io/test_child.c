#include "base/clock.h"
#include "base/file.h"
#include "io/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* A script for the tests' shell; the program itself never starts one. */
static List script(const char *text) {
    List command = {0};
    list_add(&command, "sh");
    list_add(&command, "-c");
    list_add(&command, text);
    return command;
}

static bool run_spec(Io *io, ChildSpec *spec, const char *text, ChildResult *result, Error *error) {
    List command = script(text);
    Context context = context_new(NULL, 60000);
    spec->command = &command;
    bool good = child_run(io, &context, spec, result, error);
    list_done(&command);
    return good;
}

static bool run(Io *io, const char *text, ChildResult *result, Error *error) {
    ChildSpec spec = {0};
    return run_spec(io, &spec, text, result, error);
}

static void test_statuses(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    ChildResult result;
    assert_true(run(io, "echo out; echo err >&2; exit 3", &result, NULL));
    assert_int_equal(result.status, 3);
    assert_string_equal(result.output.bytes, "out\n");
    assert_string_equal(result.errors.bytes, "err\n");
    child_result_done(&result);
    assert_true(run(io, "kill -9 $$", &result, NULL));
    assert_int_equal(result.status, 128 + 9);
    child_result_done(&result);
    assert_true(run(io, ":", &result, NULL));
    assert_int_equal(result.status, 0);
    assert_int_equal(result.output.length, 0);
    child_result_done(&result);
    io_free(io);
}

static void test_cannot_run(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    Context context = context_new(NULL, 10000);
    const char *names[] = {"no-such-program-here", "/no/such/program", ""};
    const ErrorCode codes[] = {ERROR_NOT_FOUND, ERROR_NOT_FOUND, ERROR_USAGE};
    for (int i = 0; i < 3; i++) {
        List command = {0};
        ChildResult result;
        Error error = {0};
        list_add(&command, names[i]);
        ChildSpec spec = {.command = &command};
        assert_false(child_run(io, &context, &spec, &result, &error));
        assert_int_equal(error.code, codes[i]);
        list_done(&command);
    }
    List none = {0};
    Error error = {0};
    assert_null(child_start(io, &(ChildSpec){.command = &none}, &error));
    assert_int_equal(error.code, ERROR_USAGE);
    ChildResult result;
    ChildSpec spec = {.directory = "/no/such/place"};
    assert_false(run_spec(io, &spec, ":", &result, &error));
    io_free(io);
}

static void test_surroundings(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    ChildResult result;
    List environment = {0};
    list_add(&environment, "ONLY=this");
    ChildSpec spec = {.environment = &environment, .directory = "/"};
    sigset_t block;
    sigemptyset(&block);
    sigaddset(&block, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &block, NULL);
    /* Nothing blocked or ignored, its own group, an empty standard input, no descriptor of ours (the fourth is that of the directory itself). */
    assert_true(run_spec(io, &spec,
                         "echo $ONLY $HOME; pwd; cat; for set in Blk Ign; do "
                         "echo $((0x$(sed -n \"s/^Sig$set:.//p\" /proc/self/status) & 0x7fffffff)); done; " /* libc's own are above */
                         "test $(cut -d' ' -f5 /proc/$$/stat) = $$ && echo group; set -- /proc/$$/fd/*; echo $#",
                         &result, NULL));
    pthread_sigmask(SIG_UNBLOCK, &block, NULL);
    assert_int_equal(result.status, 0);
    assert_string_equal(result.output.bytes, "this\n/\n0\n0\ngroup\n4\n");
    child_result_done(&result);
    list_done(&environment);
    io_free(io);
}

static void test_input(void **state) {
    (void)state;
    enum { MUCH = 3 << 20 };
    Io *io = io_new(NULL);
    ChildResult result;
    char *bytes = malloc(MUCH);
    memset(bytes, 'y', MUCH);
    ChildSpec spec = {.input = bytes, .input_length = MUCH};
    assert_true(run_spec(io, &spec, "cat", &result, NULL));
    assert_int_equal(result.output.length, MUCH);
    child_result_done(&result);
    /* One that reads nothing: no SIGPIPE, no hanging. */
    assert_true(run_spec(io, &spec, "exec 0<&-; echo done", &result, NULL));
    assert_string_equal(result.output.bytes, "done\n");
    child_result_done(&result);
    free(bytes);
    io_free(io);
}

static void test_flood(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    ChildResult result;
    Error error = {0};
    ChildSpec spec = {.most_bytes = 100000};
    assert_false(run_spec(io, &spec, "yes", &result, &error));
    assert_int_equal(error.code, ERROR_BAD_REPLY);
    assert_false(run_spec(io, &spec, "yes >&2", &result, &error));
    assert_int_equal(error.code, ERROR_BAD_REPLY);
    assert_true(run_spec(io, &spec, "head -c 100000 /dev/zero", &result, &error));
    assert_int_equal(result.output.length, 100000);
    child_result_done(&result);
    io_free(io);
}

typedef struct Grown {
    const char *path;
    size_t calls, length;
} Grown;

/* The child waits for a file that is made when its first words have come. */
static void take_grown(void *user, const char *bytes, size_t n) {
    Grown *grown = user;
    int fd = open(grown->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && n > grown->length && strncmp(bytes, "one two", n) == 0);
    close(fd);
    grown->length = n;
    grown->calls++;
}

static void test_output_is_read_while_it_grows(void **state) {
    (void)state;
    char directory[] = "/tmp/dasktop-child-XXXXXX", path[64], text[200];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/go", directory);
    snprintf(text, sizeof text, "printf one; while [ ! -e %s ]; do sleep 0.01; done; printf ' two'; echo err >&2", path);
    Grown grown = {.path = path};
    ChildSpec spec = {.grew = take_grown, .user = &grown};
    ChildResult result;
    Io *io = io_new(NULL);
    assert_true(run_spec(io, &spec, text, &result, NULL));
    assert_string_equal(result.output.bytes, "one two"); /* kept all the same */
    assert_int_equal(grown.length, 7);
    assert_true(grown.calls >= 2);
    child_result_done(&result);
    io_free(io);
    unlink(path);
    rmdir(directory);
}

/* A child that is held while nobody turns its Io: what it says goes into a file, and its end is seen by a descriptor. */
static void test_output_to_a_file(void **state) {
    (void)state;
    char path[] = "/tmp/dasktop-child-XXXXXX";
    Error error = {0};
    Buffer said;
    struct stat about;
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "of before", 9) == 9);
    close(fd);
    Io *io = io_new(NULL);
    List command = script("echo out; echo err >&2; read line; echo never");
    ChildSpec spec = {.command = &command, .output_path = path, .keep_input = true};
    Child *child = child_start(io, &spec, &error);
    assert_non_null(child);
    struct pollfd ended = {.fd = child_ended_fd(child), .events = POLLIN};
    buffer_init(&said, 1000);
    for (int i = 0; i < 3000 && said.length < 8; i++) {
        buffer_clear(&said);
        assert_true(file_read(path, &said, NULL));
        poll(NULL, 0, 10);
    }
    assert_string_equal(said.bytes, "out\nerr\n");
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    if (ended.fd >= 0) {
        assert_int_equal(poll(&ended, 1, 0), 0);
        child_write(child, NULL, 0);
        Context context = context_new(NULL, 30000);
        while (poll(&ended, 1, 0) == 0)
            assert_true(io_sleep(io, &context, 10, NULL));
    }
    child_end(child);
    io_free(io);
    buffer_done(&said);
    list_done(&command);
    unlink(path);
}

#ifdef __linux__
static bool runs(pid_t pid) {
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    bool there = file && fgets(text, sizeof text, file);
    if (file)
        fclose(file);
    const char *state = strrchr(text, ')');
    return there && state && state[2] != 'Z'; /* a zombie waits for whoever inherited it */
}

static _Noreturn void hold_one(const char *path) {
    Io *io = io_new(NULL);
    List command = script("echo $$; exec sleep 600");
    ChildSpec spec = {.command = &command, .output_path = path};
    child_start(io, &spec, NULL);
    for (;;)
        pause();
}

/* Killed without a chance to end anything: what it held, of which nobody reads, ends too. */
static void test_nothing_is_left_behind(void **state) {
    (void)state;
    char path[] = "/tmp/dasktop-child-XXXXXX";
    close(mkstemp(path));
    pid_t holder = fork(), held = 0;
    if (holder == 0)
        hold_one(path);
    Buffer said;
    buffer_init(&said, 100);
    for (int i = 0; i < 3000 && !held; i++) {
        buffer_clear(&said);
        file_read(path, &said, NULL);
        held = said.length && strchr(said.bytes, '\n') ? (pid_t)strtol(said.bytes, NULL, 10) : 0;
        poll(NULL, 0, 10);
    }
    assert_true(held > 0 && runs(held));
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    for (int i = 0; i < 3000 && runs(held); i++)
        poll(NULL, 0, 10);
    assert_false(runs(held));
    buffer_done(&said);
    unlink(path);
}
#endif

/* In a process that has a terminal: can a child open it? Its exit status: 0 no, 1 yes. */
static _Noreturn void ask_for_terminal(const char *name) {
    ChildResult result;
    bool has = false;
    int fd = setsid() >= 0 ? open(name, O_RDWR) : -1; /* the first that a session opens is its own */
    Io *io = io_new(NULL);
    if (fd < 0 || tcgetsid(fd) != getpid() || !run(io, "(exec 3<>/dev/tty) 2>/dev/null && echo yes || echo no", &result, NULL))
        _exit(2);
    has = strcmp(result.output.bytes, "no\n") != 0;
    child_result_done(&result);
    io_free(io);
    _exit(has);
}

static void test_no_terminal(void **state) {
    (void)state;
    int master = posix_openpt(O_RDWR | O_NOCTTY), status = -1;
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    pid_t pid = fork();
    if (pid == 0)
        ask_for_terminal(ptsname(master));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close(master);
}

static void test_deadline(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    List command = script("sleep 1000");
    Context context = context_new(NULL, 30);
    ChildSpec spec = {.command = &command};
    ChildResult result;
    Error error = {0};
    assert_false(child_run(io, &context, &spec, &result, &error));
    assert_int_equal(error.code, ERROR_TIMEOUT);
    list_done(&command);
    io_free(io);
}

/* ssh's master keeps the outputs open after ssh itself has ended. */
static void test_output_held_by_another(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    ChildResult result;
    assert_true(run(io, "echo first; setsid sleep 3 & exit 4", &result, NULL));
    assert_int_equal(result.status, 4);
    assert_string_equal(result.output.bytes, "first\n");
    child_result_done(&result);
    io_free(io);
}

typedef struct Talk {
    Child *child;
    Buffer got;
    bool over, end_on_output, end_on_ended, heard;
    int ended, status;
    Error error;
} Talk;

static void on_output(void *user, const char *bytes, size_t n) {
    Talk *talk = user;
    buffer_add(&talk->got, bytes, n);
    talk->heard = true;
    if (talk->end_on_output) {
        child_end(talk->child);
        talk->child = NULL;
        talk->over = true;
    }
}

static void on_ended(void *user, int status, const Error *error) {
    Talk *talk = user;
    talk->ended++;
    talk->status = status;
    talk->error = *error;
    talk->over = true;
    if (talk->end_on_ended) {
        child_end(talk->child);
        talk->child = NULL;
    }
}

static void start(Io *io, Talk *talk, const char *text) {
    List command = script(text);
    ChildSpec spec = {.command = &command, .keep_input = true, .output = on_output, .ended = on_ended, .user = talk};
    buffer_init(&talk->got, BUFFER_ANY);
    talk->child = child_start(io, &spec, NULL);
    assert_non_null(talk->child);
    list_done(&command);
}

static void until(Io *io, const bool *done) {
    Context context = context_new(NULL, 60000);
    assert_true(io_until(io, &context, done, NULL));
}

static bool lives(pid_t pid) {
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = 0;
    fclose(file);
    const char *state = strrchr(text, ')');
    return state && state[2] != 'Z';
}

static void wait_for_death(Io *io, pid_t pid) {
    Context context = context_new(NULL, 30000);
    while (lives(pid))
        assert_true(io_sleep(io, &context, 20, NULL));
}

static void test_talk(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    Talk talk = {0};
    start(io, &talk, "while read line; do echo \"<$line>\"; done; exit 5");
    assert_true(child_write(talk.child, "one\n", 4));
    until(io, &talk.heard);
    assert_string_equal(talk.got.bytes, "<one>\n");
    assert_true(child_write(talk.child, "two\n", 4));
    assert_true(child_write(talk.child, NULL, 0));
    assert_false(child_write(talk.child, "three\n", 6));
    until(io, &talk.over);
    assert_string_equal(talk.got.bytes, "<one>\n<two>\n");
    assert_int_equal(WEXITSTATUS(talk.status), 5);
    assert_int_equal(talk.ended, 1);
    assert_false(child_write(talk.child, "x", 1));
    child_end(talk.child);
    buffer_done(&talk.got);
    io_free(io);
}

static void test_write_is_bounded(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    Talk talk = {0};
    start(io, &talk, "sleep 1000");
    char *bytes = calloc(1, 8 << 20);
    assert_true(child_write(talk.child, bytes, 8 << 20));
    assert_false(child_write(talk.child, "x", 1));
    free(bytes);
    child_end(talk.child);
    buffer_done(&talk.got);
    io_free(io);
}

static void test_pause(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    Context context = context_new(NULL, 60000);
    Talk talk = {0};
    start(io, &talk, "head -c 300000 /dev/zero");
    child_pause_output(talk.child, true);
    assert_true(io_sleep(io, &context, 500, NULL));
    assert_int_equal(talk.got.length + (size_t)talk.ended, 0);
    child_pause_output(talk.child, false);
    until(io, &talk.over);
    assert_int_equal(talk.got.length, 300000);
    child_end(talk.child);
    buffer_done(&talk.got);
    io_free(io);
}

static void test_end_inside(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    Talk output = {.end_on_output = true}, ended = {.end_on_ended = true};
    start(io, &output, "echo x; echo y; sleep 1000");
    start(io, &ended, "exit 1");
    until(io, &output.over);
    until(io, &ended.over);
    assert_int_equal(output.ended, 0);
    assert_int_equal(ended.ended, 1);
    buffer_done(&output.got);
    buffer_done(&ended.got);
    io_free(io);
}

/* Both the child and its own child ignore TERM: the Io sends KILL to the group by itself. */
static void test_stubborn_group(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    Talk talk = {0};
    start(io, &talk, "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait; while :; do sleep 1; done");
    until(io, &talk.heard);
    pid_t grandchild = (pid_t)strtol(talk.got.bytes, NULL, 10);
    assert_true(lives(grandchild));
    child_end(talk.child);
    wait_for_death(io, grandchild);
    assert_int_equal(talk.ended, 0);
    buffer_done(&talk.got);
    io_free(io);
}

/* The child itself goes at the TERM, its own child does not: the group's number must still be ours at the KILL. */
static void test_grandchild_outlives_the_leader(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    Talk talk = {0};
    start(io, &talk, "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait");
    until(io, &talk.heard);
    pid_t grandchild = (pid_t)strtol(talk.got.bytes, NULL, 10);
    child_end(talk.child);
    wait_for_death(io, grandchild);
    buffer_done(&talk.got);
    io_free(io);
}

static void test_io_free_kills(void **state) {
    (void)state;
    Io *io = io_new(NULL), *other = io_new(NULL);
    Talk talk = {0}, left = {0};
    start(io, &talk, "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & while :; do sleep 1; done");
    start(io, &left, "echo x; sleep 1000");
    until(io, &talk.heard);
    until(io, &left.heard);
    pid_t grandchild = (pid_t)strtol(talk.got.bytes, NULL, 10);
    child_end(left.child);
    io_free(io);
    wait_for_death(other, grandchild);
    assert_int_equal(talk.ended + left.ended, 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie is left */
    assert_int_equal(errno, ECHILD);
    buffer_done(&talk.got);
    buffer_done(&left.got);
    io_free(other);
}

static void *starts_many(void *user) {
    (void)user;
    Io *io = io_new(NULL);
    for (int i = 0; i < 15; i++) {
        ChildResult result;
        assert_true(run(io, "echo x", &result, NULL));
        assert_string_equal(result.output.bytes, "x\n");
        child_result_done(&result);
    }
    io_free(io);
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, starts_many, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

static char *temporary(const char *text) {
    char *path = strdup(P_tmpdir "/dasktop-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void read_all(const char *path, Buffer *out) {
    buffer_clear(out);
    assert_true(file_read(path, out, NULL));
}

static void test_detach(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    Error error = {0};
    char *log = temporary("before\n");
    /* The shell's own group and session have its number; it is nobody's child here. */
    List command = script("echo $$ $(cut -d' ' -f5,6 /proc/$$/stat); cat; echo err >&2; exec sleep 1000");
    int pid = child_detach(&command, NULL, "/", log, &error);
    assert_true(pid > 0);
    io_free(io);
    Buffer text;
    buffer_init(&text, BUFFER_ANY);
    io = io_new(NULL);
    Context context = context_new(NULL, 30000);
    do {
        assert_true(io_sleep(io, &context, 20, NULL));
        read_all(log, &text);
    } while (!strstr(text.bytes, "err"));
    char expected[128];
    snprintf(expected, sizeof expected, "before\n%d %d %d\nerr\n", pid, pid, pid);
    assert_string_equal(text.bytes, expected);
    assert_true(lives(pid));
    assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
    kill(-pid, SIGKILL);
    wait_for_death(io, pid);
    list_done(&command);
    unlink(log);
    List missing = {0};
    list_add(&missing, "/no/such/program");
    assert_int_equal(child_detach(&missing, NULL, NULL, log, &error), -1);
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    struct stat about;
    assert_int_equal(stat(log, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    unlink(log);
    free(log);
    list_done(&missing);
    buffer_done(&text);
    io_free(io);
}

static Secret *secret_of(Io *io, const char *yaml, Error *error) {
    Context context = context_new(NULL, 30000);
    Tree *tree = tree_parse("test", yaml, strlen(yaml), NULL);
    assert_non_null(tree);
    Secret *secret = child_secret(io, &context, tree_get(tree, "it"), "prod", error);
    tree_free(tree);
    return secret;
}

static void expect_secret(Io *io, const char *yaml, const char *expected) {
    Error error = {0};
    Secret *secret = secret_of(io, yaml, &error);
    if (!secret)
        fail_msg("%s: %s", yaml, error.what);
    assert_string_equal(secret_reveal(secret), expected);
    secret_free(secret);
}

static void expect_no_secret(Io *io, const char *yaml, ErrorCode code) {
    Error error = {0};
    char line[ERROR_LINE];
    assert_null(secret_of(io, yaml, &error));
    assert_int_equal(error.code, code);
    assert_null(strstr(error_line(&error, line, sizeof line), "hush"));
    assert_string_equal(error.where, "prod");
}

static void test_secrets(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    char yaml[256], *path = temporary("hush file\n"), *empty = temporary("\n");
    setenv("DASKTOP_TEST_SECRET", "hush env", 1);
    expect_secret(io, "it: {env: DASKTOP_TEST_SECRET}", "hush env");
    snprintf(yaml, sizeof yaml, "it: {file: %s}", path);
    expect_secret(io, yaml, "hush file");
    expect_secret(io, "it: {command: [sh, -c, 'echo hush command']}", "hush command");
    expect_secret(io, "it: hush plain", "hush plain");
    unsetenv("DASKTOP_TEST_SECRET");
    expect_no_secret(io, "it: {env: DASKTOP_TEST_SECRET}", ERROR_NOT_FOUND);
    snprintf(yaml, sizeof yaml, "it: {file: %s}", empty);
    expect_no_secret(io, yaml, ERROR_USAGE);
    expect_no_secret(io, "it: {command: [sh, -c, 'echo hush; echo hush >&2; exit 1']}", ERROR_SIGN_IN);
    expect_no_secret(io, "it: {command: echo hush}", ERROR_USAGE);
    expect_no_secret(io, "it: {command: [sh, -c, 'yes hush']}", ERROR_BAD_REPLY);
    expect_no_secret(io, "it: {what: hush}", ERROR_USAGE);
    expect_no_secret(io, "it: [hush]", ERROR_USAGE);
    expect_no_secret(io, "other: 1", ERROR_USAGE);
    unlink(path);
    unlink(empty);
    free(path);
    free(empty);
    io_free(io);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_cannot_run),
        cmocka_unit_test(test_surroundings),
        cmocka_unit_test(test_input),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_output_is_read_while_it_grows),
        cmocka_unit_test(test_output_to_a_file),
#ifdef __linux__
        cmocka_unit_test(test_nothing_is_left_behind),
#endif
        cmocka_unit_test(test_no_terminal),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_output_held_by_another),
        cmocka_unit_test(test_talk),
        cmocka_unit_test(test_write_is_bounded),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_end_inside),
        cmocka_unit_test(test_stubborn_group),
        cmocka_unit_test(test_grandchild_outlives_the_leader),
        cmocka_unit_test(test_io_free_kills),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_detach),
        cmocka_unit_test(test_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
