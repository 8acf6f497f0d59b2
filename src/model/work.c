/* SPDX-License-Identifier: Apache-2.0
 * model/work.c - scratch of a step: made once, for the largest T, so that no token allocates. */
#include "model/model.h"

typedef struct Shape { Tensor *tensor; int64_t rows, cols; } Shape;

enum { N_SHAPES = 11 };

static void work_shapes(const Sizes *s, int64_t T, Work *w, Shape out[N_SHAPES])
{
    const int64_t R = T < WANTED_MAX ? T : WANTED_MAX;
    const int64_t D = s->width, H = s->n_heads * s->head_size, K = s->n_kv_heads * s->head_size;
    const Shape shapes[N_SHAPES] = {
        { &w->x, T, D },     { &w->h, T, D }, { &w->y, T, D },
        { &w->q, T, H },     { &w->heads, T, H },
        { &w->k, T, K },     { &w->v, T, K },
        { &w->scores, T, s->n_experts },
        { &w->parts, T * s->n_used, D },
        { &w->last, R, D },  { &w->logits, R, s->n_vocab },
    };
    for (int i = 0; i < N_SHAPES; i++) out[i] = shapes[i];
}

int64_t work_bytes(const Sizes *s, int64_t max_tokens)
{
    Work none;
    Shape shapes[N_SHAPES];
    int64_t bytes = 0;
    work_shapes(s, max_tokens, &none, shapes);
    for (int i = 0; i < N_SHAPES; i++)
        bytes += shapes[i].rows * shapes[i].cols * (int64_t)sizeof(float);
    return bytes + max_tokens * (s->n_experts + s->n_used * 4 + 3) * 4;
}

DeviceLimits model_limits(const Sizes *s, int64_t max_tokens, int64_t rank)
{
    const int64_t heads = s->n_heads * s->head_size, widest = heads > s->width ? heads : s->width;
    return (DeviceLimits){ .n_tokens = max_tokens,
                           .n_cols = widest > s->hidden ? widest : s->hidden,
                           .n_width = s->width,
                           .n_hidden = s->hidden,
                           .n_used = s->n_used,
                           .n_heads = s->n_heads,
                           .head_size = s->head_size,
                           .n_rank = rank };
}

static bool host_side(const Sizes *s, size_t T, Work *w)
{
    const size_t U = (size_t)s->n_used, E = (size_t)s->n_experts;
    Routes *r = &w->routes;
    return (w->host_scores  = arena_new(&w->arena, T * E, sizeof *w->host_scores)) &&
           (w->row          = arena_new(&w->arena, T, sizeof *w->row)) &&
           (w->place        = arena_new(&w->arena, T, sizeof *w->place)) &&
           (w->last_rows    = arena_new(&w->arena, T, sizeof *w->last_rows)) &&
           (r->experts      = arena_new(&w->arena, T * U, sizeof *r->experts)) &&
           (r->weights      = arena_new(&w->arena, T * U, sizeof *r->weights)) &&
           (r->group_expert = arena_new(&w->arena, E, sizeof *r->group_expert)) &&
           (r->group_begin  = arena_new(&w->arena, E + 1, sizeof *r->group_begin)) &&
           (r->rows         = arena_new(&w->arena, T * U, sizeof *r->rows)) &&
           (r->slots        = arena_new(&w->arena, T * U, sizeof *r->slots)) &&
           (w->jobs         = arena_new(&w->arena, E, sizeof *w->jobs)) &&
           (w->pins         = arena_new(&w->arena, E, sizeof *w->pins)) &&
           (w->ids          = arena_new(&w->arena, E, sizeof *w->ids)) &&
           (w->left         = arena_new(&w->arena, E, sizeof *w->left)) &&
           (w->left_group   = arena_new(&w->arena, E, sizeof *w->left_group)) &&
           (w->guessed      = arena_new(&w->arena, (size_t)s->n_layers * E, sizeof *w->guessed));
}

Status work_new(const Model *m, int64_t max_tokens, Work *out, Error *error)
{
    *out = (Work){ .device = m->device };
    Shape shapes[N_SHAPES];
    work_shapes(&m->sizes, max_tokens, out, shapes);
    Status status =
        host_side(&m->sizes, (size_t)max_tokens, out) ? OK : fail_memory(error, "scratch");
    for (int i = 0; i < N_SHAPES && status == OK; i++) {
        status =
            m->device->ops->alloc(m->device, F32, shapes[i].rows, shapes[i].cols, shapes[i].tensor);
        if (status != OK && error) *error = m->device->error;
    }
    out->bytes = work_bytes(&m->sizes, max_tokens);
    if (status != OK) work_free(out);
    return status;
}

void work_free(Work *w)
{
    Tensor *all[] = {&w->x, &w->h,      &w->y,     &w->q,    &w->heads, &w->k,
                     &w->v, &w->scores, &w->parts, &w->last, &w->logits};
    for (int i = 0; i < ARRAY_LEN(all); i++)
        if (w->device) w->device->ops->free(w->device, all[i]);
    arena_free(&w->arena);
    *w = (Work){ 0 };
}
