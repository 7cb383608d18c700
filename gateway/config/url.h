#ifndef SG_GATEWAY_CONFIG_URL_H
#define SG_GATEWAY_CONFIG_URL_H

#include "base/err.h"

/*
 * An address of the web that an operator has configured: https://HOST[:PORT][/PATH]. Nothing that
 * comes from a peer is read here.
 */
struct sg_url {
    char host[256];      /* a name or an address, an IPv6 one without its brackets */
    char authority[272]; /* as it stands in the Host header */
    char port[6];
    char path[512]; /* "" or from its first slash on, without one at the end */
};

/* Errors: SG_E_INVALID: another scheme, a user, a query, or no port number. */
SG_MUST_USE enum sg_rc sg_url_parse(const char *text, struct sg_url *ret, struct sg_err *err);

#endif
