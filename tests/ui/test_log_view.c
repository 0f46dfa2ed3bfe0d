/* The log view as its page sees it: commands in, windows out; files that change under it, floods, hostile lines, long lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "ui/log_save.h"
#include "ui/log_view.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t seed = 0x9e3779b97f4a7c15u;
static unsigned next(unsigned below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 11) % below);
}

typedef struct Log {
    LogView *view;
    atomic_int alive;
    const LogWindow *window;
    LogShape shape;
} Log;

static void log_begin(Log *log, int rows, int cols)
{
    Error error;
    *log = (Log){.shape = {.rows = rows, .cols = cols, .times = false}};
    log->view = log_view_new(NULL, &log->alive, TIME_UNKNOWN, &error);
    assert_non_null(log->view);
    log_view_shape(log->view, &log->shape);
}

static void log_end(Log *log)
{
    log_view_close(log->view);
    for (int i = 0; i < 5000 && atomic_load(&log->alive); i++)
        usleep(1000);
    assert_int_equal(atomic_load(&log->alive), 0);
}

/* Until nothing is left to do. */
static const LogWindow *settle(Log *log)
{
    for (int i = 0; i < 20000; i++) {
        log->window = log_view_window(log->view, 1000);
        if (log_view_idle(log->view) && !log_view_fresh(log->view) && log->window)
            return log->window;
        usleep(500);
    }
    fail_msg("the log view does not come to rest");
    return NULL;
}

/* Files tell by themselves that they have changed. */
static void wait_for_count(Log *log, uint64_t count)
{
    for (int i = 0; i < 2000 && settle(log)->count != count; i++)
        usleep(5000);
    assert_int_equal(log->window->count, count);
}

static const char *row_text(const Log *log, size_t row)
{
    static char text[4096];
    const LogRow *found = &log->window->rows.rows[row];
    snprintf(text, sizeof text, "%.*s", (int)found->length, log->window->rows.text.bytes + found->text);
    return text;
}

static const char *last_text(const Log *log)
{
    return row_text(log, log->window->rows.count - 1);
}

typedef struct File {
    char path[64];
    int fd;
} File;

static void file_begin(File *file)
{
    snprintf(file->path, sizeof file->path, "/tmp/dasktop-view-XXXXXX");
    file->fd = mkostemp(file->path, O_CLOEXEC | O_APPEND);
    assert_true(file->fd >= 0);
}

static void file_end(File *file)
{
    close(file->fd);
    unlink(file->path);
}

static void file_write(File *file, const char *bytes, size_t n)
{
    assert_int_equal(write(file->fd, bytes, n), n);
}

static void file_lines(File *file, int from, int to)
{
    for (int i = from; i < to; i++) {
        char line[64];
        int n = snprintf(line, sizeof line, "line %d%s\n", i, i % 100 == 50 ? " needle" : "");
        file_write(file, line, (size_t)n);
    }
}

/* -------------------------------------------------------------------------------------------------------- one file */

static void follows_stops_and_comes_back(void **state)
{
    Log log;
    File file;
    (void)state;
    file_begin(&file);
    file_lines(&file, 0, 1000);
    log_begin(&log, 10, 60);
    assert_true(log_view_file(log.view, "w", file.path, file.fd));
    settle(&log);
    assert_true(log.window->follow);
    assert_int_equal(log.window->rows.count, 10);
    assert_string_equal(last_text(&log), "line 999");
    assert_int_equal(log.window->count, 1000);
    assert_int_equal(log.window->top, 990);
    file_lines(&file, 1000, 1010);
    settle(&log);
    wait_for_count(&log, 1010);
    assert_string_equal(last_text(&log), "line 1009");
    log_view_move(log.view, -1);
    settle(&log);
    assert_false(log.window->follow);
    assert_string_equal(last_text(&log), "line 1008");
    file_lines(&file, 1010, 1020);
    wait_for_count(&log, 1020);
    assert_string_equal(last_text(&log), "line 1008"); /* it does not move under one's eyes */
    log_view_turn_page(log.view, 2);
    settle(&log);
    assert_string_equal(last_text(&log), "line 1017");
    log_view_turn_page(log.view, 2);
    settle(&log);
    assert_true(log.window->follow); /* the end was come to */
    assert_string_equal(last_text(&log), "line 1019");
    log_view_top(log.view);
    settle(&log);
    assert_string_equal(row_text(&log, 0), "line 0");
    log_view_goto(log.view, 501);
    settle(&log);
    assert_string_equal(row_text(&log, 0), "line 500");
    assert_int_equal(log.window->top, 500);
    log_view_goto_part(log.view, 100);
    settle(&log);
    assert_string_equal(last_text(&log), "line 1019");
    log_end(&log);
    file_end(&file);
}

