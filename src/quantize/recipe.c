/* SPDX-License-Identifier: Apache-2.0
 * quantize/recipe.c - the usual mixes, as a table.
 *
 * In all of them vectors and routers are F32, and files with eight experts keep attn_k and attn_v in
 * Q8_0: they are one part in two hundred of such a file, and every expert's input depends on them.
 * Published files with other numbers of experts are mixed as dense ones are; our own, as with eight. */
#include "quantize/recipe.h"

#include <strings.h>

#define ALL(format) { NOWHERE, format, format }

/* clang-format off */
static const Recipe recipes[] = {
    /* name    type  base  output answer dense  fused  attn_v, dense              ffn_down                       */
    { "F32",     0,  F32,  F32,   F32,   F32,   F32,   ALL(F32),                   ALL(F32) },
    { "F16",     1,  F16,  F16,   F16,   F16,   F16,   ALL(F16),                   ALL(F16) },
    { "BF16",   32,  BF16, BF16,  BF16,  BF16,  BF16,  ALL(BF16),                  ALL(BF16) },
    { "Q8_0",    7,  Q8_0, Q8_0,  Q8_0,  Q8_0,  Q8_0,  ALL(Q8_0),                  ALL(Q8_0) },
    { "Q6_K",   18,  Q6_K, Q6_K,  Q6_K,  Q6_K,  Q6_K,  ALL(Q6_K),                  ALL(Q6_K) },
    { "Q5_K_M", 17,  Q5_K, Q6_K,  Q5_K,  Q5_K,  Q6_K,  { MORE_BITS, Q6_K, Q5_K },  { MORE_BITS, Q6_K, Q5_K } },
    { "Q5_K_S", 16,  Q5_K, Q6_K,  Q5_K,  Q5_K,  Q5_K,  ALL(Q5_K),                  ALL(Q5_K) },
    { "Q5_1",    9,  Q5_1, Q6_K,  Q5_1,  Q5_1,  Q5_1,  ALL(Q5_1),                  ALL(Q5_1) },
    { "Q5_0",    8,  Q5_0, Q6_K,  Q5_0,  Q5_0,  Q5_0,  ALL(Q5_0),                  ALL(Q5_0) },
    { "Q4_K_M", 15,  Q4_K, Q6_K,  Q5_K,  Q4_K,  Q5_K,  { MORE_BITS, Q6_K, Q4_K },  { MORE_BITS, Q6_K, Q4_K } },
    { "Q4_K_S", 14,  Q4_K, Q6_K,  Q5_K,  Q4_K,  Q4_K,  { FIRST_FOUR, Q5_K, Q4_K }, { FIRST_EIGHTH, Q5_K, Q4_K } },
    { "Q4_1",    3,  Q4_1, Q6_K,  Q4_1,  Q4_1,  Q4_1,  ALL(Q4_1),                  ALL(Q4_1) },
    { "Q4_0",    2,  Q4_0, Q6_K,  Q4_0,  Q4_0,  Q4_0,  ALL(Q4_0),                  ALL(Q4_0) },
    { "Q3_K_L", 13,  Q3_K, Q6_K,  Q3_K,  Q5_K,  Q4_K,  ALL(Q5_K),                  ALL(Q5_K) },
    { "Q3_K_M", 12,  Q3_K, Q6_K,  Q5_K,  Q4_K,  Q4_K,  { FIRST_TWO, Q5_K, Q4_K },  { FIRST_SIXTEENTH, Q5_K, Q4_K } },
    { "Q3_K_S", 11,  Q3_K, Q6_K,  Q5_K,  Q3_K,  Q3_K,  ALL(Q3_K),                  ALL(Q3_K) },
    { "Q2_K",   10,  Q2_K, Q6_K,  Q5_K,  Q3_K,  Q2_K,  ALL(Q3_K),                  ALL(Q3_K) },
};
const char *const recipe_names[] = {
    "F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0",
    "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K", NULL
};
/* clang-format on */

_Static_assert(sizeof recipe_names / sizeof recipe_names[0] == sizeof recipes / sizeof recipes[0] + 1,
               "a name for every recipe");

/* Other programs say Q4_K and mean the usual mix. */
static const char *const aliases[][2] = {
    { "Q5_K", "Q5_K_M" }, { "Q4_K", "Q4_K_M" }, { "Q3_K", "Q3_K_M" }
};

