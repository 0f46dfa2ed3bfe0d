#include "core/keep.h"

#include "base/file.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 4 << 20, ENTRIES_MAX = 20000, REASON_MAX = 127, LOCK_MS = 5000 };

/* One cluster to be left alone. By uid; by id only where the uid was not known then. */
typedef struct Entry {
    char *uid, *id, *name, *reason;
    int64_t until_ms;
} Entry;

struct Keep {
    char *directory, *path; /* NULL: there is none */
    pthread_mutex_t lock;   /* guards what follows */
    Entry *entries;
    size_t count, capacity;
    Map by_uid, by_id;      /* to entries' numbers + 1 */
    uint64_t generation;
    struct timespec changed; /* of the file that was read */
    ino_t file;
    off_t size;
};

/* --------------------------------------------------------------------------------------------------------------- entries */

static void entry_done(Entry *entry)
{
    free(entry->uid);
    free(entry->id);
    free(entry->name);
    free(entry->reason);
}

static void clear(Keep *keep)
{
    for (size_t i = 0; i < keep->count; i++)
        entry_done(&keep->entries[i]);
    keep->count = 0;
    map_done(&keep->by_uid, NULL);
    map_done(&keep->by_id, NULL);
    map_init(&keep->by_uid);
    map_init(&keep->by_id);
}

static void add(Keep *keep, Entry entry)
{
    keep->entries = mem_grow(keep->entries, keep->count, &keep->capacity, sizeof(*keep->entries));
    keep->entries[keep->count++] = entry;
    Map *map = entry.uid ? &keep->by_uid : &keep->by_id;
    map_put(map, entry.uid ? entry.uid : entry.id, (void *)(uintptr_t)keep->count);
}

static bool is_entry(const Entry *entry, const Record *record)
{
    if (entry->uid)
        return record->is.uid && strcmp(entry->uid, record->is.uid) == 0;
    return strcmp(entry->id, record->is.id) == 0;
}

static char *clean(const cJSON *object, const char *key, size_t most)
{
    const char *text = json_text(object, key);
    return text && *text ? text_clean_new(text, strlen(text), most) : NULL;
}

/* The file is a user's, or another host's: what cannot be read is left out, what can is sanitised. */
static void parse(Keep *keep, const Buffer *bytes)
{
    cJSON *document = json_parse(bytes->bytes, bytes->length, "keep.json", NULL);
    const cJSON *list = document ? json_member(document, "keep") : NULL, *item;
    if (cJSON_IsArray(list)) {
        cJSON_ArrayForEach(item, list) {
            const char *until = json_text(item, "until");
            Entry entry = {.uid = clean(item, "uid", TEXT_NAME_MAX), .id = clean(item, "id", 3 * TEXT_NAME_MAX),
                           .name = clean(item, "name", TEXT_NAME_MAX), .reason = clean(item, "reason", REASON_MAX),
                           .until_ms = until ? time_parse(until) : TIME_UNKNOWN};
            if (entry.until_ms == TIME_UNKNOWN || (!entry.uid && !entry.id) || keep->count >= ENTRIES_MAX)
                entry_done(&entry);
            else
                add(keep, entry);
        }
    }
    cJSON_Delete(document);
}

static bool look(Keep *keep, struct stat *info)
{
    if (keep->path && stat(keep->path, info) == 0)
        return true;
    memset(info, 0, sizeof(*info));
    return false;
}

/* Reads the file where it is another than the one that was read. Under the lock. */
static void refresh(Keep *keep)
{
    struct stat info;
    bool there = look(keep, &info);
    if (info.st_ino == keep->file && info.st_size == keep->size && info.st_mtim.tv_sec == keep->changed.tv_sec &&
        info.st_mtim.tv_nsec == keep->changed.tv_nsec)
        return;
    Buffer bytes;
    buffer_init(&bytes, FILE_MAX);
    bool read = there && file_read(keep->path, &bytes, NULL);
    if (read || !there)
        clear(keep);
    if (read)
        parse(keep, &bytes);
    buffer_done(&bytes);
    keep->file = info.st_ino;
    keep->size = info.st_size;
    keep->changed = info.st_mtim;
    keep->generation++;
}

/* ------------------------------------------------------------------------------------------------------------------ keep */

Keep *keep_open(const char *state_directory)
{
    Keep *keep = mem_new(sizeof(*keep));
    pthread_mutex_init(&keep->lock, NULL);
    map_init(&keep->by_uid);
    map_init(&keep->by_id);
    keep->generation = 1;
    if (state_directory) {
        keep->directory = mem_text(state_directory);
        keep->path = file_join(state_directory, "keep.json");
    }
    refresh(keep);
    return keep;
}

