/* dasktop connect, dashboard, snippet: ways to a scheduler. */
#include "cli/session.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/output.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_port(Cli *cli, int *port)
{
    int64_t number = 0;
    Error error = {0};
    const char *text = cli_value(cli, "port");
    if (text && (!cli_number(text, "--port", &number, &error) || number < 1 || number > 65535)) {
        cli_usage(cli, "--port %s: it is a number from 1 to 65535", text);
        return false;
    }
    *port = (int)number;
    return true;
}

/* for_client: to its scheduler; else its dashboard is enough. */
static bool open_route(Cli *cli, Handle *handle, int port, bool for_client, Route *route, int *status)
{
    Error error = {0};
    Context context = context_within(&cli->context, engine_config(cli->engine)->timeout_ms * 4);
    memset(route, 0, sizeof *route);
    if (!handle->type->route)
        error_set(&error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "there is no way to its scheduler from here");
    else if (handle->type->route(handle, &context, &(RouteWish){.port = port, .dashboard = !for_client}, route, &error) && (route->address || !for_client))
        return true;
    if (error.code == ERROR_OK)
        error_set(&error, ERROR_UNSUPPORTED, handle->record->is.id, "`dasktop dashboard` opens its dashboard", "%s", route->words ? route->words : "there is no way to its scheduler");
    route_done(route);
    *status = cli_fail(&error);
    return false;
}

/* ------------------------------------------------------------------------------------------------------------- connect */

static void print_environment(const Route *route)
{
    List environment = {0};
    Buffer line;
    buffer_init(&line, BUFFER_ANY);
    route_environment(route, &environment);
    for (size_t i = 0; i < environment.count; i++) {
        char *equals = strchr(environment.items[i], '=');
        buffer_clear(&line);
        *equals = 0;
        text_shell_quote(&line, equals + 1);
        printf("export %s=%s\n", environment.items[i], line.bytes);
    }
    buffer_done(&line);
    list_done(&environment);
}

static void print_route(const Route *route, const char *output)
{
    if (output && strcmp(output, "env") == 0) {
        print_environment(route);
    } else if (output && strcmp(output, "json") == 0) {
        Buffer document;
        JsonWriter json;
        buffer_init(&document, BUFFER_ANY);
        json_begin(&json, &document);
        json_object(&json, NULL);
        json_put_text(&json, "address", route->address);
        json_put_text(&json, "dashboard", route->dashboard);
        json_object(&json, "tls");
        json_put_text(&json, "ca", route->ca_file);
        json_put_text(&json, "cert", route->cert);
        json_put_text(&json, "key", route->key);
        json_close(&json, '}');
        json_put_text(&json, "route", route->words);
        json_close(&json, '}');
        output_document(&document);
        buffer_done(&document);
    } else {
        printf("%s\n", route->address);
    }
    fflush(stdout);
}

/* Until Ctrl-C, or until the route is lost. A program that reads the JSON holds it by its end of the pipe (reader: ours, else -1), so
 * that nothing stays behind where that program is killed. */
static int hold(Cli *cli, const Route *route, int reader)
{
    struct pollfd wanted[] = {{.fd = context_fd(&cli->context), .events = POLLIN}, {.fd = route->lost_fd, .events = POLLIN}, {.fd = reader}};
    if (isatty(STDERR_FILENO))
        cli_say("the route is open (%s): Ctrl-C closes it", route->words ? route->words : "direct");
    while (!cancel_asked(&cli->cancel)) {
        poll(wanted, sizeof wanted / sizeof *wanted, -1);
        if (wanted[2].revents & (POLLERR | POLLHUP))
            break;
        if (wanted[1].revents) {
            Error error = {0};
            error_set(&error, ERROR_UNREACHABLE, "connect", "try again", "the route was lost");
            return cli_fail(&error);
        }
    }
    return error_exit(ERROR_CANCELLED);
}

/* As env and nohup do: a command's own status says nothing of clusters. */
enum { NOT_STARTED = 126, NOT_FOUND = 127 };

static int run_with_route(Cli *cli, const Route *route)
{
    List environment = {0};
    Error error = {0};
    route_environment(route, &environment);
    signal(SIGINT, SIG_IGN); /* Ctrl-C is the command's */
    signal(SIGQUIT, SIG_IGN);
    int status = cli->host->run(&cli->after, &environment, &error);
    list_done(&environment);
    if (status >= 0)
        return status;
    cli_fail(&error);
    return error.code == ERROR_NOT_FOUND ? NOT_FOUND : NOT_STARTED;
}

