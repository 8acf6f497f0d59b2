/* SPDX-License-Identifier: Apache-2.0
 * train/product.h - c = a . b on all threads: the product of any two sides, each of which may lie either way.
 *
 * Letters of this file: c is [m][n], the sum runs over k.
 *
 * Side b is laid out in strips first, shared by all tasks; side a is laid out by the task that needs it.  A list of
 * products is done together, so that small ones (experts) keep all threads busy.
 *
 * ORDER multiply: an answer is one chain: what c held or zero, then term after term, k rising in each.  Which thread
 * adds it, and what else is in the list, changes nothing. */
#ifndef TRAIN_PRODUCT_H
#define TRAIN_PRODUCT_H

#include "base/pool.h"
#include "kernel/kernel.h"

/* One operand.  Numbers of the sum lie along its rows, at[i][k], or across them, at[k][i]. */
typedef struct Side {
    const void *at;
    Format      format;                 /* anything but F32: frozen rows, only as side b    */
    int64_t     row;                    /* numbers from one row to the next                 */
    bool        across;
} Side;

enum { TERMS_MAX = 6 };

typedef struct Term { Side a, b; int64_t k; } Term;

typedef struct Product {
    float  *c;
    int64_t c_row, m, n;
    bool    adds;                       /* to what c holds                                  */
    bool    exact;                      /* floats, even where the rest are BF16             */
    float   scale;                      /* of the sum; 0 means 1                            */
    int     n_terms;
    Term    terms[TERMS_MAX];
} Product;

typedef struct Multiplier {
    Pool          *pool;
    const Kernels *kernels;
    bool           bf16;
    float         *strips;              /* room for n_words words                           */
    int64_t        n_words;
    float         *own;                 /* [threads][own_words] what a task lays out        */
    int64_t        own_words;
} Multiplier;

void multiply(const Multiplier *multiplier, const Product *products, int n);

/* Words that the strips of a side take at most, the same for both ways it may lie; and those that a task needs when
 * frozen rows have n_cols numbers. */
int64_t strip_words(int64_t n, int64_t k);
int64_t own_words(int64_t n_cols);

static inline Side along(const float *at, int64_t row)
{
    return (Side){ .at = at, .row = row };
}

static inline Side across(const float *at, int64_t row)
{
    return (Side){ .at = at, .row = row, .across = true };
}

#endif
