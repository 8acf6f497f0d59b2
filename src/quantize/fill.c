/* SPDX-License-Identifier: Apache-2.0
 * quantize/fill.c - random weights under which a network neither dies nor explodes.
 *
 * All matrices are normal with mean 0.  The input of every matrix has been normalised, so a
 * deviation of 1/sqrt(columns) gives outputs of deviation 1; from there everything can be chosen:
 *
 *     embedding       deviation 1 per number
 *     attention       scores of deviation 2: some positions matter more than others
 *     all layers      add ATTN_GROWTH and FFN_GROWTH to the embedding's variance of 1, in equal
 *                     parts: context decides, the token is not forgotten, 56 layers are as tame
 *                     as 4
 *     output          logits of deviation 3: about 6 nats of entropy over 32,000 tokens
 *
 * Three things are not left to chance:
 *
 *     A constant.  The last numbers of every embedding are 2, and no layer writes there.  A matrix
 *     with weights in these columns therefore has a bias, which the architecture does not offer.
 *     The output uses it to make bytes and control tokens improbable, so that text is text.
 *
 *     The routers.  Wanted shares of routing become biases (shares.h), which have to be measured
 *     in deviations of the scores.  So routers read only the upper half of the width, where
 *     attention writes nothing: what is there has the variance 1 + FFN_GROWTH * layer / layers,
 *     known beforehand whatever the prompt, and the norm's divisor scales biases and scores
 *     alike.  The rows are orthogonal, hence the scores independent.  Which expert has which
 *     rank is drawn anew in every layer.
 *
 *     The bytes.  Chunks are drawn in parallel, each from its own seed. */
#include "quantize/fill.h"

#include "base/pool.h"
#include "quantize/shares.h"
#include "quantize/words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_CONSTANT  = 4,                    /* numbers of an embedding that are constant        */
    CHUNK_BYTES = 512 << 10,
    THREADS_MAX = 8
};

static const double CONSTANT = 2.0, ATTN_GROWTH = 1.0, FFN_GROWTH = 0.3, SCORE_DEVIATION = 2.0,
                    LOGIT_DEVIATION = 3.0, GAIN_DEVIATION = 0.1, UNLIKELY = 15.0;
static const double SILU_SQUARE = 0.3558;       /* mean of silu(z)^2 for normal z           */

struct Fill {
    Sizes    sizes;
    uint64_t seed;
    Pool    *pool;
    double  *offsets;                   /* [E] router bias by rank, in deviations           */
    double   constant;                  /* sum of an embedding's constants, as they decode  */
    float   *gains;                     /* [D] of the ffn_norm last written                 */
    float   *router;                    /* [E][D]                                           */
    uint8_t *chunks;                    /* [n_chunks][chunk_bytes]                          */
    double  *sums;                      /* [n_chunks] of decoded constants                  */
    int64_t  n_chunks, chunk_bytes;
};

/* Independent numbers for every (seed, tensor, chunk). */
static Rng chunk_rng(uint64_t seed, int tensor, int64_t chunk)
{
    Rng rng = { seed };
    rng.state = rng_bits(&rng) + (uint64_t)tensor;
    rng.state = rng_bits(&rng) + (uint64_t)chunk;
    return (Rng){ rng_bits(&rng) };
}

/* ---- what is drawn ---- */

/* Mean of the sum of squared expert weights: what mixing leaves of the variance of one answer. */
static double mixing(const Sizes *s)
{
    return s->n_used == 1 ? 1.0 : 1.1 / (double)s->n_used;
}

static double deviation(const Sizes *s, Role role)
{
    const double width = (double)s->width, layers = (double)s->n_layers;
    switch (role) {
    case ROLE_EMBED: return 1.0;
    case ROLE_OUT:   return LOGIT_DEVIATION / sqrt(width);
    case ROLE_Q:
    case ROLE_K:     return sqrt(SCORE_DEVIATION / width);      /* a score is their product     */
    case ROLE_O:     return sqrt(ATTN_GROWTH / layers / (double)(s->n_heads * s->head_size));
    case ROLE_DOWN:
        return sqrt(FFN_GROWTH / layers / (mixing(s) * SILU_SQUARE * (double)s->hidden));
    default:         return 1.0 / sqrt(width);
    }
}

/* The first of the last rows that a matrix writing to the residual leaves alone; width: none. */
static int64_t first_silent(const Sizes *s, Role role)
{
    return role == ROLE_O ? s->width / 2 : role == ROLE_DOWN ? s->width - N_CONSTANT : s->width;
}

typedef struct Task {
    Fill            *fill;
    const OutTensor *tensor;
    int              index;
    int64_t          rows, cols, row_bytes, chunk_rows, first_chunk;
} Task;

