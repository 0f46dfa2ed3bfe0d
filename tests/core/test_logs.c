/* Lines merged by time, bounded, clean; Dask's formats. */
#include "core/make.h"

#include "core/logs.h"

#include <stdio.h>
#include <time.h>

typedef struct Seen {
    Buffer text; /* "component|level|text\n" each, notes as "component!text\n" */
    size_t lines, notes;
    int64_t last_ms;
} Seen;

static void see(void *user, const LogLine *line)
{
    Seen *seen = user;
    seen->lines += !line->note;
    seen->notes += line->note;
    seen->last_ms = line->time_ms;
    if (line->note)
        buffer_format(&seen->text, "%s!%s\n", line->component, line->text);
    else
        buffer_format(&seen->text, "%s|%s|%s\n", line->component, line->level ? line->level : "-", line->text);
}

static Logs *start(Seen *seen, size_t most)
{
    *seen = (Seen){.last_ms = TIME_UNKNOWN};
    buffer_init(&seen->text, BUFFER_ANY);
    return logs_new(most, see, seen);
}

static void end(Logs *logs, Seen *seen)
{
    logs_flush(logs);
    logs_free(logs);
    buffer_done(&seen->text);
}

static void give(Logs *logs, const char *component, int64_t time_ms, const char *text)
{
    const LogSink *sink = logs_sink(logs);
    sink->line(sink->user, component, time_ms, NULL, text, strlen(text));
}

static void merged_by_time(void **state)
{
    (void)state;
    Seen seen;
    Logs *logs = start(&seen, 1 << 20);
    give(logs, "s", 100, "s1");
    give(logs, "s", 300, "s3");
    give(logs, "s", TIME_UNKNOWN, "  of s3");
    give(logs, "s", 250, "late, but behind s3"); /* a component's own order is kept */
    give(logs, "w", TIME_UNKNOWN, "w first of all");
    give(logs, "w", 200, "w2");
    give(logs, "w", 300, "w3");
    assert_int_equal(seen.lines, 0);
    logs_sink(logs)->caught_up(logs_sink(logs)->user);
    assert_string_equal(seen.text.bytes, "w|-|w first of all\ns|-|s1\nw|-|w2\ns|-|s3\ns|-|  of s3\ns|-|late, but behind s3\nw|-|w3\n");
    buffer_clear(&seen.text);
    give(logs, "w", 900, "b"); /* later, what one round of asking gave */
    give(logs, "s", 800, "a");
    logs_sink(logs)->caught_up(logs_sink(logs)->user);
    assert_string_equal(seen.text.bytes, "s|-|a\nw|-|b\n");
    end(logs, &seen);
}

static void a_traceback_stays_together(void **state)
{
    (void)state;
    Seen seen;
    Logs *logs = start(&seen, 1 << 20);
    give(logs, "w0", TIME_UNKNOWN, "2026-11-23 06:30:02,000 - distributed.worker - ERROR - boom\nTraceback (most recent call last):\r\n  File \"x.py\"");
    give(logs, "w0", TIME_UNKNOWN, "ValueError: no - good - INFO - no level");
    give(logs, "w1", TIME_UNKNOWN, "2026-11-23 06:30:01,999 - distributed.worker - INFO - before");
    give(logs, "w1", TIME_UNKNOWN, "2026-11-23 06:30:02,001 - distributed.worker - INFO - after");
    logs_flush(logs);
    const char *text = seen.text.bytes;
    assert_non_null(strstr(text, "before\nw0|ERROR|"));
    assert_non_null(strstr(text, "boom\nw0|ERROR|Traceback (most recent call last):\nw0|ERROR|  File \"x.py\"\nw0|"));
    assert_non_null(strstr(text, "no level\nw1|INFO|"));
    end(logs, &seen);
}

static void hostile_lines_are_clean(void **state)
{
    (void)state;
    Seen seen;
    Logs *logs = start(&seen, 1 << 20);
    give(logs, "w\x1b[2J", 1, "\x1b[31mred\x1b[0m \x1b[2Jgone \x1b]0;title\x07 \xff \x1b[38:5:1mx");
    logs_flush(logs);
    assert_null(strchr(seen.text.bytes, 27));
    assert_null(strchr(seen.text.bytes, 7));
    assert_non_null(strstr(seen.text.bytes, "|red <1B>[2Jgone "));
    assert_null(strstr(seen.text.bytes, "38:5"));
    buffer_clear(&seen.text);
    const LogSink *sink = logs_sink(logs);
    char *big = mem_new(1 << 20);
    memset(big, 'x', 1 << 20);
    sink->line(sink->user, "w", 2, "A LEVEL THAT IS FAR TOO LONG", big, 1 << 20);
    sink->line(sink->user, "w", 3, NULL, "", 0);
    sink->line(sink->user, "w", 4, NULL, "\x1b[", 2);
    logs_flush(logs);
    assert_true(seen.text.length < 40000);
    assert_int_equal(seen.lines, 4);
    free(big);
    end(logs, &seen);
}

