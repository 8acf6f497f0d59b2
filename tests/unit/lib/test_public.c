/* SPDX-License-Identifier: Apache-2.0
 * Every call of mixt.h, as a program of somebody else's would make it: what it promises, and what
 * it says when it is used wrongly.  The model is a synthetic one, made here. */
#include "../../support.h"

#include <mixt.h>
#include <mixt_tools.h>

#include <math.h>

static char         path[512];
static mixt_model  *model;
static mixt_engine *engine;
static mixt_error   error;

static void must(mixt_status status)
{
    if (status != MIXT_OK) fail_msg("%s: %s", mixt_status_name(status), error.text);
}

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/tiny.gguf", test_scratch());
    mixt_synth_options o = mixt_synth_defaults();
    o.like = "tiny";
    o.type = "Q8_0";
    must(mixt_synth(path, &o, &error));
    must(mixt_model_open(path, NULL, &model, &error));
    mixt_engine_options e = mixt_engine_defaults();
    e.n_threads = 2;
    must(mixt_engine_new(model, &e, &engine, &error));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mixt_engine_free(engine);
    mixt_model_free(model);
    remove(path);
    return 0;
}

static mixt_session *session_with(const mixt_token *tokens, size_t n)
{
    mixt_session *s;
    must(mixt_session_new(engine, 0, &s, &error));
    must(mixt_session_sync(s, tokens, n, &error));
    return s;
}

static size_t tokens_of(const char *text, bool special, mixt_token *out, size_t room)
{
    size_t n;
    must(mixt_tokenize(model, text, strlen(text), special, out, room, &n, &error));
    return n;
}

/* ---- model ---- */

static void a_model_says_what_it_is(void **state)
{
    (void)state;
    const mixt_model_info i = mixt_model_read(model);
    assert_int_equal(i.struct_bytes, sizeof i);
    assert_string_equal(i.arch, "mixtral");
    assert_string_equal(i.path, path);
    assert_int_equal(i.n_experts, 8);
    assert_int_equal(i.n_used, 2);
    assert_true(i.n_values_active < i.n_values);
    assert_true(i.expert_bytes > 0);
    assert_int_equal(i.bos, 1);
    assert_non_null(i.tokenizer);
    assert_non_null(i.template_why);

    /* The count of FACTS: V*D*2 + D + L*(2D + D*H*2 + D*K*2 + E*D + E*3*D*F). */
    const int64_t D = i.width, H = i.n_heads * i.head_size, K = i.n_kv_heads * i.head_size;
    const int64_t expert = 3 * D * i.hidden;
    const int64_t want = i.n_vocab * D * 2 + D +
                         i.n_layers * (2 * D + 2 * D * H + 2 * D * K + i.n_experts * (D + expert));
    assert_int_equal(i.n_values, want);
    assert_int_equal(i.n_values_active, want - i.n_layers * (i.n_experts - i.n_used) * expert);

    size_t n;
    int64_t values = 0, bytes = 0, tensors = 0;
    const mixt_weight_class *c = mixt_model_classes(model, &n);
    for (size_t k = 0; k < n; k++)
        values += c[k].n_values, bytes += c[k].n_bytes, tensors += c[k].n_tensors;
    assert_int_equal(values, i.n_values);
    assert_int_equal(bytes, i.weight_bytes);
    assert_int_equal(tensors, i.n_tensors);
}

static void what_cannot_be_opened_is_named(void **state)
{
    (void)state;
    mixt_model *none = (void *)1;
    assert_int_equal(mixt_model_open("/no/such/model.gguf", NULL, &none, &error), MIXT_NOT_FOUND);
    assert_null(none);
    assert_int_equal(error.code, MIXT_NOT_FOUND);
    assert_non_null(strstr(error.text, "/no/such/model.gguf"));
    assert_int_equal(mixt_model_open("/no/such/model.gguf", NULL, &none, NULL), MIXT_NOT_FOUND);

    mixt_model_options o = mixt_model_defaults();
    o.chat_template = "no-such-format";
    assert_int_equal(mixt_model_open(path, &o, &none, &error), MIXT_UNSUPPORTED);
    assert_non_null(strstr(error.text, "chatml"));
    mixt_model_free(NULL);
}

