/* What keys and `:` lines do, where no page has its own meaning for it. */
#include "ui/app.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void command_theme(App *app, const char *name)
{
    bool automatic = name && strcmp(name, "auto") == 0;
    const Theme *theme = automatic ? theme_automatic(getenv("COLORFGBG")) : theme_find(name);
    if (!theme) {
        app_say(app, ROLE_WARN, "themes: dark, light, contrast, mono, auto");
        return;
    }
    if (automatic && app->screen && screen_light(app->screen) >= 0)
        theme = theme_find(screen_light(app->screen) ? "light" : "dark");
    app->theme_chosen = automatic ? NULL : theme;
    app->theme = theme;
    app->theme_by_itself = false;
    if (app->screen)
        screen_theme(app->screen, theme);
}

static void command_all(App *app)
{
    app->view->only_unused = false;
    app->view->only_backend = NULL;
    free(app->table.only_backend);
    app->table.only_backend = NULL;
    app->filter_by_itself = true; /* not again by itself */
    app_set_filter(app, "", NULL);
}

static void command_filter(App *app, const KeyInfo *info, const char *argument)
{
    Error error;
    if (!argument)
        app_prompt(app, info, "/", app->filter_text, &app->history_filters);
    else if (!app_set_filter(app, argument, &error))
        app_error(app, &error);
}

typedef struct LoginTask {
    Task task;
    char *key;
    List command;
} LoginTask;

static bool command_login_run(Task *task, Context *context, Error *error)
{
    LoginTask *login = (LoginTask *)task;
    const Config *config = engine_config(task->app->engine);
    (void)context;
    for (size_t i = 0; i < config->backend_count; i++) {
        const BackendConfig *backend = &config->backends[i];
        if (strcmp(backend->key, login->key) == 0)
            return backend->type->login ? backend->type->login(backend, &login->command, error)
                                        : error_set(error, ERROR_UNSUPPORTED, login->key, NULL, "has no sign-in of its own");
    }
    return error_set(error, ERROR_NOT_FOUND, login->key, "see b", "no such backend is there");
}

static void command_login_done(Task *task)
{
    LoginTask *login = (LoginTask *)task;
    App *app = task->app;
    int status = 0;
    if (task->owner && task->ok && app->screen) {
        static const char *const nothing[] = {NULL};
        screen_pause(app->screen);
        task->ok = app->options->foreground((const char *const *)login->command.items, nothing, &status, &task->error);
        screen_resume(app->screen);
        engine_refresh(app->engine, login->key);
    }
    if (task->owner && !task->ok)
        app_error(app, &task->error);
    list_done(&login->command);
    free(login->key);
}

static void command_login(App *app, const char *key)
{
    if (!key || !*key) {
        app_say(app, ROLE_WARN, ":login KEY, where KEY is a backend");
        return;
    }
    LoginTask *task = task_new(app, sizeof *task, app, command_login_run, command_login_done);
    task->key = mem_text(key);
    task_start(&task->task, NULL, 10000);
}

static bool command_cluster(App *app, const KeyInfo *info, const char *argument)
{
    const Record *record = app_subject(app);
    switch (info->action) {
    case ACTION_OPEN: details_open(app, record); return true;
    case ACTION_LOGS: log_open(app, record, NULL); return true;
    case ACTION_RECONSTRUCT: describe_open(app, record, true); return true;
    case ACTION_DESCRIBE: describe_open(app, record, false); return true;
    case ACTION_RAW: raw_open(app, record); return true;
    case ACTION_SNIPPET: snippet_open(app, record); return true;
    case ACTION_CONNECT: route_connect(app, record); return true;
    case ACTION_DASHBOARD: route_browse(app, record); return true;
    case ACTION_SHELL:
        if (argument)
            route_shell(app, record, strcmp(argument, "python") == 0);
        else
            dialog_shell(app, record);
        return true;
    case ACTION_SCALE: dialog_scale(app, record, argument); return true;
    case ACTION_DELETE: dialog_delete(app); return true;
    case ACTION_KEEP: dialog_keep(app, argument); return true;
    default: return false;
    }
}

