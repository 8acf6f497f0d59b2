/* SPDX-License-Identifier: Apache-2.0
 * tests/kernel/check_panel.c - products of panels and tiles: near the reference, and the same bytes for a row
 * alone and among others. */
#include "check.h"

#include "number/blocks.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- activations to numbers of eight bits: the reference's bytes ---- */

/* What one row is made of, beside the fills of check.h. */
typedef enum Row { ROW_NORMAL, ROW_ZERO, ROW_LARGEST, ROW_SPARSE, ROW_TINY, ROW_EDGE, ROW_TIES, ROW_NAN, ROW_INFINITE,
                   ROW_BITS, N_ROWS } Row;

/* Every third block gets the odd number, so that its neighbours are seen not to care. */
static void spoil(Check *check, float *x, size_t n, float odd)
{
    for (size_t b = 0; b < n / X_BLOCK; b += 3) x[b * X_BLOCK + rng_bits(&check->rng) % X_BLOCK] = odd;
}

static float *row_of(Check *check, size_t n, Row kind)
{
    float *x = floats(check, n, kind <= ROW_SPARSE ? (Fill)kind : FILL_NORMAL, FLT_MAX);
    for (size_t i = 0; i < n; i++) {
        const uint64_t random = rng_bits(&check->rng);
        const uint32_t bits = (uint32_t)random;
        if (kind == ROW_TINY) x[i] *= 0x1p-130f;                /* many are subnormal           */
        if (kind == ROW_EDGE) x[i] *= 0x1p-101f;                /* around what is taken for 0   */
        /* With 127 as the largest nothing is scaled, and half of the numbers lie between two integers. */
        if (kind == ROW_TIES) x[i] = i % X_BLOCK ? (float)(random % 509) / 2.0f - 127.0f : 127.0f;
        if (kind == ROW_BITS) memcpy(&x[i], &bits, sizeof bits);
    }
    if (kind == ROW_NAN) spoil(check, x, n, NAN);
    if (kind == ROW_INFINITE) spoil(check, x, n, -INFINITY);
    return x;
}

typedef struct Quantize { QuantizeFn *quantize; void *tile; const float *x; size_t n; } Quantize;

static void run_quantize(void *arg)
{
    const Quantize *r = arg;
    r->quantize(r->tile, 1, 0, r->x, r->n);
}

static void bench_quantize(Check *check, const Kernels *ref, const Kernels *now)
{
    const size_t n = 4096;
    const float *x = floats(check, n, FILL_NORMAL, 0.0f);
    void *tile = buffer(check, n / X_BLOCK * X_BLOCK_BYTES);
    Quantize a = { ref->quantize_x, tile, x, n }, b = { now->quantize_x, tile, x, n };
    print_speed(check, n, 4.0 * (double)n, best_ns(run_quantize, &b), best_ns(run_quantize, &a));
    forget_buffers();
}

void check_quantize_x(Check *check, const Kernels *ref, const Kernels *now)
{
    static const size_t n_blocks[] = { 1, 2, 3, 7, 128 };
    for (int s = 0; s < ARRAY_LEN(n_blocks); s++)
        for (Row kind = 0; kind < N_ROWS; kind++)
            for (size_t n = 1; n <= TILE_ROWS; n++) {
                const size_t n_values = n_blocks[s] * X_BLOCK, n_bytes = n_blocks[s] * n * X_BLOCK_BYTES;
                const float *x = row_of(check, n_values, kind);
                char *want = buffer(check, n_bytes), *got = buffer(check, n_bytes);
                memset(want, 0xa5, n_bytes);            /* the other rows must stay as they are */
                memset(got, 0xa5, n_bytes);
                const size_t i = rng_bits(&check->rng) % n;
                for (size_t k = 0; k < n; k++) {        /* each row once, the last of them twice */
                    ref->quantize_x(want, n, (i + k) % n, x, n_values);
                    now->quantize_x(got, n, (i + k) % n, x, n_values);
                    if (!judge_bytes(check, want, got, n_bytes, "tile")) return;
                }
                forget_buffers();
            }
    if (check->bench && !check->at_front) bench_quantize(check, ref, now);
}

/* ---- panels ---- */

typedef enum Weights { WEIGHTS_USUAL, WEIGHTS_BITS, WEIGHTS_LARGEST, N_WEIGHTS } Weights;

