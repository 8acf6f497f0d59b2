/* SPDX-License-Identifier: Apache-2.0
 * Conversions from GGUF: bytes that stay, numbers that change format, and targets that are there or not.
 * Folders are converted, bit by bit, in tests/golden. */
#include "model_file.h"

#include "file/gguf.h"
#include "file/gguf_write.h"
#include "quantize/convert.h"
#include "quantize/recipe.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>

static Status try_convert(const char *from, const char *to, const char *type, Error *error)
{
    const ConvertOptions o = { .type = type };
    return convert(from, to, &o, error);
}

static const char *converted(const char *from, const char *name, const char *type)
{
    const char *to = scratch_file(name);
    Error error = { 0 };
    if (try_convert(from, to, type, &error) != OK)
        fail_msg("convert to %s: %s", type ? type : "the same", error.text);
    return to;
}

static void expect_same_bytes(const Catalog *a, const Catalog *b, const char *name)
{
    const FileTensor *want = tensor_named(a, name), *got = tensor_named(b, name);
    if (want->format != got->format || want->n_dims != got->n_dims || want->bytes != got->bytes)
        fail_msg("%s: want %s, %lld bytes, got %s, %lld", name, format_info[want->format].name,
                 (long long)want->bytes, format_info[got->format].name, (long long)got->bytes);
    uint8_t *x = stored(a, want), *y = stored(b, got);
    if (memcmp(x, y, (size_t)want->bytes)) fail_msg("%s: other bytes", name);
    free(x);
    free(y);
}

static void expect_same_setting(const Setting *want, const Setting *got)
{
    if (!got || want->kind != got->kind) fail_msg("%s: not there, or of another kind", want->key);
    bool same = true;
    switch (want->kind) {
    case SETTING_BOOL:  same = want->flag == got->flag; break;
    case SETTING_INT:   same = want->integer == got->integer; break;
    case SETTING_UINT:  same = want->natural == got->natural; break;
    case SETTING_FLOAT: same = want->real == got->real; break;
    case SETTING_ARRAY: same = want->array.n == got->array.n; break;
    case SETTING_TEXT:
        same = want->text.n_bytes == got->text.n_bytes &&
               !memcmp(want->text.bytes, got->text.bytes, want->text.n_bytes);
        break;
    }
    if (!same) fail_msg("%s: another value", want->key);
}

static void expect_same_model(const char *from, const char *to)
{
    Catalog a = opened(from), b = opened(to);
    assert_int_equal(a.n_tensors, b.n_tensors);
    for (int64_t i = 0; i < a.n_tensors; i++) expect_same_bytes(&a, &b, a.tensors[i].name);
    assert_int_equal(a.n_settings, b.n_settings);
    for (int64_t i = 0; i < a.n_settings; i++)
        expect_same_setting(&a.settings[i], catalog_setting(&b, a.settings[i].key));
    assert_int_equal(a.vocab.n_pieces, b.vocab.n_pieces);
    for (int i = 0; i < a.vocab.n_pieces; i++) {
        assert_string_equal(a.vocab.pieces[i].text, b.vocab.pieces[i].text);
        assert_true(a.vocab.pieces[i].score == b.vocab.pieces[i].score);
        assert_int_equal(a.vocab.pieces[i].type, b.vocab.pieces[i].type);
    }
    assert_int_equal(a.vocab.bos, b.vocab.bos);
    assert_int_equal(a.vocab.add_bos, b.vocab.add_bos);
    assert_string_equal(a.chat_template, b.chat_template);
    catalog_close(&a);
    catalog_close(&b);
}

static void test_as_stored(void **state)
{
    (void)state;
    static const char *const types[] = { "F16", "Q4_K_M", "Q2_K", "Q5_1" };
    for (int i = 0; i < ARRAY_LEN(types); i++) {
        SynthOptions o = small_model(types[i]);
        if (i == 3) o.n_experts = -1;
        const char *from = made_model("from.gguf", &o);
        expect_same_model(from, converted(from, "same.gguf", NULL));
    }
}

