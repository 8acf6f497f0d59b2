/* SPDX-License-Identifier: Apache-2.0
 * Drawn blocks: about normal, of the deviation asked for, finite, and the same for the same seed.
 */
#include "support.h"

#include "number/format.h"

#include <math.h>

enum { N = 1 << 20 };
static float x[N];
static uint8_t blocks[N * 4];

/* Over n numbers the deviation is known to sqrt((kurtosis - 1) / 4n) = 0.08 % (kurtosis up to 3.5),
 * and a scale of these sizes as a half to 2^-10 (Q6_K's super scale is subnormal there: ten bits
 * are left); five deviations and that are 0.5 %.  The mean: 5 / sqrt(n) of the deviation, and for
 * formats with a minimum its rounding to a half, 2^-12 of 15.5 steps of a deviation / 7. */
static void deviation_mean_and_shape(void **state)
{
    (void)state;
    static const float deviations[] = { 0.02f, 0.5f };
    for (int format = 0; format < N_FORMATS; format++)
        for (int d = 0; d < ARRAY_LEN(deviations); d++) {
            const FormatInfo *info = &format_info[format];
            const double want = (double)deviations[d];
            Rng rng = { 11 };
            double sum = 0.0, squares = 0.0, fourths = 0.0;
            info->draw(blocks, N, deviations[d], &rng);
            info->decode(x, blocks, N);
            for (int i = 0; i < N; i++) {
                if (!isfinite(x[i])) fail_msg("%s: number %d is %g", info->name, i, (double)x[i]);
                const double z = (double)x[i] / want;
                sum += z;
                squares += z * z;
                fourths += z * z * z * z;
            }
            const double deviation = sqrt(squares / N), mean = sum / N,
                         kurtosis = fourths / N / (deviation * deviation * deviation * deviation);
            if (fabs(deviation - 1.0) > 0.005)
                fail_msg("%s: deviation %g, asked for %g", info->name, want * deviation, want);
            if (fabs(mean) > 5.0 / sqrt(N) + 0x1p-12 * 15.5 / 7)
                fail_msg("%s: mean %g of a deviation", info->name, mean);
            /* A normal distribution has 3, a uniform one 1.8, two values 1. */
            if (kurtosis < 2.5 || kurtosis > 3.5) fail_msg("%s: kurtosis %g", info->name, kurtosis);
        }
}

/* Neighbours have nothing to do with each other: correlation within five deviations of 0. */
static void neighbours_are_independent(void **state)
{
    (void)state;
    static const int apart[] = { 1, 2, 5, 10, 16, 32, 256 };
    for (int format = 0; format < N_FORMATS; format++) {
        Rng rng = { 12 };
        format_info[format].draw(blocks, N, 1.0f, &rng);
        format_info[format].decode(x, blocks, N);
        for (int k = 0; k < ARRAY_LEN(apart); k++) {
            double sum = 0.0;
            for (int i = apart[k]; i < N; i++) sum += (double)x[i] * (double)x[i - apart[k]];
            if (fabs(sum / N) > 6.0 / sqrt(N))
                fail_msg("%s: correlation %g at distance %d", format_info[format].name, sum / N,
                         apart[k]);
        }
    }
}

/* FNV-1a of what seed 5 draws: a seed means the same file everywhere and always. */
static void a_seed_means_the_same_bytes(void **state)
{
    (void)state;
    static const uint64_t want[N_FORMATS] = {
        0x0d82f73371782e88, 0xd089d6e5211378cf, 0xf1d67b2667bd2ece,
        0x293c8086fc6189a3, 0xc0cc5b134f666f10, 0xf493af01fa7f3b61,
        0xf1180b5e9ad79ef3, 0xc99c09c1bd90b802, 0x45a85c17adb7a789,
        0x77e38222f5bf311d, 0x26f4dab344809cb7, 0x34a3b0a0bf32a19c,
        0x2a5475faa7ecd336,
    };
    for (int format = 0; format < N_FORMATS; format++) {
        Rng rng = { 5 };
        format_info[format].draw(blocks, 4096, 0.02f, &rng);
        uint64_t hash = 0xcbf29ce484222325u;
        for (int64_t i = 0; i < format_row_bytes((Format)format, 4096); i++)
            hash = (hash ^ blocks[i]) * 0x100000001b3u;
        if (hash != want[format])
            fail_msg("%s: want %016llx got %016llx", format_info[format].name,
                     (unsigned long long)want[format], (unsigned long long)hash);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deviation_mean_and_shape),
        cmocka_unit_test(neighbours_are_independent),
        cmocka_unit_test(a_seed_means_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
