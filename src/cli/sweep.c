/* dasktop sweep: deletion by rule, for cron. What is decided stands in core/sweep.h; here it is told, planned and done. */
#include "cli/output.h"
#include "cli/session.h"

#include "base/file.h"
#include "base/mem.h"
#include "core/record_json.h"
#include "core/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 600000, HOOK_MS = 30000, EXIT_WOULD_GO = 10 };

/* One that goes: its item of the sweep, and how. */
typedef struct Doomed {
    const SweepItem *item;
    Handle *handle;
    Plan *plan;
} Doomed;

typedef struct Run {
    Cli *cli;
    SweepRules rules;
    Sweep sweep;
    Told *told;
    Clock now;
    int64_t timeout_ms;
    bool yes, tells;   /* may delete; may tell */
    Doomed *doomed;
    size_t count;      /* of those that could be planned */
    size_t unplanned;
    bool hook_failed;
} Run;

/* ----------------------------------------------------------------------------------------------------------------- rules */

static bool read_duration(Cli *cli, const char *name, int64_t *ms)
{
    return !cli_value(cli, name) || cli_duration(cli, name, 0, ms);
}

static bool has_rule_flag(const Cli *cli)
{
    return cli_flag(cli, "orphaned") || cli_value(cli, "unattended") || cli_value(cli, "idle");
}

/* Rules that are given take the place of the config's: who asks for one does not mean another. False: said. */
static bool read_rules(Run *run)
{
    Cli *cli = run->cli;
    SweepRules *rules = &run->rules;
    const char *filter = cli_value(cli, "filter");
    Error error = {0};
    sweep_rules_read(rules, engine_config(cli->engine));
    if (has_rule_flag(cli))
        sweep_rules_none(rules);
    rules->orphaned |= cli_flag(cli, "orphaned");
    rules->with_data = cli_flag(cli, "with-data");
    rules->tell |= cli_flag(cli, "notify") || cli_value(cli, "grace");
    cli_values(cli, "owner", &rules->owners);
    if (!read_duration(cli, "unattended", &rules->unattended_ms) || !read_duration(cli, "idle", &rules->idle_ms) ||
        !read_duration(cli, "older", &rules->older_ms) || !read_duration(cli, "grace", &rules->grace_ms) ||
        !session_backend_keys(cli, &rules->backends))
        return false;
    if (filter && !(cli->filter = filter_parse(filter, &error))) {
        cli_usage(cli, "--filter: %s", error.what);
        return false;
    }
    rules->filter = cli->filter;
    if (sweep_rules_any(rules))
        return true;
    cli_usage(cli, "no rule: give --orphaned, --unattended DUR or --idle DUR, or set one in the config (sweep.orphaned: true)");
    return false;
}

/* ---------------------------------------------------------------------------------------------------------------- hooks */

static void hook_command(const Config *config, const char *event, List *command)
{
    const Tree *given = tree_get(tree_path(config->document, "dasktop.on"), event);
    size_t count = !given ? 0 : given->kind == TREE_LIST ? given->count : 1;
    for (size_t i = 0; i < count; i++) {
        const char *word = tree_text(given->kind == TREE_LIST ? given->items[i] : given);
        if (word && !command->count)
            list_take(command, file_expand_home(word));
        else if (word)
            list_add(command, word);
    }
}

static void hook_facts(const Run *run, const char *event, const SweepItem *item, const Outcome *outcome, Buffer *out)
{
    JsonWriter json;
    char host[256];
    Buffer rules;
    bool later = run->rules.tell && !outcome;
    buffer_init(&rules, BUFFER_ANY);
    sweep_rules_text(&run->rules, &rules);
    json_begin(&json, out);
    json_object(&json, NULL);
    json_put_text(&json, "schema", "dasktop/v1");
    json_put_text(&json, "event", event);
    json_put_time(&json, "at", clock_wall_ms());
    json_put_text(&json, "host", file_host_name(host));
    json_put_text(&json, "rule", rules.bytes);
    json_put_text(&json, "why", item->why);
    json_put_time(&json, "goes", later ? run->now.wall_ms + run->rules.grace_ms : TIME_UNKNOWN);
    if (outcome) {
        json_array(&json, "left_over");
        for (size_t i = 0; i < outcome->left_over.count; i++)
            json_put_text(&json, NULL, outcome->left_over.items[i]);
        json_close(&json, ']');
    }
    record_json_row(&json, "cluster", item->row);
    json_close(&json, '}');
    buffer_char(out, '\n');
    buffer_done(&rules);
}

