/* SPDX-License-Identifier: Apache-2.0
 * kernel/arm/dot_neon.c - dot products of floats, NEON. */
#include "kernel/arm/neon.h"

/* ORDER dot_f32: as in x86/dot_avx2.c. */
typedef struct Sums { Eight part[4]; } Sums;

static inline Sums no_sums(void)
{
    const Eight zero = each_of_8(0.0f);
    return (Sums){ { zero, zero, zero, zero } };
}

static inline float finish(Sums sums, const float *w, const float *x, size_t i, size_t n)
{
    for (; i < n; i += EIGHT) sums.part[0] = add_product(sums.part[0], load_of(w, i, n), load_of(x, i, n));
    return sum_lanes(sum_8(sum_8(sums.part[0], sums.part[1]), sum_8(sums.part[2], sums.part[3])));
}

float dot_f32_neon(const float *w, const float *x, size_t n)
{
    Sums sums = no_sums();
    size_t i = 0;
    for (; i + 4 * EIGHT <= n; i += 4 * EIGHT)
        UNROLL for (size_t k = 0; k < 4; k++)
            sums.part[k] = add_product(sums.part[k], load_8(w + i + EIGHT * k), load_8(x + i + EIGHT * k));
    return finish(sums, w, x, i, n);
}

/* Two rows at a time fill half of the thirty-two registers with sums. */
static inline void dot2(float y[2], const float *w, const float *x0, const float *x1, size_t n)
{
    Sums a = no_sums(), b = a;
    size_t i = 0;
    for (; i + 4 * EIGHT <= n; i += 4 * EIGHT)
        UNROLL for (size_t k = 0; k < 4; k++) {
            const Eight weights = load_8(w + i + EIGHT * k);
            a.part[k] = add_product(a.part[k], weights, load_8(x0 + i + EIGHT * k));
            b.part[k] = add_product(b.part[k], weights, load_8(x1 + i + EIGHT * k));
        }
    y[0] = finish(a, w, x0, i, n);
    y[1] = finish(b, w, x1, i, n);
}

void dot4_f32_neon(float y[4], const float *w, const float *const x[4], size_t n)
{
    dot2(y, w, x[0], x[1], n);
    dot2(y + 2, w, x[2], x[3], n);
}