/* What a number becomes in a format is the format's own business; that it was asked is ours.  A tensor
 * that is in this format already keeps its bytes. */
static void expect_encoded(const Catalog *a, const Catalog *b, const char *name, Format format)
{
    const FileTensor *t = tensor_named(b, name);
    if (t->format != format)
        fail_msg("%s: want %s, got %s", name, format_info[format].name,
                 format_info[t->format].name);
    if (tensor_named(a, name)->format == format) {
        expect_same_bytes(a, b, name);
        return;
    }
    float *x = values(a, name);
    uint8_t *got = stored(b, t), *want = malloc((size_t)t->bytes);
    format_info[format].encode(want, x, (size_t)n_values(t));
    if (memcmp(want, got, (size_t)t->bytes))
        fail_msg("%s: other bytes than %s gives", name, format_info[format].name);
    free(x);
    free(got);
    free(want);
}

static void test_types(void **state)
{
    (void)state;
    static const struct { const char *type; Format format; uint64_t file_type; } rows[] = {
        { "f32", F32, 0 }, { "F16", F16, 1 }, { "bf16", BF16, 32 }, { "q8_0", Q8_0, 7 }
    };
    const SynthOptions o = small_model("Q4_K_M");
    const char *from = made_model("from.gguf", &o);
    Catalog a = opened(from);
    for (int r = 0; r < ARRAY_LEN(rows); r++) {
        Catalog b = opened(converted(from, "to.gguf", rows[r].type));
        const Arch *arch;
        sizes_of(&b, &arch);
        for (int64_t i = 0; i < a.n_tensors; i++) {
            const char *name = a.tensors[i].name;
            const bool plain = strstr(name, "norm") || strstr(name, "gate_inp");
            expect_encoded(&a, &b, name, plain ? F32 : rows[r].format);
        }
        const Setting *s = catalog_setting(&b, "general.file_type");
        assert_true(s && s->natural == rows[r].file_type);
        catalog_close(&b);
    }
    catalog_close(&a);
}

/* Every mix has the formats that a model made in it has. */
static void test_mixes(void **state)
{
    (void)state;
    for (int dense = 0; dense < 2; dense++)
        for (int r = 0; recipe_names[r]; r++) {
            SynthOptions o = small_model("F32"), like = small_model(recipe_names[r]);
            if (dense) o.n_experts = like.n_experts = -1;
            const char *from = made_model("from.gguf", &o);
            Catalog a = opened(from), want = opened(made_model("want.gguf", &like));
            Catalog b = opened(converted(from, "mix.gguf", recipe_names[r]));
            assert_int_equal(want.n_tensors, b.n_tensors);
            for (int64_t i = 0; i < want.n_tensors; i++)
                expect_encoded(&a, &b, want.tensors[i].name, want.tensors[i].format);
            expect_same_setting(catalog_setting(&want, "general.file_type"), catalog_setting(&b, "general.file_type"));
            catalog_close(&a);
            catalog_close(&b);
            catalog_close(&want);
        }
}

typedef struct Lines { const char *with; int n; } Lines;

static void count_lines(void *user, const char *line)
{
    Lines *lines = user;
    lines->n += strstr(line, lines->with) != NULL;
}

