/* SPDX-License-Identifier: Apache-2.0
 * tests/kernel/check_half.c - floats to halves: twins give the bits of the reference. */
#include "check.h"

#include <string.h>

/* Floats of random bits cover NaN, infinities and subnormals; the rest lie in the range of halves,
 * half of them exactly between two. */
static void fill_floats(Check *check, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t random = (uint32_t)(rng_bits(&check->rng) >> 32);
        uint32_t bits = random;
        if (i % 2) bits = (random & 0x80000000u) | (0x32000000u + random % 0x17000000u);
        if (i % 4 == 3) bits = (bits & ~0x1fffu) | 0x1000u;
        memcpy(&x[i], &bits, sizeof bits);
    }
}

void check_encode_f16(Check *check, const Kernels *ref, const Kernels *now)
{
    for (size_t n = 1; n < 4000; n = n < 20 ? n + 1 : n * 3) {
        float *from = buffer(check, n * sizeof *from);
        uint16_t *want = buffer(check, n * sizeof *want), *got = buffer(check, n * sizeof *got);
        fill_floats(check, from, n);
        ref->encode_f16(want, from, n);
        now->encode_f16(got, from, n);
        judge_bytes(check, want, got, n * sizeof *want, "halves");
        forget_buffers();
    }
}
