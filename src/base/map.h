/* From text to pointer: open addressing, insertion order not kept. One owner, one thread. */
#ifndef DASKTOP_BASE_MAP_H
#define DASKTOP_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct MapEntry {
    const char *key; /* owned by the map, unless it borrows; NULL: free */
    uint64_t hash;
    void *value;
} MapEntry;

typedef struct Map {
    MapEntry *entries;
    size_t capacity, used;
    bool borrows; /* set while it is empty: keys are texts of the values, or live as long; the last put one counts */
} Map;

void map_init(Map *map);
void map_done(Map *map, void (*free_value)(void *)); /* free_value may be NULL */
void *map_get(const Map *map, const char *key);      /* NULL: not there */
bool map_has(const Map *map, const char *key);
void *map_put(Map *map, const char *key, void *value); /* returns the value that was there before */
void *map_remove(Map *map, const char *key);           /* returns it */
/* for (size_t i = 0; (entry = map_next(map, &i));) — any order; no changes on the way */
const MapEntry *map_next(const Map *map, size_t *i);
uint64_t hash_bytes(const void *bytes, size_t n, uint64_t seed);
uint64_t hash_text(const char *text);

#endif
