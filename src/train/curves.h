/* SPDX-License-Identifier: Apache-2.0
 * train/curves.h - what was measured while learning: a row for every step, and a mark for every look at the held-out
 * text.  Kept in checkpoints, drawn by report.c. */
#ifndef TRAIN_CURVES_H
#define TRAIN_CURVES_H

#include "train/net.h"

/* Rows of numbers. */
typedef struct Curve { int64_t width, n, room; double *cells; } Curve;

enum { CURVE_ROWS_MAX = 1 << 24, CURVE_WIDTH_MAX = 1 << 21 };

enum {                                  /* columns of a step                                */
    STEP_NUMBER, STEP_TOKENS, STEP_SECONDS,
    STEP_LOSS,                          /* per target, nats                                 */
    STEP_RATE,
    STEP_LENGTH,                        /* of the gradient before it was clipped            */
    STEP_BALANCE, STEP_ROUTER_Z,        /* per layer, before the coefficient                */
    STEP_ENTROPY,                       /* of the router, nats per row, all layers          */
    STEP_DROPPED,                       /* share of slots                                   */
    STEP_COLUMNS
};

enum {                                  /* columns of a mark; then come, see below:         */
    MARK_STEP, MARK_TOKENS, MARK_SECONDS,
    MARK_LOSS,                          /* learned since the mark before, per target        */
    MARK_COLUMNS
};

typedef struct Curves {
    int64_t n_layers, n_experts, n_held;
    Curve   steps;                      /* STEP_COLUMNS                                     */
    Curve   marks;                      /* MARK_COLUMNS, then [n_held][2] loss per target and bits per byte, the
                                           same two of all, [L][E] shares of use, [L] entropy in nats */
    double *since;                      /* sums since the last mark: loss, targets, rows, [L][E], [L] */
} Curves;

Status curves_new(int64_t n_layers, int64_t n_experts, int64_t n_held, Curves *out, Error *error);
void   curves_free(Curves *curves);

int64_t curves_n_since(const Curves *curves);
/* A step and what its passes saw; `row` has STEP_COLUMNS. */
Status curves_step(Curves *curves, const double *row, const NetReport *report, Error *error);
/* held: [n_held + 1][2].  Takes what came since the mark before into a new one. */
Status curves_mark(Curves *curves, int64_t step, int64_t tokens, double seconds, const double *held, Error *error);

const double *curve_row(const Curve *curve, int64_t row);
const double *mark_held(const Curves *curves, const double *mark, int64_t held);    /* loss, bits per byte */
const double *mark_uses(const Curves *curves, const double *mark);                  /* [L][E] */
const double *mark_entropy(const Curves *curves, const double *mark);               /* [L]    */

/* Appends a row, [width]. */
Status curve_add(Curve *curve, const double *row, Error *error);

#endif
