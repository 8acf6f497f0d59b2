/* SPDX-License-Identifier: Apache-2.0
 * model/kv.c - key/value memory: pages of PAGE_TOKENS positions, each for every layer.
 *
 *   page [L*2*P][K]:   layer 0 keys, layer 0 values, layer 1 keys, ...  P rows each */
#include "model/model.h"

static int64_t page_rows(const Sizes *s)
{
    return s->n_layers * 2 * PAGE_TOKENS;
}

Status kv_pages_new(Device *device, const Sizes *s, Format format, int64_t n_pages, Tensor *out,
                    Error *error)
{
    const Status status = device->ops->alloc(device, format, n_pages * page_rows(s),
                                             s->n_kv_heads * s->head_size, out);
    if (status != OK && error) *error = device->error;
    return status;
}

Tensor kv_page(const Tensor *pages, const Sizes *s, int64_t page)
{
    return tensor_rows(pages, page * page_rows(s), page_rows(s));
}

int64_t kv_page_bytes(const Sizes *s, Format format)
{
    return page_rows(s) * format_row_bytes(format, s->n_kv_heads * s->head_size);
}

int64_t kv_bytes(const Sizes *s, Format format, int64_t n_positions)
{
    return (n_positions + PAGE_TOKENS - 1) / PAGE_TOKENS * kv_page_bytes(s, format);
}

KvView kv_view(const Sizes *s, int layer, const Step *step)
{
    return (KvView){
        .pages = step->pages, .positions = step->positions,
        .k_row = (int64_t)layer * 2 * PAGE_TOKENS, .v_row = ((int64_t)layer * 2 + 1) * PAGE_TOKENS,
        .page_tokens = PAGE_TOKENS, .head_size = (int)s->head_size, .window = (int)s->window,
    };
}
