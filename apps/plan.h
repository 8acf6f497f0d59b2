/* SPDX-License-Identifier: Apache-2.0
 * apps/plan.h - a plan as the options wish it, on a page, as JSON, and in one line before a run. */
#ifndef APPS_PLAN_H
#define APPS_PLAN_H

#include <mixt_tools.h>

#include "app.h"

/* The plan, and what only the page tells. */
typedef struct PlanView {
    const mixt_plan *plan;
    mixt_plan_info   info;
    bool             stored;        /* the machine is that of the last mixt doctor          */
    bool             explain;
    bool             hits_given;    /* --hit-rate                                           */
    double           watts, price;  /* negative: not given                                  */
} PlanView;

void plan_page(const PlanView *view);
Exit plan_json(const App *app, const PlanView *view);

/* What a million tokens take at this speed. */
double plan_kwh_per_million(const PlanView *view, double tokens_per_s);

/* The room for a number. */
enum { PLAN_TEXT_MAX = 32 };
/* "0.43", "12.5", "335". */
const char *plan_rate(double per_s, char out[PLAN_TEXT_MAX]);

/* ---- before a run, and after it ---- */

typedef struct Prediction {
    mixt_plan_options wish;
    mixt_plan_info    info;
    mixt_machine      machine;
    bool              made, has_speeds;     /* nothing is known of a machine that mixt doctor never saw */
    bool              by_use;               /* expects the hits that the use of experts so far promises */
} Prediction;

/* One line on stderr before a model is loaded, where loading takes a while or the disk will be needed: how much
 * of it lies where, and how fast that will be.  A plan that cannot be made says nothing: what follows will. */
void plan_before(const App *app, const mixt_model *model, size_t n_context, Prediction *out);
/* What a run did, beside what was predicted for so many tokens. */
typedef struct Done { size_t n_prompt, n_written; int64_t prompt_us, written_us; } Done;
void plan_after(const Prediction *prediction, const mixt_model *model, const Done *done);

/* What a run and a plan are both told of memory, rows and threads. */
mixt_plan_options plan_wish(const Options *o, size_t n_context);

#endif
