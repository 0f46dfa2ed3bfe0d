#include "backends/batch/cluster.h"

#include "backends/common/facts.h"
#include "base/mem.h"
#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Refused once may be a scheduler that starts; idle workers of a dead one are gone after this time, too. */
#define SURE_MS 30000ll

/* ------------------------------------------------------------------------------------------------------------------- whose */

bool cluster_is_name(const Queue *queue, const char *name)
{
    if (!name)
        return false;
    if (strncmp(name, "dask-worker", 11) == 0 || strncmp(name, "dask-scheduler", 14) == 0)
        return true;
    for (size_t i = 0; i < queue->names.count; i++)
        if (text_glob(queue->names.items[i], name))
            return true;
    return false;
}

bool cluster_has_worker(const Member *member, const char *worker)
{
    const char *name = member->script.worker;
    size_t n = name ? strlen(name) : 0;
    if (!n || !worker || strncmp(worker, name, n) != 0)
        return false;
    if (!worker[n])
        return true;
    return worker[n] == '-' && worker[n + 1] && worker[n + 1 + strspn(worker + n + 1, "0123456789")] == 0;
}

size_t cluster_jobs(const Cluster *cluster, JobState state)
{
    size_t count = 0;
    for (size_t i = 0; i < cluster->count; i++)
        count += cluster->members[i].job->state == state;
    return count;
}

int64_t cluster_wanted(const Cluster *cluster)
{
    int64_t wanted = 0;
    for (size_t i = 0; i < cluster->count; i++)
        if (cluster->members[i].job != cluster->scheduler && cluster->members[i].job->state != JOB_LEAVING)
            wanted += cluster->members[i].script.processes;
    return wanted;
}

/* ---------------------------------------------------------------------------------------------------------------- grouping */

static char *absolute_file(const char *file, const Job *job)
{
    if (*file == '/' || !job->directory)
        return mem_text(file);
    return mem_format("%s/%s", job->directory, strncmp(file, "./", 2) == 0 ? file + 2 : file);
}

/* "OWNER@10.0.0.5:8786": what of an address tells one scheduler from another. */
static char *id_of(const char *owner, const DaskAddress *place)
{
    return mem_format(strchr(place->host, ':') ? "%s@[%s]:%d" : "%s@%s:%d", owner, place->host, place->port);
}

/* Jobs of one process share its session; without one, what was submitted under one name from one directory. */
static char *id_without_address(const Job *job)
{
    if (job->session)
        return mem_format("%s@%s", job->owner, job->session);
    return mem_format("%s@%s:%s", job->owner, job->name ? job->name : "?", job->directory ? job->directory : "?");
}

static Cluster *cluster_of(Clusters *list, Map *by_id, char *id, const Job *job)
{
    size_t at = (size_t)map_get(by_id, id);
    if (at) {
        free(id);
        return &list->items[at - 1];
    }
    list->items = mem_grow(list->items, list->count, &list->capacity, sizeof *list->items);
    Cluster *cluster = &list->items[list->count++];
    *cluster = (Cluster){.id = id, .owner = job->owner, .first_ms = TIME_UNKNOWN, .refused_ms = TIME_UNKNOWN};
    map_put(by_id, id, (void *)list->count);
    return cluster;
}

static Script copy_script(const Script *script)
{
    Script copy = *script;
    copy.address = mem_text(script->address);
    copy.scheduler_file = mem_text(script->scheduler_file);
    copy.worker = mem_text(script->worker);
    copy.ca_file = mem_text(script->ca_file);
    copy.cert = mem_text(script->cert);
    copy.key = mem_text(script->key);
    return copy;
}

static void add_member(Cluster *cluster, const Job *job, const Script *script)
{
    cluster->members = mem_grow(cluster->members, cluster->count, &cluster->capacity, sizeof *cluster->members);
    Member *member = &cluster->members[cluster->count++];
    *member = (Member){.job = job, .script = script ? copy_script(script) : (Script){.role = ROLE_UNREAD, .processes = 1, .threads = NUMBER_UNKNOWN}};
    if (member->script.role == ROLE_SCHEDULER)
        cluster->scheduler = job;
    if (!cluster->ca_file && member->script.ca_file) {
        cluster->ca_file = member->script.ca_file;
        cluster->cert = member->script.cert;
        cluster->key = member->script.key;
    }
    if (job->submitted_ms != TIME_UNKNOWN && (cluster->first_ms == TIME_UNKNOWN || job->submitted_ms < cluster->first_ms))
        cluster->first_ms = job->submitted_ms;
}

