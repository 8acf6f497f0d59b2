/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/file/test_folder.c - configurations, the files beside a tokenizer, chat templates. */
#include "made.h"

#define TOKENIZER                                                                                  \
    "{'pre_tokenizer':{'type':'ByteLevel','add_prefix_space':false},'added_tokens':["              \
    "{'id':3,'content':'<s>','special':true},{'id':4,'content':'</s>','special':true}],"           \
    "'model':{'vocab':{'a':0,'b':1,'ab':2},'merges':['a b']}}"

/* A folder of its own with these files; names and contents in turn, NULL at the end. */
static char *made_files(const char *folder, ...)
{
    va_list args;
    made_folder(folder);
    va_start(args, folder);
    for (const char *name; (name = va_arg(args, const char *));) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", folder, name);
        made_json(path, va_arg(args, const char *));
    }
    va_end(args);
    char *whole = strdup(made_path(folder));
    if (!whole) abort();
    return whole;
}

static void expect_folder_refused(char *path, Status status, const char *name, const char *words)
{
    expect_refused(path, status, name, words);
    free(path);
}

static void open_and_free(char *path, Catalog *c)
{
    expect_opened(path, c);
    free(path);
}

static void a_configuration_becomes_settings(void **state)
{
    (void)state;
    Catalog c;
    open_and_free(made_files("settings", "tokenizer.json", TOKENIZER, "config.json",
                             "{'architectures':['MixtralForCausalLM'],'hidden_size':64,'rms_norm_"
                             "eps':1e-5,'tie_word_embeddings':false,"
                             "'sliding_window':null,'rope_scaling':{'type':'linear','deep':{'er':2}"
                             "},'list':[1,2.5,true],'mixed':[1,'x']}",
                             NULL),
                  &c);
    assert_int_equal(c.source, SOURCE_HF);
    assert_string_equal(catalog_setting(&c, "architectures.0")->text.bytes, "MixtralForCausalLM");
    assert_int_equal(catalog_setting(&c, "architectures")->array.n, 1);
    assert_int_equal(catalog_setting(&c, "hidden_size")->integer, 64);
    assert_true(catalog_setting(&c, "rms_norm_eps")->real == 1e-5);
    assert_true(catalog_setting(&c, "tie_word_embeddings")->kind == SETTING_BOOL);
    assert_null(catalog_setting(&c, "sliding_window"));
    assert_string_equal(catalog_setting(&c, "rope_scaling.type")->text.bytes, "linear");
    assert_int_equal(catalog_setting(&c, "rope_scaling.deep.er")->integer, 2);
    const Setting *list = catalog_setting(&c, "list");
    assert_true(list->array.n == 3 && list->array.numbers[1] == 2.5 && list->array.numbers[2] == 1);
    assert_null(catalog_setting(&c, "mixed")->array.numbers);
    assert_string_equal(catalog_setting(&c, "mixed.1")->text.bytes, "x");
    catalog_close(&c);
}

static void the_files_beside_a_tokenizer_count(void **state)
{
    (void)state;
    Catalog c;
    open_and_free(
        made_files("beside", "tokenizer.json", TOKENIZER, "config.json",
                   "{'vocab_size':10,'bos_token_id':1,'eos_token_id':4}", "generation_config.json",
                   "{'eos_token_id':[4,6]}", "added_tokens.json", "{'<|im_end|>':6,'plain':5}",
                   "special_tokens_map.json",
                   "{'bos_token':'a','additional_special_tokens':['plain']}",
                   "tokenizer_config.json",
                   "{'add_bos_token':true,'bos_token':{'content':'<s>'},'eos_token':'</s>',"
                   "'added_tokens_decoder':{'6':{'content':'<|im_end|>','special':true},'7':{'"
                   "content':'user','special':false}},"
                   "'chat_template':'{{ x }}'}",
                   NULL),
        &c);
    const Vocab *v = &c.vocab;
    assert_int_equal(v->n_pieces, 10);
    assert_true(v->bos == 3 && v->eos == 4 && v->add_bos && !v->add_eos);
    assert_true(v->n_ends == 2 && v->ends[0] == 4 && v->ends[1] == 6);
    assert_true(v->pieces[5].type == PIECE_CONTROL && v->pieces[6].type == PIECE_CONTROL &&
                v->pieces[7].type == PIECE_USER);
    assert_true(v->pieces[8].type == PIECE_UNUSED && v->pieces[9].type == PIECE_UNUSED);
    assert_string_equal(v->pre, "gpt-2");
    assert_string_equal(c.chat_template, "{{ x }}");
    assert_string_equal(c.chat_template_from, "tokenizer_config.json");
    catalog_close(&c);
}

