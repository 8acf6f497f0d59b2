/* SPDX-License-Identifier: Apache-2.0
 * device/cpu/rope.c - rotary embedding.
 *
 * Powers, cosines and sines are dear, and every layer of a step turns queries and keys by the same angles: they
 * are computed for the first of these calls and kept for the others. */
#include "device/cpu/cpu.h"

#include <math.h>
#include <string.h>

static bool same_rope(const Rope *a, const Rope *b)
{
    return a->n_turned == b->n_turned && !(a->base < b->base) && !(a->base > b->base);
}

static void keep_row(void *arg, int64_t t, int worker)
{
    Turns *turns = arg;
    const int n_pairs = turns->of.n_turned / 2;
    float *cosine = turns->table + t * turns->of.n_turned, *sine = cosine + n_pairs;
    for (int i = 0; i < n_pairs; i++) {
        const double angle = (double)turns->positions[t] * turns->angles[i];
        cosine[i] = (float)cos(angle);
        sine[i] = (float)sin(angle);
    }
    (void)worker;
}

static void keep_turns(Cpu *cpu, const Rope *rope, const int32_t *positions, int64_t n)
{
    Turns *turns = &cpu->turns;
    const size_t bytes = (size_t)n * sizeof *positions;
    const bool same = same_rope(&turns->of, rope);
    if (same && turns->n == n && !memcmp(turns->positions, positions, bytes)) return;
    if (!same)
        for (int i = 0; i < rope->n_turned / 2; i++) turns->angles[i] = rope_angle(rope, 1, i);
    memcpy(turns->positions, positions, bytes);
    turns->of = *rope;
    turns->n = n;
    cpu_run(cpu, keep_row, turns, n, 64 * n * rope->n_turned);
}

typedef struct Turning {
    Cpu        *cpu;
    Tensor     *x;
    const Rope *rope;
} Turning;

static void rope_row(void *arg, int64_t t, int worker)
{
    const Turning *op = arg;
    const int n_pairs = op->rope->n_turned / 2;
    const float *cosine = op->cpu->turns.table + t * op->rope->n_turned, *sine = cosine + n_pairs;
    RopeFn *turn = op->rope->pairs == PAIRS_ADJACENT ? op->cpu->kernels.rope_adjacent
                                                     : op->cpu->kernels.rope_halves;
    for (int64_t at = 0; at < op->x->cols; at += op->rope->head_size)
        turn(row_f32(op->x, t) + at, cosine, sine, (size_t)n_pairs);
    (void)worker;
}

Status cpu_rope(Device *d, Tensor *x, const int32_t *positions, const Rope *rope)
{
    Turning op = { .cpu = (Cpu *)d, .x = x, .rope = rope };
    TRY(host_fits(d, "rope", x->rows, x->cols));
    if (rope->n_turned > op.cpu->turns.room)
        return fail(&d->error, BAD_ARGUMENT, "rope: %d numbers of a head are to turn, %lld were reserved",
                    rope->n_turned, (long long)op.cpu->turns.room);
    keep_turns(op.cpu, rope, positions, x->rows);
    cpu_run(op.cpu, rope_row, &op, x->rows, x->rows * x->cols);
    return OK;
}
