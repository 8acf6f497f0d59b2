/* SPDX-License-Identifier: Apache-2.0
 * train/forward.c - N tokens through the network, keeping what the way back needs.
 *
 * The same steps as model/forward.c, which should be read first; backward.c is this file from its end to its
 * beginning. */
#include "train/parts.h"

#include <string.h>

/* kept->mid = x + attention(norm(x)) */
static void forward_attention(Net *net, int layer, const Pass *pass)
{
    const NetLayer *l = &net->layers[layer];
    const Kept *kept = &net->kept[layer];
    const Sizes *s = &net->sizes;
    const int64_t n = pass->n_rows;
    float *h = net->work.h;

    norm(net, h, kept->x, &l->attn_norm, n);                                        /* h [N][D]      */
    net_answer(net, (Use[]){ { .w = &l->q, .x = h, .y = kept->q, .m = n },          /* q [N][H]      */
                         { .w = &l->k, .x = h, .y = kept->k, .m = n },              /* k, v [N][K]   */
                         { .w = &l->v, .x = h, .y = kept->v, .m = n } }, 3);
    turn(net, kept->q, s->n_heads, pass->batch, false);
    turn(net, kept->k, s->n_kv_heads, pass->batch, false);
    attend(net, kept, pass->batch);                                                 /* heads [N][H]  */
    copy_rows(net, kept->mid, kept->x, n * s->width);
    net_answer(net, (Use[]){ { .w = &l->o, .x = kept->heads, .y = kept->mid, .m = n, .adds = true } }, 1);
}

/* The next layer's x = mid + mixture of experts(norm(mid)) */
static Status forward_experts(Net *net, int layer, const Pass *pass, Error *error)
{
    const NetLayer *l = &net->layers[layer];
    Kept *kept = &net->kept[layer];
    const int64_t n = pass->n_rows;
    float *h = net->work.h;

    norm(net, h, kept->mid, &l->ffn_norm, n);
    if (!net->sizes.dense)
        net_answer(net, (Use[]){ { .w = &l->router, .x = h, .y = net->work.scores, .m = n } }, 1);
    TRY(route_rows(net, layer, &kept->plan, pass, error));
    experts(net, layer, kept, net->kept[layer + 1].x, n);
    return OK;
}

Status forward_layer(Net *net, int layer, const Pass *pass, Error *error)
{
    forward_attention(net, layer, pass);
    return forward_experts(net, layer, pass, error);
}

Status forward(Net *net, const Pass *pass, Error *error)
{
    embed(net, pass->batch, net->kept[0].x);                                        /* x [N][D]      */
    for (int layer = 0; layer < net->sizes.n_layers; layer++) TRY(forward_layer(net, layer, pass, error));
    return OK;
}

/* ---- what callers see ---- */

static Status check_batch(const Net *net, const Batch *b, Error *error)
{
    const NetOptions *o = &net->options;
    if (b->n_sequences < 1 || b->n_tokens < 1 || b->n_tokens > o->n_tokens ||
        b->n_sequences * b->n_tokens > o->n_sequences * o->n_tokens)
        return fail(error, BAD_ARGUMENT, "a batch: expected at most %lld sequences of %lld tokens, found %lld of %lld",
                    (long long)o->n_sequences, (long long)o->n_tokens, (long long)b->n_sequences,
                    (long long)b->n_tokens);
    for (int64_t i = 0; i < b->n_sequences * b->n_tokens; i++) {
        const int64_t t = i % b->n_tokens;
        if (b->tokens[i] < 0 || b->tokens[i] >= net->sizes.n_vocab || b->targets[i] >= net->sizes.n_vocab ||
            b->starts[i] < 0 || b->starts[i] > t)
            return fail(error, BAD_ARGUMENT,
                        "token %lld of a batch: expected token and target below %lld and a start up to %lld, "
                        "found %d, %d and %d",
                        (long long)i, (long long)net->sizes.n_vocab, (long long)t, b->tokens[i], b->targets[i],
                        b->starts[i]);
    }
    return OK;
}

static Status begin_pass(const Net *net, const Batch *batch, NetReport *report, double share, Pass *out, Error *error)
{
    TRY(check_batch(net, batch, error));
    *out = (Pass){ .batch = batch, .n_rows = batch->n_sequences * batch->n_tokens, .report = report, .share = share };
    for (int64_t i = 0; i < out->n_rows; i++) out->n_targets += batch->targets[i] >= 0;
    report->n_passes++;
    report->n_rows += out->n_rows;
    return OK;
}

Status net_judge(Net *net, const Batch *batch, NetReport *report, float *logits, Error *error)
{
    Pass pass;
    TRY(begin_pass(net, batch, report, 0.0, &pass, error));
    TRY(forward(net, &pass, error));
    return judge_rows(net, &pass, logits, error);
}

Status net_learn_weighed(Net *net, const Batch *batch, WeighFn *weigh, void *user, double share, NetReport *report,
                         Error *error)
{
    Pass pass;
    TRY(begin_pass(net, batch, report, share, &pass, error));
    TRY(forward(net, &pass, error));
    TRY(learn_rows(net, &pass, weigh, user, error));                                /* work.dx       */
    return backward(net, &pass, error);
}

Status net_learn(Net *net, const Batch *batch, double share, NetReport *report, Error *error)
{
    return net_learn_weighed(net, batch, NULL, NULL, share, report, error);
}
