/* Work for the dashboard: done exactly once, on the thread that collects, whatever happens to run. */
#include "core/place.h"

#include "core/jobs.h"

#include <pthread.h>

typedef struct Task {
    atomic_int ran, done, cancelled;
    atomic_int *inside; /* how many of its lane run now */
    atomic_int *meet;   /* waits until so many have come */
    int wanted;
    pthread_t collector;
} Task;

static void run(void *user, Context *context)
{
    Task *task = user;
    atomic_fetch_add(&task->ran, 1);
    if (task->inside && atomic_fetch_add(task->inside, 1) != 0)
        abort(); /* two of one lane */
    if (task->meet)
        atomic_fetch_add(task->meet, 1);
    while (task->meet && atomic_load(task->meet) < task->wanted && context_check(context, NULL, NULL)) {
        struct pollfd wanted = {.fd = context_fd(context), .events = POLLIN};
        poll(&wanted, 1, 2);
    }
    atomic_store(&task->cancelled, !context_check(context, NULL, NULL));
    if (task->inside)
        atomic_fetch_sub(task->inside, 1);
}

static void done(void *user)
{
    Task *task = user;
    assert_true(pthread_equal(task->collector, pthread_self()));
    atomic_fetch_add(&task->done, 1);
}

static void add(Jobs *jobs, Task *task, const void *lane, const Cancel *cancel, int64_t timeout_ms)
{
    Job job = {run, done, task, lane};
    task->collector = pthread_self();
    jobs_add(jobs, &job, cancel, timeout_ms);
}

static bool all_done(Jobs *jobs, Task *tasks, size_t count)
{
    bool all = true;
    jobs_collect(jobs);
    for (size_t i = 0; i < count; i++)
        all = all && atomic_load(&tasks[i].done) == 1;
    return all;
}

static void lanes_run_one_after_another(void **state)
{
    (void)state;
    Jobs *jobs = jobs_new();
    Wake wake;
    Task tasks[60] = {0};
    atomic_int inside[3] = {0};
    assert_true(wake_init(&wake));
    jobs_on_done(jobs, &wake);
    for (int i = 0; i < 60; i++) {
        tasks[i].inside = &inside[i % 3];
        add(jobs, &tasks[i], &inside[i % 3], NULL, -1);
    }
    struct pollfd told = {.fd = wake.read_fd, .events = POLLIN};
    assert_int_equal(poll(&told, 1, 60000), 1);
    EVENTUALLY(all_done(jobs, tasks, 60));
    assert_true(jobs_stop(jobs, 60000));
    jobs_free(jobs);
    wake_done(&wake);
}

/* An idle thread that was woken for one job does not stand for the next as well. */
static void none_waits_behind_a_long_one(void **state)
{
    (void)state;
    Jobs *jobs = jobs_new();
    for (int round = 0; round < 30; round++) {
        Task first = {0}, tasks[2] = {{0}, {0}};
        atomic_int meet = 0;
        add(jobs, &first, NULL, NULL, -1);
        EVENTUALLY(all_done(jobs, &first, 1));
        for (int i = 0; i < 2; i++) {
            tasks[i].meet = &meet;
            tasks[i].wanted = 2;
            add(jobs, &tasks[i], NULL, NULL, -1);
        }
        EVENTUALLY(all_done(jobs, tasks, 2)); /* each waits for the other */
    }
    assert_true(jobs_stop(jobs, 60000));
    jobs_free(jobs);
}

static void cancelled_or_late_is_done_all_the_same(void **state)
{
    (void)state;
    Jobs *jobs = jobs_new();
    Task tasks[3] = {0};
    atomic_int never = 0;
    Cancel cancel, before;
    assert_true(cancel_init(&cancel) && cancel_init(&before));
    for (int i = 0; i < 3; i++) {
        tasks[i].meet = &never;
        tasks[i].wanted = 100;
    }
    cancel_ask(&before);
    add(jobs, &tasks[0], NULL, &before, -1); /* before it began: never runs */
    add(jobs, &tasks[1], NULL, &cancel, -1);
    add(jobs, &tasks[2], NULL, NULL, 20); /* its own time */
    EVENTUALLY(atomic_load(&tasks[1].ran) == 1);
    cancel_ask(&cancel);
    EVENTUALLY(all_done(jobs, tasks, 3));
    assert_int_equal(atomic_load(&tasks[0].ran), 0);
    assert_true(atomic_load(&tasks[1].cancelled));
    assert_true(jobs_stop(jobs, 60000));
    jobs_free(jobs);
    cancel_done(&cancel);
    cancel_done(&before);
}

static void stopping_ends_all(void **state)
{
    (void)state;
    Jobs *jobs = jobs_new();
    Task tasks[20] = {0}, after = {0};
    atomic_int never = 0;
    Cancel own;
    assert_true(cancel_init(&own));
    for (int i = 0; i < 20; i++) {
        tasks[i].meet = &never;
        tasks[i].wanted = 100;
        add(jobs, &tasks[i], NULL, i % 2 ? &own : NULL, -1); /* whoever may cancel it: the end of all does */
    }
    EVENTUALLY(atomic_load(&never) == 4); /* a small pool */
    assert_true(jobs_stop(jobs, 60000));
    int ran = 0;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(atomic_load(&tasks[i].done), 1);
        ran += atomic_load(&tasks[i].ran);
    }
    assert_int_equal(ran, 4);
    add(jobs, &after, NULL, NULL, -1);
    jobs_collect(jobs);
    assert_int_equal(atomic_load(&after.done), 1);
    assert_int_equal(atomic_load(&after.ran), 0);
    jobs_free(jobs);
    cancel_done(&own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lanes_run_one_after_another), cmocka_unit_test(none_waits_behind_a_long_one),
                                       cmocka_unit_test(cancelled_or_late_is_done_all_the_same), cmocka_unit_test(stopping_ends_all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