static void filter_shows_only_what_fits(void **state)
{
    Log log;
    File file;
    (void)state;
    file_begin(&file);
    file_lines(&file, 0, 30000);
    log_begin(&log, 10, 60);
    log_view_file(log.view, "w", file.path, file.fd);
    log_view_narrow(log.view, -1, log_pattern_new("needle", NULL));
    settle(&log);
    assert_int_equal(log.window->count, 300);
    assert_string_equal(last_text(&log), "line 29950 needle");
    assert_string_equal(row_text(&log, 0), "line 29050 needle");
    file_lines(&file, 30000, 30100);
    wait_for_count(&log, 301);
    assert_string_equal(last_text(&log), "line 30050 needle");
    log_view_top(log.view);
    settle(&log);
    assert_string_equal(row_text(&log, 0), "line 50 needle");
    log_view_narrow(log.view, -1, log_pattern_new("nothing like it", NULL));
    settle(&log);
    assert_int_equal(log.window->rows.count, 0);
    assert_true(log.window->numbered);
    log_view_narrow(log.view, 7, NULL); /* a component that has no line here */
    settle(&log);
    assert_int_equal(log.window->rows.count, 0);
    log_view_narrow(log.view, -1, NULL);
    settle(&log);
    assert_int_equal(log.window->count, 30100);
    log_end(&log);
    file_end(&file);
}

/* What is searched for before anything has come is found when it comes; "since" begins at the beginning of a line. */
static void early_search_and_since(void **state)
{
    Log log;
    File file;
    Error error;
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    file_begin(&file);
    for (int i = 0; i < 3600; i++) {
        char line[128];
        int n = snprintf(line, sizeof line, "2026-11-23 10:%02d:%02d,000 - distributed.core - INFO - line %d\n", i / 60, i % 60, i);
        file_write(&file, line, (size_t)n);
    }
    log = (Log){.shape = {.rows = 5, .cols = 100, .times = true}};
    log.view = log_view_new(NULL, &log.alive, time_parse("2026-11-23T10:30:00Z"), &error);
    assert_non_null(log.view);
    log_view_shape(log.view, &log.shape);
    log_view_search(log.view, log_pattern_new("line 19\\d\\d", NULL), 1);
    settle(&log);
    log_view_file(log.view, "w", file.path, file.fd);
    settle(&log);
    assert_int_equal(log.window->count, 1800);
    bool found = false;
    for (size_t row = 0; row < log.window->rows.count; row++)
        found = found || (log.window->rows.rows[row].found && strncmp(row_text(&log, row), "line 19", 7) == 0);
    assert_true(found);
    log_view_top(log.view);
    settle(&log);
    assert_string_equal(row_text(&log, 0), "line 1800");
    log_end(&log);
    file_end(&file);
}