/* An options struct of an older caller is shorter: what it lacks keeps its default. */
static void older_options_are_understood(void **state)
{
    (void)state;
    mixt_model *other;
    mixt_model_options o = mixt_model_defaults();
    o.struct_bytes = offsetof(mixt_model_options, chat_template);
    o.chat_template = (const char *)1;                  /* beyond its end: must not be read       */
    must(mixt_model_open(path, &o, &other, &error));
    mixt_model_free(other);
}

static void its_files_are_known(void **state)
{
    (void)state;
    const char *const *files = mixt_model_files(model);
    assert_string_equal(files[0], path);
    for (size_t i = 0; files[i]; i++) assert_int_equal(access(files[i], R_OK), 0);
}

/* ---- a model that is no file ---- */

static char  *whole;            /* the bytes of the file                                  */
static size_t n_whole;

static void read_whole(void)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    n_whole = (size_t)ftell(f);
    rewind(f);
    whole = malloc(n_whole);
    assert_non_null(whole);
    assert_int_equal(fread(whole, 1, n_whole, f), n_whole);
    fclose(f);
}

static void bytes_in_memory_are_as_good_as_a_file(void **state)
{
    (void)state;
    read_whole();
    mixt_memory memory = { "inside", whole, n_whole };
    mixt_model_options o = mixt_model_defaults();
    o.memory = &memory;
    mixt_model *inside;
    must(mixt_model_open("inside", &o, &inside, &error));
    memory = (mixt_memory){ 0 };                        /* was read during the call only          */
    const mixt_model_info want = mixt_model_read(model), got = mixt_model_read(inside);
    assert_string_equal(got.path, "inside");
    assert_string_equal(got.container, "GGUF v3 in memory");
    assert_int_equal(got.n_values, want.n_values);
    assert_null(mixt_model_files(inside)[0]);           /* nothing that an output could destroy   */

    const mixt_token tokens[5] = { 1, 300, 301, 302, 303 };
    mixt_session *file = session_with(tokens, 5);
    for (size_t slots = 0; slots <= 3; slots += 3) {    /* all experts at once; fetched when needed */
        mixt_engine_options e = mixt_engine_defaults();
        mixt_engine *other;
        mixt_session *s;
        e.n_threads = 2;
        e.expert_slots = slots;
        must(mixt_engine_new(inside, &e, &other, &error));
        must(mixt_session_new(other, 0, &s, &error));
        must(mixt_session_sync(s, tokens, 5, &error));
        assert_memory_equal(mixt_session_logits(s), mixt_session_logits(file),
                            (size_t)want.n_vocab * sizeof(float));
        mixt_session_free(s);
        mixt_engine_free(other);
    }
    mixt_session_free(file);
    mixt_model_free(inside);
    free(whole);
}

static void only_its_name_means_it(void **state)
{
    (void)state;
    read_whole();
    const mixt_memory memory = { path, "GGUF", 4 };
    mixt_model_options o = mixt_model_defaults();
    mixt_model *m;
    o.memory = &memory;
    assert_int_equal(mixt_model_open(path, &o, &m, &error), MIXT_BAD_FILE);     /* not the disk's   */
    const mixt_memory other = { "inside", whole, n_whole }, nameless = { NULL, whole, n_whole };
    o.memory = &other;
    must(mixt_model_open(path, &o, &m, &error));
    assert_string_equal(mixt_model_read(m).container, "GGUF v3");
    mixt_model_free(m);
    o.memory = &nameless;
    assert_int_equal(mixt_model_open("inside", &o, &m, &error), MIXT_NOT_FOUND);
    free(whole);
}

