/* SPDX-License-Identifier: Apache-2.0
 * device/cpu/project.c - rows of weights against rows of x.
 *
 * Weights are decoded to floats, tile by tile, and multiplied with float activations: nothing but
 * the weights is ever quantised.  Every number of the answer is one dot product over a whole row
 * (ORDER dot_f32), however many rows of x there are. */
#include "device/cpu/cpu.h"

const float *cpu_floats(const Cpu *cpu, const Tensor *w, int64_t first, int64_t n, float *space)
{
    if (w->format == F32) return row_f32(w, first);
    /* Rows follow without gaps, so n rows are one long row. */
    kernels_decoder(&cpu->kernels, w->format)(space, row_bytes_at(w, first), (size_t)(n * w->cols));
    return space;
}

void cpu_tile(const Cpu *cpu, const Tile *tile)
{
    const size_t cols = (size_t)tile->x->cols;
    int64_t i = 0;
    for (; i + 4 <= tile->n_x; i += 4) {
        const float *x[4];
        for (int k = 0; k < 4; k++) x[k] = row_f32(tile->x, tile->rows ? tile->rows[i + k] : i + k);
        for (int64_t r = 0; r < tile->n_rows; r++) {
            float y[4];
            cpu->kernels.dot4_f32(y, tile->weights + (size_t)r * cols, x, cols);
            for (int k = 0; k < 4; k++) tile->answers[(i + k) * tile->stride + r] = y[k];
        }
    }
    for (; i < tile->n_x; i++) {
        const float *x = row_f32(tile->x, tile->rows ? tile->rows[i] : i);
        for (int64_t r = 0; r < tile->n_rows; r++)
            tile->answers[i * tile->stride + r] =
                cpu->kernels.dot_f32(tile->weights + (size_t)r * cols, x, cols);
    }
}

typedef struct Projection {
    Cpu                 *cpu;
    Tensor *const       *y;
    const Tensor        *x;
    const Tensor *const *w;
} Projection;

static int64_t n_tiles(const Tensor *w)
{
    return (w->rows + TILE_ROWS - 1) / TILE_ROWS;
}

/* Tiles are numbered through all matrices. */
static void project_tile(void *arg, int64_t task, int worker)
{
    const Projection *p = arg;
    int m = 0;
    while (task >= n_tiles(p->w[m])) task -= n_tiles(p->w[m++]);
    const Tensor *w = p->w[m];
    const int64_t first = task * TILE_ROWS, left = w->rows - first;
    const int64_t n = left < TILE_ROWS ? left : TILE_ROWS;
    const Tile tile = {
        .weights = cpu_floats(p->cpu, w, first, n, p->cpu->scratch[worker].weights), .n_rows = n,
        .x = p->x, .n_x = p->x->rows,
        .answers = row_f32(p->y[m], 0) + first,
        .stride = p->y[m]->row_bytes / (int64_t)sizeof(float),
    };
    cpu_tile(p->cpu, &tile);
}

Status cpu_project(Device *d, Tensor *const y[], const Tensor *x, const Tensor *const w[], int n)
{
    Projection p = { .cpu = (Cpu *)d, .y = y, .x = x, .w = w };
    int64_t tiles = 0, rows = 0;
    TRY(host_fits(d, "project", x->rows, x->cols));
    for (int m = 0; m < n; m++) {
        tiles += n_tiles(w[m]);
        rows += w[m]->rows;
    }
    cpu_run(p.cpu, project_tile, &p, tiles, rows * x->cols * (x->rows + 1));
    return OK;
}
