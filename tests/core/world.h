/* A store with parts, a view over it, a config: for tests of what looks at a view. */
#ifndef DASKTOP_TESTS_CORE_WORLD_H
#define DASKTOP_TESTS_CORE_WORLD_H

#include "core/make.h"
#include "core/view.h"

typedef struct World {
    Store *store;
    Keep *keep;
    Config *config;
    View *view;
    Part *prod, *slurm; /* ranks 30 and 90 */
} World;

static inline World make_world(const char *prices, const char *state_directory)
{
    World world = {.store = store_new(), .keep = keep_open(state_directory), .config = make_config(prices)};
    world.view = view_new(world.store, world.keep, world.config);
    world.prod = store_part(world.store, "prod", NULL, "kubernetes", 30);
    world.slurm = store_part(world.store, "slurm", NULL, "slurm", 90);
    world.config->backends = mem_new(2 * sizeof(BackendConfig));
    world.config->backends[0].key = (char *)(uintptr_t)"prod";
    world.config->backends[1].key = (char *)(uintptr_t)"slurm";
    world.config->backend_count = 2;
    return world;
}

static inline void free_world(World *world)
{
    view_free(world->view);
    keep_free(world->keep);
    store_free(world->store);
    free_config(world->config);
}

static inline bool update(World *world, int64_t after_noon_ms)
{
    store_flush(world->store);
    return view_update(world->view, make_clock(after_noon_ms));
}

static inline void put(Part *part, RecordFields fields)
{
    part_put(part, make_record(&fields, part_info(part).backend));
}

static inline void answer(Part *part, PartState state)
{
    PartInfo info = part_info(part);
    info.state = state;
    info.has_answered |= state == PART_OK;
    part_report(part, &info);
}

static inline const ViewRow *shown(const World *world, const char *id)
{
    return view_find(world->view, id, NULL, NULL);
}

#endif
