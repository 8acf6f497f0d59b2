/* SPDX-License-Identifier: Apache-2.0
 * base/arena.h - memory that lives and dies together.  Zeroed, aligned to 64 bytes. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

typedef struct ArenaChunk ArenaChunk;
typedef struct Arena { ArenaChunk *newest; } Arena;     /* { 0 } is an empty arena          */

/* n things of `each` bytes; NULL when the product wraps or there is no memory. */
void *arena_new(Arena *arena, size_t n, size_t each);
/* A copy with a 0 behind it. */
char *arena_text(Arena *arena, const char *text, size_t n_bytes);
void  arena_free(Arena *arena);                         /* everything at once               */

#endif
