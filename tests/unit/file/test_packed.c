/* SPDX-License-Identifier: Apache-2.0
 * A packed file whose head or tables lie is refused, in words that name what lies; checksums are
 * put right each time, so that it is the check behind them that speaks. */
#include "../quantize/model_file.h"

#include "base/checksum.h"
#include "file/packed.h"
#include "quantize/pack.h"

static char *whole;
static size_t n_whole;
static PackedHead head;

static void put_right(char *bytes)
{
    PackedHead h;
    memcpy(&h, bytes, sizeof h);
    const uint64_t n = packed_tables_bytes(head.n_parts, head.n_runs, head.n_slabs);
    h.table_checksum = checksum(bytes + PACKED_TABLES_AT, (size_t)n);
    h.checksum = checksum(&h, offsetof(PackedHead, checksum));
    memcpy(bytes, &h, sizeof h);
}

/* `n` bytes at `at` become `value`; expects `part` in what is said. */
static void refused(size_t at, size_t n, uint64_t value, Status want, const char *part)
{
    char *bytes = malloc(n_whole);
    memcpy(bytes, whole, n_whole);
    memcpy(bytes + at, &value, n);
    put_right(bytes);
    Catalog c;
    Error error = { 0 };
    const Memory memory = { .name = "lies", .bytes = bytes, .n_bytes = n_whole };
    const Status got = catalog_open_with(&memory, "lies", &c, &error);
    if (got != want || !strstr(error.text, part))
        fail_msg("byte %zu = %llu: want %d with '%s', got %d: %s", at, (unsigned long long)value, want, part, got,
                 error.text);
    free(bytes);
}

static size_t run_at(uint64_t i)
{
    return PACKED_TABLES_AT + head.n_parts * sizeof(PackedPart) + i * sizeof(PackedRun);
}

static size_t slab_at(uint64_t i)
{
    return run_at(head.n_runs) + i * sizeof(PackedSlab);
}

static uint64_t field(size_t at)
{
    uint64_t value;
    memcpy(&value, whole + at, sizeof value);
    return value;
}

#define HEAD(f)  offsetof(PackedHead, f), sizeof head.f
#define RUN(f)   run_at(0) + offsetof(PackedRun, f), sizeof(((PackedRun *)0)->f)
#define SLAB(f)  slab_at(1) + offsetof(PackedSlab, f), sizeof(((PackedSlab *)0)->f)

static void heads_that_lie(void **state)
{
    (void)state;
    refused(HEAD(version), 2, UNSUPPORTED, "version 1");
    refused(HEAD(layout), 2, UNSUPPORTED, "layout 1");
    refused(HEAD(state), 3, BAD_FILE, "state");
    refused(HEAD(state), PACKED_PACKING, BAD_FILE, "mixt pack --in-place");
    refused(HEAD(state), PACKED_UNPACKING, BAD_FILE, "mixt unpack --in-place");
    refused(HEAD(n_parts), 0, BAD_FILE, "parts");
    refused(HEAD(n_parts), UINT32_MAX, BAD_FILE, "parts");
    refused(HEAD(n_runs), UINT64_MAX, BAD_FILE, "runs");
    refused(HEAD(n_runs), PACKED_RUNS_MAX, BAD_FILE, "end of the tables");
    refused(HEAD(n_slabs), UINT64_MAX / sizeof(PackedSlab) + 1, BAD_FILE, "slabs");
    refused(HEAD(n_bytes), UINT64_MAX, BAD_FILE, "length");
    refused(HEAD(n_bytes), n_whole + PACKED_ALIGN, BAD_FILE, "length");
    refused(HEAD(n_slabs), head.n_slabs - 1, BAD_FILE, "checksum");
}

