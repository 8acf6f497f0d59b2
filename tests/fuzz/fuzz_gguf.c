/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/fuzz_gguf.c - any bytes as a GGUF file. */
#include "made_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    open_and_believe(made_memory(data, n_bytes));
    return 0;
}
