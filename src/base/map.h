/* SPDX-License-Identifier: Apache-2.0
 * base/map.h - byte strings to numbers, by hash (200,000 tensor names are looked up, not scanned).
 *
 * Keys are borrowed and must outlive the map.  Every map has its own random seed, so that no file
 * can be built to collide; nothing may depend on the order inside, and nothing can see it. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct MapEntry { const char *key; uint32_t n_bytes, hash; int64_t value; } MapEntry;
typedef struct Map { MapEntry *entries; size_t n, room; uint64_t seed; } Map;  /* { 0 } is empty */

/* False when there is no memory.  An existing key keeps its first value, *existed says so. */
bool map_put(Map *map, const char *key, size_t n_bytes, int64_t value, bool *existed);
/* The value, or `otherwise`. */
int64_t map_get(const Map *map, const char *key, size_t n_bytes, int64_t otherwise);
void map_free(Map *map);

#endif
