/* SPDX-License-Identifier: Apache-2.0
 * Every filter against a brute-force twin that sorts everything; penalties by hand; the draw by
 * chi-square.  The twin draws with the same generator, so whole picks are compared, not shares. */
#include "base/rng.h"
#include "gen/sampler.h"

#include "support.h"                    /* after ours: cmocka has a macro called fail      */

#include <math.h>

enum { MANY = 600 };                    /* candidates at most                               */

typedef struct Row { double key, logit; int32_t id; } Row;

static const SamplerOptions plain = { .temperature = 1,
                                      .top_p = 1,
                                      .typical_p = 1,
                                      .repeat_penalty = 1,
                                      .penalty_last_n = -1,
                                      .seed = 1 };

/* ---- the twin ---- */

static int by_key(const void *a, const void *b)
{
    const Row *x = a, *y = b;
    if (x->key != y->key) return x->key > y->key ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

static double mass(const Row *rows, int n, double temperature, double *p)
{
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++) most = fmax(most, rows[i].logit);
    for (int i = 0; i < n; i++) sum += p[i] = exp((rows[i].logit - most) / temperature);
    return sum;
}

static int cut(Row *rows, int n, double share)
{
    double p[MANY], held = 0;
    qsort(rows, (size_t)n, sizeof *rows, by_key);
    const double sum = mass(rows, n, 1, p);
    for (int i = 0; i < n; i++) {
        held += p[i];
        if (held >= share * sum) return i + 1;
    }
    return n;
}

static int filtered(Row *rows, int n, const SamplerOptions *o)
{
    double p[MANY];
    for (int i = 0; i < n; i++) rows[i].key = rows[i].logit;
    if (o->top_k && o->top_k < n) {
        qsort(rows, (size_t)n, sizeof *rows, by_key);
        n = o->top_k;
    }
    if (o->typical_p < 1) {
        double entropy = 0;
        const double sum = mass(rows, n, 1, p);
        for (int i = 0; i < n; i++) entropy -= p[i] > 0 ? p[i] / sum * log(p[i] / sum) : 0;
        for (int i = 0; i < n; i++) rows[i].key = -fabs(-log(p[i] / sum) - entropy);
        n = cut(rows, n, (double)o->typical_p);
        for (int i = 0; i < n; i++) rows[i].key = rows[i].logit;
    }
    if (o->top_p < 1) n = cut(rows, n, (double)o->top_p);
    if (o->min_p > 0) {
        int n_kept = 0;
        double most = -INFINITY;
        for (int i = 0; i < n; i++) most = fmax(most, rows[i].logit);
        for (int i = 0; i < n; i++)
            if (exp(rows[i].logit - most) >= (double)o->min_p * (1 - 1e-12))
                rows[n_kept++] = rows[i];
        n = n_kept;
    }
    return n;
}

/* The pick the twin would make; *margin is how far the mark lay from a border, as a share. */
static int32_t twin_pick(const float *logits, int n, const SamplerOptions *o, Rng *rng,
                         double *margin)
{
    Row rows[MANY];
    double p[MANY], passed = 0;
    for (int i = 0; i < n; i++) rows[i] = (Row){ .logit = (double)logits[i], .id = i };
    n = filtered(rows, n, o);
    const double sum = mass(rows, n, (double)o->temperature, p);
    const double mark = rng_unit(rng) * sum;
    *margin = 1;
    for (int i = 0; i < n; i++) {
        passed += p[i];
        *margin = fmin(*margin, fabs(passed - mark) / sum);
        if (mark < passed) return rows[i].id;
    }
    return rows[n - 1].id;
}

/* ---- */

static float normal(Rng *rng)
{
    return (float)(sqrt(-2 * log(1 - rng_unit(rng))) * cos(6.283185307179586 * rng_unit(rng)));
}

static Sampler *made(int64_t n, const SamplerOptions *o)
{
    Sampler *s;
    Error error = { 0 };
    if (sampler_new(n, o, &s, &error) != OK) fail_msg("sampler_new: %s", error.text);
    return s;
}

static int32_t picked(Sampler *s, const float *logits, const int32_t *history, size_t n_history)
{
    int32_t token;
    Error error = { 0 };
    if (sampler_pick(s, logits, history, n_history, &token, &error) != OK)
        fail_msg("pick: %s", error.text);
    return token;
}

static int32_t pick_once(const SamplerOptions *o, int64_t n, const float *logits,
                         const int32_t *history, size_t n_history)
{
    Sampler *s = made(n, o);
    const int32_t token = picked(s, logits, history, n_history);
    sampler_free(s);
    return token;
}

