/* SPDX-License-Identifier: Apache-2.0
 * apps/plan_page.c - a plan on one screen: what, where, how fast, what else.
 *
 * With --explain every line is followed by the sum that it is. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "plan.h"

/* ---- numbers ---- */

const char *plan_rate(double per_s, char out[PLAN_TEXT_MAX])
{
    const int digits = per_s < 0.1 ? 3 : per_s < 10 ? 2 : per_s < 100 ? 1 : 0;
    snprintf(out, PLAN_TEXT_MAX, "%.*f", digits, per_s);
    return out;
}

/* "1.95 GB", "35.1 MB". */
static const char *amount(double bytes, char out[PLAN_TEXT_MAX])
{
    const double x = bytes >= 1e9 ? bytes / 1e9 : bytes >= 1e6 ? bytes / 1e6 : bytes / 1e3;
    const char  *unit = bytes >= 1e9 ? "GB" : bytes >= 1e6 ? "MB" : "kB";
    snprintf(out, PLAN_TEXT_MAX, "%.*f %s", x < 10 ? 2 : x < 100 ? 1 : 0, x, unit);
    return out;
}

/* "1.93 s", "35 ms". */
static const char *duration(double seconds, char out[PLAN_TEXT_MAX])
{
    if (seconds >= 120) snprintf(out, PLAN_TEXT_MAX, "%.0f min", seconds / 60);
    else if (seconds >= 1) snprintf(out, PLAN_TEXT_MAX, "%.1f s", seconds);
    else snprintf(out, PLAN_TEXT_MAX, seconds >= 0.01 ? "%.0f ms" : "%.2f ms", seconds * 1e3);
    return out;
}

static double gib(int64_t bytes) { return (double)bytes / (double)GIB; }
static double gb(int64_t bytes)  { return (double)bytes / 1e9; }

