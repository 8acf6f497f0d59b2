/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_q5_0_avx512.c - panels of Q5_0, AVX-512.
 *
 * Cost: ten multiplications (8 products, scales, sum): 80 %. */
#include "kernel/x86/small_panel_avx512.h"
#include "kernel/x86/x86.h"

SMALL_PANEL(q5_0, Q5_0)
