/* SPDX-License-Identifier: Apache-2.0
 * kernel/select.c - which instruction sets there are, and the table for one of them. */
#include "kernel/kernel.h"

#include "kernel/arm/arm.h"
#include "kernel/ref/ref.h"
#include "kernel/x86/x86.h"

#include <string.h>
#if defined __x86_64__
#include <cpuid.h>
#elif defined __aarch64__
#include <sys/auxv.h>
#endif

#if defined __aarch64__
const char *const cpu_set_name[N_CPU_SETS] = { "ref", "neon" };
#else
const char *const cpu_set_name[N_CPU_SETS] = { "ref", "avx2", "avx512" };
#endif

bool cpu_set_from_name(const char *name, CpuSet *out)
{
    for (int set = 0; set < N_CPU_SETS; set++) {
        if (strcmp(name, cpu_set_name[set])) continue;
        *out = (CpuSet)set;
        return true;
    }
    return false;
}

#if defined __x86_64__
/* Half conversions: a bit of their own, which not every compiler's test knows by name. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

/* The compiler's tests ask the operating system too: registers it does not save do not count. */
CpuSet cpu_detect(void)
{
#if defined __x86_64__
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !has_f16c())
        return CPU_REF;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vnni"))
        return CPU_AVX512;
    return CPU_AVX2;
#elif defined __aarch64__
    const unsigned long dot_products = 1ul << 20;       /* HWCAP_ASIMDDP */
    return getauxval(AT_HWCAP) & dot_products ? CPU_NEON : CPU_REF;
#else
    return CPU_REF;
#endif
}

void kernels_select(Kernels *table, CpuSet set)
{
    kernels_fill_ref(table);
#if defined __x86_64__
    if (set >= CPU_AVX2) kernels_fill_avx2(table);
    if (set >= CPU_AVX512) kernels_fill_avx512(table);
#elif defined __aarch64__
    if (set >= CPU_NEON) kernels_fill_neon(table);
#else
    (void)set;
#endif
}

PanelFn *kernels_panel(const Kernels *table, Format format)
{
    PanelFn *const panels[N_FORMATS] = {
        [F32]  = table->panel_f32,  [F16]  = table->panel_f16,  [BF16] = table->panel_bf16,
        [Q4_0] = table->panel_q4_0, [Q4_1] = table->panel_q4_1, [Q5_0] = table->panel_q5_0,
        [Q5_1] = table->panel_q5_1, [Q8_0] = table->panel_q8_0,
        [Q2_K] = table->panel_q2_k, [Q3_K] = table->panel_q3_k, [Q4_K] = table->panel_q4_k,
        [Q5_K] = table->panel_q5_k, [Q6_K] = table->panel_q6_k,
    };
    return panels[format];
}
