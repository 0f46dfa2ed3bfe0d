/* A new cluster: which specification or backend, what would be made, and the question. */
#include "ui/dialog_inside.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 10000, PLAN_MS = 120000, APPLY_MS = 600000, SPECS_MAX = 40, SPEC_BYTES_MAX = 64 << 10, FILES_MAX = 2000 };

/* ----------------------------------------------------------------------------------------------------------- what could be made */

typedef struct LookTask {
    Task task;
    List specs;    /* file names in the working directory */
    List words;    /* what each is: "dask.distributed.LocalCluster" */
    List backends; /* keys */
} LookTask;

static bool has_ending(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);
    return n > m && strcmp(name + n - m, ending) == 0;
}

/* Any file with module and class at its top is one, right or wrong in the rest: the plan says what is wrong. */
static void look_at_file(LookTask *look, const char *name)
{
    Buffer bytes;
    buffer_init(&bytes, SPEC_BYTES_MAX);
    Tree *tree = file_read(name, &bytes, NULL) ? tree_parse(name, bytes.bytes, bytes.length, NULL) : NULL;
    const char *module = tree && tree->kind == TREE_MAP ? tree_text(tree_get(tree, "module")) : NULL;
    const char *wanted = module ? tree_text(tree_get(tree, "class")) : NULL;
    if (wanted) {
        list_add(&look->specs, name);
        list_format(&look->words, "%s.%s", module, wanted);
    }
    tree_free(tree);
    buffer_done(&bytes);
}

static int by_name(const void *a, const void *b)
{
    const char *first = *(char *const *)a, *second = *(char *const *)b;
    bool a_is = strcmp(first, "dask-cluster.yaml") == 0, b_is = strcmp(second, "dask-cluster.yaml") == 0;
    return a_is != b_is ? b_is - a_is : strcmp(first, second);
}

/* By its key; one of several instances by both. */
static void add_backend(List *names, Backend *const *list, size_t count, const Backend *backend)
{
    size_t instances = 0;
    for (size_t i = 0; i < count; i++)
        instances += list[i]->config == backend->config;
    if (instances > 1 && backend->instance)
        list_format(names, "%s:%s", backend->config->key, backend->instance);
    else
        list_add(names, backend->config->key);
}

static bool look_run(Task *task, Context *context, Error *error)
{
    LookTask *look = (LookTask *)task;
    List names = {0};
    DIR *here = opendir(".");
    struct dirent *one;
    for (int count = 0; here && count < FILES_MAX && (one = readdir(here)); count++)
        if (has_ending(one->d_name, ".yaml") || has_ending(one->d_name, ".yml"))
            list_add(&names, one->d_name);
    if (here)
        closedir(here);
    if (names.count)
        qsort(names.items, names.count, sizeof *names.items, by_name);
    for (size_t i = 0; i < names.count && look->specs.count < SPECS_MAX && context_check(context, NULL, error); i++)
        look_at_file(look, names.items[i]);
    list_done(&names);
    Backend **list;
    size_t count = engine_backends(task->app->engine, &list);
    for (size_t i = 0; i < count; i++)
        if (list[i]->type->create && !(list[i]->type->creates && spec_is_any(list[i]->type->creates)) &&
            operations_writable(engine_config(task->app->engine), list[i], NULL))
            add_backend(&look->backends, list, count, list[i]);
    free(list);
    return true;
}

/* "FILE: class" or "on KEY: …": what stands before the colon is what was chosen. */
static void choice_accept(App *app, Dialog *dialog, const char *text)
{
    size_t index = dialog->cursor;
    (void)text;
    char *argument = mem_text(dialog->names.items[index]);
    dialog_create(app, argument);
    free(argument);
}

static void look_done(Task *task)
{
    LookTask *look = (LookTask *)task;
    App *app = task->app;
    if (task->owner && !app->dialog && look->specs.count + look->backends.count == 0) {
        app_say(app, ROLE_WARN, "nothing here can make a cluster: no spec file in this directory (dask-cluster.yaml), no backend that creates");
    } else if (task->owner && !app->dialog) {
        Dialog *dialog = dialog_open(app, DIALOG_CHOOSE, "show what would be made", mem_text("New cluster from"));
        dialog->accept = choice_accept;
        for (size_t i = 0; i < look->specs.count; i++) {
            char *name = text_clean_new(look->specs.items[i], strlen(look->specs.items[i]), TEXT_NAME_MAX);
            char *words = text_clean_new(look->words.items[i], strlen(look->words.items[i]), TEXT_NAME_MAX);
            list_format(&dialog->choices, "%-28s  %s", name, words);
            list_add(&dialog->names, look->specs.items[i]);
            free(name);
            free(words);
        }
        for (size_t i = 0; i < look->backends.count; i++) {
            char *name = text_clean_new(look->backends.items[i], strlen(look->backends.items[i]), TEXT_NAME_MAX);
            list_format(&dialog->choices, "%-28s  with its defaults", name);
            free(name);
            list_add(&dialog->names, look->backends.items[i]);
        }
    }
    list_done(&look->specs);
    list_done(&look->words);
    list_done(&look->backends);
}