static void wrong_bytes_in_memory_are_named(void **state)
{
    (void)state;
    read_whole();
    char line[512];
    mixt_model *m;
    const struct { const void *bytes; size_t n; mixt_status want; const char *word; } bad[] = {
        { NULL, 0, MIXT_BAD_ARGUMENT, "none" },
        { NULL, 100, MIXT_BAD_ARGUMENT, "none" },
        { "", 0, MIXT_BAD_FILE, "0 bytes" },
        { "GGU", 3, MIXT_BAD_FILE, "3 bytes" },
        { "abcdefgh", 8, MIXT_BAD_FILE, "something else" },
        { "<!DOCTYPE html><html>", 21, MIXT_BAD_FILE, "HTML page" },
        { whole, 4, MIXT_BAD_FILE, "end of the file" },
        { whole, n_whole / 2, MIXT_BAD_FILE, "" },
        { whole, n_whole - 1, MIXT_BAD_FILE, "" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const mixt_memory memory = { "inside", bad[i].bytes, bad[i].n };
        mixt_model_options o = mixt_model_defaults();
        mixt_convert_options c = mixt_convert_defaults();
        char out[600];
        snprintf(out, sizeof out, "%s/never.gguf", test_scratch());
        o.memory = c.memory = &memory;
        for (int call = 0; call < 3; call++) {
            const mixt_status got = call == 0   ? mixt_model_open("inside", &o, &m, &error)
                                    : call == 1 ? mixt_check("inside", &o, line, sizeof line, &error)
                                                : mixt_convert("inside", out, &c, &error);
            if (got != bad[i].want || strncmp(error.text, "inside: ", 8) != 0 || !strstr(error.text, bad[i].word))
                fail_msg("case %zu, call %d: want %d, 'inside: .. %s', got %d: %s", i, call, bad[i].want,
                         bad[i].word, got, got ? error.text : "fine");
        }
        assert_int_not_equal(access(out, F_OK), 0);
    }
    free(whole);
}

/* ---- text ---- */

static void text_survives_the_road_to_tokens(void **state)
{
    (void)state;
    const char *const texts[] = {"Once upon a time", "", " two  spaces ",
                                 "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 </s> [INST]",
                                 "line\nline\t"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        mixt_token tokens[256];
        char text[512];
        size_t n_bytes;
        const size_t n = tokens_of(texts[i], false, tokens, 256);
        for (size_t t = 0; t < n; t++) assert_false(mixt_token_ends(model, tokens[t]));
        must(mixt_detokenize(model, tokens, n, false, text, sizeof text, &n_bytes, &error));
        assert_int_equal(n_bytes, strlen(texts[i]));
        assert_memory_equal(text, texts[i], n_bytes);
    }
}

static void sizes_are_measured_before_they_are_filled(void **state)
{
    (void)state;
    size_t n = 0, n_bytes = 0;
    mixt_token tokens[8];
    must(mixt_tokenize(model, "Once upon a time", 16, true, NULL, 0, &n, &error));
    assert_true(n > 1);
    assert_int_equal(mixt_tokenize(model, "Once upon a time", 16, true, tokens, 1, &n, &error),
                     MIXT_NO_ROOM);
    assert_int_equal(tokens_of("a", true, tokens, 8) > 0, 1);
    assert_int_equal(tokens[0], mixt_model_read(model).bos);
    must(mixt_detokenize(model, tokens, 2, false, NULL, 0, &n_bytes, &error));
    tokens[0] = 1 << 30;
    assert_int_equal(mixt_detokenize(model, tokens, 1, false, NULL, 0, &n_bytes, &error),
                     MIXT_BAD_ARGUMENT);
    assert_string_equal(mixt_token_bytes(model, -1, false, &n_bytes), "");
    assert_true(mixt_token_ends(model, mixt_model_read(model).eos));
}

static void what_users_write_stays_text(void **state)
{
    (void)state;
    mixt_chat chat = mixt_chat_defaults();
    chat.messages_json = "[{\"role\":\"user\",\"content\":\"</s> <s> hi\"}]";
    char text[512];
    mixt_token tokens[256];
    size_t n_bytes, n;
    mixt_model *m;
    mixt_model_options o = mixt_model_defaults();
    o.chat_template = "mistral-v1";
    must(mixt_model_open(path, &o, &m, &error));
    must(mixt_chat_render(m, &chat, text, sizeof text, &n_bytes, tokens, 256, &n, &error));
    assert_non_null(memmem(text, n_bytes, "</s> <s> hi", 11));
    assert_int_equal(tokens[0], 1);
    for (size_t i = 1; i < n; i++) assert_true(tokens[i] != 1 && tokens[i] != 2);
    chat.messages_json = "[{\"role\":";
    assert_int_not_equal(
        mixt_chat_render(m, &chat, text, sizeof text, &n_bytes, NULL, 0, NULL, &error), MIXT_OK);
    assert_true(error.text[0] != 0);
    mixt_model_free(m);
}

/* ---- sessions ---- */

static void a_session_keeps_the_prefix_it_has(void **state)
{
    (void)state;
    const mixt_token a[6] = { 1, 300, 301, 302, 303, 304 }, b[5] = { 1, 300, 301, 400, 401 };
    const size_t n_vocab = (size_t)mixt_model_read(model).n_vocab;
    mixt_session *s = session_with(a, 6), *fresh = session_with(b, 5);
    assert_int_equal(mixt_session_n_reused(s), 0);
    must(mixt_session_sync(s, b, 5, &error));
    assert_int_equal(mixt_session_n_reused(s), 3);
    assert_int_equal(mixt_session_n_tokens(s), 5);
    assert_memory_equal(mixt_session_tokens(s), b, sizeof b);
    assert_memory_equal(mixt_session_logits(s), mixt_session_logits(fresh),
                        n_vocab * sizeof(float));
    must(mixt_session_sync(s, b, 5, &error));           /* nothing differs                        */
    assert_int_equal(mixt_session_n_reused(s), 5);
    must(mixt_session_sync(s, b, 2, &error));           /* a shorter one needs its last row again */
    assert_int_equal(mixt_session_n_tokens(s), 2);
    must(mixt_session_sync(s, b, 0, &error));
    assert_null(mixt_session_logits(s));
    mixt_session_free(s);
    mixt_session_free(fresh);
    mixt_session_free(NULL);
}

static void a_full_context_is_an_error_with_both_numbers(void **state)
{
    (void)state;
    mixt_session *s;
    const mixt_token tokens[9] = { 1, 300, 301, 302, 303, 304, 305, 306, 307 };
    must(mixt_session_new(engine, 8, &s, &error));
    assert_int_equal(mixt_session_n_context(s), 8);
    assert_int_equal(mixt_session_sync(s, tokens, 9, &error), MIXT_NO_ROOM);
    assert_non_null(strstr(error.text, "9"));
    assert_non_null(strstr(error.text, "8"));
    must(mixt_session_sync(s, tokens, 8, &error));
    assert_int_equal(mixt_engine_step(engine, &s, tokens, 1, NULL, &error), MIXT_NO_ROOM);
    mixt_session_free(s);
    assert_int_equal(mixt_session_new(engine, (size_t)1 << 40, &s, &error), MIXT_BAD_ARGUMENT);
    assert_null(s);
}

static void wrong_tokens_are_refused(void **state)
{
    (void)state;
    const mixt_token wrong[2] = { 1, (mixt_token)mixt_model_read(model).n_vocab },
                     right[2] = { 1, 300 };
    mixt_session *s = session_with(right, 2), *twice[2] = { s, s };
    assert_int_equal(mixt_session_sync(s, wrong, 2, &error), MIXT_BAD_ARGUMENT);
    assert_int_equal(mixt_engine_step(engine, &s, &wrong[1], 1, NULL, &error), MIXT_BAD_ARGUMENT);
    assert_int_equal(mixt_engine_step(engine, twice, right, 2, NULL, &error), MIXT_BAD_ARGUMENT);
    assert_int_equal(mixt_session_n_tokens(s), 2);
    mixt_session_free(s);
}

static void scores_are_the_logits_of_every_token(void **state)
{
    (void)state;
    const size_t n_vocab = (size_t)mixt_model_read(model).n_vocab;
    const mixt_token tokens[5] = { 1, 300, 301, 302, 303 };
    float *all = malloc(5 * n_vocab * sizeof *all);
    mixt_session *s;
    must(mixt_session_new(engine, 0, &s, &error));
    must(mixt_session_score(s, tokens, 5, all, &error));
    assert_memory_equal(mixt_session_logits(s), all + 4 * n_vocab, n_vocab * sizeof *all);
    for (size_t n = 1; n <= 5; n++) {
        must(mixt_session_sync(s, tokens, n, &error));
        assert_memory_equal(mixt_session_logits(s), all + (n - 1) * n_vocab, n_vocab * sizeof *all);
    }
    mixt_session_free(s);
    free(all);
}

static void the_trace_names_the_experts(void **state)
{
    (void)state;
    const mixt_model_info i = mixt_model_read(model);
    const mixt_token tokens[3] = { 1, 300, 301 };
    mixt_session *s;
    must(mixt_session_new(engine, 0, &s, &error));
    assert_null(mixt_session_experts(s, 0));
    must(mixt_session_trace(s, true, &error));
    must(mixt_session_sync(s, tokens, 3, &error));
    for (size_t t = 0; t < 3; t++) {
        const int32_t *e = mixt_session_experts(s, t);
        const float *w = mixt_session_expert_weights(s, t);
        for (int64_t l = 0; l < i.n_layers; l++) {
            double sum = 0;
            for (int64_t j = 0; j < i.n_used; j++) {
                assert_in_range(e[l * i.n_used + j], 0, i.n_experts - 1);
                sum += (double)w[l * i.n_used + j];
                if (j) assert_true(w[l * i.n_used + j] <= w[l * i.n_used + j - 1]);
                if (j) assert_int_not_equal(e[l * i.n_used + j], e[l * i.n_used + j - 1]);
            }
            assert_true(fabs(sum - 1) < 1e-6);
        }
    }
    assert_null(mixt_session_experts(s, 3));
    mixt_session_free(s);
}

/* ---- engine, sampler, generate ---- */

static int stop_at_once(void *user, int64_t done, int64_t total)
{
    assert_true(done > 0 && done <= total);
    return ++*(int *)user;
}

static void an_engine_says_what_it_holds(void **state)
{
    (void)state;
    const mixt_engine_stats s = mixt_engine_read(engine);
    assert_string_equal(s.device, "cpu");
    assert_int_equal(s.n_threads, 2);
    assert_true(s.resident_bytes >= mixt_model_read(model).weight_bytes ||
                !strcmp(s.store, "cache"));

    mixt_engine *none;
    mixt_engine_options o = mixt_engine_defaults();
    o.device = "abacus";
    assert_int_equal(mixt_engine_new(model, &o, &none, &error), MIXT_BAD_ARGUMENT);
    assert_non_null(strstr(error.text, "cpu"));
    o = mixt_engine_defaults();
    o.n_threads = -1;
    assert_int_equal(mixt_engine_new(model, &o, &none, &error), MIXT_BAD_ARGUMENT);
    o = mixt_engine_defaults();
    o.n_batch = 1 << 20;
    assert_int_equal(mixt_engine_new(model, &o, &none, &error), MIXT_BAD_ARGUMENT);
    int calls = 0;
    o = mixt_engine_defaults();
    o.progress = stop_at_once;
    o.progress_user = &calls;
    assert_int_equal(mixt_engine_new(model, &o, &none, &error), MIXT_CANCELLED);
    assert_int_equal(calls, 1);
    mixt_engine_free(NULL);
}

static int layers_left;
static int stop_at_layer(void *user)
{
    (void)user;
    return layers_left-- == 0;
}

/* Stopped before any layer, a session keeps what it had, and what follows is as if nothing had been. */
static void a_step_can_be_stopped(void **state)
{
    (void)state;
    const mixt_token a[4] = { 1, 300, 301, 302 };
    const size_t bytes = (size_t)mixt_model_read(model).n_vocab * sizeof(float);
    mixt_engine *stoppable;
    mixt_engine_options o = mixt_engine_defaults();
    mixt_session *s, *want = session_with(a, 4);
    o.cancel = stop_at_layer;
    layers_left = -1;
    must(mixt_engine_new(model, &o, &stoppable, &error));
    must(mixt_session_new(stoppable, 0, &s, &error));
    must(mixt_session_sync(s, a, 3, &error));
    for (int layer = 0; layer < (int)mixt_model_read(model).n_layers; layer++) {
        layers_left = layer;
        assert_int_equal(mixt_session_sync(s, a, 4, &error), MIXT_CANCELLED);
        assert_int_equal(mixt_session_n_tokens(s), 3);
    }
    layers_left = -1;
    must(mixt_session_sync(s, a, 4, &error));
    assert_memory_equal(mixt_session_logits(s), mixt_session_logits(want), bytes);
    mixt_session_free(s);
    mixt_session_free(want);
    mixt_engine_free(stoppable);
}

typedef struct Heard { char text[4096]; size_t n; int stop_after; } Heard;

static int hear(void *user, const char *bytes, size_t n_bytes)
{
    Heard *h = user;
    memcpy(h->text + h->n, bytes, n_bytes);
    h->n += n_bytes;
    return h->stop_after > 0 && --h->stop_after == 0;
}

static mixt_generated say(uint64_t seed, float temperature, mixt_generate_options o, Heard *heard)
{
    const mixt_token tokens[4] = { 1, 300, 301, 302 };
    mixt_session *s = session_with(tokens, 4);
    mixt_sampler *sampler;
    mixt_sampler_options so = mixt_sampler_defaults();
    mixt_generated out;
    so.seed = seed;
    so.temperature = temperature;
    must(mixt_sampler_new(model, &so, &sampler, &error));
    o.on_text = hear;
    o.user = heard;
    must(mixt_generate(s, sampler, &o, &out, &error));
    mixt_sampler_free(sampler);
    mixt_session_free(s);
    return out;
}

static void the_same_seed_says_the_same(void **state)
{
    (void)state;
    Heard a = { .n = 0 }, b = { .n = 0 }, c = { .n = 0 };
    mixt_generate_options o = mixt_generate_defaults();
    o.n_tokens_max = 40;
    o.ignore_end = true;
    assert_int_equal(say(7, 1.0f, o, &a).n_tokens, 40);
    say(7, 1.0f, o, &b);
    say(8, 1.0f, o, &c);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.text, b.text, a.n);
    assert_true(a.n != c.n || memcmp(a.text, c.text, a.n));
}

