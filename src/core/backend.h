/* The interface between core and a system that Dask runs on. The plugin protocol (contract, section 3) mirrors it by name.
 *
 * A missing function means "not possible": the key is grey and says so. Every function may wait, only through the Context, and
 * only until its deadline or cancel; it gives an Error. Arguments are borrowed for the call; outputs are the caller's.
 *
 * Threads: open runs on a thread of its own; discover and watch on the instance's thread, one call at a time; create,
 * reconstruct and everything of a Handle on other threads, at the same time as discover and as each other (several handles may
 * live; the calls of one handle are serial, but for logs, which gets a handle of its own). So what an instance shares it
 * guards itself, by a lock named beside the field, never held while waiting. close comes last, when nothing else runs.
 * No backend starts threads, touches signals, standard output or the terminal, or ends the program. */
#ifndef DASKTOP_CORE_BACKEND_H
#define DASKTOP_CORE_BACKEND_H

#include "base/buffer.h"
#include "base/context.h"
#include "core/change.h"
#include "core/config.h"
#include "core/describe.h"
#include "core/sink.h"
#include "core/spec.h"

typedef struct Backend Backend;
typedef struct BackendType BackendType;
typedef struct Handle Handle;
typedef struct HandleType HandleType;
typedef struct Opened Opened;
struct Host; /* backends/common/host.h: a computer on which commands run and ports are reached */

/* ------------------------------------------------------------------------------------------------- a kind of system */

/* Takes what `inspect` finds, point by point. Text is sanitised by the receiver. */
typedef struct Inspection {
    void (*point)(void *user, bool right, const char *what, const char *detail); /* detail may be NULL */
    void *user;
} Inspection;

struct BackendType {
    const char *name;            /* "kubernetes" */
    const char *summary;         /* one line: what it finds and how */
    const char *signs_in;        /* "as kubectl does: kubeconfig" */
    int rank;                    /* of two that found one scheduler the lower one owns the row: systems that own resources
                                    (gateway 10, jupyter 20, kubernetes 30, batch 40, cloud 50, docker 60) before local 70,
                                    ssh 75, python 80, exec 85, scheduler 90 */
    bool many;                   /* may have several instances: ids are KEY:INSTANCE/… */
    bool automatic;              /* opened without config where `auto` is on */
    bool labels;                 /* its clusters have labels: CHANGE_KEEP is planned and applied, too, and sets dasktop/keep */
    uint8_t can;                 /* bits 1 << Capability: what it can do at its best, for `backends` */
    int64_t refresh_ms, timeout_ms; /* where they differ from the config's defaults; 0: they do not */
    const ConfigKey *keys;       /* its own keys beside the common ones */
    const char *(*check)(const Tree *options); /* of a configured one, beyond its keys: NULL, or what is wrong; NULL: nothing to check */
    const char *const *creates;  /* spec classes that `create` takes, "module:Class", or "*" for all that no other backend
                                    takes, NULL-terminated; NULL: none */

    /* Tells each instance by opened_add, now or as they become known; returns when all are told, or, where more may come at any time,
     * stays as opened_told says. ERROR_ABSENT: the system is not on this machine or not configured. After another failure the dashboard
     * calls it again, with backoff. Must not ask the system more than it needs to name its instances. */
    bool (*open)(const BackendConfig *config, Context *context, Opened *opened, Error *error);
    /* The same system as it is seen from another computer: its clients run there, ports are reached from there. The backend that leads to the
     * computer opens it as one of its own instances, called by this type's name (ids are KEY:slurm/…): so each system there has a row, a
     * deadline and a thread of its own, under the key and the type (in `backends`) of the backend that leads there, with this type's rank.
     * The config is one of this type, made for this instance alone, which keeps it (Backend.own_config) and the host (host_keep); on NULL
     * it stays the caller's. NULL with ERROR_ABSENT: it is not there. NULL here: it cannot be looked at from afar. */
    Backend *(*open_far)(BackendConfig *config, const char *instance, struct Host *host, Context *context, Error *error);
    const char *far_program;     /* the program without which it is not there: looked for of all types in one call; NULL: it is always there */
    /* `-H [USER@]HOST`: the options with which it looks at that computer; the caller's. NULL with ERROR_USAGE: that is no computer.
     * NULL here: it looks at none. */
    Tree *(*at)(const char *computer, Error *error);
    void (*close)(Backend *backend);

