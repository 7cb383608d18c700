#include "proto/proxy/proxy.h"

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                      0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

/* Version and command; family and protocol; and where the addresses end. */
enum {
    LOCAL = 0x20,
    PROXY = 0x21,
    TCP4 = 0x11,
    TCP6 = 0x21,
    TCP4_LEN = 12,
    TCP6_LEN = 36,
};

static uint16_t be16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static enum sg_rc read_addresses(uint8_t family, struct sg_slice rest, struct sg_proxy *ret,
                                 struct sg_err *err)
{
    if (family != TCP4 && family != TCP6)
        return SG_FAIL(err, SG_E_INVALID, 0, "the PROXY header is of no TCP connection: 0x%02x",
                       family);
    ret->is_v6 = family == TCP6;
    const size_t address_len = ret->is_v6 ? 16 : 4;
    if (rest.len < (ret->is_v6 ? TCP6_LEN : TCP4_LEN))
        return SG_FAIL(err, SG_E_INVALID, 0, "the PROXY header ends in its addresses");
    memcpy(ret->address, rest.ptr, address_len);
    ret->port = be16(rest.ptr + 2 * address_len);
    return SG_OK;
}

enum sg_rc sg_proxy_parse(struct sg_slice bytes, struct sg_proxy *ret, size_t *ret_len,
                          struct sg_err *err)
{
    const size_t seen = bytes.len < sizeof(signature) ? bytes.len : sizeof(signature);
    if (seen > 0 && memcmp(bytes.ptr, signature, seen) != 0)
        return SG_FAIL(err, SG_E_INVALID, 0, "there is no PROXY header of version 2");
    if (bytes.len > sizeof(signature) && bytes.ptr[12] != LOCAL && bytes.ptr[12] != PROXY)
        return SG_FAIL(err, SG_E_INVALID, 0, "the PROXY header is of another version or command");
    if (bytes.len < SG_PROXY_FIXED_LEN) {
        *ret_len = SG_PROXY_FIXED_LEN;
        return SG_E_AGAIN;
    }
    const size_t len = SG_PROXY_FIXED_LEN + (size_t)be16(bytes.ptr + 14);
    if (len > SG_PROXY_LEN_MAX)
        return SG_FAIL(err, SG_E_LIMIT, 0, "the PROXY header has %zu bytes", len);
    *ret_len = len;
    if (bytes.len < len)
        return SG_E_AGAIN;

    struct sg_proxy proxy = {.is_local = bytes.ptr[12] == LOCAL};
    /* What stands behind the addresses are TLVs, of which none concerns us. */
    if (!proxy.is_local)
        SG_TRY(read_addresses(bytes.ptr[13],
                              sg_slice_of(bytes.ptr + SG_PROXY_FIXED_LEN, len - SG_PROXY_FIXED_LEN),
                              &proxy, err));
    *ret = proxy;
    return SG_OK;
}
