#include "core/engine.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/discovery.h"
#include "core/jobs.h"
#include "core/thread.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { REOPEN_MS = 2000 };

/* A backend of the config on its way to its instances: a thread that lives as long as `open` takes. */
struct Opened {
    Engine *engine;
    const BackendConfig *config;
    const char *only_instance;
    Part *part;       /* its row while no instance has taken it; NULL where several may come */
    size_t instances; /* told so far; guarded by the engine's lock, as `part` and `told` are */
    bool told;        /* `open` has told what was there, and stays for what comes */
    pthread_t thread;
    bool started;
    atomic_bool ended;
    int64_t slow_at_ms; /* INT64_MAX once it has ended or failed; guarded by the engine's lock */
    bool again;         /* it failed, and is to be tried now; guarded by the engine's lock */
};

struct Engine {
    Config *config;
    const BackendType *const *types;
    Store *store;
    Keep *keep;
    Journal *journal;
    Operations *operations;
    Jobs *jobs;
    char *state_directory, *only_instance;
    EngineMode mode;
    Cancel cancel;
    pthread_mutex_t lock; /* guards all below; taken before a discovery's or a part's */
    pthread_cond_t changed;
    Opened **opened;
    size_t opened_count, opened_capacity;
    Discovery **discoveries;
    size_t discovery_count, discovery_capacity;
    pthread_t watchman;   /* says which backends are slow, where it is live */
    bool has_watchman, stopping;
};

static void on_change(void *user)
{
    Engine *engine = user;
    pthread_mutex_lock(&engine->lock);
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
}

/* ------------------------------------------------------------------------------------------------------------- opening */

void opened_add(Opened *opened, Backend *backend)
{
    Engine *engine = opened->engine;
    const BackendConfig *config = opened->config;
    bool wanted = !opened->only_instance || !backend->instance || strcmp(opened->only_instance, backend->instance) == 0;
    pthread_mutex_lock(&engine->lock);
    bool refused = engine->stopping || !wanted || (!config->type->many && opened->instances > 0);
    Discovery *discovery = NULL;
    if (!refused) {
        Part *part = opened->part && !config->type->many ? opened->part
                     : store_part(engine->store, config->key, backend->instance, config->type->name, backend->type->rank);
        opened->part = config->type->many ? opened->part : NULL;
        opened->instances++;
        discovery = discovery_new(backend, part, engine->mode, on_change, engine);
        engine->discoveries = mem_grow(engine->discoveries, engine->discovery_count, &engine->discovery_capacity, sizeof *engine->discoveries);
        engine->discoveries[engine->discovery_count++] = discovery;
    }
    pthread_mutex_unlock(&engine->lock);
    if (refused)
        backend->type->close(backend);
    else
        discovery_start(discovery);
}

/* With the engine's lock: "slow" must not overwrite an answer. */
static void report_opened(Opened *opened, PartState state, const Error *error)
{
    const BackendConfig *config = opened->config;
    if (!opened->part)
        opened->part = store_part(opened->engine->store, config->key, NULL, config->type->name, config->type->rank);
    PartInfo info = part_info(opened->part);
    info.state = state;
    info.error = *error;
    info.refreshing = state == PART_SLOW;
    if (state == PART_OK) {
        info.has_answered = true;
        info.answered_ms = clock_wall_ms();
    }
    part_report(opened->part, &info);
}

/* With the engine's lock: what the backend itself has to say. */
static void report_end(Opened *opened, bool right, Error *error)
{
    opened->slow_at_ms = INT64_MAX;
    if (!right && !cancel_asked(&opened->engine->cancel)) {
        if (!*error->where)
            error_at(error, opened->config->key);
        report_opened(opened, discovery_state(error), error);
    } else if (right && opened->part) {
        report_opened(opened, PART_OK, &(Error){0}); /* its own row, made when it was slow, has no more to say than its instances */
    }
    pthread_cond_broadcast(&opened->engine->changed);
}