/* Rows of 48 numbers are no whole blocks of Q8_0, rows of 96 none of Q4_K. */
static void test_odd_rows(void **state)
{
    (void)state;
    static const struct { int64_t hidden; const char *type, *line; Format down, up; } rows[] = {
        { 48, "q8_0", "becomes F32: its rows are not whole blocks of Q8_0", F32, Q8_0 },
        { 48, "Q4_K_S", "becomes F32: its rows are not whole blocks of Q4_K", F32, Q4_K },
        { 96, "Q4_K_S", "becomes Q8_0: its rows are not whole blocks of Q4_K", Q8_0, Q4_K },
        { 96, "q5_0", "becomes", Q5_0, Q5_0 },
    };
    for (int r = 0; r < ARRAY_LEN(rows); r++) {
        SynthOptions o = small_model("F32");
        o.hidden = rows[r].hidden;
        Lines lines = { .with = rows[r].line };
        const ConvertOptions c = { .type = rows[r].type, .log = count_lines, .log_user = &lines };
        assert_int_equal(convert(made_model("odd.gguf", &o), scratch_file("odd8.gguf"), &c, NULL), OK);
        Catalog b = opened(scratch_file("odd8.gguf"));
        assert_int_equal(tensor_named(&b, "blk.1.ffn_down_exps.weight")->format, rows[r].down);
        assert_int_equal(tensor_named(&b, "blk.1.ffn_up_exps.weight")->format, rows[r].up);
        assert_int_equal(lines.n, rows[r].down == rows[r].up ? 0 : 2);
        catalog_close(&b);
    }
}

/* ---- files that synth does not make ---- */

typedef struct Change {
    bool  split_experts;            /* one tensor per expert, as older files have it         */
    bool  tied;                     /* without output.weight                                 */
    bool  more_settings;
    int   mixed_expert;             /* this expert of blk.1.ffn_up in F32; 0: none           */
    float strange;                  /* a value for blk.1.attn_k; 0: none                     */
} Change;

static void check(Status status, const Error *error)
{
    if (status != OK) fail_msg("%s", error->text);
}

/* "blk.0.ffn_up_exps.weight" of expert 2: "blk.0.ffn_up.2.weight". */
static void expert_name(char out[64], const char *name, int expert)
{
    const char *stack = strstr(name, "_exps");
    snprintf(out, 64, "%.*s.%d%s", (int)(stack - name), name, expert, stack + 5);
}

static Format piece_format(const FileTensor *t, const Change *how, int expert)
{
    return how->mixed_expert && expert == how->mixed_expert &&
                   !strcmp(t->name, "blk.1.ffn_up_exps.weight")
               ? F32
               : t->format;
}

static void each_piece(const Catalog *c, const Change *how, GgufWriter *w, bool data)
{
    Error error = { 0 };
    for (int64_t i = 0; i < c->n_tensors; i++) {
        const FileTensor *t = &c->tensors[i];
        const bool stack = how->split_experts && t->n_dims == 3;
        if (how->tied && !strcmp(t->name, "output.weight")) continue;
        uint8_t *bytes = data ? stored(c, t) : NULL;
        if (data && how->strange != 0 && !strcmp(t->name, "blk.1.attn_k.weight"))
            memcpy(bytes + 400, &how->strange, 4);
        for (int e = 0; e < (stack ? (int)t->dims[0] : 1); e++) {
            const int64_t n = stack ? t->bytes / t->dims[0] : t->bytes,
                          n_floats = t->dims[1] * t->dims[2];
            const Format format = stack ? piece_format(t, how, e) : t->format;
            char name[64];
            if (stack) expert_name(name, t->name, e);
            else snprintf(name, sizeof name, "%s", t->name);
            if (!data) {
                check(gguf_declare(w, name, format, t->n_dims - stack, t->dims + stack, &error),
                      &error);
            } else if (format == t->format) {
                check(gguf_add(w, bytes + e * n, (size_t)n, &error), &error);
            } else {
                float *x = malloc((size_t)n_floats * sizeof *x);
                format_info[t->format].decode(x, bytes + e * n, (size_t)n_floats);
                check(gguf_add(w, x, (size_t)n_floats * sizeof *x, &error), &error);
                free(x);
            }
        }
        free(bytes);
    }
}

static void put_scalars(const Catalog *c, GgufWriter *w)
{
    for (int64_t i = 0; i < c->n_settings; i++) {
        const Setting *s = &c->settings[i];
        if (!strncmp(s->key, "tokenizer.", 10)) continue;
        if (s->kind == SETTING_UINT) gguf_put_u32(w, s->key, (uint32_t)s->natural, NULL);
        if (s->kind == SETTING_FLOAT) gguf_put_f32(w, s->key, (float)s->real, NULL);
        if (s->kind == SETTING_TEXT) gguf_put_text(w, s->key, s->text.bytes, s->text.n_bytes, NULL);
    }
}

