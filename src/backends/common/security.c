#include "backends/common/security.h"

#include "base/file.h"

#include <stdlib.h>

const ConfigKey security_keys[] = {
    {.name = "ca-file", .kind = KEY_TEXT, .help = "authorities that may have signed the scheduler's certificate"},
    {.name = "cert", .kind = KEY_TEXT, .help = "our certificate"},
    {.name = "key", .kind = KEY_TEXT, .help = "its key"},
    {0},
};

bool security_read(const BackendConfig *config, Tls **tls, Error *error)
{
    const Tree *own = config_tree(config, "tls"), *dask = tree_path(config->dask, "distributed.comm.tls");
    const char *ca = tree_text(own ? tree_get(own, "ca-file") : tree_get(dask, "ca-file"));
    const char *cert = tree_text(own ? tree_get(own, "cert") : tree_path(dask, "client.cert"));
    const char *key = tree_text(own ? tree_get(own, "key") : tree_path(dask, "client.key"));
    *tls = NULL;
    if (!ca && !cert && !key)
        return true;
    char *ca_path = ca ? file_expand_home(ca) : NULL, *cert_path = cert ? file_expand_home(cert) : NULL, *key_path = key ? file_expand_home(key) : NULL;
    *tls = tls_read(ca_path, cert_path, key_path, error);
    if (*tls)
        (*tls)->verify_host = false;
    free(ca_path);
    free(cert_path);
    free(key_path);
    return *tls != NULL;
}
