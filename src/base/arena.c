/* SPDX-License-Identifier: Apache-2.0
 * base/arena.c - chunks in a list; the newest hands out its bytes from the front. */
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 64 << 10, ALIGN = 64 };

struct ArenaChunk {
    ArenaChunk *older;
    size_t      used, room;
    _Alignas(ALIGN) unsigned char bytes[];
};

static ArenaChunk *chunk_new(ArenaChunk *older, size_t room)
{
    if (room > SIZE_MAX - sizeof(ArenaChunk) - ALIGN) return NULL;
    const size_t whole = (sizeof(ArenaChunk) + room + ALIGN - 1) / ALIGN * ALIGN;
    ArenaChunk *chunk = aligned_alloc(ALIGN, whole);
    if (!chunk) return NULL;
    *chunk = (ArenaChunk){ .older = older, .room = room };
    return chunk;
}

void *arena_new(Arena *arena, size_t n, size_t each)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, each, &bytes) || bytes > SIZE_MAX / 2) return NULL;
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    ArenaChunk *chunk = arena->newest;
    if (chunk && bytes > CHUNK_BYTES) {         /* a chunk of its own, behind the one in use */
        ArenaChunk *own = chunk_new(chunk->older, bytes);
        if (own) chunk->older = own;
        chunk = own;
    } else if (!chunk || chunk->room - chunk->used < bytes) {
        chunk = chunk_new(chunk, bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES);
        if (chunk) arena->newest = chunk;
    }
    if (!chunk) return NULL;
    void *here = chunk->bytes + chunk->used;
    chunk->used += bytes;
    return memset(here, 0, bytes);
}

char *arena_text(Arena *arena, const char *text, size_t n_bytes)
{
    char *copy = n_bytes < SIZE_MAX ? arena_new(arena, n_bytes + 1, 1) : NULL;
    if (copy && n_bytes) memcpy(copy, text, n_bytes);
    return copy;
}

void arena_free(Arena *arena)
{
    while (arena->newest) {
        ArenaChunk *chunk = arena->newest;
        arena->newest = chunk->older;
        free(chunk);
    }
}
