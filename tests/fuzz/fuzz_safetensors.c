/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/fuzz_safetensors.c - any bytes as the weights of a folder. */
#include "made_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static char *folder;
    if (!folder) {
        folder = made_folder("safetensors");
        made_text(folder, "config.json", "{}");
        made_link(folder, "model.safetensors");
    }
    made_memory(data, n_bytes);
    open_and_believe(folder);
    return 0;
}