/* Matches come one after another, in both directions and around, as a plain look through all lines finds them. */
static void search_finds_what_grep_finds(void **state)
{
    static const char *const patterns[] = {"ab", "^a", "c$", "b.*d", "Abc", "(?i)DA", "[^a-d]", "a{3}", "d+c"};
    (void)state;
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        Log log;
        File file;
        size_t capacity = 0, count = 0, total = 20000;
        uint64_t *found = NULL;
        LogPattern *plain = log_pattern_new(patterns[p], NULL);
        file_begin(&file);
        for (size_t i = 0; i < total; i++) {
            char line[40];
            size_t n = 0, begin, end;
            for (unsigned k = next(24); k-- > 0;)
                line[n++] = next(2000) == 0 ? 'X' : (char)("abcd"[next(4)] - (next(500) == 0 ? 32 : 0));
            if (log_pattern_find(plain, line, n, 0, &begin, &end)) {
                found = mem_grow(found, count, &capacity, sizeof *found);
                found[count++] = i;
            }
            line[n++] = '\n';
            file_write(&file, line, n);
        }
        assert_true(count > 3);
        log_begin(&log, 12, 60);
        log_view_file(log.view, "w", file.path, file.fd);
        settle(&log);
        log_view_search(log.view, log_pattern_new(patterns[p], NULL), 0);
        size_t at = count - 1;
        for (int i = 0; i < 60; i++) {
            settle(&log);
            size_t shown = 0;
            for (size_t row = 0; row < log.window->rows.count; row++)
                if (log.window->rows.rows[row].found) {
                    shown++;
                    assert_int_equal(log.window->top + row, found[at]);
                }
            assert_int_equal(shown, 1);
            int step = next(3) == 0 ? -1 : 1;
            at = (at + (step > 0 ? 1 : count - 1)) % count;
            log_view_search_on(log.view, step);
        }
        log_view_search(log.view, log_pattern_new("nothing like it", NULL), 1);
        settle(&log);
        assert_true(log.window->failed);
        assert_non_null(strstr(log.window->said, "not found"));
        log_end(&log);
        file_end(&file);
        log_pattern_free(plain);
        free(found);
    }
}

static void files_change_while_they_are_read(void **state)
{
    Log log;
    File file;
    char old[80];
    (void)state;
    file_begin(&file);
    file_lines(&file, 0, 5000);
    log_begin(&log, 10, 60);
    log_view_file(log.view, "w", file.path, file.fd);
    settle(&log);
    assert_int_equal(ftruncate(file.fd, 0), 0);
    file_lines(&file, 7000, 7100);
    wait_for_count(&log, 100);
    assert_string_equal(last_text(&log), "line 7099");
    assert_int_equal(log.window->lost, 5000); /* it is said */
    assert_non_null(strstr(log.window->said, "cut short"));
    snprintf(old, sizeof old, "%s.1", file.path);
    assert_int_equal(rename(file.path, old), 0); /* rotation */
    file_lines(&file, 7100, 7110);               /* its writer has the old one still */
    int fd = open(file.path, O_CREAT | O_WRONLY | O_CLOEXEC | O_APPEND, 0600);
    close(file.fd);
    file.fd = fd;
    file_lines(&file, 7110, 7120);
    wait_for_count(&log, 120);
    assert_string_equal(last_text(&log), "line 7119");
    assert_string_equal(row_text(&log, 0), "line 7110");
    log_view_move(log.view, -10);
    settle(&log);
    assert_string_equal(last_text(&log), "line 7109");
    log_end(&log);
    unlink(old);
    file_end(&file);
}

/* ------------------------------------------------------------------------------------------------------ several sources */

typedef struct Stamped {
    int64_t second;
    int file, number;
} Stamped;

static int by_time(const void *a, const void *b)
{
    const Stamped *x = a, *y = b;
    if (x->second != y->second)
        return x->second < y->second ? -1 : 1;
    return x->file != y->file ? x->file - y->file : x->number - y->number;
}

