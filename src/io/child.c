#include "io/child.h"

#include "base/file.h"
#include "base/mem.h"
#include "io/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OUTPUT_DEFAULT = 8 << 20,
    INPUT_MAX = 8 << 20,
    READ_SIZE = 65536,
    READS_PER_TURN = 16,
    TERM_MS = 2000,  /* from TERM to KILL */
    LINGER_MS = 300, /* for outputs that others still hold when the child has ended: ssh's master does */
    LOOK_MS = 20,    /* between two looks at a child where there are no pidfds */
    SECRET_MAX = 65536,
    LIVING_MOST = 256
};

extern char **environ;

typedef struct ChildOutput {
    struct Child *child;
    int fd; /* -1: at its end */
    IoWatch *watch;
    Buffer kept;
    void (*grew)(void *user, const char *bytes, size_t n);
    void (*stream)(void *user, const char *bytes, size_t n);
} ChildOutput;

struct Child {
    Io *io;
    IoPart part;
    pid_t pid;    /* also its group; not reaped before it is forgotten, so that the number stays ours */
    int pid_fd;   /* -1: no pidfds here */
    bool exited;  /* waitid saw it */
    bool told;    /* ended was called, or never will be */
    bool leaving; /* child_end was called: only TERM, KILL and the reaping are left */
    bool paused, keep_input;
    int busy;
    char *name;
    IoWatch *pid_watch, *input_watch;
    IoTimer *look, *linger, *kill;
    int input_fd;
    Buffer input;
    ChildOutput outputs[2];
    void (*ended)(void *user, int status, const Error *error);
    void *user;
};

/* Groups that are alive, for the end of the program: the one thing here that all threads share. What does not fit is ended by its
 * owner alone. */
static _Atomic pid_t living[LIVING_MOST];

static void remember_group(pid_t pid) {
    for (int i = 0; i < LIVING_MOST; i++) {
        pid_t none = 0;
        if (atomic_compare_exchange_strong(&living[i], &none, pid))
            return;
    }
}

/* Before its number can be somebody else's. */
static void forget_group(pid_t pid) {
    for (int i = 0; i < LIVING_MOST; i++) {
        pid_t one = pid;
        if (atomic_compare_exchange_strong(&living[i], &one, 0))
            return;
    }
}

static int signal_living(int number) {
    int count = 0;
    for (int i = 0; i < LIVING_MOST; i++) {
        pid_t pid = atomic_load(&living[i]);
        bool ended = pid > 0 && waitpid(pid, NULL, WNOHANG) == pid;
        if (pid > 0)
            kill(-pid, number); /* its group may be there without it */
        count += pid > 0 && !ended;
    }
    return count;
}

void child_end_all(int ms) {
    int left = signal_living(SIGTERM);
    for (; left > 0 && ms > 0; ms -= 5) {
        poll(NULL, 0, 5);
        left = signal_living(0);
    }
    signal_living(SIGKILL);
}

/* Starting */

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Above 2, as make_pipe does it. */
static int open_high(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0 || fd > 2)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    close(fd);
    return high;
}

static bool may_run(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode) && access(path, X_OK) == 0;
}

/* The file that a command's first word means; owned by the caller. */
static char *look_up(const List *command, Error *error) {
    const char *name = command && command->count ? command->items[0] : "";
    if (!*name) {
        error_set(error, ERROR_USAGE, NULL, NULL, "an empty command cannot be run");
        return NULL;
    }
    if (strchr(name, '/'))
        return mem_text(name);
    const char *path = getenv("PATH");
    for (const char *at = path ? path : "/usr/bin:/bin"; at;) {
        const char *colon = strchr(at, ':');
        size_t n = colon ? (size_t)(colon - at) : strlen(at);
        /* An empty part would mean the current directory: never from there. */
        char *file = n ? mem_format("%.*s/%s", (int)n, at, name) : NULL;
        if (file && may_run(file))
            return file;
        free(file);
        at = colon ? colon + 1 : NULL;
    }
    error_set(error, ERROR_NOT_FOUND, NULL, "install it or put its directory into PATH", "%s: no such program in PATH", name);
    return NULL;
}

