/* What a dashboard answers over HTTP: counts, and lists that are cut into items while they arrive. */
#include "base/json.h"
#include "dask/dask.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool take(void *user, const char *bytes, size_t n, Error *error)
{
    size_t *items = user;
    assert(n > 0 && n <= 4096);
    cJSON_Delete(json_parse(bytes, n, NULL, error));
    return ++*items < 100000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    DaskCounts counts;
    Error error = {0};
    if (dask_counts_decode((const char *)data, size, &counts, &error))
        assert(counts.workers >= 0 && (counts.clients >= 0 || counts.clients == NUMBER_UNKNOWN));
    else
        assert(error.code == ERROR_BAD_REPLY);
    for (int whole = 0; whole < 2; whole++) {
        size_t items = 0, piece = whole ? size : 7;
        cJSON *rest = NULL;
        JsonItems *list = json_items_new(whole ? NULL : "items", 4096, take, &items);
        bool right = true;
        for (size_t at = 0; right && at < size; at += piece)
            right = json_items_feed(list, (const char *)data + at, size - at < piece ? size - at : piece, &error);
        if (right && json_items_end(list, &rest, &error))
            cJSON_Delete(rest);
        json_items_free(list);
    }
    return 0;
}
