/* SPDX-License-Identifier: Apache-2.0
 * bench/store/store.c - a model whose experts do not all fit: how near its speed is to what disk and cores allow.
 *
 *     bench_store MODEL [PERCENT,.. [AHEAD,.. [N_DECODE [N_PROMPT [N_BATCH [POLICY]]]]]]
 *
 * For every share of the experts that may be in memory, and every number of layers looked ahead: one prompt from a
 * cold store, then tokens one at a time, drawn at random so that the model's own loops do not flatter.  A line of JSON
 * each.  `share` is the time of the slower of two things, over the time taken: the run's own bytes over what the disk
 * gives with the same blocks, as many in flight; and the same work with all experts in memory, which the first line is
 * (100 percent).  The disk is asked before and after every step, since what it gives changes from second
 * to second; of the steps' shares the median counts, with the quarters below and above it.  MIXT_BENCH_DISK may be a
 * command that asks the disk instead, and writes GB/s (fio.sh). */
#include "base/clock.h"
#include "base/direct.h"
#include "base/rng.h"
#include "device/host.h"
#include "file/catalog.h"
#include "model/model.h"
#include "store/reader.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DECODE_MAX = 4096, LIST_MAX = 16, SETTLE_MAX = 10,
    DISK_US    = 500000
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bench_store: %s\n", what);
    exit(1);
}

static void must(Status status, const Error *error)
{
    if (status != OK) die(error->text);
}

/* ---- the disk by itself ---- */

/* Blocks go to a stretch of memory that no cache holds, as they do when they are experts. */
enum { STRETCH_BLOCKS = 128 };
typedef struct Disk { File direct; atomic_llong next, bytes; int64_t n_blocks, until_us; char *memory; } Disk;

static void *read_blocks(void *arg)
{
    Disk *d = arg;
    Error error;
    while (clock_us() < d->until_us) {
        const int64_t i = atomic_fetch_add(&d->next, 1);
        must(direct_read(&d->direct, i % d->n_blocks * READER_BLOCK_BYTES,
                         d->memory + i % STRETCH_BLOCKS * READER_BLOCK_BYTES, READER_BLOCK_BYTES, READER_BLOCK_BYTES,
                         &error), &error);
        atomic_fetch_add(&d->bytes, READER_BLOCK_BYTES);
    }
    return NULL;
}

/* Bytes per microsecond.  Goes on where it stopped the last time, so that no disk answers from a memory of its own. */
static double disk_speed(const File *file)
{
    static long long next;
    static char *memory;                /* one for all times: the first touch of a page would count as the disk's */
    const int64_t memory_bytes = (int64_t)STRETCH_BLOCKS * READER_BLOCK_BYTES;
    Error error;
    if (!memory && !(memory = host_memory(memory_bytes))) die("no memory");
    memset(memory, 1, (size_t)memory_bytes);
    Disk d = { .n_blocks = file->n_bytes / READER_BLOCK_BYTES, .memory = memory, .until_us = clock_us() + DISK_US };
    atomic_store(&d.next, next);
    must(direct_open(file, &d.direct, &error), &error);
    pthread_t threads[READER_THREADS];
    const int64_t start_us = clock_us();
    for (int i = 0; i < READER_THREADS; i++)
        if (pthread_create(&threads[i], NULL, read_blocks, &d)) die("no threads");
    for (int i = 0; i < READER_THREADS; i++) pthread_join(threads[i], NULL);
    const double speed = (double)atomic_load(&d.bytes) / (double)(clock_us() - start_us);
    next = atomic_load(&d.next);
    file_close(&d.direct);
    return speed;
}

/* What another program says: a command that writes GB/s. */
static double speed_told_by(const char *command)
{
    double speed = 0;
    FILE *told = popen(command, "r");
    if (!told || fscanf(told, "%lf", &speed) != 1 || speed <= 0) die("MIXT_BENCH_DISK: expected a speed in GB/s");
    pclose(told);
    return speed * 1e3;
}

static double ask_disk(const File *file)
{
    const char *command = getenv("MIXT_BENCH_DISK");
    return command ? speed_told_by(command) : disk_speed(file);
}

/* Disks that are rented by the second give more at first: until what they give stays the same. */
static double settled_disk_speed(const File *file)
{
    double before = ask_disk(file), now = ask_disk(file);
    for (int i = 0; i < SETTLE_MAX && (now < 0.93 * before || now > 1.07 * before); i++)
        before = now, now = ask_disk(file);
    return now;
}

/* ---- one model ---- */

typedef struct Run {
    File        file;                   /* the model's, or the first of its files          */
    Catalog     catalog;
    const Arch *arch;
    Sizes       sizes;
    Device     *device;
    Model      *model;
    Work        work;
    Tensor      cache, *pages;
    const char *policy;
    int64_t     n_decode, n_prompt, n_batch;
    int64_t     all_us[2];              /* prompt and decode with everything in memory     */
} Run;

typedef struct Spent {
    int64_t    us, n_steps;
    StoreStats store;
    double     disk;                    /* bytes per microsecond                           */
    double     share, quarters[2];      /* of the limit: median of the steps               */
} Spent;

