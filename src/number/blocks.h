/* SPDX-License-Identifier: Apache-2.0
 * number/blocks.h - the bytes of every block format, and how to take scales out of them.
 *
 * These are file formats: a size here may never change.  A block is read through these structures
 * at an address that is a multiple of 2.  `scale`, `minimum` and `super_` fields are IEEE halves.
 * What a block means is said by the decoder in the file of its name. */
#ifndef NUMBER_BLOCKS_H
#define NUMBER_BLOCKS_H

#include <stdint.h>

enum { SMALL_VALUES = 32, SUPER_VALUES = 256 };         /* numbers per block, Q*_0/1 and Q*_K */

/* ---- 32 numbers that share one scale, or a scale and a minimum ---- */

typedef struct BlockQ4_0 {
    uint16_t scale;
    uint8_t  low[16];           /* low[i]: number i in bits 0-3, number i+16 in bits 4-7   */
} BlockQ4_0;

typedef struct BlockQ4_1 {
    uint16_t scale, minimum;
    uint8_t  low[16];
} BlockQ4_1;

typedef struct BlockQ5_0 {
    uint16_t scale;
    uint8_t  high[4];           /* bit i of the 32, little endian: fifth bit of number i   */
    uint8_t  low[16];
} BlockQ5_0;

typedef struct BlockQ5_1 {
    uint16_t scale, minimum;
    uint8_t  high[4];
    uint8_t  low[16];
} BlockQ5_1;

typedef struct BlockQ8_0 {
    uint16_t scale;
    int8_t   q[32];
} BlockQ8_0;

/* ---- 256 numbers in 8 or 16 groups, whose scales are small integers that share a half ---- */

typedef struct BlockQ2_K {      /* 16 groups of 16                                         */
    uint8_t  group[16];         /* scale in bits 0-3, minimum in bits 4-7                  */
    uint8_t  low[64];           /* byte i of a half: numbers i, i+32, i+64, i+96, two bits each */
    uint16_t super_scale, super_minimum;
} BlockQ2_K;

typedef struct BlockQ3_K {      /* 16 groups of 16                                         */
    uint8_t  high[32];          /* bit k of byte i: third bit of number 32k + i            */
    uint8_t  low[64];           /* as in Q2_K                                              */
    uint8_t  group[12];         /* sixteen scales of six bits, see q3_k_scales             */
    uint16_t super_scale;
} BlockQ3_K;

typedef struct BlockQ4_K {      /* 8 groups of 32                                          */
    uint16_t super_scale, super_minimum;
    uint8_t  group[12];         /* eight scales and eight minimums of six bits, see k_group */
    uint8_t  low[128];          /* byte i of 32 of quarter k: numbers 64k + i and 64k + 32 + i */
} BlockQ4_K;

typedef struct BlockQ5_K {      /* 8 groups of 32                                          */
    uint16_t super_scale, super_minimum;
    uint8_t  group[12];
    uint8_t  high[32];          /* bit k of byte i: fifth bit of number 32k + i            */
    uint8_t  low[128];
} BlockQ5_K;

typedef struct BlockQ6_K {      /* 16 groups of 16                                         */
    uint8_t  low[128];          /* byte i of 64 of a half: numbers i and i + 64            */
    uint8_t  high[64];          /* byte i of 32 of a half: numbers i, i+32, i+64, i+96     */
    int8_t   group[16];
    uint16_t super_scale;
} BlockQ6_K;

_Static_assert(sizeof(BlockQ4_0) == 18, "a file format");
_Static_assert(sizeof(BlockQ4_1) == 20, "a file format");
_Static_assert(sizeof(BlockQ5_0) == 22, "a file format");
_Static_assert(sizeof(BlockQ5_1) == 24, "a file format");
_Static_assert(sizeof(BlockQ8_0) == 34, "a file format");
_Static_assert(sizeof(BlockQ2_K) == 84, "a file format");
_Static_assert(sizeof(BlockQ3_K) == 110, "a file format");
_Static_assert(sizeof(BlockQ4_K) == 144, "a file format");
_Static_assert(sizeof(BlockQ5_K) == 176, "a file format");
_Static_assert(sizeof(BlockQ6_K) == 210, "a file format");

/* Scale and minimum of group j < 8 of a Q4_K or Q5_K block.  Groups 0-3 lie whole in the low six
 * bits of bytes 0-7; groups 4-7 have four bits in bytes 8-11 and two on top of bytes 0-7. */
static inline void k_group(const uint8_t group[12], int j, int *scale, int *minimum)
{
    if (j < 4) {
        *scale   = group[j] & 63;
        *minimum = group[j + 4] & 63;
    } else {
        *scale   = (group[j + 4] & 15) | (group[j - 4] >> 6) << 4;
        *minimum = group[j + 4] >> 4 | (group[j] >> 6) << 4;
    }
}

/* The sixteen scales of a Q3_K block, -32 to 31.  Low four bits: bytes 0-7, scale j in the lower
 * half and j + 8 in the upper; high two bits: bytes 8-11, scale j in byte 8 + j % 4. */
static inline void q3_k_scales(const uint8_t group[12], int scale[16])
{
    for (int j = 0; j < 16; j++) {
        const int low = j < 8 ? group[j] & 15 : group[j - 8] >> 4;
        const int high = group[8 + j % 4] >> (2 * (j / 4)) & 3;
        scale[j] = (low | high << 4) - 32;
    }
}

#endif
