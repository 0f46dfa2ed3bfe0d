/* dasktop show: reconstructs the cluster and describes it. */
#include "cli/session.h"

#include "base/mem.h"
#include "base/text.h"
#include "cli/output.h"
#include "core/record_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const Option options[] = {
    {"output", 'o', "text|json", "how it is printed"},
    {0},
};

/* A cell of a table: the caller's array takes it. */
static char *bytes_cell(int64_t bytes)
{
    char text[24];
    return mem_text(bytes == NUMBER_UNKNOWN ? "–" : text_size(bytes, text));
}

static char *number_cell(int64_t number)
{
    return number == NUMBER_UNKNOWN ? mem_text("–") : mem_format("%lld", (long long)number);
}

static char *text_cell(const char *text)
{
    return mem_text(text && *text ? text : "–");
}

static void free_cells(char **cells, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(cells[i]);
    free(cells);
}

static void print_workers(const Description *description)
{
    enum { WIDTH = 8 };
    static const char *const titles[WIDTH] = {"WORKER", "HOST", "STATUS", "THREADS", "CPU", "MEMORY", "SPILLED", "TASKS"};
    static const bool right[WIDTH] = {false, false, false, true, true, true, true, true};
    if (description->workers_note)
        printf("\nworkers: %s\n", description->workers_note);
    if (!description->worker_count)
        return;
    char **cells = mem_new(description->worker_count * WIDTH * sizeof *cells), **cell = cells;
    for (size_t i = 0; i < description->worker_count; i++) {
        const DescribedWorker *worker = &description->workers[i];
        *cell++ = text_cell(worker->name);
        *cell++ = text_cell(worker->host);
        *cell++ = text_cell(worker->status);
        *cell++ = number_cell(worker->threads);
        *cell++ = isnan(worker->cpu) ? mem_text("–") : mem_format("%.0f %%", worker->cpu);
        char *used = bytes_cell(worker->memory), *limit = bytes_cell(worker->memory_limit);
        *cell++ = mem_format("%s / %s", used, limit);
        free(used);
        free(limit);
        *cell++ = bytes_cell(worker->spilled);
        *cell++ = number_cell(worker->processing);
    }
    putchar('\n');
    output_table(stdout, titles, right, WIDTH, cells, description->worker_count);
    free_cells(cells, description->worker_count * WIDTH);
}

static void print_prefixes(const Description *description)
{
    enum { WIDTH = 5 };
    static const char *const titles[WIDTH] = {"PREFIX", "WAITING", "RUNNING", "STORED", "ERRED"};
    static const bool right[WIDTH] = {false, true, true, true, true};
    if (!description->prefix_count)
        return;
    char **cells = mem_new(description->prefix_count * WIDTH * sizeof *cells), **cell = cells;
    for (size_t i = 0; i < description->prefix_count; i++) {
        const DescribedPrefix *prefix = &description->prefixes[i];
        *cell++ = text_cell(prefix->name);
        *cell++ = number_cell(prefix->waiting);
        *cell++ = number_cell(prefix->processing);
        *cell++ = number_cell(prefix->stored);
        *cell++ = number_cell(prefix->erred);
    }
    putchar('\n');
    output_table(stdout, titles, right, WIDTH, cells, description->prefix_count);
    free_cells(cells, description->prefix_count * WIDTH);
}

static void print_tree(const Description *description, int parent, int depth)
{
    for (size_t i = 0; i < description->resource_count && depth < 16; i++) {
        const DescribedResource *resource = &description->resources[i];
        if (resource->parent != parent)
            continue;
        printf("%*s%s %s", depth * 2 + 2, "", resource->kind, resource->name);
        if (resource->uid)
            printf("  (%s)", resource->uid);
        if (resource->status)
            printf("  %s", resource->status);
        putchar('\n');
        print_tree(description, (int)i, depth + 1);
    }
}

