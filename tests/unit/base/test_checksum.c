/* SPDX-License-Identifier: Apache-2.0
 * Checksums are part of file formats: what they say of known bytes never changes. */
#include "tests/support.h"

#include "base/checksum.h"

/* Source of the values: xxhsum -H3 0.8.1 of the same bytes. */
static void known_answers(void **state)
{
    (void)state;
    char bytes[1000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 7 + 3);
    assert_true(checksum("", 0) == 0x2d06800538d394c2u);
    assert_true(checksum("abc", 3) == 0x78af5f94892f3950u);
    assert_true(checksum(bytes, 200) == 0x746cd0025327bf5bu);
    assert_true(checksum(bytes, 1000) == 0x6c4f14bd97bd9e82u);
}

/* Long ones: pieces of a MiB, the last one shorter, by definition and by the two ways to get there. */
static void pieces(void **state)
{
    (void)state;
    static const size_t lengths[] = { 0, 1, CHECKSUM_PIECE_BYTES - 1, CHECKSUM_PIECE_BYTES, CHECKSUM_PIECE_BYTES + 1,
                                      3 * CHECKSUM_PIECE_BYTES + 4096 };
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        char *bytes = malloc(lengths[l] + 1);
        uint64_t sums[8];
        for (size_t i = 0; i < lengths[l]; i++) bytes[i] = (char)(i % 251);
        const size_t n = checksum_n_pieces(lengths[l]);
        for (size_t i = 0; i < n; i++) {
            const size_t at = i * CHECKSUM_PIECE_BYTES, left = lengths[l] - at;
            sums[i] = checksum(bytes + at, left < CHECKSUM_PIECE_BYTES ? left : CHECKSUM_PIECE_BYTES);
        }
        assert_true(checksum_long(bytes, lengths[l]) == checksum(sums, n * sizeof *sums));
        assert_true(checksum_long(bytes, lengths[l]) == checksum_of_pieces(sums, lengths[l]));
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(known_answers), cmocka_unit_test(pieces) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
