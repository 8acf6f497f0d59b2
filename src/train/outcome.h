/* SPDX-License-Identifier: Apache-2.0
 * train/outcome.h - what was learned, as a GGUF file that any reader runs. */
#ifndef TRAIN_OUTCOME_H
#define TRAIN_OUTCOME_H

#include "arch/outline.h"
#include "train/net.h"

typedef struct Outcome {
    const Arch  *arch;
    const Sizes *sizes;
    const Param *params;    int n_params;
    Format       type;                  /* of matrices; vectors and routers stay F32        */
    const char  *name;                  /* general.name, or NULL                            */
    const Vocab *vocab;
    const char  *chat_template;  size_t chat_template_bytes;       /* Jinja source, or NULL */
} Outcome;

/* f32, f16, bf16, q8_0 */
bool   outcome_type(const char *name, Format *out);
/* Adapters as docs/format/adapter.md has them; alphas[role] belong to matrices of that role, all of rank ranks[role].
 * Names and shapes are those of the model; vocabulary, name and chat template are not part of an adapter. */
Status outcome_write_adapter(const char *path, const char *const *inputs, const Outcome *outcome,
                             const AdapterPlan *plan, Error *error);

/* The file appears whole or not at all; it may be none of `inputs` (NULL-ended, or NULL). */
Status outcome_write(const char *path, const char *const *inputs, const Outcome *outcome, Error *error);

#endif