static void set_attributes(posix_spawnattr_t *attributes) {
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setsigmask(attributes, &none);
    /* a session of its own is a group of its own, and has no terminal: nothing that runs below it can ask on our screen */
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
}

static char **environment_of(const List *environment) {
    static char *nothing[] = {NULL};
    return !environment ? environ : environment->count ? environment->items : nothing;
}

/* Whose outputs nobody reads hears nothing of our end, however it comes: the system ends it then. 0 or an errno. */
static int spawn_bound(const ChildSpec *spec, const char *file, int in, int out, pid_t *pid) {
    int number = 0, null_fd = in < 0 ? open_high("/dev/null", O_RDONLY) : -1;
    Forking forking = {.file = file, .directory = spec->directory, .command = spec->command->items, .environment = environment_of(spec->environment),
                       .in_fd = in < 0 ? null_fd : in, .out_fd = out};
    *pid = fork_process(&forking, &number);
    close_fd(&null_fd);
    return number;
}

/* 0 or an errno. posix_spawn reports the exec's failure itself and is safe beside other threads. */
static int spawn(const ChildSpec *spec, const char *file, const int stdio[3], pid_t *pid) {
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_init(&actions);
    set_attributes(&attributes);
    int number = 0;
    for (int fd = 0; fd < 3 && number == 0; fd++)
        number = stdio[fd] < 0 ? posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDONLY, 0)
                               : posix_spawn_file_actions_adddup2(&actions, stdio[fd], fd);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    if (number == 0)
        number = posix_spawn_file_actions_addclosefrom_np(&actions, 3); /* libraries' descriptors may lack the flag */
#endif
    if (number == 0 && spec->directory)
        number = posix_spawn_file_actions_addchdir_np(&actions, spec->directory);
    if (number == 0)
        number = posix_spawn(pid, file, &actions, &attributes, spec->command->items, environment_of(spec->environment));
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return number;
}

static bool wants_input(const ChildSpec *spec) {
    return spec->input || spec->keep_input;
}

