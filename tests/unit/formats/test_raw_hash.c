#include "formats/raw/hash.h"

#include "formats/raw/digest.h"
#include "tests/support/unit.h"

static void pieces_of_every_size_give_the_digest_of_the_whole(void **state)
{
    uint8_t bytes[300], whole[SG_DIGEST_BYTES_MAX], pieces[SG_DIGEST_BYTES_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    for (unsigned alg = SG_DIGEST_UNSET + 1; alg < SG_DIGEST_COUNT; alg++) {
        size_t len = sg_digest_len((enum sg_digest_alg)alg);
        print_message("  %s\n", sg_digest_name((enum sg_digest_alg)alg));
        assert_int_equal(
            sg_digest_of((enum sg_digest_alg)alg, sg_slice_of(bytes, sizeof(bytes)), whole, NULL),
            SG_OK);
        for (size_t step = 1; step <= sizeof(bytes); step += 13) {
            SG_AUTO(sg_hash_free) struct sg_hash *hash = NULL;
            struct sg_slice rest = {bytes, sizeof(bytes)};
            assert_int_equal(sg_hash_new((enum sg_digest_alg)alg, &hash, NULL), SG_OK);
            while (rest.len > 0)
                assert_int_equal(
                    sg_hash_add(hash, sg_slice_take(&rest, rest.len < step ? rest.len : step),
                                NULL),
                    SG_OK);
            assert_int_equal(sg_hash_finish(hash, pieces, NULL), SG_OK);
            assert_memory_equal(whole, pieces, len);
        }
    }
}

static void nothing_has_the_well_known_digest(void **state)
{
    /* FIPS 180-4 gives none of the empty message; this is what every implementation says. */
    static const uint8_t expected[4] = {0xe3, 0xb0, 0xc4, 0x42};
    SG_AUTO(sg_hash_free) struct sg_hash *hash = NULL;
    uint8_t out[SG_DIGEST_BYTES_MAX];

    (void)state;
    assert_int_equal(sg_hash_new(SG_DIGEST_SHA256, &hash, NULL), SG_OK);
    assert_int_equal(sg_hash_finish(hash, out, NULL), SG_OK);
    assert_memory_equal(out, expected, sizeof(expected));
}

static void no_algorithm_is_unsupported(void **state)
{
    struct sg_hash *hash = NULL;

    (void)state;
    assert_int_equal(sg_hash_new(SG_DIGEST_UNSET, &hash, NULL), SG_E_UNSUPPORTED);
    assert_int_equal(sg_hash_new((enum sg_digest_alg)99, &hash, NULL), SG_E_UNSUPPORTED);
    assert_null(hash);
    sg_hash_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_every_size_give_the_digest_of_the_whole),
        cmocka_unit_test(nothing_has_the_well_known_digest),
        cmocka_unit_test(no_algorithm_is_unsupported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
