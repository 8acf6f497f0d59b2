/* SPDX-License-Identifier: Apache-2.0
 * device/host.c - tensors in ordinary memory. */
#include "device/host.h"

#include "base/checked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 64, HUGE_PAGE = 2 << 20, ROOM_PAGE = 4096 };
static const int64_t memory_max = (int64_t)1 << 46;     /* 64 TiB: more than any machine has */

/* What is past the last whole huge page lies in small ones, unless another costs less than a 50th. */
static size_t with_last_page(size_t n_bytes)
{
    const size_t more = (n_bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    return more - n_bytes <= n_bytes / 50 ? more : n_bytes;
}

void *host_memory(int64_t n_bytes)
{
    if (n_bytes < 0 || n_bytes > memory_max) return NULL;
    size_t whole = ((size_t)n_bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (whole == 0) whole = ALIGN;
    const bool large = whole >= HUGE_PAGE;
    if (large) whole = with_last_page(whole);
    void *memory;
    if (posix_memalign(&memory, large ? HUGE_PAGE : ALIGN, whole)) return NULL;
    if (large) madvise(memory, whole, MADV_HUGEPAGE);       /* a wish; without it all works, slower */
#ifdef MIXT_HOSTILE
    memset(memory, 0xff, whole);
#endif
    return memory;
}

Status host_shape(Device *d, Format format, int64_t rows, int64_t cols, Tensor *out)
{
    *out = (Tensor){ 0 };
    const FormatInfo *info = &format_info[format];
    int64_t row_bytes, bytes;
    if (rows < 0 || cols < 0 || cols % info->block_values)
        return fail(&d->error, BAD_ARGUMENT,
                    "tensor [%lld][%lld] of %s: a row must be whole blocks of %d numbers",
                    (long long)rows, (long long)cols, info->name, info->block_values);
    if (!checked_mul(cols / info->block_values, info->block_bytes, &row_bytes) ||
        !checked_mul(rows, row_bytes, &bytes) || bytes > memory_max)
        return fail(&d->error, NO_MEMORY, "tensor [%lld][%lld] of %s is larger than any memory",
                    (long long)rows, (long long)cols, info->name);
    *out = (Tensor){ .format = format, .rows = rows, .cols = cols, .row_bytes = row_bytes, .device = d };
    return OK;
}

Status host_place(Device *d, Tensor *t, int64_t n_bytes)
{
    t->handle = host_memory(n_bytes);
    if (t->handle) return OK;
    *t = (Tensor){ 0 };
    return fail(&d->error, NO_MEMORY, "no memory for a tensor of %lld bytes", (long long)n_bytes);
}

Status host_alloc(Device *d, Format format, int64_t rows, int64_t cols, Tensor *out)
{
    TRY(host_shape(d, format, rows, cols, out));
    return host_place(d, out, rows * out->row_bytes);
}

void host_free(Device *d, Tensor *t)
{
    (void)d;
    free(t->handle);
    *t = (Tensor){ 0 };
}

/* ---- rooms ---- */

/* Mapped a huge page larger than wanted, so that it can begin at one; what is too much goes back. */
Status host_alloc_room(Device *d, int64_t n_bytes, void **out)
{
    *out = NULL;
    const size_t pages = ((size_t)n_bytes + ROOM_PAGE - 1) / ROOM_PAGE * ROOM_PAGE;
    char *all = n_bytes <= 0 || n_bytes > memory_max
                    ? MAP_FAILED
                    : mmap(NULL, pages + ROOM_ALIGN, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED)
        return fail(&d->error, NO_MEMORY, "no addresses for a room of %lld bytes", (long long)n_bytes);
    const size_t before = (ROOM_ALIGN - (uintptr_t)all % ROOM_ALIGN) % ROOM_ALIGN;
    char *room = all + before;
    if (before) munmap(all, before);
    munmap(room + pages, ROOM_ALIGN - before);
    madvise(room, (size_t)n_bytes, MADV_HUGEPAGE);          /* a wish, as below                     */
    *out = room;
    return OK;
}

void host_clear_room(Device *d, void *at, int64_t n_bytes)
{
    (void)d;
    if (n_bytes > 0) madvise(at, (size_t)n_bytes, MADV_DONTNEED);
}

/* A huge page at a time: what was moved once is a mapping of its own, and Linux before 6.17 moves out of one only.  It
 * may fail when the addresses it was to move to are gone already; then they are mapped anew.  That needs no looking
 * at: no more is asked for than went, and where mappings run short mremap has failed before it took anything. */
void host_move_room(Device *d, void *from, void *to, int64_t n_bytes)
{
#ifdef MREMAP_DONTUNMAP
    for (int64_t at = 0; at < n_bytes; at += ROOM_ALIGN) {
        const size_t n = (size_t)(n_bytes - at < ROOM_ALIGN ? n_bytes - at : ROOM_ALIGN);
        char *old = (char *)from + at, *new = (char *)to + at;
        if (mremap(old, n, n, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, new) != MAP_FAILED) continue;
        host_clear_room(d, old, (int64_t)n);            /* other memory comes when it is written to */
        (void)mmap(new, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
        madvise(new, n, MADV_HUGEPAGE);
    }
#else
    (void)to;
    host_clear_room(d, from, n_bytes);
#endif
}

void host_free_room(Device *d, void *room, int64_t n_bytes)
{
    (void)d;
    if (room) munmap(room, (size_t)n_bytes);
}

int64_t host_weight_bytes(Format format, int64_t rows, int64_t cols)
{
    return rows * format_row_bytes(format, cols);
}

Status host_place_weight(Device *d, Format format, int64_t rows, int64_t cols, void *at, Tensor *out)
{
    TRY(host_shape(d, format, rows, cols, out));
    out->handle = at;
    return OK;
}

/* ---- moving bytes ---- */

void *host_bytes(Device *d, const Tensor *t)
{
    (void)d;
    return t->handle;
}

Status host_check_fill(Device *d, const Tensor *to, int64_t first, int64_t n)
{
    if (first >= 0 && n >= 0 && n <= to->rows - first && first % d->ops->fill_rows == 0) return OK;
    return fail(&d->error, BAD_ARGUMENT, "rows %lld to %lld of a weight with %lld, from a multiple of %lld",
                (long long)first, (long long)(first + n), (long long)to->rows, (long long)d->ops->fill_rows);
}

Status host_fill(Device *d, Tensor *to, int64_t first, int64_t n, const void *rows)
{
    TRY(host_check_fill(d, to, first, n));
    if (n) memcpy(row_bytes_at(to, first), rows, (size_t)(n * to->row_bytes));
    return OK;
}

static Status check_bytes(Device *d, const Tensor *t, size_t n_bytes)
{
    const int64_t room = t->rows * t->row_bytes;
    if (n_bytes <= (size_t)room) return OK;
    return fail(&d->error, BAD_ARGUMENT, "tensor of %lld bytes: asked to move %zu", (long long)room,
                n_bytes);
}

Status host_upload(Device *d, Tensor *to, const void *from, size_t n_bytes)
{
    TRY(check_bytes(d, to, n_bytes));
    if (n_bytes) memcpy(to->handle, from, n_bytes);
    return OK;
}

Status host_download(Device *d, void *to, const Tensor *from, size_t n_bytes)
{
    TRY(check_bytes(d, from, n_bytes));
    if (n_bytes) memcpy(to, from->handle, n_bytes);
    return OK;
}

/* Every op has done its work when it returns. */
Status host_wait(Device *d)
{
    (void)d;
    return OK;
}

Status host_fits(Device *d, const char *op, int64_t n_rows, int64_t n_cols)
{
    const DeviceLimits *most = &((HostDevice *)d)->limits;
    if (n_rows <= most->n_tokens && n_cols <= most->n_cols) return OK;
    return fail(
        &d->error, BAD_ARGUMENT, "%s: %lld rows of %lld were asked for, %lld of %lld reserved", op,
        (long long)n_rows, (long long)n_cols, (long long)most->n_tokens, (long long)most->n_cols);
}

double rope_angle(const Rope *rope, int64_t position, int pair)
{
    return (double)position * pow(rope->base, -2.0 * pair / rope->n_turned);
}

Status host_low_fits(Device *d, const LowRank *low, int64_t n_cols, int64_t n_rows)
{
    if (!adapts(low)) return OK;
    const int64_t rank = low->a.rows, most = ((HostDevice *)d)->limits.n_rank;
    if (low->a.cols != n_cols || low->b.rows != n_rows || low->b.cols != rank)
        return fail(&d->error, BAD_ARGUMENT,
                    "adapter: expected [r][%lld] and [%lld][r], found [%lld][%lld] and [%lld][%lld]",
                    (long long)n_cols, (long long)n_rows, (long long)rank, (long long)low->a.cols,
                    (long long)low->b.rows, (long long)low->b.cols);
    if (rank > most)
        return fail(&d->error, BAD_ARGUMENT, "adapter: rank %lld, reserved were %lld", (long long)rank,
                    (long long)most);
    return OK;
}

Status host_expert_low_fits(Device *d, const ExpertJob *job)
{
    const Expert *e = &job->expert;
    if (!job->low) return OK;
    TRY(host_low_fits(d, &job->low->gate, e->gate.cols, e->gate.rows));
    TRY(host_low_fits(d, &job->low->up, e->up.cols, e->up.rows));
    return host_low_fits(d, &job->low->down, e->down.cols, e->down.rows);
}
