#include "ui/log_lines.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* AHEAD: read behind a block at once, as its last line mostly ends there. */
enum { AHEAD = 4096, SHIFT_BLOCKS = 65536 };

/* -------------------------------------------------------------------------------------------------------- one line */

const char *log_plain(const char *text, size_t n, Buffer *out, size_t *length)
{
    const char *escape = n ? memchr(text, 27, n) : NULL;
    *length = n;
    if (!escape)
        return text;
    buffer_clear(out);
    for (size_t i = 0, from = 0, skip; i <= n; i += skip ? skip : 1) {
        skip = i < n && text[i] == 27 ? logs_colour(text + i, n - i) : 0;
        if (skip || i == n) {
            buffer_add(out, text + from, i - from);
            from = i + skip;
        }
    }
    *length = out->length;
    return out->bytes;
}

/* A line without an end is cut where a whole stretch of LOG_LINE_MAX, on a grid of that, has no line end: the same place whether one
 * comes from before or from behind. */
static uint64_t line_limit(uint64_t start)
{
    return (start + 2 * (uint64_t)LOG_LINE_MAX - 1) / LOG_LINE_MAX * LOG_LINE_MAX;
}

/* Reads on until the buffer holds a line end at or behind `from`, or the line's cut, or the end. Returns the bytes of the line. */
static size_t line_complete(LogSource *source, uint64_t start, uint64_t end, size_t from, Buffer *bytes, size_t most)
{
    uint64_t limit = line_limit(start) < end ? line_limit(start) : end;
    size_t whole = limit - start < most ? (size_t)(limit - start) : most, step = AHEAD;
    for (;;) {
        size_t have = bytes->length < whole ? bytes->length : whole;
        const char *newline = have > from ? memchr(bytes->bytes + from, '\n', have - from) : NULL;
        if (newline)
            return (size_t)(newline - bytes->bytes);
        if (have >= whole)
            return have;
        from = have;
        size_t want = whole - have < step ? whole - have : step, got = 0;
        char *room = buffer_room(bytes, want);
        if (room)
            got = log_source_read(source, start + have, room, want);
        bytes->length += got;
        if (room)
            bytes->bytes[bytes->length] = 0;
        if (!got)
            return have;
        step = step < LOG_BLOCK ? step * 4 : step;
    }
}

bool log_line_read(LogSource *source, uint64_t start, uint64_t end, size_t most, Buffer *out)
{
    buffer_clear(out);
    char *room = buffer_room(out, 512);
    size_t want = end > start && end - start < 512 ? (size_t)(end - start) : 512;
    if (end <= start || !room)
        return false;
    out->length = log_source_read(source, start, room, want < most ? want : most);
    if (!out->length)
        return false;
    out->length = line_complete(source, start, end, 0, out, most);
    out->bytes[out->length] = 0;
    return true;
}

/* Is there a line's cut at this place of the grid? */
static bool line_is_cut(LogSource *source, uint64_t first, uint64_t at, Buffer *bytes)
{
    if (at % LOG_LINE_MAX || at < first + LOG_LINE_MAX)
        return false;
    for (uint64_t stop = at; stop > at - LOG_LINE_MAX; stop -= LOG_BLOCK) {
        buffer_clear(bytes);
        char *room = buffer_room(bytes, LOG_BLOCK);
        if (!room || log_source_read(source, stop - LOG_BLOCK, room, LOG_BLOCK) < LOG_BLOCK || memrchr(room, '\n', LOG_BLOCK))
            return false;
    }
    return true;
}

/* Where the line begins that has the byte before `at`. */
static uint64_t line_begin(LogSource *source, uint64_t first, uint64_t at, Buffer *bytes)
{
    for (uint64_t stop = at; stop > first;) {
        uint64_t from = (stop - 1) / LOG_BLOCK * LOG_BLOCK;
        from = from < first ? first : from;
        buffer_clear(bytes);
        char *room = buffer_room(bytes, LOG_BLOCK);
        size_t n = (size_t)(stop - from);
        if (!room || log_source_read(source, from, room, n) < n)
            return from;
        size_t look = stop == at ? n - 1 : n; /* its own end does not count */
        const char *newline = look ? memrchr(room, '\n', look) : NULL;
        if (newline)
            return from + (uint64_t)(newline - room) + 1;
        if (line_is_cut(source, first, from, bytes))
            return from;
        stop = from;
    }
    return first;
}

/* ------------------------------------------------------------------------------------------------------------ one block */

static void block_add(LogBlock *block, size_t offset)
{
    block->starts = mem_grow(block->starts, block->count, &block->capacity, sizeof *block->starts);
    block->starts[block->count++] = (uint32_t)offset;
}

