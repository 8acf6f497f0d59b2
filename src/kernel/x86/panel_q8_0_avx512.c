/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_q8_0_avx512.c - panels of Q8_0, AVX-512.
 *
 * Cost: ten multiplications (8 products, scales, sum): 80 %. */
#include "kernel/x86/small_panel_avx512.h"
#include "kernel/x86/x86.h"

SMALL_PANEL(q8_0, Q8_0)
