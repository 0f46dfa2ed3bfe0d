#include "backends/batch/known.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_BYTES = 64 << 20, MOST_JOBS = 200000, OTHERS_A_LINE = 1000, LOCK_MS = 200 };
#define FORGET_MS (7 * 24 * 3600 * 1000ll)
#define TOUCH_MS (3600 * 1000ll) /* a stamp of use is not worth a write more often */

static void free_job(void *value)
{
    script_done(&((KnownJob *)value)->script);
    free(value);
}

static void free_cluster(void *value)
{
    KnownCluster *cluster = value;
    free(cluster->uid);
    free(cluster->scheduler_id);
    list_done(&cluster->jobs);
    free(cluster);
}

static void touch(Known *known, int64_t *used_ms)
{
    int64_t now = clock_wall_ms();
    if (*used_ms == TIME_UNKNOWN || now - *used_ms > TOUCH_MS || *used_ms > now) {
        known->changed = true;
        *used_ms = now;
    }
}

KnownJob *known_job(Known *known, const Job *which)
{
    if (which->script_key == known->last_key)
        return known->last;
    KnownJob *job = map_get(&known->jobs, which->script_key);
    known->last_key = job ? which->script_key : NULL;
    known->last = job;
    if (!job && which->script_key != which->key)
        job = map_get(&known->jobs, which->key);
    if (job)
        touch(known, &job->used_ms);
    return job;
}

static KnownJob *make_job(Known *known, const char *key)
{
    KnownJob *job = map_get(&known->jobs, key);
    if (job) {
        script_done(&job->script);
        return job;
    }
    job = mem_new(sizeof *job);
    job->used_ms = TIME_UNKNOWN;
    map_put(&known->jobs, key, job);
    return job;
}

KnownJob *known_put_job(Known *known, const char *key, Script *script, bool refused, int64_t again_ms)
{
    KnownJob *job = make_job(known, key);
    known->last_key = NULL;
    job->script = *script;
    job->refused = refused;
    job->again_ms = again_ms;
    *script = (Script){0};
    touch(known, &job->used_ms);
    known->changed = true;
    return job;
}

static KnownCluster *make_cluster(Known *known, const char *id)
{
    KnownCluster *cluster = map_get(&known->clusters, id);
    if (!cluster) {
        cluster = mem_new(sizeof *cluster);
        cluster->first_ms = cluster->refused_ms = cluster->used_ms = TIME_UNKNOWN;
        map_put(&known->clusters, id, cluster);
    }
    return cluster;
}

KnownCluster *known_cluster(Known *known, const char *id)
{
    KnownCluster *cluster = make_cluster(known, id);
    touch(known, &cluster->used_ms);
    return cluster;
}

/* --------------------------------------------------------------------------------------------------------------- reading */

static int64_t stamp_of(const cJSON *line, const char *key)
{
    int64_t ms = json_integer(line, key);
    return ms == NUMBER_UNKNOWN ? TIME_UNKNOWN : ms;
}

static bool is_new(const Known *known, const char *key)
{
    const KnownJob *job = map_get(&known->jobs, key);
    return job ? job->again_ms != INT64_MAX : known->jobs.used < MOST_JOBS;
}

static void read_job(Known *known, const cJSON *line, const char *key, int64_t used)
{
    if (!is_new(known, key))
        return; /* what is known here was read from the job itself */
    KnownJob *job = make_job(known, key);
    int64_t role = json_integer(line, "role"), processes = json_integer(line, "processes");
    job->script = (Script){
        .role = role == ROLE_WORKER || role == ROLE_SCHEDULER ? (JobRole)role : ROLE_OTHER,
        .address = mem_text(json_text(line, "address")), .scheduler_file = mem_text(json_text(line, "file")),
        .worker = mem_text(json_text(line, "worker")), .processes = processes > 0 && processes < 100000 ? processes : 1,
        .threads = json_integer(line, "threads"), .ca_file = mem_text(json_text(line, "ca")), .cert = mem_text(json_text(line, "cert")),
        .key = mem_text(json_text(line, "key_file")),
    };
    job->refused = json_truth(line, "refused") == 1;
    job->again_ms = INT64_MAX;
    job->used_ms = used;
}

