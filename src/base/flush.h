/* SPDX-License-Identifier: Apache-2.0
 * base/flush.h - lines of memory leave the cores' caches.
 *
 * A disk that writes to memory of which a cache still holds lines takes them away one by one, and is slower for it.
 * Who is done with a buffer that goes back to the disk gives its lines up in advance. */
#ifndef BASE_FLUSH_H
#define BASE_FLUSH_H

#include <stdbool.h>
#include <stddef.h>

/* Does this machine let us?  Asks the processor: once, not for every buffer. */
bool flush_possible(void);
/* Contents stay as they are.  Only where it is possible. */
void flush_lines(const void *at, size_t n_bytes);

#endif
