/* The whole without a face: config, store, backends and their threads, operations, journal, keep. A command or the dashboard
 * makes one, starts it, reads snapshots, reconstructs, and stops it. */
#ifndef DASKTOP_CORE_ENGINE_H
#define DASKTOP_CORE_ENGINE_H

#include "core/backend.h"
#include "core/journal.h"
#include "core/keep.h"
#include "core/operation.h"
#include "core/view.h"

typedef struct Engine Engine;

typedef enum EngineMode {
    ENGINE_ONCE, /* one pass of each instance; nothing is watched */
    ENGINE_LIVE  /* until stopped */
} EngineMode;

/* Takes config. types: the registry, NULL-terminated. Asks nobody yet, starts no thread but the store's. */
Engine *engine_new(Config *config, const BackendType *const *types);

/* Starts discovery: a thread for each enabled backend that fits, then one for each of its instances. only_keys: NULL or empty = all;
 * only_instance: NULL = all. */
void engine_start(Engine *engine, EngineMode mode, const List *only_keys, const char *only_instance);

/* Stops everything and frees it; gives each thread until ms have passed, then leaves what hangs (the process is about to end).
 * True where everything was freed. */
bool engine_stop(Engine *engine, int64_t ms);

const Config *engine_config(const Engine *engine);
Store *engine_store(Engine *engine);
Keep *engine_keep(Engine *engine);
Journal *engine_journal(Engine *engine);
Operations *engine_operations(Engine *engine);
const BackendType *const *engine_types(const Engine *engine);
const char *engine_state_directory(const Engine *engine); /* NULL: there is no place for it */

/* Discover now: all, or one key (NULL). */
void engine_refresh(Engine *engine, const char *key);

/* ENGINE_ONCE: every backend has answered or failed. With backends that are slow by then: false when the context ends. */
bool engine_wait(Engine *engine, Context *context);
bool engine_answered(Engine *engine);

/* The instance behind a record or key; NULL: not open (any more). Lives until engine_stop. */
Backend *engine_backend(Engine *engine, const char *key, const char *instance);
/* All open instances; free the array. */
size_t engine_backends(Engine *engine, Backend ***list);

/* Who makes a cluster: `key` (KEY, or KEY:INSTANCE) where it is given; else the backends that take the spec's class, else those that take any; without a
 * class those that can create at all. The keys to start, in the config's order; ERROR_UNSUPPORTED where there is none. */
bool engine_creators(const Engine *engine, const Spec *spec, const char *key, List *keys, Error *error);
/* The instance that will do it, of those that are open by now; ERROR_AMBIGUOUS where `key` is that of several. */
Backend *engine_creator(Engine *engine, const Spec *spec, const char *key, Error *error);

/* Waits for the system; call it on a thread that may (a command's, a job's). */
bool engine_reconstruct(Engine *engine, Context *context, const Record *record, Handle **handle, Error *error);

/* Leaves a cluster alone until then (Unix ms; 0: no longer): for this user, and as the label dasktop/keep where its system has labels, for everybody.
 * ERROR_PARTIAL: only for this user; the error says why. Waits. (core/leave_alone.c) */
bool engine_leave_alone(Engine *engine, Context *context, const Record *record, int64_t until_ms, const char *reason, Error *error);

/* Work for the dashboard that waits: run() on a thread of a small pool, done() exactly once on the thread that calls
 * engine_jobs_collect, also when cancelled and at stop (run may then not have been called). Jobs of one `lane` (a pointer, NULL: none) run one after another. */
typedef struct Job {
    void (*run)(void *user, Context *context);
    void (*done)(void *user);
    void *user;
    const void *lane;
} Job;
void engine_job(Engine *engine, const Job *job, const Cancel *cancel, int64_t timeout_ms);
void engine_jobs_on_done(Engine *engine, const Wake *wake);
void engine_jobs_collect(Engine *engine);

#endif
