#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include "hsm/pkcs11/p11_priv.h"

SG_DEFINE_AUTO(EVP_PKEY, EVP_PKEY_free);
SG_DEFINE_AUTO(EVP_PKEY_CTX, EVP_PKEY_CTX_free);
SG_DEFINE_AUTO(OSSL_PARAM, OSSL_PARAM_free);
SG_DEFINE_AUTO(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free);
SG_DEFINE_AUTO(BIGNUM, BN_free);

enum { ATTR_MAX = 1024 };

enum sg_outcome sg_p11_attr(struct sg_p11_session *session, CK_OBJECT_HANDLE object,
                            CK_ATTRIBUTE_TYPE type, void *out, size_t max, size_t *ret_len,
                            struct sg_err *err)
{
    CK_ATTRIBUTE attr = {type, out, max};
    CK_RV rv = session->p11->fn->C_GetAttributeValue(session->handle, object, &attr, 1);
    *ret_len = SIZE_MAX;
    if (rv == CKR_ATTRIBUTE_TYPE_INVALID)
        return SG_OUT_OK;
    if (rv != CKR_OK)
        return sg_p11_fail(err, rv, "read an attribute of the key");
    /* Tokens have been seen to say "not available" with CKR_OK. */
    if (attr.ulValueLen <= max)
        *ret_len = attr.ulValueLen;
    return SG_OUT_OK;
}

static enum sg_outcome encode(EVP_PKEY *pkey, uint8_t *out, size_t *ret_len, struct sg_err *err)
{
    int len = pkey == NULL ? -1 : i2d_PUBKEY(pkey, NULL);
    if (len <= 0 || len > SG_JOB_SPKI_MAX) {
        ERR_clear_error();
        return sg_p11_refuse(err, SG_OUT_KEY,
                             "could not use the key: its public key on the token "
                             "is not valid");
    }
    *ret_len = (size_t)i2d_PUBKEY(pkey, &out);
    return SG_OUT_OK;
}

/* From the numbers: OpenSSL checks that a point lies on its curve. */
static EVP_PKEY *build(const char *algorithm, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *pkey = NULL;
    SG_AUTO(OSSL_PARAM_free) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    SG_AUTO(EVP_PKEY_CTX_free)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return NULL;
    return pkey;
}

static enum sg_outcome export_rsa(struct sg_p11_session *session, CK_OBJECT_HANDLE object,
                                  enum sg_key_type type, uint8_t *out, size_t *ret_len,
                                  struct sg_err *err)
{
    uint8_t n_bytes[ATTR_MAX], e_bytes[ATTR_MAX];
    size_t n_len, e_len;
    enum sg_outcome outcome =
        sg_p11_attr(session, object, CKA_MODULUS, n_bytes, sizeof(n_bytes), &n_len, err);
    if (outcome == SG_OUT_OK)
        outcome = sg_p11_attr(session, object, CKA_PUBLIC_EXPONENT, e_bytes, sizeof(e_bytes),
                              &e_len, err);
    if (outcome != SG_OUT_OK)
        return outcome;
    if (n_len > ATTR_MAX || e_len > ATTR_MAX)
        return sg_p11_refuse(err, SG_OUT_KEY, "could not use the key: no public key on the token");

    SG_AUTO(BN_free) BIGNUM *n = BN_bin2bn(n_bytes, (int)n_len, NULL);
    SG_AUTO(BN_free) BIGNUM *e = BN_bin2bn(e_bytes, (int)e_len, NULL);
    SG_AUTO(OSSL_PARAM_BLD_free) OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (n == NULL || e == NULL || builder == NULL)
        return sg_p11_refuse(err, SG_OUT_CAPACITY, "could not read the public key: out of memory");
    if ((size_t)BN_num_bits(n) != 8 * sg_key_type_part_len(type) || !BN_is_odd(e) ||
        BN_num_bits(e) < 2)
        return sg_p11_refuse(err, SG_OUT_KEY,
                             "could not use the key: a modulus of %d bits is not %s",
                             BN_num_bits(n), sg_key_type_name(type));
    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n);
    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e);
    SG_AUTO(EVP_PKEY_free) EVP_PKEY *pkey = build("RSA", builder);
    return encode(pkey, out, ret_len, err);
}