/* A panel, and the rows it was packed from. */
typedef struct Rows {
    Format  format;
    size_t  n_cols, row_bytes, n_blocks, panel_bytes;
    char   *rows, *panel;
} Rows;

/* Halves that are finite, and the rest of the block as it comes.  All bits of a float but the one that makes
 * it larger than 2, so that products stay finite. */
static void make_finite(Rows *p, Check *check, bool largest)
{
    const PanelShape s = panel_shape(p->format);
    const size_t block_bytes = (size_t)format_info[p->format].block_bytes;
    for (size_t b = 0; b < PANEL_ROWS * p->n_blocks; b++) {
        char *block = p->rows + b * block_bytes;
        if (s.n_halves == 0 && p->format != F16) block[block_bytes - 1] &= (char)0xbf;
        for (int h = 0; h < s.n_halves || (h == 0 && p->format == F16); h++) {
            uint16_t half;
            memcpy(&half, block + s.halves_at + 2 * h, sizeof half);
            if ((half & 0x7c00) == 0x7c00) half &= 0xbfff;
            if (largest) half = rng_bits(&check->rng) % 2 ? 0x7bff : 0xfbff;
            memcpy(block + s.halves_at + 2 * h, &half, sizeof half);
        }
    }
}

/* Blocks whose bytes are all alike: stored -128 in Q8_0 and in Q6_K's scales, the largest quants, the smallest. */
static void fill_alike(Rows *p, Check *check)
{
    static const int every_byte[] = { 0x80, 0xff, 0x7f, 0x00, 0x81 };
    const size_t block_bytes = (size_t)format_info[p->format].block_bytes;
    for (size_t b = 0; b < PANEL_ROWS * p->n_blocks; b++)
        memset(p->rows + b * block_bytes, every_byte[rng_bits(&check->rng) % ARRAY_LEN(every_byte)], block_bytes);
}

/* Large rows are drawn, because the encoders search for their scales. */
static void fill_usual(Rows *p, Check *check)
{
    const FormatInfo *info = &format_info[p->format];
    float row[2048];
    for (size_t r = 0; r < PANEL_ROWS; r++) {
        if (p->n_cols > ARRAY_LEN(row)) {
            info->draw(p->rows + r * p->row_bytes, p->n_cols, 0.02f, &check->rng);
            continue;
        }
        for (size_t k = 0; k < p->n_cols; k++) row[k] = 0.02f * random_normal(check);
        info->encode(p->rows + r * p->row_bytes, row, p->n_cols);
    }
}

static void pack(Rows *p)
{
    stack_pack(p->panel, p->format, (int64_t)p->n_cols, p->rows, PANEL_ROWS);
}

static Rows make_rows(Check *check, Format format, size_t n_cols, Weights kind)
{
    Rows p = { .format = format, .n_cols = n_cols,
               .row_bytes = (size_t)format_row_bytes(format, (int64_t)n_cols),
               .n_blocks = n_cols / (size_t)format_info[format].block_values,
               .panel_bytes = (size_t)stack_bytes(format, (int64_t)n_cols, PANEL_ROWS) };
    p.rows = buffer(check, PANEL_ROWS * p.row_bytes);
    p.panel = buffer(check, p.panel_bytes);
    if (kind == WEIGHTS_USUAL) fill_usual(&p, check);
    if (kind == WEIGHTS_LARGEST) fill_alike(&p, check);
    for (size_t i = 0; kind == WEIGHTS_BITS && i < PANEL_ROWS * p.row_bytes; i++)
        p.rows[i] = (char)(rng_bits(&check->rng) >> 24);
    if (kind != WEIGHTS_USUAL) make_finite(&p, check, kind == WEIGHTS_LARGEST);
    pack(&p);
    return p;
}

static bool has_blocks(Format format)
{
    return format_info[format].block_values > 1;
}

