/* A config file and a cluster specification, as somebody else may have written them. */
#include "backends/registry.h"
#include "core/config.h"
#include "core/spec.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* config_load reads files: one that is written over each time. */
static const char *written(const uint8_t *data, size_t size)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/dasktop-fuzz-%ld.yaml", (long)getpid());
    FILE *file = fopen(path, "wb");
    if (!file)
        abort();
    fwrite(data, 1, size, file);
    fclose(file);
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const environment[] = {"HOME=/nonexistent", "DASK_ROOT_CONFIG=/nonexistent", NULL};
    const char *path = written(data, size);
    ConfigSources sources = {.file = path, .environment = environment, .root = "/nonexistent"};
    Config *config = config_load(&sources, backend_types);
    for (size_t i = 0; i < config->problems.count; i++)
        assert(*config->problems.items[i] && !strchr(config->problems.items[i], '\n'));
    for (size_t i = 0; i < config->backend_count; i++)
        assert(config->backends[i].type && config->backends[i].timeout_ms >= 0);
    config_free(config);
    Spec spec;
    Error error = {0};
    if (spec_read(path, NULL, NUMBER_UNKNOWN, &spec, &error))
        spec_done(&spec);
    else
        assert(*error.what);
    unlink(path);
    return 0;
}
