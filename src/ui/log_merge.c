#include "ui/log_merge.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* LOOK_BACK: lines in front of one without a time, to find one; STAMP: bytes in which a time stands; NEAR: bytes that a search by time
 * goes through line by line. */
enum { LOOK_BACK = 64, STAMP = 256, NEAR = 1024, SEEK_STEPS = 4096 };

void log_merge_init(LogMerge *merge)
{
    *merge = (LogMerge){.narrow = {.component = -1}};
    buffer_init(&merge->line, BUFFER_ANY);
    buffer_init(&merge->plain, BUFFER_ANY);
    log_scratch_init(&merge->scratch);
}

void log_merge_done(LogMerge *merge)
{
    for (size_t i = 0; i < merge->count; i++) {
        LogTrack *track = merge->tracks[i];
        log_lines_done(&track->all);
        if (merge->is_narrow)
            log_lines_done(&track->some);
        log_source_drop(track->source);
        free(track);
    }
    buffer_done(&merge->line);
    buffer_done(&merge->plain);
    log_scratch_done(&merge->scratch);
    *merge = (LogMerge){0};
}

/* ---------------------------------------------------------------------------------------------------------------- times */

/* The time in a line itself; TIME_UNKNOWN. */
static int64_t merge_stamp(LogMerge *merge, const LogTrack *track, uint64_t start)
{
    int64_t time_ms;
    char level[12];
    size_t n;
    if (!log_line_read(track->source, start, track->all.end, STAMP, &merge->line))
        return TIME_UNKNOWN;
    if (log_source_is_spool(track->source)) {
        LogHead head;
        if (merge->line.length < LOG_HEADER)
            return TIME_UNKNOWN;
        log_source_head(track->source, merge->line.bytes, &head);
        return head.sort_ms;
    }
    const char *plain = log_plain(merge->line.bytes, merge->line.length, &merge->plain, &n);
    logs_prefix(plain, n, &time_ms, level);
    return time_ms;
}

static int64_t merge_when(LogMerge *merge, LogTrack *track, uint64_t start)
{
    int64_t stamp = merge_stamp(merge, track, start);
    for (int i = 0; stamp == TIME_UNKNOWN && i < LOOK_BACK && log_lines_before(&track->all, start, &start); i++)
        stamp = merge_stamp(merge, track, start);
    return stamp == TIME_UNKNOWN ? track->untimed_ms : stamp;
}

int64_t log_merge_key(LogMerge *merge, LogItem item)
{
    return merge->count < 2 ? 0 : merge_when(merge, merge->tracks[item.track], item.start);
}

/* By halves over the bytes; lines are taken to be in order of time. */
static uint64_t track_seek(LogMerge *merge, LogTrack *track, int64_t key_ms)
{
    uint64_t low = track->all.first, high = track->all.end, start;
    while (high > low + NEAR) {
        uint64_t middle = low + (high - low) / 2, at = middle;
        int64_t stamp = TIME_UNKNOWN;
        for (int i = 0; stamp == TIME_UNKNOWN && i < LOOK_BACK && log_lines_next(&track->all, at, &start) && start < high; i++) {
            stamp = merge_stamp(merge, track, start);
            at = start + 1;
        }
        if ((stamp == TIME_UNKNOWN ? track->untimed_ms : stamp) < key_ms)
            low = at;
        else
            high = middle;
    }
    for (int i = 0; i < SEEK_STEPS && log_lines_next(&track->all, low, &start) && merge_when(merge, track, start) < key_ms; i++)
        low = start + 1;
    return low;
}

uint64_t log_merge_seek_track(LogMerge *merge, int track, int64_t key_ms)
{
    return track_seek(merge, merge->tracks[track], key_ms);
}

void log_merge_seek(LogMerge *merge, int64_t key_ms, LogPlace *place)
{
    for (size_t i = 0; i < merge->count; i++)
        place->at[i] = track_seek(merge, merge->tracks[i], key_ms);
}

/* --------------------------------------------------------------------------------------------------------------- tracks */

bool log_merge_add(LogMerge *merge, LogSource *source, int64_t since_ms)
{
    if (merge->count == LOG_TRACKS)
        return false;
    LogTrack *track = mem_new(sizeof *track);
    track->source = log_source_keep(source);
    int64_t changed_ms = log_source_changed_ms(source);
    track->untimed_ms = changed_ms == TIME_UNKNOWN ? INT64_MIN + 1 : changed_ms;
    log_lines_init(&track->all, source, NULL, 0, &merge->scratch);
    if (since_ms != TIME_UNKNOWN && !log_source_is_spool(source)) {
        uint64_t floor = track->all.end, at = track_seek(merge, track, since_ms);
        if (!log_lines_next(&track->all, at, &floor))
            floor = track->all.end;
        log_lines_done(&track->all);
        log_lines_init(&track->all, source, NULL, floor, &merge->scratch);
    }
    if (merge->is_narrow)
        log_lines_init(&track->some, source, &merge->narrow, track->all.floor, &merge->scratch);
    merge->tracks[merge->count++] = track;
    for (size_t i = 0; i < merge->count; i++) /* with one source alone times were not looked at */
        merge->tracks[i]->next.known = merge->tracks[i]->before.known = false;
    return true;
}

void log_merge_narrow(LogMerge *merge, const LogNarrow *narrow)
{
    for (size_t i = 0; i < merge->count; i++) {
        LogTrack *track = merge->tracks[i];
        if (merge->is_narrow)
            log_lines_done(&track->some);
        if (narrow)
            log_lines_init(&track->some, track->source, narrow, track->all.floor, &merge->scratch);
        track->next.known = track->before.known = false;
    }
    merge->is_narrow = narrow != NULL;
    if (narrow)
        merge->narrow = *narrow;
}