/* Rows first, first + 1, ... of eight (around the end) to a tile of n. */
static char *make_tile(Check *check, const Rows *p, const float *x, size_t n, size_t first)
{
    const size_t row_bytes = has_blocks(p->format) ? p->n_cols / X_BLOCK * X_BLOCK_BYTES : p->n_cols * sizeof *x;
    char *tile = buffer(check, n * row_bytes);
    Kernels ref;
    kernels_select(&ref, CPU_REF);
    for (size_t i = 0; i < n; i++) {
        const float *row = x + (first + i) % TILE_ROWS * p->n_cols;
        if (has_blocks(p->format)) ref.quantize_x(tile, n, i, row, p->n_cols);
        else memcpy(tile + i * row_bytes, row, row_bytes);
    }
    return tile;
}

/* ---- how far a twin may be off ----
 *
 * Write u = 2^-24 for one rounding.  A weight in a block is scale * q - minimum and an activation x = x_scale * xq;
 * let A be the sum of (|scale * q| + |minimum|) * |x| over all columns.  Everything any of them adds up on its
 * way is bounded by A, so an answer that comes by a path of k roundings is off by at most k u / (1 - k u) * A.
 *
 * The reference rounds the weight once (scale * q is exact: 11 + 8 + 5 bits at most), the activation once and the
 * answer once: 3.  Its sum in double adds less than another.  A twin multiplies integers, which is exact, rounds the
 * product to a float (1), multiplies it with the group's, the block's and the activations' scales (3) or takes the
 * activations' rounded sum times the minimum (3), adds it to a sum (one rounding for each group and each half the
 * format has) and joins at most four sums (2).  In all: n_groups * n_halves + 12 is enough.
 *
 * What underflows in a product of scales is off by 2^-150 and may then meet integers: for one column at most
 * 128 * 32 * 127 < 2^19 (Q6_K).  In x or the sum of x it meets the weight.
 *
 * Weights without blocks: at least eight partial sums, so n/8 fused additions in one of them, no more than eight for
 * what is left over and three to join them; the reference rounds once: n/8 + 12.  Products underflow by 2^-149.
 * Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 4.2. */

static bool groups_of_16(Format format)
{
    return format == Q2_K || format == Q3_K || format == Q6_K;
}

/* |scale * q| + |minimum| of one row: decoded without the minimum, and without the scale. */
static void sizes_of_row(double *to, const Rows *p, const char *row)
{
    const PanelShape s = panel_shape(p->format);
    const FormatInfo *info = &format_info[p->format];
    const size_t values = (size_t)info->block_values, block_bytes = (size_t)info->block_bytes;
    for (size_t b = 0; b < p->n_blocks; b++, row += block_bytes, to += values) {
        for (size_t k = 0; k < values; k++) to[k] = 0.0;
        for (int h = 0; h < (s.n_halves ? s.n_halves : 1); h++) {
            _Alignas(8) char block[sizeof(BlockQ6_K)];
            float part[SUPER_VALUES];
            memcpy(block, row, block_bytes);
            if (s.n_halves == 2) memset(block + s.halves_at + 2 * (1 - h), 0, 2);
            info->decode(part, block, values);
            for (size_t k = 0; k < values; k++) to[k] += fabs((double)part[k]);
        }
    }
}

static void sizes_of_x(double *to, Check *check, const Rows *p, const float *x)
{
    if (!has_blocks(p->format)) {
        for (size_t k = 0; k < p->n_cols; k++) to[k] = fabs((double)x[k]);
        return;
    }
    const char *tile = make_tile(check, p, x, 1, 0);
    for (size_t k = 0; k < p->n_cols; k++) {
        const XBlock block = x_block(tile, 1, k / X_BLOCK);
        to[k] = fabs((double)block.scale[0] * block.q[k % X_BLOCK]);
    }
}

static double bound(const Rows *p, const double *w, const double *x)
{
    double products = 0.0, weights = 0.0;
    for (size_t k = 0; k < p->n_cols; k++) {
        products += w[k] * x[k];
        weights += w[k];
    }
    const double n = (double)p->n_cols, halves = (double)panel_shape(p->format).n_halves;
    const double path = !has_blocks(p->format) ? n / 8 + 12 : n / (groups_of_16(p->format) ? 16 : 32) * halves + 12;
    const double lost = has_blocks(p->format) ? 0x1p-149 * (0x1p19 * n + weights) : 0x1p-149 * (n + 1);
    return path * 0x1p-24 / (1.0 - path * 0x1p-24) * products + lost;
}

/* ---- what is checked ---- */

typedef float Answer[STACK_ROWS];         /* of one panel: the first PANEL_ROWS              */

