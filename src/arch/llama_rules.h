/* SPDX-License-Identifier: Apache-2.0
 * arch/llama_rules.h - the rows that Mixtral and its dense neighbours have in common.
 *
 * Columns are the containers: GGUF, Hugging Face's config.json and names, Mistral's params.json and names. */
#ifndef ARCH_LLAMA_RULES_H
#define ARCH_LLAMA_RULES_H

#include "arch/arch.h"

/* A params.json without rope_theta means 1e6; a GGUF without freq_base 1e4; config.json what the
 * family's configuration class says. */
#define LLAMA_SIZES(hf_context, hf_base)                                                                                                                              \
    /* what                GGUF                                        config.json                             params.json             otherwise */                   \
    { SIZE_LAYERS,       { "llama.block_count",                      "num_hidden_layers",                    "n_layers"          }, { REQUIRED, REQUIRED, REQUIRED } }, \
    { SIZE_VOCAB,        { "llama.vocab_size",                       "vocab_size",                           "vocab_size"        }, { DERIVED, DERIVED, DERIVED }    }, \
    { SIZE_CONTEXT,      { "llama.context_length",                   "max_position_embeddings",              "max_seq_len"       }, { 2048, hf_context, 32768 }      }, \
    { SIZE_MODEL_WIDTH,  { "llama.embedding_length",                 "hidden_size",                          "dim"               }, { REQUIRED, REQUIRED, REQUIRED } }, \
    { SIZE_HEADS,        { "llama.attention.head_count",             "num_attention_heads",                  "n_heads"           }, { REQUIRED, REQUIRED, REQUIRED } }, \
    { SIZE_KV_HEADS,     { "llama.attention.head_count_kv",          "num_key_value_heads",                  "n_kv_heads"        }, { DERIVED, DERIVED, DERIVED }    }, \
    { SIZE_HEAD,         { "llama.attention.key_length",             "head_dim",                             "head_dim"          }, { DERIVED, DERIVED, DERIVED }    }, \
    { SIZE_TURNED,       { "llama.rope.dimension_count",             NULL,                                   NULL                }, { DERIVED, DERIVED, DERIVED }    }, \
    { SIZE_HIDDEN,       { "llama.feed_forward_length",              "intermediate_size",                    "hidden_dim"        }, { REQUIRED, REQUIRED, REQUIRED } }, \
    { SIZE_WINDOW,       { "llama.attention.sliding_window",         "sliding_window",                       "sliding_window"    }, { 0, 0, 0 }                      }, \
    { SIZE_NORM_EPS,     { "llama.attention.layer_norm_rms_epsilon", "rms_norm_eps",                         "norm_eps"          }, { REQUIRED, 1e-5, 1e-5 }         }, \
    { SIZE_ROPE_BASE,    { "llama.rope.freq_base",                   "rope_theta|rope_parameters.rope_theta", "rope_theta"       }, { 1e4, hf_base, 1e6 }            }

#define LLAMA_HF      "model.layers.%d."
#define LLAMA_MISTRAL "layers.%d."
#define LLAMA_TENSORS                                                                                                                                            \
    /* role              GGUF                         safetensors                                        Mistral                                 shape */             \
    { ROLE_EMBED,      { "token_embd.weight",         "model.embed_tokens.weight",                       "tok_embeddings.weight"              }, { DIM_V, DIM_D }, 0 },    \
    { ROLE_ATTN_NORM,  { "blk.%d.attn_norm.weight",   LLAMA_HF "input_layernorm.weight",                 LLAMA_MISTRAL "attention_norm.weight" }, { DIM_D },        0 },    \
    { ROLE_Q,          { "blk.%d.attn_q.weight",      LLAMA_HF "self_attn.q_proj.weight",                LLAMA_MISTRAL "attention.wq.weight"   }, { DIM_H, DIM_D }, PAIRED }, \
    { ROLE_K,          { "blk.%d.attn_k.weight",      LLAMA_HF "self_attn.k_proj.weight",                LLAMA_MISTRAL "attention.wk.weight"   }, { DIM_K, DIM_D }, PAIRED }, \
    { ROLE_V,          { "blk.%d.attn_v.weight",      LLAMA_HF "self_attn.v_proj.weight",                LLAMA_MISTRAL "attention.wv.weight"   }, { DIM_K, DIM_D }, 0 },    \
    { ROLE_O,          { "blk.%d.attn_output.weight", LLAMA_HF "self_attn.o_proj.weight",                LLAMA_MISTRAL "attention.wo.weight"   }, { DIM_D, DIM_H }, 0 },    \
    { ROLE_FFN_NORM,   { "blk.%d.ffn_norm.weight",    LLAMA_HF "post_attention_layernorm.weight",        LLAMA_MISTRAL "ffn_norm.weight"       }, { DIM_D },        0 },    \
    { ROLE_OUT_NORM,   { "output_norm.weight",        "model.norm.weight",                               "norm.weight"                        }, { DIM_D },        0 },    \
    { ROLE_OUT,        { "output.weight",             "lm_head.weight",                                  "output.weight"                      }, { DIM_V, DIM_D }, TIED }

