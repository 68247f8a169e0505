/* SPDX-License-Identifier: Apache-2.0 */
#include "core/arena.h"

#include "core/frames.h"
#include "lib/host.h"
#include <string.h>

#define ARENA_ALIGN 64U

struct arena_chunk {
    _Alignas(ARENA_ALIGN) struct arena_chunk *next;
    size_t size; /* of the chunk, this header included */
};

static size_t round_up(size_t size, size_t to)
{
    return (size + to - 1) / to * to;
}

/*
 * Most objects are small, and a few (the VM itself, its vCPUs) larger than a page: a chunk is one page, or just as many
 * as one object needs. The chunk with the most room left is the one that is filled.
 */
static struct arena_chunk *chunk_take(size_t object)
{
    size_t size = round_up(sizeof(struct arena_chunk) + object, AXVM_PAGE_SIZE);
    struct arena_chunk *chunk;
    hpa_t frames;

    if (frames_take(size, &frames) != AXVM_OK) {
        return NULL;
    }
    chunk = hal->hpa_to_hva(frames);
    memset(chunk, 0, size);
    chunk->size = size;
    return chunk;
}

/* Put a new chunk, of which `used` bytes are taken, into the list. */
static void chunk_add(struct arena *arena, struct arena_chunk *chunk, size_t used)
{
    struct arena_chunk *newest = arena->chunks;

    if (newest != NULL && newest->size - arena->used > chunk->size - used) {
        chunk->next = newest->next;
        newest->next = chunk;
    } else {
        chunk->next = newest;
        arena->chunks = chunk;
        arena->used = used;
    }
    arena->bytes += chunk->size;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    struct arena_chunk *chunk = arena->chunks;
    void *object;

    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    size = round_up(size, ARENA_ALIGN);
    if (chunk != NULL && chunk->size - arena->used >= size) {
        object = (char *)chunk + arena->used;
        arena->used += size;
        return object;
    }
    chunk = chunk_take(size);
    if (chunk == NULL) {
        return NULL;
    }
    chunk_add(arena, chunk, sizeof(*chunk) + size);
    return chunk + 1;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    size_t size = text == NULL ? 0 : strlen(text) + 1;
    char *copy = text == NULL ? NULL : arena_alloc(arena, size);

    return copy == NULL ? NULL : memcpy(copy, text, size);
}

void arena_free_all(struct arena *arena)
{
    struct arena_chunk *chunk = arena->chunks;

    *arena = (struct arena){0};
    while (chunk != NULL) {
        struct arena_chunk *next = chunk->next;

        frames_give(hal->hva_to_hpa(chunk), chunk->size);
        chunk = next;
    }
}
