/* The index of log lines against a naive model: files that grow, are cut short and written anew; the spool's ring; patterns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ui/log_lines.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Numbers that are the same in every run. */
static uint64_t seed = 88172645463325252u;
static unsigned next(unsigned below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 11) % below);
}

static LogScratch scratch;

typedef struct Model {
    char path[64];
    int fd;
    Buffer bytes;
    LogSource *source;
    LogLines lines;
    LogNarrow narrow;
    LogPattern *pattern;
} Model;

static void model_begin(Model *model, const char *pattern)
{
    *model = (Model){.narrow = {.component = -1}};
    snprintf(model->path, sizeof model->path, "/tmp/dasktop-lines-XXXXXX");
    model->fd = mkostemp(model->path, O_CLOEXEC);
    assert_true(model->fd >= 0);
    buffer_init(&model->bytes, BUFFER_ANY);
    model->source = log_source_file(model->fd, model->path, 3, NULL);
    assert_non_null(model->source);
    if (pattern)
        model->narrow.patterns[0] = model->pattern = log_pattern_new(pattern, NULL);
    log_lines_init(&model->lines, model->source, pattern ? &model->narrow : NULL, 0, &scratch);
}

static void model_end(Model *model)
{
    log_lines_done(&model->lines);
    log_source_drop(model->source);
    log_pattern_free(model->pattern);
    buffer_done(&model->bytes);
    close(model->fd);
    unlink(model->path);
}

static void model_write(Model *model, const char *bytes, size_t n)
{
    assert_int_equal(write(model->fd, bytes, n), n);
    buffer_add(&model->bytes, bytes, n);
}

static void model_turn(Model *model)
{
    if (log_source_look(model->source) == LOG_REPLACED)
        log_lines_forget(&model->lines);
    for (int i = 0; i < 100000 && log_lines_turn(&model->lines, clock_mono_us() - 1); i++) /* one block a turn */
        ;
    assert_true(log_lines_complete(&model->lines));
}

/* All starts of lines that fit, the plain way. */
static uint64_t *naive(const Model *model, size_t *count)
{
    size_t capacity = 0;
    uint64_t *starts = NULL;
    *count = 0;
    for (size_t at = 0; at < model->bytes.length;) {
        const char *line = model->bytes.bytes + at, *newline = memchr(line, '\n', model->bytes.length - at);
        size_t n = newline ? (size_t)(newline - line) : model->bytes.length - at, begin, end;
        if (!model->pattern || log_pattern_find(model->pattern, line, n, 0, &begin, &end)) {
            starts = mem_grow(starts, *count, &capacity, sizeof *starts);
            starts[(*count)++] = at;
        }
        at += n + 1;
    }
    return starts;
}

static void model_check(Model *model)
{
    size_t count;
    uint64_t *starts = naive(model, &count), at;
    assert_int_equal(model->lines.sum, count);
    for (int i = 0; i < 20 && count; i++) {
        size_t n = next((unsigned)count);
        uint64_t where = starts[n];
        assert_int_equal(log_lines_number(&model->lines, where), n);
        assert_true(log_lines_at(&model->lines, n, &at));
        assert_int_equal(at, where);
        assert_true(log_lines_next(&model->lines, where, &at));
        assert_int_equal(at, where);
        assert_int_equal(log_lines_next(&model->lines, where + 1, &at), n + 1 < count);
        if (n + 1 < count)
            assert_int_equal(at, starts[n + 1]);
        assert_int_equal(log_lines_before(&model->lines, where, &at), n > 0);
        if (n > 0)
            assert_int_equal(at, starts[n - 1]);
    }
    if (count) {
        assert_true(log_lines_before(&model->lines, model->bytes.length, &at));
        assert_int_equal(at, starts[count - 1]);
    }
    assert_false(log_lines_at(&model->lines, count, &at));
    free(starts);
}

/* Lines of every kind: empty, short, longer than a block, hostile, without an end. */
static void append(Model *model)
{
    static const char *const words[] = {"", "needle", "x", "Traceback (most recent call last):", "\x1b[31mred\x1b[0m needle", "nul\0nul", "\xff\xfe", "h\xc3\xa4y"};
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    unsigned count = next(30) == 0 ? 3000 : next(20);
    for (unsigned i = 0; i < count; i++) {
        const char *word = words[next(8)];
        buffer_add(&out, word, word[0] == 'n' && word[1] == 'u' ? 7 : strlen(word));
        for (unsigned k = next(60); k-- > 0;)
            buffer_char(&out, (char)('a' + (char)next(26)));
        buffer_char(&out, '\n');
    }
    if (next(40) == 0) {
        size_t n = next(3 * LOG_BLOCK);
        char *room = buffer_room(&out, n);
        memset(room, 'y', n);
        out.length += n;
    }
    if (next(3) == 0)
        buffer_text(&out, "half a li");
    model_write(model, out.bytes, out.length);
    buffer_done(&out);
}