/* Put a constant into the last columns of a drawn row; gives the sum it will decode to. */
static double set_constant(uint8_t *row, const Task *t, float value)
{
    float x[256];
    const FormatInfo *f = &format_info[t->tensor->format];
    const int n = f->block_values > N_CONSTANT ? f->block_values : N_CONSTANT;
    uint8_t *end = row + t->row_bytes - n / f->block_values * f->block_bytes;
    double sum = 0.0;
    f->decode(x, end, (size_t)n);
    for (int i = n - N_CONSTANT; i < n; i++) x[i] = value;
    f->encode(end, x, (size_t)n);
    f->decode(x, end, (size_t)n);
    for (int i = n - N_CONSTANT; i < n; i++) sum += (double)x[i];
    return sum;
}

static double adjust_row(uint8_t *row, const Task *t, int64_t r)
{
    const Sizes *s = &t->fill->sizes;
    switch (t->tensor->role) {
    case ROLE_EMBED: return set_constant(row, t, (float)CONSTANT);
    case ROLE_OUT:
        return r < WORDS_TEXT ? set_constant(row, t, (float)(-UNLIKELY / t->fill->constant)) : 0.0;
    case ROLE_O:
    case ROLE_DOWN:                                     /* zero bytes are zeros in every format */
        if (r % s->width >= first_silent(s, t->tensor->role)) memset(row, 0, (size_t)t->row_bytes);
        return 0.0;
    default:         return 0.0;
    }
}

static int64_t rows_of_chunk(const Task *t, int64_t chunk)
{
    const int64_t left = t->rows - chunk * t->chunk_rows;
    return left < t->chunk_rows ? left : t->chunk_rows;
}

static void fill_chunk(void *arg, int64_t i, int worker)
{
    (void)worker;
    const Task *t = arg;
    const int64_t chunk = t->first_chunk + i, n_rows = rows_of_chunk(t, chunk);
    uint8_t *rows = t->fill->chunks + i * t->fill->chunk_bytes;
    Rng rng = chunk_rng(t->fill->seed, t->index, chunk);
    const float spread = (float)deviation(&t->fill->sizes, t->tensor->role);
    format_info[t->tensor->format].draw(rows, (size_t)(n_rows * t->cols), spread, &rng);
    double sum = 0.0;
    for (int64_t r = 0; r < n_rows; r++)
        sum += adjust_row(rows + r * t->row_bytes, t, chunk * t->chunk_rows + r);
    t->fill->sums[i] = sum;
}

/* ---- writing ---- */

Status meter_add(Meter *m, int64_t n_bytes, Error *error)
{
    m->done += n_bytes;
    if (m->progress && m->progress(m->user, m->done, m->total))
        return fail(error, CANCELLED, "stopped on request");
    return OK;
}

static Status put(GgufWriter *w, const void *bytes, int64_t n_bytes, Meter *meter, Error *error)
{
    TRY(gguf_add(w, bytes, (size_t)n_bytes, error));
    return meter_add(meter, n_bytes, error);
}

static Status fill_matrix(Fill *f, const OutTensor *tensor, int index, GgufWriter *w, Meter *meter,
                          Error *error)
{
    Task t = { .fill = f, .tensor = tensor, .index = index };
    t.rows = out_rows(tensor);
    t.cols = out_cols(tensor);
    t.row_bytes = format_row_bytes(tensor->format, t.cols);
    t.chunk_rows = t.row_bytes < CHUNK_BYTES ? CHUNK_BYTES / t.row_bytes : 1;
    const int64_t n_chunks = (t.rows + t.chunk_rows - 1) / t.chunk_rows;
    double constants = 0.0;
    for (; t.first_chunk < n_chunks; t.first_chunk += f->n_chunks) {
        const int64_t left = n_chunks - t.first_chunk, n = left < f->n_chunks ? left : f->n_chunks;
        pool_run(f->pool, fill_chunk, &t, n);
        for (int64_t i = 0; i < n; i++) {
            const int64_t n_rows = rows_of_chunk(&t, t.first_chunk + i);
            TRY(put(w, f->chunks + i * f->chunk_bytes, n_rows * t.row_bytes, meter, error));
            constants += f->sums[i];
        }
    }
    if (tensor->role == ROLE_EMBED) f->constant = constants / (double)t.rows;
    return OK;
}

static Status fill_gains(Fill *f, int index, GgufWriter *w, Meter *meter, Error *error)
{
    const int64_t n = f->sizes.width;
    Rng rng = chunk_rng(f->seed, index, 0);
    format_info[F32].draw(f->gains, (size_t)n, (float)GAIN_DEVIATION, &rng);
    for (int64_t i = 0; i < n; i++) f->gains[i] = i < n - N_CONSTANT ? f->gains[i] + 1.0f : 1.0f;
    return put(w, f->gains, n * (int64_t)sizeof(float), meter, error);
}

/* ---- routers ---- */

/* x becomes orthogonal to the rows before it and of length 1.  More rows than numbers cannot all be
 * orthogonal: then chance must do. */
