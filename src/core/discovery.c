#include "core/discovery.h"

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "core/thread.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { REFRESH_LEAST_MS = 100, BACKOFF_FIRST_MS = 1000, BACKOFF_MOST_MS = 300000, RETRY_MOST_MS = 3600000 };

struct Sink {
    Discovery *discovery;
    Context *context;
    bool watching, in_pass;
    size_t partial;      /* reasons */
    char reason[256];    /* the first */
};

struct Discovery {
    Backend *backend;
    Part *part;
    EngineMode mode;
    void (*changed)(void *user);
    void *user;
    char *where; /* "prod/kind-dev" */
    pthread_t thread;
    bool started;
    Cancel cancel;
    Wake refresh;
    atomic_bool refresh_asked, answered, ended;
    _Atomic int64_t slow_at_ms; /* INT64_MAX: not waiting */
    pthread_mutex_t lock;       /* guards waiting_since_ms and what is reported, so that "slow" never overwrites an answer */
    unsigned random;
    bool asked;                 /* this look was asked for, or is the first; its own thread */
    int failures;
};

PartState discovery_state(const Error *error)
{
    switch (error->code) {
    case ERROR_OK:
        return PART_OK;
    case ERROR_PARTIAL:
        return PART_PARTIAL;
    case ERROR_DENIED:
    case ERROR_READ_ONLY:
        return PART_DENIED;
    case ERROR_SIGN_IN:
        return PART_SIGN_IN;
    case ERROR_ABSENT:
        return PART_ABSENT;
    default:
        return PART_FAILED;
    }
}

/* ------------------------------------------------------------------------------------------------------------- reporting */

static void report(Discovery *discovery, PartState state, const Error *error, int64_t took_ms, int64_t next_ms)
{
    pthread_mutex_lock(&discovery->lock);
    PartInfo info = part_info(discovery->part);
    atomic_store(&discovery->slow_at_ms, INT64_MAX);
    info.state = state;
    info.error = error ? *error : (Error){0};
    info.refreshing = false;
    info.next_ms = next_ms;
    if (took_ms >= 0)
        info.took_ms = took_ms;
    if (state == PART_OK) {
        info.answered_ms = clock_wall_ms();
        info.has_answered = true;
    }
    part_report(discovery->part, &info);
    pthread_mutex_unlock(&discovery->lock);
    atomic_store(&discovery->answered, true);
    discovery->changed(discovery->user);
}

static void begin_waiting(Discovery *discovery)
{
    pthread_mutex_lock(&discovery->lock);
    atomic_store(&discovery->slow_at_ms, clock_mono_ms() + discovery->backend->config->timeout_ms);
    pthread_mutex_unlock(&discovery->lock);
    discovery->changed(discovery->user);
}

void discovery_report_slow(Discovery *discovery)
{
    pthread_mutex_lock(&discovery->lock);
    bool slow = atomic_load(&discovery->slow_at_ms) <= clock_mono_ms();
    if (slow) {
        PartInfo info = part_info(discovery->part);
        atomic_store(&discovery->slow_at_ms, INT64_MAX);
        info.state = PART_SLOW;
        info.refreshing = true;
        error_set(&info.error, ERROR_TIMEOUT, discovery->where, NULL, "no answer within its timeout; still waiting");
        part_report(discovery->part, &info);
    }
    pthread_mutex_unlock(&discovery->lock);
    if (slow) {
        atomic_store(&discovery->answered, true);
        discovery->changed(discovery->user);
    }
}

/* ------------------------------------------------------------------------------------------------------------------ sink */

bool sink_put(Sink *sink, const RecordFields *fields, int64_t counts_ms)
{
    Backend *backend = sink->discovery->backend;
    Error error = {0};
    Record *record = record_new(fields, backend->config->key, backend->instance, clock_wall_ms(), counts_ms, &error);
    if (!record) {
        log_line(sink->discovery->where, "a cluster was left out: %s", error.what);
        return false;
    }
    part_put(sink->discovery->part, record);
    return true;
}

