/* A program of the user's on the terminal, with a route open: a shell, or Python in which `client` is ready. */
#include "ui/app.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Says first where this Python differs from the cluster: tasks and results travel as pickles between the two. */
static const char START[] =
    "import os, sys\n"
    "theirs = os.environ.get('DASKTOP_VERSIONS', '')\n"
    "ours = 'Python %d.%d.%d' % sys.version_info[:3]\n"
    "try:\n"
    "    import distributed\n"
    "    from distributed import Client\n"
    "    ours += ', distributed ' + distributed.__version__\n"
    "    if theirs and theirs != ours:\n"
    "        print('the cluster has ' + theirs + '; here is ' + ours)\n"
    "    client = Client(os.environ['DASK_SCHEDULER_ADDRESS'], timeout=20)\n"
    "    print('client is', client)\n"
    "except ImportError:\n"
    "    print('this Python (' + sys.executable + ') has no distributed; the address is in DASK_SCHEDULER_ADDRESS')\n"
    "except Exception as error:\n"
    "    print('no client:', type(error).__name__ + ':', error)\n";

/* The active environment's IPython where it has one, else its Python: an IPython of somewhere else would not have its packages. */
static char *find_python(void)
{
    char *python = file_in_path(getenv("PATH"), "python", NULL);
    python = python ? python : file_in_path(getenv("PATH"), "python3", NULL);
    if (!python)
        return mem_text("python3");
    char *ipython = mem_format("%.*s/ipython", (int)(strrchr(python, '/') - python), python);
    if (!file_runs(ipython)) {
        free(ipython);
        return python;
    }
    free(python);
    return ipython;
}

static void set_environment(const Record *record, const Route *route, List *out)
{
    const RecordFields *is = &record->is;
    route_environment(route, out);
    list_format(out, "DASKTOP_CLUSTER=%s", is->id);
    if (is->python && is->distributed)
        list_format(out, "DASKTOP_VERSIONS=Python %s, distributed %s", is->python, is->distributed);
}

static void greet(const Record *record, const Route *route)
{
    const RecordFields *is = &record->is;
    printf("\ndasktop: %s is at %s (DASK_SCHEDULER_ADDRESS)%s%s%s%s; exit comes back\n", is->name, route->address, is->python ? "; it runs Python " : "",
           is->python ? is->python : "", is->distributed ? ", distributed " : "", is->distributed ? is->distributed : "");
    fflush(stdout);
}

void shell_run(App *app, const Record *record, const Route *route, bool python)
{
    List environment = {0};
    Error error;
    int status = 0;
    const char *shell = getenv("SHELL") && *getenv("SHELL") ? getenv("SHELL") : "/bin/sh";
    const char *const plain[] = {shell, NULL};
    char *interpreter = find_python();
    const char *const with_client[] = {interpreter, "-i", "-c", START, NULL};
    set_environment(record, route, &environment);
    if (app->screen) {
        screen_pause(app->screen);
        greet(record, route);
    }
    bool ok = app->options->foreground(python ? with_client : plain, (const char *const *)environment.items, &status, &error);
    if (app->screen)
        screen_resume(app->screen);
    if (ok)
        app_say(app, ROLE_DIM, "back; it ended with %d", status);
    else
        app_error(app, &error);
    list_done(&environment);
    free(interpreter);
}