/* Another dasktop may have given it its uid, and may have heard the first refusal: the earlier one is the first. */
static void read_cluster(Known *known, const cJSON *line, const char *id, int64_t used)
{
    KnownCluster *cluster = make_cluster(known, id);
    int64_t refused = stamp_of(line, "refused"), first = stamp_of(line, "first");
    if (!cluster->uid)
        cluster->uid = mem_text(json_text(line, "uid"));
    if (!cluster->scheduler_id)
        cluster->scheduler_id = mem_text(json_text(line, "scheduler"));
    if (cluster->used_ms == TIME_UNKNOWN)
        cluster->refused_ms = refused;
    if (first != TIME_UNKNOWN && (cluster->first_ms == TIME_UNKNOWN || first < cluster->first_ms))
        cluster->first_ms = first;
    const cJSON *one;
    cJSON_ArrayForEach(one, json_member(line, "jobs"))
    {
        if (cJSON_IsString(one) && !list_has(&cluster->jobs, one->valuestring))
            list_add(&cluster->jobs, one->valuestring);
    }
    if (cluster->used_ms == TIME_UNKNOWN || used > cluster->used_ms)
        cluster->used_ms = used;
}

/* What is no Dask at all is most of a queue: many to a line. */
static void read_others(Known *known, const cJSON *line, int64_t used)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, json_member(line, "others"))
    {
        if (!cJSON_IsString(one) || !is_new(known, one->valuestring))
            continue;
        KnownJob *job = make_job(known, one->valuestring);
        job->script = (Script){.role = ROLE_OTHER, .processes = 1, .threads = NUMBER_UNKNOWN};
        job->refused = false;
        job->again_ms = INT64_MAX;
        job->used_ms = used;
    }
}

static void read_line(Known *known, const char *bytes, size_t n)
{
    cJSON *line = json_parse(bytes, n, NULL, NULL);
    const char *job = json_text(line, "job"), *cluster = json_text(line, "cluster");
    int64_t used = stamp_of(line, "used"), now = clock_wall_ms();
    bool fresh = used != TIME_UNKNOWN && used > now - FORGET_MS && used <= now + 60000;
    if (fresh && job && strlen(job) < TEXT_NAME_MAX)
        read_job(known, line, job, used);
    else if (fresh && cluster && strlen(cluster) < TEXT_NAME_MAX)
        read_cluster(known, line, cluster, used);
    else if (fresh)
        read_others(known, line, used);
    cJSON_Delete(line);
}

static void read_all(Known *known)
{
    Buffer bytes;
    buffer_init(&bytes, MOST_BYTES);
    if (known->path && file_read_at(AT_FDCWD, known->path, &bytes))
        for (const char *at = bytes.bytes, *end = at + bytes.length; at < end;) {
            const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
            read_line(known, at, (size_t)(stop - at));
            at = stop + 1;
        }
    buffer_done(&bytes);
}

void known_open(Known *known, const char *key, const char *instance)
{
    *known = (Known){0};
    char *state = file_state_home(), *directory = state ? file_join(state, "batch") : NULL;
    pthread_mutex_init(&known->lock, NULL);
    map_init(&known->jobs);
    map_init(&known->clusters);
    if (directory && file_make_directory(directory, NULL))
        known->path = mem_format("%s/%s%s%s.jsonl", directory, key, instance ? "-" : "", instance ? instance : "");
    free(directory);
    free(state);
    pthread_mutex_lock(&known->lock);
}

void known_load(Known *known)
{
    read_all(known);
    pthread_mutex_unlock(&known->lock);
}

void known_done(Known *known)
{
    map_done(&known->jobs, free_job);
    map_done(&known->clusters, free_cluster);
    free(known->path);
    pthread_mutex_destroy(&known->lock);
}

void known_lock(Known *known)
{
    pthread_mutex_lock(&known->lock);
    known->last_key = NULL; /* keys are of lists that may be gone by now */
}

void known_unlock(Known *known)
{
    pthread_mutex_unlock(&known->lock);
}

/* --------------------------------------------------------------------------------------------------------------- writing */

static void put_text(JsonWriter *json, const char *key, const char *text)
{
    if (text)
        json_put_text(json, key, text);
}

