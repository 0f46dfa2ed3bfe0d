/* dasktop list: one discovery over every backend, or with --watch every change of it. */
#include "cli/output.h"
#include "cli/session.h"

#include "base/map.h"
#include "base/mem.h"
#include "core/record_json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum Format { FORMAT_TABLE, FORMAT_WIDE, FORMAT_JSON, FORMAT_CSV, FORMAT_NAME, FORMAT_BAD } Format;

enum { COLUMNS_MOST = 64 };

typedef struct Shape {
    Format format;
    const Column *columns[COLUMNS_MOST];
    size_t count;
} Shape;

static const Option options[] = {
    {"output", 'o', "table|wide|json|csv|name", "how it is printed (name: one id on a line, to be used as CLUSTER)"},
    {"backend", 0, "KEY", "only this backend; may be given several times"},
    {"filter", 0, "EXPR", "only what it holds for: words, !not, backend:slurm verdict:orphaned age>1d"},
    {"orphaned", 0, NULL, "only what is orphaned"},
    {"sort", 0, "COL", "by this column, -COL: reversed (default: verdict, cost, id)"},
    {"columns", 0, "A,B", "these columns"},
    {"timeout", 0, "DUR", "print what has answered by then"},
    {"watch", 0, NULL, "go on: the table again and again, with -o json a line for each change"},
    {0},
};

static Format parse_format(const char *text)
{
    const char *const words[] = {"table", "wide", "json", "csv", "name"};
    for (int i = 0; text && i < FORMAT_BAD; i++)
        if (strcmp(words[i], text) == 0)
            return (Format)i;
    return text ? FORMAT_BAD : FORMAT_TABLE;
}

static bool read_columns(Cli *cli, Shape *shape)
{
    Error error = {0};
    const char *list = cli_value(cli, "columns");
    if (list) {
        if (columns_parse(list, shape->columns, COLUMNS_MOST, &shape->count, &error))
            return true;
        cli_usage(cli, "--columns %s: %s", list, error.what);
        return false;
    }
    for (const Column *column = columns; column->name && shape->count < COLUMNS_MOST; column++)
        if (column->standard || ((shape->format == FORMAT_WIDE || shape->format == FORMAT_CSV) && column->wide))
            shape->columns[shape->count++] = column;
    return true;
}

static bool read_shape(Cli *cli, Shape *shape)
{
    const char *output = cli_value(cli, "output"), *sort = cli_value(cli, "sort");
    shape->format = parse_format(output);
    if (shape->format == FORMAT_BAD) {
        cli_usage(cli, "-o %s: it is one of table, wide, json, csv, name", output);
        return false;
    }
    if (sort) {
        cli->view->reverse = *sort == '-';
        cli->view->sort = column_find(sort + (*sort == '-'));
        if (!cli->view->sort) {
            cli_usage(cli, "--sort %s: there is no such column", sort);
            return false;
        }
    }
    return read_columns(cli, shape);
}

/* --filter and --orphaned, as one filter. */
static bool read_filter(Cli *cli)
{
    const char *given = cli_value(cli, "filter");
    char *expression = mem_format("%s%s%s", given ? given : "", given && cli_flag(cli, "orphaned") ? " " : "",
                                  cli_flag(cli, "orphaned") ? "verdict:orphaned" : "");
    Error error = {0};
    cli->filter = filter_parse(expression, &error);
    free(expression);
    if (!cli->filter) {
        cli_usage(cli, "--filter: %s", error.what);
        return false;
    }
    cli->view->filter = cli->filter;
    return true;
}

static void print(Cli *cli, const Shape *shape)
{
    Clock now = clock_now();
    Buffer document;
    switch (shape->format) {
    case FORMAT_JSON:
        buffer_init(&document, BUFFER_ANY);
        record_json_list(&document, cli->view, now);
        output_document(&document);
        buffer_done(&document);
        break;
    case FORMAT_CSV:
        output_csv(stdout, cli->view, shape->columns, shape->count, now);
        break;
    case FORMAT_NAME:
        for (size_t i = 0; i < cli->view->count; i++)
            printf("%s\n", cli->view->rows[i]->record->is.id);
        break;
    default:
        output_rows(stdout, cli->view, shape->columns, shape->count, now);
    }
}

static void hint_nothing(const Cli *cli)
{
    const ViewSums *sums = &cli->view->sums;
    if (cli->view->count)
        return;
    if (sums->filtered_out)
        cli_say("none of %zu clusters fits the filter", sums->filtered_out);
    else
        cli_say("no Dask cluster was found: `dasktop backends` says what was asked");
}

/* ------------------------------------------------------------------------------------------------------------- --watch */

/* What was told of each row and backend, so that only changes are told again. */
typedef struct Told {
    Map rows, parts;
    bool synced;
} Told;

static void event_line(const char *event, void (*put)(JsonWriter *, const void *), const void *what)
{
    Buffer line;
    JsonWriter json;
    buffer_init(&line, BUFFER_ANY);
    json_begin(&json, &line);
    json_object(&json, NULL);
    json_put_text(&json, "event", event);
    if (put)
        put(&json, what);
    json_close(&json, '}');
    puts(line.bytes);
    buffer_done(&line);
}

static void put_row(JsonWriter *json, const void *row)
{
    record_json_row(json, "cluster", row);
}

static void put_gone(JsonWriter *json, const void *id)
{
    json_put_text(json, "id", id);
}

