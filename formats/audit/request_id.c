#include "formats/audit/request_id.h"

#include "base/clock.h"
#include "formats/raw/digest.h"

enum { UUID_BYTES = 16, TIME_BYTES = 6, PART_BYTES_MAX = 512 };

static int nibble(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 9562 §4: five groups of digits; both cases are the same id. */
static bool parse(struct sg_slice text, uint8_t ret[UUID_BYTES])
{
    size_t digits = 0;

    if (text.len != SG_REQUEST_ID_LEN)
        return false;
    memset(ret, 0, UUID_BYTES);
    for (size_t i = 0; i < text.len; i++) {
        const bool is_hyphen_place = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_hyphen_place != (text.ptr[i] == '-'))
            return false;
        if (is_hyphen_place)
            continue;
        const int value = nibble(text.ptr[i]);
        if (value < 0)
            return false;
        ret[digits / 2] = (uint8_t)(ret[digits / 2] << 4 | value);
        digits++;
    }
    return true;
}

/* Each part with its length, so that no two askers have the same bytes. */
static bool add_part(uint8_t *bytes, size_t cap, size_t *len, struct sg_slice part)
{
    if (part.len > PART_BYTES_MAX || cap - *len < part.len + 4)
        return false;
    sg_put_be32(bytes + *len, (uint32_t)part.len);
    if (part.len > 0)
        memcpy(bytes + *len + 4, part.ptr, part.len);
    *len += part.len + 4;
    return true;
}

enum sg_rc sg_request_id_read(struct sg_slice text, struct sg_slice authority,
                              struct sg_slice caller, struct sg_slice method,
                              struct sg_request_id *ret, struct sg_err *err)
{
    uint8_t uuid[UUID_BYTES], bytes[4 * (PART_BYTES_MAX + 4)], hash[SG_DIGEST_BYTES_MAX];
    size_t len = 0;

    if (!parse(text, uuid))
        return SG_REFUSE(err, SG_R_BAD_REQUEST_ID, "request_id is no UUID");
    if (!add_part(bytes, sizeof(bytes), &len, authority) ||
        !add_part(bytes, sizeof(bytes), &len, caller) ||
        !add_part(bytes, sizeof(bytes), &len, method) ||
        !add_part(bytes, sizeof(bytes), &len, sg_slice_of(uuid, sizeof(uuid))))
        return SG_FAIL(err, SG_E_INTERNAL, 0, "a caller's name is too long for a request_id");
    SG_TRY(sg_digest_of(SG_DIGEST_SHA256, sg_slice_of(bytes, len), hash, err));

    *ret = (struct sg_request_id){0};
    memcpy(ret->key, hash, sizeof(ret->key));
    if (uuid[6] >> 4 == 7) { /* RFC 9562 §5.7 */
        memcpy(ret->key, uuid, TIME_BYTES);
        for (size_t i = 0; i < TIME_BYTES; i++)
            ret->made_ms = ret->made_ms << 8 | uuid[i];
    }
    return SG_OK;
}

enum sg_rc sg_request_id_check_age(const struct sg_request_id *id, int64_t wall_ns,
                                   int64_t retention_s, struct sg_err *err)
{
    const int64_t age_s = wall_ns / SG_NS_PER_S - id->made_ms / 1000;

    if (id->made_ms == 0 || age_s <= retention_s)
        return SG_OK;
    return SG_REFUSE(err, SG_R_REQUEST_ID_EXPIRED,
                     "request_id was made %lld seconds ago, more than %lld", (long long)age_s,
                     (long long)retention_s);
}