    /* One pass: sink_put for each cluster as it comes. true = complete; ERROR_PARTIAL = what came is right, the rest unknown. */
    bool (*discover)(Backend *backend, Context *context, Sink *sink, Error *error);
    /* Runs until the context ends or the connection is lost (an error; core starts it again with backoff). Where it is NULL, or
     * gives ERROR_UNSUPPORTED, core calls discover at intervals. */
    bool (*watch)(Backend *backend, Context *context, Sink *sink, Error *error);
    /* What the instance's thread does between two looks, and after the last: until the context ends or wake_fd is readable. For a
     * system that talks all the time and must be read, or of which there is more to learn. True: it learnt what makes another look
     * worth its while now. NULL: it sleeps. */
    bool (*rest)(Backend *backend, const Context *context, int wake_fd);

    /* Makes a cluster, detached. dry_run: only fills the plan. Otherwise executes the plan that a dry run filled. */
    bool (*create)(Backend *backend, Context *context, const Spec *spec, bool dry_run, Plan *plan, const Progress *progress,
                   Outcome *outcome, Error *error);
    /* From what is known of a cluster to a handle. Re-reads what it needs; gives ERROR_NOT_FOUND where it is gone,
     * ERROR_CONFLICT where another uid is there now. */
    bool (*reconstruct)(Backend *backend, Context *context, const Record *record, Handle **handle, Error *error);
    /* `backends --check KEY`: goes through what the backend speaks with its system, changing nothing, and tells of each point whether
     * it is as agreed. False where it could not be done at all. NULL: there is nothing to check. */
    bool (*inspect)(const BackendConfig *config, Context *context, const Inspection *inspection, Error *error);
    /* What was seen on this machine and is never opened unasked (hosts of ~/.ssh/config, contexts of a kubeconfig): a sentence each,
     * with what to type. Reads small files only; asks nobody. Any thread. NULL: nothing. */
    void (*offer)(List *sentences);
    /* Interactive sign-in (`:login KEY`): the argv to run on the terminal. It may be that nothing of it could be opened yet. NULL: none. */
    bool (*login)(const BackendConfig *config, List *command, Error *error);
    const void *own;             /* of backends that are several types: what differs */
};

/* One instance; backends embed it as their first member. Made by open or open_far, freed by close. Its type is not its config's where one
 * backend opens others on another computer. */
struct Backend {
    const BackendType *type;
    const BackendConfig *config;
    char *instance; /* NULL where the type of its key is not `many` */
    const char *caution; /* what the screen says of it all the time, a lasting text ("TLS not verified"); set by open; NULL */
    BackendConfig *own_config; /* open_far: the same as config, freed with it; NULL */
};
void backend_done(Backend *backend); /* frees what stands above, not the backend */

/* Registers an instance, which is core's from now on (until close). Any thread until open has returned. */
void opened_add(Opened *opened, Backend *backend);
/* All that is there now has been told; `none` says why there is nothing, where nothing was told so far. True: open may stay, and tell what
 * comes, until its context ends. False: one look is all that is wanted, it returns. */
bool opened_told(Opened *opened, const Error *none);

/* --------------------------------------------------------------------------------------------- one cluster, reconstructed */

typedef struct LogRequest {
    List components;    /* "scheduler", "worker" (all of them), names; empty: all */
    int64_t tail;       /* last lines of each component; -1: all */
    int64_t since_ms;   /* Unix ms; TIME_UNKNOWN */
    bool follow;        /* go on until the context ends or the cluster does */
} LogRequest;

