/* SPDX-License-Identifier: Apache-2.0 */
#include "text/tokenizer_table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static bool grow(Table *table)
{
    Table bigger = { .room = table->room ? table->room * 2 : 64,
                     .n = table->n,
                     .seed = table->seed };
    if (!table->room &&
        getrandom(&bigger.seed, sizeof bigger.seed, GRND_NONBLOCK) != (ssize_t)sizeof bigger.seed) {
        bigger.seed = (uint64_t)time(NULL);
    }
    if (bigger.room > SIZE_MAX / sizeof *bigger.slots) return false;
    bigger.slots = malloc(bigger.room * sizeof *bigger.slots);
    if (!bigger.slots) return false;
    memset(bigger.slots, 0xff, bigger.room * sizeof *bigger.slots);     /* every key reserved */
    for (size_t i = 0; i < table->room; i++) {
        if (table->slots[i].key == UINT64_MAX) continue;
        size_t seat = table_seat(&bigger, table->slots[i].key);
        while (bigger.slots[seat].key != UINT64_MAX) seat = (seat + 1) & (bigger.room - 1);
        bigger.slots[seat] = table->slots[i];
    }
    free(table->slots);
    *table = bigger;
    return true;
}

bool table_put(Table *table, uint64_t key, uint64_t value)
{
    if (table_get(table, key)) return true;
    if (table->n * 2 >= table->room && !grow(table)) return false;
    size_t seat = table_seat(table, key);
    while (table->slots[seat].key != UINT64_MAX) seat = (seat + 1) & (table->room - 1);
    table->slots[seat] = (TableSlot){ key, value };
    table->n++;
    return true;
}

void table_free(Table *table)
{
    free(table->slots);
    *table = (Table){ 0 };
}

/* A new node at the end, without a piece. */
static bool add_node(Trie *trie)
{
    if (trie->n_nodes == trie->room) {
        const size_t room = trie->room ? trie->room * 2 : 64;
        int32_t *pieces = realloc(trie->pieces, room * sizeof *pieces);
        if (!pieces) return false;
        trie->pieces = pieces;
        trie->room = room;
    }
    trie->pieces[trie->n_nodes++] = -1;
    return true;
}

bool trie_add(Trie *trie, const char *text, size_t n_bytes, int32_t piece)
{
    if (n_bytes == 0) return true;
    if (trie->n_nodes == 0 && !add_node(trie)) return false;
    uint64_t node = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        const uint64_t edge = node << 8 | (uint8_t)text[i];
        const uint64_t *child = table_get(&trie->edges, edge);
        if (child) {
            node = *child;
            continue;
        }
        if (!add_node(trie) || !table_put(&trie->edges, edge, trie->n_nodes - 1)) return false;
        node = trie->n_nodes - 1;
    }
    if (trie->pieces[node] < 0) trie->pieces[node] = piece;     /* the first of equal texts */
    trie->begins[(uint8_t)text[0]] = true;
    return true;
}

void trie_free(Trie *trie)
{
    table_free(&trie->edges);
    free(trie->pieces);
    *trie = (Trie){ 0 };
}

int32_t trie_longest(const Trie *trie, const char *text, size_t n_bytes, size_t *length)
{
    int32_t found = -1;
    if (n_bytes == 0 || !trie->begins[(uint8_t)text[0]]) return found;
    uint64_t node = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        const uint64_t *child = table_get(&trie->edges, node << 8 | (uint8_t)text[i]);
        if (!child) break;
        node = *child;
        if (trie->pieces[node] >= 0) {
            found = trie->pieces[node];
            *length = i + 1;
        }
    }
    return found;
}
