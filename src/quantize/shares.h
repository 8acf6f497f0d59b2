/* SPDX-License-Identifier: Apache-2.0
 * quantize/shares.h - how uneven routing is made to order. */
#ifndef QUANTIZE_SHARES_H
#define QUANTIZE_SHARES_H

#include "base/base.h"

/* Share of all choices that expert of rank r is to have, about 1 / (r + 1)^skew, adding up to 1.  An
 * expert cannot be chosen twice by a token, so nobody gets more than 0.99 / n_used; what is
 * over goes to the others in proportion. */
void zipf_shares(int n_experts, int n_used, double skew, double *shares);

/* Offsets that give those shares when the n_used largest of offset[e] + normal noise of deviation 1
 * are chosen.  Mean 0, multiples of 1/4096. */
Status share_offsets(int n_experts, int n_used, const double *shares, double *offsets, Error *error);

/* How often each expert is among the n_used largest; adds up to n_used. */
Status chosen_shares(int n_experts, int n_used, const double *offsets, double *chosen, Error *error);

#endif
