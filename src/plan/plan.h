/* SPDX-License-Identifier: Apache-2.0
 * plan/plan.h - what a model will take and how fast it will be, before it is loaded.
 *
 * Numbers in, numbers out: no file is opened and nothing is measured here.  The model is a table of
 * tensors, whatever its name; the machine is what somebody measured.  A speed is a sum of bytes over
 * bandwidths and of products over peaks, and every term of the sum is in the answer. */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include "number/format.h"
#include "plan/slots.h"

/* ---- the model ---- */

typedef enum PlanClass {
    CLASS_EMBED, CLASS_ATTENTION, CLASS_ROUTER,
    CLASS_SHARED,                       /* feed-forward that every token uses beside its experts */
    CLASS_EXPERTS,                      /* of a dense model: each layer's only one         */
    CLASS_NORMS, CLASS_OUT,
    N_PLAN_CLASSES
} PlanClass;

typedef struct PlanTensor {
    PlanClass class;
    Format    format;
    int64_t   rows, cols;               /* of one expert, where there are several          */
    int64_t   n_experts;                /* 1 elsewhere                                     */
} PlanTensor;

/* Sums over the table: no speed needs more. */
typedef struct PlanModel {
    int64_t values[N_PLAN_CLASSES][N_FORMATS], bytes[N_PLAN_CLASSES][N_FORMATS];
    int64_t n_layers, n_expert_layers, n_experts, n_used;       /* dense: 1 and 1          */
    int64_t n_vocab, n_context, window;                         /* window 0: none          */
    int64_t kv_values;                  /* one position, one layer: keys and values        */
    int64_t attend_values;              /* one layer, per pair of positions: heads times (key + value) */
} PlanModel;

void    plan_add(PlanModel *model, const PlanTensor *tensor);
int64_t plan_class_bytes(const PlanModel *model, PlanClass class);
int64_t plan_class_values(const PlanModel *model, PlanClass class);
int64_t plan_values(const PlanModel *model);
/* Of them used for one token. */
int64_t plan_values_active(const PlanModel *model);
int64_t plan_bytes(const PlanModel *model);
/* Keys and values of n_context positions, in whole pages of page_tokens. */
int64_t plan_kv_bytes(const PlanModel *model, Format kv, int64_t n_context, int64_t page_tokens);

/* ---- the machine and the wish ---- */

/* With the threads that will compute.  Per second. */
typedef struct PlanMachine {
    double read_bytes, int8_products, f32_products;     /* a multiply-accumulate is 2 products */
    double disk_bytes;
    const char *cpu_set;                /* whose instructions compute; NULL: see format_rates() */
} PlanMachine;

typedef struct PlanWish {
    int64_t budget_bytes;               /* of the whole process                            */
    int64_t n_context, n_sessions;
    int64_t n_rows;                     /* of a step at most: a prompt goes in such pieces */
    int64_t n_prompt;                   /* tokens of the prompt whose speed is told        */
    int64_t n_together;                 /* sequences that write together                   */
    int64_t n_slots;                    /* experts in memory; 0: as many as fit            */
    Format  kv;
    int64_t page_tokens;                /* keys and values come in pages of so many        */
    int64_t scratch_bytes, spare_bytes, reading_bytes;  /* see SlotsAsk                    */
    double  hit_rate;                   /* somebody says; negative: as `chances` say       */
    const float *chances;               /* [n_expert_layers * E] that a row asks for each expert, falling: known
                                         * from use; NULL: as if routing were even         */
} PlanWish;

/* ---- the answer ---- */

/* One pass of n_rows rows over the network, n_before positions before each. */
typedef struct PlanStep {
    int64_t n_rows, n_before;
    double  experts;                    /* different ones that a layer touches             */
    double  weight_bytes, kv_bytes;     /* read from memory                                */
    double  disk_bytes;
    double  products;
    double  resident;                   /* share of what its experts need that is in memory */
    double  memory_s, product_s, other_s, disk_s;
    double  step_s;                     /* with cores = sqrt(memory_s^2 + product_s^2) + other_s: the larger of
                                         * cores, and disk_s + cores while the disk rests  */
    double  tokens_per_s;
} PlanStep;

typedef struct Plan {
    int64_t  weight_bytes, dense_bytes, experts_bytes, kv_bytes;
    Slots    slots;                     /* when every context is full                      */
    double   hit_rate;                  /* likewise; 1: all in memory                      */
    PlanStep first, last, together;     /* writing: with an empty context, a full one; n_together at once */
    PlanStep prompt;                    /* one piece of it                                 */
    int64_t  n_pieces;
    double   prompt_s, prompt_per_s;
} Plan;

void plan_make(const PlanModel *model, const PlanMachine *machine, const PlanWish *wish, Plan *out);

/* Different experts of E that R rows touch which choose U each, evenly. */
double plan_touched(int64_t n_experts, int64_t n_used, int64_t n_rows);
/* The same of the first n experts, of all layers, whose chances to be asked for by a row are these. */
double plan_asked(const float *chances, double n, int64_t n_rows);

#endif
