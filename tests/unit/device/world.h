/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/device/world.h - made-up weights and activations, and every op of a device run over
 * them.
 *
 * answer() runs the ops on a device, at most `rows_at_once` rows of a step together; what it
 * returns must not depend on that number, nor on threads (D1), and must be near what device ref
 * returns. */
#ifndef TESTS_DEVICE_WORLD_H
#define TESTS_DEVICE_WORLD_H

#include "support.h"

#include "device/device.h"

#include <math.h>

enum {
    D = 256,
    F = 256,
    N = 72,
    V = 40, /* N is no multiple of a tile                       */
    HEADS = 8,
    KV_HEADS = 2,
    HEAD = 32,
    H = HEADS * HEAD,
    K = KV_HEADS * HEAD,
    T = 64,
    ROWS = 600, /* rows of heavy ops, and of light ones: enough to wake threads */
    E = 3,
    U = 2,
    SEQUENCES = 3,
    POSITIONS = 300,
    PAGE = 16,
    PAGES = (POSITIONS + PAGE - 1) / PAGE,
    LAYERS = 2
};

typedef struct World {
    Format  weights, cache;
    int     window;
    RopePairs pairs;
    void   *matrix;                     /* [N+V+3*E*256][256] in the format `weights`       */
    float  *decoded;                    /* the same as floats                               */
    float  *x;                          /* [ROWS][D]                                        */
    float  *kv;                         /* [SEQUENCES][POSITIONS][2][K]                     */
    float   gain[D], mix[T * U];
    int32_t tokens[ROWS], picks[ROWS], sequences[T], positions[T], experts[T * U];
} World;

enum { MATRIX_ROWS = N + V + E * (2 * F + D) };
_Static_assert(D == 256 && F == 256 && H == 256, "all rows of the matrices are alike here");

typedef struct Answer {
    float embed[ROWS][D], norm[ROWS][D], add[ROWS][D], pick[ROWS][D];
    float combine[T][D];
    float project[T][N + V];
    float rope[T][H], attend[T][H];
    float parts[T * U][D];
    unsigned char page[PAGE * 2 * LAYERS][K * sizeof(float)];   /* the first page of sequence 0 */
} Answer;

/* Rows of the matrix: where each part begins. */
static inline int64_t gate_row(int expert) { return N + V + (int64_t)expert * (2 * F + D); }
static inline int64_t up_row(int expert)   { return gate_row(expert) + F; }
static inline int64_t down_row(int expert) { return gate_row(expert) + 2 * F; }

/* Bits are what we promise, so bits are what we compare: -0 is not 0 here. */
static inline bool bits_equal(const void *a, const void *b, size_t n_bytes)
{
    return memcmp(a, b, n_bytes) == 0;
}

/* ---- made up ---- */

static inline float world_normal(Rng *rng)
{
    double sum = 0.0;
    for (int i = 0; i < 12; i++) sum += rng_unit(rng);
    return (float)(sum - 6.0);
}

static inline float *world_floats(int64_t n, Rng *rng)
{
    float *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = world_normal(rng);
    return x;
}

