/* The one door to changes, with handles that work, fail, wait and hang. */
#include "core/place.h"

#include "core/operation.h"

#include <pthread.h>

typedef enum Way { WORKS, FAILS, WAITS } Way;

typedef struct FakeHandle {
    Handle handle;
    Way way;
} FakeHandle;

static atomic_int applied, closed, now_running, most_running, created;
static atomic_bool gate;

static int reset(void **state)
{
    (void)state;
    atomic_int *counts[] = {&applied, &closed, &now_running, &most_running, &created};
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
        atomic_store(counts[i], 0);
    atomic_store(&gate, false);
    char *path = file_join(place, "dasktop/journal.jsonl");
    unlink(path);
    free(path);
    return 0;
}

/* Until the gate opens or the context ends, as a backend waits for its system. */
static bool wait_gate(Context *context, Error *error)
{
    while (!atomic_load(&gate)) {
        if (!context_check(context, "fake", error))
            return false;
        struct pollfd wanted = {.fd = context_fd(context), .events = POLLIN};
        int64_t left = context_left_ms(context);
        poll(&wanted, 1, left < 5 ? (int)left : 5);
    }
    return true;
}

static bool apply(Handle *handle, Context *context, const Plan *plan, const Progress *progress, Outcome *outcome, Error *error)
{
    const FakeHandle *fake = (FakeHandle *)handle;
    atomic_fetch_add(&applied, 1);
    int running = atomic_fetch_add(&now_running, 1) + 1;
    for (int most = atomic_load(&most_running); running > most && !atomic_compare_exchange_weak(&most_running, &most, running);)
        ;
    progress_tell(progress, PHASE_RUNNING, 1, 2, "ending \x1b[31m%s", plan->name);
    bool right = fake->way == WORKS || (fake->way == FAILS ? error_set(error, ERROR_DENIED, plan->id, NULL, "not permitted") : wait_gate(context, error));
    if (right)
        progress_tell(progress, PHASE_VERIFYING, 2, 2, "asking again");
    else
        list_add(&outcome->left_over, "worker 7");
    atomic_fetch_sub(&now_running, 1);
    return right;
}

static void close_handle(Handle *handle)
{
    assert_string_equal(handle->backend->config->key, "prod"); /* its backend is still there */
    handle_done(handle);
    free(handle);
    atomic_fetch_add(&closed, 1);
}

static bool create(Backend *backend, Context *context, const Spec *spec, bool dry_run, Plan *plan, const Progress *progress,
                   Outcome *outcome, Error *error)
{
    (void)backend, (void)context, (void)plan, (void)progress, (void)error;
    atomic_fetch_add(&created, !dry_run);
    outcome->id = mem_format("prod/%s", spec->name);
    return true;
}

static const HandleType handle_type = {.apply = apply, .close = close_handle}, looks_only = {.close = close_handle};
static const BackendType type = {.name = "fake", .create = create}, cannot_create = {.name = "fake"};

typedef struct Desk {
    Config *config;
    Store *store;
    Part *part;
    Journal *journal;
    Operations *operations;
    BackendConfig backend_config;
    Backend backend;
    Operation *many[32];
} Desk;

static void open_desk(Desk *desk)
{
    char *directory = file_join(place, "dasktop"), key[] = "prod";
    *desk = (Desk){.config = make_config(NULL), .store = store_new(), .journal = journal_open(NULL, directory)};
    free(directory);
    desk->part = store_part(desk->store, "prod", NULL, "fake", 1);
    desk->operations = operations_new(desk->config, desk->store, desk->journal);
    desk->backend_config = (BackendConfig){.key = mem_text(key), .type = &type};
    desk->backend = (Backend){.type = &type, .config = &desk->backend_config};
}

static void close_desk(Desk *desk)
{
    assert_true(operations_stop(desk->operations, 60000));
    operations_free(desk->operations);
    journal_free(desk->journal);
    store_free(desk->store);
    free(desk->backend_config.key);
    free_config(desk->config);
}

static Handle *make_handle(Desk *desk, const HandleType *of, const char *id, const char *uid, Way way)
{
    RecordFields fields = make_resting(id);
    fields.uid = uid;
    Record *record = make_record(&fields, "prod");
    FakeHandle *fake = mem_new(sizeof(*fake));
    fake->way = way;
    handle_init(&fake->handle, of, &desk->backend, record);
    record_drop(record);
    return &fake->handle;
}

static Operation *begin(Desk *desk, const HandleType *of, const char *id, Way way, int64_t timeout_ms)
{
    Handle *handle = make_handle(desk, of, id, "u1", way);
    Plan *plan = plan_new(CHANGE_DELETE, handle->record);
    plan_call(plan_step(plan, STEP_ENDS, "process", "worker 7", "pid 7"), "SIGTERM to %d", 7);
    return operations_apply(desk->operations, handle, plan, timeout_ms);
}

