#include "backends/jupyter/uses.h"

#include "base/mem.h"
#include "dask/dask.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { ANCESTORS_MOST = 8 };

void jupyter_uses_done(JupyterUses *uses)
{
    for (size_t i = 0; i < uses->count; i++) {
        free(uses->items[i].what);
        free(uses->items[i].kernel);
    }
    free(uses->items);
    *uses = (JupyterUses){0};
}

/* A kernel may be started through a shell or a launcher of its environment. */
static bool is_below(const Processes *all, const Process *process, pid_t server)
{
    for (int i = 0; process && i < ANCESTORS_MOST; i++) {
        if (process->ppid == server)
            return true;
        process = processes_find(all, process->ppid);
    }
    return false;
}

/* The server's kernels; shallow copies of what stands in `all`. */
static Processes kernels_of(const Processes *all, pid_t server)
{
    Processes kernels = {0};
    for (size_t i = 0; i < all->count; i++) {
        Process *process = &all->items[i];
        char *id = process->pid != server && is_below(all, process, server) ? notebook_kernel_id(process_argv(process)) : NULL;
        if (id) {
            kernels.items = mem_grow(kernels.items, kernels.count, &kernels.capacity, sizeof *kernels.items);
            kernels.items[kernels.count++] = *process;
        }
        free(id);
    }
    return kernels;
}

static void add(JupyterUses *uses, Processes *kernels, pid_t pid)
{
    for (size_t i = 0; i < uses->count; i++)
        if (uses->items[i].pid == pid)
            return; /* a client has two connections */
    Process *process = processes_find(kernels, pid);
    char *id = process ? notebook_kernel_id(process_argv(process)) : NULL;
    if (!id)
        return;
    uses->items = mem_grow(uses->items, uses->count, &uses->capacity, sizeof *uses->items);
    uses->items[uses->count++] = (JupyterUse){.kernel = id, .pid = pid};
}

/* A host by name may be reached by several addresses: then it is not known who is connected. */
static bool find_connected(const char *address, Processes *kernels, JupyterUses *uses)
{
    DaskAddress place;
    Listeners near;
    unsigned char number[16];
    if (!address || !dask_address_parse(address, &place) || place.inproc || place.websocket ||
        (inet_pton(AF_INET, place.host, number) != 1 && inet_pton(AF_INET6, place.host, number) != 1) ||
        !sockets_connected(place.host, place.port, &near, NULL))
        return false;
    process_owners(kernels, &near);
    for (size_t i = 0; i < near.count; i++)
        if (near.items[i].pid)
            add(uses, kernels, near.items[i].pid);
    sockets_done(&near);
    return true;
}

static void name_uses(const NotebookSessions *sessions, JupyterUses *uses)
{
    for (size_t i = 0; i < uses->count; i++) {
        JupyterUse *use = &uses->items[i];
        const NotebookSession *session = notebook_session_of(sessions, use->kernel);
        bool console = session && session->kind && strcmp(session->kind, "console") == 0;
        use->what = !session ? mem_format("kernel %.8s", use->kernel)
                    : console ? mem_text(session->name ? session->name : session->path)
                              : mem_text(session->path);
    }
}

void jupyter_uses(const NotebookServer *server, const char *where, Io *io, const Context *context, const char *const *addresses, size_t count, JupyterUses *uses)
{
    Processes all;
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        uses[i] = (JupyterUses){0};
    if (!server->here || !count || !processes_read(&all, NULL))
        return;
    Processes kernels = kernels_of(&all, server->pid);
    for (size_t i = 0; i < count; i++) {
        uses[i].known = find_connected(addresses[i], &kernels, &uses[i]);
        found += uses[i].count;
    }
    NotebookSessions sessions = {0};
    if (found)
        notebook_sessions(server, where, io, context, &sessions, NULL); /* without it they are named by their kernels */
    for (size_t i = 0; i < count; i++)
        name_uses(&sessions, &uses[i]);
    notebook_sessions_done(&sessions);
    free(kernels.items);
    processes_done(&all);
}
