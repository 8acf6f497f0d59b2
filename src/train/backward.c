/* SPDX-License-Identifier: Apache-2.0
 * train/backward.c - the way back: forward.c from its end to its beginning.
 *
 * work.dx is the gradient of the residual stream.  It passes a block unchanged (x was added) and the block's own
 * gradient is added to it. */
#include "train/parts.h"

/* dx += d norm(mid) of the mixture of experts */
static void backward_experts(Net *net, int layer, const Pass *pass)
{
    const NetLayer *l = &net->layers[layer];
    const Kept *kept = &net->kept[layer];
    NetWork *w = &net->work;
    const int64_t n = pass->n_rows;

    norm(net, w->h, kept->mid, &l->ffn_norm, n);
    experts_back(net, layer, kept, n);                                              /* dh [N][D]     */
    if (!net->sizes.dense) {
        route_back(net, &kept->plan, pass);                                         /* scores [N][E] */
        const Use router = { .w = &l->router, .x = w->h, .y = w->scores, .dx = w->dh, .m = n, .adds = true };
        back_to_weights(net, &router, 1);
        back_to_input(net, &router, 1);
    }
    norm_back(net, w->dx, w->dh, kept->mid, &l->ffn_norm, n);
}

/* dx += d norm(x) of attention */
static void backward_attention(Net *net, int layer, const Pass *pass)
{
    const NetLayer *l = &net->layers[layer];
    const Kept *kept = &net->kept[layer];
    const Sizes *s = &net->sizes;
    NetWork *w = &net->work;
    const int64_t n = pass->n_rows;

    const Use out = { .w = &l->o, .x = kept->heads, .y = w->dx, .dx = w->dheads, .m = n };
    back_to_weights(net, &out, 1);
    back_to_input(net, &out, 1);                                                    /* dheads [N][H] */
    attend_back(net, kept, pass->batch);                                            /* dq, dk, dv    */
    turn(net, w->dq, s->n_heads, pass->batch, true);
    turn(net, w->dk, s->n_kv_heads, pass->batch, true);
    norm(net, w->h, kept->x, &l->attn_norm, n);
    const Use in[] = { { .w = &l->q, .x = w->h, .y = w->dq, .dx = w->dh, .m = n },
                       { .w = &l->k, .x = w->h, .y = w->dk, .dx = w->dh, .m = n },
                       { .w = &l->v, .x = w->h, .y = w->dv, .dx = w->dh, .m = n } };
    back_to_weights(net, in, 3);
    back_to_input(net, in, 3);                                                      /* dh [N][D]     */
    norm_back(net, w->dx, w->dh, kept->x, &l->attn_norm, n);
}

Status backward(Net *net, const Pass *pass, Error *error)
{
    for (int layer = (int)net->sizes.n_layers - 1; layer >= 0; layer--) {
        if (net->options.recompute) {
            Pass again = *pass;
            again.report = NULL;                    /* it has been told already */
            TRY(forward_layer(net, layer, &again, error));
        }
        backward_experts(net, layer, pass);
        backward_attention(net, layer, pass);
    }
    embed_back(net, pass->batch, net->work.dx);
    return OK;
}
