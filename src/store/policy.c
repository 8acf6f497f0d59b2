/* SPDX-License-Identifier: Apache-2.0
 * store/policy.c - see policy.h.  Each policy is one function: how long until this expert is asked for again?
 * The expert with the longest wait leaves; of equals, the one that was used longer ago.
 *
 * How often an expert is used is remembered by several averages at once: over the last few rows, over the last
 * thousand, and between.  Which of them tells the next row best depends on the model and on the text, so that is
 * learned too: after every layer, a regression of what was used on what the averages had said. */
#include "store/policy.h"

#include "base/checked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_MEMORIES = 4,
    N_TERMS    = N_MEMORIES + 1,        /* and one that says: all alike                    */
    HOT_STEPS  = 64                     /* how long the hot set stays as it is             */
};

/* Rows that an average remembers.  The last one is also what LFU goes by, and what comes from earlier runs. */
static const float memory_rows[N_MEMORIES] = { 2, 12, 80, 1000 };

struct Policy {
    const PolicyKind *kind;
    int      n_layers, n_experts;
    int64_t  n_steps, now;              /* now: counts uses                                */
    int64_t *last_used;                 /* [L*E] value of now, 0: never                    */
    int64_t *uses;                      /* [L*E] rows served                               */
    int32_t *rows;                      /* [L*E] rows served in this step                  */
    float  (*share)[N_MEMORIES];        /* [L*E] of its layer's answers, as remembered     */
    float   *base;                      /* [L*E] layers to wait beyond the first chance    */
    int16_t *layer_of;                  /* [L*E]                                           */
    int64_t *layer_rows;                /* [L] rows averaged so far                        */
    int64_t *unit;                      /* [L] answers per row: the least of any step, 0: unknown */
    int      layer;                     /* whose uses are being counted; -1: none          */
    double   here_rows, last_rows;      /* T of this step as far as known, and of the one before */
    /* least squares: [term][term], and against what was used */
    double   normal[N_TERMS][N_TERMS], seen[N_TERMS], weight[N_TERMS];
    float    hot_from;                  /* share of the coldest expert of the hot set      */
    int64_t  hot_until;                 /* the step when that is looked at again           */
    float   *hot_scratch;               /* [L*E]                                           */
};

/* ---- what is learned from use ---- */

/* The weights of the regression, none below 0: a few rounds of coordinate descent from where they are. */
static void refit(Policy *p)
{
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < N_TERMS; i++) {
            double rest = p->seen[i];
            for (int j = 0; j < N_TERMS; j++)
                if (j != i) rest -= p->normal[i][j] * p->weight[j];
            p->weight[i] = p->normal[i][i] > 0 && rest > 0 ? rest / p->normal[i][i] : 0;
        }
}

/* Compares what the averages say of a layer with what was used. */
static void regress(Policy *p, int first, double scale)
{
    const float alike = 1.0f / (float)p->n_experts;
    const double keep = 1 - 1.0 / (200.0 * p->n_layers);
    for (int i = 0; i < N_TERMS; i++) {
        p->seen[i] *= keep;
        for (int j = 0; j < N_TERMS; j++) p->normal[i][j] *= keep;
    }
    float normal[N_TERMS][N_TERMS] = { { 0 } }, seen[N_TERMS] = { 0 };
    for (int key = first; key < first + p->n_experts; key++) {
        float term[N_TERMS];
        memcpy(term, p->share[key], sizeof p->share[key]);
        term[N_MEMORIES] = alike;
        const float now = (float)(p->rows[key] * scale);
        for (int i = 0; i < N_TERMS; i++) {
            seen[i] += term[i] * now;
            for (int j = 0; j <= i; j++) normal[i][j] += term[i] * term[j];
        }
    }
    for (int i = 0; i < N_TERMS; i++) {
        p->seen[i] += (double)seen[i];
        for (int j = 0; j <= i; j++) {
            p->normal[i][j] += (double)normal[i][j];
            if (j < i) p->normal[j][i] = p->normal[i][j];
        }
    }
}

/* How long each expert of a layer waits, in layers, from its first chance on: with probability chance it is asked
 * then, else a step later, and so on. */
static void foresee(Policy *p, int layer)
{
    const int first = layer * p->n_experts;
    const double unit = p->unit[layer] ? (double)p->unit[layer] : 1;
    for (int key = first; key < first + p->n_experts; key++) {
        double chance = p->weight[N_MEMORIES] / p->n_experts;
        for (int i = 0; i < N_MEMORIES; i++) chance += p->weight[i] * (double)p->share[key][i];
        chance *= unit;
        if (!(chance > 1e-6)) chance = 1e-6;
        p->base[key] = chance < 1 ? (float)(p->n_layers * (1 - chance) / chance) : 0;
    }
}

