#include "backends/common/origin.h"

#include "backends/common/command.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ANCESTORS_MOST = 32 };

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static char *absolute(const char *directory, const char *path)
{
    return *path == '/' || !directory ? mem_text(path) : file_join(directory, path);
}

/* ------------------------------------------------------------------------------------------------------------- notebooks */

/* The argument after -f, or --f=PATH (VS Code, there in quotes where it has a blank). */
static char *connection_file(const List *argv)
{
    const char *path = command_option(argv, "-f");
    if (!path)
        path = command_option(argv, "--f");
    if (!path)
        return NULL;
    size_t n = strlen(path);
    bool quoted = n > 1 && (*path == '"' || *path == '\'') && path[n - 1] == *path;
    return quoted ? mem_text_n(path + 1, n - 2) : mem_text(path);
}

static char *notebook_of(const char *path)
{
    Buffer bytes;
    char *notebook = NULL;
    buffer_init(&bytes, 64 << 10);
    if (path && file_read(path, &bytes, NULL)) {
        cJSON *json = json_parse(bytes.bytes, bytes.length, path, NULL);
        const char *session = json_text(json, "jupyter_session");
        notebook = session && *session ? mem_text(session) : NULL;
        cJSON_Delete(json);
    }
    buffer_wipe(&bytes); /* it holds the key that lets one run code in the kernel */
    return notebook;
}

static const char *first_argument(const List *argv, const char *end)
{
    size_t n = strlen(end);
    for (size_t i = 1; i < argv->count; i++) {
        size_t m = strlen(argv->items[i]);
        if (m > n && strcmp(argv->items[i] + m - n, end) == 0 && argv->items[i][0] != '-')
            return argv->items[i];
    }
    return NULL;
}

static void from_kernel(const Processes *list, Process *process, Origin *out)
{
    char *file = connection_file(process_argv(process)), *directory = process_directory(process);
    Process *parent = processes_find(list, process->ppid);
    /* papermill and nbclient run a notebook that stands in their own command line, before where its results go */
    const char *given = parent ? first_argument(process_argv(parent), ".ipynb") : NULL;
    out->kind = "notebook";
    out->path = process->seen ? mem_text(process->seen->session) : notebook_of(file);
    if (!out->path && given) {
        char *above = process_directory(parent);
        out->path = absolute(above, given);
        free(above);
    }
    bool code = file && strstr(file, "kernel-v2-");
    if (out->path && strncmp(base_name(out->path), "Console ", 8) == 0) { /* a server's console: named as if it were a file */
        out->kind = "console";
        out->title = mem_text(base_name(out->path));
    } else if (out->path)
        out->title = mem_format("notebook %s", base_name(out->path));
    else if (directory)
        out->title = mem_format("%snotebook in %s", code ? "VS Code " : "", base_name(directory));
    if (!out->path)
        out->path = mem_text(directory);
    free(file);
    free(directory);
}

static bool is_kernel(const List *argv)
{
    for (size_t i = 0; i < argv->count; i++)
        if (strstr(argv->items[i], "ipykernel_launcher") || strcmp(base_name(argv->items[i]), "ipykernel") == 0)
            return true;
    return false;
}

/* --------------------------------------------------------------------------------------------------------------- programs */

static void from_program(Process *process, Origin *out)
{
    const List *argv = process_argv(process);
    char *directory = process_directory(process);
    bool is_module = false;
    const char *script = command_script(argv, &is_module);
    bool ipython = strncmp(process->comm, "ipython", 7) == 0 || (script && strncmp(base_name(script), "ipython", 7) == 0);
    if (ipython) {
        out->kind = "ipython";
        out->path = mem_text(directory);
        out->title = directory ? mem_format("ipython in %s", base_name(directory)) : NULL;
    } else if (script && !is_module) {
        out->kind = "script";
        out->path = absolute(directory, script);
        out->title = mem_text(base_name(script));
    } else if (script) {
        out->kind = "command";
        out->path = mem_text(directory);
        out->title = mem_format("python -m %s", script);
    } else if (argv->count > 2 && strcmp(argv->items[1], "-") == 0) { /* a program on its standard input, which has a name: so dasktop holds clusters */
        out->kind = "command";
        out->path = mem_text(directory);
        out->title = mem_text(argv->items[2]);
    } else {
        out->kind = argv->count > 1 ? "command" : "console";
        out->path = mem_text(directory);
        out->title = directory ? mem_format("python in %s", base_name(directory)) : NULL;
    }
    free(directory);
}

