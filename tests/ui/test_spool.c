/* The log view's lines: what is drawn where time and level have columns of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ui/spool.h"

#include <string.h>

static void add(void *user, const LogLine *line)
{
    spool_add(user, line);
}

static void dasks_prefix_is_not_said_again(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"2026-11-23 12:34:10,474 - distributed.worker - INFO - Starting - now", "Starting - now"},
        {"distributed.nanny - WARNING - Restarting worker", "Restarting worker"},
        {"2026-11-23 12:34:10,474 - distributed.worker - INFO - ", ""},
        {"copy - ERROR - a user's own words", "copy - ERROR - a user's own words"},
        {"  File \"a.py\", line 1", "  File \"a.py\", line 1"},
    };
    Spool *spool = spool_new(1 << 20);
    Logs *logs = logs_new(1 << 20, add, spool);
    const LogSink *sink = logs_sink(logs);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        sink->line(sink->user, "scheduler", 1000 + (int64_t)i, NULL, cases[i][0], strlen(cases[i][0]));
    logs_flush(logs);
    Buffer text;
    buffer_init(&text, BUFFER_ANY);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SpoolLine line;
        assert_true(spool_get(spool, i, &line, &text));
        assert_string_equal(line.text, cases[i][0]);
        assert_string_equal(line.message, cases[i][1]);
    }
    buffer_done(&text);
    logs_free(logs);
    spool_free(spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(dasks_prefix_is_not_said_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
