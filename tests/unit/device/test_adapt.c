/* SPDX-License-Identifier: Apache-2.0
 * Adapters on a device: cpu near ref within derived bounds, the same bytes whatever the threads and the step; experts
 * with and without; what does not fit is refused.
 *
 * u = 2^-24 is one rounding.  A sum of n products in floats is off by at most (n + 1) u sum|a b|, in any order; the
 * first product's error meets |b| in the second. */
#include "world.h"

static const double u = 0x1p-24;

enum { RANK_MAX = 130 };
static const int ranks[] = { 1, 5, 16, RANK_MAX };

static Device *ready(const char *name, int n_threads, const char *cpu_set)
{
    Device *d = opened(name, n_threads, cpu_set);
    reserve(d, RANK_MAX);
    return d;
}

/* ---- made up ---- */

typedef struct Pair { int rank; float *a, *b; } Pair;       /* [rank][D], [D][rank]         */

static Pair made_pair(int rank, Rng *rng)
{
    Pair p = { rank, world_floats(rank * D, rng), world_floats(D * rank, rng) };
    for (int i = 0; i < D * rank; i++) p.b[i] *= 0.02f;
    return p;
}

static void pair_free(Pair *p)
{
    free(p->a);
    free(p->b);
}

static LowRank low_of(Device *d, const Pair *p, int rows)
{
    return (LowRank){ made_weight(d, F32, p->rank, D, p->a), made_weight(d, F32, rows, p->rank, p->b) };
}

static void low_free(Device *d, LowRank *low)
{
    d->ops->free(d, &low->a);
    d->ops->free(d, &low->b);
}

/* ---- adapt ---- */

/* [T][N] */
static float *adapted(const World *w, const Pair *p, const char *name, int n_threads, const char *set, int at_once)
{
    Device *d = ready(name, n_threads, set);
    float *out = malloc(T * N * sizeof *out);
    LowRank low = low_of(d, p, N);
    for (int first = 0; first < T; first += at_once) {
        const int n = T - first < at_once ? T - first : at_once;
        Tensor x = made(d, F32, n, D, w->x + first * D), y = made(d, F32, n, N, w->x + 1000 + first * N);
        MUST(d->ops->adapt(d, &y, &x, &low));
        take(d, out + first * N, &y);
        d->ops->free(d, &x);
    }
    low_free(d, &low);
    device_close(d);
    return out;
}

/* What ref and cpu may differ by in y[t][row]. */
static double bound_of(const World *w, const Pair *p, int t, int row, double y)
{
    double off = u * fabs(y);
    for (int k = 0; k < p->rank; k++) {
        double sum = 0.0, exact = 0.0;
        for (int i = 0; i < D; i++) {
            sum += fabs((double)w->x[t * D + i] * (double)p->a[k * D + i]);
            exact += (double)w->x[t * D + i] * (double)p->a[k * D + i];
        }
        const double b = fabs((double)p->b[row * p->rank + k]);
        off += b * (D + 1) * u * sum + (p->rank + 2) * u * b * fabs(exact);
    }
    return 1.01 * off;
}

static void adapt_is_near(void **state)
{
    (void)state;
    World *w = world_new(F32, F32, 0, PAIRS_ADJACENT, 31);
    Rng rng = { 32 };
    static const char *const sets[] = { "ref", NULL };
    for (int r = 0; r < ARRAY_LEN(ranks); r++) {
        Pair p = made_pair(ranks[r], &rng);
        float *want = adapted(w, &p, "ref", 1, NULL, T);
        for (int s = 0; s < ARRAY_LEN(sets); s++) {
            float *got = adapted(w, &p, "cpu", 2, sets[s], T);
            for (int i = 0; i < T * N; i++) {
                const double bound = bound_of(w, &p, i / N, i % N, (double)want[i]);
                if (!(fabs((double)want[i] - (double)got[i]) <= bound))
                    fail_msg("rank %d, row %d column %d: want %.9g got %.9g, allowed %.3g", p.rank, i / N, i % N,
                             (double)want[i], (double)got[i], bound);
            }
            free(got);
        }
        free(want);
        pair_free(&p);
    }
    world_free(w);
}

