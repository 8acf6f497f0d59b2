/* SPDX-License-Identifier: Apache-2.0
 * kernel/x86/panel_avx2.c - panels of formats with blocks, AVX2. */
#include "kernel/x86/lanes_avx2.h"

#include "kernel/panel_lanes.h"
#include "kernel/x86/x86.h"

PANEL_KERNELS(avx2)
