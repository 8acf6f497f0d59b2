/* SPDX-License-Identifier: Apache-2.0
 * Device cpu: near device ref within derived bounds, and the same bytes whatever the threads and
 * the step.
 *
 * u = 2^-24 is one rounding.  A product of rows of n numbers is off by (n/8 + 10) u sum|w x|: at most one
 * rounding for each step of a chain that takes eight numbers or more at a time, and ten for lanes, scales and
 * ends (tests/kernel/check_panel.c has the tighter one).  Weights with blocks meet activations of eight bits:
 * each x is off by half a step, 1/254 of the largest of its 32, and the whole by the sum of |w| times that. */
#include "world.h"

static const double u = 0x1p-24;

static Answer *answer_of(const World *w, const char *name, int n_threads, const char *cpu_set,
                         int rows_at_once)
{
    Device *d = opened(name, n_threads, cpu_set);
    Answer *a = answer(d, w, rows_at_once);
    device_close(d);
    return a;
}

static void near(const char *what, const World *w, int row, int col, double want, double got,
                 double bound)
{
    if (fabs(want - got) <= bound) return;
    fail_msg(
        "%s, weights %s, cache %s, row %d column %d: want %.9g got %.9g, off by %.3g, allowed %.3g",
        what, format_info[w->weights].name, format_info[w->cache].name, row, col, want, got,
        fabs(want - got), bound);
}

static double sum_of_products(const float *a, const float *b, int n)
{
    double sum = 0.0;
    for (int i = 0; i < n; i++) sum += fabs((double)a[i] * (double)b[i]);
    return sum;
}

/* What a product of n numbers may be off by, when x is exact but for x_off (or NULL). */
static double product_off(Format weights, const float *w, const float *x, const double *x_off, int n)
{
    const bool blocks = format_info[weights].block_values > 1;
    double off = (n / 8 + 10) * u * sum_of_products(w, x, n);
    for (int b = 0; b < n; b += 32) {
        double largest = 0.0, sum = 0.0;
        for (int i = b; i < b + 32; i++) {
            largest = fmax(largest, fabs((double)x[i]) + (x_off ? x_off[i] : 0.0));
            sum += fabs((double)w[i]);
            if (x_off) off += 1.01 * fabs((double)w[i]) * x_off[i];
        }
        /* The roundings of scale * q and of minimums, each at most some 2^6 times the weight, are far below
         * the thousandth. */
        if (blocks) off += sum * largest * 1.001 / 254;
    }
    return off;
}

static const float *weights_row(const World *w, int64_t row)
{
    return w->decoded + row * D;
}

static void light_ops_are_near(const World *w, const Answer *want, const Answer *got)
{
    assert_memory_equal(want->embed, got->embed, sizeof want->embed);       /* nothing rounds    */
    assert_memory_equal(want->pick, got->pick, sizeof want->pick);
    assert_memory_equal(want->add, got->add, sizeof want->add);             /* one rounding each */
    /* Scale, two products, and the rounding of ref: four. */
    for (int t = 0; t < ROWS; t++)
        for (int i = 0; i < D; i++) {
            const double norm = (double)want->norm[t][i];
            near("norm", w, t, i, norm, (double)got->norm[t][i], 4.01 * u * fabs(norm) + 0x1p-149);
        }
}

static void projections_are_near(const World *w, const Answer *want, const Answer *got)
{
    for (int t = 0; t < T; t++)
        for (int i = 0; i < N + V; i++)
            near("project", w, t, i, (double)want->project[t][i], (double)got->project[t][i],
                 product_off(w->weights, weights_row(w, i), w->x + t * D, NULL, D));
}

/* Cosine and sine are rounded, then the products, then the sum; ref rounds once: four roundings of
 * at most |a|+|b|. */
