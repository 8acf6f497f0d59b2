/* SPDX-License-Identifier: Apache-2.0
 * Packing: the GGUF comes back to the byte, whatever it holds and whatever ends the work; and what is between
 * reads as that GGUF. */
#include "model_file.h"

#include "base/clock.h"
#include "base/rng.h"
#include "file/gguf.h"
#include "file/gguf_write.h"
#include "file/packed.h"
#include "quantize/pack.h"
#include "quantize/recipe.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static const PackOptions beside = { .n_threads = 2 }, in_place = { .in_place = true, .n_threads = 2 };

static void packs(const char *from, const char *to, const PackOptions *o)
{
    Error error = { 0 };
    if (pack_model(from, to, o, &error) != OK) fail_msg("pack %s: %s", from, error.text);
}

static void unpacks(const char *from, const char *to, const PackOptions *o)
{
    Error error = { 0 };
    if (unpack_model(from, to, o, &error) != OK) fail_msg("unpack %s: %s", from, error.text);
}

/* But for the notes of a packed file, which say nothing in one that is whole. */
static void clear_notes(char *bytes, size_t n)
{
    if (n >= PACKED_ALIGN && memcmp(bytes, packed_magic, sizeof packed_magic) == 0)
        memset(bytes + PACKED_NOTE_AT, 0, PACKED_ALIGN - PACKED_NOTE_AT);
}

static void expect_same_source(const char *want, const char *got, const char *what)
{
    size_t n_want, n_got;
    char *x = whole_file(want, &n_want), *y = whole_file(got, &n_got);
    clear_notes(x, n_want);
    clear_notes(y, n_got);
    if (n_want != n_got || memcmp(x, y, n_want)) fail_msg("%s: other bytes", what);
    free(x);
    free(y);
}

static void expect_same_file(const char *want, const char *got, const char *what)
{
    size_t n_want, n_got;
    char *x = whole_file(want, &n_want), *y = whole_file(got, &n_got);
    if (n_want != n_got) fail_msg("%s: want %zu bytes, got %zu", what, n_want, n_got);
    for (size_t i = 0; i < n_want; i++)
        if (x[i] != y[i]) fail_msg("%s: another byte at %zu of %zu", what, i, n_want);
    free(x);
    free(y);
}

