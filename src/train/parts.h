/* SPDX-License-Identifier: Apache-2.0
 * train/parts.h - what a Net is made of.  For the files of the network only (net.c, forward.c, backward.c, ...).
 *
 * N tokens of a batch; R = N * U rows that experts serve; other letters as in net.h. */
#ifndef TRAIN_PARTS_H
#define TRAIN_PARTS_H

#include "base/arena.h"
#include "train/net.h"
#include "train/product.h"

typedef struct Gain {                   /* of a norm                                        */
    float *value;                       /* [D]                                              */
    Param *param;                       /* NULL: frozen                                     */
} Gain;

typedef struct NetLayer {
    Gain    attn_norm, ffn_norm;
    Matrix  q, k, v, o, router;
    Matrix *gate, *up, *down;           /* [E]                                              */
} NetLayer;

/* Who serves whom in a layer.  Places: rows in the order of their experts, and within one in the order of the batch. */
typedef struct Plan {
    int32_t *experts;                   /* [N][U] chosen, the largest score first           */
    float   *weights;                   /* [N][U]                                           */
    float   *probs;                     /* [N][E] softmax of the scores                     */
    double  *log_sums;                  /* [N] logarithm of the sum of exp(score)           */
    int64_t *first;                     /* [E+1] places of expert e: first[e] <= place < first[e+1] */
    int64_t *counts;                    /* [E] choices, dropped ones too                    */
    int32_t *place_of;                  /* [N][U]; -1: dropped                              */
    int32_t *slot_at;                   /* [R] n * U + j of a place                         */
} Plan;

/* What a layer's forward pass leaves for its way back. */
typedef struct Kept {
    float *x;                           /* [N][D] what entered                              */
    float *q, *k, *v;                   /* [N][H], [N][K], [N][K], turned                   */
    float *heads;                       /* [N][H] answers of attention                      */
    float *log_sums;                    /* [N][heads] of exp(score)                         */
    float *mid;                         /* [N][D] after attention                           */
    float *gate, *up;                   /* [R][F] by place                                  */
    Plan   plan;
} Kept;

/* What one pass needs and nobody keeps. */
typedef struct NetWork {
    float  *h, *dh;                     /* [N][D] a normed copy of the residual stream      */
    float  *dx;                         /* [N][D] gradient of the residual stream           */
    float  *dq, *dk, *dv, *dheads;      /* [N][H], [N][K], [N][K], [N][H]                   */
    float  *rows, *answers;             /* [R][D] by place                                  */
    float  *hidden, *dhidden;           /* [R][F]                                           */
    float  *scores;                     /* [N][E], then their gradient                      */
    float  *dweights;                   /* [N][U]                                           */
    float  *low;                        /* [low_values] answers of adapters' matrices a     */
    float  *norms;                      /* [N] 1 / root of the mean square                  */
    float  *logits;                     /* [chunk][V]                                       */
    float  *picked, *dpicked;           /* [chunk][D]                                       */
    int32_t *wanted;                    /* [N] tokens whose logits are                      */
    double *losses;                     /* [N]                                              */
    float  *logprobs, *dlogprobs;       /* [N]                                              */
    float  *cosine, *sine;              /* [T][n_turned / 2]                                */
    float  *attend;                     /* [threads][attend_values]                         */
    int64_t low_values, attend_values, chunk;
} NetWork;

struct Net {
    Sizes          sizes;
    Router         router;
    NetOptions     options;
    Pool          *pool;
    const Kernels *kernels;
    Arena          arena;
    NetLayer      *layers;              /* [L]                                              */
    Matrix         embed, out;
    Gain           out_norm;
    bool           tied;
    Param         *params;
    int            n_params;
    int            rank_max;
    float         *values, *grads;
    int64_t        n_values;
    Kept          *kept;                /* [L+1]; of the last only x                        */
    NetWork        work;
    Multiplier     multiplier;
    struct Use    *uses;                /* [2E] room for a list, and the products it makes  */
    Product       *products;            /* [larger of 6E and 9]                             */
};

/* One pass over one batch. */
typedef struct Pass {
    const Batch *batch;
    int64_t      n_rows;                /* N of this batch                                  */
    int64_t      n_targets;
    NetReport   *report;
    double       share;                 /* of the balance and z-losses: share * n_targets   */
} Pass;

static inline int64_t n_query(const Sizes *s) { return s->n_heads * s->head_size; }
static inline int64_t n_key(const Sizes *s)   { return s->n_kv_heads * s->head_size; }

/* space.c: everything a pass needs.  With arena NULL it only counts. */
Status net_space(Net *net, Arena *arena, int n_threads, int64_t *n_bytes, Error *error);

/* Numbers that attention of one thread works in. */
int64_t attend_space(int64_t n_tokens, int64_t head_size);

/* linear.c: y = x . W^T with its adapter, for a list of matrices, and the way back. */
typedef struct Use {
    const Matrix *w;
    const float  *x;                    /* [m][cols]                                        */
    float        *y;                    /* [m][rows]; on the way back its gradient          */
    float        *dx;                   /* [m][cols]                                        */
    int64_t       m;
    bool          adds;                 /* to y, or to dx; neighbours in the list with one dx share one sum */
} Use;
void net_answer(Net *net, const Use *uses, int n);
void back_to_input(Net *net, const Use *uses, int n);
void back_to_weights(Net *net, const Use *uses, int n);

/* ops.c */
void embed(Net *net, const Batch *batch, float *x);
void embed_back(Net *net, const Batch *batch, const float *dx);
void norm(Net *net, float *h, const float *x, const Gain *gain, int64_t n_rows);
/* dx += what dh says of x; destroys nothing else. */
void norm_back(Net *net, float *dx, const float *dh, const float *x, const Gain *gain, int64_t n_rows);
void turn(Net *net, float *x, int64_t n_heads, const Batch *batch, bool back);
void copy_rows(Net *net, float *to, const float *from, int64_t n_values);

/* attend.c */
void attend(Net *net, const Kept *kept, const Batch *batch);
void attend_back(Net *net, const Kept *kept, const Batch *batch);

/* routes.c: scores to experts.  The gradient of the scores replaces them in work.scores. */
Status route_rows(Net *net, int layer, Plan *plan, const Pass *pass, Error *error);
void   route_back(Net *net, const Plan *plan, const Pass *pass);

/* experts.c: the mixture of a layer. */
void experts(Net *net, int layer, const Kept *kept, float *x, int64_t n_rows);
void experts_back(Net *net, int layer, const Kept *kept, int64_t n_rows);

/* loss.c: from the last residual stream to the loss, and back into work.dx. */
Status judge_rows(Net *net, const Pass *pass, float *logits, Error *error);
Status learn_rows(Net *net, const Pass *pass, WeighFn *weigh, void *user, Error *error);

/* forward.c */
Status forward(Net *net, const Pass *pass, Error *error);
Status forward_layer(Net *net, int layer, const Pass *pass, Error *error);
/* backward.c */
Status backward(Net *net, const Pass *pass, Error *error);

#endif
