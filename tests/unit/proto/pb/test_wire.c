#include "proto/pb/wire.h"

#include "tests/support/unit.h"

static void varints_survive_the_round_trip(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++)
        for (int less = 0; less < 2; less++) {
            uint64_t value = ((uint64_t)1 << bit) - (uint64_t)less, again = 0;
            struct sg_buf out;
            sg_buf_init(&out, 10);
            sg_pb_put_varint(&out, value);
            struct sg_slice in = sg_buf_slice(&out);
            assert_true(sg_pb_take_varint(&in, 10, &again));
            assert_true(again == value && in.len == 0);
            for (size_t len = 0; len < out.len; len++) {
                in = sg_slice_of(out.ptr, len);
                assert_false(sg_pb_take_varint(&in, 10, &again));
            }
            sg_buf_done(&out);
        }
}

static const struct {
    const char *name;
    struct sg_slice wire;
    bool is_one;
    uint32_t number;
    struct sg_slice value;
} fields[] = {
    {"a varint", SG_SLICE("\x08\x96\x01"), true, 1, SG_SLICE("\x96\x01")},
    {"bytes", SG_SLICE("\x12\2hi"), true, 2, SG_SLICE("hi")},
    {"32 bits", SG_SLICE("\x1d\1\2\3\4"), true, 3, SG_SLICE("\1\2\3\4")},
    {"64 bits", SG_SLICE("\x21\1\2\3\4\5\6\7\10"), true, 4, SG_SLICE("\1\2\3\4\5\6\7\10")},
    {"the largest number", SG_SLICE("\xf8\xff\xff\xff\x0f\1"), true, 536870911, SG_SLICE("\1")},
    {"nothing", SG_SLICE(""), false, 0, {0}},
    {"a tag alone", SG_SLICE("\x08"), false, 0, {0}},
    {"field 0", SG_SLICE("\0\1"), false, 0, {0}},
    {"a tag over 32 bits", SG_SLICE("\xf8\xff\xff\xff\x1f\1"), false, 0, {0}},
    {"a group", SG_SLICE("\x0b\x0c"), false, 0, {0}},
    {"a kind that is none", SG_SLICE("\x0f\1"), false, 0, {0}},
    {"bytes cut short", SG_SLICE("\x12\3hi"), false, 0, {0}},
    {"64 bits cut short", SG_SLICE("\x21\1\2\3\4\5\6\7"), false, 0, {0}},
    {"a varint of eleven bytes",
     SG_SLICE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"),
     false,
     0,
     {0}},
    {"a varint of 65 bits", SG_SLICE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\2"), false, 0, {0}},
};

static void take_field_follows_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(fields); i++) {
        struct sg_slice in = fields[i].wire, value = {0};
        uint32_t number = 0;
        unsigned type = 0;
        print_message("  %s\n", fields[i].name);
        assert_int_equal(sg_pb_take_field(&in, &number, &type, &value), fields[i].is_one);
        if (!fields[i].is_one)
            continue;
        assert_int_equal(number, fields[i].number);
        assert_slice_equal(value, fields[i].value);
        assert_int_equal(in.len, 0);
        for (size_t len = 0; len < fields[i].wire.len; len++) {
            in = sg_slice_of(fields[i].wire.ptr, len);
            assert_false(sg_pb_take_field(&in, &number, &type, &value));
        }
    }
}

static void a_length_is_put_in_front_of_what_was_written(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 127, 128, 16383, 16384};
    for (size_t i = 0; i < SG_COUNT(lens); i++) {
        struct sg_buf after, at_once;
        uint8_t bytes[16384];
        for (size_t k = 0; k < lens[i]; k++)
            bytes[k] = (uint8_t)k;
        sg_buf_init(&after, 20000);
        sg_buf_init(&at_once, 20000);
        sg_pb_put_tag(&after, 5, SG_PB_BYTES);
        size_t from = after.len;
        sg_buf_add(&after, bytes, lens[i]);
        sg_pb_put_length_before(&after, from);
        sg_pb_put_tag(&at_once, 5, SG_PB_BYTES);
        sg_pb_put_bytes(&at_once, sg_slice_of(bytes, lens[i]));
        assert_slice_equal(sg_buf_slice(&after), sg_buf_slice(&at_once));
        sg_buf_done(&after);
        sg_buf_done(&at_once);
    }
}

static void a_length_without_room_fails_the_buffer(void **state)
{
    (void)state;
    struct sg_buf out;
    sg_buf_init(&out, 3);
    sg_buf_add_str(&out, "abc");
    sg_pb_put_length_before(&out, 0);
    assert_true(out.failed);
    sg_pb_put_length_before(&out, 0);
    assert_slice_equal(sg_buf_slice(&out), SG_SLICE("abc"));
    sg_buf_done(&out);
}

static void fixed_numbers_are_little_endian(void **state)
{
    (void)state;
    struct sg_buf out;
    sg_buf_init(&out, 12);
    sg_pb_put_fixed(&out, 0x01020304, 4);
    sg_pb_put_fixed(&out, UINT64_C(0x0102030405060708), 8);
    assert_slice_equal(sg_buf_slice(&out), SG_SLICE("\4\3\2\1\10\7\6\5\4\3\2\1"));
    sg_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_survive_the_round_trip),
        cmocka_unit_test(take_field_follows_the_table),
        cmocka_unit_test(a_length_is_put_in_front_of_what_was_written),
        cmocka_unit_test(a_length_without_room_fails_the_buffer),
        cmocka_unit_test(fixed_numbers_are_little_endian),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
