/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/file/test_safetensors.c - weights in folders: single files, shards, and Mistral's
 * parts. */
#include "made.h"

#include <time.h>

/* A folder with config.json and one model.safetensors of this header and so many bytes of data. */
static const char *made_model(const char *folder, const char *header, size_t data)
{
    Buffer b = { 0 };
    char name[128];
    made_folder(folder);
    snprintf(name, sizeof name, "%s/config.json", folder);
    made_json(name, "{}");
    put_u64(&b, strlen(header));
    buffer_text(&b, header);
    made_quotes(b.data + 8);
    for (size_t i = 0; i < data; i++) put_u8(&b, (unsigned)i);
    snprintf(name, sizeof name, "%s/model.safetensors", folder);
    made_file(name, &b);
    return made_path(folder);
}

#define ENTRY(name, dtype, shape, from, to) \
    "'" name "':{'dtype':'" dtype "','shape':" shape ",'data_offsets':[" #from "," #to "]}"

static void an_honest_file_opens(void **state)
{
    (void)state;
    Catalog c;
    const char *path =
        made_model("honest",
                   "{'__metadata__':{'format':'pt'}," ENTRY("b", "BF16", "[3]", 24, 30) "," ENTRY(
                       "a", "F32", "[2,3]", 0, 24) "," ENTRY("s", "F16", "[]", 30, 32) "}   ",
                   32);
    expect_opened(path, &c);
    assert_int_equal(c.source, SOURCE_HF);
    assert_int_equal(c.n_tensors, 3);
    const FileTensor *a = catalog_tensor(&c, "a"), *b = catalog_tensor(&c, "b"),
                     *s = catalog_tensor(&c, "s");
    assert_true(a->format == F32 && a->n_dims == 2 && a->dims[0] == 2 && a->dims[1] == 3 &&
                a->bytes == 24);
    assert_true(b->format == BF16 && s->format == F16 && s->dims[0] == 1);
    unsigned char bytes[6];
    assert_int_equal(catalog_read(&c, b, 0, bytes, 6, NULL), OK);
    assert_true(bytes[0] == 24 && bytes[5] == 29);
    catalog_close(&c);
}

static void hostile_headers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        Status status;
        const char *words;
    } cases[] = {
        {"{" ENTRY("a", "F32", "[2]", 0, 8) "}", 7, BAD_FILE, "tensor 'a'|expected 8 bytes"},
        {"{" ENTRY("a", "F32", "[2]", 0, 8) "}", 9, BAD_FILE, "data|end with the file"},
        {"{" ENTRY("a", "F32", "[2]", 0, 12) "}", 12, BAD_FILE,
         "tensor 'a'|expected 8 bytes|found 12"},
        {"{" ENTRY("a", "F32", "[3]", 0, 8) "}", 8, BAD_FILE, "tensor 'a'|expected 12 bytes"},
        {"{" ENTRY("a", "F32", "[2]", 4, 12) "}", 12, BAD_FILE, "tensor 'a'|no hole"},
        {"{" ENTRY("a", "F32", "[2]", 0, 8) "," ENTRY("b", "F32", "[2]", 4, 12) "}", 12, BAD_FILE,
         "tensor 'b'|overlap 'a'"},
        {"{" ENTRY("a", "F32", "[2]", 0, 8) "," ENTRY("a", "F32", "[2]", 8, 16) "}", 16, BAD_FILE,
         "duplicate"},
        {"{" ENTRY("a", "F32", "[2]", 8, 0) "}", 8, BAD_FILE, "tensor 'a'|rise from 0|[8, 0]"},
        {"{" ENTRY("a", "F32", "[2]", -8, 0) "}", 8, BAD_FILE, "tensor 'a'|rise from 0"},
        {"{" ENTRY("a", "F32", "[2]", 9223372036854775800, 9223372036854775807) "}", 8, BAD_FILE,
         "tensor 'a'"},
        {"{" ENTRY("a", "F32", "[0]", 0, 0) "}", 0, BAD_FILE,
         "tensor 'a'|dimensions of 1 or more|found 0"},
        {"{" ENTRY("a", "F32", "[-1]", 0, 4) "}", 4, BAD_FILE, "tensor 'a'|found -1"},
        {"{" ENTRY("a", "F32", "[1.5]", 0, 4) "}", 4, BAD_FILE, "tensor 'a'|integers|a number"},
        {"{" ENTRY("a", "F32", "[1,1,1,1,1]", 0, 4) "}", 4, BAD_FILE,
         "tensor 'a'|4 dimensions|found 5"},
        {"{" ENTRY("a", "F32", "[4294967296,4294967296]", 0, 4) "}", 4, BAD_FILE,
         "tensor 'a'|63 bits"},
        {"{" ENTRY("a", "I64", "[1]", 0, 8) "}", 8, UNSUPPORTED, "tensor 'a'|dtype|I64"},
        {"{" ENTRY("a", "F8_E4M3", "[1]", 0, 1) "}", 1, UNSUPPORTED, "tensor 'a'|dtype|F8_E4M3"},
        {"{" ENTRY("", "F32", "[1]", 0, 4) "}", 4, BAD_FILE, "empty"},
        {"{'a':{'dtype':1,'shape':[1],'data_offsets':[0,4]}}", 4, BAD_FILE,
         "tensor 'a'|a dtype|an integer"},
        {"{'a':{'dtype':'F32','data_offsets':[0,4]}}", 4, BAD_FILE, "tensor 'a'|a shape|nothing"},
        {"{'a':{'dtype':'F32','shape':[1]}}", 4, BAD_FILE, "tensor 'a'|data_offsets|nothing"},
        {"{'a':{'dtype':'F32','shape':[1],'data_offsets':[0]}}", 4, BAD_FILE,
         "tensor 'a'|data_offsets"},
        {"{'a':7}", 4, BAD_FILE, "tensor 'a'|an object|an integer"},
        {"{'__metadata__':7}", 0, BAD_FILE, "__metadata__|an object"},
        {"{'a':", 4, BAD_FILE, "line 1|expected JSON"},
        {"[1,2,3]", 0, BAD_FILE, "expected '{'"},
    };
    for (int i = 0; i < ARRAY_LEN(cases); i++) {
        char folder[32];
        snprintf(folder, sizeof folder, "hostile-%d", i);
        expect_refused(made_model(folder, cases[i].header, cases[i].data), cases[i].status,
                       "model.safetensors", cases[i].words);
    }
}