/* What scalars of 32 bits cannot say. */
static void put_odd_settings(GgufWriter *w)
{
    static const char *const tags[] = { "mixture", "", "of\nexperts" };
    static const size_t n_bytes[] = { 7, 0, 10 };
    const int64_t low = INT64_MIN;
    const uint64_t high = UINT64_MAX - 1;
    const double third = 1.0 / 3.0;
    const int8_t minus = -3;
    static const uint8_t nested[] = {
        9, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,                 /* of arrays, two               */
        2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 6, 0,     /* of u16, two                  */
        0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7               /* of u8, one                   */
    };
    gguf_put_i32s(w, "general.numbers", (const int32_t[]){ -1, 2 }, 2, NULL);
    gguf_put_f32s(w, "general.floats", (const float[]){ 0.1f, NAN }, 2, NULL);
    gguf_put_texts(w, "general.tags", tags, n_bytes, 3, NULL);
    gguf_put_value(w, "general.low", GGUF_I64, &low, 8, NULL);
    gguf_put_value(w, "general.high", GGUF_U64, &high, 8, NULL);
    gguf_put_value(w, "general.third", GGUF_F64, &third, 8, NULL);
    gguf_put_value(w, "general.minus", GGUF_I8, &minus, 1, NULL);
    gguf_put_value(w, "general.nested", GGUF_ARRAY, nested, sizeof nested, NULL);
    assert_int_equal(gguf_put_value(w, "general.none", 13, nested, 1, NULL), BAD_ARGUMENT);
}

static const char *changed(const char *from, const char *name, Change how)
{
    Catalog c = opened(from);
    GgufWriter *w;
    Error error = { 0 };
    const char *to = scratch_file(name);
    check(gguf_create(to, NULL, &w, &error), &error);
    put_scalars(&c, w);
    if (how.more_settings) {
        gguf_put_text(w, "general.license", "apache-2.0", 10, NULL);
        gguf_put_bool(w, "general.tested", true, NULL);
        gguf_put_f32(w, "general.warmth", 36.6f, NULL);
        put_odd_settings(w);
        gguf_put_u32(w, "split.count", 1, NULL);
    }
    each_piece(&c, &how, w, false);
    each_piece(&c, &how, w, true);
    check(gguf_finish(w, &error), &error);
    catalog_close(&c);
    return to;
}

static void test_older_layout(void **state)
{
    (void)state;
    const SynthOptions o = small_model("Q4_K_M");
    const char *from = made_model("from.gguf", &o);
    const char *old = changed(from, "old.gguf", (Change){ .split_experts = true });
    Catalog a = opened(from), b = opened(converted(old, "new.gguf", NULL));
    assert_int_equal(a.n_tensors, b.n_tensors);
    for (int64_t i = 0; i < a.n_tensors; i++) expect_same_bytes(&a, &b, a.tensors[i].name);
    assert_int_equal(b.vocab.kind, VOCAB_NONE);
    catalog_close(&b);

    /* Experts in two formats do not fit into one tensor, but into one of a third. */
    old = changed(from, "mixed.gguf", (Change){ .split_experts = true, .mixed_expert = 2 });
    Error error = { 0 };
    assert_int_equal(try_convert(old, scratch_file("mixed2.gguf"), NULL, &error), UNSUPPORTED);
    assert_non_null(strstr(error.text, "blk.1.ffn_up.2.weight"));
    b = opened(converted(old, "mixed3.gguf", "f16"));
    expect_encoded(&a, &b, "blk.1.ffn_up_exps.weight", F16);
    catalog_close(&a);
    catalog_close(&b);
}

static void test_tied(void **state)
{
    (void)state;
    const SynthOptions o = small_model("F16");
    const char *tied = changed(made_model("from.gguf", &o), "tied.gguf", (Change){ .tied = true });
    Catalog b = opened(converted(tied, "tied2.gguf", "f32"));
    assert_null(catalog_tensor(&b, "output.weight"));
    assert_non_null(catalog_tensor(&b, "token_embd.weight"));
    catalog_close(&b);
}

