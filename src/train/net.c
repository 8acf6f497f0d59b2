/* SPDX-License-Identifier: Apache-2.0
 * train/net.c - a net is made: which matrices there are, which of them learn, and what they begin as.
 *
 * Read parts.h first.  The list of tensors is that of arch/outline.h; stacked experts are one Param each, one after
 * the other, so that values lie as a file has them. */
#include "train/parts.h"

#include "arch/outline.h"
#include "base/checked.h"
#include "train/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is asked for ---- */

static Status check_options(const Sizes *s, const NetOptions *o, Error *error)
{
    if (o->n_sequences < 1 || o->n_tokens < 1 || o->n_sequences > NET_TOKENS_MAX ||
        o->n_tokens > NET_TOKENS_MAX / o->n_sequences)
        return fail(error, BAD_ARGUMENT, "a batch: expected 1 to %d tokens in all, found %lld sequences of %lld",
                    NET_TOKENS_MAX, (long long)o->n_sequences, (long long)o->n_tokens);
    if (!(o->balance >= 0 && o->router_z >= 0 && o->capacity >= 0))
        return fail(error, BAD_ARGUMENT, "balance, router_z and capacity: expected no number below 0");
    const bool whole = s->n_heads > 0 && s->n_kv_heads > 0 && s->n_heads % s->n_kv_heads == 0 && s->head_size > 0 &&
                       s->n_turned % 2 == 0 && s->n_turned >= 0 && s->n_turned <= s->head_size && s->width > 0 &&
                       s->hidden > 0 && s->n_vocab > 0 && s->n_layers > 0 && s->n_layers <= LAYERS_MAX;
    if (!whole || s->n_experts < 1 || s->n_experts > EXPERTS_MAX || s->n_used < 1 || s->n_used > s->n_experts ||
        (s->dense && s->n_experts != 1))
        return fail(error, BAD_ARGUMENT,
                    "sizes of a network: expected heads in whole groups and at most all experts used, found %lld and "
                    "%lld heads, %lld of %lld experts",
                    (long long)s->n_heads, (long long)s->n_kv_heads, (long long)s->n_used, (long long)s->n_experts);
    return OK;
}

/* An adapter without a matrix would be silently nothing. */
static bool may_have_adapter(const Net *net, int role)
{
    if (role == ROLE_OUT) return !net->tied;
    if (role == ROLE_ROUTER) return !net->sizes.dense;
    return role >= ROLE_GATE || (role >= ROLE_Q && role <= ROLE_O);
}

static Status check_plan(const Net *net, const AdapterPlan *plan, bool from_file, Error *error)
{
    if (plan && !plan->beside && !from_file)
        return fail(error, BAD_ARGUMENT, "adapters: expected a model file, or weights that learn too");
    for (int role = 0; plan && role < N_ROLES; role++) {
        const bool possible = may_have_adapter(net, role);
        if (plan->rank[role] < 0 || plan->rank[role] > (possible ? RANK_MAX : 0))
            return fail(error, BAD_ARGUMENT, "adapter of %s: expected rank 0 to %d, found %d",
                        role == ROLE_OUT      ? "the output matrix"
                        : role == ROLE_ROUTER ? "the router"
                        : possible            ? "a matrix"
                                              : "an embedding or a norm",
                        possible ? RANK_MAX : 0, plan->rank[role]);
    }
    return OK;
}

/* ---- which matrices there are ---- */

typedef struct Builder {
    const Arch        *arch;
    const AdapterPlan *plan;            /* NULL: everything learns                          */
    Net               *net;
    Error             *error;
} Builder;

static bool learns(const Builder *b)
{
    return !b->plan || b->plan->beside;
}

static int rank_of(const Builder *b, Role role, int expert)
{
    if (!b->plan) return 0;
    return role_of_expert(role) && b->plan->experts && !b->plan->experts[expert] ? 0 : b->plan->rank[role];
}

static int64_t n_experts_in(const OutTensor *t)
{
    return t->n_dims == 3 ? t->dims[0] : 1;
}

