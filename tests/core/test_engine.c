/* The engine with systems that answer, fail, hang, are absent, are watched: made here, nothing is asked outside. */
#include "core/place.h"

#include "core/engine.h"

#include <pthread.h>
#include <signal.h>

/* What the systems do now, and what was done with them. */
static atomic_int passes, opened_count, closed_count, watches, asked_again;
static atomic_bool gate, hangs, failing_now, only_one, signals_open, last_was_there;
static atomic_int retry_after;

static bool wait_gate(Context *context, Error *error)
{
    while (!atomic_load(&gate)) {
        struct pollfd wanted = {.fd = context_fd(context), .events = POLLIN};
        poll(&wanted, 1, 5);
        if (!context_check(context, NULL, error))
            return false;
    }
    return true;
}

static void add(const BackendConfig *config, Opened *opened, const char *instance)
{
    Backend *backend = mem_new(sizeof(*backend));
    *backend = (Backend){.type = config->type, .config = config, .instance = mem_text(instance)};
    atomic_fetch_add(&opened_count, 1);
    opened_add(opened, backend);
}

static bool open_one(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
    (void)context, (void)error;
    add(config, opened, NULL);
    return true;
}

static bool open_twins(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
    (void)context, (void)error;
    add(config, opened, "a");
    add(config, opened, "b");
    return true;
}

static bool open_behind_gate(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
    return wait_gate(context, error) && open_twins(config, context, opened, error);
}

/* None at first; one comes when the gate is open. */
static bool open_as_they_come(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
    Error none;
    error_set(&none, ERROR_ABSENT, config->key, NULL, "no server runs here");
    if (!opened_told(opened, &none) || !wait_gate(context, error))
        return true;
    add(config, opened, "a");
    opened_told(opened, &none);
    while (context_check(context, NULL, NULL)) {
        struct pollfd wanted = {.fd = context_fd(context), .events = POLLIN};
        poll(&wanted, 1, 1000);
    }
    return true;
}

static bool open_absent(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
    (void)context, (void)opened;
    return error_set(error, ERROR_ABSENT, config->key, "install it", "not installed");
}

static bool open_nothing(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
    (void)config, (void)context, (void)opened, (void)error;
    return true;
}

static void close_one(Backend *backend)
{
    atomic_fetch_add(&closed_count, 1);
    free(backend->instance);
    free(backend);
}

static void put_named(Sink *sink, const char *id)
{
    RecordFields fields = make_resting(id);
    fields.uid = id;
    assert_true(sink_put(sink, &fields, TIME_UNKNOWN));
}

static bool discover_well(Backend *backend, Context *context, Sink *sink, Error *error)
{
    (void)backend, (void)context, (void)error;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (!sigismember(&blocked, SIGINT) || !sigismember(&blocked, SIGTERM) || !sigismember(&blocked, SIGWINCH))
        atomic_store(&signals_open, true);
    const Record *last = sink_last(sink, "one");
    atomic_store(&last_was_there, last && strcmp(last->is.uid, "one") == 0);
    assert_int_equal(sink_refresh_fd(sink), -1);
    put_named(sink, "one");
    RecordFields nameless = make_resting("");
    assert_false(sink_put(sink, &nameless, TIME_UNKNOWN)); /* left out, the rest stays */
    if (!atomic_load(&only_one))
        put_named(sink, "two");
    atomic_fetch_add(&passes, 1);
    return true;
}

static bool discover_flaky(Backend *backend, Context *context, Sink *sink, Error *error)
{
    if (!atomic_load(&failing_now))
        return discover_well(backend, context, sink, error);
    atomic_fetch_add(&passes, 1);
    error_set(error, ERROR_UNREACHABLE, NULL, NULL, "connection refused");
    error->retry_after_s = atomic_load(&retry_after);
    return false;
}

