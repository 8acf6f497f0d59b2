/* SPDX-License-Identifier: Apache-2.0
 * device/cpu/cpu.h - the cpu device inside: a pool of threads, one kernel table, work space.
 *
 * Products go by panels of weights (number/panel.h) and tiles of activations (kernel/kernel.h): one call of a
 * kernel multiplies a stack, up to 128 rows of weights, with up to eight rows of activations. */
#ifndef DEVICE_CPU_CPU_H
#define DEVICE_CPU_CPU_H

#include "base/pool.h"
#include "device/host.h"
#include "kernel/kernel.h"

enum {
    /* Attention is cut at multiples of this many positions, always, whoever computes the pieces. */
#ifdef MIXT_HOSTILE
    SPLIT = 32,
#else
    SPLIT = 512,
#endif
    GROUP_MAX = 64,             /* query heads that share a key head                       */
    ATTEND_QUERIES_MAX = GROUP_MAX,     /* that go over the cache together                 */
    PART_ROWS = 4,              /* rows with a full context that threads may share out     */
#ifdef MIXT_HOSTILE
    GATE_TILES = 2
#else
    GATE_TILES = 16             /* tiles whose gates wait for the other factor; their numbers take 64 KiB of the
                                 * second cache                                            */
#endif
};

/* Work space of one thread. */
typedef struct Scratch {
    char  *row;                 /* one row of weights as files hold it, in any format      */
    float *queries;             /* [d][M] queries that go over the cache together          */
    float *scores;              /* [M][SCORE_ROW]                                          */
    float *piece;               /* [M][d] what one piece of the cache says to them         */
    float (*gate)[STACK_ROWS];  /* [GATE_TILES * TILE_ROWS]                                */
} Scratch;

/* Rows of a step that follow each other in one sequence (attend.c). */
typedef struct RowBlock {
    int64_t row, n_rows;
    int64_t begin, end;         /* positions that one of them sees                         */
    int64_t first_part;
} RowBlock;

/* Answers of pieces of the cache that wait to be merged. */
typedef struct Parts {
    float  *answers;            /* [room][H]                                               */
    float  *sums;               /* [room][n_heads][2] maxima and sums                      */
    int64_t room;               /* rows times pieces                                       */
} Parts;

/* The angles of the last step's positions (rope.c). */
typedef struct Turns {
    Rope     of;
    double  *angles;            /* [n_turned / 2] per position                             */
    float   *table;             /* [T][n_turned] cosines, then sines                       */
    int32_t *positions;         /* [T] of the rows in the table                            */
    int64_t  n, room;           /* rows in it; numbers of a row there is room for          */
} Turns;

/* Rows of activations in tiles of TILE_ROWS, the last one smaller, one after another. */
typedef struct Tiles {
    char   *memory;
    int64_t n_rows, n_cols;
    int64_t row_bytes;          /* one row's share of a tile                               */
    bool    blocks;             /* for weights with blocks; else floats                    */
} Tiles;

typedef struct Cpu {
    HostDevice host;
    Kernels    kernels;
    Pool      *pool;
    Scratch   *scratch;         /* [n_threads]                                             */
    char      *x_blocks;        /* [T*U] rows that products read, in tiles for either kind of weights */
    char      *x_floats;
    char      *hidden;          /* [T*U][F] between the two halves of the experts, in tiles */
    char      *hidden_floats;   /* the same for adapters of the second half; NULL without adapters */
    char      *low[2];          /* [T*U][n_rank] x * a^T of adapters, in tiles; likewise   */
    int64_t   *job_rows;        /* [T*U+1] see experts.c                                   */
    int64_t   *job_tasks;       /* [T*U+1]                                                 */
    RowBlock  *blocks;          /* [T]                                                     */
    Parts      parts;
    Turns      turns;
    bool       counts;          /* take no memory, note how much it would be               */
    int64_t    counted_bytes;
} Cpu;

/* pool_run, or a plain loop when the whole costs less than waking the threads: about `work`
 * multiplications.  The answer is the same (D1). */
void cpu_run(Cpu *cpu, PoolTask task, void *arg, int64_t n_tasks, int64_t work);

/* ---- products (project.c) ---- */

static inline bool has_blocks(Format format)
{
    return format_info[format].block_values > 1;
}