/* "blk.0.ffn_up.5.weight": the pattern of one expert, or the stacked name and a number where the family has none. */
static void expert_name(const Builder *b, const OutTensor *t, int expert, char name[PARAM_NAME_BYTES])
{
    for (int i = 0; i < b->arch->n_tensors; i++) {
        const TensorRule *rule = &b->arch->tensors[i];
        const char *pattern = rule->name[SOURCE_GGUF];
        const char *first = rule->role == t->role && pattern ? strstr(pattern, "%d") : NULL,
                   *second = first ? strstr(first + 2, "%d") : NULL;
        if (!second) continue;
        snprintf(name, PARAM_NAME_BYTES, "%.*s%d%.*s%d%s", (int)(first - pattern), pattern, t->layer,
                 (int)(second - first) - 2, first + 2, expert, second + 2);
        return;
    }
    snprintf(name, PARAM_NAME_BYTES, "%s.%d", t->name, expert);
}

static Matrix *matrix_at(Net *net, Role role, int layer, int expert)
{
    NetLayer *l = &net->layers[layer];
    switch (role) {
    case ROLE_EMBED:  return &net->embed;
    case ROLE_OUT:    return &net->out;
    case ROLE_Q:      return &l->q;
    case ROLE_K:      return &l->k;
    case ROLE_V:      return &l->v;
    case ROLE_O:      return &l->o;
    case ROLE_ROUTER: return &l->router;
    case ROLE_GATE:   return &l->gate[expert];
    case ROLE_UP:     return &l->up[expert];
    case ROLE_DOWN:   return &l->down[expert];
    default:          abort();          /* norms are no matrices */
    }
}

static Gain *gain_at(Net *net, Role role, int layer)
{
    return role == ROLE_OUT_NORM    ? &net->out_norm
           : role == ROLE_ATTN_NORM ? &net->layers[layer].attn_norm
                                    : &net->layers[layer].ffn_norm;
}

/* The next param; before there is memory it is only counted. */
static Param *add_param(Net *net, const char *name, const char *ending, Param like)
{
    Param *p = net->params ? &net->params[net->n_params] : NULL;
    if (p) {
        *p = like;
        snprintf(p->name, sizeof p->name, "%s%s", name, ending);
        p->value = net->values + net->n_values;
        p->grad = net->grads + net->n_values;
    }
    net->n_params++;
    net->n_values += like.rows * like.cols;
    return p;
}

static void add_adapter(Builder *b, Matrix *m, const char *name)
{
    const int rank = rank_of(b, m->role, m->expert);
    if (rank == 0) return;
    const Param like = { .decays = true, .role = m->role, .layer = m->layer, .expert = m->expert };
    Param a = like, of_b = like;
    a.rows = rank, a.cols = m->cols;
    of_b.rows = m->rows, of_b.cols = rank;
    m->adapter.a = add_param(b->net, name, ".lora_a", a);
    m->adapter.b = add_param(b->net, name, ".lora_b", of_b);
    m->adapter.scale = (float)(b->plan->alpha[m->role] / rank);
    if (rank > b->net->rank_max) b->net->rank_max = rank;
}

static void add_tensor(Builder *b, const OutTensor *t)
{
    Net *net = b->net;
    for (int e = 0; e < n_experts_in(t); e++) {
        char name[PARAM_NAME_BYTES];
        if (t->n_dims == 3) expert_name(b, t, e, name);
        else snprintf(name, sizeof name, "%s", t->name);
        const Param like = { .rows = t->vector ? 1 : t->dims[t->n_dims - 2], .cols = out_cols(t),
                             .decays = !t->vector, .role = t->role, .layer = t->layer, .expert = e };
        Param *p = learns(b) ? add_param(net, name, "", like) : NULL;
        if (t->vector) {
            *gain_at(net, t->role, t->layer) = (Gain){ .value = p ? p->value : NULL, .param = p };
            continue;
        }
        Matrix *m = matrix_at(net, t->role, t->layer, e);
        *m = (Matrix){ .role = t->role, .layer = t->layer, .expert = e,
                       .rows = like.rows, .cols = like.cols, .param = p };
        add_adapter(b, m, name);
    }
}

static void add_all(Builder *b, const OutList *list)
{
    b->net->n_params = 0;
    b->net->n_values = 0;
    for (int i = 0; i < list->n; i++) add_tensor(b, &list->tensors[i]);
    if (b->net->tied) b->net->out = b->net->embed;
}