static float choice(Rng *rng, const float *from, int n)
{
    return from[rng_bits(rng) % (uint64_t)n];
}

static void test_equals_twin(void **state)
{
    (void)state;
    static const float p[] = { 1, 1, 0.95f, 0.9f, 0.5f, 0.1f, 1e-6f, 0 };
    static const float min_p[] = { 0, 0, 0, 0.05f, 0.3f, 1 };
    static const float temperatures[] = { 1, 0.8f, 0.1f, 2, 100 };
    static const float spread[] = { 0.1f, 1, 3, 10, 60 };
    int n_near = 0;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        Rng rng = { seed };
        const int n = 1 + (int)(rng_bits(&rng) % (MANY - 1));
        const bool ties = rng_bits(&rng) % 3 == 0;      /* rounded logits: many equal ones  */
        const float scale = choice(&rng, spread, 5);
        float logits[MANY];
        for (int i = 0; i < n; i++)
            logits[i] = ties ? roundf(normal(&rng) * scale) : normal(&rng) * scale;

        SamplerOptions o = plain;
        o.seed = seed * 77;
        o.temperature = choice(&rng, temperatures, 5);
        o.top_k = rng_bits(&rng) % 2 ? (int)(rng_bits(&rng) % 60) : 0;
        o.top_p = choice(&rng, p, 8);
        o.typical_p = choice(&rng, p, 8);
        o.min_p = choice(&rng, min_p, 6);

        Sampler *s = made(n, &o);
        Rng same = { o.seed };
        for (int draw = 0; draw < 5; draw++) {
            double margin;
            const int32_t want = twin_pick(logits, n, &o, &same, &margin);
            const int32_t got = picked(s, logits, NULL, 0);
            if (want == got) continue;
            /* A mark on a border may fall either side of it: sums of 600 doubles agree to 1e-13. */
            if (margin < 1e-12) { n_near++; continue; }
            fail_msg("seed %llu draw %d: want %d, got %d (n %d, temperature %g, top_k %d, top_p "
                     "%g, typical %g, "
                     "min_p %g, margin %g)",
                     (unsigned long long)seed, draw, want, got, n, (double)o.temperature, o.top_k,
                     (double)o.top_p, (double)o.typical_p, (double)o.min_p, margin);
        }
        sampler_free(s);
    }
    assert_true(n_near <= 3);
}

static void test_greedy(void **state)
{
    (void)state;
    SamplerOptions o = plain;
    o.temperature = 0;
    const float ties[6] = { -1, 3, 3, 2, 3, -INFINITY };
    assert_int_equal(pick_once(&o, 6, ties, NULL, 0), 1);
    const float last[3] = { -INFINITY, -INFINITY, -3e38f };
    assert_int_equal(pick_once(&o, 3, last, NULL, 0), 2);
    o.top_k = 1;                        /* filters do not matter to it                      */
    o.top_p = 0;
    assert_int_equal(pick_once(&o, 6, ties, NULL, 0), 1);
}

/* Filters that leave one candidate choose as greedy does, whatever the temperature. */
static void test_one_left(void **state)
{
    (void)state;
    const float logits[5] = { 1, 5, 5, -2, 0 };
    SamplerOptions o[4] = { plain, plain, plain, plain };
    o[0].top_k = 1;
    o[1].top_p = 0;
    o[2].temperature = 1e-30f;
    o[3].top_k = 2;
    for (int i = 0; i < 4; i++) {
        for (o[i].seed = 0; o[i].seed < 40; o[i].seed++) {
            const int32_t got = pick_once(&o[i], 5, logits, NULL, 0);
            if (i < 2) assert_int_equal(got, 1);
            else assert_in_range(got, 1, 2);
        }
    }
}

static void test_extremes(void **state)
{
    (void)state;
    SamplerOptions o = plain;
    o.temperature = 1e6f;
    const float wide[4] = { 3e38f, -3e38f, 0, 3e38f };
    for (o.seed = 0; o.seed < 50; o.seed++) {
        const int32_t got = pick_once(&o, 4, wide, NULL, 0);
        assert_true(got == 0 || got == 3);
    }
    float banned[8];
    for (int i = 0; i < 8; i++) banned[i] = i == 5 ? -100 : -INFINITY;
    o.min_p = 0.5f;
    o.top_p = 0.1f;
    o.typical_p = 0.1f;
    assert_int_equal(pick_once(&o, 8, banned, NULL, 0), 5);
    const float alone[1] = { -4 };
    assert_int_equal(pick_once(&o, 1, alone, NULL, 0), 0);
}