static inline World *world_new(Format weights, Format cache, int window, RopePairs pairs,
                               uint64_t seed)
{
    World *w = calloc(1, sizeof *w);
    Rng rng = { seed };
    *w = (World){ .weights = weights, .cache = cache, .window = window, .pairs = pairs };
    w->matrix = malloc((size_t)(MATRIX_ROWS * format_row_bytes(weights, D)));
    w->decoded = malloc(MATRIX_ROWS * D * sizeof *w->decoded);
    format_info[weights].draw(w->matrix, MATRIX_ROWS * D, 0.06f, &rng);
    format_info[weights].decode(w->decoded, w->matrix, MATRIX_ROWS * D);
    w->x = world_floats(ROWS * D, &rng);
    w->kv = world_floats(SEQUENCES * POSITIONS * 2 * K, &rng);
    for (int i = 0; i < D; i++) w->gain[i] = world_normal(&rng);
    for (int i = 0; i < T * U; i++) w->mix[i] = (float)rng_unit(&rng);
    for (int i = 0; i < ROWS; i++) {
        w->tokens[i] = (int32_t)(rng_bits(&rng) % MATRIX_ROWS);
        w->picks[i] = (int32_t)(rng_bits(&rng) % ROWS);
    }
    for (int t = 0; t < T; t++) {
        w->sequences[t] = (int32_t)(rng_bits(&rng) % SEQUENCES);
        w->positions[t] = t < 4 ? t * 99 : (int32_t)(rng_bits(&rng) % POSITIONS);
        w->experts[t * U] = (int32_t)(rng_bits(&rng) % E);
        w->experts[t * U + 1] = (w->experts[t * U] + 1 + (int32_t)(rng_bits(&rng) % (E - 1))) % E;
    }
    return w;
}

static inline void world_free(World *w)
{
    free(w->matrix);
    free(w->decoded);
    free(w->x);
    free(w->kv);
    free(w);
}

/* ---- run ---- */