const Recipe *recipe_find(const char *name)
{
    for (int i = 0; i < ARRAY_LEN(aliases); i++)
        if (!strcasecmp(aliases[i][0], name)) name = aliases[i][1];
    for (int i = 0; i < ARRAY_LEN(recipes); i++)
        if (!strcasecmp(recipes[i].name, name)) return &recipes[i];
    return NULL;
}

static bool is_there(Where where, int64_t layer, int64_t n_layers)
{
    const int64_t eighth = n_layers / 8;
    switch (where) {
    case NOWHERE:         return false;
    case MORE_BITS: return layer < eighth || layer >= 7 * n_layers / 8 || (layer - eighth) % 3 == 2;
    case FIRST_EIGHTH:    return layer < eighth;
    case FIRST_SIXTEENTH: return layer < n_layers / 16;
    case FIRST_FOUR:      return layer < 4;
    case FIRST_TWO:       return layer < 2;
    }
    return false;
}

static Format choose(const Choice *choice, int layer, int64_t n_layers)
{
    return is_there(choice->where, layer, n_layers) ? choice->there : choice->elsewhere;
}

/* What the mixes look at beside the part. */
typedef struct Shape { bool few_experts; int64_t n_layers, n_heads, n_kv_heads; } Shape;

static Format choose_values(const Recipe *r, const Shape *s, int layer)
{
    const bool quantised = format_info[r->base].block_values > 1;
    if (s->few_experts) return quantised ? Q8_0 : r->base;
    /* Few value heads serve many query heads: two-bit mixes spend four bits on them. */
    Format format = choose(&r->value, layer, s->n_layers);
    if (r->base == Q2_K) format = s->n_heads / s->n_kv_heads >= 4 ? Q4_K : Q3_K;
    /* In dense models of 80 layers they are an eighth of the queries and get five. */
    const bool eighty = s->n_layers == 80 && s->n_heads > s->n_kv_heads;
    return eighty && (format == Q3_K || format == Q4_K) ? Q5_K : format;
}

static Format choose_part(const Recipe *r, const Shape *s, Part part, int layer)
{
    const bool quantised = format_info[r->base].block_values > 1;
    switch (part) {
    case PART_NORM:
    case PART_ROUTER: return F32;
    case PART_OUT:    return r->output;
    case PART_O:      return s->few_experts ? r->answer : r->answer_dense;
    case PART_K:      return s->few_experts && quantised ? Q8_0 : r->base;
    case PART_V:      return choose_values(r, s, layer);
    case PART_QKV:    return r->fused;
    case PART_DOWN:   return choose(&r->down, layer, s->n_layers);
    default:          return r->base;
    }
}

Format recipe_format(const Recipe *r, const Sizes *s, Role role, int layer)
{
    static const Part parts[N_ROLES] = {
        [ROLE_EMBED] = PART_EMBED, [ROLE_OUT_NORM] = PART_NORM,  [ROLE_OUT] = PART_OUT,
        [ROLE_ATTN_NORM] = PART_NORM, [ROLE_Q] = PART_Q,         [ROLE_K] = PART_K,
        [ROLE_V] = PART_V,         [ROLE_O] = PART_O,            [ROLE_FFN_NORM] = PART_NORM,
        [ROLE_ROUTER] = PART_ROUTER, [ROLE_GATE] = PART_GATE,    [ROLE_UP] = PART_UP,
        [ROLE_DOWN] = PART_DOWN,
    };
    const Shape shape = { !s->dense, s->n_layers, s->n_heads, s->n_kv_heads };
    return choose_part(r, &shape, parts[role], layer);
}

/* Rows that are no whole blocks of 256 numbers go to a format with blocks of 32.  In place of two
 * and three bits published files have IQ4_NL, which is as large as Q4_0. */
static Format with_blocks_for(Format format, int64_t cols)
{
    if (cols % format_info[format].block_values == 0) return format;
    switch (format) {
    case Q4_K: return Q5_0;
    case Q5_K: return Q5_1;
    case Q6_K: return Q8_0;
    default:   return Q4_0;
    }
}

Format recipe_published(const Recipe *r, const Preset *p, const PresetTensor *t)
{
    const Sizes *s = &p->sizes;
    const Shape shape = { s->n_experts == 8, s->n_layers, s->n_heads, s->n_kv_heads };
    return with_blocks_for(choose_part(r, &shape, t->part, t->layer), t->cols);
}