static char *whole_id(const Sink *sink, const char *id)
{
    const Backend *backend = sink->discovery->backend;
    return record_id(backend->config->key, backend->instance, id);
}

void sink_gone(Sink *sink, const char *id)
{
    char *whole = whole_id(sink, id);
    part_gone(sink->discovery->part, whole);
    free(whole);
}

void sink_restart(Sink *sink)
{
    if (sink->in_pass)
        part_pass_end(sink->discovery->part, false);
    part_pass_begin(sink->discovery->part);
    sink->in_pass = true;
    sink->partial = 0;
    begin_waiting(sink->discovery);
}

/* What a pass that came to its end says of the backend: ok, or in part with the first reason. */
static void end_well(Sink *sink, int64_t took_ms, int64_t next_ms)
{
    Error error = {0};
    if (sink->in_pass)
        part_pass_end(sink->discovery->part, sink->partial == 0);
    sink->in_pass = false;
    if (sink->partial > 1)
        error_set(&error, ERROR_PARTIAL, sink->discovery->where, NULL, "%s (and %zu more)", sink->reason, sink->partial - 1);
    else if (sink->partial)
        error_set(&error, ERROR_PARTIAL, sink->discovery->where, NULL, "%s", sink->reason);
    report(sink->discovery, sink->partial ? PART_PARTIAL : PART_OK, &error, took_ms, next_ms);
}

void sink_synced(Sink *sink)
{
    end_well(sink, -1, TIME_UNKNOWN);
    sink->discovery->failures = 0;
    if (sink->discovery->mode == ENGINE_ONCE)
        cancel_ask(&sink->discovery->cancel); /* one look is all that was wanted */
}

void sink_partial(Sink *sink, const char *reason)
{
    log_line(sink->discovery->where, "%s", reason);
    if (sink->partial++ == 0)
        memcpy(sink->reason, reason, strnlen(reason, sizeof sink->reason - 1) + 1), sink->reason[sizeof sink->reason - 1] = 0;
}

void sink_health(Sink *sink, const Error *error)
{
    report(sink->discovery, discovery_state(error), error, -1, TIME_UNKNOWN);
}

int sink_refresh_fd(Sink *sink)
{
    return sink->watching ? sink->discovery->refresh.read_fd : -1;
}

bool sink_refresh_asked(Sink *sink)
{
    wake_drain(&sink->discovery->refresh);
    return atomic_exchange(&sink->discovery->refresh_asked, false);
}

int64_t sink_may_be_ms(const Sink *sink)
{
    const Discovery *discovery = sink->discovery;
    return discovery->mode == ENGINE_LIVE && !discovery->asked ? discovery->backend->config->refresh_ms : 0;
}

const Record *sink_last(Sink *sink, const char *id)
{
    char *whole = whole_id(sink, id);
    const Record *record = part_record(sink->discovery->part, whole);
    free(whole);
    return record;
}

/* ---------------------------------------------------------------------------------------------------------------- passes */

static int64_t jittered(Discovery *discovery, int64_t ms)
{
    return ms - ms / 10 + (int64_t)(rand_r(&discovery->random) % 1000) * (ms / 5) / 1000;
}

static int64_t backoff(Discovery *discovery, const Error *error)
{
    int64_t ms = BACKOFF_FIRST_MS, refresh = discovery->backend->config->refresh_ms;
    for (int i = 0; i < discovery->failures && ms < BACKOFF_MOST_MS; i++)
        ms *= 2;
    discovery->failures++;
    ms = ms < BACKOFF_MOST_MS ? ms : BACKOFF_MOST_MS;
    ms = jittered(discovery, ms < refresh ? refresh : ms); /* never more often than a healthy one */
    int64_t asked = error->retry_after_s * INT64_C(1000);  /* never sooner than the system asked for */
    asked = asked < RETRY_MOST_MS ? asked : RETRY_MOST_MS;
    return ms < asked ? asked : ms;
}

