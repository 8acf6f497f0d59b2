/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/attend_lanes.h - scores and sums of values over vectors of sixteen floats.
 *
 * The file that includes this says what a vector is: a type V with v_zero, v_load, v_store, v_all, v_mul, v_fma,
 * v_halves and v_bytes; QUERIES_MAX, how many queries share what was loaded; and beside(m), how many vectors m
 * queries take at once so that sums enough are under way to hide the time one addition takes.  No more than that:
 * each is a stream of memory of its own, and two are read a quarter slower than one.
 *
 * A tile is m queries times b vectors whose sums stay in registers; m and b are constants wherever a tile is
 * inlined.  Orders are those of ref/attend_ref.c, and so are the bits. */
#define INLINE static inline __attribute__((always_inline))

enum { SIDE_MAX = 4, SCALED_MAX = 64, SCALED_ROW = SCALED_MAX + CACHE_LANES };

INLINE V v_numbers(Format format, const char *x)
{
    return format == F32 ? v_load((const float *)(const void *)x)
           : format == F16 ? v_halves((const uint16_t *)(const void *)x)
                           : v_bytes((const int8_t *)(const void *)x);
}

INLINE size_t number_bytes(Format format)
{
    return format == F32 ? 4 : format == F16 ? 2 : 1;
}

/* Into the second cache: a stretch fills half of the first, which has fewer requests under way as well. */
INLINE void ask_for(const char *x)
{
    _mm_prefetch(x, _MM_HINT_T1);
}

/* How many of n queries to take now: as few turns as may be, about equal. */
INLINE size_t share_of(size_t n)
{
    const size_t turns = (n + QUERIES_MAX - 1) / QUERIES_MAX;
    return (n + turns - 1) / turns;
}

/* ---- scores ---- */

/* sums[r][c] += q[i][r] * key(i) of block c, i ascending over n numbers */
INLINE void add_products(Format format, size_t m, size_t b, V sums[][SIDE_MAX], const char *keys,
                         size_t block_bytes, const float *q, size_t stride, size_t n, const char *next)
{
    const size_t step = CACHE_LANES * number_bytes(format);
    for (size_t i = 0; i < n; i++, q += stride, keys += step, next += step) {
        V key[SIDE_MAX];
#pragma GCC unroll 4
        for (size_t c = 0; c < b; c++) {
            key[c] = v_numbers(format, keys + c * block_bytes);
            ask_for(next + c * block_bytes);
        }
#pragma GCC unroll 8
        for (size_t r = 0; r < m; r++) {
            const V x = v_all(q[r]);
#pragma GCC unroll 4
            for (size_t c = 0; c < b; c++) sums[r][c] = v_fma(x, key[c], sums[r][c]);
        }
    }
}

typedef struct ScoreTile {
    float       *scores;
    const float *q;             /* [d][stride]                                              */
    size_t       stride, head_size;
    const char  *keys, *next;
} ScoreTile;

INLINE void score_tile(Format format, size_t m, size_t b, const ScoreTile *t)
{
    V sums[QUERIES_MAX][SIDE_MAX];
#pragma GCC unroll 8
    for (size_t r = 0; r < m; r++)
#pragma GCC unroll 4
        for (size_t c = 0; c < b; c++) sums[r][c] = v_zero();

    if (format != Q8_0) {
        const size_t block_bytes = t->head_size * CACHE_LANES * number_bytes(format);
        add_products(format, m, b, sums, t->keys, block_bytes, t->q, t->stride, t->head_size, t->next);
    } else {
        const size_t groups = t->head_size / CACHE_Q8, bytes = CACHE_LANES * (CACHE_Q8 + 2);
        for (size_t g = 0; g < groups; g++) {
            const char *keys = t->keys + g * bytes, *next = t->next + g * bytes;
            V parts[QUERIES_MAX][SIDE_MAX];
#pragma GCC unroll 8
            for (size_t r = 0; r < m; r++)
#pragma GCC unroll 4
                for (size_t c = 0; c < b; c++) parts[r][c] = v_zero();
            add_products(Q8_0, m, b, parts, keys + 2 * CACHE_LANES, groups * bytes,
                         t->q + g * CACHE_Q8 * t->stride, t->stride, CACHE_Q8, next + 2 * CACHE_LANES);
#pragma GCC unroll 4
            for (size_t c = 0; c < b; c++) {
                const V scale = v_numbers(F16, keys + c * groups * bytes);
#pragma GCC unroll 8
                for (size_t r = 0; r < m; r++) sums[r][c] = v_fma(parts[r][c], scale, sums[r][c]);
            }
        }
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < m; r++)
#pragma GCC unroll 4
        for (size_t c = 0; c < b; c++) v_store(t->scores + r * SCORE_ROW + c * CACHE_LANES, sums[r][c]);
}

