/* SPDX-License-Identifier: Apache-2.0
 * The preference loss: its gradient against finite differences, its value for somebody who does not care, no
 * overflow. */
#include "train/prefer.h"

#include "base/rng.h"
#include "support.h"

#include <math.h>

enum { B = 6, T = 9, N = B * T };

typedef struct Case { int32_t targets[N]; float logprobs[N]; double reference[B]; Batch batch; } Case;

static void make(Case *c, uint64_t seed)
{
    Rng rng = { seed };
    for (int i = 0; i < N; i++) {
        c->targets[i] = rng_unit(&rng) < 0.3 ? -1 : (int32_t)(rng_bits(&rng) % 100);
        c->logprobs[i] = c->targets[i] < 0 ? 0 : (float)(-3 * rng_unit(&rng));
    }
    for (int i = 0; i < B; i++) c->reference[i] = -2.0 * T * rng_unit(&rng);
    c->batch = (Batch){ .n_sequences = B, .n_tokens = T, .targets = c->targets };
}

static double loss_of(const Case *c, double beta, float *weights)
{
    Error error = { 0 };
    Prefer p = { .beta = beta, .batch = &c->batch, .reference = c->reference, .share = 2.0 / B };
    if (prefer_weigh(&p, c->logprobs, weights, &error) != OK) fail_msg("%s", error.text);
    assert_int_equal(p.n_pairs, B / 2);
    return p.loss * p.share;
}

/* The loss is computed in double from floats: with a step of 2^-10 the third derivative (below beta^3) and the
 * rounding of a sum of some twenty numbers leave an error below 1e-6 for beta 0.5. */
static void test_gradient(void **state)
{
    (void)state;
    const float step = 0x1p-10f;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        Case c;
        float weights[N], other[N];
        make(&c, seed);
        loss_of(&c, 0.5, weights);
        for (int i = 0; i < N; i++) {
            if (c.targets[i] < 0) {
                assert_true(weights[i] == 0);
                continue;
            }
            const float here = c.logprobs[i];
            c.logprobs[i] = here + step;
            const float high = c.logprobs[i];
            const double above = loss_of(&c, 0.5, other);
            c.logprobs[i] = here - step;
            const double below = loss_of(&c, 0.5, other);
            const double want = (above - below) / ((double)high - (double)c.logprobs[i]);
            c.logprobs[i] = here;
            if (fabs(want - (double)weights[i]) > 1e-6)
                fail_msg("seed %d, token %d: want %.9g, got %.9g", (int)seed, i, want, (double)weights[i]);
        }
    }
}

/* Nothing learned yet: the loss is log 2 and nobody is preferred. */
static void test_indifferent(void **state)
{
    (void)state;
    Case c;
    double sums[B];
    make(&c, 4);
    for (int s = 0; s < B; s++) {
        sums[s] = 0;
        for (int i = s * T; i < (s + 1) * T; i++)
            if (c.targets[i] >= 0) sums[s] += (double)c.logprobs[i];
        c.reference[s] = sums[s];
    }
    Prefer p = { .beta = 0.3, .batch = &c.batch, .reference = c.reference };
    prefer_count(&p, sums);
    assert_true(fabs(p.loss / (double)p.n_pairs - log(2)) < 1e-12);
    assert_int_equal(p.n_preferred, 0);
}

static void test_far_away(void **state)
{
    (void)state;
    Case c;
    float weights[N];
    make(&c, 5);
    c.reference[0] = -1e6;                      /* m is far above zero: no pull               */
    c.reference[3] = -1e6;                      /* m is far below: all of it                  */
    const double loss = loss_of(&c, 1, weights);
    assert_true(isfinite(loss) && loss > 1e5);
    for (int i = 0; i < 2 * T; i++) assert_true(weights[i] == 0);
    for (int i = 2 * T; i < 3 * T; i++)
        if (c.targets[i] >= 0) assert_true(weights[i] == (float)(-2.0 / B));
    c.logprobs[T] = NAN;
    c.targets[T] = 1;
    Prefer p = { .beta = 1, .batch = &c.batch, .reference = c.reference, .share = 1 };
    assert_int_equal(prefer_weigh(&p, c.logprobs, weights, NULL), FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradient), cmocka_unit_test(test_indifferent), cmocka_unit_test(test_far_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