void log_block_done(LogBlock *block)
{
    free(block->starts);
    *block = (LogBlock){0};
}

/* bytes: those of the block from `skip` on; a line begins at offset `at` of the block, if anywhere before the first line end. */
static void block_starts(LogBlock *block, const char *bytes, size_t n, size_t skip, bool begins)
{
    if (begins && n)
        block_add(block, skip);
    for (const char *at = bytes, *end = bytes + n; at < end && (at = memchr(at, '\n', (size_t)(end - at))); ) {
        if (++at < end)
            block_add(block, skip + (size_t)(at - bytes));
    }
}

static bool line_fits(LogLines *lines, const LogNarrow *narrow, const char *line, size_t n)
{
    size_t begin, end;
    if (log_source_is_spool(lines->source)) {
        LogHead head;
        if (n < LOG_HEADER)
            return false;
        log_source_head(lines->source, line, &head);
        if (narrow->component >= 0 && head.component != narrow->component)
            return false;
        line += LOG_HEADER;
        n -= LOG_HEADER;
    }
    if (n && line[n - 1] == '\r')
        n--;
    line = log_plain(line, n, &lines->scratch->plain, &n);
    for (int i = 0; i < LOG_PATTERNS; i++)
        if (narrow->patterns[i] && !log_pattern_find(narrow->patterns[i], line, n, 0, &begin, &end))
            return false;
    return true;
}

/* The pattern by which whole blocks can be passed over; NULL. */
static LogPattern *narrow_by_block(const LogLines *lines, const LogNarrow *narrow, const char *bytes, size_t n)
{
    for (int i = LOG_PATTERNS; i-- > 0;)
        if (narrow->patterns[i] && log_pattern_by_block(narrow->patterns[i], log_source_is_spool(lines->source)))
            return memchr(bytes, 27, n) ? NULL : narrow->patterns[i]; /* a colour may stand inside of a word */
    return NULL;
}

/* Of the lines that begin in the block, only those that fit stay. bytes: from the block's offset `skip` to the end of its last line. */
static void block_narrow(LogLines *lines, const LogNarrow *narrow, LogBlock *block, const char *bytes, size_t n, size_t skip)
{
    LogPattern *quick = narrow_by_block(lines, narrow, bytes, n);
    size_t kept = 0, sought = 0;
    for (size_t i = 0; i < block->count; i++) {
        size_t from = block->starts[i] - skip, stop = i + 1 < block->count ? block->starts[i + 1] - skip : n;
        if (quick && sought < stop) {
            if (sought <= from)
                sought = log_pattern_candidate(quick, bytes, n, from);
            if (sought == SIZE_MAX)
                quick = NULL;
            else if (sought >= n)
                break;
        }
        if (quick && sought >= stop)
            continue;
        size_t length = stop > from && bytes[stop - 1] == '\n' ? stop - from - 1 : stop - from;
        if (line_fits(lines, narrow, bytes + from, length))
            block->starts[kept++] = block->starts[i];
        if (quick && sought < stop)
            sought = stop < n ? 0 : n; /* looked for anew from the next line on */
    }
    block->count = kept;
}

/* A whole block in which nothing fits is passed over without finding its lines. */
static bool block_is_empty(LogLines *lines, const LogNarrow *narrow, const char *bytes, size_t n)
{
    LogPattern *quick = n ? narrow_by_block(lines, narrow, bytes, n) : NULL;
    return quick && log_pattern_candidate(quick, bytes, n, 0) == n;
}

bool log_block_load(LogLines *lines, const LogNarrow *narrow, uint64_t index, LogBlock *block)
{
    uint64_t begin = index * LOG_BLOCK, stop = begin + LOG_BLOCK < lines->end ? begin + LOG_BLOCK : lines->end;
    uint64_t from = begin > lines->first ? begin - 1 : lines->first; /* the byte before says whether a line begins at the first one */
    Buffer *bytes = &lines->scratch->bytes;
    block->count = 0;
    block->index = index;
    block->begin = begin;
    block->loaded = true;
    bool other = narrow && narrow->component >= 0 && !log_source_is_spool(lines->source) &&
                 narrow->component != log_source_component(lines->source);
    if (from >= stop || other)
        return true;
    bool begins = from >= begin || line_is_cut(lines->source, lines->first, begin, bytes);
    size_t want = (size_t)(stop - from), ahead = narrow && lines->end > stop ? AHEAD : 0;
    ahead = lines->end - stop < ahead ? (size_t)(lines->end - stop) : ahead;
    buffer_clear(bytes);
    char *room = buffer_room(bytes, LOG_BLOCK + 1 + AHEAD);
    bytes->length = room ? log_source_read(lines->source, from, room, want + ahead) : 0;
    if (bytes->length < want)
        return false;
    bytes->bytes[bytes->length] = 0;
    size_t before = from < begin ? 1 : 0, skip = from < begin ? 0 : (size_t)(from - begin), n = want;
    if (narrow) {
        n = line_complete(lines->source, from, lines->end, want - 1, bytes, LOG_BLOCK + 2 * (size_t)LOG_LINE_MAX);
        if (block_is_empty(lines, narrow, bytes->bytes + before, n - before))
            return true;
    }
    begins = begins || (before && bytes->bytes[0] == '\n');
    block_starts(block, bytes->bytes + before, want - before, skip, begins);
    if (narrow && block->count)
        block_narrow(lines, narrow, block, bytes->bytes + before, n - before, skip);
    return true;
}

