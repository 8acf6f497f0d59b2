/* SPDX-License-Identifier: Apache-2.0
 * arch/shapes.c - see shapes.h.  A new shape is a row and a name. */
#include "arch/shapes.h"

#include <string.h>

#define MIXTRAL_8X22                                                                               \
    { .n_layers = 56, .n_context = 65536, .width = 6144, .n_heads = 48, .n_kv_heads = 8,           \
      .head_size = 128, .n_experts = 8, .n_used = 2, .hidden = 16384, .n_vocab = 32000,            \
      .norm_eps = 1e-5, .rope_base = 1e6 }
#define MISTRAL_7                                                                                  \
    { .n_layers = 32, .n_context = 32768, .width = 4096, .n_heads = 32, .n_kv_heads = 8,           \
      .head_size = 128, .n_experts = 1, .n_used = 1, .hidden = 14336, .n_vocab = 32000,            \
      .window = 4096, .norm_eps = 1e-5, .rope_base = 1e4, .dense = true }

static const Sizes shapes[] = {
    /* The smallest in which every storage format fits every row. */
    { .n_layers = 4, .n_context = 4096, .width = 256, .n_heads = 8, .n_kv_heads = 4,
      .head_size = 32, .n_experts = 8, .n_used = 2, .hidden = 512, .n_vocab = 1024,
      .norm_eps = 1e-5, .rope_base = 1e4 },
    { .n_layers = 32, .n_context = 32768, .width = 4096, .n_heads = 32, .n_kv_heads = 8,
      .head_size = 128, .n_experts = 8, .n_used = 2, .hidden = 14336, .n_vocab = 32000,
      .norm_eps = 1e-5, .rope_base = 1e6 },
    MIXTRAL_8X22,
    MIXTRAL_8X22,
    MISTRAL_7,
    MISTRAL_7,
};
const char *const arch_shape_names[] = {
    "tiny", "mixtral-8x7b", "mixtral-8x22b", "wizardlm-2-8x22b", "mistral-7b", "wizardlm-2-7b", NULL
};
_Static_assert(sizeof arch_shape_names / sizeof arch_shape_names[0] ==
                   sizeof shapes / sizeof shapes[0] + 1,
               "a name for every shape");

bool arch_shape(const char *name, Sizes *out)
{
    for (int i = 0; arch_shape_names[i]; i++) {
        if (strcmp(name, arch_shape_names[i])) continue;
        *out = shapes[i];
        return true;
    }
    return false;
}
