#include "backends/local/census.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DASK_BACKLOG = 2048, ANCESTORS_MOST = 64 };

/* distributed.comm.socket-backlog, capped by the kernel. */
static uint32_t comm_backlog(void)
{
    Buffer text;
    buffer_init(&text, 64);
    unsigned long most = file_read_at(AT_FDCWD, "/proc/sys/net/core/somaxconn", &text) ? strtoul(text.bytes, NULL, 10) : DASK_BACKLOG;
    buffer_done(&text);
    return most && most < DASK_BACKLOG ? (uint32_t)most : DASK_BACKLOG;
}

static Place *add_place(Census *census)
{
    census->places = mem_grow(census->places, census->count, &census->capacity, sizeof *census->places);
    census->places[census->count] = (Place){0};
    return &census->places[census->count++];
}

static char *place_key(const Process *process, int port)
{
    char boot[64];
    return mem_format("%.8s:%ld:%llu:%d", file_boot_id(boot), (long)process->pid, (unsigned long long)process->start, port);
}

/* Parsed once for each process: many places ask. */
static CommandRole role_of(Process *process)
{
    if (!process->role)
        process->role = (signed char)(1 + command_parse(process_argv(process)).role);
    return (CommandRole)(process->role - 1);
}

const char *census_user(Census *census, uid_t uid)
{
    if (!*census->named || census->named_uid != uid) {
        census->named_uid = uid;
        file_user_name(uid, census->named);
    }
    return census->named;
}

/* ---------------------------------------------------------------------------------------------------------------- workers */

/* The address in a scheduler file that a command line names. */
static char *address_in_file(const Process *process, const char *file)
{
    Buffer bytes;
    char *directory = process_directory(process->pid), *address = NULL;
    char *path = *file == '/' || !directory ? mem_text(file) : file_join(directory, file);
    buffer_init(&bytes, 8 << 20);
    if (file_read(path, &bytes, NULL)) {
        cJSON *json = json_parse(bytes.bytes, bytes.length, path, NULL);
        address = mem_text(json_text(json, "address"));
        cJSON_Delete(json);
    }
    buffer_done(&bytes);
    free(path);
    free(directory);
    return address;
}

static void set_scheduler(Works *works, const char *address)
{
    DaskAddress place;
    if (!address || !dask_address_parse(address, &place) || place.inproc)
        return;
    snprintf(works->host, sizeof works->host, "%s", place.host);
    works->port = place.port;
}

static void find_workers(Census *census)
{
    for (size_t i = 0; i < census->processes.count; i++) {
        Process *process = &census->processes.items[i];
        bool likely = strncmp(process->comm, "dask", 4) == 0 || strncmp(process->comm, "python", 6) == 0 || strncmp(process->comm, "pypy", 4) == 0;
        if (!likely || role_of(process) != COMMAND_WORKER)
            continue;
        Command command = command_parse(process_argv(process));
        census->works = mem_grow(census->works, census->work_count, &census->work_capacity, sizeof *census->works);
        Works *works = &census->works[census->work_count++];
        *works = (Works){.process = process, .command = command};
        char *address = command.address ? mem_text(command.address) : command.scheduler_file ? address_in_file(process, command.scheduler_file) : NULL;
        set_scheduler(works, address);
        free(address);
    }
}

void census_learn(Census *census, pid_t pid, const char *scheduler)
{
    for (size_t i = 0; i < census->work_count; i++)
        if (census->works[i].process->pid == pid && !*census->works[i].host)
            set_scheduler(&census->works[i], scheduler);
}

/* ----------------------------------------------------------------------------------------------------------------- places */

static bool has_children(const Census *census, pid_t pid)
{
    for (size_t i = 0; i < census->processes.count; i++)
        if (census->processes.items[i].ppid == pid && role_of(&census->processes.items[i]) == COMMAND_SPAWNED)
            return true;
    return false;
}

