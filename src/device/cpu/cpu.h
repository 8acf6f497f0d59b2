/* SPDX-License-Identifier: Apache-2.0
 * device/cpu/cpu.h - the cpu device inside: a pool of threads, one kernel table, work space per
 * thread. */
#ifndef DEVICE_CPU_CPU_H
#define DEVICE_CPU_CPU_H

#include "base/pool.h"
#include "device/host.h"
#include "kernel/kernel.h"

enum {
    /* Weight rows that one task decodes and then multiplies with every row of x: x is read once
     * per tile instead of once per weight row. */
    TILE_ROWS = 8,
    /* Attention is cut at multiples of this many positions, always, whoever computes the pieces. */
#ifdef MIXT_HOSTILE
    SPLIT = 8,
#else
    SPLIT = 256,
#endif
    GROUP_MAX = 64              /* query heads that share a key head                       */
};

/* Work space of one thread. */
typedef struct Scratch {
    float *weights;             /* [TILE_ROWS][n_cols] decoded rows                        */
    float *answers;             /* [T][TILE_ROWS]; also cosines and sines                  */
    float *kv;                  /* [d] one key or value                                    */
    float *scores;              /* [n_heads][SPLIT]                                        */
    float *piece;               /* [n_heads][d] one split's answer                         */
} Scratch;

typedef struct Cpu {
    HostDevice host;
    Kernels    kernels;
    Pool      *pool;
    Scratch   *scratch;         /* [n_threads]                                             */
    float     *hidden;          /* [T*U][F] between the two halves of the experts          */
    double    *turns;           /* [n_cols] angle per position of each pair of `turns_of`  */
    Rope       turns_of;
} Cpu;

/* pool_run, or a plain loop when the whole costs less than waking the threads: about `work`
 * multiplications.  The answer is the same (D1). */
void cpu_run(Cpu *cpu, PoolTask task, void *arg, int64_t n_tasks, int64_t work);

/* answers[i*stride + r] = row (first + r) of w . x[rows ? rows[i] : i], for i < n_x and r < n_rows. */
typedef struct Tile {
    const Tensor  *w;
    int64_t        first, n_rows;       /* n_rows <= TILE_ROWS                              */
    const Tensor  *x;
    const int32_t *rows;                /* NULL: all rows of x in order                     */
    int64_t        n_x;
    float         *answers;
    int64_t        stride;              /* from one row of x to the next                    */
} Tile;

/* The rows of the tile that begins at `first`, which may be the last and smaller. */
static inline int64_t tile_rows(const Tensor *w, int64_t first)
{
    return w->rows - first < TILE_ROWS ? w->rows - first : TILE_ROWS;
}

static inline int64_t n_tiles(const Tensor *w)
{
    return (w->rows + TILE_ROWS - 1) / TILE_ROWS;
}

/* `space` holds the decoded rows: [TILE_ROWS][n_cols]. */
void cpu_tile(const Cpu *cpu, const Tile *tile, float *space);

Status cpu_embed(Device *d, Tensor *y, const Tensor *table, const int32_t *tokens, int n);
Status cpu_norm(Device *d, Tensor *y, const Tensor *x, const Norm *norm);
Status cpu_project(Device *d, Tensor *const y[], const Tensor *x, const Tensor *const w[], int n);
Status cpu_add(Device *d, Tensor *y, const Tensor *x);
Status cpu_rope(Device *d, Tensor *x, const int32_t *positions, const Rope *rope);
Status cpu_kv_write(Device *d, const KvView *kv, const Tensor *k, const Tensor *v);
Status cpu_attend(Device *d, Tensor *y, const Tensor *q, const KvView *kv);
Status cpu_experts(Device *d, Tensor *parts, const Tensor *x, const ExpertJob *jobs, int n_jobs);
Status cpu_combine(Device *d, Tensor *y, const Tensor *parts, const float *weights, int n_used);
Status cpu_pick(Device *d, Tensor *y, const Tensor *x, const int32_t *rows, int n);

#endif
