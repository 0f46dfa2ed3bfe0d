#include "core/journal.h"

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

enum { JOURNAL_MOST_BYTES = 64 << 20, LOCK_MS = 5000 };

struct Journal {
    char *path; /* NULL: there is no place for it */
    bool syslog;
};

Journal *journal_open(const Config *config, const char *state_directory)
{
    Journal *journal = mem_new(sizeof *journal);
    const char *path = config ? tree_text(tree_get(config->journal, "path")) : NULL;
    const Tree *to_syslog = config ? tree_get(config->journal, "syslog") : NULL;
    journal->path = path ? file_expand_home(path) : state_directory ? file_join(state_directory, "journal.jsonl") : NULL;
    journal->syslog = to_syslog && to_syslog->truth;
    return journal;
}

void journal_free(Journal *journal)
{
    if (!journal)
        return;
    free(journal->path);
    free(journal);
}

/* --------------------------------------------------------------------------------------------------------------- writing */

static bool refuse(const Journal *journal, const char *what, Error *error)
{
    char reason[200];
    Error why;
    error_errno(&why, errno, NULL, "%s", what);
    memcpy(reason, why.what, sizeof reason - 1);
    reason[sizeof reason - 1] = 0;
    return error_set(error, ERROR_DENIED, "journal", "make it writable: without a journal nothing is changed", "%s: %s", journal->path, reason);
}

/* A line that was cut short (the disk was full, the power went) must not swallow the next one. */
static bool is_torn(int fd)
{
    struct stat st;
    char last;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 && last != '\n';
}

