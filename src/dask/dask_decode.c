/* Pure decoding: addresses, versions, identities, counts. */
#include "dask/dask.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------------------------------------- versions, addresses */

DaskVersion dask_version_parse(const char *text)
{
    int parts[3] = {0};
    for (int i = 0; text && i < 3 && isdigit((unsigned char)*text); i++) {
        for (; isdigit((unsigned char)*text); text++)
            parts[i] = parts[i] < 100000 ? parts[i] * 10 + (*text - '0') : parts[i];
        text += *text == '.';
    }
    return (DaskVersion){parts[0], parts[1], parts[2]};
}

bool dask_version_least(DaskVersion version, int year, int month, int micro)
{
    if (version.year != year)
        return version.year > year;
    return version.month != month ? version.month > month : version.micro >= micro;
}

char *dask_python_version(Value *text)
{
    char *version = value_text_new(text), *final = version ? strstr(version, ".final.") : NULL;
    if (final)
        *final = 0;
    return version;
}

static bool take_scheme(const char **text, const char *scheme)
{
    size_t n = strlen(scheme);
    if (strncmp(*text, scheme, n) != 0)
        return false;
    *text += n;
    return true;
}

bool dask_address_parse(const char *text, DaskAddress *address)
{
    *address = (DaskAddress){0};
    if (take_scheme(&text, "inproc://")) {
        address->inproc = true;
        return *text != 0;
    }
    if (take_scheme(&text, "tls://"))
        address->tls = true;
    else if (take_scheme(&text, "wss://"))
        address->tls = address->websocket = true;
    else if (take_scheme(&text, "ws://"))
        address->websocket = true;
    else if (!take_scheme(&text, "tcp://") && strstr(text, "://"))
        return false;
    size_t n = strcspn(text, "/?#");
    const char *end = text + n, *colon = end;
    while (colon > text && *colon != ':')
        colon--;
    if (end[0] || colon == text || *colon != ':')
        return false;
    const char *host = text;
    size_t length = (size_t)(colon - text);
    if (*host == '[') {
        if (length < 3 || host[length - 1] != ']')
            return false;
        host++;
        length -= 2;
    } else if (memchr(host, ':', length)) {
        return false;
    }
    if (length >= sizeof address->host || memchr(host, ' ', length) || memchr(host, '@', length))
        return false;
    char *stop;
    long port = strtol(colon + 1, &stop, 10);
    if (!isdigit((unsigned char)colon[1]) || stop != end || port < 1 || port > 65535)
        return false;
    memcpy(address->host, host, length);
    address->port = (int)port;
    return true;
}

/* -------------------------------------------------------------------------------------------------------------- identity */

static int64_t seconds_ms(Value *value)
{
    double seconds = value_number(value);
    return isnan(seconds) || seconds <= 0 || seconds > 1e12 ? TIME_UNKNOWN : (int64_t)(seconds * 1000);
}

static int64_t not_negative(int64_t number)
{
    return number < 0 ? NUMBER_UNKNOWN : number;
}