/* Every op must say OK; the device's sentence otherwise. */
#define MUST(call)                                                                                 \
    do {                                                                                           \
        if ((call) != OK) fail_msg("%s: %s", #call, d->error.text);                                \
    } while (0)

static inline Tensor made(Device *d, Format format, int64_t rows, int64_t cols, const void *bytes)
{
    Tensor t;
    MUST(d->ops->alloc(d, format, rows, cols, &t));
    if (bytes) MUST(d->ops->upload(d, &t, bytes, (size_t)(rows * t.row_bytes)));
    return t;
}

/* A weight, filled in two parts when the device takes parts. */
static inline Tensor made_weight(Device *d, Format format, int64_t rows, int64_t cols, const void *bytes)
{
    Tensor t;
    const int64_t first = rows / 2 / d->ops->fill_rows * d->ops->fill_rows;
    MUST(d->ops->alloc_weight(d, format, rows, cols, &t));
    MUST(d->ops->fill(d, &t, 0, first, bytes));
    MUST(d->ops->fill(d, &t, first, rows - first, (const char *)bytes + first * t.row_bytes));
    return t;
}

/* `rows` rows of a matrix of ours, as a weight of its own. */
static inline Tensor part_of(Device *d, const World *w, int64_t first, int64_t rows)
{
    return made_weight(d, w->weights, rows, D,
                       (const char *)w->matrix + first * format_row_bytes(w->weights, D));
}

static inline void take(Device *d, void *to, Tensor *from)
{
    MUST(d->ops->wait(d));
    MUST(d->ops->download(d, to, from, (size_t)(from->rows * from->row_bytes)));
    d->ops->free(d, from);
}

static inline void answer_light(Device *d, const World *w, int first, int n, Answer *a)
{
    Tensor table = part_of(d, w, 0, MATRIX_ROWS), gain = made(d, F32, 1, D, w->gain);
    Tensor x = made(d, F32, n, D, w->x + first * D), all = made(d, F32, ROWS, D, w->x);
    Tensor embed = made(d, F32, n, D, NULL), norm = made(d, F32, n, D, NULL),
           pick = made(d, F32, n, D, NULL);
    MUST(d->ops->embed(d, &embed, &table, w->tokens + first, n));
    MUST(d->ops->norm(d, &norm, &x, &(Norm){ gain, 1e-5f }));
    MUST(d->ops->pick(d, &pick, &all, w->picks + first, n));
    take(d, a->embed[first], &embed);
    take(d, a->pick[first], &pick);
    Tensor add = made(d, F32, n, D, a->pick[first]);
    MUST(d->ops->add(d, &add, &x));
    take(d, a->norm[first], &norm);
    take(d, a->add[first], &add);
    Tensor *const rest[] = { &table, &gain, &x, &all };
    for (int i = 0; i < ARRAY_LEN(rest); i++) d->ops->free(d, rest[i]);
}

static inline void answer_project(Device *d, const World *w, int first, int n, Answer *a)
{
    Tensor m1 = part_of(d, w, 0, N), m2 = part_of(d, w, N, V),
           x = made(d, F32, n, D, w->x + first * D);
    Tensor y1 = made(d, F32, n, N, NULL), y2 = made(d, F32, n, V, NULL);
    static float to1[T][N], to2[T][V];
    MUST(d->ops->project(d, (Tensor *[]){ &y1, &y2 }, &x, (const Tensor *[]){ &m1, &m2 }, 2));
    take(d, to1, &y1);
    take(d, to2, &y2);
    for (int t = 0; t < n; t++) {
        memcpy(a->project[first + t], to1[t], sizeof to1[t]);
        memcpy(a->project[first + t] + N, to2[t], sizeof to2[t]);
    }
    Tensor *const rest[] = { &m1, &m2, &x };
    for (int i = 0; i < ARRAY_LEN(rest); i++) d->ops->free(d, rest[i]);
}

static inline void answer_experts(Device *d, const World *w, int first, int n, Answer *a)
{
    Expert experts[E];
    ExpertJob jobs[E];
    int32_t rows[T * U], slots[T * U];
    int n_jobs = 0, filled = 0;
    for (int e = 0; e < E; e++) {
        experts[e] = (Expert){part_of(d, w, gate_row(e), F), part_of(d, w, up_row(e), F),
                              part_of(d, w, down_row(e), D)};
        jobs[n_jobs] =
            (ExpertJob){.expert = experts[e], .rows = rows + filled, .slots = slots + filled};
        for (int s = 0; s < n * U; s++) {
            if (w->experts[first * U + s] != e) continue;
            rows[filled] = s / U;
            slots[filled++] = s;
            jobs[n_jobs].n++;
        }
        n_jobs += jobs[n_jobs].n > 0;
    }
    Tensor x = made(d, F32, n, D, w->x + first * D), parts = made(d, F32, n * U, D, NULL),
           y = made(d, F32, n, D, NULL);
    MUST(d->ops->experts(d, &parts, &x, jobs, n_jobs));
    take(d, a->parts[first * U], &parts);
    Tensor mixed = made(d, F32, n * U, D, a->parts[first * U]);
    MUST(d->ops->combine(d, &y, &mixed, w->mix + first * U, U));
    take(d, a->combine[first], &y);
    for (int e = 0; e < E; e++) {
        d->ops->free(d, &experts[e].gate);
        d->ops->free(d, &experts[e].up);
        d->ops->free(d, &experts[e].down);
    }
    d->ops->free(d, &x);
    d->ops->free(d, &mixed);
}

typedef struct Cache {
    Tensor pages[SEQUENCES][PAGES];
    KvView view;
} Cache;

/* Writes what every sequence remembers, `at_once` positions in a call; layer 1 of two. */
static inline void write_cache(Device *d, const World *w, int at_once, Cache *c)
{
    c->view = (KvView){.k_row = 2 * PAGE,
                       .v_row = 3 * PAGE,
                       .page_tokens = PAGE,
                       .head_size = HEAD,
                       .window = w->window};
    for (int s = 0; s < SEQUENCES; s++) {
        for (int p = 0; p < PAGES; p++)
            c->pages[s][p] = made(d, w->cache, LAYERS * 2 * PAGE, K, NULL);
        for (int first = 0; first < POSITIONS; first += at_once) {
            static float k[POSITIONS][K], v[POSITIONS][K];
            int32_t positions[POSITIONS];
            const Tensor *pages[POSITIONS];
            const int n = POSITIONS - first < at_once ? POSITIONS - first : at_once;
            for (int i = 0; i < n; i++) {
                const float *from = w->kv + (int64_t)(s * POSITIONS + first + i) * 2 * K;
                memcpy(k[i], from, sizeof k[i]);
                memcpy(v[i], from + K, sizeof v[i]);
                positions[i] = first + i;
                pages[i] = c->pages[s];
            }
            KvView to = c->view;
            to.pages = pages;
            to.positions = positions;
            Tensor keys = made(d, F32, n, K, k), values = made(d, F32, n, K, v);
            MUST(d->ops->kv_write(d, &to, &keys, &values));
            MUST(d->ops->wait(d));
            d->ops->free(d, &keys);
            d->ops->free(d, &values);
        }
    }
}

static inline Rope world_rope(const World *w)
{
    return (Rope){ .head_size = HEAD, .n_turned = HEAD - 4, .base = 1e6, .pairs = w->pairs };
}

static inline void answer_attend(Device *d, const World *w, const Cache *c, int first, int n,
                                 Answer *a)
{
    const Tensor *pages[T];
    const Rope rope = world_rope(w);
    for (int t = 0; t < n; t++) pages[t] = c->pages[w->sequences[first + t]];
    KvView view = c->view;
    view.pages = pages;
    view.positions = w->positions + first;
    Tensor turned = made(d, F32, n, H, w->x + first * H), q = made(d, F32, n, H, w->x + first * H),
           y = made(d, F32, n, H, NULL);
    MUST(d->ops->rope(d, &turned, w->positions + first, &rope));
    MUST(d->ops->attend(d, &y, &q, &view));
    take(d, a->rope[first], &turned);
    take(d, a->attend[first], &y);
    d->ops->free(d, &q);
}

static inline Device *opened(const char *name, int n_threads, const char *cpu_set)
{
    Device *d;
    Error error;
    const DeviceOptions options = { .n_threads = n_threads, .cpu_set = cpu_set };
    if (device_open(name, &options, &d, &error) != OK) fail_msg("device %s: %s", name, error.text);
    return d;
}

/* Room for steps of the world, and for adapters up to this rank. */
static inline void reserve(Device *d, int rank)
{
    MUST(d->ops->reserve(d, &(DeviceLimits){ .n_tokens = ROWS,
                                             .n_cols = D,
                                             .n_width = D,
                                             .n_hidden = F,
                                             .n_used = U,
                                             .n_heads = HEADS,
                                             .head_size = HEAD,
                                             .n_rank = rank }));
    MUST(d->ops->reserve_context(d, POSITIONS));
}

/* Free the answer with free(). */
static inline Answer *answer(Device *d, const World *w, int rows_at_once)
{
    Answer *a = calloc(1, sizeof *a);
    Cache *c = calloc(1, sizeof *c);
    reserve(d, 0);
    const int light = rows_at_once < T ? 16 * rows_at_once : ROWS;
    for (int first = 0; first < ROWS; first += light)
        answer_light(d, w, first, ROWS - first < light ? ROWS - first : light, a);
    write_cache(d, w, rows_at_once < T ? 7 * rows_at_once : POSITIONS, c);
    for (int first = 0; first < T; first += rows_at_once) {
        const int n = T - first < rows_at_once ? T - first : rows_at_once;
        answer_project(d, w, first, n, a);
        answer_experts(d, w, first, n, a);
        answer_attend(d, w, c, first, n, a);
    }
    /* Layer 1 of the page; layer 0 was never written. */
    static unsigned char page[LAYERS * 2 * PAGE * K * sizeof(float)];
    const size_t half = (size_t)(2 * PAGE * c->pages[0][0].row_bytes);
    MUST(d->ops->download(d, page, &c->pages[0][0], 2 * half));
    memcpy(a->page, page + half, half);
    for (int s = 0; s < SEQUENCES; s++)
        for (int p = 0; p < PAGES; p++) d->ops->free(d, &c->pages[s][p]);
    free(c);
    return a;
}

#endif
