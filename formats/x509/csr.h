#ifndef SG_FORMATS_X509_CSR_H
#define SG_FORMATS_X509_CSR_H

#include "base/algorithm.h"
#include "base/err.h"
#include "base/slice.h"

/* What a certificate request was asked to be. */
struct sg_csr_question {
    struct sg_slice spki;      /* DER SubjectPublicKeyInfo of an RSA or EC key, known to be good */
    struct sg_slice subject;   /* DER Name, of sg_name_encode() */
    struct sg_slice alt_names; /* DER GeneralNames, or empty: no extension at all */
    enum sg_digest_alg digest_alg;
};

/*
 * Whether `der` is the PKCS#10 request (RFC 2986) that was asked for and no other: strict DER to
 * the last byte, exactly this key, subject and alternative names and nothing besides, signed by
 * the key with this digest. Whoever made it is not believed in anything: a request goes to a CA,
 * which certifies what stands in it.
 *
 * Errors: SG_E_INVALID, it is not; SG_E_INTERNAL, it could not be judged. Thread: any.
 */
SG_MUST_USE enum sg_rc sg_csr_check(struct sg_slice der, const struct sg_csr_question *question,
                                    struct sg_err *err);

#endif
