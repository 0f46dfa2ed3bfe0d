/* dasktop keep and wait. */
#include "cli/session.h"

#include "core/find.h"

#include <string.h>

static int run_keep(Cli *cli)
{
    int64_t length;
    int status = 0;
    Error error = {0};
    if (!cli_duration(cli, "for", 7 * 86400000ll, &length))
        return error_exit(ERROR_USAGE);
    const Record *record = session_find(cli, cli->arguments.items[0], true, &status);
    if (!record)
        return status;
    Clock now = clock_now();
    bool not = cli_flag(cli, "not");
    const char *reason = cli_value(cli, "reason");
    if (!engine_leave_alone(cli->engine, &cli->context, record, not ? 0 : now.wall_ms + length, reason, &error))
        status = cli_fail(&error);
    record_drop(record);
    return status;
}

static const Option keep_options[] = {
    {"for", 0, "DUR", "how long (7d)"},
    {"reason", 0, "TEXT", "why"},
    {"not", 0, NULL, "no longer"},
    {0},
};

const Command command_keep = {
    .name = "keep",
    .usage = "CLUSTER [--for DUR] [--reason TEXT] [--not]",
    .summary = "leave this one alone: no warning, not counted as unused, never swept",
    .options = keep_options,
    .least = 1,
    .most = 1,
    .run = run_keep,
};

/* ---------------------------------------------------------------------------------------------------------------- wait */

typedef struct Goal {
    enum { GOAL_WORKERS, GOAL_RUNNING, GOAL_IDLE, GOAL_GONE } kind;
    int64_t workers;
} Goal;

static bool parse_goal(const char *text, Goal *goal)
{
    const char *const words[] = {[GOAL_RUNNING] = "running", [GOAL_IDLE] = "idle", [GOAL_GONE] = "gone"};
    for (int kind = GOAL_RUNNING; kind <= GOAL_GONE; kind++)
        if (strcmp(words[kind], text) == 0) {
            goal->kind = kind;
            return true;
        }
    goal->kind = GOAL_WORKERS;
    return strncmp(text, "workers=", 8) == 0 && cli_number(text + 8, "--for", &goal->workers, NULL);
}

static bool reached(const Goal *goal, const ViewRow *row)
{
    if (!row || row->stale)
        return false;
    const RecordFields *is = &row->record->is;
    switch (goal->kind) {
    case GOAL_WORKERS:
        return is->workers_ready == goal->workers;
    case GOAL_RUNNING:
        return is->status == STATUS_RUNNING;
    case GOAL_IDLE:
        return is->busy == 0 && is->tasks.processing <= 0;
    default:
        return false;
    }
}

/* It is gone when its backend's complete answer lacks it, or another one stands in its place. */
static bool is_gone(Cli *cli, const Record *record, const ViewRow *row)
{
    if (row)
        return record->is.uid && row->record->is.uid && strcmp(record->is.uid, row->record->is.uid) != 0;
    for (size_t i = 0; i < cli->view->snapshot->part_count; i++) {
        const PartInfo *info = &cli->view->snapshot->parts[i]->info;
        bool same = strcmp(info->backend, record->backend) == 0 &&
                    (!record->instance || (info->instance && strcmp(info->instance, record->instance) == 0));
        if (same)
            return info->state == PART_OK;
    }
    return false;
}

static int wait_until(Cli *cli, const Record *record, const Goal *goal, Error *error)
{
    Context whole = cli->context;
    while (context_check(&cli->context, record->is.id, error)) {
        const ViewRow *row = session_row(cli, record);
        bool gone = is_gone(cli, record, row);
        if (goal->kind == GOAL_GONE ? gone : !gone && reached(goal, row))
            return 0;
        if (gone) {
            error_set(error, ERROR_NOT_FOUND, record->is.id, NULL, "it is gone");
            break;
        }
        Context second = context_within(&whole, 1000);
        while (context_check(&second, NULL, NULL))
            session_turn(cli, context_left_ms(&second));
        engine_refresh(cli->engine, record->backend);
    }
    if (error->code == ERROR_TIMEOUT) {
        const ViewRow *row = session_row(cli, record);
        long long ready = row && row->record->is.workers_ready != NUMBER_UNKNOWN ? (long long)row->record->is.workers_ready : -1;
        if (row && ready >= 0)
            error_set(error, ERROR_TIMEOUT, record->is.id, NULL, "not reached in time: it is %s with %lld workers",
                      status_word(row->record->is.status), ready);
    }
    return cli_fail(error);
}

static int run_wait(Cli *cli)
{
    int status = 0;
    int64_t timeout;
    Goal goal = {0};
    Error error = {0};
    const char *text = cli_value(cli, "for");
    if (!text || !parse_goal(text, &goal))
        return cli_usage(cli, "give --for workers=N, running, idle or gone");
    if (!cli_duration(cli, "timeout", 600000, &timeout))
        return error_exit(ERROR_USAGE);
    cli->context = context_within(&cli->context, timeout);
    const Record *record = session_find(cli, cli->arguments.items[0], false, &status);
    if (!record)
        return goal.kind == GOAL_GONE && status == error_exit(ERROR_NOT_FOUND) ? 0 : status;
    /* found once; from now on its own backend is asked again and again */
    List keys = {0};
    list_add(&keys, record->backend);
    Context context = cli->context;
    session_close(cli);
    cli->context = context;
    if (session_open(cli, &status)) {
        session_start(cli, ENGINE_LIVE, &keys, record->instance);
        session_wait(cli);
        status = wait_until(cli, record, &goal, &error);
    }
    list_done(&keys);
    record_drop(record);
    return status;
}

static const Option wait_options[] = {
    {"for", 0, "GOAL", "workers=N, running, idle or gone"},
    {"timeout", 0, "DUR", "give up after this (10m)"},
    {0},
};

const Command command_wait = {
    .name = "wait",
    .usage = "CLUSTER --for workers=N|running|idle|gone",
    .summary = "waits for it",
    .options = wait_options,
    .least = 1,
    .most = 1,
    .run = run_wait,
};
