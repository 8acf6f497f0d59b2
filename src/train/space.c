/* SPDX-License-Identifier: Apache-2.0
 * train/space.c - all the memory of a pass, made once: nothing is allocated while a net learns. */
#include "base/checked.h"
#include "train/parts.h"

#include <math.h>

enum {
    LOGITS_MAX = 1 << 21,               /* of a chunk                                       */
    CHUNK_ROWS_MIN = 64,
    LIST_WORDS_MAX = 1 << 23            /* of strips that only make rounds longer           */
};

typedef struct Space {
    Arena  *arena;                      /* NULL: only count                                 */
    int64_t n_bytes;
    bool    failed;
} Space;

static void *take(Space *s, int64_t n, size_t each)
{
    int64_t bytes;
    if (!checked_mul(n > 0 ? n : 1, (int64_t)each, &bytes) || !checked_add(s->n_bytes, bytes + 64, &s->n_bytes)) {
        s->failed = true;
        return NULL;
    }
    if (!s->arena || s->failed) return NULL;
    void *memory = arena_new(s->arena, (size_t)(n > 0 ? n : 1), each);
    s->failed = !memory;
    return memory;
}

static float *take_floats(Space *s, int64_t rows, int64_t cols)
{
    return take(s, rows * cols, sizeof(float));
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- what a layer keeps ---- */

static void take_plan(Space *s, const Sizes *z, int64_t n, Plan *p)
{
    const int64_t n_slots = n * z->n_used;
    p->experts = take(s, n_slots, sizeof *p->experts);
    p->weights = take_floats(s, n_slots, 1);
    p->probs = take_floats(s, n, z->n_experts);
    p->log_sums = take(s, n, sizeof *p->log_sums);
    p->first = take(s, z->n_experts + 1, sizeof *p->first);
    p->counts = take(s, z->n_experts, sizeof *p->counts);
    p->place_of = take(s, n_slots, sizeof *p->place_of);
    p->slot_at = take(s, n_slots, sizeof *p->slot_at);
}

static void take_kept(Space *s, const Sizes *z, int64_t n, Kept *k)
{
    k->q = take_floats(s, n, n_query(z));
    k->k = take_floats(s, n, n_key(z));
    k->v = take_floats(s, n, n_key(z));
    k->heads = take_floats(s, n, n_query(z));
    k->log_sums = take_floats(s, n, z->n_heads);
    k->mid = take_floats(s, n, z->width);
    k->gate = take_floats(s, n * z->n_used, z->hidden);
    k->up = take_floats(s, n * z->n_used, z->hidden);
    take_plan(s, z, n, &k->plan);
}

/* Layers that are gone through again share one set of everything but x. */
static void take_all_kept(Space *s, Net *net, int64_t n)
{
    const int64_t n_layers = net->sizes.n_layers;
    Kept *kept = take(s, n_layers + 1, sizeof *kept), one = { 0 };
    for (int64_t l = 0; l < n_layers; l++) {
        if (l == 0 || !net->options.recompute) take_kept(s, &net->sizes, n, &one);
        one.x = take_floats(s, n, net->sizes.width);
        if (kept) kept[l] = one;
    }
    float *last = take_floats(s, n, net->sizes.width);
    if (kept) kept[n_layers].x = last;
    net->kept = kept;
}

/* ---- what nobody keeps ---- */

static void take_work(Space *s, Net *net, int64_t n, int n_threads)
{
    const Sizes *z = &net->sizes;
    const int64_t n_slots = n * z->n_used, rank = net->rank_max;
    NetWork *w = &net->work;
    w->chunk = larger(CHUNK_ROWS_MIN, LOGITS_MAX / z->n_vocab);
    if (w->chunk > n) w->chunk = n;
    w->low_values = rank * larger(6 * n, 4 * n_slots);          /* q, k, v, or gate and up: both ways */
    w->attend_values = attend_space(net->options.n_tokens, z->head_size);
    w->h = take_floats(s, n, z->width);
    w->dh = take_floats(s, n, z->width);
    w->dx = take_floats(s, n, z->width);
    w->dq = take_floats(s, n, n_query(z));
    w->dk = take_floats(s, n, n_key(z));
    w->dv = take_floats(s, n, n_key(z));
    w->dheads = take_floats(s, n, n_query(z));
    w->rows = take_floats(s, n_slots, z->width);
    w->answers = take_floats(s, n_slots, z->width);
    w->hidden = take_floats(s, n_slots, z->hidden);
    w->dhidden = take_floats(s, n_slots, z->hidden);
    w->scores = take_floats(s, n, z->n_experts);
    w->dweights = take_floats(s, n_slots, 1);
    w->low = take_floats(s, w->low_values, 1);
    w->norms = take_floats(s, n, 1);
    w->logits = take_floats(s, w->chunk, z->n_vocab);
    w->picked = take_floats(s, w->chunk, z->width);
    w->dpicked = take_floats(s, w->chunk, z->width);
    w->wanted = take(s, n, sizeof *w->wanted);
    w->losses = take(s, n, sizeof *w->losses);
    w->logprobs = take_floats(s, n, 1);
    w->dlogprobs = take_floats(s, n, 1);
    w->cosine = take_floats(s, net->options.n_tokens, z->n_turned / 2);
    w->sine = take_floats(s, net->options.n_tokens, z->n_turned / 2);
    w->attend = take_floats(s, n_threads, w->attend_values);
}

/* Strips of the largest product there is, term by term; for lists of experts more, so that a round is not short. */
static int64_t words_wanted(const Net *net, int64_t n)
{
    const Sizes *z = &net->sizes;
    const int64_t widest = larger(larger(z->width, z->hidden), larger(n_query(z), z->n_experts)),
                  low = strip_words(widest, net->rank_max), expert = strip_words(z->width, z->hidden),
                  of_layer = larger(strip_words(z->width, n_query(z)) + 2 * strip_words(z->width, n_key(z)) + 3 * low,
                                    larger(2 * expert + 2 * low, strip_words(z->n_experts, z->width) + low)),
                  ends = strip_words(z->n_vocab, z->width) + strip_words(z->n_vocab, net->rank_max),
                  gradients = strip_words(larger(widest, net->rank_max), n), list = 2 * z->n_experts * expert;
    return larger(larger(larger(of_layer, ends), gradients), list < LIST_WORDS_MAX ? list : LIST_WORDS_MAX);
}

static void take_multiplier(Space *s, Net *net, int64_t n, int n_threads)
{
    const Sizes *z = &net->sizes;
    Multiplier *m = &net->multiplier;
    *m = (Multiplier){ .pool = net->pool, .kernels = net->kernels, .bf16 = net->options.bf16,
                       .n_words = words_wanted(net, n),
                       .own_words = own_words(larger(larger(z->width, z->hidden), n_query(z))) };
    m->strips = take_floats(s, m->n_words, 1);
    m->own = take_floats(s, n_threads, m->own_words);
    net->uses = take(s, 2 * z->n_experts, sizeof *net->uses);
    net->products = take(s, larger(6 * z->n_experts, 9), sizeof *net->products);
}

/* The angle of pair i at place t: t * base^(-2i / turned). */
static void fill_angles(Net *net)
{
    const int64_t n_pairs = net->sizes.n_turned / 2;
    for (int64_t t = 0; t < net->options.n_tokens; t++)
        for (int64_t i = 0; i < n_pairs; i++) {
            const double angle =
                (double)t * pow(net->sizes.rope_base, -2.0 * (double)i / (double)net->sizes.n_turned);
            net->work.cosine[t * n_pairs + i] = (float)cos(angle);
            net->work.sine[t * n_pairs + i] = (float)sin(angle);
        }
}

Status net_space(Net *net, Arena *arena, int n_threads, int64_t *n_bytes, Error *error)
{
    Space s = { .arena = arena };
    const int64_t n = net->options.n_sequences * net->options.n_tokens;
    take_all_kept(&s, net, n);
    take_work(&s, net, n, n_threads);
    take_multiplier(&s, net, n, n_threads);
    *n_bytes = s.n_bytes;
    if (s.failed) return fail_memory(error, "the activations of a network that learns");
    if (arena) fill_angles(net);
    return OK;
}