static void copy_file(const char *from, const char *to)
{
    size_t n;
    char *bytes = whole_file(from, &n);
    Error error = { 0 };
    if (write_file(to, bytes, n, &error) != OK) fail_msg("%s", error.text);
    free(bytes);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* ---- the bytes ---- */

static void expect_same_tensors(const char *gguf, const char *packed)
{
    Catalog a = opened(gguf), b = opened(packed);
    int64_t n_packed = 0;
    assert_int_equal(a.n_tensors, b.n_tensors);
    assert_int_equal(a.n_settings, b.n_settings);
    for (int64_t i = 0; i < a.n_tensors; i++) {
        const FileTensor *want = &a.tensors[i], *got = tensor_named(&b, want->name);
        assert_int_equal(want->offset, got->offset);
        assert_int_equal(want->format, got->format);
        uint8_t *x = stored(&a, want), *y = stored(&b, got);
        if (memcmp(x, y, (size_t)want->bytes)) fail_msg("%s: other bytes", want->name);
        n_packed += got->packed;
        free(x);
        free(y);
    }
    assert_true(n_packed > 0 && n_packed < a.n_tensors);
    Error error = { 0 };
    if (packed_verify(b.packed, 2, NULL, NULL, &error) != OK) fail_msg("%s", error.text);
    catalog_close(&a);
    catalog_close(&b);
}

static void expect_round_trip(const SynthOptions *o, const char *what)
{
    const char *gguf = made_model("round.gguf", o), *packed = scratch_file("round.mixt"),
               *back = scratch_file("back.gguf"), *copy = scratch_file("copy.gguf"),
               *there = scratch_file("there.mixt");
    packs(gguf, packed, &beside);
    expect_same_tensors(gguf, packed);
    unpacks(packed, back, &beside);
    expect_same_file(gguf, back, what);

    copy_file(gguf, copy);
    packs(copy, there, &in_place);
    assert_false(exists(copy));
    expect_same_file(packed, there, what);
    unpacks(there, copy, &in_place);
    assert_false(exists(there));
    expect_same_file(gguf, copy, what);
    assert_int_equal(n_files_like(".part"), 0);
}

static void test_every_type(void **state)
{
    (void)state;
    for (int i = 0; recipe_names[i]; i++) {
        const SynthOptions o = small_model(recipe_names[i]);
        expect_round_trip(&o, recipe_names[i]);
    }
}

/* Rows that fill neither panels nor stacks, lines that end early. */
static void test_odd_shapes(void **state)
{
    (void)state;
    static const struct { const char *type; int hidden, experts; } rows[] = {
        { "F32", 200, 3 }, { "F16", 201, 2 }, { "BF16", 131, 5 }, { "Q8_0", 224, 3 }, { "Q4_0", 96, -1 }, { "F16", 7, 2 }
    };
    for (int i = 0; i < ARRAY_LEN(rows); i++) {
        SynthOptions o = small_model(rows[i].type);
        o.hidden = rows[i].hidden;
        o.n_experts = rows[i].experts;
        expect_round_trip(&o, rows[i].type);
    }
}

/* Whatever lies between tensors and behind them, and at whatever alignment, is somebody's. */
static void test_odd_padding(void **state)
{
    (void)state;
    const SynthOptions o = small_model("Q4_K_M");
    const char *gguf = made_model("padding.gguf", &o);
    size_t n;
    char *bytes = whole_file(gguf, &n), *longer = calloc(n + 5001, 1);
    Catalog c = opened(gguf);
    for (size_t i = 0; i < n + 5001; i++) longer[i] = (char)(i * 37 + 11);
    memcpy(longer, bytes, (size_t)c.tensors[0].offset);
    for (int64_t i = 0; i < c.n_tensors; i++)
        memcpy(longer + c.tensors[i].offset, bytes + c.tensors[i].offset, (size_t)c.tensors[i].bytes);
    catalog_close(&c);
    Error error = { 0 };
    assert_int_equal(write_file(gguf, longer, n + 5001, &error), OK);
    packs(gguf, scratch_file("padding.mixt"), &beside);
    unpacks(scratch_file("padding.mixt"), scratch_file("padding-back.gguf"), &beside);
    expect_same_file(gguf, scratch_file("padding-back.gguf"), "padding");
    free(bytes);
    free(longer);
}

/* ---- parts ---- */

static void put_u16(GgufWriter *w, const char *key, uint16_t value)
{
    assert_int_equal(gguf_put_value(w, key, GGUF_U16, &value, sizeof value, NULL), OK);
}

static void write_part(const Catalog *c, const char *path, int part, int n_parts)
{
    GgufWriter *w;
    assert_int_equal(gguf_create(path, NULL, &w, NULL), OK);
    for (int64_t i = 0; part == 0 && i < c->n_settings; i++) {
        const Setting *s = &c->settings[i];
        char *value = malloc((size_t)s->bytes + 1);
        assert_int_equal(file_read(&c->files[0], s->offset, value, (size_t)s->bytes, NULL), OK);
        const uint32_t type = s->kind == SETTING_ARRAY ? GGUF_ARRAY : (uint32_t)s->gguf_type;
        assert_int_equal(gguf_put_value(w, s->key, type, value, (size_t)s->bytes, NULL), OK);
        free(value);
    }
    const int32_t n_all = (int32_t)c->n_tensors;
    put_u16(w, "split.no", (uint16_t)part);
    put_u16(w, "split.count", (uint16_t)n_parts);
    assert_int_equal(gguf_put_value(w, "split.tensors.count", GGUF_I32, &n_all, sizeof n_all, NULL), OK);
    for (int64_t i = part; i < c->n_tensors; i += n_parts)
        assert_int_equal(gguf_declare(w, c->tensors[i].name, c->tensors[i].format, c->tensors[i].n_dims,
                                      c->tensors[i].dims, NULL), OK);
    for (int64_t i = part; i < c->n_tensors; i += n_parts) {
        uint8_t *bytes = stored(c, &c->tensors[i]);
        assert_int_equal(gguf_add(w, bytes, (size_t)c->tensors[i].bytes, NULL), OK);
        free(bytes);
    }
    assert_int_equal(gguf_finish(w, NULL), OK);
}

static const char *part_file(const char *prefix, int part, int n_parts)
{
    char name[128];
    snprintf(name, sizeof name, "%s-%05d-of-%05d.gguf", prefix, part + 1, n_parts);
    return scratch_file(name);
}

/* The matrices of one expert lie in three files. */
static void test_parts(void **state)
{
    (void)state;
    enum { N = 3 };
    const SynthOptions o = small_model("Q5_K_M");
    Catalog c = opened(made_model("one.gguf", &o));
    for (int i = 0; i < N; i++) write_part(&c, part_file("split", i, N), i, N);
    for (int i = 0; i < N; i++) copy_file(part_file("split", i, N), part_file("moved", i, N));
    catalog_close(&c);
    packs(part_file("split", 1, N), scratch_file("split.mixt"), &beside);
    expect_same_tensors(part_file("split", 0, N), scratch_file("split.mixt"));
    unpacks(scratch_file("split.mixt"), scratch_file("again.gguf"), &beside);
    for (int i = 0; i < N; i++) expect_same_file(part_file("split", i, N), part_file("again", i, N), "a part");
    unpacks(scratch_file("split.mixt"), part_file("named", 2, N), &beside);
    for (int i = 0; i < N; i++) expect_same_file(part_file("split", i, N), part_file("named", i, N), "a part");

    packs(part_file("moved", 2, N), scratch_file("moved.mixt"), &in_place);
    expect_same_file(scratch_file("split.mixt"), scratch_file("moved.mixt"), "parts in place");
    assert_int_equal(n_files_like("moved-0"), 0);
    unpacks(scratch_file("moved.mixt"), scratch_file("moved"), &in_place);
    for (int i = 0; i < N; i++) expect_same_file(part_file("split", i, N), part_file("moved", i, N), "a part");
}

/* ---- what it reads as ---- */

static void test_reads_anywhere(void **state)
{
    (void)state;
    const unsigned seed = (unsigned)time(NULL);
    Rng rng = { .state = seed };
    SynthOptions o = small_model("Q6_K");
    const char *gguf = made_model("any.gguf", &o);
    packs(gguf, scratch_file("any.mixt"), &beside);
    Catalog c = opened(scratch_file("any.mixt"));
    size_t n;
    char *want = whole_file(gguf, &n), *got = malloc(n);
    assert_int_equal(c.files[0].n_bytes, (int64_t)n);
    for (int round = 0; round < 3000; round++) {
        const size_t at = rng_bits(&rng) % n, most = round % 10 ? 3000 : 300000;
        size_t some = rng_bits(&rng) % most;
        if (some > n - at) some = n - at;
        Error error = { 0 };
        if (file_read(&c.files[0], (int64_t)at, got, some, &error) != OK) fail_msg("%s", error.text);
        if (memcmp(want + at, got, some)) fail_msg("seed %u: [%zu, +%zu) is not the GGUF's", seed, at, some);
    }
    assert_int_equal(file_read(&c.files[0], (int64_t)n - 1, got, 2, NULL), BAD_FILE);
    assert_int_equal(file_read(&c.files[0], -1, got, 2, NULL), BAD_FILE);
    free(want);
    free(got);
    catalog_close(&c);
}

static void test_a_damaged_slab(void **state)
{
    (void)state;
    const SynthOptions o = small_model("Q4_0");
    const char *packed = scratch_file("damaged.mixt");
    packs(made_model("damaged.gguf", &o), packed, &beside);
    Catalog c = opened(packed);
    const PackedSlab *slab = &c.packed->slabs[6];           /* the third expert of the second layer */
    const int64_t at = (int64_t)(slab->offset + slab->n_bytes / 2);
    catalog_close(&c);
    size_t n;
    char *bytes = whole_file(packed, &n);
    bytes[at] ^= 4;
    Error error = { 0 };
    assert_int_equal(write_file(packed, bytes, n, &error), OK);
    c = opened(packed);
    assert_int_equal(packed_verify(c.packed, 2, NULL, NULL, &error), BAD_FILE);
    assert_non_null(strstr(error.text, "layer 1, expert 2"));
    catalog_close(&c);
    assert_int_equal(unpack_model(packed, scratch_file("never.gguf"), &beside, &error), BAD_FILE);
    assert_non_null(strstr(error.text, "layer 1, expert 2"));
    assert_false(exists(scratch_file("never.gguf")));
    assert_int_equal(n_files_like("never"), 0);
    free(bytes);
}

/* ---- what is refused ---- */

static void expect_refusal(Status got, Status want, const Error *error, const char *part)
{
    if (got != want || !strstr(error->text, part))
        fail_msg("want %d with '%s', got %d: %s", want, part, got, error->text);
}

static void test_refusals(void **state)
{
    (void)state;
    const SynthOptions o = small_model("Q8_0");
    const char *gguf = made_model("refused.gguf", &o), *packed = scratch_file("refused.mixt"),
               *other = scratch_file("other.mixt");
    Error e = { 0 };
    packs(gguf, packed, &beside);
    expect_refusal(pack_model(packed, other, &beside, &e), BAD_ARGUMENT, &e, "one that is packed");
    expect_refusal(unpack_model(gguf, other, &beside, &e), BAD_ARGUMENT, &e, "one that is not");
    expect_refusal(pack_model(gguf, gguf, &beside, &e), BAD_ARGUMENT, &e, "same file as the input");
    expect_refusal(pack_model(gguf, gguf, &in_place, &e), BAD_ARGUMENT, &e, "same file as the input");
    expect_refusal(unpack_model(packed, packed, &in_place, &e), BAD_ARGUMENT, &e, "same file as the input");
    expect_refusal(pack_model(scratch_file("nobody.gguf"), other, &in_place, &e), NOT_FOUND, &e, "nobody.gguf");
    expect_refusal(pack_model(test_scratch(), other, &beside, &e), NOT_FOUND, &e, "config.json");
    size_t n;
    char *bytes = whole_file(packed, &n);
    assert_int_equal(write_file(packed, bytes, n - 1, &e), OK);
    Catalog c;
    expect_refusal(catalog_open(packed, &c, &e), BAD_FILE, &e, "length");
    free(bytes);
}

/* ---- faults and ends ---- */

static int fault_at, n_calls, fault_code;       /* the fault_at-th call fails, or ends the process: SIGKILL   */

static int inject(IoCall call)
{
    (void)call;
    if (__atomic_fetch_add(&n_calls, 1, __ATOMIC_RELAXED) != fault_at) return 0;
    if (fault_code == SIGKILL) kill(getpid(), SIGKILL);
    return fault_code == -2 ? 0 : fault_code;
}

static void arm(int at, int code)
{
    fault_at = at;
    fault_code = code;
    n_calls = 0;
    io_fault = inject;
}

static int disarm(void **state)
{
    (void)state;
    io_fault = NULL;
    return 0;
}

static SynthOptions tiny_model(void)
{
    SynthOptions o = small_model("Q8_0");
    o.width = 64;
    o.n_heads = o.n_kv_heads = 2;
    o.head_size = 32;
    o.hidden = 64;
    o.n_experts = 2;
    return o;
}

typedef Status (*Job)(const char *from, const char *to, const PackOptions *options, Error *error);

/* Beside the source: the whole output or none, and the source as it was. */
static void test_every_call_fails(void **state)
{
    (void)state;
    static const int codes[] = { ENOSPC, EIO, IO_FAULT_SHORT };
    const SynthOptions o = tiny_model();
    const char *gguf = made_model("fault.gguf", &o), *packed = scratch_file("fault.mixt"), *to = scratch_file("out");
    packs(gguf, packed, &beside);
    for (int job = 0; job < 2; job++)
        for (int c = 0; c < ARRAY_LEN(codes); c++)
            for (int at = 0, failed = 1; failed; at++) {
                Error error = { 0 };
                arm(at, codes[c]);
                const Status status = job ? unpack_model(packed, to, &beside, &error)
                                          : pack_model(gguf, to, &beside, &error);
                failed = n_calls > at;
                disarm(NULL);
                if (status == OK) expect_same_file(job ? gguf : packed, to, "after a fault");
                else if (!error.text[0]) fail_msg("call %d: a failure without words", at);
                if (status != OK && codes[c] == IO_FAULT_SHORT) fail_msg("call %d: %s", at, error.text);
                if (n_files_like(".part")) fail_msg("call %d: a temporary is left", at);
                remove(to);
            }
}

/* In place: one call fails, or the process ends there; given again, the command goes on to the same bytes. */
static void goes_on_after(Job job, const char *from, const char *want, int code)
{
    const char *source = scratch_file("source"), *to = scratch_file("target");
    int at = 0;
    for (bool hit = true; hit; at++) {
        Error error = { 0 };
        copy_file(from, source);
        remove(to);
        if (code == SIGKILL) {
            const pid_t child = fork();
            if (child == 0) {
                arm(at, code);
                job(source, to, &in_place, NULL);
                _exit(0);
            }
            int how;
            waitpid(child, &how, 0);
            hit = WIFSIGNALED(how);
        } else {
            arm(at, code);
            job(source, to, &in_place, &error);
            hit = n_calls > at;
            disarm(NULL);
        }
        /* Nobody takes what is left of the source for a model, or what there is of the target. */
        Catalog c;
        const bool finished = !exists(source);
        if (!finished && catalog_open(source, &c, NULL) == OK) {
            for (int64_t i = 0; i < c.n_tensors; i++) free(stored(&c, &c.tensors[i]));
            catalog_close(&c);
            expect_same_source(from, source, "a source that opens");
        }
        char *part = part_path(to);
        if (catalog_open(part, &c, NULL) == OK) {
            catalog_close(&c);
            expect_same_source(want, part, "a target that opens before it has its name");
        }
        free(part);
        if (!finished) {
            if (job(source, to, &in_place, &error) != OK) fail_msg("call %d, code %d: %s", at, code, error.text);
        }
        expect_same_file(want, to, "what came of it");
        if (exists(source)) fail_msg("call %d: the source is still there", at);
        if (n_files_like(".part")) fail_msg("call %d: a temporary is left", at);
    }
    print_message("%d calls\n", at);
}

static void test_in_place(void **state)
{
    (void)state;
    static const int codes[] = { SIGKILL, ENOSPC };
    const SynthOptions o = tiny_model();
    const char *gguf = made_model("place.gguf", &o), *packed = scratch_file("place.mixt");
    packs(gguf, packed, &beside);
    for (int i = 0; i < ARRAY_LEN(codes); i++) {
        goes_on_after(pack_model, gguf, packed, codes[i]);
        goes_on_after(unpack_model, packed, gguf, codes[i]);
    }
}

/* Again and again, at any moment: all of it is somewhere. */
static void test_killed_again_and_again(void **state)
{
    (void)state;
    const unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    Rng rng = { .state = seed };
    const SynthOptions o = small_model("Q4_K_M");
    const char *gguf = made_model("often.gguf", &o), *source = scratch_file("often"), *to = scratch_file("often.mixt");
    const int64_t begin_us = clock_us();
    int n_killed = 0;
    copy_file(gguf, source);
    for (int round = 0; round < 60; round++) {
        const bool back = round & 1;
        if (!back && clock_us() - begin_us > 20000000) break;           /* enough, where all is slow    */
        uint64_t most_us = 12000;                                       /* more, where it needs longer to begin */
        for (bool done = false; !done; most_us += most_us / 4) {
            const pid_t child = fork();
            if (child == 0) {
                Error error;
                const Status status = back ? unpack_model(to, source, &in_place, &error)
                                           : pack_model(source, to, &in_place, &error);
                _exit(status != OK);
            }
            usleep((useconds_t)(rng_bits(&rng) % most_us));
            kill(child, SIGKILL);
            int how;
            waitpid(child, &how, 0);
            n_killed += WIFSIGNALED(how);
            done = !exists(back ? to : source);
            if (!done && WIFEXITED(how) && WEXITSTATUS(how))
                fail_msg("seed %u, round %d: it does not go on", seed, round);
        }
    }
    expect_same_file(gguf, source, "after all that");
    print_message("killed %d times\n", n_killed);
}

/* ---- somebody else at the same time ---- */

static struct Other { Job job; const char *source, *to; int comes_at, dies_at; bool came, done; } other;

/* Another process with the same command comes before one of our calls, and is killed, or comes to its end. */
static int other_comes(IoCall call)
{
    (void)call;
    if (__atomic_fetch_add(&n_calls, 1, __ATOMIC_RELAXED) != other.comes_at) return 0;
    other.came = true;
    const pid_t child = fork();
    if (child == 0) {
        Error error;
        arm(other.dies_at, SIGKILL);
        _exit(other.job(other.source, other.to, &in_place, &error) != OK);
    }
    int how;
    waitpid(child, &how, 0);
    other.done = WIFEXITED(how);
    return 0;
}

/* All of it is somewhere: the command, given once more, brings it to its end. */
static void comes_between(Job job, const char *from, const char *want, const PackOptions *ours)
{
    const char *source = scratch_file("source"), *to = scratch_file("target"), *own = scratch_file("own");
    int n = 0;
    bool came = true;
    for (int at = 0; came; at += ours->in_place ? 1 : 5) {
        other = (struct Other){ .job = job, .source = source, .to = to, .comes_at = at };
        for (int dies = at % 6; came && !other.done; dies += 6, n++) {
            Error error = { 0 };
            copy_file(from, source);
            remove(to);
            other.dies_at = dies;
            other.came = false;
            n_calls = 0;
            io_fault = other_comes;
            const Status status = job(source, ours->in_place ? to : own, ours, &error);
            came = other.came;
            disarm(NULL);
            if (status != OK && !error.text[0]) fail_msg("calls %d, %d: a failure without words", at, dies);
            if (status == OK && !ours->in_place) expect_same_file(want, own, "beside somebody in place");
            if (exists(source) && job(source, to, &in_place, &error) != OK)
                fail_msg("calls %d, %d: %s", at, dies, error.text);
            expect_same_file(want, to, "after both");
            remove(own);
            char *part = part_path(to);
            remove(part);
            free(part);
        }
    }
    print_message("%d times\n", n);
}

static void test_somebody_else(void **state)
{
    (void)state;
    const SynthOptions o = tiny_model();
    const char *gguf = made_model("else.gguf", &o), *packed = scratch_file("else.mixt");
    packs(gguf, packed, &beside);
    comes_between(pack_model, gguf, packed, &in_place);
    comes_between(unpack_model, packed, gguf, &in_place);
    comes_between(pack_model, gguf, packed, &beside);
    comes_between(unpack_model, packed, gguf, &beside);
}

/* ---- readers ---- */

static int64_t stop_at;                         /* when the counter of bytes has got there                   */

static int stop(void *user, int64_t done, int64_t total)
{
    (void)user, (void)total;
    return done >= stop_at;
}

static int no_locks(IoCall call)
{
    return call == IO_LOCK ? ENOLCK : 0;
}

/* Whoever reads keeps its bytes: in place it is refused, and goes as soon as he has closed. */
static void waits_for_readers(Job job, const char *from, const char *want)
{
    const char *source = scratch_file("read"), *to = scratch_file("moved"), *own = scratch_file("copied");
    copy_file(from, source);
    remove(to);
    Error e = { 0 };
    Catalog first = opened(source), second = opened(source);
    expect_refusal(job(source, to, &in_place, &e), BAD_ARGUMENT, &e, "in use");
    catalog_close(&first);
    expect_refusal(job(source, to, &in_place, &e), BAD_ARGUMENT, &e, "in use");
    if (job(source, own, &beside, &e) != OK) fail_msg("beside a reader: %s", e.text);
    expect_same_file(want, own, "beside a reader");
    copy_file(from, source);                        /* by a rename, which a reader does not hinder      */
    if (job(source, to, &in_place, &e) != OK) fail_msg("a file that took its name: %s", e.text);
    expect_same_file(want, to, "while one without a name is read");
    catalog_close(&second);
    remove(own);

    copy_file(from, source);                        /* a file system without locks refuses nobody      */
    io_fault = no_locks;
    Catalog c = opened(source);
    const Status status = job(source, to, &in_place, &e);
    catalog_close(&c);
    disarm(NULL);
    if (status != OK) fail_msg("without locks: %s", e.text);
}

static const char *looked_at;
static int n_looks;

/* From another process, for that is who it is about. */
static int look(void *user, int64_t done, int64_t total)
{
    (void)user, (void)done, (void)total;
    const pid_t child = fork();
    if (child == 0) {
        Error e = { 0 };
        Catalog c;
        _exit(catalog_open(looked_at, &c, &e) != BAD_ARGUMENT || !strstr(e.text, "changing it in place"));
    }
    int how;
    waitpid(child, &how, 0);
    n_looks++;
    return WIFEXITED(how) && WEXITSTATUS(how) == 0 ? 0 : 1;
}

/* From its first byte to its last, and when it goes on, too. */
static void hides_from_readers(Job job, const char *from, const char *want)
{
    const char *source = looked_at = scratch_file("hidden"), *to = scratch_file("seen");
    PackOptions o = in_place, halfway = in_place;
    o.progress = look;
    halfway.progress = stop;
    Error e = { 0 };
    for (int half = 0; half < 2; half++) {
        struct stat info;
        copy_file(from, source);
        remove(to);
        stop_at = (int64_t)(stat(source, &info), info.st_size) * 3 / 4;
        if (half) expect_refusal(job(source, to, &halfway, &e), CANCELLED, &e, "stopped");
        n_looks = 0;
        if (job(source, to, &o, &e) != OK) fail_msg("somebody could open it, look %d: %s", n_looks, e.text);
        if (n_looks < 2) fail_msg("want looks, got %d", n_looks);
        expect_same_file(want, to, "looked at");
    }
}

static void test_readers(void **state)
{
    (void)state;
    const SynthOptions o = small_model("Q8_0");
    const char *gguf = made_model("readers.gguf", &o), *packed = scratch_file("readers.mixt");
    packs(gguf, packed, &beside);
    waits_for_readers(pack_model, gguf, packed);
    waits_for_readers(unpack_model, packed, gguf);
    hides_from_readers(pack_model, gguf, packed);
    hides_from_readers(unpack_model, packed, gguf);
}

/* ---- in place: what must be there, and what is given back ---- */

static int no_holes(IoCall call)
{
    return call == IO_PUNCH ? EOPNOTSUPP : 0;
}

static void test_stopped(void **state)
{
    (void)state;
    const SynthOptions o = small_model("Q8_0");
    const char *gguf = made_model("stop.gguf", &o), *source = scratch_file("stopped"),
               *to = scratch_file("stopped.mixt");
    Error e = { 0 };
    copy_file(gguf, source);
    io_fault = no_holes;
    expect_refusal(pack_model(source, to, &in_place, &e), UNSUPPORTED, &e, "give back a part");
    io_fault = NULL;
    expect_same_file(gguf, source, "a refused source");
    assert_int_equal(n_files_like(".part"), 0);

    struct stat before, after;
    stop_at = (int64_t)(stat(source, &before), before.st_size) * 3 / 4;
    PackOptions stops = in_place;
    stops.progress = stop;
    expect_refusal(pack_model(source, to, &stops, &e), CANCELLED, &e, "stopped");
    assert_int_equal(stat(source, &after), 0);
    if (after.st_blocks > before.st_blocks * 2 / 3)
        fail_msg("want room given back, got %lld of %lld blocks", (long long)after.st_blocks,
                 (long long)before.st_blocks);
    Catalog c;
    expect_refusal(catalog_open(source, &c, &e), BAD_FILE, &e, "mixt pack --in-place");
    char *part = part_path(to);
    expect_refusal(catalog_open(part, &c, &e), BAD_FILE, &e, "the same command goes on");
    expect_refusal(pack_model(source, scratch_file("elsewhere"), &in_place, &e), NOT_FOUND, &e, "the other half");
    SynthOptions o2 = o;
    o2.seed++;
    const char *gguf2 = made_model("stop2.gguf", &o2), *packed2 = scratch_file("stop2.mixt");
    packs(gguf2, packed2, &beside);
    expect_refusal(pack_model(gguf2, to, &in_place, &e), BAD_ARGUMENT, &e, "finish what was begun there");
    expect_refusal(unpack_model(packed2, to, &in_place, &e), BAD_ARGUMENT, &e, "finish what was begun there");
    expect_refusal(pack_model(source, to, &beside, &e), BAD_FILE, &e, "mixt pack --in-place");
    packs(source, to, &in_place);
    assert_int_equal(n_files_like("stopped"), 1);

    expect_refusal(unpack_model(to, source, &stops, &e), CANCELLED, &e, "stopped");
    expect_refusal(catalog_open(to, &c, &e), BAD_FILE, &e, "mixt unpack --in-place");
    free(part);
    part = part_path(source);
    expect_refusal(catalog_open(part, &c, &e), BAD_FILE, &e, "mixt unpack --in-place has made so far");
    expect_refusal(unpack_model(to, scratch_file("elsewhere"), &in_place, &e), NOT_FOUND, &e, "the other half");
    expect_refusal(pack_model(gguf2, source, &in_place, &e), BAD_ARGUMENT, &e, "finish what was begun there");
    expect_refusal(unpack_model(packed2, source, &in_place, &e), BAD_ARGUMENT, &e, "finish what was begun there");
    assert_int_equal(n_files_like(".part"), 1);
    unpacks(to, source, &in_place);
    expect_same_file(gguf, source, "stopped and gone on");
    free(part);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_odd_shapes),
        cmocka_unit_test(test_odd_padding),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_reads_anywhere),
        cmocka_unit_test(test_a_damaged_slab),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test_teardown(test_every_call_fails, disarm),
        cmocka_unit_test_teardown(test_in_place, disarm),
        cmocka_unit_test(test_killed_again_and_again),
        cmocka_unit_test_teardown(test_somebody_else, disarm),
        cmocka_unit_test_teardown(test_readers, disarm),
        cmocka_unit_test_teardown(test_stopped, disarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
