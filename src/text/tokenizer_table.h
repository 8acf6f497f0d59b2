/* SPDX-License-Identifier: Apache-2.0
 * text/tokenizer_table.h - two small indices that tokenizers share: numbers to numbers, and a
 * trie of byte strings.  Both are built once and only read afterwards. */
#ifndef TEXT_TOKENIZER_TABLE_H
#define TEXT_TOKENIZER_TABLE_H

#include "base/base.h"

typedef struct TableSlot { uint64_t key, value; } TableSlot;

/* Open addressing, at most half full.  The key UINT64_MAX is reserved.  The hash is seeded, so
 * that a file cannot be built to collide; results never depend on the seed. */
typedef struct Table { TableSlot *slots; size_t n, room; uint64_t seed; } Table;    /* { 0 } is empty */

/* False when there is no memory.  An existing key keeps its first value. */
bool table_put(Table *table, uint64_t key, uint64_t value);
void table_free(Table *table);

static inline size_t table_seat(const Table *table, uint64_t key)
{
    const uint64_t mixed = (key ^ table->seed) * 0x9e3779b97f4a7c15u;
    return (size_t)((mixed ^ mixed >> 32) * 0xd6e8feb86659fd93u >> 20) & (table->room - 1);
}

/* NULL when the key is not there. */
static inline const uint64_t *table_get(const Table *table, uint64_t key)
{
    if (table->room == 0) return NULL;
    for (size_t i = table_seat(table, key);; i = (i + 1) & (table->room - 1)) {
        if (table->slots[i].key == key) return &table->slots[i].value;
        if (table->slots[i].key == UINT64_MAX) return NULL;
    }
}

/* Pieces that are looked for at every position of a text.  Nearly every position is dismissed by
 * its first byte alone. */
typedef struct Trie {
    Table    edges;             /* node << 8 | byte -> node; node 0 is the root            */
    int32_t *pieces;            /* [n_nodes] the piece that ends here, or -1               */
    size_t   n_nodes, room;
    bool     begins[256];       /* does any piece begin with this byte?                    */
} Trie;

bool trie_add(Trie *trie, const char *text, size_t n_bytes, int32_t piece);
void trie_free(Trie *trie);
/* The longest piece that `text` begins with, and its length; -1 when there is none. */
int32_t trie_longest(const Trie *trie, const char *text, size_t n_bytes, size_t *length);

#endif
