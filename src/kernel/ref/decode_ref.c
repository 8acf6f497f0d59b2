/* SPDX-License-Identifier: Apache-2.0
 * kernel/ref/decode_ref.c - what a block means is said in number/, one file per format. */
#include "kernel/ref/ref.h"

#define DECODE(lower, format)                                                                      \
    void decode_##lower##_ref(float *to, const void *from, size_t n)                               \
    {                                                                                              \
        format_info[format].decode(to, from, n);                                                   \
    }
DECODE(f16, F16)
DECODE(bf16, BF16)
DECODE(q4_0, Q4_0)
DECODE(q4_1, Q4_1)
DECODE(q5_0, Q5_0)
DECODE(q5_1, Q5_1)
DECODE(q8_0, Q8_0)
DECODE(q2_k, Q2_K)
DECODE(q3_k, Q3_K)
DECODE(q4_k, Q4_K)
DECODE(q5_k, Q5_K)
DECODE(q6_k, Q6_K)

void encode_f16_ref(void *to, const float *from, size_t n)
{
    format_info[F16].encode(to, from, n);
}
