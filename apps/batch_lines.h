/* SPDX-License-Identifier: Apache-2.0
 * apps/batch_lines.h - the prompts of mixt batch, one JSON object a line, and their answers, likewise. */
#ifndef APPS_BATCH_LINES_H
#define APPS_BATCH_LINES_H

#include <mixt_tools.h>

#include "encode.h"

typedef struct BatchLine {
    size_t    number;           /* in the file, from 1                                     */
    char     *id;               /* as JSON; NULL: none                                     */
    mixt_job  job;              /* points into what follows                                */
    Ids       ids;
    char    **stops;
    char     *problem;          /* why it cannot be run; NULL: it can                      */
    Buffer    answer;           /* the line to be written, when it is known                */
} BatchLine;

typedef struct BatchLines { BatchLine *all; size_t n, n_bad; } BatchLines;

/* One job for each line that is not blank; `common` is what a line does not say.  A line that is wrong gets a problem
 * and no job. */
Exit lines_read(const App *app, const char *path, const Loaded *loaded, const mixt_job *common, BatchLines *out);
void lines_free(BatchLines *lines);

/* The line of the output, newline included, in line->answer. */
void line_answer(BatchLine *line, const mixt_job_result *result);
void line_problem(BatchLine *line);

/* What an earlier run left belongs to the first lines here: n_kept of its lines.  Where it was stopped they are its
 * first kept_bytes.  Where it had finished, errors are not kept, and answers are in line->answer. */
Exit lines_match(const App *app, BatchLines *lines, const char *path, const Buffer *earlier, bool finished,
                 size_t *n_kept, size_t *kept_bytes);

#endif
