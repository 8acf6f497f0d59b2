/* SPDX-License-Identifier: Apache-2.0
 * gen/profile.c - an engine that tells where its time goes: weights get names, ops get watched. */
#include "gen/parts.h"

/* Products of the same input are one op, and one row. */
static void name_weights(Model *m)
{
    m->embed.role = "embedding";
    m->out.role = "output";
    for (int i = 0; i < m->sizes.n_layers; i++) {
        Layer *l = &m->layers[i];
        l->wq.role = l->wk.role = l->wv.role = "q, k, v";
        l->wo.role = "attention out";
        l->router.role = "router";
    }
}

Status engine_watch(Engine *e, Error *error)
{
    name_weights(e->model);
    return profile_attach(e->device, error);
}

int engine_profile(Engine *e, bool reset, ProfileRow rows[PROFILE_ROWS_MAX])
{
    pthread_mutex_lock(&e->lock);
    const int n = profile_read_rows(e->device, rows);
    if (reset) profile_reset(e->device);
    pthread_mutex_unlock(&e->lock);
    return n;
}
