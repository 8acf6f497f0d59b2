/* SPDX-License-Identifier: Apache-2.0
 * plan/model.c - sums over a table of tensors. */
#include "plan/plan.h"

void plan_add(PlanModel *m, const PlanTensor *t)
{
    m->values[t->class][t->format] += t->rows * t->cols * t->n_experts;
    m->bytes[t->class][t->format] += t->rows * format_row_bytes(t->format, t->cols) * t->n_experts;
}

int64_t plan_class_bytes(const PlanModel *m, PlanClass class)
{
    int64_t sum = 0;
    for (int f = 0; f < N_FORMATS; f++) sum += m->bytes[class][f];
    return sum;
}

int64_t plan_class_values(const PlanModel *m, PlanClass class)
{
    int64_t sum = 0;
    for (int f = 0; f < N_FORMATS; f++) sum += m->values[class][f];
    return sum;
}

int64_t plan_values(const PlanModel *m)
{
    int64_t sum = 0;
    for (PlanClass c = 0; c < N_PLAN_CLASSES; c++) sum += plan_class_values(m, c);
    return sum;
}

int64_t plan_values_active(const PlanModel *m)
{
    const int64_t experts = plan_class_values(m, CLASS_EXPERTS);
    return plan_values(m) - experts + experts / m->n_experts * m->n_used;
}

int64_t plan_bytes(const PlanModel *m)
{
    int64_t sum = 0;
    for (PlanClass c = 0; c < N_PLAN_CLASSES; c++) sum += plan_class_bytes(m, c);
    return sum;
}

int64_t plan_kv_bytes(const PlanModel *m, Format kv, int64_t n_context, int64_t page_tokens)
{
    const int64_t pages = (n_context + page_tokens - 1) / page_tokens;
    return pages * page_tokens * m->n_layers * format_row_bytes(kv, m->kv_values);
}