static void write_job(Buffer *out, const char *key, const KnownJob *job)
{
    JsonWriter json;
    json_begin(&json, out);
    json_object(&json, NULL);
    json_put_text(&json, "job", key);
    json_put_integer(&json, "used", job->used_ms);
    json_put_integer(&json, "role", job->script.role);
    put_text(&json, "address", job->script.address);
    put_text(&json, "file", job->script.scheduler_file);
    put_text(&json, "worker", job->script.worker);
    json_put_integer(&json, "processes", job->script.processes);
    json_put_integer(&json, "threads", job->script.threads);
    put_text(&json, "ca", job->script.ca_file);
    put_text(&json, "cert", job->script.cert);
    put_text(&json, "key_file", job->script.key);
    if (job->refused)
        json_put_truth(&json, "refused", 1);
    json_close(&json, '}');
    buffer_char(out, '\n');
}

static void write_cluster(Buffer *out, const char *id, const KnownCluster *cluster)
{
    JsonWriter json;
    json_begin(&json, out);
    json_object(&json, NULL);
    json_put_text(&json, "cluster", id);
    json_put_integer(&json, "used", cluster->used_ms);
    put_text(&json, "uid", cluster->uid);
    put_text(&json, "scheduler", cluster->scheduler_id);
    json_put_integer(&json, "first", cluster->first_ms == TIME_UNKNOWN ? NUMBER_UNKNOWN : cluster->first_ms);
    json_put_integer(&json, "refused", cluster->refused_ms == TIME_UNKNOWN ? NUMBER_UNKNOWN : cluster->refused_ms);
    json_array(&json, "jobs");
    for (size_t i = 0; i < cluster->jobs.count; i++)
        json_put_text(&json, NULL, cluster->jobs.items[i]);
    json_close(&json, ']');
    json_close(&json, '}');
    buffer_char(out, '\n');
}

static bool is_other(const KnownJob *job)
{
    return job->script.role == ROLE_OTHER && !job->refused;
}

static bool is_kept(const KnownJob *job, int64_t old)
{
    return job->used_ms > old && job->again_ms == INT64_MAX;
}

/* In lines of some thousand; their stamp is the oldest of them, so that none is kept too long. */
static void write_others(Buffer *out, const Known *known, int64_t old)
{
    const MapEntry *entry;
    JsonWriter json;
    size_t count = 0;
    int64_t used = INT64_MAX;
    for (size_t i = 0; (entry = map_next(&known->jobs, &i));) {
        const KnownJob *job = entry->value;
        if (!is_other(job) || !is_kept(job, old))
            continue;
        if (count == 0) {
            json_begin(&json, out);
            json_object(&json, NULL);
            json_array(&json, "others");
        }
        json_put_text(&json, NULL, entry->key);
        used = job->used_ms < used ? job->used_ms : used;
        if (++count < OTHERS_A_LINE)
            continue;
        json_close(&json, ']');
        json_put_integer(&json, "used", used);
        json_close(&json, '}');
        buffer_char(out, '\n');
        count = 0;
        used = INT64_MAX;
    }
    if (count) {
        json_close(&json, ']');
        json_put_integer(&json, "used", used);
        json_close(&json, '}');
        buffer_char(out, '\n');
    }
}

void known_save(Known *known)
{
    Buffer bytes;
    const MapEntry *entry;
    int64_t old = clock_wall_ms() - FORGET_MS;
    known_lock(known);
    bool wanted = known->changed && known->path;
    known_unlock(known);
    if (!wanted)
        return;
    char *lock_path = mem_format("%s.lock", known->path);
    int lock = file_lock(lock_path, clock_mono_ms() + LOCK_MS, NULL);
    free(lock_path);
    if (lock < 0)
        return; /* the next look tries again */
    buffer_init(&bytes, MOST_BYTES);
    known_lock(known);
    read_all(known);
    for (size_t i = 0; (entry = map_next(&known->jobs, &i));)
        if (is_kept(entry->value, old) && !is_other(entry->value))
            write_job(&bytes, entry->key, entry->value);
    for (size_t i = 0; (entry = map_next(&known->clusters, &i));)
        if (((KnownCluster *)entry->value)->used_ms > old)
            write_cluster(&bytes, entry->key, entry->value);
    write_others(&bytes, known, old);
    known->changed = false;
    known_unlock(known);
    file_replace(known->path, bytes.bytes, bytes.length, NULL);
    buffer_done(&bytes);
    close(lock);
}
