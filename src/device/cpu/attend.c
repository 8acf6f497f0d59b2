/* SPDX-License-Identifier: Apache-2.0
 * device/cpu/attend.c - attention over the cache.  Read kernel/cache.h first.
 *
 * ORDER attend: positions are cut at multiples of SPLIT.  Each piece has its own maximum, sum and answer, whose
 * order the kernels fix; pieces are merged from the first to the last.  What a row gets depends on its position
 * and its cache only, not on what else is in the step (D1).
 *
 * Work is shared out in two ways, with the same bits.  Rows that follow each other in one sequence form a *block*
 * and go over the cache together: their queries share every number that is loaded.  One thread takes a block and
 * a key head through all pieces.  When that makes too few tasks, which is a few rows with a long past, threads
 * take *stretches* of pieces, put the answers of each piece into `parts`, and merge them in a second sweep. */
#include "device/cpu/cpu.h"

#include <math.h>
#include <string.h>

enum {
    QUERIES = 48,               /* of a block: enough to make loads cheap beside products   */
    TASKS_PER_THREAD = 8        /* enough to share out evenly what is of different sizes    */
};
_Static_assert((int)SPLIT <= (int)SCORE_SPAN && SPLIT % CACHE_LANES == 0, "a piece's scores fit a row");

typedef struct Attention {
    Cpu          *cpu;
    Tensor       *y;
    const Tensor *q;
    const KvView *kv;
    ScoreFn      *score;
    GatherFn     *gather;
    int64_t       d, n_kv_heads, group;     /* group: query heads per key head              */
    int64_t       n_blocks, n_stretches;    /* at most, of a block and key head             */
    int64_t       stretch;                  /* pieces                                       */
} Attention;

/* A block and a key head: M = rows * group queries, those of a row side by side. */
typedef struct Heads {
    const Attention *op;
    const RowBlock  *block;
    Scratch         *s;
    int64_t          kv_head, n_queries;
} Heads;

/* What one piece says to M queries. */
typedef struct Answer {
    float *y;                   /* [M][d], not yet divided by the sum                       */
    float *max, *sum;           /* [M]                                                      */
} Answer;

typedef struct Range { int64_t begin, end; } Range;

static Range overlap(Range a, Range b)
{
    return (Range){ a.begin > b.begin ? a.begin : b.begin, a.end < b.end ? a.end : b.end };
}

static Range piece_range(int64_t piece)
{
    return (Range){ piece * SPLIT, (piece + 1) * SPLIT };
}

/* What row r of the block sees of a piece; begin >= end: nothing. */
static Range seen_by(const Heads *h, int64_t r, int64_t piece)
{
    const int64_t t = h->block->row + r;
    const Range all = { kv_first(h->op->kv, t), h->op->kv->positions[t] + 1 };
    return overlap(all, piece_range(piece));
}

static int64_t first_piece(const RowBlock *b) { return b->begin / SPLIT; }
static int64_t n_pieces(const RowBlock *b)    { return (b->end - 1) / SPLIT + 1 - first_piece(b); }

/* ---- one piece ---- */

static const char *keys_at(const Heads *h, int64_t position)
{
    return kv_stretch(h->op->kv, h->block->row, h->op->kv->k_row, position, h->kv_head);
}

static const char *values_at(const Heads *h, int64_t position)
{
    return kv_stretch(h->op->kv, h->block->row, h->op->kv->v_row, position, h->kv_head);
}

/* The positions of `range` that lie in the page of its first; `next` is the stretch to read after them, NULL when
 * nobody knows. */
static CacheRun run_in_page(const Heads *h, Range range, const char *here, const char *next)
{
    const int64_t page = h->op->kv->page_tokens, rest = page - range.begin % page, n = range.end - range.begin;
    return (CacheRun){
        .head = here, .next = next ? next : here,
        .head_size = (size_t)h->op->d, .page_tokens = (size_t)page,
        .first = (size_t)(range.begin % page), .n = (size_t)(n < rest ? n : rest),
    };
}

/* scores[m][j - base] for every query; what a row does not see is computed too and never looked at. */
static void score_range(const Heads *h, Range range, int64_t base)
{
    const char *after = values_at(h, range.begin);
    range.begin -= range.begin % CACHE_LANES;
    while (range.begin < range.end) {
        const int64_t page = h->op->kv->page_tokens, next = (range.begin / page + 1) * page;
        const CacheRun run = run_in_page(h, range, keys_at(h, range.begin),
                                         next < range.end ? keys_at(h, next) : after);
        h->op->score(h->s->scores + (range.begin - base), h->s->queries, (size_t)h->n_queries, &run);
        range.begin = next;
    }
}