static void grows_as_the_model(Model *model, int steps)
{
    for (int i = 0; i < steps; i++) {
        append(model);
        if (next(4) == 0)
            continue; /* several come at once */
        model_turn(model);
        if (next(30) == 0 || i + 1 == steps)
            model_check(model);
        if (model->bytes.length > 4 << 20 || next(300) == 0) { /* cut short, or written anew */
            size_t keep = next(2) ? 0 : next((unsigned)model->bytes.length + 1);
            assert_int_equal(ftruncate(model->fd, (off_t)keep), 0);
            lseek(model->fd, (off_t)keep, SEEK_SET);
            model->bytes.length = keep;
            model_turn(model);
            model_check(model);
        }
    }
    model_turn(model);
    model_check(model);
}

static void all_lines(void **state)
{
    Model model;
    (void)state;
    model_begin(&model, NULL);
    model_turn(&model);
    model_check(&model);
    grows_as_the_model(&model, 10000);
    model_end(&model);
}

static void lines_that_fit(void **state)
{
    static const char *const patterns[] = {"needle", "^x", "e$", "^$", "(?<=a)b", "a.*z", "half", "Traceback", "[^a]$", "y{70}", "h.y"};
    (void)state;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        Model model;
        model_begin(&model, patterns[i]);
        grows_as_the_model(&model, 300);
        model_end(&model);
    }
}

/* A colour inside of a word does not hide it. */
static void colours_are_no_text(void **state)
{
    Model model;
    (void)state;
    model_begin(&model, "needle");
    static const char text[] = "a ne\x1b[1;31m" "edle\nneed\nx\x1b[0m\x1b[2Jneedle";
    model_write(&model, text, sizeof text - 1);
    model_turn(&model);
    assert_int_equal(model.lines.sum, 2);
    uint64_t at;
    assert_true(log_lines_at(&model.lines, 0, &at) && at == 0);
    model_end(&model);
}

/* What was read is not taken for what stands there now. */
static void written_anew_is_seen(void **state)
{
    Model model;
    (void)state;
    model_begin(&model, NULL);
    model_write(&model, "one\ntwo\n", 8);
    model_turn(&model);
    assert_int_equal(ftruncate(model.fd, 0), 0);
    lseek(model.fd, 0, SEEK_SET);
    buffer_clear(&model.bytes);
    model_write(&model, "three\nfour\nfive\n", 16); /* longer than before: its size alone would not tell */
    assert_int_equal(log_source_look(model.source), LOG_REPLACED);
    log_lines_forget(&model.lines);
    model_turn(&model);
    model_check(&model);
    assert_int_equal(model.lines.sum, 3);
    assert_int_equal(log_source_rotated(model.source), -1);
    unlink(model.path);
    int other = open(model.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), fd;
    fd = log_source_rotated(model.source);
    assert_true(fd >= 0);
    close(fd);
    close(other);
    model_end(&model);
}

/* Bytes without any line end are cut at the same places from both sides, and never read whole. */
static void endless_lines_are_cut(void **state)
{
    Model model;
    (void)state;
    char *bytes = mem_new(LOG_LINE_MAX);
    memset(bytes, 'z', LOG_LINE_MAX);
    model_begin(&model, NULL);
    model_write(&model, "short\n", 6);
    for (int i = 0; i < 5; i++)
        model_write(&model, bytes, LOG_LINE_MAX - (i == 2 ? 1000 : 0));
    model_write(&model, "\nlast\n", 6);
    model_turn(&model);
    uint64_t at = 0, end = model.bytes.length, forward[20], start;
    size_t count = 0;
    for (; log_lines_next(&model.lines, at, &start) && count < 20; at = start + 1)
        forward[count++] = start;
    assert_true(count >= 5 && count <= 8);
    assert_int_equal(count, model.lines.sum);
    for (size_t i = count; i-- > 0; end = start) {
        assert_true(log_lines_before(&model.lines, end, &start));
        assert_int_equal(start, forward[i]);
    }
    Buffer line;
    buffer_init(&line, BUFFER_ANY);
    for (size_t i = 0; i + 1 < count; i++) { /* a line ends where the next one begins */
        assert_true(log_line_read(model.source, forward[i], model.bytes.length, 64 << 20, &line));
        uint64_t stop = forward[i] + line.length;
        assert_true(stop == forward[i + 1] || stop + 1 == forward[i + 1]);
        assert_true(line.length <= 2 * LOG_LINE_MAX);
    }
    buffer_done(&line);
    model_end(&model);
    free(bytes);
}