/* Its end; the caller's part of it is dropped. */
static OperationState finish(Operation *operation)
{
    Context context = context_new(NULL, 60000);
    assert_true(operation_wait(operation, &context));
    assert_true(operation_ended(operation));
    OperationState state = operation_state(operation);
    assert_true(state.ended_ms >= state.begun_ms);
    operation_drop(operation);
    return state;
}

/* It ended like this, and the system was asked or was not. */
static void expect(Operation *operation, Phase phase, ErrorCode code, int asked)
{
    OperationState state = finish(operation);
    assert_string_equal(phase_word(state.phase), phase_word(phase));
    assert_int_equal(state.error.code, code);
    assert_int_equal(atomic_load(&applied), asked);
    operation_state_done(&state);
}

static size_t journal_lines(const char *event)
{
    char *text = place_read("dasktop/journal.jsonl"), *wanted = mem_format("\"event\": \"%s\"", event);
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, wanted)); at++)
        count++;
    free(wanted);
    free(text);
    return count;
}

static void done_and_written_down(void **state)
{
    (void)state;
    Desk desk;
    open_desk(&desk);
    Wake wake;
    assert_true(wake_init(&wake));
    operations_on_change(desk.operations, &wake);
    OperationState ended = finish(begin(&desk, &handle_type, "a", WORKS, 60000));
    assert_int_equal(ended.phase, PHASE_DONE);
    assert_string_equal(ended.id, "prod/a");
    assert_string_equal(ended.message, "asking again");
    assert_int_equal(ended.done, 2);
    assert_int_equal(ended.number, 1);
    operation_state_done(&ended);
    struct pollfd told = {.fd = wake.read_fd, .events = POLLIN};
    assert_int_equal(poll(&told, 1, 0), 1);
    assert_int_equal(journal_lines("begin"), 1);
    assert_int_equal(journal_lines("end"), 1);
    EVENTUALLY(atomic_load(&closed) == 1); /* at its end, not at that of the program */
    EVENTUALLY(operations_running(desk.operations) == 0);
    close_desk(&desk);
    assert_int_equal(atomic_load(&closed), 1);
    wake_done(&wake);
}

static void failure_says_what_is_left(void **state)
{
    (void)state;
    Desk desk;
    open_desk(&desk);
    OperationState ended = finish(begin(&desk, &handle_type, "a", FAILS, 60000));
    assert_int_equal(ended.phase, PHASE_FAILED);
    assert_int_equal(ended.error.code, ERROR_DENIED);
    assert_true(list_has(&ended.outcome.left_over, "worker 7"));
    assert_null(strchr(ended.message, 27));
    operation_state_done(&ended);
    ended = finish(begin(&desk, &handle_type, "a", WAITS, 20));
    assert_int_equal(ended.phase, PHASE_FAILED);
    assert_int_equal(ended.error.code, ERROR_TIMEOUT);
    assert_true(list_has(&ended.outcome.left_over, "worker 7"));
    operation_state_done(&ended);
    assert_int_equal(journal_lines("end"), 2);
    close_desk(&desk);
}

static void read_only_is_refused(void **state)
{
    (void)state;
    Desk desk;
    Error error = {0};
    open_desk(&desk);
    assert_true(operations_writable(desk.config, &desk.backend, &error));
    desk.config->read_only = true;
    assert_false(operations_writable(desk.config, NULL, &error));
    expect(begin(&desk, &handle_type, "a", WORKS, 60000), PHASE_FAILED, ERROR_READ_ONLY, 0);
    desk.config->read_only = false;
    desk.backend_config.read_only = true;
    assert_false(operations_writable(desk.config, &desk.backend, &error));
    expect(begin(&desk, &handle_type, "a", WORKS, 60000), PHASE_FAILED, ERROR_READ_ONLY, 0);
    Spec *spec = mem_new(sizeof(*spec));
    assert_true(spec_read(NULL, "x", 1, spec, &error));
    expect(operations_create(desk.operations, &desk.backend, spec, plan_new(CHANGE_CREATE, NULL), 60000), PHASE_FAILED, ERROR_READ_ONLY, 0);
    assert_int_equal(atomic_load(&created), 0);
    assert_int_equal(journal_lines("begin"), 0);
    close_desk(&desk);
    assert_int_equal(atomic_load(&closed), 2);
}

