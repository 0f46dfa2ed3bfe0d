#include "backends/local/files.h"

#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void add_file(LogFiles *files, const char *component, const Member *root, const char *path)
{
    struct stat st;
    if (!path || (!root->process->seen && (stat(path, &st) != 0 || !S_ISREG(st.st_mode))))
        return; /* of another computer's it is told when it is read */
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->items[i].file.path, path) == 0) {
            files->items[i].is_shared = files->items[i].is_shared || files->items[i].root != root->process->pid;
            return;
        }
    files->items = mem_grow(files->items, files->count, &files->capacity, sizeof *files->items);
    files->items[files->count++] = (LogFile){.file = {mem_text(component), mem_text(path)}, .root = root->process->pid,
                                             .kind = strcmp(root->kind, "scheduler") == 0 ? "scheduler" : "worker"};
}

static const Member *root_of(const Member *members, size_t count, const Member *member)
{
    for (size_t i = 0; i < count; i++)
        if (members[i].process->pid == member->process->ppid)
            return root_of(members, count, &members[i]);
    return member;
}

static void add_ports(Census *census, pid_t root, pid_t pid, LogFiles *files)
{
    for (size_t i = 0; i < census->listeners.count; i++) {
        if (census->listeners.items[i].pid != pid)
            continue;
        files->ports = mem_grow(files->ports, files->port_count, &files->port_capacity, sizeof *files->ports);
        files->ports[files->port_count++] = (LogPort){root, census->listeners.items[i].port};
    }
}

void files_find(Census *census, const Place *place, LogFiles *files)
{
    Member *members;
    size_t count = census_members(census, place, NULL, &members);
    *files = (LogFiles){.processes = mem_new((count + 1) * sizeof *files->processes), .is_inside = census_is_inside(place)};
    for (size_t i = 0; i < count; i++) {
        char name[96];
        pid_t pid = members[i].process->pid;
        const Member *root = root_of(members, count, &members[i]);
        if (root->name || strcmp(root->kind, "scheduler") == 0)
            snprintf(name, sizeof name, "%s", root->name ? root->name : root->kind);
        else
            snprintf(name, sizeof name, "worker-%ld", (long)root->process->pid);
        files->processes[files->process_count++] = (EndProcess){.pid = pid, .start = members[i].process->start};
        add_ports(census, root->process->pid, pid, files);
        for (int fd = 1; fd <= 2; fd++) {
            char *path = process_output(members[i].process, fd);
            add_file(files, name, root, path);
            free(path);
        }
    }
    free(members);
}

bool files_wanted(const LogFile *file, const LogRequest *request)
{
    return tail_wants(request, file->kind, file->file.component) || (strcmp(file->kind, "worker") == 0 && list_has(&request->components, "nanny"));
}

/* A file has more than the rings' last 10,000 lines, and can be read while the scheduler is busy. What comes from a file that only one
 * component writes to need not be asked for. */
void files_offer(const LogRequest *request, const LogSink *sink, LogFiles *files)
{
    for (size_t i = 0; i < files->count && !files->is_inside; i++) {
        LogFile *item = &files->items[i];
        bool fits = !item->is_shared && files_wanted(item, request);
        int fd = fits ? open(item->file.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
        if (fd < 0)
            continue;
        item->is_given = sink->file(sink->user, item->file.component, item->file.path, fd);
        close(fd);
    }
}

static bool is_given(const LogFiles *files, pid_t root)
{
    for (size_t i = 0; i < files->count; i++)
        if (files->items[i].root == root && files->items[i].is_given)
            return true;
    return false;
}

bool files_cover(void *user, const char *address)
{
    const LogFiles *files = user;
    DaskAddress parsed;
    if (!dask_address_parse(address, &parsed) || parsed.inproc || !sockets_is_local(parsed.host))
        return false;
    for (size_t i = 0; i < files->port_count; i++)
        if (files->ports[i].port == parsed.port && is_given(files, files->ports[i].root))
            return true;
    return false;
}

bool files_alive(void *user)
{
    const LogFiles *files = user;
    for (size_t i = 0; i < files->process_count; i++)
        if (process_is(files->processes[i].pid, files->processes[i].start))
            return true;
    return false;
}

void files_done(LogFiles *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].file.component);
        free(files->items[i].file.path);
    }
    free(files->items);
    free(files->processes);
    free(files->ports);
    *files = (LogFiles){0};
}
