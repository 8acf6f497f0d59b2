/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/fuzz_json.c - any bytes as each of the small JSON files of a model folder in turn. */
#include "made_folder.h"

static const char *const roles[] = {
    "config.json",
    "params.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "model.safetensors.index.json",
    "tokenizer.json",
};

static const char tokenizer[] =
    "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
    "\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true}],"
    "\"model\":{\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}}";

static char *folder_for(const char *role)
{
    char *folder = made_folder(role);
    if (strcmp(role, "params.json") != 0) made_text(folder, "config.json", "{}");
    made_text(folder, "tokenizer.json", tokenizer);
    made_link(folder, role);
    return folder;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static char *folders[sizeof roles / sizeof *roles];
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (!folders[i]) folders[i] = folder_for(roles[i]);
        made_memory(data, n_bytes);
        open_and_believe(folders[i]);
    }
    return 0;
}