typedef struct Case {
    Check       *check;
    Rows         p;
    const float *x;             /* [TILE_ROWS][n_cols]                                     */
    Fill         fill;
    PanelFn     *ref, *now;
    Answer       alone[TILE_ROWS];      /* what the twin says of each row by itself        */
} Case;

static Answer *answers(Case *c, size_t n, const char *panel, const char *tile)
{
    Answer *y = buffer(c->check, n * sizeof *y);
    c->now(y, panel, 1, tile, n, c->p.n_cols);
    return y;
}

/* Each row by itself against the reference. */
static bool check_near(Case *c)
{
    static double w[PANEL_ROWS][8192], x[8192];
    Answer want[TILE_ROWS];
    c->ref(want, c->p.panel, 1, make_tile(c->check, &c->p, c->x, TILE_ROWS, 0), TILE_ROWS, c->p.n_cols);
    for (size_t r = 0; r < PANEL_ROWS; r++) sizes_of_row(w[r], &c->p, c->p.rows + r * c->p.row_bytes);
    for (size_t i = 0; i < TILE_ROWS; i++) {
        const Answer *got = answers(c, 1, c->p.panel, make_tile(c->check, &c->p, c->x, 1, i));
        memcpy(c->alone[i], got, PANEL_ROWS * sizeof(float));
        sizes_of_x(x, c->check, &c->p, c->x + i * c->p.n_cols);
        for (size_t r = 0; r < PANEL_ROWS; r++)
            if (!judge(c->check, (double)want[i][r], (double)c->alone[i][r], bound(&c->p, w[r], x), "answer",
                       c->p.n_cols, c->fill))
                return false;
    }
    return true;
}

/* D1: among n - 1 others, at any place, and with the panel at any address, a row's answers keep their bytes. */
static bool check_company(Case *c)
{
    for (size_t n = 1; n <= TILE_ROWS; n++)
        for (size_t first = 0; first < TILE_ROWS; first += 3) {
            const Answer *got = answers(c, n, c->p.panel, make_tile(c->check, &c->p, c->x, n, first));
            for (size_t i = 0; i < n; i++)
                if (!judge_same(c->check, c->alone[(first + i) % TILE_ROWS], got[i], PANEL_ROWS, "answer among others",
                                c->fill))
                    return false;
        }
    char *elsewhere = (char *)buffer(c->check, c->p.panel_bytes + 4) + (c->check->at_front ? 4 : 0);
    memcpy(elsewhere, c->p.panel, c->p.panel_bytes);
    const Answer *got = answers(c, 1, elsewhere, make_tile(c->check, &c->p, c->x, 1, 0));
    return judge_same(c->check, c->alone[0], got[0], PANEL_ROWS, "answer with the panel elsewhere", c->fill);
}

/* What is no number in a row of x is seen in its sixteen answers and in no other. */
static void check_nan_in_x(Case *c, size_t n, float odd)
{
    const size_t bad = rng_bits(&c->check->rng) % n, at = rng_bits(&c->check->rng) % c->p.n_cols;
    float *x = buffer(c->check, TILE_ROWS * c->p.n_cols * sizeof *x);
    memcpy(x, c->x, TILE_ROWS * c->p.n_cols * sizeof *x);
    x[bad * c->p.n_cols + at] = odd;
    const Answer *got = answers(c, n, c->p.panel, make_tile(c->check, &c->p, x, n, 0));
    for (size_t i = 0; i < n; i++)
        if (i != bad) judge_same(c->check, c->alone[i], got[i], PANEL_ROWS, "answer beside a NaN", c->fill);
        else
            for (size_t r = 0; r < PANEL_ROWS; r++)
                judge(c->check, NAN, (double)got[i][r], 0.0, "answer with a NaN in x", c->p.n_cols, c->fill);
}

