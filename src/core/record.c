#include "core/record.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ID_MAX = 1024, LABELS_MAX = 64, LABEL_KEY_MAX = 256, MACHINES_MAX = 64, UNKNOWN_TEXT = -1, TEXTS_MOSTLY = 1000 };

#define EXACT_MAX (INT64_C(1) << 53)
#define TIME_MAX INT64_C(253402300799999) /* the last millisecond of the year 9999 */

static const char *const status_words[STATUS_COUNT] = {"unknown", "pending", "running",     "closing",
                                                       "stopped", "failed",  "unreachable", "unresponsive"};
static const char *const capability_words[CAN_COUNT] = {"scale", "adapt", "logs", "connect", "delete", "snippet"};

/* What a record is made of, once for all that goes through its members: copying, hashing, comparing. */
typedef struct Member {
    size_t offset;
    int64_t limit; /* texts: bytes; numbers: the greatest that is believed */
} Member;

#define MEMBER(name, limit) {offsetof(RecordFields, name), limit}

static const Member texts[] = {
    MEMBER(id, 3 * ID_MAX),            MEMBER(uid, TEXT_NAME_MAX),        MEMBER(name, TEXT_NAME_MAX),
    MEMBER(type, TEXT_NAME_MAX),       MEMBER(scheduler_id, TEXT_NAME_MAX), MEMBER(owner, TEXT_NAME_MAX),
    MEMBER(origin.kind, TEXT_NAME_MAX), MEMBER(origin.path, TEXT_LABEL_MAX), MEMBER(origin.host, TEXT_NAME_MAX),
    MEMBER(origin.how, TEXT_NAME_MAX), MEMBER(status_why, TEXT_NAME_MAX), MEMBER(address, TEXT_NAME_MAX),
    MEMBER(dashboard, TEXT_NAME_MAX),  MEMBER(python, TEXT_NAME_MAX),     MEMBER(dask, TEXT_NAME_MAX),
    MEMBER(distributed, TEXT_NAME_MAX), MEMBER(ends_why, TEXT_NAME_MAX),  MEMBER(gone, TEXT_NAME_MAX),
    MEMBER(gone_why, TEXT_NAME_MAX),   MEMBER(kept_reason, TEXT_NAME_MAX), MEMBER(cannot[CAN_SCALE], TEXT_NAME_MAX),
    MEMBER(cannot[CAN_ADAPT], TEXT_NAME_MAX), MEMBER(cannot[CAN_LOGS], TEXT_NAME_MAX),
    MEMBER(cannot[CAN_CONNECT], TEXT_NAME_MAX), MEMBER(cannot[CAN_DELETE], TEXT_NAME_MAX),
    MEMBER(cannot[CAN_SNIPPET], TEXT_NAME_MAX),
};
enum { TEXT_COUNT = sizeof(texts) / sizeof(texts[0]) };

static const Member numbers[] = {
    MEMBER(origin.pid, EXACT_MAX),      MEMBER(workers_ready, EXACT_MAX),    MEMBER(workers_wanted, EXACT_MAX),
    MEMBER(workers_paused, EXACT_MAX),  MEMBER(adaptive_minimum, EXACT_MAX), MEMBER(adaptive_maximum, EXACT_MAX),
    MEMBER(resources, EXACT_MAX),       MEMBER(threads, EXACT_MAX),          MEMBER(gpus, EXACT_MAX),
    MEMBER(memory, EXACT_MAX),          MEMBER(memory_used, EXACT_MAX),      MEMBER(tasks.processing, EXACT_MAX),
    MEMBER(tasks.waiting, EXACT_MAX),   MEMBER(tasks.queued, EXACT_MAX),     MEMBER(tasks.stored, EXACT_MAX),
    MEMBER(tasks.erred, EXACT_MAX),     MEMBER(tasks.unrunnable, EXACT_MAX), MEMBER(clients, EXACT_MAX),
    MEMBER(created_ms, TIME_MAX),       MEMBER(last_active_ms, TIME_MAX),    MEMBER(ends_at_ms, TIME_MAX),
    MEMBER(gone_since_ms, TIME_MAX),    MEMBER(kept_until_ms, TIME_MAX),
};
enum { NUMBER_COUNT = sizeof(numbers) / sizeof(numbers[0]) };

static const size_t truths[] = {offsetof(RecordFields, mine), offsetof(RecordFields, origin.alive),
                                offsetof(RecordFields, adaptive), offsetof(RecordFields, busy)};
