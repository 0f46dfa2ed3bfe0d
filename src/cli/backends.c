/* dasktop backends, journal, help. */
#include "cli/check.h"
#include "cli/output.h"
#include "cli/session.h"

#include "base/mem.h"
#include "core/record_json.h"

#include <stdlib.h>
#include <string.h>

static bool wants_json(Cli *cli, bool *json)
{
    const char *output = cli_value(cli, "output");
    *json = output && strcmp(output, "json") == 0;
    if (!output || *json || strcmp(output, "table") == 0)
        return true;
    cli_usage(cli, "-o %s: it is one of table, json", output);
    return false;
}

static void free_cells(char **cells, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(cells[i]);
    free(cells);
}

/* ------------------------------------------------------------------------------------------------------------ backends */

static const BackendType *type_of(const Cli *cli, const char *name)
{
    for (size_t i = 0; cli->host->types[i]; i++)
        if (strcmp(cli->host->types[i]->name, name) == 0)
            return cli->host->types[i];
    return NULL;
}

static char *can_text(const BackendType *type)
{
    Buffer out;
    buffer_init(&out, BUFFER_ANY);
    for (int c = 0; type && c < CAN_COUNT; c++)
        if (type->can & 1u << c)
            buffer_format(&out, "%s%s", out.length ? " " : "", capability_word((Capability)c));
    if (type && type->create)
        buffer_format(&out, "%screate", out.length ? " " : "");
    return buffer_take(&out);
}

static void print_backends(const Cli *cli)
{
    enum { WIDTH = 8 };
    static const char *const titles[WIDTH] = {"BACKEND", "INSTANCE", "TYPE", "STATE", "TOOK", "CLUSTERS", "CAN", "WHY"};
    static const bool right[WIDTH] = {[4] = true, [5] = true};
    size_t rows = cli->view->snapshot->part_count;
    char **cells = mem_new((rows + 1) * WIDTH * sizeof *cells), **cell = cells;
    for (size_t i = 0; i < rows; i++) {
        const PartInfo *info = &cli->view->snapshot->parts[i]->info;
        const BackendType *type = type_of(cli, info->type);
        char line[ERROR_LINE];
        *cell++ = mem_text(info->backend);
        *cell++ = mem_text(info->instance ? info->instance : "–");
        *cell++ = mem_text(info->type);
        *cell++ = mem_text(part_state_word(info->state));
        *cell++ = info->took_ms == NUMBER_UNKNOWN ? mem_text("–") : mem_format("%lld ms", (long long)info->took_ms);
        *cell++ = part_clusters(info) == NUMBER_UNKNOWN ? mem_text("–") : mem_format("%zu", info->clusters);
        *cell++ = can_text(type);
        const char *why = info->error.code != ERROR_OK ? error_line(&info->error, line, sizeof line) : type ? type->summary : "";
        *cell++ = info->caution ? mem_format("%s; %s", info->caution, why) : mem_text(why);
    }
    output_table(stdout, titles, right, WIDTH, cells, rows);
    free_cells(cells, rows * WIDTH);
}

