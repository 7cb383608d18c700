#include <stdlib.h>
#include <zlib.h>

#include "proto/grpc/gzip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INFLATED_MAX = 10000 };

/* Property: the same bytes as zlib inflates in one go, or an error where it has one or where the
 * result is larger than the limit; never more than the limit in memory. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t plain[INFLATED_MAX + 1];
    struct sg_buf out;
    sg_buf_init(&out, INFLATED_MAX);
    enum sg_rc rc = sg_gunzip(sg_slice_of(data, size), &out, NULL);
    if (out.len > INFLATED_MAX || out.cap > INFLATED_MAX)
        abort();

    z_stream zs = {.next_in = (Bytef *)(uintptr_t)data,
                   .avail_in = (uInt)size,
                   .next_out = plain,
                   .avail_out = sizeof(plain)};
    if (inflateInit2(&zs, 16 + MAX_WBITS) != Z_OK)
        abort();
    int rv = inflate(&zs, Z_FINISH);
    bool is_whole = rv == Z_STREAM_END && zs.avail_in == 0 && zs.total_out <= INFLATED_MAX;
    if (is_whole != (rc == SG_OK))
        abort();
    if (is_whole && !sg_slice_eq(sg_buf_slice(&out), sg_slice_of(plain, zs.total_out)))
        abort();
    inflateEnd(&zs);
    sg_buf_done(&out);
    return 0;
}