/* True where there is no hook, or it took the facts. */
static bool hook_run(Run *run, const char *event, const SweepItem *item, const Outcome *outcome)
{
    List command = {0};
    bool good = true;
    hook_command(engine_config(run->cli->engine), event, &command);
    if (command.count) {
        Buffer facts;
        Error error = {0};
        Context context = context_within(&run->cli->context, HOOK_MS);
        buffer_init(&facts, BUFFER_ANY);
        hook_facts(run, event, item, outcome, &facts);
        good = run->cli->host->hook(&command, &facts, &context, &error);
        if (!good) {
            char line[ERROR_LINE];
            cli_say("on.%s: %s: %s", event, item->row->record->is.name, error_line(&error, line, sizeof line));
            run->hook_failed = true;
        }
        buffer_done(&facts);
    }
    list_done(&command);
    return good;
}

/* ------------------------------------------------------------------------------------------------------------- the plan */

static void plan_all(Run *run)
{
    if (run->sweep.too_many)
        return; /* nothing will be done: systems are not asked how */
    run->doomed = mem_new(run->sweep.counts[SWEEP_GOES] * sizeof *run->doomed);
    for (size_t i = 0; i < run->sweep.count; i++) {
        Doomed one = {.item = &run->sweep.items[i]};
        Error error = {0};
        if (one.item->fate != SWEEP_GOES)
            continue;
        if (session_plan_delete(run->cli, one.item->row->record, run->timeout_ms, &one.handle, &one.plan, &error)) {
            run->doomed[run->count++] = one;
        } else {
            cli_fail(&error);
            run->unplanned++;
        }
    }
}

static const Plan *plan_of(const Run *run, const SweepItem *item)
{
    for (size_t i = 0; i < run->count; i++)
        if (run->doomed[i].item == item)
            return run->doomed[i].plan;
    return NULL;
}

static void print_item(const Run *run, const SweepItem *item)
{
    const RecordFields *is = &item->row->record->is;
    char at[TIME_TEXT];
    printf("%-6s %s  %s: %s", sweep_fate_word(item->fate), is->id, is->name, item->why);
    if (item->fate == SWEEP_WAITS)
        printf("; goes after %s", time_text(item->goes_ms, false, at));
    putchar('\n');
    const Plan *plan = plan_of(run, item);
    if (plan)
        session_print_plan(stdout, plan);
}

static void print_text(const Run *run)
{
    for (int fate = SWEEP_GOES; fate < SWEEP_APART; fate++)
        for (size_t i = 0; i < run->sweep.count; i++)
            if ((int)run->sweep.items[i].fate == fate)
                print_item(run, &run->sweep.items[i]);
}

static void put_item(JsonWriter *json, const Run *run, const SweepItem *item)
{
    const RecordFields *is = &item->row->record->is;
    const Plan *plan = plan_of(run, item);
    json_object(json, NULL);
    json_put_text(json, "id", is->id);
    json_put_text(json, "uid", is->uid);
    json_put_text(json, "name", is->name);
    json_put_text(json, "fate", sweep_fate_word(item->fate));
    json_put_text(json, "why", item->why);
    json_put_time(json, "goes", item->goes_ms);
    if (plan)
        plan_json(json, "plan", plan);
    json_close(json, '}');
}

static void print_json(const Run *run)
{
    Buffer out, rules;
    JsonWriter json;
    buffer_init(&out, BUFFER_ANY);
    buffer_init(&rules, BUFFER_ANY);
    sweep_rules_text(&run->rules, &rules);
    json_begin(&json, &out);
    json_object(&json, NULL);
    json_put_text(&json, "schema", "dasktop/v1");
    json_put_time(&json, "taken", run->now.wall_ms);
    json_put_text(&json, "rule", rules.bytes);
    json_put_integer(&json, "max", run->rules.max);
    json_array(&json, "sweep");
    for (size_t i = 0; i < run->sweep.count; i++)
        put_item(&json, run, &run->sweep.items[i]);
    json_close(&json, ']');
    json_close(&json, '}');
    output_document(&out);
    buffer_done(&out);
    buffer_done(&rules);
}