/* --------------------------------------------------------------------------------------------------------------- spool */

static void add(LogSource *source, int component, unsigned number, size_t wide)
{
    Buffer text;
    buffer_init(&text, BUFFER_ANY);
    buffer_format(&text, "line %u of component %d", number, component);
    for (size_t i = 0; i < wide; i++)
        buffer_char(&text, '.');
    LogLine line = {.raw = text.bytes, .raw_length = text.length, .time_ms = 1000 + number, .sort_ms = 1000 + number, .level = "INFO"};
    log_source_add(source, component, &line);
    buffer_done(&text);
}

/* However much comes: the newest lines are there in order, and the others are counted. */
static void ring_drops_the_oldest_and_counts(void **state)
{
    enum { MANY = 400000 };
    (void)state;
    Error error;
    LogSource *source = log_source_spool(1 << 20, &error);
    assert_non_null(source);
    LogLines all, one;
    LogNarrow narrow = {.component = 2, .patterns = {log_pattern_new("line \\d+ of", NULL)}};
    log_lines_init(&all, source, NULL, 0, &scratch);
    log_lines_init(&one, source, &narrow, 0, &scratch);
    Buffer text;
    buffer_init(&text, BUFFER_ANY);
    for (unsigned i = 0; i < MANY; i++) {
        add(source, (int)(i % 5), i, i % 1000 == 0 ? next(200000) : next(20));
        if (next(2000) && i + 1 < MANY)
            continue;
        while (log_lines_turn(&all, INT64_MAX) || log_lines_turn(&one, INT64_MAX))
            ;
        uint64_t dropped = log_source_dropped(source), at, number = dropped + next((unsigned)all.sum);
        assert_int_equal(dropped + all.sum, i + 1);
        assert_true(log_lines_at(&all, number - dropped, &at));
        assert_true(log_line_read(source, at, all.end, 1 << 20, &text));
        LogHead head;
        unsigned found;
        log_source_head(source, text.bytes, &head);
        assert_int_equal(sscanf(text.bytes + LOG_HEADER, "line %u", &found), 1);
        assert_int_equal(found, number);
        assert_int_equal(head.time_ms, 1000 + number);
        assert_int_equal(head.component, number % 5);
        assert_string_equal(head.level, "INFO");
        uint64_t least = dropped + (7 - dropped % 5) % 5;
        assert_int_equal(one.sum, i < least ? 0 : (i - least) / 5 + 1);
    }
    assert_true(log_source_dropped(source) > MANY / 2);
    buffer_done(&text);
    log_lines_done(&all);
    log_lines_done(&one);
    log_pattern_free(narrow.patterns[0]);
    log_source_drop(source);
}

/* A disk that takes no more: what cannot be kept is counted, and the newest lines are there all the same. */
static void full_disk_loses_and_counts(void **state)
{
    enum { MANY = 60000 };
    (void)state;
    struct rlimit before, tight;
    Error error;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = (struct rlimit){3 << 20, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    LogSource *source = log_source_spool(64 << 20, &error);
    assert_non_null(source);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    LogLines all;
    log_lines_init(&all, source, NULL, 0, &scratch);
    Buffer text;
    buffer_init(&text, BUFFER_ANY);
    for (unsigned i = 0; i < MANY; i++) {
        add(source, 1, i, 150);
        if (i % 7000 && i + 1 < MANY)
            continue;
        while (log_lines_turn(&all, INT64_MAX))
            ;
        uint64_t at;
        unsigned found;
        assert_int_equal(log_source_dropped(source) + all.sum, i + 1);
        assert_true(log_lines_at(&all, all.sum - 1, &at));
        assert_true(log_line_read(source, at, all.end, 1 << 20, &text));
        assert_int_equal(sscanf(text.bytes + LOG_HEADER, "line %u", &found), 1);
        assert_int_equal(found, i);
        assert_true(log_lines_at(&all, 0, &at));
        assert_true(log_line_read(source, at, all.end, 1 << 20, &text));
        assert_int_equal(sscanf(text.bytes + LOG_HEADER, "line %u", &found), 1);
        assert_int_equal(found, log_source_dropped(source));
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(log_source_dropped(source) > 0);
    buffer_done(&text);
    log_lines_done(&all);
    log_source_drop(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_lines),           cmocka_unit_test(lines_that_fit),        cmocka_unit_test(colours_are_no_text),
        cmocka_unit_test(written_anew_is_seen), cmocka_unit_test(endless_lines_are_cut), cmocka_unit_test(ring_drops_the_oldest_and_counts),
        cmocka_unit_test(full_disk_loses_and_counts),
    };
    log_scratch_init(&scratch);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    log_scratch_done(&scratch);
    return failed;
}
