/* SPDX-License-Identifier: Apache-2.0
 * store/invent.h - routing traces that no model made: for comparing policies where the truth is known. */
#ifndef STORE_INVENT_H
#define STORE_INVENT_H

#include "store/trace.h"

typedef struct Invention {
    int      n_layers, n_experts, n_used;
    int64_t  n_steps;                   /* of one row each                                 */
    double   skew;                      /* Zipf's exponent over a layer's experts, 0: uniform */
    int64_t  burst_steps;               /* mean length of a topic, which has an order of its own; 0: one topic */
    int      n_topics;                  /* that come again and again                       */
    uint64_t seed;
} Invention;

Status trace_invent(const Invention *how, Trace *out, Error *error);

#endif
