/* Time: where it comes from and how it is written.
 *
 * Functions that judge (verdict, cost, views) take a Clock as a parameter, so that tests can set it. Stamps are
 * milliseconds of Unix time; durations between machines are only formed between stamps of one clock. */
#ifndef DASKTOP_BASE_CLOCK_H
#define DASKTOP_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIME_UNKNOWN INT64_MIN

typedef struct Clock {
    int64_t mono_ms; /* CLOCK_MONOTONIC, for waiting */
    int64_t wall_ms; /* Unix time, for people */
} Clock;

Clock clock_now(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_wall_ms(void);

/* How far another machine's clock is ahead of ours, from a stamp of it (to the second, as HTTP's Date is) that has just come. 0 where they
 * agree as well as can be told; `before` (what was told last, 0) where it still holds, so that no row moves by itself. */
int64_t clock_ahead_ms(int64_t stamp_ms, int64_t before);
int64_t clock_here_ms(int64_t stamp_ms, int64_t ahead_ms); /* such a stamp as one of ours; TIME_UNKNOWN stays it */

/* "2026-11-23T06:30:00Z" (seconds; with milliseconds where with_ms). Needs TIME_TEXT bytes; "" for TIME_UNKNOWN. */
enum { TIME_TEXT = 32 };
const char *time_text(int64_t wall_ms, bool with_ms, char out[TIME_TEXT]);

/* RFC 3339 with Z or offset, with or without fraction; TIME_UNKNOWN where it is not one. */
int64_t time_parse(const char *text);

/* "13:02" local time today, "Nov 21 13:02" before: for evidence. */
const char *time_short(int64_t wall_ms, int64_t now_wall_ms, char out[TIME_TEXT]);

/* The contract's DUR: 90s, 15m, 2h, 3d, also 250ms and a bare 0. False where it is not one, is negative or overflows. */
bool duration_parse(const char *text, int64_t *ms);

/* For columns, at most 5 cells: "40s", "12m", "5h", "2d", "3y". For sentences: "4 h 30 min". */
const char *duration_short(int64_t ms, char out[TIME_TEXT]);
const char *duration_words(int64_t ms, char out[TIME_TEXT]);

#endif