static void a_template_of_its_own_overrules(void **state)
{
    (void)state;
    Catalog c;
    open_and_free(made_files("own", "tokenizer.json", TOKENIZER, "config.json", "{}",
                             "chat_template.jinja", "own", "tokenizer_config.json",
                             "{'chat_template':'other'}", NULL),
                  &c);
    assert_string_equal(c.chat_template, "own");
    assert_string_equal(c.chat_template_from, "chat_template.jinja");
    catalog_close(&c);
    open_and_free(made_files("named", "tokenizer.json", TOKENIZER, "config.json", "{}",
                             "tokenizer_config.json",
                             "{'chat_template':[{'name':'tool_use','template':'t'},{'name':'"
                             "default','template':'d'}]}",
                             NULL),
                  &c);
    assert_string_equal(c.chat_template, "d");
    catalog_close(&c);
    expect_folder_refused(
        made_files(
            "nodefault", "config.json", "{}", "tokenizer.json", TOKENIZER, "tokenizer_config.json",
            "{'chat_template':[{'name':'x','template':'t'},{'name':'y','template':'d'}]}", NULL),
        BAD_FILE, "tokenizer_config.json", "chat_template|'default'");
}

static void wrong_files_beside_a_tokenizer_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *file, *json;
        Status status;
        const char *words;
    } cases[] = {
        {"generation_config.json", "{'eos_token_id':5}", BAD_FILE, "eos_token_id|below 5|found 5"},
        {"generation_config.json", "{'eos_token_id':[1,-1]}", BAD_FILE, "eos_token_id|found -1"},
        {"config.json", "{'bos_token_id':99}", BAD_FILE, "bos_token_id|found 99"},
        {"config.json", "{'eos_token_id':'x'}", BAD_FILE, "eos_token_id"},
        {"config.json", "[]", BAD_FILE, "an object"},
        {"config.json", "{'a':1,'a':2}", BAD_FILE, "duplicate"},
        {"config.json", "{'a.b':1,'a':{'b':2}}", BAD_FILE, "key 'a.b'|second"},
        {"config.json", "{'':1}", BAD_FILE, "expected a name"},
        {"config.json", "{'a':1e999}", BAD_FILE, "line 1"},
        {"config.json", "{'a':99999999999999999999}", BAD_FILE, "line 1"},
        {"config.json", "version https://git-lfs.github.com/spec/v1", BAD_FILE, "line 1"},
        {"tokenizer_config.json", "{'eos_token':'nowhere'}", BAD_FILE, "eos_token|'nowhere'"},
        {"tokenizer_config.json", "{'eos_token':7}", BAD_FILE, "eos_token|an integer"},
        {"tokenizer_config.json", "{'add_bos_token':'yes'}", BAD_FILE,
         "add_bos_token|true or false|text"},
        {"tokenizer_config.json", "{'added_tokens_decoder':{'x':{'content':'y'}}}", BAD_FILE,
         "added_tokens_decoder|'x'"},
        {"tokenizer_config.json", "{'added_tokens_decoder':{'5':{}}}", BAD_FILE,
         "added_tokens_decoder|'5'"},
        {"tokenizer_config.json", "{'added_tokens_decoder':{'9999999':{'content':'y'}}}", BAD_FILE,
         "added token 'y'|9999999"},
        {"tokenizer_config.json", "{'added_tokens_decoder':{'5':{'content':'y','rstrip':true}}}",
         UNSUPPORTED, "'y'|rstrip"},
        {"tokenizer_config.json", "{'chat_template':7}", BAD_FILE, "chat_template|an integer"},
        {"added_tokens.json", "{'x':'y'}", BAD_FILE, "added token 'x'|an id|text"},
    };
    for (int i = 0; i < ARRAY_LEN(cases); i++) {
        char folder[32];
        snprintf(folder, sizeof folder, "wrong-%d", i);
        const bool config = strcmp(cases[i].file, "config.json") == 0;
        expect_folder_refused(made_files(folder, "tokenizer.json", TOKENIZER, "config.json", "{}",
                                         cases[i].file, cases[i].json, NULL),
                              cases[i].status, config ? "config.json" : cases[i].file,
                              cases[i].words);
    }
}

