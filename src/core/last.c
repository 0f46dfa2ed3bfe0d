#include "core/last.h"

#include "base/file.h"
#include "base/mem.h"
#include "core/record_json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a reader takes at most, whatever lies there. */
enum { LINE_MAX_BYTES = 1 << 20, READ_BYTES = 64 << 10, ROWS_MAX = 100000, BAD_MAX = 1000 };

static const char file_name[] = "last.jsonl";
static const char schema[] = "dasktop/last1";

struct Last {
    int file;
    Buffer bytes;       /* read and not yet cut into lines */
    size_t from;        /* of the first line in it that was not given out */
    size_t rows, bad;
    int64_t written_ms;
    bool ended;
};

/* --------------------------------------------------------------------------------------------------------------- reading */

static void read_more(Last *last)
{
    if (last->from) {
        buffer_cut_front(&last->bytes, last->from);
        last->from = 0;
    }
    char *room = buffer_room(&last->bytes, READ_BYTES);
    ssize_t n = 0;
    if (room)
        do
            n = read(last->file, room, READ_BYTES);
        while (n < 0 && errno == EINTR);
    if (n <= 0) { /* the end, an error, or a line without end */
        last->ended = true;
        return;
    }
    last->bytes.length += (size_t)n;
    last->bytes.bytes[last->bytes.length] = 0;
}

/* The next line without its end; a last one that has no end was cut off and is none. */
static const char *next_line(Last *last, size_t *n)
{
    for (;;) {
        const char *line = last->bytes.bytes + last->from;
        const char *end = memchr(line, '\n', last->bytes.length - last->from);
        if (end) {
            *n = (size_t)(end - line);
            last->from += *n + 1;
            return line;
        }
        if (last->ended)
            return NULL;
        read_more(last);
    }
}

static cJSON *next_object(Last *last, bool *more)
{
    size_t n;
    const char *line = next_line(last, &n);
    *more = line != NULL;
    return line ? json_parse(line, n, file_name, NULL) : NULL;
}

Last *last_open(const char *state_directory)
{
    if (!state_directory)
        return NULL;
    char *path = file_join(state_directory, file_name);
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    free(path);
    struct stat info;
    if (file < 0)
        return NULL;
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode) || info.st_uid != geteuid()) {
        close(file);
        return NULL;
    }
    Last *last = mem_new(sizeof(*last));
    last->file = file;
    buffer_init(&last->bytes, LINE_MAX_BYTES + READ_BYTES);
    bool more;
    cJSON *head = next_object(last, &more);
    const char *word = head ? json_text(head, "schema") : NULL, *written = head ? json_text(head, "written") : NULL;
    last->written_ms = written ? time_parse(written) : TIME_UNKNOWN;
    bool ours = word && strcmp(word, schema) == 0;
    cJSON_Delete(head);
    if (ours)
        return last;
    last_close(last);
    return NULL;
}

void last_close(Last *last)
{
    if (!last)
        return;
    close(last->file);
    buffer_done(&last->bytes);
    free(last);
}

int64_t last_written_ms(const Last *last)
{
    return last->written_ms;
}

static int64_t time_of(const cJSON *object, const char *key)
{
    const char *text = json_text(object, key);
    return text ? time_parse(text) : TIME_UNKNOWN;
}

/* What a row's JSON has no place for. */
static void read_more_facts(const cJSON *more, RecordFields *fields)
{
    fields->mine = json_truth(more, "mine");
    fields->busy = json_truth(more, "busy");
    fields->origin.how = json_text(more, "how");
    fields->status_why = json_text(more, "status_why");
    fields->workers_paused = json_integer(more, "paused");
    fields->gone = json_text(more, "gone");
    fields->gone_why = json_text(more, "gone_why");
    fields->gone_since_ms = time_of(more, "gone_since");
    fields->kept_until_ms = time_of(more, "kept_until");
    fields->kept_reason = json_text(more, "kept_reason");
}

