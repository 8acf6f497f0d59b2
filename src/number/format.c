/* SPDX-License-Identifier: Apache-2.0
 * number/format.c - the table of storage formats, and the names people and files give them. */
#include "number/codec.h"

#include <math.h>
#include <strings.h>

#define ROW(name, lower, id, values, bytes, largest)                                               \
    { name, id, values, bytes, largest, decode_##lower, encode_##lower, draw_##lower }

/* Scales are F16, and so are the minima that some formats subtract.  The largest number is the largest scale by the
 * largest quant, of the side that is shorter, or the largest minimum where that is less.  Formats with groups could
 * hold more, but the sums of the search for their scales would not fit into floats. */
#define HALF_MAX 65504.0

/* clang-format off */
const FormatInfo format_info[N_FORMATS] = {
    /*             name    file  GGUF  values        bytes of a block   largest number          */
    [F32]  = ROW("F32",  f32,   0,   1,            sizeof(float),     INFINITY),
    [F16]  = ROW("F16",  f16,   1,   1,            sizeof(uint16_t),  HALF_MAX),
    [BF16] = ROW("BF16", bf16, 30,   1,            sizeof(uint16_t),  0x1.fep127),
    [Q4_0] = ROW("Q4_0", q4_0,  2,   SMALL_VALUES, sizeof(BlockQ4_0), 7 * HALF_MAX),
    [Q4_1] = ROW("Q4_1", q4_1,  3,   SMALL_VALUES, sizeof(BlockQ4_1), HALF_MAX),
    [Q5_0] = ROW("Q5_0", q5_0,  6,   SMALL_VALUES, sizeof(BlockQ5_0), 15 * HALF_MAX),
    [Q5_1] = ROW("Q5_1", q5_1,  7,   SMALL_VALUES, sizeof(BlockQ5_1), HALF_MAX),
    [Q8_0] = ROW("Q8_0", q8_0,  8,   SMALL_VALUES, sizeof(BlockQ8_0), 127 * HALF_MAX),
    [Q2_K] = ROW("Q2_K", q2_k, 10,   SUPER_VALUES, sizeof(BlockQ2_K), HALF_MAX),
    [Q3_K] = ROW("Q3_K", q3_k, 11,   SUPER_VALUES, sizeof(BlockQ3_K), HALF_MAX),
    [Q4_K] = ROW("Q4_K", q4_k, 12,   SUPER_VALUES, sizeof(BlockQ4_K), HALF_MAX),
    [Q5_K] = ROW("Q5_K", q5_k, 13,   SUPER_VALUES, sizeof(BlockQ5_K), HALF_MAX),
    [Q6_K] = ROW("Q6_K", q6_k, 14,   SUPER_VALUES, sizeof(BlockQ6_K), HALF_MAX),
};

/* Every id the file format ever gave out, those it took back included. */
static const char *const gguf_names[] = {
    /*  0 */ "F32",         "F16",         "Q4_0",        "Q4_1",        "Q4_2",
    /*  5 */ "Q4_3",        "Q5_0",        "Q5_1",        "Q8_0",        "Q8_1",
    /* 10 */ "Q2_K",        "Q3_K",        "Q4_K",        "Q5_K",        "Q6_K",
    /* 15 */ "Q8_K",        "IQ2_XXS",     "IQ2_XS",      "IQ3_XXS",     "IQ1_S",
    /* 20 */ "IQ4_NL",      "IQ3_S",       "IQ2_S",       "IQ4_XS",      "I8",
    /* 25 */ "I16",         "I32",         "I64",         "F64",         "IQ1_M",
    /* 30 */ "BF16",        "Q4_0_4_4",    "Q4_0_4_8",    "Q4_0_8_8",    "TQ1_0",
    /* 35 */ "TQ2_0",       "IQ4_NL_4_4",  "IQ4_NL_4_8",  "IQ4_NL_8_8",  "MXFP4",
};
/* clang-format on */

bool format_from_gguf(uint32_t gguf_id, Format *out)
{
    for (int f = 0; f < N_FORMATS; f++) {
        if ((uint32_t)format_info[f].gguf_id != gguf_id) continue;
        *out = (Format)f;
        return true;
    }
    return false;
}

bool format_from_name(const char *name, Format *out)
{
    for (int f = 0; f < N_FORMATS; f++) {
        if (strcasecmp(format_info[f].name, name)) continue;
        *out = (Format)f;
        return true;
    }
    return false;
}

const char *gguf_type_name(uint32_t gguf_id)
{
    return gguf_id < (uint32_t)ARRAY_LEN(gguf_names) ? gguf_names[gguf_id] : NULL;
}
