#include "formats/seal/seal.h"
#include "tests/support/unit.h"

static const uint8_t key[SG_SEAL_KEY_BYTES] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                               11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                               22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
static const struct sg_slice context = SG_SLICE("what it is for");
static const struct sg_slice plain = SG_SLICE("what is sealed");

struct test {
    struct sg_seal *seal;
    struct sg_buf sealed, opened;
};

static int setup(void **state)
{
    struct test *test = calloc(1, sizeof(*test));
    sg_buf_init(&test->sealed, SG_SEAL_OVERHEAD + SG_SEAL_BYTES_MAX);
    sg_buf_init(&test->opened, SG_SEAL_BYTES_MAX);
    assert_int_equal(sg_seal_new(key, "for a test", &test->seal, NULL), SG_OK);
    assert_int_equal(sg_seal_close(test->seal, context, plain, &test->sealed, NULL), SG_OK);
    *state = test;
    return 0;
}

static int teardown(void **state)
{
    struct test *test = *state;
    sg_buf_done(&test->sealed);
    sg_buf_done(&test->opened);
    sg_seal_free(test->seal);
    free(test);
    return 0;
}

/* By python3-cryptography: AESSIV(HMAC-SHA512(key, "for a test" 01)). */
static void the_seal_is_that_of_rfc_5297_by_a_key_of_rfc_5869(void **state)
{
    static const uint8_t wanted[] = {0xe1, 0xdb, 0xfd, 0x15, 0x18, 0x29, 0xfa, 0x35, 0xf6, 0x63,
                                     0x6d, 0x35, 0x1b, 0x31, 0x10, 0x37, 0x39, 0xe7, 0xa6, 0x74,
                                     0x19, 0x96, 0x5d, 0xaa, 0x88, 0x0c, 0xfa, 0x0e, 0xd8, 0xb8};
    struct test *test = *state;

    assert_slice_equal(sg_buf_slice(&test->sealed), sg_slice_of(wanted, sizeof(wanted)));
}

static void what_was_sealed_is_opened_and_each_time_the_seal_is_the_same(void **state)
{
    struct test *test = *state;
    struct sg_slice sealed = sg_buf_slice(&test->sealed);
    struct sg_buf again;

    assert_int_equal(sg_seal_open(test->seal, context, sealed, &test->opened, NULL), SG_OK);
    assert_slice_equal(sg_buf_slice(&test->opened), plain);
    sg_buf_init(&again, 100);
    assert_int_equal(sg_seal_close(test->seal, context, plain, &again, NULL), SG_OK);
    assert_slice_equal(sg_buf_slice(&again), sealed);
    sg_buf_done(&again);
}

static void assert_closed(struct test *test, const struct sg_seal *seal, struct sg_slice for_what,
                          struct sg_slice sealed)
{
    assert_int_equal(sg_seal_open(seal, for_what, sealed, &test->opened, NULL), SG_E_INVALID);
    assert_int_equal(test->opened.len, 0);
}

static void each_bit_counts(void **state)
{
    struct test *test = *state;

    for (size_t bit = 0; bit < 8 * test->sealed.len; bit++) {
        test->sealed.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_closed(test, test->seal, context, sg_buf_slice(&test->sealed));
        test->sealed.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void what_is_cut_or_longer_is_none(void **state)
{
    struct test *test = *state;

    for (size_t len = 0; len < test->sealed.len; len++)
        assert_closed(test, test->seal, context, sg_slice_of(test->sealed.ptr, len));
    sg_buf_add_u8(&test->sealed, 0);
    assert_closed(test, test->seal, context, sg_buf_slice(&test->sealed));
    while (test->sealed.len < SG_SEAL_OVERHEAD + SG_SEAL_BYTES_MAX)
        sg_buf_add_u8(&test->sealed, 0);
    assert_closed(test, test->seal, context, sg_buf_slice(&test->sealed));
    uint8_t longer[SG_SEAL_OVERHEAD + SG_SEAL_BYTES_MAX + 1] = {0};
    assert_closed(test, test->seal, context, sg_slice_of(longer, sizeof(longer)));
}

static void it_opens_for_nothing_else_and_by_no_other_key(void **state)
{
    struct test *test = *state;
    struct sg_slice sealed = sg_buf_slice(&test->sealed);
    uint8_t other_key[SG_SEAL_KEY_BYTES];
    struct sg_seal *other;

    assert_closed(test, test->seal, SG_SLICE("what it is foR"), sealed);
    assert_closed(test, test->seal, SG_SLICE("what it is for "), sealed);
    assert_int_equal(sg_seal_new(key, "for another test", &other, NULL), SG_OK);
    assert_closed(test, other, context, sealed);
    sg_seal_free(other);
    memcpy(other_key, key, sizeof(key));
    other_key[31] ^= 1;
    assert_int_equal(sg_seal_new(other_key, "for a test", &other, NULL), SG_OK);
    assert_closed(test, other, context, sealed);
    sg_seal_free(other);
}

static void the_largest_is_sealed_and_a_full_buffer_is_told(void **state)
{
    static const uint8_t large[SG_SEAL_BYTES_MAX] = {1};
    struct test *test = *state;
    struct sg_buf small;

    sg_buf_clear(&test->sealed);
    assert_int_equal(
        sg_seal_close(test->seal, context, sg_slice_of(large, sizeof(large)), &test->sealed, NULL),
        SG_OK);
    assert_int_equal(
        sg_seal_open(test->seal, context, sg_buf_slice(&test->sealed), &test->opened, NULL), SG_OK);
    assert_slice_equal(sg_buf_slice(&test->opened), sg_slice_of(large, sizeof(large)));
    sg_buf_init(&small, 29);
    assert_int_equal(sg_seal_close(test->seal, context, plain, &small, NULL), SG_E_LIMIT);
    sg_buf_done(&small);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_seal_is_that_of_rfc_5297_by_a_key_of_rfc_5869),
        TEST(what_was_sealed_is_opened_and_each_time_the_seal_is_the_same),
        TEST(each_bit_counts),
        TEST(what_is_cut_or_longer_is_none),
        TEST(it_opens_for_nothing_else_and_by_no_other_key),
        TEST(the_largest_is_sealed_and_a_full_buffer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
