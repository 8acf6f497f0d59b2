/* SPDX-License-Identifier: Apache-2.0
 * arch/slab.c - an expert as one stretch of a packed file. */
#include "arch/arch.h"
#include "file/packed.h"

/* The slab that has this matrix, whole, as its m-th; NULL: none. */
static const PackedSlab *slab_with(const Catalog *c, const Weight *w, int m)
{
    int found;
    const int64_t first_row = (w->offset - w->tensor->offset) / format_row_bytes(w->format, w->cols);
    const PackedSlab *slab = catalog_slab(c, w->tensor, first_row, &found);
    return slab && found == m && (int64_t)slab->matrices[m].n_rows == w->rows ? slab : NULL;
}

bool arch_slab(const Catalog *c, const Weight *gate, const Weight *up, const Weight *down, ExpertSlab *out)
{
    const PackedSlab *slab = slab_with(c, gate, 0);
    if (!slab || slab_with(c, up, 1) != slab || slab_with(c, down, 2) != slab) return false;
    *out = (ExpertSlab){ .file = &c->packed->file,
                         .offset = (int64_t)slab->offset,
                         .n_bytes = (int64_t)slab->n_bytes,
                         .checksum = slab->checksum };
    return true;
}
