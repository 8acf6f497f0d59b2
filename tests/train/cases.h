/* SPDX-License-Identifier: Apache-2.0
 * tests/train/cases.h - small networks that between them have everything a network that learns can have, and a batch
 * for each.  Numbers are drawn, so that nothing is zero or one by accident. */
#ifndef TESTS_TRAIN_CASES_H
#define TESTS_TRAIN_CASES_H

#include "train/net.h"

enum { CASE_TOKENS_MAX = 512 };

typedef struct Case {
    const char *name;
    Sizes       sizes;
    NetOptions  options;
    int         rank;                   /* of adapters beside weights that learn too        */
    int         n_texts;                /* in a sequence                                    */
    bool        answers_only;           /* every third token has no target                  */
} Case;

#define COMMON                                                                                     \
    .n_layers = 2, .n_context = 64, .width = 48, .n_kv_heads = 2, .n_vocab = 75, .norm_eps = 1e-5, .rope_base = 1e4
#define HEADS .n_heads = 4, .head_size = 12, .n_turned = 12
#define SMALL COMMON, HEADS, .n_experts = 4, .n_used = 2, .hidden = 40
#define TWO_OF_37 .n_sequences = 2, .n_tokens = 37

static const Case cases[] = {
    { .name = "plain", .sizes = { SMALL }, .options = { TWO_OF_37 } },
    { .name = "balance", .sizes = { SMALL }, .options = { TWO_OF_37, .balance = 0.5 } },
    { .name = "router_z", .sizes = { SMALL }, .options = { TWO_OF_37, .router_z = 0.3, .balance = 0.1 } },
    { .name = "texts", .sizes = { SMALL }, .options = { TWO_OF_37 }, .n_texts = 4, .answers_only = true },
    { .name = "window", .sizes = { SMALL, .window = 9 }, .options = { TWO_OF_37, .recompute = true } },
    { .name = "capacity", .sizes = { SMALL }, .options = { TWO_OF_37, .capacity = 0.9, .balance = 0.2 } },
    { .name = "tied", .sizes = { SMALL }, .options = { TWO_OF_37, .tied = true } },
    { .name = "adapters", .sizes = { SMALL }, .options = { TWO_OF_37, .balance = 0.2, .router_z = 0.1 }, .rank = 5 },
    { .name = "dense",
      .sizes = { COMMON, HEADS, .n_experts = 1, .n_used = 1, .hidden = 40, .dense = true },
      .options = { TWO_OF_37 } },
    { .name = "long",
      .sizes = { COMMON, .n_heads = 2, .head_size = 64, .n_turned = 40, .n_experts = 8, .n_used = 3, .hidden = 100 },
      .options = { .n_sequences = 2, .n_tokens = 100, .balance = 0.1 }, .n_texts = 3 },
};
#undef SMALL
#undef HEADS
#undef COMMON
#undef TWO_OF_37

/* The batch of a case: drawn tokens, each the target of the one before it. */
static inline void case_batch(const Case *c, int32_t *tokens, int32_t *targets, int32_t *starts, Batch *out)
{
    const int64_t n_tokens = c->options.n_tokens, n = c->options.n_sequences * n_tokens;
    const int32_t each = (int32_t)(c->n_texts ? n_tokens / c->n_texts : n_tokens);
    Rng rng = { 5 };
    for (int64_t i = 0; i < n; i++) tokens[i] = (int32_t)(rng_bits(&rng) % (uint64_t)c->sizes.n_vocab);
    for (int64_t i = 0; i < n; i++) {
        const int32_t t = (int32_t)(i % n_tokens);
        starts[i] = t / each * each;
        targets[i] = t + 1 < n_tokens && !(c->answers_only && i % 3 == 0) ? tokens[i + 1] : -1;
    }
    *out = (Batch){ c->options.n_sequences, n_tokens, tokens, targets, starts };
}

/* A net whose matrices are large enough to matter, whose norms are not 1 and whose adapters are not 0. */
static inline Status case_net(const Case *c, const Arch *arch, Pool *pool, const Kernels *kernels, Net **out,
                              Error *error)
{
    AdapterPlan plan = { .beside = true };
    for (int role = ROLE_Q; c->rank && role < N_ROLES; role++)
        if (role != ROLE_FFN_NORM) plan.rank[role] = c->rank, plan.alpha[role] = 2.5 * c->rank;
    plan.rank[ROLE_OUT] = c->rank ? 3 : 0;
    plan.alpha[ROLE_OUT] = 6;
    if (c->rank) TRY(net_adapt(arch, NULL, &c->sizes, &c->options, &plan, 11, pool, kernels, out, error));
    else TRY(net_new(arch, &c->sizes, &c->options, 11, pool, kernels, out, error));
    int n_params;
    Param *params = net_params(*out, &n_params);
    Rng rng = { 3 };
    for (int p = 0; p < n_params; p++)
        for (int64_t i = 0; i < params[p].rows * params[p].cols; i++)
            params[p].value[i] = params[p].value[i] * (c->rank ? 1.0f : 4.0f) + (float)(0.2 * (rng_unit(&rng) - 0.5));
    for (int p = 0; p < n_params; p++)
        for (int64_t i = 0; !params[p].decays && i < params[p].cols; i++) params[p].value[i] -= 3;
    return OK;
}

#endif
