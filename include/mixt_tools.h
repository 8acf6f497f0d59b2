/* SPDX-License-Identifier: Apache-2.0
 * mixt_tools.h - offline jobs on model files.  Same conventions as mixt.h; may still change. */
#ifndef MIXT_TOOLS_H
#define MIXT_TOOLS_H

#include <mixt.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Parse everything in a model file or folder: headers, every tensor's range, sizes, tokenizer, template.
 * `line` gets one sentence on success ("mixtral, 8 experts, ...").  A vocabulary alone passes too.
 * log: warnings, or NULL. */
MIXT_API mixt_status mixt_check(const char *path, char *line, size_t line_room, mixt_log_fn log, void *log_user,
                                mixt_error *error);

/* Any model mixt_model_open accepts, to one GGUF v3 file: stacked experts, rows of q and k in GGUF order.
 * type: "f32", "f16", "bf16", "q8_0" (norms and routers stay F32).  The output appears whole or not at all. */
typedef struct mixt_convert_options {
    size_t           struct_bytes;
    const char      *type;          /* NULL: as stored                                         */
    mixt_log_fn      log;           void *log_user;
    mixt_progress_fn progress;      void *progress_user;
} mixt_convert_options;

MIXT_API mixt_convert_options mixt_convert_defaults(void);
MIXT_API mixt_status mixt_convert(const char *from, const char *to, const mixt_convert_options *options,
                                  mixt_error *error);

/* A valid model of a true shape with random, well-behaved weights; bounded memory, any size. */
typedef struct mixt_synth_options {
    size_t           struct_bytes;
    const char      *like;          /* "mixtral-8x7b", "mixtral-8x22b", "tiny", ..             */
    int64_t          n_layers, width, hidden, n_heads, n_kv_heads, head_size, n_experts, n_used, n_vocab, n_context,
                     window;        /* 0: as `like` has it; n_experts -1: dense                 */
    double           router_skew;   /* Zipf exponent over experts; 0: uniform                  */
    const char      *type;          /* "Q4_K_M", "Q8_0", "F16", ..                             */
    uint64_t         seed;
    mixt_progress_fn progress;      void *progress_user;
} mixt_synth_options;

MIXT_API mixt_synth_options mixt_synth_defaults(void);
MIXT_API mixt_status mixt_synth(const char *to, const mixt_synth_options *options, mixt_error *error);
/* Names `like` and `type` may have, NULL-ended. */
MIXT_API const char *const *mixt_synth_shapes(void);
MIXT_API const char *const *mixt_synth_types(void);

/* A float32 or int32 array as a NumPy .npy file (version 1.0), through the atomic writer.  A path that is one of
 * `inputs` (NULL-ended, or NULL), also by link, is MIXT_BAD_ARGUMENT. */
typedef enum mixt_npy { MIXT_NPY_F32, MIXT_NPY_I32 } mixt_npy;
MIXT_API mixt_status mixt_npy_write(const char *path, mixt_npy type, const void *values, const int64_t *dims,
                                    size_t n_dims, const char *const *inputs, mixt_error *error);

#ifdef __cplusplus
}
#endif
#endif
