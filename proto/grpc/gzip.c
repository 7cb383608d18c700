#include "proto/grpc/gzip.h"

#include <limits.h>
#include <zlib.h>

enum { STEP = 4096, GZIP_ONLY = 16 };

/* Room at the end of `out` for the next step; less than a step only at its very end. */
static size_t room(struct sg_buf *out, uint8_t **ret)
{
    size_t len = out->max - out->len < STEP ? out->max - out->len : STEP;
    *ret = sg_buf_room(out, len);
    return *ret == NULL ? 0 : len;
}

static enum sg_rc inflate_all(z_stream *zs, struct sg_buf *out, struct sg_err *err)
{
    for (;;) {
        uint8_t *to, beyond;
        size_t len = room(out, &to);
        if (out->failed)
            return sg_buf_check(out, err);
        /* With the buffer full one byte more tells a message that just fits from a larger one. */
        bool is_full = len == 0;
        zs->next_out = is_full ? &beyond : to;
        zs->avail_out = is_full ? 1 : (uInt)len;

        int rv = inflate(zs, Z_NO_FLUSH);
        if (is_full && zs->avail_out == 0)
            return SG_REFUSE(err, SG_R_MESSAGE_TOO_LARGE,
                             "message inflates to more than the limit of %zu bytes", out->max);
        if (!is_full)
            sg_buf_claim(out, len - zs->avail_out);
        if (rv == Z_STREAM_END)
            return SG_OK;
        if (rv == Z_MEM_ERROR)
            return SG_FAIL(err, SG_E_LIMIT, 0, "could not inflate message: out of memory");
        if (rv != Z_OK)
            return SG_REFUSE(err, SG_R_MALFORMED_MESSAGE, "could not inflate message: %s",
                             zs->msg == NULL ? "cut short" : zs->msg);
    }
}

enum sg_rc sg_gunzip(struct sg_slice in, struct sg_buf *out, struct sg_err *err)
{
    z_stream zs = {0};
    if (in.len > UINT_MAX)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not inflate message: too large");
    /* zlib does not write to its input, but its struct has no const before 1.2.5.2's z_const. */
    zs.next_in = (Bytef *)(uintptr_t)in.ptr;
    zs.avail_in = (uInt)in.len;
    if (inflateInit2(&zs, GZIP_ONLY + MAX_WBITS) != Z_OK)
        return SG_FAIL(err, SG_E_LIMIT, 0, "could not inflate message: out of memory");

    enum sg_rc rc = inflate_all(&zs, out, err);
    if (rc == SG_OK && zs.avail_in > 0)
        rc = SG_REFUSE(err, SG_R_MALFORMED_MESSAGE, "could not inflate message: bytes follow it");
    inflateEnd(&zs);
    return rc;
}
