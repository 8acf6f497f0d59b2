/* SPDX-License-Identifier: Apache-2.0
 * device/cpu/experts.c - all experts of a wave at once, in two sweeps over the threads: gate and up, then down.
 *
 *   hidden[slot] = silu(gate * x[row]) * (up * x[row])      parts[slot] = down * hidden[slot]
 *
 * The rows of a job are copied into tiles of their own, so that every weight is read once for all of them.  A
 * task of the first sweep takes a stack of gate and of up, makes its hidden numbers for every row of its job and
 * leaves them in the form in which `down` wants them: between the sweeps nothing is stored in floats unless
 * `down` is, or an adapter reads it.  Adapters (adapt.c) have two small sweeps of their own before each half. */
#include "device/cpu/cpu.h"

#include <string.h>

_Static_assert(STACK_ROWS % X_BLOCK == 0, "a stack makes whole blocks of a hidden row");

typedef struct Wave {
    Cpu             *cpu;
    Tensor          *parts;
    const Tensor    *x;
    const ExpertJob *jobs;
    int              n_jobs;
} Wave;

/* The job that number n falls to, when job j has those from begin[j] to begin[j + 1]. */
static int job_of(const int64_t *begin, int n_jobs, int64_t n)
{
    int low = 0, high = n_jobs;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (begin[middle] <= n) low = middle;
        else high = middle;
    }
    return low;
}

/* Job j's rows of x for a kind of weights; those of the jobs before it come first. */
static Tiles x_of(const Wave *wave, int j, bool blocks)
{
    const int64_t row_bytes = tiles_row_bytes(blocks, wave->x->cols);
    char *memory = blocks ? wave->cpu->x_blocks : wave->cpu->x_floats;
    return (Tiles){ memory + wave->cpu->job_rows[j] * row_bytes, wave->jobs[j].n, wave->x->cols, row_bytes, blocks };
}

static Tiles hidden_of(const Wave *wave, int j)
{
    const Tensor *down = &wave->jobs[j].expert.down;
    const int64_t room = wave->cpu->host.limits.n_hidden * (int64_t)sizeof(float);
    const bool blocks = has_blocks(down->format);
    return (Tiles){ wave->cpu->hidden + wave->cpu->job_rows[j] * room, wave->jobs[j].n, down->cols,
                    tiles_row_bytes(blocks, down->cols), blocks };
}

/* The hidden numbers as floats, for an adapter of `down`. */
static Tiles hidden_floats_of(const Wave *wave, int j)
{
    const Tiles hidden = hidden_of(wave, j);
    if (!hidden.blocks) return hidden;
    const int64_t each = sizeof(float), room = wave->cpu->host.limits.n_hidden * each;
    return (Tiles){ wave->cpu->hidden_floats + wave->cpu->job_rows[j] * room, hidden.n_rows, hidden.n_cols,
                    hidden.n_cols * each, false };
}

/* What lies between the two products of an adapter; `which` of the two places. */
static Tiles low_tiles(const Wave *wave, int j, const LowRank *low, int which)
{
    const int64_t each = sizeof(float), room = wave->cpu->host.limits.n_rank * each;
    return (Tiles){ wave->cpu->low[which] + wave->cpu->job_rows[j] * room, wave->jobs[j].n, low->a.rows,
                    low->a.rows * each, false };
}

/* ---- rows into tiles ---- */

static void gather_row(void *arg, int64_t i, int worker)
{
    const Wave *wave = arg;
    (void)worker;
    const int j = job_of(wave->cpu->job_rows, wave->n_jobs, i);
    const ExpertJob *job = &wave->jobs[j];
    const int64_t in = i - wave->cpu->job_rows[j];
    const bool gate = has_blocks(job->expert.gate.format), up = has_blocks(job->expert.up.format);
    const bool low = job->low && (adapts(&job->low->gate) || adapts(&job->low->up));
    for (int blocks = 0; blocks < 2; blocks++) {
        if (gate != blocks && up != blocks && !(low && !blocks)) continue;
        const Tiles to = x_of(wave, j, blocks);
        tiles_put(wave->cpu, &to, in, row_f32(wave->x, job->rows[in]));
    }
}

/* ---- the first products of adapters ---- */