static void explain(const PlanView *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void explain(const PlanView *v, const char *format, ...)
{
    char    text[256];
    va_list args;
    if (!v->explain) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    out_format("              = %s\n", text);
}

/* ---- what ---- */

static void show_subject(const PlanView *v)
{
    const mixt_plan_info *i = &v->info;
    out_format("%s, %s: %.2f B parameters", i->name, i->type, (double)i->n_values / 1e9);
    if (i->n_values_active < i->n_values)
        out_format(", %.2f B used for a token", (double)i->n_values_active / 1e9);
    out_text("\n");
    if (!i->runs) out_text("Mixt does not run this yet; planned as if it did\n");
    out_format("\n%-14s %8s %8s %10s   %s\n", "", "GB", "GiB", "a token", "lies in");
}

static void size_line(const char *name, int64_t bytes, double per_token, const char *where)
{
    char each[PLAN_TEXT_MAX] = "";
    if (per_token > 0) amount(per_token, each);
    out_format("%-14s %8.3f %8.3f %10s   %s\n", name, gb(bytes), gib(bytes), each, where);
}

/* ---- where ---- */

static void place_of_experts(const mixt_plan_info *i, char out[96])
{
    const char *what = i->dense ? "layers" : "experts";
    const double share = i->n_slots_all ? 100.0 * (double)i->n_slots / (double)i->n_slots_all : 0;
    switch (i->why) {
    case MIXT_PLAN_ALL_FIT: snprintf(out, 96, "memory: all of them fit"); return;
    case MIXT_PLAN_FILL:
    case MIXT_PLAN_WISHED:
        snprintf(out, 96, "disk; %lld of %lld %s in memory (%.0f %%), %s", (long long)i->n_slots,
                 (long long)i->n_slots_all, what, share, i->why == MIXT_PLAN_FILL ? "as many as fit" : "as asked");
        return;
    case MIXT_PLAN_TOO_SMALL: break;
    }
    snprintf(out, 96, "no place: too little memory");
}

static void show_classes(const PlanView *v)
{
    const mixt_plan_info *i = &v->info;
    size_t                n;
    const mixt_plan_class *c = mixt_plan_classes(v->plan, &n);
    char where[96];
    for (size_t k = 0; k < n; k++) {
        const bool slotted = strcmp(c[k].name, "experts") == 0 || (i->dense && strcmp(c[k].name, "feed-forward") == 0);
        if (slotted) place_of_experts(i, where);
        else
            snprintf(where, sizeof where, "memory: every token %s", k == 0 ? "looks up its row" : "needs it");
        size_line(c[k].name, c[k].n_bytes, c[k].bytes_per_token, where);
        explain(v, "%lld parameters in %s%s", (long long)c[k].n_values, c[k].formats,
                slotted && !i->dense ? "; a token uses its share of the experts" : "");
    }
}

static void show_rest(const PlanView *v)
{
    static const char *const caches[] = { "F16", "F32", "Q8_0" };
    const mixt_plan_info *i = &v->info;
    char where[96], sessions[PLAN_TEXT_MAX] = "";
    if (i->n_sessions > 1) snprintf(sessions, sizeof sessions, "%lld times ", (long long)i->n_sessions);
    snprintf(where, sizeof where, "memory: %s%lld tokens in %s", sessions, (long long)i->n_context, caches[i->kv]);
    size_line("keys, values", i->kv_bytes, 0, where);
    explain(v, "%s%lld tokens, in whole pages, of %lld bytes each", sessions, (long long)i->n_context,
            (long long)i->kv_bytes_per_token);
    snprintf(where, sizeof where, "memory: steps of at most %lld rows, %d thread%s", (long long)i->n_batch,
             i->n_threads, i->n_threads == 1 ? "" : "s");
    size_line("scratch", i->scratch_bytes, 0, where);
    explain(v, "counted by the allocator that the engine uses");
    size_line("program", i->spare_bytes, 0, "memory: itself, tokenizer, page tables");
    snprintf(where, sizeof where, "of %.2f GiB that %s; the file has %.2f GB (%.2f GiB)", gib(i->budget_bytes),
             i->budget_given ? "it may take" : "are free", gb(i->file_bytes), gib(i->file_bytes));
    size_line("in memory", i->used_bytes, 0, where);
    if (i->why == MIXT_PLAN_TOO_SMALL)
        out_format("  ! does not work: needs at least %.2f GiB; everything in memory takes %.2f GiB\n",
                   gib(i->least_bytes), gib(i->all_bytes));
    else if (i->why != MIXT_PLAN_ALL_FIT)
        explain(v, "everything in memory would take %.2f GiB; the least is %.2f GiB", gib(i->all_bytes),
                gib(i->least_bytes));
}

/* ---- how fast ---- */

static void explain_step(const PlanView *v, const mixt_plan_step *s)
{
    const mixt_plan_info *i = &v->info;
    char a[PLAN_TEXT_MAX], b[PLAN_TEXT_MAX], c[PLAN_TEXT_MAX], d[PLAN_TEXT_MAX];
    explain(v, "memory %s: %s of weights (%.2f experts a layer) and %s of keys and values at %.1f GB/s",
            duration(s->memory_s, a), amount(s->weight_bytes, b), s->experts, amount(s->kv_bytes, c),
            i->read_per_s / 1e9);
    explain(v, "products %s: %.1f G at %.0f G/s of int8, %.0f of floats; the rest of the step %s",
            duration(s->compute_s, a), s->operations / 1e9, i->int8_per_s / 1e9, i->f32_per_s / 1e9,
            duration(s->other_s, d));
    if (s->disk_bytes > 0)
        explain(v, "beside it the disk, %s: %s at %.2f GB/s, resting where nothing ahead is missing: together %s",
                duration(s->disk_s, a), amount(s->disk_bytes, b), i->disk_per_s / 1e9, duration(s->seconds, c));
}

/* What is worth the most to change. */
static const char *bound_by(const mixt_plan_step *s)
{
    if (2 * s->disk_s >= s->seconds) return "the disk";
    return s->memory_s >= s->compute_s ? "memory" : "products";
}

/* Where the share of hits comes from. */
static void explain_hits(const PlanView *v)
{
    const mixt_plan_info *i = &v->info;
    const double even = 100 * (double)i->n_slots / (double)i->n_slots_all;
    if (i->why == MIXT_PLAN_ALL_FIT) return;
    if (v->hits_given) explain(v, "found in memory: as --hit-rate says");
    else if (i->n_use_rows)
        explain(v, "found in memory: those used most in the %lld rows learned from; of even routing it were %.0f %%",
                (long long)i->n_use_rows, even);
    else explain(v, "found in memory: as of even routing; nothing is known yet of how this model uses its experts");
}

static void show_speed(const PlanView *v)
{
    const mixt_plan_info *i = &v->info;
    char a[PLAN_TEXT_MAX], b[PLAN_TEXT_MAX], c[PLAN_TEXT_MAX];
    out_format("\nwrites        %s tokens/s, %s a token, held by %s", plan_rate(i->first.tokens_per_s, a),
               duration(i->first.seconds, b), bound_by(&i->first));
    if (i->why != MIXT_PLAN_ALL_FIT)
        out_format("; %.0f %% of experts found in memory", 100 * i->first.resident);
    out_text("\n");
    explain_hits(v);
    explain_step(v, &i->first);
    out_format("              %s with %lld tokens before it; %s when %lld write together\n",
               plan_rate(i->last.tokens_per_s, a), (long long)i->last.n_before, plan_rate(i->together.tokens_per_s, b),
               (long long)i->together.n_rows);
    explain_step(v, &i->together);
    out_format("reads         %s tokens/s, %s for a prompt of %lld, held by %s\n", plan_rate(i->prompt_per_s, a),
               duration(i->prompt_s, c), (long long)i->n_prompt, bound_by(&i->prompt));
    explain_step(v, &i->prompt);
    out_format("machine       %d thread%s: %.1f GB/s, %.0f Gop/s of int8; disk %.2f GB/s%s\n", i->n_threads,
               i->n_threads == 1 ? "" : "s", i->read_per_s / 1e9, i->int8_per_s / 1e9, i->disk_per_s / 1e9,
               i->disk_measured ? "" : ", assumed: mixt doctor FOLDER measures it");
}

double plan_kwh_per_million(const PlanView *v, double tokens_per_s)
{
    return 1e6 / tokens_per_s * v->watts / 3.6e6;
}

static void show_energy(const PlanView *v)
{
    if (v->watts < 0) return;
    const double kwh = plan_kwh_per_million(v, v->info.first.tokens_per_s);
    out_format("energy        %.3g kWh for a million tokens written, %.0f tokens per kWh", kwh, 1e6 / kwh);
    if (v->price >= 0) out_format("; at %g per kWh %.3g", v->price, kwh * v->price);
    out_text("\n");
    explain(v, "%g W for 1e6 / %.3g s; reading a prompt: %.3g kWh", v->watts, v->info.first.tokens_per_s,
            plan_kwh_per_million(v, v->info.prompt_per_s));
}

static void show_card(const PlanView *v)
{
    const mixt_plan_info *i = &v->info;
    if (!i->vram_bytes) return;
    out_format("card          %.1f GiB would hold ", gib(i->vram_bytes));
    if (i->vram_rest_bytes > i->vram_bytes) out_text("not even what is no expert");
    else if (i->vram_slots >= i->n_slots_all) out_text("all of it");
    else out_format("all but experts and %lld of %lld of these", (long long)i->vram_slots, (long long)i->n_slots_all);
    out_text("; Mixt computes on the CPU for now\n");
    explain(v, "%.2f GiB without experts, then experts of %.1f MB", gib(i->vram_rest_bytes),
            i->n_slots_all ? (double)i->experts_bytes / (double)i->n_slots_all / 1e6 : 0);
}

/* ---- what else ---- */

static void show_neighbour(const PlanView *v, const char *label, int row)
{
    size_t                n;
    const mixt_plan_type *t = mixt_plan_types(v->plan, &n);
    char a[PLAN_TEXT_MAX];
    if (row < 0) return;
    out_format("%-13s %s, %.2f GB: ", label, t[row].name, (double)t[row].file_bytes / 1e9);
    if (!t[row].works) out_text("does not work here\n");
    else out_format("%s tokens/s, %.0f %% in memory\n", plan_rate(t[row].write_per_s, a), 100 * t[row].resident);
}

static void show_what_if(const PlanView *v)
{
    const mixt_plan_info *i = &v->info;
    const double now = i->first.tokens_per_s;
    char a[PLAN_TEXT_MAX], b[PLAN_TEXT_MAX];
    show_neighbour(v, "better", i->better);
    show_neighbour(v, "smaller", i->smaller);
    if (i->why == MIXT_PLAN_ALL_FIT) {
        out_text("more          neither memory nor disks would make it faster: everything is in memory\n");
        return;
    }
    out_format("more          32 GiB of memory: %s tokens/s", plan_rate(i->more_memory_per_s, a));
    if (now > 0) out_format(" (%.1f times)", i->more_memory_per_s / now);
    out_format("; a second disk like this one: %s", plan_rate(i->second_disk_per_s, b));
    if (now > 0) out_format(" (%.1f)", i->second_disk_per_s / now);
    out_text("\n");
}

/* ---- tables, side by side ---- */

enum { CELL = 46 };

static void type_cell(const mixt_plan_type *t, char out[96])
{
    char a[PLAN_TEXT_MAX], b[PLAN_TEXT_MAX];
    if (!t->works) snprintf(out, 96, "%s%-7s %8.2f      -        -        -", t->chosen ? ">" : " ", t->name,
                            (double)t->file_bytes / 1e9);
    else snprintf(out, 96, "%s%-7s %8.2f %4.0f %% %8s %8s", t->chosen ? ">" : " ", t->name, (double)t->file_bytes / 1e9,
                  100 * t->resident, plan_rate(t->write_per_s, a), plan_rate(t->prompt_per_s, b));
}

static void place_cell(const mixt_plan_place *p, char out[96])
{
    char a[PLAN_TEXT_MAX];
    if (!p->works) snprintf(out, 96, "%-33s %6s %8s", p->name, "no", "-");
    else snprintf(out, 96, "%-33s %4.0f %% %8s", p->name, 100 * p->resident, plan_rate(p->write_per_s, a));
}

static void show_tables(const PlanView *v)
{
    size_t n_types, n_places;
    const mixt_plan_type  *types  = mixt_plan_types(v->plan, &n_types);
    const mixt_plan_place *places = mixt_plan_places(v->plan, &n_places);
    out_format("\n%-*s%s\n", CELL, " format        GB  in RAM   writes    reads",
               "fits on                           in RAM   writes");
    for (size_t i = 0; i < n_types || i < n_places; i++) {
        char left[96] = "", right[96] = "";
        if (i < n_types) type_cell(&types[i], left);
        if (i < n_places) place_cell(&places[i], right);
        out_format("%-*s%s\n", CELL, left, right);
    }
    out_text("here by this machine, elsewhere by data sheets; tokens/s; cards hold all of it or none\n");
}

void plan_page(const PlanView *v)
{
    show_subject(v);
    show_classes(v);
    show_rest(v);
    if (v->info.why != MIXT_PLAN_TOO_SMALL) {
        show_speed(v);
        show_energy(v);
    } else {
        out_text("\n");
    }
    show_card(v);
    show_what_if(v);
    show_tables(v);
}
