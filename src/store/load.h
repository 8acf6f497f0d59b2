/* SPDX-License-Identifier: Apache-2.0
 * store/load.h - weights from files to a device, as many pieces at a time as there are threads.
 *
 * A piece is some rows of a matrix: a thread reads them into a buffer of its own, which stays in its cache, and
 * the device puts them where its products want them.  So the file is read once, the weights are written
 * once, and beside them there is a buffer per thread.  Nothing is allocated once a loader exists. */
#ifndef STORE_LOAD_H
#define STORE_LOAD_H

#include "store/store.h"

/* One matrix on its way.  Row r of the weight is row source_row(of, r) of the extent; NULL: the same. */
typedef struct Load {
    Extent      from;
    Tensor     *to;                     /* room for it, from alloc_weight                  */
    int64_t   (*source_row)(const void *of, int64_t row);
    const void *of;
    int64_t     piece_rows, first_piece;        /* the loader's own                        */
} Load;

/* For matrices whose rows have at most `row_bytes_max` bytes; with as many threads as the device has. */
Status loader_new(Device *device, int64_t row_bytes_max, Loader **out, Error *error);
void   loader_free(Loader *loader);             /* NULL is fine                            */

/* All of them, in the order of the list as far as the disk is concerned.  Of several failures the one that
 * stands first in the list is told.  `progress` (NULL is fine) is called by the calling thread only, some ten
 * times a second and at the end; when it says stop, CANCELLED.  One run at a time. */
Status loader_run(Loader *loader, Load *loads, int n_loads, StoreProgress *progress, Error *error);

#endif