static void components_are_merged_by_time(void **state)
{
    enum { FILES = 7, LINES = 2000 };
    static Stamped lines[FILES * LINES];
    Log log;
    File files[FILES];
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    log_begin(&log, 12, 120);
    size_t total = 0;
    for (int f = 0; f < FILES; f++) {
        char name[16];
        int64_t second = 0;
        file_begin(&files[f]);
        for (int i = 0; i < LINES; i++) {
            char line[128];
            second += next(f + 2);
            lines[total++] = (Stamped){second, f, i};
            int n = snprintf(line, sizeof line, "2026-11-23 %02d:%02d:%02d,000 - distributed.worker - INFO - file %d line %d\n",
                             (int)(second / 3600 % 24), (int)(second / 60 % 60), (int)(second % 60), f, i);
            file_write(&files[f], line, (size_t)n);
        }
        snprintf(name, sizeof name, "worker-%d", f);
        assert_true(log_view_file(log.view, name, files[f].path, files[f].fd));
    }
    qsort(lines, total, sizeof *lines, by_time);
    settle(&log);
    assert_int_equal(log.window->count, total);
    for (int i = 0; i < 400; i++) { /* anywhere, and a few steps from there */
        unsigned where = next(9);
        unsigned wanted = next((unsigned)total - 12);
        if (where == 8)
            log_view_goto(log.view, wanted + 1);
        else if (where == 0)
            log_view_top(log.view);
        else if (where == 1)
            log_view_bottom(log.view);
        else if (where == 2)
            log_view_goto_part(log.view, (int)next(101));
        else
            log_view_move(log.view, (long)next(400) - 200);
        settle(&log);
        if (where == 8)
            assert_int_equal(log.window->top, wanted);
        for (size_t row = 0; row < log.window->rows.count; row++) {
            char text[64];
            const Stamped *line = &lines[log.window->top + row];
            snprintf(text, sizeof text, "file %d line %d", line->file, line->number);
            assert_non_null(strstr(row_text(&log, row), text));
            assert_int_equal(log.window->rows.rows[row].component, line->file);
        }
    }
    log_view_goto_time(log.view, time_parse("2026-11-23T00:20:00Z"));
    settle(&log);
    assert_true(log.window->rows.rows[0].time_ms >= time_parse("2026-11-23T00:20:00Z"));
    assert_true(lines[log.window->top - 1].second < 1200);
    log_view_search(log.view, log_pattern_new("file 3 line 1000$", NULL), 1);
    settle(&log);
    log_view_narrow(log.view, 3, NULL);
    settle(&log);
    assert_int_equal(log.window->count, LINES);
    log_end(&log);
    for (int f = 0; f < FILES; f++)
        file_end(&files[f]);
}

/* Lines without any time stand behind the ones before, or where their file was written last. */
static void untimed_lines_keep_their_place(void **state)
{
    Log log;
    File timed, untimed;
    (void)state;
    file_begin(&timed);
    file_begin(&untimed);
    for (int i = 0; i < 200000; i++)
        file_write(&untimed, "a word\n", 7);
    for (int i = 0; i < 1000; i++) {
        char line[128];
        int n = snprintf(line, sizeof line, "2020-11-23 10:%02d:%02d,000 - distributed.core - ERROR - line %d\n  Traceback %d\n", i / 60, i % 60, i, i);
        file_write(&timed, line, (size_t)n);
    }
    log_begin(&log, 20, 120);
    log_view_file(log.view, "a", untimed.path, untimed.fd);
    log_view_file(log.view, "b", timed.path, timed.fd);
    settle(&log);
    assert_int_equal(log.window->count, 202000);
    assert_string_equal(last_text(&log), "a word"); /* written just now */
    log_view_top(log.view);
    settle(&log);
    for (int i = 0; i < 20; i += 2) {
        char text[32];
        snprintf(text, sizeof text, "  Traceback %d", i / 2);
        assert_string_equal(row_text(&log, (size_t)i + 1), text);
    }
    log_view_goto(log.view, 2000);
    settle(&log);
    assert_string_equal(row_text(&log, 0), "  Traceback 999");
    assert_string_equal(row_text(&log, 1), "a word");
    log_view_goto_time(log.view, time_parse("2020-11-23T10:10:00Z"));
    settle(&log);
    assert_non_null(strstr(row_text(&log, 0), "line 600"));
    log_end(&log);
    file_end(&timed);
    file_end(&untimed);
}

/* ------------------------------------------------------------------------------------------------------------- a flood */

typedef struct Flood {
    LogView *view;
    int lines;
} Flood;

