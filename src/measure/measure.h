/* SPDX-License-Identifier: Apache-2.0
 * measure/measure.h - the limits of a machine: what it is, how fast it reads and multiplies, a
 * profile of that on disk. */
#ifndef MEASURE_MEASURE_H
#define MEASURE_MEASURE_H

#include "base/base.h"
#include "kernel/kernel.h"

enum { RATES_MAX = 16, DISK_RATES_MAX = 8, CPU_NAME_MAX = 96 };

/* Bytes or operations per second by n_threads threads together. */
typedef struct Rate { int n_threads; double per_s; } Rate;
typedef struct Rates { int n; Rate rate[RATES_MAX]; } Rates;        /* by rising n_threads */

typedef struct DiskRate { int64_t block_bytes; int depth; double bytes_per_s; } DiskRate;

/* What Linux says; 0 or "" where it says nothing. */
typedef struct Facts {
    char    cpu[CPU_NAME_MAX];  /* "AMD EPYC 9R14"                                         */
    char    instructions[192];  /* of those we know to use, "avx2 fma .. avx512_vnni"      */
    char    huge_pages[16];     /* "always", "madvise", "never"                            */
    int     n_online, n_allowed;        /* cores there are, cores this process may use     */
    double  quota_cores;        /* what the control group grants; 0: no limit              */
    int64_t l1_bytes, l2_bytes, l3_bytes;       /* as one core sees them                   */
    int64_t memory_bytes, free_bytes;
    double  load;               /* programs that wanted a core, on average of the last minute */
} Facts;

typedef struct Machine {
    Facts    facts;
    int64_t  measured_at;       /* seconds since 1970                                      */
    char     cpu_set[16];       /* whose instructions the peaks were measured with         */
    Rates    read;              /* bytes                                                   */
    Rates    int8, f32;         /* operations, 2 per multiply-accumulate                   */
    char     disk_folder[256];  /* "": the disk was not measured                           */
    bool     disk_direct;       /* past the page cache                                     */
    int      n_disk;
    DiskRate disk[DISK_RATES_MAX];
} Machine;

typedef struct MeasureOptions {
    CpuSet      set;
    int         n_threads;      /* measure with so many alone; 0: with 1, 2, .. all cores  */
    bool        quick;          /* two seconds instead of ten                              */
    const char *disk_folder;    /* NULL: leave the disk alone                              */
    int (*progress)(void *user, int64_t done, int64_t total); /* non-zero stops; may be NULL */
    void       *progress_user;
} MeasureOptions;

Status measure_machine(const MeasureOptions *options, Machine *out, Error *error);
void   measure_facts(Facts *out);
void   measure_cpu_name(char out[CPU_NAME_MAX]);

/* One number each: the best of the passes that fit into budget_us. */
typedef struct ReadBuffer { uint64_t *words; int64_t n_bytes; } ReadBuffer;
Status read_buffer_new(const Facts *facts, bool quick, ReadBuffer *out, Error *error);
void   read_buffer_free(ReadBuffer *buffer);
Status measure_read(const Kernels *kernels, const ReadBuffer *buffer, int n_threads,
                    int64_t budget_us, Rate *out, Error *error);
Status measure_int8(const Kernels *kernels, int n_threads, int64_t budget_us, Rate *out,
                    Error *error);
Status measure_f32(const Kernels *kernels, int n_threads, int64_t budget_us, Rate *out,
                   Error *error);
Status measure_disk(const char *folder, Machine *to, Error *error);

/* The rate by exactly so many threads; 0: it was not measured. */
double rates_at(const Rates *rates, int n_threads);

/* ---- on disk ---- */

enum { PROFILE_VERSION = 1, PROFILE_MAX_BYTES = 1 << 16 };
Status profile_write(const Machine *machine, const char *path, Error *error);
/* BAD_FILE: a number is missing or out of range, or the profile is that of another machine. */
Status profile_read(const char *path, Machine *out, Error *error);

#endif
