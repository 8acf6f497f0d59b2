/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/fill_avx512.c - where twice the width pays; the rest stays with AVX2. */
#include "kernel/x86/x86.h"

#include <cpuid.h>

/* Leaf 7.1; that the registers are saved, cpu_detect has asked. */
static bool has_bf16(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}

void kernels_fill_avx512(Kernels *table)
{
    table->quantize_x  = quantize_x_avx512;
    table->panel_q4_0  = panel_q4_0_avx512;
    table->panel_q4_1  = panel_q4_1_avx512;
    table->panel_q5_0  = panel_q5_0_avx512;
    table->panel_q5_1  = panel_q5_1_avx512;
    table->panel_q8_0  = panel_q8_0_avx512;
    table->panel_q2_k  = panel_q2_k_avx512;
    table->panel_q3_k  = panel_q3_k_avx512;
    table->panel_q4_k  = panel_q4_k_avx512;
    table->panel_q5_k  = panel_q5_k_avx512;
    table->panel_q6_k  = panel_q6_k_avx512;
    table->max_f32     = max_f32_avx512;
    table->exp_sum     = exp_sum_avx512;
    table->score_f32   = score_f32_avx512;
    table->score_f16   = score_f16_avx512;
    table->score_q8_0  = score_q8_0_avx512;
    table->gather_f32  = gather_f32_avx512;
    table->gather_f16  = gather_f16_avx512;
    table->gather_q8_0 = gather_q8_0_avx512;
    table->patch_f32   = patch_f32_avx512;
    if (has_bf16()) {
        table->patch_bf16      = patch_bf16_avx512;
        table->strip_rows_bf16 = strip_rows_bf16_avx512;
        table->strip_cols_bf16 = strip_cols_bf16_avx512;
        table->encode_bf16     = encode_bf16_avx512;
    }
    table->probe_int8  = probe_int8_avx512;
    table->probe_f32   = probe_f32_avx512;
    table->probe_read  = probe_read_avx512;
}
