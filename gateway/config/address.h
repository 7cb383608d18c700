#ifndef SG_GATEWAY_CONFIG_ADDRESS_H
#define SG_GATEWAY_CONFIG_ADDRESS_H

#include <sys/socket.h>

#include "base/err.h"
#include "base/slice.h"

/*
 * Reads an address to listen on: "127.0.0.1:8443", "[::1]:8443", "0.0.0.0:8443" or "[::]:8443".
 * Numbers only, because what a name means may change, and asking blocks. Port 0 is any free one.
 * Errors: SG_E_INVALID.
 */
SG_MUST_USE enum sg_rc sg_address_parse(const char *text, struct sockaddr_storage *ret,
                                        socklen_t *ret_len, struct sg_err *err);

/* A network of IPv4 or IPv6. */
struct sg_network {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;       /* of these 128 that count */
};

/* Cuts the next network off a list by spaces: "192.0.2.0/24", "2001:db8::/32", or one address
 * alone; bits behind the prefix are 0. Errors: SG_E_NOT_FOUND at the end; SG_E_INVALID. */
SG_MUST_USE enum sg_rc sg_network_take(struct sg_slice *list, struct sg_network *ret,
                                       struct sg_err *err);
bool sg_network_has(const struct sg_network *network, const struct sockaddr_storage *address);

#endif
