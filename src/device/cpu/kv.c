/* SPDX-License-Identifier: Apache-2.0
 * device/cpu/kv.c - writing to the cache: a row is encoded, then its numbers go where kernel/cache.h says. */
#include "device/cpu/cpu.h"
#include "number/blocks.h"

#include <string.h>

Status kv_check(Device *d, const char *op, const KvView *kv, const Tensor *page)
{
    const FormatInfo *info = &format_info[page->format];
    if (page->format != F32 && page->format != F16 && page->format != Q8_0)
        return fail(&d->error, UNSUPPORTED, "%s: cache of %s: expected F32, F16 or Q8_0", op, info->name);
    if (kv->head_size % info->block_values)
        return fail(&d->error, UNSUPPORTED, "%s: cache of %s: expected heads of a multiple of %d numbers, found %d",
                    op, info->name, info->block_values, kv->head_size);
    if (kv->page_tokens % CACHE_LANES)
        return fail(&d->error, UNSUPPORTED, "%s: expected pages of a multiple of %d positions, found %d", op,
                    CACHE_LANES, kv->page_tokens);
    return OK;
}

char *kv_stretch(const KvView *kv, int64_t t, int64_t first_row, int64_t position, int64_t head)
{
    const Tensor *page = &kv->pages[t][position / kv->page_tokens];
    return (char *)row_bytes_at(page, first_row) +
           head * kv->page_tokens * format_row_bytes(page->format, kv->head_size);
}

typedef enum Side { KEYS, VALUES } Side;

typedef struct Write {
    const Cpu    *cpu;
    const KvView *kv;
    const Tensor *k, *v;
} Write;

/* One position of one head. */
typedef struct Place {
    char  *stretch;
    size_t head_size, page_tokens, position;        /* of the page                          */
    Side   side;
} Place;

static size_t place_of(const Place *p, size_t i)
{
    return p->side == KEYS ? cache_key_at(p->head_size, p->position, i)
                           : cache_value_at(p->head_size, p->page_tokens, p->position, i);
}

static void put_floats(const Place *p, const float *x)
{
    float *to = (float *)(void *)p->stretch;
    for (size_t i = 0; i < p->head_size; i++) to[place_of(p, i)] = x[i];
}

static void put_halves(const Place *p, const uint16_t *x)
{
    uint16_t *to = (uint16_t *)(void *)p->stretch;
    for (size_t i = 0; i < p->head_size; i++) to[place_of(p, i)] = x[i];
}

static void put_key_block(const Place *p, size_t group, const BlockQ8_0 *x)
{
    const size_t lane = p->position % CACHE_LANES, groups = p->head_size / CACHE_Q8;
    char *to = p->stretch + (p->position / CACHE_LANES * groups + group) * cache_q8_keys_bytes();
    memcpy(to + lane * sizeof x->scale, &x->scale, sizeof x->scale);
    to += CACHE_LANES * sizeof x->scale + lane;
    for (size_t i = 0; i < CACHE_Q8; i++) to[i * CACHE_LANES] = (char)x->q[i];
}

static void put_value_block(const Place *p, size_t group, const BlockQ8_0 *x)
{
    char *to = p->stretch + group * cache_q8_values_bytes(p->page_tokens);
    memcpy(to + p->position * sizeof x->scale, &x->scale, sizeof x->scale);
    memcpy(to + p->page_tokens * sizeof x->scale + p->position * CACHE_Q8, x->q, CACHE_Q8);
}

static void put_blocks(const Place *p, const BlockQ8_0 *x)
{
    for (size_t group = 0; group < p->head_size / CACHE_Q8; group++) {
        if (p->side == KEYS) put_key_block(p, group, &x[group]);
        else put_value_block(p, group, &x[group]);
    }
}

static void put(const Write *op, int64_t t, int64_t head, Side side, void *space)
{
    const KvView *kv = op->kv;
    const int64_t position = kv->positions[t];
    const Format format = kv->pages[t][position / kv->page_tokens].format;
    const Place place = {
        .stretch = kv_stretch(kv, t, side == KEYS ? kv->k_row : kv->v_row, position, head),
        .head_size = (size_t)kv->head_size, .page_tokens = (size_t)kv->page_tokens,
        .position = (size_t)(position % kv->page_tokens), .side = side,
    };
    const float *x = row_f32(side == KEYS ? op->k : op->v, t) + head * kv->head_size;
    if (format == F32) put_floats(&place, x);
    else if (format == F16) {
        op->cpu->kernels.encode_f16(space, x, place.head_size);
        put_halves(&place, space);
    } else {
        format_info[Q8_0].encode(space, x, place.head_size);
        put_blocks(&place, space);
    }
}

/* By heads, not by rows: neighbours in a sequence share lines of memory. */
static void write_head(void *arg, int64_t head, int worker)
{
    const Write *op = arg;
    for (int64_t t = 0; t < op->k->rows; t++) {
        put(op, t, head, KEYS, op->cpu->scratch[worker].row);
        put(op, t, head, VALUES, op->cpu->scratch[worker].row);
    }
}

Status cpu_kv_write(Device *d, const KvView *kv, const Tensor *k, const Tensor *v)
{
    const Write op = { .cpu = (Cpu *)d, .kv = kv, .k = k, .v = v };
    if (k->rows == 0) return OK;
    TRY(host_fits(d, "kv_write", k->rows, k->cols));
    TRY(kv_check(d, "kv_write", kv, &kv->pages[0][kv->positions[0] / kv->page_tokens]));
    cpu_run((Cpu *)d, write_head, (void *)&op, k->cols / kv->head_size, 8 * k->rows * k->cols);
    return OK;
}
