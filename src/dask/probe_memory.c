#include "dask/probe_memory.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/json_walk.h"
#include "base/list.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_BYTES = 16 << 20, MOST_KEYS = 10000, MOST_MEMBERS = 64, LOCK_MS = 50 };
#define FORGET_MS (24 * 3600 * 1000ll)
#define AHEAD_MS 60000ll /* stamps further in the future are of a clock that was wrong: they would stay the newest for ever */

static char **texts_of(Known *known, size_t i)
{
    char **texts[] = {&known->id, &known->address, &known->scheduler, &known->python, &known->dask, &known->distributed};
    return i < sizeof texts / sizeof *texts ? texts[i] : NULL;
}

static int64_t *count_of(DaskCounts *counts, size_t i)
{
    int64_t *numbers[] = {&counts->clients, &counts->workers, &counts->processing, &counts->waiting,    &counts->queued,
                          &counts->stored,  &counts->erred,   &counts->unrunnable, &counts->tasks,      &counts->threads};
    return i < sizeof numbers / sizeof *numbers ? numbers[i] : NULL;
}

static const char *const text_keys[] = {"id", "address", "scheduler", "python", "dask", "distributed"};

static void known_free(void *known)
{
    known_clear(known);
    free(known);
}

Known *probe_memory_get(ProbeMemory *memory, const char *key)
{
    Known *known = map_get(&memory->known, key);
    if (!known) {
        known = mem_new(sizeof *known);
        known_init(known);
        map_put(&memory->known, key, known);
    }
    return known;
}

const Known *probe_memory_find(const ProbeMemory *memory, const char *key)
{
    return map_get(&memory->known, key);
}

void probe_memory_forget(ProbeMemory *memory, const char *key)
{
    Known *known = map_remove(&memory->known, key);
    if (known)
        known_free(known);
    memory->changed = true;
}

/* --------------------------------------------------------------------------------------------------------------- reading */

/* Each start reads hundreds of lines of forty members: they are walked, no tree is built of them. */
typedef struct Line {
    JsonSpan keys[MOST_MEMBERS], values[MOST_MEMBERS];
    size_t count;
} Line;

static bool line_read(Line *line, const char *bytes, size_t n)
{
    JsonWalk walk = json_walk((JsonSpan){bytes, n});
    for (line->count = 0; json_walk_next(&walk); line->count++) {
        if (line->count == MOST_MEMBERS)
            return false;
        line->keys[line->count] = walk.key;
        line->values[line->count] = walk.value;
    }
    return json_walk_whole(&walk);
}

static JsonSpan member_of(const Line *line, const char *key)
{
    for (size_t i = 0; i < line->count; i++)
        if (json_span_is(line->keys[i], key))
            return line->values[i];
    return (JsonSpan){0};
}

static int64_t integer_of(const Line *line, const char *key)
{
    return json_span_integer(member_of(line, key));
}

static int64_t stamp_of(const Line *line, const char *key)
{
    int64_t ms = integer_of(line, key);
    return ms == NUMBER_UNKNOWN ? TIME_UNKNOWN : ms;
}

/* What is written takes the place of what is known only where it is newer, call by call. */
static bool is_newer(int64_t there_ms, int64_t ours_ms)
{
    return there_ms != TIME_UNKNOWN && (ours_ms == TIME_UNKNOWN || there_ms > ours_ms);
}

static int64_t amount_of(const Line *line, const char *key)
{
    int64_t number = integer_of(line, key);
    return number < 0 ? NUMBER_UNKNOWN : number;
}

/* The next of an array of numbers, which begins at *at; NUMBER_UNKNOWN where there is none, or it is something else. */
static int64_t next_number(const char **at, const char *end)
{
    while (*at < end && (**at == '[' || **at == ',' || **at == ' '))
        ++*at;
    const char *begin = *at;
    while (*at < end && **at != ',' && **at != ']' && **at != ' ')
        ++*at;
    return json_span_integer((JsonSpan){begin, (size_t)(*at - begin)});
}

static bool read_dear(const Line *line, const char *key, Dear *dear)
{
    JsonSpan pair = member_of(line, key);
    if (!pair.bytes)
        return false;
    const char *first = pair.bytes;
    int64_t at = next_number(&first, pair.bytes + pair.n), took = next_number(&first, pair.bytes + pair.n);
    if (at == NUMBER_UNKNOWN || took == NUMBER_UNKNOWN || at > clock_wall_ms() + AHEAD_MS || !is_newer(at, dear->at_ms))
        return false;
    *dear = (Dear){at, took};
    return true;
}