typedef struct Making {
    const Queue *queue;
    ClusterFile read_file;
    void *user;
    Clusters *out;
    Map by_id;
    Map files; /* path -> FileSays */
} Making;

typedef struct FileSays {
    char *address, *id;
    DaskAddress place;
} FileSays;

static void free_says(void *value)
{
    FileSays *says = value;
    free(says->address);
    free(says->id);
    free(says);
}

static const FileSays *file_says(Making *making, const char *path)
{
    FileSays *says = map_get(&making->files, path);
    if (says)
        return says;
    says = mem_new(sizeof *says);
    if (!making->read_file || !making->read_file(making->user, path, &says->address, &says->id) || !dask_address_parse(says->address, &says->place)) {
        free(says->address);
        says->address = NULL;
    }
    map_put(&making->files, path, says);
    return says;
}

/* The file is gone with its scheduler; jobs that name it still belong together. */
static void add_by_file(Making *making, const Job *job, const Script *script)
{
    char *path = absolute_file(script->scheduler_file, job);
    const FileSays *says = file_says(making, path);
    char *id = says->address ? id_of(job->owner, &says->place) : mem_format("%s@%s", job->owner, path);
    Cluster *cluster = cluster_of(making->out, &making->by_id, id, job);
    if (says->address && !cluster->address) {
        cluster->address = mem_text(says->address);
        cluster->place = says->place;
        cluster->file_id = mem_text(says->id);
    }
    add_member(cluster, job, script);
    if (cluster->scheduler_file)
        free(path);
    else
        cluster->scheduler_file = path;
}

static void add_by_address(Making *making, const Job *job, const Script *script)
{
    DaskAddress place;
    if (!dask_address_parse(script->address, &place))
        return;
    Cluster *cluster = cluster_of(making->out, &making->by_id, id_of(job->owner, &place), job);
    if (!cluster->address) {
        cluster->address = strstr(script->address, "://") ? mem_text(script->address) : mem_format("tcp://%s", script->address);
        cluster->place = place;
    }
    add_member(cluster, job, script);
}

/* A runner's program is no Dask command: what tells it is the file that it writes into its directory. */
static bool add_runner(Making *making, const Job *job, const Script *script)
{
    if (job->state != JOB_RUNNING || !job->directory || (script && script->role != ROLE_OTHER))
        return false;
    Script runner = {.role = ROLE_SCHEDULER, .scheduler_file = mem_format("%s/scheduler-%s.json", job->directory, job->id), .processes = 1,
                     .threads = NUMBER_UNKNOWN};
    bool is_runner = file_says(making, runner.scheduler_file)->address != NULL;
    if (is_runner)
        add_by_file(making, job, &runner);
    free(runner.scheduler_file);
    return is_runner;
}

static void add_job(Making *making, const Job *job, const KnownJob *known)
{
    const Script *script = known && !known->refused ? &known->script : NULL;
    bool mine = strcmp(job->owner, making->queue->me) == 0;
    if (script && script->address)
        add_by_address(making, job, script);
    else if (script && script->scheduler_file)
        add_by_file(making, job, script);
    else if (script && script->role != ROLE_OTHER)
        add_member(cluster_of(making->out, &making->by_id, id_without_address(job), job), job, script);
    else if (mine && add_runner(making, job, script))
        return;
    else if (!script && cluster_is_name(making->queue, job->name))
        add_member(cluster_of(making->out, &making->by_id, id_without_address(job), job), job, NULL);
}

