#include "core/logs.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HOLD_MS = 20 };

/* A component, as long as the Logs live. */
typedef struct Speaker {
    char *name;       /* sanitised */
    int64_t last_ms;  /* time of its last line */
} Speaker;

typedef struct Held {
    const Speaker *speaker;
    char *raw;
    size_t length;
    char level[12];
    int64_t time_ms;  /* to sort by; that of the line before where it has none */
    int64_t shown_ms; /* its own; TIME_UNKNOWN */
    uint64_t number;  /* of arrival: keeps the order of equal times */
    bool note;
} Held;

struct Logs {
    LogSink sink;
    void (*emit)(void *user, const LogLine *line);
    void *user;
    Held *held;
    size_t count, capacity, bytes, most_bytes;
    uint64_t number;
    Map speakers;        /* component, as the backend names it -> Speaker */
    char *spoke;         /* the name of the last one, which is most often the next one too */
    Speaker *speaker;
    Buffer clean;
    bool only_raw;
    bool live;           /* has caught up: what comes now is held only shortly */
    size_t early;        /* lines given out before all components had been read */
    int64_t oldest_ms;   /* monotonic arrival of the oldest held line */
};

/* ------------------------------------------------------------------------------------------------------------- formats */

static bool is_level(const char *text, size_t n)
{
    static const char *const levels[] = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (strlen(levels[i]) == n && strncmp(levels[i], text, n) == 0)
            return true;
    return false;
}