/* y[m] += sum over the range of scores[m][j - base] * value(j), for n queries from `first` on. */
static void gather_range(const Heads *h, Range range, int64_t base, float *y, int64_t first, int64_t n,
                         const char *after)
{
    while (range.begin < range.end) {
        const int64_t page = h->op->kv->page_tokens, next = (range.begin / page + 1) * page;
        const CacheRun run = run_in_page(h, range, values_at(h, range.begin),
                                         next < range.end ? values_at(h, next) : after);
        h->op->gather(y + first * h->op->d, h->s->scores + first * SCORE_ROW + (range.begin - base), (size_t)n,
                      &run);
        range.begin = next;
    }
}

/* Values that not all rows see are added row by row before and after the others: a weight of zero would not do,
 * because a neighbour's value may be infinite. */
static void gather_piece(const Heads *h, int64_t piece, float *y, const char *after)
{
    const int64_t group = h->op->group, n_rows = h->block->n_rows, base = piece_range(piece).begin;
    Range common = piece_range(piece);
    for (int64_t r = 0; r < n_rows; r++) common = overlap(common, seen_by(h, r, piece));
    if (common.begin >= common.end) common.end = common.begin = INT64_MAX;      /* all rows go alone */

    for (int64_t r = 0; r < n_rows; r++) {
        const Range before = overlap(seen_by(h, r, piece), (Range){ 0, common.begin });
        gather_range(h, before, base, y, r * group, group, NULL);
    }
    if (common.begin < common.end) gather_range(h, common, base, y, 0, h->n_queries, after);
    for (int64_t r = 0; r < n_rows; r++) {
        const Range behind = overlap(seen_by(h, r, piece), (Range){ common.end, INT64_MAX });
        gather_range(h, behind, base, y, r * group, group, NULL);
    }
}

/* `after`: what this thread reads next, or NULL. */
static void answer_piece(const Heads *h, int64_t piece, const char *after, const Answer *to)
{
    const Kernels *k = &h->op->cpu->kernels;
    const int64_t group = h->op->group, base = piece_range(piece).begin;
    const Range any = overlap((Range){ h->block->begin, h->block->end }, piece_range(piece));
    score_range(h, any, base);
    for (int64_t m = 0; m < h->n_queries; m++) {
        const Range seen = seen_by(h, m / group, piece);
        if (seen.begin >= seen.end) continue;
        float *scores = h->s->scores + m * SCORE_ROW + (seen.begin - base);
        to->max[m] = k->max_f32(scores, (size_t)(seen.end - seen.begin));
        to->sum[m] = k->exp_sum(scores, to->max[m], (size_t)(seen.end - seen.begin));
    }
    memset(to->y, 0, (size_t)(h->n_queries * h->op->d) * sizeof *to->y);
    gather_piece(h, piece, to->y, after);
}

/* ---- pieces together ---- */

/* Brings two answers under the larger of their maxima and adds them.  exp(-infinity) = 0 makes the first piece
 * come through unchanged. */
static void merge(const Heads *h, float *y, float *max, float *sum, const Answer *piece, int64_t m)
{
    const Kernels *k = &h->op->cpu->kernels;
    const size_t d = (size_t)h->op->d;
    const float new_max = piece->max[m];
    const float both = isnan(new_max) || new_max > *max ? new_max : *max;
    const float old = expf(*max - both), new = expf(new_max - both);
    k->scale(y, old, d);
    k->axpy(y, new, piece->y + (size_t)m * d, d);
    *sum = *sum * old + piece->sum[m] * new;
    *max = both;
}

static float *y_of(const Heads *h, int64_t m)
{
    const Attention *op = h->op;
    return row_f32(op->y, h->block->row + m / op->group) + (h->kv_head * op->group + m % op->group) * op->d;
}

typedef struct Merged { float max[ATTEND_QUERIES_MAX], sum[ATTEND_QUERIES_MAX]; } Merged;

static void merge_begin(const Heads *h, Merged *all)
{
    for (int64_t m = 0; m < h->n_queries; m++) {
        all->max[m] = -INFINITY;
        all->sum[m] = 0.0f;
        memset(y_of(h, m), 0, (size_t)h->op->d * sizeof(float));
    }
}