/* Sleeps; at once awake when a refresh is asked for. */
static void wait_for_next(Discovery *discovery, int64_t ms)
{
    int64_t end = clock_mono_ms() + ms;
    while (!cancel_asked(&discovery->cancel) && !atomic_load(&discovery->refresh_asked)) {
        int64_t left = end - clock_mono_ms();
        if (left <= 0)
            break;
        if (discovery->backend->type->rest) {
            Context context = context_new(&discovery->cancel, left);
            if (discovery->backend->type->rest(discovery->backend, &context, discovery->refresh.read_fd))
                break;
            continue;
        }
        struct pollfd wanted[2] = {{.fd = discovery->refresh.read_fd, .events = POLLIN},
                                   {.fd = discovery->cancel.wake.read_fd, .events = POLLIN}};
        poll(wanted, 2, left > 3600000 ? 3600000 : (int)left);
    }
    wake_drain(&discovery->refresh);
    discovery->asked = atomic_exchange(&discovery->refresh_asked, false);
}

static void place_error(const Discovery *discovery, Error *error)
{
    size_t n = strlen(discovery->where);
    if (strncmp(error->where, discovery->where, n) != 0)
        error_at(error, discovery->where);
}

/* One discover call; returns how long to wait for the next. */
static int64_t one_pass(Discovery *discovery)
{
    Context context = context_new(&discovery->cancel, -1);
    Sink sink = {.discovery = discovery, .context = &context, .in_pass = true};
    Error error = {0};
    int64_t begin = clock_mono_us();
    begin_waiting(discovery);
    part_pass_begin(discovery->part);
    bool complete = discovery->backend->type->discover(discovery->backend, &context, &sink, &error);
    int64_t took = (clock_mono_us() - begin) / 1000, refresh = discovery->backend->config->refresh_ms, next;
    if (cancel_asked(&discovery->cancel)) {
        part_pass_end(discovery->part, false);
        return 0;
    }
    if (complete || error.code == ERROR_PARTIAL) {
        if (!complete)
            sink_partial(&sink, error.what);
        discovery->failures = 0;
        next = jittered(discovery, refresh > 4 * took ? refresh : 4 * took);
        next = next < REFRESH_LEAST_MS ? REFRESH_LEAST_MS : next; /* `refresh: 0` is no busy loop */
        end_well(&sink, took, discovery->mode == ENGINE_LIVE ? clock_wall_ms() + next : TIME_UNKNOWN);
        return next;
    }
    part_pass_end(discovery->part, false);
    place_error(discovery, &error);
    next = backoff(discovery, &error);
    report(discovery, discovery_state(&error), &error, took, discovery->mode == ENGINE_LIVE ? clock_wall_ms() + next : TIME_UNKNOWN);
    return next;
}

/* Watches until the connection is lost. False: this backend cannot be watched, ask it at intervals instead. */
static bool one_watch(Discovery *discovery)
{
    Context context = context_new(&discovery->cancel, -1);
    Sink sink = {.discovery = discovery, .context = &context, .watching = true};
    Error error = {0};
    sink_restart(&sink);
    bool ended = discovery->backend->type->watch(discovery->backend, &context, &sink, &error);
    if (sink.in_pass)
        part_pass_end(discovery->part, false);
    if (cancel_asked(&discovery->cancel))
        return true;
    if (!ended && error.code == ERROR_UNSUPPORTED)
        return false;
    place_error(discovery, &error);
    int64_t next = backoff(discovery, &error);
    if (!ended || sink.in_pass) {
        if (ended)
            error_set(&error, ERROR_BAD_REPLY, discovery->where, NULL, "it ended before it had told what is there");
        report(discovery, discovery_state(&error), &error, -1, discovery->mode == ENGINE_LIVE ? clock_wall_ms() + next : TIME_UNKNOWN);
    }
    if (discovery->mode == ENGINE_LIVE)
        wait_for_next(discovery, next);
    return true;
}

