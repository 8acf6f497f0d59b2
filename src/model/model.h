/* SPDX-License-Identifier: Apache-2.0
 * model/model.h - a network bound to weights, ready to step.  Read forward.c first. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "arch/arch.h"
#include "model/lora.h"
#include "store/store.h"

typedef struct Layer {
    Norm   attn_norm, ffn_norm;
    Tensor wq, wk, wv, wo;      /* [H][D] [K][D] [K][D] [D][H]                             */
    Tensor router;              /* [E][D]; rows == 0 in a dense layer                      */
    struct LayerLora *lora;     /* what adapters add; NULL: nothing                        */
} Layer;

typedef struct LayerLora {
    LowRank        q, k, v, o, router;
    ExpertLowRank *experts;     /* [E]                                                     */
} LayerLora;

typedef struct Model {
    Sizes          sizes;
    Router         router;      /* how the family weighs                                   */
    Rope           rope;
    Device        *device;      /* of everything that is not an expert; borrowed           */
    Store         *store;       /* of the experts                                          */
    int            look_ahead;  /* layers at most whose experts are read before they are needed */
    ExpertExtents *extents;     /* [L*E] where they lie on disk                            */
    Tensor         embed, out;  /* [V][D]; the same tensor when tied                       */
    bool           tied;
    Norm           out_norm;
    LowRank        out_lora;
    Layer         *layers;      /* [L]                                                     */
    int64_t        dense_bytes; /* of all weights that are not experts, adapters included  */
} Model;

/* What the pages of key/value cache look like. */
enum {
#ifdef MIXT_HOSTILE
    PAGE_TOKENS = 16            /* every boundary is crossed often                         */
#else
    PAGE_TOKENS = 64
#endif
};

/* Rows of a step whose logits may be wanted: a vocabulary wide, they would be most of the scratch. */
enum {
#ifdef MIXT_HOSTILE
    WANTED_MAX = 3
#else
    WANTED_MAX = 64
#endif
};

/* One step: T tokens of any number of sequences; logits are wanted for R <= WANTED_MAX of them (decision D3). */
typedef struct Step {
    int            n_tokens, n_wanted;
    bool           goes_on;             /* the next step reads on where a sequence of this one ends: a prompt's piece */
    const int32_t *tokens;              /* [T]                                             */
    const int32_t *positions;           /* [T] in its own sequence                         */
    const Tensor *const *pages;         /* [T] its sequence's pages, in order of position  */
    const int32_t *wanted;              /* [R] rows whose logits we need                   */
    bool          *broken;              /* [T] out: this row's router met a NaN            */
    int32_t      **experts;             /* [T] out: each [L][U], or NULL; and NULL for no row */
    float        **weights;             /* [T] out, likewise                               */
    int          (*cancel)(void *user); /* asked before each layer: non-zero ends the step; or NULL */
    void          *cancel_user;
} Step;

/* The router's answer: U experts and weights per token, and the same choice sorted by expert. */
typedef struct Routes {
    int32_t *experts;                   /* [T][U] by falling weight                        */
    float   *weights;                   /* [T][U]                                          */
    int      n_groups;                  /* experts that serve at least one row             */
    int32_t *group_expert;              /* [n_groups]                                      */
    int32_t *group_begin;               /* [n_groups+1] into rows and slots                */
    int32_t *rows, *slots;              /* [T*U] row read and slot written, by group       */
} Routes;

/* Of layers ahead, of few rows; see ahead.c. */
enum { LOOK_AHEAD_MAX = 16 };

/* Guesses so many layers ahead, lately. */
typedef struct Luck { int32_t guesses, right; } Luck;