static void bounded_and_nothing_is_lost(void **state)
{
    (void)state;
    Seen seen;
    enum { MANY = 20000 };
    Logs *logs = start(&seen, 64 << 10);
    for (int i = 0; i < MANY; i++) {
        char text[64];
        snprintf(text, sizeof(text), "line %d of many", i);
        give(logs, i % 2 ? "s" : "w", i, text);
        if (i == 10000)
            assert_true(seen.lines > 9000 && seen.lines < 10000); /* early, and not all */
    }
    logs_sink(logs)->caught_up(logs_sink(logs)->user);
    assert_int_equal(seen.lines, MANY);
    assert_int_equal(seen.notes, 1);
    size_t early = 0;
    assert_int_equal(sscanf(strstr(seen.text.bytes, "\n!") + 2, "%zu lines were shown", &early), 1); /* counted */
    assert_true(early > 9000 && early <= MANY);
    for (int i = 0; i < 10000; i++) /* after that too: 10,000 wide lines must not be held at once */
        give(logs, "w", MANY + i, "wide wide wide wide wide wide wide wide wide wide wide wide wide");
    assert_true(seen.lines > MANY + 9000);
    logs_flush(logs);
    assert_int_equal(seen.lines, MANY + 10000);
    assert_int_equal(seen.notes, 1); /* following is early by nature */
    end(logs, &seen);
}

static void notes_are_told(void **state)
{
    (void)state;
    Seen seen;
    Logs *logs = start(&seen, 1 << 20);
    const LogSink *sink = logs_sink(logs);
    give(logs, "w", 100, "one");
    sink->dropped(sink->user, "w", 7);
    give(logs, "w", 200, "two");
    sink->note(sink->user, "s", "its pod is gone\x1b[2J");
    sink->note(sink->user, NULL, "about all");
    logs_flush(logs);
    assert_int_equal(seen.notes, 3);
    assert_non_null(strstr(seen.text.bytes, "w|-|one\nw!7 lines were lost"));
    assert_non_null(strstr(seen.text.bytes, "s!its pod is gone<1B>[2J\n"));
    assert_non_null(strstr(seen.text.bytes, "!about all\n"));
    give(logs, "w", 300, "held when it is freed");
    logs_free(logs);
    buffer_done(&seen.text);
}

static void keep_raw(void *user, const LogLine *line)
{
    Seen *seen = user;
    assert_null(line->text);
    seen->lines++;
    seen->last_ms = line->sort_ms;
    buffer_add(&seen->text, line->raw, line->raw_length);
    buffer_char(&seen->text, '\n');
}

/* A reader that sanitises what it shows gets each byte, and where the line belongs. */
static void raw_lines_are_as_they_came(void **state)
{
    (void)state;
    Seen seen = {.last_ms = TIME_UNKNOWN};
    buffer_init(&seen.text, BUFFER_ANY);
    Logs *logs = logs_new(1 << 20, keep_raw, &seen);
    logs_only_raw(logs);
    const LogSink *sink = logs_sink(logs);
    sink->line(sink->user, "w", 5, NULL, "a\0\x1b[31mb\xff", 9);
    sink->line(sink->user, "w", TIME_UNKNOWN, NULL, "of the one before", 17);
    sink->dropped(sink->user, "w", -1);
    logs_flush(logs);
    assert_memory_equal(seen.text.bytes, "a\0\x1b[31mb\xff\nof the one before\nsome lines were lost", 48);
    assert_int_equal(seen.last_ms, 5);
    logs_free(logs);
    buffer_done(&seen.text);
    assert_int_equal(logs_colour("\x1b[1;38:5:3mx", 13), 11);
    assert_int_equal(logs_colour("\x1b[2Jx", 5), 0);
    assert_int_equal(logs_colour("\x1b[12", 4), 0);
    assert_int_equal(logs_colour("\x1b", 1), 0);
}

static void formats(void **state)
{
    (void)state;
    static const struct {
        const char *text, *level;
        bool timed;
    } cases[] = {
        {"2026-11-23 06:30:00,123 - distributed.core - INFO - hello", "INFO", true},
        {"2026-11-23 06:30:00,123 - distributed.core - WARNING - a - b - c", "WARNING", true},
        {"distributed.scheduler - ERROR - x", "ERROR", false},
        {"2026-11-23 06:30:00 - x - CRITICAL - y", "CRITICAL", true},
        {"2026-99-23 06:30:00,123 - x - INFO - y", "INFO", false},
        {"9999999999999999999 - x - INFO - y", "INFO", false},
        {"a - b - c - INFO - too late", "", false},
        {"Traceback (most recent call last):", "", false},
        {" - - - ", "", false},
        {"INFO", "", false},
        {"", "", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int64_t time_ms;
        char level[12];
        size_t n = strlen(cases[i].text);
        char *exact = mem_new(n); /* no byte behind it, for the address checks */
        memcpy(exact, cases[i].text, n);
        logs_parse(exact, n, &time_ms, level);
        assert_string_equal(level, cases[i].level);
        assert_int_equal(time_ms != TIME_UNKNOWN, cases[i].timed);
        free(exact);
    }
    int64_t time_ms;
    char level[12];
    setenv("TZ", "UTC", 1);
    tzset();
    logs_parse(cases[0].text, strlen(cases[0].text), &time_ms, level);
    assert_int_equal(time_ms, time_parse("2026-11-23T06:30:00.123Z"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merged_by_time), cmocka_unit_test(a_traceback_stays_together), cmocka_unit_test(hostile_lines_are_clean),
        cmocka_unit_test(bounded_and_nothing_is_lost), cmocka_unit_test(notes_are_told), cmocka_unit_test(formats),
        cmocka_unit_test(raw_lines_are_as_they_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
