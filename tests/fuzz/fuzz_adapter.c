/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/fuzz_adapter.c - any bytes as an adapter: its keys, its pairs, their numbers. */
#include "made_folder.h"

#include "file/adapter.h"

enum { VALUES_MAX = 1 << 16 };

static void read_half(const AdapterFile *f, const AdapterPair *p, const FileTensor *half, int64_t n)
{
    static float values[VALUES_MAX];
    Error error;
    if (n > VALUES_MAX) return;
    for (int64_t e = 0; e < (p->n_experts ? p->n_experts : 1) && e < 4; e++)
        if (adapter_read(f, p, half, e, values, &error) == OK)
            for (int64_t i = 0; i < n; i++) believed += values[i] > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    AdapterFile f;
    Error error;
    if (adapter_open(made_memory(data, n_bytes), &f, &error) != OK) {
        if (error.text[0] == 0 || strchr(error.text, '\n')) abort();
    } else {
        for (int64_t i = 0; i < f.n; i++) {
            const AdapterPair *p = &f.pairs[i];
            if (p->rank < 1 || p->rank > ADAPTER_RANK_MAX || p->name[0] == 0) abort();
            read_half(&f, p, p->a, p->rank * p->cols);
            read_half(&f, p, p->b, p->rank * p->rows);
        }
    }
    adapter_close(&f);
    return 0;
}
