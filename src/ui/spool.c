#include "ui/spool.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 1 << 20, CHUNK_LINES = 8192, COMPONENTS_MAX = 4096 };

typedef struct Head {
    int64_t time_ms;
    uint32_t offset, length, message;
    uint16_t component;
    bool note;
    char level[SPOOL_LEVEL];
} Head;

/* Lines lie in chunks; the ring drops whole chunks, so that adding never moves what is there. */
typedef struct SpoolChunk {
    uint64_t first;
    uint32_t lines, bytes;
    Head heads[CHUNK_LINES];
    char text[CHUNK_BYTES];
} SpoolChunk;

struct Spool {
    pthread_mutex_t lock; /* guards all below */
    SpoolChunk **chunks;  /* oldest first */
    size_t count, capacity, most;
    uint64_t end;
    char *components[COMPONENTS_MAX];
    size_t component_count;
};

Spool *spool_new(size_t most_bytes)
{
    Spool *spool = mem_new(sizeof *spool);
    pthread_mutex_init(&spool->lock, NULL);
    spool->most = most_bytes / sizeof(SpoolChunk) + 2;
    return spool;
}

void spool_free(Spool *spool)
{
    if (!spool)
        return;
    for (size_t i = 0; i < spool->count; i++)
        free(spool->chunks[i]);
    for (size_t i = 0; i < spool->component_count; i++)
        free(spool->components[i]);
    free(spool->chunks);
    pthread_mutex_destroy(&spool->lock);
    free(spool);
}

static uint16_t spool_component_of(Spool *spool, const char *name)
{
    for (size_t i = 0; i < spool->component_count; i++)
        if (strcmp(spool->components[i], name) == 0)
            return (uint16_t)i;
    if (spool->component_count == COMPONENTS_MAX)
        return COMPONENTS_MAX - 1;
    spool->components[spool->component_count] = mem_text(name);
    return (uint16_t)spool->component_count++;
}

static SpoolChunk *spool_room(Spool *spool, size_t length)
{
    SpoolChunk *last = spool->count ? spool->chunks[spool->count - 1] : NULL;
    if (last && last->lines < CHUNK_LINES && last->bytes + length <= CHUNK_BYTES)
        return last;
    SpoolChunk *chunk;
    if (spool->count >= spool->most) {
        chunk = spool->chunks[0];
        memmove(spool->chunks, spool->chunks + 1, --spool->count * sizeof *spool->chunks);
    } else {
        chunk = malloc(sizeof *chunk); /* not cleared: most of it may never be used */
        if (!chunk)
            chunk = mem_new(sizeof *chunk);
    }
    chunk->first = spool->end;
    chunk->lines = chunk->bytes = 0;
    spool->chunks = mem_grow(spool->chunks, spool->count, &spool->capacity, sizeof *spool->chunks);
    spool->chunks[spool->count++] = chunk;
    return chunk;
}

void spool_add(Spool *spool, const LogLine *line)
{
    size_t length = strlen(line->text);
    if (length > CHUNK_BYTES)
        length = CHUNK_BYTES;
    pthread_mutex_lock(&spool->lock);
    SpoolChunk *chunk = spool_room(spool, length);
    Head *head = &chunk->heads[chunk->lines++];
    *head = (Head){.time_ms = line->time_ms, .offset = chunk->bytes, .length = (uint32_t)length, .note = line->note};
    size_t prefix = line->message ? (size_t)(line->message - line->text) : 0;
    head->message = (uint32_t)(prefix < length ? prefix : length);
    head->component = spool_component_of(spool, line->component ? line->component : "");
    snprintf(head->level, sizeof head->level, "%s", line->level ? line->level : "");
    memcpy(chunk->text + chunk->bytes, line->text, length);
    chunk->bytes += (uint32_t)length;
    spool->end++;
    pthread_mutex_unlock(&spool->lock);
}

void spool_range(Spool *spool, uint64_t *first, uint64_t *end)
{
    pthread_mutex_lock(&spool->lock);
    *first = spool->count ? spool->chunks[0]->first : spool->end;
    *end = spool->end;
    pthread_mutex_unlock(&spool->lock);
}

static const SpoolChunk *spool_find(const Spool *spool, uint64_t number)
{
    size_t low = 0, high = spool->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const SpoolChunk *chunk = spool->chunks[middle];
        if (number < chunk->first)
            high = middle;
        else if (number >= chunk->first + chunk->lines)
            low = middle + 1;
        else
            return chunk;
    }
    return NULL;
}

bool spool_get(Spool *spool, uint64_t number, SpoolLine *line, Buffer *text)
{
    buffer_clear(text);
    pthread_mutex_lock(&spool->lock);
    const SpoolChunk *chunk = spool_find(spool, number);
    if (chunk) {
        const Head *head = &chunk->heads[number - chunk->first];
        *line = (SpoolLine){.number = number, .time_ms = head->time_ms, .component = head->component, .note = head->note};
        memcpy(line->level, head->level, sizeof line->level);
        buffer_add(text, chunk->text + head->offset, head->length);
        line->text = text->bytes;
        line->message = text->bytes + head->message;
    }
    pthread_mutex_unlock(&spool->lock);
    return chunk != NULL;
}

size_t spool_components(Spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    size_t count = spool->component_count;
    pthread_mutex_unlock(&spool->lock);
    return count;
}

void spool_component(Spool *spool, int component, char out[64])
{
    pthread_mutex_lock(&spool->lock);
    bool known = component >= 0 && (size_t)component < spool->component_count;
    snprintf(out, 64, "%s", known ? spool->components[component] : "");
    pthread_mutex_unlock(&spool->lock);
}
