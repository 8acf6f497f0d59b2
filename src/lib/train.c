/* SPDX-License-Identifier: Apache-2.0
 * lib/train.c - mixt_train. */
#include <mixt_tools.h>

#include "lib/lib.h"
#include "train/config.h"
#include "train/train.h"

#include <stdlib.h>

#define SAME(inside, outside) _Static_assert((int)(inside) == (int)(outside), #inside)
SAME(TRAIN_PASS, MIXT_TRAIN_PASS);
SAME(TRAIN_STEP, MIXT_TRAIN_STEP);
SAME(TRAIN_JUDGED, MIXT_TRAIN_JUDGED);
SAME(TRAIN_SAVED, MIXT_TRAIN_SAVED);
SAME(TRAIN_DONE, MIXT_TRAIN_DONE);
_Static_assert(sizeof(TrainHeld) == sizeof(mixt_train_held), "held-out files are handed out as they are");

/* Our progress to the caller's. */
static int tell(void *user, const TrainProgress *p)
{
    const mixt_train_options *o = user;
    const mixt_train_progress out = {
        .struct_bytes = sizeof out,
        .stage = (mixt_train_stage)p->stage,
        .step = p->step,
        .n_steps = p->n_steps,
        .pass = p->pass,
        .n_passes = p->n_passes,
        .tokens = p->tokens,
        .n_tokens = p->n_tokens,
        .loss = p->loss,
        .rate = p->rate,
        .gradient = p->length,
        .balance = p->balance,
        .router_z = p->router_z,
        .entropy = p->entropy,
        .dropped = p->dropped,
        .n_pairs = p->n_pairs,
        .preferred = p->preferred,
        .tokens_per_s = p->tokens_per_s,
        .seconds_left = p->seconds_left,
        .seconds = p->seconds,
        .n_layers = p->n_layers,
        .n_experts = p->n_experts,
        .uses = p->uses,
        .layer_entropy = p->layer_entropy,
        .held = (const mixt_train_held *)p->held,
        .n_held = (size_t)p->n_held,
        .all = { p->all.path, p->all.loss, p->all.bits_per_byte },
        .path = p->path,
    };
    return o->progress ? o->progress(o->progress_user, &out) : 0;
}

mixt_train_options mixt_train_defaults(void)
{
    return (mixt_train_options){ .struct_bytes = sizeof(mixt_train_options) };
}

mixt_status mixt_train(const char *config, const mixt_train_options *options, mixt_error *error)
{
    mixt_train_options o = mixt_train_defaults();
    Error inside = { 0 };
    take_options(&o, sizeof o, options);
    const TrainOptions in = {
        .config = config,
        .from = o.from,
        .output = o.output,
        .memory = take_memory(o.memory),
        .n_threads = o.n_threads,
        .cpu_set = o.cpu_set,
        .fresh = o.fresh,
        .log = o.log,
        .log_user = o.log_user,
        .progress = tell,
        .progress_user = &o,
    };
    if (o.n_threads < 0)
        return answer(error, fail(&inside, BAD_ARGUMENT, "threads: expected 0 or more, found %d", o.n_threads),
                      &inside);
    return answer(error, train(&in, &inside), &inside);
}

char *mixt_train_example(void)
{
    Buffer text = { 0 };
    config_example(&text);
    if (!text.failed) return text.data;
    buffer_free(&text);
    return NULL;
}

void mixt_text_free(char *text)
{
    free(text);
}