static void begin_all(const Wave *wave, int j, const LowRank *low, int64_t t, const Tiles *x, int which)
{
    const Tiles to = low_tiles(wave, j, low, which);
    for (int64_t stack = 0; stack < n_stacks(low->a.rows); stack++) low_begin(wave->cpu, low, stack, x, t, &to);
}

/* Tasks are jobs here: adapters are thin, and those who have none should not pay for the numbering of tiles. */
static void begin_inputs(void *arg, int64_t job, int worker)
{
    const Wave *wave = arg;
    const int j = (int)job;
    const ExpertLowRank *low = wave->jobs[j].low;
    (void)worker;
    if (!low) return;
    const Tiles x = x_of(wave, j, false);
    for (int64_t t = 0; t < n_tiles(&x); t++) {
        if (adapts(&low->gate)) begin_all(wave, j, &low->gate, t, &x, 0);
        if (adapts(&low->up)) begin_all(wave, j, &low->up, t, &x, 1);
    }
}

static void begin_hidden(void *arg, int64_t job, int worker)
{
    const Wave *wave = arg;
    const int j = (int)job;
    const ExpertLowRank *low = wave->jobs[j].low;
    (void)worker;
    if (!low || !adapts(&low->down)) return;
    const Tiles x = hidden_floats_of(wave, j);
    for (int64_t t = 0; t < n_tiles(&x); t++) begin_all(wave, j, &low->down, t, &x, 0);
}

/* Then y of one stack and tile is a product plus this. */
static void finish(const Wave *wave, int j, float y[TILE_ROWS][STACK_ROWS], const LowRank *low, int which,
                   int64_t stack, int64_t t)
{
    if (!adapts(low)) return;
    const Tiles from = low_tiles(wave, j, low, which);
    low_finish(wave->cpu, y, low, stack, &from, t);
}

/* ---- gate and up ---- */

/* Row i of tile t, from number `at` on: what an adapter of `down` reads. */
static void keep_floats(const Wave *wave, int j, int64_t t, int64_t i, int64_t at, const float *from, int64_t n)
{
    const Tiles to = hidden_floats_of(wave, j);
    memcpy((float *)(tile_at(&to, t) + i * to.row_bytes) + at, from, (size_t)n * sizeof(float));
}

/* Tiles [begin, end) of a stack: gate for all of them, then up, so that one stack at a time lies in the second
 * cache beside the rows it meets. */
static void hide_tiles(const Wave *wave, int j, int64_t stack, int64_t begin, int64_t end, float (*gate)[STACK_ROWS])
{
    const Cpu *cpu = wave->cpu;
    const Expert *e = &wave->jobs[j].expert;
    const ExpertLowRank *low = wave->jobs[j].low;
    const int64_t at = stack * STACK_ROWS, n = stack_rows(&e->gate, stack);
    const Tiles hidden = hidden_of(wave, j), gate_x = x_of(wave, j, has_blocks(e->gate.format)),
                up_x = x_of(wave, j, has_blocks(e->up.format));
    for (int64_t t = begin; t < end; t++)
        tile_product(cpu, gate + (t - begin) * TILE_ROWS, &e->gate, stack, &gate_x, t);
    for (int64_t t = begin; t < end; t++, gate += TILE_ROWS) {
        float up[TILE_ROWS][STACK_ROWS];
        tile_product(cpu, up, &e->up, stack, &up_x, t);
        if (low) finish(wave, j, gate, &low->gate, 0, stack, t);
        if (low) finish(wave, j, up, &low->up, 1, stack, t);
        const int64_t rows = tile_rows(&hidden, t);
        char *tile = tile_at(&hidden, t);
        for (int64_t i = 0; i < rows; i++) {
            cpu->kernels.silu_mul(gate[i], gate[i], up[i], (size_t)n);
            if (low && adapts(&low->down)) keep_floats(wave, j, t, i, at, gate[i], n);
            if (hidden.blocks)
                cpu->kernels.quantize_x(tile + at / X_BLOCK * rows * X_BLOCK_BYTES, (size_t)rows, (size_t)i, gate[i],
                                        (size_t)n);
            else
                memcpy((float *)(tile + i * hidden.row_bytes) + at, gate[i], (size_t)n * sizeof(float));
        }
    }
}

