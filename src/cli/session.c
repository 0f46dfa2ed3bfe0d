#include "cli/session.h"

#include "base/map.h"
#include "base/mem.h"
#include "core/find.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool session_open(Cli *cli, int *status)
{
    Config *config = config_load(&cli->sources, cli->host->types);
    bool dashboard = cli->command->run == NULL;
    if (config->problems.count && !dashboard) {
        for (size_t i = 0; i < config->problems.count; i++)
            cli_say("%s", config->problems.items[i]);
        config_free(config);
        *status = error_exit(ERROR_USAGE);
        return false;
    }
    cli->engine = engine_new(config, cli->host->types);
    if (!dashboard) {
        store_on_publish(engine_store(cli->engine), &cli->published);
        cli->view = view_new(engine_store(cli->engine), engine_keep(cli->engine), engine_config(cli->engine));
    }
    return true;
}

void session_start(Cli *cli, EngineMode mode, const List *keys, const char *instance)
{
    engine_start(cli->engine, mode, keys, instance);
}

bool session_backend_keys(Cli *cli, List *keys)
{
    const Config *config = engine_config(cli->engine);
    cli_values(cli, "backend", keys);
    for (size_t k = 0; k < keys->count; k++) {
        bool there = false;
        for (size_t i = 0; i < config->backend_count; i++)
            there = there || strcmp(config->backends[i].key, keys->items[k]) == 0;
        if (!there) {
            cli_usage(cli, "--backend %s: there is no such backend (dasktop backends lists them)", keys->items[k]);
            return false;
        }
    }
    return true;
}

/* reader: a descriptor of which only the other side's end is waited for; -1: none. */
static bool turn(Cli *cli, int64_t ms, int reader)
{
    Context context = context_within(&cli->context, ms);
    int64_t left = context_left_ms(&context);
    struct pollfd wanted[3] = {{.fd = cli->published.read_fd, .events = POLLIN}, {.fd = context_fd(&context), .events = POLLIN}, {.fd = reader}};
    poll(wanted, 3, left > 3600000 ? 3600000 : (int)left);
    wake_drain(&cli->published);
    view_update(cli->view, clock_now());
    return !wanted[2].revents;
}

void session_turn(Cli *cli, int64_t ms)
{
    turn(cli, ms, -1);
}

bool session_turn_read(Cli *cli, int64_t ms)
{
    return turn(cli, ms, STDOUT_FILENO);
}

void session_wait(Cli *cli)
{
    engine_wait(cli->engine, &cli->context);
    store_flush(engine_store(cli->engine));
    view_update(cli->view, clock_now());
}

/* Everything that is there: not absent, not switched off. */
static bool is_there(const PartInfo *info)
{
    return info->state != PART_ABSENT && info->state != PART_OFF;
}

int session_status(Cli *cli, bool say)
{
    size_t there = 0, well = 0, answered = 0;
    for (size_t i = 0; i < cli->view->snapshot->part_count; i++) {
        const PartInfo *info = &cli->view->snapshot->parts[i]->info;
        if (!is_there(info))
            continue;
        there++;
        well += info->state == PART_OK;
        answered += info->state == PART_OK || info->state == PART_PARTIAL;
        if (say && info->caution)
            cli_say("%s%s%s: %s", info->backend, info->instance ? ":" : "", info->instance ? info->instance : "", info->caution);
        if (say && info->state != PART_OK) {
            char line[ERROR_LINE];
            if (info->error.code != ERROR_OK && info->state != PART_SLOW)
                cli_say("%s", error_line(&info->error, line, sizeof line));
            else /* nobody waits on here; rows that it told before are shown */
                cli_say("%s%s%s: no complete answer in time: some of its clusters may be missing: raise its `timeout`", info->backend,
                        info->instance ? ":" : "", info->instance ? info->instance : "");
        }
    }
    return well == there ? 0 : answered ? error_exit(ERROR_PARTIAL) : 1;
}

