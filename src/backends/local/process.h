/* Processes of this host, as /proc shows them: only what is needed is read. Pids are reused: a process is its pid and start time,
 * and identities are compared after a pidfd was opened. Linux only. One thread. */
#ifndef DASKTOP_BACKENDS_LOCAL_PROCESS_H
#define DASKTOP_BACKENDS_LOCAL_PROCESS_H

#include "backends/local/sockets.h"
#include "base/list.h"

typedef struct Process {
    pid_t pid, ppid, pgrp, session;
    int tty;
    char state;         /* 'R', 'S', 'T', 'Z' */
    uint64_t start;     /* clock ticks since boot: field 22 of stat */
    char comm[64];
    List argv;          /* read by process_argv */
    bool argv_read;
    signed char role;   /* 1 + CommandRole once it was asked (backends/local/census.h); 0 */
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
int64_t process_started_ms(const Process *process);  /* Unix ms */
char *process_identity(const Process *process);      /* "pid 42, started 2026-…Z (boot 1a2b, tick 99)"; the caller's */
char *process_directory(pid_t pid);                  /* its working directory; NULL: not permitted */
char *process_link(pid_t pid, const char *name);     /* /proc/PID/name as a link; NULL */
uid_t process_uid(pid_t pid);                        /* (uid_t)-1: gone */
/* One variable of its environment; NULL where it has none or it is not ours to read. Nothing else of the environment is kept. */
char *process_variable(pid_t pid, const char *name);
/* A file of that name is mapped into it: 1, 0, -1 not permitted. */
int process_maps(pid_t pid, const char *part);

/* Whose sockets are these? Looks through the descriptors of processes that look like Python first, then of all others, and stops when
 * each wanted one is found. Fills pid of each listener. */
void process_owners(const Processes *list, Listeners *listeners);

#endif
