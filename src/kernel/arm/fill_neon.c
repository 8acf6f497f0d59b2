/* SPDX-License-Identifier: Apache-2.0
 * kernel/arm/fill_neon.c - what NEON does better than the references: products and vectors. */
#include "kernel/arm/arm.h"

void kernels_fill_neon(Kernels *table)
{
    table->quantize_x    = quantize_x_neon;
    table->panel_f32     = panel_f32_neon;
    table->panel_f16     = panel_f16_neon;
    table->panel_bf16    = panel_bf16_neon;
    table->panel_q4_0    = panel_q4_0_neon;
    table->panel_q4_1    = panel_q4_1_neon;
    table->panel_q5_0    = panel_q5_0_neon;
    table->panel_q5_1    = panel_q5_1_neon;
    table->panel_q8_0    = panel_q8_0_neon;
    table->panel_q2_k    = panel_q2_k_neon;
    table->panel_q3_k    = panel_q3_k_neon;
    table->panel_q4_k    = panel_q4_k_neon;
    table->panel_q5_k    = panel_q5_k_neon;
    table->panel_q6_k    = panel_q6_k_neon;
    table->rms_norm      = rms_norm_neon;
    table->add           = add_neon;
    table->axpy          = axpy_neon;
    table->scale         = scale_neon;
    table->silu_mul      = silu_mul_neon;
    table->max_f32       = max_f32_neon;
    table->exp_sum       = exp_sum_neon;
    table->rope_adjacent = rope_adjacent_neon;
    table->rope_halves   = rope_halves_neon;
}
