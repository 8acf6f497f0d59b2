/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/store/experts_file.h - a file of noise with experts in it, as stores read them. */
#ifndef TESTS_EXPERTS_FILE_H
#define TESTS_EXPERTS_FILE_H

#include "base/rng.h"
#include "store/store.h"

#include "../../support.h"              /* after ours: cmocka has a macro called fail      */

/* An expert of so many inputs and inner values, from byte `at` on; the byte behind it. */
static inline int64_t lay_expert(ExpertExtents *out, const File *file, int64_t at, int64_t n_in, int64_t n_inner,
                                 Format format)
{
    Extent *parts[3] = { &out->gate, &out->up, &out->down };
    for (int p = 0; p < 3; p++) {
        *parts[p] = (Extent){ .file = file, .offset = at, .rows = p == 2 ? n_in : n_inner,
                              .cols = p == 2 ? n_inner : n_in, .format = format };
        at += extent_bytes(parts[p]);
    }
    return at;
}

/* So many bytes under a name in the scratch folder: the caller frees what is in the file. */
static inline char *open_noise(const char *name, int64_t n_bytes, uint64_t seed, char path[512], File *out)
{
    Error error;
    char *bytes = malloc((size_t)n_bytes);
    assert_non_null(bytes);
    Rng rng = { seed };
    for (int64_t i = 0; i < n_bytes; i++) bytes[i] = (char)rng_bits(&rng);
    snprintf(path, 512, "%s/%s", test_scratch(), name);
    if (write_file(path, bytes, (size_t)n_bytes, &error) != OK) fail_msg("%s", error.text);
    if (file_open(path, out, &error) != OK) fail_msg("%s", error.text);
    return bytes;
}

#endif
