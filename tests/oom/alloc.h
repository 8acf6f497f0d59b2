/* SPDX-License-Identifier: Apache-2.0
 * tests/oom/alloc.h - an allocator that fails when it is told to, and counts. */
#ifndef OOM_ALLOC_H
#define OOM_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

typedef enum AllocFailure { FAIL_ONE, FAIL_FROM } AllocFailure;

/* From now on count calls; call number `at` (from 0) fails, or with FAIL_FROM that and all later ones.
 * at < 0: none fails. */
void    alloc_watch(int64_t at, AllocFailure failure);
/* Stop; how many calls there were. */
int64_t alloc_unwatch(void);
/* Did the call that should fail come? */
bool    alloc_failed(void);
/* Blocks allocated and not yet freed; -1 where a sanitizer keeps that account. */
int64_t alloc_n_live(void);

#endif
