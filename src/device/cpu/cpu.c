/* SPDX-License-Identifier: Apache-2.0
 * device/cpu/cpu.c - opening, work space, closing; the ops are in the files beside. */
#include "device/cpu/cpu.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

static void cpu_release(Cpu *cpu)
{
    for (int i = 0; cpu->scratch && i < cpu->host.n_threads; i++) {
        Scratch *s = &cpu->scratch[i];
        free(s->row);
        free(s->queries);
        free(s->scores);
        free(s->piece);
        free(s->gate);
        *s = (Scratch){ 0 };
    }
    free(cpu->x_blocks);
    free(cpu->x_floats);
    free(cpu->hidden);
    free(cpu->hidden_floats);
    free(cpu->low[0]);
    free(cpu->low[1]);
    free(cpu->job_rows);
    free(cpu->job_tasks);
    free(cpu->blocks);
    free(cpu->parts.answers);
    free(cpu->parts.sums);
    free(cpu->turns.angles);
    free(cpu->turns.table);
    free(cpu->turns.positions);
    cpu->x_blocks = cpu->x_floats = cpu->hidden = cpu->hidden_floats = cpu->low[0] = cpu->low[1] = NULL;
    cpu->job_rows = cpu->job_tasks = NULL;
    cpu->blocks = NULL;
    cpu->parts = (Parts){ 0 };
    cpu->turns = (Turns){ 0 };
    cpu->host.limits = (DeviceLimits){ 0 };
}

/* `a * b` things of `each` bytes; NULL when that wraps or there is no memory.  A count takes none: it notes
 * them and answers with an address that nobody reads. */
static void *things(Cpu *cpu, int64_t a, int64_t b, int64_t each)
{
    int64_t n, bytes;
    if (!checked_mul(a, b, &n) || !checked_mul(n, each, &bytes)) return NULL;
    if (!cpu->counts) return host_memory(bytes);
    return checked_add(cpu->counted_bytes, bytes, &cpu->counted_bytes) ? cpu : NULL;
}

static float *floats(Cpu *cpu, int64_t a, int64_t b)
{
    return things(cpu, a, b, sizeof(float));
}

static bool scratch_new(Cpu *cpu, Scratch *s, const DeviceLimits *most)
{
    s->row     = things(cpu, most->n_cols, 1, sizeof(float));   /* no format is wider        */
    s->queries = floats(cpu, most->n_cols, 1);                  /* those of one row at least */
    s->scores  = floats(cpu, ATTEND_QUERIES_MAX, SCORE_ROW);
    s->piece   = floats(cpu, most->n_cols, 1);
    s->gate    = things(cpu, GATE_TILES * TILE_ROWS, STACK_ROWS, sizeof(float));
    return s->row && s->queries && s->scores && s->piece && s->gate;
}

static bool attention_new(Cpu *cpu, const DeviceLimits *most)
{
    const int64_t T = most->n_tokens;
    cpu->turns.room = most->head_size;
    return (cpu->blocks          = things(cpu, T, 1, sizeof *cpu->blocks)) &&
           (cpu->turns.angles    = things(cpu, most->head_size, 1, sizeof *cpu->turns.angles)) &&
           (cpu->turns.table     = floats(cpu, T, most->head_size)) &&
           (cpu->turns.positions = things(cpu, T, 1, sizeof *cpu->turns.positions));
}

/* Tiles for the largest step.  Rows that experts read are copied for each that reads them. */
static bool products_new(Cpu *cpu, const DeviceLimits *most)
{
    int64_t slots;
    if (!checked_mul(most->n_tokens, most->n_used, &slots)) return false;
    const int64_t of_project = tiles_row_bytes(true, most->n_cols), of_experts = tiles_row_bytes(true, most->n_width);
    const int64_t per_token = of_project > most->n_used * of_experts ? of_project : most->n_used * of_experts;
    return (cpu->x_blocks  = things(cpu, most->n_tokens, per_token, 1)) &&
           (cpu->x_floats  = things(cpu, slots, most->n_width, sizeof(float))) &&
           (cpu->hidden    = things(cpu, slots, most->n_hidden, sizeof(float))) &&
           (cpu->job_rows  = things(cpu, slots + 1, 1, sizeof *cpu->job_rows)) &&
           (cpu->job_tasks = things(cpu, slots + 1, 1, sizeof *cpu->job_tasks));
}

/* Nothing where there are no adapters. */
static bool adapters_new(Cpu *cpu, const DeviceLimits *most)
{
    int64_t slots;
    if (most->n_rank == 0) return true;
    if (!checked_mul(most->n_tokens, most->n_used, &slots)) return false;
    return (cpu->hidden_floats = things(cpu, slots, most->n_hidden, sizeof(float))) &&
           (cpu->low[0] = things(cpu, slots, most->n_rank, sizeof(float))) &&
           (cpu->low[1] = things(cpu, slots, most->n_rank, sizeof(float)));
}

static bool all_new(Cpu *cpu, const DeviceLimits *limits)
{
    bool all = products_new(cpu, limits) && adapters_new(cpu, limits) && attention_new(cpu, limits);
    for (int i = 0; all && i < cpu->host.n_threads; i++)
        all = scratch_new(cpu, &cpu->scratch[i], limits);
    return all;
}

