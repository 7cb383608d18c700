#include <stdlib.h>

#include "base/base64.h"
#include "proto/grpc/web_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum sg_rc decode(struct sg_web_text *state, struct sg_slice text, size_t step,
                         struct sg_buf *out)
{
    while (text.len > 0)
        SG_TRY(sg_web_text_decode(state, sg_slice_take(&text, step < text.len ? step : text.len),
                                  out, NULL));
    return SG_OK;
}

/* The text again: a segment ends with its padding, and its bytes have only one encoding. */
static void encode_like(struct sg_slice text, struct sg_slice bytes, struct sg_buf *out)
{
    while (text.len > 0) {
        const uint8_t *pad = memchr(text.ptr, '=', text.len);
        size_t len = pad == NULL ? text.len : ((size_t)(pad - text.ptr) / 4 + 1) * 4;
        struct sg_slice segment = sg_slice_take(&text, len);
        size_t pads = pad == NULL ? 0 : segment.ptr + len - pad > 1 ? 2 : 1;
        sg_base64_encode(sg_slice_take(&bytes, len / 4 * 3 - pads), SG_BASE64_STD, SG_BASE64_PADDED,
                         out);
    }
    if (bytes.len > 0)
        abort();
}

/*
 * The first byte says how many letters come at once. Properties: cutting changes nothing, and the
 * same segments have the same text.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct sg_slice text = sg_slice_of(data + 1, size - 1);
    struct sg_web_text whole = {0}, pieces = {0};
    struct sg_buf at_once, cut, again;
    sg_buf_init(&at_once, size + 4);
    sg_buf_init(&cut, size + 4);
    sg_buf_init(&again, size + 8);

    enum sg_rc rc = sg_web_text_decode(&whole, text, &at_once, NULL);
    if (decode(&pieces, text, data[0] == 0 ? 1 : data[0], &cut) != rc)
        abort();
    if (rc == SG_OK) {
        if (!sg_slice_eq(sg_buf_slice(&at_once), sg_buf_slice(&cut)) ||
            whole.carry_len != pieces.carry_len || whole.carry_len != text.len % 4)
            abort();
        text.len -= whole.carry_len;
        encode_like(text, sg_buf_slice(&at_once), &again);
        if (!sg_slice_eq(sg_buf_slice(&again), text))
            abort();
    }
    sg_buf_done(&at_once);
    sg_buf_done(&cut);
    sg_buf_done(&again);
    return 0;
}
