/* dasktop logs: of all components, merged in time order. */
#include "cli/session.h"

#include "core/logs.h"

#include <string.h>

enum { MOST_HELD = 64 << 20 };

typedef struct Printing {
    Cli *cli;
    bool prefix, timestamps;
} Printing;

static void print_line(void *user, const LogLine *line)
{
    const Printing *printing = user;
    char time[TIME_TEXT];
    if (line->note) {
        cli_say("%s%s%s", line->component, *line->component ? ": " : "", line->text);
        return;
    }
    if (printing->prefix)
        printf("[%s] ", line->component);
    if (printing->timestamps)
        printf("%s ", line->time_ms == TIME_UNKNOWN ? "-" : time_text(line->time_ms, true, time));
    printf("%s\n", line->text);
    fflush(stdout);
    if (ferror(stdout))
        cancel_ask(&printing->cli->cancel); /* the reader of a pipe has gone */
}

/* One component by its own name needs no prefix. */
static bool needs_prefix(const List *components)
{
    return components->count != 1 || strcmp(components->items[0], "worker") == 0;
}

static bool read_request(Cli *cli, LogRequest *request)
{
    const char *lines = cli_value(cli, "lines");
    int64_t since;
    Error error = {0};
    *request = (LogRequest){.tail = -1, .since_ms = TIME_UNKNOWN, .follow = cli_flag(cli, "follow")};
    if (lines && !cli_number(lines, "-n", &request->tail, &error)) {
        cli_fail(&error);
        return false;
    }
    if (!cli_duration(cli, "since", -1, &since))
        return false;
    if (since >= 0)
        request->since_ms = clock_wall_ms() - since;
    cli_values(cli, "component", &request->components);
    return true;
}

static int run(Cli *cli)
{
    int status = 0;
    LogRequest request;
    Error error = {0};
    if (!read_request(cli, &request))
        return error_exit(ERROR_USAGE);
    Handle *handle = session_handle(cli, cli->arguments.items[0], false, &status);
    if (handle && !handle->type->logs) {
        error_set(&error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "its logs cannot be read from here");
        status = cli_fail(&error);
    } else if (handle) {
        Printing printing = {cli, needs_prefix(&request.components), cli_flag(cli, "timestamps")};
        Logs *logs = logs_new(MOST_HELD, print_line, &printing);
        bool done = handle->type->logs(handle, &cli->context, &request, logs_sink(logs), &error);
        logs_flush(logs);
        logs_free(logs);
        if (!done && !(error.code == ERROR_CANCELLED && ferror(stdout)))
            status = error.code == ERROR_CANCELLED ? error_exit(ERROR_CANCELLED) : cli_fail(&error);
    }
    handle_close(handle);
    list_done(&request.components);
    return status;
}

static const Option options[] = {
    {"component", 'c', "scheduler|worker|NAME", "only this one; may be given several times (worker: all of them)"},
    {"follow", 'f', NULL, "go on until the cluster ends"},
    {"lines", 'n', "LINES", "the last of each component"},
    {"since", 0, "DUR", "not older than this"},
    {"timestamps", 0, NULL, "the time in front of each line"},
    {0},
};

const Command command_logs = {
    .name = "logs",
    .usage = "CLUSTER [-c NAME]… [-f] [-n LINES] [--since DUR] [--timestamps]",
    .summary = "logs of all components, merged in time order",
    .options = options,
    .least = 1,
    .most = 1,
    .run = run,
};
