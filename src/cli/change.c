/* dasktop scale, retire, delete, create: plans that are shown, then applied by the engine's operations. */
#include "cli/session.h"

#include "base/mem.h"
#include "base/text.h"
#include "core/confirm.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIMEOUT_MS = 600000 };

/* --------------------------------------------------------------------------------------------------- scale and retire */

static bool parse_adapt(const char *text, Change *change, Error *error)
{
    change->kind = CHANGE_ADAPT;
    if (strcmp(text, "off") == 0) {
        change->adapt_off = true;
        return true;
    }
    const char *colon = strchr(text, ':');
    char *minimum = colon ? mem_text_n(text, (size_t)(colon - text)) : NULL;
    bool right = colon && cli_number(minimum, "--adapt", &change->minimum, error) &&
                 cli_number(colon + 1, "--adapt", &change->maximum, error);
    free(minimum);
    if (!colon)
        return error_set(error, ERROR_USAGE, "--adapt", NULL, "%s is not MIN:MAX or off", text);
    if (right && change->minimum > change->maximum)
        return error_set(error, ERROR_USAGE, "--adapt", NULL, "%s: the minimum is larger than the maximum", text);
    return right;
}

/* Plans the change and prints it (--dry-run) or does it. */
static int plan_and_apply(Cli *cli, const char *cluster, const Change *change)
{
    int status = 0;
    int64_t timeout;
    Error error = {0};
    Plan *plan = NULL;
    if (!cli_duration(cli, "timeout", TIMEOUT_MS, &timeout))
        return error_exit(ERROR_USAGE);
    Handle *handle = session_handle(cli, cluster, true, &status);
    if (!handle)
        return status;
    if (!handle->type->plan) {
        error_set(&error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "%s is not possible for this cluster", change_word(change->kind));
        handle_close(handle);
        return cli_fail(&error);
    }
    Context context = context_within(&cli->context, timeout);
    if (!handle->type->plan(handle, &context, change, &plan, &error)) {
        handle_close(handle);
        return cli_fail(&error);
    }
    if (cli_flag(cli, "dry-run")) {
        session_print_plan(stdout, plan);
        status = plan->clamped ? error_exit(ERROR_PARTIAL) : 0;
        plan_free(plan);
        handle_close(handle);
        return status;
    }
    return session_apply(cli, handle, plan, timeout);
}

static int run_scale(Cli *cli)
{
    const char *adapt = cli_value(cli, "adapt");
    Change change = {.kind = CHANGE_SCALE, .group = cli_value(cli, "group"), .wait = !cli_flag(cli, "no-wait")};
    Error error = {0};
    if (adapt ? cli->arguments.count != 1 : cli->arguments.count != 2)
        return cli_usage(cli, "give either a number of workers or --adapt MIN:MAX|off");
    if (adapt ? !parse_adapt(adapt, &change, &error) : !cli_number(cli->arguments.items[1], "N", &change.workers, &error))
        return cli_fail(&error);
    return plan_and_apply(cli, cli->arguments.items[0], &change);
}

static const Option scale_options[] = {
    {"adapt", 0, "MIN:MAX|off", "let it adapt between the two, or no longer"},
    {"group", 0, "G", "of this worker group"},
    {"uid", 0, "UID", "only if this is still its uid: another cluster of its name is refused"},
    {"dry-run", 0, NULL, "print what would be done"},
    {"no-wait", 0, NULL, "return once the system has taken it"},
    {"timeout", 0, "DUR", "give up waiting after this (10m)"},
    {0},
};

const Command command_scale = {
    .name = "scale",
    .usage = "CLUSTER N | CLUSTER --adapt MIN:MAX|off",
    .summary = "sets the wanted number of workers and waits until it holds",
    .options = scale_options,
    .least = 1,
    .most = 2,
    .run = run_scale,
};

static int run_retire(Cli *cli)
{
    List workers = {0};
    for (size_t i = 1; i < cli->arguments.count; i++)
        list_add(&workers, cli->arguments.items[i]);
    Change change = {.kind = CHANGE_RETIRE, .names = &workers, .wait = !cli_flag(cli, "no-wait")};
    int status = plan_and_apply(cli, cli->arguments.items[0], &change);
    list_done(&workers);
    return status;
}

static const Option retire_options[] = {
    {"uid", 0, "UID", "only if this is still its uid: another cluster of its name is refused"},
    {"dry-run", 0, NULL, "print what would be done"},
    {"no-wait", 0, NULL, "return once the system has taken it"},
    {"timeout", 0, "DUR", "give up waiting after this (10m)"},
    {0},
};

