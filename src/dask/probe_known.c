#include "dask/probe_known.h"

#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CONTINUOUS_MS 180000 /* looks that lie no further apart than this miss little */

void known_init(Known *known)
{
    *known = (Known){.started_ms = TIME_UNKNOWN, .workers = NUMBER_UNKNOWN, .threads = NUMBER_UNKNOWN, .memory = NUMBER_UNKNOWN,
                     .memory_used = NUMBER_UNKNOWN, .spilled = NUMBER_UNKNOWN, .paused = NUMBER_UNKNOWN, .busy = -1,
                     .idle_since_ms = TIME_UNKNOWN, .last_graph_ms = TIME_UNKNOWN, .count_call = {TIME_UNKNOWN, 0}, .idle_call = {TIME_UNKNOWN, 0},
                     .detail_call = {TIME_UNKNOWN, 0}, .stranger_ms = TIME_UNKNOWN, .used_ms = TIME_UNKNOWN};
    known->counts = (DaskCounts){NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN,
                                 NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN};
    known->judged = known->counts;
}

void known_clear(Known *known)
{
    char *texts[] = {known->id, known->address, known->scheduler, known->python, known->dask, known->distributed};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    known_init(known);
}

DaskVersion known_version(const Known *known)
{
    return dask_version_parse(known->distributed);
}

bool known_has_idle_check(const Known *known)
{
    return dask_version_least(known_version(known), 2023, 3, 2);
}

static bool differs(const char *a, const char *b)
{
    return a && b && strcmp(a, b) != 0;
}

bool known_is_another(const Known *known, const char *id, DaskRole role)
{
    return differs(known->id, id) || (known->role != DASK_UNKNOWN && known->role != role);
}

/* ---------------------------------------------------------------------------------------------------------------- answers */

static void take_text(char **field, char **from)
{
    free(*field);
    *field = *from;
    *from = NULL;
}

void known_take_identity(Known *known, DaskIdentity *identity)
{
    known->old = false;
    known->role = identity->role;
    take_text(&known->id, &identity->id);
    take_text(&known->address, &identity->address);
    take_text(&known->scheduler, &identity->scheduler);
    known->http_port = identity->dashboard_port;
    known->started_ms = identity->started_ms;
    known->workers = identity->workers;
    known->threads = identity->threads;
    known->memory = identity->memory;
}

static int64_t plus(int64_t sum, int64_t more)
{
    if (more < 0)
        return sum;
    return sum > INT64_MAX - more ? INT64_MAX : sum + more;
}

void known_take_detail(Known *known, const DaskIdentity *identity)
{
    bool complete = true;
    known->memory_used = known->spilled = known->paused = 0;
    for (size_t i = 0; i < identity->count; i++) {
        const DaskWorker *worker = &identity->list[i];
        complete = complete && worker->memory != NUMBER_UNKNOWN;
        known->memory_used = plus(known->memory_used, worker->memory);
        known->spilled = plus(known->spilled, worker->spilled);
        known->paused += worker->status && strcmp(worker->status, "paused") == 0;
    }
    if (!complete)
        known->memory_used = NUMBER_UNKNOWN;
}

bool known_take_http_identity(Known *known, const cJSON *json)
{
    const char *type = json_text(json, "type"), *id = json_text(json, "id"), *address = json_text(json, "address");
    if (!type || strcmp(type, "Scheduler") != 0 || !address)
        return false;
    if (differs(known->id, id))
        known_clear(known);
    double started = json_number(json, "started");
    char *texts[] = {mem_text(id), mem_text(address)};
    known->role = DASK_SCHEDULER;
    take_text(&known->id, &texts[0]);
    take_text(&known->address, &texts[1]);
    known->started_ms = started > 0 && started < 1e12 ? (int64_t)(started * 1000) : TIME_UNKNOWN;
    known->workers = json_amount(json, "n_workers");
    known->threads = json_amount(json, "total_threads");
    known->memory = json_amount(json, "total_memory");
    if (known->memory == 0 && known->workers > 0)
        known->memory = NUMBER_UNKNOWN; /* no limit is no amount */
    return true;
}

void known_take_versions(Known *known, Value *reply)
{
    Value *packages = value_get(reply, "packages");
    char *texts[] = {dask_python_version(value_get(packages, "python")), value_text_new(value_get(packages, "dask")),
                     value_text_new(value_get(packages, "distributed"))};
    if (!texts[2])
        texts[2] = mem_text("0"); /* it would be asked for ever */
    take_text(&known->python, &texts[0]);
    take_text(&known->dask, &texts[1]);
    take_text(&known->distributed, &texts[2]);
}

