#ifndef SG_GATEWAY_RPC_BEARER_H
#define SG_GATEWAY_RPC_BEARER_H

#include "base/err.h"
#include "base/slice.h"

/* 32 random bytes in base64url have 43 characters; what is shorter can be guessed. */
enum { SG_BEARER_LEN_MIN = 43, SG_BEARER_LEN_MAX = 512 };

/*
 * The token in the value of an `authorization` header (RFC 6750 §2.1): "Bearer" in any case,
 * spaces, and the characters of a b64token.
 *
 * Errors: SG_E_UNAUTHENTICATED BEARER_REQUIRED: another scheme, or no token
 *                              BEARER_UNKNOWN: it has characters or a length that no token has
 */
SG_MUST_USE enum sg_rc sg_bearer_parse(struct sg_slice header, struct sg_slice *ret_token,
                                       struct sg_err *err);

#endif
