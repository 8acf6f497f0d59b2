/* SPDX-License-Identifier: Apache-2.0
 * device/cpu/adapt.c - what an adapter adds: y += (x * a^T) * b^T, two thin products of floats.
 *
 * ORDER adapters: both sums are those of the kernel for rows of F32, over a whole row of `a` (D numbers) and a whole
 * row of `b` (the rank); then one addition to y.  They depend on these lengths only, not on the other rows (D1). */
#include "device/cpu/cpu.h"

#include <string.h>

void low_begin(const Cpu *cpu, const LowRank *low, int64_t stack, const Tiles *x, int64_t t, const Tiles *to)
{
    float y[TILE_ROWS][STACK_ROWS];
    tile_product(cpu, y, &low->a, stack, x, t);
    for (int64_t i = 0; i < tile_rows(x, t); i++)
        memcpy((float *)(tile_at(to, t) + i * to->row_bytes) + stack * STACK_ROWS, y[i],
               (size_t)stack_rows(&low->a, stack) * sizeof(float));
}

void low_finish(const Cpu *cpu, float y[TILE_ROWS][STACK_ROWS], const LowRank *low, int64_t stack, const Tiles *from,
                int64_t t)
{
    float more[TILE_ROWS][STACK_ROWS];
    tile_product(cpu, more, &low->b, stack, from, t);
    for (int64_t i = 0; i < tile_rows(from, t); i++)
        cpu->kernels.add(y[i], more[i], (size_t)stack_rows(&low->b, stack));
}

typedef struct Adaption {
    Cpu           *cpu;
    Tensor        *y;
    const LowRank *low;
    Tiles          x, between;
} Adaption;

/* Tasks are tiles times stacks: `a` has few rows, a prompt many. */
static void first_product(void *arg, int64_t task, int worker)
{
    const Adaption *of = arg;
    const int64_t stacks = n_stacks(of->low->a.rows);
    (void)worker;
    low_begin(of->cpu, of->low, task % stacks, &of->x, task / stacks, &of->between);
}

static void second_product(void *arg, int64_t task, int worker)
{
    const Adaption *of = arg;
    const int64_t stacks = n_stacks(of->low->b.rows), stack = task % stacks, t = task / stacks;
    const size_t n = (size_t)stack_rows(&of->low->b, stack);
    float y[TILE_ROWS][STACK_ROWS];
    (void)worker;
    for (int64_t i = 0; i < tile_rows(&of->x, t); i++)
        memcpy(y[i], row_f32(of->y, t * TILE_ROWS + i) + stack * STACK_ROWS, n * sizeof(float));
    low_finish(of->cpu, y, of->low, stack, &of->between, t);
    for (int64_t i = 0; i < tile_rows(&of->x, t); i++)
        memcpy(row_f32(of->y, t * TILE_ROWS + i) + stack * STACK_ROWS, y[i], n * sizeof(float));
}

Status cpu_adapt(Device *d, Tensor *y, const Tensor *x, const LowRank *low)
{
    Cpu *cpu = (Cpu *)d;
    const int64_t rank = low->a.rows;
    TRY(host_fits(d, "adapt", x->rows, x->cols));
    TRY(host_low_fits(d, low, x->cols, y->cols));
    if (rank == 0) return OK;
    Adaption of = {
        .cpu = cpu,
        .y = y,
        .low = low,
        .x = { x->handle, x->rows, x->cols, x->row_bytes, false },
        .between = { cpu->low[0], x->rows, rank, rank * (int64_t)sizeof(float), false },
    };
    const int64_t tiles = n_tiles(&of.x);
    cpu_run(cpu, first_product, &of, tiles * n_stacks(rank), x->rows * rank * x->cols);
    cpu_run(cpu, second_product, &of, tiles * n_stacks(y->cols), x->rows * rank * y->cols);
    return OK;
}
