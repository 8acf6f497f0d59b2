/* SPDX-License-Identifier: Apache-2.0
 * tests/kernel/check_decode.c - decoders: the reference is the definition, and twins give its bits.
 */
#include "check.h"

#include <string.h>

typedef struct Run { DecodeFn *decode; float *to; const void *from; size_t n; } Run;

static void run(void *arg)
{
    const Run *r = arg;
    r->decode(r->to, r->from, r->n);
}

/* Blocks of random bytes: every quant, every scale, NaN, infinite, subnormal and negative ones. */
static void fill_bits(Check *check, unsigned char *bytes, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++) bytes[i] = (unsigned char)(rng_bits(&check->rng) >> 24);
}

/* All bytes alike: among them the largest and smallest quants and scales there are. */
static const int every_byte[] = { 0x00, 0xff, 0x7f, 0x80, 0x7b, 0xfb, 0x01 };

static void bench(Check *check, Format format, DecodeFn *ref, DecodeFn *now)
{
    const size_t n = 4096, n_bytes = (size_t)format_row_bytes(format, (int64_t)n);
    void *from = buffer(check, n_bytes);
    float *to = buffer(check, n * sizeof *to);
    format_info[format].draw(from, n, 1.0f, &check->rng);
    Run a = { ref, to, from, n }, b = { now, to, from, n };
    print_speed(check, n, (double)n_bytes, best_ns(run, &b), best_ns(run, &a));
}

static void check_decoder(Check *check, Format format, DecodeFn *ref, DecodeFn *now)
{
    /* For formats without blocks, tails of every length up to 17. */
    static const size_t n_blocks[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,   10,
                                      11, 12, 13, 14, 15, 16, 17, 64, 1001};
    const int fills = 40 + ARRAY_LEN(every_byte);
    for (int s = 0; s < ARRAY_LEN(n_blocks); s++)
        for (int fill = 0; fill < fills; fill++) {
            const size_t n = n_blocks[s] * (size_t)format_info[format].block_values;
            const size_t n_bytes = n_blocks[s] * (size_t)format_info[format].block_bytes;
            unsigned char *from = buffer(check, n_bytes);
            float *want = buffer(check, n * sizeof *want), *got = buffer(check, n * sizeof *got);
            if (fill < ARRAY_LEN(every_byte)) memset(from, every_byte[fill], n_bytes);
            else if (fill % 2) fill_bits(check, from, n_bytes);
            else format_info[format].draw(from, n, 0.02f, &check->rng);
            ref(want, from, n);
            now(got, from, n);
            const bool same = judge_same(check, want, got, n, "number", FILL_NORMAL);
            forget_buffers();
            if (!same) return;
        }
    if (check->bench && !check->at_front) bench(check, format, ref, now);
}

#define DECODER(name, format)                                                                      \
    void check_##name(Check *check, const Kernels *ref, const Kernels *now)                        \
    {                                                                                              \
        check_decoder(check, format, ref->name, now->name);                                        \
    }
DECODER(decode_f16, F16)
DECODER(decode_bf16, BF16)
DECODER(decode_q4_0, Q4_0)
DECODER(decode_q4_1, Q4_1)
DECODER(decode_q5_0, Q5_0)
DECODER(decode_q5_1, Q5_1)
DECODER(decode_q8_0, Q8_0)
DECODER(decode_q2_k, Q2_K)
DECODER(decode_q3_k, Q3_K)
DECODER(decode_q4_k, Q4_K)
DECODER(decode_q5_k, Q5_K)
DECODER(decode_q6_k, Q6_K)

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
