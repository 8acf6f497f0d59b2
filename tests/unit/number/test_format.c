/* SPDX-License-Identifier: Apache-2.0
 * The table of formats: ids, sizes and names agree with the file format, and with each other. */
#include "support.h"

#include "number/format.h"

static void rows_are_those_of_the_file_format(void **state)
{
    (void)state;
    static const struct { const char *name; int id, values, bytes;
    } want[] = {
        {"F32", 0, 1, 4},       {"F16", 1, 1, 2},       {"BF16", 30, 1, 2},
        {"Q4_0", 2, 32, 18},    {"Q4_1", 3, 32, 20},    {"Q5_0", 6, 32, 22},
        {"Q5_1", 7, 32, 24},    {"Q8_0", 8, 32, 34},    {"Q2_K", 10, 256, 84},
        {"Q3_K", 11, 256, 110}, {"Q4_K", 12, 256, 144}, {"Q5_K", 13, 256, 176},
        {"Q6_K", 14, 256, 210},
    };
    assert_int_equal(ARRAY_LEN(want), N_FORMATS);
    for (int i = 0; i < ARRAY_LEN(want); i++) {
        Format by_name, by_id;
        assert_true(format_from_name(want[i].name, &by_name));
        assert_true(format_from_gguf((uint32_t)want[i].id, &by_id));
        assert_int_equal(by_name, by_id);
        const FormatInfo *got = &format_info[by_name];
        assert_string_equal(got->name, want[i].name);
        assert_int_equal(got->gguf_id, want[i].id);
        assert_int_equal(got->block_values, want[i].values);
        assert_int_equal(got->block_bytes, want[i].bytes);
        assert_string_equal(gguf_type_name((uint32_t)want[i].id), want[i].name);
        assert_non_null(got->decode);
        assert_non_null(got->encode);
        assert_non_null(got->draw);
    }
    assert_int_equal(format_row_bytes(Q4_K, 4096), 2304);
}

static void names_in_either_case_and_nothing_else(void **state)
{
    (void)state;
    Format format;
    assert_true(format_from_name("q4_k", &format) && format == Q4_K);
    assert_true(format_from_name("bf16", &format) && format == BF16);
    static const char *const wrong[] = { "", "Q4", "Q4_K ", "Q4_K_M", "IQ2_XXS", "Q8_1" };
    for (int i = 0; i < ARRAY_LEN(wrong); i++) assert_false(format_from_name(wrong[i], &format));
}

static void types_we_cannot_read_still_have_names(void **state)
{
    (void)state;
    Format format;
    assert_false(format_from_gguf(16, &format));
    assert_string_equal(gguf_type_name(16), "IQ2_XXS");
    assert_string_equal(gguf_type_name(4), "Q4_2");
    assert_string_equal(gguf_type_name(24), "I8");
    assert_string_equal(gguf_type_name(35), "TQ2_0");
    assert_string_equal(gguf_type_name(39), "MXFP4");
    for (uint32_t id = 0; id < 40; id++) assert_non_null(gguf_type_name(id));
    assert_null(gguf_type_name(40));
    assert_null(gguf_type_name(UINT32_MAX));
    assert_false(format_from_gguf(UINT32_MAX, &format));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_those_of_the_file_format),
        cmocka_unit_test(names_in_either_case_and_nothing_else),
        cmocka_unit_test(types_we_cannot_read_still_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
