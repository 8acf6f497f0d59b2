/* SPDX-License-Identifier: Apache-2.0
 * train/product.c - see product.h.  A list is done in rounds, as many products as the strips have room for: first all
 * sides b are laid out, then blocks of answers are added up. */
#include "train/product.h"

#include <stdlib.h>

enum {
    ROUND_MAX = 64,                     /* products, and sides b, in a round                */
    BLOCK_ROWS = 64,                    /* of answers in a task                             */
    BLOCK_COLS = 512,
    CHUNK_WORDS = 256                   /* of k at a time: a strip's chunk fills a near cache */
};

typedef struct Arithmetic {
    PatchFn     *patch;
    StripRowsFn *strip_rows;
    StripColsFn *strip_cols;
    int64_t      per_word;              /* numbers                                          */
} Arithmetic;

/* A side b in strips. */
typedef struct Layout {
    Side    side;
    int64_t n, k;
    bool    exact;
    float  *strips;                     /* [ceil(n / STRIP)][n_words][STRIP] words          */
    int64_t n_words, end_task;
} Layout;

typedef struct Round {
    const Multiplier *multiplier;
    Arithmetic        exact, usual;
    const Product    *products;
    int               n_products, n_layouts;
    Layout            layouts[ROUND_MAX];
    int               layout_of[ROUND_MAX][TERMS_MAX];
    int64_t           end_task[ROUND_MAX];              /* of products                      */
} Round;

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t shares(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}

int64_t strip_words(int64_t n, int64_t k)
{
    return shares(n, STRIP) * STRIP * (shares(k, STRIP) * STRIP);
}

int64_t own_words(int64_t n_cols)
{
    const int64_t block = (int64_t)BLOCK_ROWS * CHUNK_WORDS, decoded = STRIP * n_cols;
    return block > decoded ? block : decoded;
}

static Arithmetic arithmetic(const Kernels *k, bool bf16)
{
    if (bf16) return (Arithmetic){ k->patch_bf16, k->strip_rows_bf16, k->strip_cols_bf16, 2 };
    return (Arithmetic){ k->patch_f32, k->strip_rows_f32, k->strip_cols_f32, 1 };
}

static const Arithmetic *arithmetic_of(const Round *r, bool exact)
{
    return exact ? &r->exact : &r->usual;
}

static float *own_space(const Multiplier *m, int worker)
{
    return m->own + worker * m->own_words;
}

/* ---- side b ---- */

/* n_rows rows of a side as floats, side->row numbers each. */
static const float *floats_of(const Side *side, int64_t row, int64_t n_rows, float *space)
{
    if (side->format == F32) return (const float *)side->at + row * side->row;
    const char *at = (const char *)side->at + row * format_row_bytes(side->format, side->row);
    format_info[side->format].decode(space, at, (size_t)(n_rows * side->row));
    return space;
}

static void lay_out(void *arg, int64_t task, int worker)
{
    const Round *r = arg;
    int i = 0;
    while (task >= r->layouts[i].end_task) i++;
    const Layout *l = &r->layouts[i];
    const int64_t n_source = l->side.across ? l->k : l->n, begin_task = i ? r->layouts[i - 1].end_task : 0,
                  first = (task - begin_task) * STRIP, n_rows = at_most(STRIP, n_source - first),
                  n_cols = l->side.across ? l->n : l->k;
    const Arithmetic *x = arithmetic_of(r, l->exact);
    const float *from = floats_of(&l->side, first, n_rows, own_space(r->multiplier, worker));
    if (l->side.across)
        x->strip_cols(l->strips + first / x->per_word * STRIP, (size_t)l->n_words, from, (size_t)l->side.row,
                      (size_t)n_rows, (size_t)n_cols);
    else
        x->strip_rows(l->strips + first * l->n_words, from, (size_t)l->side.row, (size_t)n_rows,
                      (size_t)n_cols);
}

/* ---- blocks of answers ---- */

/* Rows [i, i + n) of side a, words [begin, begin + patch->n_words) of k: as it lies, or laid out in `space`. */
static void take_rows(const Round *r, const Product *p, const Term *t, int64_t i, int64_t begin, float *space,
                      Patch *patch)
{
    const Arithmetic *x = arithmetic_of(r, p->exact);
    const int64_t from = begin * x->per_word, n_words = (int64_t)patch->n_words, n = (int64_t)patch->m,
                  many = at_most(n_words * x->per_word, t->k - from);
    const float *at = t->a.at;
    if (t->a.across) {
        x->strip_cols(space, patch->n_words, at + from * t->a.row + i, (size_t)t->a.row, (size_t)many, (size_t)n);
        patch->a = space, patch->a_row = 1, patch->a_word = STRIP;
        return;
    }
    at += i * t->a.row + from;
    patch->a_word = 1;
    if (x->per_word == 1) {
        patch->a = at, patch->a_row = (size_t)t->a.row;
        return;
    }
    uint16_t *halves = (uint16_t *)(void *)space;
    for (int64_t k = 0; k < n; k++, at += t->a.row, halves += 2 * n_words) {
        r->multiplier->kernels->encode_bf16(halves, at, (size_t)many);
        if (many % 2) halves[many] = 0;
    }
    patch->a = space, patch->a_row = patch->n_words;
}