/* What would change the arithmetic and is not ours: an error that names it. */
#define LLAMA_SETTINGS                                                                                                     \
    /* GGUF                                 config.json                      params.json            must be */             \
    { { "llama.rope.scaling.type",          "rope_scaling.type",             NULL                }, "none|default" },      \
    { { NULL,                               "rope_scaling.rope_type",        NULL                }, "none|default" },      \
    { { NULL,                               "rope_parameters.rope_type",     NULL                }, "none|default" },      \
    { { "llama.rope.scaling.factor",        "rope_scaling.factor",           NULL                }, "1" },                 \
    { { "llama.rope.scale_linear",          "rope_parameters.factor",        NULL                }, "1" },                 \
    { { "llama.expert_gating_func",         NULL,                            NULL                }, "1" },                 \
    { { "llama.expert_weights_scale",       NULL,                            NULL                }, "1" },                 \
    { { "llama.expert_weights_norm",        NULL,                            NULL                }, "true" },              \
    { { "llama.expert_shared_count",        NULL,                            NULL                }, "0" },                 \
    { { "llama.interleave_moe_layer_step",  NULL,                            NULL                }, "1" },                 \
    { { "llama.attention.scale",            NULL,                            NULL                }, "" },                  \
    { { "llama.attention.causal",           NULL,                            NULL                }, "true" },              \
    { { "llama.attention.clamp_kqv",        NULL,                            NULL                }, "0" },                 \
    { { "llama.attention.max_alibi_bias",   NULL,                            NULL                }, "0" },                 \
    { { "llama.use_parallel_residual",      NULL,                            NULL                }, "false" },             \
    { { "llama.final_logit_softcapping",    "final_logit_softcapping",       NULL                }, "0" },                 \
    { { "llama.attn_logit_softcapping",     "attn_logit_softcapping",        NULL                }, "0" },                 \
    { { "llama.leading_dense_block_count",  NULL,                            NULL                }, "0" },                 \
    { { "llama.logit_scale",                NULL,                            NULL                }, "1" },                 \
    { { "llama.residual_scale",             NULL,                            NULL                }, "1" },                 \
    { { "llama.embedding_scale",            NULL,                            NULL                }, "1" },                 \
    { { NULL,                               "hidden_act",                    NULL                }, "silu" },              \
    { { NULL,                               "attention_bias",                NULL                }, "false" },             \
    { { NULL,                               "mlp_bias",                      NULL                }, "false" },             \
    { { NULL,                               "partial_rotary_factor",         NULL                }, "1" },                 \
    { { NULL,                               "quantization_config.quant_method", "quantization.qformat_weight" }, "" },     \
    { { NULL,                               NULL,                            "lora.enable"       }, "false" },             \
    { { NULL,                               NULL,                            "yarn.factor"       }, "" },                  \
    { { NULL,                               NULL,                            "q_lora_rank"       }, "" }

/* GGUF and Mistral turn numbers (0,1)(2,3)..; Hugging Face turns (i, i + d/2). */
#define LLAMA_PAIRS { PAIRS_ADJACENT, PAIRS_HALVES, PAIRS_ADJACENT }

extern const char *const llama_ignored[], *const llama_refused[];

#endif
