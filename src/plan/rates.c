/* SPDX-License-Identifier: Apache-2.0
 * plan/rates.c - see rates.h.
 *
 * Measured on two cores of an AMD EPYC of the Zen 4 family, with and without AVX-512, layers of Mixtral 8x7B's
 * shape (bench/plan/compare.py): how near plans are to what is measured stands in docs/howto/plan.md. */
#include "plan/rates.h"

#include <string.h>

static const FormatRate avx512[N_FORMATS] = {
    [F32]  = { 0.95, 0.85 }, [F16]  = { 0.95, 0.85 }, [BF16] = { 0.95, 0.85 },
    [Q4_0] = { 0.98, 0.71 }, [Q4_1] = { 0.95, 0.62 }, [Q5_0] = { 0.95, 0.62 },
    [Q5_1] = { 0.95, 0.60 }, [Q8_0] = { 0.98, 0.71 }, [Q2_K] = { 0.90, 0.55 },
    [Q3_K] = { 0.95, 0.62 }, [Q4_K] = { 0.98, 0.65 }, [Q5_K] = { 0.95, 0.60 },
    [Q6_K] = { 0.86, 0.54 },
};

/* The peak is lower, for want of an instruction for four bytes at once, and so nearer to what kernels reach; but those
 * that must split bytes in two for the sum's sake (Q8_0, Q6_K, Q3_K, Q5_0) reach half of it. */
static const FormatRate avx2[N_FORMATS] = {
    [F32]  = { 0.95, 0.80 }, [F16]  = { 0.95, 0.85 }, [BF16] = { 0.95, 0.78 },
    [Q4_0] = { 0.98, 0.82 }, [Q4_1] = { 0.95, 0.86 }, [Q5_0] = { 0.95, 0.51 },
    [Q5_1] = { 0.95, 0.53 }, [Q8_0] = { 0.98, 0.51 }, [Q2_K] = { 0.90, 0.62 },
    [Q3_K] = { 0.95, 0.50 }, [Q4_K] = { 0.98, 0.88 }, [Q5_K] = { 0.95, 0.68 },
    [Q6_K] = { 0.86, 0.50 },
};

const FormatRate *format_rates(const char *cpu_set)
{
    return cpu_set && strcmp(cpu_set, "avx2") == 0 ? avx2 : avx512;
}

const double attend_read[N_FORMATS] = { [F32] = 0.85, [F16] = 0.85, [Q8_0] = 0.55 };
const double attend_peak = 0.45;
const double layer_other_s = 40e-6;
const double disk_share = 0.94;
const double arrange_share = 0.4;
