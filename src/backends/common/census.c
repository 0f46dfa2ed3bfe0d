#include "backends/common/census.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ANCESTORS_MOST = 64 };

static Place *add_place(Census *census)
{
    census->places = mem_grow(census->places, census->count, &census->capacity, sizeof *census->places);
    census->places[census->count] = (Place){0};
    return &census->places[census->count++];
}

char *census_key(const Computer *computer, pid_t pid, uint64_t start, int port)
{
    return mem_format("%.8s:%ld:%llu:%d", computer->boot, (long)pid, (unsigned long long)start, port);
}

static char *place_key(const Census *census, const Process *process, int port)
{
    return census_key(census->computer, process->pid, process->start, port);
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
        computer_user(census->computer, uid, census->named);
    }
    return census->named;
}

/* ---------------------------------------------------------------------------------------------------------------- workers */

/* The address in a scheduler file that a command line names. */
static char *address_in_file(const Process *process, const char *file)
{
    Buffer bytes;
    if (process->seen)
        return mem_text(process->seen->scheduler);
    char *directory = process_directory(process), *address = NULL;
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

/* A container's loopback is not ours: who listens there cannot be seen from here. Where that cannot be read, nothing is claimed. */
static bool shares_network(const Census *census, const Process *process)
{
    char *namespace = process_network(process);
    bool shared = *census->computer->network && namespace && strcmp(namespace, census->computer->network) == 0;
    free(namespace);
    return shared;
}

static void find_workers(Census *census, bool all_users)
{
    for (size_t i = 0; i < census->processes.count; i++) {
        Process *process = &census->processes.items[i];
        if (!process_is_python(process) || role_of(process) != COMMAND_WORKER || (!all_users && process_uid(process) != census->computer->me) ||
            !shares_network(census, process))
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

/* Nannies are in the user's own process. */
static bool has_dask_children(const Census *census, pid_t pid)
{
    for (size_t i = 0; i < census->processes.count; i++) {
        Process *process = &census->processes.items[i];
        if (process->ppid == pid && role_of(process) == COMMAND_SPAWNED && process_is_dask_child(process))
            return true;
    }
    return false;
}

static bool has_imports(Process *process)
{
    if (!process->traces)
        process->traces = process_has_imports(process) ? 2 : 1;
    return process->traces == 2;
}

static bool holds_earlier_port(const Census *census, const Listener *than)
{
    for (size_t i = 0; i < census->listeners.count; i++) {
        const Listener *listener = &census->listeners.items[i];
        if (listener->pid == than->pid && listener->backlog == than->backlog && listener->fd < than->fd)
            return true;
    }
    return false;
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
    place->key = place_key(census, process, listener->port);
    place->command = command_parse(process_argv(process));
    place->may_be_scheduler = place->command.role != COMMAND_WORKER; /* a spawned one with two ports may hold a cluster of its own */
    bool children = place->may_be_scheduler && !inproc && place->command.role == COMMAND_OTHER && has_dask_children(census, process->pid);
    place->is_first = children && !holds_earlier_port(census, listener);
    place->looks_like_dask = place->command.role == COMMAND_SCHEDULER || children || (place->may_be_scheduler && !inproc && has_imports(process));
}

static bool holds_comm_port(const Census *census, pid_t pid, uint32_t backlog)
{
    for (size_t i = 0; i < census->listeners.count; i++)
        if (census->listeners.items[i].pid == pid && census->listeners.items[i].backlog >= backlog)
            return true;
    return false;
}

/* How many comm ports a process holds. */
static size_t count_ports(const Census *census, pid_t pid)
{
    size_t count = 0;
    for (size_t i = 0; i < census->listeners.count; i++)
        count += census->listeners.items[i].pid == pid && census->listeners.items[i].backlog == census->backlog;
    return count;
}

/* Workers whose scheduler is known, and what nannies spawned, are no scheduler: they need not be asked at all. */
static bool need_not_be_asked(const Census *census, const Process *process, CommandRole role)
{
    for (size_t i = 0; i < census->work_count && role == COMMAND_WORKER; i++)
        if (census->works[i].process->pid == process->pid)
            return *census->works[i].host != 0;
    return role == COMMAND_SPAWNED && count_ports(census, process->pid) < 2;
}

/* Listening on "any" takes a socket for each kind of address: one is enough. */
static bool is_twin(const Census *census, const Listener *listener)
{
    for (size_t i = 0; i < census->listeners.count && strcmp(listener->host, "::") == 0; i++) {
        const Listener *other = &census->listeners.items[i];
        if (other->pid == listener->pid && other->uid == listener->uid && other->port == listener->port && strcmp(other->host, "0.0.0.0") == 0)
            return true;
    }
    return false;
}

static void find_ports(Census *census, bool all_users)
{
    uint32_t backlog = census->backlog;
    uid_t me = census->computer->me;
    for (size_t i = 0; i < census->listeners.count; i++) {
        const Listener *listener = &census->listeners.items[i];
        if ((listener->uid != me && !all_users) || is_twin(census, listener))
            continue;
        Process *process = listener->pid ? processes_find(&census->processes, listener->pid) : NULL;
        bool comm = listener->backlog == 0 || listener->backlog == backlog;
        if (!process) {
            if (comm && listener->backlog && listener->uid != me)
                add_port(census, listener, NULL, false);
            continue;
        }
        CommandRole role = role_of(process);
        bool python = process_is_python(process);
        comm = comm || (python && listener->backlog > backlog); /* a larger one may be configured */
        bool only_http = !comm && python && role == COMMAND_OTHER && !holds_comm_port(census, process->pid, backlog);
        if (comm && (python || listener->backlog) && !need_not_be_asked(census, process, role))
            add_port(census, listener, process, false);
        else if (only_http && has_imports(process) && process_has_tornado(process))
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
        bool local = computer_has(census->computer, works->host), known = local && sockets_find(&census->listeners, works->host, works->port);
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

void census_sort(Census *census, bool all_users)
{
    census->backlog = census->computer->backlog;
    find_workers(census, all_users);
    find_ports(census, all_users);
    find_lost(census);
}

bool census_take(bool all_users, Census *out, Error *error)
{
    *out = (Census){.computer = computer_here()};
    if (!sockets_listening(&out->listeners, error))
        return false;
    if (!processes_read(&out->processes, error)) {
        census_done(out);
        return false;
    }
    process_owners(&out->processes, &out->listeners);
    census_sort(out, all_users);
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
    if (census->free_own)
        census->free_own(census->own);
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
    return place->listener && sockets_find(&census->listeners, works->host, works->port) == place->listener && computer_has(census->computer, works->host);
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

/* What multiprocessing spawned below a worker's process: its own, and the trackers that go with it. */
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

static bool is_spawned_by(Process *process, pid_t parent)
{
    return process->ppid == parent && role_of(process) == COMMAND_SPAWNED;
}

/* It listens at one of these addresses. */
static bool holds_one_of(const Census *census, pid_t pid, const List *addresses)
{
    for (size_t i = 0; i < addresses->count; i++) {
        DaskAddress address;
        if (!dask_address_parse(addresses->items[i], &address) || address.inproc || !computer_has(census->computer, address.host))
            continue;
        for (size_t k = 0; k < census->listeners.count; k++)
            if (census->listeners.items[k].pid == pid && census->listeners.items[k].port == address.port)
                return true;
    }
    return false;
}

static void gather_inside(Census *census, const Place *place, const List *addresses, Gathering *all)
{
    pid_t pid = place->process->pid;
    bool single = !addresses && census_clusters(census, place) == 1;
    for (size_t i = 0; i < census->processes.count; i++) {
        Process *process = &census->processes.items[i];
        if (is_spawned_by(process, pid) && (addresses ? holds_one_of(census, process->pid, addresses) : single && count_ports(census, process->pid) > 0))
            gather(all, process, "worker", NULL);
    }
}

bool census_is_inside(const Place *place)
{
    return place->process && place->command.role != COMMAND_SCHEDULER;
}

/* The process has one port for each scheduler and one for each nanny, whose worker has a port of its own. */
size_t census_clusters(Census *census, const Place *place)
{
    size_t ports = count_ports(census, place->process->pid), workers = 0;
    for (size_t i = 0; i < census->processes.count; i++)
        workers += is_spawned_by(&census->processes.items[i], place->process->pid) && count_ports(census, census->processes.items[i].pid) > 0;
    return ports > workers ? ports - workers : 0;
}

size_t census_members(Census *census, const Place *place, const List *addresses, Member **members)
{
    Gathering all = {0};
    if (place->process && !census_is_inside(place))
        gather(&all, place->process, "scheduler", place->command.name);
    else if (place->process && !place->inproc)
        gather_inside(census, place, addresses, &all);
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