static void merge_piece(const Heads *h, Merged *all, int64_t piece, const Answer *answer)
{
    for (int64_t m = 0; m < h->n_queries; m++) {
        const Range seen = seen_by(h, m / h->op->group, piece);
        if (seen.begin < seen.end) merge(h, y_of(h, m), &all->max[m], &all->sum[m], answer, m);
    }
}

static void merge_end(const Heads *h, const Merged *all)
{
    for (int64_t m = 0; m < h->n_queries; m++)
        h->op->cpu->kernels.scale(y_of(h, m), 1.0f / all->sum[m], (size_t)h->op->d);
}

/* Where the answer of a piece waits for the second sweep. */
static Answer part_of(const Heads *h, int64_t piece)
{
    const Attention *op = h->op;
    const int64_t n_heads = op->n_kv_heads * op->group,
                  unit = h->block->first_part + (piece - first_piece(h->block)) * h->block->n_rows,
                  at = unit * n_heads + h->kv_head * h->n_queries;
    float *sums = op->cpu->parts.sums + 2 * at;
    return (Answer){ .y = op->cpu->parts.answers + at * op->d, .max = sums, .sum = sums + h->n_queries };
}

/* ---- tasks ---- */

/* queries[i][m]: the order in which scores read them, over sqrt(d) already. */
static void take_queries(const Heads *h)
{
    const Attention *op = h->op;
    const float scale = (float)(1.0 / sqrt((double)op->d));
    for (int64_t m = 0; m < h->n_queries; m++) {
        const float *q = row_f32(op->q, h->block->row + m / op->group) +
                         (h->kv_head * op->group + m % op->group) * op->d;
        for (int64_t i = 0; i < op->d; i++) h->s->queries[i * h->n_queries + m] = q[i] * scale;
    }
}

static Heads heads_of(const Attention *op, int64_t task, int worker)
{
    /* The last rows of a prompt see most and come first: what is short fills the gaps at the end. */
    const RowBlock *block = &op->cpu->blocks[op->n_blocks - 1 - task / op->n_kv_heads];
    return (Heads){ .op = op, .block = block, .s = &op->cpu->scratch[worker],
                    .kv_head = task % op->n_kv_heads, .n_queries = block->n_rows * op->group };
}

/* All pieces of a block and key head, merged as they come. */
static void whole_task(void *arg, int64_t task, int worker)
{
    const Heads h = heads_of(arg, task, worker);
    const int64_t first = first_piece(h.block), end = first + n_pieces(h.block);
    float max[ATTEND_QUERIES_MAX], sum[ATTEND_QUERIES_MAX];
    const Answer answer = { .y = h.s->piece, .max = max, .sum = sum };
    Merged all;
    take_queries(&h);
    merge_begin(&h, &all);
    for (int64_t piece = first; piece < end; piece++) {
        answer_piece(&h, piece, piece + 1 < end ? keys_at(&h, (piece + 1) * SPLIT) : NULL, &answer);
        merge_piece(&h, &all, piece, &answer);
    }
    merge_end(&h, &all);
}

/* Some of the pieces, each into a part of its own. */
static void stretch_task(void *arg, int64_t task, int worker)
{
    const Attention *op = arg;
    const Heads h = heads_of(op, task / op->n_stretches, worker);
    const int64_t first = first_piece(h.block), last = first + n_pieces(h.block),
                  begin = first + task % op->n_stretches * op->stretch,
                  end = begin + op->stretch < last ? begin + op->stretch : last;
    if (begin < end) take_queries(&h);
    for (int64_t piece = begin; piece < end; piece++) {
        const Answer answer = part_of(&h, piece);
        answer_piece(&h, piece, piece + 1 < end ? keys_at(&h, (piece + 1) * SPLIT) : NULL, &answer);
    }
}

static void merge_task(void *arg, int64_t task, int worker)
{
    const Heads h = heads_of(arg, task, worker);
    Merged all;
    merge_begin(&h, &all);
    for (int64_t i = 0; i < n_pieces(h.block); i++) {
        const Answer answer = part_of(&h, first_piece(h.block) + i);
        merge_piece(&h, &all, first_piece(h.block) + i, &answer);
    }
    merge_end(&h, &all);
}

/* ---- sharing out ---- */

