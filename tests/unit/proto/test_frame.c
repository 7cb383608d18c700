#include "proto/grpc/frame.h"

#include "tests/support/unit.h"

#define BYTES(literal) literal, sizeof(literal) - 1

static const struct {
    const char *name;
    const char *bytes;
    size_t len;
    enum sg_rc rc;
    size_t left; /* bytes of `in` that remain */
} cases[] = {
    {"empty input waits", BYTES(""), SG_E_AGAIN, 0},
    {"half a prefix waits", BYTES("\0\0\0"), SG_E_AGAIN, 3},
    {"prefix without body waits", BYTES("\0\0\0\0\2a"), SG_E_AGAIN, 6},
    {"empty message is a message", BYTES("\0\0\0\0\0"), SG_OK, 0},
    {"second message stays", BYTES("\0\0\0\0\1a\0\0\0\0\1b"), SG_OK, 6},
    {"compressed is a message", BYTES("\1\0\0\0\1a"), SG_OK, 0},
    {"flag 2 is refused", BYTES("\2\0\0\0\1a"), SG_E_INTERNAL, 6},
    {"flag 0x80 of gRPC-Web is refused", BYTES("\x80\0\0\0\1a"), SG_E_INTERNAL, 6},
    {"one over the limit is refused before its body", BYTES("\0\0\0\0\x65"), SG_E_LIMIT, 5},
    {"the limit itself is waited for", BYTES("\0\0\0\0\x64"), SG_E_AGAIN, 5},
    {"length near 2^32 does not wrap", BYTES("\0\xff\xff\xff\xff"), SG_E_LIMIT, 5},
};

static void frame_next_follows_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SG_COUNT(cases); i++) {
        struct sg_slice in = sg_slice_of(cases[i].bytes, cases[i].len);
        struct sg_frame frame;
        print_message("  %s\n", cases[i].name);
        assert_int_equal(sg_frame_next(&in, 100, &frame, NULL), cases[i].rc);
        assert_int_equal(in.len, cases[i].left);
    }
}

static void a_message_over_the_limit_says_so_by_its_reason(void **state)
{
    (void)state;
    struct sg_slice in = SG_SLICE("\0\0\0\0\x65");
    struct sg_frame frame;
    struct sg_err err;
    assert_int_equal(sg_frame_next(&in, 100, &frame, &err), SG_E_LIMIT);
    assert_int_equal(err.reason, SG_R_MESSAGE_TOO_LARGE);
}

/* Three messages: "hello", compressed "abc", empty; in chunks of `step` bytes. */
static void read_three(size_t step)
{
    static const char bytes[] = "\0\0\0\0\5hello\1\0\0\0\3abc\0\0\0\0\0";
    static const char *const bodies[] = {"hello", "abc", ""};
    struct sg_frame_reader reader;
    size_t seen = 0;

    sg_frame_reader_init(&reader, 5);
    for (size_t at = 0; at < sizeof(bytes) - 1; at += step) {
        size_t left = sizeof(bytes) - 1 - at;
        struct sg_slice chunk = sg_slice_of(bytes + at, left < step ? left : step);
        struct sg_frame frame;
        while (sg_frame_reader_next(&reader, &chunk, &frame, NULL) == SG_OK) {
            assert_true(seen < 3);
            assert_slice_equal(frame.body, sg_slice_str(bodies[seen]));
            assert_int_equal(frame.is_compressed, seen == 1);
            seen++;
        }
        assert_int_equal(chunk.len, 0);
    }
    assert_int_equal(seen, 3);
    assert_true(sg_frame_reader_is_between(&reader));
    sg_frame_reader_done(&reader);
}

static void messages_come_whole_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t step = 1; step <= 24; step++)
        read_three(step);
}

static void a_message_in_one_chunk_is_not_copied(void **state)
{
    (void)state;
    struct sg_slice chunk = SG_SLICE("\0\0\0\0\1a\0\0\0\0\1b");
    const uint8_t *start = chunk.ptr;
    struct sg_frame_reader reader;
    struct sg_frame frame;

    sg_frame_reader_init(&reader, 5);
    assert_int_equal(sg_frame_reader_next(&reader, &chunk, &frame, NULL), SG_OK);
    assert_ptr_equal(frame.body.ptr, start + 5);
    assert_int_equal(sg_frame_reader_next(&reader, &chunk, &frame, NULL), SG_OK);
    assert_ptr_equal(frame.body.ptr, start + 11);
    assert_null(reader.held.ptr);
    sg_frame_reader_done(&reader);
}

static void an_announced_length_alone_takes_no_memory(void **state)
{
    (void)state;
    struct sg_slice chunk = SG_SLICE("\0\0\x10\0\0");
    struct sg_frame_reader reader;
    struct sg_frame frame;

    sg_frame_reader_init(&reader, 1 << 20);
    assert_int_equal(sg_frame_reader_next(&reader, &chunk, &frame, NULL), SG_E_AGAIN);
    assert_true(reader.held.cap <= 4096);
    assert_false(sg_frame_reader_is_between(&reader));
    assert_int_equal(sg_frame_reader_held(&reader), 5);
    sg_frame_reader_done(&reader);
}

static void a_limit_holds_byte_by_byte_too(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0, 0, 0, 0, 6, 'a'};
    struct sg_frame_reader reader;
    struct sg_frame frame;
    enum sg_rc rc = SG_E_AGAIN;
    size_t i;

    sg_frame_reader_init(&reader, 5);
    for (i = 0; i < sizeof(bytes) && rc == SG_E_AGAIN; i++) {
        struct sg_slice chunk = sg_slice_of(bytes + i, 1);
        rc = sg_frame_reader_next(&reader, &chunk, &frame, NULL);
    }
    assert_int_equal(rc, SG_E_LIMIT);
    assert_int_equal(i, 5);
    sg_frame_reader_done(&reader);
}

static void a_prefix_is_read_back(void **state)
{
    (void)state;
    uint8_t bytes[SG_FRAME_PREFIX_LEN + 3] = {0};
    sg_frame_prefix(bytes, 3);
    struct sg_slice in = sg_slice_of(bytes, sizeof(bytes));
    struct sg_frame frame;
    assert_int_equal(sg_frame_next(&in, 3, &frame, NULL), SG_OK);
    assert_int_equal(frame.body.len, 3);
    assert_false(frame.is_compressed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frame_next_follows_the_table),
        cmocka_unit_test(a_message_over_the_limit_says_so_by_its_reason),
        cmocka_unit_test(messages_come_whole_however_they_are_cut),
        cmocka_unit_test(a_message_in_one_chunk_is_not_copied),
        cmocka_unit_test(an_announced_length_alone_takes_no_memory),
        cmocka_unit_test(a_limit_holds_byte_by_byte_too),
        cmocka_unit_test(a_prefix_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
