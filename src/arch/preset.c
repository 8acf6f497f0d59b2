/* SPDX-License-Identifier: Apache-2.0
 * arch/preset.c - see preset.h.  A new model is a row.
 *
 * Source: each model's published config.json; header_bytes: where the tensors of a published GGUF
 * file begin, rounded. */
#include "arch/preset.h"

#include "arch/shapes.h"

#include <strings.h>

enum {                                              /* what a vocabulary takes in a file    */
    SPM_32K = 740000, BYTES_100K = 4200000, BYTES_128K = 7820000, BYTES_129K = 5090000, BYTES_152K = 5950000,
    BYTES_202K = 10400000
};

/* Those that arch/shapes.c has bring their sizes from there. */
static const Preset presets[] = {
    { .name = "mixtral-8x7b", .title = "Mixtral 8x7B", .runs = true, .header_bytes = SPM_32K },
    { .name = "mixtral-8x22b", .title = "Mixtral 8x22B", .runs = true, .header_bytes = SPM_32K },
    { .name = "wizardlm-2-8x22b", .title = "WizardLM-2 8x22B", .runs = true, .header_bytes = SPM_32K },
    { .name = "mistral-7b", .title = "Mistral 7B v0.1", .runs = true, .header_bytes = SPM_32K },
    { .name = "wizardlm-2-7b", .title = "WizardLM-2 7B", .runs = true, .header_bytes = SPM_32K },
    /* Source: arXiv 2412.19437.  Without the layer that predicts two tokens, as its files are. */
    { .name = "deepseek-v3", .title = "DeepSeek V3",
      .sizes = { .n_layers = 61, .n_context = 163840, .width = 7168, .n_heads = 128, .n_kv_heads = 128,
                 .head_size = 128, .n_experts = 256, .n_used = 8, .hidden = 2048, .n_vocab = 129280 },
      .first_dense = 3, .dense_hidden = 18432, .shared_hidden = 2048, .q_rank = 1536, .kv_rank = 512,
      .value_size = 128, .n_rope = 64, .router_bias = true, .header_bytes = BYTES_129K },
    { .name = "dbrx", .title = "DBRX",
      .sizes = { .n_layers = 40, .n_context = 32768, .width = 6144, .n_heads = 48, .n_kv_heads = 8,
                 .head_size = 128, .n_experts = 16, .n_used = 4, .hidden = 10752, .n_vocab = 100352 },
      .fused = true, .header_bytes = BYTES_100K },
    /* Only the part that reads text; queries and keys are normed without gains. */
    { .name = "llama-4-scout", .title = "Llama 4 Scout",
      .sizes = { .n_layers = 48, .n_context = 10485760, .width = 5120, .n_heads = 40, .n_kv_heads = 8,
                 .head_size = 128, .n_experts = 16, .n_used = 1, .hidden = 8192, .n_vocab = 202048 },
      .shared_hidden = 8192, .header_bytes = BYTES_202K },
    { .name = "llama-4-maverick", .title = "Llama 4 Maverick",
      .sizes = { .n_layers = 48, .n_context = 1048576, .width = 5120, .n_heads = 40, .n_kv_heads = 8,
                 .head_size = 128, .n_experts = 128, .n_used = 1, .hidden = 8192, .n_vocab = 202048 },
      .every = 2, .dense_hidden = 16384, .shared_hidden = 8192, .header_bytes = BYTES_202K },
    { .name = "qwen1.5-moe", .title = "Qwen1.5 MoE A2.7B",
      .sizes = { .n_layers = 24, .n_context = 8192, .width = 2048, .n_heads = 16, .n_kv_heads = 16,
                 .head_size = 128, .n_experts = 60, .n_used = 4, .hidden = 1408, .n_vocab = 151936 },
      .shared_hidden = 5632, .shared_gate = true, .qkv_bias = true, .header_bytes = BYTES_152K },
    { .name = "llama-3-70b", .title = "Llama 3 70B", .runs = true,
      .sizes = { .n_layers = 80, .n_context = 8192, .width = 8192, .n_heads = 64, .n_kv_heads = 8,
                 .head_size = 128, .n_experts = 1, .n_used = 1, .hidden = 28672, .n_vocab = 128256,
                 .dense = true },
      .header_bytes = BYTES_128K },
    { .name = "qwen2.5-72b", .title = "Qwen2.5 72B",
      .sizes = { .n_layers = 80, .n_context = 32768, .width = 8192, .n_heads = 64, .n_kv_heads = 8,
                 .head_size = 128, .n_experts = 1, .n_used = 1, .hidden = 29568, .n_vocab = 152064,
                 .dense = true },
      .qkv_bias = true, .header_bytes = BYTES_152K },
    { .name = "qwen3-32b", .title = "Qwen3 32B",
      .sizes = { .n_layers = 64, .n_context = 40960, .width = 5120, .n_heads = 64, .n_kv_heads = 8,
                 .head_size = 128, .n_experts = 1, .n_used = 1, .hidden = 25600, .n_vocab = 151936,
                 .dense = true },
      .qk_norm = true, .header_bytes = BYTES_152K },
};
const char *const arch_preset_names[] = {
    "mixtral-8x7b", "mixtral-8x22b", "wizardlm-2-8x22b", "mistral-7b", "wizardlm-2-7b", "deepseek-v3", "dbrx",
    "llama-4-scout", "llama-4-maverick", "qwen1.5-moe", "llama-3-70b", "qwen2.5-72b", "qwen3-32b", NULL
};
_Static_assert(sizeof arch_preset_names / sizeof arch_preset_names[0] ==
                   sizeof presets / sizeof presets[0] + 1,
               "a name for every preset");

