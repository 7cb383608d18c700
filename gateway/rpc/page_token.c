#include "gateway/rpc/page_token.h"

#include "base/base64.h"
#include "formats/raw/digest.h"

enum { PLACE_BYTES = 8, SEALED_BYTES = SG_SEAL_OVERHEAD + PLACE_BYTES };

_Static_assert(SG_PAGE_TOKEN_LEN == SEALED_BYTES / 3 * 4 && SEALED_BYTES % 3 == 0,
               "base64 without padding");

enum sg_rc sg_page_scope(struct sg_slice authority, struct sg_slice caller, struct sg_slice method,
                         struct sg_slice filter, uint8_t ret[SG_PAGE_SCOPE_BYTES],
                         struct sg_err *err)
{
    const struct sg_slice parts[] = {authority, caller, method, filter};
    struct sg_buf bytes;

    /* Each part with its length, so that no two listings have the same bytes. */
    sg_buf_init(&bytes, SG_SEAL_BYTES_MAX);
    for (size_t i = 0; i < SG_COUNT(parts); i++) {
        sg_buf_add_be32(&bytes, (uint32_t)parts[i].len);
        sg_buf_add_slice(&bytes, parts[i]);
    }
    enum sg_rc rc = sg_buf_check(&bytes, err);
    if (rc == SG_OK)
        rc = sg_digest_of(SG_DIGEST_SHA256, sg_buf_slice(&bytes), ret, err);
    sg_buf_done(&bytes);
    return rc;
}

static void put_be64(uint8_t *out, uint64_t value)
{
    sg_put_be32(out, (uint32_t)(value >> 32));
    sg_put_be32(out + 4, (uint32_t)value);
}

struct context {
    uint8_t bytes[SG_PAGE_SCOPE_BYTES + 8];
};

static struct context context_of(const uint8_t scope[SG_PAGE_SCOPE_BYTES], uint64_t log_id)
{
    struct context context;
    memcpy(context.bytes, scope, SG_PAGE_SCOPE_BYTES);
    put_be64(context.bytes + SG_PAGE_SCOPE_BYTES, log_id);
    return context;
}

enum sg_rc sg_page_token_write(const struct sg_seal *seal, const uint8_t scope[SG_PAGE_SCOPE_BYTES],
                               uint64_t log_id, uint64_t next, struct sg_buf *out,
                               struct sg_err *err)
{
    const struct context context = context_of(scope, log_id);
    uint8_t place[PLACE_BYTES], room[SEALED_BYTES];
    struct sg_buf sealed = {.ptr = room, .cap = sizeof(room), .max = sizeof(room)};

    put_be64(place, next);
    SG_TRY(sg_seal_close(seal, sg_slice_of(context.bytes, sizeof(context.bytes)),
                         sg_slice_of(place, sizeof(place)), &sealed, err));
    sg_base64_encode(sg_buf_slice(&sealed), SG_BASE64_URL, SG_BASE64_UNPADDED, out);
    return sg_buf_check(out, err);
}

static enum sg_rc refuse(struct sg_err *err)
{
    return SG_REFUSE(err, SG_R_BAD_PAGE_TOKEN,
                     "the page token is not one of this listing, its filter and this caller");
}

enum sg_rc sg_page_token_read(const struct sg_seal *seal, const uint8_t scope[SG_PAGE_SCOPE_BYTES],
                              uint64_t log_id, struct sg_slice token, uint64_t *ret_next,
                              struct sg_err *err)
{
    const struct context context = context_of(scope, log_id);
    uint8_t sealed_room[SEALED_BYTES + 3], place_room[PLACE_BYTES];
    struct sg_buf sealed = {
        .ptr = sealed_room, .cap = sizeof(sealed_room), .max = sizeof(sealed_room)};
    struct sg_buf place = {.ptr = place_room, .cap = sizeof(place_room), .max = sizeof(place_room)};

    if (token.len != SG_PAGE_TOKEN_LEN ||
        sg_base64_decode(token, SG_BASE64_URL, SG_BASE64_UNPADDED, &sealed, NULL) != SG_OK)
        return refuse(err);
    enum sg_rc rc = sg_seal_open(seal, sg_slice_of(context.bytes, sizeof(context.bytes)),
                                 sg_buf_slice(&sealed), &place, err);
    if (rc == SG_E_INVALID)
        return refuse(err);
    SG_TRY(rc);
    *ret_next = (uint64_t)sg_be32(place_room) << 32 | sg_be32(place_room + 4);
    return SG_OK;
}
