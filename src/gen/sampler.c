/* SPDX-License-Identifier: Apache-2.0
 * gen/sampler.c - one row of logits to one token; the order of the steps is in the header.
 *
 * Candidates shrink from filter to filter.  A filter that needs an order makes a heap and pops
 * only what it keeps, so that a nucleus of ten tokens costs one pass over the vocabulary and ten
 * pops, not a sort.  Equal keys give way to the lower id, and every sum is taken in double along
 * the candidates as they lie: nothing depends on anything but logits, options and seed. */
#include "gen/sampler.h"

#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Candidate {
    double  key;                    /* a heap gives the largest first                       */
    float   logit;                  /* finite                                               */
    int32_t id;
} Candidate;

struct Sampler {
    SamplerOptions options;
    LogitBias     *bias;            /* our copy; options.bias is it                         */
    Rng            rng;
    int64_t        n_vocab;
    float         *logits;          /* [V] with bias and penalties                          */
    uint32_t      *seen;            /* [V] times in the window; all 0 between calls         */
    Candidate     *kept, *other;    /* [V] each; filters pop from one to the other          */
    int64_t        n_kept;
};

/* ---- options ---- */

static Status check_range(const char *name, double value, double low, double high, Error *error)
{
    if (value >= low && value <= high) return OK;       /* false for NaN                        */
    return fail(error, BAD_ARGUMENT, "%s: expected a number from %g to %g, found %g", name, low,
                high, value);
}

static Status check_bias(int64_t n_vocab, const SamplerOptions *o, Error *error)
{
    for (size_t i = 0; i < o->n_bias; i++) {
        const LogitBias *b = &o->bias[i];
        if (b->token < 0 || b->token >= n_vocab)
            return fail(error, BAD_ARGUMENT,
                        "logit bias: expected a token from 0 to %lld, found %d",
                        (long long)(n_vocab - 1), (int)b->token);
        if (isnan(b->add) || b->add == INFINITY)        /* minus infinity forbids the token     */
            return fail(error, BAD_ARGUMENT,
                        "logit bias of token %d: expected a finite number or -inf, found %g",
                        (int)b->token, (double)b->add);
    }
    return OK;
}

static Status check_options(int64_t n_vocab, const SamplerOptions *o, Error *error)
{
    TRY(check_range("number of tokens to choose from", (double)n_vocab, 1, INT32_MAX, error));
    TRY(check_range("temperature", (double)o->temperature, 0, 1e6, error));
    TRY(check_range("top_k", o->top_k, 0, INT32_MAX, error));
    TRY(check_range("top_p", (double)o->top_p, 0, 1, error));
    TRY(check_range("min_p", (double)o->min_p, 0, 1, error));
    TRY(check_range("typical_p", (double)o->typical_p, 0, 1, error));
    TRY(check_range("repeat_penalty", (double)o->repeat_penalty, (double)1e-6f, 1e6, error));
    TRY(check_range("presence_penalty", (double)o->presence_penalty, -1e6, 1e6, error));
    TRY(check_range("frequency_penalty", (double)o->frequency_penalty, -1e6, 1e6, error));
    TRY(check_range("penalty_last_n", o->penalty_last_n, -1, INT32_MAX, error));
    return check_bias(n_vocab, o, error);
}

Status sampler_new(int64_t n_vocab, const SamplerOptions *options, Sampler **out, Error *error)
{
    *out = NULL;
    TRY(check_options(n_vocab, options, error));
    Sampler *s = calloc(1, sizeof *s);
    if (!s) return fail_memory(error, "a sampler");

    const size_t n = (size_t)n_vocab;
    *s = (Sampler){ .options = *options, .rng = { options->seed }, .n_vocab = n_vocab };
    s->bias   = calloc(options->n_bias + 1, sizeof *s->bias);
    s->logits = calloc(n, sizeof *s->logits);
    s->seen   = calloc(n, sizeof *s->seen);
    s->kept   = calloc(n, sizeof *s->kept);
    s->other  = calloc(n, sizeof *s->other);
    if (!s->bias || !s->logits || !s->seen || !s->kept || !s->other) {
        sampler_free(s);
        return fail_memory(error, "a sampler");
    }
    if (options->n_bias) memcpy(s->bias, options->bias, options->n_bias * sizeof *s->bias);
    s->options.bias = s->bias;
    *out = s;
    return OK;
}