/* Twice over the list: first it is counted, then there is memory. */
static Status add_params(Builder *b, const OutList *list)
{
    Net *net = b->net;
    Arena *arena = &net->arena;
    const size_t n_experts = (size_t)net->sizes.n_experts;
    net->layers = arena_new(arena, (size_t)net->sizes.n_layers, sizeof *net->layers);
    if (!net->layers) return fail_memory(b->error, "the layers of a network");
    for (int64_t l = 0; l < net->sizes.n_layers; l++) {
        net->layers[l].gate = arena_new(arena, n_experts, sizeof(Matrix));
        net->layers[l].up = arena_new(arena, n_experts, sizeof(Matrix));
        net->layers[l].down = arena_new(arena, n_experts, sizeof(Matrix));
        if (!net->layers[l].gate || !net->layers[l].up || !net->layers[l].down)
            return fail_memory(b->error, "the experts of a network");
    }
    add_all(b, list);
    if (net->n_params == 0) return fail(b->error, BAD_ARGUMENT, "adapters: expected a rank above 0 for some matrix");
    net->values = arena_new(arena, (size_t)net->n_values, sizeof *net->values);
    net->grads = arena_new(arena, (size_t)net->n_values, sizeof *net->grads);
    net->params = arena_new(arena, (size_t)net->n_params, sizeof *net->params);
    if (!net->values || !net->grads || !net->params) return fail_memory(b->error, "the weights of a network");
    add_all(b, list);
    return OK;
}

static Status build(Builder *b, const NetOptions *options)
{
    Net *net = b->net;
    OutList list;
    int64_t n_bytes;
    TRY(out_list(b->arch, &net->sizes, !net->tied, &list, b->error));
    Status status = add_params(b, &list);
    free(list.tensors);
    TRY(status);
    net->options = *options;
    return net_space(net, &net->arena, pool_n_threads(net->pool), &n_bytes, b->error);
}

/* ---- what they begin as ---- */

/* Two normal numbers from two uniform ones.  Source: Box and Muller 1958. */
static void fill_normal(float *to, int64_t n, double deviation, uint64_t seed)
{
    Rng rng = { seed };
    for (int64_t i = 0; i < n; i += 2) {
        const double length = deviation * sqrt(-2.0 * log(1.0 - rng_unit(&rng))),
                     angle = 6.283185307179586 * rng_unit(&rng);
        to[i] = (float)(length * cos(angle));
        if (i + 1 < n) to[i + 1] = (float)(length * sin(angle));
    }
}

/* Every param has a stream of its own, so that adapters leave the others as they were. */
static uint64_t seed_of(uint64_t seed, const char *name)
{
    Rng rng = { seed };
    for (; *name; name++) rng.state = rng_bits(&rng) ^ (uint64_t)(unsigned char)*name;
    return rng_bits(&rng);
}

static bool ends_with(const char *name, const char *ending)
{
    const size_t n = strlen(name), m = strlen(ending);
    return n >= m && !strcmp(name + n - m, ending);
}

/* Matrix a as a uniform one of its width would be: answers keep the size of what enters. */
static void draw(Net *net, Param *p, uint64_t seed)
{
    const int64_t n = p->rows * p->cols;
    const bool into_stream = p->role == ROLE_O || p->role == ROLE_DOWN;
    if (ends_with(p->name, ".lora_b")) return;                                      /* zeros         */
    if (ends_with(p->name, ".lora_a")) {
        fill_normal(p->value, n, 1.0 / sqrt((double)p->cols), seed_of(seed, p->name));
    } else if (!p->decays) {
        for (int64_t i = 0; i < n; i++) p->value[i] = 1.0f;
    } else {
        const double deviation = 0.02 / (into_stream ? sqrt(2.0 * (double)net->sizes.n_layers) : 1.0);
        fill_normal(p->value, n, deviation, seed_of(seed, p->name));
    }
}

/* ---- weights of a file ---- */

static Status read_gain(const WeightSource *from, Net *net, Role role, int layer)
{
    Gain *g = gain_at(net, role, layer);
    if (!g->value) g->value = arena_new(&net->arena, (size_t)net->sizes.width, sizeof *g->value);
    if (!g->value) return fail_memory(from->error, "a norm");
    return weights_decode(from, role, layer, 0, g->value);
}

static Status read_matrix(const WeightSource *from, Net *net, Role role, int layer, int expert)
{
    Matrix *m = matrix_at(net, role, layer, expert);
    if (m->param) return weights_decode(from, role, layer, expert, m->param->value);
    return weights_keep(from, role, layer, expert, &net->arena, &m->format, &m->frozen);
}

