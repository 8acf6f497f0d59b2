/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/patch_avx2.c - the products of training, and how their sides are laid out, AVX2.
 *
 * ORDER patch_f32: one chain of fused multiply-adds for each answer, words in order, from what c holds.
 * ORDER patch_bf16: the same; of each word the upper product first, then the lower.
 *
 * Cost: ROWS rows of the answer meet half a strip in registers: 12 sums, so that 8 loads serve 12 multiplications. */
#include "kernel/x86/avx2.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

enum { LANES = 8, ROWS = 6 };

/* ---- patches ---- */

typedef enum Words { FLOATS, PAIRS } Words;

INLINE __m256 upper(__m256i pairs)
{
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000)));
}

INLINE __m256 lower(__m256i pairs)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
}

INLINE __m256 add_word(Words words, __m256 sum, int32_t a, __m256i b)
{
    const __m256i all = _mm256_set1_epi32(a);
    if (words == FLOATS) return _mm256_fmadd_ps(_mm256_castsi256_ps(all), _mm256_castsi256_ps(b), sum);
    return _mm256_fmadd_ps(lower(all), lower(b), _mm256_fmadd_ps(upper(all), upper(b), sum));
}

/* `rows` rows from i, sixteen columns from j. */
INLINE void meet(Words words, const Patch *p, size_t i, size_t j, size_t rows)
{
    const int32_t *a = (const int32_t *)p->a + i * p->a_row, *b = (const int32_t *)p->b + j;
    const size_t left = p->n - j, many = left < LANES ? left : LANES, more = left < 2 * LANES ? left - many : LANES;
    const __m256i first = first_lanes(many), second = first_lanes(more);
    float *c = p->c + i * p->c_row + j;
    __m256 low[ROWS], high[ROWS];
    UNROLL for (size_t r = 0; r < rows; r++) {
        low[r] = high[r] = _mm256_setzero_ps();
        if (!p->adds) continue;
        low[r] = _mm256_maskload_ps(c + r * p->c_row, first);
        if (more) high[r] = _mm256_maskload_ps(c + r * p->c_row + LANES, second);
    }
    for (size_t w = 0; w < p->n_words; w++, a += p->a_word, b += STRIP) {
        const __m256i b0 = _mm256_loadu_si256((const void *)b), b1 = _mm256_loadu_si256((const void *)(b + LANES));
        UNROLL for (size_t r = 0; r < rows; r++) {
            const int32_t one = a[r * p->a_row];
            low[r] = add_word(words, low[r], one, b0);
            high[r] = add_word(words, high[r], one, b1);
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
        _mm256_maskstore_ps(c + r * p->c_row, first, low[r]);
        if (more) _mm256_maskstore_ps(c + r * p->c_row + LANES, second, high[r]);
    }
}

INLINE void patch(Words words, const Patch *p)
{
    for (size_t j = 0; j < p->n; j += 2 * LANES) {
        size_t i = 0;
        for (; i + ROWS <= p->m; i += ROWS) meet(words, p, i, j, ROWS);
        switch (p->m - i) {
        case 1: meet(words, p, i, j, 1); break;
        case 2: meet(words, p, i, j, 2); break;
        case 3: meet(words, p, i, j, 3); break;
        case 4: meet(words, p, i, j, 4); break;
        case 5: meet(words, p, i, j, 5); break;
        }
    }
}

void patch_f32_avx2(const Patch *p)
{
    patch(FLOATS, p);
}

void patch_bf16_avx2(const Patch *p)
{
    patch(PAIRS, p);
}

/* ---- rounding to BF16: the bits of f32_to_bf16, in the upper half of each lane ---- */

INLINE __m256i rounded(__m256 x)
{
    const __m256i bits = _mm256_castps_si256(x), upper_half = _mm256_set1_epi32((int)0xffff0000);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i near = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_and_si256(_mm256_blendv_epi8(near, quiet, nan), upper_half);
}

/* Lane j: number j of two rows, the first in the lower half. */
INLINE __m256i pair_up(__m256 first, __m256 second)
{
    return _mm256_or_si256(_mm256_srli_epi32(rounded(first), 16), rounded(second));
}

INLINE __m256 load_some(const float *x, size_t n)
{
    return n >= LANES ? _mm256_loadu_ps(x) : n == 0 ? _mm256_setzero_ps() : _mm256_maskload_ps(x, first_lanes(n));
}

/* Sixteen neighbours, or n < 16 of them and zeros, as eight words: rounded numbers 0..3, 8..11 and 4..7, 12..15 lie
 * in the halves that packing leaves them in; the permutation puts them in order. */
INLINE __m256i neighbours(const float *x, size_t n)
{
    const __m256i a = _mm256_srli_epi32(rounded(load_some(x, n)), 16),
                  b = _mm256_srli_epi32(rounded(load_some(n > LANES ? x + LANES : x, n > LANES ? n - LANES : 0)), 16);
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
}

void encode_bf16_avx2(void *to, const float *from, size_t n)
{
    uint16_t *y = to;
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES)
        _mm256_storeu_si256((void *)(y + i), neighbours(from + i, 2 * LANES));
    if (i == n) return;
    uint16_t rest[2 * LANES];
    _mm256_storeu_si256((void *)rest, neighbours(from + i, n - i));
    memcpy(y + i, rest, (n - i) * sizeof *rest);
}