bool opened_told(Opened *opened, const Error *none)
{
    Engine *engine = opened->engine;
    Error error = *none;
    pthread_mutex_lock(&engine->lock);
    opened->told = true;
    report_end(opened, opened->instances > 0 || opened->only_instance, &error);
    bool stays = engine->mode == ENGINE_LIVE && !engine->stopping;
    pthread_mutex_unlock(&engine->lock);
    return stays;
}

/* True where it may be otherwise later: it is neither open nor absent. */
static bool open_once(Opened *opened)
{
    Engine *engine = opened->engine;
    Error error = {0};
    Context context = context_new(&engine->cancel, -1);
    bool right = opened->config->type->open(opened->config, &context, opened, &error);
    pthread_mutex_lock(&engine->lock);
    bool none = opened->instances == 0;
    if (right && none && !opened->only_instance && !opened->told)
        right = error_set(&error, ERROR_ABSENT, opened->config->key, NULL, "there is nothing to ask");
    if (!opened->told || !right)
        report_end(opened, right, &error);
    pthread_mutex_unlock(&engine->lock);
    return !right && none && error.code != ERROR_ABSENT && error.code != ERROR_USAGE && error.code != ERROR_UNSUPPORTED;
}

/* Until it is time to try again, or somebody asks. False: the engine stops. */
static bool wait_to_open(Opened *opened, int failures)
{
    Engine *engine = opened->engine;
    int64_t ms = (int64_t)REOPEN_MS << (failures < 6 ? failures : 6), least = opened->config->refresh_ms;
    struct timespec end = thread_deadline(ms < least ? least : ms);
    int timed_out = 0;
    pthread_mutex_lock(&engine->lock);
    while (!engine->stopping && !opened->again && !timed_out)
        timed_out = pthread_cond_timedwait(&engine->changed, &engine->lock, &end);
    opened->again = false;
    bool go_on = !engine->stopping;
    pthread_mutex_unlock(&engine->lock);
    return go_on;
}

static void *open_backend(void *argument)
{
    Opened *opened = argument;
    for (int failures = 0; open_once(opened) && opened->engine->mode == ENGINE_LIVE && wait_to_open(opened, failures); failures++)
        ;
    atomic_store(&opened->ended, true);
    on_change(opened->engine);
    return NULL;
}

static void start_backend(Engine *engine, const BackendConfig *config)
{
    Opened *opened = mem_new(sizeof *opened);
    Error error = {0};
    *opened = (Opened){.engine = engine, .config = config, .only_instance = engine->only_instance, .slow_at_ms = INT64_MAX};
    if (!config->type->many || !config->enabled)
        opened->part = store_part(engine->store, config->key, NULL, config->type->name, config->type->rank);
    pthread_mutex_lock(&engine->lock);
    engine->opened = mem_grow(engine->opened, engine->opened_count, &engine->opened_capacity, sizeof *engine->opened);
    engine->opened[engine->opened_count++] = opened;
    if (config->enabled)
        opened->slow_at_ms = clock_mono_ms() + config->timeout_ms;
    pthread_mutex_unlock(&engine->lock);
    if (!config->enabled) {
        pthread_mutex_lock(&engine->lock);
        report_opened(opened, PART_OFF, &error);
        pthread_mutex_unlock(&engine->lock);
        atomic_store(&opened->ended, true);
        return;
    }
    opened->started = thread_start(&opened->thread, open_backend, opened);
    if (!opened->started) {
        error_set(&error, ERROR_INTERNAL, config->key, "raise the limit (ulimit -u)", "no thread is left for it");
        pthread_mutex_lock(&engine->lock);
        report_opened(opened, PART_FAILED, &error);
        pthread_mutex_unlock(&engine->lock);
        atomic_store(&opened->ended, true);
    }
}

/* ---------------------------------------------------------------------------------------------------- who is slow, and answers */

