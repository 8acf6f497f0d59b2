/* SPDX-License-Identifier: Apache-2.0
 * train/chart.c - see chart.h.  Colours come from the page's style sheet: classes l0, l1, .. and h0 .. h7. */
#include "train/chart.h"

#include <math.h>

enum { WIDTH = 560, HEIGHT = 220, LEFT = 52, RIGHT = 12, TOP = 10, BOTTOM = 26, POINTS_MAX = 500, SHADES = 8 };
enum { HEAT_COLUMNS_MAX = 140, HEAT_ROW = 11, TICKS = 6 };

typedef struct Range { double low, high; } Range;

void chart_text(Buffer *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '<') buffer_text(out, "&lt;");
        else if (*text == '>') buffer_text(out, "&gt;");
        else if (*text == '&') buffer_text(out, "&amp;");
        else if (*text == '"') buffer_text(out, "&quot;");
        else buffer_char(out, *text);
    }
}

/* ---- axes ---- */

static Range range_of(const Line *lines, int n_lines)
{
    Range r = { INFINITY, -INFINITY };
    for (int i = 0; i < n_lines; i++)
        for (int64_t k = 0; k < lines[i].n; k++) {
            const double y = lines[i].y[k * lines[i].stride];
            if (!isfinite(y)) continue;
            r.low = fmin(r.low, y);
            r.high = fmax(r.high, y);
        }
    if (!(r.low <= r.high)) r = (Range){ 0, 1 };
    if (r.high - r.low < 1e-12 + 1e-6 * fabs(r.high)) {         /* a flat line lies in the middle   */
        const double room = 0.5 * (fabs(r.high) + 1e-9);
        r.low -= room;
        r.high += room;
    }
    return r;
}

/* 1, 2 or 5 times a power of ten, about n of them in the range. */
static double tick_of(Range r, int n)
{
    const double rough = (r.high - r.low) / n, power = pow(10, floor(log10(rough))), part = rough / power;
    return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static double across(double x, double end)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * (end > 0 ? x / end : 0);
}

static double upward(double y, Range r)
{
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (y - r.low) / (r.high - r.low));
}

static void axes(Buffer *out, Range y, double x_end)
{
    const double y_tick = tick_of(y, TICKS), x_tick = tick_of((Range){ 0, x_end }, TICKS);
    const double y_first = ceil(y.low / y_tick) * y_tick;
    for (int i = 0; i < 2 * TICKS && y_first + i * y_tick <= y.high + y_tick * 1e-9; i++) {
        const double at = y_first + i * y_tick;
        const double place = upward(at, y);
        buffer_format(out, "<line class=grid x1=%d x2=%d y1=%.1f y2=%.1f />", LEFT, WIDTH - RIGHT, place, place);
        buffer_format(out, "<text x=%d y=%.1f text-anchor=end>%.4g</text>", LEFT - 6, place + 4,
                      fabs(at) < y_tick * 1e-6 ? 0.0 : at);
    }
    for (int i = 0; i < 2 * TICKS && i * x_tick <= x_end * (1 + 1e-9); i++)
        buffer_format(out, "<text x=%.1f y=%d text-anchor=middle>%.6g</text>", across(i * x_tick, x_end), HEIGHT - 8,
                      i * x_tick);
}

/* ---- lines ---- */

/* Many points become few by averages, so that a page of a hundred thousand steps stays small. */
static void polyline(Buffer *out, const Line *line, int colour, Range y, double x_end)
{
    const int64_t step = line->n / POINTS_MAX + 1;
    int64_t n_drawn = 0;
    buffer_format(out, "<polyline class=\"l%d%s\" points=\"", colour, line->faint ? " faint" : "");
    for (int64_t i = 0; i < line->n; i += step) {
        double sum = 0, last = 0;
        int64_t n = 0;
        for (int64_t k = i; k < i + step && k < line->n; k++) {
            const double value = line->y[k * line->stride];
            if (!isfinite(value)) continue;
            sum += value;
            last = line->x[k * line->stride];
            n++;
        }
        if (n == 0) continue;
        buffer_format(out, "%.1f,%.1f ", across(last, x_end), upward(sum / (double)n, y));
        n_drawn++;
    }
    buffer_text(out, "\"/>");
    if (n_drawn == 1)                   /* a line of one point cannot be seen               */
        buffer_format(out, "<circle class=\"d%d\" r=3 cx=%.1f cy=%.1f />", colour, across(line->x[0], x_end),
                      upward(line->y[0], y));
}

void chart_lines(Buffer *out, const char *title, const char *unit, const Line *lines, int n_lines, double x_end)
{
    const Range y = range_of(lines, n_lines);
    if (!(x_end > 0)) x_end = 1;
    buffer_text(out, "<figure><figcaption><b>");
    chart_text(out, title);
    buffer_text(out, "</b> <i>");
    chart_text(out, unit);
    buffer_text(out, "</i>");
    for (int i = 0; i < n_lines && n_lines > 1; i++) {
        buffer_format(out, " <span class=\"k%d\">", i % CHART_LINES_MAX);
        chart_text(out, lines[i].name);
        buffer_text(out, "</span>");
    }
    buffer_format(out, "</figcaption><svg viewBox=\"0 0 %d %d\" role=img>", WIDTH, HEIGHT);
    axes(out, y, x_end);
    for (int i = 0; i < n_lines; i++) polyline(out, &lines[i], i % CHART_LINES_MAX, y, x_end);
    buffer_text(out, "</svg></figure>\n");
}

/* ---- heat ---- */

void chart_heat(Buffer *out, const char *title, const double *values, int64_t n_columns, int64_t stride,
                int64_t n_rows, double full)
{
    const int64_t step = n_columns / HEAT_COLUMNS_MAX + 1, n_drawn = (n_columns + step - 1) / step;
    const double cell = (double)(WIDTH - LEFT - RIGHT) / (double)(n_drawn ? n_drawn : 1);
    buffer_text(out, "<figure class=small><figcaption><b>");
    chart_text(out, title);
    buffer_format(out, "</b></figcaption><svg viewBox=\"0 0 %d %lld\" role=img>", WIDTH,
                  (long long)(n_rows * HEAT_ROW + 2));
    for (int64_t row = 0; row < n_rows; row++) {
        buffer_format(out, "<text x=%d y=%lld text-anchor=end>%lld</text>", LEFT - 6,
                      (long long)(row * HEAT_ROW + 9), (long long)row);
        for (int64_t c = 0; c < n_drawn; c++) {
            const double value = values[c * step * stride + row];
            const double warmth = full > 0 ? fmin(1, fmax(0, value / full)) : 0;
            buffer_format(out, "<rect class=h%d x=%.2f y=%lld width=%.2f height=%d><title>%.1f %%</title></rect>",
                          (int)(warmth * (SHADES - 1) + 0.5), LEFT + (double)c * cell, (long long)(row * HEAT_ROW + 1),
                          cell + 0.3, HEAT_ROW - 1, 100 * value);
        }
    }
    buffer_text(out, "</svg></figure>\n");
}