/* ---- strips ---- */

/* Eight rows of eight words become eight columns. */
INLINE void turn(__m256 v[LANES])
{
    __m256 t[LANES];
    UNROLL for (size_t i = 0; i < LANES; i += 2) {
        t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    UNROLL for (size_t i = 0; i < LANES; i += 4) {
        v[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        v[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        v[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        v[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    UNROLL for (size_t i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x31);
    }
    UNROLL for (size_t i = 0; i < LANES; i++) v[i] = t[i];
}

/* Eight words of a row, of which n_cols numbers are there. */
INLINE __m256 words_of_row(Words words, const float *x, size_t n_cols)
{
    return words == FLOATS ? load_some(x, n_cols) : _mm256_castsi256_ps(neighbours(x, n_cols));
}

INLINE void strip_rows(Words words, void *strip, const float *from, size_t from_row, size_t n_rows, size_t n_cols)
{
    const size_t per_word = words == FLOATS ? 1 : 2, n_words = (n_cols + per_word - 1) / per_word;
    float (*to)[STRIP] = strip;
    for (size_t w = 0; w < n_words; w += LANES) {
        const size_t many = n_words - w < LANES ? n_words - w : LANES;
        for (size_t i = 0; i < STRIP; i += LANES) {
            __m256 v[LANES];
            UNROLL for (size_t r = 0; r < LANES; r++)
                v[r] = i + r < n_rows
                           ? words_of_row(words, from + (i + r) * from_row + per_word * w, n_cols - per_word * w)
                           : _mm256_setzero_ps();
            turn(v);
            if (many == LANES) UNROLL for (size_t r = 0; r < LANES; r++) _mm256_storeu_ps(&to[w + r][i], v[r]);
            else for (size_t r = 0; r < many; r++) _mm256_storeu_ps(&to[w + r][i], v[r]);
        }
    }
}

void strip_rows_f32_avx2(void *strip, const float *from, size_t from_row, size_t n_rows, size_t n_cols)
{
    strip_rows(FLOATS, strip, from, from_row, n_rows, n_cols);
}

void strip_rows_bf16_avx2(void *strip, const float *from, size_t from_row, size_t n_rows, size_t n_cols)
{
    strip_rows(PAIRS, strip, from, from_row, n_rows, n_cols);
}

/* How many of the eight numbers from col on are there. */
INLINE size_t left_of(size_t col, size_t n_cols)
{
    return col < n_cols ? n_cols - col : 0;
}

void strip_cols_f32_avx2(void *strips, size_t strip_words, const float *from, size_t from_row, size_t n_rows,
                         size_t n_cols)
{
    for (size_t w = 0; w < n_rows; w++, from += from_row)
        for (size_t col = 0; col < n_cols; col += STRIP) {
            float *to = (float *)strips + (col * strip_words + w * STRIP);
            UNROLL for (size_t j = 0; j < STRIP; j += LANES) {
                const size_t left = left_of(col + j, n_cols);
                _mm256_storeu_ps(to + j, load_some(left ? from + col + j : from, left));
            }
        }
}

void strip_cols_bf16_avx2(void *strips, size_t strip_words, const float *from, size_t from_row, size_t n_rows,
                          size_t n_cols)
{
    for (size_t r = 0; r < n_rows; r += 2, from += 2 * from_row)
        for (size_t col = 0; col < n_cols; col += STRIP) {
            uint32_t *to = (uint32_t *)strips + (col * strip_words + r / 2 * STRIP);
            UNROLL for (size_t j = 0; j < STRIP; j += LANES) {
                const size_t left = left_of(col + j, n_cols);
                const float *x = left ? from + col + j : from;
                const __m256 first = load_some(x, left),
                             second = r + 1 < n_rows ? load_some(x + from_row, left) : _mm256_setzero_ps();
                _mm256_storeu_si256((void *)(to + j), pair_up(first, second));
            }
        }
}

/* ---- SwiGLU, backwards: see ref/patch_ref.c ---- */

INLINE void silu_back_8(float *gate, float *up, __m256 g, __m256 u, __m256 d, __m256i some)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    /* Beyond -88 the exponential stays that of 88, and s as good as 0. */
    const __m256 below = _mm256_add_ps(one, exp_8(_mm256_xor_ps(g, _mm256_set1_ps(-0.0f))));
    const __m256 s = _mm256_div_ps(one, below);
    const __m256 slope = _mm256_fmadd_ps(g, _mm256_sub_ps(one, s), one);
    const __m256 ds = _mm256_mul_ps(d, s);
    _mm256_maskstore_ps(gate, some, _mm256_mul_ps(_mm256_mul_ps(ds, u), slope));
    _mm256_maskstore_ps(up, some, _mm256_mul_ps(ds, g));
}

void silu_back_avx2(float *gate, float *up, const float *d, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t left = n - i;
        silu_back_8(gate + i, up + i, load_some(gate + i, left), load_some(up + i, left), load_some(d + i, left),
                    first_lanes(left < LANES ? left : LANES));
    }
}
