/* A backend that finds what the test says, and clusters that can be planned, changed, read and connected to. */
#ifndef DASKTOP_TESTS_UI_FAKE_H
#define DASKTOP_TESTS_UI_FAKE_H

#include "base/mem.h"
#include "core/engine.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FAKE_MAX = 200, FAKE_APPLIED = 65536 };

typedef struct FakeCluster {
    char name[64], uid[32], owner[16];
    bool there, busy;
    int mine;
    int64_t clients, stored, workers, idle_s;
} FakeCluster;

static struct {
    pthread_mutex_t lock;
    FakeCluster clusters[FAKE_MAX];
    int count;
    atomic_int applied, planned, plan_ms;
    char last_applied[64];
    char (*applied_uids)[32]; /* FAKE_APPLIED of them, where a test wants to know all */
    atomic_int failing;       /* of the next discoveries, in per cent */
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

static FakeCluster *fake_add(const char *name, const char *uid)
{
    pthread_mutex_lock(&fake.lock);
    FakeCluster *cluster = &fake.clusters[fake.count++];
    *cluster = (FakeCluster){.there = true, .mine = 1, .workers = 2, .idle_s = 7200};
    snprintf(cluster->name, sizeof cluster->name, "%s", name);
    snprintf(cluster->uid, sizeof cluster->uid, "%s", uid ? uid : "");
    snprintf(cluster->owner, sizeof cluster->owner, "ada");
    pthread_mutex_unlock(&fake.lock);
    return cluster;
}

static Record *fake_record(const FakeCluster *cluster, const char *backend)
{
    RecordFields fields;
    int64_t now = clock_wall_ms();
    record_fields_init(&fields);
    fields.id = fields.name = cluster->name;
    fields.uid = *cluster->uid ? cluster->uid : NULL;
    fields.owner = cluster->owner;
    fields.mine = cluster->mine;
    fields.status = STATUS_RUNNING;
    fields.workers_ready = fields.workers_wanted = fields.resources = cluster->workers;
    fields.clients = cluster->clients;
    fields.tasks.processing = cluster->busy ? 3 : 0;
    fields.tasks.waiting = fields.tasks.queued = fields.tasks.unrunnable = fields.tasks.erred = 0;
    fields.tasks.stored = cluster->stored;
    fields.busy = cluster->busy;
    fields.created_ms = now - 86400000;
    if (!cluster->busy)
        fields.last_active_ms = now - cluster->idle_s * 1000;
    fields.can = 0x3f;
    return record_new(&fields, backend, NULL, now, now, NULL);
}

static bool fake_open(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
    extern const BackendType fake_type;
    (void)context;
    (void)error;
    Backend *backend = mem_new(sizeof *backend);
    *backend = (Backend){.type = &fake_type, .config = config};
    opened_add(opened, backend);
    return true;
}

static void fake_close(Backend *backend)
{
    free(backend);
}

static bool fake_discover(Backend *backend, Context *context, Sink *sink, Error *error)
{
    (void)backend;
    (void)context;
    static atomic_uint asked;
    unsigned now = atomic_fetch_add(&asked, 1);
    bool failing = (int)(now * 37 % 100) < atomic_load(&fake.failing);
    pthread_mutex_lock(&fake.lock);
    for (int i = 0; i < (failing ? fake.count / 2 : fake.count); i++) {
        Record *record = fake.clusters[i].there ? fake_record(&fake.clusters[i], "fake") : NULL;
        if (record) {
            RecordFields fields = record->is;
            fields.id = fake.clusters[i].name;
            sink_put(sink, &fields, clock_wall_ms());
            record_drop(record);
        }
    }
    pthread_mutex_unlock(&fake.lock);
    if (failing)
        return error_set(error, now % 2 ? ERROR_PARTIAL : ERROR_UNREACHABLE, "fake", NULL, "the line is bad");
    return true;
}

static bool fake_plan(Handle *handle, Context *context, const Change *change, Plan **plan, Error *error)
{
    (void)context;
    (void)error;
    usleep((useconds_t)atomic_load(&fake.plan_ms) * 1000);
    *plan = plan_new(change->kind, handle->record);
    plan_call(plan_step(*plan, STEP_ENDS, "scheduler", handle->record->is.name, "pid 4242"), "SIGTERM to 4242");
    atomic_fetch_add(&fake.planned, 1);
    return true;
}

static bool fake_apply(Handle *handle, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    (void)context;
    (void)plan;
    (void)progress;
    (void)outcome;
    (void)error;
    pthread_mutex_lock(&fake.lock);
    if (fake.applied_uids)
        snprintf(fake.applied_uids[atomic_load(&fake.applied) % FAKE_APPLIED], 32, "%s", handle->record->is.uid ? handle->record->is.uid : "");
    snprintf(fake.last_applied, sizeof fake.last_applied, "%s", handle->record->is.uid ? handle->record->is.uid : "");
    for (int i = 0; i < fake.count; i++)
        if (handle->record->is.uid && strcmp(fake.clusters[i].uid, handle->record->is.uid) == 0)
            fake.clusters[i].there = false;
    atomic_fetch_add(&fake.applied, 1);
    pthread_mutex_unlock(&fake.lock);
    return true;
}

static bool fake_show(Handle *handle, Context *context, Description *out, Error *error)
{
    (void)context;
    (void)error;
    out->record = record_keep(handle->record);
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "worker-%d", i);
        DescribedWorker *worker = description_worker(out, name, "tcp://127.0.0.1:4000");
        worker->cpu = 40;
        worker->threads = 1;
        worker->memory = 1 << 28;
        worker->memory_limit = 1 << 30;
    }
    description_found(out, "a scheduler and three workers");
    return true;
}

static bool fake_logs(Handle *handle, Context *context, const LogRequest *request, const LogSink *sink, Error *error)
{
    (void)handle;
    (void)request;
    for (int i = 0; i < 300; i++) {
        char line[64];
        int n = snprintf(line, sizeof line, i % 100 == 50 ? "needle %d" : "line %d", i);
        sink->line(sink->user, i % 2 ? "worker-0" : "scheduler", 1700000000000 + i, "INFO", line, (size_t)n);
    }
    sink->caught_up(sink->user);
    while (context_check(context, "logs", error)) {
        struct pollfd fd = {.fd = context_fd(context), .events = POLLIN};
        poll(&fd, 1, 1000);
    }
    return false;
}

static void fake_handle_close(Handle *handle)
{
    handle_done(handle);
    free(handle);
}

static const HandleType fake_handle = {.show = fake_show, .plan = fake_plan, .apply = fake_apply, .logs = fake_logs,
                                       .close = fake_handle_close};

static bool fake_reconstruct(Backend *backend, Context *context, const Record *record, Handle **handle, Error *error)
{
    (void)context;
    (void)error;
    *handle = mem_new(sizeof **handle);
    handle_init(*handle, &fake_handle, backend, record);
    return true;
}

const BackendType fake_type = {
    .name = "fake", .summary = "finds what the test says", .signs_in = "nowhere", .rank = 70, .automatic = true, .can = 0x3f,
    .refresh_ms = 100, .open = fake_open, .close = fake_close, .discover = fake_discover, .reconstruct = fake_reconstruct,
};
static const BackendType *const fake_types[] = {&fake_type, NULL};

static Engine *fake_engine(bool read_only)
{
    static const char *const environment[] = {"HOME=/nonexistent", "DASK_ROOT_CONFIG=/nonexistent", NULL};
    ConfigSources sources = {.read_only = read_only, .environment = environment, .root = "/nonexistent"};
    return engine_new(config_load(&sources, fake_types), fake_types);
}

#endif