/* ------------------------------------------------------------------------------------------------------------ the index */

void log_scratch_init(LogScratch *scratch)
{
    buffer_init(&scratch->bytes, BUFFER_ANY);
    buffer_init(&scratch->plain, BUFFER_ANY);
}

void log_scratch_done(LogScratch *scratch)
{
    buffer_done(&scratch->bytes);
    buffer_done(&scratch->plain);
}

void log_lines_init(LogLines *lines, LogSource *source, const LogNarrow *narrow, uint64_t floor, LogScratch *scratch)
{
    *lines = (LogLines){.source = log_source_keep(source), .scratch = scratch, .is_narrow = narrow != NULL, .floor = floor};
    if (narrow)
        lines->narrow = *narrow;
    log_lines_forget(lines);
}

void log_lines_done(LogLines *lines)
{
    log_block_done(&lines->cache[0]);
    log_block_done(&lines->cache[1]);
    free(lines->counts);
    log_source_drop(lines->source);
    *lines = (LogLines){0};
}

void log_lines_forget(LogLines *lines)
{
    uint64_t first = log_source_first(lines->source);
    lines->cache[0].loaded = lines->cache[1].loaded = false;
    lines->end = log_source_end(lines->source);
    if (lines->floor > lines->end)
        lines->floor = 0;
    lines->first = first > lines->floor ? first : lines->floor;
    lines->low = lines->high = (lines->end + LOG_BLOCK - 1) / LOG_BLOCK;
    lines->base = lines->first / LOG_BLOCK;
    lines->sum = 0;
}

static uint32_t *lines_count(LogLines *lines, uint64_t block)
{
    size_t at = (size_t)(block - lines->base);
    while (at >= lines->capacity) {
        size_t more = lines->capacity ? lines->capacity * 2 : 64;
        lines->counts = mem_resize(lines->counts, more, sizeof *lines->counts);
        lines->capacity = more;
    }
    return &lines->counts[at];
}

static const LogBlock *lines_block(LogLines *lines, uint64_t index)
{
    for (int i = 0; i < 2; i++)
        if (lines->cache[i].loaded && lines->cache[i].index == index) {
            lines->newest = i;
            return &lines->cache[i];
        }
    lines->newest = 1 - lines->newest;
    LogBlock *block = &lines->cache[lines->newest];
    if (!log_block_load(lines, lines->is_narrow ? &lines->narrow : NULL, index, block))
        block->loaded = false; /* it is going at this moment: looked at again the next time */
    return block;
}

static uint64_t lines_blocks(const LogLines *lines)
{
    return (lines->end + LOG_BLOCK - 1) / LOG_BLOCK;
}

/* A ring's oldest blocks went. */
static void lines_lose(LogLines *lines, uint64_t first)
{
    lines->first = first > lines->floor ? first : lines->floor;
    uint64_t keep = lines->first / LOG_BLOCK;
    for (; lines->low < keep && lines->low < lines->high; lines->low++)
        lines->sum -= *lines_count(lines, lines->low);
    for (int i = 0; i < 2; i++)
        if (lines->cache[i].index <= keep)
            lines->cache[i].loaded = false;
    if (lines->low < keep)
        lines->low = lines->high = keep;
    if (keep - lines->base > SHIFT_BLOCKS && lines->low >= keep) {
        size_t by = (size_t)(keep - lines->base), have = (size_t)(lines->high - lines->base);
        if (have > by)
            memmove(lines->counts, lines->counts + by, (have - by) * sizeof *lines->counts);
        lines->base = keep;
    }
}

