/* SPDX-License-Identifier: Apache-2.0
 * device/cpu/project.c - rows of weights against rows of x.
 *
 * Weights are decoded to floats, tile by tile, and multiplied with float activations: nothing but
 * the weights is ever quantised.  Every number of the answer is one dot product over a whole row
 * (ORDER dot_f32), however many rows of x there are. */
#include "device/cpu/cpu.h"

/* Rows [first, first + n) of a matrix as floats: decoded into `space`, or where they lie. */
static const float *floats_of(const Cpu *cpu, const Tensor *w, int64_t first, int64_t n,
                              float *space)
{
    if (w->format == F32) return row_f32(w, first);
    /* Rows follow without gaps, so n rows are one long row. */
    DecodeFn *decode = kernels_decoder(&cpu->kernels, w->format);
    decode(space, row_bytes_at(w, first), (size_t)(n * w->cols));
    return space;
}

static const float *x_row(const Tile *tile, int64_t i)
{
    return row_f32(tile->x, tile->rows ? tile->rows[i] : i);
}

/* Few rows of x: each weight row is used while it is still in the nearest cache. */
static void few(const Cpu *cpu, const Tile *tile, float *space)
{
    const size_t cols = (size_t)tile->x->cols;
    for (int64_t r = 0; r < tile->n_rows; r++) {
        const float *w = floats_of(cpu, tile->w, tile->first + r, 1, space);
        for (int64_t i = 0; i < tile->n_x; i++)
            tile->answers[i * tile->stride + r] = cpu->kernels.dot_f32(w, x_row(tile, i), cols);
    }
}

/* Many: four rows of x meet all rows of the tile before the next four are read. */
static void many(const Cpu *cpu, const Tile *tile, float *space)
{
    const size_t cols = (size_t)tile->x->cols;
    const float *weights = floats_of(cpu, tile->w, tile->first, tile->n_rows, space);
    int64_t i = 0;
    for (; i + 4 <= tile->n_x; i += 4) {
        const float *const x[4] = {
            x_row(tile, i), x_row(tile, i + 1), x_row(tile, i + 2), x_row(tile, i + 3)
        };
        for (int64_t r = 0; r < tile->n_rows; r++) {
            float y[4];
            cpu->kernels.dot4_f32(y, weights + (size_t)r * cols, x, cols);
            for (int k = 0; k < 4; k++) tile->answers[(i + k) * tile->stride + r] = y[k];
        }
    }
    for (; i < tile->n_x; i++)
        for (int64_t r = 0; r < tile->n_rows; r++)
            tile->answers[i * tile->stride + r] =
                cpu->kernels.dot_f32(weights + (size_t)r * cols, x_row(tile, i), cols);
}

void cpu_tile(const Cpu *cpu, const Tile *tile, float *space)
{
    if (tile->n_x < 4) few(cpu, tile, space);
    else many(cpu, tile, space);
}

typedef struct Projection {
    Cpu                 *cpu;
    Tensor *const       *y;
    const Tensor        *x;
    const Tensor *const *w;
} Projection;

/* Tiles are numbered through all matrices. */
static void project_tile(void *arg, int64_t task, int worker)
{
    const Projection *p = arg;
    int m = 0;
    while (task >= n_tiles(p->w[m])) task -= n_tiles(p->w[m++]);
    const int64_t first = task * TILE_ROWS;
    const Tile tile = {
        .w = p->w[m], .first = first, .n_rows = tile_rows(p->w[m], first),
        .x = p->x, .n_x = p->x->rows,
        .answers = row_f32(p->y[m], 0) + first,
        .stride = p->y[m]->row_bytes / (int64_t)sizeof(float),
    };
    cpu_tile(p->cpu, &tile, p->cpu->scratch[worker].weights);
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
