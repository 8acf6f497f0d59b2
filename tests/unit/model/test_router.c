/* SPDX-License-Identifier: Apache-2.0
 * The router's choice against a brute force: largest first, the lower index on a tie, softmax of the
 * chosen; and no NaN ever chooses an expert twice. */
#include "../../support.h"

#include "base/rng.h"
#include "model/model.h"

#include <math.h>

/* The best expert not yet taken, scanning upwards: the definition. */
static int best_left(const float *scores, int n, const bool *taken)
{
    int best = -1;
    for (int e = 0; e < n; e++)
        if (!taken[e] && (best < 0 || scores[e] > scores[best])) best = e;
    return best;
}

static void compare(const float *scores, int n_experts, int n_used, bool renormalise)
{
    int32_t experts[64];
    float weights[64];
    const Router router = { .renormalise = renormalise };
    assert_true(choose_experts(scores, n_experts, n_used, &router, experts, weights));

    bool taken[64] = { false };
    double sum = 0, all = 0;
    for (int e = 0; e < n_experts; e++) all += exp((double)scores[e]);
    for (int j = 0; j < n_used; j++) {
        const int want = best_left(scores, n_experts, taken);
        assert_int_equal(experts[j], want);
        taken[want] = true;
        sum += exp((double)scores[want]);
    }
    for (int j = 0; j < n_used; j++) {
        const double want = exp((double)scores[experts[j]]) / (renormalise ? sum : all);
        if (fabs(weights[j] - want) > 1e-6 * want + 1e-37)     /* floats end there */
             fail_msg("weight %d: want %.9g got %.9g", j, want, (double)weights[j]);
    }
}

static void any_scores(void **state)
{
    (void)state;
    Rng rng = { 1 };
    for (int round = 0; round < 20000; round++) {
        const int n_experts = 1 + (int)(rng_bits(&rng) % 64),
                  n_used = 1 + (int)(rng_bits(&rng) % (unsigned)n_experts);
        float scores[64];
        for (int e = 0; e < n_experts; e++)         /* few different values: ties are common     */
            scores[e] = (float)((int)(rng_bits(&rng) % (round % 2 ? 5u : 1000u)) - 2) * 0.37f;
        compare(scores, n_experts, n_used, round % 3 != 0);
    }
}

static void equal_scores_go_to_the_lower_index(void **state)
{
    (void)state;
    const float scores[8] = { 1, 3, 3, 3, 3, 0, 3, 3 };
    int32_t experts[3];
    float weights[3];
    assert_true(choose_experts(scores, 8, 3, &(Router){ .renormalise = true }, experts, weights));
    assert_int_equal(experts[0], 1);
    assert_int_equal(experts[1], 2);
    assert_int_equal(experts[2], 3);
}

static void what_is_not_a_number_is_refused(void **state)
{
    (void)state;
    const float bad[] = { NAN, INFINITY, -INFINITY };
    for (int i = 0; i < ARRAY_LEN(bad); i++)
        for (int at = 0; at < 8; at++) {
            float scores[8] = { 0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f, 0.7f, 0.8f }, weights[4];
            int32_t experts[4];
            scores[at] = bad[i];
            assert_false(
                choose_experts(scores, 8, 4, &(Router){ .renormalise = true }, experts, weights));
            for (int j = 0; j < 4; j++) {           /* still four different experts that exist    */
                assert_int_equal(experts[j], j);
                assert_true(weights[j] == 0.0f);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_scores),
        cmocka_unit_test(equal_scores_go_to_the_lower_index),
        cmocka_unit_test(what_is_not_a_number_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