enum { TRUTH_COUNT = sizeof(truths) / sizeof(truths[0]) };

static const char **text_at(RecordFields *fields, size_t i)
{
    return (const char **)(void *)((char *)fields + texts[i].offset);
}

static const char *text_of(const RecordFields *fields, size_t i)
{
    return *(const char *const *)(const void *)((const char *)fields + texts[i].offset);
}

static int64_t *number_at(RecordFields *fields, size_t i)
{
    return (int64_t *)(void *)((char *)fields + numbers[i].offset);
}

static int64_t number_of(const RecordFields *fields, size_t i)
{
    return *(const int64_t *)(const void *)((const char *)fields + numbers[i].offset);
}

static int *truth_at(RecordFields *fields, size_t i)
{
    return (int *)(void *)((char *)fields + truths[i]);
}

static int truth_of(const RecordFields *fields, size_t i)
{
    return *(const int *)(const void *)((const char *)fields + truths[i]);
}

const char *status_word(Status status)
{
    return status >= 0 && status < STATUS_COUNT ? status_words[status] : status_words[STATUS_UNKNOWN];
}

Status status_parse(const char *word)
{
    for (int i = 0; word && i < STATUS_COUNT; i++)
        if (strcmp(word, status_words[i]) == 0)
            return (Status)i;
    return STATUS_UNKNOWN;
}

const char *capability_word(Capability capability)
{
    return capability >= 0 && capability < CAN_COUNT ? capability_words[capability] : "";
}

void record_fields_init(RecordFields *fields)
{
    memset(fields, 0, sizeof(*fields));
    for (size_t i = 0; i < NUMBER_COUNT; i++)
        *number_at(fields, i) = NUMBER_UNKNOWN;
    for (size_t i = 0; i < TRUTH_COUNT; i++)
        *truth_at(fields, i) = -1;
}

/* ------------------------------------------------------------------------------------------------------------------ ids */

char *record_id(const char *backend, const char *instance, const char *id)
{
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    buffer_text(&out, backend);
    if (instance) {
        buffer_char(&out, ':');
        text_percent(&out, instance, false);
    }
    buffer_char(&out, '/');
    text_percent(&out, id, true);
    return buffer_take(&out);
}

bool record_key_valid(const char *key, size_t n)
{
    if (n == 0 || n > 32 || key[0] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!(key[i] >= 'a' && key[i] <= 'z') && !(key[i] >= '0' && key[i] <= '9') && key[i] != '-')
            return false;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL where an escape is broken or hides a 0. */
static char *decode(const char *text, size_t n)
{
    char *out = mem_new(n + 1);
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] != '%') {
            out[length++] = text[i];
            continue;
        }
        int high = n - i > 2 ? hex_digit(text[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0 || (high == 0 && low == 0)) {
            free(out);
            return NULL;
        }
        out[length++] = (char)(high * 16 + low);
        i += 2;
    }
    out[length] = 0;
    return out;
}

bool record_id_split(const char *id, char **backend, char **instance, char **rest)
{
    *backend = *instance = *rest = NULL;
    const char *slash = strchr(id, '/');
    if (!slash || !slash[1] || strlen(id) > ID_MAX)
        return false;
    const char *colon = memchr(id, ':', (size_t)(slash - id));
    size_t key = (size_t)((colon ? colon : slash) - id);
    if (!record_key_valid(id, key) || (colon && colon + 1 == slash))
        return false;
    *rest = decode(slash + 1, strlen(slash + 1));
    *instance = colon ? decode(colon + 1, (size_t)(slash - colon - 1)) : NULL;
    if (!*rest || (colon && !*instance)) {
        free(*rest);
        free(*instance);
        *rest = *instance = NULL;
        return false;
    }
    *backend = mem_text_n(id, key);
    return true;
}

/* -------------------------------------------------------------------------------------------------------------- building */

/* The texts of a record to be, one after another; where each begins. */
typedef struct Gather {
    Buffer bytes;
    ptrdiff_t texts[TEXT_COUNT], backend, instance;
    ptrdiff_t labels[LABELS_MAX][2], machines[MACHINES_MAX];
    double quantities[MACHINES_MAX];
    size_t label_count, machine_count;
} Gather;

