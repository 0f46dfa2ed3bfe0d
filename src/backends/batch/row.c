#include "backends/batch/row.h"

#include "backends/common/facts.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Refused once may be a scheduler that starts; idle workers of a dead one are gone after this time, too. */
#define SURE_MS 30000ll

void cluster_room_init(ClusterRoom *room)
{
    Buffer *all[] = {&room->dashboard, &room->why, &room->gone, &room->gone_why, &room->ends};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buffer_init(all[i], 4096);
}

void cluster_room_done(ClusterRoom *room)
{
    Buffer *all[] = {&room->dashboard, &room->why, &room->gone, &room->gone_why, &room->ends};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buffer_done(all[i]);
}

static void add_known(int64_t *sum, int64_t number)
{
    if (number != NUMBER_UNKNOWN)
        *sum = (*sum == NUMBER_UNKNOWN ? 0 : *sum) + number;
}

/* What its jobs hold, where the scheduler does not tell what its workers have. */
static void fill_sizes(const Cluster *cluster, RecordFields *fields)
{
    int64_t cpus = NUMBER_UNKNOWN, memory = NUMBER_UNKNOWN, gpus = NUMBER_UNKNOWN;
    for (size_t i = 0; i < cluster->count; i++) {
        const Job *job = cluster->members[i].job;
        if (job->state <= JOB_HELD)
            continue;
        add_known(&cpus, job->cpus);
        add_known(&memory, job->memory);
        add_known(&gpus, job->gpus);
    }
    fields->gpus = gpus;
    if (fields->threads == NUMBER_UNKNOWN)
        fields->threads = cpus;
    if (fields->memory == NUMBER_UNKNOWN)
        fields->memory = memory;
}

static void fill_end(const Cluster *cluster, ClusterRoom *room, RecordFields *fields)
{
    const Job *last = cluster->scheduler; /* with it ends the cluster */
    for (size_t i = 0; i < cluster->count && !cluster->scheduler; i++) {
        const Job *job = cluster->members[i].job;
        if (job->state <= JOB_HELD || job->ends_ms == TIME_UNKNOWN)
            return; /* nobody knows when it will have ended */
        if (!last || job->ends_ms > last->ends_ms)
            last = job;
    }
    if (!last || last->ends_ms == TIME_UNKNOWN)
        return;
    buffer_format(&room->ends, "wall time of job %s", last->id);
    fields->ends_at_ms = last->ends_ms;
    fields->ends_why = room->ends.bytes;
}

static const char *pending_reason(const Cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++)
        if (cluster->members[i].job->state <= JOB_HELD && cluster->members[i].job->reason)
            return cluster->members[i].job->reason;
    return NULL;
}

static void say_jobs(const Cluster *cluster, RecordFields *fields, ClusterRoom *room)
{
    size_t waiting = cluster_jobs(cluster, JOB_PENDING) + cluster_jobs(cluster, JOB_HELD), stopped = cluster_jobs(cluster, JOB_SUSPENDED);
    size_t leaving = cluster_jobs(cluster, JOB_LEAVING);
    const char *reason = pending_reason(cluster);
    Buffer *why = &room->why;
    if (fields->status_why)
        buffer_text(why, fields->status_why);
    if (waiting)
        buffer_format(why, "%s%zu of %zu jobs pending%s%s%s", why->length ? "; " : "", waiting, cluster->count, reason ? " (" : "", reason ? reason : "",
                      reason ? ")" : "");
    if (stopped)
        buffer_format(why, "%s%zu of %zu jobs suspended", why->length ? "; " : "", stopped, cluster->count);
    if (leaving)
        buffer_format(why, "%s%zu of %zu jobs are ending", why->length ? "; " : "", leaving, cluster->count);
    fields->status_why = why->length ? why->bytes : NULL;
    bool none_runs = waiting + leaving == cluster->count && waiting;
    if (fields->status == STATUS_RUNNING && none_runs && fields->workers_ready == 0)
        fields->status = STATUS_PENDING;
    if (leaving == cluster->count)
        fields->status = STATUS_CLOSING;
}

