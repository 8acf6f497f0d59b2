/* SPDX-License-Identifier: Apache-2.0
 * device/cpu/project.c - weights in panels, activations in tiles, and products of the two.
 *
 * Every number of an answer is one kernel's sum over a whole row, in an order that depends on the row's length only,
 * however many rows of x there are (D1). */
#include "device/cpu/cpu.h"

#include <string.h>

/* ---- weights ---- */

/* The last panel may have room for rows that the matrix lacks: they are zeros. */
Status cpu_alloc_weight(Device *d, Format format, int64_t rows, int64_t cols, Tensor *out)
{
    TRY(host_shape(d, format, rows, cols, out));
    out->layout = LAYOUT_WEIGHT;
    return host_place(d, out, n_panels(rows) * panel_bytes(format, cols));
}

Status cpu_fill(Device *d, Tensor *to, int64_t first, int64_t n, const void *rows)
{
    TRY(host_check_fill(d, to, first, n));
    const int64_t each = panel_bytes(to->format, to->cols);
    const char *from = rows;
    for (int64_t row = first; row < first + n; row += PANEL_ROWS) {
        const int64_t some = first + n - row < PANEL_ROWS ? first + n - row : PANEL_ROWS;
        panel_pack((char *)to->handle + row / PANEL_ROWS * each, to->format, to->cols, from, some);
        from += some * to->row_bytes;
    }
    return OK;
}

/* ---- activations ---- */

void tiles_put(const Cpu *cpu, const Tiles *to, int64_t i, const float *x)
{
    const int64_t t = i / TILE_ROWS, in = i % TILE_ROWS;
    char *tile = tile_at(to, t);
    if (to->blocks)
        cpu->kernels.quantize_x(tile, (size_t)tile_rows(to, t), (size_t)in, x, (size_t)to->n_cols);
    else
        memcpy(tile + in * to->row_bytes, x, (size_t)to->row_bytes);
}

/* ---- project ---- */

/* From measurement: docs/PERFORMANCE.md, "size of a task". */
int64_t panels_per_task(const Cpu *cpu, const Tensor *w)
{
    enum { TASK_BYTES = 256 << 10, TASKS_PER_THREAD = 16 };
    const int64_t by_bytes = TASK_BYTES / panel_bytes(w->format, w->cols);
    const int64_t by_share = n_panels(w->rows) / (cpu->host.n_threads * TASKS_PER_THREAD);
    const int64_t n = by_bytes < by_share ? by_bytes : by_share;
    return n < 1 ? 1 : n;
}

typedef struct Projection {
    Cpu                 *cpu;
    Tensor *const       *y;
    const Tensor        *x;
    const Tensor *const *w;
    Tiles                blocks, floats;    /* x for either kind of weights                 */
} Projection;

static void quantize_row(void *arg, int64_t i, int worker)
{
    const Projection *p = arg;
    (void)worker;
    tiles_put(p->cpu, &p->blocks, i, row_f32(p->x, i));
}

static int64_t n_tasks(const Cpu *cpu, const Tensor *w)
{
    const int64_t each = panels_per_task(cpu, w);
    return (n_panels(w->rows) + each - 1) / each;
}

/* Panels [first, end) of one matrix with every tile. */
static void project_panels(const Projection *p, int m, int64_t first, int64_t end)
{
    const Tensor *w = p->w[m];
    const Tiles *x = has_blocks(w->format) ? &p->blocks : &p->floats;
    for (int64_t t = 0; t < n_tiles(x); t++)
        for (int64_t panel = first; panel < end; panel++) {
            float y[TILE_ROWS][PANEL_ROWS];
            tile_product(p->cpu, y, w, panel, x, t);
            const int64_t at = panel * PANEL_ROWS,
                          n = w->rows - at < PANEL_ROWS ? w->rows - at : PANEL_ROWS;
            for (int64_t i = 0; i < tile_rows(x, t); i++)
                memcpy(row_f32(p->y[m], t * TILE_ROWS + i) + at, y[i], (size_t)n * sizeof y[i][0]);
        }
}

/* Tasks are numbered through all matrices. */
static void project_task(void *arg, int64_t task, int worker)
{
    const Projection *p = arg;
    (void)worker;
    int m = 0;
    while (task >= n_tasks(p->cpu, p->w[m])) task -= n_tasks(p->cpu, p->w[m++]);
    const int64_t each = panels_per_task(p->cpu, p->w[m]), first = task * each, all = n_panels(p->w[m]->rows);
    project_panels(p, m, first, first + each < all ? first + each : all);
}

Status cpu_project(Device *d, Tensor *const y[], const Tensor *x, const Tensor *const w[], int n)
{
    Projection p = { .cpu = (Cpu *)d, .y = y, .x = x, .w = w };
    int64_t tasks = 0, rows = 0;
    bool blocks = false;
    TRY(host_fits(d, "project", x->rows, x->cols));
    for (int m = 0; m < n; m++) {
        tasks += n_tasks(p.cpu, w[m]);
        rows += w[m]->rows;
        blocks |= has_blocks(w[m]->format);
    }
    p.floats = (Tiles){ x->handle, x->rows, x->cols, x->row_bytes, false };     /* where they lie */
    p.blocks = (Tiles){ p.cpu->x_blocks, x->rows, x->cols, tiles_row_bytes(true, x->cols), true };
    if (blocks) cpu_run(p.cpu, quantize_row, &p, x->rows, x->rows * x->cols);
    cpu_run(p.cpu, project_task, &p, tasks, rows * x->cols * (x->rows + 1));
    return OK;
}
