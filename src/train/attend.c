/* SPDX-License-Identifier: Apache-2.0
 * train/attend.c - causal attention inside each text, and its way back.
 *
 * A task is one key head of one sequence with all query heads that share it, so that gradients of keys and values are
 * added by one thread.  Queries come in tiles of STRIP rows, which meet the keys their texts allow; scores exist for
 * one tile at a time and are computed again on the way back from the logarithms of their sums.
 * Source: Dao et al. 2022, "FlashAttention", arXiv 2205.14135, for the way back without kept probabilities.
 *
 * ORDER attend: sums over positions run upwards; gradients of keys and values over query heads, then tiles. */
#include "train/parts.h"
#include "train/sums.h"

#include <math.h>
#include <string.h>

/* What a task lays out: side b of the four products, and one tile. */
typedef struct Space {
    float *keys_along, *keys_across, *values_along, *values_across;     /* strips of [T][d] */
    float *weights, *dweights;                                          /* [STRIP][T]       */
    float *queries, *dheads;                                            /* strips of [STRIP][d] */
} Space;

typedef struct Attend {
    const Net   *net;
    const Kept  *kept;
    const Batch *batch;
    int64_t      n_words;                   /* T to whole strips                            */
} Attend;

/* One tile of queries of one head. */
typedef struct Tile {
    int64_t sequence, head, key_head;
    int64_t begin, n;                       /* queries                                      */
    int64_t low, many;                      /* keys: low % STRIP == 0                       */
} Tile;

static int64_t up_to_strip(int64_t n)
{
    return (n + STRIP - 1) / STRIP * STRIP;
}

int64_t attend_space(int64_t n_tokens, int64_t head_size)
{
    return 4 * up_to_strip(n_tokens) * up_to_strip(head_size) + 2 * STRIP * up_to_strip(n_tokens) +
           2 * STRIP * up_to_strip(head_size);
}

static Space space_of(const Attend *a, int worker)
{
    float *at = a->net->work.attend + worker * a->net->work.attend_values;
    const int64_t strips = a->n_words * up_to_strip(a->net->sizes.head_size), tile = STRIP * a->n_words;
    Space s = { .keys_along = at };
    s.keys_across = s.keys_along + strips;
    s.values_along = s.keys_across + strips;
    s.values_across = s.values_along + strips;
    s.weights = s.values_across + strips;
    s.dweights = s.weights + tile;
    s.queries = s.dweights + tile;
    s.dheads = s.queries + STRIP * up_to_strip(a->net->sizes.head_size);
    return s;
}

/* ---- products ---- */

/* One head of a sequence, [T][d], becomes strips of sums over d (along) or over positions (across). */
static void lay_along(const Attend *a, float *strips, const float *from, int64_t row)
{
    const int64_t d = a->net->sizes.head_size, n_tokens = a->batch->n_tokens;
    for (int64_t t = 0; t < n_tokens; t += STRIP)
        a->net->kernels->strip_rows_f32(strips + t * d, from + t * row, (size_t)row,
                                        (size_t)(n_tokens - t < STRIP ? n_tokens - t : STRIP), (size_t)d);
}

static void lay_across(const Attend *a, float *strips, int64_t n_words, const float *from, int64_t row, int64_t n_rows)
{
    a->net->kernels->strip_cols_f32(strips, (size_t)n_words, from, (size_t)row, (size_t)n_rows,
                                    (size_t)a->net->sizes.head_size);
}

/* scores[i][j] = x[i] . key or value low + j */
static void meet_positions(const Attend *a, const Tile *t, float *scores, const float *x, int64_t x_row,
                           const float *strips)
{
    const int64_t d = a->net->sizes.head_size;
    for (int64_t j = 0; j < t->many; j += STRIP)
        a->net->kernels->patch_f32(&(Patch){ .c = scores + j, .c_row = (size_t)a->n_words, .a = x,
                                             .a_row = (size_t)x_row, .a_word = 1,
                                             .b = strips + (t->low + j) * d, .m = (size_t)t->n,
                                             .n = (size_t)(t->many - j < STRIP ? t->many - j : STRIP),
                                             .n_words = (size_t)d });
}

/* y[i] = sum over j of weights[i][j] * key or value low + j */
static void gather_positions(const Attend *a, const Tile *t, float *y, int64_t y_row, const float *weights,
                             const float *strips)
{
    const int64_t d = a->net->sizes.head_size;
    for (int64_t c = 0; c < d; c += STRIP)
        a->net->kernels->patch_f32(&(Patch){ .c = y + c, .c_row = (size_t)y_row, .a = weights,
                                             .a_row = (size_t)a->n_words, .a_word = 1,
                                             .b = strips + c * a->n_words + t->low * STRIP, .m = (size_t)t->n,
                                             .n = (size_t)(d - c < STRIP ? d - c : STRIP),
                                             .n_words = (size_t)t->many });
}