static bool parts_new(Cpu *cpu, const DeviceLimits *most, int64_t n_positions, Parts *out)
{
    *out = (Parts){ .room = (n_positions / SPLIT + 1) * PART_ROWS };
    if (out->room <= cpu->parts.room) return true;
    out->answers = floats(cpu, out->room, most->n_heads * most->head_size);
    out->sums = floats(cpu, out->room, 2 * most->n_heads);
    return out->answers && out->sums;
}

int64_t cpu_work_bytes(const DeviceLimits *limits, int n_threads, int64_t n_positions)
{
    Cpu cpu = { .counts = true, .host.n_threads = 1 };
    Scratch scratch = { 0 };
    Parts parts;
    cpu.scratch = &scratch;
    bool all = all_new(&cpu, limits) && parts_new(&cpu, limits, n_positions, &parts);
    for (int i = 1; i < n_threads && all; i++) all = scratch_new(&cpu, &scratch, limits);
    return all ? cpu.counted_bytes : INT64_MAX;
}

static Status cpu_reserve(Device *d, const DeviceLimits *limits)
{
    Cpu *cpu = (Cpu *)d;
    cpu_release(cpu);
    if (!all_new(cpu, limits)) {
        cpu_release(cpu);
        return fail_memory(&d->error, "the work space of device cpu");
    }
    cpu->host.limits = *limits;
    return OK;
}

static Status cpu_reserve_context(Device *d, int64_t n_positions)
{
    Cpu *cpu = (Cpu *)d;
    Parts larger;
    const bool all = parts_new(cpu, &cpu->host.limits, n_positions, &larger);
    if (larger.room <= cpu->parts.room) return OK;
    const Parts leaves = all ? cpu->parts : larger;
    if (all) cpu->parts = larger;
    free(leaves.answers);
    free(leaves.sums);
    return all ? OK : fail_memory(&d->error, "the work space of device cpu for so long a context");
}

static void cpu_close(Device *d)
{
    Cpu *cpu = (Cpu *)d;
    cpu_release(cpu);
    pool_free(cpu->pool);
    free(cpu->scratch);
    free(cpu);
}

static const DeviceOps cpu_ops = {
    .name = "cpu",
    .alloc = host_alloc,
    .free = host_free,
    .host = host_bytes,
    .upload = host_upload,
    .download = host_download,
    .alloc_weight = cpu_alloc_weight,
    .fill = cpu_fill,
    .fill_rows = STACK_ROWS,
    .alloc_room = host_alloc_room,
    .clear_room = host_clear_room,
    .move_room = host_move_room,
    .free_room = host_free_room,
    .weight_bytes = cpu_weight_bytes,
    .place_weight = cpu_place_weight,
    .reserve = cpu_reserve,
    .reserve_context = cpu_reserve_context,
    .wait = host_wait,
    .close = cpu_close,
    .embed = cpu_embed,
    .norm = cpu_norm,
    .project = cpu_project,
    .add = cpu_add,
    .adapt = cpu_adapt,
    .rope = cpu_rope,
    .kv_write = cpu_kv_write,
    .attend = cpu_attend,
    .experts = cpu_experts,
    .combine = cpu_combine,
    .pick = cpu_pick,
};

static Status choose_set(const char *name, CpuSet *out, Error *error)
{
    const CpuSet here = cpu_detect();
    *out = here;
    if (!name) return OK;
    if (!cpu_set_from_name(name, out))
        return fail(error, BAD_ARGUMENT, "cpu set '%s': expected ref, avx2 or avx512", name);
    if (*out > here)
        return fail(error, BAD_ARGUMENT, "cpu set '%s': this processor goes up to %s", name,
                    cpu_set_name[here]);
    return OK;
}

Status cpu_open(const DeviceOptions *options, Device **out, Error *error)
{
    CpuSet set;
    TRY(choose_set(options->cpu_set, &set, error));
    const int n_threads = options->n_threads ? options->n_threads : pool_cores();
    Pool *pool;
    TRY(pool_new(n_threads, &pool, error));

    Cpu *cpu = calloc(1, sizeof *cpu);
    Scratch *scratch = calloc((size_t)n_threads, sizeof *scratch);
    if (!cpu || !scratch) {
        free(cpu);
        free(scratch);
        pool_free(pool);
        return fail_memory(error, "device cpu");
    }
    cpu->host = (HostDevice){
        .device.ops = &cpu_ops, .cpu_set = cpu_set_name[set], .n_threads = n_threads
    };
    cpu->pool = pool;
    cpu->scratch = scratch;
    kernels_select(&cpu->kernels, set);
    *out = &cpu->host.device;
    return OK;
}

void cpu_run(Cpu *cpu, PoolTask task, void *arg, int64_t n_tasks, int64_t work)
{
    /* A thread that looks is at work after 0.3 microseconds, one that sleeps after 20 to 30, in which one core does
     * several times this much.  A hostile build wakes them for everything. */
#ifdef MIXT_HOSTILE
    const int64_t worth_waking = 0;
#else
    const int64_t worth_waking = 1 << 17;
#endif
    if (work >= worth_waking && cpu->host.n_threads > 1) {
        pool_run(cpu->pool, task, arg, n_tasks);
        return;
    }
    for (int64_t i = 0; i < n_tasks; i++) task(arg, i, 0);
}