static Record *read_row(cJSON *line)
{
    cJSON *cluster = cJSON_GetObjectItemCaseSensitive(line, "cluster"), *more = cJSON_GetObjectItemCaseSensitive(line, "more");
    cJSON *machines = cJSON_DetachItemFromObjectCaseSensitive(more, "machines");
    if (!cJSON_IsObject(cluster) || !cJSON_AddItemToObject(cluster, "machines", machines))
        cJSON_Delete(machines);
    RecordFields fields;
    Pair *pairs = NULL;
    char *backend = NULL, *instance = NULL, *rest = NULL;
    Record *record = NULL;
    if (record_json_read(cluster, &fields, &pairs, NULL) &&
        record_id_split(fields.id, &backend, &instance, &rest)) {
        fields.id = rest;
        read_more_facts(more, &fields);
        record = record_new(&fields, backend, instance, time_of(cluster, "seen"), time_of(more, "counted"), NULL);
    }
    free(backend);
    free(instance);
    free(rest);
    free(pairs);
    return record;
}

size_t last_read(Last *last, size_t most, void (*put)(void *user, Record *record), void *user)
{
    size_t given = 0;
    bool more = true;
    while ((most == 0 || given < most) && last->rows < ROWS_MAX && last->bad < BAD_MAX) {
        cJSON *line = next_object(last, &more);
        if (!more)
            break;
        Record *record = line ? read_row(line) : NULL;
        cJSON_Delete(line);
        if (!record) {
            last->bad++;
            continue;
        }
        last->rows++;
        given++;
        put(user, record);
    }
    return given;
}

/* --------------------------------------------------------------------------------------------------------------- writing */

static void put_machines(JsonWriter *json, const RecordFields *is)
{
    json_array(json, "machines");
    for (size_t i = 0; i < is->machine_count; i++) {
        json_object(json, NULL);
        json_put_text(json, "type", is->machines[i].type);
        json_put_number(json, "quantity", is->machines[i].quantity);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void write_row(Buffer *out, const ViewRow *row)
{
    const RecordFields *is = &row->record->is;
    JsonWriter json;
    json_begin(&json, out);
    json_object(&json, NULL);
    record_json_row(&json, "cluster", row);
    json_object(&json, "more");
    json_put_truth(&json, "mine", is->mine);
    json_put_truth(&json, "busy", is->busy);
    json_put_text(&json, "how", is->origin.how);
    json_put_text(&json, "status_why", is->status_why);
    json_put_integer(&json, "paused", is->workers_paused);
    json_put_text(&json, "gone", is->gone);
    json_put_text(&json, "gone_why", is->gone_why);
    json_put_time(&json, "gone_since", is->gone_since_ms);
    json_put_time(&json, "kept_until", is->kept_until_ms);
    json_put_text(&json, "kept_reason", is->kept_reason);
    json_put_time(&json, "counted", atomic_load_explicit(&row->record->counts_ms, memory_order_relaxed));
    put_machines(&json, is);
    json_close(&json, '}');
    json_close(&json, '}');
    buffer_char(out, '\n');
}

/* Rows that the filter hides come after those that were shown. */
static void write_rows(Buffer *out, const View *view)
{
    const ViewRow *const *all;
    size_t count = view_all(view, &all);
    for (size_t i = 0; i < view->count && i < ROWS_MAX; i++)
        write_row(out, view->rows[i]);
    for (size_t i = 0; i < count && i < ROWS_MAX; i++)
        if (!view_find(view, all[i]->record->is.id, NULL, NULL))
            write_row(out, all[i]);
}

bool last_write(const char *state_directory, const View *view, Error *error)
{
    if (!state_directory)
        return error_set(error, ERROR_UNSUPPORTED, file_name, "set XDG_STATE_HOME", "there is no state directory");
    if (!file_make_directory(state_directory, error))
        return false;
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    JsonWriter json;
    json_begin(&json, &out);
    json_object(&json, NULL);
    json_put_text(&json, "schema", schema);
    json_put_time(&json, "written", clock_wall_ms());
    json_close(&json, '}');
    buffer_char(&out, '\n');
    write_rows(&out, view);
    char *path = file_join(state_directory, file_name);
    bool written = file_replace(path, out.bytes, out.length, error);
    free(path);
    buffer_done(&out);
    return written;
}