/* Reports what has passed its timeout; returns when the next will. The engine's lock is held. */
static int64_t report_slow(Engine *engine)
{
    int64_t now = clock_mono_ms(), next = INT64_MAX;
    for (size_t i = 0; i < engine->discovery_count; i++) {
        int64_t at = discovery_slow_at(engine->discoveries[i]);
        if (at <= now) {
            pthread_mutex_unlock(&engine->lock);
            discovery_report_slow(engine->discoveries[i]); /* tells through on_change, which takes the lock */
            pthread_mutex_lock(&engine->lock);
        } else if (at < next) {
            next = at;
        }
    }
    for (size_t i = 0; i < engine->opened_count; i++) {
        Opened *opened = engine->opened[i];
        if (opened->slow_at_ms <= now) {
            Error error;
            opened->slow_at_ms = INT64_MAX;
            if (opened->instances == 0) { /* also where several may come: nobody may take it for answered */
                error_set(&error, ERROR_TIMEOUT, opened->config->key, NULL, "no answer within its timeout; still waiting");
                report_opened(opened, PART_SLOW, &error);
            }
            pthread_cond_broadcast(&engine->changed);
        } else if (opened->slow_at_ms < next) {
            next = opened->slow_at_ms;
        }
    }
    return next;
}

static void *keep_watch(void *argument)
{
    Engine *engine = argument;
    pthread_mutex_lock(&engine->lock);
    while (!engine->stopping) {
        int64_t next = report_slow(engine);
        if (engine->stopping)
            break;
        if (next == INT64_MAX) {
            pthread_cond_wait(&engine->changed, &engine->lock);
        } else {
            struct timespec end = thread_deadline_at(next);
            pthread_cond_timedwait(&engine->changed, &engine->lock, &end);
        }
    }
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}

static bool all_answered(const Engine *engine)
{
    for (size_t i = 0; i < engine->opened_count; i++)
        if (!atomic_load(&engine->opened[i]->ended) && engine->opened[i]->slow_at_ms != INT64_MAX)
            return false;
    for (size_t i = 0; i < engine->discovery_count; i++)
        if (!discovery_answered(engine->discoveries[i]))
            return false;
    return true;
}

bool engine_answered(Engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    bool all = all_answered(engine);
    pthread_mutex_unlock(&engine->lock);
    return all;
}

/* A condition cannot be waited for together with a descriptor: Ctrl-C is looked at every 50 ms. Who waits is the watchman where
 * there is none. */
bool engine_wait(Engine *engine, Context *context)
{
    pthread_mutex_lock(&engine->lock);
    bool all;
    for (;;) {
        int64_t slow = engine->has_watchman ? INT64_MAX : report_slow(engine) - clock_mono_ms();
        all = all_answered(engine);
        if (all || !context_check(context, NULL, NULL))
            break;
        int64_t left = context_left_ms(context);
        left = left < slow ? left : slow;
        struct timespec end = thread_deadline(left < 50 ? left : 50);
        pthread_cond_timedwait(&engine->changed, &engine->lock, &end);
    }
    pthread_mutex_unlock(&engine->lock);
    return all;
}

/* ---------------------------------------------------------------------------------------------------------------- life */

Engine *engine_new(Config *config, const BackendType *const *types)
{
    Engine *engine = mem_new(sizeof *engine);
    engine->config = config;
    engine->types = types;
    engine->state_directory = file_state_home();
    engine->store = store_new();
    engine->keep = keep_open(engine->state_directory);
    engine->journal = journal_open(config, engine->state_directory);
    engine->operations = operations_new(config, engine->store, engine->journal);
    engine->jobs = jobs_new();
    pthread_mutex_init(&engine->lock, NULL);
    thread_condition_init(&engine->changed);
    if (!cancel_init(&engine->cancel))
        engine->cancel.wake = (Wake){-1, -1};
    return engine;
}

static bool is_wanted(const List *only_keys, const char *key)
{
    return !only_keys || !only_keys->count || list_has(only_keys, key);
}

void engine_start(Engine *engine, EngineMode mode, const List *only_keys, const char *only_instance)
{
    engine->mode = mode;
    if (mode == ENGINE_LIVE)
        store_live(engine->store);
    engine->only_instance = mem_text(only_instance);
    for (size_t i = 0; i < engine->config->backend_count; i++)
        if (is_wanted(only_keys, engine->config->backends[i].key))
            start_backend(engine, &engine->config->backends[i]);
    engine->has_watchman = mode == ENGINE_LIVE && thread_start(&engine->watchman, keep_watch, engine);
}

