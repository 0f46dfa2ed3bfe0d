#include "backends/common/facts.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { START_MS = 2000 };

static Status status_of(const ProbeFacts *facts)
{
    switch (facts->result) {
    case PROBE_ANSWERED:
        return STATUS_RUNNING;
    case PROBE_REFUSED:
    case PROBE_NO_ROUTE:
        return STATUS_UNREACHABLE;
    case PROBE_SILENT:
    case PROBE_PARTIAL:
        return STATUS_UNRESPONSIVE;
    default:
        return STATUS_UNKNOWN;
    }
}

/* One short phrase; NULL where there is nothing to say. */
static const char *why_of(const ProbeFacts *facts)
{
    switch (facts->result) {
    case PROBE_REFUSED:
        return "connection refused";
    case PROBE_SILENT:
        return "accepts, says nothing: often just busy";
    case PROBE_PARTIAL:
        return "stopped in the middle of an answer";
    case PROBE_OLD:
        return "Dask before 2021.3 is not spoken with";
    case PROBE_STRANGER:
        return "this port is not Dask's";
    case PROBE_NO_ROUTE:
    case PROBE_TLS:
        return *facts->error.what ? facts->error.what : NULL;
    default:
        return NULL;
    }
}

void facts_fill_counts(const DaskCounts *counts, RecordFields *fields)
{
    fields->tasks.processing = counts->processing;
    fields->tasks.waiting = counts->waiting;
    fields->tasks.queued = counts->queued;
    fields->tasks.stored = counts->stored;
    fields->tasks.erred = counts->erred;
    fields->tasks.unrunnable = counts->unrunnable;
    fields->clients = counts->clients;
}

/* A scheduler counts its rest from its start where nothing ever ran: that is no end of work. */
static bool has_never_worked(const ProbeFacts *facts)
{
    return facts->started_ms != TIME_UNKNOWN && facts->idle_since_ms != TIME_UNKNOWN && facts->idle_since_ms - facts->started_ms < START_MS;
}

void facts_to_fields(const ProbeFacts *facts, const char *host, bool same_clock, Buffer *dashboard, RecordFields *fields)
{
    fields->status = status_of(facts);
    fields->status_why = why_of(facts);
    fields->scheduler_id = facts->id;
    fields->address = facts->address ? facts->address : fields->address;
    fields->python = facts->python;
    fields->dask = facts->dask;
    fields->distributed = facts->distributed && strcmp(facts->distributed, "0") != 0 ? facts->distributed : NULL;
    buffer_clear(dashboard);
    if (facts->http_port && host) {
        buffer_format(dashboard, strchr(host, ':') ? "http://[%s]:%d/status" : "http://%s:%d/status", host, facts->http_port);
        fields->dashboard = dashboard->bytes;
    }
    bool alive = facts->result == PROBE_ANSWERED;
    if (!alive)
        return; /* what it said before is no fact about now */
    fields->workers_ready = facts->workers;
    fields->threads = facts->threads;
    fields->memory = facts->memory;
    fields->memory_used = facts->memory_used;
    fields->workers_paused = facts->paused;
    fields->adaptive = -1;
    facts_fill_counts(&facts->counts, fields);
    fields->busy = facts->busy;
    if (fields->busy < 0 && facts->counts.processing > 0)
        fields->busy = 1;
    if (same_clock) {
        fields->created_ms = facts->started_ms;
        fields->last_active_ms = facts->busy == 0 && !has_never_worked(facts) ? facts->idle_since_ms : TIME_UNKNOWN;
    }
}

ProbeDepth facts_depth(const BackendConfig *config)
{
    return config->probe == PROBE_FULL ? DEPTH_FULL : config->probe == PROBE_LIGHT ? DEPTH_LIGHT : DEPTH_OFF;
}

char *facts_memory_path(void)
{
    char *cache = file_cache_home();
    char *path = cache ? file_join(cache, "probes.jsonl") : NULL;
    free(cache);
    return path;
}
