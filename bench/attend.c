/* SPDX-License-Identifier: Apache-2.0
 * bench/attend.c - attention of Mixtral's shape: bytes of the cache per second for one row, operations per second
 * for a step of a prompt.
 *
 *     bench_attend [THREADS]
 *
 * 32 query heads on 8 key heads of 128 numbers.  Pages hold enough layers to make the cache larger than the
 * processor's own, and layers are taken in turn, as a model does: what is read comes from memory.  Beside it
 * stands what the same threads read of the same pages when they do nothing else, measured in the same run. */
#include "base/clock.h"
#include "base/pool.h"
#include "device/device.h"
#include "kernel/kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_HEADS = 32, N_KV_HEADS = 8, HEAD = 128, PAGE = 64, ROWS_MAX = 512, CONTEXT_MAX = 32768, ROUNDS = 9 };
static const int64_t cache_bytes = (int64_t)256 << 20;

typedef struct Bench {
    Device  *d;
    Pool    *pool;
    Kernels  kernels;
    Format   format;
    int64_t  n_context, n_layers, n_pages;
    Tensor   cache, pages[CONTEXT_MAX / PAGE];      /* the pages are parts of the cache     */
    uint64_t word;              /* so that nothing read is for nothing                      */
} Bench;

static void must(const Bench *b, Status status)
{
    if (status == OK) return;
    fprintf(stderr, "%s\n", b->d->error.text);
    exit(1);
}

/* Finite numbers of no particular kind. */
static void cache_new(Bench *b, Format format, int64_t n_context)
{
    const int64_t layer_bytes = n_context * 2 * format_row_bytes(format, N_KV_HEADS * HEAD);
    b->format = format;
    b->n_context = n_context;
    b->n_layers = (cache_bytes + layer_bytes - 1) / layer_bytes;
    b->n_pages = n_context / PAGE;
    const int64_t page_rows = b->n_layers * 2 * PAGE;
    must(b, b->d->ops->alloc(b->d, format, b->n_pages * page_rows, N_KV_HEADS * HEAD, &b->cache));
    memset(b->cache.handle, 0x2b, (size_t)(b->cache.rows * b->cache.row_bytes));
    for (int64_t i = 0; i < b->n_pages; i++) b->pages[i] = tensor_rows(&b->cache, i * page_rows, page_rows);
}

/* Nanoseconds of one call for the last n rows of the context. */
static double time_attend(Bench *b, int n, int64_t layer)
{
    static int32_t positions[ROWS_MAX];
    static const Tensor *pages[ROWS_MAX];
    Tensor q, y;
    for (int t = 0; t < n; t++) {
        positions[t] = (int32_t)(b->n_context - n + t);
        pages[t] = b->pages;
    }
    must(b, b->d->ops->alloc(b->d, F32, n, N_HEADS * HEAD, &q));
    must(b, b->d->ops->alloc(b->d, F32, n, N_HEADS * HEAD, &y));
    for (int64_t i = 0; i < n * N_HEADS * HEAD; i++) ((float *)q.handle)[i] = (float)(i % 17) / 17.0f;
    memset(y.handle, 0, (size_t)(y.rows * y.row_bytes));
    const KvView view = { .pages = pages, .positions = positions, .k_row = layer * 2 * PAGE,
                          .v_row = (layer * 2 + 1) * PAGE, .page_tokens = PAGE, .head_size = HEAD };
    const int64_t begin = clock_ns();
    must(b, b->d->ops->attend(b->d, &y, &q, &view));
    const double ns = (double)(clock_ns() - begin);
    b->d->ops->free(b->d, &q);
    b->d->ops->free(b->d, &y);
    return ns;
}

static void read_page(void *arg, int64_t i, int worker)
{
    Bench *b = arg;
    const Tensor *page = &b->pages[i];
    const uint64_t word = b->kernels.probe_read(page->handle, (size_t)(page->rows * page->row_bytes) / 8);
    if (worker == 0) b->word ^= word;
}

static int up(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, up);
    return x[n / 2];
}

/* One row, alternating with the plain read. */
static void decode(Bench *b)
{
    const double layer_bytes = (double)(b->n_context * 2 * format_row_bytes(b->format, N_KV_HEADS * HEAD));
    double read[ROUNDS], attend[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        const int64_t begin = clock_ns();
        pool_run(b->pool, read_page, b, b->n_pages);
        read[round] = (double)(clock_ns() - begin) / (double)b->n_layers;
        attend[round] = 0.0;
        for (int64_t layer = 0; layer < b->n_layers; layer++) attend[round] += time_attend(b, 1, layer);
        attend[round] /= (double)b->n_layers;
    }
    const double reads = layer_bytes / median(read, ROUNDS), attends = layer_bytes / median(attend, ROUNDS);
    printf("decode   %-5s %6lld  %8.3f ms  %6.1f GB/s  %6.1f read  %4.0f %%\n", format_info[b->format].name,
           (long long)b->n_context, layer_bytes / attends / 1e6, attends, reads, 100.0 * attends / reads);
}

static void prefill(Bench *b)
{
    double ns[3], seen = 0.0;
    const int n_rounds = b->n_context > 8192 ? 1 : 3;
    for (int t = 0; t < ROWS_MAX; t++) seen += (double)(b->n_context - ROWS_MAX + t + 1);
    for (int round = 0; round < n_rounds; round++) ns[round] = time_attend(b, ROWS_MAX, 0);
    const double time = median(ns, n_rounds);
    printf("prefill  %-5s %6lld  %8.3f ms  %6.1f GFLOP/s, 512 rows\n", format_info[b->format].name,
           (long long)b->n_context, time / 1e6, 4.0 * seen * N_HEADS * HEAD / time);
}

int main(int argc, char **argv)
{
    static Bench b;
    static const Format formats[] = { F16, Q8_0 };
    static const int64_t contexts[] = { 1024, 8192, CONTEXT_MAX };
    Error error;
    const int n_threads = argc > 1 ? atoi(argv[1]) : 2;
    if (device_open("cpu", &(DeviceOptions){ .n_threads = n_threads }, &b.d, &error) != OK ||
        pool_new(n_threads, &b.pool, &error) != OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    kernels_select(&b.kernels, cpu_detect());
    must(&b, b.d->ops->reserve(b.d, &(DeviceLimits){
        .n_tokens = ROWS_MAX, .n_cols = 14336, .n_width = 4096, .n_hidden = 14336, .n_used = 2,
        .n_heads = N_HEADS, .head_size = HEAD }));
    must(&b, b.d->ops->reserve_context(b.d, CONTEXT_MAX));
    printf("%d threads, %s\n", n_threads, device_cpu_set(b.d));
    for (int f = 0; f < ARRAY_LEN(formats); f++)
        for (int c = 0; c < ARRAY_LEN(contexts); c++) {
            cache_new(&b, formats[f], contexts[c]);
            decode(&b);
            prefill(&b);
            b.d->ops->free(b.d, &b.cache);
        }
    pool_free(b.pool);
    device_close(b.d);
    return 0;
}
