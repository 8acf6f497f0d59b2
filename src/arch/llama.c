/* SPDX-License-Identifier: Apache-2.0
 * arch/llama.c - the dense neighbours: Llama 1 and 2, Mistral 7B, WizardLM-2 7B.
 *
 * Source: Touvron et al. 2023, "Llama 2", arXiv 2307.09288; Jiang et al. 2023, "Mistral 7B",
 * arXiv 2310.06825.  The same layer as Mixtral's with one expert that every token uses. */
#include "arch/llama_rules.h"

static const SizeRule sizes[] = { LLAMA_SIZES(4096, 1e4) };

#define HF      "model.layers.%d.mlp."
#define MISTRAL "layers.%d.feed_forward."
static const TensorRule tensors[] = {
    LLAMA_TENSORS,
    /* role        GGUF                       safetensors            Mistral             shape */
    { ROLE_GATE, { "blk.%d.ffn_gate.weight",  HF "gate_proj.weight", MISTRAL "w1.weight" }, { DIM_F, DIM_D }, 0 },
    { ROLE_UP,   { "blk.%d.ffn_up.weight",    HF "up_proj.weight",   MISTRAL "w3.weight" }, { DIM_F, DIM_D }, 0 },
    { ROLE_DOWN, { "blk.%d.ffn_down.weight",  HF "down_proj.weight", MISTRAL "w2.weight" }, { DIM_D, DIM_F }, 0 },
};

static const SettingRule settings[] = { LLAMA_SETTINGS };

const Arch arch_llama = {
    .name = "llama",
    .names = { { "llama" },
               { "LlamaForCausalLM", "LLaMAForCausalLM", "MistralForCausalLM" },
               { "" } },
    .tensors = tensors,
    .n_tensors = ARRAY_LEN(tensors),
    .sizes = sizes,
    .n_sizes = ARRAY_LEN(sizes),
    .settings = settings,
    .n_settings = ARRAY_LEN(settings),
    .ignored = llama_ignored,
    .refused = llama_refused,
    .pairs = LLAMA_PAIRS,
};
