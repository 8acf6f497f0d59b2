/* SPDX-License-Identifier: Apache-2.0
 * plan/rates.c - see rates.h.
 *
 * Measured on two cores of an AMD EPYC of the Zen 4 family (AVX-512), layers of Mixtral 8x7B's
 * shape: with these, plans of prompts of 128 and 512 tokens are within 7 % of what was measured, in every format
 * (bench/plan/compare.py). */
#include "plan/rates.h"

const FormatRate format_rates[N_FORMATS] = {
    [F32]  = { 0.95, 0.85 }, [F16]  = { 0.95, 0.85 }, [BF16] = { 0.95, 0.85 },
    [Q4_0] = { 0.98, 0.71 }, [Q4_1] = { 0.95, 0.62 }, [Q5_0] = { 0.95, 0.62 },
    [Q5_1] = { 0.95, 0.60 }, [Q8_0] = { 0.98, 0.71 }, [Q2_K] = { 0.90, 0.55 },
    [Q3_K] = { 0.95, 0.62 }, [Q4_K] = { 0.98, 0.65 }, [Q5_K] = { 0.95, 0.60 },
    [Q6_K] = { 0.86, 0.54 },
};

const double attend_read[N_FORMATS] = { [F32] = 0.85, [F16] = 0.85, [Q8_0] = 0.55 };
const double attend_peak = 0.45;
const double layer_other_s = 40e-6;
const double disk_share = 0.94;
const double arrange_share = 0.4;
