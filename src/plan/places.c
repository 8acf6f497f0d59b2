/* SPDX-License-Identifier: Apache-2.0
 * plan/places.c - see places.h. */
#include "plan/places.h"

const Place place_table[] = {
#define PLACE(name, card, gib, read, disk) { name, card, (int64_t)(gib) << 30, (read) * 1e9, (disk) * 1e9 },
#include "plan/places.def"
#undef PLACE
    { NULL, false, 0, 0, 0 },
};

/* What programs read of what a data sheet promises; 70 to 85 % is usual (STREAM). */
static const double reached = 0.8;
/* What a system needs for itself, and a card for its contexts. */
enum { SYSTEM_GIB = 2, CARD_GIB = 1 };

PlaceAnswer plan_place(const PlanModel *m, const PlanWish *wish, const PlanMachine *here, const Place *place)
{
    const double read = place->read_bytes * reached;
    const PlanMachine there = {
        .read_bytes = read,
        .int8_products = here->int8_products / here->read_bytes * read,
        .f32_products = here->f32_products / here->read_bytes * read,
        .disk_bytes = place->disk_bytes,
    };
    PlanWish want = *wish;
    Plan plan;
    want.budget_bytes = place->memory_bytes - ((int64_t)(place->card ? CARD_GIB : SYSTEM_GIB) << 30);
    want.n_slots = 0;
    plan_make(m, &there, &want, &plan);
    PlaceAnswer a = { .fits = plan.slots.why == SLOTS_ALL_FIT };
    a.works = a.fits || (!place->card && plan.slots.why != SLOTS_TOO_FEW);
    if (!a.works) return a;
    const int64_t n_all = m->n_expert_layers * m->n_experts;
    a.resident = n_all ? (double)plan.slots.n_slots / (double)n_all : 1;
    a.tokens_per_s = plan.first.tokens_per_s;
    return a;
}
