/* SPDX-License-Identifier: Apache-2.0
 * plan/plan.c - see plan.h.
 *
 * A step reads every weight that it needs once, however many rows it has, and multiplies once per
 * row.  A core does both at once, but neither hides the other wholly: where both took the same
 * time, steps of 1 to 512 rows take 1.4 times as long, which the root of the sum of squares
 * says too, and it says little more than the larger one where they differ.  The disk reads beside
 * both what the layers ahead are guessed to want, and likewise hides nothing wholly: what it writes
 * takes from what memory can give, and asking it takes cores.  Where all of what is wanted is in
 * memory already, it rests until the next router is asked.  Cores arrange what has come. */
#include "plan/plan.h"

#include "plan/rates.h"

#include <math.h>

double plan_touched(int64_t n_experts, int64_t n_used, int64_t n_rows)
{
    const double E = (double)n_experts, U = (double)n_used;
    return E * (1 - pow(1 - U / E, (double)n_rows));
}

/* Of an expert in part so much. */
double plan_asked(const float *chances, double n, int64_t n_rows)
{
    double sum = 0;
    for (int64_t i = 0; (double)i < n; i++) {
        const double here = fmin(n - (double)i, 1), p = (double)chances[i];
        sum += here * (n_rows == 1 ? p : 1 - pow(1 - p, (double)n_rows));
    }
    return sum;
}

/* Different experts that a layer touches. */
static double touched_by(const PlanModel *m, const PlanWish *wish, int64_t n_rows)
{
    const int64_t n_all = m->n_expert_layers * m->n_experts;
    return wish->chances && n_all ? plan_asked(wish->chances, (double)n_all, n_rows) / (double)m->n_expert_layers
                                  : plan_touched(m->n_experts, m->n_used, n_rows);
}

/* ---- one step ---- */

typedef struct Pass { const PlanModel *model; const PlanMachine *machine; PlanStep *step; } Pass;

static bool has_blocks(Format format)
{
    return format_info[format].block_values > 1;
}

/* `share` of a class is read once, and multiplied with n_rows rows where a row uses `used` of it.  The first row that a
 * weight meets costs as much as two: it is unpacked then (measured from 1 to 128 rows). */
static void add_class(const Pass *p, PlanClass class, double share, double used, double n_rows)
{
    const PlanModel *m = p->model;
    const FormatRate *rates = format_rates(p->machine->cpu_set);
    const double rows = share > 0 ? used * n_rows / share : 0, unpacking = rows > 0 ? (rows + 1) / rows : 1;
    for (int f = 0; f < N_FORMATS; f++) {
        const double bytes = (double)m->bytes[class][f] * share;
        const double products = 2 * (double)m->values[class][f] * used * n_rows;
        const double peak = has_blocks((Format)f) ? p->machine->int8_products : p->machine->f32_products;
        if (bytes == 0) continue;
        p->step->weight_bytes += bytes;
        p->step->products += products;
        p->step->memory_s += bytes / (p->machine->read_bytes * rates[f].read);
        p->step->product_s += unpacking * products / (peak * rates[f].peak);
    }
}

/* Positions that the rows see, summed: consecutive rows of one sequence, or one of each of several. */
static double pairs(const PlanModel *m, int64_t n_rows, int64_t n_before, bool prompt)
{
    double sum = 0;
    for (int64_t i = 0; i < n_rows; i++) {
        const int64_t seen = n_before + 1 + (prompt ? i : 0);
        sum += (double)(m->window > 0 && seen > m->window ? m->window : seen);
    }
    return sum;
}

/* Rows of a prompt share what they read of the cache; sequences do not. */
static void add_attention(const Pass *p, Format kv, bool prompt)
{
    const PlanModel *m = p->model;
    PlanStep *s = p->step;
    const double seen = pairs(m, s->n_rows, s->n_before, prompt), layers = (double)m->n_layers;
    const double of_cache = prompt ? seen / (double)s->n_rows : seen;
    const double products = 2 * seen * (double)m->attend_values * layers;
    const double bytes = of_cache * (double)format_row_bytes(kv, m->kv_values) * layers;
    s->kv_bytes = bytes;
    s->memory_s += bytes / (p->machine->read_bytes * attend_read[kv]);
    s->products += products;
    if (prompt) s->product_s += products / (p->machine->f32_products * attend_peak);
}

