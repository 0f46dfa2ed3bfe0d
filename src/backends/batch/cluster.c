#include "backends/batch/cluster.h"

#include "base/mem.h"
#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

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

static Script copy_script(const Script *script, const Job *job)
{
    Script copy = *script;
    copy.address = mem_text(script->address);
    copy.scheduler_file = mem_text(script->scheduler_file);
    copy.worker = script->worker ? script_expand(script->worker, job->id, job->element) : NULL;
    copy.ca_file = mem_text(script->ca_file);
    copy.cert = mem_text(script->cert);
    copy.key = mem_text(script->key);
    return copy;
}

static void add_member(Cluster *cluster, const Job *job, const Script *script)
{
    cluster->members = mem_grow(cluster->members, cluster->count, &cluster->capacity, sizeof *cluster->members);
    Member *member = &cluster->members[cluster->count++];
    *member = (Member){.job = job, .script = script ? copy_script(script, job) : (Script){.role = ROLE_UNREAD, .processes = 1, .threads = NUMBER_UNKNOWN}};
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
    const Map *files; /* path -> ClusterFile */
    Clusters *out;
    Map by_id;
} Making;

static const ClusterFile *file_says(const Making *making, const char *path)
{
    static const ClusterFile nothing;
    const ClusterFile *says = making->files ? map_get(making->files, path) : NULL;
    return says ? says : &nothing;
}

/* The file is gone with its scheduler; jobs that name it still belong together. */
static void add_by_file(Making *making, const Job *job, const Script *script)
{
    char *path = absolute_file(script->scheduler_file, job);
    const ClusterFile *says = file_says(making, path);
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
static char *runner_file(const Queue *queue, const Job *job, const Script *script)
{
    bool may_be = job->state == JOB_RUNNING && job->directory && strcmp(job->owner, queue->me) == 0 && (!script || script->role == ROLE_OTHER);
    return may_be ? mem_format("%s/scheduler-%s.json", job->directory, job->id) : NULL;
}

static bool add_runner(Making *making, const Job *job, const Script *script)
{
    Script runner = {.role = ROLE_SCHEDULER, .scheduler_file = runner_file(making->queue, job, script), .processes = 1, .threads = NUMBER_UNKNOWN};
    bool is_runner = runner.scheduler_file && file_says(making, runner.scheduler_file)->address;
    if (is_runner)
        add_by_file(making, job, &runner);
    free(runner.scheduler_file);
    return is_runner;
}

static const Script *script_of(const KnownJob *known)
{
    return known && !known->refused ? &known->script : NULL;
}

static void add_job(Making *making, const Job *job, const KnownJob *known)
{
    const Script *script = script_of(known);
    if (script && script->address)
        add_by_address(making, job, script);
    else if (script && script->scheduler_file)
        add_by_file(making, job, script);
    else if (script && script->role != ROLE_OTHER)
        add_member(cluster_of(making->out, &making->by_id, id_without_address(job), job), job, script);
    else if (add_runner(making, job, script))
        return;
    else if (known && !script && cluster_is_name(making->queue, job->name))
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

/* By what its workers are called; the default name of a class says nothing, and all that have it would have one name. */
static char *name_of(const Cluster *cluster, const Queue *queue)
{
    char *name = NULL;
    for (size_t i = 0; i < cluster->count && !name; i++)
        if (cluster->members[i].script.worker && *cluster->members[i].script.worker)
            name = script_cluster(cluster->members[i].script.worker);
    if (name && strcmp(name, queue->type->cluster) != 0 && strcmp(name, "htcondor") != 0)
        return name;
    free(name);
    if (cluster->scheduler)
        return mem_format("%s-%s", cluster->scheduler->name ? cluster->scheduler->name : "job", cluster->scheduler->id);
    if (cluster->address)
        return mem_format("%s@%s:%d", queue->type->cluster, cluster->place.host, cluster->place.port);
    return mem_format("%s-%s", cluster->members[0].job->name ? cluster->members[0].job->name : "dask-worker", cluster->members[0].job->id);
}

/* "OWNER ID SUBMITTED" but for when: a requeued job is submitted anew, and goes on belonging to its cluster. */
static bool has_job(const List *keys, const char *key)
{
    size_t n = (size_t)(strrchr(key, ' ') - key) + 1;
    for (size_t i = 0; i < keys->count; i++)
        if (strncmp(keys->items[i], key, n) == 0)
            return true;
    return false;
}

static void finish(Cluster *cluster, const Queue *queue, Known *known)
{
    qsort(cluster->members, cluster->count, sizeof *cluster->members, compare_members);
    cluster->name = name_of(cluster, queue);
    cluster->mine = strcmp(cluster->owner, queue->me) == 0;
    KnownCluster *before = map_get(&known->clusters, cluster->id);
    bool same = false;
    for (size_t i = 0; before && i < cluster->count && !same; i++)
        same = has_job(&before->jobs, cluster->members[i].job->key);
    if (!same)
        return;
    cluster->uid = mem_text(before->uid);
    cluster->scheduler_id = mem_text(before->scheduler_id);
    cluster->refused_ms = before->refused_ms;
    if (before->first_ms != TIME_UNKNOWN && (cluster->first_ms == TIME_UNKNOWN || before->first_ms < cluster->first_ms))
        cluster->first_ms = before->first_ms;
}

static bool is_wanted(const Queue *queue, const Job *job)
{
    return job->owner && (!queue->owner || strcmp(job->owner, queue->owner) == 0);
}

void clusters_files(const JobList *jobs, const Queue *queue, Known *known, List *paths)
{
    for (size_t i = 0; i < jobs->count; i++) {
        const Job *job = &jobs->items[i];
        if (!is_wanted(queue, job))
            continue;
        const Script *script = script_of(known_job(known, job));
        bool named = script && !script->address && script->scheduler_file;
        char *path = named ? absolute_file(script->scheduler_file, job) : runner_file(queue, job, script);
        if (path)
            list_take(paths, path);
    }
}

void cluster_file_put(Map *files, const char *path, const char *bytes, size_t n)
{
    cJSON *json = json_parse(bytes, n, path, NULL);
    const char *address = json_text(json, "address");
    DaskAddress place;
    if (address && !map_has(files, path) && dask_address_parse(address, &place)) {
        ClusterFile *file = mem_new(sizeof *file);
        *file = (ClusterFile){mem_text(address), mem_text(json_text(json, "id")), place};
        map_put(files, path, file);
    }
    cJSON_Delete(json);
}

static void free_file(void *value)
{
    ClusterFile *file = value;
    free(file->address);
    free(file->id);
    free(file);
}

void cluster_files_done(Map *files)
{
    map_done(files, free_file);
}

void clusters_make(const JobList *jobs, const Queue *queue, Known *known, const Map *files, Clusters *out)
{
    Making making = {.queue = queue, .files = files, .out = out};
    *out = (Clusters){0};
    map_init(&making.by_id);
    for (size_t i = 0; i < jobs->count; i++)
        if (is_wanted(queue, &jobs->items[i]))
            add_job(&making, &jobs->items[i], known_job(known, &jobs->items[i]));
    for (size_t i = 0; i < out->count; i++)
        finish(&out->items[i], queue, known);
    map_done(&making.by_id, NULL);
}

void clusters_done(Clusters *clusters)
{
    for (size_t i = 0; i < clusters->count; i++) {
        Cluster *cluster = &clusters->items[i];
        char *texts[] = {cluster->id, cluster->name, cluster->uid, cluster->address, cluster->scheduler_file, cluster->file_id, cluster->scheduler_id, cluster->unasked};
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