static bool discover_partly(Backend *backend, Context *context, Sink *sink, Error *error)
{
    (void)backend, (void)context, (void)error;
    if (!atomic_load(&only_one))
        put_named(sink, "two");
    put_named(sink, "one");
    if (atomic_load(&passes) > 0) {
        sink_partial(sink, "namespace prod: forbidden");
        sink_partial(sink, "namespace test: forbidden");
    }
    atomic_fetch_add(&passes, 1);
    return true;
}

static bool discover_half(Backend *backend, Context *context, Sink *sink, Error *error)
{
    (void)backend, (void)context;
    put_named(sink, "one");
    return error_set(error, ERROR_PARTIAL, NULL, NULL, "the second page is missing");
}

static bool discover_behind_gate(Backend *backend, Context *context, Sink *sink, Error *error)
{
    return wait_gate(context, error) && discover_well(backend, context, sink, error);
}

static bool discover_denied(Backend *backend, Context *context, Sink *sink, Error *error)
{
    (void)backend, (void)context, (void)sink;
    return error_set(error, ERROR_DENIED, NULL, NULL, "403");
}

static bool discover_sign_in(Backend *backend, Context *context, Sink *sink, Error *error)
{
    (void)backend, (void)context, (void)sink;
    return error_set(error, ERROR_SIGN_IN, NULL, ":login KEY", "the token has expired");
}

/* Deaf to being cancelled, as a call in a dead network file system is. */
static bool discover_deaf(Backend *backend, Context *context, Sink *sink, Error *error)
{
    (void)backend, (void)context, (void)sink;
    atomic_store(&hangs, true);
    while (!atomic_load(&gate))
        poll(NULL, 0, 2);
    return error_set(error, ERROR_UNREACHABLE, NULL, NULL, "at last");
}

static bool watch_well(Backend *backend, Context *context, Sink *sink, Error *error)
{
    (void)backend;
    atomic_fetch_add(&watches, 1);
    put_named(sink, "one");
    put_named(sink, "two");
    sink_synced(sink);
    while (context_check(context, NULL, error)) {
        struct pollfd wanted[2] = {{.fd = context_fd(context), .events = POLLIN}, {.fd = sink_refresh_fd(sink), .events = POLLIN}};
        poll(wanted, 2, 1000);
        if (!sink_refresh_asked(sink))
            continue;
        if (atomic_fetch_add(&asked_again, 1) == 0) {
            sink_gone(sink, "one");
        } else if (atomic_load(&failing_now)) {
            return error_set(error, ERROR_UNREACHABLE, NULL, NULL, "the connection was lost");
        } else {
            sink_restart(sink); /* a new list, in which "two" is missing */
            put_named(sink, "three");
            sink_synced(sink);
        }
    }
    return false;
}

static bool watch_short(Backend *backend, Context *context, Sink *sink, Error *error)
{
    (void)backend, (void)context, (void)error;
    atomic_fetch_add(&watches, 1);
    put_named(sink, "one");
    return true; /* ends without having told everything */
}

static bool watch_unsupported(Backend *backend, Context *context, Sink *sink, Error *error)
{
    (void)backend, (void)context, (void)sink;
    atomic_fetch_add(&watches, 1);
    return error_set(error, ERROR_UNSUPPORTED, NULL, NULL, "too old to watch");
}

#define TYPE(word, ...) static const BackendType word = {.name = #word, .summary = "", .signs_in = "", .close = close_one, __VA_ARGS__}
TYPE(well, .open = open_one, .discover = discover_well);
TYPE(flaky, .open = open_one, .discover = discover_flaky);
TYPE(partly, .open = open_one, .discover = discover_partly);
TYPE(half, .open = open_one, .discover = discover_half);
TYPE(gated, .open = open_one, .discover = discover_behind_gate);
TYPE(denied, .open = open_one, .discover = discover_denied);
TYPE(signs, .open = open_one, .discover = discover_sign_in);
TYPE(absent, .open = open_absent, .discover = discover_well);
TYPE(nothing, .open = open_nothing, .discover = discover_well, .many = true);
TYPE(twins, .open = open_twins, .discover = discover_well, .many = true);
TYPE(late, .open = open_behind_gate, .discover = discover_well, .many = true);
TYPE(coming, .open = open_as_they_come, .discover = discover_well, .many = true);
TYPE(deaf, .open = open_one, .discover = discover_deaf);
TYPE(watched, .open = open_one, .watch = watch_well);
TYPE(brief, .open = open_one, .watch = watch_short);
TYPE(old, .open = open_one, .watch = watch_unsupported, .discover = discover_well);
static const BackendType *const types[] = {&well, &flaky, &partly, &half, &gated, &denied, &signs, &absent, &nothing,
                                           &twins, &late, &coming, &deaf, &watched, &brief, &old, NULL};

