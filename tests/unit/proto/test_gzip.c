#include "proto/grpc/gzip.h"

#include <zlib.h>

#include "tests/support/unit.h"

/* `len` bytes of 'a', as gzip. */
static void deflate_as(size_t len, struct sg_buf *out)
{
    uint8_t *plain = malloc(len + 1);
    assert_non_null(plain);
    memset(plain, 'a', len);
    z_stream zs = {.next_in = plain, .avail_in = (uInt)len};
    assert_int_equal(deflateInit2(&zs, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    zs.avail_out = (uInt)deflateBound(&zs, len);
    zs.next_out = sg_buf_room(out, zs.avail_out);
    assert_int_equal(deflate(&zs, Z_FINISH), Z_STREAM_END);
    sg_buf_claim(out, zs.total_out);
    deflateEnd(&zs);
    free(plain);
}

static enum sg_rc inflate_to(struct sg_slice in, size_t max, size_t *ret_len)
{
    struct sg_buf out;
    struct sg_err err;
    sg_buf_init(&out, max);
    enum sg_rc rc = sg_gunzip(in, &out, &err);
    assert_true(out.len <= max && out.cap <= max);
    if (rc == SG_E_LIMIT)
        assert_int_equal(err.reason, SG_R_MESSAGE_TOO_LARGE);
    for (size_t i = 0; i < out.len; i++)
        assert_int_equal(out.ptr[i], 'a');
    *ret_len = out.len;
    sg_buf_done(&out);
    return rc;
}

static void a_message_is_inflated_up_to_the_limit(void **state)
{
    (void)state;
    static const size_t lens[] = {0, 1, 4095, 4096, 4097, 8192, 100000};
    for (size_t i = 0; i < SG_COUNT(lens); i++) {
        struct sg_buf zipped;
        size_t len;
        sg_buf_init(&zipped, 1 << 20);
        deflate_as(lens[i], &zipped);
        assert_int_equal(inflate_to(sg_buf_slice(&zipped), lens[i] + 1, &len), SG_OK);
        assert_int_equal(len, lens[i]);
        assert_int_equal(inflate_to(sg_buf_slice(&zipped), lens[i], &len), SG_OK);
        assert_int_equal(len, lens[i]);
        if (lens[i] > 0)
            assert_int_equal(inflate_to(sg_buf_slice(&zipped), lens[i] - 1, &len), SG_E_LIMIT);
        sg_buf_done(&zipped);
    }
}

static void a_bomb_takes_no_more_than_the_limit(void **state)
{
    (void)state;
    struct sg_buf zipped;
    size_t len;
    sg_buf_init(&zipped, 1 << 25);
    deflate_as(16 << 20, &zipped);
    assert_true(zipped.len < 32 << 10);
    assert_int_equal(inflate_to(sg_buf_slice(&zipped), 1 << 16, &len), SG_E_LIMIT);
    sg_buf_done(&zipped);
}

static void whatever_is_cut_short_is_refused(void **state)
{
    (void)state;
    struct sg_buf zipped;
    size_t len;
    sg_buf_init(&zipped, 1 << 20);
    deflate_as(500, &zipped);
    for (size_t cut = 0; cut < zipped.len; cut++)
        assert_int_equal(inflate_to(sg_slice_of(zipped.ptr, cut), 1000, &len), SG_E_INTERNAL);
    sg_buf_done(&zipped);
}

static void damage_and_trailing_bytes_are_refused(void **state)
{
    (void)state;
    struct sg_buf zipped;
    size_t len;
    sg_buf_init(&zipped, 1 << 20);
    deflate_as(500, &zipped);
    sg_buf_add_u8(&zipped, 0);
    assert_int_equal(inflate_to(sg_buf_slice(&zipped), 1000, &len), SG_E_INTERNAL);
    zipped.len--;
    zipped.ptr[zipped.len - 6] ^= 1; /* of the checksum */
    assert_int_equal(inflate_to(sg_buf_slice(&zipped), 1000, &len), SG_E_INTERNAL);
    assert_int_equal(inflate_to(SG_SLICE("not gzip"), 1000, &len), SG_E_INTERNAL);
    sg_buf_done(&zipped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_inflated_up_to_the_limit),
        cmocka_unit_test(a_bomb_takes_no_more_than_the_limit),
        cmocka_unit_test(whatever_is_cut_short_is_refused),
        cmocka_unit_test(damage_and_trailing_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
