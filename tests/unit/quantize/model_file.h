/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/quantize/model_file.h - small model files, made and read back. */
#ifndef TESTS_MODEL_FILE_H
#define TESTS_MODEL_FILE_H

#include "arch/arch.h"
#include "file/catalog.h"
#include "quantize/synth.h"

#include "support.h"                    /* after ours: cmocka has a macro called fail      */

#include <dirent.h>

/* Static memory, 128 calls deep. */
static inline const char *scratch_file(const char *name)
{
    static char paths[128][512];
    static int turn;
    char *path = paths[turn++ & 127];
    snprintf(path, sizeof paths[0], "%s/%s", test_scratch(), name);
    return path;
}

/* Names in the scratch folder that contain `part`, temporaries included. */
static inline int n_files_like(const char *part)
{
    int n = 0;
    DIR *folder = opendir(test_scratch());
    for (struct dirent *entry; (entry = readdir(folder));) n += strstr(entry->d_name, part) != NULL;
    closedir(folder);
    return n;
}

/* Two layers, so that every kind of tensor is there twice. */
static inline SynthOptions small_model(const char *type)
{
    return (SynthOptions){
        .like = "tiny", .n_layers = 2, .n_vocab = 512, .n_experts = 4, .type = type, .seed = 11
    };
}

static inline const char *made_model(const char *name, const SynthOptions *options)
{
    Error error = { 0 };
    const char *path = scratch_file(name);
    if (synth(path, options, &error) != OK) fail_msg("synth %s: %s", name, error.text);
    return path;
}

static inline Catalog opened(const char *path)
{
    Catalog catalog;
    Error error = { 0 };
    if (catalog_open(path, &catalog, &error) != OK) fail_msg("catalog_open: %s", error.text);
    return catalog;
}

static inline Sizes sizes_of(const Catalog *c, const Arch **arch)
{
    Sizes sizes;
    Error error = { 0 };
    if (arch_find(c, arch, &error) != OK || arch_sizes(*arch, c, &sizes, &error) != OK)
        fail_msg("%s", error.text);
    return sizes;
}

static inline const FileTensor *tensor_named(const Catalog *c, const char *name)
{
    const FileTensor *t = catalog_tensor(c, name);
    if (!t) fail_msg("%s: no tensor '%s'", c->path, name);
    return t;
}

static inline uint8_t *stored(const Catalog *c, const FileTensor *t)
{
    Error error = { 0 };
    uint8_t *bytes = malloc((size_t)t->bytes);
    if (!bytes || catalog_read(c, t, 0, bytes, (size_t)t->bytes, &error) != OK)
        fail_msg("%s: %s", t->name, error.text);
    return bytes;
}

static inline int64_t n_values(const FileTensor *t)
{
    return t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3];
}

static inline float *values(const Catalog *c, const char *name)
{
    const FileTensor *t = tensor_named(c, name);
    uint8_t *bytes = stored(c, t);
    float *x = malloc((size_t)n_values(t) * sizeof *x);
    format_info[t->format].decode(x, bytes, (size_t)n_values(t));
    free(bytes);
    return x;
}

static inline char *whole_file(const char *path, size_t *n_bytes)
{
    char *bytes;
    Error error = { 0 };
    if (file_slurp(path, 1 << 28, &bytes, n_bytes, &error) != OK) fail_msg("%s", error.text);
    return bytes;
}

#endif