static ptrdiff_t gather(Gather *all, const char *text, int64_t limit)
{
    if (!text || !*text)
        return UNKNOWN_TEXT;
    ptrdiff_t at = (ptrdiff_t)all->bytes.length;
    text_clean(&all->bytes, text, strnlen(text, (size_t)limit + 1), (size_t)limit);
    buffer_char(&all->bytes, 0);
    return at;
}

static void gather_lists(Gather *all, const RecordFields *fields)
{
    for (size_t i = 0; i < fields->label_count && all->label_count < LABELS_MAX; i++) {
        const Pair *label = &fields->labels[i];
        if (!label->key || !*label->key)
            continue;
        ptrdiff_t *at = all->labels[all->label_count++];
        at[0] = gather(all, label->key, LABEL_KEY_MAX);
        at[1] = gather(all, label->value, TEXT_LABEL_MAX);
    }
    for (size_t i = 0; i < fields->machine_count && all->machine_count < MACHINES_MAX; i++) {
        const Machine *machine = &fields->machines[i];
        if (!machine->type || !*machine->type || !isfinite(machine->quantity) || machine->quantity <= 0)
            continue;
        all->quantities[all->machine_count] = machine->quantity;
        all->machines[all->machine_count++] = gather(all, machine->type, TEXT_NAME_MAX);
    }
}

static const char *placed(const char *bytes, ptrdiff_t at)
{
    return at == UNKNOWN_TEXT ? NULL : bytes + at;
}

static void copy_plain(RecordFields *to, const RecordFields *from)
{
    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        int64_t number = number_of(from, i);
        *number_at(to, i) = number < 0 || number > numbers[i].limit ? NUMBER_UNKNOWN : number;
    }
    for (size_t i = 0; i < TRUTH_COUNT; i++)
        *truth_at(to, i) = truth_of(from, i) < 0 ? -1 : truth_of(from, i) != 0;
    to->status = from->status > 0 && from->status < STATUS_COUNT ? from->status : STATUS_UNKNOWN;
    to->can = from->can & ((1 << CAN_COUNT) - 1);
}

/* The arrays lie behind the struct, the texts behind the arrays. */
static Record *assemble(const Gather *all, const RecordFields *fields)
{
    size_t labels = all->label_count * sizeof(Pair), machines = all->machine_count * sizeof(Machine);
    size_t size = sizeof(Record) + labels + machines + all->bytes.length;
    Record *record = mem_new(size);
    Pair *label = (Pair *)(void *)(record + 1);
    Machine *machine = (Machine *)(void *)((char *)(record + 1) + labels);
    char *bytes = (char *)(record + 1) + labels + machines;
    if (all->bytes.length)
        memcpy(bytes, all->bytes.bytes, all->bytes.length);
    copy_plain(&record->is, fields);
    for (size_t i = 0; i < TEXT_COUNT; i++)
        *text_at(&record->is, i) = placed(bytes, all->texts[i]);
    for (int i = 0; i < CAN_COUNT; i++)
        if (record->is.can & 1 << i)
            record->is.cannot[i] = NULL;
    for (size_t i = 0; i < all->label_count; i++) {
        const char *value = placed(bytes, all->labels[i][1]);
        label[i] = (Pair){placed(bytes, all->labels[i][0]), value ? value : ""};
    }
    for (size_t i = 0; i < all->machine_count; i++)
        machine[i] = (Machine){placed(bytes, all->machines[i]), all->quantities[i]};
    record->is.labels = all->label_count ? label : NULL;
    record->is.machines = all->machine_count ? machine : NULL;
    record->is.label_count = all->label_count;
    record->is.machine_count = all->machine_count;
    record->backend = placed(bytes, all->backend);
    record->instance = placed(bytes, all->instance);
    record->size = size;
    return record;
}

static uint64_t hash_more(const char *text, uint64_t seed)
{
    return text ? hash_bytes(text, strlen(text) + 1, seed) : seed * 31 + 1;
}

