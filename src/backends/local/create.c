/* Clusters of our own: a scheduler and a worker process with nannies, detached, with their own brakes (--idle-timeout, --death-timeout)
 * so that they cannot become orphans. */
#include "backends/local/local.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "core/config.h"
#include "io/child.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_MS = 100, CHECK_MS = 20000 };

const char *const local_creates[] = {"dask.distributed:LocalCluster", "distributed:LocalCluster", "distributed.deploy.local:LocalCluster", NULL};

/* "python", where its PATH has it: an environment's is a link to another place's, and the environment's only when it is run by that link. */
static char *found_in_path(const Process *process, const char *name, const char *program)
{
    char *path = process_variable(process, "PATH"), *found = file_in_path(path, name, program);
    free(path);
    return found;
}

char *local_python(Process *process)
{
    const List *argv = process_argv(process);
    const char *first = argv->count ? argv->items[0] : "", *slash = strrchr(first, '/');
    if (slash && strncmp(slash + 1, "python", 6) == 0) {
        char *directory = *first == '/' ? NULL : process_directory(process);
        char *path = directory ? file_join(directory, first) : mem_text(first);
        free(directory);
        if (process->seen || access(path, X_OK) == 0)
            return path;
        free(path);
    }
    char *exe = process_program(process), *found = exe && !slash && strncmp(first, "python", 6) == 0 ? found_in_path(process, first, exe) : NULL;
    if (found) {
        free(exe);
        return found;
    }
    if (exe && strstr(exe, "python") && (process->seen || access(exe, X_OK) == 0))
        return exe;
    free(exe);
    return NULL;
}

static void add_option(List *command, const char *name, const char *value)
{
    list_add(command, name);
    list_add(command, value);
}

void local_worker_command(const WorkerKind *kind, const char *address, const char *name, List *command)
{
    char number[32];
    list_add(command, kind->python);
    list_add(command, "-m");
    list_add(command, "distributed.cli.dask_worker");
    list_add(command, address);
    add_option(command, "--name", name);
    add_option(command, "--dashboard-address", "127.0.0.1:0");
    add_option(command, "--death-timeout", "60");
    if (kind->threads > 0) {
        snprintf(number, sizeof number, "%lld", (long long)kind->threads);
        add_option(command, "--nthreads", number);
    }
    if (kind->memory_limit > 0) {
        snprintf(number, sizeof number, "%lld", (long long)kind->memory_limit);
        add_option(command, "--memory-limit", number);
    }
    DaskAddress place;
    if (dask_address_parse(address, &place) && strncmp(place.host, "127.", 4) == 0)
        add_option(command, "--host", "127.0.0.1");
    for (size_t i = 0; i + 1 < 6 && kind->protocol_tls[i]; i += 2)
        if (kind->protocol_tls[i + 1])
            add_option(command, kind->protocol_tls[i], kind->protocol_tls[i + 1]);
}

bool local_start_worker(const WorkerKind *kind, const char *address, const char *name, const char *log, Made *made, Error *error)
{
    List command = {0};
    local_worker_command(kind, address, name, &command);
    int pid = child_detach(&command, NULL, kind->directory, log, error);
    list_done(&command);
    if (pid > 0 && made)
        made_process(made, "worker", pid, log);
    return pid > 0;
}

/* ------------------------------------------------------------------------------------------------------------------ spec */

typedef struct Wish {
    char *name, *host, *port, *dashboard, *directory, *memory_limit, *idle_timeout;
    int64_t workers, threads;
} Wish;

static void wish_done(Wish *wish)
{
    char *texts[] = {wish->name, wish->host, wish->port, wish->dashboard, wish->directory, wish->memory_limit, wish->idle_timeout};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
}

static bool refuse(const Tree *tree, Error *error, const char *what)
{
    char where[256];
    return error_set(error, ERROR_USAGE, tree_where(tree, where), NULL, "%s: %s", tree->key ? tree->key : "spec", what);
}

static bool is_name(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
            return false;
    return n > 0 && n <= 64 && name[0] != '.' && name[0] != '-';
}