/* Rows of a block: fewer when threads would go without, or when answers would not fit. */
static int64_t rows_of_blocks(const Attention *op)
{
    const int64_t tasks = (int64_t)op->cpu->host.n_threads * TASKS_PER_THREAD,
                  shares = op->q->rows * op->n_kv_heads / tasks,
                  room = op->cpu->host.limits.n_cols / (op->group * op->d), most = QUERIES / op->group;
    int64_t n = shares < most ? shares : most;
    if (room < n) n = room;
    return n > 1 ? n : 1;
}

static bool goes_on(const KvView *kv, int64_t t)
{
    return kv->pages[t] == kv->pages[t - 1];
}

static void make_blocks(Attention *op)
{
    const int64_t most = rows_of_blocks(op);
    RowBlock *block = op->cpu->blocks - 1;
    for (int64_t t = 0; t < op->q->rows; t++) {
        const int64_t first = kv_first(op->kv, t), end = op->kv->positions[t] + 1;
        if (t == 0 || !goes_on(op->kv, t) || block->n_rows == most)
            *++block = (RowBlock){ .row = t, .begin = first, .end = end };
        if (first < block->begin) block->begin = first;
        if (end > block->end) block->end = end;
        block->n_rows++;
    }
    op->n_blocks = block + 1 - op->cpu->blocks;
}

/* Are there too few blocks, and room for the parts?  Then how many pieces one task takes. */
static bool cut_into_stretches(Attention *op)
{
    const int64_t tasks = (int64_t)op->cpu->host.n_threads * TASKS_PER_THREAD;
    int64_t most = 0, parts = 0, pieces = 0;
    if (op->n_blocks * op->n_kv_heads >= tasks || op->cpu->host.n_threads == 1) return false;
    for (int64_t b = 0; b < op->n_blocks; b++) {
        RowBlock *block = &op->cpu->blocks[b];
        const int64_t n = n_pieces(block);
        block->first_part = parts;
        parts += n * block->n_rows;
        pieces += n * op->n_kv_heads;
        if (n > most) most = n;
    }
    op->stretch = (pieces + tasks - 1) / tasks;
    op->n_stretches = (most + op->stretch - 1) / op->stretch;
    return op->n_stretches > 1 && parts <= op->cpu->parts.room;
}

static void choose_kernels(Attention *op, Format format)
{
    const Kernels *k = &op->cpu->kernels;
    op->score  = format == F32 ? k->score_f32 : format == F16 ? k->score_f16 : k->score_q8_0;
    op->gather = format == F32 ? k->gather_f32 : format == F16 ? k->gather_f16 : k->gather_q8_0;
}

static Status check(const Attention *op, Device *d)
{
    const DeviceLimits *most = &op->cpu->host.limits;
    const int64_t n_heads = op->q->cols / op->d;
    TRY(host_fits(d, "attend", op->q->rows, op->q->cols));
    TRY(kv_check(d, "attend", op->kv, &op->kv->pages[0][0]));
    if (op->group > GROUP_MAX || n_heads > most->n_heads || op->d > most->head_size)
        return fail(&d->error, UNSUPPORTED,
                    "attend: %lld query heads of %lld on %lld key heads; %lld of %lld were reserved, at most %d may "
                    "share",
                    (long long)n_heads, (long long)op->d, (long long)op->n_kv_heads, (long long)most->n_heads,
                    (long long)most->head_size, GROUP_MAX);
    return OK;
}

Status cpu_attend(Device *d, Tensor *y, const Tensor *q, const KvView *kv)
{
    Attention op = { .cpu = (Cpu *)d, .y = y, .q = q, .kv = kv, .d = kv->head_size };
    int64_t seen = 0;
    if (q->rows == 0) return OK;
    op.n_kv_heads = kv->pages[0][0].cols / op.d;
    op.group = q->cols / op.d / op.n_kv_heads;
    TRY(check(&op, d));
    choose_kernels(&op, kv->pages[0][0].format);
    make_blocks(&op);

    for (int64_t t = 0; t < q->rows; t++) seen += kv->positions[t] + 1 - kv_first(kv, t);
    const int64_t work = seen * 2 * q->cols, n_tasks = op.n_blocks * op.n_kv_heads;
    if (cut_into_stretches(&op)) {
        cpu_run(op.cpu, stretch_task, &op, n_tasks * op.n_stretches, work);
        cpu_run(op.cpu, merge_task, &op, n_tasks, work / 64);
    } else {
        cpu_run(op.cpu, whole_task, &op, n_tasks, work);
    }
    return OK;
}
