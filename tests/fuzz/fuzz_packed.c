/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/fuzz_packed.c - any bytes as a packed file.
 *
 * Checksums would keep a fuzzer out, so those of head and tables are put right first; and both ways in are taken,
 * that of whole files and that of those which are still being packed. */
#include "made_folder.h"

#include "base/checksum.h"
#include "file/packed.h"

static void put_right(uint8_t *data, size_t n_bytes)
{
    PackedHead head;
    if (n_bytes < PACKED_TABLES_AT) return;
    memcpy(&head, data, sizeof head);
    if (head.n_parts < 1 << 16 && head.n_runs < 1 << 16 && head.n_slabs < 1 << 16) {
        const uint64_t n = packed_tables_bytes(head.n_parts, head.n_runs, head.n_slabs);
        if (n <= n_bytes - PACKED_TABLES_AT) head.table_checksum = checksum(data + PACKED_TABLES_AT, (size_t)n);
    }
    head.checksum = checksum(&head, offsetof(PackedHead, checksum));
    memcpy(data, &head, sizeof head);
    for (int i = 0; i < 2; i++) {
        PackedNote note;
        memcpy(&note, data + PACKED_NOTE_AT * (i + 1), sizeof note);
        note = packed_note(note.n_done);
        memcpy(data + PACKED_NOTE_AT * (i + 1), &note, sizeof note);
    }
}

static void look_at_slabs(const Catalog *c)
{
    for (int64_t i = 0; i < c->n_tensors; i++) {
        int matrix;
        const PackedSlab *slab = catalog_slab(c, &c->tensors[i], 0, &matrix);
        if (slab && (matrix < 0 || matrix >= SLAB_MATRICES || slab->n_bytes > c->packed->head.n_bytes)) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    uint8_t *copy = malloc(n_bytes + 1);
    if (!copy) abort();
    if (n_bytes) memcpy(copy, data, n_bytes);
    put_right(copy, n_bytes);
    const char *path = made_memory(copy, n_bytes);
    open_and_believe(path);
    Catalog c;
    if (catalog_open_change(path, &c, NULL) == OK) {
        if (c.packed) look_at_slabs(&c);
        if (c.packed && packed_verify(c.packed, 1, NULL, NULL, NULL) == CANCELLED) abort();
        catalog_close(&c);
    }
    free(copy);
    return 0;
}
