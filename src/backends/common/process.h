/* Processes of a computer, as its /proc shows them. Of this host only what is needed is read, when it is; of another one everything that
 * is known was read at once (backends/common/far.h) and stands in `seen`. Pids are reused: a process is its pid and start time, and
 * identities are compared just before anything is done. Linux only. One thread. */
#ifndef DASKTOP_BACKENDS_COMMON_PROCESS_H
#define DASKTOP_BACKENDS_COMMON_PROCESS_H

#include "backends/common/sockets.h"
#include "backends/common/computer.h"
#include "base/list.h"

/* What is known of a process of another computer; NULL: not. */
typedef struct Seen {
    const Computer *computer;
    uid_t uid;
    char *directory, *network;  /* of cwd, ns/net */
    char *program;              /* of exe */
    char *outputs[2];           /* the files of its standard output and error */
    char *session;              /* a kernel's notebook */
    char *scheduler;            /* the address in the scheduler file that its command line names */
    bool is_dask_child, has_imports, has_tornado;
} Seen;

typedef struct Process {
    pid_t pid, ppid, pgrp, session;
    int tty;
    char state;         /* 'R', 'S', 'T', 'Z' */
    uint64_t start;     /* clock ticks since boot: field 22 of stat */
    char comm[64];
    Seen *seen;         /* NULL: a process of this host */
    List argv;          /* read by process_argv */
    bool argv_read;
    signed char role;   /* 1 + CommandRole once it was asked (backends/common/census.h); 0 */
    signed char traces; /* 1: none of Dask's, 2: some, once it was asked; 0 */
} Process;

typedef struct Processes {
    Process *items;     /* by pid */
    size_t count, capacity;
} Processes;

bool processes_read(Processes *out, Error *error);
void processes_done(Processes *list);
/* By its name: what may be an interpreter, also where a library or setproctitle renamed it. */
bool process_is_python(const Process *process);
Process *processes_find(const Processes *list, pid_t pid);
const List *process_argv(Process *process);

/* stat's text, cut at the last ')'. Pure. */
bool process_parse_stat(const char *text, Process *out);
/* Reads one now; false where it is not there. Zombies count as gone. */
bool process_read(pid_t pid, Process *out);
bool process_is(pid_t pid, uint64_t start); /* that very one is alive */
int64_t process_started_ms(const Process *process);  /* Unix ms of our clock */
char *process_identity(const Process *process);      /* "pid 42, started 2026-…Z (boot 1a2b, tick 99)"; the caller's */
char *process_directory(const Process *process);     /* its working directory; NULL: not permitted */
char *process_network(const Process *process);       /* its network namespace; NULL: not permitted */
char *process_link(pid_t pid, const char *name);     /* of this host: /proc/PID/name as a link; NULL */
char *process_program(const Process *process);       /* the file that it runs; NULL */
char *process_output(const Process *process, int fd); /* what descriptor 1 or 2 leads to; NULL */
void seen_free(Seen *seen);
uid_t process_uid(const Process *process);           /* (uid_t)-1: gone, or not known */
/* Nannies set this before they spawn their workers. */
bool process_is_dask_child(const Process *process);
/* Is it an interpreter in which distributed was imported? Extensions that it needs are mapped. */
bool process_has_imports(const Process *process);
bool process_has_tornado(const Process *process);
/* A file of that name is mapped into a process of this host. */
bool process_maps(const Process *process, const char *part);
/* One variable of the environment of a process of this host; NULL where it has none or it is not ours to read. Nothing else of the
 * environment is kept. */
char *process_variable(const Process *process, const char *name);

/* Whose sockets are these? Looks through the descriptors of processes that look like Python first, then of all others, and stops when
 * each wanted one is found. Fills pid of each listener. */
void process_owners(const Processes *list, Listeners *listeners);

#endif
