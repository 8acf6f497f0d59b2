/* SPDX-License-Identifier: Apache-2.0
 * plan/rates.h - which share of a machine's limits the kernels reach. */
#ifndef PLAN_RATES_H
#define PLAN_RATES_H

#include "number/format.h"

/* Measured with mixt bench (bench/plan repeats it). */
typedef struct FormatRate {
    double read;                        /* of what a plain read gives, one row             */
    double peak;                        /* of the peak of products, int8 where there are blocks */
} FormatRate;

/* For the instructions that compute, "avx2"; NULL or one nobody measured: those of AVX-512.  [N_FORMATS] */
const FormatRate *format_rates(const char *cpu_set);
extern const double attend_read[N_FORMATS];     /* of a plain read: keys and values in the cache */
extern const double attend_peak;        /* of the peak in floats, rows of a prompt         */
extern const double layer_other_s;      /* per layer and step: what is no product          */
extern const double disk_share;         /* of what the probe reads, expert by expert       */
extern const double arrange_share;      /* of a plain read: what came is put in the kernels' order */

#endif
