#include "backends/common/process.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STAT_MOST = 4096, ARGV_MOST = 256 << 10, MAPS_MOST = 8 << 20, ENVIRON_MOST = 1 << 20 };

static bool read_proc(pid_t pid, const char *name, Buffer *out)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
    return file_read_at(AT_FDCWD, path, out);
}

/* ------------------------------------------------------------------------------------------------------------------ stat */

bool process_parse_stat(const char *text, Process *out)
{
    const char *open = strchr(text, '('), *shut = strrchr(text, ')');
    long pid, ppid, pgrp, session, tty;
    unsigned long long start;
    *out = (Process){0};
    if (!open || !shut || shut < open)
        return false;
    size_t n = (size_t)(shut - open - 1);
    if (sscanf(text, "%ld", &pid) != 1 ||
        sscanf(shut + 1, " %c %ld %ld %ld %ld %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &out->state, &ppid, &pgrp, &session,
               &tty, &start) != 6)
        return false;
    memcpy(out->comm, open + 1, n < sizeof out->comm - 1 ? n : sizeof out->comm - 1);
    out->pid = (pid_t)pid;
    out->ppid = (pid_t)ppid;
    out->pgrp = (pid_t)pgrp;
    out->session = (pid_t)session;
    out->tty = (int)tty;
    out->start = start;
    return true;
}

bool process_read(pid_t pid, Process *out)
{
    char path[64], text[STAT_MOST];
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = 0;
    return process_parse_stat(text, out) && out->state != 'Z' && out->state != 'X';
}

bool process_is(pid_t pid, uint64_t start)
{
    Process process;
    return process_read(pid, &process) && process.start == start;
}

static int by_pid(const void *a, const void *b)
{
    pid_t x = ((const Process *)a)->pid, y = ((const Process *)b)->pid;
    return x < y ? -1 : x > y;
}

bool processes_read(Processes *out, Error *error)
{
    *out = (Processes){0};
    DIR *directory = opendir("/proc");
    if (!directory)
        return error_errno(error, errno, "/proc", "processes cannot be listed");
    for (const struct dirent *entry; (entry = readdir(directory));) {
        Process process;
        if (!isdigit((unsigned char)entry->d_name[0]) || !process_read((pid_t)strtol(entry->d_name, NULL, 10), &process))
            continue;
        out->items = mem_grow(out->items, out->count, &out->capacity, sizeof *out->items);
        out->items[out->count++] = process;
    }
    closedir(directory);
    if (out->count)
        qsort(out->items, out->count, sizeof *out->items, by_pid);
    return true;
}

void seen_free(Seen *seen)
{
    if (!seen)
        return;
    char *texts[] = {seen->directory, seen->network, seen->session, seen->scheduler, seen->program, seen->outputs[0], seen->outputs[1]};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    free(seen);
}

void processes_done(Processes *list)
{
    for (size_t i = 0; i < list->count; i++) {
        list_done(&list->items[i].argv);
        seen_free(list->items[i].seen);
    }
    free(list->items);
    *list = (Processes){0};
}

Process *processes_find(const Processes *list, pid_t pid)
{
    size_t low = 0, high = list->count; /* sorted by pid */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->items[middle].pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < list->count && list->items[low].pid == pid ? &list->items[low] : NULL;
}

const List *process_argv(Process *process)
{
    Buffer text;
    if (process->argv_read || process->seen)
        return &process->argv;
    process->argv_read = true;
    buffer_init(&text, ARGV_MOST);
    if (read_proc(process->pid, "cmdline", &text))
        for (size_t at = 0; at < text.length; at += strlen(text.bytes + at) + 1)
            list_add(&process->argv, text.bytes + at);
    buffer_done(&text);
    return &process->argv;
}

/* --------------------------------------------------------------------------------------------------------------- others */

int64_t process_started_ms(const Process *process)
{
    return computer_started_ms(process->seen ? process->seen->computer : computer_here(), process->start);
}

char *process_identity(const Process *process)
{
    char time[TIME_TEXT];
    const Computer *computer = process->seen ? process->seen->computer : computer_here();
    return mem_format("pid %ld, started %s (tick %llu of boot %.8s)", (long)process->pid, time_text(process_started_ms(process), false, time),
                      (unsigned long long)process->start, computer->boot);
}

char *process_link(pid_t pid, const char *name)
{
    char path[80], target[4096];
    snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
    ssize_t n = readlink(path, target, sizeof target - 1);
    return n > 0 ? mem_text_n(target, (size_t)n) : NULL;
}

char *process_directory(const Process *process)
{
    return process->seen ? mem_text(process->seen->directory) : process_link(process->pid, "cwd");
}