static int reset(void **state)
{
    (void)state;
    atomic_int *counts[] = {&passes, &opened_count, &closed_count, &watches, &asked_again, &retry_after};
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
        atomic_store(counts[i], 0);
    atomic_bool *switches[] = {&gate, &hangs, &failing_now, &only_one, &signals_open, &last_was_there};
    for (size_t i = 0; i < sizeof(switches) / sizeof(*switches); i++)
        atomic_store(switches[i], false);
    return 0;
}

static Engine *make_engine(const char *backends)
{
    char *yaml = mem_format("dasktop: {auto: false, refresh: 1h, timeout: 1h, backends: {%s}}", backends);
    Engine *engine = engine_new(place_config(yaml, types), types);
    free(yaml);
    return engine;
}

static Engine *start(const char *backends, EngineMode mode)
{
    Engine *engine = make_engine(backends);
    engine_start(engine, mode, NULL, NULL);
    return engine;
}

static void stop(Engine *engine)
{
    assert_true(engine_stop(engine, 60000));
    assert_int_equal(atomic_load(&closed_count), atomic_load(&opened_count));
}

typedef struct Look {
    bool there, answered, refreshing;
    PartState state;
    size_t count, stale;
    int64_t next_ms;
    char what[320];
} Look;

/* What a reader sees of a backend now. */
static Look look(Engine *engine, const char *key, const char *instance)
{
    Look seen = {0};
    store_flush(engine_store(engine));
    const Snapshot *snapshot = store_snapshot(engine_store(engine));
    for (size_t p = 0; p < snapshot->part_count; p++) {
        const SnapshotPart *part = snapshot->parts[p];
        if (strcmp(part->info.backend, key) != 0 || !part->info.instance != !instance || (instance && strcmp(instance, part->info.instance) != 0))
            continue;
        assert_false(seen.there); /* one row each */
        seen = (Look){.there = true, .answered = part->info.has_answered, .refreshing = part->info.refreshing, .state = part->info.state,
                      .count = part->count, .next_ms = part->info.next_ms};
        memcpy(seen.what, part->info.error.what, sizeof(seen.what));
        for (size_t i = 0; i < part->count; i++)
            seen.stale += snapshot_stale(part, i);
    }
    store_drop(engine_store(engine), snapshot);
    return seen;
}

static void wait_answered(Engine *engine)
{
    Context context = context_new(NULL, 60000);
    assert_true(engine_wait(engine, &context));
    assert_true(engine_answered(engine));
}

static void one_look_at_all(void **state)
{
    (void)state;
    Engine *engine = start("well: {}, flaky: {}, partly: {}, half: {}, gated: {timeout: 20ms}, denied: {}, signs: {}, absent: {}, nothing: {}, "
                           "twins: {}, sleeping: {type: well, enabled: false}",
                           ENGINE_ONCE);
    wait_answered(engine);
    assert_int_equal(look(engine, "well", NULL).state, PART_OK);
    assert_int_equal(look(engine, "well", NULL).count, 2);
    assert_true(look(engine, "well", NULL).answered);
    assert_int_equal(look(engine, "half", NULL).state, PART_PARTIAL);
    assert_int_equal(look(engine, "half", NULL).count, 1);
    assert_false(look(engine, "half", NULL).answered);
    assert_string_equal(look(engine, "half", NULL).what, "the second page is missing");
    assert_int_equal(look(engine, "gated", NULL).state, PART_SLOW);
    assert_false(look(engine, "gated", NULL).answered);
    assert_int_equal(look(engine, "denied", NULL).state, PART_DENIED);
    assert_int_equal(look(engine, "signs", NULL).state, PART_SIGN_IN);
    assert_int_equal(look(engine, "absent", NULL).state, PART_ABSENT);
    assert_int_equal(look(engine, "nothing", NULL).state, PART_ABSENT);
    assert_int_equal(look(engine, "twins", "a").state, PART_OK);
    assert_int_equal(look(engine, "twins", "b").count, 2);
    assert_false(look(engine, "twins", NULL).there);
    assert_int_equal(look(engine, "sleeping", NULL).state, PART_OFF);
    assert_false(atomic_load(&signals_open));
    stop(engine);
}