static void add_term(const Round *r, const Product *p, int term, int64_t i, int64_t j, int64_t n_cols, float *space,
                     Patch *patch)
{
    const Layout *l = &r->layouts[r->layout_of[p - r->products][term]];
    const Arithmetic *x = arithmetic_of(r, p->exact);
    for (int64_t begin = 0; begin < l->n_words; begin += CHUNK_WORDS) {
        patch->n_words = (size_t)at_most(CHUNK_WORDS, l->n_words - begin);
        take_rows(r, p, &p->terms[term], i, begin, space, patch);
        for (int64_t col = j; col < j + n_cols; col += STRIP) {
            patch->b = l->strips + col * l->n_words + begin * STRIP;
            patch->c = p->c + i * p->c_row + col;
            patch->n = (size_t)at_most(STRIP, j + n_cols - col);
            x->patch(patch);
        }
        patch->adds = true;
    }
}

static int64_t block_rows(const Product *p)
{
    return p->terms[0].a.across ? STRIP : BLOCK_ROWS;
}

static int64_t n_blocks(const Product *p)
{
    return shares(p->m, block_rows(p)) * shares(p->n, BLOCK_COLS);
}

static void add_block(void *arg, int64_t task, int worker)
{
    const Round *r = arg;
    int index = 0;
    while (task >= r->end_task[index]) index++;
    const Product *p = &r->products[index];
    const int64_t block = task - (index ? r->end_task[index - 1] : 0), across = shares(p->n, BLOCK_COLS),
                  i = block / across * block_rows(p), j = block % across * BLOCK_COLS,
                  n_rows = at_most(block_rows(p), p->m - i), n_cols = at_most(BLOCK_COLS, p->n - j);
    Patch patch = { .c_row = (size_t)p->c_row, .m = (size_t)n_rows, .adds = p->adds };
    for (int t = 0; t < p->n_terms; t++)
        add_term(r, p, t, i, j, n_cols, own_space(r->multiplier, worker), &patch);
    for (int64_t row = i; p->scale != 0.0f && row < i + n_rows; row++)
        r->multiplier->kernels->scale(p->c + row * p->c_row + j, p->scale, (size_t)n_cols);
}

/* ---- rounds ---- */

static bool same_layout(const Layout *l, const Term *t, const Product *p)
{
    return l->side.at == t->b.at && l->side.row == t->b.row && l->side.across == t->b.across && l->n == p->n &&
           l->k == t->k && l->exact == p->exact;
}

/* The layout of a term's side b, perhaps one that is there already; -1 when there is no room. */
static int find_layout(Round *r, const Term *t, const Product *p, int64_t *n_words)
{
    for (int i = 0; i < r->n_layouts; i++)
        if (same_layout(&r->layouts[i], t, p)) return i;
    const int64_t k_words = shares(t->k, arithmetic_of(r, p->exact)->per_word),
                  words = shares(p->n, STRIP) * STRIP * k_words;
    if (r->n_layouts == ROUND_MAX || *n_words + words > r->multiplier->n_words) return -1;
    r->layouts[r->n_layouts] = (Layout){ .side = t->b, .n = p->n, .k = t->k, .exact = p->exact,
                                         .strips = r->multiplier->strips + *n_words, .n_words = k_words };
    *n_words += words;
    return r->n_layouts++;
}

/* Takes products until there is no room; answers how many. */
static int fill_round(Round *r, int n)
{
    int64_t n_words = 0, n_tasks = 0;
    r->n_products = r->n_layouts = 0;
    for (int i = 0; i < n && i < ROUND_MAX; i++) {
        const Product *p = &r->products[i];
        const int n_before = r->n_layouts;
        for (int t = 0; t < p->n_terms; t++)
            if ((r->layout_of[i][t] = find_layout(r, &p->terms[t], p, &n_words)) < 0) {
                r->n_layouts = n_before;
                return i;
            }
        r->end_task[i] = n_tasks += n_blocks(p);
        r->n_products = i + 1;
    }
    return r->n_products;
}

static void run_round(Round *r)
{
    int64_t n_tasks = 0;
    for (int i = 0; i < r->n_layouts; i++) {
        Layout *l = &r->layouts[i];
        l->end_task = n_tasks += shares(l->side.across ? l->k : l->n, STRIP);
    }
    pool_run(r->multiplier->pool, lay_out, r, n_tasks);
    pool_run(r->multiplier->pool, add_block, r, r->end_task[r->n_products - 1]);
}

void multiply(const Multiplier *multiplier, const Product *products, int n)
{
    Round round = { .multiplier = multiplier,
                    .exact = arithmetic(multiplier->kernels, false),
                    .usual = arithmetic(multiplier->kernels, multiplier->bf16),
                    .products = products };
    while (n > 0) {
        const int done = fill_round(&round, n);
        if (done == 0) abort();         /* space.c made room for the largest product there is */
        run_round(&round);
        round.products += done;
        n -= done;
    }
}
