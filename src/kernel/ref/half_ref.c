/* SPDX-License-Identifier: Apache-2.0
 * kernel/ref/half_ref.c - halves, as number/ defines them. */
#include "kernel/ref/ref.h"

void encode_f16_ref(void *to, const float *from, size_t n)
{
    format_info[F16].encode(to, from, n);
}