static void open_model(Run *r, int percent, int ahead)
{
    Error error;
    ModelBytes bytes;
    StoreProgress progress = { 0 };
    must(device_open("cpu", &(DeviceOptions){ 0 }, &r->device, &error), &error);
    must(model_bytes(r->arch, &r->catalog, &r->sizes, &bytes, &error), &error);
    const int64_t n_all = r->sizes.n_layers * r->sizes.n_experts, slots = n_all * percent / 100;
    const ModelPlan plan = { .n_slots = percent == 100 ? 0 : (int)(slots < 1 ? 1 : slots),
                             .max_tokens = r->n_batch,
                             .look_ahead = ahead,
                             .policy = r->policy };
    must(model_bind(r->arch, &r->catalog, &r->sizes, r->device, &plan, &progress, &r->model, &error), &error);
    must(work_new(r->model, r->n_batch, &r->work, &error), &error);
    const int64_t n_positions = r->n_prompt + r->n_decode, n_pages = (n_positions + PAGE_TOKENS - 1) / PAGE_TOKENS;
    must(r->device->ops->reserve_context(r->device, n_positions), &r->device->error);
    must(kv_pages_new(r->device, &r->sizes, F16, n_pages, &r->cache, &error), &error);
    r->pages = calloc((size_t)n_pages, sizeof *r->pages);
    if (!r->pages) die("no memory");
    for (int64_t i = 0; i < n_pages; i++) r->pages[i] = kv_page(&r->cache, &r->sizes, i);
}

static void close_model(Run *r)
{
    r->device->ops->free(r->device, &r->cache);
    free(r->pages);
    work_free(&r->work);
    model_free(r->model);
    device_close(r->device);
}

static void step(Run *r, Rng *rng, int64_t position, int n, bool wanted)
{
    static int32_t tokens[DECODE_MAX], positions[DECODE_MAX];
    static const Tensor *pages[DECODE_MAX];
    static bool broken[DECODE_MAX];
    const int32_t last = n - 1;
    Error error;
    for (int i = 0; i < n; i++) {
        tokens[i] = (int32_t)(rng_bits(rng) % (uint64_t)r->sizes.n_vocab);
        positions[i] = (int32_t)(position + i);
        pages[i] = r->pages;
    }
    const Step s = { .n_tokens = n, .n_wanted = wanted, .goes_on = !wanted, .tokens = tokens, .positions = positions,
                     .pages = pages, .wanted = &last, .broken = broken };
    must(model_forward(r->model, &s, &r->work, &error), &error);
}

static StoreStats since(StoreStats now, StoreStats then)
{
    now.pins -= then.pins, now.hits -= then.hits, now.waits -= then.waits, now.wait_us -= then.wait_us;
    now.read_bytes -= then.read_bytes, now.read_us -= then.read_us;
    now.guessed_used -= then.guessed_used, now.guessed_wasted -= then.guessed_wasted;
    return now;
}

