#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/context.h"
#include "base/mem.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void restore(void)
{
    ssize_t ignored = write(STDERR_FILENO, "restored ", 9);
    (void)ignored;
}

static void too_much(void)
{
    free(mem_resize(NULL, (size_t)-1 / 2, 3));
}

static void too_much_again(void)
{
    size_t capacity = (size_t)-1 / 2;
    free(mem_grow(NULL, capacity, &capacity, 1));
}

/* What a child says on standard error, and its status. */
static int in_a_child(void (*run)(void), char *said, size_t size)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        mem_on_failure(restore);
        run();
        _exit(77);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t got; n + 1 < size && (got = read(ends[0], said + n, size - n - 1)) > 0;)
        n += (size_t)got;
    said[n] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void refused_memory_ends_the_program_with_one_line(void **state)
{
    (void)state;
    char said[400];
    void (*const ways[])(void) = {too_much, too_much_again};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(in_a_child(ways[i], said, sizeof said), 1);
        assert_memory_equal(said, "restored dasktop: out of memory", 31);
        assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
    }
}

static void memory_is_cleared_and_copied(void **state)
{
    (void)state;
    char *bytes = mem_new(0);
    assert_non_null(bytes);
    free(bytes);
    assert_null(mem_text(NULL));
    assert_null(mem_text_n(NULL, 4));
    static const char open[3] = {'a', 'b', 'c'}; /* no 0 behind */
    char *text = mem_text_n(open, 3);
    assert_string_equal(text, "abc");
    free(text);
    text = mem_text_n("a\0b", 3);
    assert_string_equal(text, "a");
    free(text);
    text = mem_join("gateway://", "", "h:1", "/", NULL);
    assert_string_equal(text, "gateway://h:1/");
    free(text);
    text = mem_join("", NULL);
    assert_string_equal(text, "");
    free(text);
    int *items = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < 1000; i++) {
        items = mem_grow(items, i, &capacity, sizeof *items);
        items[i] = (int)i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    free(items);
}

static bool is_readable(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, 0) == 1;
}

static void a_wake_up_lasts_until_it_is_drained(void **state)
{
    (void)state;
    Wake wake;
    assert_true(wake_init(&wake));
    assert_false(is_readable(wake.read_fd));
    wake_drain(&wake); /* must not wait */
    for (int i = 0; i < 100000; i++)
        wake_up(&wake); /* nor this, however often */
    assert_true(is_readable(wake.read_fd));
    wake_drain(&wake);
    assert_false(is_readable(wake.read_fd));
    wake_done(&wake);
    assert_int_equal(wake.read_fd, -1);
    wake_up(&wake);
    wake_drain(&wake);
    wake_done(&wake);
}

static void *ask(void *cancel)
{
    cancel_ask(cancel);
    return NULL;
}

static void a_cancel_is_for_good(void **state)
{
    (void)state;
    Cancel cancel;
    Error error = {0};
    pthread_t thread;
    assert_true(cancel_init(&cancel));
    Context context = context_new(&cancel, -1), inner = context_within(&context, 60000);
    assert_true(context_check(&inner, "x", &error));
    assert_int_equal(pthread_create(&thread, NULL, ask, &cancel), 0);
    struct pollfd one = {.fd = context_fd(&inner), .events = POLLIN};
    assert_int_equal(poll(&one, 1, -1), 1); /* the descriptor alone must wake whoever waits */
    assert_true(cancel_asked(&cancel)); /* and the flag stands before the descriptor does */
    pthread_join(thread, NULL);
    assert_false(context_check(&inner, "n1", &error));
    assert_int_equal(error.code, ERROR_CANCELLED);
    assert_string_equal(error.where, "n1");
    assert_true(is_readable(context_fd(&context)));
    cancel_done(&cancel);
}

static void the_earlier_deadline_holds(void **state)
{
    (void)state;
    Error error = {0};
    Context never = context_new(NULL, -1), far = context_new(NULL, INT64_MAX), over = context_new(NULL, 0);
    assert_true(context_left_ms(&never) == INT64_MAX && context_left_ms(&far) == INT64_MAX && context_fd(&never) == -1);
    Context minute = context_within(&never, 60000), still = context_within(&minute, 120000), open = context_within(&minute, -1);
    assert_in_range(context_left_ms(&minute), 1, 60000);
    assert_true(still.deadline_ms == minute.deadline_ms && open.deadline_ms == minute.deadline_ms);
    assert_true(context_check(&never, "x", &error));
    assert_int_equal(context_left_ms(&over), 0);
    Context late = {NULL, clock_mono_ms() - 5000};
    assert_int_equal(context_left_ms(&late), 0);
    assert_false(context_check(&over, "x", &error));
    assert_int_equal(error.code, ERROR_TIMEOUT);
    /* who was asked to end is told so, though the time is over too */
    Cancel cancel;
    assert_true(cancel_init(&cancel));
    cancel_ask(&cancel);
    late.cancel = &cancel;
    assert_false(context_check(&late, "x", &error));
    assert_int_equal(error.code, ERROR_CANCELLED);
    cancel_done(&cancel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_memory_ends_the_program_with_one_line), cmocka_unit_test(memory_is_cleared_and_copied),
        cmocka_unit_test(a_wake_up_lasts_until_it_is_drained), cmocka_unit_test(a_cancel_is_for_good),
        cmocka_unit_test(the_earlier_deadline_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
