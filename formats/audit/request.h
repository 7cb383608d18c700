#ifndef SG_FORMATS_AUDIT_REQUEST_H
#define SG_FORMATS_AUDIT_REQUEST_H

#include "base/algorithm.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * What was asked for, as one hash: request_sha256 of the audit record. Two requests have the same
 * when they ask for the same signature for the same reasons, however they were encoded; so it is by
 * this that one request_id is held to one request. docs/audit.md has the bytes. Pure.
 */
struct sg_audit_request {
    struct sg_slice key; /* as it was asked for: keys/x or keys/x/versions/1 */
    enum sg_scheme scheme;
    enum sg_sig_encoding encoding;
    enum sg_digest_alg digest_alg; /* unset: the content is a message */
    struct sg_slice content;
    enum sg_digest_alg document_digest_alg;
    struct sg_slice document_digest, document_number, purpose;
};

SG_MUST_USE enum sg_rc sg_audit_request_sha256(const struct sg_audit_request *request,
                                               uint8_t ret[32], struct sg_err *err);

#endif
