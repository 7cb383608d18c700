#ifndef SG_FORMATS_RAW_VERIFY_H
#define SG_FORMATS_RAW_VERIFY_H

#include "base/algorithm.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/slice.h"

/*
 * Verifying a bare signature with a public key: what the gateway does before it releases one, what
 * VerificationService answers, and what the client does offline. Pure.
 */

/* A parsed public key. Immutable: may be used by many threads at once. */
struct sg_public_key;

/* Only the supported types, sizes and curves; strict DER, no trailing bytes; points are checked.
 * Errors: SG_E_INVALID BAD_PUBLIC_KEY. */
SG_MUST_USE enum sg_rc sg_public_key_parse(struct sg_slice spki, struct sg_public_key **ret,
                                           struct sg_err *err);
void sg_public_key_free(struct sg_public_key *key);
SG_DEFINE_AUTO(struct sg_public_key, sg_public_key_free);
enum sg_key_type sg_public_key_type(const struct sg_public_key *key);

/* What was signed, and how. */
struct sg_raw_signature {
    enum sg_scheme scheme;
    enum sg_digest_alg digest_alg; /* unset for Ed25519 */
    struct sg_slice content;       /* the digest; the message for Ed25519 */
    enum sg_sig_encoding encoding; /* of an ECDSA signature; unset is DER */
    struct sg_slice signature;
};

/* Zero means invalid. */
enum sg_raw_verdict {
    SG_RAW_INVALID = 0, /* does not verify */
    SG_RAW_MALFORMED,   /* cannot be a signature of this key: wrong length, not strict DER */
    SG_RAW_VALID,
};

/* SG_OK means judged: read `*ret`. Errors: SG_E_INVALID when the question makes no sense (scheme
 * and key type do not go together, digest length). Thread: any. */
SG_MUST_USE enum sg_rc sg_raw_verify(const struct sg_public_key *key,
                                     const struct sg_raw_signature *signature,
                                     enum sg_raw_verdict *ret, struct sg_err *err);

#endif
