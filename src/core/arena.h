/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An arena owns everything that is allocated for one VM: freeing the arena frees all of it, so no error path leaks.
 * Grows by runs of the host's frames; single objects are not freed.
 */
#ifndef AXVM_CORE_ARENA_H
#define AXVM_CORE_ARENA_H

#include <axvm/types.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* each begins with its own header; the first is the one being filled */
    size_t used;                /* bytes used of the first chunk */
    size_t bytes;               /* total taken from the host, for the statistics */
};

/* Zeroed memory, aligned to 64 bytes; NULL when the host has no frames left. Not locked: one caller at a time. */
void *arena_alloc(struct arena *arena, size_t size);

/* A copy of `text` (NULL stays NULL and is no failure: check text first). */
char *arena_strdup(struct arena *arena, const char *text);

void arena_free_all(struct arena *arena);

#endif
