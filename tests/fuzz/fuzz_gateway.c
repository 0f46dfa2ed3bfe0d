/* A gateway's answers: its clusters, the options of new ones against a specification. The input is the answer, and after a NUL the specification. */
#include "backends/gateway/options.h"
#include "backends/gateway/rest.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const GatewayCluster *cluster)
{
    assert(cluster->name && cluster->address && !strchr(cluster->name, '/'));
    assert(!cluster->tls || cluster->status == GATEWAY_RUNNING);
}

/* In pieces of this size. */
static size_t read_list(const Gateway *gateway, const char *bytes, size_t n, size_t piece)
{
    Error error = {0};
    GatewayClusters list;
    GatewayReading reading;
    gateway_reading_begin(&reading, gateway, true, &list);
    for (size_t at = 0; at < n; at += piece)
        gateway_reading_take(&reading, bytes + at, n - at < piece ? n - at : piece, &error);
    bool right = gateway_reading_end(&reading, &error);
    size_t count = list.count;
    assert(right || !count);
    for (size_t i = 0; i < count; i++)
        check(&list.items[i]);
    gateway_clusters_done(&list);
    return right ? count : SIZE_MAX;
}

static void read_clusters(const char *bytes, size_t n)
{
    static char name[] = "g";
    static const Gateway gateway = {.where = name, .address = name, .public_address = name, .proxy_host = name, .proxy_port = 1};
    Error error = {0};
    GatewayCluster one;
    size_t count = read_list(&gateway, bytes, n, n + 1);
    assert(read_list(&gateway, bytes, n, n % 13 + 1) == count);
    if (gateway_decode_one(&gateway, bytes, n, &one, &error)) {
        check(&one);
        gateway_cluster_done(&one);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data, *cut = memchr(bytes, 0, size), *rest = cut ? cut + 1 : "worker_cores: 9\nprofile: x\nimage: y";
    size_t n = cut ? (size_t)(cut - bytes) : size, m = cut ? size - n - 1 : strlen(rest);
    Error error = {0};
    read_clusters(bytes, n);
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
