/* What another computer answers of its processes, and ssh's words. */
#include "backends/common/far.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Census census;
    Error error = {0};
    char *said = malloc(size + 1);
    memcpy(said, data, size);
    said[size] = 0;
    host_ssh_error(said, 255, "key", "host", &error);
    assert(error.code != ERROR_OK);
    free(said);
    if (!far_parse((const char *)data, size, "abc", 0, &census))
        return 0;
    for (size_t i = 0; i < census.listeners.count; i++)
        assert(census.listeners.items[i].port > 0 && census.listeners.items[i].port < 65536);
    census_sort(&census, false);
    for (size_t i = 0; i < census.count; i++) {
        Member *members;
        census_members(&census, &census.places[i], NULL, &members);
        free(members);
    }
    census_done(&census);
    return 0;
}
