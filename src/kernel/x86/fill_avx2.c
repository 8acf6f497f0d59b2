/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/fill_avx2.c - what AVX2 does better than the references. */
#include "kernel/x86/x86.h"

void kernels_fill_avx2(Kernels *table)
{
    table->decode_f16    = decode_f16_avx2;
    table->decode_bf16   = decode_bf16_avx2;
    table->decode_q4_0   = decode_q4_0_avx2;
    table->decode_q4_1   = decode_q4_1_avx2;
    table->decode_q5_0   = decode_q5_0_avx2;
    table->decode_q5_1   = decode_q5_1_avx2;
    table->decode_q8_0   = decode_q8_0_avx2;
    table->decode_q2_k   = decode_q2_k_avx2;
    table->decode_q3_k   = decode_q3_k_avx2;
    table->decode_q4_k   = decode_q4_k_avx2;
    table->decode_q5_k   = decode_q5_k_avx2;
    table->decode_q6_k   = decode_q6_k_avx2;
    table->encode_f16    = encode_f16_avx2;
    table->dot_f32       = dot_f32_avx2;
    table->dot4_f32      = dot4_f32_avx2;
    table->panel_f32     = panel_f32_avx2;
    table->panel_f16     = panel_f16_avx2;
    table->panel_bf16    = panel_bf16_avx2;
    table->rms_norm      = rms_norm_avx2;
    table->add           = add_avx2;
    table->axpy          = axpy_avx2;
    table->scale         = scale_avx2;
    table->silu_mul      = silu_mul_avx2;
    table->max_f32       = max_f32_avx2;
    table->exp_sum       = exp_sum_avx2;
    table->score_f32     = score_f32_avx2;
    table->score_f16     = score_f16_avx2;
    table->score_q8_0    = score_q8_0_avx2;
    table->gather_f32    = gather_f32_avx2;
    table->gather_f16    = gather_f16_avx2;
    table->gather_q8_0   = gather_q8_0_avx2;
    table->rope_adjacent = rope_adjacent_avx2;
    table->rope_halves   = rope_halves_avx2;
    table->probe_int8    = probe_int8_avx2;
    table->probe_f32     = probe_f32_avx2;
    table->probe_read    = probe_read_avx2;
}