const Command command_retire = {
    .name = "retire",
    .usage = "CLUSTER WORKER…",
    .summary = "moves the workers' data away, closes them, gives their machines, pods or jobs back",
    .options = retire_options,
    .least = 2,
    .most = -1,
    .run = run_retire,
};

/* ------------------------------------------------------------------------------------------------------------- delete */

typedef struct Doomed {
    const Record *record;
    Handle *handle;
    Plan *plan;
} Doomed;

static bool plan_delete(Cli *cli, Doomed *doomed, int64_t timeout, int *status)
{
    Error error = {0};
    bool planned = session_plan_delete(cli, doomed->record, timeout, &doomed->handle, &doomed->plan, &error);
    if (!planned)
        *status = cli_fail(&error);
    return planned;
}

/* Asks on the terminal; without one --yes, and --force for what needs more than `y`. */
static bool confirmed(Cli *cli, const ViewRow *const *rows, size_t count)
{
    Confirm confirm = confirm_delete(rows, count);
    bool yes = cli_flag(cli, "yes"), force = cli_flag(cli, "force"), right = false;
    const char *why = confirm.why ? confirm.why : "";
    if (yes && (confirm.kind == CONFIRM_YES || force)) {
        right = true;
    } else if (yes || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        cli_say("not confirmed: %s%s%s", why, *why ? ": " : "", confirm.kind == CONFIRM_YES ? "give --yes" : "give --yes --force");
    } else {
        char answer[TEXT_NAME_MAX];
        if (confirm.kind == CONFIRM_YES)
            fprintf(stderr, "Delete %s? y or n: ", count == 1 ? "it" : "them");
        else
            fprintf(stderr, "Delete? %s. Type %s to go on: ", why, confirm.typed);
        fflush(stderr);
        const char *wanted = confirm.kind == CONFIRM_YES ? "y" : confirm.typed;
        if (fgets(answer, sizeof answer, stdin)) {
            answer[strcspn(answer, "\n")] = 0;
            right = strcmp(answer, wanted) == 0;
        }
        if (!right)
            cli_say("not confirmed: nothing was deleted");
    }
    confirm_done(&confirm);
    return right;
}

static void doomed_free(Doomed *doomed, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        record_drop(doomed[i].record);
        plan_free(doomed[i].plan);
        handle_close(doomed[i].handle);
    }
    free(doomed);
}

static int delete_planned(Cli *cli, Doomed *doomed, size_t count, int64_t timeout)
{
    const ViewRow **rows = mem_new(count * sizeof *rows);
    Operation **operations = mem_new(count * sizeof *operations);
    int status = error_exit(ERROR_NOT_CONFIRMED);
    for (size_t i = 0; i < count; i++)
        rows[i] = session_row(cli, doomed[i].record);
    if (confirmed(cli, rows, count)) {
        for (size_t i = 0; i < count; i++) {
            operations[i] = operations_apply(engine_operations(cli->engine), doomed[i].handle, doomed[i].plan, timeout);
            doomed[i].handle = NULL;
            doomed[i].plan = NULL;
        }
        status = session_join(cli, operations, count);
    }
    free(rows);
    free(operations);
    return status;
}

static int run_delete(Cli *cli)
{
    int status = 0;
    int64_t timeout;
    if (!cli_duration(cli, "timeout", TIMEOUT_MS, &timeout))
        return error_exit(ERROR_USAGE);
    size_t count = cli->arguments.count, found = 0;
    if (count > 1 && cli_value(cli, "uid"))
        return cli_usage(cli, "--uid is of one cluster: give one CLUSTER");
    Doomed *doomed = mem_new(count * sizeof *doomed);
    /* all of them must be found and planned before anything is asked or done */
    for (; found < count; found++) {
        Doomed *one = &doomed[found];
        one->record = session_find(cli, cli->arguments.items[found], true, &status);
        bool twice = false;
        for (size_t i = 0; one->record && i < found; i++)
            twice = twice || strcmp(doomed[i].record->is.id, one->record->is.id) == 0;
        if (twice)
            status = cli_usage(cli, "%s is named twice", cli->arguments.items[found]);
        if (!one->record || twice || !plan_delete(cli, one, timeout, &status))
            break;
        session_print_plan(cli_flag(cli, "dry-run") ? stdout : stderr, one->plan);
    }
    if (found == count)
        status = cli_flag(cli, "dry-run") ? 0 : delete_planned(cli, doomed, count, timeout);
    doomed_free(doomed, count);
    return status;
}