/* A layer is over: its uses become averages. */
static void settle(Policy *p)
{
    if (p->layer < 0) return;
    const int layer = p->layer, first = layer * p->n_experts;
    p->layer = -1;
    int64_t answers = 0;
    for (int e = 0; e < p->n_experts; e++) answers += p->rows[first + e];
    if (answers == 0) return;

    if (!p->unit[layer] || answers < p->unit[layer]) p->unit[layer] = answers;
    const double n_rows = (double)answers / (double)p->unit[layer];
    p->here_rows = n_rows;
    p->layer_rows[layer] += (int64_t)n_rows;
    regress(p, first, 1.0 / (double)answers);

    for (int i = 0; i < N_MEMORIES; i++) {
        const double known = (double)p->layer_rows[layer] + 1;      /* and "all alike" counts for a row */
        const double fading = 1 - pow(1 - 1 / (double)memory_rows[i], n_rows), mean = n_rows / known;
        const float rate = (float)(fading > mean ? fading : mean), scale = 1.0f / (float)answers;
        for (int key = first; key < first + p->n_experts; key++)
            p->share[key][i] += rate * ((float)p->rows[key] * scale - p->share[key][i]);
    }
    memset(&p->rows[first], 0, (size_t)p->n_experts * sizeof *p->rows);
    foresee(p, layer);
}

void policy_step(Policy *p)
{
    settle(p);
    p->last_rows = p->here_rows;
    p->n_steps++;
    if (p->n_steps > 1) refit(p);
}

void policy_used(Policy *p, int32_t key, int n_rows)
{
    if (p->layer != p->layer_of[key]) {
        settle(p);
        p->layer = p->layer_of[key];
    }
    p->rows[key] += n_rows;
    p->uses[key] += n_rows;
    p->last_used[key] = ++p->now;
}

void policy_prime(Policy *p, const float *shares, int64_t n_rows)
{
    if (n_rows < 1) return;
    for (int32_t key = 0; key < p->n_layers * p->n_experts; key++)
        for (int i = 0; i < N_MEMORIES; i++) p->share[key][i] = shares[key];
    for (int layer = 0; layer < p->n_layers; layer++) {
        p->layer_rows[layer] = n_rows;
        foresee(p, layer);
    }
}

const int64_t *policy_uses(const Policy *p)
{
    return p->uses;
}

/* ---- the policies ---- */

/* Layers until its first chance, and from there on as long as it usually takes.  More rows in a step ask more
 * often: T of them spare the wait T-1 steps. */
static float next_wait(const Policy *p, int32_t key, int layer)
{
    const int ahead = p->layer_of[key] - layer, n_layers = p->n_layers;
    /* When a step asks for about everything it is a prompt; what comes after it will not be. */
    const double every = 4.0 * p->n_experts;
    const double rows = ahead > 0 || p->here_rows < every ? p->here_rows : 1;
    const float spared = rows > 1 ? (float)((rows - 1) * n_layers) : 0;
    const float rest = p->base[key] > spared ? p->base[key] - spared : 0;
    return rest + (float)(ahead > 0 ? ahead : ahead + n_layers);
}

static float lru_wait(const Policy *p, int32_t key, int layer)
{
    (void)layer;
    return (float)(p->now - p->last_used[key]);
}

/* Every layer has a share of the room, and lru in it.
 * Source: Eliseev, Mazur, "Fast Inference of Mixture-of-Experts Language Models with Offloading", arXiv 2312.17238. */
static float layer_wait(const Policy *p, int32_t key, int layer)
{
    const float age = lru_wait(p, key, layer);
    return p->layer_of[key] == layer ? age : -1 / (1 + age);
}

static float lfu_wait(const Policy *p, int32_t key, int layer)
{
    (void)layer;
    return 1 - p->share[key][N_MEMORIES - 1];
}

/* The hot set goes last: its waits are below those of all others. */
static float hot_wait(const Policy *p, int32_t key, int layer)
{
    const bool hot = p->share[key][N_MEMORIES - 1] >= p->hot_from;
    return hot ? -1 / (1 + lru_wait(p, key, layer)) : lru_wait(p, key, layer);
}

const PolicyKind policy_kinds[] = {
    { POLICY_DEFAULT, "the longest expected wait goes, by frequency, recency and layer", next_wait },
    { "lru", "the least recently used goes", lru_wait },
    { "layer", "the least recently used of the same layer goes", layer_wait },
    { "lfu", "the least frequently used goes; old uses fade", lfu_wait },
    { "hot", "the most used half stays, the rest goes by lru", hot_wait },
};
const int n_policy_kinds = ARRAY_LEN(policy_kinds);

/* ---- who leaves ---- */