/* The share of a step's layers during which there is nothing to read: the last, and those after which nothing that can
 * be known is missing.  Many rows use every expert, and one layer ahead is read; of few, as many layers are asked as it
 * takes, of which half are left halfway through. */
static double disk_rests(const PlanModel *m, const PlanStep *s, double resident)
{
    enum { SWEEP = 4, ASKED_MAX = 16 };                 /* as sweeps() and LOOK_AHEAD_MAX in src/model */
    const double layers = (double)m->n_expert_layers;
    const bool sweep = m->n_used == m->n_experts || s->n_rows * m->n_used >= SWEEP * m->n_experts;
    if (layers <= 1) return 1;
    const double asked = sweep ? 1 : fmin(layers / 2, ASKED_MAX);
    return (1 + (layers - 1) * pow(resident, s->experts * asked)) / layers;
}

/* Only rows whose logits are wanted go through the last layer's experts and the output. */
static void make_step(const Pass *p, const PlanWish *wish, double resident, bool prompt)
{
    const PlanModel *m = p->model;
    PlanStep *s = p->step;
    const double R = (double)s->n_rows, E = (double)m->n_experts, U = (double)m->n_used,
                 wanted = prompt ? 1 : R, layers = (double)m->n_expert_layers;
    const double tied = plan_class_bytes(m, CLASS_OUT) ? 0 : 1;

    s->experts = touched_by(m, wish, s->n_rows);
    const double last = touched_by(m, wish, (int64_t)wanted);
    const double touched = layers > 0 ? (s->experts * (layers - 1) + last) / (E * layers) : 0;
    const double used = layers > 0 ? U / E * (R * (layers - 1) + wanted) / (R * layers) : 0;

    add_class(p, CLASS_ATTENTION, 1, 1, R);
    add_class(p, CLASS_ROUTER, 1, 1, R);
    add_class(p, CLASS_SHARED, 1, 1, R);
    add_class(p, CLASS_EXPERTS, touched, used, R);
    add_class(p, CLASS_OUT, 1, 1, wanted);
    add_class(p, CLASS_NORMS, 1, 0, R);
    add_class(p, CLASS_EMBED, tied + R / (double)m->n_vocab, tied, wanted);
    add_attention(p, wish->kv, prompt);
    s->resident = resident;
    s->disk_bytes = (double)plan_class_bytes(m, CLASS_EXPERTS) * touched * (1 - resident);
    s->other_s = (double)m->n_layers * layer_other_s + s->disk_bytes / (p->machine->read_bytes * arrange_share);
    s->disk_s = s->disk_bytes > 0 ? s->disk_bytes / (p->machine->disk_bytes * disk_share) : 0;
    const double cores_s = hypot(s->memory_s, s->product_s) + s->other_s;
    const double alone_s = cores_s * disk_rests(m, s, resident);
    s->step_s = alone_s + hypot(cores_s - alone_s, s->disk_s);
    s->tokens_per_s = R / s->step_s;
}

/* ---- what is in memory ---- */

/* Keys and values of sequences that hold so much take their pages from experts, and these get back what the
 * others do not use yet: the share of all experts that is there.  Sequences that nobody planned for may need
 * more than there is. */
static double share_there(const PlanModel *m, const PlanWish *wish, const Plan *plan, int64_t n_sessions,
                          int64_t n_positions)
{
    const double all = (double)(m->n_expert_layers * m->n_experts);
    if (plan->slots.why == SLOTS_WISHED) return (double)plan->slots.n_slots / all;
    const int64_t kv = plan_kv_bytes(m, wish->kv, n_positions, wish->page_tokens) * n_sessions;
    const double room = (double)(wish->budget_bytes - plan->slots.rest_bytes + plan->kv_bytes - kv);
    return fmax(fmin(room / (double)plan->experts_bytes, (all - 1) / all), 0);
}