void keep_free(Keep *keep)
{
    if (!keep)
        return;
    clear(keep);
    map_done(&keep->by_uid, NULL);
    map_done(&keep->by_id, NULL);
    free(keep->entries);
    free(keep->directory);
    free(keep->path);
    pthread_mutex_destroy(&keep->lock);
    free(keep);
}

uint64_t keep_generation(Keep *keep)
{
    pthread_mutex_lock(&keep->lock);
    refresh(keep);
    uint64_t generation = keep->generation;
    pthread_mutex_unlock(&keep->lock);
    return generation;
}

static void set_reason(Kept *kept, const char *reason)
{
    size_t n = reason ? strlen(reason) : 0;
    if (n > REASON_MAX)
        for (n = REASON_MAX; n && ((unsigned char)reason[n] & 0xC0) == 0x80;)
            n--;
    if (n)
        memcpy(kept->reason, reason, n);
    kept->reason[n] = 0;
}

static const Entry *find(const Keep *keep, const Record *record)
{
    size_t at = record->is.uid ? (size_t)(uintptr_t)map_get(&keep->by_uid, record->is.uid) : 0;
    if (!at)
        at = (size_t)(uintptr_t)map_get(&keep->by_id, record->is.id);
    return at ? &keep->entries[at - 1] : NULL;
}

Kept keep_get(Keep *keep, const Record *record, Clock now)
{
    Kept kept = {.until_ms = TIME_UNKNOWN};
    if (record->is.kept_until_ms != TIME_UNKNOWN && record->is.kept_until_ms > now.wall_ms) {
        kept.kept = true;
        kept.until_ms = record->is.kept_until_ms;
        set_reason(&kept, record->is.kept_reason);
    }
    pthread_mutex_lock(&keep->lock);
    const Entry *entry = keep->count ? find(keep, record) : NULL;
    if (entry && entry->until_ms > now.wall_ms && (!kept.kept || entry->until_ms > kept.until_ms)) {
        kept.kept = true;
        kept.until_ms = entry->until_ms;
        set_reason(&kept, entry->reason);
    }
    pthread_mutex_unlock(&keep->lock);
    return kept;
}

/* --------------------------------------------------------------------------------------------------------------- writing */

static void put_entry(JsonWriter *json, const Entry *entry)
{
    json_object(json, NULL);
    json_put_text(json, "uid", entry->uid);
    json_put_text(json, "id", entry->id);
    json_put_text(json, "name", entry->name);
    json_put_time(json, "until", entry->until_ms);
    json_put_text(json, "reason", entry->reason);
    json_close(json, '}');
}

/* Everything but the record's own entry and what ended long ago, then the new one. */
static void write_entries(const Keep *keep, const Record *record, const Entry *fresh, int64_t now_ms, Buffer *out)
{
    JsonWriter json;
    json_begin(&json, out);
    json_object(&json, NULL);
    json_array(&json, "keep");
    for (size_t i = 0; i < keep->count; i++)
        if (!is_entry(&keep->entries[i], record) && keep->entries[i].until_ms > now_ms)
            put_entry(&json, &keep->entries[i]);
    if (fresh)
        put_entry(&json, fresh);
    json_close(&json, ']');
    json_close(&json, '}');
    buffer_char(out, '\n');
}

static bool replace(Keep *keep, const Record *record, const Entry *fresh, Error *error)
{
    char *path = file_join(keep->directory, "keep.lock");
    int held = file_lock(path, clock_mono_ms() + LOCK_MS, error);
    free(path);
    if (held < 0)
        return false;
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    pthread_mutex_lock(&keep->lock);
    refresh(keep);
    write_entries(keep, record, fresh, clock_wall_ms(), &out);
    bool written = file_replace(keep->path, out.bytes, out.length, error);
    keep->file = 0; /* read it again, whatever its stamp */
    refresh(keep);
    pthread_mutex_unlock(&keep->lock);
    buffer_done(&out);
    close(held);
    return written;
}

bool keep_set(Keep *keep, const Record *record, int64_t until_ms, const char *reason, Error *error)
{
    if (!keep->directory)
        return error_set(error, ERROR_UNSUPPORTED, "keep", "set XDG_STATE_HOME", "there is no state directory");
    if (!file_make_directory(keep->directory, error))
        return false;
    Entry fresh = {.uid = mem_text(record->is.uid), .id = mem_text(record->is.id), .name = mem_text(record->is.name),
                   .reason = reason ? text_clean_new(reason, strlen(reason), REASON_MAX) : NULL, .until_ms = until_ms};
    bool set = replace(keep, record, until_ms ? &fresh : NULL, error);
    entry_done(&fresh);
    return set;
}