static void rope_is_near(const World *w, const Answer *want, const Answer *got)
{
    for (int t = 0; t < T; t++)
        for (int i = 0; i < H; i++) {
            const int in = i % HEAD, n = HEAD - 4, pairs = n / 2, head = i - in;
            if (in >= n) {                                                  /* does not turn     */
                assert_memory_equal(&want->rope[t][i], &got->rope[t][i], sizeof(float));
                continue;
            }
            const int other = w->pairs == PAIRS_ADJACENT ? in ^ 1 : (in + pairs) % n;
            const double size =
                fabs((double)w->x[t * H + i]) + fabs((double)w->x[t * H + head + other]);
            near("rope", w, t, i, (double)want->rope[t][i], (double)got->rope[t][i], 4 * u * size);
        }
}

/* Number i of what a cache in this format gives back of x[HEAD]. */
static void as_held(const World *w, const float *x, float to[HEAD])
{
    char bytes[HEAD * sizeof(float)];
    format_info[w->cache].encode(bytes, x, HEAD);
    format_info[w->cache].decode(to, bytes, HEAD);
}

/* A score is a chain of d additions of products with a query that was rounded once, with one more for every scale
 * of Q8_0: off by delta = (d + d/32 + 3) u sum|q k| / sqrt(d).  exp of a score under the maximum is off by that
 * twice and by (2.5 + |score - max| / 2) ulps (tests/kernel/check_vector.c); both in numerator and denominator.
 * Values are added one by one under weights that Q8_0 rounds once more; pieces are merged by six roundings, and
 * in a hostile build there is one for every 32 positions. */
static void attention_is_near(const World *w, const Answer *want, const Answer *got)
{
    for (int t = 0; t < T; t++)
        for (int h = 0; h < HEADS; h++) {
            const int last = w->positions[t],
                      first = w->window > 0 && last >= w->window ? last - w->window + 1 : 0;
            double largest = 0.0, value = 0.0;
            for (int j = first; j <= last; j++) {
                const float *at = w->kv + (int64_t)(w->sequences[t] * POSITIONS + j) * 2 * K +
                                  h / (HEADS / KV_HEADS) * HEAD;
                float key[HEAD], held[HEAD];
                as_held(w, at, key);
                as_held(w, at + K, held);
                largest = fmax(largest, sum_of_products(w->x + t * H + h * HEAD, key, HEAD) / sqrt(HEAD));
                for (int i = 0; i < HEAD; i++) value = fmax(value, fabs((double)held[i]));
            }
            const double delta = (HEAD + HEAD / 32 + 3) * u * largest;
            const double relative = 2 * (2 * delta + 2 * (2.5 + largest) * u) +
                                    (POSITIONS + 1 + 6 * (POSITIONS / 32.0 + 1) + 4) * u;
            for (int i = h * HEAD; i < (h + 1) * HEAD; i++)
                near("attend", w, t, i, (double)want->attend[t][i], (double)got->attend[t][i],
                     relative * value);
        }
}

/* hidden = silu(gate) * up, where |silu'| < 1.1, is off by what gate and up are, and four ulps;
 * down adds that up under its weights, and its own. */
static void experts_are_near(const World *w, const Answer *want, const Answer *got)
{
    for (int slot = 0; slot < T * U; slot++) {
        const float *x = w->x + slot / U * D;
        const int e = w->experts[slot];
        double exact[F], off[F];
        float hidden[F];
        for (int f = 0; f < F; f++) {
            const float *gate_weights = weights_row(w, gate_row(e) + f),
                        *up_weights = weights_row(w, up_row(e) + f);
            double gate = 0.0, up = 0.0;
            for (int i = 0; i < D; i++) {
                gate += (double)gate_weights[i] * (double)x[i];
                up += (double)up_weights[i] * (double)x[i];
            }
            const double silu = gate / (1.0 + exp(-gate)),
                         gate_off = product_off(w->weights, gate_weights, x, NULL, D),
                         up_off = product_off(w->weights, up_weights, x, NULL, D);
            exact[f] = silu * up;
            hidden[f] = (float)exact[f];
            off[f] = 1.1 * gate_off * (fabs(up) + up_off) + fabs(silu) * up_off + 8 * u * fabs(exact[f]);
        }
        for (int i = 0; i < D; i++)
            near("experts", w, slot, i, (double)want->parts[slot][i], (double)got->parts[slot][i],
                 1.01 * product_off(w->weights, weights_row(w, down_row(e) + i), hidden, off, F));
    }
}