static void header_lengths_are_checked(void **state)
{
    (void)state;
    static const uint64_t lengths[] = { UINT64_MAX, (uint64_t)1 << 63, 100000001, 57, 0 };
    char *path = strdup(made_model("lengths", "{}", 0));
    for (int i = 0; i < ARRAY_LEN(lengths); i++) {
        Buffer b = { 0 };
        put_u64(&b, lengths[i]);
        buffer_format(&b, "%-56s", "{\"a\":0}");
        made_file("lengths/model.safetensors", &b);
        expect_refused(path, BAD_FILE, "model.safetensors", "header|expected");
    }
    made_bytes("lengths/model.safetensors", "1234567", 7);
    expect_refused(path, BAD_FILE, "model.safetensors", "header|8 bytes");
    made_json("lengths/model.safetensors", "version https://git-lfs.github.com/spec/v1\n");
    expect_refused(path, BAD_FILE, "model.safetensors", "Git LFS");
    free(path);
}

static void nesting_ends(void **state)
{
    (void)state;
    Buffer b = { 0 };
    buffer_text(&b, "{'a':");
    for (int i = 0; i < 100000; i++) buffer_char(&b, '[');
    expect_refused(made_model("nested", b.data, 0), BAD_FILE, "model.safetensors",
                   "line 1|expected JSON");
    buffer_clear(&b);
    for (int i = 0; i < 500; i++) buffer_text(&b, "{'a':");
    buffer_text(&b, "1");
    for (int i = 0; i < 500; i++) buffer_char(&b, '}');
    made_model("nested2", "{}", 0);
    made_json("nested2/config.json", b.data);
    expect_refused(made_path("nested2"), BAD_FILE, "config.json", "64 deep");
    buffer_free(&b);
}

static void every_cut_is_noticed(void **state)
{
    (void)state;
    Buffer b = { 0 };
    const char header[] = "{" ENTRY("a", "F32", "[2]", 0, 8) "}";
    char *path = strdup(made_model("cut", "{}", 0));
    put_u64(&b, sizeof header - 1);
    buffer_text(&b, header);
    made_quotes(b.data + 8);
    put_zeros(&b, 8);
    for (size_t n = 0; n < b.n_bytes; n++) {
        made_bytes("cut/model.safetensors", b.data, n);
        expect_refused(path, BAD_FILE, "model.safetensors", "expected");
    }
    made_bytes("cut/model.safetensors", b.data, b.n_bytes);
    Catalog c;
    expect_opened(path, &c);
    catalog_close(&c);
    buffer_free(&b);
    free(path);
}

static void many_tensors_in_two_seconds(void **state)
{
    (void)state;
    enum { MANY = 200000 };
    Buffer b = { 0 };
    buffer_char(&b, '{');
    for (int i = 0; i < MANY; i++)
        buffer_format(&b, "%s'layer.%d.w':{'dtype':'F32','shape':[1],'data_offsets':[%d,%d]}",
                      i ? "," : "", i, i * 4, i * 4 + 4);
    buffer_char(&b, '}');
    const char *path = made_model("many", b.data, (size_t)MANY * 4);
    buffer_free(&b);
    Catalog c;
    const clock_t begin = clock();          /* of this process: others may be busy */
    expect_opened(path, &c);
    const int64_t took_us = (int64_t)((double)(clock() - begin) * 1e6 / CLOCKS_PER_SEC);
    print_message("%d tensors: %lld ms\n", MANY, (long long)took_us / 1000);
    assert_int_equal(c.n_tensors, MANY);
    catalog_close(&c);
    assert_true(took_us < MANY_US_MAX);
}