/* Is the interpreter one in which distributed was imported? It needs msgpack, whose extension is mapped. */
static bool has_traces(const Census *census, Process *process)
{
    if (!process->traces)
        process->traces = has_children(census, process->pid) || process_maps(process->pid, "/_cmsgpack") == 1 ? 2 : 1;
    return process->traces == 2;
}

static void add_port(Census *census, const Listener *listener, Process *process, bool inproc)
{
    Place *place = add_place(census);
    place->process = process;
    place->listener = listener;
    place->inproc = inproc;
    place->port = listener->port;
    snprintf(place->host, sizeof place->host, "%s", sockets_reach(listener));
    if (!process) {
        /* another user's: it can only be asked, passively */
        place->key = mem_format("uid %lu inode %llu port %d", (unsigned long)listener->uid, (unsigned long long)listener->inode, listener->port);
        place->may_be_scheduler = true;
        return;
    }
    place->key = place_key(process, listener->port);
    place->command = command_parse(process_argv(process));
    place->may_be_scheduler = place->command.role != COMMAND_WORKER && place->command.role != COMMAND_SPAWNED;
    place->looks_like_dask = place->command.role == COMMAND_SCHEDULER || (place->may_be_scheduler && !inproc && has_traces(census, process));
}

static bool holds_comm_port(const Census *census, pid_t pid, uint32_t backlog)
{
    for (size_t i = 0; i < census->listeners.count; i++)
        if (census->listeners.items[i].pid == pid && census->listeners.items[i].backlog >= backlog)
            return true;
    return false;
}

static bool knows_scheduler(const Census *census, pid_t pid)
{
    for (size_t i = 0; i < census->work_count; i++)
        if (census->works[i].process->pid == pid)
            return *census->works[i].host != 0;
    return false;
}

static void find_ports(Census *census, bool all_users)
{
    uint32_t backlog = comm_backlog();
    uid_t me = geteuid();
    for (size_t i = 0; i < census->listeners.count; i++) {
        const Listener *listener = &census->listeners.items[i];
        if (listener->uid != me && !all_users)
            continue;
        Process *process = listener->pid ? processes_find(&census->processes, listener->pid) : NULL;
        bool comm = listener->backlog == 0 || listener->backlog >= backlog;
        if (!process) {
            if (comm && listener->backlog && listener->uid != me)
                add_port(census, listener, NULL, false);
            continue;
        }
        CommandRole role = role_of(process);
        bool python = strncmp(process->comm, "python", 6) == 0 || strncmp(process->comm, "ipython", 7) == 0 || strncmp(process->comm, "dask", 4) == 0 ||
                      strncmp(process->comm, "pypy", 4) == 0;
        bool only_http = !comm && python && role == COMMAND_OTHER && !holds_comm_port(census, process->pid, backlog);
        if (comm && (python || listener->backlog) && !(role == COMMAND_WORKER && knows_scheduler(census, process->pid)))
            add_port(census, listener, process, false);
        else if (only_http && process_maps(process->pid, "/_cmsgpack") == 1)
            add_port(census, listener, process, true);
    }
}

/* Workers whose scheduler's port nobody holds on this very host, or that is on another one. */
static void find_lost(Census *census)
{
    for (size_t i = 0; i < census->work_count; i++) {
        const Works *works = &census->works[i];
        if (!*works->host)
            continue;
        bool local = sockets_is_local(works->host), known = local && sockets_find(&census->listeners, works->host, works->port);
        for (size_t k = 0; k < census->count && !known; k++)
            known = census->places[k].address && census->places[k].port == works->port && strcmp(census->places[k].host, works->host) == 0;
        if (known)
            continue;
        Place *place = add_place(census);
        place->is_lost = local;
        place->is_remote = !local;
        place->looks_like_dask = place->may_be_scheduler = true;
        place->port = works->port;
        place->command.tls = works->command.tls;
        memcpy(place->host, works->host, sizeof place->host);
        place->address = mem_format(strchr(works->host, ':') ? "%s://[%s]:%d" : "%s://%s:%d", works->command.tls ? "tls" : "tcp", works->host, works->port);
        place->key = mem_text(place->address);
    }
}