static void a_stop_ends_it_and_is_not_shown(void **state)
{
    (void)state;
    Heard all = { .n = 0 }, some = { .n = 0 }, one = { .stop_after = 1 };
    mixt_generate_options o = mixt_generate_defaults();
    o.n_tokens_max = 30;
    o.ignore_end = true;
    assert_int_equal(say(3, 0, o, &all).finish, MIXT_FINISH_LENGTH);
    assert_true(all.n > 12);

    char stop[4] = {0}; /* a piece of what it will say, ASCII only: whole characters */
    size_t at = 0;
    for (size_t i = 4; i + 3 < all.n && !at; i++)
        if (all.text[i] > 32 && all.text[i + 1] > 32 && all.text[i + 2] > 32) at = i;
    if (!at) skip();
    memcpy(stop, all.text + at, 3);
    const char *found = memmem(all.text, all.n, stop, 3);
    o.stops = (const char *const[]){ stop };
    o.n_stops = 1;
    assert_int_equal(say(3, 0, o, &some).finish, MIXT_FINISH_STOP);
    assert_int_equal(some.n, found - all.text);
    assert_memory_equal(some.text, all.text, some.n);

    o.n_stops = 0;
    assert_int_equal(say(3, 0, o, &one).finish, MIXT_FINISH_CALLER);
    assert_true(one.n < all.n);
}

