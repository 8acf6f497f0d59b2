/* SPDX-License-Identifier: Apache-2.0
 * apps/train_view.h - a training run as people watch it: a few lines that move at a terminal, a line now and then
 * elsewhere, or a JSON object per event. */
#ifndef APPS_TRAIN_VIEW_H
#define APPS_TRAIN_VIEW_H

#include <mixt_tools.h>

#include "app.h"

enum { SPARK_MAX = 48 };

typedef struct TrainView {
    const App *app;
    bool       json, live;          /* objects on stdout; lines that move on stderr         */
    int        n_lines;             /* that are on the screen now                           */
    int64_t    drawn_us;
    /* Losses so far, as averages of so many steps each; when they are too many, pairs become one. */
    double     losses[SPARK_MAX];
    int        n_losses, n_in_last, n_per_loss;
} TrainView;

TrainView train_view(const App *app);
/* A mixt_train_fn: `user` is the view. */
int  train_view_show(void *user, const mixt_train_progress *progress);
/* A mixt_log_fn. */
void train_view_log(void *user, const char *line);
void train_view_end(TrainView *view);       /* the moving lines are wiped                    */

#endif