void sampler_free(Sampler *s)
{
    if (!s) return;
    free(s->bias);
    free(s->logits);
    free(s->seen);
    free(s->kept);
    free(s->other);
    free(s);
}

/* ---- bias and penalties ---- */

static Status load_logits(Sampler *s, const float *logits, Error *error)
{
    for (int64_t i = 0; i < s->n_vocab; i++)
        if (isnan(logits[i]) || logits[i] == INFINITY)
            return fail(error, FAILED, "the logit of token %lld is %s", (long long)i,
                        isnan(logits[i]) ? "not a number" : "infinite");
    memcpy(s->logits, logits, (size_t)s->n_vocab * sizeof *logits);
    for (size_t i = 0; i < s->options.n_bias; i++) s->logits[s->bias[i].token] += s->bias[i].add;
    return OK;
}

/* Repetition: Keskar et al., CTRL, arXiv 1909.05858, with the sign minded.  Frequency is charged
 * for every occurrence, presence once. */
static float penalised(const SamplerOptions *o, float logit, uint32_t times)
{
    logit = logit > 0 ? logit / o->repeat_penalty : logit * o->repeat_penalty;
    return logit - (float)times * o->frequency_penalty - o->presence_penalty;
}

static Status apply_penalties(Sampler *s, const int32_t *history, size_t n_history, Error *error)
{
    const SamplerOptions *o = &s->options;
    if (o->repeat_penalty == 1 && o->presence_penalty == 0 && o->frequency_penalty == 0) return OK;

    const size_t n_back = o->penalty_last_n < 0 ? n_history : (size_t)o->penalty_last_n;
    const size_t n = n_back < n_history ? n_back : n_history;
    const int32_t *window = n ? history + (n_history - n) : NULL;
    for (size_t i = 0; i < n; i++)
        if (window[i] < 0 || window[i] >= s->n_vocab)
            return fail(error, BAD_ARGUMENT, "history: expected tokens from 0 to %lld, found %d",
                        (long long)(s->n_vocab - 1), (int)window[i]);

    for (size_t i = 0; i < n; i++) s->seen[window[i]]++;
    for (size_t i = 0; i < n; i++) {
        const int32_t token = window[i];
        if (!s->seen[token]) continue;                  /* charged already                      */
        s->logits[token] = penalised(o, s->logits[token], s->seen[token]);
        s->seen[token] = 0;
    }
    return OK;
}

/* ---- candidates ---- */

/* The largest logit, the lower id on a tie; -1 when all are minus infinity. */
static int32_t largest(const Sampler *s)
{
    int32_t best = -1;
    float best_logit = -INFINITY;
    for (int64_t i = 0; i < s->n_vocab; i++) {
        if (!(s->logits[i] > best_logit)) continue;
        best_logit = s->logits[i];
        best = (int32_t)i;
    }
    return best;
}

static void gather(Sampler *s)
{
    s->n_kept = 0;
    for (int64_t i = 0; i < s->n_vocab; i++)
        if (s->logits[i] > -INFINITY)
            s->kept[s->n_kept++] = (Candidate){ .logit = s->logits[i], .id = (int32_t)i };
}

static bool before(const Candidate *a, const Candidate *b)
{
    return a->key > b->key || (a->key == b->key && a->id < b->id);
}

static void sift_down(Candidate *heap, int64_t n, int64_t hole)
{
    const Candidate moving = heap[hole];
    for (int64_t child; (child = 2 * hole + 1) < n; hole = child) {
        if (child + 1 < n && before(&heap[child + 1], &heap[child])) child++;
        if (!before(&heap[child], &moving)) break;
        heap[hole] = heap[child];
    }
    heap[hole] = moving;
}

static void make_heap(Candidate *heap, int64_t n)
{
    for (int64_t i = n / 2 - 1; i >= 0; i--) sift_down(heap, n, i);
}

static Candidate pop(Candidate *heap, int64_t *n)
{
    const Candidate first = heap[0];
    heap[0] = heap[--*n];
    if (*n) sift_down(heap, *n, 0);
    return first;
}

static float largest_kept(const Sampler *s)
{
    float most = s->kept[0].logit;
    for (int64_t i = 1; i < s->n_kept; i++)
        if (s->kept[i].logit > most) most = s->kept[i].logit;
    return most;
}

static double weight(float logit, float most, double temperature)
{
    return exp(((double)logit - (double)most) / temperature);
}

