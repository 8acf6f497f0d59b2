/* SPDX-License-Identifier: Apache-2.0
 * A packed model says what its GGUF says, byte for byte of its logits, wherever its experts are; and a slab that is
 * damaged is an error of the rows that needed it, told by layer and expert, until it is whole again. */
#include "../../support.h"

#include <mixt.h>
#include <mixt_tools.h>

#include "file/packed.h"
#include "lib/lib.h"

#include <fcntl.h>

enum { N_PROMPT = 40, N_VOCAB_MAX = 4096 };

static mixt_token prompt[N_PROMPT];
static float want[N_VOCAB_MAX], got[N_VOCAB_MAX];

static const char *in_scratch(const char *name)
{
    static char paths[16][512];
    static int turn;
    char *path = paths[turn++ & 15];
    snprintf(path, sizeof paths[0], "%s/%s", test_scratch(), name);
    return path;
}

static void must(mixt_status status, const mixt_error *error)
{
    if (status != MIXT_OK) fail_msg("%s: %s", mixt_status_name(status), error->text);
}

static void make_pair(const char *type, const char *gguf, const char *packed)
{
    mixt_error error;
    mixt_synth_options o = mixt_synth_defaults();
    o.type = type;
    o.n_layers = 2;
    o.n_experts = 4;
    o.seed = 5;
    must(mixt_synth(gguf, &o, &error), &error);
    must(mixt_pack(gguf, packed, NULL, &error), &error);
}

static mixt_model *opened(const char *path)
{
    mixt_error error;
    mixt_model *model;
    must(mixt_model_open(path, NULL, &model, &error), &error);
    return model;
}

static mixt_engine *engine_with(const mixt_model *model, const char *device, size_t n_slots)
{
    mixt_error error;
    mixt_engine *engine;
    mixt_engine_options o = mixt_engine_defaults();
    o.n_threads = 2;
    o.device = device;
    o.expert_slots = n_slots;
    must(mixt_engine_new(model, &o, &engine, &error), &error);
    return engine;
}

static void logits_of(const char *path, const char *device, size_t n_slots, float *out)
{
    mixt_error error;
    mixt_session *session;
    mixt_model *model = opened(path);
    mixt_engine *engine = engine_with(model, device, n_slots);
    must(mixt_session_new(engine, 0, &session, &error), &error);
    must(mixt_session_sync(session, prompt, N_PROMPT, &error), &error);
    memcpy(out, mixt_session_logits(session), (size_t)mixt_model_read(model).n_vocab * sizeof *out);
    mixt_session_free(session);
    mixt_engine_free(engine);
    mixt_model_free(model);
}

static void same_logits_packed_or_not(void **state)
{
    (void)state;
    static const char *const types[] = { "F32", "F16", "Q8_0", "Q4_0", "Q5_1", "Q4_K_M", "Q3_K_S", "Q2_K", "Q6_K" };
    static const size_t slots[] = { 0, 8, 4, 1 };               /* all, all, half of them, one  */
    const char *gguf = in_scratch("m.gguf"), *packed = in_scratch("m.mixt");
    for (int t = 0; t < ARRAY_LEN(types); t++) {
        make_pair(types[t], gguf, packed);
        for (int d = 0; d < (t % 4 ? 1 : 2); d++) {
            const char *device = d ? "ref" : "cpu";
            logits_of(gguf, device, 0, want);
            for (int s = 0; s < ARRAY_LEN(slots); s++) {
                memset(got, 0, sizeof got);
                logits_of(packed, device, slots[s], got);
                if (memcmp(got, want, sizeof got))
                    fail_msg("%s on %s with %zu slots: first want %.9g got %.9g", types[t], device, slots[s],
                             (double)want[0], (double)got[0]);
            }
        }
    }
}

/* ---- damage ---- */

static void flip(const char *path, int64_t at)
{
    uint8_t byte = 0;
    const int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 16;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void damage_is_told_and_over(void **state)
{
    (void)state;
    mixt_error error = { 0 };
    const char *gguf = in_scratch("d.gguf"), *packed = in_scratch("d.mixt");
    make_pair("Q4_0", gguf, packed);
    for (int whole = 0; whole < 2; whole++) {
        mixt_model *model = opened(packed);
        mixt_engine *engine = engine_with(model, "cpu", whole ? 0 : 2);
        mixt_session *session;
        must(mixt_session_new(engine, 0, &session, &error), &error);
        const PackedSlab *slabs = model->catalog.packed->slabs;
        for (int e = 4; e < 8; e++) flip(packed, (int64_t)(slabs[e].offset + slabs[e].n_bytes / 3));
        assert_int_equal(mixt_session_sync(session, prompt, N_PROMPT, &error), MIXT_BAD_FILE);
        if (!strstr(error.text, "layer 1, expert") || !strstr(error.text, "checksum")) fail_msg("%s", error.text);
        for (int e = 4; e < 8; e++) flip(packed, (int64_t)(slabs[e].offset + slabs[e].n_bytes / 3));
        must(mixt_session_sync(session, prompt, N_PROMPT, &error), &error);
        logits_of(gguf, "cpu", 0, want);
        const size_t n = (size_t)mixt_model_read(model).n_vocab;
        if (memcmp(mixt_session_logits(session), want, n * sizeof *want)) fail_msg("other logits after damage");
        mixt_session_free(session);
        mixt_engine_free(engine);
        mixt_model_free(model);
    }
}

/* Cut off while it is used: an error, and no signal. */
static void a_cut_file_is_an_error(void **state)
{
    (void)state;
    mixt_error error = { 0 };
    const char *packed = in_scratch("c.mixt");
    make_pair("Q8_0", in_scratch("c.gguf"), packed);
    mixt_model *model = opened(packed);
    mixt_engine *engine = engine_with(model, "cpu", 0);
    mixt_session *session;
    must(mixt_session_new(engine, 0, &session, &error), &error);
    assert_int_equal(truncate(packed, (off_t)model->catalog.packed->slabs[2].offset), 0);
    assert_int_equal(mixt_session_sync(session, prompt, N_PROMPT, &error), MIXT_IO);
    if (!strstr(error.text, "became shorter")) fail_msg("%s", error.text);
    mixt_session_free(session);
    mixt_engine_free(engine);
    mixt_model_free(model);
}

int main(void)
{
    for (int i = 0; i < N_PROMPT; i++) prompt[i] = 3 + i * 7 % 400;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_logits_packed_or_not),
        cmocka_unit_test(damage_is_told_and_over),
        cmocka_unit_test(a_cut_file_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