static void read_said(const Line *line, int64_t used_ms, Known *known)
{
    int64_t role = integer_of(line, "role"), port = integer_of(line, "http");
    bool is_told = role > DASK_UNKNOWN && role <= DASK_NANNY;
    /* another one that was less patient heard nothing: that undoes nothing of what is known here */
    if (!is_newer(used_ms, known->used_ms) || (!is_told && known->role != DASK_UNKNOWN))
        return;
    for (size_t i = 0; texts_of(known, i); i++) {
        free(*texts_of(known, i));
        *texts_of(known, i) = json_span_text(member_of(line, text_keys[i]));
    }
    known->role = is_told ? (DaskRole)role : DASK_UNKNOWN;
    known->http_port = port > 0 && port < 65536 ? (int)port : 0;
    known->started_ms = stamp_of(line, "started");
    known->workers = amount_of(line, "workers");
    known->threads = amount_of(line, "threads");
    known->memory = amount_of(line, "memory");
    known->stranger_ms = stamp_of(line, "stranger");
    known->old = json_span_truth(member_of(line, "old")) == 1;
    known->used_ms = used_ms;
}

static void read_counts(const Line *line, const char *key, DaskCounts *counts)
{
    JsonSpan numbers = member_of(line, key);
    const char *at = numbers.bytes;
    for (size_t i = 0; numbers.bytes && count_of(counts, i); i++) {
        int64_t number = next_number(&at, numbers.bytes + numbers.n);
        *count_of(counts, i) = number < 0 ? NUMBER_UNKNOWN : number;
    }
}

static void read_known(const Line *line, int64_t used_ms, Known *known)
{
    read_said(line, used_ms, known);
    char *id = known->id ? json_span_text(member_of(line, "id")) : NULL;
    bool other = id && strcmp(known->id, id) != 0; /* of one that was there before */
    free(id);
    if (other)
        return;
    if (read_dear(line, "idle_call", &known->idle_call)) {
        known->busy = json_span_truth(member_of(line, "busy"));
        known->idle_since_ms = stamp_of(line, "idle");
        known->idle_longer = json_span_truth(member_of(line, "idle_longer")) == 1;
        known->last_graph_ms = stamp_of(line, "graph");
    }
    if (read_dear(line, "detail_call", &known->detail_call)) {
        known->memory_used = amount_of(line, "memory_used");
        known->spilled = amount_of(line, "spilled");
        known->paused = amount_of(line, "paused");
    }
    if (read_dear(line, "count_call", &known->count_call)) {
        int64_t ahead = integer_of(line, "ahead");
        known->ahead_ms = ahead == NUMBER_UNKNOWN ? 0 : ahead;
        read_counts(line, "counts", &known->counts);
        read_counts(line, "judged", &known->judged);
    }
}

static void read_line(ProbeMemory *memory, const char *bytes, size_t n, int64_t now)
{
    Line line;
    if (!line_read(&line, bytes, n))
        return;
    char *key = json_span_text(member_of(&line, "key"));
    int64_t used = stamp_of(&line, "used");
    if (key && strlen(key) < 1024 && used != TIME_UNKNOWN && used > now - FORGET_MS && used < now + AHEAD_MS &&
        (map_has(&memory->known, key) || memory->known.used < MOST_KEYS))
        read_known(&line, used, probe_memory_get(memory, key));
    free(key);
}

static void read_all(ProbeMemory *memory)
{
    Buffer bytes;
    int64_t now = clock_wall_ms();
    buffer_init(&bytes, MOST_BYTES);
    if (memory->path && file_read_at(AT_FDCWD, memory->path, &bytes))
        for (const char *at = bytes.bytes, *end = at + bytes.length; at < end;) {
            const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
            read_line(memory, at, (size_t)(stop - at), now);
            at = stop + 1;
        }
    buffer_done(&bytes);
}

void probe_memory_open(ProbeMemory *memory, const char *path)
{
    *memory = (ProbeMemory){.path = mem_text(path)};
    map_init(&memory->known);
    read_all(memory);
}

void probe_memory_done(ProbeMemory *memory)
{
    map_done(&memory->known, known_free);
    free(memory->path);
}

