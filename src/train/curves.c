/* SPDX-License-Identifier: Apache-2.0
 * train/curves.c - see curves.h. */
#include "train/curves.h"

#include <stdlib.h>
#include <string.h>

enum { SINCE_LOSS, SINCE_TARGETS, SINCE_ROWS, SINCE_COLUMNS };

static int64_t n_cells(const Curves *c)
{
    return c->n_layers * c->n_experts;
}

int64_t curves_n_since(const Curves *c)
{
    return SINCE_COLUMNS + n_cells(c) + c->n_layers;
}

Status curves_new(int64_t n_layers, int64_t n_experts, int64_t n_held, Curves *out, Error *error)
{
    *out = (Curves){ .n_layers = n_layers, .n_experts = n_experts, .n_held = n_held };
    out->steps.width = STEP_COLUMNS;
    out->marks.width = MARK_COLUMNS + 2 * (n_held + 1) + n_cells(out) + n_layers;
    out->since = calloc((size_t)curves_n_since(out), sizeof *out->since);
    return out->since ? OK : fail_memory(error, "the curves");
}

void curves_free(Curves *c)
{
    free(c->steps.cells);
    free(c->marks.cells);
    free(c->since);
    *c = (Curves){ 0 };
}

const double *curve_row(const Curve *c, int64_t row)
{
    return c->cells + row * c->width;
}

Status curve_add(Curve *c, const double *row, Error *error)
{
    if (c->n == c->room) {
        const int64_t room = c->room ? 2 * c->room : 64;
        double *cells =
            room > CURVE_ROWS_MAX ? NULL : reallocarray(c->cells, (size_t)(room * c->width), sizeof *cells);
        if (!cells) return fail_memory(error, "the curves");
        c->cells = cells;
        c->room = room;
    }
    memcpy(c->cells + c->n++ * c->width, row, (size_t)c->width * sizeof *row);
    return OK;
}

Status curves_step(Curves *c, const double *row, const NetReport *r, Error *error)
{
    double *uses = c->since + SINCE_COLUMNS, *entropy = uses + n_cells(c);
    c->since[SINCE_LOSS] += r->loss;
    c->since[SINCE_TARGETS] += (double)r->n_targets;
    c->since[SINCE_ROWS] += (double)r->n_rows;
    for (int64_t i = 0; r->uses && i < n_cells(c); i++) uses[i] += (double)r->uses[i];
    for (int64_t i = 0; r->entropy && i < c->n_layers; i++) entropy[i] += r->entropy[i];
    return curve_add(&c->steps, row, error);
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static void take_since(const Curves *c, double *uses, double *entropy)
{
    const double *sums = c->since + SINCE_COLUMNS, *rows = sums + n_cells(c);
    for (int64_t layer = 0; layer < c->n_layers; layer++) {
        const double *counts = sums + layer * c->n_experts;
        double all = 0;
        for (int64_t e = 0; e < c->n_experts; e++) all += counts[e];
        for (int64_t e = 0; e < c->n_experts; e++) uses[layer * c->n_experts + e] = share(counts[e], all);
        entropy[layer] = share(rows[layer], c->since[SINCE_ROWS]);
    }
}

Status curves_mark(Curves *c, int64_t step, int64_t tokens, double seconds, const double *held, Error *error)
{
    double *row = calloc((size_t)c->marks.width, sizeof *row);
    if (!row) return fail_memory(error, "the curves");
    row[MARK_STEP] = (double)step;
    row[MARK_TOKENS] = (double)tokens;
    row[MARK_SECONDS] = seconds;
    row[MARK_LOSS] = share(c->since[SINCE_LOSS], c->since[SINCE_TARGETS]);
    memcpy(row + MARK_COLUMNS, held, (size_t)(2 * (c->n_held + 1)) * sizeof *row);
    double *uses = row + MARK_COLUMNS + 2 * (c->n_held + 1);
    take_since(c, uses, uses + n_cells(c));
    memset(c->since, 0, (size_t)curves_n_since(c) * sizeof *c->since);
    const Status status = curve_add(&c->marks, row, error);
    free(row);
    return status;
}

const double *mark_held(const Curves *c, const double *mark, int64_t held)
{
    (void)c;
    return mark + MARK_COLUMNS + 2 * held;
}

const double *mark_uses(const Curves *c, const double *mark)
{
    return mark + MARK_COLUMNS + 2 * (c->n_held + 1);
}

const double *mark_entropy(const Curves *c, const double *mark)
{
    return mark_uses(c, mark) + n_cells(c);
}