static void *flood_main(void *user)
{
    const Flood *flood = user;
    char text[160];
    memset(text, '.', sizeof text);
    for (int i = 0; i < flood->lines; i++) {
        int n = snprintf(text, 40, "flood %d", i);
        text[n] = ' ';
        LogLine line = {.component = i % 3 ? "worker-0" : "scheduler", .raw = text, .raw_length = sizeof text, .time_ms = 1000 + i, .sort_ms = 1000 + i};
        log_view_line(flood->view, &line);
    }
    return NULL;
}

/* More than the ring holds, while keys are pressed: each is answered, and shown and dropped lines together are all that came. */
static void flood_is_counted(void **state)
{
    Log log;
    pthread_t thread;
    (void)state;
    log_begin(&log, 20, 80);
    Flood flood = {log.view, 2000000};
    assert_int_equal(pthread_create(&thread, NULL, flood_main, &flood), 0);
    for (int i = 0; i < 200; i++) {
        switch (next(5)) {
        case 0: log_view_top(log.view); break;
        case 1: log_view_bottom(log.view); break;
        case 2: log_view_move(log.view, (long)next(100) - 50); break;
        case 3: log_view_search(log.view, log_pattern_new("flood \\d+7 ", NULL), next(2) ? 1 : -1); break;
        default: log_view_narrow(log.view, (int)next(3) - 1, next(2) ? log_pattern_new("9", NULL) : NULL);
        }
        log.window = log_view_window(log.view, 10000);
        assert_non_null(log.window);
    }
    pthread_join(thread, NULL);
    log_view_narrow(log.view, -1, NULL);
    log_view_search(log.view, NULL, 0);
    log_view_bottom(log.view);
    settle(&log);
    char last[32];
    snprintf(last, sizeof last, "flood %d ", flood.lines - 1);
    assert_non_null(strstr(last_text(&log), last));
    assert_int_equal(log.window->count, flood.lines);
    assert_true(log.window->dropped > 0);
    log_view_top(log.view);
    settle(&log);
    snprintf(last, sizeof last, "flood %d ", (int)log.window->dropped);
    assert_non_null(strstr(row_text(&log, 0), last)); /* the first that is there follows those that were dropped */
    log_view_lost(log.view, 5);
    log_view_lost(log.view, -1);
    for (int i = 0; i < 100 && log.window->lost != 5; i++)
        settle(&log);
    assert_int_equal(log.window->lost, 5);
    assert_true(log.window->lost_more);
    log_end(&log);
}

/* ------------------------------------------------------------------------------------------------------------- drawing */

static void colours_are_kept_and_nothing_else(void **state)
{
    static const char text[] = "\x1b[1;31mred\x1b[0m \x1b[38;5;123mc\x1b[48;2;255;0;0md\x1b[m \x1b[2J\x1b]0;t\x07\xe2\x80\xae \xff\0x\ty\r\n";
    Log log;
    File file;
    (void)state;
    file_begin(&file);
    file_write(&file, text, sizeof text - 1);
    log_begin(&log, 3, 120);
    log_view_file(log.view, "w", file.path, file.fd);
    settle(&log);
    assert_string_equal(row_text(&log, 0), "red cd <1B>[2J<1B>]0;t<07><U+202E> \xef\xbf\xbd<00>x y");
    const LogRow *row = &log.window->rows.rows[0];
    const LogInk *ink = &log.window->rows.inks[row->ink];
    assert_int_equal(row->inks, 3);
    assert_true(ink[0].col == 0 && ink[0].cells == 3 && ink[0].front == 2 && ink[0].flags == CELL_BOLD);
    assert_true(ink[1].col == 4 && ink[1].cells == 1 && ink[1].front == 124 && ink[1].back == 0);
    assert_true(ink[2].col == 5 && ink[2].cells == 1 && ink[2].front == 124 && ink[2].back == 1 + 196);
    log_view_search(log.view, log_pattern_new("red c", NULL), 1); /* through the colours */
    settle(&log);
    row = &log.window->rows.rows[0];
    ink = &log.window->rows.inks[row->ink];
    int matched = 0;
    for (size_t i = 0; i < row->inks; i++)
        matched += ink[i].match ? ink[i].cells : 0;
    assert_int_equal(matched, 5);
    log_end(&log);
    file_end(&file);
}

