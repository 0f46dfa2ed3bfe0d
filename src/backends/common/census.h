/* Who is Dask on a computer, from sockets, processes and command lines alone, without asking anybody: the schedulers' ports that are to
 * be asked, and which processes belong to which of them. Made anew for each pass and each call of a handle. One thread. */
#ifndef DASKTOP_BACKENDS_COMMON_CENSUS_H
#define DASKTOP_BACKENDS_COMMON_CENSUS_H

#include "backends/common/command.h"
#include "backends/common/process.h"
#include "dask/dask.h"

typedef struct Member {
    Process *process;
    const char *kind;   /* "scheduler", "worker", "nanny" */
    const char *name;   /* --name; NULL */
} Member;

/* A port (or, of an in-process cluster, a dashboard) that may be a scheduler's; or the dead scheduler that workers wait for. */
typedef struct Place {
    Process *process;       /* that holds the port; NULL: another user's, or a dead one */
    const Listener *listener; /* NULL: lost workers */
    Command command;        /* of the process */
    bool inproc;            /* only its dashboard can be asked */
    bool is_lost;           /* nobody listens at address: what waits for it is orphaned */
    bool is_remote;         /* address is another host's */
    bool looks_like_dask;   /* its silence is worth waiting for */
    bool is_first;          /* inside a process with Dask's children, the port that was opened first: the scheduler's */
    bool answered;          /* it is a scheduler's, who said so */
    bool may_be_scheduler;  /* else it is only asked for whom it works */
    char *key;              /* for the prober's memory */
    char *address;          /* is_lost, is_remote: of the scheduler, tcp://HOST:PORT */
    char host[256];
    int port;
} Place;

/* A worker process and the scheduler that it works for. */
typedef struct Works {
    Process *process;
    Command command;
    char host[256];         /* of its scheduler; "" not known */
    int port;
} Works;

typedef struct Census {
    const Computer *computer;
    uint32_t backlog;       /* that a comm port of Dask has there */
    Listeners listeners;
    Processes processes;
    void *own;              /* what the backend knows beside it */
    void (*free_own)(void *own);
    Place *places;
    size_t count, capacity;
    Works *works;
    size_t work_count, work_capacity;
    uid_t named_uid;        /* the user name that was looked up last */
    char named[64];
} Census;

const char *census_user(Census *census, uid_t uid);
/* For the prober's memory, so that all who find a scheduler in that process at that port share what they learn; the caller's. */
char *census_key(const Computer *computer, pid_t pid, uint64_t start, int port);

/* Of this host. all_users: also sockets whose processes we may not see. */
bool census_take(bool all_users, Census *out, Error *error);
/* Of computer, listeners (with their processes) and processes, which are there already. */
void census_sort(Census *census, bool all_users);
void census_done(Census *census);

/* Learnt by asking: this process works for that scheduler. */
void census_learn(Census *census, pid_t pid, const char *scheduler);
/* The processes of a place's cluster: its scheduler, its workers below the process that holds it, and the workers that name its port.
 * One Python process may hold several clusters, and children that are no Dask: which of them are this one's workers is told by
 * `addresses`, those of its scheduler's workers; NULL, not known: only where that process holds no other cluster. Free the array. */
size_t census_members(Census *census, const Place *place, const List *addresses, Member **members);
/* The scheduler lives in the user's own process, which is no `dask scheduler`. */
bool census_is_inside(const Place *place);
/* How many clusters that process holds, as far as its ports tell. */
size_t census_clusters(Census *census, const Place *place);

#endif
