/* What is remembered of targets between rounds, and between dasktops of a user: a bounded file of JSON lines by target key.
 * Internal to dask/probe.c; one thread. */
#ifndef DASKTOP_DASK_PROBE_MEMORY_H
#define DASKTOP_DASK_PROBE_MEMORY_H

#include "base/map.h"
#include "dask/probe.h"

/* A dear call: when it was made last (Unix ms, TIME_UNKNOWN never) and how long it took. */
typedef struct Dear {
    int64_t at_ms, took_us;
} Dear;

typedef struct Known {
    DaskRole role;            /* DASK_UNKNOWN: only that it was silent or a stranger */
    char *id, *address, *scheduler, *python, *dask, *distributed;
    int http_port;
    int64_t started_ms;
    int64_t workers, threads, memory;             /* for versions whose cheap call lacks them */
    int64_t memory_used, spilled, paused;
    int busy;
    int64_t idle_since_ms, last_graph_ms;         /* last_graph_ms: before check_idle was there */
    bool idle_longer;                             /* it may be idle for longer than since idle_since_ms */
    int64_t ahead_ms;         /* of its clock, to which the three stamps above belong */
    DaskCounts counts;
    Dear count_call, idle_call, detail_call;
    int64_t stranger_ms;      /* when it was found to be none of Dask's, or (old) of a Dask that is not spoken with; TIME_UNKNOWN */
    bool old;
    int64_t used_ms;          /* last time that it was looked at: what is old is forgotten */
} Known;

typedef struct ProbeMemory {
    char *path;               /* NULL: only in this process */
    Map known;                /* key -> Known */
    bool changed;
} ProbeMemory;

void probe_memory_open(ProbeMemory *memory, const char *path); /* reads what is there; damage is skipped */
void probe_memory_done(ProbeMemory *memory);
Known *probe_memory_get(ProbeMemory *memory, const char *key); /* made all unknown where it is new */
const Known *probe_memory_find(const ProbeMemory *memory, const char *key);
void probe_memory_forget(ProbeMemory *memory, const char *key);
/* Writes it, together with what others learnt meanwhile (the newer stamp wins); quiet where that is not possible. */
void probe_memory_save(ProbeMemory *memory);
void known_clear(Known *known);

#endif
