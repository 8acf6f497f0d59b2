/* SPDX-License-Identifier: Apache-2.0
 * Reads tests/unit/number/vectors/<name>.bin, which tools/make_number_vectors.c wrote. */
#ifndef TESTS_NUMBER_VECTORS_H
#define TESTS_NUMBER_VECTORS_H

#include "support.h"

#include <stdbool.h>

/* Bits are what we promise, so bits are what we compare: -0 is not 0 here. */
static inline bool bits_equal(const void *a, const void *b, size_t n_bytes)
{
    return memcmp(a, b, n_bytes) == 0;
}

/* The count at the front, then two runs of bytes of count * a_bytes and count * b_bytes; free *a
 * and *b. */
static inline uint32_t read_vectors(const char *name, size_t a_bytes, void **a, size_t b_bytes,
                                    void **b)
{
    char path[4096];
    uint32_t n = 0;
    snprintf(path, sizeof path, "%s/tests/unit/number/vectors/%s.bin", MIXT_SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");
    if (!file || fread(&n, sizeof n, 1, file) != 1 || n == 0 || n > 1000)
        fail_msg("cannot read %s", path);
    *a = malloc(n * a_bytes);
    *b = malloc(n * b_bytes);
    if (fread(*a, a_bytes, n, file) != n || fread(*b, b_bytes, n, file) != n || fgetc(file) != EOF)
        fail_msg("%s is not what it should be", path);
    fclose(file);
    return n;
}

#endif