/* 30 cells, 29 degrees of freedom: above 58.3 once in a thousand; the seed is fixed. */
static void test_chi_square(void **state)
{
    (void)state;
    enum { CELLS = 30, DRAWS = 60000 };
    float logits[CELLS];
    double p[CELLS], sum = 0, chi = 0;
    int hits[CELLS] = { 0 };
    Rng rng = { 99 };
    for (int i = 0; i < CELLS; i++) {
        logits[i] = normal(&rng);
        sum += p[i] = exp((double)logits[i] / 0.7);
    }
    SamplerOptions o = plain;
    o.temperature = 0.7f;
    o.seed = 4242;
    Sampler *s = made(CELLS, &o);
    for (int i = 0; i < DRAWS; i++) hits[picked(s, logits, NULL, 0)]++;
    sampler_free(s);
    for (int i = 0; i < CELLS; i++) {
        const double want = p[i] / sum * DRAWS;
        chi += (hits[i] - want) * (hits[i] - want) / want;
    }
    if (chi > 58.3)
        fail_msg("seed %llu: chi-square %.1f, want below 58.3", (unsigned long long)o.seed, chi);
}

static void test_seed(void **state)
{
    (void)state;
    float logits[50];
    Rng rng = { 5 };
    for (int i = 0; i < 50; i++) logits[i] = normal(&rng);
    SamplerOptions o = plain;
    Sampler *a = made(50, &o), *b = made(50, &o);
    o.seed = 2;
    Sampler *c = made(50, &o);
    int n_different = 0;
    for (int i = 0; i < 200; i++) {
        const int32_t x = picked(a, logits, NULL, 0);
        assert_int_equal(x, picked(b, logits, NULL, 0));
        n_different += x != picked(c, logits, NULL, 0);
    }
    assert_true(n_different > 100);
    sampler_free(a);
    sampler_free(b);
    sampler_free(c);
}

/* Penalties are seen through greedy picks: two logits a hair above and below the expected value
 * must win and lose against it. */
static void expect_logit(SamplerOptions o, float logit, const int32_t *history, size_t n_history,
                         double want)
{
    o.temperature = 0;
    const float hair = (float)(1e-4 + fabs(want) * 1e-5);
    const float above[2] = { logit, (float)want + hair }, below[2] = { logit, (float)want - hair };
    if (pick_once(&o, 2, above, history, n_history) != 1 ||
        pick_once(&o, 2, below, history, n_history) != 0)
        fail_msg("logit %g: want %g after penalties", (double)logit, want);
}

static void test_penalties(void **state)
{
    (void)state;
    const int32_t thrice[5] = { 0, 0, 0 };
    SamplerOptions o = plain;
    o.repeat_penalty = 1.25f;           /* once, however often it was seen                  */
    expect_logit(o, 5, thrice, 3, 4);
    expect_logit(o, -4, thrice, 3, -5);
    expect_logit(o, 5, thrice, 0, 5);
    o = plain;
    o.presence_penalty = 0.5f;          /* once                                             */
    expect_logit(o, 2, thrice, 3, 1.5);
    o = plain;
    o.frequency_penalty = 0.5f;         /* each time                                        */
    expect_logit(o, 2, thrice, 3, 0.5);
    o.presence_penalty = -1;
    o.repeat_penalty = 2;
    expect_logit(o, 2, thrice, 3, 1 - 1.5 + 1);
    o.penalty_last_n = 0;               /* looks back over nothing                          */
    expect_logit(o, 2, thrice, 3, 2);
}

static void test_window(void **state)
{
    (void)state;
    const float logits[4] = { 3, 2.9f, 2.8f, 0 };
    const int32_t history[4] = { 2, 0, 3, 1 };
    SamplerOptions o = plain;
    o.temperature = 0;
    o.presence_penalty = 5;
    static const struct { int back; int32_t want; } rows[] = {
        { 0, 0 }, { 1, 0 }, { 2, 0 }, { 3, 2 }, { 4, 0 }, { 99, 0 }, { -1, 0 }
    };
    for (int i = 0; i < (int)(sizeof rows / sizeof rows[0]); i++) {
        o.penalty_last_n = rows[i].back;
        const int32_t got = pick_once(&o, 4, logits, history, 4);
        if (got != rows[i].want)
            fail_msg("last %d: want %d, got %d", rows[i].back, rows[i].want, got);
    }
    /* The window's counters are empty again: a second pick sees the same. */
    o.penalty_last_n = 3;
    Sampler *s = made(4, &o);
    for (int i = 0; i < 3; i++) assert_int_equal(picked(s, logits, history, 4), 2);
    sampler_free(s);
}