/* Takes log lines; core/logs.h makes one that sanitises, merges by time and spools. Called by the thread of logs(). Text is raw,
 * without its line end. time_ms TIME_UNKNOWN: not known, the line belongs after the one before of its component. level may be NULL. */
typedef struct LogSink {
    void (*line)(void *user, const char *component, int64_t time_ms, const char *level, const char *text, size_t n);
    void (*caught_up)(void *user); /* all components have given what was there at the start; later, what one round of asking gave */
    void (*dropped)(void *user, const char *component, int64_t lines); /* lost on the way: a ring that turned over; -1: how many is not known */
    void (*note)(void *user, const char *component, const char *text); /* why a component has no log */
    /* A component's log is this regular file of this host. True: the reader reads and follows it by itself from a descriptor of its own
     * (fd stays the caller's), whatever the request says of lines and times, and the backend gives no line of that component; it only
     * goes on until the cluster ends. NULL: the reader takes lines only. */
    bool (*file)(void *user, const char *component, const char *path, int fd);
    void *user;
} LogSink;

/* What a route is wanted for. */
typedef struct RouteWish {
    int port;       /* where it should listen here, if it listens; 0: anywhere */
    bool dashboard; /* that port is to be the dashboard's, not the scheduler's */
} RouteWish;

/* A way to a scheduler that is held open. */
typedef struct Route {
    char *address;              /* as a Client takes it: tcp://…, tls://…, gateway://…; NULL: only its dashboard is reached, `words` says why */
    char *dashboard;            /* http://…/status; NULL */
    bool is_public;             /* the dashboard's address is good without the route, too */
    char *ca_file, *cert, *key; /* paths of TLS material; NULL */
    char *preload;              /* a module that a Client needs to understand the address: "dask_gateway"; NULL */
    char *words;                /* "direct"; "through ssh -L …" */
    char *ssh_line;             /* the `ssh -L` line that makes it from another host; NULL where it needs none */
    int lost_fd;                /* readable when the route is lost; -1: nothing to watch */
    void *own;
    void (*close)(void *own);   /* NULL: nothing to close */
} Route;
void route_done(Route *route);
/* What Dask's own configuration reads of it, "NAME=value" each: DASK_SCHEDULER_ADDRESS, DASK_DISTRIBUTED__COMM__TLS__…. */
void route_environment(const Route *route, List *out);

struct HandleType {
    bool (*show)(Handle *handle, Context *context, Description *out, Error *error);
    /* Builds the exact steps, reading what it needs, changing nothing. */
    bool (*plan)(Handle *handle, Context *context, const Change *change, Plan **plan, Error *error);
    /* Executes that plan: re-reads each identity just before, refuses with ERROR_CONFLICT where one does not hold, verifies by asking
     * the system again unless !plan->wait. Called only by core (core/operation.h), which has refused what is read-only. */
    bool (*apply)(Handle *handle, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error);
    bool (*logs)(Handle *handle, Context *context, const LogRequest *request, const LogSink *sink, Error *error);
    bool (*route)(Handle *handle, Context *context, const RouteWish *wish, Route *route, Error *error);
    /* Python that gets a live Client. Never a secret. */
    bool (*snippet)(Handle *handle, Context *context, Buffer *out, Error *error);
    void (*close)(Handle *handle); /* frees it; handle_init's part by handle_done */
};

/* Backends embed it as their first member. Owns a counted record: no pointer into a snapshot; outlives refreshes. */
struct Handle {
    const HandleType *type;
    Backend *backend;
    Record *record; /* what it was reconstructed from; record->is.uid is what every change is bound to */
};
void handle_init(Handle *handle, const HandleType *type, Backend *backend, const Record *record);
void handle_done(Handle *handle);
void handle_close(Handle *handle); /* calls type->close; NULL is allowed */

#endif
