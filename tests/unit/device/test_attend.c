/* SPDX-License-Identifier: Apache-2.0
 * Attention over more than one piece of the cache: the same bytes for a prompt at once and token by token, for any
 * number of threads, beside other sequences, for every cache; near device ref; and what is refused.
 *
 * 1100 positions are three pieces, of which threads take stretches when there are few rows. */
#include "../../support.h"

#include "device/device.h"

#include <math.h>

enum { POSITIONS = 1100, PAGE = 64, N_PAGES = (POSITIONS + PAGE - 1) / PAGE, N_SEQUENCES = 2, PROMPT = 70 };

typedef struct Shape { int n_kv_heads, group, head_size; } Shape;

/* One layer's cache of two sequences, and the last PROMPT queries of each. */
typedef struct Past {
    Device *d;
    Shape   shape;
    Format  format;
    int     window;
    Tensor  pages[N_SEQUENCES][N_PAGES];
    float  *kv, *q;             /* [sequence][POSITIONS][2][K], [sequence][PROMPT][H]       */
} Past;

static int keys_width(const Past *p)  { return p->shape.n_kv_heads * p->shape.head_size; }
static int query_width(const Past *p) { return keys_width(p) * p->shape.group; }

#define MUST(call)                                                                                 \
    do {                                                                                           \
        if ((call) != OK) fail_msg("%s: %s", #call, p->d->error.text);                             \
    } while (0)

static float *random_floats(int64_t n, uint64_t seed)
{
    Rng rng = { seed };
    float *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = (float)(4.0 * rng_unit(&rng) - 2.0);
    return x;
}

static Tensor tensor_of(Past *p, Format format, int64_t rows, int64_t cols, const float *x)
{
    Tensor t;
    MUST(p->d->ops->alloc(p->d, format, rows, cols, &t));
    if (x) MUST(p->d->ops->upload(p->d, &t, x, (size_t)(rows * t.row_bytes)));
    return t;
}

static KvView view_of(const Past *p)
{
    return (KvView){ .k_row = 0, .v_row = PAGE, .page_tokens = PAGE, .head_size = p->shape.head_size,
                     .window = p->window };
}

static void remember(Past *p, int sequence)
{
    const int n = keys_width(p);
    const Tensor *pages[1] = { p->pages[sequence] };
    for (int32_t j = 0; j < POSITIONS; j++) {
        const float *from = p->kv + (int64_t)(sequence * POSITIONS + j) * 2 * n;
        Tensor k = tensor_of(p, F32, 1, n, from), v = tensor_of(p, F32, 1, n, from + n);
        KvView to = view_of(p);
        to.pages = pages;
        to.positions = &j;
        MUST(p->d->ops->kv_write(p->d, &to, &k, &v));
        p->d->ops->free(p->d, &k);
        p->d->ops->free(p->d, &v);
    }
}

static Past past_new(const char *device, const char *set, int n_threads, Shape shape, Format format, int window,
                     float bad_value)
{
    Past past = { .shape = shape, .format = format, .window = window }, *p = &past;
    Error error;
    const DeviceOptions options = { .n_threads = n_threads, .cpu_set = set };
    if (device_open(device, &options, &p->d, &error) != OK) fail_msg("%s", error.text);
    MUST(p->d->ops->reserve(p->d, &(DeviceLimits){
        .n_tokens = N_SEQUENCES * PROMPT, .n_cols = 8 * query_width(p), .n_width = 32, .n_hidden = 32, .n_used = 1,
        .n_heads = shape.n_kv_heads * shape.group, .head_size = shape.head_size }));
    MUST(p->d->ops->reserve_context(p->d, POSITIONS));
    p->kv = random_floats((int64_t)N_SEQUENCES * POSITIONS * 2 * keys_width(p), 7);
    p->q = random_floats((int64_t)N_SEQUENCES * PROMPT * query_width(p), 8);
    p->kv[(int64_t)(POSITIONS - 20) * 2 * keys_width(p) + keys_width(p)] = bad_value;
    for (int s = 0; s < N_SEQUENCES; s++) {
        for (int i = 0; i < N_PAGES; i++) p->pages[s][i] = tensor_of(p, format, 2 * PAGE, keys_width(p), NULL);
        remember(p, s);
    }
    return past;
}

static void past_free(Past *p)
{
    for (int s = 0; s < N_SEQUENCES; s++)
        for (int i = 0; i < N_PAGES; i++) p->d->ops->free(p->d, &p->pages[s][i]);
    device_close(p->d);
    free(p->kv);
    free(p->q);
}

/* The last PROMPT rows of the first n_sequences sequences, `at_once` of each in a step; y[sequence][PROMPT][H]. */
static float *answers(Past *p, int n_sequences, int at_once)
{
    const int width = query_width(p);
    float *y = malloc(sizeof *y * (size_t)(N_SEQUENCES * PROMPT * width));
    for (int first = 0; first < PROMPT; first += at_once) {
        const int n = PROMPT - first < at_once ? PROMPT - first : at_once;
        const Tensor *pages[N_SEQUENCES * PROMPT];
        int32_t positions[N_SEQUENCES * PROMPT];
        Tensor q = tensor_of(p, F32, n_sequences * n, width, NULL),
               out = tensor_of(p, F32, n_sequences * n, width, NULL);
        float *rows = malloc(sizeof *rows * (size_t)(n_sequences * n * width));
        for (int s = 0; s < n_sequences; s++)
            for (int i = 0; i < n; i++) {
                pages[s * n + i] = p->pages[s];
                positions[s * n + i] = POSITIONS - PROMPT + first + i;
                memcpy(rows + (s * n + i) * width, p->q + (s * PROMPT + first + i) * width,
                       (size_t)width * sizeof *rows);
            }
        KvView view = view_of(p);
        view.pages = pages;
        view.positions = positions;
        MUST(p->d->ops->upload(p->d, &q, rows, (size_t)(q.rows * q.row_bytes)));
        MUST(p->d->ops->attend(p->d, &out, &q, &view));
        MUST(p->d->ops->wait(p->d));
        MUST(p->d->ops->download(p->d, rows, &out, (size_t)(out.rows * out.row_bytes)));
        for (int s = 0; s < n_sequences; s++)
            memcpy(y + (s * PROMPT + first) * width, rows + s * n * width, (size_t)(n * width) * sizeof *y);
        free(rows);
        p->d->ops->free(p->d, &q);
        p->d->ops->free(p->d, &out);
    }
    return y;
}

static const Shape shapes[] = { { 2, 4, 32 }, { 1, 1, 64 }, { 3, 3, 40 }, { 2, 8, 96 } };
static const Format caches[] = { F16, F32, Q8_0 };

static bool fits(Format format, const Shape *shape)
{
    return shape->head_size % format_info[format].block_values == 0;
}

/* Of sequence 0 in company of n_sequences - 1 others. */
static void same(Past *p, const float *want, int n_sequences, int at_once)
{
    float *got = answers(p, n_sequences, at_once);
    for (int i = 0; i < PROMPT * query_width(p); i++)
        if (memcmp(&want[i], &got[i], sizeof *got))
            fail_msg("cache %s, %d heads of %d, window %d, %d rows at once, %d sequences: row %d number %d: want %.9g "
                     "got %.9g", format_info[p->format].name, p->shape.n_kv_heads * p->shape.group,
                     p->shape.head_size, p->window, at_once, n_sequences, i / query_width(p), i % query_width(p),
                     (double)want[i], (double)got[i]);
    free(got);
}

static void bytes_depend_on_neither_company_nor_threads(void **state)
{
    (void)state;
    static const int n_threads[] = { 2, 5, 16 }, windows[] = { 0, 600 };
    for (int k = 0; k < ARRAY_LEN(shapes) * ARRAY_LEN(caches) * ARRAY_LEN(windows); k++) {
        const Shape shape = shapes[k % 4];
        const Format format = caches[k / 4 % 3];
        if (!fits(format, &shape)) continue;
        Past one = past_new("cpu", NULL, 1, shape, format, windows[k / 12], 1.0f);
        float *want = answers(&one, 1, 1);
        same(&one, want, 1, PROMPT);
        same(&one, want, 2, 7);
        past_free(&one);
        for (int i = 0; i < ARRAY_LEN(n_threads); i++) {
            Past more = past_new("cpu", NULL, n_threads[i], shape, format, windows[k / 12], 1.0f);
            same(&more, want, 1, 1);                    /* stretches                            */
            same(&more, want, 1, 3);
            same(&more, want, 2, PROMPT);
            past_free(&more);
        }
        free(want);
    }
}

/* Weights add up to 1, so an answer is off by what the weights are relatively, times the largest value: the bound of
 * test_cpu.c with |q|, |k|, |v| <= 2.02 (Q8_0 rounds by at most 1/254). */
static void near_device_ref(void **state)
{
    (void)state;
    for (int k = 0; k < ARRAY_LEN(shapes) * ARRAY_LEN(caches); k++) {
        const Shape shape = shapes[k % 4];
        const Format format = caches[k / 4];
        if (!fits(format, &shape)) continue;
        Past a = past_new("ref", NULL, 1, shape, format, k % 2 ? 600 : 0, 1.0f),
             b = past_new("cpu", NULL, 2, shape, format, k % 2 ? 600 : 0, 1.0f);
        float *want = answers(&a, 1, PROMPT), *got = answers(&b, 1, PROMPT);
        const double d = shape.head_size, u = 0x1p-24, size = 2.02 * 2.02 * sqrt(d);
        const double delta = (d + d / 32 + 3) * u * size;
        const double bound = 2.02 * (2 * (2 * delta + 2 * (2.5 + size) * u) + (POSITIONS + 6 * 36 + 5) * u);
        for (int i = 0; i < PROMPT * query_width(&a); i++)
            if (!(fabs((double)want[i] - (double)got[i]) <= bound))
                fail_msg("cache %s, head size %d, number %d: want %.9g got %.9g, off by %.3g, allowed %.3g",
                         format_info[format].name, shape.head_size, i, (double)want[i], (double)got[i],
                         fabs((double)want[i] - (double)got[i]), bound);
        free(want);
        free(got);
        past_free(&a);
        past_free(&b);
    }
}

/* Rows before it do not see position POSITIONS - 20, even when they go over the cache with rows that do. */
static void a_bad_value_stays_with_those_who_see_it(void **state)
{
    (void)state;
    static const float bad[] = { NAN, INFINITY };
    for (int k = 0; k < 6; k++) {
        if (caches[k % 3] == Q8_0) continue;            /* holds bytes, none of which is infinite */
        const Shape shape = shapes[0];
        Past good = past_new("cpu", NULL, 2, shape, caches[k % 3], 0, 1.0f),
             spoilt = past_new("cpu", NULL, 2, shape, caches[k % 3], 0, bad[k / 3]);
        float *want = answers(&good, 1, PROMPT), *got = answers(&spoilt, 1, PROMPT);
        const int width = query_width(&good);
        for (int r = 0; r < PROMPT; r++) {
            const bool sees = r >= PROMPT - 20;
            assert_int_equal(memcmp(want + r * width, got + r * width, (size_t)width * sizeof *got) != 0, sees);
            assert_int_equal(!isfinite(got[r * width]), sees);
        }
        free(want);
        free(got);
        past_free(&good);
        past_free(&spoilt);
    }
}

static void heads_that_are_not_whole_blocks_are_refused(void **state)
{
    (void)state;
    static const char *const kinds[] = { "ref", "cpu" };
    for (int i = 0; i < ARRAY_LEN(kinds); i++) {
        Past past = { .shape = { 4, 1, 40 } }, *p = &past;
        const int32_t position = 0;
        assert_int_equal(device_open(kinds[i], &(DeviceOptions){ .n_threads = 1 }, &p->d, NULL), OK);
        MUST(p->d->ops->reserve(p->d, &(DeviceLimits){ .n_tokens = 1, .n_cols = 160, .n_width = 32, .n_hidden = 32,
                                                       .n_used = 1, .n_heads = 4, .head_size = 40 }));
        Tensor page = tensor_of(p, Q8_0, 2 * PAGE, 160, NULL), k = tensor_of(p, F32, 1, 160, NULL);
        const Tensor *pages[1] = { &page };
        KvView view = view_of(p);
        view.pages = pages;
        view.positions = &position;
        assert_int_equal(p->d->ops->kv_write(p->d, &view, &k, &k), UNSUPPORTED);
        assert_string_equal(p->d->error.text,
                            "kv_write: cache of Q8_0: expected heads of a multiple of 32 numbers, found 40");
        p->d->ops->free(p->d, &page);
        p->d->ops->free(p->d, &k);
        device_close(p->d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_depend_on_neither_company_nor_threads),
        cmocka_unit_test(near_device_ref),
        cmocka_unit_test(a_bad_value_stays_with_those_who_see_it),
        cmocka_unit_test(heads_that_are_not_whole_blocks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
