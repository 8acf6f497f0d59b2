/* SPDX-License-Identifier: Apache-2.0
 * text/jinja/unicode.c - what Python knows about characters: kinds, and upper and lower case. */
#include "base/utf8.h"
#include "text/jinja/vm.h"

#include <stddef.h>
#include <string.h>
#include <utf8proc.h>

/* ---- kinds ---- */

static utf8proc_category_t category(uint32_t point)
{
    return utf8proc_category((utf8proc_int32_t)point);
}

bool point_is_space(uint32_t point)
{
    if (point < 0x80) return (point >= 9 && point <= 13) || (point >= 28 && point <= 32);
    return point == 0x85 || category(point) == UTF8PROC_CATEGORY_ZS ||
           category(point) == UTF8PROC_CATEGORY_ZL || category(point) == UTF8PROC_CATEGORY_ZP;
}

bool point_is_letter(uint32_t point)
{
    const utf8proc_category_t c = category(point);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool point_is_digit(uint32_t point)
{
    return category(point) == UTF8PROC_CATEGORY_ND;
}

bool point_is_word(uint32_t point)
{
    if (point == '_') return true;
    if (point < 0x80)
        return (point | 0x20) >= 'a' ? (point | 0x20) <= 'z' : point >= '0' && point <= '9';
    const utf8proc_category_t c = category(point);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NO;
}

bool point_is_upper(uint32_t point)
{
    return utf8proc_isupper((utf8proc_int32_t)point) != 0 && !point_is_title(point);
}

bool point_is_lower(uint32_t point)
{
    return utf8proc_islower((utf8proc_int32_t)point) != 0;
}

bool point_is_title(uint32_t point)
{
    return category(point) == UTF8PROC_CATEGORY_LT;
}

bool point_is_printable(uint32_t point)
{
    if (point < 0x80) return point >= 0x20 && point < 0x7f;
    switch (category(point)) {
    case UTF8PROC_CATEGORY_CN: case UTF8PROC_CATEGORY_CC: case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS: case UTF8PROC_CATEGORY_CO: case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: case UTF8PROC_CATEGORY_ZS: return false;
    default:                                              return true;
    }
}

/* ---- case ---- */

/* Characters that become several in upper or title case.  Source: Unicode, SpecialCasing.txt. */
static const struct { uint16_t point, upper[3], title[3]; } several[] = {
    { 0x00df, { 0x53, 0x53 },            { 0x53, 0x73 } },
    { 0x0149, { 0x2bc, 0x4e },           { 0x2bc, 0x4e } },
    { 0x01f0, { 0x4a, 0x30c },           { 0x4a, 0x30c } },
    { 0x0390, { 0x399, 0x308, 0x301 },   { 0x399, 0x308, 0x301 } },
    { 0x03b0, { 0x3a5, 0x308, 0x301 },   { 0x3a5, 0x308, 0x301 } },
    { 0x0587, { 0x535, 0x552 },          { 0x535, 0x582 } },
    { 0x1e96, { 0x48, 0x331 },           { 0x48, 0x331 } },
    { 0x1e97, { 0x54, 0x308 },           { 0x54, 0x308 } },
    { 0x1e98, { 0x57, 0x30a },           { 0x57, 0x30a } },
    { 0x1e99, { 0x59, 0x30a },           { 0x59, 0x30a } },
    { 0x1e9a, { 0x41, 0x2be },           { 0x41, 0x2be } },
    { 0x1f50, { 0x3a5, 0x313 },          { 0x3a5, 0x313 } },
    { 0x1f52, { 0x3a5, 0x313, 0x300 },   { 0x3a5, 0x313, 0x300 } },
    { 0x1f54, { 0x3a5, 0x313, 0x301 },   { 0x3a5, 0x313, 0x301 } },
    { 0x1f56, { 0x3a5, 0x313, 0x342 },   { 0x3a5, 0x313, 0x342 } },
    { 0x1f80, { 0x1f08, 0x399 },         { 0x1f88 } },
    { 0x1f81, { 0x1f09, 0x399 },         { 0x1f89 } },
    { 0x1f82, { 0x1f0a, 0x399 },         { 0x1f8a } },
    { 0x1f83, { 0x1f0b, 0x399 },         { 0x1f8b } },
    { 0x1f84, { 0x1f0c, 0x399 },         { 0x1f8c } },
    { 0x1f85, { 0x1f0d, 0x399 },         { 0x1f8d } },
    { 0x1f86, { 0x1f0e, 0x399 },         { 0x1f8e } },
    { 0x1f87, { 0x1f0f, 0x399 },         { 0x1f8f } },
    { 0x1f88, { 0x1f08, 0x399 },         { 0x1f88 } },
    { 0x1f89, { 0x1f09, 0x399 },         { 0x1f89 } },
    { 0x1f8a, { 0x1f0a, 0x399 },         { 0x1f8a } },
    { 0x1f8b, { 0x1f0b, 0x399 },         { 0x1f8b } },
    { 0x1f8c, { 0x1f0c, 0x399 },         { 0x1f8c } },
    { 0x1f8d, { 0x1f0d, 0x399 },         { 0x1f8d } },
    { 0x1f8e, { 0x1f0e, 0x399 },         { 0x1f8e } },
    { 0x1f8f, { 0x1f0f, 0x399 },         { 0x1f8f } },
    { 0x1f90, { 0x1f28, 0x399 },         { 0x1f98 } },
    { 0x1f91, { 0x1f29, 0x399 },         { 0x1f99 } },
    { 0x1f92, { 0x1f2a, 0x399 },         { 0x1f9a } },
    { 0x1f93, { 0x1f2b, 0x399 },         { 0x1f9b } },
    { 0x1f94, { 0x1f2c, 0x399 },         { 0x1f9c } },
    { 0x1f95, { 0x1f2d, 0x399 },         { 0x1f9d } },
    { 0x1f96, { 0x1f2e, 0x399 },         { 0x1f9e } },
    { 0x1f97, { 0x1f2f, 0x399 },         { 0x1f9f } },
    { 0x1f98, { 0x1f28, 0x399 },         { 0x1f98 } },
    { 0x1f99, { 0x1f29, 0x399 },         { 0x1f99 } },
    { 0x1f9a, { 0x1f2a, 0x399 },         { 0x1f9a } },
    { 0x1f9b, { 0x1f2b, 0x399 },         { 0x1f9b } },
    { 0x1f9c, { 0x1f2c, 0x399 },         { 0x1f9c } },
    { 0x1f9d, { 0x1f2d, 0x399 },         { 0x1f9d } },
    { 0x1f9e, { 0x1f2e, 0x399 },         { 0x1f9e } },
    { 0x1f9f, { 0x1f2f, 0x399 },         { 0x1f9f } },
    { 0x1fa0, { 0x1f68, 0x399 },         { 0x1fa8 } },
    { 0x1fa1, { 0x1f69, 0x399 },         { 0x1fa9 } },
    { 0x1fa2, { 0x1f6a, 0x399 },         { 0x1faa } },
    { 0x1fa3, { 0x1f6b, 0x399 },         { 0x1fab } },
    { 0x1fa4, { 0x1f6c, 0x399 },         { 0x1fac } },
    { 0x1fa5, { 0x1f6d, 0x399 },         { 0x1fad } },
    { 0x1fa6, { 0x1f6e, 0x399 },         { 0x1fae } },
    { 0x1fa7, { 0x1f6f, 0x399 },         { 0x1faf } },
    { 0x1fa8, { 0x1f68, 0x399 },         { 0x1fa8 } },
    { 0x1fa9, { 0x1f69, 0x399 },         { 0x1fa9 } },
    { 0x1faa, { 0x1f6a, 0x399 },         { 0x1faa } },
    { 0x1fab, { 0x1f6b, 0x399 },         { 0x1fab } },
    { 0x1fac, { 0x1f6c, 0x399 },         { 0x1fac } },
    { 0x1fad, { 0x1f6d, 0x399 },         { 0x1fad } },
    { 0x1fae, { 0x1f6e, 0x399 },         { 0x1fae } },
    { 0x1faf, { 0x1f6f, 0x399 },         { 0x1faf } },
    { 0x1fb2, { 0x1fba, 0x399 },         { 0x1fba, 0x345 } },
    { 0x1fb3, { 0x391, 0x399 },          { 0x1fbc } },
    { 0x1fb4, { 0x386, 0x399 },          { 0x386, 0x345 } },
    { 0x1fb6, { 0x391, 0x342 },          { 0x391, 0x342 } },
    { 0x1fb7, { 0x391, 0x342, 0x399 },   { 0x391, 0x342, 0x345 } },
    { 0x1fbc, { 0x391, 0x399 },          { 0x1fbc } },
    { 0x1fc2, { 0x1fca, 0x399 },         { 0x1fca, 0x345 } },
    { 0x1fc3, { 0x397, 0x399 },          { 0x1fcc } },
    { 0x1fc4, { 0x389, 0x399 },          { 0x389, 0x345 } },
    { 0x1fc6, { 0x397, 0x342 },          { 0x397, 0x342 } },
    { 0x1fc7, { 0x397, 0x342, 0x399 },   { 0x397, 0x342, 0x345 } },
    { 0x1fcc, { 0x397, 0x399 },          { 0x1fcc } },
    { 0x1fd2, { 0x399, 0x308, 0x300 },   { 0x399, 0x308, 0x300 } },
    { 0x1fd3, { 0x399, 0x308, 0x301 },   { 0x399, 0x308, 0x301 } },
    { 0x1fd6, { 0x399, 0x342 },          { 0x399, 0x342 } },
    { 0x1fd7, { 0x399, 0x308, 0x342 },   { 0x399, 0x308, 0x342 } },
    { 0x1fe2, { 0x3a5, 0x308, 0x300 },   { 0x3a5, 0x308, 0x300 } },
    { 0x1fe3, { 0x3a5, 0x308, 0x301 },   { 0x3a5, 0x308, 0x301 } },
    { 0x1fe4, { 0x3a1, 0x313 },          { 0x3a1, 0x313 } },
    { 0x1fe6, { 0x3a5, 0x342 },          { 0x3a5, 0x342 } },
    { 0x1fe7, { 0x3a5, 0x308, 0x342 },   { 0x3a5, 0x308, 0x342 } },
    { 0x1ff2, { 0x1ffa, 0x399 },         { 0x1ffa, 0x345 } },
    { 0x1ff3, { 0x3a9, 0x399 },          { 0x1ffc } },
    { 0x1ff4, { 0x38f, 0x399 },          { 0x38f, 0x345 } },
    { 0x1ff6, { 0x3a9, 0x342 },          { 0x3a9, 0x342 } },
    { 0x1ff7, { 0x3a9, 0x342, 0x399 },   { 0x3a9, 0x342, 0x345 } },
    { 0x1ffc, { 0x3a9, 0x399 },          { 0x1ffc } },
    { 0xfb00, { 0x46, 0x46 },            { 0x46, 0x66 } },
    { 0xfb01, { 0x46, 0x49 },            { 0x46, 0x69 } },
    { 0xfb02, { 0x46, 0x4c },            { 0x46, 0x6c } },
    { 0xfb03, { 0x46, 0x46, 0x49 },      { 0x46, 0x66, 0x69 } },
    { 0xfb04, { 0x46, 0x46, 0x4c },      { 0x46, 0x66, 0x6c } },
    { 0xfb05, { 0x53, 0x54 },            { 0x53, 0x74 } },
    { 0xfb06, { 0x53, 0x54 },            { 0x53, 0x74 } },
    { 0xfb13, { 0x544, 0x546 },          { 0x544, 0x576 } },
    { 0xfb14, { 0x544, 0x535 },          { 0x544, 0x565 } },
    { 0xfb15, { 0x544, 0x53b },          { 0x544, 0x56b } },
    { 0xfb16, { 0x54e, 0x546 },          { 0x54e, 0x576 } },
    { 0xfb17, { 0x544, 0x53d },          { 0x544, 0x56d } },
};

static const uint16_t *several_find(uint32_t point, bool title)
{
    int low = 0, high = ARRAY_LEN(several);
    while (low < high) {
        const int middle = (low + high) / 2;
        if (several[middle].point == point)
            return title ? several[middle].title : several[middle].upper;
        if (several[middle].point < point) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

/* A letter's case, or something that has case; what stands between cased letters of one word. */
static bool is_cased(uint32_t point)
{
    return point_is_upper(point) || point_is_lower(point) || point_is_title(point);
}

static bool is_case_ignorable(uint32_t point)
{
    if (point < 0x80) return strchr("'.:^`", (int)point) != NULL && point;
    if (point == 0xb7 || point == 0x2019 || point == 0x2018 || point == 0x2024 || point == 0x2027)
        return true;
    switch (category(point)) {
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_ME: case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_SK: return true;
    default:                                              return false;
    }
}

/* Is the capital sigma at `at` the last letter of its word?  Then its lower case is another. */
static bool sigma_is_final(const Str *s, size_t at)
{
    uint32_t point = 0;
    size_t i = at;
    bool before = false;
    while (i > 0 && !before) {
        do i--; while (i > 0 && ((uint8_t)s->bytes[i] & 0xc0) == 0x80);
        utf8_decode(s->bytes + i, s->n_bytes - i, &point);
        if (!is_case_ignorable(point)) break;
    }
    before = at > 0 && is_cased(point) && !is_case_ignorable(point);
    for (i = at + 2; before && i < s->n_bytes;) {
        i += utf8_decode(s->bytes + i, s->n_bytes - i, &point);
        if (is_case_ignorable(point)) continue;
        return !is_cased(point);
    }
    return before;
}

static Status add_point(Vm *vm, Text *text, uint32_t point, const Str *s, size_t at)
{
    char bytes[4];
    return text_add_like(vm, text, bytes, utf8_encode(point, bytes), s, at);
}

static Status add_several(Vm *vm, Text *text, const uint16_t points[3], const Str *s, size_t at)
{
    for (int i = 0; i < 3 && points[i]; i++) TRY(add_point(vm, text, points[i], s, at));
    return OK;
}

static Status add_lower(Vm *vm, Text *text, uint32_t point, const Str *s, size_t at)
{
    static const uint16_t dotted[3] = { 'i', 0x307 };
    if (point == 0x130) return add_several(vm, text, dotted, s, at);
    if (point == 0x3a3) return add_point(vm, text, sigma_is_final(s, at) ? 0x3c2 : 0x3c3, s, at);
    return add_point(vm, text, (uint32_t)utf8proc_tolower((utf8proc_int32_t)point), s, at);
}

static Status add_upper(Vm *vm, Text *text, uint32_t point, bool title, const Str *s, size_t at)
{
    const uint16_t *more = several_find(point, title);
    if (more) return add_several(vm, text, more, s, at);
    const utf8proc_int32_t p = (utf8proc_int32_t)point;
    return add_point(vm, text, (uint32_t)(title ? utf8proc_totitle(p) : utf8proc_toupper(p)), s,
                     at);
}

Status str_to_case(Vm *vm, const Str *s, CaseTo to, Value *out)
{
    Text text = { 0 };
    bool in_word = false;               /* of CASE_TITLE: the character before has case */
    for (size_t at = 0; at < s->n_bytes;) {
        uint32_t point = 0;
        const size_t step = utf8_decode(s->bytes + at, s->n_bytes - at, &point);
        if (step == 0) break;           /* cannot be: strings are valid */
        const bool lower = to == CASE_LOWER || (to == CASE_CAPITAL && at > 0) ||
                           (to == CASE_TITLE && in_word) ||
                           (to == CASE_SWAP && point_is_upper(point));
        const bool keep = to == CASE_SWAP && !point_is_upper(point) && !point_is_lower(point);
        if (keep) TRY(text_add_str(vm, &text, s, at, at + step));
        else if (lower) TRY(add_lower(vm, &text, point, s, at));
        else TRY(add_upper(vm, &text, point, to == CASE_TITLE || to == CASE_CAPITAL, s, at));
        in_word = is_cased(point);
        at += step;
    }
    return text_value(vm, &text, out);
}