static void orthonormal(float *rows, int64_t e, int64_t n, int64_t stride)
{
    float *x = rows + e * stride;
    for (int64_t other = 0; other < e && 2 * e < n; other++) {
        const float *y = rows + other * stride;
        double dot = 0.0;
        for (int64_t i = 0; i < n; i++) dot += (double)x[i] * (double)y[i];
        for (int64_t i = 0; i < n; i++) x[i] = (float)((double)x[i] - dot * (double)y[i]);
    }
    double squares = 0.0;
    for (int64_t i = 0; i < n; i++) squares += (double)x[i] * (double)x[i];
    const double scale = squares > 0 ? 1.0 / sqrt(squares) : 0.0;
    for (int64_t i = 0; i < n; i++) x[i] = (float)((double)x[i] * scale);
}

static void draw_ranks(int64_t n, int *rank, Rng *rng)
{
    for (int64_t e = 0; e < n; e++) {
        const int64_t other = (int64_t)(rng_bits(rng) % (uint64_t)(e + 1));
        rank[e] = rank[other];
        rank[other] = (int)e;
    }
}

/* Scores have deviation sqrt(variance) before the norm divides; biases are offsets times that. */
static void make_router(Fill *f, int layer, Rng *rng)
{
    const int64_t width = f->sizes.width, first = width / 2, n = width - N_CONSTANT - first;
    const double variance = 1.0 + FFN_GROWTH * layer / (double)f->sizes.n_layers;
    int rank[EXPERTS_MAX];
    draw_ranks(f->sizes.n_experts, rank, rng);
    memset(f->router, 0, (size_t)(f->sizes.n_experts * width) * sizeof *f->router);
    for (int64_t e = 0; e < f->sizes.n_experts; e++) {
        float *row = f->router + e * width;
        format_info[F32].draw(row + first, (size_t)n, 1.0f, rng);
        orthonormal(f->router + first, e, n, width);
        for (int64_t i = width - N_CONSTANT; i < width; i++)
            row[i] = (float)(f->offsets[rank[e]] * sqrt(variance) / f->constant);
    }
    /* The norm before the router has gains; these rows are to meet what stood before it. */
    for (int64_t e = 0; e < f->sizes.n_experts; e++)
        for (int64_t i = first; i < first + n; i++) f->router[e * width + i] /= f->gains[i];
}

static Status fill_router(Fill *f, const OutTensor *t, int index, GgufWriter *w, Meter *meter,
                          Error *error)
{
    Rng rng = chunk_rng(f->seed, index, 0);
    make_router(f, t->layer, &rng);
    return put(w, f->router, out_bytes(t), meter, error);
}

Status fill_tensor(Fill *f, const OutTensor *t, int index, GgufWriter *w, Meter *meter,
                   Error *error)
{
    if (t->vector) return fill_gains(f, index, w, meter, error);
    if (t->role == ROLE_ROUTER) return fill_router(f, t, index, w, meter, error);
    return fill_matrix(f, t, index, w, meter, error);
}

/* ---- */

static Status make_offsets(Fill *f, double skew, Error *error)
{
    const int n = (int)f->sizes.n_experts, used = (int)f->sizes.n_used;
    double shares[EXPERTS_MAX];
    zipf_shares(n, used, skew, shares);
    return share_offsets(n, used, shares, f->offsets, error);
}

static int64_t longest_row(const Sizes *s)
{
    const int64_t heads = s->n_heads * s->head_size,
                  most = s->hidden > s->width ? s->hidden : s->width;
    return (heads > most ? heads : most) * (int64_t)sizeof(float);
}

Status fill_new(const Sizes *sizes, double skew, uint64_t seed, Fill **out, Error *error)
{
    *out = NULL;
    Fill *f = calloc(1, sizeof *f);
    if (!f) return fail_memory(error, "a synthetic model");
    *f = (Fill){ .sizes = *sizes, .seed = seed };
    const int cores = pool_cores();
    Status status = pool_new(cores < THREADS_MAX ? cores : THREADS_MAX, &f->pool, error);
    if (status == OK) {
        f->n_chunks = 2 * pool_n_threads(f->pool);
        f->chunk_bytes = longest_row(sizes) > CHUNK_BYTES ? longest_row(sizes) : CHUNK_BYTES;
        f->offsets = calloc((size_t)sizes->n_experts, sizeof *f->offsets);
        f->gains   = calloc((size_t)sizes->width, sizeof *f->gains);
        f->router  = calloc((size_t)(sizes->n_experts * sizes->width), sizeof *f->router);
        f->chunks  = calloc((size_t)f->n_chunks, (size_t)f->chunk_bytes);
        f->sums    = calloc((size_t)f->n_chunks, sizeof *f->sums);
        const bool have = f->offsets && f->gains && f->router && f->chunks && f->sums;
        status = have ? make_offsets(f, skew, error) : fail_memory(error, "a synthetic model");
    }
    if (status == OK) *out = f;
    else fill_free(f);
    return status;
}

void fill_free(Fill *f)
{
    if (!f) return;
    pool_free(f->pool);
    free(f->offsets);
    free(f->gains);
    free(f->router);
    free(f->chunks);
    free(f->sums);
    free(f);
}