/* The k-th largest of x[n], k from 0.  Source: Hoare, Algorithm 65: Find, 1961. */
static float kth_largest(float *x, int n, int k)
{
    for (int low = 0, high = n - 1; low < high;) {
        const float pivot = x[low + (high - low) / 2];
        int i = low, j = high;
        while (i <= j) {
            while (x[i] > pivot) i++;
            while (x[j] < pivot) j--;
            if (i > j) break;
            const float swap = x[i];
            x[i++] = x[j];
            x[j--] = swap;
        }
        if (k <= j) high = j;
        else if (k >= i) low = i;
        else break;
    }
    return x[k];
}

/* Half of the room that there is belongs to the hot set. */
static void choose_hot(Policy *p, int n_resident)
{
    const int n = p->n_layers * p->n_experts, n_hot = n_resident / 2;
    p->hot_until = p->n_steps + HOT_STEPS;
    p->hot_from = 2;                                    /* no share is that large: nobody      */
    for (int key = 0; key < n; key++) p->hot_scratch[key] = p->share[key][N_MEMORIES - 1];
    if (n_hot > 0) p->hot_from = kth_largest(p->hot_scratch, n, n_hot < n ? n_hot - 1 : n - 1);
}

int policy_victim(Policy *p, const int32_t *candidates, int n, int layer)
{
    if (p->layer >= 0 && p->layer != layer) settle(p);
    if (p->kind->wait == hot_wait && p->n_steps >= p->hot_until) choose_hot(p, n);
    int worst = 0;
    float longest = p->kind->wait(p, candidates[0], layer);
    for (int i = 1; i < n; i++) {
        const float wait = p->kind->wait(p, candidates[i], layer);
        if (wait < longest) continue;
        if (wait > longest || p->last_used[candidates[i]] < p->last_used[candidates[worst]]) {
            worst = i;
            longest = wait;
        }
    }
    return worst;
}

/* ---- making and ending ---- */

const PolicyKind *policy_kind(const char *name)
{
    for (int i = 0; i < n_policy_kinds; i++)
        if (strcmp(policy_kinds[i].name, name) == 0) return &policy_kinds[i];
    return NULL;
}

const char *policy_name(const Policy *p)
{
    return p->kind->name;
}

static Status no_such(const char *name, Error *error)
{
    const char *names[ARRAY_LEN(policy_kinds) + 1] = { NULL };
    for (int i = 0; i < n_policy_kinds; i++) names[i] = policy_kinds[i].name;
    return fail_choice("policy", names, name, error);
}

static bool allocate(Policy *p, size_t n, size_t n_layers)
{
    return (p->last_used = calloc(n, sizeof *p->last_used)) && (p->uses = calloc(n, sizeof *p->uses)) &&
           (p->rows = calloc(n, sizeof *p->rows)) && (p->share = calloc(n, sizeof *p->share)) &&
           (p->base = calloc(n, sizeof *p->base)) && (p->layer_of = calloc(n, sizeof *p->layer_of)) &&
           (p->hot_scratch = calloc(n, sizeof *p->hot_scratch)) &&
           (p->layer_rows = calloc(n_layers, sizeof *p->layer_rows)) &&
           (p->unit = calloc(n_layers, sizeof *p->unit));
}

Status policy_new(const char *name, int n_layers, int n_experts, Policy **out, Error *error)
{
    *out = NULL;
    const PolicyKind *kind = policy_kind(name ? name : POLICY_DEFAULT);
    if (!kind) return no_such(name, error);
    int64_t n_keys;
    if (n_layers < 1 || n_experts < 1 || n_layers > INT16_MAX ||
        !checked_mul(n_layers, n_experts, &n_keys) || n_keys > INT32_MAX)
        return fail(error, BAD_ARGUMENT, "policy: expected layers and experts, found %d and %d", n_layers,
                    n_experts);
    Policy *p = calloc(1, sizeof *p);
    if (!p) return fail_memory(error, "the policy");
    *p = (Policy){ .kind = kind, .n_layers = n_layers, .n_experts = n_experts, .layer = -1,
                   .here_rows = 1, .last_rows = 1 };
    if (!allocate(p, (size_t)n_keys, (size_t)n_layers)) {
        policy_free(p);
        return fail_memory(error, "the policy");
    }
    p->weight[N_MEMORIES - 1] = 1;
    for (int32_t key = 0; key < n_keys; key++) {
        p->layer_of[key] = (int16_t)(key / n_experts);
        for (int i = 0; i < N_MEMORIES; i++) p->share[key][i] = 1.0f / (float)n_experts;
    }
    for (int layer = 0; layer < n_layers; layer++) foresee(p, layer);
    *out = p;
    return OK;
}

void policy_free(Policy *p)
{
    if (!p) return;
    free(p->last_used);
    free(p->uses);
    free(p->rows);
    free(p->share);
    free(p->base);
    free(p->layer_of);
    free(p->layer_rows);
    free(p->unit);
    free(p->hot_scratch);
    free(p);
}
