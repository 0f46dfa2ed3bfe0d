/* What a row probe learnt of a scheduler, as the fields of a row. Pure. */
#ifndef DASKTOP_BACKENDS_COMMON_FACTS_H
#define DASKTOP_BACKENDS_COMMON_FACTS_H

#include "core/backend.h"
#include "dask/probe.h"

/* Fills status, address, dashboard (written into the buffer, which must live as long as the fields), workers, tasks, clients,
 * versions, times and the scheduler's id; strings are borrowed from facts. host: by which we reach its dashboard. The scheduler's
 * stamps are taken as this machine's only where same_clock; else they are left unknown. */
void facts_to_fields(const ProbeFacts *facts, const char *host, bool same_clock, Buffer *dashboard, RecordFields *fields);

/* Tasks and clients. */
void facts_fill_counts(const DaskCounts *counts, RecordFields *fields);

/* How much a backend's config allows. */
ProbeDepth facts_depth(const BackendConfig *config);

/* The file in which all dasktops of a user on this host share what they learnt; the caller's, NULL where there is no place. */
char *facts_memory_path(void);

#endif