static uint64_t hash_of(const Record *record)
{
    const RecordFields *is = &record->is;
    uint64_t hash = hash_more(record->instance, hash_more(record->backend, 0));
    for (size_t i = 0; i < TEXT_COUNT; i++)
        hash = hash_more(text_of(is, i), hash);
    int64_t all[NUMBER_COUNT];
    for (size_t i = 0; i < NUMBER_COUNT; i++)
        all[i] = number_of(is, i);
    hash = hash_bytes(all, sizeof(all), hash);
    int plain[TRUTH_COUNT + 2] = {(int)is->status, is->can};
    for (size_t i = 0; i < TRUTH_COUNT; i++)
        plain[i + 2] = truth_of(is, i);
    hash = hash_bytes(plain, sizeof(plain), hash);
    for (size_t i = 0; i < is->label_count; i++)
        hash = hash_more(is->labels[i].value, hash_more(is->labels[i].key, hash));
    for (size_t i = 0; i < is->machine_count; i++) {
        hash = hash_more(is->machines[i].type, hash);
        hash = hash_bytes(&is->machines[i].quantity, sizeof(double), hash);
    }
    return hash;
}

static bool usable(const RecordFields *fields, const char *backend, Error *error)
{
    if (!fields->id || !*fields->id)
        return error_set(error, ERROR_BAD_REPLY, backend, NULL, "a cluster without id");
    if (!fields->name || !*fields->name)
        return error_set(error, ERROR_BAD_REPLY, backend, NULL, "a cluster without name");
    if (strnlen(fields->id, ID_MAX + 1) > ID_MAX)
        return error_set(error, ERROR_BAD_REPLY, backend, NULL, "a cluster's id is longer than %d bytes", ID_MAX);
    return true;
}

Record *record_new(const RecordFields *fields, const char *backend, const char *instance, int64_t seen_ms, int64_t counts_ms,
                   Error *error)
{
    if (!usable(fields, backend, error))
        return NULL;
    char *id = record_id(backend, instance, fields->id);
    if (strlen(id) > ID_MAX) {
        free(id);
        error_set(error, ERROR_BAD_REPLY, backend, NULL, "a cluster's id is longer than %d bytes", ID_MAX);
        return NULL;
    }
    Gather all = {0};
    buffer_init(&all.bytes, BUFFER_ANY);
    buffer_room(&all.bytes, TEXTS_MOSTLY);
    for (size_t i = 0; i < TEXT_COUNT; i++)
        all.texts[i] = gather(&all, texts[i].offset == offsetof(RecordFields, id) ? id : text_of(fields, i), texts[i].limit);
    all.backend = gather(&all, backend, TEXT_NAME_MAX);
    all.instance = gather(&all, instance, TEXT_NAME_MAX);
    gather_lists(&all, fields);
    Record *record = assemble(&all, fields);
    atomic_init(&record->seen_ms, seen_ms);
    atomic_init(&record->counts_ms, counts_ms);
    atomic_init(&record->references, 1);
    record->hash = hash_of(record);
    buffer_done(&all.bytes);
    free(id);
    return record;
}

Record *record_keep(const Record *record)
{
    Record *own = (Record *)(uintptr_t)record; /* only the counter moves */
    atomic_fetch_add_explicit(&own->references, 1, memory_order_relaxed);
    return own;
}

void record_drop(const Record *record)
{
    Record *own = (Record *)(uintptr_t)record;
    if (own && atomic_fetch_sub_explicit(&own->references, 1, memory_order_acq_rel) == 1)
        free(own);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_lists(const RecordFields *a, const RecordFields *b)
{
    if (a->label_count != b->label_count || a->machine_count != b->machine_count)
        return false;
    for (size_t i = 0; i < a->label_count; i++)
        if (!same_text(a->labels[i].key, b->labels[i].key) || !same_text(a->labels[i].value, b->labels[i].value))
            return false;
    for (size_t i = 0; i < a->machine_count; i++)
        if (!same_text(a->machines[i].type, b->machines[i].type) || a->machines[i].quantity != b->machines[i].quantity)
            return false;
    return true;
}

bool record_equal(const Record *a, const Record *b)
{
    if (a == b)
        return true;
    if (a->hash != b->hash || !same_text(a->backend, b->backend) || !same_text(a->instance, b->instance) ||
        a->is.status != b->is.status || a->is.can != b->is.can)
        return false;
    for (size_t i = 0; i < TEXT_COUNT; i++)
        if (!same_text(text_of(&a->is, i), text_of(&b->is, i)))
            return false;
    for (size_t i = 0; i < NUMBER_COUNT; i++)
        if (number_of(&a->is, i) != number_of(&b->is, i))
            return false;
    for (size_t i = 0; i < TRUTH_COUNT; i++)
        if (truth_of(&a->is, i) != truth_of(&b->is, i))
            return false;
    return same_lists(&a->is, &b->is);
}
