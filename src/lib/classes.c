/* SPDX-License-Identifier: Apache-2.0
 * lib/classes.c - what a model's bytes are for. */
#include "lib/lib.h"

#include <stdio.h>
#include <string.h>

static const struct { const char *name; Role roles[8]; int n_roles; } class_rows[N_CLASSES] = {
    { "embedding", { ROLE_EMBED }, 1 },
    { "attention", { ROLE_Q, ROLE_K, ROLE_V, ROLE_O }, 4 },
    { "router",    { ROLE_ROUTER }, 1 },
    { "experts",   { ROLE_GATE, ROLE_UP, ROLE_DOWN }, 3 },
    { "norms",     { ROLE_ATTN_NORM, ROLE_FFN_NORM, ROLE_OUT_NORM }, 3 },
    { "output",    { ROLE_OUT }, 1 },
};

typedef struct Count { mixt_weight_class *to; const FileTensor *last; bool seen[N_FORMATS]; } Count;

static Status count_weight(const mixt_model *m, Role role, int layer, int expert, Count *count,
                           Error *error)
{
    Weight w;
    TRY(arch_weight(m->arch, &m->catalog, &m->sizes, role, layer, expert, &w, error));
    if (w.tensor != count->last) count->to->n_tensors++;
    count->last = w.tensor;
    count->seen[w.format] = true;
    count->to->n_values += w.rows * w.cols;
    count->to->n_bytes += w.bytes;
    return OK;
}

static Status count_role(const mixt_model *m, Role role, Count *count, Error *error)
{
    const int n_layers = role_in_layer(role) ? (int)m->sizes.n_layers : 1;
    const int n_experts = role_of_expert(role) ? (int)m->sizes.n_experts : 1;
    if (role == ROLE_ROUTER && m->sizes.dense) return OK;
    if (role == ROLE_OUT) {                             /* a tied output costs nothing more     */
        Weight out, embed;
        TRY(arch_weight(m->arch, &m->catalog, &m->sizes, ROLE_OUT, 0, 0, &out, error));
        TRY(arch_weight(m->arch, &m->catalog, &m->sizes, ROLE_EMBED, 0, 0, &embed, error));
        if (out.tensor == embed.tensor) return OK;
    }
    for (int l = 0; l < n_layers; l++)
        for (int e = 0; e < n_experts; e++) TRY(count_weight(m, role, l, e, count, error));
    return OK;
}

static const char *format_list(mixt_model *m, const bool seen[N_FORMATS])
{
    char text[128] = "";
    size_t n = 0;
    for (int f = 0; f < N_FORMATS; f++)
        if (seen[f])
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? ", " : "",
                                  format_info[f].name);
    return arena_text(&m->catalog.arena, text, n);
}

Status count_classes(mixt_model *m, Error *error)
{
    for (int i = 0; i < N_CLASSES; i++) {
        mixt_weight_class *class = &m->classes[m->n_classes];
        *class = (mixt_weight_class){ .name = class_rows[i].name };
        if (m->sizes.dense && class_rows[i].roles[0] == ROLE_GATE) class->name = "feed-forward";
        Count count = { .to = class };
        for (int r = 0; r < class_rows[i].n_roles; r++)
            TRY(count_role(m, class_rows[i].roles[r], &count, error));
        if (class->n_tensors == 0) continue;
        class->n_values_active = class->n_values;
        if (class_rows[i].roles[0] == ROLE_GATE)
            class->n_values_active = class->n_values / m->sizes.n_experts * m->sizes.n_used;
        class->formats = format_list(m, count.seen);
        if (!class->formats) return fail_memory(error, m->catalog.path);
        m->n_values += class->n_values;
        m->n_values_active += class->n_values_active;
        m->n_classes++;
    }
    return OK;
}