/* A scale that is no number is seen in every answer of its row of the panel and in no other. */
static void check_nan_in_w(Case *c, size_t n)
{
    Rows p = c->p;
    const size_t bad = rng_bits(&c->check->rng) % PANEL_ROWS, block = rng_bits(&c->check->rng) % p.n_blocks;
    const size_t block_bytes = (size_t)format_info[p.format].block_bytes;
    const int halves_at = has_blocks(p.format) ? panel_shape(p.format).halves_at : (int)block_bytes - 2;
    const uint16_t nan = p.format == F32 || p.format == BF16 ? 0x7fc0 : 0x7e00;
    char *at = p.rows + bad * p.row_bytes + block * block_bytes + halves_at, kept[2];
    memcpy(kept, at, sizeof kept);
    memcpy(at, &nan, sizeof nan);
    p.panel = buffer(c->check, p.panel_bytes);
    pack(&p);
    memcpy(at, kept, sizeof kept);
    const Answer *got = answers(c, n, p.panel, make_tile(c->check, &p, c->x, n, 0));
    for (size_t i = 0; i < n; i++) {
        Answer want;
        memcpy(want, c->alone[i], sizeof want);
        want[bad] = NAN;
        judge_same(c->check, want, got[i], PANEL_ROWS, "answer with a NaN in one row of the panel", c->fill);
    }
}

/* A stack gives each of its panels what it gives alone: here the panel and, shifted by one row, others like it. */
static bool check_stack(Case *c)
{
    enum { PANELS = 3 };
    Rows *p = &c->p;
    char *rows = buffer(c->check, PANELS * PANEL_ROWS * p->row_bytes);
    for (size_t r = 0; r < PANELS * PANEL_ROWS; r++)
        memcpy(rows + r * p->row_bytes, p->rows + (r + r / PANEL_ROWS) % PANEL_ROWS * p->row_bytes, p->row_bytes);
    char *stack = buffer(c->check, (size_t)stack_bytes(p->format, (int64_t)p->n_cols, PANELS * PANEL_ROWS));
    stack_pack(stack, p->format, (int64_t)p->n_cols, rows, PANELS * PANEL_ROWS);
    for (size_t n = 1; n <= TILE_ROWS; n += 2) {
        Answer *y = buffer(c->check, n * sizeof *y);
        c->now(y, stack, PANELS, make_tile(c->check, p, c->x, n, 0), n, p->n_cols);
        for (size_t i = 0; i < n; i++) {
            float want[PANELS * PANEL_ROWS];
            for (size_t r = 0; r < PANELS * PANEL_ROWS; r++) want[r] = c->alone[i][(r + r / PANEL_ROWS) % PANEL_ROWS];
            if (!judge_same(c->check, want, y[i], PANELS * PANEL_ROWS, "answer of a stack", c->fill)) return false;
        }
    }
    return true;
}

static void check_case(Case *c)
{
    if (!check_near(c) || !check_company(c) || !check_stack(c)) return;
    for (size_t n = 1; n <= TILE_ROWS; n += 1 + c->p.n_cols / 1024) {
        check_nan_in_x(c, n, NAN);
        if (has_blocks(c->p.format)) check_nan_in_x(c, n, INFINITY);
        check_nan_in_w(c, n);
    }
}

/* ---- speed ---- */

typedef struct Run { PanelFn *panel; Answer *y; const void *w, *x; size_t n, n_cols; } Run;

static void run(void *arg)
{
    const Run *r = arg;
    r->panel(r->y, r->w, 1, r->x, r->n, r->n_cols);
}

/* What the same instructions do at best, with numbers that never leave the registers. */
enum { PROBE_ROUNDS = 500 };

static void run_probe_int8(void *arg)
{
    const Kernels *k = arg;
    static const uint8_t a[64] = { 1 };
    static const int8_t  b[64] = { 1 };
    volatile uint32_t sum = k->probe_int8(a, b, PROBE_ROUNDS);
    (void)sum;
}

static void run_probe_f32(void *arg)
{
    const Kernels *k = arg;
    static const float a[16] = { 1 }, b[16] = { 1 };
    volatile float sum = k->probe_f32(a, b, PROBE_ROUNDS);
    (void)sum;
}

/* Operations per nanosecond. */
static double peak(const Kernels *now, Format format)
{
    Kernels copy = *now;
    if (has_blocks(format)) return PROBE_ROUNDS * (double)PROBE_INT8_OPERATIONS / best_ns(run_probe_int8, &copy);
    return PROBE_ROUNDS * (double)PROBE_F32_OPERATIONS / best_ns(run_probe_f32, &copy);
}

