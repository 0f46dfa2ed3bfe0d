/* Every `dask_cluster_discovery` entry point of a Python environment, through a helper in that Python which speaks the plugin
 * protocol. What is installed is seen from outside; the helper starts when an entry point is asked for the first time. */
#include "backends/common/plugin.h"
#include "backends/python/environment.h"
#include "backends/python/helper.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* It reads its own source from its standard input, so that nothing has to lie in a file or on a command line. */
static const char BOOTSTRAP[] = "import sys; i = sys.stdin.buffer; exec(compile(i.read(int(i.readline())), 'dasktop-helper', 'exec'))";

static void helper_spec(const BackendConfig *config, const Environment *environment, List *command, Buffer *preamble, PluginSpec *spec)
{
    list_add(command, environment->python);
    list_add(command, "-u");
    list_add(command, "-c");
    list_add(command, BOOTSTRAP);
    buffer_format(preamble, "%zu\n", python_helper_length);
    buffer_add(preamble, python_helper, python_helper_length);
    *spec = (PluginSpec){.where = config->key, .command = command, .directory = "/", .preamble = preamble->bytes,
                         .preamble_length = preamble->length, .entry_points = &environment->entry_points};
}

static bool read_environment(const BackendConfig *config, Environment *environment, Error *error)
{
    List wanted = {0};
    if (!environment_read(config_text(config, "python"), environment, error))
        return false;
    if (config_texts(config, "entry-points", &wanted)) {
        List all = environment->entry_points;
        environment->entry_points = (List){0};
        for (size_t i = 0; i < wanted.count; i++)
            if (list_has(&all, wanted.items[i]))
                list_add(&environment->entry_points, wanted.items[i]);
        list_done(&all);
    }
    list_done(&wanted);
    return true;
}

static bool add_instances(const BackendConfig *config, const Environment *environment, Opened *opened, Error *error)
{
    List command = {0};
    Buffer preamble;
    PluginSpec spec;
    buffer_init(&preamble, BUFFER_ANY);
    helper_spec(config, environment, &command, &preamble, &spec);
    Plugin *plugin = plugin_new(&spec, error);
    list_done(&command);
    buffer_done(&preamble);
    if (!plugin)
        return false;
    for (size_t i = 0; i < environment->entry_points.count; i++)
        opened_add(opened, plugin_backend_new(config, plugin, environment->entry_points.items[i], environment->entry_points.items[i]));
    if (environment->entry_points.count == 0) /* nothing to find; classes of its packages can be made */
        opened_add(opened, plugin_backend_new(config, plugin, "environment", NULL));
    plugin_drop(plugin);
    return true;
}

static bool open_backend(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
    Environment environment;
    (void)context;
    if (!read_environment(config, &environment, error))
        return false;
    bool right = environment.entry_points.count > 0 || environment.has_distributed;
    if (right)
        right = add_instances(config, &environment, opened, error);
    else
        error_set(error, ERROR_ABSENT, config->key, "activate an environment with Dask, or set its python", "%s has no dask_cluster_discovery entry point",
                  environment.python);
    environment_done(&environment);
    return right;
}

/* The environment itself, where no entry point is: it makes clusters, and there is nothing to ask. */
static bool is_bare(const Backend *backend)
{
    return strcmp(backend->instance, "environment") == 0;
}

static bool discover(Backend *backend, Context *context, Sink *sink, Error *error)
{
    return is_bare(backend) || plugin_discover(backend, context, sink, error);
}

static const char *const creates[] = {"*", NULL};

static const ConfigKey keys[] = {
    {.name = "python", .kind = KEY_TEXT, .help = "the interpreter, or its environment (default: the active one, else python3)"},
    {.name = "entry-points", .kind = KEY_TEXTS, .help = "only these"},
    {0},
};

const BackendType python_backend = {
    .name = "python",
    .summary = "what the dask_cluster_discovery entry points of a Python environment find (dask-ctl's way)",
    .signs_in = "as the packages of that environment do",
    .rank = 80,
    .many = true,
    .automatic = true,
    .can = 1u << CAN_SCALE | 1u << CAN_ADAPT | 1u << CAN_LOGS | 1u << CAN_CONNECT | 1u << CAN_DELETE | 1u << CAN_SNIPPET,
    .refresh_ms = 30000,
    .keys = keys,
    .creates = creates,
    .open = open_backend,
    .close = plugin_close,
    .discover = discover,
    .rest = plugin_rest,
    .create = plugin_create,
    .reconstruct = plugin_reconstruct,
};
