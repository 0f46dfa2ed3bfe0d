#include "base/map.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t hash)
{
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    return hash ^ hash >> 32;
}

/* Eight bytes at a time, mixed so that the low bits, which choose the place, hang on all of them. */
uint64_t hash_bytes(const void *bytes, size_t n, uint64_t seed)
{
    uint64_t hash = 0xcbf29ce484222325u ^ seed ^ n, eight;
    const char *at = bytes;
    for (; n >= sizeof eight; at += sizeof eight, n -= sizeof eight) {
        memcpy(&eight, at, sizeof eight);
        hash = mix(hash ^ eight);
    }
    for (; n; n--)
        hash = (hash ^ (unsigned char)*at++) * 0x100000001b3u;
    return mix(hash);
}

uint64_t hash_text(const char *text)
{
    return hash_bytes(text, strlen(text), 0);
}

void map_init(Map *map)
{
    *map = (Map){0};
}

static void free_key(const Map *map, const char *key)
{
    if (!map->borrows)
        free((char *)(uintptr_t)key);
}

void map_done(Map *map, void (*free_value)(void *))
{
    for (size_t i = 0; i < map->capacity; i++)
        if (map->entries[i].key) {
            free_key(map, map->entries[i].key);
            if (free_value)
                free_value(map->entries[i].value);
        }
    free(map->entries);
    map_init(map);
}

/* Where the key is, or the free place where it belongs. There is always a free one. */
static size_t place_of(const Map *map, const char *key, uint64_t hash)
{
    size_t i = hash & (map->capacity - 1);
    while (map->entries[i].key && (map->entries[i].hash != hash || strcmp(map->entries[i].key, key) != 0))
        i = (i + 1) & (map->capacity - 1);
    return i;
}

static const MapEntry *find(const Map *map, const char *key)
{
    if (!map->used)
        return NULL;
    const MapEntry *entry = &map->entries[place_of(map, key, hash_text(key))];
    return entry->key ? entry : NULL;
}

void *map_get(const Map *map, const char *key)
{
    const MapEntry *entry = find(map, key);
    return entry ? entry->value : NULL;
}

bool map_has(const Map *map, const char *key)
{
    return find(map, key) != NULL;
}

static void grow(Map *map)
{
    Map larger = {.capacity = map->capacity ? map->capacity * 2 : 16, .used = map->used, .borrows = map->borrows};
    larger.entries = mem_new(larger.capacity * sizeof *larger.entries);
    for (size_t i = 0; i < map->capacity; i++)
        if (map->entries[i].key)
            larger.entries[place_of(&larger, map->entries[i].key, map->entries[i].hash)] = map->entries[i];
    free(map->entries);
    *map = larger;
}

void *map_put(Map *map, const char *key, void *value)
{
    if ((map->used + 1) * 4 > map->capacity * 3)
        grow(map);
    uint64_t hash = hash_text(key);
    MapEntry *entry = &map->entries[place_of(map, key, hash)];
    void *before = entry->value;
    if (!entry->key) {
        *entry = (MapEntry){map->borrows ? key : mem_text(key), hash, NULL};
        before = NULL;
        map->used++;
    } else if (map->borrows) {
        entry->key = key;
    }
    entry->value = value;
    return before;
}

/* What stands behind a hole and belongs before it moves up, so that no search stops too early. */
static void close_hole(Map *map, size_t hole)
{
    for (size_t i = (hole + 1) & (map->capacity - 1); map->entries[i].key; i = (i + 1) & (map->capacity - 1)) {
        size_t home = map->entries[i].hash & (map->capacity - 1);
        bool between = hole <= i ? hole < home && home <= i : hole < home || home <= i;
        if (!between) {
            map->entries[hole] = map->entries[i];
            hole = i;
        }
    }
    map->entries[hole] = (MapEntry){0};
}

void *map_remove(Map *map, const char *key)
{
    if (!map->used)
        return NULL;
    size_t i = place_of(map, key, hash_text(key));
    void *value = map->entries[i].value;
    if (!map->entries[i].key)
        return NULL;
    free_key(map, map->entries[i].key);
    close_hole(map, i);
    map->used--;
    return value;
}

const MapEntry *map_next(const Map *map, size_t *i)
{
    while (*i < map->capacity)
        if (map->entries[(*i)++].key)
            return &map->entries[*i - 1];
    return NULL;
}