static int run_connect(Cli *cli)
{
    int port, status = 0;
    const char *output = cli_value(cli, "output");
    if (output && strcmp(output, "env") != 0 && strcmp(output, "url") != 0 && strcmp(output, "json") != 0)
        return cli_usage(cli, "-o %s: it is one of env, url, json", output);
    if (cli->has_after && !cli->after.count)
        return cli_usage(cli, "COMMAND is missing after --");
    if (!read_port(cli, &port))
        return error_exit(ERROR_USAGE);
    Handle *handle = session_handle(cli, cli->arguments.items[0], false, &status);
    Route route = {0};
    if (!handle)
        return status;
    if (open_route(cli, handle, port, true, &route, &status)) {
        if (cli->after.count) {
            status = run_with_route(cli, &route);
        } else {
            print_route(&route, output);
            status = hold(cli, &route, output && strcmp(output, "json") == 0 ? STDOUT_FILENO : -1);
        }
        route_done(&route);
    }
    handle_close(handle);
    return status;
}

static const Option connect_options[] = {
    {"port", 0, "P", "listen on this port, where the route needs one"},
    {"output", 'o', "env|url|json", "what is printed where there is no COMMAND (default: url)"},
    {0},
};

const Command command_connect = {
    .name = "connect",
    .usage = "CLUSTER [--port P] [-o env|url|json] [-- COMMAND…]",
    .summary = "opens a route to the scheduler and runs COMMAND with DASK_SCHEDULER_ADDRESS set; without one prints the address and holds the route",
    .options = connect_options,
    .least = 1,
    .most = 1,
    .run = run_connect,
};

/* ----------------------------------------------------------------------------------------------------------- dashboard */

static void print_for_ssh(const Route *route)
{
    char host[256];
    const char *port = strrchr(route->dashboard, ':');
    printf("%s\n", route->dashboard);
    if (route->ssh_line)
        printf("%s\n", route->ssh_line);
    else if (port)
        printf("ssh -L %.*s:127.0.0.1:%.*s %s\n", (int)strspn(port + 1, "0123456789"), port + 1, (int)strspn(port + 1, "0123456789"),
               port + 1, file_host_name(host));
    const char *prefix = getenv("JUPYTERHUB_SERVICE_PREFIX");
    if (port)
        printf("in Jupyter: %s%sproxy/%s\n", prefix ? prefix : "", prefix && prefix[strlen(prefix) - 1] == '/' ? "" : "/", port + 1);
}

static int run_dashboard(Cli *cli)
{
    int port, status = 0;
    if (!read_port(cli, &port))
        return error_exit(ERROR_USAGE);
    Handle *handle = session_handle(cli, cli->arguments.items[0], false, &status);
    Route route = {0};
    if (!handle)
        return status;
    if (open_route(cli, handle, port, false, &route, &status)) {
        Error error = {0};
        List command = {0};
        bool remote = getenv("SSH_CONNECTION") != NULL;
        if (!route.dashboard) {
            error_set(&error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "its scheduler has no dashboard");
            status = cli_fail(&error);
        } else if (remote || cli_flag(cli, "print")) {
            if (remote)
                print_for_ssh(&route);
            else
                printf("%s\n", route.dashboard);
            fflush(stdout);
            if (route.close && !route.is_public)
                status = hold(cli, &route, -1);
        } else {
            printf("%s\n", route.dashboard);
            fflush(stdout);
#ifdef __APPLE__
            list_add(&command, "open");
#else
            list_add(&command, "xdg-open");
#endif
            list_add(&command, route.dashboard);
            if (!cli->host->launch(&command, &error))
                status = cli_fail(&error);
            else if (route.close && !route.is_public)
                status = hold(cli, &route, -1);
        }
        list_done(&command);
        route_done(&route);
    }
    handle_close(handle);
    return status;
}

static const Option dashboard_options[] = {
    {"print", 0, NULL, "only print its address"},
    {"port", 0, "P", "listen on this port, where the route needs one"},
    {0},
};

const Command command_dashboard = {
    .name = "dashboard",
    .usage = "CLUSTER [--print] [--port P]",
    .summary = "opens a route to the Dask dashboard and the browser on it; over ssh prints the ssh -L line instead",
    .options = dashboard_options,
    .least = 1,
    .most = 1,
    .run = run_dashboard,
};

/* ------------------------------------------------------------------------------------------------------------- snippet */

static int run_snippet(Cli *cli)
{
    int status = 0;
    Error error = {0};
    Handle *handle = session_handle(cli, cli->arguments.items[0], false, &status);
    if (!handle)
        return status;
    Buffer python;
    buffer_init(&python, BUFFER_ANY);
    Context context = context_within(&cli->context, engine_config(cli->engine)->timeout_ms * 4);
    if (!handle->type->snippet)
        error_set(&error, ERROR_UNSUPPORTED, handle->record->is.id, NULL, "there is no Python that reaches it from here");
    if (error.code == ERROR_OK && handle->type->snippet(handle, &context, &python, &error))
        output_document(&python);
    else
        status = cli_fail(&error);
    buffer_done(&python);
    handle_close(handle);
    return status;
}

const Command command_snippet = {
    .name = "snippet",
    .usage = "CLUSTER",
    .summary = "prints Python that gets a live Client (and the cluster manager, where there is one)",
    .least = 1,
    .most = 1,
    .run = run_snippet,
};
