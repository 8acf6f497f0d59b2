/* SPDX-License-Identifier: Apache-2.0
 * base/io_calls.h - how the files of base/ make system calls: in pieces, and with the faults that tests want. */
#ifndef BASE_IO_CALLS_H
#define BASE_IO_CALLS_H

#include "base/io.h"

#ifdef MIXT_HOSTILE
enum { TRANSFER_MAX = 512 };            /* every read and write crosses many boundaries      */
#else
enum { TRANSFER_MAX = 1 << 30 };        /* Linux moves at most 2 GiB per call                */
#endif

/* What the test wants of this call: 0, an errno, or IO_FAULT_SHORT. */
static inline int fault_wanted(IoCall call)
{
    int (*const hook)(IoCall) = io_fault;
    return hook ? hook(call) : 0;
}

/* The errno to pretend, 0 for none; *n shrinks when the fault is a short transfer. */
static inline int fault(IoCall call, size_t *n)
{
    const int answer = fault_wanted(call);
    if (answer != IO_FAULT_SHORT) return answer;
    if (n && *n > 1) *n /= 2;
    return 0;
}

/* flock(), at once or not at all.  False: somebody holds it.  Asking must never be in the way where there are no locks
 * (some network file systems), so every other answer is as good as having it. */
bool lock_now(int fd, int how);
/* All of it at that place: 0 or an errno. */
int write_at(int fd, int64_t offset, const void *bytes, size_t n_bytes);

#endif
