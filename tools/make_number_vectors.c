/* SPDX-License-Identifier: Apache-2.0
 * tools/make_number_vectors.c - a second opinion on block formats, kept in tests/unit/number/vectors.
 *
 *   make_number_vectors LIBGGML_BASE.so FOLDER
 *
 * The library is the one that llama.cpp's npm package node-llama-cpp brings along (3.22.1 made the files that are
 * committed): its dequantize_row_* decode random and extreme blocks, its quantize_row_*_ref encode normal
 * numbers.  Writes FOLDER/<format>.bin (n as 32 bits, n blocks, their numbers as floats) and
 * FOLDER/q8_0_encode.bin (n, floats, blocks), and prints the relative error of each encoder, which
 * tests/unit/number/test_encode.c takes as its measure.
 *
 *   cc -D_GNU_SOURCE -Isrc tools/make_number_vectors.c -ldl -lm -o /tmp/make_number_vectors
 *   LD_LIBRARY_PATH=<folder of the library> /tmp/make_number_vectors libggml-base.so tests/unit/number/vectors */
#include "base/rng.h"

#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void DecodeRow(const void *from, float *to, int64_t n);
typedef void EncodeRow(const float *from, void *to, int64_t n);

typedef struct Row {
    const char *name, *symbol;
    int         values, bytes, n_blocks;
    int         halves[2];          /* where the block's halves lie; -1: only one           */
} Row;

static const Row rows[] = {
    { "q4_0", "q4_0", 32, 18, 64, { 0, -1 } },    { "q4_1", "q4_1", 32, 20, 64, { 0, 2 } },
    { "q5_0", "q5_0", 32, 22, 64, { 0, -1 } },    { "q5_1", "q5_1", 32, 24, 64, { 0, 2 } },
    { "q8_0", "q8_0", 32, 34, 64, { 0, -1 } },    { "q2_k", "q2_K", 256, 84, 24, { 80, 82 } },
    { "q3_k", "q3_K", 256, 110, 24, { 108, -1 } }, { "q4_k", "q4_K", 256, 144, 24, { 0, 2 } },
    { "q5_k", "q5_K", 256, 176, 24, { 0, 2 } },   { "q6_k", "q6_K", 256, 210, 24, { 208, -1 } },
};
enum { N_ROWS = sizeof rows / sizeof rows[0] };

/* Zeros, the smallest and largest subnormal, the largest, infinities, NaN quiet and signalling. */
static const uint16_t extreme[] = { 0x0000, 0x8000, 0x0001, 0x83ff, 0x7bff,
                                    0xfbff, 0x7c00, 0xfc00, 0x7e01, 0xfd55 };
enum { N_EXTREME = sizeof extreme / sizeof extreme[0] };

static void *symbol(void *library, const char *format, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, format, name);
    void *found = dlsym(library, full);
    if (!found) {
        fprintf(stderr, "no %s in the library\n", full);
        exit(1);
    }
    return found;
}

static void save(const char *folder, const char *name, uint32_t n, const void *a, size_t a_bytes,
                 const void *b, size_t b_bytes)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.bin", folder, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(&n, 4, 1, file) != 1 || fwrite(a, a_bytes, 1, file) != 1 ||
        fwrite(b, b_bytes, 1, file) != 1 || fclose(file)) {
        perror(path);
        exit(1);
    }
}

static void decode_vectors(void *library, const Row *row, const char *folder, Rng *rng)
{
    const size_t bytes = (size_t)row->bytes * (size_t)row->n_blocks,
                 values = (size_t)row->values * (size_t)row->n_blocks;
    uint8_t *blocks = malloc(bytes);
    float *numbers = malloc(values * sizeof *numbers);
    for (size_t i = 0; i < bytes; i++) blocks[i] = (uint8_t)(rng_bits(rng) >> 24);
    for (int b = 0; b < N_EXTREME; b++) {
        memcpy(blocks + b * row->bytes + row->halves[0], &extreme[b], 2);
        /* The second half takes another extreme, so that infinity meets NaN and so on. */
        if (row->halves[1] >= 0)
            memcpy(blocks + b * row->bytes + row->halves[1], &extreme[b * 7 % N_EXTREME], 2);
    }
    ((DecodeRow *)symbol(library, "dequantize_row_%s", row->symbol))(blocks, numbers,
                                                                     (int64_t)values);
    save(folder, row->name, (uint32_t)row->n_blocks, blocks, bytes, numbers,
         values * sizeof *numbers);
    free(blocks);
    free(numbers);
}

/* The same numbers as normal() in tests/unit/number/test_encode.c. */
static float normal(Rng *rng)
{
    double sum = 0.0;
    for (int i = 0; i < 12; i++) sum += rng_unit(rng);
    return (float)(sum - 6.0);
}

static void encode_error(void *library, const Row *row)
{
    enum { N = 65536 };
    static float x[N], y[N];
    static uint8_t blocks[N * 2];
    Rng rng = { 1 };
    for (int i = 0; i < N; i++) x[i] = 0.02f * normal(&rng);
    ((EncodeRow *)symbol(library, "quantize_row_%s_ref", row->symbol))(x, blocks, N);
    ((DecodeRow *)symbol(library, "dequantize_row_%s", row->symbol))(blocks, y, N);
    double off = 0.0, size = 0.0;
    for (int i = 0; i < N; i++) {
        off += ((double)y[i] - (double)x[i]) * ((double)y[i] - (double)x[i]);
        size += (double)x[i] * (double)x[i];
    }
    printf("%s %.5f\n", row->name, sqrt(off / size));
}

/* Ordinary rows, zeros, tiny numbers, and rows whose scale is exactly 1 with quants halfway between two. */
static void q8_0_encode(void *library, const char *folder, Rng *rng)
{
    enum { N_BLOCKS = 64, N = N_BLOCKS * 32 };
    static float x[N];
    static uint8_t blocks[N_BLOCKS * 34];
    for (int i = 0; i < N; i++) {
        const int kind = i / 32 % 4;
        x[i] = kind == 0 ? normal(rng) : kind == 1 ? 1e-6f * normal(rng) : kind == 2 ? 0.0f
             : (float)((int)(rng_bits(rng) % 253) - 126) + 0.5f;
        if (kind == 3 && i % 32 == 5) x[i] = 127.0f;
    }
    ((EncodeRow *)symbol(library, "quantize_row_%s_ref", "q8_0"))(x, blocks, N);
    save(folder, "q8_0_encode", N_BLOCKS, x, sizeof x, blocks, sizeof blocks);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: make_number_vectors LIBGGML_BASE.so FOLDER\n");
        return 64;
    }
    void *library = dlopen(argv[1], RTLD_NOW);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 66;
    }
    Rng rng = { 20240401 };
    for (int i = 0; i < N_ROWS; i++) decode_vectors(library, &rows[i], argv[2], &rng);
    q8_0_encode(library, argv[2], &rng);
    for (int i = 0; i < N_ROWS; i++) encode_error(library, &rows[i]);
    return 0;
}