/* Mixing starts from the answers of each device: compare with the sum of those in double. */
static void mixtures_are_near(const World *w, const Answer *got)
{
    for (int t = 0; t < T; t++)
        for (int i = 0; i < D; i++) {
            double sum = 0.0, size = 0.0;
            for (int s = t * U; s < (t + 1) * U; s++) {
                sum += (double)w->mix[s] * (double)got->parts[s][i];
                size += fabs((double)w->mix[s] * (double)got->parts[s][i]);
            }
            near("combine", w, t, i, sum, (double)got->combine[t][i], U * u * size);
        }
}

/* "avx512" of a machine without it is no failure. */
static bool set_is_here(const char *set)
{
    Device *d;
    if (device_open("cpu", &(DeviceOptions){.n_threads = 1, .cpu_set = set}, &d, NULL) != OK)
        return false;
    assert_string_equal(device_cpu_set(d), set);
    device_close(d);
    return true;
}

static const Format caches[] = { F16, F32, Q8_0 };
static const char *const sets[] = { "ref", "avx2", "avx512" };

static void cpu_is_near_ref(void **state)
{
    (void)state;
    for (int format = 0; format < N_FORMATS; format++) {
        World *w =
            world_new((Format)format, caches[format % 3], format % 4 ? 0 : 37,
                      format % 4 < 2 ? PAIRS_ADJACENT : PAIRS_HALVES, 100 + (uint64_t)format);
        Answer *want = answer_of(w, "ref", 1, NULL, T);
        for (int s = 0; s < ARRAY_LEN(sets); s++) {
            if (!set_is_here(sets[s])) continue;
            Answer *got = answer_of(w, "cpu", 2, sets[s], T);
            light_ops_are_near(w, want, got);
            projections_are_near(w, want, got);
            rope_is_near(w, want, got);
            attention_is_near(w, want, got);
            experts_are_near(w, want, got);
            mixtures_are_near(w, want);
            mixtures_are_near(w, got);
            free(got);
        }
        free(want);
        world_free(w);
    }
}

/* Decision D1, op by op. */
static void same_bytes(const World *w, const Answer *want, const Answer *got, const char *how)
{
#define SAME(op)                                                                                   \
    if (!bits_equal(want->op, got->op, sizeof want->op))                                           \
        fail_msg("%s differs, weights %s, cache %s, %s", #op, format_info[w->weights].name,        \
                 format_info[w->cache].name, how);
    SAME(embed) SAME(norm) SAME(add) SAME(pick) SAME(combine)
    SAME(project) SAME(rope) SAME(attend) SAME(parts) SAME(page)
#undef SAME
}

static void bytes_depend_on_neither_threads_nor_step(void **state)
{
    (void)state;
    static const struct { int n_threads, rows_at_once; } ways[] = {
        { 2, T }, { 3, T }, { 7, T }, { 1, 1 }, { 7, 7 },
    };
    for (int format = 0; format < N_FORMATS; format++) {
        World *w = world_new((Format)format, caches[(format + 1) % 3], format % 4 ? 37 : 0,
                             PAIRS_ADJACENT, 200 + (uint64_t)format);
        for (int s = 0; s < ARRAY_LEN(sets); s++) {
            if (!set_is_here(sets[s]) || (s == 0 && format != Q4_K)) continue; /* ref is slow */
            Answer *want = answer_of(w, "cpu", 1, sets[s], T);
            for (int i = 0; i < ARRAY_LEN(ways); i++) {
                char how[80];
                snprintf(how, sizeof how, "%s: %d threads, %d rows at once", sets[s],
                         ways[i].n_threads, ways[i].rows_at_once);
                Answer *got = answer_of(w, "cpu", ways[i].n_threads, sets[s], ways[i].rows_at_once);
                same_bytes(w, want, got, how);
                free(got);
            }
            free(want);
        }
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpu_is_near_ref),
        cmocka_unit_test(bytes_depend_on_neither_threads_nor_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