static bool join_threads(Engine *engine, int64_t deadline_ms)
{
    bool all = true;
    for (size_t i = 0; i < engine->opened_count; i++) {
        Opened *opened = engine->opened[i];
        while (!atomic_load(&opened->ended) && clock_mono_ms() < deadline_ms)
            poll(NULL, 0, 2);
        if (!atomic_load(&opened->ended)) {
            all = false;
        } else if (opened->started) {
            pthread_join(opened->thread, NULL);
            opened->started = false;
        }
    }
    for (size_t i = 0; all && i < engine->discovery_count; i++)
        all = discovery_join(engine->discoveries[i], deadline_ms) && all;
    return all;
}

/* What holds handles goes before the backends that made them. */
static void free_all(Engine *engine)
{
    jobs_free(engine->jobs);
    operations_free(engine->operations);
    for (size_t i = 0; i < engine->discovery_count; i++)
        discovery_free(engine->discoveries[i]);
    for (size_t i = 0; i < engine->opened_count; i++)
        free(engine->opened[i]);
    free(engine->discoveries);
    free(engine->opened);
    journal_free(engine->journal);
    keep_free(engine->keep);
    store_free(engine->store);
    config_free(engine->config);
    cancel_done(&engine->cancel);
    pthread_cond_destroy(&engine->changed);
    pthread_mutex_destroy(&engine->lock);
    free(engine->state_directory);
    free(engine->only_instance);
    free(engine);
}

bool engine_stop(Engine *engine, int64_t ms)
{
    int64_t deadline = clock_mono_ms() + ms;
    cancel_ask(&engine->cancel);
    pthread_mutex_lock(&engine->lock);
    engine->stopping = true;
    for (size_t i = 0; i < engine->discovery_count; i++)
        discovery_cancel(engine->discoveries[i]);
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
    if (engine->has_watchman)
        pthread_join(engine->watchman, NULL);
    bool jobs = jobs_stop(engine->jobs, deadline - clock_mono_ms());
    bool operations = operations_stop(engine->operations, deadline - clock_mono_ms());
    bool threads = join_threads(engine, deadline);
    if (jobs && operations && threads) {
        free_all(engine);
        return true;
    }
    log_line("engine", "something hangs: it is left behind");
    return false;
}

/* ------------------------------------------------------------------------------------------------------------ asking it */

const Config *engine_config(const Engine *engine)
{
    return engine->config;
}

Store *engine_store(Engine *engine)
{
    return engine->store;
}

Keep *engine_keep(Engine *engine)
{
    return engine->keep;
}

Journal *engine_journal(Engine *engine)
{
    return engine->journal;
}

Operations *engine_operations(Engine *engine)
{
    return engine->operations;
}

const BackendType *const *engine_types(const Engine *engine)
{
    return engine->types;
}

const char *engine_state_directory(const Engine *engine)
{
    return engine->state_directory;
}

void engine_refresh(Engine *engine, const char *key)
{
    pthread_mutex_lock(&engine->lock);
    for (size_t i = 0; i < engine->discovery_count; i++)
        if (!key || strcmp(discovery_backend(engine->discoveries[i])->config->key, key) == 0)
            discovery_refresh(engine->discoveries[i]);
    for (size_t i = 0; i < engine->opened_count; i++)
        if (!key || strcmp(engine->opened[i]->config->key, key) == 0)
            engine->opened[i]->again = true;
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
}

Backend *engine_backend(Engine *engine, const char *key, const char *instance)
{
    Backend *found = NULL;
    pthread_mutex_lock(&engine->lock);
    for (size_t i = 0; i < engine->discovery_count && !found; i++) {
        Backend *backend = discovery_backend(engine->discoveries[i]);
        bool same = strcmp(backend->config->key, key) == 0 && (backend->instance && instance ? strcmp(backend->instance, instance) == 0
                                                                                             : !backend->instance == !instance);
        found = same ? backend : NULL;
    }
    pthread_mutex_unlock(&engine->lock);
    return found;
}

size_t engine_backends(Engine *engine, Backend ***list)
{
    pthread_mutex_lock(&engine->lock);
    size_t count = engine->discovery_count;
    *list = mem_new(count * sizeof **list);
    for (size_t i = 0; i < count; i++)
        (*list)[i] = discovery_backend(engine->discoveries[i]);
    pthread_mutex_unlock(&engine->lock);
    return count;
}

