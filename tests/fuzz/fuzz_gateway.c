/* A gateway's answers: its clusters, the options of new ones against a specification. The input is the answer, and after a NUL the specification. */
#include "backends/gateway/options.h"
#include "backends/gateway/rest.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_clusters(const char *bytes, size_t n, bool one)
{
    static char name[] = "g";
    static const Gateway gateway = {.where = name, .address = name, .public_address = name, .proxy_host = name, .proxy_port = 1};
    Error error = {0};
    GatewayClusters list = {0};
    gateway_decode(&gateway, bytes, n, one, &list, &error);
    for (size_t i = 0; i < list.count; i++) {
        assert(list.items[i].name && list.items[i].address && !strchr(list.items[i].name, '/'));
        assert(!gateway_take_tls(&list.items[i]) || list.items[i].status == GATEWAY_RUNNING);
    }
    gateway_clusters_done(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data, *cut = memchr(bytes, 0, size), *rest = cut ? cut + 1 : "worker_cores: 9\nprofile: x\nimage: y";
    size_t n = cut ? (size_t)(cut - bytes) : size, m = cut ? size - n - 1 : strlen(rest);
    Error error = {0};
    read_clusters(bytes, n, false);
    read_clusters(bytes, n, true);
    cJSON *answer = json_parse(bytes, n, "fuzz", &error);
    Tree *tree = tree_parse("fuzz", rest, m, &error);
    if (tree && tree->kind == TREE_MAP) {
        Buffer words;
        buffer_init(&words, 4096);
        if (!options_check(answer, tree, "g", &error))
            assert(error.code == ERROR_USAGE && *error.what);
        options_words(answer, tree, &words);
        buffer_done(&words);
    }
    tree_free(tree);
    cJSON_Delete(answer);
    return 0;
}
