/* What an API server sends: a watch's stream, objects, a scheduler's log. */
#include "backends/kubernetes/past.h"
#include "backends/kubernetes/watch.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct World {
    KubeJoin *join;
    size_t taken;
} World;

static void put(World *world, const char *object, size_t n)
{
    for (int kind = 0; kind < KUBE_KIND_COUNT; kind++) {
        KubeObject *parsed = kube_object_parse((KubeKind)kind, object, n, NULL);
        if (!parsed)
            continue;
        assert(parsed->name && parsed->uid && parsed->namespace);
        join_put(world->join, parsed);
    }
}

static bool take(void *user, WatchLine line, const char *object, size_t n, Error *error)
{
    World *world = user;
    (void)error;
    free(kube_version_of(object, n));
    if (line == WATCH_ITEM)
        put(world, object, n);
    return ++world->taken < 100;
}

static void look(World *world)
{
    List owners = {0};
    KubeRow *row;
    RowText text = {0};
    RecordFields fields;
    KubeView view = {.owner_labels = &owners, .user = "ada", .clusters_known = true, .pods_known = true, .now_ms = INT64_C(1795420000000)};
    while ((row = join_next_dirty(world->join))) {
        if (row_is_empty(row)) { /* an object of one uid came as another's, and took its place */
            join_forget(world->join, row);
            continue;
        }
        if (row_fields(row, &view, &text, &fields))
            assert(fields.id && fields.name);
        free(row_proxy_path(row));
        row_text_done(&text);
    }
    list_done(&owners);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    World world = {.join = join_new()};
    WatchReader reader;
    char *text = malloc(size ? size : 1); /* of that very length, so that a sanitizer sees each byte too far */
    memcpy(text, data, size);
    watch_reader_init(&reader, take, &world);
    size_t piece = size ? 1 + data[0] % 64 : 1;
    for (size_t at = 0; at < size && watch_feed(&reader, text + at, size - at < piece ? size - at : piece, NULL); at += piece)
        ;
    watch_reader_done(&reader);
    put(&world, text, size);
    look(&world);
    past_of_log(text, size);
    join_free(world.join);
    free(text);
    return 0;
}
