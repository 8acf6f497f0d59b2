/* SPDX-License-Identifier: Apache-2.0
 * model/lora.h - adapters beside a model's matrices: which pair belongs where, and their numbers.
 *
 * Files come in as lists of pairs with names (file/adapter.h); a map knows, for every matrix of the model, the pairs
 * that adapt it.  model/bind.c puts them on the device, quantize/convert.c adds them to the weights. */
#ifndef MODEL_LORA_H
#define MODEL_LORA_H

#include "arch/arch.h"
#include "file/adapter.h"

typedef struct AdapterUse {
    const AdapterFile *file;            /* open as long as the map                          */
    double             scale;           /* as asked for: 1 takes the adapter as it was trained */
} AdapterUse;

typedef struct LoraMap LoraMap;

/* Every pair has a place and its shape, or BAD_FILE names it: an adapter is honoured whole or not at all (D5). */
Status lora_map_new(const Arch *arch, const Catalog *catalog, const Sizes *sizes, const AdapterUse *uses, int n_uses,
                    LoraMap **out, Error *error);
void   lora_map_free(LoraMap *map);
/* Floats of all pairs, and the largest rank of a matrix. */
int64_t lora_map_values(const LoraMap *map);
int64_t lora_map_rank(const LoraMap *map);
/* How many matrices are adapted: experts counted one by one. */
int64_t lora_map_matrices(const LoraMap *map);

/* Embeddings and norms have no adapters. */
bool lora_adapts(Role role);

/* All that adapts one matrix, as one pair: ranks one after the other in the order of the files, b times its scale.
 * rank 0: nothing does, or only zeros.  lora_floats_free in every case. */
typedef struct LoraFloats {
    int64_t rank, rows, cols;
    float  *a, *b;                      /* [rank][cols], [rows][rank]                       */
} LoraFloats;

Status lora_map_read(const LoraMap *map, Role role, int layer, int expert, LoraFloats *out, Error *error);
void   lora_floats_free(LoraFloats *floats);

#endif