static void gate_and_up(void *arg, int64_t task, int worker)
{
    const Wave *wave = arg;
    const Cpu *cpu = wave->cpu;
    const int j = job_of(cpu->job_tasks, wave->n_jobs, task);
    const Tiles hidden = hidden_of(wave, j);
    const int64_t stack = task - cpu->job_tasks[j], tiles = n_tiles(&hidden);
    for (int64_t t = 0; t < tiles; t += GATE_TILES)
        hide_tiles(wave, j, stack, t, t + GATE_TILES < tiles ? t + GATE_TILES : tiles, cpu->scratch[worker].gate);
}

/* ---- down ---- */

static void down(void *arg, int64_t task, int worker)
{
    const Wave *wave = arg;
    const Cpu *cpu = wave->cpu;
    (void)worker;
    const int j = job_of(cpu->job_tasks, wave->n_jobs, task);
    const Tensor *w = &wave->jobs[j].expert.down;
    const Tiles hidden = hidden_of(wave, j);
    const int64_t stack = task - cpu->job_tasks[j];
    for (int64_t t = 0; t < n_tiles(&hidden); t++) {
        float y[TILE_ROWS][STACK_ROWS];
        tile_product(cpu, y, w, stack, &hidden, t);
        if (wave->jobs[j].low) finish(wave, j, y, &wave->jobs[j].low->down, 0, stack, t);
        for (int64_t i = 0; i < tile_rows(&hidden, t); i++)
            memcpy(row_f32(wave->parts, wave->jobs[j].slots[t * TILE_ROWS + i]) + stack * STACK_ROWS, y[i],
                   (size_t)stack_rows(w, stack) * sizeof(float));
    }
}

/* ---- both ---- */

static Status check(Device *d, const Tensor *x, const ExpertJob *jobs, int n_jobs)
{
    const DeviceLimits *most = &((HostDevice *)d)->limits;
    int64_t slots = 0;
    for (int j = 0; j < n_jobs; j++) {
        const Expert *e = &jobs[j].expert;
        TRY(host_fits(d, "experts", jobs[j].n, e->gate.cols));
        TRY(host_fits(d, "experts", jobs[j].n, e->down.cols));
        TRY(host_expert_low_fits(d, &jobs[j]));
        slots += jobs[j].n;
        if (x->cols > most->n_width || e->gate.rows > most->n_hidden || slots > most->n_tokens * most->n_used)
            return fail(&d->error, BAD_ARGUMENT,
                        "experts: %lld slots of %lld to %lld were asked for, %lld of %lld to %lld reserved",
                        (long long)slots, (long long)x->cols, (long long)e->gate.rows,
                        (long long)(most->n_tokens * most->n_used), (long long)most->n_width,
                        (long long)most->n_hidden);
    }
    return OK;
}

Status cpu_experts(Device *d, Tensor *parts, const Tensor *x, const ExpertJob *jobs, int n_jobs)
{
    TRY(check(d, x, jobs, n_jobs));
    Cpu *cpu = (Cpu *)d;
    Wave wave = { .cpu = cpu, .parts = parts, .x = x, .jobs = jobs, .n_jobs = n_jobs };
    int64_t *rows = cpu->job_rows, *tasks = cpu->job_tasks, work = 0;
    bool adapted = false;
    rows[0] = tasks[0] = 0;
    for (int j = 0; j < n_jobs; j++) {
        const Tensor *gate = &jobs[j].expert.gate;
        rows[j + 1] = rows[j] + jobs[j].n;
        tasks[j + 1] = tasks[j] + n_stacks(gate->rows);
        work += gate->rows * gate->cols * (jobs[j].n + 1);
        adapted |= jobs[j].low != NULL;
    }
    cpu_run(cpu, gather_row, &wave, rows[n_jobs], rows[n_jobs] * x->cols);
    if (adapted) cpu_run(cpu, begin_inputs, &wave, n_jobs, rows[n_jobs] * x->cols * cpu->host.limits.n_rank);
    cpu_run(cpu, gate_and_up, &wave, tasks[n_jobs], 2 * work);
    if (adapted)
        cpu_run(cpu, begin_hidden, &wave, n_jobs, rows[n_jobs] * cpu->host.limits.n_hidden * cpu->host.limits.n_rank);
    for (int j = 0; j < n_jobs; j++) tasks[j + 1] = tasks[j] + n_stacks(jobs[j].expert.down.rows);
    cpu_run(cpu, down, &wave, tasks[n_jobs], work);
    return OK;
}
