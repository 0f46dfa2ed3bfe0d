#include "core/record_json.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 64 };

/* --------------------------------------------------------------------------------------------------------------- writing */

static void put_origin(JsonWriter *json, const RecordFields *is)
{
    bool known = is->origin.kind || is->origin.path || is->origin.host || is->origin.pid != NUMBER_UNKNOWN;
    if (!known) {
        json_put_null(json, "origin");
        return;
    }
    json_object(json, "origin");
    json_put_text(json, "kind", is->origin.kind);
    json_put_text(json, "path", is->origin.path);
    json_put_text(json, "host", is->origin.host);
    json_put_integer(json, "pid", is->origin.pid);
    json_put_truth(json, "alive", is->origin.alive);
    json_close(json, '}');
}

static void put_workers(JsonWriter *json, const RecordFields *is)
{
    json_object(json, "workers");
    json_put_integer(json, "ready", is->workers_ready);
    json_put_integer(json, "wanted", is->workers_wanted);
    json_close(json, '}');
    if (is->adaptive == 1) {
        json_object(json, "adaptive");
        json_put_integer(json, "minimum", is->adaptive_minimum);
        json_put_integer(json, "maximum", is->adaptive_maximum);
        json_close(json, '}');
    } else {
        json_put_truth(json, "adaptive", is->adaptive);
    }
    json_put_integer(json, "resources", is->resources);
    json_put_integer(json, "threads", is->threads);
    json_put_integer(json, "gpus", is->gpus);
    json_put_integer(json, "memory", is->memory);
    json_put_integer(json, "memory_used", is->memory_used);
}

static void put_tasks(JsonWriter *json, const RecordFields *is)
{
    json_object(json, "tasks");
    json_put_integer(json, "processing", is->tasks.processing);
    json_put_integer(json, "waiting", is->tasks.waiting);
    json_put_integer(json, "queued", is->tasks.queued);
    json_put_integer(json, "stored", is->tasks.stored);
    json_put_integer(json, "erred", is->tasks.erred);
    json_put_integer(json, "unrunnable", is->tasks.unrunnable);
    json_close(json, '}');
    json_put_integer(json, "clients", is->clients);
    json_object(json, "versions");
    json_put_text(json, "python", is->python);
    json_put_text(json, "dask", is->dask);
    json_put_text(json, "distributed", is->distributed);
    json_close(json, '}');
}

static void put_times(JsonWriter *json, const ViewRow *row)
{
    const RecordFields *is = &row->record->is;
    json_put_time(json, "created", is->created_ms);
    json_put_time(json, "last_active", is->last_active_ms);
    json_object(json, "ends");
    json_put_time(json, "at", is->ends_at_ms);
    json_put_text(json, "why", is->ends_why);
    json_close(json, '}');
    json_put_time(json, "seen", atomic_load_explicit(&row->record->seen_ms, memory_order_relaxed));
    json_put_truth(json, "stale", row->stale);
    if (!row->kept.kept) {
        json_put_null(json, "kept");
        return;
    }
    json_object(json, "kept");
    json_put_time(json, "until", row->kept.until_ms);
    json_put_text(json, "reason", row->kept.reason[0] ? row->kept.reason : NULL);
    json_close(json, '}');
}

/* Hours and money to two or three places: no measurement is finer. */
static double rounded(double value, double places)
{
    return isnan(value) || fabs(value) > 1e12 ? value : round(value * places) / places;
}

static void put_cost(JsonWriter *json, const ViewRow *row)
{
    const Config *config = row->view->config;
    Cost cost = cost_of(row->record, config, row->view->now);
    json_object(json, "usage");
    json_put_number(json, "cpu_hours", rounded(cost.cpu_hours, 100));
    json_put_number(json, "gib_hours", rounded(cost.gib_hours, 100));
    json_put_number(json, "gpu_hours", rounded(cost.gpu_hours, 100));
    json_close(json, '}');
    json_object(json, "cost");
    json_put_number(json, "per_hour", rounded(cost.per_hour, 1e6));
    json_put_number(json, "so_far", rounded(cost.so_far, 100));
    json_put_text(json, "currency", config->cost.currency);
    json_put_text(json, "basis", cost.basis[0] ? cost.basis : NULL);
    json_close(json, '}');
}

static void put_verdict(JsonWriter *json, const ViewRow *row)
{
    const Config *config = row->view->config;
    List evidence = {0};
    verdict_evidence(row->record, row->stale, row->verdict, row->view->now,
                     (VerdictLimits){config->verdict.idle_ms, config->verdict.unattended_ms}, &evidence);
    json_object(json, "verdict");
    json_put_text(json, "state", verdict_word(row->verdict.state));
    json_put_time(json, "since", row->verdict.since_ms);
    json_array(json, "evidence");
    for (size_t i = 0; i < evidence.count; i++)
        json_put_text(json, NULL, evidence.items[i]);
    json_close(json, ']');
    json_close(json, '}');
    list_done(&evidence);
}

