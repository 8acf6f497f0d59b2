/* SPDX-License-Identifier: Apache-2.0
 * gen/budget.h - the ledger: what the process may hold in memory, and who holds it (decision D4).
 *
 * What is always there (the program, weights that are no experts, scratch) is counted when an engine is made.  The
 * rest is shared by experts and by keys and values: as sequences grow, experts give up room, and get it back when
 * sequences end.  Where all experts are in memory from the start there is nothing to give, and a context must fit
 * whole when it is opened. */
#ifndef GEN_BUDGET_H
#define GEN_BUDGET_H

#include "model/model.h"

typedef struct Budget {
    int64_t limit_bytes;        /* of the whole process                                    */
    bool    hard;               /* somebody said so; else it is what the machine has free, less what others may want */
    int64_t limit_bytes_first;  /* as it was when the engine was made                      */
    int64_t looked_us;          /* when the machine was asked last                         */
    int64_t program_bytes;      /* held before the engine was made, and some to spare      */
    int64_t dense_bytes;        /* weights that are no experts, adapters                   */
    int64_t scratch_bytes;      /* of the model and the device, for the largest step       */
    int64_t kv_bytes;           /* of pages in use; where experts cannot give, of contexts that are open */
    int64_t room_bytes;         /* what experts may take                                   */
    int64_t room_bytes_min, room_bytes_max;
    int64_t n_slots;            /* experts that fit into it at first; 0: all are in memory */
} Budget;

/* What an engine is going to hold, before anything is loaded. */
typedef struct BudgetAsk {
    const char *path;           /* of the model, for messages                              */
    int64_t limit_bytes;        /* of the whole process; budget_limit_bytes where nobody sets one */
    bool    hard;               /* somebody did                                            */
    int64_t dense_bytes, scratch_bytes, kv_first_bytes;     /* kv: of the usual context    */
    int64_t experts_bytes, slot_bytes;
    int64_t n_experts;          /* L*E                                                     */
    int64_t n_least;            /* experts that one token uses in a layer                  */
    int64_t n_wish;             /* slots somebody asked for; 0: as many as fit             */
} BudgetAsk;

/* NO_MEMORY when not even n_least fit: the sentence has the numbers. */
Status budget_open(const BudgetAsk *ask, Budget *out, Error *error);
/* Do experts give room when keys and values grow? */
static inline bool budget_shares(const Budget *budget) { return budget->room_bytes_min < budget->room_bytes_max; }
/* Keys and values take so many bytes more, or less when negative.  The store gives or gets the room, where it can; on
 * failure nothing has changed. */
Status budget_kv(Budget *budget, Store *store, int64_t more_bytes, Error *error);
/* Could keys and values of one more context take n_bytes, if experts gave all they can? */
Status budget_context(const Budget *budget, int64_t n_tokens, int64_t n_bytes, Error *error);
/* Before a step: where nobody set a limit, experts give room to the machine's other programs when these grow, and take
 * it again. */
void   budget_yield(Budget *budget, Store *store);
/* The limit where nobody sets one: what the machine has free now, less what others may want.  And for plans, about what
 * the program itself takes with a little to spare, which budget_open measures. */
int64_t budget_limit_bytes(void);
enum { PROGRAM_PLANNED_BYTES = 56 << 20 };
/* Rows of a step of a prompt that are more than usual, the most first.  They pay where most experts are read anew for
 * each step, so that one read serves more rows; where few are missing, arithmetic takes longer than the disk, and what
 * scratch takes from experts costs more. */
enum { N_SWEEP_ROWS = 2 };
extern const int64_t sweep_rows[N_SWEEP_ROWS];
static inline bool sweeps_pay(int64_t room_bytes, int64_t experts_bytes) { return room_bytes < experts_bytes / 2; }
static inline bool sweep_affordable(int64_t limit_bytes, int64_t scratch_bytes)
{
    return scratch_bytes <= limit_bytes / 16;
}
/* Everything that is counted. */
int64_t budget_bytes(const Budget *budget, int64_t experts_bytes);

#endif
