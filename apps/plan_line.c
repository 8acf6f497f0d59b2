/* SPDX-License-Identifier: Apache-2.0
 * apps/plan_line.c - the plan of a run: one line before it, and afterwards how wrong that was. */
#include <stdio.h>
#include <sys/resource.h>

#include "load.h"
#include "machine_file.h"
#include "plan.h"
#include "progress.h"
#include "use_file.h"

static bool make_plan(const mixt_model *model, Prediction *p)
{
    mixt_plan *plan;
    Buffer     use  = p->by_use ? use_path(model) : (Buffer){ 0 };
    p->wish.machine = p->has_speeds ? &p->machine : NULL;
    p->wish.use     = use.data;
    const mixt_status status = mixt_plan_new(model, NULL, &p->wish, &plan, NULL);
    p->wish.use     = NULL;
    buffer_free(&use);
    if (status != MIXT_OK) return false;
    p->info = mixt_plan_read(plan);
    mixt_plan_free(plan);
    return true;
}

mixt_plan_options plan_wish(const Options *o, size_t n_context)
{
    mixt_plan_options wish = mixt_plan_defaults();
    wish.memory_bytes = opt_whole(o, OPT_MEMORY);
    wish.n_context    = n_context;
    wish.n_batch      = (size_t)opt_whole(o, OPT_BATCH);
    wish.expert_slots = (size_t)opt_whole(o, OPT_EXPERT_SLOTS);
    wish.n_threads    = (int)opt_whole(o, OPT_THREADS);
    wish.kv           = load_kv(opt_text(o, OPT_KV));
    return wish;
}

/* What loads in a blink needs no announcement. */
static bool worth_a_line(const App *app, const mixt_plan_info *i)
{
    static const int64_t long_bytes = 1000000000;
    return opt_flag(app->options, OPT_VERBOSE) || i->why == MIXT_PLAN_FILL ||
           (term_err() && i->weight_bytes >= long_bytes);
}

static void print_places(const mixt_plan_info *i)
{
    fprintf(stderr, "plan     %.2f GB of weights, ", (double)i->weight_bytes / 1e9);
    if (i->why == MIXT_PLAN_ALL_FIT) fprintf(stderr, "all in memory");
    else
        fprintf(stderr, "%lld of %lld %s in memory", (long long)i->n_slots, (long long)i->n_slots_all,
                i->dense ? "layers" : "experts");
    fprintf(stderr, ", %.2f of %.2f GiB", (double)i->used_bytes / (double)GIB, (double)i->budget_bytes / (double)GIB);
}

void plan_before(const App *app, const mixt_model *model, size_t n_context, Prediction *out)
{
    char write[PLAN_TEXT_MAX], prompt[PLAN_TEXT_MAX];
    *out            = (Prediction){ .wish = plan_wish(app->options, n_context) };
    out->wish.brief = true;                             /* a run waits for it                   */
    out->has_speeds = machine_known(&out->machine);
    out->by_use     = use_learns(app, model);
    out->made       = make_plan(model, out);
    if (!out->made || out->info.why == MIXT_PLAN_TOO_SMALL || !worth_a_line(app, &out->info)) return;
    print_places(&out->info);
    if (out->has_speeds)
        fprintf(stderr, "; about %s tokens/s, prompts %s\n", plan_rate(out->info.first.tokens_per_s, write),
                plan_rate(out->info.prompt_per_s, prompt));
    else fprintf(stderr, "; mixt doctor, once, and this line says how fast\n");
}

/* The plan again, for the prompt that came. */
void plan_after(const Prediction *prediction, const mixt_model *model, const Done *done)
{
    char       a[PLAN_TEXT_MAX], b[PLAN_TEXT_MAX], c[PLAN_TEXT_MAX], d[PLAN_TEXT_MAX];
    Prediction p = *prediction;
    struct rusage used;
    if (!p.made || p.info.why == MIXT_PLAN_TOO_SMALL) return;
    p.wish.memory_bytes = p.info.budget_bytes;          /* what was free then                   */
    if (done->n_prompt) p.wish.n_prompt = done->n_prompt;
    if (!make_plan(model, &p)) return;
    fprintf(stderr, "planned             ");
    if (p.has_speeds)
        fprintf(stderr, "prompt %s tokens/s, measured %s; answer %s, measured %s; ", plan_rate(p.info.prompt_per_s, a),
                plan_rate(per_second(done->n_prompt, done->prompt_us), b), plan_rate(p.info.first.tokens_per_s, c),
                plan_rate(per_second(done->n_written, done->written_us), d));
    getrusage(RUSAGE_SELF, &used);
    fprintf(stderr, "memory %.2f GB, held at most %.2f\n", (double)p.info.used_bytes / 1e9,
            (double)used.ru_maxrss * 1024 / 1e9);
}
