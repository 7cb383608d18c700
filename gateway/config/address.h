#ifndef SG_GATEWAY_CONFIG_ADDRESS_H
#define SG_GATEWAY_CONFIG_ADDRESS_H

#include <sys/socket.h>

#include "base/err.h"

/*
 * Reads an address to listen on: "127.0.0.1:8443", "[::1]:8443", "0.0.0.0:8443" or "[::]:8443".
 * Numbers only, because what a name means may change, and asking blocks. Port 0 is any free one.
 * Errors: SG_E_INVALID.
 */
SG_MUST_USE enum sg_rc sg_address_parse(const char *text, struct sockaddr_storage *ret,
                                        socklen_t *ret_len, struct sg_err *err);

#endif