static void test_bias(void **state)
{
    (void)state;
    const float logits[3] = { 1, 2, 3 };
    const LogitBias bias[3] = { { 2, -INFINITY }, { 0, 1.5f }, { 0, 1 } };
    SamplerOptions o = plain;
    o.temperature = 0;
    o.bias = bias;
    o.n_bias = 2;
    assert_int_equal(pick_once(&o, 3, logits, NULL, 0), 0);      /* 2.5 against 2           */
    /* Bias comes before penalties: (1 + 2.5) / 4 < 2, while 1 / 4 + 2.5 > 2. */
    o.n_bias = 3;
    o.repeat_penalty = 4;
    const int32_t history[1] = { 0 };
    assert_int_equal(pick_once(&o, 3, logits, history, 1), 1);
    o.temperature = 1;
    for (o.seed = 0; o.seed < 100; o.seed++)
        assert_int_not_equal(pick_once(&o, 3, logits, NULL, 0), 2);
}

static void expect_failure(const SamplerOptions *o, const float *logits, const int32_t *history,
                           size_t n_history, Status want)
{
    Sampler *s = made(3, o);
    Error error = { 0 };
    int32_t token;
    assert_int_equal(sampler_pick(s, logits, history, n_history, &token, &error), want);
    assert_true(error.text[0] != 0);
    const float fine[3] = { 0, 0, 9 };
    assert_int_equal(sampler_pick(s, fine, NULL, 0, &token, &error), OK);    /* it can go on  */
    sampler_free(s);
}

static void test_not_numbers(void **state)
{
    (void)state;
    SamplerOptions greedy = plain, penalty = plain;
    greedy.temperature = 0;
    penalty.repeat_penalty = 1e-6f;
    const float nan_row[3] = { 1, NAN, 2 }, inf[3] = { 1, INFINITY, 2 };
    const float none[3] = { -INFINITY, -INFINITY, -INFINITY }, huge[3] = { 3e38f, 1, 1 };
    const int32_t strange[2] = { 0, 3 }, negative[1] = { -1 }, first[1] = { 0 };
    for (int i = 0; i < 2; i++) {
        const SamplerOptions *o = i ? &greedy : &plain;
        expect_failure(o, nan_row, NULL, 0, FAILED);
        expect_failure(o, inf, NULL, 0, FAILED);
        expect_failure(o, none, NULL, 0, FAILED);
    }
    expect_failure(&penalty, huge, first, 1, FAILED);
    expect_failure(&penalty, huge, strange, 2, BAD_ARGUMENT);
    expect_failure(&penalty, huge, negative, 1, BAD_ARGUMENT);
}

static void test_options(void **state)
{
    (void)state;
    const LogitBias far[1] = { { 9, 1 } }, nan_bias[1] = { { 0, NAN } };
    SamplerOptions o[16];
    int n = 0;
    for (int i = 0; i < 16; i++) o[i] = plain;
    o[n++].temperature = -0.1f;
    o[n++].temperature = NAN;
    o[n++].temperature = INFINITY;
    o[n++].top_k = -1;
    o[n++].top_p = 1.01f;
    o[n++].top_p = NAN;
    o[n++].min_p = -1;
    o[n++].typical_p = 2;
    o[n++].repeat_penalty = 0;
    o[n++].repeat_penalty = INFINITY;
    o[n++].presence_penalty = NAN;
    o[n++].frequency_penalty = INFINITY;
    o[n++].penalty_last_n = -2;
    o[n].bias = far;
    o[n++].n_bias = 1;
    o[n].bias = nan_bias;
    o[n++].n_bias = 1;
    for (int i = 0; i < n; i++) {
        Sampler *s;
        Error error = { 0 };
        if (sampler_new(9, &o[i], &s, &error) != BAD_ARGUMENT)
            fail_msg("options %d: want BAD_ARGUMENT", i);
        assert_null(s);
        assert_true(strlen(error.text) > 20);
    }
    Sampler *s;
    assert_int_equal(sampler_new(0, &plain, &s, NULL), BAD_ARGUMENT);
    sampler_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_twin), cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_one_left),    cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_chi_square),  cmocka_unit_test(test_seed),
        cmocka_unit_test(test_penalties),   cmocka_unit_test(test_window),
        cmocka_unit_test(test_bias),        cmocka_unit_test(test_not_numbers),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests_name("gen.sampler", tests, NULL, NULL);
}