void command_do(App *app, const KeyInfo *info, Key key, const char *argument)
{
    (void)key;
    if ((info->needs & NEED_CLUSTER) && command_cluster(app, info, argument))
        return;
    switch (info->action) {
    case ACTION_FILTER: command_filter(app, info, argument); break;
    case ACTION_ALL: command_all(app); break;
    case ACTION_DISCONNECT: route_disconnect(app, argument); break;
    case ACTION_SWEEP: sweep_open(app, argument); break;
    case ACTION_BACKENDS: backends_open(app); break;
    case ACTION_OPERATIONS: operations_open(app); break;
    case ACTION_TREE: tree_open(app); break;
    case ACTION_CREATE: dialog_create(app, argument); break;
    case ACTION_LOGIN: command_login(app, argument); break;
    case ACTION_COMMAND: app_prompt(app, info, ":", "", &app->history_commands); break;
    case ACTION_REFRESH:
        engine_refresh(app->engine, NULL);
        app_say(app, ROLE_DIM, "looking again");
        break;
    case ACTION_REPAINT:
        if (app->screen)
            screen_repaint(app->screen);
        break;
    case ACTION_THEME: command_theme(app, argument); break;
    case ACTION_HELP: help_open(app); break;
    case ACTION_BACK: app_pop(app); break;
    case ACTION_QUIT: app->quit = true; break;
    default: break;
    }
}

void command_run(App *app, const char *line)
{
    char name[64];
    while (*line == ' ')
        line++;
    size_t n = strcspn(line, " ");
    if (n == 0)
        return;
    snprintf(name, sizeof name, "%.*s", (int)n, line);
    const char *argument = line + n + strspn(line + n, " ");
    const KeyInfo *info = strcmp(name, "q") == 0 ? keys_info(ACTION_QUIT, app_where(app)) : keys_command(name, app_where(app));
    if (!info) {
        app_say(app, ROLE_WARN, "there is no command %s here; Tab completes, ? lists them", name);
        return;
    }
    app_act(app, info, KEY_NOTHING, *argument ? argument : NULL);
}

/* --------------------------------------------------------------------------------------------------------- completion */

static void command_names(App *app, List *out)
{
    for (const KeyInfo *info = key_table; info->action; info++)
        if ((info->where & app_where(app)) && !list_has(out, info->name) && !((info->needs & NEED_WRITABLE) && app->read_only))
            list_add(out, info->name);
}

static void command_arguments(App *app, Action action, List *out)
{
    if (action == ACTION_SORT_CHOOSE || action == ACTION_COLUMNS || action == ACTION_FILTER)
        for (const Column *column = columns; column->name; column++)
            list_add(out, column->name);
    if (action == ACTION_THEME)
        for (const Theme *theme = themes; theme->name; theme++)
            list_add(out, theme->name);
    if (action == ACTION_THEME)
        list_add(out, "auto");
    const Snapshot *snapshot = app->view->snapshot;
    if (action == ACTION_BACKEND || action == ACTION_LOGIN)
        for (size_t i = 0; snapshot && i < snapshot->part_count; i++)
            if (!list_has(out, snapshot->parts[i]->info.backend))
                list_add(out, snapshot->parts[i]->info.backend);
    if (action == ACTION_DISCONNECT)
        for (size_t i = 0; i < app->route_count; i++)
            list_add(out, app->routes[i].name);
}

/* The longest beginning that all words share which begin with what stands there; several are shown. */
void command_complete(App *app, Edit *edit)
{
    List words = {0};
    char *space = strchr(edit->text, ' ');
    const char *last = edit->text;
    if (space) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)(space - edit->text), edit->text);
        const KeyInfo *info = keys_command(name, app_where(app));
        if (info)
            command_arguments(app, info->action, &words);
        const char *comma = strrchr(edit->text, ',');
        last = comma ? comma + 1 : space + 1;
    } else {
        command_names(app, &words);
    }
    Buffer fits;
    buffer_init(&fits, 600);
    char best[128] = "";
    size_t count = 0, n = strlen(last);
    for (size_t i = 0; i < words.count; i++) {
        if (strncasecmp(words.items[i], last, n) != 0)
            continue;
        buffer_format(&fits, "%s%s", count ? "  " : "", words.items[i]);
        if (count++ == 0)
            snprintf(best, sizeof best, "%s", words.items[i]);
        size_t same = 0;
        while (best[same] && best[same] == words.items[i][same])
            same++;
        best[same] = 0;
    }
    if (count && strlen(best) >= n) {
        char *whole = mem_format("%.*s%s%s", (int)(last - edit->text), edit->text, best, count == 1 && !space ? " " : "");
        edit_set(edit, whole);
        free(whole);
    }
    if (count > 1)
        app_say(app, ROLE_DIM, "%s", fits.bytes);
    buffer_done(&fits);
    list_done(&words);
}
