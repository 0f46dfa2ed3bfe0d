/* The one place that knows all layers: it gives the commands and the dashboard the backends, the terminal and child processes. */
#include "backends/registry.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "io/child.h"
#include "ui/ui.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Ours with `extra` on top, as execve wants it; the caller frees the array only. */
static char **merged_environment(const List *extra)
{
    size_t ours = 0, count = 0;
    while (environ[ours])
        ours++;
    char **merged = mem_new((ours + (extra ? extra->count : 0) + 1) * sizeof *merged);
    for (size_t i = 0; i < ours; i++) {
        bool replaced = false;
        size_t name = strcspn(environ[i], "=");
        for (size_t k = 0; extra && k < extra->count && !replaced; k++)
            replaced = strncmp(extra->items[k], environ[i], name + 1) == 0;
        if (!replaced)
            merged[count++] = environ[i];
    }
    for (size_t k = 0; extra && k < extra->count; k++)
        merged[count++] = extra->items[k];
    return merged;
}

/* A program that is given the terminal starts with the signals of a program that a shell started. */
static bool start(const List *command, const List *extra, bool quiet, pid_t *pid, Error *error)
{
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawn_file_actions_init(&actions);
    for (int fd = 0; quiet && fd < 3; fd++)
        posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    char **environment = merged_environment(extra);
    int number = posix_spawnp(pid, command->items[0], &actions, &attributes, command->items, environment);
    free(environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return number == 0 || error_errno(error, number, command->items[0], "it cannot be started");
}

static int run(const List *command, const List *extra, Error *error)
{
    pid_t pid;
    int status = 0;
    if (!start(command, extra, false, &pid, error))
        return -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool launch(const List *command, Error *error)
{
    pid_t pid;
    return start(command, NULL, true, &pid, error);
}

/* What a hook writes goes nowhere; of what it complains about, the beginning is kept for the error. */
typedef struct Hook {
    bool over;
    int status;
    Error error;
    Buffer errors;
} Hook;

static void hook_output(void *user, const char *bytes, size_t n)
{
    (void)user;
    (void)bytes;
    (void)n;
}

static void hook_errors(void *user, const char *bytes, size_t n)
{
    Buffer *kept = &((Hook *)user)->errors;
    size_t room = kept->maximum - kept->length;
    buffer_add(kept, bytes, n < room ? n : room);
}

static void hook_ended(void *user, int status, const Error *error)
{
    Hook *hook = user;
    hook->over = true;
    hook->status = status;
    if (error && status == -1)
        hook->error = *error;
}

static bool hook_good(Hook *hook, const char *name, Error *error)
{
    if (hook->status == 0)
        return true;
    if (hook->status == -1) {
        if (error)
            *error = hook->error;
        return false;
    }
    hook->errors.bytes[strcspn(hook->errors.bytes, "\n")] = 0;
    const char *said = hook->errors.bytes;
    if (WIFSIGNALED(hook->status))
        return error_set(error, ERROR_INTERNAL, name, NULL, "it was ended by signal %d%s%s", WTERMSIG(hook->status), *said ? ": " : "", said);
    return error_set(error, ERROR_INTERNAL, name, NULL, "it ended with status %d%s%s", WEXITSTATUS(hook->status), *said ? ": " : "", said);
}

static bool run_hook(const List *command, const Buffer *input, const Context *context, Error *error)
{
    const char *name = command->items[0];
    Hook hook = {0};
    Io *io = io_new(error);
    if (!io)
        return false;
    buffer_init(&hook.errors, 240);
    ChildSpec spec = {.command = command, .input = input->bytes, .input_length = input->length, .output = hook_output,
                      .errors = hook_errors, .ended = hook_ended, .user = &hook};
    Child *child = child_start(io, &spec, error);
    bool good = child && io_until(io, context, &hook.over, error);
    if (child && !good && error)
        error_at(error, name);
    good = good && hook_good(&hook, name, error);
    child_end(child);
    io_free(io);
    buffer_done(&hook.errors);
    return good;
}

static void list_of(List *list, const char *const *items)
{
    for (; items && *items; items++)
        list_add(list, *items);
}

static bool spawn(const char *const *argv, Error *error)
{
    List command = {0};
    list_of(&command, argv);
    bool started = launch(&command, error);
    list_done(&command);
    return started;
}

static bool foreground(const char *const *argv, const char *const *environment, int *status, Error *error)
{
    List command = {0}, extra = {0};
    list_of(&command, argv);
    list_of(&extra, environment);
    *status = run(&command, &extra, error);
    list_done(&command);
    list_done(&extra);
    return *status >= 0;
}

static UiColour colour_of(const char *word)
{
    return word && strcmp(word, "always") == 0 ? UI_COLOUR_ALWAYS : word && strcmp(word, "never") == 0 ? UI_COLOUR_NEVER : UI_COLOUR_AUTO;
}

static int dashboard(Engine *engine, const CliDashboard *wanted)
{
    UiOptions options = {.ascii = wanted->ascii, .colour = colour_of(wanted->colour), .theme = wanted->theme, .filter = wanted->filter,
                         .problem = wanted->problem, .spawn = spawn, .foreground = foreground};
    return ui_run(engine, &options);
}

/* Core files hold what passed through memory: certificates, tokens. */
static void forbid_core_files(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
}

/* Plugins and tunnels go with us. */
static void leave(void)
{
    child_end_all(200);
}

int main(int argc, char **argv)
{
    forbid_core_files();
    setlocale(LC_CTYPE, ""); /* the rest of it, numbers and months, is as scripts expect it in all languages */
    CliHost host = {.types = backend_types, .dashboard_possible = ui_possible, .dashboard = dashboard, .run = run, .launch = launch, .hook = run_hook,
                    .leave = leave};
    return cli_main(argc, argv, &host);
}