/* Named curves as CKA_EC_PARAMS: DER OIDs (RFC 5480 §2.1.1.1, RFC 8410 §3) and, for Ed25519,
 * the PrintableString that PKCS#11 3.0 §2.3.10 also allows. */
static const struct curve {
    enum sg_key_type type;
    const char *group;
    size_t point_len;
    struct sg_slice params[2];
} curves[] = {
    {SG_KEY_EC_P256,
     "P-256",
     65,
     {{(const uint8_t *)"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", 10}, {0}}},
    {SG_KEY_EC_P384, "P-384", 97, {{(const uint8_t *)"\x06\x05\x2b\x81\x04\x00\x22", 7}, {0}}},
    {SG_KEY_ED25519,
     NULL,
     32,
     {{(const uint8_t *)"\x06\x03\x2b\x65\x70", 5},
      {(const uint8_t *)"\x13\x0c"
                        "edwards25519",
       14}}},
};

/*
 * CKA_EC_POINT is a DER OCTET STRING around the point by the standard, and the bare point by
 * some tokens. The lengths tell them apart: both forms have one length per curve.
 */
static bool unwrap_point(struct sg_slice *point, size_t want_len)
{
    if (point->len == want_len)
        return true;
    if (point->len != want_len + 2 || point->ptr[0] != 0x04 || point->ptr[1] != want_len)
        return false;
    (void)sg_slice_take(point, 2);
    return true;
}

static enum sg_outcome export_curve(struct sg_p11_session *session, CK_OBJECT_HANDLE object,
                                    const struct curve *curve, uint8_t *out, size_t *ret_len,
                                    struct sg_err *err)
{
    uint8_t params[ATTR_MAX], bytes[ATTR_MAX];
    size_t params_len, len;
    enum sg_outcome outcome =
        sg_p11_attr(session, object, CKA_EC_PARAMS, params, sizeof(params), &params_len, err);
    if (outcome == SG_OUT_OK)
        outcome = sg_p11_attr(session, object, CKA_EC_POINT, bytes, sizeof(bytes), &len, err);
    if (outcome != SG_OUT_OK)
        return outcome;
    if (params_len > ATTR_MAX || len > ATTR_MAX)
        return sg_p11_refuse(err, SG_OUT_KEY, "could not use the key: no public key on the token");

    struct sg_slice have = sg_slice_of(params, params_len), point = sg_slice_of(bytes, len);
    if ((!sg_slice_eq(have, curve->params[0]) && !sg_slice_eq(have, curve->params[1])) ||
        !unwrap_point(&point, curve->point_len))
        return sg_p11_refuse(err, SG_OUT_KEY, "could not use the key: its curve is not %s",
                             sg_key_type_name(curve->type));
    if (curve->group == NULL) {
        SG_AUTO(EVP_PKEY_free)
        EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, point.ptr, point.len);
        return encode(pkey, out, ret_len, err);
    }
    SG_AUTO(OSSL_PARAM_BLD_free) OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (builder == NULL)
        return sg_p11_refuse(err, SG_OUT_CAPACITY, "could not read the public key: out of memory");
    OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0);
    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point.ptr, point.len);
    SG_AUTO(EVP_PKEY_free) EVP_PKEY *pkey = build("EC", builder);
    return encode(pkey, out, ret_len, err);
}

enum sg_outcome sg_p11_export_spki(struct sg_p11_session *session, struct sg_slice id,
                                   CK_OBJECT_HANDLE private_key, enum sg_key_type type,
                                   uint8_t *out, size_t *ret_len, struct sg_err *err)
{
    CK_OBJECT_HANDLE handles[2];
    CK_ULONG count;
    enum sg_outcome outcome = sg_p11_find(session, CKO_PUBLIC_KEY, id, handles, 2, &count, err);
    if (outcome != SG_OUT_OK)
        return outcome;
    if (count > 1)
        return sg_p11_refuse(err, SG_OUT_KEY,
                             "could not use the key: more than one public key has its id");
    /* An RSA private key carries its public half; other types need the public object. */
    CK_OBJECT_HANDLE object = count == 1 ? handles[0] : private_key;

    for (size_t i = 0; i < SG_COUNT(curves); i++)
        if (curves[i].type == type)
            return export_curve(session, object, &curves[i], out, ret_len, err);
    return export_rsa(session, object, type, out, ret_len, err);
}
