/* SPDX-License-Identifier: Apache-2.0
 * AdamW against the formulas of its paper in double; the same bytes on any number of threads; the rate's curve. */
#include "base/rng.h"
#include "train/adamw.h"

#include "support.h"

#include <math.h>

/* Two matrices that decay, larger than a chunk and not; a vector that does not. */
enum { ROWS = 211, COLS = 173, SMALL = 40, N = ROWS * COLS + SMALL + COLS, N_STEPS = 5 };

static Param params[] = {
    { .name = "a", .rows = ROWS, .cols = COLS, .decays = true },
    { .name = "norm", .rows = 1, .cols = SMALL, .decays = false },
    { .name = "b", .rows = 1, .cols = COLS, .decays = true },
};
static const AdamwOptions options = { .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .clip = 1.5 };

static bool decays(int64_t i)
{
    return i < ROWS * COLS || i >= ROWS * COLS + SMALL;
}

static void draw(Rng *rng, float *to, double size)
{
    for (int i = 0; i < N; i++) to[i] = (float)(size * (rng_unit(rng) - 0.5));
}

static void run(int n_threads, float *values, double lengths[N_STEPS])
{
    Rng rng = { 11 };
    Pool *pool;
    Adamw adamw;
    static float grads[N];
    assert_int_equal(pool_new(n_threads, &pool, NULL), OK);
    assert_int_equal(adamw_new(&options, params, 3, N, &adamw, NULL), OK);
    draw(&rng, values, 1);
    for (int step = 1; step <= N_STEPS; step++) {
        draw(&rng, grads, step % 2 ? 0.1 : 1e-3);           /* longer than the clip, and shorter */
        lengths[step - 1] = adamw_step(&adamw, pool, values, grads, step, 1e-2);
    }
    adamw_free(&adamw);
    pool_free(pool);
}

static void test_formula(void **state)
{
    (void)state;
    static float got[N], first[N], grads[N];
    static double want[N], m[N], v[N];
    double lengths[N_STEPS];
    run(1, got, lengths);
    Rng rng = { 11 };
    draw(&rng, first, 1);
    for (int i = 0; i < N; i++) want[i] = (double)first[i];
    for (int step = 1; step <= N_STEPS; step++) {
        draw(&rng, grads, step % 2 ? 0.1 : 1e-3);
        double sum = 0;
        for (int i = 0; i < N; i++) sum += (double)grads[i] * (double)grads[i];
        const double length = sqrt(sum), scale = length > options.clip ? options.clip / length : 1;
        if (fabs(lengths[step - 1] - length) > 1e-12 * length)
            fail_msg("step %d: want length %.17g, got %.17g", step, length, lengths[step - 1]);
        for (int i = 0; i < N; i++) {
            const double g = (double)grads[i] * scale;
            m[i] = options.beta1 * m[i] + (1 - options.beta1) * g;
            v[i] = options.beta2 * v[i] + (1 - options.beta2) * g * g;
            const double m1 = m[i] / (1 - pow(options.beta1, step)), v1 = v[i] / (1 - pow(options.beta2, step));
            want[i] -= 1e-2 * (m1 / (sqrt(v1) + options.epsilon) + (decays(i) ? options.weight_decay * want[i] : 0));
        }
    }
    /* A step moves a number by about the rate, with a few roundings of 2^-24 relative; weights are below 1. */
    for (int i = 0; i < N; i++)
        if (fabs(want[i] - (double)got[i]) > N_STEPS * 4 * 0x1p-24)
            fail_msg("number %d: want %.9g, got %.9g", i, want[i], (double)got[i]);
}

static void test_threads(void **state)
{
    (void)state;
    static float one[N], three[N];
    double a[N_STEPS], b[N_STEPS];
    run(1, one, a);
    run(3, three, b);
    assert_memory_equal(one, three, sizeof one);
    assert_memory_equal(a, b, sizeof a);
}

static void test_rate(void **state)
{
    (void)state;
    const Schedule s = { .rate = 1, .final_rate = 0.1, .warm_up = 10, .n_steps = 110 };
    static const struct { int64_t step; double want; } points[] = {
        { 1, 0.1 }, { 5, 0.5 }, { 10, 1 }, { 60, 0.55 }, { 110, 0.1 }, { 200, 0.1 },
    };
    for (int i = 0; i < ARRAY_LEN(points); i++)
        if (fabs(schedule_rate(&s, points[i].step) - points[i].want) > 1e-12)
            fail_msg("step %d: want %g, got %g", (int)points[i].step, points[i].want,
                     schedule_rate(&s, points[i].step));
    for (int64_t step = 11; step <= 110; step++) assert_true(schedule_rate(&s, step) < schedule_rate(&s, step - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formula), cmocka_unit_test(test_threads), cmocka_unit_test(test_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
