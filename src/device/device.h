/* SPDX-License-Identifier: Apache-2.0
 * device/device.h - a place where tensors live and arithmetic happens.
 *
 * The model speaks to a device in tensors and never sees a stream or a thread.  Each device is one
 * table of functions: ref (one thread, plain loops, sums in double: the oracle of every op) and cpu
 * (threads and SIMD kernels).
 *
 * Order    Calls on one device happen in the order they were made; a call may return before its
 *          work is done.  wait() returns when all of it is.
 * Shapes   Written outermost first, as in the comments: [T][D] is T rows of D numbers.
 * Bits     Each output number is a function of its own inputs only, added up in a fixed order: it does not
 *          depend on T, on the other rows, or on the number of threads (decision D1).
 * Memory   alloc and the two reserves may fail; after them no op allocates.
 * Errors   An op returns OK or a code; device->error holds the words.
 */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include "number/format.h"

typedef struct Device Device;
typedef struct Profile Profile;

/* How the rows of a matrix lie: one after another, or as the device's products want its weights. */
typedef enum Layout { LAYOUT_ROWS, LAYOUT_WEIGHT } Layout;

typedef struct Tensor {
    Format  format;
    Layout  layout;
    int64_t rows, cols;         /* a matrix; rows == 1 is a vector                         */
    int64_t row_bytes;          /* from one row to the next; of a weight: one row's share  */
    Device *device;
    void   *handle;             /* an address in the device's memory, not always the host's */
    const char *role;           /* what a weight is for, in a profile ("router"); NULL: no weight */
} Tensor;

/* Rows [first, first + rows) of a tensor, as a tensor; borrowed. */
static inline Tensor tensor_rows(const Tensor *t, int64_t first, int64_t rows)
{
    Tensor view = *t;
    view.rows = rows;
    view.handle = (char *)t->handle + first * t->row_bytes;
    return view;
}

typedef enum RopePairs { PAIRS_ADJACENT, PAIRS_HALVES } RopePairs;     /* (0,1)(2,3).. or (0,n/2)(1,n/2+1).. */

/* Rotary embedding of one model.  Angle of pair i at position p: p * base^(-2i / n_turned). */
typedef struct Rope {
    int       head_size;        /* d                                                       */
    int       n_turned;         /* first numbers of a head that turn; even, <= d           */
    double    base;
    RopePairs pairs;
} Rope;

typedef struct Norm { Tensor gain /* [1][D] F32 */; float eps; } Norm;          /* RMS norm */

/* One expert's three matrices: y = down * (silu(gate*x) * (up*x)). */
typedef struct Expert { Tensor gate /* [F][D] */, up /* [F][D] */, down /* [D][F] */; } Expert;

/* What an adapter adds beside a matrix [N][D]: y += (x * a^T) * b^T.  Weights in F32 with r rows and r columns, the
 * rank; whatever scales the answer is in b.  { 0 }: there is none. */
typedef struct LowRank { Tensor a /* [r][D] */, b /* [N][r] */; } LowRank;

static inline bool adapts(const LowRank *low) { return low->a.rows > 0; }

typedef struct ExpertLowRank { LowRank gate, up, down; } ExpertLowRank;

/* The rows one expert serves in a step: it reads x[rows[i]] and writes parts[slots[i]], i < n. */
typedef struct ExpertJob {
    Expert         expert;
    const ExpertLowRank *low;   /* of its adapters; NULL: none                             */
    const int32_t *rows, *slots;
    int            n;
} ExpertJob;

/* Keys and values of one layer, as the rows of a step see them.  A page is a tensor [L*2*P][K] that
 * holds P consecutive positions of one sequence for every layer; layer l keeps its keys in rows
 * k_row .. k_row+P-1 and its values in rows v_row .. v_row+P-1. */
typedef struct KvView {
    const Tensor *const *pages; /* [T] row t's sequence: its pages, in order of position   */
    const int32_t *positions;   /* [T] row t's own position                                */
    int64_t        k_row, v_row;
    int            page_tokens; /* P                                                       */
    int            head_size;   /* d                                                       */
    int            window;      /* row at i sees key j when j <= i and i - j < window; 0: all */
} KvView;

/* The largest step an engine will ask for. */
typedef struct DeviceLimits {
    int64_t n_tokens;           /* T                                                       */
    int64_t n_cols;             /* longest row of any weight                               */
    int64_t n_width;            /* D, what experts read                                    */
    int64_t n_hidden;           /* F, the widest expert                                    */
    int64_t n_used;             /* U: an expert op serves at most T rows, all together T*U */
    int64_t n_heads, head_size; /* of queries: H, d                                        */
    int64_t n_rank;             /* the largest of an adapter; 0: there are none            */
} DeviceLimits;

enum { ROOM_ALIGN = 2 << 20 };           /* a huge page                                     */