static void *run(void *argument)
{
    Discovery *discovery = argument;
    const BackendType *type = discovery->backend->type;
    bool watch = type->watch && (discovery->mode == ENGINE_LIVE || !type->discover);
    while (!cancel_asked(&discovery->cancel)) {
        if (watch) {
            watch = one_watch(discovery) || !type->discover;
            if (discovery->mode == ENGINE_ONCE)
                break; /* it was watched only because it cannot be asked otherwise */
            continue;
        }
        int64_t next = one_pass(discovery);
        if (discovery->mode == ENGINE_ONCE)
            break;
        wait_for_next(discovery, next);
    }
    atomic_store(&discovery->slow_at_ms, INT64_MAX);
    atomic_store(&discovery->answered, true);
    discovery->changed(discovery->user);
    while (type->rest && !cancel_asked(&discovery->cancel)) { /* one look was all, but its handles are still in use */
        Context context = context_new(&discovery->cancel, -1);
        type->rest(discovery->backend, &context, -1);
    }
    atomic_store(&discovery->ended, true);
    discovery->changed(discovery->user);
    return NULL;
}

/* ------------------------------------------------------------------------------------------------------------------ life */

Discovery *discovery_new(Backend *backend, Part *part, EngineMode mode, void (*changed)(void *user), void *user)
{
    Discovery *discovery = mem_new(sizeof *discovery);
    discovery->backend = backend;
    discovery->part = part;
    discovery->mode = mode;
    discovery->changed = changed;
    discovery->user = user;
    discovery->where = mem_format("%s%s%s", backend->config->key, backend->instance ? "/" : "", backend->instance ? backend->instance : "");
    discovery->random = (unsigned)clock_mono_us() ^ (unsigned)hash_text(discovery->where);
    atomic_init(&discovery->slow_at_ms, INT64_MAX);
    pthread_mutex_init(&discovery->lock, NULL);
    if (!cancel_init(&discovery->cancel))
        discovery->cancel.wake = (Wake){-1, -1};
    if (!wake_init(&discovery->refresh))
        discovery->refresh = (Wake){-1, -1};
    discovery->asked = true;
    PartInfo info = part_info(part);
    info.caution = backend->caution;
    part_report(part, &info);
    return discovery;
}

bool discovery_start(Discovery *discovery)
{
    discovery->started = discovery->cancel.wake.read_fd >= 0 && discovery->refresh.read_fd >= 0 &&
                         thread_start(&discovery->thread, run, discovery);
    if (discovery->started)
        return true;
    Error error;
    error_set(&error, ERROR_INTERNAL, discovery->where, "raise the limits (ulimit -n, ulimit -u)", "no thread or descriptor is left for it");
    report(discovery, PART_FAILED, &error, -1, TIME_UNKNOWN);
    return false;
}

Backend *discovery_backend(Discovery *discovery)
{
    return discovery->backend;
}

bool discovery_answered(Discovery *discovery)
{
    return atomic_load(&discovery->answered);
}

int64_t discovery_slow_at(Discovery *discovery)
{
    return atomic_load(&discovery->slow_at_ms);
}

void discovery_refresh(Discovery *discovery)
{
    atomic_store(&discovery->refresh_asked, true);
    wake_up(&discovery->refresh);
}

void discovery_cancel(Discovery *discovery)
{
    cancel_ask(&discovery->cancel);
}

bool discovery_join(Discovery *discovery, int64_t deadline_ms)
{
    if (!discovery->started)
        return true;
    while (!atomic_load(&discovery->ended) && clock_mono_ms() < deadline_ms)
        poll(NULL, 0, 2);
    if (!atomic_load(&discovery->ended))
        return false;
    pthread_join(discovery->thread, NULL);
    discovery->started = false;
    return true;
}

void discovery_free(Discovery *discovery)
{
    discovery->backend->type->close(discovery->backend);
    cancel_done(&discovery->cancel);
    wake_done(&discovery->refresh);
    pthread_mutex_destroy(&discovery->lock);
    free(discovery->where);
    free(discovery);
}
