#ifndef SG_FORMATS_RAW_DIGEST_H
#define SG_FORMATS_RAW_DIGEST_H

#include "base/algorithm.h"

/* The digest of bytes that are all there; `out` has room for SG_DIGEST_BYTES_MAX, or what the
 * algorithm needs. Errors: SG_E_INTERNAL when OpenSSL cannot. */
SG_MUST_USE enum sg_rc sg_digest_of(enum sg_digest_alg alg, struct sg_slice bytes, uint8_t *out,
                                    struct sg_err *err);

#endif
