/* SPDX-License-Identifier: Apache-2.0
 * device/cpu/experts.c - all experts of a wave at once, in two sweeps: gate and up, then down.
 *
 *   hidden[slot] = silu(gate * x[row]) * (up * x[row])      parts[slot] = down * hidden[slot] */
#include "device/cpu/cpu.h"

typedef struct Wave {
    Cpu             *cpu;
    Tensor          *parts;
    const Tensor    *x;
    const ExpertJob *jobs;
    int              n_jobs;
} Wave;

/* The hidden rows of job j, in the order of its rows; those of the jobs before it come first. */
static Tensor hidden_of(const Wave *wave, int job)
{
    const Expert *e = &wave->jobs[job].expert;
    int64_t before = 0;
    for (int j = 0; j < job; j++) before += wave->jobs[j].n;
    return (Tensor){
        .format = F32, .rows = wave->jobs[job].n, .cols = e->gate.rows,
        .row_bytes = e->gate.rows * (int64_t)sizeof(float),
        .handle = wave->cpu->hidden + before * wave->cpu->host.limits.n_hidden,
    };
}

static void gate_and_up(void *arg, int64_t task, int worker)
{
    const Wave *wave = arg;
    Cpu *cpu = wave->cpu;
    Scratch *s = &cpu->scratch[worker];
    int j = 0;
    while (task >= n_tiles(&wave->jobs[j].expert.gate))
        task -= n_tiles(&wave->jobs[j++].expert.gate);
    const ExpertJob *job = &wave->jobs[j];
    const Tensor hidden = hidden_of(wave, j);
    const int64_t first = task * TILE_ROWS, n = tile_rows(&job->expert.gate, first);

    Tile tile = { .first = first, .n_rows = n, .x = wave->x, .rows = job->rows, .n_x = job->n };
    tile.w       = &job->expert.gate;
    tile.answers = row_f32(&hidden, 0) + first;
    tile.stride  = hidden.cols;
    cpu_tile(cpu, &tile, s->weights);
    tile.w       = &job->expert.up;
    tile.answers = s->answers;
    tile.stride  = TILE_ROWS;
    cpu_tile(cpu, &tile, s->weights);
    for (int64_t i = 0; i < job->n; i++) {
        float *h = row_f32(&hidden, i) + first;
        cpu->kernels.silu_mul(h, h, s->answers + i * TILE_ROWS, (size_t)n);
    }
}

static void down(void *arg, int64_t task, int worker)
{
    const Wave *wave = arg;
    Cpu *cpu = wave->cpu;
    Scratch *s = &cpu->scratch[worker];
    int j = 0;
    while (task >= n_tiles(&wave->jobs[j].expert.down))
        task -= n_tiles(&wave->jobs[j++].expert.down);
    const ExpertJob *job = &wave->jobs[j];
    const Tensor hidden = hidden_of(wave, j);
    const int64_t first = task * TILE_ROWS, n = tile_rows(&job->expert.down, first);

    const Tile tile = {
        .w = &job->expert.down, .first = first, .n_rows = n,
        .x = &hidden, .n_x = job->n, .answers = s->answers, .stride = TILE_ROWS,
    };
    cpu_tile(cpu, &tile, s->weights);
    for (int64_t i = 0; i < job->n; i++)
        for (int64_t r = 0; r < n; r++)
            row_f32(wave->parts, job->slots[i])[first + r] = s->answers[i * TILE_ROWS + r];
}

static Status check(Device *d, const ExpertJob *jobs, int n_jobs)
{
    const DeviceLimits *most = &((HostDevice *)d)->limits;
    int64_t slots = 0;
    for (int j = 0; j < n_jobs; j++) {
        const Expert *e = &jobs[j].expert;
        TRY(host_fits(d, "experts", jobs[j].n, e->gate.cols));
        TRY(host_fits(d, "experts", jobs[j].n, e->down.cols));
        slots += jobs[j].n;
        if (e->gate.rows > most->n_hidden || slots > most->n_tokens * most->n_used)
            return fail(&d->error, BAD_ARGUMENT,
                        "experts: %lld slots of %lld were asked for, %lld of %lld reserved",
                        (long long)slots, (long long)e->gate.rows,
                        (long long)(most->n_tokens * most->n_used), (long long)most->n_hidden);
    }
    return OK;
}

Status cpu_experts(Device *d, Tensor *parts, const Tensor *x, const ExpertJob *jobs, int n_jobs)
{
    TRY(check(d, jobs, n_jobs));
    Wave wave = { .cpu = (Cpu *)d, .parts = parts, .x = x, .jobs = jobs, .n_jobs = n_jobs };
    int64_t first_tiles = 0, second_tiles = 0, work = 0;
    for (int j = 0; j < n_jobs; j++) {
        const Expert *e = &jobs[j].expert;
        first_tiles += n_tiles(&e->gate);
        second_tiles += n_tiles(&e->down);
        work += e->down.rows * e->down.cols * (jobs[j].n + 1);
    }
    cpu_run(wave.cpu, gate_and_up, &wave, first_tiles, 2 * work);
    cpu_run(wave.cpu, down, &wave, second_tiles, work);
    return OK;
}