bool known_take_ncores(Known *known, Value *reply)
{
    if (reply->type != MSGPACK_OBJECT_MAP)
        return false;
    known->workers = reply->via.map.size;
    known->threads = 0;
    for (uint32_t i = 0; i < reply->via.map.size; i++) {
        int64_t threads = value_integer(&reply->via.map.ptr[i].val);
        known->threads += threads > 0 && threads < 1 << 20 ? threads : 0;
    }
    return true;
}

void known_take_idle(Known *known, Value *reply)
{
    double since = value_number(reply);
    known->busy = isnan(since) ? value_is_nil(reply) ? 1 : -1 : 0;
    known->idle_since_ms = isnan(since) || fabs(since) > 1e12 ? TIME_UNKNOWN : (int64_t)(since * 1000);
}

/* [[time, {"action": "update-graph", …}]], oldest first; "update_graph" in old versions. */
void known_take_events(Known *known, Value *reply)
{
    known->last_graph_ms = TIME_UNKNOWN;
    for (uint32_t i = 0; reply->type == MSGPACK_OBJECT_ARRAY && i < reply->via.array.size; i++) {
        Value *entry = &reply->via.array.ptr[i];
        const char *action;
        size_t n;
        if (entry->type != MSGPACK_OBJECT_ARRAY || entry->via.array.size < 2)
            continue;
        double time = value_number(&entry->via.array.ptr[0]);
        if (value_text(value_get(&entry->via.array.ptr[1], "action"), &action, &n) && n >= 6 && memcmp(action, "update", 6) == 0 && !isnan(time) &&
            fabs(time) < 1e12)
            known->last_graph_ms = (int64_t)(time * 1000);
    }
}

/* A published dataset is held by a client of the scheduler's own making ("published-NAME"): nobody sits behind it. */
void known_take_published(Known *known, const Value *reply)
{
    int64_t published = reply->type == MSGPACK_OBJECT_ARRAY ? (int64_t)reply->via.array.size : 0;
    if (known->counts.clients != NUMBER_UNKNOWN)
        known->counts.clients = known->counts.clients > published ? known->counts.clients - published : 0;
}

/* --------------------------------------------------------------------------------------------------------------- idleness */

static bool has_work(const DaskCounts *counts)
{
    return counts->processing > 0 || counts->waiting > 0 || counts->queued > 0 || counts->unrunnable > 0;
}

/* Where only its counts can be asked: it is idle since the first look that found it so after one that did not, or that found something
 * else changed. After a first look, or one that comes long after the last, it may be so for longer. Late, never early. */
static void judge_by_counts(Known *known)
{
    const DaskCounts *now = &known->counts, *before = &known->judged;
    int64_t at = known->count_call.at_ms, before_ms = known->idle_call.at_ms;
    bool same = before->tasks == now->tasks && before->stored == now->stored && before->erred == now->erred;
    bool near = before_ms != TIME_UNKNOWN && before->tasks != NUMBER_UNKNOWN && at >= before_ms && at - before_ms <= CONTINUOUS_MS;
    bool worked = near && (known->busy == 1 || !same);
    if (now->processing == NUMBER_UNKNOWN)
        return;
    known->idle_call = known->count_call;
    known->busy = has_work(now);
    if (known->busy) {
        known->idle_since_ms = TIME_UNKNOWN;
    } else if (known->idle_since_ms == TIME_UNKNOWN || worked || !near) {
        known->idle_since_ms = at + known->ahead_ms;
        known->idle_longer = !worked;
    }
    known->judged = *now;
}

void known_take_counts(Known *known, const DaskCounts *counts, bool http_only, bool through_others)
{
    known->counts = *counts;
    if (!http_only)
        return;
    if (known->workers != counts->workers || known->threads != counts->threads) /* how much memory others have is not counted */
        known->memory = counts->workers == 0 ? 0 : NUMBER_UNKNOWN;
    known->workers = counts->workers;
    known->threads = counts->threads;
    if (through_others)
        judge_by_counts(known);
}

/* The last graph that came, and whether anything is to do now. When the last task ended is not told, so idleness counts from the first
 * look that found it quiet, or from its start where it never worked: late, never early. */
void known_judge_idleness(Known *known)
{
    const DaskCounts *counts = &known->counts;
    if (!known->distributed || known_has_idle_check(known) || counts->tasks == NUMBER_UNKNOWN || known->idle_call.at_ms == TIME_UNKNOWN)
        return;
    known->busy = has_work(counts);
    if (known->busy)
        known->idle_since_ms = TIME_UNKNOWN;
    else if (known->last_graph_ms == TIME_UNKNOWN && counts->tasks == 0)
        known->idle_since_ms = known->started_ms;
    else if (known->idle_since_ms == TIME_UNKNOWN || known->last_graph_ms > known->idle_since_ms)
        known->idle_since_ms = known->count_call.at_ms + known->ahead_ms;
}