bool arch_preset(const char *name, Preset *out)
{
    for (int i = 0; i < ARRAY_LEN(presets); i++) {
        if (strcasecmp(name, presets[i].name)) continue;
        *out = presets[i];
        if (!out->sizes.n_layers) arch_shape(out->name, &out->sizes);
        if (!out->value_size) out->value_size = out->sizes.head_size;
        if (!out->every) out->every = 1;
        return true;
    }
    return false;
}

bool preset_layer_has_experts(const Preset *p, int64_t layer)
{
    if (p->sizes.dense || layer < p->first_dense) return false;
    return (layer - p->first_dense) % p->every == p->every - 1;
}

int64_t preset_kv_values(const Preset *p)
{
    return p->kv_rank ? p->kv_rank + p->n_rope : p->sizes.n_kv_heads * (p->sizes.head_size + p->value_size);
}

/* ---- tensors ---- */

typedef struct List { PresetTensor *to; int n, layer; } List;

static void add(List *list, Part part, PartOf of, int64_t rows, int64_t cols, int64_t n_experts)
{
    list->to[list->n++] = (PresetTensor){ part, of, list->layer, rows, cols, n_experts };
}

static void add_latent(const Preset *p, List *list)
{
    const Sizes *s = &p->sizes;
    const int64_t key = s->head_size + p->n_rope;
    add(list, PART_LATENT, OF_ATTENTION, p->q_rank, s->width, 1);
    add(list, PART_NORM, OF_ATTENTION, 1, p->q_rank, 1);
    add(list, PART_LATENT, OF_ATTENTION, s->n_heads * key, p->q_rank, 1);
    add(list, PART_LATENT, OF_ATTENTION, p->kv_rank + p->n_rope, s->width, 1);
    add(list, PART_NORM, OF_ATTENTION, 1, p->kv_rank, 1);
    add(list, PART_LATENT, OF_ATTENTION, s->n_heads * (s->head_size + p->value_size), p->kv_rank, 1);
}

static void add_attention(const Preset *p, List *list)
{
    const Sizes *s = &p->sizes;
    const int64_t H = s->n_heads * s->head_size, K = s->n_kv_heads * s->head_size;
    add(list, PART_NORM, OF_MODEL, 1, s->width, 1);
    if (p->kv_rank) add_latent(p, list);
    else if (p->fused) add(list, PART_QKV, OF_ATTENTION, H + 2 * K, s->width, 1);
    else {
        add(list, PART_Q, OF_ATTENTION, H, s->width, 1);
        add(list, PART_K, OF_ATTENTION, K, s->width, 1);
        add(list, PART_V, OF_ATTENTION, K, s->width, 1);
    }
    if (p->qkv_bias) add(list, PART_NORM, OF_ATTENTION, 1, H + 2 * K, 1);
    if (p->qk_norm) add(list, PART_NORM, OF_ATTENTION, 2, s->head_size, 1);
    add(list, PART_O, OF_ATTENTION, s->width, s->n_heads * p->value_size, 1);
    add(list, PART_NORM, OF_MODEL, 1, s->width, 1);
}

static void add_feed_forward(List *list, PartOf of, int64_t width, int64_t hidden, int64_t n_experts)
{
    add(list, PART_GATE, of, hidden, width, n_experts);
    add(list, PART_UP, of, hidden, width, n_experts);
    add(list, PART_DOWN, of, width, hidden, n_experts);
}

int preset_tensors(const Preset *p, int layer, PresetTensor out[PRESET_TENSORS_MAX])
{
    const Sizes *s = &p->sizes;
    List list = { .to = out, .layer = layer };
    if (layer < 0) {
        add(&list, PART_EMBED, OF_MODEL, s->n_vocab, s->width, 1);
        add(&list, PART_OUT, OF_MODEL, s->n_vocab, s->width, 1);
        add(&list, PART_NORM, OF_MODEL, 1, s->width, 1);
        return list.n;
    }
    add_attention(p, &list);
    if (s->dense) add_feed_forward(&list, OF_DENSE, s->width, s->hidden, 1);
    else if (!preset_layer_has_experts(p, layer))
        add_feed_forward(&list, OF_DENSE, s->width, p->dense_hidden, 1);
    else {
        add(&list, PART_ROUTER, OF_ROUTER, s->n_experts, s->width, 1);
        if (p->router_bias) add(&list, PART_NORM, OF_ROUTER, 1, s->n_experts, 1);
        add_feed_forward(&list, OF_EXPERTS, s->width, s->hidden, s->n_experts);
        if (p->shared_hidden) add_feed_forward(&list, OF_SHARED, s->width, p->shared_hidden, 1);
        if (p->shared_gate) add(&list, PART_NORM, OF_SHARED, 1, s->width, 1);
    }
    return list.n;
}
