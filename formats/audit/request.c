#include "formats/audit/request.h"

#include "base/buf.h"
#include "formats/raw/digest.h"

/* With its NUL, so that no other text begins with it. */
static const char domain[] = "sealgate.v1.SignRequest/1";

enum { BYTES_MAX = 32768 };

/* One field: its number in SignRequest, the length, the bytes; nothing for one that is empty. */
static void add(struct sg_buf *out, uint8_t number, struct sg_slice bytes)
{
    if (bytes.len == 0)
        return;
    sg_buf_add_u8(out, number);
    sg_buf_add_be32(out, (uint32_t)bytes.len);
    sg_buf_add_slice(out, bytes);
}

/* A number, as one byte; nothing for zero. */
static void add_number(struct sg_buf *out, uint8_t number, unsigned value)
{
    const uint8_t byte = (uint8_t)value;
    add(out, number, sg_slice_of(&byte, value == 0 ? 0 : 1));
}

/* An algorithm and what it made. */
static void add_digest(struct sg_buf *out, uint8_t number, enum sg_digest_alg alg,
                       struct sg_slice value)
{
    if (value.len == 0)
        return;
    sg_buf_add_u8(out, number);
    sg_buf_add_be32(out, (uint32_t)value.len + 1);
    sg_buf_add_u8(out, (uint8_t)alg);
    sg_buf_add_slice(out, value);
}

enum sg_rc sg_audit_request_sha256(const struct sg_audit_request *request, uint8_t ret[32],
                                   struct sg_err *err)
{
    enum { KEY = 1, DIGEST = 2, MESSAGE = 3, SCHEME = 5, ENCODING = 6, DOCUMENT_DIGEST = 7 };
    enum { DOCUMENT_NUMBER = 12, PURPOSE = 14 };
    uint8_t hash[SG_DIGEST_BYTES_MAX];
    struct sg_buf bytes;

    sg_buf_init(&bytes, BYTES_MAX);
    sg_buf_add(&bytes, domain, sizeof(domain));
    add(&bytes, KEY, request->key);
    if (request->digest_alg != SG_DIGEST_UNSET)
        add_digest(&bytes, DIGEST, request->digest_alg, request->content);
    else
        add(&bytes, MESSAGE, request->content);
    add_number(&bytes, SCHEME, request->scheme);
    add_number(&bytes, ENCODING, request->encoding);
    add_digest(&bytes, DOCUMENT_DIGEST, request->document_digest_alg, request->document_digest);
    add(&bytes, DOCUMENT_NUMBER, request->document_number);
    add(&bytes, PURPOSE, request->purpose);
    enum sg_rc rc = sg_buf_check(&bytes, err);
    if (rc == SG_OK)
        rc = sg_digest_of(SG_DIGEST_SHA256, sg_buf_slice(&bytes), hash, err);
    sg_buf_done(&bytes);
    if (rc == SG_OK)
        memcpy(ret, hash, 32);
    return rc;
}
