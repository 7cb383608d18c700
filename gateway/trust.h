#ifndef SG_GATEWAY_TRUST_H
#define SG_GATEWAY_TRUST_H

#include "gateway/config/config.h"
#include "proto/tls/peer.h"

/* The client CAs of the configuration, read from their files as they are now. Errors: SG_E_INVALID,
 * with the file in the message. */
SG_MUST_USE enum sg_rc sg_trust_of(const struct sg_config *config, struct sg_tls_trust **ret,
                                   struct sg_err *err);

#endif