static void folders_without_enough_say_so(void **state)
{
    (void)state;
    Catalog c;
    expect_folder_refused(made_files("void", NULL), NOT_FOUND, "void",
                          "config.json|params.json|tokenizer");
    expect_folder_refused(made_files("noweights", "config.json", "{}", NULL), NOT_FOUND,
                          "noweights", "model.safetensors|neither");
    expect_folder_refused(made_files("tekken", "params.json", "{}", "tekken.json", "{}", NULL),
                          UNSUPPORTED, "tekken", "tokenizer.model");
    /* A tiktoken list under the name of a SentencePiece model: the json beside it serves. */
    open_and_free(made_files("tiktoken", "config.json", "{}", "tokenizer.model", "IQ== 0\nIg== 1\n",
                             "tokenizer.json", TOKENIZER, NULL),
                  &c);
    assert_int_equal(c.vocab.kind, VOCAB_BPE);
    catalog_close(&c);
    expect_folder_refused(
        made_files("tiktoken2", "config.json", "{}", "tokenizer.model", "IQ== 0\nIg== 1\n", NULL),
        BAD_FILE, "tokenizer.model", "something else");
    /* A tokenizer alone needs no config.json. */
    open_and_free(made_files("alone", "tokenizer.json", TOKENIZER, "tokenizer_config.json",
                             "{'eos_token':'</s>'}", NULL),
                  &c);
    assert_true(c.source == SOURCE_TOKENIZER && c.vocab.eos == 4 && c.n_tensors == 0);
    catalog_close(&c);
    /* Both layouts: config.json is preferred. */
    open_and_free(made_files("both", "config.json", "{'a':1}", "params.json", "{'b':1}",
                             "tokenizer.json", TOKENIZER, NULL),
                  &c);
    assert_true(c.source == SOURCE_HF && catalog_setting(&c, "a") && !catalog_setting(&c, "b"));
    catalog_close(&c);
}

/* The same vocabulary whether a real model comes as .model or as GGUF written from it. */
static void real_vocabularies_agree(void **state)
{
    (void)state;
    const char *model = test_data("tokenizers/mistral/tokenizer.model.v1");
    const char *gguf = test_data("tokenizers/vectors/ggml-vocab-llama-spm.gguf");
    if (!model || !gguf) skip();
    Catalog a, b;
    expect_opened(model, &a);
    expect_opened(gguf, &b);
    /* Different vocabularies, equal in their frame: the first 259 pieces and the special ids. */
    for (int32_t id = 0; id < 259; id++) {
        const Piece *p = &a.vocab.pieces[id], *q = &b.vocab.pieces[id];
        if (p->type != q->type || p->n_bytes != q->n_bytes || memcmp(p->text, q->text, p->n_bytes))
            print_error("piece %d: '%s' type %d, '%s' type %d\n", id, p->text, p->type, q->text,
                        q->type);
        assert_true(p->type == q->type && p->n_bytes == q->n_bytes &&
                    memcmp(p->text, q->text, p->n_bytes) == 0);
    }
    assert_true(a.vocab.bos == b.vocab.bos && a.vocab.eos == b.vocab.eos &&
                a.vocab.unknown == b.vocab.unknown);
    catalog_close(&a);
    catalog_close(&b);
}

/* ---- a disk that says no ---- */

static int calls_until_fault;
static int fault_at(IoCall call)
{
    (void)call;
    return --calls_until_fault == 0 ? 5 /* EIO */ : 0;
}

static void every_call_may_fail(void **state)
{
    (void)state;
    char *path = made_files("faulty", "tokenizer.json", TOKENIZER, "config.json", "{}",
                            "generation_config.json", "{}", "tokenizer_config.json",
                            "{'chat_template':'x'}", "chat_template.jinja", "y",
                            "added_tokens.json", "{'c':5}", "special_tokens_map.json", "{}", NULL);
    Status got = IO_FAILED;
    int n = 0;
    while (got != OK && n < 1000) {
        Catalog c;
        Error error = { 0 };
        calls_until_fault = ++n;
        io_fault = fault_at;
        got = catalog_open(path, &c, &error);
        io_fault = NULL;
        if (got == OK) catalog_close(&c);
        else assert_true((got == IO_FAILED || got == NOT_FOUND) && strstr(error.text, "faulty/"));
    }
    assert_int_equal(got, OK);
    assert_true(n > 8);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_configuration_becomes_settings),
        cmocka_unit_test(the_files_beside_a_tokenizer_count),
        cmocka_unit_test(a_template_of_its_own_overrules),
        cmocka_unit_test(wrong_files_beside_a_tokenizer_are_refused),
        cmocka_unit_test(folders_without_enough_say_so),
        cmocka_unit_test(real_vocabularies_agree),
        cmocka_unit_test(every_call_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
