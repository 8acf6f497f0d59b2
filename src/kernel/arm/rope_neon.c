/* SPDX-License-Identifier: Apache-2.0
 * kernel/arm/rope_neon.c - rotary embedding, NEON: the reference's roundings, so the same bits. */
#include "kernel/arm/neon.h"

/* Both products are rounded before they meet: nothing fused here. */
static inline float32x4_t turned_a(float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t s)
{
    return vsubq_f32(vmulq_f32(a, c), vmulq_f32(b, s));
}

static inline float32x4_t turned_b(float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t s)
{
    return vaddq_f32(vmulq_f32(a, s), vmulq_f32(b, c));
}

static inline void turn(float *a, float *b, float cosine, float sine)
{
    const float a0 = *a, b0 = *b;
    *a = a0 * cosine - b0 * sine;
    *b = a0 * sine + b0 * cosine;
}

void rope_adjacent_neon(float *x, const float *cosine, const float *sine, size_t n_pairs)
{
    size_t i = 0;
    for (; i + 4 <= n_pairs; i += 4) {
        const float32x4x2_t v = vld2q_f32(x + 2 * i);
        const float32x4_t c = vld1q_f32(cosine + i), s = vld1q_f32(sine + i);
        const float32x4x2_t to = { { turned_a(v.val[0], v.val[1], c, s), turned_b(v.val[0], v.val[1], c, s) } };
        vst2q_f32(x + 2 * i, to);
    }
    for (; i < n_pairs; i++) turn(&x[2 * i], &x[2 * i + 1], cosine[i], sine[i]);
}

void rope_halves_neon(float *x, const float *cosine, const float *sine, size_t n_pairs)
{
    size_t i = 0;
    for (; i + 4 <= n_pairs; i += 4) {
        const float32x4_t a = vld1q_f32(x + i), b = vld1q_f32(x + n_pairs + i);
        const float32x4_t c = vld1q_f32(cosine + i), s = vld1q_f32(sine + i);
        vst1q_f32(x + i, turned_a(a, b, c, s));
        vst1q_f32(x + n_pairs + i, turned_b(a, b, c, s));
    }
    for (; i < n_pairs; i++) turn(&x[i], &x[n_pairs + i], cosine[i], sine[i]);
}
