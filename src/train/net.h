/* SPDX-License-Identifier: Apache-2.0
 * train/net.h - a network that learns: its weights, and one pass forward and back.
 *
 * The same network as model/forward.c, in F32, with every step of the backward pass beside its forward twin.  Letters
 * as everywhere: D width, H query numbers, K key numbers, E experts, U used, F expert width, V vocabulary, L layers;
 * here N = B * T are the tokens of a batch.
 *
 * Bits     The loss, the gradients and the weights after a step are the same bytes on any number of threads: every
 *          sum has one order (marked ORDER), and threads share out answers, never the terms of one sum. */
#ifndef TRAIN_NET_H
#define TRAIN_NET_H

#include "arch/arch.h"
#include "base/pool.h"
#include "kernel/kernel.h"

enum {
    PARAM_NAME_BYTES = 128,
    RANK_MAX = 1024,                    /* of an adapter                                    */
    NET_TOKENS_MAX = 1 << 20            /* of a batch                                       */
};

/* What learns: a matrix in F32 with its gradient.  Vectors have one row. */
typedef struct Param {
    char    name[PARAM_NAME_BYTES];     /* as GGUF has it; experts: "blk.0.ffn_up.5.weight" */
    float  *value, *grad;               /* [rows][cols]; inside Net.values and Net.grads    */
    int64_t rows, cols;
    bool    decays;                     /* matrices do, norms do not                        */
    Role    role;                       /* of the matrix, or of the one an adapter belongs to */
    int     layer, expert;
} Param;

/* A low-rank answer beside a matrix: y += scale * (x . a^T) . b^T. */
typedef struct Adapter {
    Param  *a, *b;                      /* [rank][cols], [rows][rank]; NULL: there is none  */
    float   scale;                      /* alpha / rank                                     */
} Adapter;

/* y = x . W^T.  Either it learns (param), or it is frozen rows of any format. */
typedef struct Matrix {
    Role        role;
    int         layer, expert;
    int64_t     rows, cols;
    Param      *param;                  /* NULL: frozen                                     */
    Format      format;                 /* of frozen rows                                   */
    const void *frozen;                 /* [rows] rows; heads pair neighbours, as GGUF has them */
    Adapter     adapter;
} Matrix;

/* B sequences of T tokens.  A sequence may hold several texts: starts[i] is where the text of token i begins in its
 * sequence, which is the first token it may attend to and position 0 of its rotation. */
typedef struct Batch {
    int64_t        n_sequences, n_tokens;       /* B, T                                     */
    const int32_t *tokens;                      /* [B][T]                                   */
    const int32_t *targets;                     /* [B][T] the token that follows; -1: not learned */
    const int32_t *starts;                      /* [B][T]                                   */
} Batch;

typedef struct NetOptions {
    int64_t n_sequences, n_tokens;      /* the largest batch                                */
    bool    bf16;                       /* products of bf16 numbers, sums in F32; the router and attention stay F32 */
    bool    recompute;                  /* keep only what enters a layer; go through it again on the way back */
    bool    tied;                       /* net_new: the embedding is the output matrix too  */
    double  balance;                    /* coefficient of the load-balancing loss; 0: none  */
    double  router_z;                   /* of the router's z-loss; 0: none                  */
    double  capacity;                   /* rows an expert takes at most, in shares of N*U/E; 0: no limit.  What
                                           is over is dropped: that slot answers nothing    */
} NetOptions;

/* Which matrices get an adapter: those whose role has a rank. */
typedef struct AdapterPlan {
    int         rank[N_ROLES];          /* 0: none                                          */
    double      alpha[N_ROLES];
    const bool *experts;                /* [E] those that get theirs; NULL: all             */
    bool        beside;                 /* the weights learn too; otherwise they are frozen */
} AdapterPlan;

/* What a pass saw.  Sums, so that several passes add up. */
typedef struct NetReport {
    int64_t  n_targets;                 /* tokens that counted                              */
    double   loss;                      /* sum of -log p over them, natural logarithm       */
    double   balance, router_z;         /* sums over layers, before their coefficients      */
    int64_t  n_passes;
    int64_t *uses;                      /* [L][E] rows each expert served; caller's, or NULL */
    double  *entropy;                   /* [L] sum over rows of the router's entropy, nats; or NULL */
    int64_t  n_rows, n_dropped;         /* rows routed per layer; slots dropped in all layers */
} NetReport;

typedef struct Net Net;

/* Weights drawn for training from scratch: normal, deviation 0.02, those that answer into the residual stream divided
 * by sqrt(2 L); norms 1.  sizes->dense nets have one expert and no router. */
Status net_new(const Arch *arch, const Sizes *sizes, const NetOptions *options, uint64_t seed, Pool *pool,
               const Kernels *kernels, Net **out, Error *error);
/* From a model file; what is not F32 is decoded.  The catalog may be closed afterwards. */
Status net_from_catalog(const Arch *arch, const Catalog *catalog, const Sizes *sizes, const NetOptions *options,
                        Pool *pool, const Kernels *kernels, Net **out, Error *error);
/* Adapters learn beside the rows of a model file, which stay as they are stored.  Matrices a are drawn, b are zero: the
 * first answers are those of the file.  The catalog may be closed afterwards; without one, weights are drawn as for
 * net_new and must learn too (plan->beside). */
Status net_adapt(const Arch *arch, const Catalog *catalog, const Sizes *sizes, const NetOptions *options,
                 const AdapterPlan *plan, uint64_t seed, Pool *pool, const Kernels *kernels, Net **out, Error *error);
void   net_free(Net *net);

const Sizes *net_sizes(const Net *net);
/* Everything that learns, in the order of the file; values and gradients are one array each, param after param.  An
 * adapter's two, "<name of its matrix>.lora_a" and ".lora_b", stand where the matrix would. */
Param  *net_params(Net *net, int *n);
float  *net_values(Net *net, int64_t *n);
float  *net_grads(Net *net);

/* One pass forward and back: adds to the gradients d(loss * share)/d(weight), where loss is the sum over the batch's
 * targets of -log p plus, for each of them, balance * (mean over layers of the load-balancing loss) + router_z * (mean
 * over layers of the z-loss); both are those of routes.c, over all N tokens of the batch.  Adds to the report.  A
 * batch's share is 1 / all targets of the step, so that passes of an accumulated step add up.  BAD_ARGUMENT when the
 * batch does not fit the net; FAILED when the loss or a router's score is no number: then the gradients are worth
 * nothing. */
Status net_learn(Net *net, const Batch *batch, double share, NetReport *report, Error *error);
/* Forward alone. logits: [B*T][V] or NULL. */
Status net_judge(Net *net, const Batch *batch, NetReport *report, float *logits, Error *error);
/* The same with a loss of the caller's own: `weigh` gets log p of every target, [B*T], 0 where there is none, and
 * answers d(loss)/d(log p), which is not multiplied by share; the coefficients' losses are as above.  Preference losses
 * are made of it.  weigh NULL: net_learn. */
typedef Status WeighFn(void *user, const float *logprobs, float *weights, Error *error);
Status net_learn_weighed(Net *net, const Batch *batch, WeighFn *weigh, void *user, double share, NetReport *report,
                         Error *error);

/* Bytes a net of this size and these options will take. */
int64_t net_bytes(const Sizes *sizes, const NetOptions *options);

#endif
