/* SPDX-License-Identifier: Apache-2.0
 * arch/preset.h - models that were published, tensor by tensor, before anything is downloaded.
 *
 * Shapes here are wider than Sizes: they may have a shared expert, layers without experts, keys and
 * values from a latent row.  Whether we can run such a model is another question: `runs` says. */
#ifndef ARCH_PRESET_H
#define ARCH_PRESET_H

#include "arch/arch.h"

typedef enum Part {                     /* what a tensor is for, as far as its storage format cares */
    PART_EMBED, PART_OUT,
    PART_NORM,                          /* any vector: gains, biases                        */
    PART_Q, PART_K, PART_V, PART_O,
    PART_QKV,                           /* the three in one matrix                          */
    PART_LATENT,                        /* to and from the latent row of keys, values, queries */
    PART_ROUTER,
    PART_GATE, PART_UP, PART_DOWN,
} Part;

typedef enum PartOf { OF_MODEL, OF_ATTENTION, OF_ROUTER, OF_DENSE, OF_SHARED, OF_EXPERTS } PartOf;

typedef struct PresetTensor {
    Part    part;
    PartOf  of;
    int     layer;
    int64_t rows, cols;                 /* of one expert, where there are several           */
    int64_t n_experts;                  /* stacked; 1 elsewhere                             */
} PresetTensor;

typedef struct Preset {
    const char *name, *title;           /* "deepseek-v3", "DeepSeek V3"                     */
    bool    runs;                       /* a family in this folder describes it             */
    Sizes   sizes;                      /* hidden: of one expert; of a dense model: its own */
    int64_t first_dense;                /* layers without experts, at the front             */
    int64_t every;                      /* after them, one layer in so many has experts; 0: each */
    int64_t dense_hidden;               /* F of layers without experts                      */
    int64_t shared_hidden;              /* S of the expert that every token uses; 0: none   */
    bool    shared_gate;                /* a vector decides how much of it                  */
    int64_t q_rank, kv_rank;            /* latent attention; 0: the usual                   */
    int64_t value_size, n_rope;         /* of a head, likewise; head_size: the rest of a key */
    bool    fused;                      /* q, k and v are one matrix                        */
    bool    qkv_bias, qk_norm, router_bias;
    int64_t header_bytes;               /* before a published file's tensors: mostly the vocabulary */
} Preset;

extern const char *const arch_preset_names[];       /* NULL-ended                           */
/* Either case.  False when there is no such name. */
bool arch_preset(const char *name, Preset *out);

enum { PRESET_TENSORS_MAX = 24 };       /* in a layer                                       */
bool preset_layer_has_experts(const Preset *preset, int64_t layer);
/* All tensors of a layer, or with layer -1 those outside of layers; how many. */
int preset_tensors(const Preset *preset, int layer, PresetTensor out[PRESET_TENSORS_MAX]);
/* Numbers that one position leaves in the cache of one layer. */
int64_t preset_kv_values(const Preset *preset);

#endif