static void a_sampler_checks_its_options(void **state)
{
    (void)state;
    mixt_sampler *none;
    mixt_sampler_options o = mixt_sampler_defaults();
    o.temperature = -1;
    assert_int_equal(mixt_sampler_new(model, &o, &none, &error), MIXT_BAD_ARGUMENT);
    assert_non_null(strstr(error.text, "temperature"));
    const mixt_bias bias = { 1 << 30, 1 };
    o = mixt_sampler_defaults();
    o.bias = &bias;
    o.n_bias = 1;
    assert_int_equal(mixt_sampler_new(model, &o, &none, &error), MIXT_BAD_ARGUMENT);
    mixt_sampler_free(NULL);
}

/* ---- tools ---- */

static void check_gives_one_line(void **state)
{
    (void)state;
    char line[512] = "";
    must(mixt_check(path, NULL, line, sizeof line, &error));
    assert_non_null(strstr(line, "8 experts"));
    assert_null(strchr(line, '\n'));
    assert_int_equal(mixt_check("/no/such", NULL, line, sizeof line, &error), MIXT_NOT_FOUND);
}

static void arrays_are_written_for_numpy(void **state)
{
    (void)state;
    char file[600], head[128];
    snprintf(file, sizeof file, "%s/a.npy", test_scratch());
    const int32_t values[6] = { 1, 2, 3, 4, 5, 6 };
    must(mixt_npy_write(file, MIXT_NPY_I32, values, (int64_t[]){ 2, 3 }, 2, NULL, &error));
    const char *const inputs[] = { path, file, NULL };
    assert_int_equal(
        mixt_npy_write(file, MIXT_NPY_I32, values, (int64_t[]){ 6 }, 1, inputs, &error),
        MIXT_BAD_ARGUMENT);
    FILE *f = fopen(file, "rb");
    assert_non_null(f);
    assert_int_equal(fread(head, 1, sizeof head, f), 128);
    assert_memory_equal(head, "\x93NUMPY\x01\x00", 8);
    assert_non_null(
        memmem(head, 128, "'descr': '<i4', 'fortran_order': False, 'shape': (2,3,)", 54));
    int32_t back[6];
    assert_int_equal(fread(back, 4, 6, f), 6);
    assert_memory_equal(back, values, sizeof values);
    fclose(f);
    remove(file);
}

