#include "core/told.h"

#include "base/file.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 8 << 20, ENTRIES_MAX = 20000 };
#define UNSEEN_MS (INT64_C(30) * 86400000)
#define SKEW_MS INT64_C(60000)

typedef struct Entry {
    char *uid, *id, *machine, *state;
    int64_t at_ms, seen_ms;
    bool mine; /* of this machine */
} Entry;

struct Told {
    char *directory, *path; /* NULL: there is none */
    char machine[64];
    Entry *entries;
    size_t count, capacity;
    Map by_uid;             /* this machine's, to their numbers + 1 */
};

static void entry_done(Entry *entry)
{
    free(entry->uid);
    free(entry->id);
    free(entry->machine);
    free(entry->state);
    *entry = (Entry){0};
}

static void add(Told *told, Entry entry)
{
    told->entries = mem_grow(told->entries, told->count, &told->capacity, sizeof *told->entries);
    told->entries[told->count++] = entry;
    if (entry.mine)
        map_put(&told->by_uid, entry.uid, (void *)(uintptr_t)told->count);
}

static Entry *find(const Told *told, const char *uid)
{
    size_t at = told && uid ? (size_t)(uintptr_t)map_get(&told->by_uid, uid) : 0;
    return at ? &told->entries[at - 1] : NULL;
}

static char *clean(const cJSON *object, const char *key)
{
    const char *text = json_text(object, key);
    return text && *text ? text_clean_new(text, strlen(text), 3 * TEXT_NAME_MAX) : NULL;
}

/* The file is a user's, or another host's: what cannot be read is left out. */
static void parse(Told *told, const Buffer *bytes)
{
    cJSON *document = json_parse(bytes->bytes, bytes->length, "told.json", NULL);
    const cJSON *list = document ? json_member(document, "told") : NULL, *item;
    if (cJSON_IsArray(list)) {
        cJSON_ArrayForEach(item, list) {
            const char *at = json_text(item, "at"), *seen = json_text(item, "seen");
            Entry entry = {.uid = clean(item, "uid"), .id = clean(item, "id"), .machine = clean(item, "machine"),
                           .state = clean(item, "verdict"), .at_ms = at ? time_parse(at) : TIME_UNKNOWN};
            entry.seen_ms = seen ? time_parse(seen) : entry.at_ms;
            entry.mine = entry.machine && strcmp(entry.machine, told->machine) == 0;
            bool whole = entry.uid && entry.machine && entry.state && entry.at_ms != TIME_UNKNOWN && told->count < ENTRIES_MAX;
            if (whole && !(entry.mine && find(told, entry.uid)))
                add(told, entry);
            else
                entry_done(&entry);
        }
    }
    cJSON_Delete(document);
}

Told *told_open(const char *state_directory)
{
    Told *told = mem_new(sizeof *told);
    map_init(&told->by_uid);
    file_machine_id(told->machine);
    if (!state_directory)
        return told;
    told->directory = mem_text(state_directory);
    told->path = file_join(state_directory, "told.json");
    Buffer bytes;
    buffer_init(&bytes, FILE_MAX);
    if (file_read(told->path, &bytes, NULL))
        parse(told, &bytes);
    buffer_done(&bytes);
    return told;
}

void told_free(Told *told)
{
    if (!told)
        return;
    for (size_t i = 0; i < told->count; i++)
        entry_done(&told->entries[i]);
    map_done(&told->by_uid, NULL);
    free(told->entries);
    free(told->directory);
    free(told->path);
    free(told);
}

/* What came back to life in between has another verdict, or rests since a later time. An orphan's proof may get another stamp
 * with each look, but what is provably gone does not come back under the same uid. */
static bool still_so(const Entry *entry, const ViewRow *row, Clock now)
{
    Verdict verdict = row->verdict;
    if (strcmp(entry->state, verdict_word(verdict.state)) != 0 || entry->at_ms > now.wall_ms + SKEW_MS)
        return false;
    return verdict.state == VERDICT_ORPHANED || verdict.since_ms == TIME_UNKNOWN || verdict.since_ms <= entry->at_ms;
}

int64_t told_when(const Told *told, const ViewRow *row, Clock now)
{
    const Entry *entry = find(told, row->record->is.uid);
    return entry && still_so(entry, row, now) ? entry->at_ms : TIME_UNKNOWN;
}

void told_forget(Told *told, const char *uid)
{
    Entry *entry = find(told, uid);
    if (!entry)
        return;
    map_remove(&told->by_uid, uid);
    entry_done(entry); /* without a uid it is written no more */
}

void told_set(Told *told, const ViewRow *row, Clock now)
{
    const RecordFields *is = &row->record->is;
    if (!is->uid)
        return;
    told_forget(told, is->uid);
    add(told, (Entry){.uid = mem_text(is->uid), .id = mem_text(is->id), .machine = mem_text(told->machine),
                      .state = mem_text(verdict_word(row->verdict.state)), .at_ms = now.wall_ms, .seen_ms = now.wall_ms, .mine = true});
}

static void put_entry(JsonWriter *json, const Entry *entry)
{
    json_object(json, NULL);
    json_put_text(json, "uid", entry->uid);
    json_put_text(json, "id", entry->id);
    json_put_text(json, "machine", entry->machine);
    json_put_text(json, "verdict", entry->state);
    json_put_time(json, "at", entry->at_ms);
    json_put_time(json, "seen", entry->seen_ms);
    json_close(json, '}');
}

bool told_save(Told *told, const ViewRow *const *rows, size_t count, Clock now, Error *error)
{
    if (!told->directory)
        return error_set(error, ERROR_UNSUPPORTED, "sweep", "set XDG_STATE_HOME", "there is no state directory to remember what was told");
    for (size_t i = 0; i < count; i++) {
        Entry *entry = rows[i]->stale ? NULL : find(told, rows[i]->record->is.uid);
        if (entry && still_so(entry, rows[i], now))
            entry->seen_ms = now.wall_ms;
        else if (entry)
            told_forget(told, rows[i]->record->is.uid);
    }
    if (!file_make_directory(told->directory, error))
        return false;
    Buffer out;
    JsonWriter json;
    buffer_init(&out, BUFFER_ANY);
    json_begin(&json, &out);
    json_object(&json, NULL);
    json_array(&json, "told");
    for (size_t i = 0; i < told->count; i++)
        if (told->entries[i].uid && now.wall_ms - told->entries[i].seen_ms < UNSEEN_MS)
            put_entry(&json, &told->entries[i]);
    json_close(&json, ']');
    json_close(&json, '}');
    buffer_char(&out, '\n');
    bool written = file_replace(told->path, out.bytes, out.length, error);
    buffer_done(&out);
    return written;
}