/* Not only the value but its type and bytes. */
static void expect_same_value(const Catalog *a, const Catalog *b, const char *key)
{
    const Setting *want = catalog_setting(a, key), *got = catalog_setting(b, key);
    uint8_t x[256], y[256];
    if (want->gguf_type != got->gguf_type || want->bytes != got->bytes)
        fail_msg("%s: want type %d, %lld bytes, got %d, %lld", key, want->gguf_type,
                 (long long)want->bytes, got->gguf_type, (long long)got->bytes);
    assert_true(want->bytes <= (int64_t)sizeof x);
    assert_int_equal(file_read(&a->files[0], want->offset, x, (size_t)want->bytes, NULL), OK);
    assert_int_equal(file_read(&b->files[0], got->offset, y, (size_t)got->bytes, NULL), OK);
    if (memcmp(x, y, (size_t)want->bytes)) fail_msg("%s: other bytes", key);
}

static void note_line(void *user, const char *line)
{
    snprintf(user, 200, "%s", line);
}

static void test_settings(void **state)
{
    (void)state;
    char line[200] = "";
    const SynthOptions o = small_model("F16");
    const char *from =
        changed(made_model("from.gguf", &o), "more.gguf", (Change){ .more_settings = true });
    const ConvertOptions c = { .log = note_line, .log_user = line };
    assert_int_equal(convert(from, scratch_file("more2.gguf"), &c, NULL), OK);
    Catalog a = opened(from), b = opened(scratch_file("more2.gguf"));
    static const char *const kept[] = {
        "general.license", "general.tested", "general.warmth", "general.name",
        "general.numbers", "general.floats", "general.tags",   "general.low",
        "general.high",    "general.third",  "general.minus",  "general.nested",
    };
    for (int i = 0; i < ARRAY_LEN(kept); i++) {
        expect_same_setting(catalog_setting(&a, kept[i]), catalog_setting(&b, kept[i]));
        expect_same_value(&a, &b, kept[i]);
    }
    assert_null(catalog_setting(&b, "split.count"));
    if (*line) fail_msg("want no line: nothing was left behind; got '%s'", line);
    catalog_close(&a);
    catalog_close(&b);
}

static void test_overflow(void **state)
{
    (void)state;
    static const struct { float value; const char *type; Status want; } rows[] = {
        { 65504, "f16", OK },         { -65520, "f16", BAD_FILE }, { INFINITY, "f16", BAD_FILE }, { NAN, "bf16", BAD_FILE },
        { 3.4e38f, "bf16", BAD_FILE }, { 1e30f, "bf16", OK },      { 8e6f, "q8_0", OK },          { 1e7f, "q8_0", BAD_FILE },
        { NAN, "q8_0", BAD_FILE },     { 3.4e38f, "f32", OK },     { 70000, NULL, OK }
    };
    const SynthOptions o = small_model("F32");
    const char *from = made_model("from.gguf", &o);
    for (int r = 0; r < ARRAY_LEN(rows); r++) {
        Error error = { 0 };
        const char *strange = changed(from, "strange.gguf", (Change){ .strange = rows[r].value });
        const Status got =
            try_convert(strange, scratch_file("strange2.gguf"), rows[r].type, &error);
        if (got != rows[r].want)
            fail_msg("%g as %s: want %d, got %d %s", (double)rows[r].value, rows[r].type,
                     rows[r].want, got, error.text);
        if (got != OK) assert_non_null(strstr(error.text, "blk.1.attn_k.weight"));
        assert_int_equal(n_files_like("strange2"), got == OK);
        remove(scratch_file("strange2.gguf"));
    }
}

/* ---- targets ---- */

