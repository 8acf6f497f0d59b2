/* SPDX-License-Identifier: Apache-2.0
 * Random numbers: the published ones, the same everywhere, and even. */
#include "tests/support.h"

#include "base/rng.h"

/* Source: the output of Vigna's splitmix64.c for seed 1234567. */
static void as_published(void **state)
{
    (void)state;
    static const uint64_t want[] = { 6457827717110365317u, 3203168211198807973u,
                                     9817491932198370423u, 4593380528125082431u,
                                     16408922859458223821u };
    Rng rng = { .state = 1234567 };
    for (int i = 0; i < 5; i++) {
        const uint64_t got = rng_bits(&rng);
        if (got != want[i])
            fail_msg("number %d: want %llu, got %llu", i, (unsigned long long)want[i],
                     (unsigned long long)got);
    }
}

static void units_are_even(void **state)
{
    (void)state;
    enum { N = 1 << 20, BINS = 64 };
    int count[BINS] = { 0 };
    Rng rng = { .state = 0 };
    for (int i = 0; i < N; i++) {
        const double u = rng_unit(&rng);
        assert_true(u >= 0 && u < 1);
        count[(int)(u * BINS)]++;
    }
    /* A bin is binomial: mean 16384, standard deviation 127; six of those either way. */
    for (int i = 0; i < BINS; i++)
        if (abs(count[i] - N / BINS) > 6 * 127)
            fail_msg("seed 0, bin %d: want about %d, got %d", i, N / BINS, count[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(as_published),
                                        cmocka_unit_test(units_are_even) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
