/* SPDX-License-Identifier: Apache-2.0
 * model/forward.c - one step of the network: T tokens in, R rows of logits out.
 *
 * Read this file first.  x is the residual stream; each block reads a normed copy of it, h, and its
 * answer, y, is added back.  T tokens, R rows wanted, D width, H query numbers, K key numbers, V
 * vocabulary. Source: Jiang et al. 2024, "Mixtral of Experts", arXiv 2401.04088, section 2. */
#include "model/model.h"

/* Work space is made for the largest step; this step uses its first T rows. */
static void set_rows(Work *w, int64_t n_tokens, int64_t n_used, int64_t n_wanted)
{
    Tensor *of_tokens[] = { &w->x, &w->h, &w->y, &w->q, &w->heads, &w->k, &w->v, &w->scores };
    for (int i = 0; i < ARRAY_LEN(of_tokens); i++) of_tokens[i]->rows = n_tokens;
    w->parts.rows = n_tokens * n_used;
    w->last.rows = w->logits.rows = n_wanted;
    for (int32_t t = 0; t < n_tokens; t++) w->row[t] = t;
}

/* After the last attention only rows go on whose logits are wanted or whose experts are watched: nothing looks at
 * the others any more.  Of a prompt that is one row, and a layer's experts rest. */
static Status keep_asked(Model *m, const Step *step, Work *w)
{
    int32_t n = 0;
    for (int t = 0; t < step->n_tokens; t++) w->place[t] = step->experts && step->experts[t] ? 0 : -1;
    for (int i = 0; i < step->n_wanted; i++) w->place[step->wanted[i]] = 0;
    for (int32_t t = 0; t < step->n_tokens; t++)
        if (w->place[t] == 0) {
            w->row[n] = t;
            w->place[t] = n++;
        }
    for (int i = 0; i < step->n_wanted; i++) w->last_rows[i] = w->place[step->wanted[i]];
    if (n == step->n_tokens) return OK;

    w->y.rows = n;
    TRY(m->device->ops->pick(m->device, &w->y, &w->x, w->row, n));
    const Tensor x = w->x;
    w->x = w->y;
    w->y = x;
    w->y.rows = w->h.rows = w->scores.rows = n;
    w->parts.rows = n * m->sizes.n_used;
    return OK;
}

static Status keep_going(const Step *step, Error *error)
{
    if (!step->cancel || !step->cancel(step->cancel_user)) return OK;
    return fail(error, CANCELLED, "stopped before the step was done");
}

static Status forward(Model *m, const Step *step, Work *w, Error *error)
{
    Device *d = m->device;
    const DeviceOps *op = d->ops;

    TRY(op->embed(d, &w->x, &m->embed, step->tokens, step->n_tokens));      /* x [T][D]      */

    for (int layer = 0; layer < m->sizes.n_layers; layer++) {
        TRY(keep_going(step, error));
        TRY(op->norm(d, &w->h, &w->x, &m->layers[layer].attn_norm));        /* h [T][D]      */
        TRY(attention(m, layer, step, w, error));                           /* y [T][D]      */
        TRY(op->add(d, &w->x, &w->y));

        if (layer == m->sizes.n_layers - 1) TRY(keep_asked(m, step, w));    /* T gets smaller */
        if (w->x.rows == 0) break;
        TRY(op->norm(d, &w->h, &w->x, &m->layers[layer].ffn_norm));
        TRY(moe(m, layer, step, w, error));
        TRY(op->add(d, &w->x, &w->y));
    }
    if (step->n_wanted == 0) return op->wait(d);

    TRY(op->pick(d, &w->last, &w->x, w->last_rows, step->n_wanted));        /* last [R][D]   */
    TRY(op->norm(d, &w->last, &w->last, &m->out_norm));
    TRY(op->project(d, (Tensor *[]){ &w->logits }, &w->last, (const Tensor *[]){ &m->out }, 1));
    TRY(adapt(m, &w->logits, &w->last, &m->out_lora));
    return op->wait(d);                                                     /* logits [R][V] */
}

Status model_forward(Model *m, const Step *step, Work *w, Error *error)
{
    m->device->error = (Error){ 0 };
    set_rows(w, step->n_tokens, m->sizes.n_used, step->n_wanted);
    m->store->ops->begin(m->store, sweeps(&m->sizes, step->n_tokens));
    const Status status = forward(m, step, w, error);
    if (status != OK && m->device->error.code == status && error) *error = m->device->error;
    return status;
}

Status adapt(Model *m, Tensor *y, const Tensor *x, const LowRank *low)
{
    return adapts(low) ? m->device->ops->adapt(m->device, y, x, low) : OK;
}

/* Attention where several query heads share one key head.
 * Source: Ainslie et al. 2023, "GQA", arXiv 2305.13245. */
Status attention(Model *m, int layer, const Step *step, Work *w, Error *error)
{
    (void)error;
    Device *d = m->device;
    const DeviceOps *op = d->ops;
    const Layer *l = &m->layers[layer];
    const KvView seen = kv_view(&m->sizes, layer, step);

    TRY(op->project(d, (Tensor *[]){ &w->q, &w->k, &w->v }, &w->h,          /* q [T][H], k, v [T][K] */
                    (const Tensor *[]){ &l->wq, &l->wk, &l->wv }, 3));
    if (l->lora) {
        TRY(adapt(m, &w->q, &w->h, &l->lora->q));
        TRY(adapt(m, &w->k, &w->h, &l->lora->k));
        TRY(adapt(m, &w->v, &w->h, &l->lora->v));
    }
    TRY(op->rope(d, &w->q, step->positions, &m->rope));
    TRY(op->rope(d, &w->k, step->positions, &m->rope));
    TRY(op->kv_write(d, &seen, &w->k, &w->v));
    TRY(op->attend(d, &w->heads, &w->q, &seen));                            /* heads [T][H]  */
    TRY(op->project(d, (Tensor *[]){ &w->y }, &w->heads, (const Tensor *[]){ &l->wo }, 1));
    return l->lora ? adapt(m, &w->y, &w->heads, &l->lora->o) : OK;
}
