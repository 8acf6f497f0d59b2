/* SPDX-License-Identifier: Apache-2.0
 * kernel/arm/panel_neon.c - panels of formats with blocks, NEON. */
#include "kernel/arm/lanes_neon.h"

#include "kernel/arm/arm.h"
#include "kernel/panel_lanes.h"

PANEL_KERNELS(neon)
