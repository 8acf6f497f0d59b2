/* SPDX-License-Identifier: Apache-2.0
 * text/charsmap.c - walks the double array with every index checked: it comes from a file. */
#include "text/charsmap.h"
#include "base/checked.h"

#include <stdlib.h>

/* A unit of the array, as Darts-clone packs it. */
static bool     unit_is_end(uint32_t unit) { return unit >> 8 & 1; }
static uint32_t unit_label(uint32_t unit)  { return unit & (1u << 31 | 0xff); }
static uint32_t unit_offset(uint32_t unit) { return unit >> 10 << ((unit & 1u << 9) >> 6); }
static uint32_t unit_value(uint32_t unit)  { return unit & ~(1u << 31); }

Status charsmap_open(const void *bytes, size_t n_bytes, const char *name, Charsmap *out,
                     Error *error)
{
    *out = (Charsmap){ 0 };
    if (n_bytes == 0) return OK;
    Cursor c = cursor_over(bytes, n_bytes);
    const uint32_t array_bytes = cursor_u32(&c);
    const void *array = cursor_take(&c, array_bytes);
    if (c.bad || array_bytes == 0 || array_bytes % 4 != 0) {
        return fail(error, BAD_FILE,
                    "%s: precompiled_charsmap says its array has %u bytes, of %zu in all", name,
                    array_bytes, n_bytes);
    }
    const size_t left = cursor_left(&c);
    if (left == 0 || c.at[left - 1] != 0) {
        return fail(error, BAD_FILE, "%s: the last string of precompiled_charsmap has no end",
                    name);
    }
    out->units = malloc(array_bytes);
    if (!out->units) return fail_memory(error, "precompiled_charsmap");
    memcpy(out->units, array, array_bytes);
    out->n_units = array_bytes / 4;
    out->strings = (const char *)c.at;
    out->strings_bytes = left;
    return OK;
}

void charsmap_close(Charsmap *map)
{
    free(map->units);
    *map = (Charsmap){ 0 };
}

size_t charsmap_replace(const Charsmap *map, const char *text, size_t n_bytes, const char **instead)
{
    if (!map->units) return 0;
    size_t longest = 0;
    uint32_t at = unit_offset(map->units[0]);
    for (size_t i = 0; i < n_bytes; i++) {
        const uint8_t byte = (uint8_t)text[i];
        at ^= byte;
        if (at >= map->n_units || unit_label(map->units[at]) != byte) break;
        const uint32_t unit = map->units[at];
        at ^= unit_offset(unit);
        if (!unit_is_end(unit)) continue;
        if (at >= map->n_units) break;
        const uint32_t value = unit_value(map->units[at]);
        if (value >= map->strings_bytes) break;
        longest = i + 1;
        *instead = map->strings + value;
    }
    return longest;
}
