/* SPDX-License-Identifier: Apache-2.0
 * number/format.h - how numbers are stored: one row per storage format.
 *
 * Block layouts are in number/blocks.h, and each format's scalar decoder, which *is* its
 * definition, in the file of its name (number/q4_k.c). */
#ifndef NUMBER_FORMAT_H
#define NUMBER_FORMAT_H

#include "base/base.h"
#include "base/rng.h"

typedef enum Format {
    F32, F16, BF16,
    Q4_0, Q4_1, Q5_0, Q5_1, Q8_0,
    Q2_K, Q3_K, Q4_K, Q5_K, Q6_K,
    N_FORMATS
} Format;

typedef struct FormatInfo {
    const char *name;               /* as people write it: "Q4_K"                          */
    int         gguf_id;            /* as GGUF writes it                                   */
    int         block_values;       /* numbers per block                                   */
    int         block_bytes;        /* bytes per block                                     */
    double      largest;            /* numbers up to here, of either sign, are stored as well as small ones */
    /* n values, n % block_values == 0 */
    void (*decode)(float *to, const void *from, size_t n);
    void (*encode)(void *to, const float *from, size_t n);
    /* n values drawn directly as blocks, about normal with this deviation: for files of
     * any size with random weights (mixt synth), at the speed of the disk. */
    void (*draw)(void *to, size_t n, float deviation, Rng *rng);
} FormatInfo;

extern const FormatInfo format_info[N_FORMATS];

/* False when the id is unknown to us. */
bool format_from_gguf(uint32_t gguf_id, Format *out);
/* "q4_k", "Q4_K": letters of either case.  False when unknown. */
bool format_from_name(const char *name, Format *out);
/* Name of any id GGUF ever gave out, also of those we cannot read ("IQ2_XXS"); NULL if none. */
const char *gguf_type_name(uint32_t gguf_id);

/* Bytes of one row of `cols` values; cols must be a multiple of block_values. */
static inline int64_t format_row_bytes(Format format, int64_t cols)
{
    return cols / format_info[format].block_values * format_info[format].block_bytes;
}

float    f16_to_f32(uint16_t half);             /* exact; NaN stays NaN                    */
uint16_t f32_to_f16(float value);               /* nearest, ties to even                   */
float    bf16_to_f32(uint16_t half);
uint16_t f32_to_bf16(float value);              /* nearest, ties to even; NaN stays quiet  */

#endif
