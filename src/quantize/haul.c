/* SPDX-License-Identifier: Apache-2.0
 * quantize/haul.c - slabs through two buffers.  See pack_parts.h. */
#include "quantize/pack_parts.h"

#include "base/checksum.h"
#include "number/panel.h"

#include <stdlib.h>

/* The largest slab, and the most that a thread holds of one: a stack as rows, or a piece. */
static void measure(const Haul *h, uint64_t *slab, int64_t *room)
{
    *slab = 0;
    *room = CHECKSUM_PIECE_BYTES;
    for (uint64_t i = 0; i < h->tables->head.n_slabs; i++) {
        SlabPlace places[SLAB_MATRICES];
        const uint64_t n = packed_round((uint64_t)packed_places(h->tensors, &h->tables->slabs[i], places));
        if (n > *slab) *slab = n;
        for (int m = 0; m < SLAB_MATRICES; m++) {
            const FileTensor *t = places[m].tensor;
            const int64_t rows = places[m].rows < STACK_ROWS ? places[m].rows : STACK_ROWS;
            const int64_t bytes = rows * format_row_bytes(t->format, t->dims[t->n_dims - 1]);
            if (bytes > *room) *room = bytes;
        }
    }
}

Status haul_new(Haul *h, const FileTensor *tensors, const PackTables *tables, int n_threads, Error *error)
{
    uint64_t slab_bytes;
    int64_t room_bytes;
    h->tensors = tensors;
    h->tables = tables;
    measure(h, &slab_bytes, &room_bytes);
    for (int i = 0; i < 2; i++) {
        h->cargo[i].bytes = aligned_alloc(PACKED_ALIGN, (size_t)slab_bytes + PACKED_ALIGN);
        h->cargo[i].sums = calloc(checksum_n_pieces((size_t)slab_bytes) + 1, sizeof *h->cargo[i].sums);
        if (!h->cargo[i].bytes || !h->cargo[i].sums) return fail_memory(error, "two experts");
    }
    return mover_new(n_threads, room_bytes, &h->mover, error);
}

void haul_free(Haul *h)
{
    for (int i = 0; i < 2; i++) {
        free(h->cargo[i].bytes);
        free(h->cargo[i].sums);
    }
    mover_free(h->mover);
}

/* ---- tasks ---- */

int64_t cargo_stacks(const Cargo *c)
{
    return c->n_tasks[0] + c->n_tasks[1] + c->n_tasks[2];
}

uint64_t cargo_bytes(const Haul *h, const Cargo *c)
{
    return h->tables->slabs[c->index].n_bytes;
}

CargoPiece piece_of(uint64_t n_bytes, int64_t i)
{
    const uint64_t at = (uint64_t)i * CHECKSUM_PIECE_BYTES, left = n_bytes - at;
    return (CargoPiece){ at, left < CHECKSUM_PIECE_BYTES ? left : CHECKSUM_PIECE_BYTES };
}

int64_t cargo_pieces(const Cargo *c)
{
    const SlabPlace *last = &c->places[SLAB_MATRICES - 1];
    return (int64_t)checksum_n_pieces((size_t)packed_round((uint64_t)(last->at + last->n_bytes)));
}

CargoStack cargo_stack(const Haul *h, const Cargo *c, int64_t i)
{
    int m = 0;
    while (i >= c->n_tasks[m]) i -= c->n_tasks[m++];
    const SlabPlace *place = &c->places[m];
    const FileTensor *t = place->tensor;
    const int64_t cols = t->dims[t->n_dims - 1], rest = place->rows - i * STACK_ROWS;
    const int64_t row = (int64_t)h->tables->slabs[c->index].matrices[m].first_row + i * STACK_ROWS;
    const int64_t row_bytes = format_row_bytes(t->format, cols);
    return (CargoStack){ .tensor = t,
                         .cols = cols,
                         .n_rows = rest < STACK_ROWS ? rest : STACK_ROWS,
                         .row_bytes = row_bytes,
                         .at = t->offset + row * row_bytes,
                         .panels = c->bytes + place->at + i * stack_bytes(t->format, cols, STACK_ROWS) };
}

/* Filling comes first in the numbers: reading is what takes time. */
static Status haul_task(void *arg, int64_t i, char *room, Error *error)
{
    const Haul *h = arg;
    if (i < h->n_fill) return h->fill(h->user, h->filled, i, room, error);
    return h->empty(h->user, h->emptied, i - h->n_fill, room, error);
}

static void load_cargo(const Haul *h, Cargo *c, uint64_t index)
{
    c->index = index;
    packed_places(h->tensors, &h->tables->slabs[index], c->places);
    for (int m = 0; m < SLAB_MATRICES; m++) c->n_tasks[m] = n_stacks(c->places[m].rows);
}

Status haul_slabs(Haul *h, uint64_t first, uint64_t end, Error *error)
{
    h->emptied = NULL;
    for (uint64_t i = first; i < end || h->emptied; i++) {
        h->filled = i < end ? &h->cargo[i & 1] : NULL;
        if (h->filled) load_cargo(h, h->filled, i);
        h->n_fill = h->filled ? h->fill_tasks(h->filled) : 0;
        h->n_empty = h->emptied ? h->empty_tasks(h->emptied) : 0;
        TRY(mover_run(h->mover, haul_task, h, h->n_fill + h->n_empty, error));
        if (h->emptied) TRY(h->after(h->user, h->emptied, error));
        if (h->filled && h->between) TRY(h->between(h->user, h->filled, error));
        h->emptied = h->filled;
    }
    return OK;
}

uint64_t unit_end(const PackTables *tables, uint64_t first)
{
    uint64_t end = first;
    while (end < tables->head.n_slabs && tables->slabs[end].layer == tables->slabs[first].layer) end++;
    return end;
}

uint64_t room_in_place(const PackTables *t)
{
    const PackedHead *h = &t->head;
    uint64_t most = 0;
    for (uint64_t i = 0, end; i < h->n_slabs; i = end) {
        uint64_t unit = 0;
        end = unit_end(t, i);
        for (uint64_t k = i; k < end; k++) unit += t->slabs[k].n_bytes;
        if (unit > most) most = unit;
    }
    for (uint64_t i = 0; i < h->n_runs; i++) most += packed_round(t->runs[i].n_bytes);
    return most;
}