/* --uid: who asks has seen this one, and another may have its id or name by now. */
static bool is_meant(const Cli *cli, const Record *record, Error *error)
{
    const char *uid = cli_value(cli, "uid");
    if (!uid || (record->is.uid && strcmp(record->is.uid, uid) == 0))
        return true;
    return error_set(error, ERROR_CONFLICT, record->is.id, "`dasktop list -o json` shows what there is",
                     record->is.uid ? "it is another cluster by now: its uid is %s" : "its uid is not known", record->is.uid);
}

const Record *session_find(Cli *cli, const char *text, bool for_change, int *status)
{
    if (!cli->engine) {
        if (!session_open(cli, status))
            return NULL;
        char *key = NULL, *instance = NULL;
        List keys = {0};
        /* an id asks only its own backend; several arguments may name several */
        if (cli->command->most == 1 || cli->arguments.count == 1 || strcmp(cli->command->name, "delete") != 0)
            if (find_backend_of_id(engine_config(cli->engine), text, &key, &instance))
                list_add(&keys, key);
        session_start(cli, ENGINE_ONCE, &keys, instance);
        session_wait(cli);
        list_done(&keys);
        free(key);
        free(instance);
    }
    const ViewRow *row = NULL;
    List candidates = {0};
    Error error = {0};
    const Record *record = NULL;
    if (cancel_asked(&cli->cancel)) {
        error_set(&error, ERROR_CANCELLED, NULL, NULL, "interrupted");
        *status = cli_fail(&error);
    } else if (find_cluster(cli->view, text, for_change, &row, &candidates, &error) && is_meant(cli, row->record, &error)) {
        record = record_keep(row->record);
    } else {
        *status = cli_fail(&error);
        for (size_t i = 0; i < candidates.count; i++)
            fprintf(stderr, "  %s\n", candidates.items[i]);
        if (error.code == ERROR_PARTIAL || error.code == ERROR_NOT_FOUND)
            session_status(cli, true);
    }
    list_done(&candidates);
    return record;
}

const ViewRow *session_row(Cli *cli, const Record *record)
{
    const ViewRow *const *rows;
    size_t count = view_all(cli->view, &rows);
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i]->record->is.id, record->is.id) == 0)
            return rows[i];
    return NULL;
}

Handle *session_handle(Cli *cli, const char *text, bool for_change, int *status)
{
    const Record *record = session_find(cli, text, for_change, status);
    if (!record)
        return NULL;
    Handle *handle = NULL;
    Error error = {0};
    if (!engine_reconstruct(cli->engine, &cli->context, record, &handle, &error))
        *status = cli_fail(&error);
    record_drop(record);
    return handle;
}

/* --------------------------------------------------------------------------------------------------- plans and operations */

void session_print_plan(FILE *out, const Plan *plan)
{
    fprintf(out, "%s%s%s%s%s", change_word(plan->kind), plan->name ? " " : "", plan->name ? plan->name : "", plan->id ? "  " : "", plan->id ? plan->id : "");
    if (plan->now != NUMBER_UNKNOWN && plan->then != NUMBER_UNKNOWN)
        fprintf(out, "  workers %lld → %lld", (long long)plan->now, (long long)plan->then);
    fputc('\n', out);
    for (size_t i = 0; i < plan->count; i++) {
        const PlanStep *step = &plan->steps[i];
        fprintf(out, "  %-7s %-9s %s", step_fate_word(step->fate), step->kind, step->name);
        if (step->identity)
            fprintf(out, "  (%s)", step->identity);
        fputc('\n', out);
        if (step->call)
            fprintf(out, "          %s\n", step->call);
    }
    if (plan->note)
        fprintf(out, "  %s\n", plan->note);
    if (plan->clamped)
        fprintf(out, "  limit: %s\n", plan->clamped);
}

