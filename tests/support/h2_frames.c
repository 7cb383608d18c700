#include "tests/support/h2_frames.h"

#include <stdlib.h>

static void require(bool condition)
{
    if (!condition)
        abort();
}

void h2_put_frame(struct sg_buf *out, enum h2_frame_type type, unsigned flags, uint32_t stream,
                  struct sg_slice payload)
{
    sg_buf_add_be32(out, (uint32_t)payload.len << 8 | type);
    sg_buf_add_u8(out, (uint8_t)flags);
    sg_buf_add_be32(out, stream);
    sg_buf_add_slice(out, payload);
}

/* A length of seven bits (RFC 7541 §5.1), and the text as it is. */
static void put_string(struct sg_buf *out, struct sg_slice text)
{
    size_t rest = text.len;

    sg_buf_add_u8(out, rest < 127 ? (uint8_t)rest : 127);
    if (rest >= 127) {
        for (rest -= 127; rest >= 128; rest /= 128)
            sg_buf_add_u8(out, (uint8_t)(rest % 128 | 128));
        sg_buf_add_u8(out, (uint8_t)rest);
    }
    sg_buf_add_slice(out, text);
}

void h2_put_block(struct sg_buf *out, struct sg_slice lines)
{
    while (lines.len > 0) {
        const uint8_t *colon = memmem(lines.ptr + 1, lines.len - 1, ": ", 2), *end;
        struct sg_slice name;

        require(colon != NULL);
        name = sg_slice_take(&lines, (size_t)(colon - lines.ptr));
        (void)sg_slice_take(&lines, 2);
        end = memchr(lines.ptr, '\n', lines.len);
        require(end != NULL);
        sg_buf_add_u8(out, 0); /* not indexed, with its name */
        put_string(out, name);
        put_string(out, sg_slice_take(&lines, (size_t)(end - lines.ptr)));
        (void)sg_slice_take(&lines, 1);
    }
}

void h2_put_headers(struct sg_buf *out, unsigned flags, uint32_t stream, struct sg_slice lines)
{
    struct sg_buf block;

    sg_buf_init(&block, SIZE_MAX);
    h2_put_block(&block, lines);
    require(!block.failed);
    h2_put_frame(out, H2_HEADERS, flags | H2_END_HEADERS, stream, sg_buf_slice(&block));
    sg_buf_done(&block);
}