static void another_in_its_place_is_refused(void **state)
{
    (void)state;
    Desk desk;
    open_desk(&desk);
    RecordFields fields = make_resting("a");
    fields.uid = "u2";
    part_put(desk.part, make_record(&fields, "prod"));
    fields.id = "b";
    fields.uid = "u1";
    part_put(desk.part, make_record(&fields, "prod"));
    fields.id = "c";
    fields.uid = NULL; /* not learnt yet: nothing contradicts */
    part_put(desk.part, make_record(&fields, "prod"));
    store_flush(desk.store);
    expect(begin(&desk, &handle_type, "a", WORKS, 60000), PHASE_FAILED, ERROR_CONFLICT, 0);
    expect(begin(&desk, &handle_type, "b", WORKS, 60000), PHASE_DONE, ERROR_OK, 1);
    expect(begin(&desk, &handle_type, "c", WORKS, 60000), PHASE_DONE, ERROR_OK, 2);
    close_desk(&desk);
}

static void without_identity_nothing_ends(void **state)
{
    (void)state;
    Desk desk;
    open_desk(&desk);
    Handle *handle = make_handle(&desk, &handle_type, "a", "u1", WORKS);
    Plan *plan = plan_new(CHANGE_DELETE, handle->record);
    plan_step(plan, STEP_STAYS, "file", "log", NULL);
    plan_step(plan, STEP_STARTS, "worker", NULL, NULL);
    plan_step(plan, STEP_ENDS, "process", "worker 7", NULL);
    expect(operations_apply(desk.operations, handle, plan, 60000), PHASE_FAILED, ERROR_UNSUPPORTED, 0);
    expect(begin(&desk, &looks_only, "a", WORKS, 60000), PHASE_FAILED, ERROR_UNSUPPORTED, 0);
    Error error;
    Spec *spec = mem_new(sizeof(*spec));
    desk.backend.type = &cannot_create;
    assert_true(spec_read(NULL, "x", 1, spec, &error));
    expect(operations_create(desk.operations, &desk.backend, spec, plan_new(CHANGE_CREATE, NULL), 60000), PHASE_FAILED, ERROR_UNSUPPORTED, 0);
    assert_int_equal(journal_lines("begin"), 0);
    close_desk(&desk);
}

static void without_journal_no_change(void **state)
{
    (void)state;
    Desk desk;
    open_desk(&desk);
    char *path = file_join(place, "dasktop/journal.jsonl");
    assert_int_equal(mkdir(path, 0700), 0);
    expect(begin(&desk, &handle_type, "a", WORKS, 60000), PHASE_FAILED, ERROR_DENIED, 0);
    assert_int_equal(rmdir(path), 0);
    free(path);
    close_desk(&desk);
}

static void made_and_told(void **state)
{
    (void)state;
    Desk desk;
    Error error;
    open_desk(&desk);
    Spec *spec = mem_new(sizeof(*spec));
    assert_true(spec_read(NULL, "new", 2, spec, &error));
    OperationState ended = finish(operations_create(desk.operations, &desk.backend, spec, plan_new(CHANGE_CREATE, NULL), 60000));
    assert_int_equal(ended.phase, PHASE_DONE);
    assert_string_equal(ended.outcome.id, "prod/new");
    operation_state_done(&ended);
    close_desk(&desk);
}

static void one_at_a_time_of_a_cluster(void **state)
{
    (void)state;
    Desk desk;
    open_desk(&desk);
    for (int i = 0; i < 4; i++)
        desk.many[i] = begin(&desk, &handle_type, "a", WAITS, 60000);
    EVENTUALLY(atomic_load(&applied) == 1);
    assert_int_equal(operations_running(desk.operations), 4);
    poll(NULL, 0, 20);
    assert_int_equal(atomic_load(&applied), 1);
    atomic_store(&gate, true);
    for (int i = 0; i < 4; i++) {
        OperationState ended = finish(desk.many[i]);
        assert_int_equal(ended.phase, PHASE_DONE);
        operation_state_done(&ended);
    }
    assert_int_equal(atomic_load(&most_running), 1);
    close_desk(&desk);
}

static void clusters_side_by_side_up_to_eight(void **state)
{
    (void)state;
    Desk desk;
    open_desk(&desk);
    expect(begin(&desk, &handle_type, "first", WORKS, 60000), PHASE_DONE, ERROR_OK, 1);
    poll(NULL, 0, 20); /* its thread idles by now: it is one, and does not stand for all that come */
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof(id), "c%d", i);
        desk.many[i] = begin(&desk, &handle_type, id, WAITS, 60000);
    }
    EVENTUALLY(atomic_load(&now_running) == 8);
    atomic_store(&gate, true);
    for (int i = 0; i < 20; i++) {
        OperationState ended = finish(desk.many[i]);
        assert_int_equal(ended.phase, PHASE_DONE);
        operation_state_done(&ended);
    }
    assert_int_equal(atomic_load(&most_running), 8);
    Operation **list;
    assert_int_equal(operations_list(desk.operations, &list), 21);
    OperationState newest = operation_state(list[0]), oldest = operation_state(list[20]);
    assert_int_equal(newest.number, 21);
    assert_string_equal(oldest.id, "prod/first");
    operation_state_done(&newest);
    operation_state_done(&oldest);
    for (int i = 0; i < 21; i++)
        operation_drop(list[i]);
    free(list);
    close_desk(&desk);
    assert_int_equal(atomic_load(&closed), 21);
}