static void set_nonblocking(int fd) {
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* Where its outputs are read from, or the one file that takes both. */
static bool make_outputs(const ChildSpec *spec, int out[2], int err[2]) {
    if (!spec->output_path)
        return make_pipe(out) && make_pipe(err);
    unlink(spec->output_path);
    out[1] = open(spec->output_path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    err[1] = out[1] < 0 ? -1 : fcntl(out[1], F_DUPFD_CLOEXEC, 3);
    return err[1] >= 0;
}

static bool start_process(Child *child, const ChildSpec *spec, const char *file, Error *error) {
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    int number = 0;
    if ((wants_input(spec) && !make_pipe(in)) || !make_outputs(spec, out, err))
        number = errno;
    if (number == 0)
        number = spec->output_path ? spawn_bound(spec, file, in[0], out[1], &child->pid) : spawn(spec, file, (int[]){in[0], out[1], err[1]}, &child->pid);
    close_fd(&in[0]);
    close_fd(&out[1]);
    close_fd(&err[1]);
    if (number != 0) {
        close_fd(&in[1]);
        close_fd(&out[0]);
        close_fd(&err[0]);
        return error_errno(error, number, NULL, "%s cannot be run", spec->command->items[0]);
    }
    remember_group(child->pid);
    child->input_fd = in[1];
    child->outputs[0].fd = out[0];
    child->outputs[1].fd = err[0];
    if (in[1] >= 0)
        set_nonblocking(in[1]);
    if (!spec->output_path) {
        set_nonblocking(out[0]);
        set_nonblocking(err[0]);
    }
    return true;
}

/* Ending */

static void child_free(Child *child) {
    io_part_remove(&child->part);
    for (int i = 0; i < 2; i++)
        buffer_wipe(&child->outputs[i].kept);
    buffer_wipe(&child->input);
    free(child->name);
    free(child);
}

static void close_output(ChildOutput *output) {
    io_unwatch(output->watch);
    output->watch = NULL;
    close_fd(&output->fd);
}

static void close_input(Child *child) {
    io_unwatch(child->input_watch);
    child->input_watch = NULL;
    close_fd(&child->input_fd);
    buffer_wipe(&child->input);
    buffer_init(&child->input, INPUT_MAX);
}

static void close_all(Child *child) {
    close_input(child);
    close_output(&child->outputs[0]);
    close_output(&child->outputs[1]);
    io_timer_cancel(child->linger);
    child->linger = NULL;
}

static void forget_watching(Child *child) {
    io_unwatch(child->pid_watch);
    child->pid_watch = NULL;
    io_timer_cancel(child->look);
    io_timer_cancel(child->kill);
    child->look = child->kill = NULL;
    close_fd(&child->pid_fd);
}

static void kill_group(const Child *child, int number) {
    /* Not reaped yet, so the number is still this group's and nobody else's. */
    if (child->pid > 0 && kill(-child->pid, number) < 0 && errno == ESRCH)
        kill(child->pid, number);
}

/* Frees it when its owner has let go, nothing is left to reap and no call of ours looks at it. */
static void settle(Child *child) {
    if (child->leaving && child->pid == 0 && child->busy == 0) {
        forget_watching(child);
        child_free(child);
    }
}

static void kill_is_due(void *user) {
    Child *child = user;
    child->kill = NULL;
    kill_group(child, SIGKILL);
    if (waitpid(child->pid, NULL, WNOHANG) == 0) {
        child->kill = io_after(child->io, LOOK_MS, kill_is_due, child);
    } else {
        forget_group(child->pid);
        child->pid = 0;
    }
    settle(child);
}

static void child_drop(void *owner) {
    Child *child = owner;
    child->told = child->leaving = true;
    close_all(child);
    kill_group(child, SIGKILL);
    /* After a KILL this is a moment; a process that the kernel itself holds is left to init. */
    for (int i = 0; i < 200 && child->pid > 0 && waitpid(child->pid, NULL, WNOHANG) == 0; i++)
        poll(NULL, 0, 5);
    forget_group(child->pid);
    child->pid = 0;
    settle(child);
}

void child_end(Child *child) {
    if (!child || child->leaving)
        return;
    child->told = child->leaving = true;
    close_all(child);
    io_unwatch(child->pid_watch);
    child->pid_watch = NULL;
    io_timer_cancel(child->look);
    child->look = NULL;
    kill_group(child, SIGTERM);
    kill_group(child, SIGCONT); /* one that is stopped takes its TERM only so */
    /* The leader stays a zombie until then: members of its group that ignored the TERM are still found. */
    if (child->pid > 0 && !child->kill)
        child->kill = io_after(child->io, TERM_MS, kill_is_due, child);
    settle(child);
}

/* Exactly once; the child is its owner's until child_end. */
static void tell(Child *child, int status, const Error *error) {
    if (child->told)
        return;
    Error none = {0};
    child->told = true;
    close_all(child);
    io_unwatch(child->pid_watch);
    child->pid_watch = NULL;
    io_timer_cancel(child->look);
    child->look = NULL;
    child->busy++;
    if (child->ended)
        child->ended(child->user, status, error ? error : &none);
    child->busy--;
    settle(child);
}

static void fail(Child *child, const Error *error) {
    kill_group(child, SIGKILL);
    child->kill = io_after(child->io, 0, kill_is_due, child);
    tell(child, -1, error);
}

static void finish(Child *child) {
    int status = 0;
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    forget_group(child->pid);
    child->pid = 0;
    tell(child, status, NULL);
}

/* Running */

static void read_output(ChildOutput *output);

static bool outputs_closed(const Child *child) {
    return child->outputs[0].fd < 0 && child->outputs[1].fd < 0;
}

static void linger_is_due(void *user) {
    Child *child = user;
    child->linger = NULL;
    child->busy++;
    for (int i = 0; i < 2 && !child->paused; i++)
        read_output(&child->outputs[i]);
    if (!child->told && child->paused)
        child->linger = io_after(child->io, LINGER_MS, linger_is_due, child);
    else if (!child->told)
        finish(child);
    child->busy--;
    settle(child);
}

static void check_exit(Child *child) {
    siginfo_t about = {0};
    if (child->exited || child->told)
        return;
    /* Only looked at: it is reaped when nothing will be sent to its group any more. */
    if (waitid(P_PID, (id_t)child->pid, &about, WEXITED | WNOHANG | WNOWAIT) < 0 ? errno != ECHILD : about.si_pid == 0)
        return;
    child->exited = true;
    io_unwatch(child->pid_watch);
    child->pid_watch = NULL;
    if (outputs_closed(child))
        finish(child);
    else
        child->linger = io_after(child->io, LINGER_MS, linger_is_due, child);
}

static void pid_ready(void *user, int fd, short events) {
    (void)fd;
    (void)events;
    check_exit(user);
}

static void look_is_due(void *user) {
    Child *child = user;
    child->look = io_after(child->io, LOOK_MS, look_is_due, child);
    child->busy++;
    check_exit(child);
    if (child->exited || child->told) {
        io_timer_cancel(child->look);
        child->look = NULL;
    }
    child->busy--;
    settle(child);
}

/* False: what came is too much, and the child has been ended. */
static bool take_output(ChildOutput *output, const char *bytes, size_t n) {
    Child *child = output->child;
    if (output->stream) {
        output->stream(child->user, bytes, n);
        return true;
    }
    if (buffer_add(&output->kept, bytes, n)) {
        if (output->grew)
            output->grew(child->user, output->kept.bytes, output->kept.length);
        return true;
    }
    Error error = {0};
    error_set(&error, ERROR_BAD_REPLY, NULL, NULL, "%s wrote more than %zu bytes", child->name, output->kept.maximum);
    fail(child, &error);
    return false;
}

static void read_output(ChildOutput *output) {
    Child *child = output->child;
    char bytes[READ_SIZE];
    child->busy++;
    for (int i = 0; i < READS_PER_TURN && output->fd >= 0 && !child->paused && !child->told; i++) {
        ssize_t n = read(output->fd, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            close_output(output);
            break;
        }
        bool good = take_output(output, bytes, (size_t)n);
        secret_wipe(bytes, (size_t)n); /* it may have been a password command's */
        if (!good)
            break;
    }
    child->busy--;
}

static void output_ready(void *user, int fd, short events) {
    ChildOutput *output = user;
    Child *child = output->child;
    (void)fd;
    (void)events;
    child->busy++;
    read_output(output);
    if (!child->told && child->exited && outputs_closed(child))
        finish(child);
    child->busy--;
    settle(child);
}

static void write_input(Child *child) {
    size_t done = 0;
    while (done < child->input.length) {
        ssize_t n = write(child->input_fd, child->input.bytes + done, child->input.length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            close_input(child); /* it reads no more; how it ends is told by its status */
            return;
        }
        if (n < 0)
            break;
        done += (size_t)n;
    }
    buffer_cut_front(&child->input, done);
    if (child->input.length == 0 && !child->keep_input)
        close_input(child);
    else
        io_watch_events(child->input_watch, child->input.length ? POLLOUT : 0);
}

static void input_ready(void *user, int fd, short events) {
    (void)fd;
    (void)events;
    write_input(user);
}

bool child_write(Child *child, const void *bytes, size_t n) {
    if (child->told || child->input_fd < 0 || !child->keep_input || (n && !buffer_add(&child->input, bytes, n)))
        return false;
    if (n == 0)
        child->keep_input = false;
    io_watch_events(child->input_watch, POLLOUT);
    return true;
}

void child_pause_output(Child *child, bool paused) {
    child->paused = paused;
    for (int i = 0; i < 2; i++)
        if (child->outputs[i].watch)
            io_watch_events(child->outputs[i].watch, paused ? 0 : POLLIN);
}

int child_ended_fd(const Child *child) {
    return child->pid_fd;
}

const Buffer *child_kept(const Child *child, bool errors) {
    return &child->outputs[errors].kept;
}

static void watch_exit(Child *child) {
    child->pid_fd = -1;
#ifdef SYS_pidfd_open
    child->pid_fd = (int)syscall(SYS_pidfd_open, child->pid, 0); /* closes on exec by itself */
#endif
    if (child->pid_fd >= 0)
        child->pid_watch = io_watch(child->io, child->pid_fd, POLLIN, pid_ready, child);
    else
        child->look = io_after(child->io, LOOK_MS, look_is_due, child);
}

static void watch_output(Child *child, int which, const ChildSpec *spec) {
    ChildOutput *output = &child->outputs[which];
    output->child = child;
    output->stream = which ? spec->errors : spec->output;
    output->grew = which ? NULL : spec->grew;
    if (output->fd >= 0)
        output->watch = io_watch(child->io, output->fd, POLLIN, output_ready, output);
}

static void init_buffers(Child *child, const ChildSpec *spec) {
    size_t most = spec->most_bytes ? spec->most_bytes : OUTPUT_DEFAULT;
    buffer_init(&child->input, spec->input_length > INPUT_MAX ? spec->input_length : INPUT_MAX);
    for (int i = 0; i < 2; i++) {
        buffer_init(&child->outputs[i].kept, most);
        /* A small reply may be a secret: growing would leave copies of it behind in memory. */
        if (most <= SECRET_MAX)
            buffer_room(&child->outputs[i].kept, most);
    }
    if (spec->input)
        buffer_add(&child->input, spec->input, spec->input_length);
}

Child *child_start(Io *io, const ChildSpec *spec, Error *error) {
    char *file = look_up(spec->command, error);
    if (!file)
        return NULL;
    Child *child = mem_new(sizeof *child);
    child->io = io;
    child->pid_fd = child->input_fd = -1;
    child->keep_input = spec->keep_input;
    child->ended = spec->ended;
    child->user = spec->user;
    child->name = mem_text(spec->command->items[0]);
    init_buffers(child, spec);
    bool good = start_process(child, spec, file, error);
    free(file);
    if (!good) {
        child_free(child);
        return NULL;
    }
    watch_exit(child);
    watch_output(child, 0, spec);
    watch_output(child, 1, spec);
    if (child->input_fd >= 0)
        child->input_watch = io_watch(io, child->input_fd, child->input.length || !child->keep_input ? POLLOUT : 0, input_ready,
                                      child);
    io_part_add(io, &child->part, child_drop, child);
    return child;
}

/* Waited for */

typedef struct Run {
    const ChildSpec *spec;
    bool over;
    int status;
    Error error;
} Run;

static void run_ended(void *user, int status, const Error *error) {
    Run *run = user;
    run->over = true;
    run->status = status;
    run->error = *error;
}

static void run_grew(void *user, const char *bytes, size_t n) {
    Run *run = user;
    run->spec->grew(run->spec->user, bytes, n);
}

void child_result_done(ChildResult *result) {
    if (result->output.bytes)
        buffer_wipe(&result->output);
    if (result->errors.bytes)
        buffer_wipe(&result->errors);
    *result = (ChildResult){0};
}

static void move_buffer(Buffer *to, Buffer *from) {
    *to = *from;
    buffer_init(from, 0);
}

bool child_run(Io *io, const Context *context, const ChildSpec *spec, ChildResult *result, Error *error) {
    Run run = {.spec = spec};
    ChildSpec mine = *spec;
    mine.ended = run_ended;
    mine.user = &run;
    mine.grew = spec->grew ? run_grew : NULL;
    mine.output = mine.errors = NULL;
    mine.keep_input = false;
    *result = (ChildResult){0};
    Child *child = child_start(io, &mine, error);
    if (!child)
        return false;
    bool good = io_until(io, context, &run.over, error);
    if (good && run.error.code != ERROR_OK) {
        good = false;
        if (error)
            *error = run.error;
    }
    if (good) {
        result->status = WIFSIGNALED(run.status) ? 128 + WTERMSIG(run.status) : WEXITSTATUS(run.status);
        move_buffer(&result->output, &child->outputs[0].kept);
        move_buffer(&result->errors, &child->outputs[1].kept);
    }
    child_end(child);
    return good;
}

/* Detached */

int child_detach(const List *command, const List *environment, const char *directory, const char *log_path, Error *error) {
    char *file = look_up(command, error);
    if (!file)
        return -1;
    Forking forking = {.file = file, .directory = directory, .command = command->items, .environment = environment_of(environment), .outlives = true};
    int pid = -1, number = 0;
    forking.in_fd = open_high("/dev/null", O_RDONLY);
    forking.out_fd = open_high(log_path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW);
    if (forking.in_fd < 0 || forking.out_fd < 0)
        error_errno(error, errno, NULL, "%s", log_path);
    else if ((pid = fork_process(&forking, &number)) < 0)
        error_errno(error, number, NULL, "%s cannot be run", command->items[0]);
    close_fd(&forking.in_fd);
    close_fd(&forking.out_fd);
    free(file);
    return pid;
}

/* Secrets: what was read is in no message, standard error neither. */

static Secret *secret_from(Buffer *bytes, const char *what, Error *error) {
    while (bytes->length && strchr("\r\n", bytes->bytes[bytes->length - 1]))
        bytes->bytes[--bytes->length] = 0;
    if (bytes->length && !memchr(bytes->bytes, 0, bytes->length))
        return secret_new(bytes->bytes, bytes->length);
    error_set(error, ERROR_USAGE, NULL, NULL, "%s gave no secret", what);
    return NULL;
}

static Secret *secret_from_environment(const char *name, Error *error) {
    const char *value = getenv(name);
    if (value && *value)
        return secret_new(value, strlen(value));
    error_set(error, ERROR_NOT_FOUND, NULL, NULL, "the environment has no %s", name);
    return NULL;
}

static Secret *secret_from_file(const char *name, Error *error) {
    Buffer bytes;
    Secret *secret = NULL;
    char *path = file_expand_home(name);
    buffer_init(&bytes, SECRET_MAX);
    buffer_room(&bytes, SECRET_MAX);
    if (file_read(path ? path : name, &bytes, error))
        secret = secret_from(&bytes, name, error);
    buffer_wipe(&bytes);
    free(path);
    return secret;
}

static Secret *secret_from_command(Io *io, const Context *context, const Tree *tree, Error *error) {
    List command = {0};
    for (size_t i = 0; tree->kind == TREE_LIST && i < tree->count; i++)
        list_add(&command, tree_text(tree->items[i]) ? tree_text(tree->items[i]) : "");
    Secret *secret = NULL;
    ChildResult result;
    ChildSpec spec = {.command = &command, .most_bytes = SECRET_MAX};
    if (command.count == 0) {
        error_set(error, ERROR_USAGE, NULL, "write it as a list of words", "the command of a secret is no list");
        return NULL;
    }
    if (child_run(io, context, &spec, &result, error)) {
        if (result.status == 0)
            secret = secret_from(&result.output, command.items[0], error);
        else
            error_set(error, ERROR_SIGN_IN, NULL, "run it by hand to see why", "%s ended with status %d and gave no secret",
                      command.items[0], result.status);
        child_result_done(&result);
    }
    list_done(&command);
    return secret;
}

static Secret *resolve(Io *io, const Context *context, const Tree *tree, Error *error) {
    if (tree->kind == TREE_MAP && tree->count == 1) {
        const Tree *env = tree_get(tree, "env"), *file = tree_get(tree, "file"), *command = tree_get(tree, "command");
        if (env && tree_text(env))
            return secret_from_environment(tree_text(env), error);
        if (file && tree_text(file))
            return secret_from_file(tree_text(file), error);
        if (command)
            return secret_from_command(io, context, command, error);
    }
    const char *text = tree_text(tree);
    if (text && *text && tree->kind != TREE_NULL)
        return secret_new(text, strlen(text));
    error_set(error, ERROR_USAGE, NULL, "give {env: NAME}, {file: PATH} or {command: [...]}", "it is no secret");
    return NULL;
}

Secret *child_secret(Io *io, const Context *context, const Tree *tree, const char *where, Error *error) {
    Error mine = {0};
    Secret *secret = tree ? resolve(io, context, tree, &mine) : NULL;
    if (!tree)
        error_set(&mine, ERROR_USAGE, NULL, NULL, "no secret is given");
    if (!secret && error) {
        *error = mine;
        if (where)
            error_at(error, where);
    }
    return secret;
}
