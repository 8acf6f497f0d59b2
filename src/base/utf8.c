/* SPDX-License-Identifier: Apache-2.0
 * base/utf8.c - table 3-7 of the Unicode standard (15.0), as code. */
#include "base/utf8.h"

/* Length a first byte announces; 0 for a continuation byte or one that never occurs. */
static size_t announced(uint8_t first)
{
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first < 0xe0) return 2;
    if (first >= 0xe0 && first < 0xf0) return 3;
    if (first >= 0xf0 && first < 0xf5) return 4;
    return 0;
}

/* The second byte decides what is overlong, a surrogate or too large. */
static bool second_allowed(uint8_t first, uint8_t second)
{
    switch (first) {
    case 0xe0: return second >= 0xa0 && second < 0xc0;
    case 0xed: return second >= 0x80 && second < 0xa0;
    case 0xf0: return second >= 0x90 && second < 0xc0;
    case 0xf4: return second >= 0x80 && second < 0x90;
    default:   return second >= 0x80 && second < 0xc0;
    }
}

size_t utf8_decode(const char *s, size_t n_bytes, uint32_t *point)
{
    if (n_bytes == 0) return 0;
    const uint8_t *b = (const uint8_t *)s;
    const size_t n = announced(b[0]);
    if (n == 0 || n > n_bytes) return 0;
    if (n == 1) {
        *point = b[0];
        return 1;
    }
    if (!second_allowed(b[0], b[1])) return 0;
    uint32_t value = b[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((b[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (b[i] & 0x3fu);
    }
    *point = value;
    return n;
}

size_t utf8_encode(uint32_t point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point >= 0xd800 && point < 0xe000) return 0;
    if (point < 0x10000) {
        out[0] = (char)(0xe0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    if (point > 0x10ffff) return 0;
    out[0] = (char)(0xf0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

bool utf8_valid(const char *s, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes;) {
        uint32_t point;
        const size_t step = utf8_decode(s + i, n_bytes - i, &point);
        if (step == 0) return false;
        i += step;
    }
    return true;
}

size_t utf8_unfinished(const char *s, size_t n_bytes)
{
    const uint8_t *b = (const uint8_t *)s;
    for (size_t back = 1; back <= 3 && back <= n_bytes; back++) {
        const uint8_t first = b[n_bytes - back];
        if ((first & 0xc0) == 0x80) continue;               /* a continuation: look further left */
        if (announced(first) <= back) return 0;             /* whole, or never a first byte      */
        if (back >= 2 && !second_allowed(first, b[n_bytes - back + 1])) return 0;
        return back;
    }
    return 0;
}
