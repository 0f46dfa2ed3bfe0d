/* Runtime files, sessions and clusters of Jupyter servers, and their addresses: text of other people's. */
#include "backends/jupyter/rest.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_server(NotebookServer *server)
{
    if (server) {
        size_t n = strlen(server->url);
        assert(*server->name && n > 7 && server->url[n - 1] == '/' && strncasecmp(server->url, "http", 4) == 0);
        for (size_t i = 0; i < n; i++)
            assert((unsigned char)server->url[i] > ' ');
    }
    notebook_server_free(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = 0;
    JupyterClusters clusters;
    NotebookSessions sessions;
    for (int one = 0; one < 2; one++)
        if (jupyter_decode(text, size, "fuzz", one, &clusters, NULL)) {
            for (size_t i = 0; i < clusters.count; i++) {
                char *pages = jupyter_pages(clusters.items[i].id);
                assert(strncmp(pages, "dask/dashboard/", 15) == 0 && !strpbrk(pages + 15, "/?# "));
                free(pages);
            }
            jupyter_clusters_done(&clusters);
        }
    if (notebook_sessions_decode(text, size, "fuzz", &sessions, NULL))
        notebook_sessions_done(&sessions);
    check_server(notebook_server_parse(text, size));
    check_server(notebook_server_at(text, NULL, NULL));
    free(text);
    return 0;
}