static void test_same_file(void **state)
{
    (void)state;
    const SynthOptions o = small_model("F16");
    const char *from = made_model("from.gguf", &o), *link_name = scratch_file("link.gguf"),
               *hard = scratch_file("hard.gguf");
    size_t n_before, n_after;
    char *before = whole_file(from, &n_before);
    assert_int_equal(symlink(from, link_name), 0);
    assert_int_equal(link(from, hard), 0);
    const char *const targets[] = { from, link_name, hard };
    for (int i = 0; i < 3; i++) {
        Error error = { 0 };
        assert_int_equal(try_convert(from, targets[i], "f32", &error), BAD_ARGUMENT);
        char *after = whole_file(from, &n_after);
        assert_int_equal(n_before, n_after);
        assert_memory_equal(before, after, n_before);
        free(after);
    }
    free(before);
    remove(link_name);
    remove(hard);
}

static int stop_at(void *user, int64_t done, int64_t total)
{
    assert_true(done <= total);
    return done >= *(const int64_t *)user;
}

static int failing_reads(IoCall call)
{
    static int n;
    return call == IO_READ && ++n > 40 ? 5 /* EIO */ : 0;
}

static void test_stopped(void **state)
{
    (void)state;
    const SynthOptions o = small_model("F16");
    const char *from = made_model("from.gguf", &o);
    int64_t half = 2 << 20;
    const ConvertOptions c = { .type = "f32", .progress = stop_at, .progress_user = &half };
    assert_int_equal(convert(from, scratch_file("stopped.gguf"), &c, NULL), CANCELLED);
    assert_int_equal(n_files_like("stopped"), 0);
    io_fault = failing_reads;
    const Status got = try_convert(from, scratch_file("unread.gguf"), "f32", NULL);
    io_fault = NULL;
    assert_int_equal(got, IO_FAILED);
    assert_int_equal(n_files_like("unread"), 0);
}

static int kill_at(void *user, int64_t done, int64_t total)
{
    (void)total;
    if (done >= *(const int64_t *)user) raise(SIGKILL);
    return 0;
}

/* Killed at any point, the old file is whole. */
static void test_killed(void **state)
{
    (void)state;
    const SynthOptions o = small_model("F16");
    const char *from = made_model("from.gguf", &o), *to = scratch_file("killed.gguf");
    assert_int_equal(write_file(to, "old", 3, NULL), OK);
    for (int64_t at = 1; at < 12 << 20; at += 3 << 20) {
        const pid_t child = fork();
        if (child == 0) {
            const ConvertOptions c = { .type = "f32", .progress = kill_at, .progress_user = &at };
            convert(from, to, &c, NULL);
            _exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        if (!WIFSIGNALED(status)) fail_msg("at %lld: not killed", (long long)at);
        size_t n;
        char *bytes = whole_file(to, &n);
        assert_string_equal(bytes, "old");
        free(bytes);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    Error error = { 0 };
    const SynthOptions o = small_model("F16");
    const char *from = made_model("from.gguf", &o);
    assert_int_equal(try_convert(from, scratch_file("no.gguf"), "q4_k_x", &error), BAD_ARGUMENT);
    assert_non_null(strstr(error.text, "q4_k_x"));
    assert_int_equal(
        try_convert(scratch_file("missing.gguf"), scratch_file("no.gguf"), NULL, &error),
        NOT_FOUND);
    assert_int_equal(write_file(scratch_file("bad.gguf"), "GGUFx", 5, NULL), OK);
    assert_int_equal(try_convert(scratch_file("bad.gguf"), scratch_file("no.gguf"), NULL, &error),
                     BAD_FILE);
    assert_int_equal(n_files_like("no.gguf"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_stored), cmocka_unit_test(test_types),
        cmocka_unit_test(test_mixes),
        cmocka_unit_test(test_odd_rows),  cmocka_unit_test(test_older_layout),
        cmocka_unit_test(test_tied),      cmocka_unit_test(test_settings),
        cmocka_unit_test(test_overflow),  cmocka_unit_test(test_same_file),
        cmocka_unit_test(test_stopped),   cmocka_unit_test(test_killed),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("quantize.convert", tests, NULL, NULL);
}