/* T tokens in the step, D width, N outputs, U experts used per token. */
typedef struct DeviceOps {
    const char *name;

    /* memory */
    Status (*alloc)   (Device *d, Format format, int64_t rows, int64_t cols, Tensor *out);
    void   (*free)    (Device *d, Tensor *t);           /* { 0 } is fine                   */
    void  *(*host)    (Device *d, const Tensor *t);     /* its bytes, if the host can touch them; else NULL */
    Status (*upload)  (Device *d, Tensor *to, const void *from, size_t n_bytes);
    Status (*download)(Device *d, void *to, const Tensor *from, size_t n_bytes);
    /* A weight is a matrix that products read: room for one, and rows [first, first + n) of it from what a
     * file holds.  The device arranges them as it likes.  `first` is a multiple of fill_rows; threads may fill
     * different rows at the same time. */
    Status (*alloc_weight)(Device *d, Format format, int64_t rows, int64_t cols, Tensor *out);
    Status (*fill)    (Device *d, Tensor *to, int64_t first, int64_t n, const void *rows);
    int64_t fill_rows;
    /* Weights that come and go: a room is one range of addresses, from a multiple of ROOM_ALIGN on, in which memory is
     * taken where something is written, and given up by clear_room (multiples of 4096 again); what stood there is lost.
     * move_room takes the memory behind one part to another part that has none: cheaper than giving it up and taking
     * other, which must be cleared first.  Both parts' contents are lost.
     * place_weight sees a weight in weight_bytes of it, from a multiple of 64 on; such a one is not freed. */
    Status (*alloc_room)  (Device *d, int64_t n_bytes, void **out);
    void   (*clear_room)  (Device *d, void *at, int64_t n_bytes);
    void   (*move_room)   (Device *d, void *from, void *to, int64_t n_bytes);
    void   (*free_room)   (Device *d, void *room, int64_t n_bytes);     /* NULL is fine    */
    int64_t (*weight_bytes)(Format format, int64_t rows, int64_t cols);
    Status (*place_weight)(Device *d, Format format, int64_t rows, int64_t cols, void *at, Tensor *out);
    Status (*reserve) (Device *d, const DeviceLimits *limits);
    /* After reserve: room to attend over sequences of so many positions.  It only grows; what was there stays when
     * it cannot. */
    Status (*reserve_context)(Device *d, int64_t n_positions);
    Status (*wait)    (Device *d);
    void   (*close)   (Device *d);

    /* y[t] = table[tokens[t]], y F32, table a weight in any format; tokens are in range */
    Status (*embed)   (Device *d, Tensor *y, const Tensor *table, const int32_t *tokens, int n);
    Status (*norm)    (Device *d, Tensor *y, const Tensor *x, const Norm *norm);        /* y may be x */
    /* y[i][T][N_i] = x[T][D] * w[i][N_i][D]^T for i < n: several weights that read the same x */
    Status (*project) (Device *d, Tensor *const y[], const Tensor *x, const Tensor *const w[], int n);
    Status (*add)     (Device *d, Tensor *y, const Tensor *x);                          /* y += x */
    /* y[T][N] += (x[T][D] * a^T) * b^T */
    Status (*adapt)   (Device *d, Tensor *y, const Tensor *x, const LowRank *low);
    Status (*rope)    (Device *d, Tensor *x, const int32_t *positions, const Rope *rope);
    /* k[t], v[t] -> the cache at positions[t] of row t's sequence */
    Status (*kv_write)(Device *d, const KvView *kv, const Tensor *k, const Tensor *v);
    /* y[t] = softmax(q[t] . keys / sqrt(d)) * values, over the positions row t sees; query head h uses key
     * head h / (H / K) */
    Status (*attend)  (Device *d, Tensor *y, const Tensor *q, const KvView *kv);
    /* every job: parts[slots[i]] = expert(x[rows[i]]), each of its products adapted */
    Status (*experts) (Device *d, Tensor *parts, const Tensor *x, const ExpertJob *jobs, int n_jobs);
    /* y[t] = sum over j of weights[t*U + j] * parts[t*U + j], j ascending */
    Status (*combine) (Device *d, Tensor *y, const Tensor *parts, const float *weights, int n_used);
    /* y[i] = x[rows[i]] */
    Status (*pick)    (Device *d, Tensor *y, const Tensor *x, const int32_t *rows, int n);
} DeviceOps;

struct Device {
    const DeviceOps *ops;
    Error            error;
    Profile         *profile;   /* NULL: nobody asked where the time goes; see profile.h   */
};

typedef struct DeviceOptions {
    int         n_threads;      /* 0: one per core we may run on                           */
    const char *cpu_set;        /* "ref", "avx2", "avx512"; NULL: the best there is        */
} DeviceOptions;

/* "ref" or "cpu"; BAD_ARGUMENT names those that exist. */
Status device_open(const char *name, const DeviceOptions *options, Device **out, Error *error);
void   device_close(Device *device);            /* NULL is fine                            */
/* What reserve and reserve_context of such a device would take: the same code, counting instead of taking.
 * INT64_MAX when the sizes are absurd, 0 for a device that does not exist. */
int64_t device_work_bytes(const char *name, const DeviceLimits *limits, int n_threads, int64_t n_positions);
/* The set actually in use ("avx2"), for people. */
const char *device_cpu_set(const Device *device);
int         device_n_threads(const Device *device);

#endif
