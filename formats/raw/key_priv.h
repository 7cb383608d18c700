#ifndef SG_FORMATS_RAW_KEY_PRIV_H
#define SG_FORMATS_RAW_KEY_PRIV_H

#include <openssl/evp.h>
#include <stdatomic.h>

#include "formats/raw/verify.h"

/*
 * Contexts that are set up for verifying and never used themselves, only copied: setting one up
 * looks up the algorithm and the digest by name in OpenSSL's method store, under locks, and costs
 * more than the copy. Each is made by the first verification that wants it, and written once.
 */
struct sg_ready_contexts {
    _Atomic(EVP_PKEY_CTX *) pkey[SG_SCHEME_COUNT][SG_DIGEST_COUNT];
    _Atomic(EVP_MD_CTX *) ed25519;
};

/* `ready` is no part of what the key is, so it may be filled in through a const key. */
struct sg_public_key {
    enum sg_key_type type;
    EVP_PKEY *pkey;
    struct sg_ready_contexts *ready;
};

/*
 * Whether the 32 bytes are a public key that signatures can mean something under: the canonical
 * encoding of a point on the curve (RFC 8032 §5.1.3) that is not one of the eight of small order.
 * Errors: SG_E_INVALID BAD_PUBLIC_KEY.
 */
SG_MUST_USE enum sg_rc sg_ed25519_check_point(struct sg_slice point, struct sg_err *err);

#endif