static bool take_text(const Tree *item, char **field, Error *error)
{
    if (!tree_text(item))
        return refuse(item, error, "it is no text");
    free(*field);
    *field = mem_text(item->text);
    return true;
}

static bool take_kwarg(const Tree *item, Wish *wish, Error *error)
{
    const struct {
        const char *key;
        char **field;
    } texts[] = {{"host", &wish->host}, {"scheduler_port", &wish->port}, {"dashboard_address", &wish->dashboard}, {"local_directory", &wish->directory},
                 {"memory_limit", &wish->memory_limit}, {"idle_timeout", &wish->idle_timeout}};
    if (item->kind == TREE_NULL || strcmp(item->key, "name") == 0 || strcmp(item->key, "n_workers") == 0)
        return true;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(item->key, texts[i].key) == 0)
            return take_text(item, texts[i].field, error);
    if (strcmp(item->key, "threads_per_worker") == 0) {
        if (item->kind != TREE_NUMBER || item->number < 1 || item->number > 4096)
            return refuse(item, error, "it is no number of threads");
        wish->threads = (int64_t)item->number;
        return true;
    }
    if (strcmp(item->key, "processes") == 0 && item->kind == TREE_BOOL)
        return item->truth || refuse(item, error, "a cluster without processes would live inside dasktop");
    return refuse(item, error, "not an option that dasktop can pass on (host, scheduler_port, dashboard_address, local_directory, memory_limit, "
                               "n_workers, threads_per_worker, name, idle_timeout)");
}

static bool read_wish(const Spec *spec, Wish *wish, Error *error)
{
    *wish = (Wish){.workers = spec->workers, .threads = NUMBER_UNKNOWN};
    if (spec->args && spec->args->count)
        return refuse(spec->args, error, "arguments without a name are not passed on: write them as kwargs");
    for (size_t i = 0; spec->kwargs && i < spec->kwargs->count; i++)
        if (!take_kwarg(spec->kwargs->items[i], wish, error))
            return false;
    if (spec->name && !is_name(spec->name))
        return error_set(error, ERROR_USAGE, "--name", "use letters, digits, '.', '_' and '-'", "%s is no name for a cluster", spec->name);
    wish->name = spec->name ? mem_text(spec->name) : mem_format("dask-%llx", (unsigned long long)clock_wall_ms() / 1000 & 0xffffff);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (wish->workers == NUMBER_UNKNOWN)
        wish->workers = cores > 4 ? 4 : cores > 0 ? cores : 1;
    if (wish->threads == NUMBER_UNKNOWN)
        wish->threads = cores > wish->workers && wish->workers > 0 ? cores / wish->workers : 1;
    return true;
}

/* ---------------------------------------------------------------------------------------------------------------- python */

static char *in_environment(const char *variable)
{
    const char *prefix = getenv(variable);
    char *path = prefix && *prefix ? mem_format("%s/bin/python", prefix) : NULL;
    if (path && access(path, X_OK) == 0)
        return path;
    free(path);
    return NULL;
}

/* The config's, the active environment's, else python3; it must have distributed. */
static char *find_python(const BackendConfig *config, const Context *context, Error *error)
{
    const char *given = config_text(config, "python");
    char *python = given ? file_expand_home(given) : in_environment("VIRTUAL_ENV");
    python = python ? python : in_environment("CONDA_PREFIX");
    python = python ? python : mem_text("python3");
    List command = {0};
    ChildResult result = {0};
    Io *io = io_new(error);
    Context part = context_within(context, CHECK_MS);
    list_add(&command, python);
    list_add(&command, "-c");
    list_add(&command, "import distributed, sys; print(sys.executable)");
    ChildSpec spec = {.command = &command};
    bool right = io && child_run(io, &part, &spec, &result, error);
    if (right && result.status != 0)
        right = error_set(error, ERROR_ABSENT, config->key, "activate an environment with `distributed`, or set its python", "%s has no distributed", python);
    if (right) {
        free(python);
        python = mem_text_n(result.output.bytes, strcspn(result.output.bytes, "\r\n"));
    }
    child_result_done(&result);
    list_done(&command);
    if (io)
        io_free(io);
    if (right)
        return python;
    free(python);
    return NULL;
}