#define SCORE_CASE(m)                                                                              \
    case m:                                                                                        \
        if (b == 1) score_tile(format, m, 1, &tile);                                               \
        else score_tile(format, m, beside(m), &tile);                                              \
        break;

INLINE void score(Format format, float *scores, const float *q, size_t n, const CacheRun *keys)
{
    const size_t d = keys->head_size, n_blocks = (keys->n + CACHE_LANES - 1) / CACHE_LANES,
                 block_bytes = format == Q8_0 ? d / CACHE_Q8 * cache_q8_keys_bytes()
                                              : d * CACHE_LANES * number_bytes(format),
                 from = keys->first / CACHE_LANES * block_bytes, side = beside(share_of(n));
    for (size_t block = 0, b; block < n_blocks; block += b) {
        const size_t at = from + block * block_bytes;
        const char *next = (const char *)keys->next + at;
        b = n_blocks - block >= side ? side : 1;
        for (size_t done = 0, m; done < n; done += m) {
            m = side == 1 || b == 1 ? share_of(n - done) : n;       /* wide tiles take all queries */
            const ScoreTile tile = {
                .scores = scores + done * SCORE_ROW + block * CACHE_LANES,
                .q = q + done, .stride = n, .head_size = d,
                .keys = (const char *)keys->head + at, .next = next,
            };
            switch (m) { QUERIES(SCORE_CASE) }
            next = tile.keys;                                       /* asked for once       */
        }
    }
}

/* ---- values ---- */

typedef struct GatherTile {
    float       *y;             /* [m][d], at the first number of the tile                  */
    const float *weights;       /* [m][SCORE_ROW], of Q8_0 [m][SCALED_ROW]                  */
    const char  *values, *next; /* at the first number and position                         */
    size_t       y_row, panel_bytes, n;
} GatherTile;

/* Sixteen numbers, or b times as many from panels panel_bytes apart. */
INLINE void gather_tile(Format format, size_t m, size_t b, const GatherTile *t)
{
    const size_t step = format == F32 ? 64 : 32,        /* Q8_0 has 32 numbers in a row     */
                 row = format == Q8_0 ? SCALED_ROW : SCORE_ROW;
    V sums[QUERIES_MAX][SIDE_MAX];
#pragma GCC unroll 8
    for (size_t r = 0; r < m; r++)
#pragma GCC unroll 4
        for (size_t c = 0; c < b; c++) sums[r][c] = v_load(t->y + r * t->y_row + c * CACHE_LANES);
    for (size_t j = 0; j < t->n; j++) {
        V value[SIDE_MAX];
#pragma GCC unroll 4
        for (size_t c = 0; c < b; c++) {
            value[c] = v_numbers(format, t->values + c * t->panel_bytes + j * step);
            if (format != Q8_0 || c == 0) ask_for(t->next + c * t->panel_bytes + j * step);
        }
#pragma GCC unroll 8
        for (size_t r = 0; r < m; r++) {
            const V weight = v_all(t->weights[r * row + j]);
#pragma GCC unroll 4
            for (size_t c = 0; c < b; c++) sums[r][c] = v_fma(weight, value[c], sums[r][c]);
        }
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < m; r++)
#pragma GCC unroll 4
        for (size_t c = 0; c < b; c++) v_store(t->y + r * t->y_row + c * CACHE_LANES, sums[r][c]);
}

#define GATHER_CASE(m)                                                                             \
    case m:                                                                                        \
        if (b == 1) gather_tile(format, m, 1, &tile);                                              \
        else gather_tile(format, m, format == Q8_0 ? 2 : beside(m), &tile);                        \
        break;

/* b vectors of every query. */
INLINE void gather_panels(Format format, size_t n, size_t b, GatherTile tile)
{
    const size_t row = format == Q8_0 ? SCALED_ROW : SCORE_ROW;
    for (size_t done = 0, m; done < n; done += m) {
        m = b == 1 ? share_of(n - done) : n;
        switch (m) { QUERIES(GATHER_CASE) }
        tile.y += m * tile.y_row;
        tile.weights += m * row;
        tile.next = tile.values;
    }
}

