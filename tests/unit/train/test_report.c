/* SPDX-License-Identifier: Apache-2.0
 * The page: whole, harmless whatever things are called, of bounded size however long the run was. */
#include "train/report.h"

#include "base/io.h"
#include "support.h"

#include <math.h>

enum { L = 3, E = 4 };

static char *page_of(int64_t n_steps, const char *title, bool pairs, double loss, size_t *n_bytes)
{
    char path[512], *text;
    int64_t uses[L * E];
    double entropy[L] = { 1, 1.2, 1.3 };
    Curves c;
    DataHeld held[2] = { { .path = "/x/<b>&\"held\".txt" }, { .path = "two.txt" } };
    const Sizes sizes = { .n_layers = L, .width = 8, .n_experts = E, .n_used = 2, .n_vocab = 16 };
    Error error = { 0 };
    assert_int_equal(curves_new(L, E, 2, &c, NULL), OK);
    for (int i = 0; i < L * E; i++) uses[i] = i;
    for (int64_t step = 1; step <= n_steps; step++) {
        const double at = (double)step, row[STEP_COLUMNS] = { at, at * 10, at, loss / at, 1e-3, 1, 1 };
        const NetReport report = { .n_targets = 10, .loss = 30, .n_rows = 10, .uses = uses, .entropy = entropy };
        assert_int_equal(curves_step(&c, row, &report, NULL), OK);
        if (step % 3 == 0)
            assert_int_equal(curves_mark(&c, step, step * 10, 1, (double[]){ loss, 1.5, 2, 1.6, 2.1, 1.7 }, NULL), OK);
    }
    const Report r = { .title = title, .curves = &c, .held = held, .sizes = &sizes, .n_used = 2, .n_steps = n_steps,
                       .n_values = 1000, .settings = "[a] b = <script>\n", .pairs = pairs };
    snprintf(path, sizeof path, "%s/report.html", test_scratch());
    if (report_write(path, NULL, &r, &error) != OK) fail_msg("%s", error.text);
    assert_int_equal(file_slurp(path, 1 << 28, &text, n_bytes, &error), OK);
    curves_free(&c);
    return text;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, part)); at++) n++;
    return n;
}

static void check(const char *text)
{
    assert_int_equal(count(text, "<svg"), count(text, "</svg>"));
    assert_int_equal(count(text, "<figure"), count(text, "</figure>"));
    assert_int_equal(count(text, "<main>"), count(text, "</main>"));
    assert_int_equal(count(text, "<table>"), count(text, "</table>"));
    assert_int_equal(count(text, "<script"), 0);
    assert_int_equal(count(text, "http"), 0);
    assert_int_equal(count(text, "nan"), 0);
    assert_int_equal(count(text, "inf"), 0);
}

static void test_page(void **state)
{
    (void)state;
    size_t n;
    char *text = page_of(30, "<img src=x> & \"more\"", false, 3, &n);
    check(text);
    assert_non_null(strstr(text, "&lt;img src=x&gt; &amp; &quot;more&quot;"));
    assert_non_null(strstr(text, "&lt;b&gt;&amp;&quot;held&quot;.txt"));
    assert_null(strstr(text, "<img"));
    assert_non_null(strstr(text, "layer 2"));
    assert_non_null(strstr(text, "bits per byte"));
    free(text);
    text = page_of(30, "pairs", true, 0.7, &n);
    check(text);
    assert_null(strstr(text, "bits per byte"));
    assert_non_null(strstr(text, "per pair of answers"));
    free(text);
}

static void test_sizes(void **state)
{
    (void)state;
    static const int64_t lengths[] = { 0, 1, 2, 3, 100, 20000 };
    for (int i = 0; i < ARRAY_LEN(lengths); i++) {
        size_t n;
        char *text = page_of(lengths[i], "t", false, 2, &n);
        check(text);
        if (n > 400000) fail_msg("%d steps: a page of %zu bytes", (int)lengths[i], n);
        free(text);
    }
}

/* A loss that went astray leaves a page all the same. */
static void test_no_numbers(void **state)
{
    (void)state;
    size_t n;
    char *text = page_of(9, "t", false, 1e300, &n);
    assert_non_null(strstr(text, "</html>"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page), cmocka_unit_test(test_sizes), cmocka_unit_test(test_no_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