/* One write under a lock, synced: whole lines, also from several dasktops and over NFS. */
static bool append(Journal *journal, Buffer *line, Error *error)
{
    if (!journal->path)
        return error_set(error, ERROR_DENIED, "journal", "set HOME or XDG_STATE_HOME", "there is no place for it, so nothing is changed");
    char *directory = mem_text(journal->path), *slash = strrchr(directory, '/');
    if (slash && slash != directory) {
        *slash = 0;
        Error ignored;
        file_make_directory(directory, &ignored); /* opening the file says what is wrong */
    }
    free(directory);
    int fd = open(journal->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return refuse(journal, "it cannot be opened", error);
    int64_t end = clock_mono_ms() + LOCK_MS;
    /* a system without locks, or one that is held for ever, does not stop a change: O_APPEND keeps lines whole where there is one writer */
    while (flock(fd, LOCK_EX | LOCK_NB) != 0 && (errno == EWOULDBLOCK || errno == EINTR) && clock_mono_ms() < end)
        usleep(5000);
    size_t skipped = is_torn(fd) ? 0 : 1; /* it begins with a line end for this */
    errno = ENOSPC; /* what a short write means */
    ssize_t n = write(fd, line->bytes + skipped, line->length - skipped);
    bool right = n == (ssize_t)(line->length - skipped) && (fsync(fd) == 0 || errno == EINVAL);
    if (!right)
        refuse(journal, "it cannot be written", error);
    close(fd);
    if (right && journal->syslog)
        syslog(LOG_USER | LOG_NOTICE, "%.*s", (int)line->length - 2, line->bytes + 1);
    return right;
}

static void begin_line(JsonWriter *json, Buffer *line, const char *event, const char *operation, const Plan *plan)
{
    char name[256];
    buffer_init(line, BUFFER_ANY);
    buffer_char(line, '\n');
    json_begin(json, line);
    json_object(json, NULL);
    json_put_text(json, "event", event);
    json_put_text(json, "operation", operation);
    json_put_time(json, "time", clock_wall_ms());
    json_put_text(json, "user", file_user_name(geteuid(), name));
    json_put_text(json, "host", file_host_name(name));
    json_put_integer(json, "pid", getpid());
    json_put_text(json, "change", change_word(plan->kind));
    json_put_text(json, "id", plan->id);
    json_put_text(json, "uid", plan->uid);
    json_put_text(json, "name", plan->name);
}

static bool end_line(Journal *journal, JsonWriter *json, Buffer *line, Error *error)
{
    json_close(json, '}');
    buffer_char(line, '\n');
    bool right = append(journal, line, error);
    buffer_done(line);
    return right;
}

/* Unique over hosts, containers with equal pids and time: when, and 64 random bits. */
static void new_operation(char operation[40])
{
    uint64_t random = 0;
    if (getentropy(&random, sizeof random) != 0)
        random = (uint64_t)clock_mono_us() << 20 ^ (uint64_t)getpid();
    snprintf(operation, 40, "%llx-%016llx", (unsigned long long)clock_wall_ms(), (unsigned long long)random);
}

bool journal_begin(Journal *journal, const Plan *plan, char operation[40], Error *error)
{
    Buffer line;
    JsonWriter json;
    new_operation(operation);
    begin_line(&json, &line, "begin", operation, plan);
    plan_json(&json, "plan", plan);
    return end_line(journal, &json, &line, error);
}

static void put_list(JsonWriter *json, const char *key, const List *list)
{
    json_array(json, key);
    for (size_t i = 0; i < list->count; i++)
        json_put_text(json, NULL, list->items[i]);
    json_close(json, ']');
}

bool journal_end(Journal *journal, const char *operation, const Plan *plan, Phase phase, const Outcome *outcome, const Error *why, Error *error)
{
    Buffer line;
    JsonWriter json;
    char text[ERROR_LINE];
    begin_line(&json, &line, "end", operation, plan);
    json_put_text(&json, "outcome", phase_word(phase));
    json_put_text(&json, "error", why ? error_line(why, text, sizeof text) : NULL);
    put_list(&json, "left_over", &outcome->left_over);
    put_list(&json, "failures", &outcome->failures);
    put_list(&json, "newcomers", &outcome->newcomers);
    json_put_integer(&json, "workers", outcome->workers);
    json_put_text(&json, "made", outcome->id);
    return end_line(journal, &json, &line, error);
}

/* --------------------------------------------------------------------------------------------------------------- reading */

typedef struct Reading {
    JournalEntry *entries;
    size_t count, capacity, bad;
    Map by_operation; /* index + 1 */
} Reading;

static Phase parse_phase(const char *word)
{
    for (int phase = PHASE_QUEUED; word && phase <= PHASE_UNKNOWN; phase++)
        if (strcmp(phase_word((Phase)phase), word) == 0)
            return (Phase)phase;
    return PHASE_UNKNOWN;
}

static void read_begin(Reading *reading, const cJSON *line, const char *operation)
{
    reading->entries = mem_grow(reading->entries, reading->count, &reading->capacity, sizeof *reading->entries);
    JournalEntry *entry = &reading->entries[reading->count++];
    *entry = (JournalEntry){.operation = mem_text(operation), .change = mem_text(json_text(line, "change")), .id = mem_text(json_text(line, "id")),
                            .uid = mem_text(json_text(line, "uid")), .name = mem_text(json_text(line, "name")),
                            .user = mem_text(json_text(line, "user")), .host = mem_text(json_text(line, "host")),
                            .begin_ms = time_parse(json_text(line, "time")), .end_ms = TIME_UNKNOWN, .phase = PHASE_UNKNOWN};
    map_put(&reading->by_operation, operation, (void *)(uintptr_t)reading->count);
}

static void read_end(Reading *reading, const cJSON *line, const char *operation)
{
    size_t position = (size_t)(uintptr_t)map_get(&reading->by_operation, operation);
    const cJSON *item;
    if (!position)
        return; /* its begin is older than what is kept */
    JournalEntry *entry = &reading->entries[position - 1];
    entry->end_ms = time_parse(json_text(line, "time"));
    entry->phase = parse_phase(json_text(line, "outcome"));
    free(entry->error);
    entry->error = mem_text(json_text(line, "error"));
    if (!entry->id)
        entry->id = mem_text(json_text(line, "made"));
    cJSON_ArrayForEach(item, json_member(line, "left_over")) if (cJSON_IsString(item)) list_add(&entry->left_over, item->valuestring);
}

static void read_line(Reading *reading, const char *bytes, size_t n)
{
    cJSON *line = json_parse(bytes, n, "journal", NULL);
    const char *event = json_text(line, "event"), *operation = json_text(line, "operation");
    if (!event || !operation)
        reading->bad++;
    else if (strcmp(event, "begin") == 0)
        read_begin(reading, line, operation);
    else if (strcmp(event, "end") == 0)
        read_end(reading, line, operation);
    cJSON_Delete(line);
}

static void free_entry(JournalEntry *entry)
{
    char *texts[] = {entry->operation, entry->change, entry->id, entry->uid, entry->name, entry->user, entry->host, entry->error};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    list_done(&entry->left_over);
}

static void drop_older(Reading *reading, int64_t since_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < reading->count; i++) {
        if (since_ms != TIME_UNKNOWN && reading->entries[i].begin_ms < since_ms)
            free_entry(&reading->entries[i]);
        else
            reading->entries[kept++] = reading->entries[i];
    }
    reading->count = kept;
}

bool journal_read(Journal *journal, int64_t since_ms, JournalEntry **entries, size_t *count, size_t *bad, Error *error)
{
    Reading reading = {0};
    Buffer bytes;
    *entries = NULL;
    *count = *bad = 0;
    if (!journal->path)
        return true;
    buffer_init(&bytes, JOURNAL_MOST_BYTES);
    if (!file_read_at(AT_FDCWD, journal->path, &bytes)) {
        bool none = errno == ENOENT || errno == ENOTDIR;
        buffer_done(&bytes);
        return none || error_errno(error, errno, journal->path, "the journal cannot be read");
    }
    map_init(&reading.by_operation);
    for (const char *at = bytes.bytes, *end = at + bytes.length; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
        if (stop > at)
            read_line(&reading, at, (size_t)(stop - at));
        at = stop + 1;
    }
    map_done(&reading.by_operation, NULL);
    buffer_done(&bytes);
    drop_older(&reading, since_ms);
    *entries = reading.entries;
    *count = reading.count;
    *bad = reading.bad;
    return true;
}

void journal_entries_free(JournalEntry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free_entry(&entries[i]);
    free(entries);
}