/* y[low + j] += sum over i of weights[i][j] * x[i], x in strips */
static void scatter_positions(const Attend *a, const Tile *t, float *y, int64_t y_row, const float *weights,
                              const float *strips)
{
    const int64_t d = a->net->sizes.head_size;
    for (int64_t c = 0; c < d; c += STRIP)
        a->net->kernels->patch_f32(&(Patch){ .c = y + t->low * y_row + c, .c_row = (size_t)y_row, .a = weights,
                                             .a_row = 1, .a_word = (size_t)a->n_words, .b = strips + c * STRIP,
                                             .m = (size_t)t->many, .n = (size_t)(d - c < STRIP ? d - c : STRIP),
                                             .n_words = (size_t)t->n, .adds = true });
}

/* ---- which positions ---- */

/* The first position that query `i` of a sequence sees; the last is itself. */
static int64_t first_seen(const Attend *a, int64_t sequence, int64_t i)
{
    const int64_t start = a->batch->starts[sequence * a->batch->n_tokens + i], window = a->net->sizes.window;
    return window > 0 && i - window + 1 > start ? i - window + 1 : start;
}

static Tile tile_at(const Attend *a, int64_t sequence, int64_t head, int64_t begin)
{
    const Sizes *s = &a->net->sizes;
    Tile t = { .sequence = sequence, .head = head, .key_head = head / (s->n_heads / s->n_kv_heads), .begin = begin };
    t.n = a->batch->n_tokens - begin < STRIP ? a->batch->n_tokens - begin : STRIP;
    t.low = begin;
    for (int64_t i = begin; i < begin + t.n; i++) {
        const int64_t first = first_seen(a, sequence, i);
        if (first < t.low) t.low = first;
    }
    t.low = t.low / STRIP * STRIP;
    t.many = begin + t.n - t.low;
    return t;
}

/* Numbers of query i of a tile: what it may not see becomes zero; what it sees is at *seen, and how many. */
static int64_t mask(const Attend *a, const Tile *t, int64_t i, float *row, float **seen)
{
    const int64_t first = first_seen(a, t->sequence, t->begin + i) - t->low, end = t->begin + i + 1 - t->low;
    for (int64_t j = 0; j < first; j++) row[j] = 0.0f;
    for (int64_t j = end; j < t->many; j++) row[j] = 0.0f;
    *seen = row + first;
    return end - first;
}

static float *of_query(const Attend *a, const Tile *t, float *values)
{
    const Sizes *s = &a->net->sizes;
    return values + (t->sequence * a->batch->n_tokens + t->begin) * n_query(s) + t->head * s->head_size;
}

static float *of_key(const Attend *a, const Tile *t, float *values)
{
    const Sizes *s = &a->net->sizes;
    return values + t->sequence * a->batch->n_tokens * n_key(s) + t->key_head * s->head_size;
}

static float *log_sum_of(const Attend *a, const Tile *t, int64_t i)
{
    return a->kept->log_sums + (t->sequence * a->batch->n_tokens + t->begin + i) * a->net->sizes.n_heads + t->head;
}

/* ---- forward ---- */

static void attend_tile(const Attend *a, const Space *s, const Tile *t)
{
    const Kernels *k = a->net->kernels;
    const int64_t row = n_query(&a->net->sizes);
    const float scale = (float)(1.0 / sqrt((double)a->net->sizes.head_size));
    meet_positions(a, t, s->weights, of_query(a, t, a->kept->q), row, s->keys_along);
    for (int64_t i = 0; i < t->n; i++) {
        float *seen;
        const size_t n = (size_t)mask(a, t, i, s->weights + i * a->n_words, &seen);
        k->scale(seen, scale, n);
        const float max = k->max_f32(seen, n), sum = k->exp_sum(seen, max, n);
        k->scale(seen, 1.0f / sum, n);
        *log_sum_of(a, t, i) = max + (float)log((double)sum);
    }
    gather_positions(a, t, of_query(a, t, a->kept->heads), row, s->weights, s->values_across);
}