/* One panel of 4096 columns stays in the cache: what the arithmetic can do when memory is no hurdle. */
static void bench(Check *check, Format format, PanelFn *ref, PanelFn *now, const Kernels *probes)
{
    for (size_t n = 1; n <= TILE_ROWS; n += TILE_ROWS - 1) {
        const Rows p = make_rows(check, format, 4096, WEIGHTS_USUAL);
        const float *x = floats(check, TILE_ROWS * p.n_cols, FILL_NORMAL, 0.0f);
        const char *tile = make_tile(check, &p, x, n, 0);
        Answer y[TILE_ROWS];
        Run a = { ref, y, p.panel, tile, n, p.n_cols }, b = { now, y, p.panel, tile, n, p.n_cols };
        const double ns = best_ns(run, &b), ref_ns = best_ns(run, &a);
        const double rate = 2.0 * PANEL_ROWS * (double)(n * p.n_cols) / ns;
        printf("  bench %-8s %-14s n=%zu %9.1f ns %7.2f GB/s %8.1f Gop/s %3.0f %% of what the core multiplies "
               "%7.1fx ref\n", check->set, check->kernel, n, ns, (double)p.panel_bytes / ns, rate,
               100.0 * rate / peak(probes, format), ref_ns / ns);
        forget_buffers();
    }
}

/* ---- all of them ---- */

static void check_size(Check *check, Format format, PanelFn *ref, PanelFn *now, size_t n_cols)
{
    for (Weights weights = 0; weights < N_WEIGHTS; weights++)
        for (Fill fill = 0; fill < N_FILLS; fill++) {
            if (n_cols > 2048 && fill != FILL_NORMAL && fill != FILL_LARGEST) continue;
            Case c = { .check = check, .fill = fill, .ref = ref, .now = now };
            c.p = make_rows(check, format, n_cols, weights);
            /* 2^28 * 2^80 * 2^13 columns stay below the largest float; the second quarter is tiny. */
            float *x = floats(check, TILE_ROWS * n_cols, fill, 0x1p80f);
            for (size_t k = 2 * n_cols; fill == FILL_SPARSE && k < 4 * n_cols; k++) x[k] *= 0x1p-100f;
            c.x = x;
            check_case(&c);
            forget_buffers();
        }
}

static void check_panel(Check *check, Format format, PanelFn *ref, PanelFn *now, const Kernels *probes)
{
    static const size_t n_blocks[] = { 1, 2, 3, 5, 16, 17 };
    static const size_t n_small[]  = { 1, 2, 3, 4, 5, 7, 8, 33, 128, 129 };
    static const size_t n_floats[] = { 1,  2,  3,  7,  8,  9,  15,  16,   17,   31,
                                       32, 33, 47, 63, 64, 65, 127, 1000, 4096, 4099 };
    const size_t values = (size_t)format_info[format].block_values;
    const size_t *sizes = values == SUPER_VALUES ? n_blocks : values == SMALL_VALUES ? n_small : n_floats;
    const int n_sizes = values == SUPER_VALUES   ? ARRAY_LEN(n_blocks)
                        : values == SMALL_VALUES ? ARRAY_LEN(n_small)
                                                 : ARRAY_LEN(n_floats);
    for (int s = 0; s < n_sizes; s++) {
        const int failed = check->failed;
        check_size(check, format, ref, now, sizes[s] * values);
        if (check->failed != failed) return;
    }
    if (check->bench && !check->at_front) bench(check, format, ref, now, probes);
}

#define PANEL(name, format)                                                                                    \
    void check_##name(Check *check, const Kernels *ref, const Kernels *now)                                    \
    {                                                                                                          \
        check_panel(check, format, ref->name, now->name, now);                                                 \
    }
PANEL(panel_f32, F32)
PANEL(panel_f16, F16)
PANEL(panel_bf16, BF16)
PANEL(panel_q4_0, Q4_0)
PANEL(panel_q4_1, Q4_1)
PANEL(panel_q5_0, Q5_0)
PANEL(panel_q5_1, Q5_1)
PANEL(panel_q8_0, Q8_0)
PANEL(panel_q2_k, Q2_K)
PANEL(panel_q3_k, Q3_K)
PANEL(panel_q4_k, Q4_K)
PANEL(panel_q5_k, Q5_K)
PANEL(panel_q6_k, Q6_K)
