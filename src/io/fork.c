#include "io/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

/* How it went, through a pipe that the exec closes. */
typedef struct Report {
    pid_t pid;
    int number; /* errno, where the program could not be run */
} Report;

static void end_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

bool make_pipe(int fds[2]) {
    int made[2];
    if (pipe2(made, O_CLOEXEC) < 0)
        return false;
    for (int i = 0; i < 2; i++) {
        fds[i] = made[i];
        if (made[i] > 2)
            continue;
        fds[i] = fcntl(made[i], F_DUPFD_CLOEXEC, 3);
        close(made[i]);
    }
    if (fds[0] >= 0 && fds[1] >= 0)
        return true;
    end_fd(&fds[0]);
    end_fd(&fds[1]);
    return false;
}

/* Between fork and exec beside other threads: only what is safe in a signal handler. */

static void report(int fd, pid_t pid, int number) {
    Report text = {pid, number};
    while (write(fd, &text, sizeof text) < 0 && errno == EINTR)
        continue;
}

static bool is_bound(const Forking *forking, pid_t parent) {
#ifdef __linux__
    if (!forking->outlives)
        return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent; /* else it has ended already */
#else
    (void)parent;
#endif
    return true;
}

static _Noreturn void become(const Forking *forking, pid_t parent, int report_fd) {
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &usual, NULL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* Session, group and process have one number only where the process itself calls setsid. */
    bool good = is_bound(forking, parent) && setsid() >= 0 && (!forking->directory || chdir(forking->directory) == 0) && dup2(forking->in_fd, 0) >= 0 &&
                dup2(forking->out_fd, 1) >= 0 && dup2(forking->out_fd, 2) >= 0;
#ifdef SYS_close_range
    if (good)
        syscall(SYS_close_range, 3u, ~0u, 4u); /* CLOSE_RANGE_CLOEXEC; libraries' descriptors may lack the flag */
#endif
    if (good)
        execve(forking->file, forking->command, forking->environment);
    report(report_fd, 0, errno);
    _exit(127);
}

/* The process in between ends at once, so that the last one is init's child and leaves no zombie with us. */
static _Noreturn void fork_again(const Forking *forking, int report_fd) {
    pid_t pid = fork();
    if (pid == 0)
        become(forking, 0, report_fd);
    report(report_fd, pid, pid < 0 ? errno : 0);
    _exit(0);
}

static Report read_report(int fd) {
    Report text, result = {0};
    size_t have = 0;
    for (;;) {
        ssize_t n = read(fd, (char *)&text + have, sizeof text - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return result;
        have += (size_t)n;
        if (have < sizeof text)
            continue;
        have = 0;
        if (text.pid > 0)
            result.pid = text.pid;
        if (text.number)
            result.number = text.number;
    }
}

pid_t fork_process(const Forking *forking, int *number) {
    int fds[2];
    sigset_t all, before;
    *number = 0;
    if (!make_pipe(fds)) {
        *number = errno;
        return -1;
    }
    pid_t parent = getpid();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* our handlers must not run in the child */
    pid_t pid = fork();
    if (pid == 0 && forking->outlives)
        fork_again(forking, fds[1]);
    if (pid == 0)
        become(forking, parent, fds[1]);
    int failure = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(fds[1]);
    Report result = pid > 0 ? read_report(fds[0]) : (Report){.number = failure};
    close(fds[0]);
    bool good = pid > 0 && result.number == 0 && (!forking->outlives || result.pid > 0);
    while (pid > 0 && (forking->outlives || !good) && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (good)
        return forking->outlives ? result.pid : pid;
    *number = result.number ? result.number : EIO;
    return -1;
}
