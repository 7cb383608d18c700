#ifndef SG_HSM_MECHANISM_H
#define SG_HSM_MECHANISM_H

#include "base/algorithm.h"

/*
 * What a token is handed so that it signs by a scheme: tokens hash nothing for us, because the
 * document never reaches them, so the padding or truncation around a digest is done here.
 *
 * No PKCS#11 in this file: hsm/pkcs11/session.c gives the kinds their CKM_ numbers.
 */
enum sg_mechanism_kind {
    SG_MECH_UNSET = 0,
    SG_MECH_RSA_PKCS, /* pads `input`, which is a DigestInfo (RFC 8017 §9.2) */
    SG_MECH_RSA_PSS,  /* `input` is a digest by `hash`; MGF1 with the same, salt as long */
    SG_MECH_ECDSA,    /* `input` is a digest, cut to the length of the group order */
    SG_MECH_EDDSA,    /* `input` is the message */
};

struct sg_mechanism {
    enum sg_mechanism_kind kind;
    enum sg_digest_alg hash; /* for PSS */
    size_t salt_len;         /* for PSS, bytes */
    size_t signature_len;    /* what the token must give back, bytes */
    struct sg_slice input;   /* borrows `tbs`, or points into `info`: do not copy this struct */
    uint8_t info[SG_DIGEST_INFO_MAX];
};

/*
 * Prepares `tbs` for a key of `type`. ECDSA with a digest longer than the group order takes its
 * leftmost bits (FIPS 186-5 §6.4.1), here and not in the token, where some refuse long input.
 *
 * Errors: SG_E_INVALID  the key does not do the scheme, or the digest has another length
 */
SG_MUST_USE enum sg_rc sg_mechanism_prepare(enum sg_key_type type, enum sg_scheme scheme,
                                            enum sg_digest_alg digest_alg, struct sg_slice tbs,
                                            struct sg_mechanism *ret, struct sg_err *err);

#endif
