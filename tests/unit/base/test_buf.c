#include "base/buf.h"

#include "tests/support/failmalloc.h"
#include "tests/support/unit.h"

static void appends_of_every_kind_stand_in_a_row(void **state)
{
    (void)state;
    struct sg_buf buf;
    sg_buf_init(&buf, 100);
    sg_buf_add(&buf, "ab", 2);
    sg_buf_add_slice(&buf, SG_SLICE("cd"));
    sg_buf_add_slice(&buf, (struct sg_slice){0});
    sg_buf_add_str(&buf, "ef");
    sg_buf_add_u8(&buf, 0xfe);
    sg_buf_add_be32(&buf, 0x01020304);
    sg_buf_printf(&buf, "%s=%d", "n", 12);
    assert_slice_equal(sg_buf_slice(&buf), SG_SLICE("abcdef\xfe\1\2\3\4n=12"));
    assert_int_equal(sg_buf_check(&buf, NULL), SG_OK);
    sg_buf_done(&buf);
}

static void the_bound_is_reached_and_never_passed(void **state)
{
    (void)state;
    for (size_t max = 0; max < 600; max += 37) {
        struct sg_buf buf;
        sg_buf_init(&buf, max);
        for (size_t i = 0; i < max; i++)
            sg_buf_add_u8(&buf, (uint8_t)i);
        assert_int_equal(sg_buf_check(&buf, NULL), SG_OK);
        assert_int_equal(buf.len, max);
        assert_true(buf.cap <= max);

        struct sg_err err;
        sg_buf_add_u8(&buf, 1);
        assert_int_equal(sg_buf_check(&buf, &err), SG_E_LIMIT);
        assert_int_equal(buf.len, max);
        sg_buf_done(&buf);
    }
}

static void one_byte_over_is_refused_by_every_append(void **state)
{
    (void)state;
    for (int kind = 0; kind < 5; kind++) {
        struct sg_buf buf;
        sg_buf_init(&buf, 3);
        if (kind == 0)
            sg_buf_add(&buf, "abcd", 4);
        else if (kind == 1)
            sg_buf_add_str(&buf, "abcd");
        else if (kind == 2)
            sg_buf_add_be32(&buf, 1);
        else if (kind == 3)
            sg_buf_printf(&buf, "%d", 1234);
        else
            assert_null(sg_buf_room(&buf, 4));
        assert_true(buf.failed);
        assert_int_equal(buf.len, 0);
        sg_buf_done(&buf);
    }
}

static void printf_may_fill_the_last_byte(void **state)
{
    (void)state;
    struct sg_buf buf;
    sg_buf_init(&buf, 4);
    sg_buf_printf(&buf, "%d", 1234);
    assert_slice_equal(sg_buf_slice(&buf), SG_SLICE("1234"));
    assert_int_equal(sg_buf_check(&buf, NULL), SG_OK);
    sg_buf_done(&buf);
}

static void a_failure_sticks_until_the_buffer_is_cleared(void **state)
{
    (void)state;
    struct sg_buf buf;
    sg_buf_init(&buf, 4);
    sg_buf_add_str(&buf, "ab");
    sg_buf_add_str(&buf, "too long");
    sg_buf_add_str(&buf, "c");
    assert_null(sg_buf_room(&buf, 0));
    assert_slice_equal(sg_buf_slice(&buf), SG_SLICE("ab"));
    assert_int_equal(sg_buf_check(&buf, NULL), SG_E_LIMIT);

    sg_buf_clear(&buf);
    sg_buf_add_str(&buf, "c");
    assert_int_equal(sg_buf_check(&buf, NULL), SG_OK);
    assert_slice_equal(sg_buf_slice(&buf), SG_SLICE("c"));
    sg_buf_done(&buf);
}

static void lengths_near_the_top_do_not_wrap(void **state)
{
    (void)state;
    struct sg_buf buf;
    sg_buf_init(&buf, 1000);
    sg_buf_add_str(&buf, "abc");
    assert_null(sg_buf_room(&buf, SIZE_MAX));
    sg_buf_clear(&buf);
    sg_buf_add_str(&buf, "abc");
    assert_null(sg_buf_room(&buf, SIZE_MAX - 2));
    sg_buf_done(&buf);
}

static void room_is_written_by_the_caller_and_claimed(void **state)
{
    (void)state;
    struct sg_buf buf;
    sg_buf_init(&buf, 1000);
    uint8_t *room = sg_buf_room(&buf, 300);
    assert_non_null(room);
    memset(room, 'x', 300);
    sg_buf_claim(&buf, 2);
    assert_slice_equal(sg_buf_slice(&buf), SG_SLICE("xx"));
    sg_buf_done(&buf);
}

static void drop_moves_the_rest_to_the_front(void **state)
{
    (void)state;
    struct sg_buf buf;
    sg_buf_init(&buf, 10);
    sg_buf_drop(&buf, 0);
    sg_buf_add_str(&buf, "abcdef");
    sg_buf_drop(&buf, 2);
    assert_slice_equal(sg_buf_slice(&buf), SG_SLICE("cdef"));
    sg_buf_drop(&buf, 4);
    assert_int_equal(buf.len, 0);
    sg_buf_done(&buf);
}

static bool fill(void *arg)
{
    (void)arg;
    struct sg_buf buf;
    sg_buf_init(&buf, 1 << 16);
    for (uint32_t i = 0; i < 1000; i++)
        sg_buf_add_be32(&buf, i);
    sg_buf_printf(&buf, "%2000d", 1);
    bool is_ok = sg_buf_check(&buf, NULL) == SG_OK;
    sg_buf_done(&buf);
    return is_ok;
}

static void no_memory_is_told_wherever_it_ends(void **state)
{
    (void)state;
    assert_true(sg_failmalloc_each(fill, NULL) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_of_every_kind_stand_in_a_row),
        cmocka_unit_test(the_bound_is_reached_and_never_passed),
        cmocka_unit_test(one_byte_over_is_refused_by_every_append),
        cmocka_unit_test(printf_may_fill_the_last_byte),
        cmocka_unit_test(a_failure_sticks_until_the_buffer_is_cleared),
        cmocka_unit_test(lengths_near_the_top_do_not_wrap),
        cmocka_unit_test(room_is_written_by_the_caller_and_claimed),
        cmocka_unit_test(drop_moves_the_rest_to_the_front),
        cmocka_unit_test(no_memory_is_told_wherever_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
