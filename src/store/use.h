/* SPDX-License-Identifier: Apache-2.0
 * store/use.h - what was learned from use: how often each expert is asked for, and which policy suits.
 *
 * A small file beside the model (docs/format/use.md), so that a second run begins with what the first one knew.  It is
 * a help and no more: whoever opens it goes on without it when it is not there or not of this model. */
#ifndef STORE_USE_H
#define STORE_USE_H

#include "file/catalog.h"
#include "store/policy.h"

enum {
    USE_POLICY_MAX  = 15,               /* bytes of a policy's name                        */
    USE_LAYERS_MAX  = 1024,
    USE_EXPERTS_MAX = 1024,
    USE_ROWS_MAX    = 1 << 17           /* as if no more had been seen: what is old fades  */
};

typedef struct Use {
    uint64_t model;                     /* use_mark                                        */
    int      n_layers, n_experts;
    char     policy[USE_POLICY_MAX + 1];        /* chosen by mixt replay; "": none yet     */
    int64_t  n_rows;                    /* that the shares are known from; 0: nothing yet  */
    float   *shares;                    /* [L*E] of its layer's answers; a layer's sum to 1 */
} Use;

/* What tells this model from others: names, formats and shapes of its tensors, and samples of their contents. */
Status use_mark(const Catalog *catalog, uint64_t *out, Error *error);

/* Nothing known: all experts alike. */
Status use_new (uint64_t model, int n_layers, int n_experts, Use *out, Error *error);
void   use_free(Use *use);                                      /* { 0 } is fine           */

/* NOT_FOUND: there is none; BAD_FILE: it is damaged, or of another model. */
Status use_read (const char *path, uint64_t model, int n_layers, int n_experts, Use *out, Error *error);
/* Bytes that come from outside, of any model; `name` is for messages. */
Status use_parse(const char *name, const void *bytes, size_t n_bytes, Use *out, Error *error);
Status use_write(const Use *use, const char *path, Error *error);

/* Adds what a policy has seen: rows[key] served, n_used experts a row (policy_uses). */
void   use_learn(Use *use, const int64_t *rows, int n_used);
/* The n keys that are used most, the most used first; of equals the lower one. */
Status use_hottest(const Use *use, int32_t *keys, int n, Error *error);

#endif
