/* SPDX-License-Identifier: Apache-2.0
 * device/cpu/vector.c - ops that treat each row of the step by itself: embed, norm, add, combine,
 * pick. */
#include "device/cpu/cpu.h"

#include <string.h>

/* What one of these ops was asked; each uses the fields it needs. */
typedef struct Rows {
    Cpu           *cpu;
    Tensor        *y;
    const Tensor  *x;
    const int32_t *from;
    const Norm    *norm;
    const float   *weights;
    int            n_used;
} Rows;

static void embed_row(void *arg, int64_t t, int worker)
{
    const Rows *op = arg;
    const Tensor *table = op->x;
    char *row = op->cpu->scratch[worker].row;
    const int64_t stack = op->from[t] / STACK_ROWS;
    stack_row(row, table->format, table->cols, stack_at(table, stack), stack_rows(table, stack),
              op->from[t] % STACK_ROWS);
    format_info[table->format].decode(row_f32(op->y, t), row, (size_t)table->cols);
}

Status cpu_embed(Device *d, Tensor *y, const Tensor *table, const int32_t *tokens, int n)
{
    Rows op = { .cpu = (Cpu *)d, .y = y, .x = table, .from = tokens };
    TRY(host_fits(d, "embed", n, table->cols));
    cpu_run(op.cpu, embed_row, &op, n, n * table->cols);
    return OK;
}

static void norm_row(void *arg, int64_t t, int worker)
{
    const Rows *op = arg;
    (void)worker;
    op->cpu->kernels.rms_norm(row_f32(op->y, t), row_f32(op->x, t), row_f32(&op->norm->gain, 0),
                              (size_t)op->x->cols, op->norm->eps);
}

Status cpu_norm(Device *d, Tensor *y, const Tensor *x, const Norm *norm)
{
    Rows op = { .cpu = (Cpu *)d, .y = y, .x = x, .norm = norm };
    cpu_run(op.cpu, norm_row, &op, x->rows, x->rows * x->cols);
    return OK;
}

static void add_row(void *arg, int64_t t, int worker)
{
    const Rows *op = arg;
    (void)worker;
    op->cpu->kernels.add(row_f32(op->y, t), row_f32(op->x, t), (size_t)op->x->cols);
}

Status cpu_add(Device *d, Tensor *y, const Tensor *x)
{
    Rows op = { .cpu = (Cpu *)d, .y = y, .x = x };
    cpu_run(op.cpu, add_row, &op, x->rows, x->rows * x->cols);
    return OK;
}

/* The first slot is added to zero, so that one slot and many run alike. */
static void combine_row(void *arg, int64_t t, int worker)
{
    const Rows *op = arg;
    (void)worker;
    float *y = row_f32(op->y, t);
    memset(y, 0, (size_t)op->y->cols * sizeof *y);
    for (int64_t slot = t * op->n_used; slot < (t + 1) * op->n_used; slot++)
        op->cpu->kernels.axpy(y, op->weights[slot], row_f32(op->x, slot), (size_t)op->y->cols);
}

Status cpu_combine(Device *d, Tensor *y, const Tensor *parts, const float *weights, int n_used)
{
    Rows op = { .cpu = (Cpu *)d, .y = y, .x = parts, .weights = weights, .n_used = n_used };
    cpu_run(op.cpu, combine_row, &op, y->rows, y->rows * y->cols * n_used);
    return OK;
}

static void pick_row(void *arg, int64_t i, int worker)
{
    const Rows *op = arg;
    (void)worker;
    memcpy(row_f32(op->y, i), row_f32(op->x, op->from[i]), (size_t)op->x->cols * sizeof(float));
}

Status cpu_pick(Device *d, Tensor *y, const Tensor *x, const int32_t *rows, int n)
{
    Rows op = { .cpu = (Cpu *)d, .y = y, .x = x, .from = rows };
    cpu_run(op.cpu, pick_row, &op, n, n * x->cols);
    return OK;
}