static inline int64_t tiles_row_bytes(bool blocks, int64_t n_cols)
{
    return blocks ? n_cols / X_BLOCK * X_BLOCK_BYTES : n_cols * (int64_t)sizeof(float);
}

/* Rows in tile t; the tile itself. */
static inline int64_t tile_rows(const Tiles *x, int64_t t)
{
    const int64_t rest = x->n_rows - t * TILE_ROWS;
    return rest < TILE_ROWS ? rest : TILE_ROWS;
}

static inline char *tile_at(const Tiles *x, int64_t t)
{
    return x->memory + t * TILE_ROWS * x->row_bytes;
}

static inline int64_t n_tiles(const Tiles *x)
{
    return (x->n_rows + TILE_ROWS - 1) / TILE_ROWS;
}

/* Row i of the tiles becomes x[n_cols]. */
void tiles_put(const Cpu *cpu, const Tiles *to, int64_t i, const float *x);

/* Rows of a stack: all but the last are whole. */
static inline int64_t stack_rows(const Tensor *w, int64_t stack)
{
    const int64_t rest = w->rows - stack * STACK_ROWS;
    return rest < STACK_ROWS ? rest : STACK_ROWS;
}

static inline char *stack_at(const Tensor *w, int64_t stack)
{
    return (char *)w->handle + stack * stack_bytes(w->format, w->cols, STACK_ROWS);
}

/* y[i][r] = row (128 * stack + r) of w . row i of tile t */
static inline void tile_product(const Cpu *cpu, float y[TILE_ROWS][STACK_ROWS], const Tensor *w, int64_t stack,
                                const Tiles *x, int64_t t)
{
    kernels_panel(&cpu->kernels, w->format)(y, stack_at(w, stack), (size_t)n_panels(stack_rows(w, stack)),
                                            tile_at(x, t), (size_t)tile_rows(x, t), (size_t)w->cols);
}

/* ---- adapters (adapt.c) ---- */

/* Stack `stack` of x * a^T for tile t. */
void low_begin(const Cpu *cpu, const LowRank *low, int64_t stack, const Tiles *x, int64_t t, const Tiles *to);
/* y[i][r] += row (128 * stack + r) of b . row i of tile t of what low_begin made */
void low_finish(const Cpu *cpu, float y[TILE_ROWS][STACK_ROWS], const LowRank *low, int64_t stack, const Tiles *from,
                int64_t t);

/* ---- the cache (kv.c) ---- */

/* UNSUPPORTED with a sentence, unless the pages are as kernel/cache.h says. */
Status kv_check(Device *d, const char *op, const KvView *kv, const Tensor *page);
/* The stretch of a head in the page that holds a position of row t's sequence; first_row: keys or values. */
char *kv_stretch(const KvView *kv, int64_t t, int64_t first_row, int64_t position, int64_t head);

/* ---- ops ---- */

Status cpu_alloc_weight(Device *d, Format format, int64_t rows, int64_t cols, Tensor *out);
int64_t cpu_weight_bytes(Format format, int64_t rows, int64_t cols);
Status cpu_place_weight(Device *d, Format format, int64_t rows, int64_t cols, void *at, Tensor *out);
Status cpu_fill(Device *d, Tensor *to, int64_t first, int64_t n, const void *rows);

Status cpu_embed(Device *d, Tensor *y, const Tensor *table, const int32_t *tokens, int n);
Status cpu_norm(Device *d, Tensor *y, const Tensor *x, const Norm *norm);
Status cpu_project(Device *d, Tensor *const y[], const Tensor *x, const Tensor *const w[], int n);
Status cpu_add(Device *d, Tensor *y, const Tensor *x);
Status cpu_adapt(Device *d, Tensor *y, const Tensor *x, const LowRank *low);
Status cpu_rope(Device *d, Tensor *x, const int32_t *positions, const Rope *rope);
Status cpu_kv_write(Device *d, const KvView *kv, const Tensor *k, const Tensor *v);
Status cpu_attend(Device *d, Tensor *y, const Tensor *q, const KvView *kv);
Status cpu_experts(Device *d, Tensor *parts, const Tensor *x, const ExpertJob *jobs, int n_jobs);
Status cpu_combine(Device *d, Tensor *y, const Tensor *parts, const float *weights, int n_used);
Status cpu_pick(Device *d, Tensor *y, const Tensor *x, const int32_t *rows, int n);

#endif