bool census_take(bool all_users, Census *out, Error *error)
{
    *out = (Census){0};
    if (!sockets_listening(&out->listeners, error))
        return false;
    if (!processes_read(&out->processes, error)) {
        census_done(out);
        return false;
    }
    process_owners(&out->processes, &out->listeners);
    made_read(&out->made);
    find_workers(out);
    find_ports(out, all_users);
    find_lost(out);
    return true;
}

void census_done(Census *census)
{
    for (size_t i = 0; i < census->count; i++) {
        free(census->places[i].key);
        free(census->places[i].address);
    }
    free(census->places);
    free(census->works);
    made_done(&census->made);
    processes_done(&census->processes);
    sockets_done(&census->listeners);
    *census = (Census){0};
}

/* --------------------------------------------------------------------------------------------------------------- members */

static bool is_below(const Census *census, const Process *process, pid_t above)
{
    for (int i = 0; process && i < ANCESTORS_MOST; i++, process = processes_find(&census->processes, process->ppid))
        if (process->ppid == above)
            return true;
    return false;
}

static bool same_port(const Census *census, const Place *place, const Works *works)
{
    if (works->port != place->port || !*works->host)
        return false;
    if (place->address)
        return strcmp(works->host, place->host) == 0;
    return place->listener && sockets_find(&census->listeners, works->host, works->port) == place->listener && sockets_is_local(works->host);
}

typedef struct Gathering {
    Member *items;
    size_t count, capacity;
} Gathering;

static void gather(Gathering *all, Process *process, const char *kind, const char *name)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i].process->pid == process->pid)
            return;
    all->items = mem_grow(all->items, all->count, &all->capacity, sizeof *all->items);
    all->items[all->count++] = (Member){process, kind, name};
}

static bool is_tracker(const Process *process)
{
    const List *argv = &process->argv;
    for (size_t i = 0; i < argv->count; i++)
        if (strstr(argv->items[i], "resource_tracker"))
            return true;
    return false;
}

/* What multiprocessing spawned below: workers, and the trackers that go with them. */
static void gather_below(Census *census, pid_t above, Gathering *all)
{
    for (size_t i = 0; i < census->processes.count; i++) {
        Process *process = &census->processes.items[i];
        bool python = strncmp(process->comm, "python", 6) == 0 || strncmp(process->comm, "dask", 4) == 0 || strncmp(process->comm, "pypy", 4) == 0;
        if (!python || (process->ppid != above && !is_below(census, process, above)))
            continue;
        if (role_of(process) == COMMAND_SPAWNED)
            gather(all, process, "worker", NULL);
        else if (is_tracker(process))
            gather(all, process, "tracker", NULL);
    }
}

size_t census_members(Census *census, const Place *place, Member **members)
{
    Gathering all = {0};
    bool own_process = place->process && place->command.role == COMMAND_SCHEDULER;
    if (own_process)
        gather(&all, place->process, "scheduler", place->command.name);
    else if (place->process && !place->inproc)
        gather_below(census, place->process->pid, &all);
    for (size_t i = 0; i < census->work_count; i++) {
        const Works *works = &census->works[i];
        if (!same_port(census, place, works))
            continue;
        gather(&all, works->process, works->command.no_nanny ? "worker" : "nanny", works->command.name);
        gather_below(census, works->process->pid, &all);
    }
    *members = all.items;
    return all.count;
}

const Made *census_made(const Census *census, const Place *place)
{
    if (place->process)
        return made_find(&census->made, place->process->pid, place->process->start, NULL);
    for (size_t i = 0; i < census->made.count && place->is_lost; i++)
        if (census->made.items[i].address && place->address && strcmp(census->made.items[i].address, place->address) == 0 &&
            made_is_alive(&census->made.items[i]))
            return &census->made.items[i];
    return NULL;
}
