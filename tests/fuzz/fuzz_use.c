/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/fuzz_use.c - any bytes as what was learned from use; the digest at the end is made to fit, so
 * that the rest is looked at. */
#include <stdlib.h>
#include <string.h>

#include "store/use.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void take(const uint8_t *bytes, size_t n)
{
    Use use;
    Error error;
    if (use_parse("x", bytes, n, &use, &error) != OK) {
        if (error.text[0] == 0 || strchr(error.text, '\n')) abort();
        return;
    }
    int32_t keys[2];
    if (use_hottest(&use, keys, 2, &error) != OK || (use.policy[0] && !policy_kind(use.policy))) abort();
    use_free(&use);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    take(data, n_bytes);
    uint64_t h = 0xcbf29ce484222325u;                   /* as store/use.c                      */
    for (size_t i = 0; i < n_bytes; i++) h = (h ^ data[i]) * 0x100000001b3u;
    uint8_t *whole = malloc(n_bytes + sizeof h);
    if (!whole) abort();
    if (n_bytes) memcpy(whole, data, n_bytes);
    memcpy(whole + n_bytes, &h, sizeof h);
    take(whole, n_bytes + sizeof h);
    free(whole);
    return 0;
}