/* "2026-11-23 06:30:00,123", local time as Python's logging writes it. */
static int64_t parse_asctime(const char *text, size_t n)
{
    struct tm tm = {.tm_isdst = -1};
    char copy[24];
    int ms = 0;
    if (n < 19)
        return TIME_UNKNOWN;
    memcpy(copy, text, n < 23 ? 19 : 23);
    copy[n < 23 ? 19 : 23] = 0;
    if (sscanf(copy, "%4d-%2d-%2d %2d:%2d:%2d,%3d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &ms) < 6)
        return TIME_UNKNOWN;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_year < 1970)
        return TIME_UNKNOWN; /* mktime would make something of it */
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    time_t seconds = mktime(&tm);
    return seconds == (time_t)-1 ? TIME_UNKNOWN : (int64_t)seconds * 1000 + ms;
}

size_t logs_prefix(const char *text, size_t n, int64_t *time_ms, char level[12])
{
    const char *at = text, *end = text + n;
    *time_ms = TIME_UNKNOWN;
    level[0] = 0;
    /* up to three fields in front of the message: asctime, logger, level */
    for (int field = 0; field < 3; field++) {
        const char *dash = NULL;
        for (const char *p = at; p + 2 < end && p - at < 120; p++)
            if (p[0] == ' ' && p[1] == '-' && p[2] == ' ') {
                dash = p;
                break;
            }
        if (!dash)
            return 0;
        if (field == 0)
            *time_ms = parse_asctime(at, (size_t)(dash - at));
        if (is_level(at, (size_t)(dash - at))) {
            memcpy(level, at, (size_t)(dash - at));
            level[dash - at] = 0;
            /* "copy - ERROR - what" may be anybody's words: only a time or Dask's own logger makes it a prefix */
            bool ours = *time_ms != TIME_UNKNOWN || (n > 11 && strncmp(text, "distributed", 11) == 0);
            return ours ? (size_t)(dash + 3 - text) : 0;
        }
        at = dash + 3;
    }
    return 0;
}

void logs_parse(const char *text, size_t n, int64_t *time_ms, char level[12])
{
    logs_prefix(text, n, time_ms, level);
}

size_t logs_colour(const char *text, size_t n)
{
    if (n < 3 || text[0] != 27 || text[1] != '[')
        return 0;
    size_t k = 2;
    while (k < n && (isdigit((unsigned char)text[k]) || text[k] == ';' || text[k] == ':'))
        k++;
    return k < n && text[k] == 'm' ? k + 1 : 0;
}

/* Colour sequences are dropped whole; everything else is the sanitiser's. */
static void clean_line(const char *text, size_t n, Buffer *out)
{
    const char *escape = n ? memchr(text, 27, n) : NULL;
    if (!escape) {
        text_clean(out, text, n, TEXT_LINE_MAX);
        return;
    }
    Buffer plain;
    buffer_init(&plain, BUFFER_ANY);
    for (size_t i = 0, skip; i < n; i += skip) {
        skip = logs_colour(text + i, n - i);
        if (!skip) {
            buffer_char(&plain, text[i]);
            skip = 1;
        }
    }
    text_clean(out, plain.bytes, plain.length, TEXT_LINE_MAX);
    buffer_done(&plain);
}

/* -------------------------------------------------------------------------------------------------------------- merging */

static int by_time(const void *a, const void *b)
{
    const Held *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static void give(Logs *logs, Held *held)
{
    LogLine line = {.component = held->speaker->name, .time_ms = held->shown_ms, .level = *held->level ? held->level : NULL,
                    .note = held->note, .raw = held->raw, .raw_length = held->length, .sort_ms = held->time_ms};
    int64_t time_ms;
    char level[12];
    if (!logs->only_raw) {
        buffer_clear(&logs->clean);
        clean_line(held->raw, held->length, &logs->clean);
        line.text = line.message = logs->clean.bytes;
        if (!held->note)
            line.message += logs_prefix(logs->clean.bytes, logs->clean.length, &time_ms, level);
    }
    logs->emit(logs->user, &line);
    logs->bytes -= held->length + sizeof *held;
    free(held->raw);
}

static bool in_order(const Logs *logs)
{
    for (size_t i = 1; i < logs->count; i++)
        if (logs->held[i].time_ms < logs->held[i - 1].time_ms)
            return false;
    return true;
}

static void give_all(Logs *logs)
{
    if (logs->count > 1 && !in_order(logs))
        qsort(logs->held, logs->count, sizeof *logs->held, by_time);
    for (size_t i = 0; i < logs->count; i++)
        give(logs, &logs->held[i]);
    logs->count = 0;
}

/* What was given out early may stand before older lines of others: said, not hidden. */
static void tell_early(Logs *logs)
{
    char text[128];
    if (!logs->early)
        return;
    snprintf(text, sizeof text, "%zu lines were shown before all was read: up to here, components may be out of order", logs->early);
    LogLine line = {.component = "", .time_ms = TIME_UNKNOWN, .text = text, .message = text, .note = true, .raw = text,
                    .raw_length = strlen(text), .sort_ms = TIME_UNKNOWN};
    logs->early = 0;
    logs->emit(logs->user, &line);
}

void logs_flush(Logs *logs)
{
    give_all(logs);
    tell_early(logs);
}

static Speaker *speaker_of(Logs *logs, const char *component)
{
    if (logs->spoke && strcmp(logs->spoke, component) == 0)
        return logs->speaker;
    Speaker *speaker = map_get(&logs->speakers, component);
    if (!speaker) {
        speaker = mem_new(sizeof *speaker);
        speaker->name = text_clean_new(component, strlen(component), TEXT_NAME_MAX);
        speaker->last_ms = TIME_UNKNOWN;
        map_put(&logs->speakers, component, speaker);
    }
    free(logs->spoke);
    logs->spoke = mem_text(component);
    return logs->speaker = speaker;
}

static void speaker_free(void *item)
{
    Speaker *speaker = item;
    free(speaker->name);
    free(speaker);
}

static void hold(Logs *logs, const char *component, int64_t time_ms, const char *level, const char *text, size_t n, bool note)
{
    Speaker *speaker = speaker_of(logs, component);
    logs->held = mem_grow(logs->held, logs->count, &logs->capacity, sizeof *logs->held);
    Held *held = &logs->held[logs->count];
    *held = (Held){.speaker = speaker, .raw = mem_resize(NULL, n + 1, 1), .length = n, .note = note, .number = logs->number++,
                   .shown_ms = time_ms};
    if (n)
        memcpy(held->raw, text, n);
    held->raw[n] = 0;
    if (level)
        memcpy(held->level, level, strnlen(level, sizeof held->level - 1));
    if (!note && time_ms != TIME_UNKNOWN && (speaker->last_ms == TIME_UNKNOWN || time_ms > speaker->last_ms))
        speaker->last_ms = time_ms;
    held->time_ms = speaker->last_ms; /* never before the line in front of it */
    if (logs->count == 0)
        logs->oldest_ms = clock_mono_ms();
    logs->count++;
    logs->bytes += n + sizeof *held;
    bool much = logs->bytes > logs->most_bytes;
    if (much && !logs->live)
        logs->early += logs->count;
    if (much || (logs->live && clock_mono_ms() - logs->oldest_ms >= HOLD_MS))
        give_all(logs);
}

/* ----------------------------------------------------------------------------------------------------------------- sink */

static void take_line(void *user, const char *component, int64_t time_ms, const char *level, const char *text, size_t n)
{
    Logs *logs = user;
    char found[12] = "";
    int64_t parsed = TIME_UNKNOWN;
    if (time_ms == TIME_UNKNOWN || !level)
        logs_parse(text, n, &parsed, found);
    /* a record may hold several lines (a traceback): they belong together */
    const char *shown = level ? level : *found ? found : NULL;
    for (const char *at = text, *end = text + n; at <= end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
        size_t length = (size_t)(stop - at);
        if (length && at[length - 1] == '\r')
            length--;
        hold(logs, component, time_ms != TIME_UNKNOWN ? time_ms : parsed, shown, at, length, false);
        at = stop + 1;
    }
}

static void take_caught_up(void *user)
{
    Logs *logs = user;
    logs_flush(logs);
    logs->live = true;
}

static void take_dropped(void *user, const char *component, int64_t lines)
{
    char count[32];
    snprintf(count, sizeof count, lines < 0 ? "some" : "%lld", (long long)lines);
    char *text = mem_format("%s lines were lost: its log turned over faster than it was read", count);
    hold(user, component, TIME_UNKNOWN, NULL, text, strlen(text), true);
    free(text);
}

static void take_note(void *user, const char *component, const char *text)
{
    char *clean = text_clean_new(text, strlen(text), TEXT_LINE_MAX);
    hold(user, component ? component : "", TIME_UNKNOWN, NULL, clean, strlen(clean), true);
    free(clean);
}

Logs *logs_new(size_t most_bytes_held, void (*emit)(void *user, const LogLine *line), void *user)
{
    Logs *logs = mem_new(sizeof *logs);
    logs->most_bytes = most_bytes_held;
    logs->emit = emit;
    logs->user = user;
    logs->sink = (LogSink){take_line, take_caught_up, take_dropped, take_note, NULL, logs};
    map_init(&logs->speakers);
    buffer_init(&logs->clean, BUFFER_ANY);
    return logs;
}

void logs_only_raw(Logs *logs)
{
    logs->only_raw = true;
}

const LogSink *logs_sink(Logs *logs)
{
    return &logs->sink;
}

void logs_free(Logs *logs)
{
    if (!logs)
        return;
    for (size_t i = 0; i < logs->count; i++)
        free(logs->held[i].raw);
    free(logs->held);
    free(logs->spoke);
    buffer_done(&logs->clean);
    map_done(&logs->speakers, speaker_free);
    free(logs);
}
