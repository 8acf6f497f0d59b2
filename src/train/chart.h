/* SPDX-License-Identifier: Apache-2.0
 * train/chart.h - lines and heat maps as SVG. */
#ifndef TRAIN_CHART_H
#define TRAIN_CHART_H

#include "base/buffer.h"

#include <stdint.h>

/* A line through points of rising x; those that are no number are left out. */
typedef struct Line {
    const char   *name;
    const double *x, *y;
    int64_t       n, stride;            /* of both, in numbers                              */
    bool          faint;                /* behind the others                                */
} Line;

enum { CHART_LINES_MAX = 24 };

/* Appends one drawing; `unit` names the upward axis, the other one is steps up to x_end. */
void chart_lines(Buffer *out, const char *title, const char *unit, const Line *lines, int n_lines, double x_end);

/* Rows of cells from 0 (dark) to 1 (bright): values[column * stride + row]. */
void chart_heat(Buffer *out, const char *title, const double *values, int64_t n_columns, int64_t stride,
                int64_t n_rows, double full);

/* Text of somebody else's, harmless in HTML. */
void chart_text(Buffer *out, const char *text);

#endif