/* Even routing finds its experts as often as they are there.  Other routing finds those that are used most, which the
 * store keeps; the more rows a step has, the more of the others they ask for too. */
static double resident_with(const PlanModel *m, const PlanWish *wish, const Plan *plan, int64_t n_sessions,
                            int64_t n_positions, int64_t n_rows)
{
    if (plan->slots.why == SLOTS_ALL_FIT || plan->experts_bytes == 0) return 1;
    if (wish->hit_rate >= 0) return wish->hit_rate;
    const double share = share_there(m, wish, plan, n_sessions, n_positions);
    const double all = (double)(m->n_expert_layers * m->n_experts);
    if (!wish->chances || share <= 0) return share;
    return plan_asked(wish->chances, share * all, n_rows) / plan_asked(wish->chances, all, n_rows);
}

/* ---- writing ---- */

static void write_step(const PlanModel *m, const PlanMachine *machine, const PlanWish *wish, const Plan *plan,
                       int64_t n_rows, int64_t n_before, PlanStep *out)
{
    *out = (PlanStep){ .n_rows = n_rows, .n_before = n_before };
    make_step(&(Pass){ m, machine, out }, wish, resident_with(m, wish, plan, n_rows, n_before + 1, n_rows),
              false);
}

/* ---- a prompt ---- */

/* Piece by piece; the one that is told is the first. */
static void read_prompt(const PlanModel *m, const PlanMachine *machine, const PlanWish *wish, Plan *out)
{
    out->n_pieces = (wish->n_prompt + wish->n_rows - 1) / wish->n_rows;
    out->prompt_s = 0;
    for (int64_t i = 0; i < out->n_pieces; i++) {
        const int64_t begin = i * wish->n_rows, left = wish->n_prompt - begin;
        PlanStep piece = { .n_rows = left < wish->n_rows ? left : wish->n_rows, .n_before = begin };
        make_step(&(Pass){ m, machine, &piece }, wish, resident_with(m, wish, out, 1, wish->n_prompt, piece.n_rows),
                  true);
        if (i == 0) out->prompt = piece;
        out->prompt_s += piece.step_s;
    }
    out->prompt_per_s = out->prompt_s > 0 ? (double)wish->n_prompt / out->prompt_s : 0;
}

/* ---- all ---- */

void plan_make(const PlanModel *m, const PlanMachine *machine, const PlanWish *wish, Plan *out)
{
    const int64_t n_all = m->n_expert_layers * m->n_experts;
    *out = (Plan){ .weight_bytes = plan_bytes(m), .experts_bytes = plan_class_bytes(m, CLASS_EXPERTS) };
    out->dense_bytes = out->weight_bytes - out->experts_bytes;
    out->kv_bytes = plan_kv_bytes(m, wish->kv, wish->n_context, wish->page_tokens) * wish->n_sessions;
    const SlotsAsk ask = {
        .budget_bytes = wish->budget_bytes,   .dense_bytes = out->dense_bytes,
        .kv_bytes = out->kv_bytes,            .scratch_bytes = wish->scratch_bytes,
        .spare_bytes = wish->spare_bytes,     .reading_bytes = wish->reading_bytes,
        .experts_bytes = out->experts_bytes,
        .slot_bytes = n_all ? (out->experts_bytes + n_all - 1) / n_all : 0,
        .n_all = n_all,
        .n_least = m->n_used,                 .n_wish = wish->n_slots,
    };
    out->slots = plan_slots(&ask);
    if (out->slots.why == SLOTS_TOO_FEW) return;        /* no speed without a place             */

    const int64_t full = wish->n_context > 1 ? wish->n_context - 1 : 0;
    write_step(m, machine, wish, out, 1, 0, &out->first);
    write_step(m, machine, wish, out, wish->n_sessions, full, &out->last);
    write_step(m, machine, wish, out, wish->n_together, 0, &out->together);
    read_prompt(m, machine, wish, out);
    out->hit_rate = out->last.resident;
}
