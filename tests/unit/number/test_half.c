/* SPDX-License-Identifier: Apache-2.0
 * Two-byte floats: every pattern outward, every boundary inward, against plain arithmetic. */
#include "support.h"

#include "number/format.h"

#include <math.h>

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* What a half is, from the standard's words: (-1)^s * 2^(e-15) * 1.f, subnormal below. */
static double half_value(unsigned half)
{
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const double size = exponent == 0    ? ldexp(fraction, -24)
                        : exponent == 31 ? (fraction ? NAN : INFINITY)
                                         : ldexp(1024 + fraction, exponent - 25);
    return half & 0x8000 ? -size : size;
}

static void every_half_is_its_value(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 65536; h++) {
        const double want = half_value(h), got = (double)f16_to_f32((uint16_t)h);
        if (isnan(want) ? !isnan(got) : want != got || signbit(want) != signbit(got))
            fail_msg("half %04x: want %a got %a", h, want, got);
        if (!isnan(want) && f32_to_f16((float)got) != h)
            fail_msg("half %04x came back as %04x", h, f32_to_f16((float)got));
    }
}

/* Between each half and the next: just below the middle, the middle (to even), just above. */
static void floats_between_halves_go_to_the_nearest(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 0x7bff; h++) {
        const float middle = (float)((half_value(h) + half_value(h + 1)) / 2); /* exact: 12 bits */
        const unsigned even = h & 1 ? h + 1 : h;
        const struct { float x; unsigned want;
        } cases[] = {
            {nextafterf(middle, 0.0f), h},
            {middle, even},
            {nextafterf(middle, INFINITY), h + 1},
        };
        for (int i = 0; i < ARRAY_LEN(cases); i++) {
            if (f32_to_f16(cases[i].x) != cases[i].want)
                fail_msg("%a: want %04x got %04x", (double)cases[i].x, cases[i].want,
                         f32_to_f16(cases[i].x));
            if (f32_to_f16(-cases[i].x) != (cases[i].want | 0x8000))
                fail_msg("%a: want %04x got %04x", (double)-cases[i].x, cases[i].want | 0x8000,
                         f32_to_f16(-cases[i].x));
        }
    }
}

static void ends_of_the_range(void **state)
{
    (void)state;
    static const struct { uint32_t bits, want; } cases[] = {
        { 0x477fe000, 0x7bff },         /* 65504, the largest                               */
        { 0x477fefff, 0x7bff },         /* just under 65520                                 */
        { 0x477ff000, 0x7c00 },         /* 65520 rounds to infinity                         */
        { 0x7f7fffff, 0x7c00 }, { 0x7f800000, 0x7c00 }, { 0xff800000, 0xfc00 },
        { 0x33000000, 0x0000 },         /* 2^-25, the middle between 0 and 2^-24            */
        { 0x33000001, 0x0001 }, { 0x00000001, 0x0000 }, { 0x80000001, 0x8000 },
        { 0x7fc00000, 0x7e00 }, { 0x7f800001, 0x7e00 }, { 0xffffffff, 0xffff },
    };
    for (int i = 0; i < ARRAY_LEN(cases); i++)
        if (f32_to_f16(float_of(cases[i].bits)) != cases[i].want)
            fail_msg("%08x: want %04x got %04x", cases[i].bits, cases[i].want,
                     f32_to_f16(float_of(cases[i].bits)));
}

static void every_bf16_and_its_boundaries(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const float value = bf16_to_f32((uint16_t)h);
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (bits != h << 16) fail_msg("bf16 %04x: got %08x", h, bits);
        if ((h & 0x7fff) > 0x7f80) {            /* NaN stays NaN                            */
            if (!isnan(bf16_to_f32(f32_to_bf16(value)))) fail_msg("NaN %04x was lost", h);
            if (!isnan(bf16_to_f32(f32_to_bf16(float_of(h << 16 | 1)))))
                fail_msg("NaN %04x0001 was lost", h);
            continue;
        }
        const struct { uint32_t bits, want; } cases[] = {
            { h << 16, h }, { h << 16 | 0x7fff, h }, { h << 16 | 0x8000, h & 1 ? h + 1 : h },
            { h << 16 | 0x8001, h + 1 }, { h << 16 | 0xffff, h + 1 },
        };
        for (int i = 0; i < ARRAY_LEN(cases); i++) {
            if ((h & 0x7fff) == 0x7f80 && i > 0) continue;      /* beyond infinity lie NaNs  */
            if (f32_to_bf16(float_of(cases[i].bits)) != cases[i].want)
                fail_msg("%08x: want %04x got %04x", cases[i].bits, cases[i].want,
                         f32_to_bf16(float_of(cases[i].bits)));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_is_its_value),
        cmocka_unit_test(floats_between_halves_go_to_the_nearest),
        cmocka_unit_test(ends_of_the_range),
        cmocka_unit_test(every_bf16_and_its_boundaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