static void cancelled_while_it_waits(void **state)
{
    (void)state;
    Desk desk;
    open_desk(&desk);
    Operation *first = begin(&desk, &handle_type, "a", WAITS, 60000), *second = begin(&desk, &handle_type, "a", WORKS, 60000);
    EVENTUALLY(atomic_load(&applied) == 1);
    operation_cancel(second);
    operation_cancel(second);
    expect(second, PHASE_CANCELLED, ERROR_CANCELLED, 1); /* at once, while the first still runs */
    assert_int_equal(operations_running(desk.operations), 1);
    operation_cancel(first);
    expect(first, PHASE_CANCELLED, ERROR_CANCELLED, 1);
    assert_int_equal(journal_lines("begin"), 1);
    assert_int_equal(journal_lines("end"), 1); /* somebody cancelled it: that is known */
    close_desk(&desk);
    assert_int_equal(atomic_load(&closed), 2);
}

static void the_end_of_the_program_leaves_begin_alone(void **state)
{
    (void)state;
    Desk desk;
    open_desk(&desk);
    Operation *running = begin(&desk, &handle_type, "a", WAITS, 60000), *waiting = begin(&desk, &handle_type, "a", WORKS, 60000);
    EVENTUALLY(atomic_load(&applied) == 1);
    assert_true(operations_stop(desk.operations, 60000));
    expect(running, PHASE_UNKNOWN, ERROR_CANCELLED, 1);
    expect(waiting, PHASE_CANCELLED, ERROR_CANCELLED, 1);
    Operation *after = begin(&desk, &handle_type, "b", WORKS, 60000);
    expect(after, PHASE_FAILED, ERROR_INTERNAL, 1);
    assert_int_equal(journal_lines("begin"), 1);
    assert_int_equal(journal_lines("end"), 0);
    JournalEntry *entries;
    size_t count, bad;
    assert_true(journal_read(desk.journal, TIME_UNKNOWN, &entries, &count, &bad, NULL));
    assert_int_equal(count, 1);
    assert_int_equal(entries[0].phase, PHASE_UNKNOWN);
    assert_int_equal(entries[0].end_ms, TIME_UNKNOWN);
    journal_entries_free(entries, count);
    close_desk(&desk);
    assert_int_equal(atomic_load(&closed), 3);
}

/* Many threads at all doors at once: for the thread checks. */
static void *hammer(void *argument)
{
    Desk *desk = argument;
    for (int i = 0; i < 30; i++) {
        char id[16];
        snprintf(id, sizeof(id), "c%d", i % 5);
        Operation *operation = begin(desk, &handle_type, id, i % 3 ? WORKS : FAILS, 60000);
        if (i % 4 == 0)
            operation_cancel(operation);
        OperationState state = operation_state(operation);
        operation_state_done(&state);
        Operation **list;
        for (size_t n = operations_list(desk->operations, &list); n-- > 0;)
            operation_drop(list[n]);
        free(list);
        state = finish(operation);
        operation_state_done(&state);
    }
    return NULL;
}

static void all_at_once(void **state)
{
    (void)state;
    Desk desk;
    pthread_t threads[4];
    open_desk(&desk);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &desk), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(journal_lines("begin"), journal_lines("end"));
    close_desk(&desk);
    assert_int_equal(atomic_load(&closed), 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(done_and_written_down, reset),
        cmocka_unit_test_setup(failure_says_what_is_left, reset),
        cmocka_unit_test_setup(read_only_is_refused, reset),
        cmocka_unit_test_setup(another_in_its_place_is_refused, reset),
        cmocka_unit_test_setup(without_identity_nothing_ends, reset),
        cmocka_unit_test_setup(without_journal_no_change, reset),
        cmocka_unit_test_setup(made_and_told, reset),
        cmocka_unit_test_setup(one_at_a_time_of_a_cluster, reset),
        cmocka_unit_test_setup(clusters_side_by_side_up_to_eight, reset),
        cmocka_unit_test_setup(cancelled_while_it_waits, reset),
        cmocka_unit_test_setup(the_end_of_the_program_leaves_begin_alone, reset),
        cmocka_unit_test_setup(all_at_once, reset),
    };
    return cmocka_run_group_tests(tests, place_begin, place_end);
}