static void tables_that_lie(void **state)
{
    (void)state;
    refused(PACKED_TABLES_AT, 8, UINT64_MAX, BAD_FILE, "bytes of a part");
    refused(PACKED_TABLES_AT, 8, field(PACKED_TABLES_AT) + 1, BAD_FILE, "nowhere");
    refused(RUN(part), head.n_parts, BAD_FILE, "run 0");
    refused(RUN(begin), UINT64_MAX, BAD_FILE, "run 0");
    refused(RUN(begin), 1, BAD_FILE, "nowhere");
    refused(RUN(n_bytes), 0, BAD_FILE, "not empty");
    refused(RUN(n_bytes), UINT64_MAX, BAD_FILE, "runs and slabs from byte");
    refused(RUN(n_bytes), field(run_at(0) + offsetof(PackedRun, n_bytes)) + 1, BAD_FILE, "");
    refused(RUN(offset), 0, BAD_FILE, "runs and slabs from byte");
    refused(RUN(offset), 4097, BAD_FILE, "multiples of 4096");
    refused(SLAB(offset), field(slab_at(0) + offsetof(PackedSlab, offset)), BAD_FILE, "runs and slabs from byte");
    refused(SLAB(offset), UINT64_MAX - 4095, BAD_FILE, "runs and slabs from byte");
    refused(SLAB(n_bytes), 4096, BAD_FILE, "expected a slab of");
    refused(SLAB(matrices[1].tensor), 1 << 20, BAD_FILE, "layer 0, expert 1: expected one of");
    refused(SLAB(matrices[1].first_row), UINT64_MAX, BAD_FILE, "expected rows of");
    refused(SLAB(matrices[1].n_rows), 0, BAD_FILE, "expected rows of");
    refused(SLAB(matrices[2].n_rows), UINT64_MAX, BAD_FILE, "expected rows of");
    refused(SLAB(matrices[0].first_row), 0, BAD_FILE, "twice");
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < n_whole; n += n < 8192 ? 61 : 1021) {
        Catalog c;
        Error error = { 0 };
        const Memory memory = { .name = "cut", .bytes = whole, .n_bytes = n };
        if (catalog_open_with(&memory, "cut", &c, &error) == OK) fail_msg("%zu of %zu bytes were taken", n, n_whole);
        if (!error.text[0]) fail_msg("%zu bytes: no words", n);
    }
}

/* The slab an expert is in, and that the layout is the one that is described: 64 between, 4096 around. */
static void slabs_are_where_they_are_said_to_be(void **state)
{
    (void)state;
    Catalog c;
    const Memory memory = { .name = "all", .bytes = whole, .n_bytes = n_whole };
    assert_int_equal(catalog_open_with(&memory, "all", &c, NULL), OK);
    for (uint64_t i = 0; i < head.n_slabs; i++) {
        const PackedSlab *slab = &c.packed->slabs[i];
        SlabPlace places[SLAB_MATRICES];
        const int64_t end = packed_places(c.tensors, slab, places);
        assert_int_equal(slab->offset % PACKED_ALIGN, 0);
        assert_int_equal(slab->n_bytes, packed_round((uint64_t)end));
        for (int m = 0; m < SLAB_MATRICES; m++) {
            int found = -1;
            assert_int_equal(places[m].at % 64, 0);
            assert_true(places[m].tensor->packed);
            assert_ptr_equal(catalog_slab(&c, places[m].tensor, (int64_t)slab->matrices[m].first_row, &found), slab);
            assert_int_equal(found, m);
        }
    }
    int found;
    assert_null(catalog_slab(&c, catalog_tensor(&c, "token_embd.weight"), 0, &found));
    assert_null(catalog_slab(&c, catalog_tensor(&c, "blk.0.ffn_gate_exps.weight"), 1, &found));
    catalog_close(&c);
}

static int make(void **state)
{
    (void)state;
    Error error = { 0 };
    const PackOptions options = { .n_threads = 1 };
    SynthOptions o = small_model("Q8_0");
    o.width = 32;
    o.hidden = 64;
    o.n_heads = o.n_kv_heads = 1;
    o.head_size = 32;
    o.n_vocab = 354;
    const char *gguf = made_model("m.gguf", &o), *packed = scratch_file("m.mixt");
    if (pack_model(gguf, packed, &options, &error) != OK) fail_msg("%s", error.text);
    whole = whole_file(packed, &n_whole);
    memcpy(&head, whole, sizeof head);
    return 0;
}

static int unmake(void **state)
{
    (void)state;
    free(whole);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_that_lie),
        cmocka_unit_test(tables_that_lie),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(slabs_are_where_they_are_said_to_be),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