static void slow_until_it_answers(void **state)
{
    (void)state;
    Engine *engine = start("gated: {timeout: 10ms}", ENGINE_LIVE);
    EVENTUALLY(look(engine, "gated", NULL).state == PART_SLOW);
    assert_true(look(engine, "gated", NULL).refreshing);
    atomic_store(&gate, true);
    EVENTUALLY(look(engine, "gated", NULL).state == PART_OK);
    assert_string_equal(look(engine, "gated", NULL).what, "");
    assert_int_equal(look(engine, "gated", NULL).count, 2);
    stop(engine);
}

/* Its row says that there is nothing, which is an answer; the first that comes takes its place. */
static void instances_that_come_later(void **state)
{
    (void)state;
    for (EngineMode mode = ENGINE_ONCE; mode <= ENGINE_LIVE; mode++) {
        Engine *engine = start("coming: {}", mode);
        wait_answered(engine);
        assert_int_equal(look(engine, "coming", NULL).state, PART_ABSENT);
        assert_string_equal(look(engine, "coming", NULL).what, "no server runs here");
        atomic_store(&gate, true);
        if (mode == ENGINE_LIVE) {
            EVENTUALLY(look(engine, "coming", "a").count == 2);
            EVENTUALLY(look(engine, "coming", NULL).state == PART_OK);
        } else {
            assert_false(look(engine, "coming", "a").there); /* one look was all */
        }
        stop(engine);
        reset(state);
    }
}

/* A change by name asks whether all have answered: one whose instances are not even known must be seen not to have. */
static void opening_slowly_is_seen(void **state)
{
    (void)state;
    Engine *engine = start("late: {timeout: 10ms}", ENGINE_LIVE);
    wait_answered(engine);
    EVENTUALLY(look(engine, "late", NULL).state == PART_SLOW);
    assert_false(look(engine, "late", NULL).answered);
    atomic_store(&gate, true);
    EVENTUALLY(look(engine, "late", "b").state == PART_OK && look(engine, "late", NULL).state == PART_OK);
    assert_true(look(engine, "late", NULL).answered);
    assert_int_equal(look(engine, "late", NULL).count, 0);
    stop(engine);
}

static void failure_keeps_rows_as_stale(void **state)
{
    (void)state;
    Engine *engine = start("flaky: {}", ENGINE_LIVE);
    EVENTUALLY(look(engine, "flaky", NULL).state == PART_OK);
    atomic_store(&failing_now, true);
    engine_refresh(engine, "flaky");
    EVENTUALLY(look(engine, "flaky", NULL).state == PART_FAILED);
    Look seen = look(engine, "flaky", NULL);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.stale, 2);
    assert_string_equal(seen.what, "connection refused");
    atomic_store(&failing_now, false);
    atomic_store(&only_one, true);
    engine_refresh(engine, NULL);
    EVENTUALLY(look(engine, "flaky", NULL).state == PART_OK);
    seen = look(engine, "flaky", NULL);
    assert_int_equal(seen.count, 1); /* a complete answer lacks it */
    assert_int_equal(seen.stale, 0);
    assert_true(atomic_load(&last_was_there));
    stop(engine);
}