/* A line of a megabyte: all of it can be seen, by wrapping and by going sideways, and a match in its middle is shown. */
static void long_lines_are_whole(void **state)
{
    enum { WIDE = 1 << 20 };
    Log log;
    File file;
    char *text = mem_new(WIDE);
    (void)state;
    for (int i = 0; i < WIDE; i++)
        text[i] = (char)('a' + i % 26);
    memcpy(text + 700000, "NEEDLE", 6);
    file_begin(&file);
    file_write(&file, "before\n", 7);
    file_write(&file, text, WIDE);
    file_write(&file, "\nbehind", 7);
    log_begin(&log, 8, 40);
    log_view_file(log.view, "w", file.path, file.fd);
    settle(&log);
    assert_int_equal(log.window->rows.count, 3);
    assert_true(log.window->rows.rows[1].cut_right);
    log_view_search(log.view, log_pattern_new("NEEDLE", NULL), 1);
    settle(&log);
    assert_non_null(strstr(row_text(&log, 1), "NEEDLE"));
    log_view_search(log.view, NULL, 0);
    log.shape.wrap = true;
    log_view_shape(log.view, &log.shape);
    log_view_bottom(log.view);
    settle(&log);
    assert_string_equal(last_text(&log), "behind");
    int width = log.window->columns.text_cells, rows = (WIDE + width - 1) / width, seen = 0;
    log_view_top(log.view);
    settle(&log);
    assert_string_equal(row_text(&log, 0), "before");
    for (int i = 1; i <= rows; i += 997, seen++) {
        log_view_top(log.view);
        log_view_move(log.view, i);
        settle(&log);
        if (log.window->follow)
            break;
        assert_memory_equal(row_text(&log, 0), text + (size_t)(i - 1) * (size_t)width, 10);
        log_view_move(log.view, -1);
        settle(&log);
        if (i > 1)
            assert_memory_equal(row_text(&log, 0), text + (size_t)(i - 2) * (size_t)width, 10);
    }
    assert_true(seen > 20);
    log_end(&log);
    file_end(&file);
    free(text);
}

/* Whatever is in the lines and whatever is pressed: each row fits, and is clean. */
static void random_keys_over_hostile_lines(void **state)
{
    Log log;
    File file;
    (void)state;
    file_begin(&file);
    for (int i = 0; i < 3000; i++) {
        char line[300];
        size_t n = next(sizeof line - 1);
        for (size_t k = 0; k < n; k++)
            line[k] = next(3) ? (char)next(256) : "\x1b[31m\xe4\xbd\xa0\xcc\x81"[next(10)];
        line[n++] = '\n';
        file_write(&file, line, n);
    }
    log_begin(&log, 10, 60);
    log_view_file(log.view, "w", file.path, file.fd);
    for (int i = 0; i < 3000; i++) {
        switch (next(9)) {
        case 0:
            log.shape = (LogShape){.rows = 1 + (int)next(30), .cols = 2 + (int)next(120), .wrap = next(2), .times = next(2)};
            log_view_shape(log.view, &log.shape);
            break;
        case 1: log_view_sideways(log.view, (long)next(80) - 40); break;
        case 2: log_view_search(log.view, log_pattern_new(next(2) ? "[^ -~]" : "a", NULL), (int)next(3) - 1); break;
        case 3: log_view_narrow(log.view, (int)next(2) - 1, next(2) ? log_pattern_new("m", NULL) : NULL); break;
        case 4: log_view_top(log.view); break;
        case 5: log_view_follow(log.view); break;
        default: log_view_move(log.view, (long)next(60) - 30);
        }
        if (next(3))
            continue;
        log.window = log_view_window(log.view, 10000);
        assert_true(log.window->rows.count <= 31);
        for (size_t row = 0; row < log.window->rows.count; row++) {
            const LogRow *one = &log.window->rows.rows[row];
            const char *text = log.window->rows.text.bytes + one->text;
            assert_true(text_is_clean(text, one->length));
            char *copy = mem_text_n(text, one->length);
            int cells = text_width(copy);
            assert_true(cells <= log.window->columns.text_cells || cells <= 10); /* one mark may be wider than the screen */
            free(copy);
        }
    }
    log_end(&log);
    file_end(&file);
}

