/* SPDX-License-Identifier: Apache-2.0
 * base/checked.h - arithmetic on numbers that came from outside (decision D7).
 *
 * Every function answers "did it fit?"; *out is written only when it did. */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline bool checked_add(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool checked_mul(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* Does [offset, offset + bytes) lie inside [0, total)?  Nothing wraps. */
static inline bool range_inside(uint64_t offset, uint64_t bytes, uint64_t total)
{
    return offset <= total && bytes <= total - offset;
}

/* Untrusted bytes in memory, read from the front, little endian.  A read past the end returns
 * zeros and sets `bad`, which stays set: check it once after a group of reads. */
typedef struct Cursor {
    const uint8_t *at, *end;
    bool           bad;
} Cursor;

static inline Cursor cursor_over(const void *bytes, size_t n_bytes)
{
    const uint8_t *at = bytes;
    return (Cursor){ .at = at, .end = at ? at + n_bytes : at };     /* C knows no NULL + 0 */
}

static inline size_t cursor_left(const Cursor *c)
{
    return (size_t)(c->end - c->at);
}

/* The next n bytes, borrowed; NULL (and bad) when there are fewer. */
static inline const void *cursor_take(Cursor *c, size_t n)
{
    if (c->bad || cursor_left(c) < n) {
        c->bad = true;
        return NULL;
    }
    const void *here = c->at;
    c->at += n;
    return here;
}

#define CURSOR_READ(name, type)                                                                    \
    static inline type cursor_##name(Cursor *c)                                                    \
    {                                                                                              \
        type value = 0;                                                                            \
        const void *from = cursor_take(c, sizeof value);                                           \
        if (from) memcpy(&value, from, sizeof value);                                              \
        return value;                                                                              \
    }
CURSOR_READ(u8, uint8_t)
CURSOR_READ(u16, uint16_t)
CURSOR_READ(u32, uint32_t)
CURSOR_READ(u64, uint64_t)
CURSOR_READ(f32, float)
#undef CURSOR_READ

#endif
