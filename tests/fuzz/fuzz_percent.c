#include <stdlib.h>

#include "proto/grpc/percent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Property: what is encoded is printable ASCII and decodes to itself; decoding never grows. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sg_buf encoded, decoded;
    sg_buf_init(&encoded, 3 * size + 1);
    sg_buf_init(&decoded, 3 * size + 1);

    sg_percent_encode(sg_slice_of(data, size), &encoded);
    for (size_t i = 0; i < encoded.len; i++)
        if (encoded.ptr[i] < 0x20 || encoded.ptr[i] > 0x7E)
            abort();
    sg_percent_decode(sg_buf_slice(&encoded), &decoded);
    if (encoded.failed || !sg_slice_eq(sg_buf_slice(&decoded), sg_slice_of(data, size)))
        abort();

    sg_buf_clear(&decoded);
    sg_percent_decode(sg_slice_of(data, size), &decoded);
    if (decoded.failed || decoded.len > size)
        abort();
    sg_buf_done(&encoded);
    sg_buf_done(&decoded);
    return 0;
}
