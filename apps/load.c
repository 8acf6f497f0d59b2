/* SPDX-License-Identifier: Apache-2.0
 * apps/load.c - see load.h. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters.h"
#include "embedded.h"
#include "input.h"
#include "output.h"
#include "progress.h"
#include "use_file.h"

/* A file when there is one of that name, otherwise the name of a built-in format. */
static Exit choose_template(const App *app, Loaded *out, const char **source)
{
    *source = opt_text(app->options, OPT_CHAT_TEMPLATE);
    if (!*source || (!strchr(*source, '/') && access(*source, F_OK) != 0)) return DONE;
    Buffer     text = { 0 };
    const Exit code = input_read(app, *source, &text);
    if (code == DONE) {
        buffer_text(&text, "");                     /* an empty file becomes ""              */
        out->template_source = text.data;
        *source              = text.data;
        return DONE;
    }
    buffer_free(&text);
    return code;
}

Exit load_quietly(const App *app, const char *path, bool vocab_only, Loaded *out, mixt_error *error)
{
    mixt_model_options options_here = mixt_model_defaults();
    options_here.vocab_only = vocab_only;
    options_here.log        = remark_line;
    options_here.log_user   = (void *)(uintptr_t)app;
    const mixt_memory inside = embedded_as(app, path);
    options_here.memory     = &inside;
    error->code             = MIXT_OK;
    const Exit code = choose_template(app, out, &options_here.chat_template);
    if (code != DONE) return code;
    const mixt_status status = mixt_model_open(path, &options_here, &out->model, error);
    if (status == MIXT_OK) out->info = mixt_model_read(out->model);
    return exit_of(status);
}

Exit load_model(const App *app, const char *path, bool vocab_only, Loaded *out)
{
    mixt_error error;
    const Exit code = load_quietly(app, path, vocab_only, out, &error);
    if (error.code) return embedded_problem(app, path, &error);
    return code == DONE ? output_spares(app, out->model) : code;
}

/* Pieces that a bar can show; whole steps where --batch says how many rows, or where each step reads experts anew. */
static void choose_piece(Loaded *loaded, bool asked)
{
    enum { ENOUGH = 256 };
    const mixt_engine_stats stats = mixt_engine_read(loaded->engine);
    const size_t            n     = stats.n_batch;
    const bool              whole = asked || strcmp(stats.store, "ram") != 0;
    loaded->n_batch = n;
    loaded->piece   = n < ENOUGH ? ENOUGH / n * n : whole ? n : ENOUGH;
}

/* A prompt on its way through the network. */
typedef struct Reading {
    Progress bar;
    int64_t  before, piece, total;      /* tokens: done, under way, of all of it            */
    int64_t  layer, n_layers;           /* of the piece's steps: begun, of all of them      */
} Reading;

/* Before each layer.  Where experts come from the disk one step may take half a minute. */
static int on_layer(void *user)
{
    Reading *r = ((const Loaded *)user)->reading;
    if (!r) return interrupt_asked(NULL);
    const int64_t passed = r->layer < r->n_layers ? r->layer++ : r->n_layers;
    return progress_show(&r->bar, r->before + r->piece * passed / r->n_layers, r->total);
}

mixt_kv load_kv(const char *name)
{
    return strcmp(name, "f32") == 0 ? MIXT_KV_F32 : strcmp(name, "q8_0") == 0 ? MIXT_KV_Q8_0 : MIXT_KV_F16;
}

static Exit open_engine(const App *app, size_t n_context, const AdapterList *adapters, Loaded *out)
{
    const Options      *o        = app->options;
    mixt_engine_options settings = mixt_engine_defaults();
    Progress            progress = progress_begin("loading", true);
    mixt_error          error;
    settings.device        = opt_text(o, OPT_DEVICE);
    settings.cpu_set       = opt_text(o, OPT_CPU);
    settings.n_threads     = (int)opt_whole(o, OPT_THREADS);
    settings.kv            = load_kv(opt_text(o, OPT_KV));
    settings.n_batch       = (size_t)opt_whole(o, OPT_BATCH);
    settings.memory_bytes  = opt_whole(o, OPT_MEMORY);
    settings.expert_slots  = (size_t)opt_whole(o, OPT_EXPERT_SLOTS);
    settings.progress      = progress_show;
    settings.progress_user = &progress;
    settings.profile       = opt_flag(o, OPT_PROFILE);
    settings.policy        = opt_text(o, OPT_POLICY);
    if (opt_given(o, OPT_LOOK_AHEAD)) settings.look_ahead = (int)opt_whole(o, OPT_LOOK_AHEAD);
    Buffer use             = use_begin(app, out->model);
    settings.use           = use.data;
    settings.cancel        = on_layer;
    settings.cancel_user   = out;
    settings.adapters      = adapters->all;
    settings.n_adapters    = adapters->n;

    const mixt_status loaded = mixt_engine_new(out->model, &settings, &out->engine, &error);
    progress_end(&progress);
    buffer_free(&use);
    if (loaded != MIXT_OK)
        return problem(app, &error,
                       loaded == MIXT_NO_MEMORY
                           ? "mixt plan MODEL says what fits; a smaller --batch or --ctx takes less"
                           : NULL);
    choose_piece(out, settings.n_batch > 0);
    const mixt_status began = mixt_session_new(out->engine, n_context, &out->session, &error);
    if (began != MIXT_OK)
        return problem(app, &error, began == MIXT_NO_MEMORY ? "try a smaller --ctx" : NULL);
    return DONE;
}

Exit load_network(const App *app, size_t n_context, Loaded *out)
{
    const Value *given = &app->options->values[OPT_LORA];
    AdapterList  adapters;
    Exit         code = adapters_take(app, given->texts, given->n_texts, &adapters);
    if (code == DONE) code = open_engine(app, n_context, &adapters, out);
    adapters_drop(&adapters);
    return code;
}

void load_free(Loaded *loaded)
{
    mixt_session_free(loaded->session);
    mixt_engine_free(loaded->engine);
    mixt_model_free(loaded->model);
    free(loaded->template_source);
    *loaded = (Loaded){ 0 };
}

/* ---- reading tokens ---- */

static size_t common_prefix(const mixt_session *session, const mixt_token *tokens, size_t n_tokens)
{
    const mixt_token *held = mixt_session_tokens(session);
    const size_t      n    = mixt_session_n_tokens(session);
    size_t            same = 0;
    while (same < n && same < n_tokens && held[same] == tokens[same]) same++;
    return same;
}

mixt_status load_read(Loaded *loaded, const mixt_token *tokens, size_t n_tokens, size_t *n_reused,
                      mixt_error *error)
{
    const size_t first   = common_prefix(loaded->session, tokens, n_tokens);
    Reading      reading = { .bar = progress_begin("reading the prompt", false), .total = (int64_t)(n_tokens - first) };
    size_t       done    = first;
    mixt_status  status  = MIXT_OK;
    if (n_reused) *n_reused = first;
    loaded->reading = &reading;
    do {
        const size_t n       = n_tokens - done > loaded->piece ? loaded->piece : n_tokens - done;
        const size_t n_steps = n ? (n - 1) / loaded->n_batch + 1 : 1;
        reading.before   = (int64_t)(done - first);
        reading.piece    = (int64_t)n;
        reading.layer    = 0;
        reading.n_layers = loaded->info.n_layers * (int64_t)n_steps;
        done += n;
        status = mixt_session_sync(loaded->session, tokens, done, error);
    } while (status == MIXT_OK && done < n_tokens);
    loaded->reading = NULL;
    progress_end(&reading.bar);
    return status;
}
