#include "backends/common/plugin_inside.h"
bool plugin_inspect(const PluginSpec *spec, Context *context, const Inspection *inspection, Error *error)
{
    (void)spec;
    (void)context;
    (void)inspection;
    return error_set(error, ERROR_UNSUPPORTED, NULL, NULL, "not yet");
}