static void put_can(JsonWriter *json, const RecordFields *is)
{
    json_array(json, "can");
    for (int i = 0; i < CAN_COUNT; i++)
        if (is->can & 1 << i)
            json_put_text(json, NULL, capability_word((Capability)i));
    json_close(json, ']');
    json_object(json, "cannot");
    for (int i = 0; i < CAN_COUNT; i++)
        if (is->cannot[i])
            json_put_text(json, capability_word((Capability)i), is->cannot[i]);
    json_close(json, '}');
    json_object(json, "labels");
    for (size_t i = 0; i < is->label_count; i++)
        json_put_text(json, is->labels[i].key, is->labels[i].value);
    json_close(json, '}');
}

void record_json_row(JsonWriter *json, const char *key, const ViewRow *row)
{
    const RecordFields *is = &row->record->is;
    json_object(json, key);
    json_put_text(json, "id", is->id);
    json_put_text(json, "uid", is->uid);
    json_put_text(json, "name", is->name);
    json_put_text(json, "type", is->type);
    json_put_text(json, "backend", row->record->backend);
    json_put_text(json, "instance", row->record->instance);
    json_put_text(json, "scheduler_id", is->scheduler_id);
    json_put_text(json, "same_as", row->same_as ? row->same_as->record->is.id : NULL);
    json_put_text(json, "owner", is->owner);
    put_origin(json, is);
    json_put_text(json, "status", status_word(is->status));
    json_put_text(json, "address", is->address);
    json_put_text(json, "dashboard", is->dashboard);
    put_workers(json, is);
    put_tasks(json, is);
    put_times(json, row);
    put_cost(json, row);
    put_verdict(json, row);
    put_can(json, is);
    json_close(json, '}');
}

void record_json_part(JsonWriter *json, const char *key, const PartInfo *part)
{
    char line[ERROR_LINE];
    json_object(json, key);
    json_put_text(json, "name", part->backend);
    json_put_text(json, "instance", part->instance);
    json_put_text(json, "type", part->type);
    json_put_text(json, "state", part_state_word(part->state));
    json_put_integer(json, "took_ms", part->took_ms);
    json_put_integer(json, "clusters", part_clusters(part));
    json_put_text(json, "error", part->error.code == ERROR_OK ? NULL : error_line(&part->error, line, sizeof(line)));
    json_put_text(json, "caution", part->caution);
    json_close(json, '}');
}

/* Folded rows stand beside the ones that own their schedulers, and only where those are shown. */
void record_json_list(Buffer *out, const View *view, Clock now)
{
    JsonWriter json;
    json_begin(&json, out);
    json_object(&json, NULL);
    json_put_text(&json, "schema", "dasktop/v1");
    json_put_time(&json, "taken", now.wall_ms);
    json_array(&json, "clusters");
    for (size_t i = 0; i < view->count; i++)
        record_json_row(&json, NULL, view->rows[i]);
    for (size_t i = 0; i < view->folded_count; i++)
        if (view_find(view, view->folded[i]->same_as->record->is.id, NULL, NULL))
            record_json_row(&json, NULL, view->folded[i]);
    json_close(&json, ']');
    json_array(&json, "backends");
    for (size_t i = 0; view->snapshot && i < view->snapshot->part_count; i++)
        record_json_part(&json, NULL, &view->snapshot->parts[i]->info);
    json_close(&json, ']');
    json_close(&json, '}');
    buffer_char(out, '\n');
}

/* --------------------------------------------------------------------------------------------------------------- reading */

static int64_t read_time(const cJSON *object, const char *key)
{
    const char *text = json_text(object, key);
    return text ? time_parse(text) : TIME_UNKNOWN;
}

static void read_origin(const cJSON *cluster, RecordFields *fields)
{
    const cJSON *origin = json_member(cluster, "origin");
    fields->origin.kind = json_text(origin, "kind");
    fields->origin.path = json_text(origin, "path");
    fields->origin.host = json_text(origin, "host");
    fields->origin.pid = json_integer(origin, "pid");
    fields->origin.alive = json_truth(origin, "alive");
}

static void read_workers(const cJSON *cluster, RecordFields *fields)
{
    const cJSON *workers = json_member(cluster, "workers"), *adaptive = json_member(cluster, "adaptive");
    fields->workers_ready = json_integer(workers, "ready");
    fields->workers_wanted = json_integer(workers, "wanted");
    fields->workers_paused = json_integer(workers, "paused");
    fields->adaptive = cJSON_IsObject(adaptive) ? 1 : cJSON_IsFalse(adaptive) ? 0 : -1;
    fields->adaptive_minimum = json_integer(adaptive, "minimum");
    fields->adaptive_maximum = json_integer(adaptive, "maximum");
    fields->resources = json_integer(cluster, "resources");
    fields->threads = json_integer(cluster, "threads");
    fields->gpus = json_integer(cluster, "gpus");
    fields->memory = json_integer(cluster, "memory");
    fields->memory_used = json_integer(cluster, "memory_used");
}

