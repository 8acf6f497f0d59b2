/* SPDX-License-Identifier: Apache-2.0
 * train/loss.c - the end of the way forward and the beginning of the way back: last norm, logits, cross entropy.
 *
 * Logits are many (V for each token), so only tokens that count get theirs, some rows at a time, and the gradient
 * replaces them where they lie.  How many rows depends on V alone. */
#include "train/parts.h"

#include <math.h>
#include <string.h>

/* One chunk of wanted tokens. */
typedef struct Chunk {
    Net        *net;
    const Pass *pass;
    int64_t     begin, n;               /* in work.wanted                                   */
    bool        learns, weighed;
} Chunk;

static int64_t list_wanted(Net *net, const Pass *pass, bool all)
{
    int64_t n = 0;
    for (int64_t i = 0; i < pass->n_rows; i++)
        if (all || pass->batch->targets[i] >= 0) net->work.wanted[n++] = (int32_t)i;
    return n;
}

/* d(loss) / d(log p of the target) of a token, with its sign turned. */
static float pull_of(const Chunk *c, int64_t token)
{
    return c->weighed ? -c->net->work.dlogprobs[token] : (float)c->pass->share;
}

/* Row i of a chunk: -log p of its target, and, when it learns, logits become pull * (p - [the target]). */
static void judge_row(void *arg, int64_t i, int worker)
{
    const Chunk *c = arg;
    const NetWork *w = &c->net->work;
    const Kernels *k = c->net->kernels;
    const int64_t n_vocab = c->net->sizes.n_vocab, token = w->wanted[c->begin + i];
    const int32_t target = c->pass->batch->targets[token];
    float *row = w->logits + i * n_vocab;
    (void)worker;
    if (target < 0) return;
    const double at_target = (double)row[target];
    const float max = k->max_f32(row, (size_t)n_vocab), sum = k->exp_sum(row, max, (size_t)n_vocab);
    w->losses[token] = (double)max + log((double)sum) - at_target;
    w->logprobs[token] = (float)-w->losses[token];
    if (!c->learns) return;
    const float pull = pull_of(c, token);
    k->scale(row, pull / sum, (size_t)n_vocab);
    row[target] -= pull;
}

static void pick(const Chunk *c)
{
    const NetWork *w = &c->net->work;
    const int64_t width = c->net->sizes.width;
    for (int64_t i = 0; i < c->n; i++)
        memcpy(w->picked + i * width, w->h + w->wanted[c->begin + i] * width, (size_t)width * sizeof *w->h);
}

static void put_back(const Chunk *c)
{
    const NetWork *w = &c->net->work;
    const int64_t width = c->net->sizes.width;
    for (int64_t i = 0; i < c->n; i++)
        memcpy(w->dh + w->wanted[c->begin + i] * width, w->dpicked + i * width, (size_t)width * sizeof *w->dh);
}

static void run_chunk(const Chunk *c, float *logits)
{
    Net *net = c->net;
    const NetWork *w = &net->work;
    const Use out = { .w = &net->out, .x = w->picked, .y = w->logits, .dx = w->dpicked, .m = c->n };
    pick(c);
    net_answer(net, &out, 1);                                                       /* logits        */
    if (logits)                                                                     /* all are wanted */
        copy_rows(net, logits + c->begin * net->sizes.n_vocab, w->logits, c->n * net->sizes.n_vocab);
    pool_run(net->pool, judge_row, (void *)c, c->n);
    if (!c->learns) return;
    back_to_weights(net, &out, 1);
    back_to_input(net, &out, 1);
    put_back(c);
}

static void run_chunks(Net *net, const Pass *pass, bool learns, bool weighed, float *logits)
{
    const int64_t n_wanted = list_wanted(net, pass, logits != NULL);
    Chunk c = { .net = net, .pass = pass, .learns = learns, .weighed = weighed };
    for (c.begin = 0; c.begin < n_wanted; c.begin += c.n) {
        c.n = n_wanted - c.begin < net->work.chunk ? n_wanted - c.begin : net->work.chunk;
        run_chunk(&c, logits);
    }
}

/* ORDER loss: tokens of the batch upwards, in double. */
static Status tell(const Net *net, const Pass *pass, Error *error)
{
    double loss = 0;
    for (int64_t i = 0; i < pass->n_rows; i++)
        if (pass->batch->targets[i] >= 0) loss += net->work.losses[i];
    if (!isfinite(loss)) return fail(error, FAILED, "the loss of a batch is no number");
    pass->report->loss += loss;
    pass->report->n_targets += pass->n_targets;
    return OK;
}

static const float *last_x(const Net *net)
{
    return net->kept[net->sizes.n_layers].x;
}

Status judge_rows(Net *net, const Pass *pass, float *logits, Error *error)
{
    norm(net, net->work.h, last_x(net), &net->out_norm, pass->n_rows);
    run_chunks(net, pass, false, false, logits);
    return tell(net, pass, error);
}

Status learn_rows(Net *net, const Pass *pass, WeighFn *weigh, void *user, Error *error)
{
    const NetWork *w = &net->work;
    const size_t n_bytes = (size_t)(pass->n_rows * net->sizes.width) * sizeof *w->dx;
    norm(net, w->h, last_x(net), &net->out_norm, pass->n_rows);
    if (weigh) {
        memset(w->logprobs, 0, (size_t)pass->n_rows * sizeof *w->logprobs);
        run_chunks(net, pass, false, false, NULL);
        TRY(weigh(user, w->logprobs, w->dlogprobs, error));
    }
    memset(w->dh, 0, n_bytes);
    memset(w->dx, 0, n_bytes);
    run_chunks(net, pass, true, weigh != NULL, NULL);
    TRY(tell(net, pass, error));
    norm_back(net, w->dx, w->dh, last_x(net), &net->out_norm, pass->n_rows);
    return OK;
}
