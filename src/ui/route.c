/* Routes to schedulers: opened by a job, held until `:disconnect` or the end. */
#include "ui/app.h"

#include "base/mem.h"
#include "base/text.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { ROUTE_MS = 30000 };

typedef enum RouteUse { ROUTE_CONNECT, ROUTE_BROWSE, ROUTE_SHELL, ROUTE_PYTHON, ROUTE_SNIPPET } RouteUse;

typedef struct RouteTask {
    Task task;
    RouteUse use;
    Record *record;
    Handle *handle;
    Route route;
    bool open;
    Buffer snippet;
    Error snippet_error;
    TextPage *page;
} RouteTask;

static HeldRoute *route_find(App *app, const Record *record)
{
    for (size_t i = 0; i < app->route_count; i++)
        if (strcmp(app->routes[i].id, record->is.id) == 0)
            return &app->routes[i];
    return NULL;
}

/* ------------------------------------------------------------------------------------------------------------ opening */

static bool route_run(Task *task, Context *context, Error *error)
{
    RouteTask *asked = (RouteTask *)task;
    if (!engine_reconstruct(task->app->engine, context, asked->record, &asked->handle, error))
        return false;
    const HandleType *type = asked->handle->type;
    if (!type->snippet)
        error_set(&asked->snippet_error, ERROR_UNSUPPORTED, NULL, NULL, "no snippet for this kind of cluster");
    else
        type->snippet(asked->handle, context, &asked->snippet, &asked->snippet_error);
    if (asked->use == ROUTE_SNIPPET)
        return true;
    if (!type->route)
        return error_set(error, ERROR_UNSUPPORTED, asked->record->is.name, NULL, "this kind of cluster gives no route to its scheduler");
    asked->open = type->route(asked->handle, context, &(RouteWish){.dashboard = asked->use == ROUTE_BROWSE}, &asked->route, error);
    if (asked->open && !asked->route.address && asked->use != ROUTE_BROWSE)
        return error_set(error, ERROR_UNSUPPORTED, asked->record->is.name, "w opens its dashboard", "%s", asked->route.words ? asked->route.words : "there is no way to its scheduler");
    return asked->open;
}

static HeldRoute *route_hold(App *app, RouteTask *asked)
{
    app->routes = mem_grow(app->routes, app->route_count, &app->route_capacity, sizeof *app->routes);
    HeldRoute *held = &app->routes[app->route_count++];
    *held = (HeldRoute){asked->handle, asked->route, mem_text(asked->record->is.id), mem_text(asked->record->is.name)};
    asked->handle = NULL;
    asked->open = false;
    return held;
}

static void route_exports(TextPage *page, const Route *route)
{
    static const char *const names[] = {"CA_FILE", "CLIENT__CERT", "CLIENT__KEY"};
    const char *values[] = {route->ca_file, route->cert, route->key};
    Buffer line;
    buffer_init(&line, BUFFER_ANY);
    buffer_text(&line, "  export DASK_SCHEDULER_ADDRESS=");
    text_shell_quote(&line, route->address ? route->address : "");
    text_page_line(page, ROLE_TEXT, "%s", line.bytes);
    for (int i = 0; i < 3; i++) {
        if (!values[i])
            continue;
        buffer_clear(&line);
        buffer_format(&line, "  export DASK_DISTRIBUTED__COMM__TLS__%s=", names[i]);
        text_shell_quote(&line, values[i]);
        text_page_line(page, ROLE_TEXT, "%s", line.bytes);
    }
    buffer_done(&line);
}

static void route_show(App *app, TextPage *page, const HeldRoute *held, const char *snippet)
{
    const Route *route = &held->route;
    text_page_line(page, ROLE_GOOD, "The route is open and held until :disconnect, or until dasktop ends.");
    text_page_line(page, ROLE_TEXT, "%s", "");
    text_page_line(page, ROLE_STRONG, "  %s", route->address ? route->address : "");
    text_page_line(page, ROLE_DIM, "  %s; given to the clipboard, where the terminal allows it", route->words ? route->words : "direct");
    if (route->dashboard)
        text_page_line(page, ROLE_TEXT, "  dashboard: %s", route->dashboard);
    text_page_line(page, ROLE_TEXT, "%s", "");
    route_exports(page, route);
    if (snippet && *snippet) {
        text_page_line(page, ROLE_TEXT, "%s", "");
        text_page_block(page, ROLE_TEXT, snippet);
    }
    app_copy(app, route->address ? route->address : "");
}

static void route_ssh(TextPage *page, const Route *route)
{
    text_page_line(page, ROLE_TEXT, "You are here through ssh, so the browser is elsewhere. On that machine:");
    text_page_line(page, ROLE_TEXT, "%s", "");
    text_page_line(page, ROLE_STRONG, "  %s", route->ssh_line ? route->ssh_line : "(no tunnel line is known for this cluster)");
    text_page_line(page, ROLE_TEXT, "%s", "");
    text_page_line(page, ROLE_TEXT, "then open %s there.", route->dashboard);
}

static void route_show_dashboard(App *app, TextPage *page, const Route *route)
{
    Error error;
    if (!route->dashboard) {
        text_page_line(page, ROLE_WARN, "It has no dashboard that can be reached.");
        return;
    }
    if (getenv("SSH_CONNECTION")) {
        route_ssh(page, route);
        return;
    }
    const char *const argv[] = {"xdg-open", route->dashboard, NULL};
    text_page_line(page, ROLE_STRONG, "%s", route->dashboard);
    if (app->options->spawn && app->options->spawn(argv, &error))
        text_page_line(page, ROLE_GOOD, "given to the browser");
    else
        text_page_line(page, ROLE_WARN, "no browser could be started here: open the address yourself");
    app_copy(app, route->dashboard);
}

