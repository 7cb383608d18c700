#include "hsm/mechanism.h"

static enum sg_rc prepare_digest(enum sg_key_type type, enum sg_scheme scheme,
                                 enum sg_digest_alg digest_alg, struct sg_slice tbs,
                                 struct sg_mechanism *ret, struct sg_err *err)
{
    size_t part_len = sg_key_type_part_len(type);
    size_t digest_len = sg_digest_len(digest_alg);

    if (digest_len == 0 || tbs.len != digest_len)
        return SG_REFUSE(err, SG_R_DIGEST_LENGTH,
                         "could not prepare a signature: a digest of %zu bytes where %zu are due",
                         tbs.len, digest_len);
    ret->input = tbs;
    if (scheme == SG_SCHEME_RSA_PKCS1) {
        ret->kind = SG_MECH_RSA_PKCS;
        ret->signature_len = part_len;
        ret->input = sg_slice_of(ret->info, sg_digest_info(digest_alg, tbs, ret->info));
    } else if (scheme == SG_SCHEME_RSA_PSS) {
        ret->kind = SG_MECH_RSA_PSS;
        ret->signature_len = part_len;
        ret->hash = digest_alg;
        ret->salt_len = digest_len;
    } else {
        ret->kind = SG_MECH_ECDSA;
        ret->signature_len = 2 * part_len;
        /* The orders of P-256 and P-384 are whole bytes, so cutting bytes cuts the bits. */
        if (ret->input.len > part_len)
            ret->input.len = part_len;
    }
    return SG_OK;
}

enum sg_rc sg_mechanism_prepare(enum sg_key_type type, enum sg_scheme scheme,
                                enum sg_digest_alg digest_alg, struct sg_slice tbs,
                                struct sg_mechanism *ret, struct sg_err *err)
{
    if (!sg_key_type_does(type, scheme))
        return SG_REFUSE(err, SG_R_ALGORITHM_NOT_ALLOWED,
                         "could not prepare a signature: the key does not do this scheme");
    *ret = (struct sg_mechanism){0};
    if (scheme != SG_SCHEME_ED25519)
        return prepare_digest(type, scheme, digest_alg, tbs, ret, err);

    if (digest_alg != SG_DIGEST_UNSET)
        return SG_REFUSE(err, SG_R_ALGORITHM_NOT_ALLOWED,
                         "could not prepare a signature: Ed25519 signs a message, not a digest");
    ret->kind = SG_MECH_EDDSA;
    ret->signature_len = sg_key_type_part_len(type);
    ret->input = tbs;
    return SG_OK;
}
