#include "core/backend.h"

#include "base/mem.h"

#include <stdlib.h>

void backend_done(Backend *backend)
{
    free(backend->instance);
    if (backend->own_config)
        free(backend->own_config->key);
    free(backend->own_config);
    backend->instance = NULL;
    backend->config = backend->own_config = NULL;
}

void handle_init(Handle *handle, const HandleType *type, Backend *backend, const Record *record)
{
    handle->type = type;
    handle->backend = backend;
    handle->record = record_keep(record);
}

void handle_done(Handle *handle)
{
    record_drop(handle->record);
    handle->record = NULL;
}

void handle_close(Handle *handle)
{
    if (handle)
        handle->type->close(handle);
}

void route_done(Route *route)
{
    if (route->close)
        route->close(route->own);
    free(route->address);
    free(route->dashboard);
    free(route->ca_file);
    free(route->cert);
    free(route->key);
    free(route->preload);
    free(route->words);
    free(route->ssh_line);
    *route = (Route){.lost_fd = -1};
}

void route_environment(const Route *route, List *out)
{
    list_format(out, "DASK_SCHEDULER_ADDRESS=%s", route->address ? route->address : "");
    if (route->ca_file)
        list_format(out, "DASK_DISTRIBUTED__COMM__TLS__CA_FILE=%s", route->ca_file);
    if (route->cert)
        list_format(out, "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT=%s", route->cert);
    if (route->key)
        list_format(out, "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY=%s", route->key);
    if (route->preload)
        list_format(out, "DASK_DISTRIBUTED__CLIENT__PRELOAD=%s", route->preload);
}
