/* SPDX-License-Identifier: Apache-2.0
 * arch/table.c - the families we know.  To add one: a file with its Arch, and a row here. */
#include "arch/arch.h"
#include "arch/llama_rules.h"

extern const Arch arch_mixtral, arch_llama;

const Arch *const arch_table[] = { &arch_mixtral, &arch_llama, NULL };

/* Rotary frequencies that follow from rope_theta: stored by old exporters, recomputed by everybody. */
const char *const llama_ignored[] = { "model.layers.%d.self_attn.rotary_emb.inv_freq", "rope.freqs",
                                      NULL };

/* Frequency factors, biases and extra norms or experts are arithmetic; ignoring one would give wrong text. */
const char *const llama_refused[] = {".bias", "rope_freqs",    "rope_factors", "_norm.",
                                     "shexp", "shared_expert", "lora_",        NULL};