static const Option delete_options[] = {
    {"dry-run", 0, NULL, "print what would go"},
    {"yes", 'y', NULL, "do not ask (as `y` in the dialog)"},
    {"uid", 0, "UID", "only if this is still its uid: another cluster of its name is refused"},
    {"force", 0, NULL, "with --yes: also what is active, stuck, unknown, stale, holds results or is somebody else's"},
    {"no-wait", 0, NULL, "do not wait until it is gone"},
    {"timeout", 0, "DUR", "give up waiting after this (10m)"},
    {0},
};

const Command command_delete = {
    .name = "delete",
    .usage = "CLUSTER…",
    .summary = "lists all that would go, asks, deletes, verifies that it is gone, names what is left over",
    .options = delete_options,
    .least = 1,
    .most = -1,
    .run = run_delete,
};

/* ------------------------------------------------------------------------------------------------------------- create */

static int create_from(Cli *cli, Spec *spec, int64_t timeout)
{
    int status = 0;
    Error error = {0};
    List keys = {0};
    if (!session_open(cli, &status)) {
        spec_done(spec);
        return status;
    }
    /* only those who may make it are started: nobody waits for the others */
    if (!engine_creators(cli->engine, spec, cli_value(cli, "backend"), &keys, &error)) {
        spec_done(spec);
        return cli_fail(&error);
    }
    session_start(cli, ENGINE_ONCE, &keys, NULL);
    list_done(&keys);
    session_wait(cli);
    Backend *backend = engine_creator(cli->engine, spec, cli_value(cli, "backend"), &error);
    Plan *plan = plan_new(CHANGE_CREATE, NULL);
    Context context = context_within(&cli->context, timeout);
    if (!backend || !backend->type->create(backend, &context, spec, true, plan, NULL, NULL, &error)) {
        plan_free(plan);
        spec_done(spec);
        return cli_fail(&error);
    }
    if (cli_flag(cli, "dry-run")) {
        session_print_plan(stdout, plan);
        plan_free(plan);
        spec_done(spec);
        return 0;
    }
    Spec *taken = mem_new(sizeof *taken);
    *taken = *spec;
    Operation *operation = operations_create(engine_operations(cli->engine), backend, taken, plan, timeout);
    Context whole = context_new(&cli->cancel, timeout + 5000);
    while (!operation_wait(operation, &whole) && !operation_ended(operation) && context_check(&whole, NULL, NULL))
        ;
    OperationState state = operation_state(operation);
    if (state.phase == PHASE_DONE && state.outcome.id)
        printf("%s\n", state.outcome.id);
    operation_state_done(&state);
    return session_join(cli, &operation, 1);
}

static int run_create(Cli *cli)
{
    const char *path = cli_value(cli, "file"), *workers = cli_value(cli, "workers");
    int64_t count = NUMBER_UNKNOWN, timeout;
    Error error = {0};
    Spec spec = {0};
    if (!cli_duration(cli, "timeout", TIMEOUT_MS, &timeout))
        return error_exit(ERROR_USAGE);
    if (workers && !cli_number(workers, "--workers", &count, &error))
        return cli_fail(&error);
    if (!path && access("dask-cluster.yaml", R_OK) == 0)
        path = "dask-cluster.yaml";
    if (!path && !cli_value(cli, "backend"))
        return cli_usage(cli, "there is no dask-cluster.yaml here: give -f SPEC.yaml or --backend KEY");
    if (!spec_read(path, cli_value(cli, "name"), count, &spec, &error))
        return cli_fail(&error);
    return create_from(cli, &spec, timeout);
}

static const Option create_options[] = {
    {"file", 'f', "SPEC.yaml", "dask-ctl's format: version, module, class, args, kwargs (default: dask-cluster.yaml)"},
    {"backend", 0, "KEY", "on this backend"},
    {"name", 0, "NAME", "its name"},
    {"workers", 0, "N", "how many workers"},
    {"dry-run", 0, NULL, "print what would be made"},
    {"timeout", 0, "DUR", "give up waiting after this (10m)"},
    {0},
};

const Command command_create = {
    .name = "create",
    .usage = "[-f SPEC.yaml] [--backend KEY] [--name NAME] [--workers N]",
    .summary = "makes a cluster, detached from this process; prints its id",
    .options = create_options,
    .run = run_create,
};
