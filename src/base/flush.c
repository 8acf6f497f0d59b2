/* SPDX-License-Identifier: Apache-2.0
 * base/flush.c - see flush.h. */
#include "base/flush.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>

enum { LINE = 64 };

/* The older instruction waits for each line before the next: more is lost than won. */
bool flush_possible(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_CLFLUSHOPT);
}

__attribute__((target("clflushopt")))
void flush_lines(const void *at, size_t n_bytes)
{
    char *line = (char *)at;
    for (size_t i = 0; i < n_bytes; i += LINE) _mm_clflushopt(line + i);
    if (n_bytes) _mm_clflushopt(line + n_bytes - 1);
    _mm_sfence();
}

#else

bool flush_possible(void)
{
    return false;
}

void flush_lines(const void *at, size_t n_bytes)
{
    (void)at, (void)n_bytes;
}

#endif
