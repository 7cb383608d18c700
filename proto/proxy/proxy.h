#ifndef SG_PROTO_PROXY_PROXY_H
#define SG_PROTO_PROXY_PROXY_H

#include "base/err.h"
#include "base/slice.h"

/*
 * The header that a proxy puts in front of a connection, to say whose it is: PROXY protocol,
 * version 2 (haproxy's doc/proxy-protocol.txt §2.2). Version 1, which is text, is not read: what is
 * not the one signature is refused by its first byte that differs.
 */
enum {
    SG_PROXY_FIXED_LEN = 16,
    SG_PROXY_LEN_MAX = 2048, /* the addresses take 52; TLVs of proxies some hundred */
};

struct sg_proxy {
    bool is_local; /* the proxy's own connection, a health check: there is nobody behind it */
    bool is_v6;
    uint8_t address[16]; /* IPv4 in the first four */
    uint16_t port;
};

/*
 * Reads the header at the beginning of `bytes`. On SG_OK *ret_len is its length; on SG_E_AGAIN it
 * is how many bytes there must be to go on, which is never more than the header has.
 *
 * Errors: SG_E_AGAIN   it is not all there
 *         SG_E_INVALID it is none, or not of TCP over IP: whose the connection is would be unknown
 *         SG_E_LIMIT   it is over SG_PROXY_LEN_MAX
 */
SG_MUST_USE enum sg_rc sg_proxy_parse(struct sg_slice bytes, struct sg_proxy *ret, size_t *ret_len,
                                      struct sg_err *err);

#endif
