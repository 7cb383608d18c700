#include <stdlib.h>

#include "proto/grpc/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX = 300 };

/* Property: however the bytes are cut into chunks, the same messages come out, and the same end. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t step = data[0] == 0 ? 1 : data[0];
    struct sg_slice whole = {data + 1, size - 1};
    struct sg_slice pieces = whole;
    struct sg_slice chunk = {0};
    struct sg_frame_reader reader;
    sg_frame_reader_init(&reader, BODY_MAX);

    for (;;) {
        struct sg_frame one, other;
        enum sg_rc rc = sg_frame_next(&whole, BODY_MAX, &one, NULL);
        enum sg_rc again;
        while ((again = sg_frame_reader_next(&reader, &chunk, &other, NULL)) == SG_E_AGAIN &&
               pieces.len > 0)
            chunk = sg_slice_take(&pieces, step < pieces.len ? step : pieces.len);
        if (rc != again)
            abort();
        if (rc != SG_OK)
            break;
        if (!sg_slice_eq(one.body, other.body) || one.is_compressed != other.is_compressed)
            abort();
        if (reader.held.len > BODY_MAX + SG_FRAME_PREFIX_LEN)
            abort();
    }
    sg_frame_reader_done(&reader);
    return 0;
}