/* --------------------------------------------------------------------------------------------------------- is it attached? */

static bool is_one_of(const char *comm, const char *const *words, bool whole)
{
    for (; *words; words++)
        if (strncmp(comm, *words, strlen(*words) + whole) == 0)
            return true;
    return false;
}

/* tmux sets the x bits of its socket, screen of its file, exactly while somebody is attached. */
static const char *attached(const Process *process, const char *program)
{
    struct stat st;
    bool tmux = strcmp(program, "tmux") == 0;
    char *value = process_variable(process, tmux ? "TMUX" : "STY"), *path = NULL;
    const char *word = "";
    char name[64];
    if (value && tmux) {
        value[strcspn(value, ",")] = 0;
        path = mem_text(value);
    } else if (value) {
        path = mem_format("/run/screen/S-%s/%s", file_user_name(geteuid(), name), value);
    }
    if (path && stat(path, &st) == 0)
        word = st.st_mode & S_IXUSR ? ", attached" : ", nobody attached";
    free(value);
    free(path);
    return word;
}

/* A kernel ends with its server, whose name may only stand in its arguments. */
static bool is_server(const Process *process)
{
    for (size_t i = 0; process->argv_read && i < process->argv.count && i < 4; i++)
        if (strstr(base_name(process->argv.items[i]), "jupyter"))
            return true;
    return strncmp(process->comm, "jupyter", 7) == 0;
}

static char *how_of(const Processes *list, const Process *process)
{
    static const char *const shells[] = {"bash", "zsh", "sh", "fish", "ksh", "dash", "tcsh", "csh", NULL};
    static const char *const holders[] = {"sshd", "login", "xterm", "gnome-terminal", "konsole", "kitty", "alacritty", "jupyter", "slurmstepd",
                                          "sge_shepherd", "pbs_mom", "condor", "code", "systemd-run", NULL};
    const Process *at = process;
    Process *parent = processes_find(list, process->ppid);
    if (parent)
        process_argv(parent);
    bool held = parent && is_server(parent); /* in a container it may be the first process */
    for (int i = 0; at && i < ANCESTORS_MOST && at->pid > 1; i++, at = processes_find(list, at->ppid)) {
        if (strncmp(at->comm, "tmux", 4) == 0)
            return mem_format("tmux%s", attached(process, "tmux"));
        if (strncmp(at->comm, "screen", 6) == 0)
            return mem_format("screen%s", attached(process, "screen"));
        held = held || is_one_of(at->comm, shells, true) || is_one_of(at->comm, holders, false);
    }
    unsigned major = (unsigned)process->tty >> 8 & 0xfff, minor = ((unsigned)process->tty & 0xff) | ((unsigned)process->tty >> 12 & 0xfff00);
    if (process->tty && major >= 136 && major <= 143)
        return mem_format("terminal pts/%u", (major - 136) * 256 + minor);
    if (process->tty)
        return mem_text("terminal");
    return held ? NULL : mem_text("detached");
}

void origin_find(const Processes *list, Process *process, Origin *out)
{
    *out = (Origin){0};
    Command command = command_parse(process_argv(process));
    out->how = how_of(list, process);
    if (command.role == COMMAND_SCHEDULER || command.role == COMMAND_WORKER) {
        out->kind = command.by_spec ? "ssh" : "command";
        out->path = process_directory(process);
        return;
    }
    /* a LocalCluster's port is held by the user's own process; one that was spawned belongs to the one above */
    for (int i = 0; i < ANCESTORS_MOST && command.role == COMMAND_SPAWNED; i++) {
        Process *parent = processes_find(list, process->ppid);
        if (!parent)
            break;
        process = parent;
        command = command_parse(process_argv(process));
    }
    if (is_kernel(process_argv(process)))
        from_kernel(list, process, out);
    else
        from_program(process, out);
}

void origin_done(Origin *origin)
{
    free(origin->path);
    free(origin->how);
    free(origin->title);
    *origin = (Origin){0};
}
