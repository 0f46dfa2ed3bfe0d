/* Any program that speaks the plugin protocol: a backend in any language. */
#include "backends/common/plugin.h"
#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>

typedef struct Texts {
    List command, variables;
    char *directory;
} Texts;

static void texts_done(Texts *texts)
{
    list_done(&texts->command);
    list_done(&texts->variables);
    free(texts->directory);
}

static void fill_spec(const BackendConfig *config, Texts *texts, PluginSpec *spec)
{
    *texts = (Texts){0};
    config_texts(config, "command", &texts->command);
    config_texts(config, "env", &texts->variables);
    const char *directory = config_text(config, "cwd");
    texts->directory = directory ? file_expand_home(directory) : NULL;
    *spec = (PluginSpec){.where = config->key, .command = &texts->command, .variables = &texts->variables, .directory = texts->directory,
                         .config = config_tree(config, "config")};
}

static bool open_backend(const BackendConfig *config, Context *context, Opened *opened, Error *error)
{
    Texts texts;
    PluginSpec spec;
    (void)context;
    fill_spec(config, &texts, &spec);
    Plugin *plugin = plugin_new(&spec, error);
    texts_done(&texts);
    if (!plugin)
        return false;
    opened_add(opened, plugin_backend_new(config, plugin, NULL, NULL));
    plugin_drop(plugin);
    return true;
}

static bool inspect(const BackendConfig *config, Context *context, const Inspection *inspection, Error *error)
{
    Texts texts;
    PluginSpec spec;
    fill_spec(config, &texts, &spec);
    bool right = plugin_inspect(&spec, context, inspection, error);
    texts_done(&texts);
    return right;
}

static const ConfigKey keys[] = {
    {.name = "command", .kind = KEY_TEXTS, .required = true, .help = "the program and its arguments"},
    {.name = "env", .kind = KEY_TEXTS, .help = "names of environment variables that it inherits"},
    {.name = "config", .kind = KEY_MAP, .help = "given to it in hello"},
    {.name = "cwd", .kind = KEY_TEXT, .help = "its working directory"},
    {0},
};

const BackendType exec_backend = {
    .name = "exec",
    .summary = "what a program of yours finds: any language, one JSON message a line",
    .signs_in = "as the program does",
    .rank = 85,
    .can = 1u << CAN_SCALE | 1u << CAN_ADAPT | 1u << CAN_LOGS | 1u << CAN_CONNECT | 1u << CAN_DELETE | 1u << CAN_SNIPPET,
    .keys = keys,
    .open = open_backend,
    .close = plugin_close,
    .discover = plugin_discover,
    .watch = plugin_watch,
    .rest = plugin_rest,
    .create = plugin_create,
    .reconstruct = plugin_reconstruct,
    .inspect = inspect,
};