/* The last numbers of a head whose size is no multiple of sixteen: through a vector's room, one query and
 * position at a time. */
INLINE void gather_rest(Format format, float *y, const float *weights, size_t n, const CacheRun *values)
{
    const size_t d = values->head_size, panel = d / CACHE_LANES * CACHE_LANES, width = d - panel,
                 bytes = number_bytes(format);
    const char *from = (const char *)values->head +
                       (panel * values->page_tokens + values->first * width) * bytes;
    for (size_t m = 0; m < n; m++) {
        float sum[CACHE_LANES] = { 0.0f };
        char value[CACHE_LANES * sizeof(float)] = { 0 };
        memcpy(sum, y + m * d + panel, width * sizeof *sum);
        for (size_t j = 0; j < values->n; j++) {
            memcpy(value, from + j * width * bytes, width * bytes);
            v_store(sum, v_fma(v_all(weights[m * SCORE_ROW + j]), v_numbers(format, value), v_load(sum)));
        }
        memcpy(y + m * d + panel, sum, width * sizeof *sum);
    }
}

INLINE void gather(Format format, float *y, const float *weights, size_t n, const CacheRun *values)
{
    const size_t d = values->head_size, n_panels = d / CACHE_LANES, side = beside(share_of(n)),
                 lane_bytes = CACHE_LANES * number_bytes(format),
                 panel_bytes = values->page_tokens * lane_bytes, from = values->first * lane_bytes;
    for (size_t panel = 0, b; panel < n_panels; panel += b) {
        b = n_panels - panel >= side ? side : 1;
        const GatherTile tile = {
            .y = y + panel * CACHE_LANES, .weights = weights, .y_row = d,
            .values = (const char *)values->head + panel * panel_bytes + from,
            .next = (const char *)values->next + panel * panel_bytes + from,
            .panel_bytes = panel_bytes, .n = values->n,
        };
        gather_panels(format, n, b, tile);
    }
    if (d % CACHE_LANES) gather_rest(format, y, weights, n, values);
}

/* ---- values of Q8_0: weights meet the scales first ---- */

/* scaled[m][j] = weights[m][j] * scale[j], whole vectors: what lies behind n is in the row and never used */
INLINE void scale_weights(float *scaled, const float *weights, const uint16_t *scale, size_t m, size_t n)
{
    for (size_t j = 0; j < n; j += CACHE_LANES) {
        const V by = v_halves(scale + j);
        for (size_t r = 0; r < m; r++)
            v_store(scaled + r * SCALED_ROW + j, v_mul(v_load(weights + r * SCORE_ROW + j), by));
    }
}

/* At most SCALED_MAX positions, QUERIES_MAX queries, and the 32 numbers of one group. */
INLINE void gather_group(float *y, const float *weights, size_t m, size_t d, const char *group,
                         const char *next, size_t page_tokens, size_t first, size_t n)
{
    float scaled[QUERIES_MAX * SCALED_ROW];
    scale_weights(scaled, weights, (const uint16_t *)(const void *)group + first, m, n);
    const size_t at = page_tokens * sizeof(uint16_t) + first * CACHE_Q8, side = beside(m) > 1 ? 2 : 1;
    for (size_t half = 0; half < 2; half += side) {
        const GatherTile tile = {
            .y = y + half * CACHE_LANES, .weights = scaled, .y_row = d,
            .values = group + at + half * CACHE_LANES, .next = (half ? group : next) + at,
            .panel_bytes = CACHE_LANES, .n = n,
        };
        gather_panels(Q8_0, m, side, tile);
    }
}

INLINE void gather_q8(float *y, const float *weights, size_t n, const CacheRun *values)
{
    const size_t d = values->head_size, page = values->page_tokens, bytes = cache_q8_values_bytes(page);
    for (size_t g = 0; g < d / CACHE_Q8; g++) {
        const char *group = (const char *)values->head + g * bytes,
                   *next = (const char *)values->next + g * bytes;
        for (size_t j = 0; j < values->n; j += SCALED_MAX) {
            const size_t left = values->n - j, many = left < SCALED_MAX ? left : SCALED_MAX;
            for (size_t done = 0, m; done < n; done += m) {
                m = share_of(n - done);
                gather_group(y + done * d + g * CACHE_Q8, weights + done * SCORE_ROW + j, m, d, group,
                             done ? group : next, page, values->first + j, many);
            }
        }
    }
}
