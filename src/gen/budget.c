/* SPDX-License-Identifier: Apache-2.0
 * gen/budget.c - see budget.h. */
#include "gen/budget.h"

#include "base/clock.h"
#include "base/machine.h"
#include "plan/slots.h"
#include "store/store.h"

#include <stdio.h>

enum {
    /* What nobody counts one by one: stacks of threads, page tables, what the C library keeps. */
    SPARE_BYTES   = 24 << 20,
    /* Where nobody set a limit the rest of the machine wants to live, and to grow: so much, and a share of what is
     * free. */
    OTHERS_BYTES  = 168 << 20,
    OTHERS_SHARE  = 16,
    LOOK_US       = 200000      /* how often we look whether it still can                  */
};

static int64_t others_bytes(int64_t free_bytes)
{
    return free_bytes / OTHERS_SHARE > OTHERS_BYTES ? free_bytes / OTHERS_SHARE : OTHERS_BYTES;
}

int64_t budget_limit_bytes(void)
{
    const int64_t held = machine_resident_bytes(), left = machine_free_bytes();
    return left > INT64_MAX - held ? INT64_MAX : held + left - others_bytes(left);
}

const int64_t sweep_rows[N_SWEEP_ROWS] = { 2048, 1024 };

enum { AMOUNT_MAX = 48 };

/* "1.50 GiB (1.61 GB)", or in MiB and MB. */
static const char *amount(int64_t bytes, char out[AMOUNT_MAX])
{
    const double b = (double)bytes;
    if (bytes >= GIB) snprintf(out, AMOUNT_MAX, "%.2f GiB (%.2f GB)", b / (double)GIB, b / 1e9);
    else snprintf(out, AMOUNT_MAX, "%.1f MiB (%.1f MB)", b / (double)MIB, b / 1e6);
    return out;
}

static Status too_small(const BudgetAsk *ask, const Budget *b, int64_t need, Error *error)
{
    char needs[AMOUNT_MAX], has[AMOUNT_MAX];
    return fail(error, NO_MEMORY, "%s: does not fit in memory: needs at least %s and room for keys and values, %s "
                "%s", ask->path, amount(need, needs), b->hard ? "the budget is" : "for this process there are",
                amount(b->limit_bytes, has));
}

Status budget_open(const BudgetAsk *ask, Budget *out, Error *error)
{
    *out = (Budget){ .hard = ask->hard,
                     .limit_bytes = ask->limit_bytes,
                     .program_bytes = machine_resident_bytes() + SPARE_BYTES,
                     .dense_bytes = ask->dense_bytes,
                     .scratch_bytes = ask->scratch_bytes };
    out->limit_bytes_first = out->limit_bytes;
    SlotsAsk slots_ask = { .budget_bytes = out->limit_bytes,
                           .dense_bytes = out->dense_bytes,
                           .kv_bytes = ask->kv_first_bytes,
                           .scratch_bytes = out->scratch_bytes,
                           .spare_bytes = out->program_bytes,
                           .reading_bytes = store_reading_bytes(ask->slot_bytes),
                           .experts_bytes = ask->experts_bytes,
                           .slot_bytes = ask->slot_bytes,
                           .n_all = ask->n_experts,
                           .n_least = ask->n_least,
                           .n_wish = ask->n_wish };
    Slots slots = plan_slots(&slots_ask);
    if (slots.why == SLOTS_ALL_FIT) {
        out->room_bytes = out->room_bytes_min = out->room_bytes_max = ask->experts_bytes;
        return OK;
    }
    slots_ask.kv_bytes = 0;                             /* now experts share with keys and values      */
    slots = plan_slots(&slots_ask);
    if (slots.why == SLOTS_TOO_FEW) return too_small(ask, out, slots.need_bytes, error);
    out->scratch_bytes += slots_ask.reading_bytes;
    out->n_slots = slots.n_slots < ask->n_experts ? slots.n_slots : ask->n_experts - 1;
    out->room_bytes_min = (ask->n_least < ask->n_experts ? ask->n_least : ask->n_experts) * ask->slot_bytes;
    /* As many as were asked for; or all that is left, as before the first token nobody has keys and values. */
    out->room_bytes = slots.why == SLOTS_WISHED ? slots.n_slots * ask->slot_bytes
                                                : out->limit_bytes - budget_bytes(out, 0);
    out->room_bytes_max = out->room_bytes;
    if (slots.why == SLOTS_WISHED || out->room_bytes_min > out->room_bytes) out->room_bytes_min = out->room_bytes;
    return OK;
}

int64_t budget_bytes(const Budget *b, int64_t experts_bytes)
{
    return b->program_bytes + b->dense_bytes + b->scratch_bytes + b->kv_bytes + experts_bytes;
}

Status budget_context(const Budget *b, int64_t n_tokens, int64_t n_bytes, Error *error)
{
    char needs[AMOUNT_MAX], has[AMOUNT_MAX];
    const int64_t left = b->limit_bytes - budget_bytes(b, b->room_bytes_min);
    if (n_bytes <= left) return OK;
    return fail(error, NO_MEMORY,
                "context of %lld tokens: does not fit in memory: its key/value cache needs %s, %s %s",
                (long long)n_tokens, amount(n_bytes, needs), b->hard ? "the budget leaves it" : "free are",
                amount(left > 0 ? left : 0, has));
}

Status budget_kv(Budget *b, Store *store, int64_t more_bytes, Error *error)
{
    Budget after = *b;
    after.kv_bytes += more_bytes;
    if (!budget_shares(b)) {
        *b = after;
        return OK;
    }
    int64_t room = after.limit_bytes - budget_bytes(&after, 0);
    if (room > after.room_bytes_max) room = after.room_bytes_max;
    if (room < after.room_bytes_min) {
        char limit[AMOUNT_MAX], kv[AMOUNT_MAX];
        return fail(error, NO_MEMORY, "keys and values: the memory budget of %s is used up: they take %s, and experts "
                    "cannot give more", amount(b->limit_bytes, limit), amount(b->kv_bytes, kv));
    }
    after.room_bytes = room;
    if (room != b->room_bytes) TRY(store->ops->resize(store, room, error));
    *b = after;
    return OK;
}

/* What would be free with all of the room in use is what others want; half of that is too little, an eighth more worth
 * taking. */
void budget_yield(Budget *b, Store *store)
{
    const int64_t now_us = clock_us();
    if (b->hard || !budget_shares(b) || now_us - b->looked_us < LOOK_US) return;
    b->looked_us = now_us;
    const int64_t wanted = others_bytes(b->limit_bytes_first);
    const int64_t unused = b->room_bytes - store->ops->stats(store).resident_bytes;
    const int64_t left = machine_free_bytes() - (unused > 0 ? unused : 0);
    int64_t limit = b->limit_bytes;
    if (left < wanted / 2 || left > wanted + wanted / 8) limit += left - wanted;
    if (limit > b->limit_bytes_first) limit = b->limit_bytes_first;
    if (limit < budget_bytes(b, b->room_bytes_min)) limit = budget_bytes(b, b->room_bytes_min);
    b->limit_bytes = limit;
    budget_kv(b, store, 0, NULL);                       /* no less than the least: it cannot fail          */
}
