/* SPDX-License-Identifier: Apache-2.0
 * quantize/recipe.h - which format each tensor gets in a mix such as Q4_K_M. */
#ifndef QUANTIZE_RECIPE_H
#define QUANTIZE_RECIPE_H

#include "arch/preset.h"

typedef enum Where {                /* in which of the L layers                             */
    NOWHERE, MORE_BITS, FIRST_EIGHTH, FIRST_SIXTEENTH, FIRST_FOUR, FIRST_TWO
} Where;

typedef struct Choice { Where where; Format there, elsewhere; } Choice;

typedef struct Recipe {
    const char *name;
    uint32_t    file_type;          /* general.file_type                                    */
    Format      base;               /* what no other column mentions                        */
    Format      output;
    Format      answer;             /* attn_output of files with experts                    */
    Format      answer_dense;       /* attn_output of files without                         */
    Format      fused;              /* q, k and v in one matrix                             */
    Choice      value, down;        /* attn_v of files without experts; ffn_down of all     */
} Recipe;

extern const char *const recipe_names[];                /* NULL-ended                       */
const Recipe *recipe_find(const char *name);            /* either case; NULL: unknown       */
Format recipe_format(const Recipe *recipe, const Sizes *sizes, Role role, int layer);
/* Of a published file, which may have more than we run. */
Format recipe_published(const Recipe *recipe, const Preset *preset, const PresetTensor *tensor);

#endif