/* ---------------------------------------------------------------------------------------------------------------- its plan */

typedef struct CreateTask {
    Task task;
    char *path, *key;
    Spec *spec;
    Backend *backend;
    Plan *plan;
} CreateTask;

static bool create_run(Task *task, Context *context, Error *error)
{
    CreateTask *asked = (CreateTask *)task;
    Spec spec;
    if (!spec_read(asked->path, NULL, NUMBER_UNKNOWN, &spec, error))
        return false;
    asked->spec = mem_new(sizeof *asked->spec);
    *asked->spec = spec;
    asked->backend = engine_creator(task->app->engine, asked->spec, asked->key, error);
    if (!asked->backend)
        return false;
    asked->plan = plan_new(CHANGE_CREATE, NULL);
    if (asked->backend->type->create(asked->backend, context, asked->spec, true, asked->plan, NULL, NULL, error))
        return true;
    plan_free(asked->plan);
    asked->plan = NULL;
    return false;
}

static void spec_free(Spec *spec)
{
    if (spec)
        spec_done(spec);
    free(spec);
}

static void create_done(Task *task)
{
    CreateTask *asked = (CreateTask *)task;
    Dialog *dialog = task->owner;
    if (dialog) {
        Making *making = &dialog->making;
        making->task = NULL;
        making->error = task->error;
        making->spec = asked->spec;
        making->backend = asked->backend;
        making->plan = asked->plan;
        asked->spec = NULL;
        asked->plan = NULL;
        dialog->ready = true;
        dialog->armed = false;
        dialog->confirm = (Confirm){.kind = CONFIRM_YES};
        dialog_fill(dialog);
        task->app->dirty = true;
    }
    spec_free(asked->spec);
    plan_free(asked->plan);
    free(asked->path);
    free(asked->key);
}

void dialog_create_fill(Dialog *dialog)
{
    const Making *making = &dialog->making;
    char line[ERROR_LINE];
    dialog_line(dialog, ROLE_TEXT, "from %s", making->path ? making->path : "the backend's own defaults");
    dialog_line(dialog, ROLE_TEXT, "%s", "");
    if (!dialog->ready) {
        dialog_line(dialog, ROLE_DIM, "asking what would be made…");
    } else if (!making->plan) {
        dialog_line(dialog, ROLE_BAD, "%s", error_line(&making->error, line, sizeof line));
    } else {
        const Backend *backend = making->backend;
        dialog_line(dialog, ROLE_STRONG, "%s on %s%s%s", making->plan->name ? making->plan->name : "a new cluster", backend->config->key,
                    backend->instance ? ":" : "", backend->instance ? backend->instance : "");
        if (making->plan->then != NUMBER_UNKNOWN)
            dialog_line(dialog, ROLE_STRONG, "workers: %lld", (long long)making->plan->then);
        for (size_t i = 0; i < making->plan->count; i++)
            dialog_step(dialog, &making->plan->steps[i]);
        if (making->plan->note)
            dialog_line(dialog, ROLE_TEXT, "%s", making->plan->note);
    }
}

void dialog_create_apply(App *app, Dialog *dialog)
{
    Making *making = &dialog->making;
    const char *name = making->plan->name ? making->plan->name : "a cluster";
    app_say(app, ROLE_STARTING, "making %s; e shows how far it is", name);
    Operation *operation = operations_create(engine_operations(app->engine), making->backend, making->spec, making->plan, APPLY_MS);
    making->spec = NULL;
    making->plan = NULL;
    dialog_begun(app, operation);
    dialog_close(app);
}

void dialog_create_done(Making *making)
{
    task_leave(making->task);
    spec_free(making->spec);
    plan_free(making->plan);
    free(making->path);
    free(making->key);
}

/* argument: a file, or KEY or KEY:INSTANCE of a backend; NULL: they are offered. */
void dialog_create(App *app, const char *argument)
{
    if (!argument) {
        LookTask *look = task_new(app, sizeof *look, app, look_run, look_done);
        task_start(&look->task, NULL, LOOK_MS);
        return;
    }
    char after_key = argument[strspn(argument, "abcdefghijklmnopqrstuvwxyz0123456789-")];
    bool file = after_key && after_key != ':';
    Dialog *dialog = dialog_open(app, DIALOG_PLAN, "create", mem_text("New cluster"));
    dialog->change.kind = CHANGE_CREATE;
    dialog->making.path = file ? mem_text(argument) : NULL;
    dialog->making.key = file ? NULL : mem_text(argument);
    CreateTask *task = task_new(app, sizeof *task, dialog, create_run, create_done);
    task->path = mem_text(dialog->making.path);
    task->key = mem_text(dialog->making.key);
    dialog->making.task = &task->task;
    dialog_fill(dialog);
    task_start(&task->task, NULL, PLAN_MS);
}
