/* SPDX-License-Identifier: Apache-2.0
 * gen/latency.c: a percentile is never below the truth, and at most a sixteenth above. */
#include "../../support.h"

#include "base/rng.h"
#include "gen/latency.h"

enum { N = 5000 };

static int rising(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void check_shares(const Latency *l, const int64_t *sorted, int n, const char *what)
{
    const double shares[] = { 0.01, 0.5, 0.95, 0.99, 1.0 };
    for (int i = 0; i < 5; i++) {
        int rank = (int)(shares[i] * n + 0.999999) - 1;
        if (rank < 0) rank = 0;
        const int64_t want = sorted[rank], got = latency_at(l, shares[i]);
        if (got < want || (double)got > (double)want * (1 + 1.0 / LATENCY_STEPS))
            fail_msg("%s: share %g: want %lld to a sixteenth more, got %lld", what, shares[i], (long long)want,
                     (long long)got);
    }
    assert_int_equal(latency_at(l, 1.0), sorted[n - 1]);
}

static void percentiles_are_near(void **state)
{
    (void)state;
    static int64_t us[N];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        Rng rng = { seed };
        Latency l = { 0 }, a = { 0 }, b = { 0 };
        char what[32];
        snprintf(what, sizeof what, "seed %d", (int)seed);
        for (int i = 0; i < N; i++) {
            us[i] = (int64_t)(rng_unit(&rng) * (double)((int64_t)1 << (i % 38)));
            latency_add(&l, us[i]);
            latency_add(i % 3 ? &a : &b, us[i]);
        }
        latency_merge(&a, &b);
        assert_memory_equal(&a, &l, sizeof l);
        qsort(us, N, sizeof *us, rising);
        check_shares(&l, us, N, what);
    }
}

static void ends_are_safe(void **state)
{
    (void)state;
    Latency l = { 0 };
    assert_int_equal(latency_at(&l, 0.5), 0);
    latency_add(&l, -5);                            /* a clock that went back                   */
    assert_int_equal(latency_at(&l, 0.5), 0);
    latency_add(&l, INT64_MAX / 4);
    assert_int_equal(latency_at(&l, 1.0), INT64_MAX / 4);
    for (int64_t us = 0; us < 100000; us++) {       /* every time lies in its bucket            */
        Latency one = { 0 };
        latency_add(&one, us);
        latency_add(&one, INT64_MAX / 4);
        const int64_t got = latency_at(&one, 0.5);
        if (got < us || got > us + us / LATENCY_STEPS)
            fail_msg("want %lld or a little more, got %lld", (long long)us, (long long)got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_near),
        cmocka_unit_test(ends_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
