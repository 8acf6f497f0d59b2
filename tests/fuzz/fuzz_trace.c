/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/fuzz_trace.c - any bytes as a routing trace; what is taken must be replayable. */
#include <stdlib.h>
#include <string.h>

#include "store/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

enum { USES_MAX = 4096 };

static void check(const Trace *t)
{
    int64_t n_all = 0;
    for (int64_t step = 0; step < t->n_steps; step++)
        for (int layer = 0; layer < t->head.n_layers; layer++) {
            int n;
            const TraceUse *uses = trace_uses(t, step, layer, &n);
            for (int i = 0; i < n; i++)
                if (uses[i].expert >= t->head.n_experts || uses[i].n_rows < 1 || uses[i].n_rows > t->step_rows[step])
                    abort();
            n_all += n;
        }
    if (n_all != t->n_uses) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    Trace t;
    Error error;
    if (trace_parse("x", data, n_bytes, &t, &error) != OK) {
        if (error.text[0] == 0 || strchr(error.text, '\n')) abort();
        return 0;
    }
    check(&t);
    Replay r, best;
    if (t.n_uses <= USES_MAX) {
        const int n_keys = t.head.n_layers * t.head.n_experts, room = n_keys / 3 + 1;
        if (replay(&t, POLICY_DEFAULT, room, NULL, 0, &r, &error) != OK ||
            replay(&t, REPLAY_ORACLE, n_keys, NULL, 0, &best, &error) != OK)
            abort();
        if (r.first.n_hits + r.second.n_hits > best.first.n_hits + best.second.n_hits) abort();
    }
    trace_free(&t);
    return 0;
}