static void partial_removes_nothing(void **state)
{
    (void)state;
    Engine *engine = start("partly: {}", ENGINE_LIVE);
    EVENTUALLY(look(engine, "partly", NULL).state == PART_OK);
    atomic_store(&only_one, true);
    engine_refresh(engine, NULL);
    EVENTUALLY(look(engine, "partly", NULL).state == PART_PARTIAL);
    Look seen = look(engine, "partly", NULL);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.stale, 1);
    assert_string_equal(seen.what, "namespace prod: forbidden (and 1 more)");
    stop(engine);
}

static void asks_again_only_when_asked(void **state)
{
    (void)state;
    Engine *engine = start("well: {}, other: {type: well}", ENGINE_LIVE);
    EVENTUALLY(atomic_load(&passes) == 2);
    engine_refresh(engine, "no-such");
    engine_refresh(engine, "other");
    EVENTUALLY(atomic_load(&passes) == 3);
    engine_refresh(engine, NULL);
    EVENTUALLY(atomic_load(&passes) == 5);
    stop(engine);
}

static void next_is_never_at_once(void **state)
{
    (void)state;
    int64_t before = clock_wall_ms();
    atomic_store(&failing_now, true);
    atomic_store(&retry_after, 700);
    Engine *engine = start("well: {refresh: 0}, flaky: {refresh: 0}", ENGINE_LIVE);
    wait_answered(engine);
    EVENTUALLY(look(engine, "flaky", NULL).state == PART_FAILED && look(engine, "well", NULL).state == PART_OK);
    assert_true(look(engine, "well", NULL).next_ms >= before + 100);
    assert_true(look(engine, "flaky", NULL).next_ms >= before + 700000); /* what the system asked for, past the cap of our own */
    stop(engine);
}

static void backoff_grows_to_a_cap(void **state)
{
    (void)state;
    atomic_store(&failing_now, true);
    Engine *engine = start("flaky: {refresh: 0}", ENGINE_LIVE);
    int64_t longest = 0;
    for (int i = 1; i <= 14; i++) {
        EVENTUALLY(atomic_load(&passes) >= i);
        int64_t before = clock_wall_ms();
        Look seen = look(engine, "flaky", NULL);
        if (seen.next_ms != TIME_UNKNOWN && seen.next_ms - before > longest) /* the pass may not have been reported yet */
            longest = seen.next_ms - before;
        engine_refresh(engine, NULL);
    }
    assert_in_range(longest, 200000, 330000);
    stop(engine);
}

static void watched_once(void **state)
{
    (void)state;
    Engine *engine = start("watched: {}, brief: {}, old: {}", ENGINE_ONCE);
    wait_answered(engine);
    assert_int_equal(look(engine, "watched", NULL).state, PART_OK);
    assert_int_equal(look(engine, "watched", NULL).count, 2);
    assert_int_equal(look(engine, "brief", NULL).state, PART_FAILED);
    assert_false(look(engine, "brief", NULL).answered);
    assert_int_equal(look(engine, "old", NULL).state, PART_OK);
    stop(engine);
    assert_int_equal(atomic_load(&watches), 2); /* each once; the one that can be asked is not watched */
}

static void watched_live(void **state)
{
    (void)state;
    Engine *engine = start("watched: {}, old: {}", ENGINE_LIVE);
    EVENTUALLY(look(engine, "watched", NULL).state == PART_OK && look(engine, "old", NULL).state == PART_OK);
    assert_int_equal(look(engine, "watched", NULL).count, 2);
    engine_refresh(engine, "watched"); /* "one" is gone */
    EVENTUALLY(look(engine, "watched", NULL).count == 1);
    engine_refresh(engine, "watched"); /* another list: "two" is not in it */
    EVENTUALLY(atomic_load(&asked_again) == 2 && look(engine, "watched", NULL).stale == 0);
    assert_int_equal(look(engine, "watched", NULL).count, 1);
    atomic_store(&failing_now, true);
    engine_refresh(engine, "watched");
    EVENTUALLY(look(engine, "watched", NULL).state == PART_FAILED);
    assert_int_equal(look(engine, "watched", NULL).stale, 1);
    atomic_store(&failing_now, false);
    engine_refresh(engine, "watched"); /* not after the backoff: now */
    EVENTUALLY(look(engine, "watched", NULL).state == PART_OK);
    assert_int_equal(look(engine, "watched", NULL).stale, 0);
    stop(engine);
}

