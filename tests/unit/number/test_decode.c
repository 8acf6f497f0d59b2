/* SPDX-License-Identifier: Apache-2.0
 * Decoders against another implementation's answers, bit for bit: random blocks, and blocks whose
 * scales are zero, subnormal, the largest, infinite and NaN. */
#include "vectors.h"

#include "number/format.h"

#include <ctype.h>
#include <math.h>

static void check_format(Format format)
{
    const FormatInfo *info = &format_info[format];
    char name[16] = { 0 };
    for (int i = 0; info->name[i]; i++) name[i] = (char)tolower((unsigned char)info->name[i]);

    void *blocks, *numbers;
    const size_t values = (size_t)info->block_values;
    const uint32_t n =
        read_vectors(name, (size_t)info->block_bytes, &blocks, values * sizeof(float), &numbers);
    const float *want = numbers;
    float *got = malloc(n * values * sizeof *got);
    info->decode(got, blocks, n * values);
    for (size_t i = 0; i < n * values; i++) {
        /* Of two NaNs that meet, which one goes on is the compiler's choice. */
        if (isnan(want[i]) && isnan(got[i])) continue;
        if (!bits_equal(&want[i], &got[i], sizeof *got))
            fail_msg("%s block %zu number %zu: want %a got %a", info->name, i / values, i % values,
                     (double)want[i], (double)got[i]);
    }
    free(blocks);
    free(numbers);
    free(got);
}

static void block_formats_agree_bit_for_bit(void **state)
{
    (void)state;
    for (int format = Q4_0; format < N_FORMATS; format++) check_format((Format)format);
}

/* F32, F16 and BF16 rows are their conversions, number by number. */
static void plain_formats_convert_each_number(void **state)
{
    (void)state;
    static uint16_t halves[65536];
    static float got[65536];
    for (unsigned h = 0; h < 65536; h++) halves[h] = (uint16_t)h;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        format_info[bf16 ? BF16 : F16].decode(got, halves, 65536);
        for (unsigned h = 0; h < 65536; h++) {
            const float want = bf16 ? bf16_to_f32((uint16_t)h) : f16_to_f32((uint16_t)h);
            if (!bits_equal(&want, &got[h], sizeof want))
                fail_msg("half %04x: want %a got %a", h, (double)want, (double)got[h]);
        }
    }
    const float x[3] = { 1.5f, -INFINITY, 1e-42f };
    format_info[F32].decode(got, x, 3);
    assert_memory_equal(got, x, sizeof x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_formats_agree_bit_for_bit),
        cmocka_unit_test(plain_formats_convert_each_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