static void print_plan(const Run *run, bool as_json)
{
    const size_t *counts = run->sweep.counts;
    if (as_json)
        print_json(run);
    else
        print_text(run);
    fflush(stdout);
    const char *hint = run->yes ? "" : counts[SWEEP_GOES] ? ": give --yes to delete" : "";
    cli_say("%zu of %zu clusters %s%s", counts[SWEEP_GOES], run->sweep.count, run->yes ? "to be deleted" : "would go", hint);
    if (run->sweep.too_many)
        cli_say("sweep: %zu are more than sweep.max allows in one run (%lld): nothing %s deleted: narrow the rules, or raise it",
                counts[SWEEP_GOES], (long long)run->rules.max, run->yes ? "is" : "would be");
}

/* --------------------------------------------------------------------------------------------------------------- doing it */

/* Those that are new to the rules. Who could not be told goes on counting as not told, so that nothing is deleted unannounced. */
static void tell(Run *run)
{
    for (size_t i = 0; i < run->sweep.count && !cancel_asked(&run->cli->cancel); i++) {
        const SweepItem *item = &run->sweep.items[i];
        bool first = item->fate == SWEEP_TELLS || (item->fate == SWEEP_GOES && run->yes && !run->rules.tell);
        if (!first)
            continue;
        bool heard = hook_run(run, verdict_word(item->row->verdict.state), item, NULL);
        if (heard && item->fate == SWEEP_TELLS)
            told_set(run->told, item->row, run->now);
    }
}

static bool remember(Run *run, Error *error)
{
    const ViewRow *const *rows;
    size_t count = view_all(run->cli->view, &rows);
    return told_save(run->told, rows, count, run->now, error);
}

static const Doomed *doomed_of(const Run *run, const char *id)
{
    for (size_t i = 0; i < run->count; i++)
        if (id && strcmp(run->doomed[i].item->row->record->is.id, id) == 0)
            return &run->doomed[i];
    return NULL;
}

/* What is really gone: forgotten as told, and reported. */
static void report(Run *run)
{
    Operation **list;
    size_t count = operations_list(engine_operations(run->cli->engine), &list);
    for (size_t i = count; i-- > 0;) {
        OperationState state = operation_state(list[i]);
        const Doomed *one = doomed_of(run, state.id);
        if (one && state.phase == PHASE_DONE) {
            told_forget(run->told, one->item->row->record->is.uid);
            hook_run(run, "swept", one->item, &state.outcome);
        }
        operation_state_done(&state);
        operation_drop(list[i]);
    }
    free(list);
}

static int delete_all(Run *run)
{
    if (!run->count)
        return run->unplanned ? 1 : 0;
    Operation **operations = mem_new(run->count * sizeof *operations);
    for (size_t i = 0; i < run->count; i++) {
        operations[i] = operations_apply(engine_operations(run->cli->engine), run->doomed[i].handle, run->doomed[i].plan, run->timeout_ms);
        run->doomed[i].handle = NULL;
        run->doomed[i].plan = NULL;
    }
    int status = session_join(run->cli, operations, run->count);
    free(operations);
    report(run);
    return status == 0 && run->unplanned ? error_exit(ERROR_PARTIAL) : status;
}

static int act(Run *run)
{
    Error error = {0};
    int status = 0;
    if (run->yes && run->sweep.too_many)
        return error_exit(ERROR_NOT_CONFIRMED);
    if (run->tells)
        tell(run);
    /* what was told must be known to the next run before anything is done in this one */
    if (run->rules.tell && !remember(run, &error))
        return cli_fail(&error);
    if (cancel_asked(&run->cli->cancel))
        return error_exit(ERROR_CANCELLED);
    if (run->yes)
        status = delete_all(run);
    if (run->rules.tell && run->count && !remember(run, &error))
        cli_fail(&error);
    return status == 0 && run->hook_failed ? error_exit(ERROR_PARTIAL) : status;
}

/* ------------------------------------------------------------------------------------------------------------------- run */

/* One at a time: who comes second would see clusters that are just going. -1: said, with status. */
static int take_lock(Cli *cli, int *status)
{
    const char *directory = engine_state_directory(cli->engine);
    Error error = {0};
    int lock = -1;
    if (!directory) {
        error_set(&error, ERROR_UNSUPPORTED, "sweep", "set XDG_STATE_HOME", "there is no state directory");
    } else if (file_make_directory(directory, &error)) {
        char *path = file_join(directory, "sweep.lock");
        lock = file_lock(path, 0, &error);
        if (error.code == ERROR_BUSY)
            error_set(&error, ERROR_BUSY, "sweep", "try again when it has ended", "another sweep is running");
        free(path);
    }
    if (lock < 0)
        *status = cli_fail(&error);
    return lock;
}