static void one_key_one_instance(void **state)
{
    (void)state;
    Engine *engine = make_engine("well: {}, twins: {}");
    List keys = {0};
    list_add(&keys, "twins");
    engine_start(engine, ENGINE_ONCE, &keys, "b");
    wait_answered(engine);
    assert_false(look(engine, "well", NULL).there);
    assert_false(look(engine, "twins", "a").there);
    assert_non_null(engine_backend(engine, "twins", "b"));
    assert_null(engine_backend(engine, "twins", "a"));
    assert_null(engine_backend(engine, "twins", NULL));
    Backend **list;
    assert_int_equal(engine_backends(engine, &list), 1);
    free(list);
    list_done(&keys);
    Record *record = record_new(&(RecordFields){0}, "twins", "b", 0, 0, NULL);
    assert_null(record);
    RecordFields fields = make_fields("x");
    record = record_new(&fields, "twins", "b", 0, 0, NULL);
    Handle *handle = (Handle *)8;
    Error error = {0};
    Context context = context_new(NULL, 1000);
    assert_false(engine_reconstruct(engine, &context, record, &handle, &error));
    assert_null(handle);
    assert_int_equal(error.code, ERROR_UNSUPPORTED);
    record_drop(record);
    stop(engine);
}

static void a_wait_can_be_given_up(void **state)
{
    (void)state;
    Engine *engine = start("gated: {}", ENGINE_ONCE);
    Cancel cancel;
    assert_true(cancel_init(&cancel));
    Context context = context_new(&cancel, -1);
    cancel_ask(&cancel);
    assert_false(engine_wait(engine, &context));
    assert_false(engine_answered(engine));
    cancel_done(&cancel);
    stop(engine); /* what waits behind the gate ends when it is cancelled */
}

static void stop_while_opening(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        reset(NULL);
        Engine *engine = start("late: {}, well: {}, twins: {}, gated: {}", ENGINE_LIVE);
        poll(NULL, 0, i % 3);
        stop(engine);
    }
}

#ifndef __SANITIZE_THREAD__ /* a thread that is left behind is what it would report */
static Engine *left_behind;

static void what_hangs_is_left(void **state)
{
    (void)state;
    left_behind = start("deaf: {}, well: {}", ENGINE_LIVE);
    EVENTUALLY(atomic_load(&passes) == 1 && atomic_load(&hangs));
    assert_false(engine_stop(left_behind, 20));
    assert_true(atomic_load(&closed_count) < atomic_load(&opened_count)); /* it may still use what it has */
    atomic_store(&gate, true);
    poll(NULL, 0, 50);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_look_at_all, reset),
        cmocka_unit_test_setup(slow_until_it_answers, reset),
        cmocka_unit_test_setup(opening_slowly_is_seen, reset),
        cmocka_unit_test_setup(instances_that_come_later, reset),
        cmocka_unit_test_setup(failure_keeps_rows_as_stale, reset),
        cmocka_unit_test_setup(partial_removes_nothing, reset),
        cmocka_unit_test_setup(asks_again_only_when_asked, reset),
        cmocka_unit_test_setup(next_is_never_at_once, reset),
        cmocka_unit_test_setup(backoff_grows_to_a_cap, reset),
        cmocka_unit_test_setup(watched_once, reset),
        cmocka_unit_test_setup(watched_live, reset),
        cmocka_unit_test_setup(one_key_one_instance, reset),
        cmocka_unit_test_setup(a_wait_can_be_given_up, reset),
        cmocka_unit_test_setup(stop_while_opening, reset),
#ifndef __SANITIZE_THREAD__
        cmocka_unit_test_setup(what_hangs_is_left, reset),
#endif
    };
    return cmocka_run_group_tests(tests, place_begin, place_end);
}
