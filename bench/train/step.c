/* SPDX-License-Identifier: Apache-2.0
 * bench/train/step.c - milliseconds of a training step, one for each line that comes in: bench_step [bf16] [threads N]
 *
 * A step is what it is in a run: gradients to zero, forward, back, AdamW.  The first line that goes out says how many
 * multiply-accumulates a step needs and what the cores can do, so that shares can be told. */
#include "base/clock.h"
#include "measure/measure.h"
#include "train/adamw.h"
#include "train/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Sizes sizes = { .n_layers = 6, .n_context = 256, .width = 256, .n_heads = 4, .n_kv_heads = 2,
                             .head_size = 64, .n_experts = 8, .n_used = 2, .hidden = 256, .n_vocab = 4096,
                             .n_turned = 64, .norm_eps = 1e-5, .rope_base = 1e4 };
enum { SEQUENCES = 8, TOKENS = 256, N = SEQUENCES * TOKENS };

/* Forward once, back twice: to the weights and to what entered. */
static double multiplications(void)
{
    const double d = (double)sizes.width, h = (double)(sizes.n_heads * sizes.head_size),
                 k = (double)(sizes.n_kv_heads * sizes.head_size), f = (double)sizes.hidden,
                 matrices = 2 * d * (h + k) + d * (double)sizes.n_experts + 3 * d * f * (double)sizes.n_used,
                 attention = h * TOKENS;                /* scores and answers, half of them each */
    return 3.0 * N * ((double)sizes.n_layers * (matrices + attention) + d * (double)sizes.n_vocab);
}

static Status peak(const Kernels *kernels, int n_threads, double *out, Error *error)
{
    Rate rate;
    TRY(measure_f32(kernels, n_threads, 500000, &rate, error));
    *out = rate.per_s;
    return OK;
}

static Status run(bool bf16, int n_threads, Error *error)
{
    static int32_t tokens[N], targets[N], starts[N];
    const NetOptions options = { .n_sequences = SEQUENCES, .n_tokens = TOKENS, .bf16 = bf16, .balance = 0.01 };
    const AdamwOptions adamw_options = { 0.9, 0.95, 1e-8, 0.1, 1.0 };
    const Batch batch = { SEQUENCES, TOKENS, tokens, targets, starts };
    Kernels kernels;
    Pool *pool;
    Net *net;
    Adamw adamw;
    Rng rng = { 1 };
    double peak_per_s;
    int n_params;
    int64_t n_values;
    for (int i = 0; i < N; i++) tokens[i] = (int32_t)(rng_bits(&rng) % (uint64_t)sizes.n_vocab);
    for (int i = 0; i < N; i++) targets[i] = tokens[(i + 1) % N];
    kernels_select(&kernels, cpu_detect());
    TRY(peak(&kernels, n_threads, &peak_per_s, error));
    TRY(pool_new(n_threads, &pool, error));
    TRY(net_new(arch_table[0], &sizes, &options, 1, pool, &kernels, &net, error));
    const Param *params = net_params(net, &n_params);
    float *values = net_values(net, &n_values), *grads = net_grads(net);
    TRY(adamw_new(&adamw_options, params, n_params, n_values, &adamw, error));
    printf("%.6g %.6g %lld\n", 2 * multiplications(), peak_per_s, (long long)n_values);
    fflush(stdout);

    char line[16];
    for (int64_t step = 1; fgets(line, sizeof line, stdin); step++) {
        NetReport report = { 0 };
        const int64_t begin_us = clock_us();
        memset(grads, 0, (size_t)n_values * sizeof *grads);
        TRY(net_learn(net, &batch, 1.0 / N, &report, error));
        const int64_t passed_us = clock_us();
        adamw_step(&adamw, pool, values, grads, step, 1e-3);
        printf("%.3f %.3f %.6f\n", (double)(clock_us() - begin_us) / 1e3, (double)(passed_us - begin_us) / 1e3,
               report.loss / N);
        fflush(stdout);
    }
    adamw_free(&adamw);
    net_free(net);
    pool_free(pool);
    return OK;
}

int main(int argc, char **argv)
{
    Error error = { 0 };
    bool bf16 = false;
    int n_threads = pool_cores();
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "bf16")) bf16 = true;
        else if (!strcmp(argv[i], "threads") && i + 1 < argc) n_threads = atoi(argv[++i]);
        else return 2;
    }
    if (run(bf16, n_threads, &error) == OK) return 0;
    fprintf(stderr, "bench_step: %s\n", error.text);
    return 1;
}