/* -------------------------------------------------------------------------------------------------------------- commands */

static void scheduler_command(const Wish *wish, const char *python, const char *file, List *command)
{
    list_add(command, python);
    list_add(command, "-m");
    list_add(command, "distributed.cli.dask_scheduler");
    add_option(command, "--host", wish->host ? wish->host : "127.0.0.1");
    add_option(command, "--port", wish->port ? wish->port : "0");
    add_option(command, "--dashboard-address", wish->dashboard ? wish->dashboard : "127.0.0.1:0");
    add_option(command, "--scheduler-file", file);
    add_option(command, "--idle-timeout", wish->idle_timeout ? wish->idle_timeout : "4h");
}

static void worker_command(const Wish *wish, const char *python, const char *address, List *command)
{
    char number[32];
    list_add(command, python);
    list_add(command, "-m");
    list_add(command, "distributed.cli.dask_worker");
    list_add(command, address);
    snprintf(number, sizeof number, "%lld", (long long)wish->workers);
    add_option(command, "--nworkers", number);
    snprintf(number, sizeof number, "%lld", (long long)wish->threads);
    add_option(command, "--nthreads", number);
    add_option(command, "--name", wish->name);
    add_option(command, "--host", wish->host ? wish->host : "127.0.0.1");
    add_option(command, "--dashboard-address", "127.0.0.1:0");
    add_option(command, "--death-timeout", "60");
    if (wish->memory_limit)
        add_option(command, "--memory-limit", wish->memory_limit);
    if (wish->directory)
        add_option(command, "--local-directory", wish->directory);
}

static char *command_line(const List *command)
{
    Buffer line;
    buffer_init(&line, BUFFER_ANY);
    for (size_t i = 0; i < command->count; i++)
        buffer_format(&line, "%s%s", i ? " " : "", command->items[i]);
    return buffer_take(&line);
}

static void plan_create(const Wish *wish, const char *python, Plan *plan)
{
    List scheduler = {0}, workers = {0};
    char *file = made_path(wish->name, "/scheduler.json");
    scheduler_command(wish, python, file ? file : "?", &scheduler);
    worker_command(wish, python, "ADDRESS", &workers);
    char *line = command_line(&scheduler);
    plan_call(plan_step(plan, STEP_STARTS, "scheduler", wish->name, NULL), "%s", line);
    free(line);
    line = command_line(&workers);
    PlanStep *step = plan_step(plan, STEP_STARTS, "worker", wish->name, NULL);
    plan_call(step, "%s", line);
    free(line);
    plan->now = 0;
    plan->then = wish->workers;
    free(plan->name);
    plan->name = mem_text(wish->name);
    plan_note(plan, "it ends by itself after %s without work", wish->idle_timeout ? wish->idle_timeout : "4h");
    list_done(&scheduler);
    list_done(&workers);
    free(file);
}

/* ---------------------------------------------------------------------------------------------------------------- making */

static bool read_scheduler_file(const char *file, Made *made)
{
    Buffer bytes;
    buffer_init(&bytes, 1 << 20);
    cJSON *json = file_read(file, &bytes, NULL) ? json_parse(bytes.bytes, bytes.length, file, NULL) : NULL;
    bool whole = json_text(json, "address") && json_text(json, "id");
    if (whole) {
        made->address = mem_text(json_text(json, "address"));
        made->id = mem_text(json_text(json, "id"));
    }
    cJSON_Delete(json);
    buffer_done(&bytes);
    return whole;
}

static bool start_scheduler(const Wish *wish, const char *directory, Made *made, Io *io, const Context *context, Error *error)
{
    List command = {0};
    char *file = file_join(directory, "scheduler.json"), *log = file_join(directory, "scheduler.log");
    unlink(file);
    scheduler_command(wish, made->python, file, &command);
    int pid = child_detach(&command, NULL, directory, log, error);
    bool right = pid > 0;
    if (right) {
        made_process(made, "scheduler", pid, log);
        right = made_write(made, error);
    }
    while (right && !read_scheduler_file(file, made)) {
        right = process_is(pid, made->processes[0].start) ||
                error_set(error, ERROR_INTERNAL, made->name, NULL, "its scheduler ended at once: %s says why", log);
        right = right && io_sleep(io, context, LOOK_MS, error);
    }
    list_done(&command);
    free(file);
    free(log);
    return right && made_write(made, error);
}