/* Scratch of one step; allocated once, for the largest T. */
typedef struct Work {
    Arena      arena;
    Device    *device;
    Tensor     x, h, y;                 /* [T][D] residual stream, normed input, block output */
    Tensor     q, heads;                /* [T][H]                                          */
    Tensor     k, v;                    /* [T][K]                                          */
    Tensor     scores;                  /* [T][E]                                          */
    Tensor     parts;                   /* [T*U][D] answers of the chosen experts, not yet mixed */
    Tensor     last, logits;            /* [R][D], [R][V]                                  */
    float     *host_scores;             /* [T][E]                                          */
    int32_t   *row;                     /* [T] which of the step's rows is the i-th; see keep_asked */
    int32_t   *place, *last_rows;       /* [T] and where it went, [R] rows of x whose logits we need */
    Routes     routes;
    ExpertJob *jobs;                    /* [E]                                             */
    Pin       *pins;                    /* [E]                                             */
    ExpertId  *ids, *left;              /* [E] of all groups; of those not yet served      */
    int32_t   *left_group;              /* [E] likewise: which group                       */
    uint32_t  *guessed;                 /* [L*E] bit d: this step's guess d + 1 layers before */
    Luck       luck[LOOK_AHEAD_MAX];    /* of each distance; stays from step to step       */
    int64_t    bytes;
} Work;

typedef struct ModelPlan {
    int      n_slots;                   /* 0: all experts in memory                        */
    int64_t  room_bytes;                /* that experts may take, instead of a number of them; 0: see n_slots */
    int64_t  room_bytes_max;            /* the store's resize may go up to here            */
    const char *policy;                 /* who leaves that room; NULL: the usual one       */
    const float *shares;                /* what earlier runs learned of use (store/use.h); NULL: nothing */
    int64_t  shares_rows;
    int      look_ahead;                /* 0 to LOOK_AHEAD_MAX layers at most              */
    int64_t  max_tokens;                /* T                                               */
    const LoraMap *lora;                /* adapters; NULL: none                            */
} ModelPlan;

/* Loads every weight that is not an expert, opens the store.  The catalog's files must stay open. */
Status model_bind(const Arch *arch, const Catalog *catalog, const Sizes *sizes, Device *device,
                  const ModelPlan *plan, StoreProgress *progress, Model **out, Error *error);
void   model_free(Model *model);
/* Of all experts, wherever they are. */
int64_t model_expert_bytes(const Model *model);
/* Sums over the table, before anything is loaded. */
typedef struct ModelBytes { int64_t dense, experts, largest_expert; } ModelBytes;
Status model_bytes(const Arch *arch, const Catalog *catalog, const Sizes *sizes, ModelBytes *out,
                   Error *error);

Status work_new(const Model *model, int64_t max_tokens, Work *out, Error *error);
void   work_free(Work *work);
int64_t work_bytes(const Sizes *sizes, int64_t max_tokens);
/* What the device reserves for steps of so many tokens, with adapters of a rank (0: none). */
DeviceLimits model_limits(const Sizes *sizes, int64_t max_tokens, int64_t rank);

/* tokens -> w->logits, first R rows. */
Status model_forward(Model *m, const Step *step, Work *w, Error *error);
Status attention(Model *m, int layer, const Step *step, Work *w, Error *error);
/* y += what an adapter says to x; nothing where there is none. */
Status adapt(Model *m, Tensor *y, const Tensor *x, const LowRank *low);
/* Tells the store what the layers after this one will want, as far as one can know.  Before the experts of this one
 * are used: it needs w->y and w->scores. */
Status look_ahead(Model *m, int layer, const Step *step, Work *w);
/* Is every expert of a layer as good as sure to be used by so many rows? */
bool sweeps(const Sizes *sizes, int64_t n_rows);
Status moe(Model *m, int layer, const Step *step, Work *w, Error *error);
Status route(Model *m, int layer, const Step *step, Work *w, Error *error);
/* Chooses n_used of scores[n_experts]; false when one is NaN (then the choice is 0, 1, .. with weight 0). */
bool choose_experts(const float *scores, int n_experts, int n_used, const Router *router,
                    int32_t *experts, float *weights);

/* ---- key/value pages: one holds PAGE_TOKENS positions of one sequence, for every layer ---- */

Status kv_pages_new(Device *device, const Sizes *sizes, Format format, int64_t n_pages, Tensor *out,
                    Error *error);
Tensor  kv_page(const Tensor *pages, const Sizes *sizes, int64_t page);         /* borrowed */
int64_t kv_page_bytes(const Sizes *sizes, Format format);
/* Of the pages that so many positions of one sequence take. */
int64_t kv_bytes(const Sizes *sizes, Format format, int64_t n_positions);
KvView  kv_view(const Sizes *sizes, int layer, const Step *step);

#endif
