#ifndef SG_FORMATS_RAW_SPKI_PRIV_H
#define SG_FORMATS_RAW_SPKI_PRIV_H

#include "base/algorithm.h"
#include "base/err.h"
#include "base/slice.h"

/* The parts of a SubjectPublicKeyInfo; they borrow from the bytes it was read from. */
struct sg_spki {
    enum sg_key_type type;
    struct sg_slice modulus, exponent; /* RSA: big-endian, without leading zeros */
    struct sg_slice point;             /* EC: 04 || x || y; Ed25519: the 32 bytes */
};

/*
 * Reads a DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) of a supported type. There is one encoding
 * of each key and only that is taken: no other lengths, no compressed points, no explicit curve
 * parameters, no trailing bytes. Checks sizes, not whether points are on their curve.
 * Errors: SG_E_INVALID BAD_PUBLIC_KEY.
 */
SG_MUST_USE enum sg_rc sg_spki_parse(struct sg_slice der, struct sg_spki *ret, struct sg_err *err);

#endif