static void print_backends_json(const Cli *cli)
{
    Buffer document;
    JsonWriter json;
    buffer_init(&document, BUFFER_ANY);
    json_begin(&json, &document);
    json_object(&json, NULL);
    json_put_text(&json, "schema", "dasktop/v1");
    json_put_time(&json, "taken", clock_wall_ms());
    json_array(&json, "backends");
    for (size_t i = 0; i < cli->view->snapshot->part_count; i++)
        record_json_part(&json, NULL, &cli->view->snapshot->parts[i]->info);
    json_close(&json, ']');
    json_array(&json, "types");
    for (size_t i = 0; cli->host->types[i]; i++) {
        const BackendType *type = cli->host->types[i];
        json_object(&json, NULL);
        json_put_text(&json, "type", type->name);
        json_put_text(&json, "summary", type->summary);
        json_put_text(&json, "signs_in", type->signs_in);
        json_array(&json, "can");
        for (int c = 0; c < CAN_COUNT; c++)
            if (type->can & 1u << c)
                json_put_text(&json, NULL, capability_word((Capability)c));
        json_close(&json, ']');
        json_put_truth(&json, "creates", type->create != NULL);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    output_document(&document);
    buffer_done(&document);
}

static int run_backends(Cli *cli)
{
    bool json;
    int status = 0;
    const char *check = cli_value(cli, "check");
    if (!wants_json(cli, &json))
        return error_exit(ERROR_USAGE);
    if (check)
        return check_run(cli, check, json);
    if (!session_open(cli, &status))
        return status;
    session_start(cli, ENGINE_ONCE, NULL, NULL);
    session_wait(cli);
    if (json)
        print_backends_json(cli);
    else
        print_backends(cli);
    return session_status(cli, false);
}

static const Option backends_options[] = {
    {"output", 'o', "table|json", "how it is printed"},
    {"check", 0, "KEY", "runs a plugin through the protocol and reports each deviation"},
    {0},
};

const Command command_backends = {
    .name = "backends",
    .usage = "[-o table|json] [--check KEY]",
    .summary = "each backend and instance: found or not and why, health, duration, what it can do",
    .options = backends_options,
    .run = run_backends,
};

/* ------------------------------------------------------------------------------------------------------------- journal */

static void print_journal(const JournalEntry *entries, size_t count)
{
    enum { WIDTH = 7 };
    static const char *const titles[WIDTH] = {"WHEN", "WHO", "CHANGE", "CLUSTER", "ID", "END", "WHY"};
    static const bool right[WIDTH] = {0};
    char **cells = mem_new((count + 1) * WIDTH * sizeof *cells), **cell = cells;
    char time[TIME_TEXT];
    for (size_t i = 0; i < count; i++) {
        const JournalEntry *entry = &entries[i];
        *cell++ = mem_text(time_text(entry->begin_ms, false, time));
        *cell++ = mem_format("%s@%s", entry->user ? entry->user : "?", entry->host ? entry->host : "?");
        *cell++ = mem_text(entry->change ? entry->change : "?");
        *cell++ = mem_text(entry->name ? entry->name : "");
        *cell++ = mem_text(entry->id ? entry->id : "");
        *cell++ = mem_text(entry->end_ms == TIME_UNKNOWN ? "outcome unknown" : phase_word(entry->phase));
        *cell++ = mem_text(entry->error ? entry->error : "");
    }
    output_table(stdout, titles, right, WIDTH, cells, count);
    free_cells(cells, count * WIDTH);
}

static void print_journal_json(const JournalEntry *entries, size_t count)
{
    Buffer document;
    JsonWriter json;
    buffer_init(&document, BUFFER_ANY);
    json_begin(&json, &document);
    json_object(&json, NULL);
    json_put_text(&json, "schema", "dasktop/v1");
    json_array(&json, "journal");
    for (size_t i = 0; i < count; i++) {
        const JournalEntry *entry = &entries[i];
        json_object(&json, NULL);
        json_put_text(&json, "operation", entry->operation);
        json_put_time(&json, "begin", entry->begin_ms);
        json_put_time(&json, "end", entry->end_ms);
        json_put_text(&json, "user", entry->user);
        json_put_text(&json, "host", entry->host);
        json_put_text(&json, "change", entry->change);
        json_put_text(&json, "id", entry->id);
        json_put_text(&json, "uid", entry->uid);
        json_put_text(&json, "name", entry->name);
        json_put_text(&json, "outcome", entry->end_ms == TIME_UNKNOWN ? "outcome unknown" : phase_word(entry->phase));
        json_put_text(&json, "error", entry->error);
        json_array(&json, "left_over");
        for (size_t k = 0; k < entry->left_over.count; k++)
            json_put_text(&json, NULL, entry->left_over.items[k]);
        json_close(&json, ']');
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    output_document(&document);
    buffer_done(&document);
}

static int run_journal(Cli *cli)
{
    bool json;
    int status = 0;
    int64_t since;
    Error error = {0};
    JournalEntry *entries = NULL;
    size_t count = 0, bad = 0;
    if (!wants_json(cli, &json) || !cli_duration(cli, "since", -1, &since))
        return error_exit(ERROR_USAGE);
    if (!session_open(cli, &status))
        return status;
    if (!journal_read(engine_journal(cli->engine), since < 0 ? TIME_UNKNOWN : clock_wall_ms() - since, &entries, &count, &bad, &error))
        return cli_fail(&error);
    if (json)
        print_journal_json(entries, count);
    else
        print_journal(entries, count);
    if (bad)
        cli_say("journal: %zu lines are damaged and were left out", bad);
    journal_entries_free(entries, count);
    return 0;
}

static const Option journal_options[] = {
    {"output", 'o', "table|json", "how it is printed"},
    {"since", 0, "DUR", "not older than this"},
    {0},
};

const Command command_journal = {
    .name = "journal",
    .usage = "[-o table|json] [--since DUR]",
    .summary = "every change that dasktop made: when, who, what, on which identity, how it ended",
    .options = journal_options,
    .run = run_journal,
};

/* ---------------------------------------------------------------------------------------------------------------- help */

static int run_help(Cli *cli)
{
    const char *name = cli->arguments.count ? cli->arguments.items[0] : NULL;
    if (!name) {
        cli_print_help(NULL);
        return 0;
    }
    for (size_t i = 0; cli_commands[i]; i++)
        if (strcmp(cli_commands[i]->name, name) == 0) {
            cli_print_help(cli_commands[i]);
            return 0;
        }
    return cli_usage(cli, "there is no command %s", name);
}

const Command command_help = {
    .name = "help",
    .usage = "[COMMAND]",
    .summary = "this help, or that of one command",
    .most = 1,
    .run = run_help,
};