/* 2: made for this class, 1: takes any, 0: does not. */
static int fitness(const BackendType *type, const Spec *spec)
{
    if (!type->create)
        return 0;
    if (!spec->class_name)
        return type->creates && spec_is_any(type->creates) ? 0 : 2; /* without a class there is nothing to be made by any */
    return spec_is(spec, type->creates) ? 2 : spec_is_any(type->creates) ? 1 : 0;
}

/* KEY or KEY:INSTANCE; the instance, "" where none is named, NULL where it is another backend's. */
static const char *instance_named(const char *text, const char *key)
{
    size_t n = strlen(key);
    if (strncmp(text, key, n) != 0)
        return NULL;
    return text[n] == ':' ? text + n + 1 : text[n] ? NULL : text + n;
}

static bool is_named(const Backend *backend, const char *text)
{
    const char *instance = instance_named(text, backend->config->key);
    return instance && (!*instance || (backend->instance && strcmp(instance, backend->instance) == 0));
}

bool engine_creators(const Engine *engine, const Spec *spec, const char *key, List *keys, Error *error)
{
    for (int least = 2; least > 0 && keys->count == 0; least--)
        for (size_t i = 0; i < engine->config->backend_count; i++) {
            const BackendConfig *config = &engine->config->backends[i];
            if (config->enabled && (key ? instance_named(key, config->key) != NULL : fitness(config->type, spec) >= least))
                list_add(keys, config->key);
        }
    if (keys->count)
        return true;
    if (key)
        return error_set(error, ERROR_USAGE, "--backend", "dasktop backends lists them", "%s is not there", key);
    return error_set(error, ERROR_UNSUPPORTED, spec->class_name ? spec->class_name : "create", NULL, "no backend that is there can make it");
}

Backend *engine_creator(Engine *engine, const Spec *spec, const char *key, Error *error)
{
    Backend **list, *picked = NULL;
    size_t count = engine_backends(engine, &list), named = 0;
    for (size_t i = 0; i < count && key; i++)
        named += is_named(list[i], key);
    for (int least = 2; least > 0 && !picked; least--)
        for (size_t i = 0; i < count && !picked; i++)
            if (key ? is_named(list[i], key) : fitness(list[i]->type, spec) >= least)
                picked = list[i];
    free(list);
    if (picked && picked->type->create && named <= 1)
        return picked;
    if (picked && picked->type->create) /* which of them comes first is chance */
        error_set(error, ERROR_AMBIGUOUS, key, "give KEY:INSTANCE, as dasktop backends has them", "it has %zu instances", named);
    else if (picked)
        error_set(error, ERROR_UNSUPPORTED, picked->config->key, NULL, "it cannot create clusters");
    else if (key)
        error_set(error, ERROR_ABSENT, key, "dasktop backends says why", "it is not there");
    else
        error_set(error, ERROR_UNSUPPORTED, spec->class_name ? spec->class_name : "create", "dasktop backends says what is there", "no backend that is there can make it");
    return NULL;
}

bool engine_reconstruct(Engine *engine, Context *context, const Record *record, Handle **handle, Error *error)
{
    Backend *backend = engine_backend(engine, record->backend, record->instance);
    *handle = NULL;
    if (!backend)
        return error_set(error, ERROR_UNREACHABLE, record->is.id, "F5 asks again", "its backend is not open");
    if (!backend->type->reconstruct)
        return error_set(error, ERROR_UNSUPPORTED, record->is.id, NULL, "its backend can only list clusters");
    return backend->type->reconstruct(backend, context, record, handle, error);
}

void engine_job(Engine *engine, const Job *job, const Cancel *cancel, int64_t timeout_ms)
{
    jobs_add(engine->jobs, job, cancel, timeout_ms);
}

void engine_jobs_on_done(Engine *engine, const Wake *wake)
{
    jobs_on_done(engine->jobs, wake);
}

void engine_jobs_collect(Engine *engine)
{
    jobs_collect(engine->jobs);
}
