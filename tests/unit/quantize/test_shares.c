/* SPDX-License-Identifier: Apache-2.0
 * Shares of routing: the law, its cap, and offsets judged by drawing (the integral never judges itself). */
#include "base/rng.h"
#include "quantize/shares.h"

#include "support.h"

#include <math.h>

static double sum(const double *x, int n)
{
    double all = 0;
    for (int i = 0; i < n; i++) all += x[i];
    return all;
}

static void test_law(void **state)
{
    (void)state;
    double s[8];
    zipf_shares(8, 2, 0, s);
    for (int e = 0; e < 8; e++) assert_true(fabs(s[e] - 0.125) < 1e-15);
    zipf_shares(8, 2, 1, s);
    for (int e = 0; e < 8; e++) assert_true(fabs(s[e] - s[0] / (e + 1)) < 1e-15);
    assert_true(fabs(sum(s, 8) - 1) < 1e-12);
}

/* Nobody is chosen twice by a token: what is over the cap goes to the others, in proportion. */
static void test_cap(void **state)
{
    (void)state;
    double s[16];
    zipf_shares(8, 2, 3, s);
    assert_true(fabs(s[0] - 0.495) < 1e-12);
    assert_true(s[1] < 0.495);
    assert_true(fabs(s[2] / s[1] - pow(2.0 / 3, 3)) < 1e-12);
    assert_true(fabs(sum(s, 8) - 1) < 1e-12);
    zipf_shares(16, 4, 4, s);
    assert_true(s[2] <= 0.2475 + 1e-12 && fabs(sum(s, 16) - 1) < 1e-12);
    zipf_shares(4, 4, 2, s);                            /* all are used always                  */
    for (int e = 0; e < 4; e++) assert_true(fabs(s[e] - 0.25) < 1e-15);
}

static double normal(Rng *rng)
{
    return sqrt(-2 * log(1 - rng_unit(rng))) * cos(6.283185307179586 * rng_unit(rng));
}

static void draw_shares(int n, int used, const double *offsets, int n_draws, Rng *rng, double *got)
{
    double score[64];
    for (int e = 0; e < n; e++) got[e] = 0;
    for (int i = 0; i < n_draws; i++) {
        for (int e = 0; e < n; e++) score[e] = offsets[e] + normal(rng);
        for (int u = 0; u < used; u++) {
            int best = 0;
            for (int e = 1; e < n; e++) best = score[e] > score[best] ? e : best;
            got[best] += 1.0 / (used * (double)n_draws);
            score[best] = -INFINITY;
        }
    }
}

static void test_offsets(void **state)
{
    (void)state;
    static const struct { int n, used; double skew; } rows[] = {
        { 8, 2, 0 }, { 8, 2, 0.5 }, { 8, 2, 1 }, { 8, 2, 2 }, { 4, 1, 1 }, { 16, 4, 1 }, { 60, 4, 0.7 }, { 2, 1, 4 }
    };
    const int n_draws = 40000;
    for (int r = 0; r < (int)(sizeof rows / sizeof rows[0]); r++) {
        double want[64], offsets[64], got[64];
        Error error = { 0 };
        Rng rng = { 100 + (uint64_t)r };
        zipf_shares(rows[r].n, rows[r].used, rows[r].skew, want);
        if (share_offsets(rows[r].n, rows[r].used, want, offsets, &error) != OK)
            fail_msg("%s", error.text);
        draw_shares(rows[r].n, rows[r].used, offsets, n_draws, &rng, got);
        for (int e = 0; e < rows[r].n; e++) {
            /* A count of n_draws coins: five deviations, so one false alarm in a million. */
            const double p = want[e] * rows[r].used,
                         bound = 5 * sqrt(p * (1 - p) / n_draws) / rows[r].used + 1e-4;
            if (fabs(got[e] - want[e]) > bound)
                fail_msg("%d experts, %d used, skew %g, seed %d: expert %d: want %.5f, got %.5f",
                         rows[r].n, rows[r].used, rows[r].skew, 100 + r, e, want[e], got[e]);
        }
    }
}

static void test_integral(void **state)
{
    (void)state;
    double offsets[1024], chosen[1024];
    Rng rng = { 7 };
    static const int rows[][2] = { { 8, 2 }, { 1, 1 }, { 256, 8 }, { 1024, 64 } };
    for (int r = 0; r < 4; r++) {
        const int n = rows[r][0], used = rows[r][1];
        for (int e = 0; e < n; e++) offsets[e] = normal(&rng);
        assert_int_equal(chosen_shares(n, used, offsets, chosen, NULL), OK);
        const double all = sum(chosen, n);
        if (fabs(all - used) > 1e-6 * used)
            fail_msg("%d of %d: want a sum of %d, got %.9f", used, n, used, all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_law), cmocka_unit_test(test_cap),
                                        cmocka_unit_test(test_offsets),
                                        cmocka_unit_test(test_integral) };
    return cmocka_run_group_tests_name("quantize.shares", tests, NULL, NULL);
}
