/* What is known of one process that speaks Dask, and what each answer makes of it. No connections, no waiting; whoever has a Known may
 * use it. Stamps are of the other host's clock where ahead_ms says so. Internal to dask/probe.c and dask/probe_memory.c. */
#ifndef DASKTOP_DASK_PROBE_KNOWN_H
#define DASKTOP_DASK_PROBE_KNOWN_H

#include "base/json.h"
#include "dask/dask.h"

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
    DaskCounts judged;        /* those of idle_call, where only counts tell what is idle: refusals since then said nothing */
    Dear count_call, idle_call, detail_call;
    int64_t stranger_ms;      /* when it was found to be none of Dask's, or (old) of a Dask that is not spoken with; TIME_UNKNOWN */
    bool old;
    int64_t used_ms;          /* last time that it was looked at: what is old is forgotten */
} Known;

void known_init(Known *known);  /* all unknown; nothing is freed */
void known_clear(Known *known); /* the same of one that was in use */
DaskVersion known_version(const Known *known);
/* Dask 2023.3.2 and later tell since when they are idle (check_idle); those before tell only their events. */
bool known_has_idle_check(const Known *known);
bool known_is_another(const Known *known, const char *id, DaskRole role); /* what answers now is not what is known */

/* What an answer says takes the place of what was known. False: it is not such an answer, and nothing was changed. */
void known_take_identity(Known *known, DaskIdentity *identity); /* its texts are taken over */
void known_take_detail(Known *known, const DaskIdentity *identity); /* of its workers: memory used, spilled, paused */
bool known_take_http_identity(Known *known, const cJSON *json); /* a scheduler's /json/identity.json; another one's id clears the rest */
void known_take_versions(Known *known, Value *reply);
bool known_take_ncores(Known *known, Value *reply);
void known_take_idle(Known *known, Value *reply);
void known_take_events(Known *known, Value *reply);
void known_take_published(Known *known, const Value *reply);
/* Counts asked at count_call.at_ms of one that only HTTP reaches: workers and threads, and where through_others (a proxy: nothing else
 * will say it) whether it is idle, against the counts that it told before. */
void known_take_counts(Known *known, const DaskCounts *counts, bool http_only, bool through_others);
/* Before check_idle: what events and counts together say. Does nothing where check_idle has said it. */
void known_judge_idleness(Known *known);

#endif
