#include "core/logs.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HOLD_MS = 200 };

typedef struct Held {
    char *component, *text;
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
    Map last;            /* component -> time of its last line, boxed */
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

/* Returns the length of all that stands in front of the message; 0 where this does not look like Dask's format. */
static size_t parse_prefix(const char *text, size_t n, int64_t *time_ms, char level[12])
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
    parse_prefix(text, n, time_ms, level);
}

/* Colour sequences are dropped whole; everything else is the sanitiser's. */
static char *clean_line(const char *text, size_t n)
{
    Buffer plain;
    buffer_init(&plain, BUFFER_ANY);
    for (size_t i = 0; i < n;) {
        size_t k = i;
        if (text[i] == 27 && i + 1 < n && text[i + 1] == '[')
            for (k = i + 2; k < n && (isdigit((unsigned char)text[k]) || text[k] == ';' || text[k] == ':'); k++)
                ;
        if (k > i && k < n && text[k] == 'm') {
            i = k + 1;
            continue;
        }
        buffer_char(&plain, text[i++]);
    }
    char *clean = text_clean_new(plain.bytes, plain.length, TEXT_LINE_MAX);
    buffer_done(&plain);
    return clean;
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
    LogLine line = {.component = held->component, .time_ms = held->shown_ms, .level = *held->level ? held->level : NULL,
                    .text = held->text, .message = held->text, .note = held->note};
    int64_t time_ms;
    char level[12];
    if (!held->note)
        line.message += parse_prefix(held->text, strlen(held->text), &time_ms, level);
    logs->emit(logs->user, &line);
    logs->bytes -= strlen(held->text) + sizeof *held;
    free(held->component);
    free(held->text);
}

static void give_all(Logs *logs)
{
    if (logs->count > 1)
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
    LogLine line = {.component = "", .time_ms = TIME_UNKNOWN, .text = text, .message = text, .note = true};
    logs->early = 0;
    logs->emit(logs->user, &line);
}

void logs_flush(Logs *logs)
{
    give_all(logs);
    tell_early(logs);
}

static int64_t *last_time(Logs *logs, const char *component)
{
    int64_t *time = map_get(&logs->last, component);
    if (!time) {
        time = mem_new(sizeof *time);
        *time = TIME_UNKNOWN;
        map_put(&logs->last, component, time);
    }
    return time;
}

static void hold(Logs *logs, const char *component, int64_t time_ms, const char *level, const char *text, size_t n, bool note)
{
    int64_t *last = last_time(logs, component);
    logs->held = mem_grow(logs->held, logs->count, &logs->capacity, sizeof *logs->held);
    Held *held = &logs->held[logs->count];
    *held = (Held){.component = text_clean_new(component, strlen(component), TEXT_NAME_MAX), .text = clean_line(text, n), .note = note,
                   .number = logs->number++, .shown_ms = time_ms};
    if (level)
        memcpy(held->level, level, strnlen(level, sizeof held->level - 1));
    if (!note)
        *last = time_ms != TIME_UNKNOWN && (*last == TIME_UNKNOWN || time_ms > *last) ? time_ms : *last;
    held->time_ms = *last; /* never before the line in front of it */
    if (logs->count == 0)
        logs->oldest_ms = clock_mono_ms();
    logs->count++;
    logs->bytes += strlen(held->text) + sizeof *held;
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
    char *text = mem_format("%lld lines were lost: its log turned over faster than it was read", (long long)lines);
    hold(user, component, TIME_UNKNOWN, NULL, text, strlen(text), true);
    free(text);
}

static void take_note(void *user, const char *component, const char *text)
{
    hold(user, component ? component : "", TIME_UNKNOWN, NULL, text, strlen(text), true);
}

Logs *logs_new(size_t most_bytes_held, void (*emit)(void *user, const LogLine *line), void *user)
{
    Logs *logs = mem_new(sizeof *logs);
    logs->most_bytes = most_bytes_held;
    logs->emit = emit;
    logs->user = user;
    logs->sink = (LogSink){take_line, take_caught_up, take_dropped, take_note, logs};
    map_init(&logs->last);
    return logs;
}

const LogSink *logs_sink(Logs *logs)
{
    return &logs->sink;
}

void logs_free(Logs *logs)
{
    if (!logs)
        return;
    for (size_t i = 0; i < logs->count; i++) {
        free(logs->held[i].component);
        free(logs->held[i].text);
    }
    free(logs->held);
    map_done(&logs->last, free);
    free(logs);
}
