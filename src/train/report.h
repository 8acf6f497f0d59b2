/* SPDX-License-Identifier: Apache-2.0
 * train/report.h - the curves as one HTML page: no scripts, nothing fetched, drawings inline. */
#ifndef TRAIN_REPORT_H
#define TRAIN_REPORT_H

#include "train/curves.h"
#include "train/data.h"

typedef struct Report {
    const char     *title;
    const Curves   *curves;
    const DataHeld *held;               /* [curves->n_held]                                 */
    const Sizes    *sizes;
    int64_t         n_used, n_steps, n_values;
    const char     *settings;           /* lines, shown as they are                         */
    bool            pairs;              /* losses are of preferences, not of tokens         */
} Report;

/* Whole or not at all; not over one of `inputs` (NULL-ended). */
Status report_write(const char *path, const char *const *inputs, const Report *report, Error *error);

#endif