/* What was added may go on in the last line: it is counted again from there. */
static void lines_grow(LogLines *lines, uint64_t end)
{
    uint64_t again = lines->end > lines->first ? line_begin(lines->source, lines->first, lines->end, &lines->scratch->bytes) : lines->first;
    uint64_t block = again / LOG_BLOCK;
    for (int i = 0; i < 2; i++)
        if (lines->cache[i].index >= block)
            lines->cache[i].loaded = false;
    if (lines->low == lines->high && lines->low >= block)
        lines->low = lines->high = block;
    while (lines->high > block && lines->high > lines->low)
        lines->sum -= *lines_count(lines, --lines->high);
    if (lines->low > lines->high)
        lines->low = lines->high;
    lines->end = end;
}

static void lines_count_one(LogLines *lines, uint64_t block)
{
    uint32_t count = (uint32_t)lines_block(lines, block)->count;
    *lines_count(lines, block) = count;
    lines->sum += count;
}

void log_lines_take(LogLines *lines)
{
    uint64_t first = log_source_first(lines->source), end = log_source_end(lines->source);
    if (first > lines->first)
        lines_lose(lines, first);
    if (end < lines->end)
        log_lines_forget(lines);
    else if (end > lines->end)
        lines_grow(lines, end);
}

bool log_lines_turn(LogLines *lines, int64_t until_us)
{
    log_lines_take(lines);
    while (lines->high < lines_blocks(lines)) {
        lines_count_one(lines, lines->high++);
        if (clock_mono_us() > until_us)
            return !log_lines_complete(lines);
    }
    while (lines->low > lines->first / LOG_BLOCK) {
        lines_count_one(lines, --lines->low);
        if (clock_mono_us() > until_us)
            return !log_lines_complete(lines);
    }
    return false;
}

bool log_lines_complete(const LogLines *lines)
{
    return lines->high >= lines_blocks(lines) && lines->low <= lines->first / LOG_BLOCK;
}

uint64_t log_lines_behind(const LogLines *lines)
{
    return lines->high < lines_blocks(lines) ? lines->end - lines->high * LOG_BLOCK : 0;
}

/* Index of the first start at or behind `at`. */
static size_t block_search(const LogBlock *block, uint64_t at)
{
    size_t low = 0, high = block->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (block->begin + block->starts[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool lines_known(const LogLines *lines, uint64_t block)
{
    return block >= lines->low && block < lines->high;
}

bool log_lines_next(LogLines *lines, uint64_t at, uint64_t *start)
{
    at = at < lines->first ? lines->first : at;
    uint64_t block = at / LOG_BLOCK, stop = lines->is_narrow ? lines->high : lines_blocks(lines);
    if (lines->is_narrow && block < lines->low)
        block = lines->low;
    for (; block < stop; block++) {
        if (lines_known(lines, block) && *lines_count(lines, block) == 0)
            continue;
        const LogBlock *loaded = lines_block(lines, block);
        size_t i = block_search(loaded, at);
        if (i < loaded->count) {
            *start = loaded->begin + loaded->starts[i];
            return true;
        }
    }
    return false;
}

bool log_lines_before(LogLines *lines, uint64_t at, uint64_t *start)
{
    at = at > lines->end ? lines->end : at;
    if (at <= lines->first)
        return false;
    uint64_t block = (at - 1) / LOG_BLOCK, least = lines->is_narrow ? lines->low : lines->first / LOG_BLOCK;
    if (lines->is_narrow && block >= lines->high) {
        if (lines->high == 0)
            return false;
        block = lines->high - 1;
    }
    for (block++; block-- > least;) {
        if (lines_known(lines, block) && *lines_count(lines, block) == 0)
            continue;
        const LogBlock *loaded = lines_block(lines, block);
        size_t i = block_search(loaded, at);
        if (i > 0) {
            *start = loaded->begin + loaded->starts[i - 1];
            return true;
        }
    }
    return false;
}

uint64_t log_lines_number(LogLines *lines, uint64_t at)
{
    uint64_t block = at / LOG_BLOCK, number = 0;
    for (uint64_t i = lines->low; i < lines->high && i < block; i++)
        number += *lines_count(lines, i);
    if (lines_known(lines, block) && *lines_count(lines, block))
        number += block_search(lines_block(lines, block), at);
    return number;
}

bool log_lines_at(LogLines *lines, uint64_t n, uint64_t *start)
{
    for (uint64_t i = lines->low; i < lines->high; i++) {
        uint32_t count = *lines_count(lines, i);
        if (n < count) {
            const LogBlock *block = lines_block(lines, i);
            if (n >= block->count)
                return false;
            *start = block->begin + block->starts[n];
            return true;
        }
        n -= count;
    }
    return false;
}
