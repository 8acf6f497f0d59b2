/* SPDX-License-Identifier: Apache-2.0
 * tests/kernel/check_probe.c - probes compute exactly what the reference does: one that left work
 * out would make a machine faster than it is. */
#include "check.h"

#include <string.h>

static const size_t rounds[] = { 0, 1, 2, 3, 7, 64, 1001 };

typedef struct Run {
    const Kernels *kernels;
    const void    *a, *b;
    size_t         n;
    volatile uint64_t sink;
} Run;

static void run_int8(void *arg)
{
    Run *r = arg;
    r->sink = r->kernels->probe_int8(r->a, r->b, r->n);
}

static void run_f32(void *arg)
{
    Run *r = arg;
    r->sink = (uint64_t)(int64_t)r->kernels->probe_f32(r->a, r->b, r->n);
}

static void run_read(void *arg)
{
    Run *r = arg;
    r->sink = r->kernels->probe_read(r->a, r->n);
}

static void bench(Check *check, void (*run)(void *), const Kernels *ref, const Kernels *now,
                  const void *a, const void *b, size_t n, size_t n_numbers, double n_bytes)
{
    if (!check->bench || check->at_front) return;
    Run slow = { .kernels = ref, .a = a, .b = b, .n = n },
        fast = { .kernels = now, .a = a, .b = b, .n = n };
    print_speed(check, n_numbers, n_bytes, best_ns(run, &fast), best_ns(run, &slow));
}

/* Sums modulo 2^32 are exact, and pairs of products: 2 * 127 * 128 fits 16 bits with a sign. */
void check_probe_int8(Check *check, const Kernels *ref, const Kernels *now)
{
    uint8_t *a = buffer(check, 64);
    int8_t  *b = buffer(check, 64);
    for (int fill = 0; fill < 3; fill++) {
        for (int i = 0; i < 64; i++) {
            a[i] = fill ? 127 : (uint8_t)(rng_bits(&check->rng) % 128);
            b[i] = fill == 1 ? -128 : fill == 2 ? 127 : (int8_t)(rng_bits(&check->rng) % 256 - 128);
        }
        for (int r = 0; r < ARRAY_LEN(rounds); r++) {
            const uint32_t want = ref->probe_int8(a, b, rounds[r]),
                           got = now->probe_int8(a, b, rounds[r]);
            judge_bytes(check, &want, &got, sizeof want, "sum");
        }
    }
    bench(check, run_int8, ref, now, a, b, 100, 100 * PROBE_INT8_OPERATIONS, 0.0);
}

/* Whole numbers: at most 1001 * 12 * 16 * 9 * 9 < 2^24, so every sum on the way is exact. */
void check_probe_f32(Check *check, const Kernels *ref, const Kernels *now)
{
    float *a = buffer(check, 16 * sizeof *a), *b = buffer(check, 16 * sizeof *b);
    for (int i = 0; i < 16; i++) {
        a[i] = (float)(rng_bits(&check->rng) % 10);
        b[i] = (float)(rng_bits(&check->rng) % 19) - 9.0f;
    }
    for (int r = 0; r < ARRAY_LEN(rounds); r++) {
        const float want = ref->probe_f32(a, b, rounds[r]), got = now->probe_f32(a, b, rounds[r]);
        judge_same(check, &want, &got, 1, "sum", FILL_NORMAL);
    }
    bench(check, run_f32, ref, now, a, b, 100, 100 * PROBE_F32_OPERATIONS, 0.0);
}

void check_probe_read(Check *check, const Kernels *ref, const Kernels *now)
{
    static const size_t sizes[] = { 0, 1, 3, 4, 7, 8, 31, 32, 33, 63, 64, 65, 127, 1000, 4096 };
    for (int s = 0; s < ARRAY_LEN(sizes); s++) {
        const size_t n = sizes[s];
        uint64_t *words = buffer(check, n * sizeof *words);
        for (size_t i = 0; i < n; i++) words[i] = rng_bits(&check->rng);
        const uint64_t want = ref->probe_read(words, n), got = now->probe_read(words, n);
        judge_bytes(check, &want, &got, sizeof want, "all words");
        /* A word that is left out, or read twice, shows. */
        for (size_t i = 0; i < n; i += 1 + n / 50) {
            words[i] ^= 1;
            const uint64_t other = now->probe_read(words, n), flipped = want ^ 1;
            judge_bytes(check, &flipped, &other, sizeof other, "one word changed");
            words[i] ^= 1;
        }
        if (n == 4096) bench(check, run_read, ref, now, words, NULL, n, n, 8.0 * (double)n);
        forget_buffers();
    }
}
