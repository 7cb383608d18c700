#include "proto/grpc/frame.h"

/* A flag and a length, judged before the body is there. */
static enum sg_rc check_prefix(const uint8_t *prefix, size_t body_bytes_max, struct sg_err *err)
{
    uint32_t body_len = sg_be32(prefix + 1);

    if (prefix[0] > 1)
        return SG_REFUSE(err, SG_R_MALFORMED_MESSAGE, "could not read message: its flag is %u",
                         prefix[0]);
    if (body_len > body_bytes_max)
        return SG_REFUSE(err, SG_R_MESSAGE_TOO_LARGE,
                         "message of %u bytes is over the limit of %zu", body_len, body_bytes_max);
    return SG_OK;
}

enum sg_rc sg_frame_next(struct sg_slice *in, size_t body_bytes_max, struct sg_frame *ret,
                         struct sg_err *err)
{
    if (in->len < SG_FRAME_PREFIX_LEN)
        return SG_E_AGAIN;
    SG_TRY(check_prefix(in->ptr, body_bytes_max, err));

    uint32_t body_len = sg_be32(in->ptr + 1);
    if (in->len - SG_FRAME_PREFIX_LEN < body_len)
        return SG_E_AGAIN;

    struct sg_slice prefix = sg_slice_take(in, SG_FRAME_PREFIX_LEN);
    ret->is_compressed = prefix.ptr[0] == 1;
    ret->body = sg_slice_take(in, body_len);
    return SG_OK;
}

void sg_frame_prefix(uint8_t prefix[SG_FRAME_PREFIX_LEN], uint32_t body_len)
{
    prefix[0] = 0;
    sg_put_be32(prefix + 1, body_len);
}

void sg_frame_reader_init(struct sg_frame_reader *reader, size_t body_bytes_max)
{
    *reader = (struct sg_frame_reader){.body_bytes_max = body_bytes_max};
    sg_buf_init(&reader->held, body_bytes_max > SIZE_MAX - SG_FRAME_PREFIX_LEN
                                   ? SIZE_MAX
                                   : body_bytes_max + SG_FRAME_PREFIX_LEN);
}

void sg_frame_reader_done(struct sg_frame_reader *reader)
{
    sg_buf_done(&reader->held);
    reader->is_handed_out = false;
}

/* Moves up to `len` bytes from the chunk into `held`. */
static enum sg_rc hold(struct sg_frame_reader *reader, struct sg_slice *chunk, size_t len,
                       struct sg_err *err)
{
    sg_buf_add_slice(&reader->held, sg_slice_take(chunk, len < chunk->len ? len : chunk->len));
    return sg_buf_check(&reader->held, err);
}

enum sg_rc sg_frame_reader_next(struct sg_frame_reader *reader, struct sg_slice *chunk,
                                struct sg_frame *ret, struct sg_err *err)
{
    struct sg_buf *held = &reader->held;
    if (reader->is_handed_out) {
        sg_buf_clear(held);
        reader->is_handed_out = false;
    }

    if (held->len == 0) {
        enum sg_rc rc = sg_frame_next(chunk, reader->body_bytes_max, ret, err);
        if (rc != SG_E_AGAIN || chunk->len == 0)
            return rc;
    }

    if (held->len < SG_FRAME_PREFIX_LEN)
        SG_TRY(hold(reader, chunk, SG_FRAME_PREFIX_LEN - held->len, err));
    if (held->len < SG_FRAME_PREFIX_LEN)
        return SG_E_AGAIN;
    SG_TRY(check_prefix(held->ptr, reader->body_bytes_max, err));
    SG_TRY(hold(reader, chunk, SG_FRAME_PREFIX_LEN + sg_be32(held->ptr + 1) - held->len, err));

    struct sg_slice message = sg_buf_slice(held);
    enum sg_rc rc = sg_frame_next(&message, reader->body_bytes_max, ret, err);
    reader->is_handed_out = rc == SG_OK;
    return rc;
}

bool sg_frame_reader_is_between(const struct sg_frame_reader *reader)
{
    return sg_frame_reader_held(reader) == 0;
}

size_t sg_frame_reader_held(const struct sg_frame_reader *reader)
{
    return reader->is_handed_out ? 0 : reader->held.len;
}
