#include "backends/local/files.h"

#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void add_file(LogFiles *files, const char *component, pid_t root, const char *path)
{
    struct stat st;
    if (!path || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->items[i].file.path, path) == 0) {
            files->items[i].is_shared = files->items[i].is_shared || files->items[i].root != root;
            return;
        }
    files->items = mem_grow(files->items, files->count, &files->capacity, sizeof *files->items);
    files->items[files->count++] = (LogFile){.file = {mem_text(component), mem_text(path)}, .root = root};
}

static const Member *root_of(const Member *members, size_t count, const Member *member)
{
    for (size_t i = 0; i < count; i++)
        if (members[i].process->pid == member->process->ppid)
            return root_of(members, count, &members[i]);
    return member;
}

/* Standard output and error of its processes, where they are files of ours. */
void files_find(Census *census, const Place *place, const LogRequest *request, LogFiles *files)
{
    Member *members;
    size_t count = census_members(census, place, NULL, &members);
    files->processes = mem_new((count + 1) * sizeof *files->processes);
    for (size_t i = 0; i < count; i++) {
        char name[96];
        const Member *root = root_of(members, count, &members[i]);
        bool is_worker = strcmp(root->kind, "scheduler") != 0;
        if (root->name || !is_worker)
            snprintf(name, sizeof name, "%s", root->name ? root->name : root->kind);
        else
            snprintf(name, sizeof name, "worker-%ld", (long)root->process->pid);
        files->processes[files->process_count++] = (EndProcess){.pid = members[i].process->pid, .start = members[i].process->start};
        if (!tail_wants(request, root->kind, name) && !(is_worker && tail_wants(request, "worker", name)))
            continue;
        for (int fd = 1; fd <= 2; fd++) {
            char link[16];
            snprintf(link, sizeof link, "fd/%d", fd);
            char *path = process_link(members[i].process->pid, link);
            add_file(files, name, root->process->pid, path);
            free(path);
        }
    }
    free(members);
}

static void cover(Census *census, const Place *place, pid_t root, LogFiles *files)
{
    Member *members;
    size_t count = census_members(census, place, NULL, &members);
    for (size_t i = 0; i < count; i++) {
        if (root_of(members, count, &members[i])->process->pid != root)
            continue;
        for (size_t k = 0; k < census->listeners.count; k++) {
            if (census->listeners.items[k].pid != members[i].process->pid)
                continue;
            files->ports = mem_grow(files->ports, files->port_count, &files->port_capacity, sizeof *files->ports);
            files->ports[files->port_count++] = census->listeners.items[k].port;
        }
    }
    free(members);
}

/* A file has more than the rings' last 10,000 lines, and can be read while the scheduler is busy. What comes from a file that only one
 * component writes to need not be asked for. */
void files_offer(Census *census, const Place *place, const LogSink *sink, LogFiles *files)
{
    for (size_t i = 0; i < files->count; i++) {
        LogFile *item = &files->items[i];
        int fd = item->is_shared ? -1 : open(item->file.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
            continue;
        item->is_given = sink->file(sink->user, item->file.component, item->file.path, fd);
        close(fd);
        if (item->is_given)
            cover(census, place, item->root, files);
    }
}

bool files_cover(void *user, const char *address)
{
    const LogFiles *files = user;
    DaskAddress parsed;
    if (!dask_address_parse(address, &parsed) || parsed.inproc || !sockets_is_local(parsed.host))
        return false;
    for (size_t i = 0; i < files->port_count; i++)
        if (files->ports[i] == parsed.port)
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
}
