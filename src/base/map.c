/* SPDX-License-Identifier: Apache-2.0
 * base/map.c - open addressing, at most half full, linear probing. */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static uint64_t seed_new(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed) return seed;
    return (uint64_t)time(NULL) ^ (uintptr_t)&seed;     /* early at boot: better than none */
}

/* A 64-by-64-bit multiply whose halves are folded; each step mixes 8 key bytes. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t hash_of(const char *key, size_t n, uint64_t seed)
{
    uint64_t h = seed ^ (n * 0x9e3779b97f4a7c15u);
    while (n) {
        uint64_t word = 0;
        const size_t step = n < 8 ? n : 8;
        memcpy(&word, key, step);
        h = fold(h ^ word ^ 0xa0761d6478bd642fu, 0xe7037ed1a0b428dbu ^ seed);
        key += step;
        n -= step;
    }
    return (uint32_t)(h ^ h >> 32);
}

/* The entry that holds the key, or the free one where it belongs. */
static MapEntry *seat(const Map *map, const char *key, size_t n_bytes, uint32_t hash)
{
    for (size_t i = hash & (map->room - 1);; i = (i + 1) & (map->room - 1)) {
        MapEntry *e = &map->entries[i];
        if (!e->key) return e;
        if (e->hash == hash && e->n_bytes == n_bytes && memcmp(e->key, key, n_bytes) == 0) return e;
    }
}

static bool grow(Map *map)
{
    Map bigger = { .room = 64, .seed = seed_new() };
    if (map->room) bigger = (Map){ .room = map->room * 2, .n = map->n, .seed = map->seed };
    bigger.entries = calloc(bigger.room, sizeof *bigger.entries);
    if (!bigger.entries) return false;
    for (size_t i = 0; i < map->room; i++) {
        const MapEntry *e = &map->entries[i];
        if (e->key) *seat(&bigger, e->key, e->n_bytes, e->hash) = *e;
    }
    free(map->entries);
    *map = bigger;
    return true;
}

bool map_put(Map *map, const char *key, size_t n_bytes, int64_t value, bool *existed)
{
    if (n_bytes > UINT32_MAX) return false;
    if (map->n * 2 >= map->room && !grow(map)) return false;
    if (!key) key = "";                 /* NULL marks a free entry */
    const uint32_t hash = hash_of(key, n_bytes, map->seed);
    MapEntry *e = seat(map, key, n_bytes, hash);
    if (existed) *existed = e->key != NULL;
    if (e->key) return true;
    *e = (MapEntry){ .key = key, .n_bytes = (uint32_t)n_bytes, .hash = hash, .value = value };
    map->n++;
    return true;
}

int64_t map_get(const Map *map, const char *key, size_t n_bytes, int64_t otherwise)
{
    if (map->room == 0 || n_bytes > UINT32_MAX) return otherwise;
    if (!key) key = "";
    const MapEntry *e = seat(map, key, n_bytes, hash_of(key, n_bytes, map->seed));
    return e->key ? e->value : otherwise;
}

void map_free(Map *map)
{
    free(map->entries);
    *map = (Map){ 0 };
}
