/* SPDX-License-Identifier: Apache-2.0
 * apps/speak.h - a model that answers: prompt tokens in, text on stdout as it comes, reports
 * afterwards. */
#ifndef APPS_SPEAK_H
#define APPS_SPEAK_H

#include "encode.h"
#include "experts.h"
#include "json.h"
#include "plan.h"
#include "record.h"

typedef struct Speaker {
    const App     *app;
    Loaded         loaded;
    Recording      record;
    Prediction     predicted;
    mixt_sampler  *sampler;
    uint64_t       seed;
    int            speculate;       /* as mixt_generate_options has it                     */
    bool           quiet;           /* the text is only collected, for JSON                */
    bool           talking;         /* no blanks before the first word; /clear makes room  */
    /* ---- the last answer ---- */
    Buffer         text;
    size_t         n_prompt, n_reused;
    int64_t        prompt_us;
    mixt_generated generated;
    mixt_engine_stats before;       /* the engine's counters when the turn began           */
} Speaker;                          /* { .app = app } is nothing yet                       */

Exit speaker_open(Speaker *s, const char *path);
void speaker_free(Speaker *s);
/* A new sampler as the options say now; the old one stays when that fails. */
Exit speaker_sampler(Speaker *s);
/* Read the prompt, write the answer.  INTERRUPTED after Ctrl-C, with what there is in s->text. */
Exit speaker_turn(Speaker *s, const Ids *prompt);
/* --verbose and --experts, on stderr. */
void speaker_report(const Speaker *s);
Exit speaker_json(const Speaker *s, Exit code);

/* How to choose, as the options say; without seed and biases. */
mixt_sampler_options sampler_options(const Options *options);
uint64_t draw_seed(void);

#endif
