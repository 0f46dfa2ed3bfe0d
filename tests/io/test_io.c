#include "base/clock.h"
#include "io/io.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static Context limit(int64_t ms) {
    return context_new(NULL, ms);
}

static void test_empty(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    Context context = limit(20);
    Error error = {0};
    bool never = false;
    assert_false(io_until(io, &context, &never, &error));
    assert_int_equal(error.code, ERROR_TIMEOUT);
    io_free(io);
    io_free(NULL);
}

static void *cancel_soon(void *user) {
    usleep(20000);
    cancel_ask(user);
    return NULL;
}

static void test_cancel_from_another_thread(void **state) {
    (void)state;
    Cancel cancel;
    assert_true(cancel_init(&cancel));
    Context context = context_new(&cancel, -1);
    Io *io = io_new(NULL);
    Error error = {0};
    pthread_t thread;
    pthread_create(&thread, NULL, cancel_soon, &cancel);
    assert_false(io_sleep(io, &context, 60000, &error));
    assert_int_equal(error.code, ERROR_CANCELLED);
    pthread_join(thread, NULL);
    io_free(io);
    cancel_done(&cancel);
}

typedef struct Order {
    Io *io;
    char text[16];
    size_t n;
    IoTimer *other;
    int again;
} Order;

static void add_a(void *user) {
    Order *order = user;
    order->text[order->n++] = 'a';
}

static void add_b_cancel_other(void *user) {
    Order *order = user;
    order->text[order->n++] = 'b';
    io_timer_cancel(order->other);
}

static void again(void *user) {
    Order *order = user;
    order->again++;
    io_after(order->io, 0, again, order);
}

static void test_timers(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    Context context = limit(10000);
    Order order = {.io = io};
    io_after(io, 2, add_b_cancel_other, &order);
    order.other = io_after(io, 30, add_a, &order);
    io_after(io, 1, add_a, &order);
    io_timer_cancel(io_after(io, 0, add_a, &order));
    assert_true(io_sleep(io, &context, 60, NULL));
    assert_string_equal(order.text, "ab");
    io_free(io);
}

static void test_timer_that_starts_itself_does_not_hold_a_turn(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    Context context = limit(10000);
    Order order = {.io = io};
    io_after(io, 0, again, &order);
    assert_true(io_turn(io, &context, NULL));
    assert_int_equal(order.again, 1);
    io_free(io);
}

typedef struct Pipes {
    IoWatch *watches[2];
    int fds[2][2];
    int called;
    short events;
    bool done;
} Pipes;

static void unwatch_both(void *user, int fd, short events) {
    Pipes *pipes = user;
    (void)fd;
    pipes->called++;
    pipes->events = events;
    pipes->done = true;
    for (int i = 0; i < 2; i++)
        io_unwatch(pipes->watches[i]);
}

static void open_pipes(Pipes *pipes) {
    *pipes = (Pipes){0};
    for (int i = 0; i < 2; i++)
        assert_int_equal(pipe(pipes->fds[i]), 0);
}

static void close_pipes(Pipes *pipes) {
    for (int i = 0; i < 4; i++)
        if (pipes->fds[i / 2][i % 2] >= 0)
            close(pipes->fds[i / 2][i % 2]);
}

static void test_unwatch_inside(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    Context context = limit(10000);
    Pipes pipes;
    open_pipes(&pipes);
    for (int i = 0; i < 2; i++) {
        pipes.watches[i] = io_watch(io, pipes.fds[i][0], POLLIN, unwatch_both, &pipes);
        assert_int_equal(write(pipes.fds[i][1], "x", 1), 1);
    }
    assert_true(io_turn(io, &context, NULL));
    assert_int_equal(pipes.called, 1); /* the second was ready too, but the first one ended it */
    close_pipes(&pipes);
    io_free(io);
}

static void test_hangup_is_told(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    Context context = limit(10000);
    Pipes pipes;
    open_pipes(&pipes);
    pipes.watches[0] = io_watch(io, pipes.fds[0][0], POLLIN, unwatch_both, &pipes);
    close(pipes.fds[0][1]);
    pipes.fds[0][1] = -1;
    assert_true(io_until(io, &context, &pipes.done, NULL));
    assert_true(pipes.events & POLLHUP);
    close_pipes(&pipes);
    io_free(io);
}

static void count(void *user, int fd, short events) {
    (void)fd;
    (void)events;
    ++*(int *)user;
}

static void test_asleep(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    Context context = limit(10000);
    Pipes pipes;
    int called = 0;
    open_pipes(&pipes);
    IoWatch *watch = io_watch(io, pipes.fds[0][0], POLLIN, count, &called);
    assert_int_equal(write(pipes.fds[0][1], "x", 1), 1);
    close(pipes.fds[0][1]); /* a hang-up must not turn a sleeper into a busy loop */
    pipes.fds[0][1] = -1;
    io_watch_events(watch, 0);
    assert_true(io_sleep(io, &context, 20, NULL));
    assert_int_equal(called, 0);
    io_watch_events(watch, POLLIN);
    assert_true(io_turn(io, &context, NULL));
    assert_int_equal(called, 1);
    close_pipes(&pipes);
    io_free(io);
}

typedef struct Nested {
    Io *io;
    IoWatch *self;
    bool done;
} Nested;

static void turn_inside(void *user, int fd, short events) {
    Nested *nested = user;
    (void)fd;
    (void)events;
    Context context = limit(10000);
    io_unwatch(nested->self);
    assert_true(io_sleep(nested->io, &context, 5, NULL));
    nested->done = true;
}

static void test_turns_inside_turns(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    Context context = limit(10000);
    Pipes pipes;
    open_pipes(&pipes);
    Nested nested = {.io = io};
    nested.self = io_watch(io, pipes.fds[0][1], POLLOUT, turn_inside, &nested);
    assert_true(io_until(io, &context, &nested.done, NULL));
    close_pipes(&pipes);
    io_free(io);
}

static void nothing(int number) {
    (void)number;
}

static void *interrupt(void *user) {
    for (int i = 0; i < 5; i++) {
        usleep(3000);
        pthread_kill(*(pthread_t *)user, SIGUSR1);
    }
    return NULL;
}

static void test_signals_do_not_end_it(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    Context context = limit(10000);
    struct sigaction action = {.sa_handler = nothing};
    sigaction(SIGUSR1, &action, NULL);
    pthread_t me = pthread_self(), thread;
    pthread_create(&thread, NULL, interrupt, &me);
    int64_t before = clock_mono_ms();
    assert_true(io_sleep(io, &context, 50, NULL));
    assert_true(clock_mono_ms() - before >= 50);
    pthread_join(thread, NULL);
    io_free(io);
}

static void test_free_with_everything_in_it(void **state) {
    (void)state;
    Io *io = io_new(NULL);
    int called = 0;
    Order order = {0};
    Pipes pipes;
    open_pipes(&pipes);
    io_watch(io, pipes.fds[0][1], POLLOUT, count, &called);
    io_after(io, 0, add_a, &order);
    io_free(io);
    assert_int_equal(called, 0);
    assert_int_equal(order.n, 0);
    close_pipes(&pipes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_cancel_from_another_thread),
        cmocka_unit_test(test_timers),
        cmocka_unit_test(test_timer_that_starts_itself_does_not_hold_a_turn),
        cmocka_unit_test(test_unwatch_inside),
        cmocka_unit_test(test_hangup_is_told),
        cmocka_unit_test(test_asleep),
        cmocka_unit_test(test_turns_inside_turns),
        cmocka_unit_test(test_signals_do_not_end_it),
        cmocka_unit_test(test_free_with_everything_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