static void put_part(JsonWriter *json, const void *info)
{
    record_json_part(json, "backend", info);
}

static uint64_t row_hash(const ViewRow *row)
{
    struct {
        uint64_t record;
        int64_t verdict, stale, kept, same;
    } facts = {row->record->hash, row->verdict.state, row->stale, row->kept.kept, row->same_as != NULL};
    return hash_bytes(&facts, sizeof facts, 1) | 1;
}

static void tell_rows(const Cli *cli, Told *told)
{
    Map seen;
    map_init(&seen);
    for (int folded = 0; folded < 2; folded++) {
        const ViewRow **rows = folded ? cli->view->folded : cli->view->rows;
        size_t count = folded ? cli->view->folded_count : cli->view->count;
        for (size_t i = 0; i < count; i++) {
            void *hash = (void *)(uintptr_t)row_hash(rows[i]);
            map_put(&seen, rows[i]->record->is.id, hash);
            if (map_get(&told->rows, rows[i]->record->is.id) != hash)
                event_line("cluster", put_row, rows[i]);
        }
    }
    const MapEntry *entry;
    for (size_t i = 0; (entry = map_next(&told->rows, &i));)
        if (!map_has(&seen, entry->key))
            event_line("gone", put_gone, entry->key);
    map_done(&told->rows, NULL);
    told->rows = seen;
}

static void tell_parts(const Cli *cli, Told *told)
{
    for (size_t i = 0; i < cli->view->snapshot->part_count; i++) {
        const PartInfo *info = &cli->view->snapshot->parts[i]->info;
        char *key = mem_format("%s:%s", info->backend, info->instance ? info->instance : "");
        uintptr_t mark = ((uintptr_t)info->state << 8 | (uintptr_t)info->error.code << 1) | 1;
        if (info->state != PART_WAITING && map_get(&told->parts, key) != (void *)mark) {
            map_put(&told->parts, key, (void *)mark);
            event_line("backend", put_part, info);
        }
        free(key);
    }
}

static int watch_json(Cli *cli)
{
    Told told = {0};
    map_init(&told.rows);
    map_init(&told.parts);
    session_turn(cli, 0); /* the view has a snapshot from now on */
    bool read = true;
    while (read && !cancel_asked(&cli->cancel) && !ferror(stdout)) {
        tell_rows(cli, &told);
        tell_parts(cli, &told);
        if (!told.synced && engine_answered(cli->engine)) {
            told.synced = true;
            event_line("synced", NULL, NULL);
        }
        fflush(stdout);
        read = session_turn_read(cli, told.synced ? 60000 : 50);
    }
    map_done(&told.rows, NULL);
    map_done(&told.parts, NULL);
    return error_exit(ERROR_CANCELLED);
}

/* Changes come in bursts: one table for all of them, with the last. */
static void settle(Cli *cli)
{
    Context pause = context_within(&cli->context, 500);
    while (context_check(&pause, NULL, NULL))
        session_turn(cli, context_left_ms(&pause));
}

static void print_again(Cli *cli, const Shape *shape, bool terminal)
{
    if (terminal)
        fputs("\033[H\033[2J", stdout);
    print(cli, shape);
    if (!terminal)
        putchar('\n');
    fflush(stdout);
}

static int watch_table(Cli *cli, const Shape *shape)
{
    bool terminal = isatty(STDOUT_FILENO), read = true;
    session_turn(cli, 0); /* the view has a snapshot from now on */
    while (read && !cancel_asked(&cli->cancel) && !ferror(stdout)) {
        settle(cli);
        if (cli->view->count || engine_answered(cli->engine)) /* else a table without rows would say that there is nothing */
            print_again(cli, shape, terminal);
        read = session_turn_read(cli, 5000);
    }
    return error_exit(ERROR_CANCELLED);
}

static int run(Cli *cli)
{
    int status = 0;
    int64_t timeout;
    List keys = {0};
    Shape shape = {0};
    if (!cli_duration(cli, "timeout", -1, &timeout))
        return error_exit(ERROR_USAGE);
    if (!session_open(cli, &status))
        return status;
    if (!read_shape(cli, &shape) || !read_filter(cli) || !session_backend_keys(cli, &keys)) {
        list_done(&keys);
        return error_exit(ERROR_USAGE);
    }
    bool watch = cli_flag(cli, "watch");
    session_start(cli, watch ? ENGINE_LIVE : ENGINE_ONCE, &keys, NULL);
    list_done(&keys);
    if (watch)
        return shape.format == FORMAT_JSON ? watch_json(cli) : watch_table(cli, &shape);
    Context whole = cli->context;
    if (timeout >= 0)
        cli->context = context_within(&whole, timeout);
    session_wait(cli);
    cli->context = whole;
    if (cancel_asked(&cli->cancel))
        return error_exit(ERROR_CANCELLED);
    print(cli, &shape);
    fflush(stdout);
    status = session_status(cli, true);
    if (status != error_exit(ERROR_UNREACHABLE)) /* where nobody answers, nobody knows what there is */
        hint_nothing(cli);
    return status;
}

const Command command_list = {
    .name = "list",
    .usage = "[-o FORMAT] [--backend KEY]… [--filter EXPR] [--orphaned] [--sort COL] [--columns A,B] [--timeout DUR] [--watch]",
    .summary = "one discovery over every backend; printed when the last has answered or its time has passed",
    .options = options,
    .run = run,
};