static int compare_members(const void *a, const void *b)
{
    const Job *one = ((const Member *)a)->job, *two = ((const Member *)b)->job;
    bool waits = one->state <= JOB_HELD, waits_two = two->state <= JOB_HELD;
    if (waits != waits_two)
        return waits ? 1 : -1;
    if (one->submitted_ms != two->submitted_ms)
        return one->submitted_ms < two->submitted_ms ? -1 : 1;
    size_t n = strlen(one->id), m = strlen(two->id);
    return n != m ? (n < m ? -1 : 1) : strcmp(one->id, two->id);
}

/* By what most of its workers are called; the default name of a class says nothing, and all that have it would have one name. */
static char *name_of(const Cluster *cluster, const Queue *queue)
{
    char *name = NULL;
    for (size_t i = 0; i < cluster->count && !name; i++)
        if (cluster->members[i].script.worker && *cluster->members[i].script.worker)
            name = script_cluster(cluster->members[i].script.worker);
    if (name && strcmp(name, queue->type->cluster) != 0 && strcmp(name, "htcondor") != 0)
        return name;
    free(name);
    if (cluster->address)
        return mem_format("%s@%s:%d", queue->type->cluster, cluster->place.host, cluster->place.port);
    if (cluster->scheduler)
        return mem_format("%s-%s", cluster->scheduler->name ? cluster->scheduler->name : "job", cluster->scheduler->id);
    return mem_format("%s-%s", cluster->members[0].job->name ? cluster->members[0].job->name : "dask-worker", cluster->members[0].job->id);
}

/* Pending jobs of a queue that shows no scripts: they belong to the one cluster of their session, or stay by themselves. */
static void finish(Cluster *cluster, const Queue *queue, Known *known)
{
    qsort(cluster->members, cluster->count, sizeof *cluster->members, compare_members);
    cluster->name = name_of(cluster, queue);
    cluster->mine = strcmp(cluster->owner, queue->me) == 0;
    KnownCluster *before = map_get(&known->clusters, cluster->id);
    bool same = false;
    for (size_t i = 0; before && i < cluster->count && !same; i++)
        same = list_has(&before->jobs, cluster->members[i].job->key);
    if (!same)
        return;
    cluster->uid = mem_text(before->uid);
    cluster->scheduler_id = mem_text(before->scheduler_id);
    cluster->refused_ms = before->refused_ms;
    if (before->first_ms != TIME_UNKNOWN && (cluster->first_ms == TIME_UNKNOWN || before->first_ms < cluster->first_ms))
        cluster->first_ms = before->first_ms;
}

void clusters_make(const JobList *jobs, const Queue *queue, Known *known, ClusterFile read_file, void *user, Clusters *out)
{
    Making making = {.queue = queue, .read_file = read_file, .user = user, .out = out};
    *out = (Clusters){0};
    map_init(&making.by_id);
    map_init(&making.files);
    for (size_t i = 0; i < jobs->count; i++) {
        const Job *job = &jobs->items[i];
        if (!job->owner || (queue->owner && strcmp(job->owner, queue->owner) != 0))
            continue;
        add_job(&making, job, known_job(known, job->key));
    }
    for (size_t i = 0; i < out->count; i++)
        finish(&out->items[i], queue, known);
    map_done(&making.by_id, NULL);
    map_done(&making.files, free_says);
}

void clusters_done(Clusters *clusters)
{
    for (size_t i = 0; i < clusters->count; i++) {
        Cluster *cluster = &clusters->items[i];
        char *texts[] = {cluster->id, cluster->name, cluster->uid, cluster->address, cluster->scheduler_file, cluster->file_id, cluster->scheduler_id};
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            free(texts[k]);
        for (size_t k = 0; k < cluster->count; k++)
            script_done(&cluster->members[k].script);
        free(cluster->members);
    }
    free(clusters->items);
    *clusters = (Clusters){0};
}

Cluster *clusters_find(const Clusters *clusters, const char *id)
{
    for (size_t i = 0; i < clusters->count; i++)
        if (strcmp(clusters->items[i].id, id) == 0)
            return &clusters->items[i];
    return NULL;
}

/* ----------------------------------------------------------------------------------------------------------------- learning */