void log_merge_forget(LogMerge *merge, int index)
{
    LogTrack *track = merge->tracks[index];
    track->all.floor = track->some.floor = 0;
    log_lines_forget(&track->all);
    if (merge->is_narrow)
        log_lines_forget(&track->some);
    track->next.known = track->before.known = false;
}

LogLines *log_merge_lines(LogMerge *merge, int track)
{
    return merge->is_narrow ? &merge->tracks[track]->some : &merge->tracks[track]->all;
}

bool log_merge_turn(LogMerge *merge, int64_t until_us)
{
    bool more = false, late = false;
    merge->counted = false;
    for (size_t i = 0; i < merge->count; i++) {
        LogTrack *track = merge->tracks[i];
        log_lines_take(&track->all);
        if (merge->is_narrow)
            log_lines_take(&track->some);
        track->next.known = track->before.known = false;
    }
    for (size_t i = 0; i < 2 * merge->count && !late; i++) { /* what is shown comes first */
        LogTrack *track = merge->tracks[i % merge->count];
        LogLines *lines = (i < merge->count) == merge->is_narrow ? &track->some : &track->all;
        if ((lines == &track->some && !merge->is_narrow) || log_lines_complete(lines))
            continue;
        more |= log_lines_turn(lines, until_us);
        merge->counted = true;
        late = clock_mono_us() > until_us;
    }
    return more || late;
}

/* --------------------------------------------------------------------------------------------------------------- places */

void log_merge_begin(LogMerge *merge, LogPlace *place)
{
    for (size_t i = 0; i < merge->count; i++)
        place->at[i] = merge->tracks[i]->all.first;
}

void log_merge_end(LogMerge *merge, LogPlace *place)
{
    for (size_t i = 0; i < merge->count; i++)
        place->at[i] = merge->tracks[i]->all.end;
}

static const LogNear *merge_near(LogMerge *merge, int index, uint64_t at, bool forward)
{
    LogTrack *track = merge->tracks[index];
    LogNear *near = forward ? &track->next : &track->before;
    LogLines *lines = log_merge_lines(merge, index);
    if (near->known && near->at == at)
        return near;
    near->known = true;
    near->at = at;
    near->there = forward ? log_lines_next(lines, at, &near->start) : log_lines_before(lines, at, &near->start);
    if (near->there)
        near->key_ms = log_merge_key(merge, (LogItem){index, near->start});
    return near;
}

bool log_merge_next(LogMerge *merge, LogPlace *place, LogItem *item)
{
    int best = -1;
    int64_t key = 0;
    for (int i = 0; i < (int)merge->count; i++) {
        const LogNear *near = merge_near(merge, i, place->at[i], true);
        if (near->there && (best < 0 || near->key_ms < key)) {
            best = i;
            key = near->key_ms;
        }
    }
    if (best < 0)
        return false;
    *item = (LogItem){best, merge->tracks[best]->next.start};
    place->at[best] = item->start + 1;
    return true;
}

bool log_merge_before(LogMerge *merge, LogPlace *place, LogItem *item)
{
    int best = -1;
    int64_t key = 0;
    for (int i = 0; i < (int)merge->count; i++) {
        const LogNear *near = merge_near(merge, i, place->at[i], false);
        if (near->there && (best < 0 || near->key_ms >= key)) {
            best = i;
            key = near->key_ms;
        }
    }
    if (best < 0)
        return false;
    *item = (LogItem){best, merge->tracks[best]->before.start};
    place->at[best] = item->start;
    return true;
}

void log_merge_place(LogMerge *merge, LogItem item, LogPlace *place)
{
    int64_t key = log_merge_key(merge, item);
    for (int i = 0; i < (int)merge->count; i++) /* equal times: the sources' order */
        if (i != item.track)
            place->at[i] = track_seek(merge, merge->tracks[i], i < item.track && key < INT64_MAX ? key + 1 : key);
    place->at[item.track] = item.start;
}

uint64_t log_merge_number(LogMerge *merge, const LogPlace *place)
{
    uint64_t number = 0;
    for (int i = 0; i < (int)merge->count; i++)
        number += log_lines_number(log_merge_lines(merge, i), place->at[i]);
    return number;
}

uint64_t log_merge_count(const LogMerge *merge)
{
    uint64_t count = 0;
    for (size_t i = 0; i < merge->count; i++)
        count += merge->is_narrow ? merge->tracks[i]->some.sum : merge->tracks[i]->all.sum;
    return count;
}

bool log_merge_complete(const LogMerge *merge)
{
    for (size_t i = 0; i < merge->count; i++)
        if (!log_lines_complete(merge->is_narrow ? &merge->tracks[i]->some : &merge->tracks[i]->all))
            return false;
    return true;
}

uint64_t log_merge_behind(const LogMerge *merge)
{
    uint64_t bytes = 0;
    for (size_t i = 0; merge->is_narrow && i < merge->count; i++)
        bytes += log_lines_behind(&merge->tracks[i]->some);
    return bytes;
}

void log_merge_sizes(const LogMerge *merge, uint64_t *counted, uint64_t *bytes)
{
    *counted = *bytes = 0;
    for (size_t i = 0; i < merge->count; i++) {
        const LogLines *lines = merge->is_narrow ? &merge->tracks[i]->some : &merge->tracks[i]->all;
        *counted += (lines->high - lines->low) * LOG_BLOCK;
        *bytes += lines->end - lines->first;
    }
    *counted = *counted < *bytes ? *counted : *bytes;
}