static double sum_weights(const Sampler *s, float most, double temperature)
{
    double sum = 0.0;
    for (int64_t i = 0; i < s->n_kept; i++) sum += weight(s->kept[i].logit, most, temperature);
    return sum;
}

/* ---- filters: each leaves at least one candidate ---- */

/* Keep candidates by falling key until they hold `share` of all probability, or are n_most. */
static void keep_first(Sampler *s, double share, int64_t n_most)
{
    const float most = largest_kept(s);
    const double enough = share * sum_weights(s, most, 1.0);
    double held = 0.0;
    int64_t n_left = s->n_kept, n = 0;
    make_heap(s->kept, n_left);
    do {
        s->other[n] = pop(s->kept, &n_left);
        held += weight(s->other[n++].logit, most, 1.0);
    } while (n_left && n < n_most && held < enough);

    Candidate *swap = s->kept;
    s->kept = s->other;
    s->other = swap;
    s->n_kept = n;
}

static void key_by_logit(Sampler *s)
{
    for (int64_t i = 0; i < s->n_kept; i++) s->kept[i].key = (double)s->kept[i].logit;
}

/* Those whose surprise is nearest to the expected one come first.
 * Source: Meister et al., Locally Typical Sampling, arXiv 2202.00666. */
static void key_by_typicality(Sampler *s)
{
    const float most = largest_kept(s);
    const double log_sum = log(sum_weights(s, most, 1.0));
    double entropy = 0.0;
    for (int64_t i = 0; i < s->n_kept; i++) {
        const double log_p = (double)s->kept[i].logit - (double)most - log_sum;
        entropy -= exp(log_p) * log_p;
    }
    for (int64_t i = 0; i < s->n_kept; i++) {
        const double log_p = (double)s->kept[i].logit - (double)most - log_sum;
        s->kept[i].key = -fabs(-log_p - entropy);
    }
}

static void filter_top_k(Sampler *s)
{
    if (s->options.top_k == 0 || s->options.top_k >= s->n_kept) return;
    key_by_logit(s);
    keep_first(s, INFINITY, s->options.top_k);
}

static void filter_typical(Sampler *s)
{
    if (s->options.typical_p >= 1) return;
    key_by_typicality(s);
    keep_first(s, (double)s->options.typical_p, s->n_kept);
}

static void filter_top_p(Sampler *s)
{
    if (s->options.top_p >= 1) return;
    key_by_logit(s);
    keep_first(s, (double)s->options.top_p, s->n_kept);
}

/* At least min_p times as likely as the likeliest; the likeliest always is. */
static void filter_min_p(Sampler *s)
{
    if (s->options.min_p <= 0) return;
    const double least = (double)largest_kept(s) + log((double)s->options.min_p);
    int64_t n = 0;
    for (int64_t i = 0; i < s->n_kept; i++)
        if ((double)s->kept[i].logit >= least) s->kept[n++] = s->kept[i];
    s->n_kept = n;
}

/* ---- the choice ---- */

static int32_t draw(Sampler *s)
{
    const double temperature = (double)s->options.temperature;
    const float most = largest_kept(s);
    const double mark = rng_unit(&s->rng) * sum_weights(s, most, temperature);
    double passed = 0.0;
    int32_t last = s->kept[0].id;           /* the mark may round up to the whole sum       */
    for (int64_t i = 0; i < s->n_kept; i++) {
        const double w = weight(s->kept[i].logit, most, temperature);
        if (w > 0) last = s->kept[i].id;
        passed += w;
        if (mark < passed) return s->kept[i].id;
    }
    return last;
}

/* ORDER sampler */
Status sampler_pick(Sampler *s, const float *logits, const int32_t *history, size_t n_history,
                    int32_t *out, Error *error)
{
    TRY(load_logits(s, logits, error));
    TRY(apply_penalties(s, history, n_history, error));
    const int32_t best = largest(s);
    if (best < 0)
        return fail(error, FAILED, "no token can be chosen: every logit is minus infinity");
    /* A wild penalty or bias may have carried a logit beyond what a float holds. */
    if (s->logits[best] == INFINITY)
        return fail(error, FAILED, "bias and penalties make the logit of token %d infinite",
                    (int)best);
    *out = best;
    if (s->options.temperature == 0) return OK;

    gather(s);
    filter_top_k(s);
    filter_typical(s);
    filter_top_p(s);
    filter_min_p(s);
    *out = draw(s);
    return OK;
}
