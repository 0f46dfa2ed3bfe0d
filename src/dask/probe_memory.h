/* What is remembered of targets between rounds, and between dasktops of a user: a bounded file of JSON lines by target key.
 * Internal to dask/probe.c; one thread. */
#ifndef DASKTOP_DASK_PROBE_MEMORY_H
#define DASKTOP_DASK_PROBE_MEMORY_H

#include "base/map.h"
#include "dask/probe_known.h"

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

#endif