/* --------------------------------------------------------------------------------------------------------------- writing */

static void put_stamp(JsonWriter *json, const char *key, int64_t ms)
{
    json_put_integer(json, key, ms == TIME_UNKNOWN ? NUMBER_UNKNOWN : ms);
}

static void put_dear(JsonWriter *json, const char *key, const Dear *dear)
{
    json_array(json, key);
    if (dear->at_ms != TIME_UNKNOWN) {
        json_put_integer(json, NULL, dear->at_ms);
        json_put_integer(json, NULL, dear->took_us);
    }
    json_close(json, ']');
}

static void put_counts(JsonWriter *json, const char *key, const DaskCounts *counts)
{
    DaskCounts copy = *counts;
    json_array(json, key);
    for (size_t i = 0; count_of(&copy, i); i++)
        json_put_integer(json, NULL, *count_of(&copy, i));
    json_close(json, ']');
}

static void write_known(Buffer *out, const char *key, Known *known)
{
    JsonWriter json;
    json_begin(&json, out);
    json_object(&json, NULL);
    json_put_text(&json, "key", key);
    put_stamp(&json, "used", known->used_ms);
    json_put_integer(&json, "role", known->role);
    for (size_t i = 0; texts_of(known, i); i++)
        if (*texts_of(known, i))
            json_put_text(&json, text_keys[i], *texts_of(known, i));
    json_put_integer(&json, "http", known->http_port);
    put_stamp(&json, "started", known->started_ms);
    json_put_integer(&json, "workers", known->workers);
    json_put_integer(&json, "threads", known->threads);
    json_put_integer(&json, "memory", known->memory);
    put_stamp(&json, "stranger", known->stranger_ms);
    json_put_truth(&json, "old", known->old);
    put_dear(&json, "idle_call", &known->idle_call);
    json_put_truth(&json, "busy", known->busy);
    put_stamp(&json, "idle", known->idle_since_ms);
    if (known->idle_longer)
        json_put_truth(&json, "idle_longer", 1);
    put_stamp(&json, "graph", known->last_graph_ms);
    put_dear(&json, "detail_call", &known->detail_call);
    json_put_integer(&json, "memory_used", known->memory_used);
    json_put_integer(&json, "spilled", known->spilled);
    json_put_integer(&json, "paused", known->paused);
    put_dear(&json, "count_call", &known->count_call);
    json_put_integer(&json, "ahead", known->ahead_ms);
    put_counts(&json, "counts", &known->counts);
    if (known->judged.tasks != NUMBER_UNKNOWN)
        put_counts(&json, "judged", &known->judged);
    json_close(&json, '}');
    buffer_char(out, '\n');
}

/* What was not looked at for a day; a process that lives for months does not keep it either. */
static void forget_old(ProbeMemory *memory)
{
    List gone = {0};
    const MapEntry *entry;
    int64_t now = clock_wall_ms();
    for (size_t i = 0; (entry = map_next(&memory->known, &i));) {
        const Known *known = entry->value;
        if (known->used_ms == TIME_UNKNOWN || known->used_ms <= now - FORGET_MS)
            list_add(&gone, entry->key);
    }
    for (size_t i = 0; i < gone.count; i++)
        probe_memory_forget(memory, gone.items[i]);
    list_done(&gone);
}

void probe_memory_save(ProbeMemory *memory)
{
    if (!memory->path || !memory->changed)
        return;
    Buffer bytes;
    const MapEntry *entry;
    char *directory = mem_text(memory->path), *slash = strrchr(directory, '/');
    if (slash)
        *slash = 0;
    bool there = file_make_directory(directory, NULL);
    free(directory);
    char *lock_path = mem_format("%s.lock", memory->path);
    int lock = there ? file_lock(lock_path, clock_mono_ms() + LOCK_MS, NULL) : -1;
    free(lock_path);
    if (lock < 0)
        return; /* the next round tries again */
    read_all(memory);
    buffer_init(&bytes, MOST_BYTES);
    forget_old(memory);
    for (size_t i = 0; (entry = map_next(&memory->known, &i));)
        write_known(&bytes, entry->key, entry->value);
    file_replace_cache(memory->path, bytes.bytes, bytes.length);
    buffer_done(&bytes);
    close(lock);
    memory->changed = false;
}
