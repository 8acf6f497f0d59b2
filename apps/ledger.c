/* SPDX-License-Identifier: Apache-2.0
 * apps/ledger.c - see ledger.h. */
#include "ledger.h"

#include <stdio.h>

#include "progress.h"

void ledger_show(const mixt_engine_stats *s)
{
    char limit[AMOUNT_MAX], dense[AMOUNT_MAX], room[AMOUNT_MAX], kv[AMOUNT_MAX], scratch[AMOUNT_MAX],
        program[AMOUNT_MAX];
    fprintf(stderr, "memory   %s at most: experts %s, other weights %s, keys and values %s, scratch %s, program %s\n",
            amount_bytes((double)s->memory_bytes, limit), amount_bytes((double)s->expert_room_bytes, room),
            amount_bytes((double)s->dense_bytes, dense), amount_bytes((double)s->kv_bytes, kv),
            amount_bytes((double)s->scratch_bytes, scratch), amount_bytes((double)s->program_bytes, program));
}

void ledger_json(const mixt_engine_stats *s, Json *json)
{
    json_key(json, "memory");
    json_open(json, '{');
    json_key_whole(json, "limit_bytes", s->memory_bytes);
    json_key_whole(json, "expert_room_bytes", s->expert_room_bytes);
    json_key_whole(json, "dense_bytes", s->dense_bytes);
    json_key_whole(json, "kv_bytes", s->kv_bytes);
    json_key_whole(json, "scratch_bytes", s->scratch_bytes);
    json_key_whole(json, "program_bytes", s->program_bytes);
    json_close(json, '}');
}