static int finish(Run *run, int status)
{
    int asked = session_status(run->cli, true);
    if (!run->yes && cli_flag(run->cli, "exit-code") && run->sweep.counts[SWEEP_GOES] && status == 0)
        return EXIT_WOULD_GO;
    return status ? status : asked;
}

static int decide_and_act(Run *run, bool as_json)
{
    Cli *cli = run->cli;
    session_start(cli, ENGINE_ONCE, NULL, NULL); /* all of them: another one may know the same scheduler, and that it is kept */
    session_wait(cli);
    if (cancel_asked(&cli->cancel))
        return error_exit(ERROR_CANCELLED);
    run->now = clock_now();
    run->told = told_open(engine_state_directory(cli->engine));
    run->sweep = sweep_decide(cli->view, &run->rules, run->told, run->now);
    plan_all(run);
    int status;
    if (cancel_asked(&cli->cancel)) {
        status = error_exit(ERROR_CANCELLED);
    } else {
        print_plan(run, as_json);
        status = finish(run, run->tells ? act(run) : run->unplanned ? error_exit(ERROR_PARTIAL) : 0);
    }
    for (size_t i = 0; i < run->count; i++) {
        plan_free(run->doomed[i].plan);
        handle_close(run->doomed[i].handle);
    }
    free(run->doomed);
    sweep_done(&run->sweep);
    told_free(run->told);
    return status;
}

static int run_sweep(Cli *cli)
{
    int status = 0;
    Error error = {0};
    Run run = {.cli = cli, .yes = cli_flag(cli, "yes"), .tells = cli_flag(cli, "yes") || cli_flag(cli, "notify")};
    const char *output = cli_value(cli, "output");
    bool as_json = output && strcmp(output, "json") == 0;
    if (output && !as_json && strcmp(output, "text") != 0)
        return cli_usage(cli, "-o %s: it is text or json", output);
    if (!cli_duration(cli, "timeout", TIMEOUT_MS, &run.timeout_ms))
        return error_exit(ERROR_USAGE);
    if (!session_open(cli, &status))
        return status;
    if (!read_rules(&run)) {
        sweep_rules_done(&run.rules);
        return error_exit(ERROR_USAGE);
    }
    int lock = -1;
    if (run.yes && !operations_writable(engine_config(cli->engine), NULL, &error))
        status = cli_fail(&error);
    else if (!run.tells || (lock = take_lock(cli, &status)) >= 0)
        status = decide_and_act(&run, as_json);
    sweep_rules_done(&run.rules);
    return status; /* the lock ends with the program */
}

static const Option options[] = {
    {"orphaned", 0, NULL, "rule: what is orphaned"},
    {"unattended", 0, "DUR", "rule: what is unattended for longer than this"},
    {"idle", 0, "DUR", "rule: what is idle for longer than this"},
    {"older", 0, "DUR", "only what is older than this"},
    {"backend", 0, "KEY", "only of this backend; may be given several times"},
    {"owner", 0, "NAME", "only this owner's, also where that is somebody else; may be given several times"},
    {"filter", 0, "EXPR", "only what it holds for"},
    {"with-data", 0, NULL, "also what holds results"},
    {"yes", 'y', NULL, "delete; without it only the plan is printed"},
    {"exit-code", 0, NULL, "without --yes: 10 where something would go"},
    {"notify", 0, NULL, "tell first (hooks `on`), delete in a later run"},
    {"grace", 0, "DUR", "tell first, delete in a run after this time if it is still so"},
    {"output", 'o', "text|json", "how it is printed"},
    {"timeout", 0, "DUR", "give up waiting after this (10m)"},
    {0},
};

const Command command_sweep = {
    .name = "sweep",
    .usage = "(--orphaned | --unattended DUR | --idle DUR)… [--older DUR] [--backend KEY] [--owner NAME] [--filter EXPR] [--yes]",
    .summary = "deletes by rule; without --yes only prints what it would do. Never what is in use, kept, protected, young or holds results",
    .options = options,
    .run = run_sweep,
};