static int64_t sum_known(int64_t a, int64_t b)
{
    if (a == NUMBER_UNKNOWN || b == NUMBER_UNKNOWN)
        return a == NUMBER_UNKNOWN ? b : a;
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/* The bytes that are on disk; other names before 2022.9. */
static int64_t spilled_of(Value *metrics)
{
    Value *spilled = value_get(metrics, "spilled_bytes");
    spilled = spilled ? spilled : value_get(metrics, "spilled_nbytes");
    return not_negative(value_integer(value_get(spilled, "disk")));
}

static int64_t processing_of(Value *metrics)
{
    Value *counts = value_get(metrics, "task_counts");
    if (counts && counts->type == MSGPACK_OBJECT_MAP) {
        int64_t sum = sum_known(not_negative(value_integer(value_get(counts, "executing"))), not_negative(value_integer(value_get(counts, "ready"))));
        return sum == NUMBER_UNKNOWN ? 0 : sum; /* states without a task are left out */
    }
    Value *executing = value_get(metrics, "executing");
    int64_t running = executing && executing->type == MSGPACK_OBJECT_MAP ? (int64_t)executing->via.map.size : value_integer(executing);
    return sum_known(not_negative(running), not_negative(value_integer(value_get(metrics, "ready"))));
}

static void decode_worker(Value *address, Value *worker, DaskWorker *out)
{
    Value *metrics = value_get(worker, "metrics"), *counts = value_get(metrics, "task_counts");
    int64_t stored = value_integer(value_get(counts, "memory"));
    *out = (DaskWorker){
        .address = value_text_new(address),
        .name = value_text_new(value_get(worker, "name")),
        .host = value_text_new(value_get(worker, "host")),
        .status = value_text_new(value_get(worker, "status")),
        .nanny = value_text_new(value_get(worker, "nanny")),
        .id = value_text_new(value_get(worker, "id")),
        .threads = not_negative(value_integer(value_get(worker, "nthreads"))),
        .memory_limit = not_negative(value_integer(value_get(worker, "memory_limit"))),
        .memory = not_negative(value_integer(value_get(metrics, "memory"))),
        .spilled = spilled_of(metrics),
        .processing = processing_of(metrics),
        .stored = not_negative(stored != NUMBER_UNKNOWN ? stored : value_integer(value_get(metrics, "in_memory"))),
        .last_seen_ms = seconds_ms(value_get(worker, "last_seen")),
        .cpu = value_number(value_get(metrics, "cpu")),
    };
    if (!out->name) {
        Buffer name;
        buffer_init(&name, 4096);
        if (value_get(worker, "name"))
            value_print(&name, value_get(worker, "name"));
        out->name = name.length ? buffer_take(&name) : mem_text(out->address);
        buffer_done(&name);
    }
}

static void decode_workers(Value *workers, DaskIdentity *identity)
{
    if (!workers || workers->type != MSGPACK_OBJECT_MAP)
        return;
    identity->list = mem_new(workers->via.map.size * sizeof *identity->list);
    for (uint32_t i = 0; i < workers->via.map.size; i++)
        decode_worker(&workers->via.map.ptr[i].key, &workers->via.map.ptr[i].val, &identity->list[identity->count++]);
}

static DaskRole role_of(Value *type)
{
    const char *text;
    size_t n;
    if (!value_text(type, &text, &n))
        return DASK_UNKNOWN;
    if (n == 9 && memcmp(text, "Scheduler", n) == 0)
        return DASK_SCHEDULER;
    if (n == 6 && memcmp(text, "Worker", n) == 0)
        return DASK_WORKER;
    return n == 5 && memcmp(text, "Nanny", n) == 0 ? DASK_NANNY : DASK_UNKNOWN;
}

bool dask_identity_decode(Value *reply, DaskIdentity *identity)
{
    *identity = (DaskIdentity){.role = role_of(value_get(reply, "type")), .workers = NUMBER_UNKNOWN, .threads = NUMBER_UNKNOWN,
                               .memory = NUMBER_UNKNOWN};
    if (identity->role == DASK_UNKNOWN)
        return false;
    int64_t port = value_integer(value_get(value_get(reply, "services"), "dashboard"));
    identity->id = value_text_new(value_get(reply, "id"));
    identity->address = value_text_new(value_get(reply, "address"));
    identity->scheduler = value_text_new(value_get(reply, "scheduler"));
    identity->dashboard_port = port > 0 && port < 65536 ? (int)port : 0;
    identity->started_ms = seconds_ms(value_get(reply, "started"));
    identity->workers = not_negative(value_integer(value_get(reply, "n_workers")));
    identity->threads = not_negative(value_integer(value_get(reply, "total_threads")));
    identity->memory = not_negative(value_integer(value_get(reply, "total_memory")));
    if (identity->role != DASK_SCHEDULER)
        return true;
    decode_workers(value_get(reply, "workers"), identity);
    if (identity->workers == NUMBER_UNKNOWN && identity->list) { /* before 2025.4.0 the totals are ours to form */
        identity->workers = (int64_t)identity->count;
        identity->threads = identity->memory = 0;
        for (size_t i = 0; i < identity->count; i++) {
            identity->threads = sum_known(identity->threads, identity->list[i].threads);
            identity->memory = sum_known(identity->memory, identity->list[i].memory_limit);
        }
    }
    return true;
}

void dask_identity_done(DaskIdentity *identity)
{
    for (size_t i = 0; i < identity->count; i++) {
        DaskWorker *w = &identity->list[i];
        char *texts[] = {w->address, w->name, w->host, w->status, w->nanny, w->id};
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            free(texts[k]);
    }
    free(identity->list);
    free(identity->id);
    free(identity->address);
    free(identity->scheduler);
    *identity = (DaskIdentity){0};
}

/* ---------------------------------------------------------------------------------------------------------------- counts */

bool dask_counts_decode(const char *bytes, size_t n, DaskCounts *counts, Error *error)
{
    *counts = (DaskCounts){NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN,
                           NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN, NUMBER_UNKNOWN};
    cJSON *json = json_parse(bytes, n, NULL, error);
    if (!json)
        return false;
    int64_t clients = json_integer(json, "clients");
    if (json_amount(json, "workers") == NUMBER_UNKNOWN) {
        cJSON_Delete(json);
        return error_set(error, ERROR_BAD_REPLY, NULL, NULL, "counts without a number of workers");
    }
    counts->clients = clients > 0 ? clients - 1 : NUMBER_UNKNOWN; /* `fire-and-forget` is always there */
    counts->workers = json_amount(json, "workers");
    counts->processing = json_amount(json, "processing");
    counts->waiting = json_amount(json, "waiting");
    counts->stored = json_amount(json, "memory");
    counts->erred = json_amount(json, "erred");
    counts->unrunnable = json_amount(json, "unrunnable");
    counts->tasks = json_amount(json, "tasks");
    counts->threads = json_amount(json, "cores");
    int64_t released = json_amount(json, "released");
    const int64_t others[] = {counts->processing, counts->waiting, counts->stored, counts->erred, counts->unrunnable, released};
    int64_t rest = counts->tasks; /* queued tasks are in none of the counts */
    for (size_t i = 0; i < sizeof others / sizeof *others && rest != NUMBER_UNKNOWN; i++)
        rest = others[i] == NUMBER_UNKNOWN ? NUMBER_UNKNOWN : rest - others[i];
    counts->queued = not_negative(rest);
    cJSON_Delete(json);
    return true;
}