static void adapt_has_the_same_bytes(void **state)
{
    (void)state;
    World *w = world_new(F32, F32, 0, PAIRS_ADJACENT, 33);
    Rng rng = { 34 };
    static const int ways[][2] = { { 1, 1 }, { 2, 7 }, { 3, T }, { 2, 9 } };
    for (int r = 0; r < ARRAY_LEN(ranks); r++) {
        Pair p = made_pair(ranks[r], &rng);
        float *want = adapted(w, &p, "cpu", 1, NULL, T);
        for (int i = 0; i < ARRAY_LEN(ways); i++) {
            float *got = adapted(w, &p, "cpu", ways[i][0], NULL, ways[i][1]);
            if (!bits_equal(want, got, T * N * sizeof *got))
                fail_msg("rank %d: %d threads, %d rows at once: other bytes", p.rank, ways[i][0], ways[i][1]);
            free(got);
        }
        free(want);
        pair_free(&p);
    }
    world_free(w);
}

/* ---- experts ---- */

/* Which of an expert's products are adapted, by bits; expert 1 has no adapter at all. */
static float *parts_of(const World *w, Pair pairs[3], int which, const char *name, int n_threads, int at_once)
{
    Device *d = ready(name, n_threads, NULL);
    float *out = malloc(T * U * D * sizeof *out);
    Expert experts[E];
    ExpertLowRank low = { 0 };
    if (which & 1) low.gate = low_of(d, &pairs[0], F);
    if (which & 2) low.up = low_of(d, &pairs[1], F);
    if (which & 4) low.down = low_of(d, &pairs[2], D);
    for (int e = 0; e < E; e++)
        experts[e] = (Expert){ part_of(d, w, gate_row(e), F), part_of(d, w, up_row(e), F),
                               part_of(d, w, down_row(e), D) };
    for (int first = 0; first < T; first += at_once) {
        const int n = T - first < at_once ? T - first : at_once;
        int32_t rows[T * U], slots[T * U];
        ExpertJob jobs[E];
        int n_jobs = 0, filled = 0;
        for (int e = 0; e < E; e++) {
            jobs[n_jobs] = (ExpertJob){ .expert = experts[e], .low = e == 1 ? NULL : &low, .rows = rows + filled,
                                        .slots = slots + filled };
            for (int s = 0; s < n * U; s++) {
                if (w->experts[first * U + s] != e) continue;
                rows[filled] = s / U;
                slots[filled++] = s;
                jobs[n_jobs].n++;
            }
            n_jobs += jobs[n_jobs].n > 0;
        }
        Tensor x = made(d, F32, n, D, w->x + first * D), parts = made(d, F32, n * U, D, NULL);
        MUST(d->ops->experts(d, &parts, &x, jobs, n_jobs));
        take(d, out + first * U * D, &parts);
        d->ops->free(d, &x);
    }
    for (int e = 0; e < E; e++) {
        d->ops->free(d, &experts[e].gate);
        d->ops->free(d, &experts[e].up);
        d->ops->free(d, &experts[e].down);
    }
    low_free(d, &low.gate);
    low_free(d, &low.up);
    low_free(d, &low.down);
    device_close(d);
    return out;
}

static double distance(const float *want, const float *got, int n)
{
    double off = 0.0, size = 0.0;
    for (int i = 0; i < n; i++) {
        off += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        size += (double)want[i] * (double)want[i];
    }
    return sqrt(off / size);
}

/* In floats the two devices differ by some sqrt(256) roundings; 1e-5 is a hundred times that.  Weights in blocks meet
 * activations of eight bits, which are off by a half percent of a row in l2 in each of two products. */
