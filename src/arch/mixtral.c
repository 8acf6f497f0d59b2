/* SPDX-License-Identifier: Apache-2.0
 * arch/mixtral.c - Mixtral 8x7B, 8x22B and their fine-tunes (WizardLM-2 8x22B, dolphin-mixtral..).
 *
 * Source: Jiang et al. 2024, "Mixtral of Experts", arXiv 2401.04088.
 * GGUF calls these files "llama" and tells them apart by expert_count. */
#include "arch/llama_rules.h"

static const SizeRule sizes[] = {
    LLAMA_SIZES(32768, 1e6),
    /* what          GGUF                          config.json              params.json otherwise */
    {SIZE_EXPERTS,
     {"llama.expert_count", "num_local_experts", "moe.num_experts"},
     {REQUIRED, REQUIRED, REQUIRED}},
    {SIZE_USED,
     {"llama.expert_used_count", "num_experts_per_tok", "moe.num_experts_per_tok"},
     {REQUIRED, REQUIRED, REQUIRED}},
};

#define HF      "model.layers.%d.block_sparse_moe."
#define MISTRAL "layers.%d.feed_forward."
static const TensorRule tensors[] = {
    LLAMA_TENSORS,
    /* role          GGUF                           safetensors                Mistral shape */
    {ROLE_ROUTER,
     {"blk.%d.ffn_gate_inp.weight", HF "gate.weight", MISTRAL "gate.weight"},
     {DIM_E, DIM_D},
     0},
    {ROLE_GATE, {"blk.%d.ffn_gate_exps.weight", NULL, NULL}, {DIM_E, DIM_F, DIM_D}, STACKED},
    {ROLE_UP, {"blk.%d.ffn_up_exps.weight", NULL, NULL}, {DIM_E, DIM_F, DIM_D}, STACKED},
    {ROLE_DOWN, {"blk.%d.ffn_down_exps.weight", NULL, NULL}, {DIM_E, DIM_D, DIM_F}, STACKED},
    /* Older GGUF, and both kinds of folder.  w1 is gate, w3 is up, w2 is down. */
    {ROLE_GATE,
     {"blk.%d.ffn_gate.%d.weight", HF "experts.%d.w1.weight", MISTRAL "experts.%d.w1.weight"},
     {DIM_F, DIM_D},
     0},
    {ROLE_UP,
     {"blk.%d.ffn_up.%d.weight", HF "experts.%d.w3.weight", MISTRAL "experts.%d.w3.weight"},
     {DIM_F, DIM_D},
     0},
    {ROLE_DOWN,
     {"blk.%d.ffn_down.%d.weight", HF "experts.%d.w2.weight", MISTRAL "experts.%d.w2.weight"},
     {DIM_D, DIM_F},
     0},
};

static const SettingRule settings[] = { LLAMA_SETTINGS };

const Arch arch_mixtral = {
    .name        = "mixtral",
    .names       = { { "llama" }, { "MixtralForCausalLM" }, { "" } },
    .has_experts = true,
    .tensors     = tensors,  .n_tensors  = ARRAY_LEN(tensors),
    .sizes       = sizes,    .n_sizes    = ARRAY_LEN(sizes),
    .settings    = settings, .n_settings = ARRAY_LEN(settings),
    .ignored     = llama_ignored,
    .refused     = llama_refused,
    .pairs       = LLAMA_PAIRS,
    .router      = { .renormalise = true },
};