static void statuses_have_names(void **state)
{
    (void)state;
    for (int s = MIXT_FAILED; s <= MIXT_OK; s++)
        assert_string_not_equal(mixt_status_name((mixt_status)s), "unknown status");
    assert_string_equal(mixt_status_name((mixt_status)99), "unknown status");
    assert_true(strlen(mixt_version()) >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_says_what_it_is),
        cmocka_unit_test(what_cannot_be_opened_is_named),
        cmocka_unit_test(older_options_are_understood),
        cmocka_unit_test(its_files_are_known),
        cmocka_unit_test(bytes_in_memory_are_as_good_as_a_file),
        cmocka_unit_test(only_its_name_means_it),
        cmocka_unit_test(wrong_bytes_in_memory_are_named),
        cmocka_unit_test(a_step_can_be_stopped),
        cmocka_unit_test(text_survives_the_road_to_tokens),
        cmocka_unit_test(sizes_are_measured_before_they_are_filled),
        cmocka_unit_test(what_users_write_stays_text),
        cmocka_unit_test(a_session_keeps_the_prefix_it_has),
        cmocka_unit_test(a_full_context_is_an_error_with_both_numbers),
        cmocka_unit_test(wrong_tokens_are_refused),
        cmocka_unit_test(scores_are_the_logits_of_every_token),
        cmocka_unit_test(the_trace_names_the_experts),
        cmocka_unit_test(an_engine_says_what_it_holds),
        cmocka_unit_test(the_same_seed_says_the_same),
        cmocka_unit_test(a_stop_ends_it_and_is_not_shown),
        cmocka_unit_test(a_sampler_checks_its_options),
        cmocka_unit_test(check_gives_one_line),
        cmocka_unit_test(arrays_are_written_for_numpy),
        cmocka_unit_test(statuses_have_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