static void print_line(const char *label, const char *text)
{
    if (text && *text)
        printf("%-11s %s\n", label, text);
}

static void print_head(const ViewRow *row, const Description *description)
{
    const RecordFields *is = &description->record->is;
    char time[TIME_TEXT];
    printf("%s\n", is->name);
    print_line("id", is->id);
    print_line("uid", is->uid);
    print_line("type", is->type);
    print_line("owner", is->owner);
    if (is->origin.kind)
        printf("%-11s %s%s%s%s%s%s\n", "made by", is->origin.kind, is->origin.path ? " " : "", is->origin.path ? is->origin.path : "",
               is->origin.how ? ", " : "", is->origin.how ? is->origin.how : "", is->origin.alive == 0 ? " (process gone)" : "");
    printf("%-11s %s%s%s\n", "status", status_word(is->status), is->status_why ? ": " : "", is->status_why ? is->status_why : "");
    print_line("address", is->address);
    print_line("dashboard", is->dashboard);
    print_line("route", description->route);
    print_line("dask", is->distributed);
    print_line("python", is->python);
    print_line("created", time_text(is->created_ms, false, time));
    printf("%-11s %s\n", "verdict", verdict_word(row->verdict.state));
}

static void print_list(const char *title, const List *list)
{
    for (size_t i = 0; i < list->count; i++)
        printf("%-11s %s\n", i ? "" : title, list->items[i]);
}

static void print_can(const RecordFields *is)
{
    printf("%-11s", "can");
    for (int c = 0; c < CAN_COUNT; c++)
        if (is->can & 1u << c)
            printf(" %s", capability_word((Capability)c));
    putchar('\n');
    for (int c = 0; c < CAN_COUNT; c++)
        if (is->cannot[c])
            printf("%-11s %s: %s\n", "cannot", capability_word((Capability)c), is->cannot[c]);
}

static void print_text(Cli *cli, const ViewRow *row, const Description *description)
{
    const Config *config = engine_config(cli->engine);
    VerdictLimits limits = {config->verdict.idle_ms, config->verdict.unattended_ms};
    List evidence = {0};
    verdict_evidence(description->record, row->stale, row->verdict, clock_now(), limits, &evidence);
    print_head(row, description);
    print_list("evidence", &evidence);
    print_can(&description->record->is);
    print_list("found", &description->found);
    print_list("lost", &description->lost);
    print_list("one more", &description->worker_spec);
    print_workers(description);
    print_prefixes(description);
    if (description->resource_count) {
        printf("\nresources\n");
        print_tree(description, -1, 0);
    }
    list_done(&evidence);
}

/* ---------------------------------------------------------------------------------------------------------------- JSON */

static void put_list(JsonWriter *json, const char *key, const List *list)
{
    json_array(json, key);
    for (size_t i = 0; i < list->count; i++)
        json_put_text(json, NULL, list->items[i]);
    json_close(json, ']');
}