/* ---- shards ---- */

static void put_shard(const char *name, const char *tensor)
{
    Buffer b = { 0 };
    char header[256];
    snprintf(header, sizeof header, "{'%s':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}}",
             tensor);
    put_u64(&b, strlen(header));
    buffer_text(&b, header);
    made_quotes(b.data + 8);
    put_zeros(&b, 4);
    made_file(name, &b);
}

static void an_index_joins_shards(void **state)
{
    (void)state;
    made_folder("sharded");
    made_json("sharded/config.json", "{}");
    put_shard("sharded/model-1.safetensors", "a");
    put_shard("sharded/model-2.safetensors", "b");
    static const char index[] = "sharded/model.safetensors.index.json";
    char *path = strdup(made_path("sharded"));
    Catalog c;
    made_json(index,
              "{'metadata':{},'weight_map':{'b':'model-2.safetensors','a':'model-1.safetensors'}}");
    expect_opened(path, &c);
    assert_true(c.n_tensors == 2 && c.n_files == 2 && catalog_tensor(&c, "a")->file == 1);
    catalog_close(&c);

    static const struct {
        const char *index;
        Status status;
        const char *name, *words;
    } cases[] = {
        {"{'weight_map':{'a':'model-3.safetensors'}}", NOT_FOUND, "model-3.safetensors",
         "cannot open"},
        {"{'weight_map':{'a':'../model.safetensors'}}", BAD_FILE, "index.json",
         "same folder|../model.safetensors"},
        {"{'weight_map':{'a':'/etc/passwd'}}", BAD_FILE, "index.json", "same folder|/etc/passwd"},
        {"{'weight_map':{'a':'..'}}", BAD_FILE, "index.json", "same folder"},
        {"{'weight_map':{'a':''}}", BAD_FILE, "index.json", "same folder"},
        {"{'weight_map':{'a':3}}", BAD_FILE, "index.json", "tensor 'a'|a file name"},
        {"{'weight_map':{'a':'model-2.safetensors'}}", BAD_FILE, "index.json",
         "tensor 'a'|nowhere"},
        {"{'weight_map':{'a':'model-2.safetensors','b':'model-1.safetensors'}}", BAD_FILE,
         "index.json", "elsewhere"},
        {"{'weight_map':[]}", BAD_FILE, "index.json", "weight_map|an object|an array"},
        {"{}", BAD_FILE, "index.json", "weight_map|nothing"},
        {"[]", BAD_FILE, "index.json", "an object"},
    };
    for (int i = 0; i < ARRAY_LEN(cases); i++) {
        made_json(index, cases[i].index);
        expect_refused(path, cases[i].status, cases[i].name, cases[i].words);
    }
    put_shard("sharded/model-2.safetensors", "a");      /* the same name in both */
    made_json(index, "{'weight_map':{'a':'model-1.safetensors','b':'model-2.safetensors'}}");
    expect_refused(path, BAD_FILE, "model-2.safetensors", "tensor 'a'|second");
    free(path);
}

/* ---- Mistral's folders ---- */

static void parts_of_mistral_add_up(void **state)
{
    (void)state;
    made_folder("mistral");
    made_json("mistral/params.json", "{'dim':64,'moe':{'num_experts':8},'vocab_size':-1}");
    char *path = strdup(made_path("mistral"));
    Catalog c;
    expect_refused(path, NOT_FOUND, "mistral", "consolidated.safetensors|neither");
    put_shard("mistral/consolidated.00.safetensors", "a");
    put_shard("mistral/consolidated.01.safetensors", "b");
    expect_opened(path, &c);
    assert_int_equal(c.source, SOURCE_MISTRAL);
    assert_int_equal(c.n_tensors, 2);
    assert_int_equal(catalog_setting(&c, "moe.num_experts")->integer, 8);
    catalog_close(&c);

    put_shard("mistral/consolidated.03.safetensors", "c");
    expect_refused(path, NOT_FOUND, "consolidated.02.safetensors", "beside the others");
    put_shard("mistral/consolidated.02.safetensors", "a");
    expect_refused(path, UNSUPPORTED, "consolidated.02.safetensors",
                   "tensor 'a'|slice|consolidated.00");
    put_shard("mistral/consolidated.safetensors", "whole");
    expect_opened(path, &c);
    assert_int_equal(c.n_tensors, 1);
    catalog_close(&c);
    free(path);
}

static void pickles_are_named(void **state)
{
    (void)state;
    made_folder("pickles");
    made_json("pickles/config.json", "{}");
    made_json("pickles/pytorch_model.bin", "PK\3\4");
    expect_refused(made_path("pickles"), UNSUPPORTED, "pickles",
                   "model.safetensors|pytorch_model.bin");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_file_opens),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(header_lengths_are_checked),
        cmocka_unit_test(nesting_ends),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(many_tensors_in_two_seconds),
        cmocka_unit_test(an_index_joins_shards),
        cmocka_unit_test(parts_of_mistral_add_up),
        cmocka_unit_test(pickles_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