static StoreStats stats_of(const Run *r)
{
    return r->model->store->ops->stats(r->model->store);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* n tokens, so many of them in a step, the disk asked between; all_us: what they take with everything in memory. */
static Spent steps(Run *r, Rng *rng, int64_t first, int64_t n, int64_t n_rows, int64_t all_us, int64_t *each_us)
{
    static double shares[DECODE_MAX];
    const StoreStats before = stats_of(r);
    Spent spent = { 0 };
    double disk = settled_disk_speed(&r->file), disks = 0;
    for (int64_t at = 0; at < n; at += n_rows) {
        const int64_t rows = n - at < n_rows ? n - at : n_rows, read_before = stats_of(r).read_bytes;
        const int64_t begin_us = clock_us();
        step(r, rng, first + at, (int)rows, at + rows == n || rows == 1);
        const int64_t us = clock_us() - begin_us;
        const double after = ask_disk(&r->file), meanwhile = (disk + after) / 2;
        const double disk_us = (double)(stats_of(r).read_bytes - read_before) / meanwhile;
        const double core_us = (double)all_us * (double)rows / (double)n;
        shares[spent.n_steps] = (disk_us > core_us ? disk_us : core_us) / (double)us;
        each_us[spent.n_steps++] = us;
        spent.us += us, disks += meanwhile, disk = after;
    }
    spent.store = since(stats_of(r), before);
    spent.disk = disks / (double)spent.n_steps;
    qsort(shares, (size_t)spent.n_steps, sizeof *shares, by_value);
    for (int i = 0; i < 2; i++) spent.quarters[i] = shares[spent.n_steps * (1 + 2 * i) / 4];
    spent.share = shares[spent.n_steps / 2];
    return spent;
}

static Spent prompt(Run *r, Rng *rng)
{
    static int64_t each_us[DECODE_MAX];
    return steps(r, rng, 0, r->n_prompt, r->n_batch, r->all_us[0], each_us);
}

static Spent decode(Run *r, Rng *rng, int64_t *each_us)
{
    return steps(r, rng, r->n_prompt, r->n_decode, 1, r->all_us[1], each_us);
}

/* ---- telling ---- */

static int by_size(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void tell(const Run *r, const char *what, int percent, int ahead, const Spent *s, int64_t n, int64_t all_us,
                 const int64_t *sorted_us)
{
    const StoreStats *t = &s->store;
    printf("{\"what\": \"%s\", \"percent\": %d, \"ahead\": %d, \"policy\": \"%s\", \"tokens_per_s\": %.3f, "
           "\"read_mb_per_token\": %.2f, \"disk_gb_per_s\": %.3f, \"read_gb_per_s\": %.3f, \"all_in_memory_s\": %.3f, "
           "\"disk_s\": %.3f, \"taken_s\": %.3f, \"share\": %.3f, \"share_quarters\": [%.3f, %.3f], "
           "\"hit_rate\": %.4f, \"wait_s\": %.3f, "
           "\"guessed_used_mb\": %.1f, \"guessed_wasted_mb\": %.1f",
           what, percent, ahead, r->policy ? r->policy : "usual", (double)n * 1e6 / (double)s->us,
           (double)t->read_bytes / 1e6 / (double)n, s->disk / 1e3,
           t->read_us ? (double)t->read_bytes / (double)t->read_us / 1e3 : 0.0, (double)all_us / 1e6,
           (double)t->read_bytes / s->disk / 1e6, (double)s->us / 1e6, s->share, s->quarters[0], s->quarters[1],
           t->pins ? (double)t->hits / (double)t->pins : 0.0,
           (double)t->wait_us / 1e6, (double)t->guessed_used / 1e6, (double)t->guessed_wasted / 1e6);
    if (sorted_us && n > 0)
        printf(", \"p50_ms\": %.1f, \"p95_ms\": %.1f, \"p99_ms\": %.1f", (double)sorted_us[n / 2] / 1e3,
               (double)sorted_us[n * 95 / 100] / 1e3, (double)sorted_us[n * 99 / 100] / 1e3);
    printf("}\n");
    fflush(stdout);
}

static void measure(Run *r, int percent, int ahead)
{
    static int64_t each_us[DECODE_MAX];
    Rng rng = { 1 };
    open_model(r, percent, ahead);
    Spent p = { 0 }, d = { 0 };
    if (percent == 100) {               /* some stores that hold everything read it at its first use */
        if (r->n_prompt) prompt(r, &rng);
        if (r->n_decode) decode(r, &rng, each_us);
        rng = (Rng){ 1 };
    }
    if (r->n_prompt) p = prompt(r, &rng);
    if (r->n_decode) d = decode(r, &rng, each_us);
    if (percent == 100) r->all_us[0] = p.us, r->all_us[1] = d.us;
    qsort(each_us, (size_t)r->n_decode, sizeof *each_us, by_size);
    if (r->n_prompt) tell(r, "prompt", percent, ahead, &p, r->n_prompt, r->all_us[0], NULL);
    if (r->n_decode) tell(r, "decode", percent, ahead, &d, r->n_decode, r->all_us[1], each_us);
    close_model(r);
}

static int list(const char *text, int out[LIST_MAX])
{
    int n = 0;
    for (const char *at = text; n < LIST_MAX;) {
        char *end;
        out[n++] = (int)strtol(at, &end, 10);
        if (*end != ',') break;
        at = end + 1;
    }
    return n;
}

int main(int argc, char **argv)
{
    if (argc < 2) die("MODEL [PERCENT,.. [AHEAD,.. [N_DECODE [N_PROMPT [N_BATCH [POLICY]]]]]]");
    int percents[LIST_MAX], aheads[LIST_MAX];
    const int n_percents = list(argc > 2 ? argv[2] : "100,50,25", percents);
    const int n_aheads = list(argc > 3 ? argv[3] : "0,1,2", aheads);
    Run r = { .n_decode = argc > 4 ? atoll(argv[4]) : 64,
              .n_prompt = argc > 5 ? atoll(argv[5]) : 512,
              .n_batch = argc > 6 ? atoll(argv[6]) : 512,
              .policy = argc > 7 ? argv[7] : NULL };
    Error error;
    if (r.n_decode > DECODE_MAX || r.n_prompt > DECODE_MAX) die("too many tokens");
    for (int a = 0; a < n_aheads; a++)
        if (aheads[a] < 0 || aheads[a] > LOOK_AHEAD_MAX) die("AHEAD: expected 0 to 16 (as far as it pays)");
    if (r.n_batch > r.n_prompt) r.n_batch = r.n_prompt;
    if (r.n_batch < 1) r.n_batch = 1;
    must(file_open(argv[1], &r.file, &error), &error);
    must(catalog_open(argv[1], &r.catalog, &error), &error);
    must(arch_find(&r.catalog, &r.arch, &error), &error);
    must(arch_sizes(r.arch, &r.catalog, &r.sizes, &error), &error);
    for (int p = 0; p < n_percents; p++)
        for (int a = 0; a < (percents[p] == 100 ? 1 : n_aheads); a++) measure(&r, percents[p], aheads[a]);
    catalog_close(&r.catalog);
    file_close(&r.file);
    return 0;
}