/* Whether it works follows from the counts, where all of them are there. */
static int read_busy(const RecordFields *fields)
{
    if (fields->tasks.processing > 0)
        return 1;
    bool none = fields->tasks.processing == 0 && fields->tasks.waiting == 0 && fields->tasks.queued == 0;
    return none ? 0 : -1;
}

static void read_tasks(const cJSON *cluster, RecordFields *fields)
{
    const cJSON *tasks = json_member(cluster, "tasks"), *versions = json_member(cluster, "versions");
    fields->tasks.processing = json_integer(tasks, "processing");
    fields->tasks.waiting = json_integer(tasks, "waiting");
    fields->tasks.queued = json_integer(tasks, "queued");
    fields->tasks.stored = json_integer(tasks, "stored");
    fields->tasks.erred = json_integer(tasks, "erred");
    fields->tasks.unrunnable = json_integer(tasks, "unrunnable");
    fields->clients = json_integer(cluster, "clients");
    fields->busy = read_busy(fields);
    fields->python = json_text(versions, "python");
    fields->dask = json_text(versions, "dask");
    fields->distributed = json_text(versions, "distributed");
}

static void read_times(const cJSON *cluster, RecordFields *fields)
{
    const cJSON *ends = json_member(cluster, "ends"), *kept = json_member(cluster, "kept");
    fields->created_ms = read_time(cluster, "created");
    fields->last_active_ms = read_time(cluster, "last_active");
    fields->ends_at_ms = read_time(ends, "at");
    fields->ends_why = json_text(ends, "why");
    fields->kept_until_ms = read_time(kept, "until");
    fields->kept_reason = json_text(kept, "reason");
}

static void read_can(const cJSON *cluster, RecordFields *fields)
{
    const cJSON *can = json_member(cluster, "can"), *cannot = json_member(cluster, "cannot"), *word;
    for (int i = 0; i < CAN_COUNT; i++) {
        fields->cannot[i] = json_text(cannot, capability_word((Capability)i));
        if (!cJSON_IsArray(can))
            continue;
        cJSON_ArrayForEach(word, can)
            if (cJSON_IsString(word) && strcmp(word->valuestring, capability_word((Capability)i)) == 0)
                fields->can |= (uint8_t)(1 << i);
    }
}

/* Both lists in one allocation: the labels, then the machines. */
static void read_lists(const cJSON *cluster, RecordFields *fields, Pair **pairs)
{
    const cJSON *labels = json_member(cluster, "labels"), *machines = json_member(cluster, "machines"), *item;
    if (!cJSON_IsObject(labels) && !cJSON_IsArray(machines))
        return; /* most have neither */
    char *block = mem_new(LIST_MAX * (sizeof(Pair) + sizeof(Machine)));
    Pair *pair = (Pair *)(void *)block;
    Machine *machine = (Machine *)(void *)(block + LIST_MAX * sizeof(Pair));
    *pairs = pair;
    fields->labels = pair;
    fields->machines = machine;
    if (cJSON_IsObject(labels))
        cJSON_ArrayForEach(item, labels)
            if (cJSON_IsString(item) && item->string && fields->label_count < LIST_MAX)
                pair[fields->label_count++] = (Pair){item->string, item->valuestring};
    if (cJSON_IsArray(machines))
        cJSON_ArrayForEach(item, machines)
            if (json_text(item, "type") && fields->machine_count < LIST_MAX)
                machine[fields->machine_count++] = (Machine){json_text(item, "type"), json_number(item, "quantity")};
}

bool record_json_read(const cJSON *cluster, RecordFields *fields, Pair **pairs, Error *error)
{
    record_fields_init(fields);
    *pairs = NULL;
    const char *id = json_text(cluster, "id"), *name = json_text(cluster, "name");
    if (!id || !*id || !name || !*name)
        return error_set(error, ERROR_BAD_REPLY, NULL, NULL, "a cluster without %s", id && *id ? "name" : "id");
    fields->id = id;
    fields->name = name;
    fields->uid = json_text(cluster, "uid");
    fields->type = json_text(cluster, "type");
    fields->scheduler_id = json_text(cluster, "scheduler_id");
    fields->owner = json_text(cluster, "owner");
    read_origin(cluster, fields);
    fields->status = status_parse(json_text(cluster, "status"));
    fields->address = json_text(cluster, "address");
    fields->dashboard = json_text(cluster, "dashboard");
    read_workers(cluster, fields);
    read_tasks(cluster, fields);
    read_times(cluster, fields);
    read_can(cluster, fields);
    read_lists(cluster, fields, pairs);
    return true;
}