static void put_workers(JsonWriter *json, const Description *description)
{
    json_array(json, "workers");
    for (size_t i = 0; i < description->worker_count; i++) {
        const DescribedWorker *worker = &description->workers[i];
        json_object(json, NULL);
        json_put_text(json, "name", worker->name);
        json_put_text(json, "address", worker->address);
        json_put_text(json, "host", worker->host);
        json_put_text(json, "nanny", worker->nanny);
        json_put_text(json, "status", worker->status);
        json_put_text(json, "group", worker->group);
        json_put_text(json, "resource", worker->resource);
        json_put_integer(json, "pid", worker->pid);
        json_put_integer(json, "threads", worker->threads);
        json_put_number(json, "cpu", worker->cpu);
        json_put_integer(json, "memory_limit", worker->memory_limit);
        json_put_integer(json, "memory", worker->memory);
        json_put_integer(json, "spilled", worker->spilled);
        json_put_integer(json, "processing", worker->processing);
        json_put_integer(json, "stored", worker->stored);
        json_put_time(json, "last_seen", worker->last_seen_ms);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void put_resources(JsonWriter *json, const Description *description)
{
    json_array(json, "resources");
    for (size_t i = 0; i < description->resource_count; i++) {
        const DescribedResource *resource = &description->resources[i];
        json_object(json, NULL);
        json_put_text(json, "kind", resource->kind);
        json_put_text(json, "name", resource->name);
        json_put_text(json, "uid", resource->uid);
        json_put_text(json, "status", resource->status);
        json_put_integer(json, "parent", resource->parent < 0 ? NUMBER_UNKNOWN : resource->parent);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void put_prefixes(JsonWriter *json, const Description *description)
{
    json_array(json, "prefixes");
    for (size_t i = 0; i < description->prefix_count; i++) {
        const DescribedPrefix *prefix = &description->prefixes[i];
        json_object(json, NULL);
        json_put_text(json, "name", prefix->name);
        json_put_integer(json, "waiting", prefix->waiting);
        json_put_integer(json, "processing", prefix->processing);
        json_put_integer(json, "stored", prefix->stored);
        json_put_integer(json, "erred", prefix->erred);
        json_put_integer(json, "released", prefix->released);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void print_json(const ViewRow *row, const Description *description)
{
    Buffer document;
    JsonWriter json;
    buffer_init(&document, BUFFER_ANY);
    json_begin(&json, &document);
    json_object(&json, NULL);
    json_put_text(&json, "schema", "dasktop/v1");
    json_put_time(&json, "taken", clock_wall_ms());
    record_json_row(&json, "cluster", row);
    put_workers(&json, description);
    put_resources(&json, description);
    put_prefixes(&json, description);
    put_list(&json, "worker_spec", &description->worker_spec);
    json_put_text(&json, "route", description->route);
    put_list(&json, "found", &description->found);
    put_list(&json, "lost", &description->lost);
    json_close(&json, '}');
    output_document(&document);
    buffer_done(&document);
}

/* The row as show knows it now: the fresh record, judged again. */
static ViewRow fresh_row(Cli *cli, const Record *known, const Description *description)
{
    const ViewRow *before = session_row(cli, known);
    const Config *config = engine_config(cli->engine);
    ViewRow row = *before;
    row.record = description->record;
    row.verdict = verdict_of(description->record, clock_now(), (VerdictLimits){config->verdict.idle_ms, config->verdict.unattended_ms});
    row.per_hour = cost_of(description->record, config, clock_now()).per_hour;
    return row;
}

static int run(Cli *cli)
{
    const char *output = cli_value(cli, "output");
    bool as_json = output && strcmp(output, "json") == 0;
    if (output && !as_json && strcmp(output, "text") != 0)
        return cli_usage(cli, "-o %s: it is one of text, json", output);
    int status = 0;
    Handle *handle = session_handle(cli, cli->arguments.items[0], false, &status);
    if (!handle)
        return status;
    Error error = {0};
    Description *description = description_new();
    Context context = context_within(&cli->context, engine_config(cli->engine)->timeout_ms * 4);
    if (!handle->type->show)
        error_set(&error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "its backend cannot describe it");
    if (error.code == ERROR_OK && handle->type->show(handle, &context, description, &error)) {
        if (!description->record)
            description->record = record_keep(handle->record);
        ViewRow row = fresh_row(cli, handle->record, description);
        if (as_json)
            print_json(&row, description);
        else
            print_text(cli, &row, description);
    } else {
        status = cli_fail(&error);
    }
    description_free(description);
    handle_close(handle);
    return status;
}

const Command command_show = {
    .name = "show",
    .usage = "CLUSTER [-o text|json]",
    .summary = "reconstructs the cluster and describes it: resources, workers, tasks, route, verdict, what can be done",
    .options = options,
    .least = 1,
    .most = 1,
    .run = run,
};
