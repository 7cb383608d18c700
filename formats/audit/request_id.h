#ifndef SG_FORMATS_AUDIT_REQUEST_ID_H
#define SG_FORMATS_AUDIT_REQUEST_ID_H

#include "base/err.h"
#include "base/slice.h"

/*
 * What a caller calls a request, so that asking again is not asking twice (AIP-155). A UUID; of
 * version 7 it tells when it was made. Pure.
 */
enum { SG_REQUEST_KEY_BYTES = 24, SG_REQUEST_ID_LEN = 36 };

struct sg_request_id {
    /* Of this caller, this method and this id. Its first bytes are the id's time where it has one:
     * an index over keys grows at its end. Never all zero. */
    uint8_t key[SG_REQUEST_KEY_BYTES];
    int64_t made_ms; /* since 1970; 0: it does not tell */
};

/* Who asks, and for what, in the words of the audit record. Errors: SG_E_INVALID BAD_REQUEST_ID. */
SG_MUST_USE enum sg_rc sg_request_id_read(struct sg_slice text, struct sg_slice authority,
                                          struct sg_slice caller, struct sg_slice method,
                                          struct sg_request_id *ret, struct sg_err *err);

/* Whether it is young enough to be remembered for certain; one that does not tell is. Errors:
 * SG_E_INVALID REQUEST_ID_EXPIRED. */
SG_MUST_USE enum sg_rc sg_request_id_check_age(const struct sg_request_id *id, int64_t wall_ns,
                                               int64_t retention_s, struct sg_err *err);

#endif