static Status read_layer(const WeightSource *from, Net *net, int layer)
{
    TRY(read_gain(from, net, ROLE_ATTN_NORM, layer));
    TRY(read_gain(from, net, ROLE_FFN_NORM, layer));
    for (Role role = ROLE_Q; role <= ROLE_O; role++) TRY(read_matrix(from, net, role, layer, 0));
    if (!net->sizes.dense) TRY(read_matrix(from, net, ROLE_ROUTER, layer, 0));
    for (Role role = ROLE_GATE; role <= ROLE_DOWN; role++)
        for (int e = 0; e < net->sizes.n_experts; e++) TRY(read_matrix(from, net, role, layer, e));
    return OK;
}

static Status read_all(const WeightSource *from, Net *net)
{
    TRY(read_matrix(from, net, ROLE_EMBED, 0, 0));
    for (int layer = 0; layer < net->sizes.n_layers; layer++) TRY(read_layer(from, net, layer));
    TRY(read_gain(from, net, ROLE_OUT_NORM, 0));
    if (!net->tied) return read_matrix(from, net, ROLE_OUT, 0, 0);
    net->out = net->embed;
    return OK;
}

/* ---- what callers see ---- */

static Status make(const Arch *arch, const Catalog *catalog, const Sizes *sizes, const NetOptions *options,
                   const AdapterPlan *plan, uint64_t seed, Pool *pool, const Kernels *kernels, Net **out, Error *error)
{
    const WeightSource from = { arch, catalog, sizes, error };
    *out = NULL;
    TRY(check_options(sizes, options, error));
    Net *net = calloc(1, sizeof *net);
    if (!net) return fail_memory(error, "a network");
    *net = (Net){ .sizes = *sizes, .router = arch->router, .pool = pool, .kernels = kernels, .tied = options->tied };
    Builder builder = { arch, plan, net, error };
    Status status = catalog ? weights_tied(&from, &net->tied) : OK;
    if (status == OK) status = check_plan(net, plan, catalog != NULL, error);
    if (status == OK) status = build(&builder, options);
    for (int i = 0; status == OK && i < net->n_params; i++) draw(net, &net->params[i], seed);
    if (status == OK && catalog) status = read_all(&from, net);
    if (status == OK) *out = net;
    else net_free(net);
    return status;
}

Status net_new(const Arch *arch, const Sizes *sizes, const NetOptions *options, uint64_t seed, Pool *pool,
               const Kernels *kernels, Net **out, Error *error)
{
    return make(arch, NULL, sizes, options, NULL, seed, pool, kernels, out, error);
}

Status net_from_catalog(const Arch *arch, const Catalog *catalog, const Sizes *sizes, const NetOptions *options,
                        Pool *pool, const Kernels *kernels, Net **out, Error *error)
{
    return make(arch, catalog, sizes, options, NULL, 0, pool, kernels, out, error);
}

Status net_adapt(const Arch *arch, const Catalog *catalog, const Sizes *sizes, const NetOptions *options,
                 const AdapterPlan *plan, uint64_t seed, Pool *pool, const Kernels *kernels, Net **out, Error *error)
{
    return make(arch, catalog, sizes, options, plan, seed, pool, kernels, out, error);
}

void net_free(Net *net)
{
    if (!net) return;
    arena_free(&net->arena);
    free(net);
}

const Sizes *net_sizes(const Net *net)
{
    return &net->sizes;
}

Param *net_params(Net *net, int *n)
{
    *n = net->n_params;
    return net->params;
}

float *net_values(Net *net, int64_t *n)
{
    *n = net->n_values;
    return net->values;
}

float *net_grads(Net *net)
{
    return net->grads;
}

int64_t net_bytes(const Sizes *s, const NetOptions *options)
{
    Net net = { .sizes = *s, .options = *options };
    int64_t n_bytes;
    if (net_space(&net, NULL, pool_cores(), &n_bytes, NULL) != OK) return INT64_MAX;
    const int64_t layer = 2 * s->width + 2 * s->width * (n_query(s) + n_key(s)) +
                          s->n_experts * ((s->dense ? 0 : s->width) + 3 * s->width * s->hidden),
                  n_values = s->n_layers * layer + s->width + s->n_vocab * s->width * (options->tied ? 1 : 2);
    return n_bytes + 2 * n_values * (int64_t)sizeof(float);
}
