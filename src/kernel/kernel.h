/* SPDX-License-Identifier: Apache-2.0
 * kernel/kernel.h - the arithmetic of one CPU core.
 *
 * A kernel is a leaf: no allocation, no threads, no errors, no globals.  It gets pointers and
 * counts, and it does arithmetic.  For each kernel there is one scalar reference (ref/) that says
 * what is right, and any number of faster twins (x86/, arm/).  Nothing needs alignment beyond that of its
 * type, and nothing is read or written outside the n values.
 *
 * Bits     What a kernel computes depends on its arguments only, never on addresses (decision D1).
 *          Instruction sets may differ from each other within the bounds that tests/kernel derives;
 *          rotations, attention and quantised activations may not differ at all. */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include "kernel/cache.h"
#include "number/format.h"
#include "number/panel.h"

/* ---- what products read ----
 *
 * A *tile* is 1 to TILE_ROWS rows of activations, laid out for the weights they will meet.
 *
 * Weights without blocks meet floats: the tile is [n][n_cols] floats.
 *
 * Weights with blocks meet numbers of eight bits: x = scale * q, a scale for every 32.  Block b of a tile of n
 * rows is n * X_BLOCK_BYTES bytes at tile + b * n * X_BLOCK_BYTES:
 *
 *     int8_t  q[n][32]         -127 to 127
 *     float   scale[n]         largest |x| of the 32, over 127
 *     float   sum[n]           scale * (sum of q): what a minimum is multiplied with
 *     int32_t minus[n]         -(sum of q): what takes the offset out of weights stored without a sign
 *     int32_t minus_low[n]     the same of the first 16
 *
 * A block with a NaN or an infinity has scale and sum NaN and q zero, so every answer of its row is NaN. */
enum { TILE_ROWS = 8, X_BLOCK = 32, X_BLOCK_BYTES = 48 };

typedef struct XBlock {
    const int8_t  *q;
    const float   *scale, *sum;
    const int32_t *minus, *minus_low;
} XBlock;

static inline XBlock x_block(const void *tile, size_t n, size_t b)
{
    const char *at = (const char *)tile + b * n * X_BLOCK_BYTES;
    const float *words = (const float *)(at + n * X_BLOCK);
    return (XBlock){ (const int8_t *)at, words, words + n, (const int32_t *)(words + 2 * n),
                     (const int32_t *)(words + 3 * n) };
}

typedef void  EncodeFn (void *to, const float *from, size_t n);
typedef void  NormFn   (float *y, const float *x, const float *g, size_t n, float eps);
typedef void  AddFn    (float *y, const float *x, size_t n);
typedef void  AxpyFn   (float *y, float a, const float *x, size_t n);
typedef void  ScaleFn  (float *y, float a, size_t n);
typedef void  SiluMulFn(float *y, const float *gate, const float *up, size_t n);
typedef float MaxFn    (const float *x, size_t n);
typedef float ExpSumFn (float *x, float max, size_t n);
typedef void  RopeFn   (float *x, const float *cosine, const float *sine, size_t n_pairs);
typedef void  ScoreFn  (float *scores, const float *q, size_t n, const CacheRun *keys);
typedef void  GatherFn (float *y, const float *weights, size_t n, const CacheRun *values);
typedef void  QuantizeFn(void *tile, size_t n, size_t i, const float *x, size_t n_values);
/* One round of a probe is PROBE_CHAINS chains of additions that do not wait for each other, each as wide as the widest
 * register there is: enough of them to keep every multiplier busy.  A multiplication and its addition are 2
 * operations, whatever number of instructions a set needs for them. */
enum {
    PROBE_CHAINS = 12,
    PROBE_INT8_OPERATIONS = 2 * 64 * PROBE_CHAINS,
    PROBE_F32_OPERATIONS = 2 * 16 * PROBE_CHAINS
};
typedef uint32_t ProbeInt8Fn(const uint8_t a[64], const int8_t b[64], size_t n_rounds);
typedef float    ProbeF32Fn (const float a[16], const float b[16], size_t n_rounds);
typedef uint64_t ProbeReadFn(const uint64_t *words, size_t n_words);

/* ---- products of training ----
 *
 * Both sides of a product change from step to step, so they are laid out anew, in *words*: one float, or two BF16
 * numbers that are neighbours in the sum, the first of them in the lower half.  A *strip* is STRIP columns of
 * the answer, [n_words][STRIP], with zeros for columns that are not there and for the second half of an odd last word.
 * A *patch* is the part of an answer that one strip gives: c[i][j] += sum over w of a[i][w] * b[w][j]. */
enum { STRIP = 32 };

typedef struct Patch {
    float      *c;              /* [m][n], c_row numbers from row to row; n <= STRIP       */
    const void *a;              /* word w of row i is number i * a_row + w * a_word        */
    const void *b;              /* a strip                                                 */
    size_t      c_row, a_row, a_word, m, n, n_words;
    bool        adds;           /* to what c holds; otherwise c is overwritten             */
} Patch;

typedef void  PatchFn    (const Patch *patch);
/* Up to STRIP rows of n_cols numbers become the columns of one strip. */
typedef void  StripRowsFn(void *strip, const float *from, size_t from_row, size_t n_rows, size_t n_cols);
/* n_rows rows become the first words of ceil(n_cols / STRIP) strips, which lie strip_words * STRIP words apart; two
 * rows make one word of BF16. */
typedef void  StripColsFn(void *strips, size_t strip_words, const float *from, size_t from_row, size_t n_rows,
                          size_t n_cols);
typedef void  SiluBackFn (float *gate, float *up, const float *d, size_t n);

typedef void  PanelFn  (float (*y)[STACK_ROWS], const void *stack, size_t panels, const void *tile, size_t n,
                        size_t n_cols);

typedef struct Kernels {
#define KERNEL(name, Signature, text) Signature *name;
#include "kernel/kernels.def"
#undef KERNEL
} Kernels;

/* Instruction sets of this kind of machine, each implying those before it. */
#if defined __aarch64__
typedef enum CpuSet { CPU_REF, CPU_NEON, N_CPU_SETS } CpuSet;
#else
typedef enum CpuSet { CPU_REF, CPU_AVX2, CPU_AVX512, N_CPU_SETS } CpuSet;
#endif

extern const char *const cpu_set_name[N_CPU_SETS];      /* "ref", "avx2", "avx512" or "neon" */

bool   cpu_set_from_name(const char *name, CpuSet *out);
CpuSet cpu_detect(void);                                    /* the best this machine has   */

/* Fill the whole table with references, then let every set up to `set` overwrite what it does
 * better. `set` is at most cpu_detect(). */
void kernels_select(Kernels *table, CpuSet set);

/* The product of a stack in this format with a tile. */
PanelFn *kernels_panel(const Kernels *table, Format format);

#endif
