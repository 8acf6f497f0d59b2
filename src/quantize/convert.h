/* SPDX-License-Identifier: Apache-2.0
 * quantize/convert.h - any model we can open, as one GGUF file. */
#ifndef QUANTIZE_CONVERT_H
#define QUANTIZE_CONVERT_H

#include "model/lora.h"

typedef struct ConvertOptions {
    const char *type;                   /* one of recipe_names; NULL: as stored             */
    void      (*log)(void *user, const char *line);  void *log_user;
    int       (*progress)(void *user, int64_t done_bytes, int64_t total_bytes);  void *progress_user;
    const AdapterUse *adapters;  int n_adapters;    /* added to the weights                 */
    Memory      memory;                 /* what is meant when `from` is its name            */
} ConvertOptions;

Status convert(const char *from, const char *to, const ConvertOptions *options, Error *error);

#endif