static void attend_head(void *arg, int64_t task, int worker)
{
    const Attend *a = arg;
    const Sizes *z = &a->net->sizes;
    const Space s = space_of(a, worker);
    const int64_t n_keys = z->n_kv_heads, group = z->n_heads / n_keys, row = n_key(z);
    Tile t = { .sequence = task / n_keys, .key_head = task % n_keys };
    lay_along(a, s.keys_along, of_key(a, &t, a->kept->k), row);
    lay_across(a, s.values_across, a->n_words, of_key(a, &t, a->kept->v), row, a->batch->n_tokens);
    for (int64_t head = t.key_head * group; head < (t.key_head + 1) * group; head++)
        for (int64_t begin = 0; begin < a->batch->n_tokens; begin += STRIP) {
            const Tile tile = tile_at(a, t.sequence, head, begin);
            attend_tile(a, &s, &tile);
        }
}

/* ---- back: with p the probabilities and o their answer,
 *
 *     dv = p^T do    dp = do v^T    ds = p (dp - do . o)    dq = scale ds k    dk = scale ds^T q ---- */

static void back_tile(const Attend *a, const Space *s, const Tile *t)
{
    const NetWork *w = &a->net->work;
    const Kernels *k = a->net->kernels;
    const int64_t row = n_query(&a->net->sizes), key_row = n_key(&a->net->sizes), d = a->net->sizes.head_size;
    const float scale = (float)(1.0 / sqrt((double)d));
    const float *q = of_query(a, t, a->kept->q), *o = of_query(a, t, a->kept->heads), *da = of_query(a, t, w->dheads);
    meet_positions(a, t, s->weights, q, row, s->keys_along);
    meet_positions(a, t, s->dweights, da, row, s->values_along);
    lay_across(a, s->queries, STRIP, q, row, t->n);
    lay_across(a, s->dheads, STRIP, da, row, t->n);
    for (int64_t i = 0; i < t->n; i++) {
        float *p, *dp;
        const int64_t n = mask(a, t, i, s->weights + i * a->n_words, &p);
        mask(a, t, i, s->dweights + i * a->n_words, &dp);
        k->scale(p, scale, (size_t)n);
        k->exp_sum(p, *log_sum_of(a, t, i), (size_t)n);
        const float mean = (float)dot(da + i * row, o + i * row, d);
        for (int64_t j = 0; j < n; j++) dp[j] = scale * p[j] * (dp[j] - mean);
    }
    gather_positions(a, t, of_query(a, t, w->dq), row, s->dweights, s->keys_across);
    scatter_positions(a, t, of_key(a, t, w->dv), key_row, s->weights, s->dheads);
    scatter_positions(a, t, of_key(a, t, w->dk), key_row, s->dweights, s->queries);
}

static void back_head(void *arg, int64_t task, int worker)
{
    const Attend *a = arg;
    const Sizes *z = &a->net->sizes;
    const Space s = space_of(a, worker);
    const int64_t n_keys = z->n_kv_heads, group = z->n_heads / n_keys, row = n_key(z), n_tokens = a->batch->n_tokens;
    Tile t = { .sequence = task / n_keys, .key_head = task % n_keys };
    lay_along(a, s.keys_along, of_key(a, &t, a->kept->k), row);
    lay_along(a, s.values_along, of_key(a, &t, a->kept->v), row);
    lay_across(a, s.keys_across, a->n_words, of_key(a, &t, a->kept->k), row, n_tokens);
    float *dk = of_key(a, &t, a->net->work.dk), *dv = of_key(a, &t, a->net->work.dv);
    for (int64_t i = 0; i < n_tokens; i++) {
        memset(dk + i * row, 0, (size_t)z->head_size * sizeof *dk);
        memset(dv + i * row, 0, (size_t)z->head_size * sizeof *dv);
    }
    for (int64_t head = t.key_head * group; head < (t.key_head + 1) * group; head++)
        for (int64_t begin = 0; begin < n_tokens; begin += STRIP) {
            const Tile tile = tile_at(a, t.sequence, head, begin);
            back_tile(a, &s, &tile);
        }
}

static Attend attend_of(const Net *net, const Kept *kept, const Batch *batch)
{
    return (Attend){ .net = net, .kept = kept, .batch = batch, .n_words = up_to_strip(batch->n_tokens) };
}

void attend(Net *net, const Kept *kept, const Batch *batch)
{
    Attend a = attend_of(net, kept, batch);
    pool_run(net->pool, attend_head, &a, batch->n_sequences * net->sizes.n_kv_heads);
}

void attend_back(Net *net, const Kept *kept, const Batch *batch)
{
    Attend a = attend_of(net, kept, batch);
    pool_run(net->pool, back_head, &a, batch->n_sequences * net->sizes.n_kv_heads);
}
