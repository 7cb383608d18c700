#ifndef SG_CLIENT_ENDPOINT_H
#define SG_CLIENT_ENDPOINT_H

#include "base/err.h"
#include "base/slice.h"

/* Where a gateway listens, as a person writes it. */
struct sg_endpoint {
    char host[256]; /* a name, or an address without brackets */
    char port[6];   /* 1 to 65535, without leading zeros */
};

enum { SG_ENDPOINT_PORT_DEFAULT = 8443 };

/*
 * "host:port", "[IPv6]:port", or either without a port. Only characters that a host name or an
 * address can have. Errors: SG_E_INVALID.
 */
SG_MUST_USE enum sg_rc sg_endpoint_parse(struct sg_slice text, struct sg_endpoint *ret,
                                         struct sg_err *err);

/* As :authority (RFC 9113 section 8.3.1) and people write it: brackets around IPv6. Writes at most
 * `room` bytes with the NUL. */
void sg_endpoint_print(const struct sg_endpoint *endpoint, char *out, size_t room);

#endif