static void experts_are_near(void **state)
{
    (void)state;
    static const struct { Format format; double bound; } kinds[] = {
        { F32, 1e-5 }, { F16, 1e-5 }, { Q8_0, 0.02 }, { Q4_K, 0.02 },
    };
    Rng rng = { 36 };
    Pair pairs[3] = { made_pair(5, &rng), made_pair(16, &rng), made_pair(RANK_MAX, &rng) };
    for (int k = 0; k < ARRAY_LEN(kinds); k++) {
        World *w = world_new(kinds[k].format, F32, 0, PAIRS_ADJACENT, 35);
        float *plain = parts_of(w, pairs, 0, "ref", 1, T);
        for (int which = 1; which < 8; which++) {
            float *want = parts_of(w, pairs, which, "ref", 1, T), *got = parts_of(w, pairs, which, "cpu", 2, T);
            const double off = distance(want, got, T * U * D), change = distance(plain, want, T * U * D);
            if (!(off < kinds[k].bound) || !(change > 0.05))
                fail_msg("%s, products %d: off by %.2g, allowed %.2g; changed by %.2g",
                         format_info[kinds[k].format].name, which, off, kinds[k].bound, change);
            free(want);
            free(got);
        }
        free(plain);
        world_free(w);
    }
    for (int i = 0; i < 3; i++) pair_free(&pairs[i]);
}

static void experts_have_the_same_bytes(void **state)
{
    (void)state;
    static const Format kinds[] = { F32, BF16, Q8_0, Q4_K };
    static const int ways[][2] = { { 1, 1 }, { 2, 7 }, { 3, T } };
    Rng rng = { 38 };
    Pair pairs[3] = { made_pair(16, &rng), made_pair(1, &rng), made_pair(RANK_MAX, &rng) };
    for (int k = 0; k < ARRAY_LEN(kinds); k++) {
        World *w = world_new(kinds[k], F32, 0, PAIRS_ADJACENT, 37);
        float *want = parts_of(w, pairs, 7, "cpu", 1, T);
        for (int i = 0; i < ARRAY_LEN(ways); i++) {
            float *got = parts_of(w, pairs, 7, "cpu", ways[i][0], ways[i][1]);
            if (!bits_equal(want, got, T * U * D * sizeof *got))
                fail_msg("%s: %d threads, %d rows at once: other bytes", format_info[kinds[k]].name, ways[i][0],
                         ways[i][1]);
            free(got);
        }
        free(want);
        world_free(w);
    }
    for (int i = 0; i < 3; i++) pair_free(&pairs[i]);
}

/* ---- what does not fit ---- */

static void refuses(void **state)
{
    (void)state;
    static const char *const names[] = { "ref", "cpu" };
    Rng rng = { 39 };
    for (int i = 0; i < 2; i++) {
        Device *d = ready(names[i], 1, NULL);
        Tensor x = made(d, F32, 2, D, NULL), y = made(d, F32, 2, N, NULL);
        Pair p = made_pair(RANK_MAX + 1, &rng);
        LowRank large = low_of(d, &p, N);
        assert_int_equal(d->ops->adapt(d, &y, &x, &large), BAD_ARGUMENT);
        assert_non_null(strstr(d->error.text, "rank 131, reserved were 130"));
        LowRank thin = { made_weight(d, F32, 4, D, p.a), made_weight(d, F32, N - 1, 4, p.b) };
        assert_int_equal(d->ops->adapt(d, &y, &x, &thin), BAD_ARGUMENT);
        assert_non_null(strstr(d->error.text, "adapter: expected [r][256] and [72][r], found [4][256] and [71][4]"));
        low_free(d, &large);
        low_free(d, &thin);
        d->ops->free(d, &x);
        d->ops->free(d, &y);
        pair_free(&p);
        device_close(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adapt_is_near),    cmocka_unit_test(adapt_has_the_same_bytes),
        cmocka_unit_test(experts_are_near), cmocka_unit_test(experts_have_the_same_bytes),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