/* Contract, verdict orphaned: dask-jobqueue's scheduler is no part of the queue. Its own host's refusal is proof; another's has to be heard twice. */
static void fill_gone(const Cluster *cluster, const Queue *queue, const ProbeFacts *facts, bool is_here, int64_t now_ms, ClusterRoom *room, RecordFields *fields)
{
    bool refused = facts && facts->result == PROBE_REFUSED;
    bool sure = is_here || (cluster->refused_ms != TIME_UNKNOWN && now_ms - cluster->refused_ms >= SURE_MS);
    bool has_job = cluster->scheduler && cluster->scheduler->state == JOB_RUNNING;
    if (!refused || has_job)
        return;
    if (!sure) {
        char age[TIME_TEXT];
        buffer_format(&room->why, "connection refused once: asked again in %s", duration_words(SURE_MS - (now_ms - cluster->refused_ms), age));
        fields->status_why = NULL;
        return;
    }
    buffer_format(&room->gone, "scheduler %s", cluster->address);
    if (is_here)
        buffer_format(&room->gone_why, "refused by %s", host_is_here(queue->host) ? "this host" : "that host itself");
    else
        buffer_format(&room->gone_why, "%s has refused for more than 30 s, and it is no job of this queue", cluster->place.host);
    fields->gone = room->gone.bytes;
    fields->gone_why = room->gone_why.bytes;
    fields->gone_since_ms = cluster->refused_ms;
}

static void say_what_can(const Cluster *cluster, const Queue *queue, const ProbeFacts *facts, RecordFields *fields)
{
    bool alive = facts && facts->result == PROBE_ANSWERED, others = !cluster->mine && strcmp(queue->me, "root") != 0;
    const char *silent = fields->gone ? "its scheduler is gone: more workers would find nobody"
                         : cluster->unasked ? cluster->unasked : "its scheduler does not answer: its workers cannot be told to leave in order";
    const char *no_way = fields->gone ? "its scheduler is gone" : cluster->unasked ? cluster->unasked : "its scheduler does not answer";
    fields->can = 1u << CAN_LOGS;
    fields->cannot[CAN_ADAPT] = "dask-jobqueue adapts from the Python process that made it";
    if (others)
        fields->cannot[CAN_DELETE] = "its jobs are somebody else's: only the owner or an operator may cancel them";
    else
        fields->can |= 1u << CAN_DELETE;
    if (alive)
        fields->can |= 1u << CAN_CONNECT | 1u << CAN_SNIPPET;
    else
        fields->cannot[CAN_CONNECT] = fields->cannot[CAN_SNIPPET] = no_way;
    if (alive && !others)
        fields->can |= 1u << CAN_SCALE;
    else
        fields->cannot[CAN_SCALE] = others ? "its jobs are somebody else's" : silent;
}

static Status status_of_jobs(const Cluster *cluster)
{
    if (cluster_jobs(cluster, JOB_PENDING) + cluster_jobs(cluster, JOB_HELD) == cluster->count)
        return STATUS_PENDING;
    return cluster_jobs(cluster, JOB_LEAVING) == cluster->count ? STATUS_CLOSING : STATUS_UNKNOWN;
}

void cluster_row(const Cluster *cluster, const Queue *queue, const ProbeFacts *facts, bool is_here, int64_t now_ms, ClusterRoom *room,
                 RecordFields *fields)
{
    record_fields_init(fields);
    Buffer *all[] = {&room->dashboard, &room->why, &room->gone, &room->gone_why, &room->ends};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buffer_clear(all[i]);
    fields->status = status_of_jobs(cluster);
    if (facts)
        facts_to_fields(facts, cluster->place.host, true, &room->dashboard, fields); /* a batch system's hosts have one time: its own messages need it */
    fields->id = cluster->id;
    fields->uid = cluster->uid;
    fields->name = cluster->name;
    fields->type = cluster->scheduler ? "Scheduler" : queue->type->cluster;
    fields->owner = cluster->owner;
    fields->mine = cluster->mine;
    fields->address = cluster->address;
    fields->origin.kind = cluster->scheduler ? "job" : NULL;
    fields->origin.path = cluster->members[0].job->directory;
    fields->workers_wanted = cluster->scheduler ? NUMBER_UNKNOWN : cluster_wanted(cluster); /* its own job may start any number */
    fields->resources = (int64_t)cluster->count;
    if (cluster->unasked)
        fields->status_why = cluster->unasked;
    if (fields->created_ms == TIME_UNKNOWN)
        fields->created_ms = cluster->first_ms;
    fill_gone(cluster, queue, facts, is_here, now_ms, room, fields);
    fill_sizes(cluster, fields);
    fill_end(cluster, room, fields);
    say_jobs(cluster, fields, room);
    say_what_can(cluster, queue, facts, fields);
}