static void route_drop_page(RouteTask *asked)
{
    App *app = asked->task.app;
    text_page_forget(asked->page);
    if (app_page(app)->own == asked->page)
        app_pop(app);
}

static void route_finish(RouteTask *asked)
{
    App *app = asked->task.app;
    TextPage *page = asked->page;
    char line[ERROR_LINE];
    text_page_clear(page);
    text_page_forget(page);
    if (!asked->task.ok) {
        text_page_line(page, ROLE_BAD, "%s", error_line(&asked->task.error, line, sizeof line));
        return;
    }
    if (asked->use == ROUTE_SNIPPET) {
        if (asked->snippet.length)
            text_page_block(page, ROLE_TEXT, asked->snippet.bytes);
        else
            text_page_line(page, ROLE_WARN, "%s", error_line(&asked->snippet_error, line, sizeof line));
        app_copy(app, asked->snippet.bytes);
        return;
    }
    HeldRoute *held = route_hold(app, asked);
    if (asked->use == ROUTE_CONNECT) {
        route_show(app, page, held, asked->snippet.bytes);
    } else if (asked->use == ROUTE_BROWSE) {
        route_show_dashboard(app, page, &held->route);
    } else {
        route_drop_page(asked);
        shell_run(app, asked->record, &held->route, asked->use == ROUTE_PYTHON);
    }
}

static void route_task_done(Task *task)
{
    RouteTask *asked = (RouteTask *)task;
    if (task->owner) {
        route_finish(asked);
        task->app->dirty = true;
    }
    if (asked->open)
        route_done(&asked->route);
    task_close_handle(task->app, asked->handle);
    buffer_done(&asked->snippet);
    record_drop(asked->record);
}

static TextPage *route_page(App *app, const Record *record, const char *what)
{
    char *title = mem_format("%s  %s", record->is.name, what);
    TextPage *page = text_page_open(app, title, record);
    free(title);
    return page;
}

static void route_ask(App *app, const Record *record, RouteUse use, const char *what)
{
    TextPage *page = route_page(app, record, what);
    text_page_line(page, ROLE_DIM, use == ROUTE_SNIPPET ? "asking…" : "opening a route to its scheduler…");
    RouteTask *task = task_new(app, sizeof *task, page, route_run, route_task_done);
    task->use = use;
    task->record = record_keep(record);
    task->page = page;
    task->route.lost_fd = -1;
    buffer_init(&task->snippet, 1 << 20);
    text_page_task(page, &task->task);
    task_start(&task->task, NULL, ROUTE_MS);
}

void route_connect(App *app, const Record *record)
{
    HeldRoute *held = route_find(app, record);
    if (held)
        route_show(app, route_page(app, record, "connected"), held, NULL);
    else
        route_ask(app, record, ROUTE_CONNECT, "connect");
}

void route_browse(App *app, const Record *record)
{
    HeldRoute *held = route_find(app, record);
    if (held)
        route_show_dashboard(app, route_page(app, record, "dashboard"), &held->route);
    else
        route_ask(app, record, ROUTE_BROWSE, "dashboard");
}

void route_shell(App *app, const Record *record, bool python)
{
    HeldRoute *held = route_find(app, record);
    if (held)
        shell_run(app, record, &held->route, python);
    else
        route_ask(app, record, python ? ROUTE_PYTHON : ROUTE_SHELL, python ? "python" : "shell");
}

void snippet_open(App *app, const Record *record)
{
    route_ask(app, record, ROUTE_SNIPPET, "snippet");
}

/* ------------------------------------------------------------------------------------------------------------ closing */

typedef struct RouteClose {
    Task task;
    Handle *handle;
    Route route;
} RouteClose;

static bool route_close_run(Task *task, Context *context, Error *error)
{
    RouteClose *closing = (RouteClose *)task;
    (void)context;
    (void)error;
    route_done(&closing->route);
    handle_close(closing->handle);
    return true;
}

static void route_close_done(Task *task)
{
    RouteClose *closing = (RouteClose *)task;
    if (!task->ok) { /* it never ran */
        route_done(&closing->route);
        handle_close(closing->handle);
    }
}

static void route_close(App *app, size_t i)
{
    HeldRoute held = app->routes[i];
    app->routes[i] = app->routes[--app->route_count];
    RouteClose *task = task_new(app, sizeof *task, NULL, route_close_run, route_close_done);
    task->handle = held.handle;
    task->route = held.route;
    free(held.id);
    free(held.name);
    task_start(&task->task, NULL, 10000);
}

void route_disconnect(App *app, const char *which)
{
    size_t closed = 0;
    for (size_t i = app->route_count; i-- > 0;)
        if (!which || strcmp(app->routes[i].name, which) == 0 || strcmp(app->routes[i].id, which) == 0) {
            route_close(app, i);
            closed++;
        }
    if (closed)
        app_say(app, ROLE_DIM, "%zu route%s closed", closed, closed == 1 ? "" : "s");
    else
        app_say(app, ROLE_WARN, "no such route is open");
}

void route_done_all(App *app)
{
    while (app->route_count)
        route_close(app, app->route_count - 1);
}

size_t route_poll_fds(App *app, int *fds, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < app->route_count && n < room; i++)
        if (app->routes[i].route.lost_fd >= 0)
            fds[n++] = app->routes[i].route.lost_fd;
    return n;
}

void route_lost(App *app)
{
    for (size_t i = app->route_count; i-- > 0;) {
        struct pollfd fd = {.fd = app->routes[i].route.lost_fd, .events = POLLIN};
        if (fd.fd >= 0 && poll(&fd, 1, 0) > 0) {
            app_say(app, ROLE_BAD, "the route to %s is lost; c opens it again", app->routes[i].name);
            route_close(app, i);
        }
    }
}