static bool start_workers(const Wish *wish, const char *directory, Made *made, Error *error)
{
    List command = {0};
    if (wish->workers == 0)
        return true;
    char *log = file_join(directory, "workers.log");
    worker_command(wish, made->python, made->address, &command);
    int pid = child_detach(&command, NULL, directory, log, error);
    if (pid > 0)
        made_process(made, "worker", pid, log);
    list_done(&command);
    free(log);
    return pid > 0 && made_write(made, error);
}

static bool wait_for_workers(const Wish *wish, const Made *made, Io *io, const Context *context, const Progress *progress, Outcome *outcome,
                             Error *error)
{
    DaskAddress place;
    if (!dask_address_parse(made->address, &place))
        return error_set(error, ERROR_BAD_REPLY, made->name, NULL, "its address %s is not understood", made->address);
    StreamTarget target = {.host = place.host, .port = place.port, .connect_ms = 5000};
    Dask *dask = dask_open(io, context, &target, made->name, error);
    bool right = dask != NULL;
    while (right) {
        DaskIdentity identity;
        right = dask_identity(dask, context, false, &identity, error);
        if (!right)
            break;
        outcome->workers = identity.workers;
        dask_identity_done(&identity);
        progress_tell(progress, PHASE_VERIFYING, outcome->workers, wish->workers, "waiting until its workers are registered");
        if (outcome->workers >= wish->workers)
            break;
        right = io_sleep(io, context, LOOK_MS, error);
    }
    dask_close(dask);
    return right;
}

static bool is_taken(const char *name)
{
    MadeList list;
    bool taken = false;
    made_read(&list);
    for (size_t i = 0; i < list.count; i++)
        taken = taken || (strcmp(list.items[i].name, name) == 0 && made_is_alive(&list.items[i]));
    made_done(&list);
    return taken;
}

static bool make(const Backend *backend, Wish *wish, char *python, const Context *context, const Progress *progress, Outcome *outcome, Error *error)
{
    char boot[64], *directory = made_path(wish->name, "");
    Made made = {.name = mem_text(wish->name), .boot_id = mem_text(file_boot_id(boot)), .python = mem_text(python)};
    Io *io = io_new(error);
    bool right = io && (directory || error_set(error, ERROR_DENIED, "local", "set HOME or XDG_STATE_HOME", "there is no place to remember it in"));
    right = right && file_make_directory(directory, error);
    if (right)
        progress_tell(progress, PHASE_RUNNING, NUMBER_UNKNOWN, NUMBER_UNKNOWN, "starting the scheduler");
    right = right && start_scheduler(wish, directory, &made, io, context, error) && start_workers(wish, directory, &made, error);
    if (right)
        outcome->id = record_id(backend->config->key, NULL, wish->name);
    right = right && wait_for_workers(wish, &made, io, context, progress, outcome, error);
    if (!right && made.count)
        list_format(&outcome->left_over, "%zu processes of %s: dasktop delete %s ends them", made.count, wish->name, wish->name);
    made_free(&made);
    free(directory);
    if (io)
        io_free(io);
    return right;
}

bool local_create(Backend *backend, Context *context, const Spec *spec, bool dry_run, Plan *plan, const Progress *progress, Outcome *outcome,
                  Error *error)
{
    Wish wish;
    char *python = NULL;
    bool right = read_wish(spec, &wish, error);
    if (right && !dry_run && plan->name) { /* the very one that was shown */
        free(wish.name);
        wish.name = mem_text(plan->name);
    }
    if (right && is_taken(wish.name))
        right = error_set(error, ERROR_CONFLICT, backend->config->key, "choose another --name", "there is a cluster %s already", wish.name);
    right = right && (python = find_python(backend->config, context, error)) != NULL;
    if (right && dry_run)
        plan_create(&wish, python, plan);
    else if (right)
        right = make(backend, &wish, python, context, progress, outcome, error);
    free(python);
    wish_done(&wish);
    return right;
}
