/* SPDX-License-Identifier: Apache-2.0
 * bench/memory.c - how fast fresh memory is written and used memory is read, with and without huge pages.
 *
 *     bench_memory [GB] [THREADS] [huge]
 *
 * Loading a model writes as many fresh bytes as the file has, so it cannot be faster than the first of
 * these; decoding reads them, so it cannot be faster than the second. */
#include "base/clock.h"
#include "base/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CHUNK = 1 << 20, N_READS = 3 };

typedef struct Memory { char *at; volatile uint64_t sums[POOL_THREADS_MAX]; } Memory;

static void write_chunk(void *arg, int64_t i, int worker)
{
    (void)worker;
    memset(((Memory *)arg)->at + i * CHUNK, 1, CHUNK);
}

static void read_chunk(void *arg, int64_t i, int worker)
{
    Memory *m = arg;
    const uint64_t *at = (const uint64_t *)(m->at + i * CHUNK);
    uint64_t sums[8] = { 0 };
    for (int k = 0; k < CHUNK / 8; k += 8)
        for (int j = 0; j < 8; j++) sums[j] += at[k + j];
    for (int j = 1; j < 8; j++) sums[0] += sums[j];
    m->sums[worker] += sums[0];
}

static double rate(Pool *pool, PoolTask task, Memory *m, int64_t n_bytes)
{
    const int64_t start = clock_us();
    pool_run(pool, task, m, n_bytes / CHUNK);
    return (double)n_bytes / (double)(clock_us() - start + 1) / 1e3;
}

static int measure(int n_threads, int64_t n_bytes, bool huge)
{
    static Memory m;
    Pool *pool;
    Error error;
    if (pool_new(n_threads, &pool, &error) != OK) {
        fprintf(stderr, "bench_memory: %s\n", error.text);
        return 1;
    }
    m.at = mmap(NULL, (size_t)n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m.at == MAP_FAILED) {
        fprintf(stderr, "bench_memory: no memory for %lld bytes\n", (long long)n_bytes);
        pool_free(pool);
        return 1;
    }
    madvise(m.at, (size_t)n_bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    const double fresh = rate(pool, write_chunk, &m, n_bytes);
    const double again = rate(pool, write_chunk, &m, n_bytes);
    double best = 0;
    for (int i = 0; i < N_READS; i++) {
        const double read = rate(pool, read_chunk, &m, n_bytes);
        if (read > best) best = read;
    }
    printf("%7d %7s %12.2f %12.2f %12.2f\n", n_threads, huge ? "2 MiB" : "4 KiB", fresh, again, best);
    fflush(stdout);
    munmap(m.at, (size_t)n_bytes);
    pool_free(pool);
    return 0;
}

int main(int argc, char **argv)
{
    const double gb = argc > 1 ? strtod(argv[1], NULL) : 2;
    const int most = argc > 2 ? atoi(argv[2]) : pool_cores();
    const int64_t n_bytes = (int64_t)(gb * 1e9) / CHUNK * CHUNK;
    if (n_bytes < CHUNK || most < 1) {
        fprintf(stderr, "usage: bench_memory [GB] [THREADS] [huge]\n");
        return 2;
    }
    printf("%.1f GB; GB/s\nthreads   pages  first write        again         read\n", gb);
    const bool only = argc > 3 && strcmp(argv[3], "huge") == 0;        /* all threads, 2 MiB pages */
    for (int huge = only; huge < 2; huge++)
        for (int n = only ? most : 1; n <= most; n = n < most && n * 2 > most ? most : n * 2)
            if (measure(n, n_bytes, huge)) return 1;
    return 0;
}
