/* SPDX-License-Identifier: Apache-2.0
 * device/host.h - what ref and cpu share: both keep tensors in ordinary memory.
 *
 * A tensor's handle is the address of its first byte, aligned to 64; rows follow without gaps, as
 * they do in files.  ref keeps weights the same way, cpu keeps them in panels. */
#ifndef DEVICE_HOST_H
#define DEVICE_HOST_H

#include "device/device.h"

typedef struct HostDevice {
    Device       device;        /* first, so that one pointer serves for both              */
    const char  *cpu_set;       /* for people                                              */
    int          n_threads;
    DeviceLimits limits;        /* of the last reserve                                     */
} HostDevice;

Status ref_open(const DeviceOptions *options, Device **out, Error *error);
Status cpu_open(const DeviceOptions *options, Device **out, Error *error);
/* See device_work_bytes. */
int64_t ref_work_bytes(const DeviceLimits *limits, int n_threads, int64_t n_positions);
int64_t cpu_work_bytes(const DeviceLimits *limits, int n_threads, int64_t n_positions);

/* A tensor's shape, checked, without memory; then memory for it. */
Status host_shape(Device *d, Format format, int64_t rows, int64_t cols, Tensor *out);
Status host_place(Device *d, Tensor *t, int64_t n_bytes);
Status host_alloc(Device *d, Format format, int64_t rows, int64_t cols, Tensor *out);
void   host_free(Device *d, Tensor *t);
Status host_alloc_room(Device *d, int64_t n_bytes, void **out);
void   host_clear_room(Device *d, void *at, int64_t n_bytes);
void   host_move_room(Device *d, void *from, void *to, int64_t n_bytes);
void   host_free_room(Device *d, void *room, int64_t n_bytes);
int64_t host_weight_bytes(Format format, int64_t rows, int64_t cols);   /* as rows         */
Status host_place_weight(Device *d, Format format, int64_t rows, int64_t cols, void *at, Tensor *out);
void  *host_bytes(Device *d, const Tensor *t);
/* Weights as rows, as files hold them. */
Status host_fill(Device *d, Tensor *to, int64_t first, int64_t n, const void *rows);
Status host_check_fill(Device *d, const Tensor *to, int64_t first, int64_t n);
Status host_upload(Device *d, Tensor *to, const void *from, size_t n_bytes);
Status host_download(Device *d, void *to, const Tensor *from, size_t n_bytes);
Status host_wait(Device *d);

/* Aligned to 64; NULL when there is no memory.  free() frees it.  Not zeroed; a hostile build fills
 * it with NaN, so that what is read before it was written is seen.  From 2 MiB on it asks for huge
 * pages: a token walks through gigabytes, and one entry of the address cache (TLB) then serves 512
 * times as many of them. */
void *host_memory(int64_t n_bytes);

/* Do the widths agree with what was reserved?  An op asks before it uses scratch. */
Status host_fits(Device *d, const char *op, int64_t n_rows, int64_t n_cols);

/* Does an adapter fit a matrix [n_rows][n_cols], and its rank what was reserved?  { 0 } does. */
Status host_low_fits(Device *d, const LowRank *low, int64_t n_cols, int64_t n_rows);
Status host_expert_low_fits(Device *d, const ExpertJob *job);

static inline void *row_bytes_at(const Tensor *t, int64_t row)
{
    return (char *)t->handle + row * t->row_bytes;
}

/* Row of an F32 tensor. */
static inline float *row_f32(const Tensor *t, int64_t row)
{
    return row_bytes_at(t, row);
}

/* First byte of what a row of the cache holds for one head. */
static inline void *kv_at(const KvView *kv, int64_t t, int64_t first_row, int64_t position,
                          int64_t head)
{
    const Tensor *page = &kv->pages[t][position / kv->page_tokens];
    return (char *)row_bytes_at(page, first_row + position % kv->page_tokens) +
           head * format_row_bytes(page->format, kv->head_size);
}

/* The first position that row t sees. */
static inline int64_t kv_first(const KvView *kv, int64_t t)
{
    const int64_t own = kv->positions[t];
    return kv->window > 0 && own >= kv->window ? own - kv->window + 1 : 0;
}

/* The angle of pair i at a position. */
double rope_angle(const Rope *rope, int64_t position, int pair);

#endif
