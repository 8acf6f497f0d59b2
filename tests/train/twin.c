/* SPDX-License-Identifier: Apache-2.0
 * tests/train/twin.c - what our network makes of a case, for another program to compare: train_twin FOLDER [bf16]
 *
 * For each case FOLDER/<case>.txt has one line per array, "name type rows cols", and FOLDER/<case>.bin the arrays. */
#include "cases.h"
#include "train/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *list, *bin;

static void put(const char *name, const char *type, const void *from, int64_t rows, int64_t cols)
{
    fprintf(list, "%s %s %lld %lld\n", name, type, (long long)rows, (long long)cols);
    if (fwrite(from, !strcmp(type, "f64") ? 8 : 4, (size_t)(rows * cols), bin) != (size_t)(rows * cols)) exit(1);
}

static void put_number(const char *name, double x)
{
    put(name, "f64", &x, 1, 1);
}

static void put_sizes(const Case *c)
{
    const struct { const char *name; double value; } all[] = {
        { "n_layers", (double)c->sizes.n_layers },     { "n_heads", (double)c->sizes.n_heads },
        { "n_kv_heads", (double)c->sizes.n_kv_heads }, { "head_size", (double)c->sizes.head_size },
        { "n_turned", (double)c->sizes.n_turned },     { "n_experts", (double)c->sizes.n_experts },
        { "n_used", (double)c->sizes.n_used },         { "window", (double)c->sizes.window },
        { "dense", c->sizes.dense },                   { "eps", c->sizes.norm_eps },
        { "base", c->sizes.rope_base },                { "balance", c->options.balance },
        { "router_z", c->options.router_z },           { "tied", c->options.tied },
        { "adapter_scale", c->rank ? 2.5 : 0.0 },      { "out_scale", c->rank ? 2.0 : 0.0 },
    };
    for (int i = 0; i < ARRAY_LEN(all); i++) put_number(all[i].name, all[i].value);
}

/* Values, gradients, choices: call after net_learn. */
static void put_net(Net *net, const Batch *b)
{
    const int64_t n = b->n_sequences * b->n_tokens;
    char name[PARAM_NAME_BYTES + 16];
    int n_params;
    Param *params = net_params(net, &n_params);
    for (int i = 0; i < n_params; i++) {
        snprintf(name, sizeof name, "value:%s", params[i].name);
        put(name, "f32", params[i].value, params[i].rows, params[i].cols);
        snprintf(name, sizeof name, "grad:%s", params[i].name);
        put(name, "f32", params[i].grad, params[i].rows, params[i].cols);
    }
    for (int l = 0; l < net->sizes.n_layers && !net->options.recompute; l++) {
        snprintf(name, sizeof name, "experts:%d", l);
        put(name, "i32", net->kept[l].plan.experts, n, net->sizes.n_used);
        snprintf(name, sizeof name, "places:%d", l);
        put(name, "i32", net->kept[l].plan.place_of, n, net->sizes.n_used);
    }
}

static Status run(const Case *c, const char *folder, bool bf16, Pool *pool, const Kernels *kernels, Error *error)
{
    static int32_t tokens[CASE_TOKENS_MAX], targets[CASE_TOKENS_MAX], starts[CASE_TOKENS_MAX];
    char path[4096];
    Case own = *c;
    own.options.bf16 = bf16;
    own.options.recompute &= !bf16;     /* rounding may change a choice, so the twin needs ours */
    Batch batch;
    Net *net;
    case_batch(&own, tokens, targets, starts, &batch);
    TRY(case_net(&own, c->sizes.dense ? arch_table[1] : arch_table[0], pool, kernels, &net, error));
    const int64_t n = batch.n_sequences * batch.n_tokens;
    int64_t n_targets = 0;
    for (int64_t i = 0; i < n; i++) n_targets += targets[i] >= 0;
    NetReport seen = { 0 }, judged = { 0 };
    float *logits = malloc((size_t)(n * c->sizes.n_vocab) * sizeof *logits);
    if (!logits) return fail_memory(error, "logits");
    TRY(net_judge(net, &batch, &judged, logits, error));
    TRY(net_learn(net, &batch, 1.0 / (double)n_targets, &seen, error));

    snprintf(path, sizeof path, "%s/%s.txt", folder, c->name);
    list = fopen(path, "w");
    snprintf(path, sizeof path, "%s/%s.bin", folder, c->name);
    bin = fopen(path, "wb");
    if (!list || !bin) return fail(error, IO_FAILED, "%s: expected a folder to write to", folder);
    put_sizes(c);
    put("tokens", "i32", tokens, batch.n_sequences, batch.n_tokens);
    put("targets", "i32", targets, batch.n_sequences, batch.n_tokens);
    put("starts", "i32", starts, batch.n_sequences, batch.n_tokens);
    put("logits", "f32", logits, n, c->sizes.n_vocab);
    put_number("loss", seen.loss / (double)n_targets);
    put_number("judged", judged.loss / (double)n_targets);
    put_number("balance_loss", seen.balance / (double)c->sizes.n_layers);
    put_number("z_loss", seen.router_z / (double)c->sizes.n_layers);
    put_net(net, &batch);
    const bool written = !ferror(list) && !ferror(bin);
    free(logits);
    net_free(net);
    return fclose(list) == 0 && fclose(bin) == 0 && written ? OK : fail(error, IO_FAILED, "%s: not written", path);
}

int main(int argc, char **argv)
{
    Error error = { 0 };
    Pool *pool;
    Kernels kernels;
    if (argc < 2) return 2;
    kernels_select(&kernels, cpu_detect());
    if (pool_new(2, &pool, &error) != OK) return 1;
    for (int i = 0; i < ARRAY_LEN(cases); i++)
        if (run(&cases[i], argv[1], argc > 2 && !strcmp(argv[2], "bf16"), pool, &kernels, &error) != OK) {
            fprintf(stderr, "%s: %s\n", cases[i].name, error.text);
            return 1;
        }
    pool_free(pool);
    return 0;
}