static char *hashed_uid(const Cluster *cluster)
{
    char *all = mem_format("%s %s %lld", cluster->owner, cluster->address ? cluster->address : cluster->id, (long long)cluster->first_ms);
    char *uid = mem_format("%016llx", (unsigned long long)hash_text(all));
    free(all);
    return uid;
}

static bool same_keys(const Cluster *cluster, const List *jobs)
{
    bool same = jobs->count == cluster->count;
    for (size_t i = 0; i < cluster->count && same; i++)
        same = list_has(jobs, cluster->members[i].job->key);
    return same;
}

static void remember_jobs(const Cluster *cluster, KnownCluster *known)
{
    list_done(&known->jobs);
    for (size_t i = 0; i < cluster->count; i++)
        list_add(&known->jobs, cluster->members[i].job->key);
}

static void set_text(char **to, const char *text)
{
    if (*to != text) {
        free(*to);
        *to = mem_text(text);
    }
}

static void learn_answer(Cluster *cluster, const ProbeFacts *facts, int64_t now_ms)
{
    bool answered = facts && facts->result == PROBE_ANSWERED && facts->id;
    if (answered)
        set_text(&cluster->scheduler_id, facts->id);
    if (facts && facts->result == PROBE_REFUSED && cluster->refused_ms == TIME_UNKNOWN)
        cluster->refused_ms = now_ms;
    else if (facts && facts->result != PROBE_REFUSED && facts->result != PROBE_NOTHING)
        cluster->refused_ms = TIME_UNKNOWN; /* in a row */
    if (!cluster->uid)
        cluster->uid = answered ? mem_text(facts->id) : hashed_uid(cluster);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

void cluster_learn(Cluster *cluster, const ProbeFacts *facts, Known *known, int64_t now_ms)
{
    bool answered = facts && facts->result == PROBE_ANSWERED && facts->id;
    if (answered && cluster->scheduler_id && strcmp(cluster->scheduler_id, facts->id) != 0) {
        set_text(&cluster->uid, NULL); /* another scheduler has the address, and the workers: another cluster */
        cluster->refused_ms = TIME_UNKNOWN;
    }
    learn_answer(cluster, facts, now_ms);
    known_lock(known);
    KnownCluster *kept = known_cluster(known, cluster->id);
    bool same = same_text(kept->uid, cluster->uid) && same_text(kept->scheduler_id, cluster->scheduler_id) && kept->refused_ms == cluster->refused_ms &&
                kept->first_ms == cluster->first_ms && same_keys(cluster, &kept->jobs);
    if (!same) {
        set_text(&kept->uid, cluster->uid);
        set_text(&kept->scheduler_id, cluster->scheduler_id);
        kept->refused_ms = cluster->refused_ms;
        kept->first_ms = cluster->first_ms;
        remember_jobs(cluster, kept);
        known->changed = true;
    }
    known_unlock(known);
}

/* ----------------------------------------------------------------------------------------------------------------------- row */

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
    const Job *last = NULL;
    for (size_t i = 0; i < cluster->count; i++) {
        const Job *job = cluster->members[i].job;
        if (job->state <= JOB_HELD || job->ends_ms == TIME_UNKNOWN)
            return; /* nobody knows when it will have ended */
        if (!last || job->ends_ms > last->ends_ms)
            last = job;
    }
    if (!last)
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
    const char *silent = fields->gone ? "its scheduler is gone: more workers would find nobody" : "its scheduler does not answer: its workers cannot be told to leave in order";
    const char *no_way = fields->gone ? "its scheduler is gone" : cluster->address ? "its scheduler does not answer" : "its scheduler's address is not known: its job script is not told";
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
    fields->workers_wanted = cluster_wanted(cluster);
    fields->resources = (int64_t)cluster->count;
    if (!cluster->address)
        fields->status_why = "its scheduler's address is not known";
    if (fields->created_ms == TIME_UNKNOWN)
        fields->created_ms = cluster->first_ms;
    fill_gone(cluster, queue, facts, is_here, now_ms, room, fields);
    fill_sizes(cluster, fields);
    fill_end(cluster, room, fields);
    say_jobs(cluster, fields, room);
    say_what_can(cluster, queue, facts, fields);
}
