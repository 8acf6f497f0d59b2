/* SPDX-License-Identifier: Apache-2.0
 * device/cpu/project.c - weights in panels, activations in tiles, and products of the two.
 *
 * Every number of an answer is one kernel's sum over a whole row, in an order that depends on the row's length only,
 * however many rows of x there are (D1). */
#include "device/cpu/cpu.h"

#include <string.h>

/* ---- weights ---- */

/* The last panel may have room for rows that the matrix lacks: they are zeros. */
Status cpu_alloc_weight(Device *d, Format format, int64_t rows, int64_t cols, Tensor *out)
{
    TRY(host_shape(d, format, rows, cols, out));
    out->layout = LAYOUT_WEIGHT;
    return host_place(d, out, stacks_bytes(format, cols, rows));
}

int64_t cpu_weight_bytes(Format format, int64_t rows, int64_t cols)
{
    return stacks_bytes(format, cols, rows);
}

Status cpu_place_weight(Device *d, Format format, int64_t rows, int64_t cols, void *at, Tensor *out)
{
    TRY(host_place_weight(d, format, rows, cols, at, out));
    out->layout = LAYOUT_WEIGHT;
    return OK;
}

Status cpu_fill(Device *d, Tensor *to, int64_t first, int64_t n, const void *rows)
{
    TRY(host_check_fill(d, to, first, n));
    const char *from = rows;
    for (int64_t row = first; row < first + n; row += STACK_ROWS, from += STACK_ROWS * to->row_bytes) {
        const int64_t stack = row / STACK_ROWS, whole = stack_rows(to, stack), some = first + n - row;
        if (some < whole)
            return fail(&d->error, BAD_ARGUMENT, "rows %lld to %lld of a weight: expected whole stacks of %d",
                        (long long)first, (long long)(first + n), STACK_ROWS);
        stack_pack(stack_at(to, stack), to->format, to->cols, from, whole);
    }
    return OK;
}

/* ---- activations ---- */

void tiles_put(const Cpu *cpu, const Tiles *to, int64_t i, const float *x)
{
    const int64_t t = i / TILE_ROWS, in = i % TILE_ROWS;
    char *tile = tile_at(to, t);
    if (to->blocks)
        cpu->kernels.quantize_x(tile, (size_t)tile_rows(to, t), (size_t)in, x, (size_t)to->n_cols);
    else
        memcpy(tile + in * to->row_bytes, x, (size_t)to->row_bytes);
}

/* ---- project ---- */

typedef struct Projection {
    Cpu                 *cpu;
    Tensor *const       *y;
    const Tensor        *x;
    const Tensor *const *w;
    Tiles                blocks, floats;    /* x for either kind of weights                 */
} Projection;

static void quantize_row(void *arg, int64_t i, int worker)
{
    const Projection *p = arg;
    (void)worker;
    tiles_put(p->cpu, &p->blocks, i, row_f32(p->x, i));
}

/* Tasks are stacks, numbered through all matrices. */
static void project_stack(void *arg, int64_t task, int worker)
{
    const Projection *p = arg;
    (void)worker;
    int m = 0;
    while (task >= n_stacks(p->w[m]->rows)) task -= n_stacks(p->w[m++]->rows);
    const Tensor *w = p->w[m];
    const Tiles *x = has_blocks(w->format) ? &p->blocks : &p->floats;
    for (int64_t t = 0; t < n_tiles(x); t++) {
        float y[TILE_ROWS][STACK_ROWS];
        tile_product(p->cpu, y, w, task, x, t);
        for (int64_t i = 0; i < tile_rows(x, t); i++)
            memcpy(row_f32(p->y[m], t * TILE_ROWS + i) + task * STACK_ROWS, y[i],
                   (size_t)stack_rows(w, task) * sizeof y[i][0]);
    }
}

Status cpu_project(Device *d, Tensor *const y[], const Tensor *x, const Tensor *const w[], int n)
{
    Projection p = { .cpu = (Cpu *)d, .y = y, .x = x, .w = w };
    int64_t tasks = 0, rows = 0;
    bool blocks = false;
    TRY(host_fits(d, "project", x->rows, x->cols));
    for (int m = 0; m < n; m++) {
        tasks += n_stacks(w[m]->rows);
        rows += w[m]->rows;
        blocks |= has_blocks(w[m]->format);
    }
    p.floats = (Tiles){ x->handle, x->rows, x->cols, x->row_bytes, false };     /* where they lie */
    p.blocks = (Tiles){ p.cpu->x_blocks, x->rows, x->cols, tiles_row_bytes(true, x->cols), true };
    if (blocks) cpu_run(p.cpu, quantize_row, &p, x->rows, x->rows * x->cols);
    cpu_run(p.cpu, project_stack, &p, tasks, rows * x->cols * (x->rows + 1));
    return OK;
}
