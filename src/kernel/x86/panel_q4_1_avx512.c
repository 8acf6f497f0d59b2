/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_q4_1_avx512.c - panels of Q4_1, AVX-512.
 *
 * Cost: eleven multiplications (8 products, scales, sum, minimum): 73 %. */
#include "kernel/x86/small_panel_avx512.h"
#include "kernel/x86/x86.h"

SMALL_PANEL(q4_1, Q4_1)