char *process_network(const Process *process)
{
    return process->seen ? mem_text(process->seen->network) : process_link(process->pid, "ns/net");
}

char *process_program(const Process *process)
{
    return process->seen ? mem_text(process->seen->program) : process_link(process->pid, "exe");
}

char *process_output(const Process *process, int fd)
{
    char name[16];
    snprintf(name, sizeof name, "fd/%d", fd);
    if (!process->seen)
        return process_link(process->pid, name);
    return mem_text(fd == 1 || fd == 2 ? process->seen->outputs[fd - 1] : NULL);
}

uid_t process_uid(const Process *process)
{
    char path[64];
    struct stat st;
    if (process->seen)
        return process->seen->uid;
    snprintf(path, sizeof path, "/proc/%ld", (long)process->pid);
    return stat(path, &st) == 0 ? st.st_uid : (uid_t)-1;
}

char *process_variable(const Process *process, const char *name)
{
    Buffer text;
    size_t n = strlen(name);
    char *value = NULL;
    buffer_init(&text, ENVIRON_MOST);
    if (!process->seen && process_uid(process) == geteuid() && read_proc(process->pid, "environ", &text))
        for (size_t at = 0; at < text.length && !value; at += strlen(text.bytes + at) + 1)
            if (strncmp(text.bytes + at, name, n) == 0 && text.bytes[at + n] == '=')
                value = mem_text(text.bytes + at + n + 1);
    buffer_wipe(&text); /* it may have held secrets */
    return value;
}

bool process_is_dask_child(const Process *process)
{
    if (process->seen)
        return process->seen->is_dask_child;
    char *value = process_variable(process, "__DASK_PARENT_PID");
    free(value);
    return value != NULL;
}

bool process_maps(const Process *process, const char *part)
{
    Buffer text;
    buffer_init(&text, MAPS_MOST);
    bool found = !process->seen && read_proc(process->pid, "maps", &text) && strstr(text.bytes, part) != NULL;
    buffer_done(&text);
    return found;
}

bool process_has_imports(const Process *process)
{
    return process->seen ? process->seen->has_imports : process_maps(process, "/_cmsgpack") && process_maps(process, "/_psutil_linux");
}

bool process_has_tornado(const Process *process)
{
    return process->seen ? process->seen->has_tornado : process_maps(process, "/tornado/speedups");
}

/* --------------------------------------------------------------------------------------------------------------- sockets */

bool process_is_python(const Process *process)
{
    static const char *const words[] = {"python", "dask", "ipython", "jupyter", "pypy", "papermill", "pt_main_thread"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(process->comm, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

typedef struct Wanted {
    uint64_t inode;
    Listener *listener;
} Wanted;

static int by_inode(const void *a, const void *b)
{
    uint64_t x = ((const Wanted *)a)->inode, y = ((const Wanted *)b)->inode;
    return x < y ? -1 : x > y;
}

/* How many of the wanted ones this process holds that nobody had yet: parents come before their children. */
static size_t look_through(pid_t pid, const Wanted *wanted, size_t count)
{
    char path[64], target[64];
    size_t found = 0;
    snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
    DIR *directory = opendir(path);
    if (!directory)
        return 0;
    for (const struct dirent *entry; (entry = readdir(directory));) {
        ssize_t n = entry->d_name[0] == '.' ? -1 : readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);
        unsigned long long inode;
        if (n <= 0)
            continue;
        target[n] = 0;
        if (sscanf(target, "socket:[%llu]", &inode) != 1)
            continue;
        Wanted key = {inode, NULL};
        const Wanted *fits = bsearch(&key, wanted, count, sizeof *wanted, by_inode);
        if (fits && fits->listener->pid == 0) {
            fits->listener->pid = pid;
            fits->listener->fd = (int)strtol(entry->d_name, NULL, 10);
            found++;
        }
    }
    closedir(directory);
    return found;
}

void process_owners(const Processes *list, Listeners *listeners)
{
    Wanted *wanted = mem_new(listeners->count * sizeof *wanted);
    size_t count = 0, found = 0;
    for (size_t i = 0; i < listeners->count; i++)
        if (geteuid() == 0 || listeners->items[i].uid == geteuid())
            wanted[count++] = (Wanted){listeners->items[i].inode, &listeners->items[i]};
    if (count)
        qsort(wanted, count, sizeof *wanted, by_inode);
    for (int likely = 1; likely >= 0; likely--)
        for (size_t i = 0; i < list->count && found < count; i++)
            if (process_is_python(&list->items[i]) == (likely == 1) && list->items[i].pid != getpid())
                found += look_through(list->items[i].pid, wanted, count);
    free(wanted);
}
