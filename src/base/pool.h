/* SPDX-License-Identifier: Apache-2.0
 * base/pool.h - threads that share one loop.
 *
 * pool_run calls task(arg, i, worker) once for every i in [0, n_tasks), on the caller and the pool's
 * threads, and returns when all are done.  Which thread takes which i is not fixed, so a task
 * writes only what belongs to its i, and results never depend on the number of threads (D1). */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/base.h"

typedef struct Pool Pool;
typedef void (*PoolTask)(void *arg, int64_t task, int worker);      /* worker in [0, n)     */

enum { POOL_THREADS_MAX = 512 };

Status pool_new(int n_threads, Pool **out, Error *error);           /* the caller counts as one */
void   pool_free(Pool *pool);
int    pool_n_threads(const Pool *pool);
/* One pool_run at a time. */
void   pool_run(Pool *pool, PoolTask task, void *arg, int64_t n_tasks);
int    pool_cores(void);                                            /* we may run on, >= 1  */

#endif