bool session_plan_delete(Cli *cli, const Record *record, int64_t timeout_ms, Handle **handle, Plan **plan, Error *error)
{
    Change change = {.kind = CHANGE_DELETE, .wait = !cli_flag(cli, "no-wait")};
    Context context = context_within(&cli->context, timeout_ms);
    *handle = NULL;
    if (!engine_reconstruct(cli->engine, &context, record, handle, error))
        return false;
    bool planned = (*handle)->type->plan ? (*handle)->type->plan(*handle, &context, &change, plan, error)
                                         : error_set(error, ERROR_UNSUPPORTED, record->is.id, NULL, "it cannot be deleted from here");
    if (!planned) {
        handle_close(*handle);
        *handle = NULL;
    }
    return planned;
}

int session_apply(Cli *cli, Handle *handle, Plan *plan, int64_t timeout_ms)
{
    Operation *operation = operations_apply(engine_operations(cli->engine), handle, plan, timeout_ms);
    return session_join(cli, &operation, 1);
}

static void say_progress(OperationState *state, uint64_t *told)
{
    uint64_t now = hash_text(state->message ? state->message : "") + (uint64_t)state->phase;
    if (now != *told && (state->phase == PHASE_RUNNING || state->phase == PHASE_VERIFYING) && state->message && *state->message) {
        fprintf(stderr, "%s: %s", state->name, state->message);
        if (state->total > 0)
            fprintf(stderr, " (%lld of %lld)", (long long)state->done, (long long)state->total);
        fputc('\n', stderr);
    }
    *told = now;
}

static int say_end(const OperationState *state)
{
    const Outcome *outcome = &state->outcome;
    int status = 0;
    if (state->phase != PHASE_DONE)
        status = cli_fail(&state->error);
    for (size_t i = 0; i < outcome->failures.count; i++)
        cli_say("%s: %s", state->name, outcome->failures.items[i]);
    for (size_t i = 0; i < outcome->left_over.count; i++)
        cli_say("%s: left over: %s", state->name, outcome->left_over.items[i]);
    for (size_t i = 0; i < outcome->newcomers.count; i++)
        cli_say("%s: appeared meanwhile, not touched: %s", state->name, outcome->newcomers.items[i]);
    if (outcome->clamped)
        cli_say("%s: %s", state->name, outcome->clamped);
    if (status == 0 && (outcome->clamped || outcome->failures.count || outcome->left_over.count))
        status = error_exit(ERROR_PARTIAL);
    return status;
}

int session_join(Cli *cli, Operation **operations, size_t count)
{
    uint64_t *told = mem_new(count * sizeof *told);
    int status = 0;
    size_t failed = 0;
    for (size_t i = 0; i < count; i++) {
        for (;;) {
            Context turn = context_within(&cli->context, 100);
            bool ended = operation_wait(operations[i], &turn);
            if (cancel_asked(&cli->cancel))
                operation_cancel(operations[i]);
            OperationState state = operation_state(operations[i]);
            say_progress(&state, &told[i]);
            operation_state_done(&state);
            if (ended || operation_ended(operations[i]))
                break;
            if (cancel_asked(&cli->cancel)) {
                /* the context is over: what is left is a short wait for its own end */
                Context rest = context_new(NULL, 2500);
                operation_wait(operations[i], &rest);
                break;
            }
        }
        OperationState state = operation_state(operations[i]);
        int one = operation_ended(operations[i]) ? say_end(&state) : error_exit(ERROR_CANCELLED);
        failed += one != 0;
        status = one ? one : status;
        operation_state_done(&state);
        operation_drop(operations[i]);
    }
    free(told);
    return failed && failed < count ? error_exit(ERROR_PARTIAL) : status;
}

void session_close(Cli *cli)
{
    if (cli->view)
        view_free(cli->view);
    cli->view = NULL;
    if (cli->engine)
        engine_stop(cli->engine, 900);
    cli->engine = NULL;
    filter_free(cli->filter);
    cli->filter = NULL;
}