/* A pattern that would take for ever is given up, and that is said. */
static void dear_patterns_are_given_up(void **state)
{
    Log log;
    File file;
    char line[64];
    (void)state;
    memset(line, 'a', sizeof line);
    line[63] = '\n';
    file_begin(&file);
    for (int i = 0; i < 20; i++)
        file_write(&file, line, sizeof line);
    log_begin(&log, 10, 60);
    log_view_file(log.view, "w", file.path, file.fd);
    log_view_search(log.view, log_pattern_new("(a|aa|a.)+(b|bb)+x", NULL), 1);
    settle(&log);
    assert_true(log.window->failed);
    log_view_search(log.view, log_pattern_new("^(a+)+$(?<!a)", NULL), 1);
    settle(&log);
    assert_true(log.window->given_up > 0);
    log_end(&log);
    file_end(&file);
}

/* --------------------------------------------------------------------------------------------------------------- saving */

static void saved_as_it_is_shown(void **state)
{
    Log log;
    File file, other;
    Error error;
    char path[80], text[4096];
    uint64_t lines;
    struct stat st;
    Context context = context_new(NULL, -1);
    (void)state;
    file_begin(&file);
    file_begin(&other);
    file_lines(&file, 0, 200);
    file_write(&file, "\x1b[31mred\x1b[0m\x1b[2J needle\n", 24);
    log_begin(&log, 10, 60);
    log_view_file(log.view, "w", file.path, file.fd);
    snprintf(path, sizeof path, "%s.saved", file.path);
    LogSaveWhat what = {.path = path, .filter = "needle", .component = -1};
    assert_true(log_save(log.view, &what, &context, &lines, &error));
    assert_int_equal(lines, 3);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    assert_string_equal(text, "line 50 needle\nline 150 needle\nred<1B>[2J needle\n");
    assert_false(log_save(log.view, &what, &context, &lines, &error)); /* never over something silently */
    assert_int_equal(error.code, ERROR_CONFLICT);
    what.overwrite = true;
    what.filter = NULL;
    assert_true(log_save(log.view, &what, &context, &lines, &error));
    assert_int_equal(lines, 201);
    unlink(path);
    assert_int_equal(symlink(other.path, path), 0); /* nor through a link */
    assert_false(log_save(log.view, &what, &context, &lines, &error));
    what.overwrite = false;
    assert_false(log_save(log.view, &what, &context, &lines, &error));
    assert_int_equal(fstat(other.fd, &st), 0);
    assert_int_equal(st.st_size, 0);
    unlink(path);
    Cancel cancel;
    cancel_init(&cancel);
    cancel_ask(&cancel);
    Context cancelled = context_new(&cancel, -1);
    assert_false(log_save(log.view, &what, &cancelled, &lines, &error));
    assert_int_equal(error.code, ERROR_CANCELLED);
    assert_int_equal(stat(path, &st), -1); /* no half of a file */
    cancel_done(&cancel);
    log_end(&log);
    file_end(&file);
    file_end(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_stops_and_comes_back),
        cmocka_unit_test(filter_shows_only_what_fits),
        cmocka_unit_test(early_search_and_since),
        cmocka_unit_test(search_finds_what_grep_finds),
        cmocka_unit_test(files_change_while_they_are_read),
        cmocka_unit_test(components_are_merged_by_time),
        cmocka_unit_test(untimed_lines_keep_their_place),
        cmocka_unit_test(flood_is_counted),
        cmocka_unit_test(colours_are_kept_and_nothing_else),
        cmocka_unit_test(long_lines_are_whole),
        cmocka_unit_test(random_keys_over_hostile_lines),
        cmocka_unit_test(dear_patterns_are_given_up),
        cmocka_unit_test(saved_as_it_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
