#include "base/reader.h"

#include "tests/support/unit.h"

static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 'a', 'b'};

/* Reads all that `bytes` holds; the sum tells whether every part arrived. */
static uint64_t read_all(struct sg_reader *reader)
{
    uint64_t sum = sg_read_u8(reader);
    sum += sg_read_be16(reader);
    sum += sg_read_be32(reader);
    sum += sg_read_be64(reader);
    struct sg_slice tail = sg_read_bytes(reader, 2);
    for (size_t i = 0; i < tail.len; i++)
        sum += tail.ptr[i];
    return sum;
}

static void numbers_are_big_endian(void **state)
{
    (void)state;
    struct sg_reader reader = sg_reader_of(sg_slice_of(bytes, sizeof(bytes)));
    assert_int_equal(sg_read_u8(&reader), 0x01);
    assert_int_equal(sg_read_be16(&reader), 0x0203);
    assert_int_equal(sg_read_be32(&reader), 0x04050607);
    assert_int_equal(sg_read_be64(&reader), 0x08090a0b0c0d0e0f);
    assert_false(sg_reader_is_at_end(&reader));
    struct sg_slice tail = sg_read_bytes(&reader, 2);
    assert_slice_equal(tail, SG_SLICE("ab"));
    assert_ptr_equal(tail.ptr, bytes + 15); /* borrowed, not copied */
    assert_true(sg_reader_is_at_end(&reader));
}

static void truncated_at_every_length_it_fails_and_reads_no_further(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(bytes); len++) {
        uint8_t *exact = malloc(len + (len == 0)); /* so that a sanitizer sees one byte more */
        memcpy(exact, bytes, len);
        struct sg_reader reader = sg_reader_of(sg_slice_of(exact, len));
        (void)read_all(&reader);
        assert_true(reader.failed);
        assert_false(sg_reader_is_at_end(&reader));
        free(exact);
    }
}

static void after_a_failure_everything_is_zero(void **state)
{
    (void)state;
    struct sg_reader reader = sg_reader_of(SG_SLICE("\xff\xff\xff"));
    assert_int_equal(sg_read_be32(&reader), 0);
    assert_int_equal(sg_read_u8(&reader), 0); /* although a byte is there */
    assert_null(sg_read_bytes(&reader, 1).ptr);
    assert_int_equal(read_all(&reader), 0);
}

static void a_huge_length_does_not_wrap(void **state)
{
    (void)state;
    struct sg_reader reader = sg_reader_of(SG_SLICE("abc"));
    (void)sg_read_u8(&reader);
    assert_int_equal(sg_read_bytes(&reader, SIZE_MAX).len, 0);
    assert_true(reader.failed);
}

static void nothing_can_be_read_from_nothing(void **state)
{
    (void)state;
    struct sg_reader reader = sg_reader_of((struct sg_slice){0});
    assert_true(sg_reader_is_at_end(&reader));
    assert_int_equal(sg_read_bytes(&reader, 0).len, 0);
    assert_true(sg_reader_is_at_end(&reader));
    assert_int_equal(sg_read_u8(&reader), 0);
    assert_false(sg_reader_is_at_end(&reader));
}

static void slices_compare_by_length_and_bytes(void **state)
{
    (void)state;
    assert_true(sg_slice_eq((struct sg_slice){0}, SG_SLICE("")));
    assert_true(sg_slice_is(SG_SLICE("key"), "key"));
    assert_false(sg_slice_is(SG_SLICE("key\0"), "key"));
    assert_true(sg_slice_starts(SG_SLICE("keys/a"), SG_SLICE("keys/")));
    assert_true(sg_slice_starts((struct sg_slice){0}, (struct sg_slice){0}));
    assert_false(sg_slice_starts(SG_SLICE("key"), SG_SLICE("keys/")));
    assert_int_equal(sg_slice_str(NULL).len, 0);
    struct sg_slice in = SG_SLICE("abc");
    assert_slice_equal(sg_slice_take(&in, 2), SG_SLICE("ab"));
    assert_slice_equal(in, SG_SLICE("c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_big_endian),
        cmocka_unit_test(truncated_at_every_length_it_fails_and_reads_no_further),
        cmocka_unit_test(after_a_failure_everything_is_zero),
        cmocka_unit_test(a_huge_length_does_not_wrap),
        cmocka_unit_test(nothing_can_be_read_from_nothing),
        cmocka_unit_test(slices_compare_by_length_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
