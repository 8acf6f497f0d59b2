/* SPDX-License-Identifier: Apache-2.0
 * tests/kernel/check.c - the loop over instruction sets and kernels, buffers, verdicts.
 *
 *   check_kernels [--bench] [--seed N] [--set avx2] [KERNEL] */
#include "check.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const char *const fill_name[N_FILLS] = { "normal", "zero", "largest", "sparse" };

/* ---- buffers ---- */

enum { BUFFERS_MAX = 512 };
static struct { void *base; size_t n_bytes; } buffers[BUFFERS_MAX];
static int n_buffers;

void *buffer(Check *check, size_t n_bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t body = (n_bytes + page - 1) / page * page;
    if (n_buffers == BUFFERS_MAX) abort();
    char *base = mmap(NULL, body + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED || (body && mprotect(base + page, body, PROT_READ | PROT_WRITE))) abort();
    buffers[n_buffers].base = base;
    buffers[n_buffers++].n_bytes = body + 2 * page;
    return check->at_front ? base + page : base + page + body - n_bytes;
}

void forget_buffers(void)
{
    while (n_buffers > 0) {
        n_buffers--;
        munmap(buffers[n_buffers].base, buffers[n_buffers].n_bytes);
    }
}

float random_normal(Check *check)
{
    double sum = 0.0;
    for (int i = 0; i < 12; i++) sum += rng_unit(&check->rng);
    return (float)(sum - 6.0);
}

float *floats(Check *check, size_t n, Fill fill, float largest)
{
    float *x = buffer(check, n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        const float normal = random_normal(check);
        const bool rare = rng_bits(&check->rng) % 16 == 0;
        x[i] = fill == FILL_ZERO      ? 0.0f
               : fill == FILL_LARGEST ? (normal < 0.0f ? -largest : largest)
               : fill == FILL_SPARSE  ? (rare ? normal : 0.0f)
                                      : normal;
    }
    return x;
}

/* ---- verdicts ---- */

bool judge(Check *c, double want, double got, double bound, const char *what, size_t n, Fill fill)
{
    const bool nan = isnan(want) || isnan(got);
    if (nan ? isnan(want) && isnan(got) : want == got || fabs(got - want) <= bound) {
        c->passed++;
        return true;
    }
    printf("  FAIL %s %s, %s of n=%zu, fill %s, seed %llu: want %.9g got %.9g, off by %.3g, "
           "allowed %.3g\n",
           c->kernel, c->set, what, n, fill_name[fill], (unsigned long long)c->seed, want, got,
           fabs(got - want), bound);
    c->failed++;
    return false;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The same bits; any NaN counts as any other, because which of two NaNs an addition hands on
 * depends on the order in which a compiler names its operands. */
bool judge_same(Check *c, const float *want, const float *got, size_t n, const char *what,
                Fill fill)
{
    for (size_t i = 0; i < n; i++) {
        if (bits_of(want[i]) == bits_of(got[i]) || (isnan(want[i]) && isnan(got[i]))) continue;
        printf("  FAIL %s %s, %s %zu of %zu, fill %s, seed %llu: want %a got %a, and they should "
               "be equal\n",
               c->kernel, c->set, what, i, n, fill_name[fill], (unsigned long long)c->seed,
               (double)want[i], (double)got[i]);
        c->failed++;
        return false;
    }
    c->passed++;
    return true;
}

bool judge_bytes(Check *c, const void *want, const void *got, size_t n_bytes, const char *what)
{
    const unsigned char *a = want, *b = got;
    for (size_t i = 0; i < n_bytes; i++) {
        if (a[i] == b[i]) continue;
        printf("  FAIL %s %s, %s, byte %zu of %zu, seed %llu: want %02x got %02x\n", c->kernel,
               c->set, what, i, n_bytes, (unsigned long long)c->seed, a[i], b[i]);
        c->failed++;
        return false;
    }
    c->passed++;
    return true;
}

/* ---- speed ---- */

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

double best_ns(void (*run)(void *arg), void *arg)
{
    const double longest = 1e8;         /* of all rounds together, but for the first two */
    double best = INFINITY, spent = 0.0;
    for (int round = 0; round < 40 && (round < 2 || spent < longest); round++) {
        const int runs = 20;
        const double begin = now_ns();
        for (int i = 0; i < runs; i++) run(arg);
        const double ns = now_ns() - begin;
        best = fmin(best, ns / runs);
        spent += ns;
    }
    return best;
}

void print_speed(const Check *c, size_t n, double n_bytes, double ns, double ref_ns)
{
    printf("  bench %-8s %-14s n=%zu %9.1f ns %7.2f GB/s %7.2f numbers/ns %6.2fx ref\n", c->set,
           c->kernel, n, ns, n_bytes / ns, (double)n / ns, ref_ns / ns);
}

/* ---- all of them ---- */

static Check check = { .seed = 1 };

/* Only what a signal handler may do: one write. */
static void on_fault(int signal_number)
{
    const char *const text[] = { "  FAULT in ", check.kernel, " ", check.set,
                                 ": it touched an unreadable page\n" };
    for (int i = 0; i < ARRAY_LEN(text); i++)
        if (write(STDOUT_FILENO, text[i], strlen(text[i])) < 0) break;
    _exit(128 + signal_number);
}

typedef void CheckFn(Check *check, const Kernels *ref, const Kernels *now);

static void check_one(const char *name, CheckFn *run, const Kernels *ref, const Kernels *now)
{
    const int failed = check.failed;
    check.kernel = name;
    for (int side = 0; side < 2; side++) {
        check.at_front = side;
        check.rng = (Rng){ check.seed };
        run(&check, ref, now);
        forget_buffers();
    }
    printf("%-8s %-14s %s\n", check.set, name, check.failed == failed ? "ok" : "FAILED");
}

int main(int argc, char **argv)
{
    const char *only = NULL, *only_set = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--bench")) check.bench = true;
        else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
            check.seed = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--set") && i + 1 < argc) only_set = argv[++i];
        else only = argv[i];
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);

    Kernels ref, before = { 0 }, now;
    kernels_select(&ref, CPU_REF);
    for (int set = 0; set < N_CPU_SETS; set++) {
        check.set = cpu_set_name[set];
        if (set > (int)cpu_detect()) {
            printf("%-8s not on this machine\n", check.set);
            continue;
        }
        kernels_select(&now, (CpuSet)set);
        /* A kernel listed in kernels.def without a check_ function does not link. */
#define KERNEL(name, Signature, text)                                                              \
    if (now.name != before.name && (!only || !strcmp(only, #name)) &&                              \
        (!only_set || !strcmp(only_set, check.set)))                                               \
        check_one(#name, check_##name, &ref, &now);
#include "kernel/kernels.def"
#undef KERNEL
        before = now;
    }
    printf("%d passed, %d failed\n", check.passed, check.failed);
    return check.failed != 0 || check.passed == 0;      /* a wrong name checks nothing */
}
